//! BMP, of Windows and OS/2: palettes, masks and both run-length codes. By hand, for the readers there are take rows of other
//! lengths than they have, and fill what is missing with black.

use super::{Header, is_grey};
use crate::pictures::raster::Raster;
use std::io::Read;

/// The longest start of a file that tells its header: two headers and 256 colours.
const START: u64 = 14 + 124 + 16 + 4 * 256;

/// How the pixels are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Coding {
    /// Numbers of this many bits, each the number of a colour of the palette.
    Indexed(u32),
    /// The same, of 4 or 8 bits, in runs.
    Runs(u32),
    /// Numbers of 16, 24 or 32 bits, in which masks find red, green, blue and opacity.
    Masked(u32, [u32; 4]),
}

#[derive(Debug)]
struct Bitmap {
    height: usize,
    width: usize,
    top_down: bool,
    coding: Coding,
    /// Red, green and blue of each colour.
    palette: Vec<u8>,
    /// Where the pixels begin.
    pixels: usize,
}

pub(super) fn header(source: impl Read) -> Result<Header, String> {
    let mut start = Vec::new();
    source.take(START).read_to_end(&mut start).map_err(|error| format!("cannot read: {error}"))?;
    let bitmap = parse(&start)?;
    let coloured = !(bitmap.is_indexed() && is_grey(&bitmap.palette));
    Ok(Header { height: bitmap.height, width: bitmap.width, orientation: 1, coloured, deep: false, bytes_per_pixel: 4 })
}

pub(super) fn decode(bytes: &[u8]) -> Result<Raster, String> {
    let bitmap = parse(bytes)?;
    let data = bytes.get(bitmap.pixels..).ok_or(SHORT)?;
    let Bitmap { height, width, .. } = bitmap;
    let (channels, mut samples) = match bitmap.coding {
        Coding::Indexed(bits) => {
            let rows = bitmap.rows(data, bits)?;
            let index = |row: &[u8], x: usize| {
                let bit = x * bits as usize;
                let shift = 8 - bits as usize - bit % 8;
                row[bit / 8] >> shift & ((1u16 << bits) - 1) as u8
            };
            bitmap.colours(rows.into_iter().flat_map(|row| (0..width).map(move |x| index(row, x))))?
        }
        Coding::Runs(bits) => bitmap.colours(runs(data, height, width, bits)?.into_iter())?,
        Coding::Masked(bits, masks) => {
            let bytes = bits as usize / 8;
            let channels = if masks[3] == 0 { 3 } else { 4 };
            let mut samples = Vec::with_capacity(width * height * channels);
            for row in bitmap.rows(data, bits)? {
                for pixel in row.chunks_exact(bytes).take(width) {
                    let number = pixel.iter().rev().fold(0, |number, &byte| number << 8 | u32::from(byte));
                    samples.extend(masks[..channels].iter().map(|&mask| masked(number, mask)));
                }
            }
            (channels, samples)
        }
    };
    // Programs that know nothing of opacity leave it at 0 everywhere.
    if channels == 4 && samples.chunks_exact(4).all(|pixel| pixel[3] == 0) {
        samples.chunks_exact_mut(4).for_each(|pixel| pixel[3] = 255);
    }
    if !bitmap.top_down {
        samples = samples.chunks_exact(width * channels).rev().flatten().copied().collect();
    }
    Ok(Raster { height, width, channels, samples })
}

const SHORT: &str = "the BMP picture is cut short";

impl Bitmap {
    fn is_indexed(&self) -> bool {
        !matches!(self.coding, Coding::Masked(..))
    }

    /// The rows of numbers of so many bits, as they are stored, each padded to 4 bytes.
    fn rows<'a>(&self, data: &'a [u8], bits: u32) -> Result<Vec<&'a [u8]>, String> {
        let length = (self.width * bits as usize).div_ceil(32) * 4;
        // The last row may lack its padding.
        let needed = (self.width * bits as usize).div_ceil(8);
        let row = |i: usize| data.get(i * length..).filter(|rest| rest.len() >= needed).ok_or(SHORT.to_string());
        (0..self.height).map(row).collect()
    }

    /// The channels and samples of the numbers of colours.
    fn colours(&self, indices: impl Iterator<Item = u8>) -> Result<(usize, Vec<u8>), String> {
        let channels = if is_grey(&self.palette) { 1 } else { 3 };
        let mut samples = Vec::with_capacity(self.width * self.height * channels);
        for index in indices {
            let colour = self.palette.get(3 * usize::from(index)..3 * usize::from(index) + channels);
            samples.extend_from_slice(colour.ok_or("a pixel has a colour beyond the palette")?);
        }
        Ok((channels, samples))
    }
}

/// The part of a number under a mask, on a scale of 0 to 255.
fn masked(number: u32, mask: u32) -> u8 {
    // Without a mask there is nothing.
    let shift = mask.trailing_zeros() % 32;
    let (value, most) = (u64::from((number & mask) >> shift), u64::from(mask >> shift).max(1));
    ((value * 255 + most / 2) / most) as u8
}

/// The numbers of colours that runs unfold to; what they leave out is 0.
fn runs(data: &[u8], height: usize, width: usize, bits: u32) -> Result<Vec<u8>, String> {
    let mut indices = vec![0; height * width];
    let (mut x, mut y, mut at) = (0, 0, 0);
    let mut byte = || {
        at += 1;
        data.get(at - 1).copied().ok_or(SHORT.to_string())
    };
    loop {
        let mut put = |x: usize, y: usize, index: u8| {
            let beyond = "a run goes beyond the picture";
            let row = indices.chunks_exact_mut(width).nth(y).ok_or(beyond)?;
            *row.get_mut(x).ok_or(beyond)? = index;
            Ok::<_, String>(())
        };
        match (byte()?, byte()?) {
            (0, 0) => (x, y) = (0, y + 1),
            (0, 1) => return Ok(indices),
            (0, 2) => (x, y) = (x + usize::from(byte()?), y + usize::from(byte()?)),
            // So many pixels as they are, padded to two bytes.
            (0, count) => {
                let bytes = (usize::from(count) * bits as usize).div_ceil(8);
                let run = (0..bytes.next_multiple_of(2)).map(|_| byte()).collect::<Result<Vec<u8>, _>>()?;
                for i in 0..usize::from(count) {
                    let index = if bits == 8 { run[i] } else { run[i / 2] >> (4 - 4 * (i % 2)) & 15 };
                    put(x + i, y, index)?;
                }
                x += usize::from(count);
            }
            (count, run) => {
                for i in 0..usize::from(count) {
                    put(x + i, y, if bits == 8 { run } else { run >> (4 - 4 * (i % 2)) & 15 })?;
                }
                x += usize::from(count);
            }
        }
    }
}

/// Reads the headers and the palette.
fn parse(start: &[u8]) -> Result<Bitmap, String> {
    let short =
        |at: usize| start.get(at..).and_then(|rest| rest.first_chunk()).copied().map(u16::from_le_bytes).ok_or(SHORT);
    let long =
        |at: usize| start.get(at..).and_then(|rest| rest.first_chunk()).copied().map(u32::from_le_bytes).ok_or(SHORT);
    let pixels = long(10)? as usize;
    let size = long(14)? as usize;
    let old = size == 12;
    if !(old || [16, 40, 52, 56, 64, 108, 124].contains(&size)) {
        return Err(format!("expected a BMP header of a known length, found one of {size} bytes"));
    }
    let (width, height, bits) = match old {
        true => (i32::from(short(18)?), i32::from(short(20)?), u32::from(short(24)?)),
        false => (long(18)? as i32, long(22)? as i32, u32::from(short(28)?)),
    };
    let compression = if size < 40 { 0 } else { long(30)? };
    // Masks follow the shortest header of Windows, and are part of the longer ones, at the same place.
    let masks_after = match (size, compression) {
        (40, 3) => 12,
        (40, 6) => 16,
        _ => 0,
    };
    let coding = match (bits, compression) {
        (1 | 2 | 4 | 8, 0) => Coding::Indexed(bits),
        (8, 1) | (4, 2) => Coding::Runs(bits),
        (16, 0) => Coding::Masked(16, [0x7c00, 0x03e0, 0x001f, 0]),
        (24 | 32, 0) => Coding::Masked(bits, [0x00ff_0000, 0xff00, 0xff, 0]),
        (16 | 32, 3 | 6) if size != 64 => {
            let opacity = if compression == 6 || size >= 56 { long(66)? } else { 0 };
            Coding::Masked(bits, [long(54)?, long(58)?, long(62)?, opacity])
        }
        _ => return Err(format!("BMP pictures of {bits} bits with compression {compression} are not read")),
    };
    if width <= 0 || height == 0 || height == i32::MIN {
        return Err(format!("a picture of {height} × {width} has no pixels"));
    }
    let mut palette = Vec::new();
    if !matches!(coding, Coding::Masked(..)) {
        let (first, entry) = (14 + size + masks_after, if old { 3 } else { 4 });
        let used = if size < 40 { 0 } else { long(46)? as usize };
        let most = 1 << bits;
        // The pixels may begin before a palette of all colours would end.
        let room = pixels.saturating_sub(first) / entry;
        let count = if (1..=most).contains(&used) { used } else { most }.min(room);
        let colours = start.get(first..first + count * entry).ok_or(SHORT)?;
        palette = colours.chunks_exact(entry).flat_map(|colour| [colour[2], colour[1], colour[0]]).collect();
    }
    let (width, top_down, height) = (width as usize, height < 0, height.unsigned_abs() as usize);
    Ok(Bitmap { height, width, top_down, coding, palette, pixels })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::damage::{cuts, flips};

    /// A bitmap of Windows 3: its size, bits and compression, and all that follows the header.
    fn bmp((height, width): (i32, i32), bits: u16, compression: u32, used: u32, rest: &[u8], pixels: &[u8]) -> Vec<u8> {
        let mut file = b"BM\0\0\0\0\0\0\0\0".to_vec();
        file.extend((54 + rest.len() as u32).to_le_bytes());
        file.extend(40u32.to_le_bytes());
        file.extend([width.to_le_bytes(), height.to_le_bytes()].concat());
        file.extend([1u16.to_le_bytes(), bits.to_le_bytes()].concat());
        file.extend([compression, 0, 0, 0, used, 0].map(u32::to_le_bytes).concat());
        [&file, rest, pixels].concat()
    }

    /// Blue, green, red and nothing.
    const PALETTE: [u8; 12] = [1, 2, 3, 0, 4, 5, 6, 0, 7, 8, 9, 0];

    fn samples(file: &[u8]) -> Vec<u8> {
        let found = header(file).unwrap();
        let picture = decode(file).unwrap();
        assert_eq!((found.height, found.width), (picture.height, picture.width));
        picture.samples
    }

    fn colours(indices: &[usize]) -> Vec<u8> {
        indices.iter().flat_map(|i| [PALETTE[4 * i + 2], PALETTE[4 * i + 1], PALETTE[4 * i]]).collect()
    }

    #[test]
    fn numbers_of_colours_are_read_from_the_bottom_up_in_rows_of_four_bytes() {
        let of = |bits, pixels: &[u8]| samples(&bmp((2, 3), bits, 0, 3, &PALETTE, pixels));
        let expected = colours(&[0, 1, 2, 2, 1, 0]);
        assert_eq!(of(8, &[2, 1, 0, 99, 0, 1, 2, 99]), expected);
        assert_eq!(of(4, &[0x21, 0x09, 99, 99, 0x01, 0x29, 99, 99]), expected);
        assert_eq!(of(2, &[0b1001_0011, 99, 99, 99, 0b0001_1011, 99, 99, 99]), expected);
        assert_eq!(of(1, &[0b0100_0000, 9, 9, 9, 0b1010_0000, 9, 9, 9]), colours(&[1, 0, 1, 0, 1, 0]));
        assert_eq!(samples(&bmp((-2, 3), 8, 0, 3, &PALETTE, &[0, 1, 2, 99, 2, 1, 0, 99])), expected);
    }

    #[test]
    fn a_palette_of_greys_is_grey() {
        let file = bmp((1, 2), 8, 0, 2, &[7, 7, 7, 0, 9, 9, 9, 0], &[1, 0, 0, 0]);
        assert!(!header(&file[..]).unwrap().coloured);
        assert_eq!(decode(&file), Ok(Raster { height: 1, width: 2, channels: 1, samples: vec![9, 7] }));
        let beyond = bmp((1, 2), 8, 0, 2, &[7, 7, 7, 0, 9, 9, 9, 0], &[1, 2, 0, 0]);
        assert_eq!(decode(&beyond).unwrap_err(), "a pixel has a colour beyond the palette");
    }

    #[test]
    fn colours_are_found_by_masks() {
        assert_eq!(samples(&bmp((1, 1), 24, 0, 0, &[], &[1, 2, 3, 0])), [3, 2, 1]);
        assert_eq!(samples(&bmp((1, 1), 32, 0, 0, &[], &[1, 2, 3, 0])), [3, 2, 1]);
        // 5 bits each: 31, 16 and 1.
        assert_eq!(samples(&bmp((1, 1), 16, 0, 0, &[], &[0x01, 0x7e, 0, 0])), [255, 132, 8]);
        let masks = [0xf800u32, 0x07e0, 0x001f].map(u32::to_le_bytes).concat();
        assert_eq!(samples(&bmp((1, 1), 16, 3, 0, &masks, &[0x01, 0xf8, 0, 0])), [255, 0, 8]);
        let masks = [0xffu32, 0xff00, 0x00ff_0000, 0xff00_0000].map(u32::to_le_bytes).concat();
        assert_eq!(samples(&bmp((1, 1), 32, 6, 0, &masks, &[1, 2, 3, 4])), [1, 2, 3, 4]);
        assert_eq!(samples(&bmp((1, 1), 32, 6, 0, &masks, &[1, 2, 3, 0])), [1, 2, 3, 255]);
    }

    #[test]
    fn runs_are_unfolded() {
        let eight = [2, 1, 1, 0, 0, 0, 0, 3, 2, 1, 0, 99, 0, 1];
        assert_eq!(samples(&bmp((2, 3), 8, 1, 3, &PALETTE, &eight)), colours(&[2, 1, 0, 1, 1, 0]));
        let four = [3, 0x12, 0, 0, 0, 3, 0x20, 0x10, 0, 1];
        assert_eq!(samples(&bmp((2, 3), 4, 2, 3, &PALETTE, &four)), colours(&[2, 0, 1, 1, 2, 1]));
        // One to the right and one up; what is left out has the first colour.
        let moved = [1, 2, 0, 2, 1, 1, 1, 1, 0, 1];
        assert_eq!(samples(&bmp((2, 3), 8, 1, 3, &PALETTE, &moved)), colours(&[0, 0, 1, 2, 0, 0]));
        let beyond = bmp((2, 3), 8, 1, 3, &PALETTE, &[4, 1, 0, 1]);
        assert_eq!(decode(&beyond).unwrap_err(), "a run goes beyond the picture");
    }

    #[test]
    fn the_headers_of_os_2_are_read() {
        let mut file = b"BM\0\0\0\0\0\0\0\0".to_vec();
        file.extend([32, 0, 0, 0, 12, 0, 0, 0, 1, 0, 2, 0, 1, 0, 1, 0, 1, 2, 3, 4, 5, 6]);
        file.extend([0x80, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(samples(&file), [3, 2, 1, 6, 5, 4]);
    }

    #[test]
    fn what_is_not_read_is_an_error() {
        let error = |bits, compression| header(&bmp((1, 1), bits, compression, 0, &[0; 64], &[0; 4])[..]).unwrap_err();
        assert_eq!(error(24, 4), "BMP pictures of 24 bits with compression 4 are not read");
        assert_eq!(error(64, 0), "BMP pictures of 64 bits with compression 0 are not read");
        let none = header(&bmp((0, 3), 24, 0, 0, &[], &[])[..]).unwrap_err();
        assert_eq!(none, "a picture of 0 × 3 has no pixels");
    }

    #[test]
    fn damage_never_panics_and_a_cut_is_an_error() {
        for file in [
            bmp((2, 3), 8, 0, 3, &PALETTE, &[2, 1, 0, 99, 0, 1, 2]),
            bmp((2, 3), 8, 1, 3, &PALETTE, &[2, 1, 1, 0, 0, 0, 0, 3, 2, 1, 0, 99, 0, 1]),
            bmp((2, 1), 24, 0, 0, &[], &[1, 2, 3, 0, 4, 5, 6]),
        ] {
            assert!(decode(&file).is_ok());
            cuts(&file, |cut| assert!(decode(cut).is_err()));
            flips(&file, |flipped| {
                if header(flipped).is_ok_and(|header| header.height.saturating_mul(header.width) < 10_000) {
                    let _ = decode(flipped);
                }
            });
        }
    }
}
