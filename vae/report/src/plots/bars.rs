//! Bars: a number for each of some things with a name.

use super::axes::{self, Axis, BELOW, LARGE, LEFT, SMALL};
use crate::canvas::Canvas;
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

/// The height of the title and that of the plot below it, and the width of the plot, in pixels.
const HEADING: i32 = 76;
const HEIGHT: i32 = 320;
const WIDTH: i32 = 760;

/// The colours of strong and of weak bars.
const STRONG: RGBColor = RGBColor(0, 114, 178);
const WEAK: RGBColor = RGBColor(170, 170, 170);

/// One bar.
#[derive(Clone, Debug, PartialEq)]
pub struct Bar {
    /// What stands below it, where there is room.
    pub name: String,
    /// How high it is; one that is not finite is left out.
    pub height: f64,
    /// Whether it is drawn in colour.
    pub strong: bool,
}

/// Draws the KL divergences of latent dimensions as an SVG, from left to right in the order given; strong ones are those that
/// are active.
pub fn bars_svg(title: &str, y_label: &str, bars: &[Bar]) -> String {
    let mut svg = String::new();
    let root = SVGBackend::with_string(&mut svg, size()).into_drawing_area();
    draw(&root, title, y_label, bars).expect("memory takes every drawing");
    root.present().expect("memory takes every drawing");
    drop(root);
    svg
}

/// The same as a PNG.
pub fn bars_png(title: &str, y_label: &str, bars: &[Bar]) -> Vec<u8> {
    let (width, height) = size();
    let mut canvas = Canvas::new(width as usize, height as usize);
    let root = (&mut canvas).into_drawing_area();
    draw(&root, title, y_label, bars).expect("memory takes every drawing");
    drop(root);
    canvas.into_picture().png()
}

fn size() -> (u32, u32) {
    ((LEFT + WIDTH + 16) as u32, (HEADING + HEIGHT + BELOW) as u32)
}

fn draw<DB: DrawingBackend>(
    root: &DrawingArea<DB, Shift>,
    title: &str,
    y_label: &str,
    bars: &[Bar],
) -> DrawResult<(), DB> {
    root.fill(&WHITE)?;
    let (heading, body) = root.margin(0, 0, 0, 16).split_vertically(HEADING);
    heading.draw_text(title, &("sans-serif", LARGE).into_text_style(&heading), (LEFT, 14))?;
    let small = ("sans-serif", SMALL).into_text_style(root).pos(Pos::new(HPos::Left, VPos::Center));
    for (colour, word, x) in [(STRONG, "active", LEFT), (WEAK, "not active", LEFT + 110)] {
        heading.draw(&Rectangle::new([(x, 48), (x + 14, 62)], colour.filled()))?;
        heading.draw_text(word, &small, (x + 22, 55))?;
    }

    let heights = bars.iter().map(|bar| bar.height).filter(|height| height.is_finite());
    let highest = heights.fold(0.0, f64::max);
    let y = Axis::over(0.0..if highest > 0.0 { 1.05 * highest } else { 1.0 });
    let x = Axis::over(0.0..bars.len().max(1) as f64).without_ticks();
    let chart = axes::draw(&body, (&x, "latent dimension"), (&y, y_label))?;
    for (i, bar) in bars.iter().enumerate().filter(|(_, bar)| bar.height.is_finite()) {
        let (left, right) = (i as f64 + 0.12, i as f64 + 0.88);
        let colour = if bar.strong { STRONG } else { WEAK };
        chart.plotting_area().draw(&Rectangle::new([(left, 0.0), (right, bar.height.max(0.0))], colour.filled()))?;
    }

    // As many names as have room beside each other.
    let below = Pos::new(HPos::Center, VPos::Top);
    let style = ("sans-serif", SMALL).into_text_style(root).pos(below);
    let longest = bars.iter().map(|bar| bar.name.len()).max().unwrap_or(0) as i32;
    let each = ((9 * (longest + 1) * bars.len() as i32) / WIDTH) as usize + 1;
    for (i, bar) in bars.iter().enumerate().step_by(each) {
        let (x, y) = chart.backend_coord(&(i as f64 + 0.5, 0.0));
        root.use_screen_coord().draw(&Text::new(bar.name.clone(), (x, y + 6), style.clone()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bars(n: usize) -> Vec<Bar> {
        (0..n).map(|i| Bar { name: format!("z{i}"), height: (n - i) as f64, strong: i % 2 == 0 }).collect()
    }

    #[test]
    fn each_finite_bar_is_drawn_once_in_its_colour_and_a_legend_says_what_that_is() {
        let mut some = bars(5);
        some[4].height = f64::NAN;
        let svg = bars_svg("a <title>", "nats", &some);
        let count = |colour: &str| svg.matches(colour).count();
        assert_eq!([count("fill=\"#0072B2\""), count("fill=\"#AAAAAA\"")], [3, 3]);
        for word in ["a &lt;title&gt;", "nats", "active", "not active", "latent dimension", "z0", "z4"] {
            assert!(svg.contains(word), "{word}");
        }
    }

    #[test]
    fn names_that_would_run_into_each_other_are_left_out() {
        let svg = bars_svg("", "", &bars(200));
        let named = (0..200).filter(|i| svg.contains(&format!("\nz{i}\n"))).count();
        assert!((5..=20).contains(&named), "{named}");
    }

    #[test]
    fn nothing_and_zeros_are_drawn_too() {
        for some in [vec![], vec![Bar { name: "z1".into(), height: 0.0, strong: false }]] {
            assert!(bars_svg("", "", &some).ends_with("</svg>\n"));
            assert!(!bars_png("", "", &some).is_empty());
        }
    }
}
