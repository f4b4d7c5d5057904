//! A bitmap that plotters can draw on.
//!
//! Plotters' own bitmap backend asks the operating system for fonts, and so draws different letters, or none, on
//! different machines. This one brings its letters along.

use super::picture::Picture;
use noto_sans_mono_bitmap::{FontWeight, RasterHeight, RasterizedChar, get_raster, get_raster_width};
use plotters_backend::text_anchor::{HPos, VPos};
use plotters_backend::{
    BackendColor, BackendCoord, BackendStyle, BackendTextStyle, DrawingBackend, DrawingErrorKind, FontTransform,
};
use std::convert::Infallible;

/// What plotters expects of every drawing call; ours draw into memory and cannot fail.
type Drawn = Result<(), DrawingErrorKind<Infallible>>;

/// An RGB picture on which charts are drawn, white at first.
///
/// Plotters takes a backend by value and never gives it back, so the backend is the mutable reference `&mut Canvas`; the
/// canvas itself stays with the caller.
pub struct Canvas {
    picture: Picture,
}

impl Canvas {
    /// A white canvas.
    pub fn new(width: usize, height: usize) -> Canvas {
        Canvas { picture: Picture::rgb(width, height, [255; 3]) }
    }

    /// The picture drawn so far.
    pub fn into_picture(self) -> Picture {
        self.picture
    }

    /// Mixes a colour into one pixel; what falls outside the canvas is dropped.
    fn blend(&mut self, x: i64, y: i64, colour: BackendColor) {
        let (Ok(x), Ok(y)) = (usize::try_from(x), usize::try_from(y)) else { return };
        let Some(pixel) = self.picture.pixel_mut(x, y) else { return };
        let (red, green, blue) = colour.rgb;
        for (old, new) in pixel.iter_mut().zip([red, green, blue]) {
            let mixed = f64::from(*old) + (f64::from(new) - f64::from(*old)) * colour.alpha.clamp(0.0, 1.0);
            *old = mixed.round() as u8;
        }
    }
}

impl DrawingBackend for &mut Canvas {
    type ErrorType = Infallible;

    fn get_size(&self) -> (u32, u32) {
        (self.picture.width() as u32, self.picture.height() as u32)
    }

    fn ensure_prepared(&mut self) -> Drawn {
        Ok(())
    }

    fn present(&mut self) -> Drawn {
        Ok(())
    }

    fn draw_pixel(&mut self, (x, y): BackendCoord, colour: BackendColor) -> Drawn {
        self.blend(i64::from(x), i64::from(y), colour);
        Ok(())
    }

    /// A disc or a ring whose edge fades out over one pixel: the dots of a scatter plot are so small that a hard edge
    /// would make squares of them.
    fn draw_circle<S: BackendStyle>(&mut self, centre: BackendCoord, radius: u32, style: &S, fill: bool) -> Drawn {
        let (radius, half_line) = (f64::from(radius), f64::from(style.stroke_width()) / 2.0);
        let reach = (radius + half_line) as i64 + 1;
        for dy in -reach..=reach {
            for dx in -reach..=reach {
                let to_circle = ((dx * dx + dy * dy) as f64).sqrt() - radius;
                let outside = if fill { to_circle } else { to_circle.abs() - half_line };
                let coverage = (0.5 - outside).clamp(0.0, 1.0);
                self.blend(i64::from(centre.0) + dx, i64::from(centre.1) + dy, style.color().mix(coverage));
            }
        }
        Ok(())
    }

    fn estimate_text_size<S: BackendTextStyle>(
        &self,
        text: &str,
        style: &S,
    ) -> Result<(u32, u32), DrawingErrorKind<Infallible>> {
        let (width, height) = text_size(text, raster_height(style.size()));
        Ok((width as u32, height as u32))
    }

    fn draw_text<S: BackendTextStyle>(&mut self, text: &str, style: &S, pos: BackendCoord) -> Drawn {
        let raster = raster_height(style.size());
        let (left, top) = anchor_offset(text_size(text, raster), style);
        for (i, c) in text.chars().enumerate() {
            let letter = letter(c, raster);
            let left = left + i as i64 * letter.width() as i64;
            for (dy, row) in letter.rows().enumerate() {
                for (dx, &intensity) in row.iter().enumerate() {
                    let (x, y) = rotate(style.transform(), left + dx as i64, top + dy as i64);
                    let ink = style.color().mix(f64::from(intensity) / 255.0);
                    self.blend(i64::from(pos.0) + x, i64::from(pos.1) + y, ink);
                }
            }
        }
        Ok(())
    }
}

/// The font comes in a few sizes only; takes the one nearest to `size` pixels.
fn raster_height(size: f64) -> RasterHeight {
    match size {
        ..18.0 => RasterHeight::Size16,
        ..22.0 => RasterHeight::Size20,
        _ => RasterHeight::Size24,
    }
}

/// The picture of a letter; a letter that the font lacks is shown as a question mark.
fn letter(c: char, raster: RasterHeight) -> RasterizedChar {
    get_raster(c, FontWeight::Regular, raster)
        .or_else(|| get_raster('?', FontWeight::Regular, raster))
        .expect("the font has a question mark")
}

/// Width and height of a line of text; every letter is as wide as any other.
fn text_size(text: &str, raster: RasterHeight) -> (i64, i64) {
    ((text.chars().count() * get_raster_width(FontWeight::Regular, raster)) as i64, raster.val() as i64)
}

/// From the point that a text is anchored at to the text's upper left corner, before it is turned.
fn anchor_offset<S: BackendTextStyle>((width, height): (i64, i64), style: &S) -> (i64, i64) {
    let left = match style.anchor().h_pos {
        HPos::Left => 0,
        HPos::Center => -width / 2,
        HPos::Right => -width,
    };
    let top = match style.anchor().v_pos {
        VPos::Top => 0,
        VPos::Center => -height / 2,
        VPos::Bottom => -height,
    };
    (left, top)
}

/// Turns a point clockwise about the origin, in a picture whose y axis points down.
fn rotate(turn: FontTransform, x: i64, y: i64) -> (i64, i64) {
    match turn {
        FontTransform::None => (x, y),
        FontTransform::Rotate90 => (-y, x),
        FontTransform::Rotate180 => (-x, -y),
        FontTransform::Rotate270 => (y, -x),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use plotters::prelude::*;
    use plotters::style::text_anchor::Pos;

    /// Draws a word at the middle of a canvas; returns the bounding box of its ink: left, top, right, bottom.
    fn ink(h_pos: HPos, v_pos: VPos, turn: FontTransform) -> [i64; 4] {
        let mut canvas = Canvas::new(200, 200);
        let style = TextStyle::from(("sans-serif", 16)).pos(Pos { h_pos, v_pos }).transform(turn);
        (&mut canvas).draw_text("word", &style, (100, 100)).unwrap();
        let mut picture = canvas.into_picture();
        let mut bounds = [200, 200, -1, -1];
        for (x, y) in (0..200).flat_map(|y| (0..200).map(move |x| (x, y))) {
            if picture.pixel_mut(x as usize, y as usize).unwrap()[0] < 255 {
                bounds = [bounds[0].min(x), bounds[1].min(y), bounds[2].max(x), bounds[3].max(y)];
            }
        }
        bounds
    }

    #[test]
    fn text_lies_on_the_side_that_its_anchor_says() {
        let [left, top, _, _] = ink(HPos::Left, VPos::Top, FontTransform::None);
        assert!(left >= 100 && top >= 100);
        let [_, _, right, bottom] = ink(HPos::Right, VPos::Bottom, FontTransform::None);
        assert!((0..100).contains(&right) && (0..100).contains(&bottom));
        let [left, top, right, bottom] = ink(HPos::Center, VPos::Center, FontTransform::None);
        assert!((left + right - 199).abs() <= 4 && (top + bottom - 199).abs() <= 8);
    }

    #[test]
    fn text_turned_by_270_degrees_reads_upwards_and_stays_right_of_its_top_anchor() {
        let [left, top, right, bottom] = ink(HPos::Left, VPos::Top, FontTransform::Rotate270);
        assert!(left >= 100 && bottom <= 100, "it begins at the anchor and goes up");
        assert!(bottom - top > right - left, "it is taller than wide");
    }

    #[test]
    fn half_transparent_black_on_white_is_mid_grey() {
        let mut canvas = Canvas::new(1, 1);
        (&mut canvas).draw_pixel((0, 0), BLACK.mix(0.5).to_backend_color()).unwrap();
        assert_eq!(canvas.into_picture().pixel_mut(0, 0).unwrap(), [128; 3]);
    }

    #[test]
    fn drawing_over_the_border_is_clipped() {
        let mut canvas = Canvas::new(4, 4);
        let style = TextStyle::from(("sans-serif", 20));
        let mut backend = &mut canvas;
        backend.draw_pixel((i32::MIN, i32::MAX), BLACK.to_backend_color()).unwrap();
        backend.draw_circle((i32::MAX, 0), 3, &BLACK, true).unwrap();
        backend.draw_text("far away", &style, (i32::MAX, i32::MIN)).unwrap();
        assert_eq!(canvas.into_picture(), Picture::rgb(4, 4, [255; 3]));
    }

    #[test]
    fn a_letter_that_the_font_lacks_becomes_a_question_mark() {
        assert_eq!(letter('語', RasterHeight::Size16), letter('?', RasterHeight::Size16));
        assert_ne!(letter('µ', RasterHeight::Size16), letter('?', RasterHeight::Size16));
    }
}
