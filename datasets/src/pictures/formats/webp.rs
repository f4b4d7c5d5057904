//! WebP, by the crate `image-webp`: the first picture of an animation. It knows colours only.

use super::Header;
use crate::pictures::exif;
use crate::pictures::raster::Raster;
use image_webp::WebPDecoder;
use std::io::{BufRead, Cursor, Seek};

pub(super) fn header(source: impl BufRead + Seek) -> Result<Header, String> {
    let mut decoder = WebPDecoder::new(source).map_err(|error| error.to_string())?;
    let exif = decoder.exif_metadata().map_err(|error| error.to_string())?;
    let (width, height) = decoder.dimensions();
    Ok(Header {
        height: height as usize,
        width: width as usize,
        orientation: exif.as_deref().map_or(1, exif::orientation),
        coloured: true,
        deep: false,
        bytes_per_pixel: 8,
    })
}

pub(super) fn decode(bytes: &[u8]) -> Result<Raster, String> {
    // The decoder takes some of what is missing for zeros. The file says how long it is after its first 8 bytes.
    let length = bytes.get(4..).and_then(|rest| rest.first_chunk()).map_or(0, |&length| u32::from_le_bytes(length));
    if bytes.len() < length as usize + 8 {
        return Err("the WebP picture is cut short".into());
    }
    let mut decoder = WebPDecoder::new(Cursor::new(bytes)).map_err(|error| error.to_string())?;
    let (width, height) = decoder.dimensions();
    let mut samples = vec![0; decoder.output_buffer_size().ok_or("the picture is too large")?];
    decoder.read_image(&mut samples).map_err(|error| error.to_string())?;
    let channels = if decoder.has_alpha() { 4 } else { 3 };
    Ok(Raster { height: height as usize, width: width as usize, channels, samples })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::damage::{cuts, flips};
    use crate::pictures::guard::guarded;
    use crate::pictures::testing::gradient;
    use image_webp::{ColorType, WebPEncoder};

    fn webp(colours: ColorType, (height, width): (u32, u32), samples: &[u8]) -> Vec<u8> {
        let mut file = Vec::new();
        WebPEncoder::new(&mut file).encode(samples, width, height, colours).unwrap();
        file
    }

    #[test]
    fn colours_and_opacity_are_read() {
        let file = webp(ColorType::Rgb8, (20, 30), &gradient());
        let header = header(Cursor::new(&file)).unwrap();
        assert_eq!((header.height, header.width, header.coloured), (20, 30, true));
        assert_eq!(decode(&file), Ok(Raster { height: 20, width: 30, channels: 3, samples: gradient() }));
        let samples = vec![1, 2, 3, 0, 5, 6, 7, 200];
        let file = webp(ColorType::Rgba8, (2, 1), &samples);
        assert_eq!(decode(&file), Ok(Raster { height: 2, width: 1, channels: 4, samples }));
    }

    #[test]
    fn damage_never_panics_and_a_cut_is_an_error() {
        let file = webp(ColorType::Rgb8, (20, 30), &gradient());
        let whole = decode(&file).unwrap();
        cuts(&file, |cut| assert!(decode(cut).is_err()));
        flips(&file, |flipped| {
            let small = |header: Header| header.height * header.width < 10_000;
            if guarded(|| header(Cursor::new(flipped))).is_ok_and(small) {
                let _ = guarded(|| decode(flipped));
            }
        });
        assert_eq!(decode(&file), Ok(whole));
    }
}
