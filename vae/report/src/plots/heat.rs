//! A heat map: a number for each pixel of an image.

use super::axes::{LARGE, SMALL};
use crate::canvas::Canvas;
use crate::picture::Picture;
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

/// The least side of the map, the space around it, and the width of the scale beside it, in pixels.
const SIDE: usize = 504;
const MARGIN: i32 = 16;
const HEADING: i32 = 48;
const SCALE: i32 = 20;
const LABELS: i32 = 80;

/// The colours of the least number, of the largest, and between: even steps along matplotlib's "viridis", which colour-blind
/// eyes, and printers, see as steps of brightness.
const COLOURS: [[u8; 3]; 5] = [[68, 1, 84], [59, 82, 139], [33, 145, 140], [94, 201, 98], [253, 231, 37]];

/// Draws numbers, row by row, as a map of so many columns, with a scale beside it, as a PNG. The scale begins at 0 if no
/// number is negative. What is not finite is white.
///
/// # Panics
/// If `columns` is 0.
pub fn heat_png(title: &str, numbers: &[f64], columns: usize) -> Vec<u8> {
    heat_picture(title, numbers, columns).png()
}

fn heat_picture(title: &str, numbers: &[f64], columns: usize) -> Picture {
    let rows = numbers.len().div_ceil(columns);
    let enlarge = (SIDE / rows.max(columns)).max(1);
    let (width, height) = (columns * enlarge, rows.max(1) * enlarge);
    // A title of so many letters has to fit, and a scale of so many.
    let full_width = (width as i32 + 3 * MARGIN + SCALE + LABELS).max(2 * MARGIN + 11 * title.chars().count() as i32);
    let full_height = HEADING + (height as i32).max(3 * LARGE) + MARGIN;
    let mut canvas = Canvas::new(full_width as usize, full_height as usize);
    let root = (&mut canvas).into_drawing_area();
    draw(&root, title, numbers, columns, enlarge as i32).expect("memory takes every drawing");
    drop(root);
    canvas.into_picture()
}

fn draw<DB: DrawingBackend>(
    root: &DrawingArea<DB, Shift>,
    title: &str,
    numbers: &[f64],
    columns: usize,
    enlarge: i32,
) -> DrawResult<(), DB> {
    root.draw_text(title, &("sans-serif", LARGE).into_text_style(root), (MARGIN, 14))?;
    let finite = || numbers.iter().copied().filter(|x| x.is_finite());
    let (low, high) = (finite().fold(0.0, f64::min), finite().fold(f64::NEG_INFINITY, f64::max).max(0.0));
    let square = |x: i32, y: i32, [width, height]: [i32; 2], share: f64| {
        let [r, g, b] = colour(share);
        Rectangle::new([(x, y), (x + width, y + height)], RGBColor(r, g, b).filled())
    };
    for (i, number) in numbers.iter().enumerate().filter(|(_, number)| number.is_finite()) {
        let (x, y) = (MARGIN + (i % columns) as i32 * enlarge, HEADING + (i / columns) as i32 * enlarge);
        let share = if high > low { (number - low) / (high - low) } else { 0.0 };
        root.draw(&square(x, y, [enlarge - 1; 2], share))?;
    }

    let (left, height) =
        (2 * MARGIN + columns as i32 * enlarge, (numbers.len().div_ceil(columns) as i32 * enlarge).max(1));
    for y in 0..height {
        root.draw(&square(left, HEADING + y, [SCALE, 0], 1.0 - f64::from(y) / f64::from(height)))?;
    }
    let style = ("sans-serif", SMALL).into_text_style(root).pos(Pos::new(HPos::Left, VPos::Center));
    let marks = if height < 100 { 1 } else { 4 };
    for mark in 0..=marks {
        let share = f64::from(mark) / f64::from(marks);
        let y = HEADING + ((1.0 - share) * f64::from(height - 1)) as i32;
        root.draw_text(&format!("{:.3}", low + share * (high - low)), &style, (left + SCALE + 8, y))?;
    }
    Ok(())
}

/// The colour of a share of the scale, from 0 to 1.
fn colour(share: f64) -> [u8; 3] {
    let at = share.clamp(0.0, 1.0) * (COLOURS.len() - 1) as f64;
    let (below, above) = (COLOURS[at.floor() as usize], COLOURS[at.ceil() as usize]);
    std::array::from_fn(|c| {
        let (below, above) = (f64::from(below[c]), f64::from(above[c]));
        (below + (above - below) * at.fract()).round() as u8
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_is_a_square_in_its_colour_at_its_place() {
        let mut picture = heat_picture("", &[0.0, 1.0, 2.0, f64::NAN, 0.5, 4.0], 3);
        let side = SIDE / 3;
        let mut at = |row: usize, column: usize| {
            let (x, y) = (MARGIN as usize + column * side + side / 2, HEADING as usize + row * side + side / 2);
            picture.pixel_mut(x, y).unwrap().to_vec()
        };
        assert_eq!([at(0, 0), at(0, 1), at(0, 2)], [COLOURS[0], COLOURS[1], COLOURS[2]]);
        assert_eq!([at(1, 0), at(1, 2)], [[255; 3], COLOURS[4]]);
    }

    #[test]
    fn a_single_pixel_a_thousand_and_equal_numbers_are_drawn_too() {
        for (numbers, columns) in [(vec![1.0], 1), (vec![0.0; 4], 2), (vec![-3.0; 1500], 1500), (vec![], 3)] {
            assert!(!heat_png("a title", &numbers, columns).is_empty());
        }
    }
}
