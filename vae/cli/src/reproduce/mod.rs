//! `vae reproduce`

mod origin;
mod table;

use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::Args;
use datasets::Dataset;
use indicatif::ProgressBar;
use serde::{Deserialize, Serialize};
use vae::config::Config;
use vae::evaluate::evaluate;
use vae::evaluate::importance::log_likelihood;
use vae::files::read_text;
use vae::protocol::{Budget, Protocol, Row};
use vae::{Error, Result};

use self::origin::{Origin, set_aside};
use self::table::Table;
use super::eval::with_bar;
use super::folder::{RunFolder, in_catalog};
use super::output::{complain, print, result_json, say};
use super::signals::Stop;
use super::train::{Train, load, training_seconds};

/// Reproduce published numbers, and print them beside what was published
///
/// Each row of a table is a run like any other, in its folder under --out. What is interrupted goes on when the same command
/// is given again, and what is finished is not done again, unless its settings, its data, or what the program computes have
/// changed since: then it is said, and the earlier run is kept beside it. The tables are written as table.md and table.json,
/// too. Without a name and a budget, what there is to reproduce is listed.
#[derive(Args)]
pub(crate) struct Reproduce {
    /// Which table: one of the list, or a protocol of your own in a file that ends in .toml [default: all of the budget]
    name: Option<String>,
    /// All tables that take minutes (quick), or those that take as long as the paper's (paper)
    #[arg(long, value_name = "NAME", value_parser = budget, conflicts_with = "name")]
    budget: Option<Budget>,
    /// Train each row for N epochs instead of the protocol's; schedules keep their shape
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    epochs: Option<u64>,
    /// Only these rows
    #[arg(long, value_name = "ROW,…", value_delimiter = ',')]
    rows: Option<Vec<String>>,
    /// Where the data of protocols that name some are, if `vae data fetch` has not downloaded them
    #[arg(long, value_name = "PATH")]
    data: Option<PathBuf>,
    /// Threads, at most one per core; they change the time and nothing else [default: one per core]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(super) threads: Option<u16>,
    /// The folder of all runs and tables
    #[arg(long, value_name = "DIR", default_value = "runs/reproduce")]
    out: PathBuf,
    /// Print lines of JSON: each epoch, as `vae train --json` does, and each table
    #[arg(long)]
    json: bool,
}

fn budget(name: &str) -> std::result::Result<Budget, String> {
    match name {
        "quick" => Ok(Budget::Quick),
        "paper" => Ok(Budget::Paper),
        _ => Err("expected quick or paper".into()),
    }
}

/// What a row came to, in nats per image; a file in its folder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Outcome {
    epochs: u64,
    /// Importance samples of each image.
    samples: usize,
    /// `−ELBO` of the test images.
    loss: f64,
    negative_log_p: f64,
    /// The standard error of its mean over the images.
    negative_log_p_se: f64,
    active_units: usize,
    training_seconds: f64,
    evaluation_seconds: f64,
}

/// The name of that file.
const OUTCOME: &str = "outcome.json";

impl Reproduce {
    pub(crate) fn run(self) -> Result<()> {
        let protocols = match (&self.name, self.budget) {
            (Some(name), _) => vec![Protocol::find(name)?],
            (None, Some(budget)) => Protocol::built_in().into_iter().filter(|p| p.budget == budget).collect(),
            (None, None) => {
                say(&list());
                return Ok(());
            }
        };
        for name in self.rows.iter().flatten() {
            if !protocols.iter().any(|protocol| protocol.rows.iter().any(|row| row.name == *name)) {
                return Err(Error::Usage(format!("--rows: there is no row `{name}`")));
            }
        }
        let stop = Stop::listen()?;
        let mut tables = vec![];
        for protocol in &protocols {
            tables.push(self.reproduce(protocol, &stop)?);
        }
        let missed: usize = tables.iter().map(Table::missed).sum();
        match missed {
            0 => Ok(()),
            n => Err(Error::file(&self.out, format!("{n} of what is required was missed: see the tables"))),
        }
    }

    /// Trains and measures the rows of a table, and shows it.
    fn reproduce(&self, protocol: &Protocol, stop: &Stop) -> Result<Table> {
        let folder = RunFolder(self.out.join(&protocol.name));
        let chosen = |row: &&Row| self.rows.as_ref().is_none_or(|names| names.contains(&row.name));
        let mut outcomes = vec![];
        for row in protocol.rows.iter().filter(chosen) {
            let mut config = protocol.config(row).map_err(Error::Usage)?;
            config.epochs = self.epochs.unwrap_or(config.epochs);
            config.threads = self.threads.map(usize::from);
            outcomes.push((row, self.outcome(&folder, protocol, row, config, stop)?));
        }
        let table = Table::new(protocol, &outcomes);
        std::fs::create_dir_all(&folder.0)
            .map_err(|e| Error::file(&folder.0, format!("cannot make this folder: {e}")))?;
        let json = result_json(&table, &folder.file("table.json"))?;
        folder.write("table.md", table.markdown().as_bytes())?;
        let pretty = serde_json::to_string_pretty(&table).expect("it had a JSON form");
        folder.write("table.json", (pretty + "\n").as_bytes())?;
        match self.json {
            true => print(&json),
            false => say(&format!("\n{table}")),
        }
        Ok(table)
    }

    /// What a row comes to; or why it is skipped.
    fn outcome(
        &self,
        folder: &RunFolder,
        protocol: &Protocol,
        row: &Row,
        mut config: Config,
        stop: &Stop,
    ) -> Result<std::result::Result<Outcome, String>> {
        if let Some(data) = &config.data {
            let there = in_catalog(data).is_none_or(|set| datasets::cache::find(set.name).is_some());
            match &self.data {
                Some(path) => config.data = Some(path.clone()),
                None if there => {}
                None => {
                    let name = data.display();
                    return Ok(Err(format!("no data: `vae data fetch {name}`, or --data with their folder")));
                }
            }
        }
        let run = RunFolder(folder.file(&row.name));
        let path = run.file(OUTCOME);
        let epochs = config.epochs;
        let data = load(&mut config)?;
        let origin = Origin::new(&config, &data)?;
        let Dataset { train, test } = data;
        drop(train); // training reads its own
        if let Some(difference) = origin.difference(&run)? {
            let kept = set_aside(&run)?.quoted();
            complain(&format!("{}: done anew: {difference}; the earlier run is now {kept}", run.quoted()));
        } else if let Some(known) =
            known(&path)?.filter(|known| (known.epochs, known.samples) == (config.epochs, protocol.samples))
        {
            return Ok(Ok(known));
        }
        if !self.json {
            say(&format!("\n{}: {}, in {}", protocol.title, row.title, run.quoted()));
        }
        origin.write(&run)?;
        Train::to_the_end(&run, config, self.json)?;
        let model = run.model()?;
        let start = Instant::now();
        let evaluation = evaluate(&model, &test);
        let estimate = with_bar("log p(x)", test.len(), |bar: &ProgressBar| {
            log_likelihood(&model, &test, protocol.samples, || {
                bar.inc(1);
                if let Some(signal) = stop.asked() {
                    // The run is finished and on disk, and what was measured is of no use until it is all there.
                    bar.finish_and_clear();
                    complain("interrupted while measuring: the same command goes on");
                    std::process::exit(128 + i32::from(signal));
                }
            })
        });
        let outcome = Outcome {
            epochs,
            samples: protocol.samples,
            loss: evaluation.losses.loss,
            negative_log_p: estimate.negative_log_p,
            negative_log_p_se: estimate.negative_log_p_se,
            active_units: evaluation.active_units,
            training_seconds: training_seconds(&run, epochs)?,
            evaluation_seconds: start.elapsed().as_secs_f64(),
        };
        run.write(OUTCOME, result_json(&outcome, &path)?.as_bytes())?;
        Ok(Ok(outcome))
    }
}

/// What is known of a row from an earlier time.
fn known(path: &Path) -> Result<Option<Outcome>> {
    if !path.exists() {
        return Ok(None);
    }
    let text = read_text(path, 1 << 16)?;
    serde_json::from_str(&text).map(Some).map_err(|e| Error::file(path, format!("not an outcome: {e}")))
}

/// What there is to reproduce.
fn list() -> String {
    let mut text = "name       budget   rows  what".to_string();
    for p in Protocol::built_in() {
        let budget = if p.budget == Budget::Quick { "quick" } else { "paper" };
        text += &format!("\n{:<10} {budget:<8} {:>4}  {}", p.name, p.rows.len(), p.title);
    }
    text + "\n\n`vae reproduce NAME`, or `vae reproduce --budget quick` for all that take minutes"
}
