//! The latent plane: where the encoder puts every example of the test set.

use super::axes::{self, Axis, BELOW, LEFT, SMALL};
use crate::canvas::Canvas;
use crate::picture::Picture;
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use std::collections::BTreeSet;
use std::ops::Range;

/// The side of the square plot, and the space above it and to its right, in pixels.
const SIDE: i32 = 720;
const ABOVE: i32 = 16;
const RIGHT: i32 = 144;

/// Ten colours that stay apart even where they lie over each other: "Tableau 10", in its order.
const PALETTE: [RGBColor; 10] = [
    RGBColor(31, 119, 180),
    RGBColor(255, 127, 14),
    RGBColor(44, 160, 44),
    RGBColor(214, 39, 40),
    RGBColor(148, 103, 189),
    RGBColor(140, 86, 75),
    RGBColor(227, 119, 194),
    RGBColor(127, 127, 127),
    RGBColor(188, 189, 34),
    RGBColor(23, 190, 207),
];

/// Draws points of a two-dimensional latent space as a PNG, one colour per label, at one scale on both axes.
///
/// Labels from 10 on take the colours of their last digit. Points that are not finite are skipped.
///
/// # Panics
///
/// If there are not as many labels as points.
pub fn latent_png(points: &[(f32, f32)], labels: &[u32]) -> Vec<u8> {
    latent_picture(points, labels).png()
}

fn latent_picture(points: &[(f32, f32)], labels: &[u32]) -> Picture {
    assert_eq!(points.len(), labels.len(), "every point has a label");
    let mut canvas = Canvas::new((LEFT + SIDE + RIGHT) as usize, (ABOVE + SIDE + BELOW) as usize);
    let root = (&mut canvas).into_drawing_area();
    draw_plane(&root, points, labels).expect("memory takes every drawing");
    drop(root);
    canvas.into_picture()
}

fn draw_plane<DB: DrawingBackend>(
    root: &DrawingArea<DB, Shift>,
    points: &[(f32, f32)],
    labels: &[u32],
) -> DrawResult<(), DB> {
    let finite = points.iter().zip(labels).filter(|((x, y), _)| x.is_finite() && y.is_finite());
    let points: Vec<_> = finite.map(|(&(x, y), &label)| (f64::from(x), f64::from(y), label)).collect();
    let (plot, legend) = root.margin(ABOVE, 0, 0, 0).split_horizontally(LEFT + SIDE);
    let (x, y) = equal_scales(Axis::around(points.iter().map(|p| p.0)), Axis::around(points.iter().map(|p| p.1)));
    let chart = axes::draw(&plot, (&x, "z1 (mean of q)"), (&y, "z2 (mean of q)"))?;
    // In the order of the test set: drawn label by label, the last one would cover the others.
    for &(x, y, label) in &points {
        chart.plotting_area().draw(&Circle::new((x, y), 2, colour(label).mix(0.6).filled()))?;
    }
    draw_legend(&legend, &labels.iter().copied().collect())
}

fn colour(label: u32) -> RGBColor {
    PALETTE[label as usize % PALETTE.len()]
}

/// Widens the shorter of two ranges: on a square, a circle of the prior must look like a circle.
fn equal_scales(x: Axis, y: Axis) -> (Axis, Axis) {
    let half = [&x.range, &y.range].map(|range| (range.end - range.start) / 2.0).into_iter().fold(0.0, f64::max);
    let widen = |Range { start, end }: Range<f64>| Axis::over((start + end) / 2.0 - half..(start + end) / 2.0 + half);
    (widen(x.range), widen(y.range))
}

/// One line for each colour with all the labels it stands for: never more than ten, however many labels there are.
fn draw_legend<DB: DrawingBackend>(area: &DrawingArea<DB, Shift>, labels: &BTreeSet<u32>) -> DrawResult<(), DB> {
    let style = ("sans-serif", SMALL).into_text_style(area).pos(Pos::new(HPos::Left, VPos::Center));
    let mut y = 14;
    for first in 0..PALETTE.len() as u32 {
        let of_colour = labels.iter().filter(|&&label| label as usize % PALETTE.len() == first as usize);
        let names: Vec<String> = of_colour.map(u32::to_string).collect();
        if names.is_empty() {
            continue;
        }
        area.draw(&Circle::new((18, y), 6, colour(first).filled()))?;
        area.draw_text(&shorten(&names.join(" ")), &style, (32, y))?;
        y += 26;
    }
    Ok(())
}

/// Cuts a line of the legend to the letters that fit between its dot and the border.
fn shorten(line: &str) -> String {
    const FIT: usize = 13;
    if line.len() <= FIT { line.to_string() } else { format!("{}...", &line[..FIT - 3]) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many pixels of the plot itself, not of its legend, have exactly this colour.
    fn count(picture: &mut Picture, colour: [u8; 3]) -> usize {
        let plot = (0..ABOVE + SIDE).flat_map(|y| (LEFT..LEFT + SIDE).map(move |x| (x as usize, y as usize)));
        plot.filter(|&(x, y)| picture.pixel_mut(x, y).unwrap() == colour).count()
    }

    /// The colour of a single dot's inside: its label's colour at 60 % on white.
    fn on_white(label: u32) -> [u8; 3] {
        let RGBColor(r, g, b) = colour(label);
        [r, g, b].map(|c| (255.0 + (f64::from(c) - 255.0) * 0.6).round() as u8)
    }

    #[test]
    fn every_point_is_a_dot_in_the_colour_of_its_labels_last_digit() {
        let mut picture = latent_picture(&[(-1.0, 0.7), (1.0, 0.3), (0.3, -1.0)], &[0, 1, 11]);
        let (first, second) = (count(&mut picture, on_white(0)), count(&mut picture, on_white(1)));
        assert!(first > 0);
        assert_eq!(second, 2 * first);
    }

    #[test]
    fn points_that_are_not_finite_are_skipped() {
        let with_gaps = [(0.0, 1.0), (f32::NAN, 0.0), (2.0, 3.0), (0.0, f32::INFINITY)];
        assert_eq!(latent_picture(&with_gaps, &[0, 1, 1, 0]), latent_picture(&[(0.0, 1.0), (2.0, 3.0)], &[0, 1]));
    }

    #[test]
    fn no_points_give_a_picture_too() {
        assert!(!latent_png(&[], &[]).is_empty());
    }

    #[test]
    fn both_axes_have_one_scale_and_show_all_points() {
        let (x, y) = equal_scales(Axis::over(-3.0..3.0), Axis::over(1.0..2.0));
        assert_eq!((x.range, y.range), (-3.0..3.0, -1.5..4.5));
    }

    #[test]
    fn the_legend_of_all_256_labels_stays_inside_the_picture() {
        let labels: Vec<u32> = (0..=255).collect();
        let mut picture = latent_picture(&[(0.0, 0.0); 256], &labels);
        for y in 0..picture.height() {
            assert_eq!(picture.pixel_mut(picture.width() - 1, y).unwrap(), [255; 3]);
        }
        assert_eq!(shorten("0 10 20 30 40"), "0 10 20 30 40");
        assert_eq!(shorten("0 10 20 30 40 50"), "0 10 20 30...");
    }
}
