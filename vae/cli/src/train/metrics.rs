//! What is known of each epoch: metrics.jsonl, the table on the terminal, and the curves.

use report::plots::{Curve, curves_svg};
use serde::{Deserialize, Serialize};
use vae::files::read_text;
use vae::train::Losses;
use vae::{Error, Result};

use crate::folder::RunFolder;
use crate::output::{columns, result_json, thousands};

/// A line of metrics.jsonl.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Epoch {
    pub(super) epoch: u64,
    /// Updates made since the start of the run.
    pub(super) step: u64,
    /// The training loop with its batches and noise, without evaluation and files.
    pub(super) seconds: f64,
    pub(super) images_per_second: f64,
    pub(super) train: Losses,
    pub(super) test: Losses,
}

const FILE: &str = "metrics.jsonl";

/// No such file is longer, in bytes: some 400,000 epochs.
const LONGEST: u64 = 1 << 27;

/// The epochs of a run so far.
pub(super) struct History(pub(super) Vec<Epoch>);

impl History {
    /// The first so many epochs of a run that is resumed after them. What it had written of later ones will come again.
    ///
    /// # Errors
    /// If a line is no such line, or one is missing.
    pub(super) fn read(folder: &RunFolder, epochs: u64) -> Result<History> {
        if epochs == 0 {
            return Ok(History(vec![]));
        }
        let path = folder.file(FILE);
        let text = read_text(&path, LONGEST)?;
        let mut history = vec![];
        for (n, line) in (1..=epochs).zip(text.lines()) {
            let epoch: Epoch =
                serde_json::from_str(line).map_err(|e| Error::file(&path, format!("line {n}: not an epoch: {e}")))?;
            if epoch.epoch != n {
                return Err(Error::file(&path, format!("line {n}: expected epoch {n}, found epoch {}", epoch.epoch)));
            }
            history.push(epoch);
        }
        match history.len() as u64 {
            n if n == epochs => Ok(History(history)),
            n => Err(Error::file(&path, format!("expected a line for each of {epochs} epochs, found {n}"))),
        }
    }

    /// Writes the file anew, so that it never ends in the middle of a line.
    pub(super) fn write(&self, folder: &RunFolder) -> Result<()> {
        let lines = self.0.iter().map(|epoch| Ok(epoch.json(folder)? + "\n"));
        folder.write(FILE, lines.collect::<Result<String>>()?.as_bytes())
    }

    /// Loss, reconstruction and KL over the epochs.
    pub(super) fn curves(&self) -> String {
        let curve = |name, of: fn(&Epoch) -> f64| Curve {
            name,
            points: self.0.iter().map(|e| (e.epoch as f64, of(e))).collect(),
        };
        let panels = [
            ("loss (−ELBO)", vec![curve("train", |e| e.train.loss), curve("test", |e| e.test.loss)]),
            (
                "reconstruction",
                vec![curve("train", |e| e.train.reconstruction), curve("test", |e| e.test.reconstruction)],
            ),
            ("KL divergence", vec![curve("train", |e| e.train.kl), curve("test", |e| e.test.kl)]),
        ];
        curves_svg("Learning curves", "epoch", "nats per example", &panels)
    }
}

/// How long a finished run has trained, in seconds.
///
/// # Errors
/// As those of [`History::read`].
pub(crate) fn training_seconds(folder: &RunFolder, epochs: u64) -> Result<f64> {
    Ok(History::read(folder, epochs)?.0.iter().map(|epoch| epoch.seconds).sum())
}

/// The head of the table.
pub(super) fn head() -> String {
    let losses = "    loss = reconstruction +     KL";
    let time = if has_time() { "   seconds  images/s" } else { "" };
    format!("nats per example           train                            test\nepoch   {losses}  {losses}{time}")
}

/// Whether there is room for the columns of the time.
fn has_time() -> bool {
    columns() >= 98
}

impl Epoch {
    /// A line of the file.
    pub(super) fn json(&self, folder: &RunFolder) -> Result<String> {
        result_json(self, &folder.file(FILE))
    }

    /// A line of the table.
    pub(super) fn row(&self) -> String {
        let losses = |l: &Losses| format!("{:>8.2}   {:>14.2}   {:>6.2}", l.loss, l.reconstruction, l.kl);
        let rate = thousands(self.images_per_second as usize);
        let time = if has_time() { format!("   {:>7.2}  {rate:>8}", self.seconds) } else { String::new() };
        format!("{:>5}   {}  {}{time}", self.epoch, losses(&self.train), losses(&self.test))
    }
}
