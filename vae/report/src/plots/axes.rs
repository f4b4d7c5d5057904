//! The frame of a chart: which range an axis shows, where its ticks are, and how it is drawn.

use plotters::coord::Shift;
use plotters::coord::ranged1d::{KeyPointHint, NoDefaultFormatting, ValueFormatter};
use plotters::prelude::*;
use std::ops::Range;

/// The size of tick labels and legends, and that of titles. Both are sizes for which the canvas has letters.
pub(super) const SMALL: i32 = 16;
pub(super) const LARGE: i32 = 20;

/// Space, in pixels, for the labels and the title of the y axis, of which a bit stays free, and of the x axis.
pub(super) const LEFT: i32 = 76;
const EDGE: i32 = 6;
pub(super) const BELOW: i32 = 52;

/// A chart on two of our axes.
pub(super) type Chart<'a, DB> = ChartContext<'a, DB, Cartesian2d<Axis, Axis>>;

/// One axis: the range it shows and the distance between its ticks.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Axis {
    pub(super) range: Range<f64>,
    step: f64,
}

impl Axis {
    /// An axis that shows all `values` with a margin on both sides. No value at all gives the axis from 0 to 1.
    pub(super) fn around(values: impl IntoIterator<Item = f64>) -> Axis {
        let (low, high) = values.into_iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(v), h.max(v)));
        if low > high {
            return Axis::over(0.0..1.0);
        }
        // Values that are all the same, but for rounding, leave no range to take a share of.
        let size = low.abs().max(high.abs());
        let margin = match high - low {
            spread if spread > 1e-9 * size => 0.06 * spread,
            _ if size > 0.0 => 0.1 * size,
            _ => 0.5,
        };
        Axis::over(low - margin..high + margin)
    }

    /// An axis over exactly this range, with four to ten ticks at multiples of 1, 2 or 5 times a power of ten.
    pub(super) fn over(range: Range<f64>) -> Axis {
        let longest = (range.end - range.start) / 4.0;
        let magnitude = 10f64.powf(longest.log10().floor());
        let factor = [5.0, 2.0].into_iter().find(|factor| factor * magnitude <= longest).unwrap_or(1.0);
        Axis { range, step: factor * magnitude }
    }

    /// Puts ticks at whole numbers only, for what is counted.
    pub(super) fn of_whole_numbers(self) -> Axis {
        Axis { step: self.step.max(1.0), ..self }
    }

    /// No ticks, for what has names and no numbers.
    pub(super) fn without_ticks(self) -> Axis {
        Axis { step: f64::INFINITY, ..self }
    }

    /// Where the ticks are. A multiple of the step, not a running sum: rounding errors must not add up.
    fn ticks(&self) -> Vec<f64> {
        if self.step.is_infinite() {
            return vec![];
        }
        let (first, last) = ((self.range.start / self.step).ceil(), (self.range.end / self.step).floor());
        (0..=(last - first) as u32).map(|i| (first + f64::from(i)) * self.step).collect()
    }

    /// A tick's label, with as many decimals as tell it from the next tick.
    fn label(&self, tick: f64) -> String {
        // The logarithm of 0.001 may come out just below -3.
        let exponent = (self.step.log10() + 1e-9).floor();
        // Adding zero turns a negative zero into zero.
        let tick = (tick / self.step).round() * self.step + 0.0;
        match exponent {
            // As -4 ≤ exponent < 0, its opposite is the place of the first decimal that ticks differ in.
            -4.0..0.0 => format!("{tick:.*}", -exponent as usize),
            0.0..5.0 => format!("{tick:.0}"),
            _ => format!("{tick:.2e}"),
        }
    }
}

/// Lets plotters use our ranges and ticks in place of its own, whose labels come as "0.30000000000000004".
impl Ranged for Axis {
    type FormatOption = NoDefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, (from, to): (i32, i32)) -> i32 {
        let share = (value - self.range.start) / (self.range.end - self.range.start);
        from + (share * f64::from(to - from)).round() as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, hint: Hint) -> Vec<f64> {
        // Plotters asks twice: for the ticks, and for a finer grid between them, which we do without.
        if hint.weight().allow_light_points() { Vec::new() } else { self.ticks() }
    }

    fn range(&self) -> Range<f64> {
        self.range.clone()
    }
}

impl ValueFormatter<f64> for Axis {
    fn format_ext(&self, tick: &f64) -> String {
        self.label(*tick)
    }
}

/// Draws the axes, their titles and a light grid on `area`; returns the chart to draw the data on.
pub(super) fn draw<'a, DB: DrawingBackend>(
    area: &DrawingArea<DB, Shift>,
    (x, x_title): (&Axis, &str),
    (y, y_title): (&Axis, &str),
) -> DrawResult<Chart<'a, DB>, DB> {
    let mut chart = ChartBuilder::on(area)
        .margin_left(EDGE)
        .x_label_area_size(BELOW)
        .y_label_area_size(LEFT - EDGE)
        .build_cartesian_2d(x.clone(), y.clone())?;
    chart
        .configure_mesh()
        .bold_line_style(BLACK.mix(0.12))
        .axis_style(BLACK.mix(0.6))
        .label_style(("sans-serif", SMALL))
        .x_desc(x_title)
        .y_desc(y_title)
        .draw()?;
    Ok(chart)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(axis: &Axis) -> Vec<String> {
        axis.ticks().into_iter().map(|tick| axis.label(tick)).collect()
    }

    #[test]
    fn an_axis_shows_all_values_with_a_margin() {
        let Range { start, end } = Axis::around([105.0, 165.0, 120.0]).range;
        assert!((95.0..105.0).contains(&start) && end > 165.0 && end < 175.0);
    }

    #[test]
    fn equal_values_and_no_values_still_give_a_range() {
        for values in [vec![], vec![0.0], vec![100.0, 100.0], vec![-3.0, -3.0 - 1e-15], vec![f64::MAX, f64::MIN]] {
            let axis = Axis::around(values.clone());
            assert!(axis.range.start < axis.range.end, "{values:?}");
            assert!(axis.ticks().len() <= 11, "{values:?}");
        }
    }

    #[test]
    fn labels_have_as_many_decimals_as_they_need() {
        assert_eq!(labels(&Axis::over(-0.25..0.35)), ["-0.2", "-0.1", "0.0", "0.1", "0.2", "0.3"]);
        assert_eq!(labels(&Axis::over(0.0..0.9)), ["0.0", "0.2", "0.4", "0.6", "0.8"]);
        assert_eq!(labels(&Axis::over(81.0..169.0)), ["100", "120", "140", "160"]);
        assert_eq!(labels(&Axis::over(0.0..2e6)), ["0.00e0", "5.00e5", "1.00e6", "1.50e6", "2.00e6"]);
    }

    #[test]
    fn at_any_scale_there_are_four_to_ten_ticks_and_their_labels_read_back_as_the_ticks() {
        for scale in -9..=9 {
            for end in [1.0, 2.5, 4.9, 7.0] {
                let axis = Axis::over(0.0..end * 10f64.powi(scale));
                assert!((4..=11).contains(&axis.ticks().len()), "{axis:?}");
                for (tick, label) in axis.ticks().into_iter().zip(labels(&axis)) {
                    let read: f64 = label.parse().unwrap();
                    assert!((read - tick).abs() <= 0.01 * axis.step, "{tick} is labelled {label}");
                }
            }
        }
    }

    #[test]
    fn ticks_of_counted_things_are_whole_numbers() {
        assert_eq!(labels(&Axis::over(0.9..2.1).of_whole_numbers()), ["1", "2"]);
        assert_eq!(labels(&Axis::over(0.5..1.5).of_whole_numbers()), ["1"]);
    }
}
