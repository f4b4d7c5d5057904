//! JPEG, by the crate `jpeg-decoder`: baseline, extended and progressive ones of 8 bits with Huffman codes.
//!
//! The decoder is right about whole files and says nothing of others: it takes missing data for zeros, and guesses colours
//! otherwise than everybody's library does. So the markers are read here, first: what a file is, whether all of it is there, and
//! in which colours.

use super::Header;
use crate::pictures::exif;
use crate::pictures::raster::Raster;
use jpeg_decoder::{ColorTransform, Decoder, PixelFormat};
use std::io::BufRead;

/// What comes before the first scan.
#[derive(Debug)]
struct Head {
    frame: Frame,
    jfif: bool,
    /// The transform that Adobe's marker names.
    adobe: Option<u8>,
    orientation: u8,
}

/// The header of the frame, of a kind that is read.
#[derive(Debug)]
struct Frame {
    progressive: bool,
    height: usize,
    width: usize,
    /// The identifiers of its components.
    components: Vec<u8>,
}

pub(super) fn header(source: impl BufRead) -> Result<Header, String> {
    let head = Markers { source }.head()?;
    let Frame { progressive, height, width, ref components } = head.frame;
    Ok(Header {
        height,
        width,
        orientation: head.orientation,
        coloured: components.len() > 1,
        deep: false,
        // The samples, before and after they are put together; before them the coefficients, where they come bit by bit.
        bytes_per_pixel: components.len() * if progressive { 4 } else { 2 },
    })
}

pub(super) fn decode(bytes: &[u8]) -> Result<Raster, String> {
    let head = Markers { source: bytes }.head()?;
    let sealed = sealed(bytes, &head.frame)?;
    let mut decoder = Decoder::new(&sealed[..]);
    decoder.set_color_transform(head.colours());
    let samples = decoder.decode().map_err(|error| match error {
        jpeg_decoder::Error::Format(problem) => format!("a damaged JPEG picture: {problem}"),
        other => other.to_string(),
    })?;
    let (channels, samples) = match decoder.info().map(|info| info.pixel_format) {
        Some(PixelFormat::L8) => (1, samples),
        Some(PixelFormat::RGB24) => (3, samples),
        Some(PixelFormat::CMYK32) => (3, samples.chunks_exact(4).flat_map(printed).collect()),
        _ => return Err("JPEG pictures of 16 bits are not read".into()),
    };
    let Frame { height, width, .. } = head.frame;
    Ok(Raster { height, width, channels, samples })
}

/// The red, green and blue of cyan, magenta, yellow and black.
fn printed(ink: &[u8]) -> [u8; 3] {
    let paper = |ink: u8| u32::from(255 - ink);
    [ink[0], ink[1], ink[2]].map(|colour| ((paper(colour) * paper(ink[3]) + 127) / 255) as u8)
}

impl Head {
    /// The meaning of the components. The files do not say it; this is libjpeg's guess, which those who write them rely on.
    fn colours(&self) -> ColorTransform {
        match (self.frame.components.len(), self.jfif, self.adobe) {
            (1, ..) => ColorTransform::Grayscale,
            (4, _, None | Some(0)) => ColorTransform::CMYK,
            (4, ..) => ColorTransform::YCCK,
            (_, false, Some(0)) => ColorTransform::RGB,
            (_, false, None) if self.frame.components == *b"RGB" => ColorTransform::RGB,
            _ => ColorTransform::YCbCr,
        }
    }
}

/// The markers of a file, one after the other.
struct Markers<R> {
    source: R,
}

impl<R: BufRead> Markers<R> {
    /// Reads up to the first scan.
    fn head(mut self) -> Result<Head, String> {
        let (mut frame, mut jfif, mut adobe, mut orientation) = (None, false, None, 1);
        loop {
            let marker = self.marker()?;
            match marker {
                0x01 | 0xd0..=0xd8 => continue,
                0xda => break,
                0xd9 => return Err("the JPEG picture has no scan".into()),
                _ => {}
            }
            let segment = self.segment()?;
            match marker {
                0xc4 | 0xc8 | 0xcc => {}
                0xc0..=0xcf if frame.is_some() => return Err("JPEG pictures of several frames are not read".into()),
                0xc0..=0xcf => frame = Some(Frame::parse(marker, &segment)?),
                0xe0 if segment.starts_with(b"JFIF\0") => jfif = true,
                0xe1 if segment.starts_with(b"Exif\0\0") => orientation = exif::orientation(&segment[6..]),
                0xee if segment.starts_with(b"Adobe") => adobe = segment.get(11).copied().or(adobe),
                _ => {}
            }
        }
        Ok(Head { frame: frame.ok_or("the JPEG picture has no frame")?, jfif, adobe, orientation })
    }

    /// The next marker; what is before it is passed over.
    fn marker(&mut self) -> Result<u8, String> {
        loop {
            while self.byte()? != 0xff {}
            let mut byte = self.byte()?;
            while byte == 0xff {
                byte = self.byte()?;
            }
            if byte != 0 {
                return Ok(byte);
            }
        }
    }

    /// What follows a marker: its length, which counts itself, in two bytes, and the rest.
    fn segment(&mut self) -> Result<Vec<u8>, String> {
        let length = u16::from_be_bytes([self.byte()?, self.byte()?]).saturating_sub(2);
        let mut segment = vec![0; length.into()];
        self.source.read_exact(&mut segment).map_err(|_| SHORT)?;
        Ok(segment)
    }

    fn byte(&mut self) -> Result<u8, String> {
        let mut byte = [0];
        self.source.read_exact(&mut byte).map_err(|_| SHORT)?;
        Ok(byte[0])
    }
}

const SHORT: &str = "the JPEG picture is cut short";

impl Frame {
    fn parse(marker: u8, segment: &[u8]) -> Result<Frame, String> {
        let not_read = |kind: &str| Err(format!("{kind} JPEG pictures are not read"));
        match marker {
            0xc0..=0xc2 => {}
            0xc3 | 0xcb => return not_read("lossless"),
            0xc9 | 0xca => return not_read("arithmetically coded"),
            _ => return not_read("hierarchical"),
        }
        let &[bits, high, low, left, right, _, ref components @ ..] = segment else { return Err(SHORT.into()) };
        let components = components.as_chunks::<3>().0;
        if bits != 8 {
            return not_read(&format!("{bits}-bit"));
        }
        if !matches!(components.len(), 1 | 3 | 4) {
            return Err(format!("expected a JPEG picture of 1, 3 or 4 components, found {}", components.len()));
        }
        // Those between the least and the most are rare, and the decoder's count of their blocks is wrong.
        let sampling = |shift: u8| components.iter().map(move |component| component[1] >> shift & 15);
        if [4, 0].into_iter().any(|shift| {
            let most = sampling(shift).max();
            sampling(shift).any(|factor| factor != 1 && Some(factor) != most)
        }) {
            return not_read("oddly sampled");
        }
        let (height, width) = (u16::from_be_bytes([high, low]).into(), u16::from_be_bytes([left, right]).into());
        if height == 0 || width == 0 {
            return Err("the JPEG picture does not say its size at its beginning".into());
        }
        Ok(Frame { progressive: marker == 0xc2, height, width, components: components.iter().map(|c| c[0]).collect() })
    }
}

/// Ones, 48 of them, which are no Huffman code: a decoder that asks for more than a scan has ends with an error, unless it is
/// for the last bits of its last block. With more ones it would not find the marker behind them.
const ONES: [u8; 12] = [0xff, 0, 0xff, 0, 0xff, 0, 0xff, 0, 0xff, 0, 0xff, 0];

/// The same file with [`ONES`] at the end of everything that is coded.
///
/// # Errors
///
/// If it ends before its end, or if not every coefficient of every component comes once: the rest would be grey.
fn sealed(bytes: &[u8], frame: &Frame) -> Result<Vec<u8>, String> {
    let mut sealed = Vec::with_capacity(bytes.len() + (bytes.len() >> 4));
    let mut complete = vec![0u64; frame.components.len()];
    let mut rest = Markers { source: bytes };
    loop {
        let marker = rest.marker()?;
        sealed.extend([0xff, marker]);
        match marker {
            0x01 | 0xd0..=0xd8 => continue,
            0xd9 if complete.iter().all(|&coefficients| coefficients == u64::MAX) => return Ok(sealed),
            0xd9 => return Err("a scan of the JPEG picture is missing".into()),
            _ => {}
        }
        let segment = rest.segment()?;
        sealed.extend((segment.len() as u16 + 2).to_be_bytes());
        sealed.extend_from_slice(&segment);
        if marker != 0xda {
            continue;
        }
        scan(&segment, frame, &mut complete)?;
        // Coded data up to a marker; `ff 00` is a byte of them, and between `ff d0` to `ff d7` the coder starts anew.
        loop {
            let Some(end) = rest.source.windows(2).position(|w| w[0] == 0xff && !matches!(w[1], 0 | 0xff)) else {
                return Err(SHORT.into());
            };
            // A marker may have more `ff` before it, to fill a word.
            let fill = rest.source[..end].iter().rev().take_while(|&&byte| byte == 0xff).count();
            sealed.extend_from_slice(&rest.source[..end - fill]);
            sealed.extend(ONES);
            rest.source = &rest.source[end..];
            match rest.source[1] {
                restart @ 0xd0..=0xd7 => sealed.extend([0xff, restart]),
                _ => break,
            }
            rest.source = &rest.source[2..];
        }
    }
}

/// Notes which coefficients a scan completes, of which components.
fn scan(segment: &[u8], frame: &Frame, complete: &mut [u64]) -> Result<(), String> {
    const DAMAGED: &str = "a scan of the JPEG picture is damaged";
    let (&count, rest) = segment.split_first().ok_or(DAMAGED)?;
    let (components, rest) = rest.split_at_checked(2 * usize::from(count)).ok_or(DAMAGED)?;
    let &[first, last, bits] = rest else { return Err(DAMAGED.into()) };
    let coefficients = match frame.progressive {
        false => u64::MAX,
        true if first > last || last > 63 => return Err(DAMAGED.into()),
        // The last bits come when the low half is 0.
        true if bits & 15 != 0 => 0,
        true => u64::MAX >> (63 - (last - first)) << first,
    };
    for component in components.chunks_exact(2) {
        let place = frame.components.iter().position(|&known| known == component[0]).ok_or(DAMAGED)?;
        if complete[place] & coefficients != 0 {
            return Err(DAMAGED.into());
        }
        complete[place] |= coefficients;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::damage::{cuts, flips};
    use crate::pictures::guard::guarded;
    use crate::pictures::testing::{Jpeg, segment};

    const PLAIN: [(u8, usize, usize); 3] = [(1, 1, 1), (2, 1, 1), (3, 1, 1)];
    const HALVED: [(u8, usize, usize); 3] = [(1, 2, 2), (2, 1, 1), (3, 1, 1)];

    fn jpeg<'a>(components: &'a [(u8, usize, usize)], scans: &'a [&'a [usize]]) -> Jpeg<'a> {
        Jpeg { height: 72, width: 81, frame: 0xc0, components, scans, restart: 0, segments: vec![] }
    }

    /// Blocks that all differ, and in each component otherwise.
    fn checks(k: usize, row: usize, column: usize) -> u8 {
        (40 + 61 * k + 37 * row + 23 * column) as u8
    }

    fn adobe(transform: u8) -> Vec<u8> {
        segment(0xee, &[b"Adobe\0\x64\0\0\0\0", &[transform][..]].concat())
    }

    fn jfif() -> Vec<u8> {
        segment(0xe0, b"JFIF\0\x01\x01\0\0\x01\0\x01\0\0")
    }

    /// The pixels of a picture of one colour per component.
    fn flat(jpeg: &Jpeg, values: &[u8]) -> Vec<u8> {
        let picture = decode(&jpeg.file(|k, _, _| values[k])).unwrap();
        let first = &picture.samples[..picture.channels];
        assert!(picture.samples.chunks(picture.channels).all(|pixel| pixel == first));
        first.to_vec()
    }

    fn near(found: &[u8], expected: [u8; 3]) {
        assert!(found.iter().zip(expected).all(|(a, b)| a.abs_diff(b) <= 1), "{found:?} is not {expected:?}");
    }

    #[test]
    fn blocks_are_where_they_belong_and_their_colours_are_right() {
        let picture = decode(&jpeg(&PLAIN, &[&[0, 1, 2]]).file(checks)).unwrap();
        assert_eq!((picture.height, picture.width, picture.channels), (72, 81, 3));
        for (row, column) in [(0, 0), (7, 7), (8, 0), (71, 80), (40, 33)] {
            let [y, cb, cr] = [0, 1, 2].map(|k| f64::from(checks(k, row / 8, column / 8)));
            let (cb, cr) = (cb - 128.0, cr - 128.0);
            // JFIF 1.02, page 3.
            let expected = [y + 1.402 * cr, y - 0.344_14 * cb - 0.714_14 * cr, y + 1.772 * cb];
            let found = &picture.samples[3 * (row * 81 + column)..][..3];
            near(found, expected.map(|colour| colour.round().clamp(0.0, 255.0) as u8));
        }
    }

    #[test]
    fn scans_make_no_difference() {
        let samplings = [(1, 1), (2, 1), (2, 2), (1, 2), (4, 1), (4, 2), (1, 4)];
        for (h, v) in samplings {
            let components = [(1, h, v), (2, 1, 1), (3, 1, 1)];
            let together = jpeg(&components, &[&[0, 1, 2]]);
            let expected = decode(&together.file(checks)).unwrap();
            let scans: [&[&[usize]]; 4] =
                [&[&[0], &[1], &[2]], &[&[2], &[1], &[0]], &[&[0], &[1, 2]], &[&[0, 1], &[2]]];
            for scans in scans {
                let found = decode(&Jpeg { scans, ..together.clone() }.file(checks));
                assert!(found.as_ref() == Ok(&expected), "{h} × {v}, {scans:?}");
            }
            for (frame, restart) in [(0xc1, 0), (0xc2, 0), (0xc0, 3), (0xc2, 3)] {
                let found = decode(&Jpeg { frame, restart, ..together.clone() }.file(checks));
                assert!(found.as_ref() == Ok(&expected), "{h} × {v}, {frame:x}, {restart}");
            }
        }
    }

    #[test]
    fn the_sampling_of_a_single_component_means_nothing() {
        let expected = decode(&jpeg(&[(1, 1, 1)], &[&[0]]).file(checks)).unwrap();
        assert_eq!(expected.channels, 1);
        for (h, v) in [(2, 2), (2, 1), (4, 4), (3, 1)] {
            assert!(decode(&jpeg(&[(1, h, v)], &[&[0]]).file(checks)).as_ref() == Ok(&expected), "{h} × {v}");
        }
    }

    #[test]
    fn colours_are_guessed_as_libjpeg_does() {
        // The same colour, as it is and as luma and chroma.
        let (rgb, ycc) = ([200, 120, 40], [135, 75, 175]);
        let with = |ids: &[u8; 3], segments: Vec<u8>| {
            let components = ids.map(|id| (id, 1, 1));
            let found = |values: &[u8; 3]| {
                flat(&Jpeg { segments: segments.clone(), ..jpeg(&components, &[&[0, 1, 2]]) }, values)
            };
            if found(&rgb) == rgb {
                return "RGB";
            }
            near(&found(&ycc), rgb);
            "YCC"
        };
        assert_eq!(with(b"\x01\x02\x03", vec![]), "YCC");
        assert_eq!(with(b"\x00\x01\x02", vec![]), "YCC");
        assert_eq!(with(b"\x01\x22\x23", vec![]), "YCC");
        assert_eq!(with(b"rgb", vec![]), "YCC");
        assert_eq!(with(b"RGB", vec![]), "RGB");
        assert_eq!(with(b"RGB", jfif()), "YCC");
        assert_eq!(with(b"RGB", adobe(1)), "YCC");
        assert_eq!(with(b"\x01\x02\x03", adobe(0)), "RGB");
        assert_eq!(with(b"\x01\x02\x03", [jfif(), adobe(0)].concat()), "YCC");
        assert_eq!(with(b"\x01\x02\x03", adobe(2)), "YCC");
    }

    #[test]
    fn ink_is_seen_on_paper() {
        let components = [(1, 1, 1), (2, 1, 1), (3, 1, 1), (4, 1, 1)];
        let with = |segments: Vec<u8>, values: [u8; 4]| {
            flat(&Jpeg { segments, ..jpeg(&components, &[&[0, 1, 2, 3]]) }, &values)
        };
        // Adobe's files have 255 for no ink; so, says libjpeg, have all.
        near(&with(adobe(0), [200, 120, 40, 255]), [200, 120, 40]);
        near(&with(vec![], [200, 120, 40, 255]), [200, 120, 40]);
        near(&with(adobe(0), [200, 120, 40, 128]), [100, 60, 20]);
        // 255 less the colours, as luma and chroma.
        near(&with(adobe(2), [120, 181, 81, 255]), [200, 120, 40]);
    }

    #[test]
    fn what_would_come_out_wrong_is_refused() {
        let file = jpeg(&HALVED, &[&[0, 1, 2]]).file(checks);
        let frame = file.windows(2).position(|w| w == [0xff, 0xc0]).unwrap();
        let changed = |changes: &[(usize, u8)]| {
            let mut file = file.clone();
            changes.iter().for_each(|&(at, byte)| file[frame + at] = byte);
            decode(&file).unwrap_err()
        };
        assert_eq!(changed(&[(1, 0xc1), (4, 12)]), "12-bit JPEG pictures are not read");
        assert_eq!(changed(&[(1, 0xc9)]), "arithmetically coded JPEG pictures are not read");
        assert_eq!(changed(&[(1, 0xc3)]), "lossless JPEG pictures are not read");
        assert_eq!(changed(&[(1, 0xc5)]), "hierarchical JPEG pictures are not read");
        assert_eq!(changed(&[(5, 0), (6, 0)]), "the JPEG picture does not say its size at its beginning");
        assert_eq!(changed(&[(11, 0x42), (14, 0x22)]), "oddly sampled JPEG pictures are not read");
        let two = Jpeg { segments: adobe(2), ..jpeg(&PLAIN[..2], &[&[0, 1]]) };
        for frame in [0xc0, 0xc2] {
            let error = decode(&Jpeg { frame, ..two.clone() }.file(checks)).unwrap_err();
            assert_eq!(error, "expected a JPEG picture of 1, 3 or 4 components, found 2");
        }
    }

    #[test]
    fn a_picture_of_which_a_part_is_missing_is_refused() {
        for (components, scans) in
            [(&PLAIN, &[&[0, 1, 2][..]][..]), (&HALVED, &[&[0, 1, 2]]), (&HALVED, &[&[0], &[1], &[2]])]
        {
            for (frame, restart) in [(0xc0, 0), (0xc2, 0), (0xc0, 4)] {
                let jpeg = Jpeg { frame, restart, ..jpeg(components, scans) };
                let file = jpeg.file(checks);
                let whole = decode(&file).unwrap();
                // The coded data of the first scan lose their end, of which a marker stands in the place.
                let start = file.windows(2).position(|w| w == [0xff, 0xda]).unwrap();
                let start = start + 2 + usize::from(file[start + 3]);
                let length = file[start..].windows(2).position(|w| w[0] == 0xff && w[1] != 0).unwrap();
                for left in [0, length / 2, length - 4] {
                    let cut = [&file[..start + left], &file[start + length..]].concat();
                    assert!(decode(&cut).is_err(), "{components:?}, {scans:?}, {frame:x}: {left} of {length} bytes");
                }
                let before_the_end =
                    [&file[..file.len() - 2], &[0; 239], &file[file.len() - 2..], b"and more"].concat();
                assert_eq!(decode(&before_the_end).as_ref(), Ok(&whole));
            }
        }
        let missing = "a scan of the JPEG picture is missing";
        assert_eq!(decode(&jpeg(&PLAIN, &[&[0], &[1]]).file(checks)).unwrap_err(), missing);
        let progressive = Jpeg { frame: 0xc2, ..jpeg(&PLAIN, &[&[0, 1, 2]]) }.file(checks);
        let last = progressive.windows(2).rposition(|w| w == [0xff, 0xda]).unwrap();
        assert_eq!(decode(&[&progressive[..last], &[0xff, 0xd9]].concat()).unwrap_err(), missing);
        let twice = jpeg(&PLAIN, &[&[0], &[1], &[2], &[1]]).file(checks);
        assert_eq!(decode(&twice).unwrap_err(), "a scan of the JPEG picture is damaged");
    }

    #[test]
    fn what_stands_between_the_parts_is_passed_over() {
        let jpeg = jpeg(&HALVED, &[&[0, 1, 2]]);
        let file = jpeg.file(checks);
        let whole = decode(&file).unwrap();
        let comment = segment(0xfe, b"ends with \xff\xd9 or not");
        for between in [&[0xff, 0xff, 0xff][..], &comment, &[0, 1, 2, 3]] {
            assert_eq!(decode(&[&file[..2], between, &file[2..]].concat()).as_ref(), Ok(&whole), "{between:?}");
        }
        let end = file.len() - 2;
        assert_eq!(decode(&[&file[..end], &[0xff, 0xff], &file[end..]].concat()).as_ref(), Ok(&whole));
    }

    #[test]
    fn headers_say_what_is_decoded() {
        let exif = segment(0xe1, b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0");
        let file = Jpeg { segments: exif, ..jpeg(&HALVED, &[&[0, 1, 2]]) }.file(checks);
        let found = header(&file[..]).unwrap();
        assert_eq!((found.height, found.width, found.orientation, found.coloured), (72, 81, 6, true));
        assert!(!header(&jpeg(&[(1, 1, 1)], &[&[0]]).file(checks)[..]).unwrap().coloured);
        assert_eq!(header(&b"\xff\xd8\xff\xd9"[..]).unwrap_err(), "the JPEG picture has no scan");
    }

    #[test]
    fn damage_never_panics_and_a_cut_is_an_error() {
        for frame in [0xc0, 0xc2] {
            let small = Jpeg { height: 20, width: 30, frame, ..jpeg(&HALVED, &[&[0, 1, 2]]) };
            let file = small.file(checks);
            cuts(&file, |cut| assert!(decode(cut).is_err()));
            flips(&file, |flipped| {
                // Sizes that a flip makes huge are refused before the picture is decoded.
                let small = |header: Header| header.height * header.width < 10_000;
                if header(flipped).is_ok_and(small) {
                    assert!(!guarded(|| decode(flipped)).is_err_and(|error| error.starts_with("its decoder fails")));
                }
            });
        }
    }
}
