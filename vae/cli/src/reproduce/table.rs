//! A table of what was published and what was found.

use std::fmt;

use serde::Serialize;
use vae::protocol::{Other, Protocol, Row};

use super::Outcome;

/// What a protocol came to.
#[derive(Serialize)]
pub(super) struct Table {
    name: String,
    title: String,
    source: String,
    rows: Vec<Line>,
}

/// A row, run or skipped.
#[derive(Serialize)]
struct Line {
    row: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    paper: Option<f64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    others: Vec<Other>,
    #[serde(flatten)]
    outcome: Option<Outcome>,
    #[serde(skip_serializing_if = "Option::is_none")]
    skipped: Option<String>,
    /// What is required, and whether it was reached.
    requirements: Vec<Requirement>,
}

#[derive(Serialize)]
struct Requirement {
    what: String,
    /// `None` if what it is compared with was not run.
    #[serde(skip_serializing_if = "Option::is_none")]
    reached: Option<bool>,
}

impl Table {
    pub(super) fn new(protocol: &Protocol, outcomes: &[(&Row, Result<Outcome, String>)]) -> Table {
        let of = |name: &str| outcomes.iter().find(|(row, _)| row.name == name).and_then(|(_, o)| o.as_ref().ok());
        let line = |(row, outcome): &(&Row, Result<Outcome, String>)| {
            let found = outcome.as_ref().ok();
            let at_most = |what: &str, most: Option<f64>, found: Option<f64>| {
                most.map(|most| Requirement {
                    what: format!("{what} ≤ {most}"),
                    reached: found.map(|found| found <= most),
                })
            };
            let better = row.better.as_ref().map(|better| {
                let other = protocol.rows.iter().find(|row| row.name == better.than).map_or("", |row| &row.title);
                let by = if better.by > 0.0 { format!(" by over {}", better.by) } else { String::new() };
                let reached =
                    found.zip(of(&better.than)).map(|(o, than)| o.negative_log_p < than.negative_log_p - better.by);
                Requirement { what: format!("−log p below that of `{other}`{by}"), reached }
            });
            let required = [
                at_most("−ELBO", row.required.loss, found.map(|o| o.loss)),
                at_most("−log p", row.required.negative_log_p, found.map(|o| o.negative_log_p)),
                better,
            ];
            Line {
                row: row.title.clone(),
                paper: row.paper,
                others: row.others.clone(),
                outcome: found.cloned(),
                skipped: outcome.as_ref().err().cloned(),
                requirements: required.into_iter().flatten().collect(),
            }
        };
        let Protocol { name, title, source, .. } = protocol.clone();
        Table { name, title, source, rows: outcomes.iter().map(line).collect() }
    }

    /// How many requirements were missed.
    pub(super) fn missed(&self) -> usize {
        let all = self.rows.iter().flat_map(|line| &line.requirements);
        all.filter(|requirement| requirement.reached == Some(false)).count()
    }

    /// Head and cells.
    fn cells(&self) -> Vec<[String; 8]> {
        let head = ["", "paper", "others", "−log p", "−ELBO", "epochs", "training", "evaluation"].map(String::from);
        let number = |x: f64| format!("{x:.2}");
        let rows = self.rows.iter().map(|line| {
            let paper = line.paper.map_or("–".into(), number);
            let others = line.others.iter().map(|other| format!("{:.2} ({})", other.value, other.name));
            let others = others.collect::<Vec<_>>().join(", ");
            let others = if others.is_empty() { "–".into() } else { others };
            let found = match &line.outcome {
                Some(o) => [
                    format!("{:.2} ± {:.2}", o.negative_log_p, o.negative_log_p_se),
                    number(o.loss),
                    o.epochs.to_string(),
                    duration(o.training_seconds),
                    duration(o.evaluation_seconds),
                ],
                None => ["skipped", "", "", "", ""].map(String::from),
            };
            let [log_p, loss, epochs, training, evaluation] = found;
            [line.row.clone(), paper, others, log_p, loss, epochs, training, evaluation]
        });
        std::iter::once(head).chain(rows).collect()
    }

    /// Sentences below the table.
    fn notes(&self) -> Vec<String> {
        let mut notes = vec![];
        for line in &self.rows {
            notes.extend(line.skipped.iter().map(|why| format!("{}: skipped, {why}", line.row)));
            for Requirement { what, reached } in &line.requirements {
                let verdict = match reached {
                    Some(true) => "reached",
                    Some(false) => "MISSED",
                    None => "not known",
                };
                notes.push(format!("{}: {what}: {verdict}", line.row));
            }
        }
        if let Some(o) = self.rows.iter().find_map(|line| line.outcome.as_ref()) {
            let samples = super::super::output::thousands(o.samples);
            notes.push(format!(
                "nats per test image; −log p is estimated with {samples} samples, ± its standard error over the images"
            ));
        }
        notes
    }

    pub(super) fn markdown(&self) -> String {
        let mut text = format!("**{}** ({})\n\n", self.title, self.source);
        for (i, cells) in self.cells().iter().enumerate() {
            text += &format!("| {} |\n", cells.join(" | "));
            if i == 0 {
                text += "|---|--:|--:|--:|--:|--:|--:|--:|\n";
            }
        }
        text += "\n";
        self.notes().iter().for_each(|note| text += &format!("- {note}\n"));
        text
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\n({})\n", self.title, self.source)?;
        let cells = self.cells();
        let width = |i: usize| cells.iter().map(|row| row[i].chars().count()).max().unwrap_or(0);
        for row in &cells {
            let texts = row.iter().enumerate().map(|(i, text)| match i {
                0 => format!("{text:<0$}", width(0)),
                _ => format!("{text:>0$}", width(i)),
            });
            writeln!(f, "{}", texts.collect::<Vec<_>>().join("   ").trim_end())?;
        }
        writeln!(f)?;
        self.notes().iter().try_for_each(|note| writeln!(f, "{note}"))
    }
}

/// `12 s`, `3.4 min` or `5.6 h`.
fn duration(seconds: f64) -> String {
    match seconds {
        s if s < 100.0 => format!("{s:.0} s"),
        s if s < 6000.0 => format!("{:.1} min", s / 60.0),
        s => format!("{:.1} h", s / 3600.0),
    }
}
