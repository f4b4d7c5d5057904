//! GIF, by the crate `gif`: the first picture of an animation, on its canvas.

use super::{Header, is_grey};
use crate::pictures::raster::Raster;
use ::gif::{ColorOutput, DecodeOptions, Decoder};
use std::io::{Cursor, Read};

pub(super) fn header(source: impl Read) -> Result<Header, String> {
    let mut decoder = read(source)?;
    decoder.next_frame_info().map_err(|error| error.to_string())?.ok_or(NONE)?;
    let coloured = !is_grey(decoder.palette().map_err(|error| error.to_string())?);
    let (width, height) = (decoder.width().into(), decoder.height().into());
    Ok(Header { height, width, orientation: 1, coloured, deep: false, bytes_per_pixel: 5 })
}

pub(super) fn decode(bytes: &[u8]) -> Result<Raster, String> {
    let mut decoder = read(Cursor::new(bytes))?;
    let (width, height) = (usize::from(decoder.width()), usize::from(decoder.height()));
    let frame = decoder.read_next_frame().map_err(|error| error.to_string())?.ok_or(NONE)?.clone();
    let palette = decoder.palette().map_err(|error| error.to_string())?;
    // What the first picture leaves of the canvas is transparent, as is the colour it has for that.
    let colours = if is_grey(palette) { 1 } else { 3 };
    let channels = colours + 1;
    let mut samples = vec![0; width * height * channels];
    let (left, top, across) = (usize::from(frame.left), usize::from(frame.top), usize::from(frame.width));
    for (i, &index) in frame.buffer.iter().enumerate() {
        let (x, y) = (left + i % across, top + i / across);
        if x >= width || y >= height || frame.transparent == Some(index) {
            continue;
        }
        let colour = palette.chunks_exact(3).nth(index.into()).ok_or("a pixel has a colour beyond the palette")?;
        let pixel = &mut samples[(y * width + x) * channels..][..channels];
        pixel[..colours].copy_from_slice(&colour[..colours]);
        pixel[colours] = 255;
    }
    Ok(Raster { height, width, channels, samples })
}

const NONE: &str = "there is no picture in it";

/// A decoder that has read the size of the canvas.
fn read<R: Read>(source: R) -> Result<Decoder<R>, String> {
    let mut options = DecodeOptions::new();
    options.set_color_output(ColorOutput::Indexed);
    options.read_info(source).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::damage::{cuts, flips};
    use ::gif::{Encoder, Frame};
    use std::borrow::Cow;

    /// A canvas of 2 × 3, and pictures on it.
    fn gif(palette: &[u8], frames: Vec<Frame>) -> Vec<u8> {
        let mut file = Vec::new();
        let mut encoder = Encoder::new(&mut file, 3, 2, palette).unwrap();
        frames.iter().for_each(|frame| encoder.write_frame(frame).unwrap());
        drop(encoder);
        file
    }

    fn frame(width: u16, height: u16, buffer: &[u8]) -> Frame<'_> {
        Frame { width, height, buffer: Cow::Borrowed(buffer), ..Frame::default() }
    }

    const COLOURS: [u8; 9] = [10, 20, 30, 40, 50, 60, 70, 80, 90];

    #[test]
    fn the_first_picture_of_an_animation_is_read() {
        let file = gif(&COLOURS, vec![frame(3, 2, &[0, 1, 2, 2, 1, 0]), frame(3, 2, &[0; 6])]);
        let found = header(&file[..]).unwrap();
        assert_eq!((found.height, found.width, found.coloured), (2, 3, true));
        let pixel = |i: usize| [&COLOURS[3 * i..3 * i + 3], &[255]].concat();
        let samples = [0, 1, 2, 2, 1, 0].map(pixel).concat();
        assert_eq!(decode(&file), Ok(Raster { height: 2, width: 3, channels: 4, samples }));
    }

    #[test]
    fn what_a_picture_leaves_of_the_canvas_is_transparent() {
        let part = Frame { left: 1, top: 1, transparent: Some(1), ..frame(2, 1, &[2, 1]) };
        let file = gif(&[5, 5, 5, 6, 6, 6, 7, 7, 7], vec![part]);
        assert!(!header(&file[..]).unwrap().coloured);
        let samples = vec![0, 0, 0, 0, 0, 0, 0, 0, 7, 255, 0, 0];
        assert_eq!(decode(&file), Ok(Raster { height: 2, width: 3, channels: 2, samples }));
    }

    #[test]
    fn a_palette_of_its_own_is_the_pictures() {
        let own = Frame { palette: Some(vec![8, 8, 8, 9, 9, 9]), ..frame(3, 2, &[0, 1, 0, 1, 0, 1]) };
        let file = gif(&COLOURS, vec![own]);
        assert!(!header(&file[..]).unwrap().coloured);
        assert_eq!(decode(&file).unwrap().samples, [8, 255, 9, 255, 8, 255, 9, 255, 8, 255, 9, 255]);
    }

    #[test]
    fn damage_never_panics_and_a_cut_takes_nothing_from_the_picture() {
        let file = gif(&COLOURS, vec![frame(3, 2, &[0, 1, 2, 2, 1, 0])]);
        let whole = decode(&file).unwrap();
        let mut harmless = 0;
        cuts(&file, |cut| {
            if let Ok(picture) = decode(cut) {
                assert_eq!(picture, whole);
                harmless += 1;
            }
        });
        assert!(harmless <= 3, "{harmless}");
        flips(&file, |flipped| {
            if header(flipped).is_ok_and(|header| header.height * header.width < 10_000) {
                let _ = decode(flipped);
            }
        });
    }
}
