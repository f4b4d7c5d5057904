//! Images as coloured text for a terminal.
//!
//! A character cell is about twice as high as wide, so one line of text holds two rows of square pixels: the half block
//! '▀' paints its upper half in the foreground colour and leaves the background colour below.

use datasets::Size;
use ndarray::{Array2, ArrayView1, ArrayView2};
use std::fmt::Write;

/// A pixel of the sheet: an index into the terminal's 256 colours, or nothing at all between images.
type Pixel = Option<u8>;

/// Draws images side by side, at most `columns` in a line and no more than fit into `width` characters, with the terminal's
/// own background between them. Images wider than that are made smaller.
///
/// Every row of `images` is one image of this size, in numbers between 0 (black) and 1 (white or full colour); what is
/// outside is clamped, and NaN is black. Whether the output is a terminal, and how wide, is for the caller to know.
///
/// # Panics
///
/// If an image is not of this size.
pub fn draw(images: ArrayView2<f32>, size: Size, columns: usize, width: usize) -> String {
    let (images, size) = shrink(images, size, width.max(1));
    let sheet = lay_out(images.view(), size, columns.min((width + 1) / (size.width + 1)));
    let mut text = String::new();
    for pair in sheet.chunks(2) {
        let mut line = Line::default();
        for (x, &upper) in pair[0].iter().enumerate() {
            // A sheet with an odd number of rows has no lower half in its last line.
            line.push(upper, pair.get(1).and_then(|row| row[x]));
        }
        text += &line.text;
        text += "\x1b[0m\n";
    }
    text
}

/// Images of at most this width: each pixel is the mean of a square of pixels, or of what the edge leaves of it.
fn shrink(images: ArrayView2<f32>, size: Size, width: usize) -> (Array2<f32>, Size) {
    assert_eq!(images.ncols(), size.count(), "images are of this size");
    let side = size.width.div_ceil(width).max(1);
    let small = Size { height: size.height.div_ceil(side), width: size.width.div_ceil(side), ..size };
    let from_to = |i: usize, end: usize| i * side..end.min((i + 1) * side);
    let smaller = Array2::from_shape_fn((images.nrows(), small.count()), |(image, number)| {
        let (pixel, channel) = (number / size.channels, number % size.channels);
        let rows = from_to(pixel / small.width, size.height);
        let square = rows.flat_map(|y| from_to(pixel % small.width, size.width).map(move |x| y * size.width + x));
        let (sum, n) =
            square.fold((0.0, 0.0), |(sum, n), at| (sum + images[[image, at * size.channels + channel]], n + 1.0));
        sum / n
    });
    (smaller, small)
}

/// Puts all images on one sheet, one pixel apart, so that drawing need not know where an image ends.
fn lay_out(images: ArrayView2<f32>, size: Size, columns: usize) -> Vec<Vec<Pixel>> {
    let Size { height, width, channels } = size;
    let columns = columns.clamp(1, images.nrows().max(1));
    let rows = images.nrows().div_ceil(columns);
    let mut sheet =
        vec![vec![None; (columns * (width + 1)).saturating_sub(1)]; (rows * (height + 1)).saturating_sub(1)];
    for (i, image) in images.rows().into_iter().enumerate() {
        let (left, top) = (i % columns * (width + 1), i / columns * (height + 1));
        for (j, pixel) in image.exact_chunks(channels).into_iter().enumerate() {
            sheet[top + j / width][left + j % width] = Some(colour(pixel));
        }
    }
    sheet
}

/// The nearest of a terminal's 256 colours.
fn colour(pixel: ArrayView1<f32>) -> u8 {
    match pixel.as_slice() {
        Some(&[red, green, blue]) => 16 + 36 * level(red) + 6 * level(green) + level(blue),
        _ => grey(pixel[0]),
    }
}

/// The nearest of the six levels that each colour has in the 6 × 6 × 6 cube: 0, 95, 135, 175, 215 and 255.
fn level(value: f32) -> u8 {
    match (value.clamp(0.0, 1.0) * 255.0).round() as u8 {
        0..48 => 0,
        48..115 => 1,
        value => (value - 35) / 40,
    }
}

/// The nearest of the 26 greys among a terminal's 256 colours: black is 16, white is 231, and 232 to 255 lie between.
fn grey(value: f32) -> u8 {
    match (value.clamp(0.0, 1.0) * 25.0).round() as u8 {
        0 => 16,
        25 => 231,
        level => 231 + level,
    }
}

/// A line of text that remembers the colours in force, to name a colour only where it changes.
#[derive(Default)]
struct Line {
    text: String,
    foreground: Pixel,
    background: Pixel,
}

impl Line {
    /// Appends one character cell. A half without a pixel must be the background: only that can be left unpainted.
    fn push(&mut self, upper: Pixel, lower: Pixel) {
        let (block, foreground, background) = match (upper, lower) {
            (None, None) => (' ', self.foreground, None),
            (None, Some(_)) => ('▄', lower, None),
            (Some(_), _) => ('▀', upper, lower),
        };
        if let Some(colour) = foreground.filter(|_| foreground != self.foreground) {
            write!(self.text, "\x1b[38;5;{colour}m").expect("a string takes every write");
        }
        if background != self.background {
            match background {
                Some(colour) => write!(self.text, "\x1b[48;5;{colour}m").expect("a string takes every write"),
                None => self.text += "\x1b[49m",
            }
        }
        self.text.push(block);
        (self.foreground, self.background) = (foreground, background);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    /// The text without its escape codes.
    fn plain(text: &str) -> String {
        let mut parts = text.split('\x1b');
        let first = parts.next().unwrap().to_string();
        parts.fold(first, |plain, part| plain + part.split_once('m').unwrap().1)
    }

    #[test]
    fn the_upper_pixel_is_the_foreground_and_the_lower_one_the_background() {
        let text = draw(array![[1.0, 0.0]].view(), Size::grey(2, 1), 1, 80);
        assert_eq!(text, "\x1b[38;5;231m\x1b[48;5;16m▀\x1b[0m\n");
    }

    #[test]
    fn a_colour_is_named_only_where_it_changes() {
        let text = draw(array![[0.0, 0.0, 1.0, 0.0, 0.0, 0.0]].view(), Size::grey(2, 3), 1, 80);
        assert_eq!(text, "\x1b[38;5;16m\x1b[48;5;16m▀▀\x1b[38;5;231m▀\x1b[0m\n");
    }

    #[test]
    fn images_are_one_column_apart_and_the_last_line_may_be_short() {
        let text = draw(Array2::zeros((3, 4)).view(), Size::grey(2, 2), 2, 80);
        assert_eq!(plain(&text), "▀▀ ▀▀\n▄▄   \n▀▀   \n");
    }

    #[test]
    fn an_odd_height_leaves_the_last_lower_half_unpainted() {
        let text = draw(Array2::ones((1, 3)).view(), Size::grey(3, 1), 1, 80);
        assert_eq!(text, "\x1b[38;5;231m\x1b[48;5;231m▀\x1b[0m\n\x1b[38;5;231m▀\x1b[0m\n");
    }

    #[test]
    fn greys_run_from_black_to_white_without_a_step_back() {
        assert_eq!([-1.0, 0.0, f32::NAN, 0.04, 0.96, 1.0, 2.0].map(grey), [16, 16, 16, 232, 255, 231, 231]);
    }

    #[test]
    fn a_coloured_pixel_is_the_nearest_of_the_cube() {
        assert_eq!([0.0, 94.0, 114.0, 136.0, 156.0, 255.0].map(|value| level(value / 255.0)), [0, 1, 1, 2, 3, 5]);
        let size = Size { height: 1, width: 2, channels: 3 };
        let text = draw(array![[1.0, 0.0, 0.0, 0.0, 0.0, 1.0]].view(), size, 1, 80);
        assert_eq!(text, "\x1b[38;5;196m▀\x1b[38;5;21m▀\x1b[0m\n");
    }

    #[test]
    fn as_many_images_fit_as_leave_a_column_between_them() {
        let widest = |width| {
            let text = plain(&draw(Array2::ones((9, 28)).view(), Size::grey(1, 28), 9, width));
            text.lines().map(|line| line.chars().count()).max().unwrap()
        };
        assert_eq!([28, 56, 57, 80, 86].map(widest), [28, 28, 57, 57, 86]);
    }

    #[test]
    fn no_line_is_wider_than_the_terminal() {
        for (height, wide, channels) in [(1, 200, 1), (9, 81, 3), (3, 28, 1)] {
            let size = Size { height, width: wide, channels };
            for width in [0, 1, 2, 7, 20, 27, 80, 200] {
                let text = plain(&draw(Array2::ones((3, size.count())).view(), size, 3, width));
                assert!(text.lines().all(|line| (1..=width.max(1)).contains(&line.chars().count())), "{width}: {text}");
            }
        }
    }

    #[test]
    fn a_pixel_of_a_smaller_image_is_the_mean_of_a_square_in_each_channel() {
        let grey = array![[0.0, 1.0, 0.5, 1.0, 0.0, 0.25]];
        let (small, size) = shrink(grey.view(), Size::grey(2, 3), 2);
        assert_eq!((small, size), (array![[0.5, 0.375]], Size::grey(1, 2)));
        let coloured = array![[1.0, 0.0, 0.5, 0.0, 0.5, 0.25]];
        let (small, _) = shrink(coloured.view(), Size { height: 1, width: 2, channels: 3 }, 1);
        assert_eq!(small, array![[0.5, 0.25, 0.375]]);
        assert_eq!(shrink(grey.view(), Size::grey(2, 3), 3).0, grey);
    }

    #[test]
    fn no_images_give_no_text() {
        assert_eq!(draw(Array2::zeros((0, 4)).view(), Size::grey(2, 2), 3, 80), "");
    }
}
