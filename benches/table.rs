//! Outcomes as tables of text, line by line as they come.

use std::fmt::Write;

use crate::outcome::Outcome;
use crate::statistics::geometric_mean;

/// Lays out outcomes; a new table begins where the group or the number of threads changes.
#[derive(Default)]
pub struct Tables {
    table: Vec<Outcome>,
}

impl Tables {
    /// The text that this outcome adds.
    pub fn add(&mut self, outcome: Outcome) -> String {
        let mut text = String::new();
        let same = |last: &Outcome| (last.problem.group, last.threads) == (outcome.problem.group, outcome.threads);
        if !self.table.last().is_some_and(same) {
            text += &self.finish();
            text += &heading(&outcome);
        }
        text += &line(&outcome, self.table.first().unwrap_or(&outcome));
        self.table.push(outcome);
        text
    }

    /// The last line of the last table.
    pub fn finish(&mut self) -> String {
        let table = std::mem::take(&mut self.table);
        let Some(first) = table.first() else { return String::new() };
        let gap = first.speeds.iter().map(|speed| width(&speed.name) + 2).sum::<usize>() + PEAK;
        let mut text = format!("{:SHAPE$}{:gap$}{:7.3}", "geometric mean", "", mean(&table, |o| Some(o.share())));
        let ratio = mean(&table, |outcome| outcome.ratio.as_ref().map(|ratio| ratio.value));
        if !ratio.is_nan() {
            write!(text, "{ratio:9.3}").expect("memory takes all text");
        }
        text + "\n"
    }
}

/// Characters of the columns with the shape and with the peak.
const SHAPE: usize = 22;
const PEAK: usize = 8;

fn width(name: &str) -> usize {
    name.chars().count().max(6)
}

fn mean(table: &[Outcome], of: impl Fn(&Outcome) -> Option<f64>) -> f64 {
    geometric_mean(table.iter().filter_map(of))
}

fn heading(outcome: &Outcome) -> String {
    let threads = if outcome.threads == 1 { "one thread".into() } else { format!("{} threads", outcome.threads) };
    let mut text = format!("\n{} shapes, {threads}, {}, GFLOP/s\n", outcome.problem.group, outcome.simd);
    text += &format!("{:>6}{:>6}{:>6}    ", "m", "n", "k");
    for speed in &outcome.speeds {
        text += &format!("  {:>1$}", speed.name, width(&speed.name));
    }
    text + &format!("{:>PEAK$}{:>7}{:>9}\n", "peak", "share", "× best")
}

/// A line with the columns of the first one of its table.
fn line(outcome: &Outcome, first: &Outcome) -> String {
    let Outcome { problem, peak, .. } = outcome;
    let mut text = format!("{:6}{:6}{:6} {:<3}", problem.m, problem.n, problem.k, problem.layout);
    for column in &first.speeds {
        let speed = outcome.speeds.iter().find(|speed| speed.name == column.name);
        let number = speed.map_or("–".into(), |speed| format!("{:.1}", speed.gflops));
        text += &format!("  {number:>0$}", width(&column.name));
    }
    text += &format!("{peak:PEAK$.1}{:7.3}", outcome.share());
    if let Some(ratio) = &outcome.ratio {
        text += &format!("{:9.3} {}", ratio.value, ratio.peer);
    }
    text + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::tests::example;

    #[test]
    fn numbers_stand_below_their_names_and_means_below_their_numbers() {
        let mut tables = Tables::default();
        let mut second = example(2);
        second.speeds.remove(0);
        let text = tables.add(example(2)) + &tables.add(second) + &tables.finish();
        let lines: Vec<&str> = text.trim_start().lines().collect();
        assert_eq!(
            lines,
            [
                "square shapes, 2 threads, avx2, GFLOP/s",
                "     m     n     k       naive    ours  slow & sure    fast    peak  share   × best",
                "   512   512   512         1.0    67.5         20.0    75.0   200.0  0.338    0.900 fast",
                "   512   512   512           –    67.5         20.0    75.0   200.0  0.338    0.900 fast",
                "geometric mean                                                       0.338    0.900",
            ]
        );
    }

    #[test]
    fn another_number_of_threads_begins_another_table() {
        let mut tables = Tables::default();
        tables.add(example(1));
        let text = tables.add(example(2));
        assert!(text.starts_with("geometric mean") && text.contains("2 threads"));
        tables.finish();
        assert_eq!(tables.finish(), "");
    }
}
