//! PNG, by the crate `png`: the first picture of an animation, any depth, interlaced or not.

use super::{Header, is_grey};
use crate::pictures::exif;
use crate::pictures::raster::Raster;
use crate::scale;
use ::png::{BitDepth, ColorType, Decoder, Reader, Transformations};
use std::io::{BufRead, Cursor, Seek};

pub(super) fn header(source: impl BufRead + Seek) -> Result<Header, String> {
    let reader = read(source)?;
    let (colours, depth) = reader.output_color_type();
    let info = reader.info();
    let deep = depth == BitDepth::Sixteen;
    Ok(Header {
        height: info.height as usize,
        width: info.width as usize,
        orientation: info.exif_metadata.as_deref().map_or(1, exif::orientation),
        coloured: match info.color_type {
            ColorType::Indexed => !info.palette.as_deref().is_some_and(is_grey),
            other => matches!(other, ColorType::Rgb | ColorType::Rgba),
        },
        deep,
        bytes_per_pixel: colours.samples() * if deep { 3 } else { 1 },
    })
}

/// The picture in 8 bits, on a scale that ends at `white` if it has 16.
pub(super) fn decode(bytes: &[u8], white: u16) -> Result<Raster, String> {
    let mut reader = read(Cursor::new(bytes))?;
    let (colours, depth) = reader.output_color_type();
    let channels = colours.samples();
    let numbers = numbers(&mut reader)?;
    let samples = match depth {
        BitDepth::Sixteen => sixteen(&numbers, channels)
            .map(|(number, is_opacity)| scale::byte(number, if is_opacity { u16::MAX } else { white }))
            .collect(),
        _ => numbers,
    };
    let picture =
        Raster { height: reader.info().height as usize, width: reader.info().width as usize, channels, samples };
    // A palette of greys has been unfolded to colours.
    let indexed = reader.info().color_type == ColorType::Indexed;
    Ok(if indexed && reader.info().palette.as_deref().is_some_and(is_grey) { grey(picture) } else { picture })
}

/// The greatest number in a picture of 16 bits.
pub(super) fn brightest(bytes: &[u8]) -> Result<u16, String> {
    let mut reader = read(Cursor::new(bytes))?;
    let channels = reader.output_color_type().0.samples();
    let numbers = numbers(&mut reader)?;
    Ok(sixteen(&numbers, channels).filter(|&(_, is_opacity)| !is_opacity).map(|(number, _)| number).max().unwrap_or(0))
}

/// A decoder that has read all that comes before the pixels.
fn read<R: BufRead + Seek>(source: R) -> Result<Reader<R>, String> {
    let mut decoder = Decoder::new(source);
    decoder.set_ignore_text_chunk(true);
    decoder.set_ignore_iccp_chunk(true);
    // Colours instead of a palette, bytes instead of fewer bits, and opacity where a colour is to be transparent.
    decoder.set_transformations(Transformations::EXPAND);
    decoder.read_info().map_err(|error| error.to_string())
}

/// The bytes of the first picture.
fn numbers<R: BufRead + Seek>(reader: &mut Reader<R>) -> Result<Vec<u8>, String> {
    let size = reader.output_buffer_size().ok_or("the picture is too large")?;
    let mut numbers = vec![0; size];
    let frame = reader.next_frame(&mut numbers).map_err(|error| error.to_string())?;
    numbers.truncate(frame.buffer_size());
    Ok(numbers)
}

/// Numbers of two bytes, and whether they are opacities.
fn sixteen(numbers: &[u8], channels: usize) -> impl Iterator<Item = (u16, bool)> {
    let has_opacity = channels.is_multiple_of(2);
    let numbers = numbers.as_chunks().0.iter().copied().map(u16::from_be_bytes);
    numbers.enumerate().map(move |(i, number)| (number, has_opacity && i % channels == channels - 1))
}

/// The same picture without two of its three equal colours.
fn grey(picture: Raster) -> Raster {
    let pixels = picture.samples.chunks_exact(picture.channels);
    let samples = pixels.flat_map(|pixel| [pixel[0]].into_iter().chain(pixel.get(3).copied())).collect();
    Raster { channels: picture.channels - 2, samples, ..picture }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::damage::{cuts, flips};
    use crate::pictures::testing::{gradient, grey, png, png_of};
    use proptest::prelude::*;

    fn both(file: &[u8]) -> (Header, Raster) {
        (header(Cursor::new(file)).unwrap(), decode(file, u16::MAX).unwrap())
    }

    #[test]
    fn a_palette_of_greys_is_grey() {
        let indexed =
            |depth, samples: &[u8], palette: &[u8]| png_of((2, 2), (ColorType::Indexed, depth), samples, palette);
        let (header, picture) = both(&indexed(BitDepth::Eight, &[0, 1, 2, 0], &[9, 9, 9, 70, 70, 70, 200, 200, 200]));
        assert_eq!((header.coloured, picture.channels, picture.samples), (false, 1, vec![9, 70, 200, 9]));
        let (header, picture) = both(&indexed(BitDepth::One, &[0x40, 0x80], &[9, 9, 9, 70, 71, 70]));
        assert_eq!((header.coloured, picture.channels), (true, 3));
        assert_eq!(picture.samples, [[9, 9, 9], [70, 71, 70], [70, 71, 70], [9, 9, 9]].concat());
    }

    #[test]
    fn opacity_of_a_palette_is_kept() {
        let mut file = Vec::new();
        let mut encoder = ::png::Encoder::new(&mut file, 3, 1);
        encoder.set_color(ColorType::Indexed);
        encoder.set_palette([9, 9, 9, 70, 70, 70, 0, 0, 0].as_slice());
        encoder.set_trns([255, 51].as_slice());
        let mut writer = encoder.write_header().unwrap();
        writer.write_image_data(&[0, 1, 2]).unwrap();
        writer.finish().unwrap();
        let (_, picture) = both(&file);
        assert_eq!((picture.channels, picture.samples), (2, vec![9, 255, 70, 51, 0, 255]));
    }

    #[test]
    fn fewer_bits_are_stretched_to_eight() {
        let bits = |depth, byte| both(&png_of((1, 2), (ColorType::Grayscale, depth), &[byte], &[])).1.samples;
        assert_eq!(bits(BitDepth::One, 0x40), [0, 255]);
        assert_eq!(bits(BitDepth::Two, 0x60), [85, 170]);
        assert_eq!(bits(BitDepth::Four, 0x3f), [51, 255]);
    }

    #[test]
    fn sixteen_bits_become_eight_on_the_scale_that_is_given() {
        let samples = [0, 0, 0x0f, 0xff, 0x07, 0xff, 0x80, 0x80].map(|byte: u8| byte);
        let file = png_of((1, 2), (ColorType::GrayscaleAlpha, BitDepth::Sixteen), &samples, &[]);
        assert!(header(Cursor::new(&file)).unwrap().deep);
        assert_eq!(brightest(&file), Ok(0x07ff));
        assert_eq!(decode(&file, 4095).unwrap().samples, [0, 16, 127, 128]);
        assert_eq!(decode(&file, u16::MAX).unwrap().samples, [0, 16, 8, 128]);
    }

    #[test]
    fn a_cut_is_an_error_or_takes_nothing_from_the_picture() {
        let file = png(20, 30, &gradient());
        let mut harmless = 0;
        cuts(&file, |cut| {
            if let Ok(picture) = decode(cut, u16::MAX) {
                assert_eq!(picture.samples, gradient());
                harmless += 1;
            }
        });
        // A PNG ends with 12 bytes that say that it ends.
        assert!(harmless <= 12, "{harmless}");
    }

    #[test]
    fn flipped_bits_never_panic_and_never_change_a_picture() {
        flips(&grey(9), |flipped| {
            let small = |header: Header| header.height * header.width < 10_000;
            if header(Cursor::new(flipped)).is_ok_and(small)
                && let Ok(picture) = decode(flipped, u16::MAX)
            {
                assert_eq!((picture.height, picture.width, &picture.samples[..]), (2, 3, &[9; 6][..]));
            }
        });
    }

    proptest! {
        #[test]
        fn a_picture_survives_the_round_trip(height in 1usize..6, width in 1usize..6, channels in 1usize..5, bytes in prop::collection::vec(any::<u8>(), 100)) {
            let samples = bytes[..height * width * channels].to_vec();
            let picture = decode(&png(height, width, &samples), u16::MAX);
            prop_assert_eq!(picture, Ok(Raster { height, width, channels, samples }));
        }
    }
}
