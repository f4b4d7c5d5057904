//! A bitmap in memory, grey or RGB, and its PNG encoding.

use datasets::Size;
use ndarray::{Array2, ArrayView1};

/// The width, in pixels, of the lines between and around the tiles of a grid.
const GUTTER: usize = 2;

/// No side of a grid is longer, in pixels, than a large screen shows, unless a pixel for each tile is too many.
const LONGEST_SIDE: usize = 3072;

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

    /// Lays images out in `rows × columns` tiles: every item of `content`, `[at most columns, numbers]`, is a row of them. Not
    /// all need be in memory at once.
    ///
    /// An image is a row of numbers between 0 (black) and 1 (white or full colour); what is outside is clamped, and NaN is
    /// black. Every pixel becomes a block of `enlarge` × `enlarge` equal ones: small digits stay crisp where smoothing would
    /// blur them. Where no screen could show the whole, blocks are smaller, or each pixel is the mean of a square of the
    /// image's. Cells left over keep the grey of the gutter.
    ///
    /// # Panics
    ///
    /// If an image is not of this size, or there are more than so many.
    pub fn grid(
        size: Size,
        [rows, columns]: [usize; 2],
        enlarge: usize,
        content: impl IntoIterator<Item = Array2<f32>>,
    ) -> Picture {
        let scale = Scale::that_fits(size, [rows, columns], enlarge);
        let [height, width] = scale.sides(size, [rows, columns]);
        let samples = vec![GUTTER_GREY; width * height * size.channels];
        let mut grid = Picture { width, height, channels: size.channels, samples };
        for (row, images) in content.into_iter().enumerate() {
            assert_eq!(images.ncols(), size.count(), "images are of this size");
            assert!(row < rows && images.nrows() <= columns, "no more than {rows} × {columns} images");
            for (column, image) in images.rows().into_iter().enumerate() {
                let [top, left] = scale.sides(size, [row, column]);
                grid.draw_tile(image, size, (left, top), scale);
            }
        }
        grid
    }

    /// Draws one image with its upper left corner at `(left, top)`.
    fn draw_tile(&mut self, image: ArrayView1<f32>, size: Size, (left, top): (usize, usize), scale: Scale) {
        let Scale { enlarge, shrink } = scale;
        let Size { height, width, channels } = size;
        for (i, y) in (0..height).step_by(shrink).enumerate() {
            for (j, x) in (0..width).step_by(shrink).enumerate() {
                let (rows, columns) = (y..(y + shrink).min(height), x..(x + shrink).min(width));
                for channel in 0..channels {
                    let of_square = rows.clone().flat_map(|y| columns.clone().map(move |x| (y * width + x) * channels));
                    let sum: f32 = of_square.map(|pixel| image[pixel + channel]).sum();
                    let shade = shade(sum / (rows.len() * columns.len()) as f32);
                    self.fill_block((left + j * enlarge, top + i * enlarge), enlarge, channel, shade);
                }
            }
        }
    }

    /// Fills one channel of a square of pixels.
    fn fill_block(&mut self, (left, top): (usize, usize), side: usize, channel: usize, shade: u8) {
        for y in top..top + side {
            for x in left..left + side {
                self.samples[(y * self.width + x) * self.channels + channel] = shade;
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

/// How large the tiles of a grid are: `enlarge` pixels for each of an image, or one for each `shrink × shrink` of them.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Scale {
    enlarge: usize,
    shrink: usize,
}

impl Scale {
    /// The largest with blocks of at most so many pixels, of which so many tiles fit a screen.
    fn that_fits(size: Size, tiles: [usize; 2], enlarge: usize) -> Scale {
        let fits = |scale: &Scale| scale.sides(size, tiles).iter().all(|&side| side <= LONGEST_SIDE);
        let smallest = Scale { enlarge: 1, shrink: size.height.max(size.width) };
        let larger = (1..=enlarge).rev().map(|enlarge| Scale { enlarge, shrink: 1 });
        let smaller = (2..smallest.shrink).map(|shrink| Scale { enlarge: 1, shrink });
        larger.chain(smaller).find(fits).unwrap_or(smallest)
    }

    /// Height and width of `[rows, columns]` tiles with the lines around them, up to where the next would begin.
    fn sides(self, size: Size, [rows, columns]: [usize; 2]) -> [usize; 2] {
        let side =
            |length: usize, tiles: usize| tiles * (length.div_ceil(self.shrink) * self.enlarge + GUTTER) + GUTTER;
        [side(size.height, rows), side(size.width, columns)]
    }
}

/// The 8-bit shade of a value in [0, 1]; the cast turns NaN into 0.
fn shade(value: f32) -> u8 {
    (value.clamp(0.0, 1.0) * 255.0).round() as u8
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    /// Width, height and samples of a PNG, read by the decoder of the png crate.
    fn decode(bytes: &[u8]) -> (usize, usize, Vec<u8>) {
        let mut reader = png::Decoder::new(std::io::Cursor::new(bytes)).read_info().unwrap();
        let mut samples = vec![0; reader.output_buffer_size().unwrap()];
        let info = reader.next_frame(&mut samples).unwrap();
        (info.width as usize, info.height as usize, samples)
    }

    #[test]
    fn a_grid_is_row_major_with_gutters_and_enlarged_pixels() {
        let rows = [array![[0.0, 1.0], [0.2, 0.4]], array![[0.6, 0.8]]];
        let (width, height, samples) = decode(&Picture::grid(Size::grey(1, 2), [2, 2], 2, rows).png());
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
        let (width, height, samples) = decode(&Picture::grid(size, [1, 1], 1, [images]).png());
        assert_eq!((width, height), (5, 6));
        let pixel = |x: usize, y: usize| &samples[(y * width + x) * 3..][..3];
        assert_eq!((pixel(2, 2), pixel(2, 3), pixel(1, 2)), (&[0, 51, 102][..], &[153, 204, 255][..], &[128; 3][..]));
    }

    #[test]
    fn a_grid_is_enlarged_as_far_as_a_screen_shows_it_and_else_shrunk() {
        let scale = |size, tiles| {
            let Scale { enlarge, shrink } = Scale::that_fits(size, tiles, 3);
            (enlarge, shrink)
        };
        assert_eq!(scale(Size::grey(28, 28), [8, 8]), (3, 1));
        assert_eq!(scale(Size::grey(28, 28), [100, 100]), (1, 1));
        assert_eq!(scale(Size::grey(28, 28), [2, 40]), (2, 1));
        assert_eq!(scale(Size::grey(512, 512), [8, 8]), (1, 2));
        assert_eq!(scale(Size::grey(8, 30_000), [2, 1]), (1, 10));
        // Not even a pixel for each tile has room.
        assert_eq!(scale(Size::grey(5, 5), [4000, 1]), (1, 5));
        assert_eq!(scale(Size::grey(1, 1), [4000, 1]), (1, 1));
    }

    #[test]
    fn a_pixel_of_a_shrunk_image_is_the_mean_of_a_square_cut_off_at_the_edges() {
        let mut picture = Picture::grey(2, 1, 7);
        let image = array![0.0, 0.2, 1.0, 0.4, 0.2, 0.0];
        picture.draw_tile(image.view(), Size::grey(2, 3), (0, 0), Scale { enlarge: 1, shrink: 2 });
        // (0 + 0.2 + 0.4 + 0.2) / 4 and (1 + 0) / 2.
        assert_eq!(picture.samples, [51, 128]);
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
        let (width, height, _) = decode(&Picture::grid(Size::grey(2, 2), [0, 3], 1, []).png());
        assert_eq!((width, height), (14, 2));
    }
}
