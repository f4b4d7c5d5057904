//! The ladder as a bar chart.

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::outcome::{Family, Outcome};

/// The picture's width, and where the bars begin and end, in pixels: names stand before them, numbers behind.
const WIDTH: i32 = 860;
const BARS: (i32, i32) = (150, 780);
const TITLE: i32 = 84;
const HEADING: i32 = 34;
const BAR: i32 = 26;
const GAP: i32 = 14;
const AXIS: i32 = 52;

/// Colours of Okabe and Ito's palette, made to be told apart by colour-blind eyes.
const LADDER: RGBColor = RGBColor(0, 114, 178);
const RUST: RGBColor = RGBColor(230, 159, 0);
const BLAS: RGBColor = RGBColor(0, 158, 115);
const GRID: RGBColor = RGBColor(225, 225, 225);

/// Draws one product on several numbers of threads as an SVG: a section for each outcome, with a bar for each program, and
/// a line at the peak.
///
/// # Panics
/// If there is no outcome.
pub fn ladder_svg(outcomes: &[Outcome]) -> String {
    let bars: i32 = outcomes.iter().map(|outcome| outcome.speeds.len() as i32).sum();
    let height = TITLE + outcomes.len() as i32 * (HEADING + GAP) + bars * BAR + AXIS;
    let mut svg = String::new();
    let root = SVGBackend::with_string(&mut svg, (WIDTH as u32, height as u32)).into_drawing_area();
    draw(&root, outcomes, height).expect("memory takes every drawing");
    root.present().expect("memory takes every drawing");
    drop(root);
    svg
}

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Drawn<'a> = Result<(), DrawingAreaErrorKind<<SVGBackend<'a> as DrawingBackend>::ErrorType>>;

fn draw<'a>(area: &Area<'a>, outcomes: &[Outcome], height: i32) -> Drawn<'a> {
    let Outcome { problem, simd, .. } = &outcomes[0];
    let fastest =
        outcomes.iter().flat_map(|outcome| outcome.speeds.iter().map(|speed| speed.gflops).chain([outcome.peak]));
    let scale = Scale::up_to(fastest.fold(0.0, f64::max));
    area.fill(&WHITE)?;
    let title = format!("C = A · B at {} × {} × {}, f32, {simd}", problem.m, problem.n, problem.k);
    text(area, &title, (16, 24), 20, HPos::Left, BLACK)?;
    legend(area, outcomes)?;
    grid(area, &scale, height - AXIS)?;
    let mut y = TITLE;
    for outcome in outcomes {
        let threads = if outcome.threads == 1 { "One thread".into() } else { format!("{} threads", outcome.threads) };
        text(area, &threads, (16, y + HEADING / 2), 16, HPos::Left, BLACK)?;
        let peak = scale.x(outcome.peak);
        let label = format!("peak {:.0}", outcome.peak);
        text(area, &label, (peak - 4, y + HEADING / 2), 14, HPos::Right, BLACK)?;
        let top = y + 8;
        y += HEADING;
        for speed in &outcome.speeds {
            let (colour, name) = match speed.family {
                Family::Rust => (RUST, speed.name.as_str()),
                Family::Blas => (BLAS, speed.name.as_str()),
                // The upper rungs are one program.
                Family::Ours if outcome.threads > 1 => (LADDER, "parallel"),
                Family::Ours => (LADDER, "packed"),
                Family::Rung | Family::Peak => (LADDER, speed.name.as_str()),
            };
            let middle = y + BAR / 2;
            let end = scale.x(speed.gflops).max(BARS.0 + 1);
            text(area, name, (BARS.0 - 8, middle), 14, HPos::Right, BLACK)?;
            area.draw(&Rectangle::new([(BARS.0, y + 3), (end, y + BAR - 3)], colour.filled()))?;
            let number =
                if speed.gflops < 10.0 { format!("{:.1}", speed.gflops) } else { format!("{:.0}", speed.gflops) };
            number_at(area, &number, (end, middle), peak)?;
            y += BAR;
        }
        area.draw(&PathElement::new([(peak, top), (peak, y)], BLACK.stroke_width(2)))?;
        y += GAP;
    }
    Ok(())
}

/// A bar's number: behind it, or in it where the line of the peak would run through the number.
fn number_at<'a>(area: &Area<'a>, number: &str, (end, y): (i32, i32), peak: i32) -> Drawn<'a> {
    if (end - 2..end + 40).contains(&peak) {
        text(area, number, (end - 6, y), 14, HPos::Right, WHITE)
    } else {
        text(area, number, (end + 6, y), 14, HPos::Left, BLACK)
    }
}

/// One row of colours and what they stand for.
fn legend<'a>(area: &Area<'a>, outcomes: &[Outcome]) -> Drawn<'a> {
    let there = |family| outcomes.iter().any(|outcome| outcome.speeds.iter().any(|speed| speed.family == family));
    let entries = [
        (LADDER, "the ladder", true),
        (RUST, "other libraries in Rust", there(Family::Rust)),
        (BLAS, "BLAS", there(Family::Blas)),
    ];
    let (mut x, y) = (16, 58);
    for (colour, name, _) in entries.into_iter().filter(|entry| entry.2) {
        area.draw(&Rectangle::new([(x, y - 7), (x + 14, y + 7)], colour.filled()))?;
        text(area, name, (x + 20, y), 14, HPos::Left, BLACK)?;
        x += 20 + 7 * name.len() as i32 + 24;
    }
    Ok(())
}

fn grid<'a>(area: &Area<'a>, scale: &Scale, bottom: i32) -> Drawn<'a> {
    for tick in scale.ticks() {
        let x = scale.x(tick);
        area.draw(&PathElement::new([(x, TITLE), (x, bottom)], GRID))?;
        text(area, &format!("{tick}"), (x, bottom + 12), 14, HPos::Center, BLACK)?;
    }
    let middle = (BARS.0 + BARS.1) / 2;
    text(area, "GFLOP/s", (middle, bottom + 34), 14, HPos::Center, BLACK)
}

fn text<'a>(area: &Area<'a>, words: &str, place: (i32, i32), size: i32, side: HPos, colour: RGBColor) -> Drawn<'a> {
    let style = ("sans-serif", size).into_text_style(area).pos(Pos::new(side, VPos::Center)).color(&colour);
    area.draw_text(words, &style, place)
}

/// From GFLOP/s to pixels, beginning at 0.
struct Scale {
    most: f64,
    step: f64,
}

impl Scale {
    /// Reaches to `fastest`, with four to ten steps of 1, 2 or 5 times a power of ten.
    fn up_to(fastest: f64) -> Scale {
        let power = 10f64.powf((fastest / 4.0).log10().floor());
        let step = [5.0, 2.0, 1.0].map(|digit| digit * power).into_iter().find(|step| 4.0 * step <= fastest);
        Scale { most: fastest, step: step.unwrap_or(power) }
    }

    fn x(&self, gflops: f64) -> i32 {
        BARS.0 + (gflops / self.most * f64::from(BARS.1 - BARS.0)).round() as i32
    }

    fn ticks(&self) -> impl Iterator<Item = f64> {
        let step = self.step;
        (0..=(self.most / step) as u32).map(move |i| f64::from(i) * step)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::tests::example;

    #[test]
    fn every_program_and_both_peaks_are_in_the_picture() {
        let svg = ladder_svg(&[example(1), example(2)]);
        for word in ["512 × 512 × 512", "avx2", "naive", "packed", "parallel", "slow &amp; sure", "peak 100"] {
            assert!(svg.contains(word), "{word}");
        }
        assert!(svg.contains("One thread") && svg.contains("2 threads") && svg.contains("peak 200"));
    }

    #[test]
    fn a_scale_has_four_to_ten_steps_whatever_the_machine() {
        for fastest in [0.03, 1.0, 4.0, 99.0, 100.0, 201.7, 8000.0] {
            let ticks = Scale::up_to(fastest).ticks().count() - 1;
            assert!((4..=10).contains(&ticks), "{fastest}: {ticks}");
        }
    }
}
