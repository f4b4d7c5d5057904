//! Learning curves: a quantity per epoch, one panel for each quantity.

use super::axes::{self, Axis, Chart, LARGE, LEFT, SMALL};
use super::look::{Look, looks};
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

/// The size of one panel with its title and axes, and the height of the heading above all panels, in pixels.
const PANEL: (u32, u32) = (430, 360);
const HEADING: u32 = 84;

/// More points than this, and their markers would hide the line.
const MARKED_POINTS: usize = 30;

/// One curve of a panel.
#[derive(Clone, Debug, PartialEq)]
pub struct Curve<'a> {
    /// The name in the legend. A curve named "train" is dashed; curves of one name look the same in every panel.
    pub name: &'a str,
    /// Pairs of an epoch and the value measured in it, in nats per example, by ascending epoch. Points that are not
    /// finite are skipped.
    pub points: Vec<(f64, f64)>,
}

/// Draws learning curves as an SVG: a title, a legend, and side by side one panel for each `(title, curves)`.
///
/// The y axis of a panel fits its data. One exception: where a curve's first point is so far above the others that it
/// would press them flat, the axis is cut off above the others, and the first value is written at the cut.
pub fn curves_svg(title: &str, x_label: &str, y_label: &str, panels: &[(&str, Vec<Curve>)]) -> String {
    let mut svg = String::new();
    let size = (PANEL.0 * panels.len().max(1) as u32, HEADING + PANEL.1);
    let root = SVGBackend::with_string(&mut svg, size).into_drawing_area();
    draw_figure(&root, title, (x_label, y_label), panels).expect("memory takes every drawing");
    root.present().expect("memory takes every drawing");
    drop(root);
    svg
}

fn draw_figure<DB: DrawingBackend>(
    root: &DrawingArea<DB, Shift>,
    title: &str,
    labels: (&str, &str),
    panels: &[(&str, Vec<Curve>)],
) -> DrawResult<(), DB> {
    root.fill(&WHITE)?;
    let looks = looks(panels.iter().flat_map(|(_, curves)| curves).map(|curve| curve.name));
    let (heading, body) = root.split_vertically(HEADING);
    heading.draw_text(title, &("sans-serif", LARGE + 4).into_text_style(&heading), (LEFT, 14))?;
    draw_legend(&heading, &looks)?;
    for ((title, curves), area) in panels.iter().zip(body.split_evenly((1, panels.len().max(1)))) {
        draw_panel(&area, title, labels, curves, &looks)?;
    }
    Ok(())
}

/// One row of samples and names, below the title: there it cannot lie on the data.
fn draw_legend<DB: DrawingBackend>(area: &DrawingArea<DB, Shift>, looks: &[Look]) -> DrawResult<(), DB> {
    const SAMPLE: i32 = 36;
    let (mut x, y) = (LEFT, 58);
    let style = ("sans-serif", SMALL).into_text_style(area).pos(Pos::new(HPos::Left, VPos::Center));
    for look in looks {
        look.draw_line(area, &[(x, y), (x + SAMPLE, y)])?;
        look.draw_markers(area, &[(x + SAMPLE / 2, y)])?;
        area.draw_text(look.name, &style, (x + SAMPLE + 8, y))?;
        x += SAMPLE + 8 + area.estimate_text_size(look.name, &style)?.0 as i32 + 20;
    }
    Ok(())
}

fn draw_panel<DB: DrawingBackend>(
    area: &DrawingArea<DB, Shift>,
    title: &str,
    (x_label, y_label): (&str, &str),
    curves: &[Curve],
    looks: &[Look],
) -> DrawResult<(), DB> {
    let (heading, body) = area.margin(0, 8, 0, 16).split_vertically(30);
    heading.draw_text(title, &("sans-serif", LARGE).into_text_style(&heading), (LEFT, 6))?;
    let points: Vec<Vec<Point>> = curves.iter().map(finite_points).collect();
    let epochs = Axis::around(points.iter().flatten().map(|point| point.0)).of_whole_numbers();
    let values = axis_of_values(&points);
    let chart = axes::draw(&body, (&epochs, x_label), (&values, y_label))?;
    let mut notes = 0;
    for (curve, points) in curves.iter().zip(points) {
        let look = looks.iter().find(|look| look.name == curve.name).expect("every name has a look");
        if let Some(entry) = entry_from_above(&points, values.range.end) {
            look.draw_line(chart.plotting_area(), &[entry, points[1]])?;
            draw_points(&chart, look, &points[1..])?;
            note_value(&chart, look, points[0].1, (points[1].0, values.range.end), notes)?;
            notes += 1;
        } else {
            draw_points(&chart, look, &points)?;
        }
    }
    Ok(())
}

/// An epoch and the value measured in it.
type Point = (f64, f64);

fn finite_points(curve: &Curve) -> Vec<Point> {
    curve.points.iter().copied().filter(|(epoch, value)| epoch.is_finite() && value.is_finite()).collect()
}

/// The axis that fits all values; or, if the curves only come down from first points far above, the axis that gives
/// all other values its lower half.
fn axis_of_values(curves: &[Vec<Point>]) -> Axis {
    const FEW: usize = 4;
    const FAR: f64 = 5.0;
    let height = |axis: &Axis| axis.range.end - axis.range.start;
    let values = |curve: &[Point]| curve.iter().map(|point| point.1).collect::<Vec<_>>();
    let all = Axis::around(curves.iter().flat_map(|curve| values(curve)));
    if curves.iter().any(|curve| curve.len() < FEW) {
        return all;
    }
    let starts_highest = |curve: &[Point]| curve.iter().all(|point| point.1 <= curve[0].1);
    let later = Axis::around(curves.iter().flat_map(|curve| values(&curve[usize::from(starts_highest(curve))..])));
    if height(&all) < FAR * height(&later) {
        return all;
    }
    Axis::over(later.range.start..later.range.end + height(&later))
}

/// Where a curve that begins above `top` comes into the picture.
fn entry_from_above(curve: &[Point], top: f64) -> Option<Point> {
    let &[(x0, y0), (x1, y1), ..] = curve else { return None };
    (y0 > top).then(|| (x0 + (x1 - x0) * (y0 - top) / (y0 - y1), top))
}

/// Writes down a value that the axis does not reach, next to the place where its curve comes in.
fn note_value<DB: DrawingBackend>(
    chart: &Chart<DB>,
    look: &Look,
    value: f64,
    place: Point,
    line: i32,
) -> DrawResult<(), DB> {
    let (x, y) = chart.backend_coord(&place);
    let area = chart.plotting_area().use_screen_coord();
    let style = ("sans-serif", SMALL).into_text_style(&area).color(&look.colour);
    area.draw(&Text::new(format!("↑ {} {value:.0}", look.name), (x + 4, y + 6 + 18 * line), style))
}

/// A line through all points, and a marker on each of them while they are few.
fn draw_points<DB: DrawingBackend>(chart: &Chart<DB>, look: &Look, points: &[Point]) -> DrawResult<(), DB> {
    look.draw_line(chart.plotting_area(), points)?;
    if points.len() <= MARKED_POINTS { look.draw_markers(chart.plotting_area(), points) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn svg(panels: &[(&str, Vec<Curve>)]) -> String {
        curves_svg("a title", "epoch", "nats", panels)
    }

    fn falling(from: f64, to: f64) -> Vec<Point> {
        (1..=10).map(|epoch| (f64::from(epoch), to + (from - to) / f64::from(epoch))).collect()
    }

    #[test]
    fn every_word_of_the_figure_is_in_the_picture_and_escaped() {
        let curve = Curve { name: "train & more", points: falling(165.0, 105.0) };
        let svg = svg(&[("loss", vec![curve.clone()]), ("KL", vec![curve])]);
        for word in ["a title", "epoch", "nats", "loss", "KL", "120", "train &amp; more"] {
            assert!(svg.contains(word), "{word}");
        }
        assert_eq!(svg.matches("train &amp; more").count(), 1, "panels share one entry in the legend");
    }

    #[test]
    fn a_single_epoch_is_visible_as_a_marker() {
        let markers = |points| svg(&[("loss", vec![Curve { name: "test", points }])]).matches("<circle").count();
        assert_eq!(markers(vec![(1.0, 120.0)]), markers(vec![]) + 1);
    }

    #[test]
    fn points_that_are_not_finite_are_skipped() {
        let finite = vec![(1.0, 2.0), (3.0, 1.0)];
        let with_gaps = vec![(1.0, 2.0), (2.0, f64::NAN), (3.0, 1.0), (f64::INFINITY, 1.0), (4.0, f64::NEG_INFINITY)];
        let draw = |points| svg(&[("loss", vec![Curve { name: "test", points }])]);
        assert_eq!(draw(with_gaps), draw(finite));
    }

    #[test]
    fn nothing_to_draw_is_still_a_figure() {
        assert!(svg(&[]).ends_with("</svg>\n"));
        assert!(svg(&[("loss", vec![])]).ends_with("</svg>\n"));
        for name in ["train", "test"] {
            for points in [vec![], vec![(1.0, 2.0); 3]] {
                assert!(svg(&[("loss", vec![Curve { name, points }])]).ends_with("</svg>\n"));
            }
        }
    }

    #[test]
    fn an_axis_is_cut_off_only_below_first_points_that_are_far_above() {
        assert!(axis_of_values(&[falling(165.0, 105.0)]).range.contains(&165.0));
        let mut curve = falling(130.0, 105.0);
        curve[0].1 = 543.0;
        let cut = axis_of_values(&[curve.clone()]);
        assert!(!cut.range.contains(&543.0) && curve[1..].iter().all(|point| cut.range.contains(&point.1)));
        curve[4].1 = 600.0;
        assert!(axis_of_values(&[curve]).range.contains(&600.0));
    }

    #[test]
    fn a_curve_cut_off_keeps_its_slope_and_its_first_value_is_written_down() {
        assert_eq!(entry_from_above(&[(1.0, 500.0), (2.0, 100.0)], 200.0), Some((1.75, 200.0)));
        assert_eq!(entry_from_above(&[(1.0, 150.0), (2.0, 100.0)], 200.0), None);
        let mut points = falling(130.0, 105.0);
        points[0].1 = 543.2;
        assert!(svg(&[("loss", vec![Curve { name: "test", points }])]).contains("↑ test 543"));
    }
}
