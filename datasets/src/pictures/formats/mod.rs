//! The kinds of pictures, a file each: what the header says, and the pixels.

mod bmp;
mod gif;
mod jpeg;
mod png;
mod webp;

use super::raster::Raster;
use std::io::{BufRead, Seek};
use std::path::Path;

/// A kind of picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Bmp,
    Gif,
    Jpeg,
    Png,
    WebP,
}

/// What is known of a picture before it is decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    /// Rows, as the file has them.
    pub(super) height: usize,
    /// Columns, as the file has them.
    pub(super) width: usize,
    /// How it is to be turned: the EXIF tag Orientation.
    pub(super) orientation: u8,
    /// Whether there are colours in it: in its palette, if it has one, or said by its kind.
    pub(super) coloured: bool,
    /// Whether its numbers have 16 bits.
    pub(super) deep: bool,
    /// The bytes that its decoder takes for each pixel, about.
    pub(super) bytes_per_pixel: usize,
}

impl Header {
    /// Rows and columns of the upright picture.
    pub(super) fn upright(&self) -> (usize, usize) {
        if self.orientation >= 5 { (self.width, self.height) } else { (self.height, self.width) }
    }

    /// The bytes that decoding takes, about.
    pub(super) fn bytes(&self) -> u64 {
        (self.height as u64).saturating_mul(self.width as u64).saturating_mul(self.bytes_per_pixel as u64)
    }
}

impl Format {
    /// What `start`, the first bytes of the file `path`, are the beginning of.
    ///
    /// PNG and JPEG are often called each other's names and read under any; a file of another kind that is not called so is
    /// likely to be one by mistake.
    ///
    /// # Errors
    ///
    /// If it is the beginning of no picture, or of one that is called something else.
    pub(super) fn of(start: &[u8], path: &Path) -> Result<Format, String> {
        let format = match start {
            [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n', ..] => Format::Png,
            [0xff, 0xd8, 0xff, ..] => Format::Jpeg,
            [b'G', b'I', b'F', b'8', b'7' | b'9', b'a', ..] => Format::Gif,
            [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Format::WebP,
            // Two letters are little to go by: those and the length of the next header, which has a few.
            [b'B', b'M', _, _, _, _, _, _, _, _, _, _, _, _, 12 | 16..=124, 0, 0, 0, ..] => Format::Bmp,
            _ => return Err("expected a PNG, JPEG, WebP, BMP or GIF picture".into()),
        };
        let called = |name| path.extension().unwrap_or_default().eq_ignore_ascii_case(name);
        match format {
            Format::Bmp if !called("bmp") => Err("expected what its name says, found a BMP picture".into()),
            Format::Gif if !called("gif") => Err("expected what its name says, found a GIF picture".into()),
            Format::WebP if !called("webp") => Err("expected what its name says, found a WebP picture".into()),
            _ => Ok(format),
        }
    }

    /// Reads as much of a file as tells its header.
    pub(super) fn header(self, source: impl BufRead + Seek) -> Result<Header, String> {
        match self {
            Format::Bmp => bmp::header(source),
            Format::Gif => gif::header(source),
            Format::Jpeg => jpeg::header(source),
            Format::Png => png::header(source),
            Format::WebP => webp::header(source),
        }
    }

    /// Decodes a file, whose header has been found in bounds. `white` is the number that is white where they have 16 bits.
    pub(super) fn decode(self, bytes: &[u8], white: u16) -> Result<Raster, String> {
        match self {
            Format::Bmp => bmp::decode(bytes),
            Format::Gif => gif::decode(bytes),
            Format::Jpeg => jpeg::decode(bytes),
            Format::Png => png::decode(bytes, white),
            Format::WebP => webp::decode(bytes),
        }
    }

    /// The greatest number in a picture of 16 bits, opacity apart.
    pub(super) fn brightest(self, bytes: &[u8]) -> Result<u16, String> {
        match self {
            Format::Png => png::brightest(bytes),
            _ => Ok(0),
        }
    }
}

/// Whether a palette, three bytes a colour, has nothing but greys.
fn is_grey(palette: &[u8]) -> bool {
    palette.chunks_exact(3).all(|colour| colour[0] == colour[1] && colour[1] == colour[2])
}
