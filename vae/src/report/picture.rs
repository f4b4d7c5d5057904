//! A bitmap in memory, grey or RGB, and its PNG encoding.

use datasets::Size;
use ndarray::{ArrayView1, ArrayView2};

/// The width, in pixels, of the lines between and around the tiles of a grid.
const GUTTER: usize = 2;

/// Mid-grey sets tiles apart whether their own border is black or white.
const GUTTER_GREY: u8 = 128;

/// A picture with 8 bits per channel, stored row by row from the top.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    width: usize,
    height: usize,
    channels: usize,
    samples: Vec<u8>,
}

impl Picture {
    /// A grey picture, filled with one shade: 0 is black, 255 is white.
    pub fn grey(width: usize, height: usize, shade: u8) -> Picture {
        Picture { width, height, channels: 1, samples: vec![shade; width * height] }
    }

    /// A picture in red, green and blue, filled with one colour.
    pub fn rgb(width: usize, height: usize, colour: [u8; 3]) -> Picture {
        Picture { width, height, channels: 3, samples: colour.repeat(width * height) }
    }

    /// Lays images out in rows of `columns` tiles, from left to right and from top to bottom.
    ///
    /// Every row of `images` is one image of this size, in numbers between 0 (black) and 1 (white or full colour); what is
    /// outside is clamped, and NaN is black. Every pixel becomes a block of `enlarge` × `enlarge` equal ones: small
    /// digits stay crisp where smoothing would blur them. Cells left over in the last row keep the grey of the gutter.
    ///
    /// # Panics
    ///
    /// If an image is not of this size.
    pub fn grid(images: ArrayView2<f32>, size: Size, columns: usize, enlarge: usize) -> Picture {
        assert_eq!(images.ncols(), size.count(), "images are of this size");
        let Size { height, width, channels } = size;
        let columns = columns.max(1);
        let (pitch_x, pitch_y) = (width * enlarge + GUTTER, height * enlarge + GUTTER);
        let rows = images.nrows().div_ceil(columns);
        let (full_width, full_height) = (columns * pitch_x + GUTTER, rows * pitch_y + GUTTER);
        let samples = vec![GUTTER_GREY; full_width * full_height * channels];
        let mut grid = Picture { width: full_width, height: full_height, channels, samples };
        for (i, image) in images.rows().into_iter().enumerate() {
            let corner = (GUTTER + i % columns * pitch_x, GUTTER + i / columns * pitch_y);
            grid.draw_tile(image, width, corner, enlarge);
        }
        grid
    }

    /// Draws one image, enlarged, with its upper left corner at `(left, top)`.
    fn draw_tile(&mut self, image: ArrayView1<f32>, width: usize, (left, top): (usize, usize), enlarge: usize) {
        for (i, &value) in image.iter().enumerate() {
            let (pixel, channel) = (i / self.channels, i % self.channels);
            let (x, y) = (left + pixel % width * enlarge, top + pixel / width * enlarge);
            for row in y..y + enlarge {
                for column in x..x + enlarge {
                    self.samples[(row * self.width + column) * self.channels + channel] = shade(value);
                }
            }
        }
    }

    /// The number of pixels in a row.
    pub fn width(&self) -> usize {
        self.width
    }

    /// The number of rows.
    pub fn height(&self) -> usize {
        self.height
    }

    /// The samples of one pixel: one if the picture is grey, three if it is RGB; `None` outside the picture.
    pub fn pixel_mut(&mut self, x: usize, y: usize) -> Option<&mut [u8]> {
        if x >= self.width || y >= self.height {
            return None;
        }
        let start = (y * self.width + x) * self.channels;
        Some(&mut self.samples[start..start + self.channels])
    }

    /// Encodes the picture as a PNG file.
    ///
    /// # Panics
    ///
    /// If the picture has no pixels: PNG knows no empty picture.
    pub fn png(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut encoder = png::Encoder::new(&mut bytes, self.width as u32, self.height as u32);
        encoder.set_color(if self.channels == 1 { png::ColorType::Grayscale } else { png::ColorType::Rgb });
        encoder.set_depth(png::BitDepth::Eight);
        let mut writer = encoder.write_header().expect("a picture has pixels, and memory takes every write");
        writer.write_image_data(&self.samples).expect("the samples fill the picture");
        writer.finish().expect("memory takes every write");
        bytes
    }
}

/// The 8-bit shade of a value in [0, 1]; the cast turns NaN into 0.
fn shade(value: f32) -> u8 {
    (value.clamp(0.0, 1.0) * 255.0).round() as u8
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array2, array};

    /// Width, height and samples of a PNG, read by the decoder of the png crate.
    fn decode(bytes: &[u8]) -> (usize, usize, Vec<u8>) {
        let mut reader = png::Decoder::new(std::io::Cursor::new(bytes)).read_info().unwrap();
        let mut samples = vec![0; reader.output_buffer_size().unwrap()];
        let info = reader.next_frame(&mut samples).unwrap();
        (info.width as usize, info.height as usize, samples)
    }

    #[test]
    fn a_grid_is_row_major_with_gutters_and_enlarged_pixels() {
        let images = array![[0.0, 1.0], [0.2, 0.4], [0.6, 0.8]];
        let (width, height, samples) = decode(&Picture::grid(images.view(), Size::grey(1, 2), 2, 2).png());
        let g = GUTTER_GREY;
        let gutter = [g; 14];
        let upper = [g, g, 0, 0, 255, 255, g, g, 51, 51, 102, 102, g, g];
        let lower = [g, g, 153, 153, 204, 204, g, g, g, g, g, g, g, g];
        let expected = [gutter, gutter, upper, upper, gutter, gutter, lower, lower, gutter, gutter].concat();
        assert_eq!((width, height, samples), (14, 10, expected));
    }

    #[test]
    fn a_grid_of_coloured_images_is_coloured() {
        let images = array![[0.0, 0.2, 0.4, 0.6, 0.8, 1.0]];
        let size = Size { height: 2, width: 1, channels: 3 };
        let (width, height, samples) = decode(&Picture::grid(images.view(), size, 1, 1).png());
        assert_eq!((width, height), (5, 6));
        let pixel = |x: usize, y: usize| &samples[(y * width + x) * 3..][..3];
        assert_eq!((pixel(2, 2), pixel(2, 3), pixel(1, 2)), (&[0, 51, 102][..], &[153, 204, 255][..], &[128; 3][..]));
    }

    #[test]
    fn values_outside_the_unit_interval_are_clamped_and_nan_is_black() {
        assert_eq!([-1.0, f32::NAN, 0.5, 1.5, f32::INFINITY].map(shade), [0, 0, 128, 255, 255]);
    }

    #[test]
    fn colours_survive_the_encoding() {
        let mut picture = Picture::rgb(2, 1, [1, 2, 3]);
        picture.pixel_mut(1, 0).unwrap().copy_from_slice(&[200, 100, 0]);
        assert_eq!(decode(&picture.png()), (2, 1, vec![1, 2, 3, 200, 100, 0]));
    }

    #[test]
    fn there_is_no_pixel_outside_the_picture() {
        let mut picture = Picture::grey(3, 2, 0);
        assert!(picture.pixel_mut(2, 1).is_some());
        assert!(picture.pixel_mut(3, 0).is_none() && picture.pixel_mut(0, usize::MAX).is_none());
    }

    #[test]
    fn a_grid_of_no_images_can_still_be_encoded() {
        let (width, height, _) = decode(&Picture::grid(Array2::zeros((0, 4)).view(), Size::grey(2, 2), 3, 1).png());
        assert_eq!((width, height), (14, 2));
    }
}
