//! Training with all that surrounds it: progress, metrics, checkpoints, pictures, and being interrupted.

use std::cell::OnceCell;
use std::time::Instant;

use autograd::Precision;
use autograd::kernels::parallel;
use datasets::{Dataset, Pixels};
use indicatif::ProgressBar;
use vae::config::Config;
use vae::evaluate::evaluate;
use vae::generate;
use vae::objective::{Estimator, Objective};
use vae::schedule::{Schedule, Warmup};
use vae::train::Trainer;
use vae::{Error, Result};

use super::metrics::{self, Epoch, History};
use super::pictures;
use crate::folder::RunFolder;
use crate::output::{self, likelihood, print, say, show, thousands};
use crate::signals::Stop;

/// A run under way in its folder.
pub(super) struct Session<'d> {
    pub(super) folder: &'d RunFolder,
    pub(super) data: &'d Dataset,
    pub(super) trainer: Trainer<'d>,
    pub(super) history: History,
    /// Whether lines of JSON are printed, and nothing else.
    pub(super) json: bool,
    pub(super) stop: Stop,
    /// The SHA-256 of the data, which a checkpoint is to be resumed with; computed for the first one.
    pub(super) checksum: OnceCell<String>,
}

/// The file that a run is resumed from.
pub(crate) const CHECKPOINT: &str = "checkpoint.safetensors";

impl Session<'_> {
    /// Trains to the last epoch, or until it is told to stop.
    pub(super) fn run(mut self) -> Result<()> {
        if !self.json {
            say(&introduction(&self.trainer, self.data));
        }
        let bar = progress_bar(&self.trainer, self.data);
        let trained = self.train(&bar);
        bar.finish_and_clear();
        if !self.json && trained.is_ok() {
            let model = &self.trainer.model;
            show(generate::sample(model, 10, 1.0, model.config.seed).view(), model.size, 10);
            say(&format!("\nwrote {}", self.folder.0.display()));
        }
        trained
    }

    fn train(&mut self, bar: &ProgressBar) -> Result<()> {
        let Config { epochs, checkpoint_every, .. } = self.trainer.model.config;
        let every = checkpoint_every.unwrap_or_default();
        let mut last_checkpoint = Instant::now();
        while self.trainer.progress().epoch < epochs {
            let epoch = self.trainer.progress().epoch + 1;
            while let Some(images) = self.trainer.step().inspect_err(|_| self.say_what_is_kept(bar))? {
                bar.inc(images as u64);
                if !bar.is_hidden() {
                    let loss = self.trainer.losses().loss;
                    bar.set_message(format!("epoch {epoch}/{epochs}  loss {loss:.2}"));
                }
                if let Some(signal) = self.stop.asked() {
                    return Err(self.interrupted(signal));
                }
                if every.after_step(self.trainer.progress().step, last_checkpoint.elapsed()) {
                    self.checkpoint()?;
                    last_checkpoint = Instant::now();
                }
            }
            self.finish_epoch().inspect_err(|_| self.say_what_is_kept(bar))?;
            let last = self.history.0.last().expect("an epoch was finished");
            let json = last.json(self.folder)?;
            bar.suspend(|| if self.json { print(&json) } else { say(&last.row()) });
            // What a checkpoint counts as done is on disk before it: the last thing written is what a run resumes from.
            self.history.write(self.folder)?;
            pictures::write(self.folder, &self.trainer.model, self.data, &self.history)?;
            if every.after_epoch(epoch) || epoch == epochs {
                self.checkpoint()?;
                last_checkpoint = Instant::now();
            }
        }
        Ok(())
    }

    /// Evaluates, and notes the epoch.
    fn finish_epoch(&mut self) -> Result<()> {
        let seconds = self.trainer.progress().seconds;
        let train = self.trainer.finish_epoch()?;
        let (epoch, step) = (self.trainer.progress().epoch, self.trainer.progress().step);
        let test = evaluate(&self.trainer.model, &self.data.test).losses;
        if !test.loss.is_finite() {
            // No step follows the last update of an epoch and would notice.
            let what = format!("after its update the test loss is {}", test.loss);
            return Err(Error::Diverged { epoch, step, what });
        }
        // A clock may have moved no further.
        let images_per_second = self.data.train.len() as f64 / seconds.max(1e-9);
        self.history.0.push(Epoch { epoch, step, seconds, images_per_second, train, test });
        Ok(())
    }

    fn checkpoint(&self) -> Result<()> {
        let checksum = self.checksum.get_or_init(|| self.data.sha256());
        self.trainer.save(&self.folder.file(CHECKPOINT), checksum)
    }

    /// Writes a checkpoint: what to say of it.
    fn interrupted(&self, signal: u8) -> Error {
        let progress = self.trainer.progress();
        let (epoch, step) = (progress.epoch + 1, thousands(progress.step as usize));
        match self.checkpoint() {
            Err(error) => error,
            Ok(()) => Error::Interrupted {
                signal,
                message: format!(
                    "interrupted in epoch {epoch} after step {step}, nothing is lost: vae train --resume {} goes on",
                    self.folder.quoted()
                ),
            },
        }
    }

    fn say_what_is_kept(&self, bar: &ProgressBar) {
        bar.finish_and_clear();
        if let Some(last) = self.history.0.last().filter(|_| !self.json) {
            say(&format!("{} keeps the model of epoch {}", self.folder.0.display(), last.epoch));
        }
    }
}

/// What is trained on what, and the head of the table.
fn introduction(trainer: &Trainer, data: &Dataset) -> String {
    let model = &trainer.model;
    let Config { binarize, batch, lr, precision, seed, .. } = model.config;
    let pixels = match binarize {
        Pixels::Grey if data.train.are_black_and_white() => "black and white",
        Pixels::Grey => "grey levels",
        Pixels::Dynamic => "binarised anew at each sight",
        Pixels::Threshold => "binarised at 128",
    };
    let objective = match objective_of(&model.config) {
        Some(objective) => format!("follow  {objective}\n"),
        None => String::new(),
    };
    let products = match precision {
        Precision::Single => String::new(),
        rounded => format!(", products in {rounded}"),
    };
    format!(
        "model   {architecture}, {count} parameters\n\
         data    {train} training and {test} test images of {size}, {pixels}\n\
         {likelihood}\n\
         {objective}Adam    learning rate {lr:?}{schedule}, batch {batch}{products}, seed {seed}, {threads}{resumed}\n\n\
         {head}",
        architecture = model.config.architecture(model.size.count()),
        count = thousands(model.params.layout.count()),
        train = thousands(data.train.len()),
        test = thousands(data.test.len()),
        size = model.size,
        likelihood = likelihood(&model.config, &data.train),
        schedule = match model.config.schedule {
            Schedule::Constant => String::new(),
            other => format!(" ({other})"),
        },
        threads = match parallel::threads() {
            1 => "1 thread".to_string(),
            n => format!("{n} threads"),
        },
        head = metrics::head(),
        resumed = match trainer.progress().step {
            0 => String::new(),
            step =>
                format!("\nresumed in epoch {} after step {}", trainer.progress().epoch + 1, thousands(step as usize)),
        },
    )
}

/// What is minimized, where it is not −ELBO.
fn objective_of(config: &Config) -> Option<String> {
    let Config { objective, k, beta, kl_warmup, free_bits, .. } = *config;
    let samples = if k == 1 { String::new() } else { format!(", {k} samples of each image") };
    let weighted = config.objective().weighted;
    let times_beta = if weighted { "β · " } else { "" };
    let least = if free_bits > 0.0 { format!(", at least {free_bits} nats in each dimension") } else { String::new() };
    let warmup = match kl_warmup {
        Some(Warmup::Linear { epochs }) => format!(", rising from 0 over {epochs} epochs"),
        Some(Warmup::Cyclical { epochs }) => format!(", rising from 0 in the first half of each {epochs} epochs"),
        None => String::new(),
    };
    let weight = if weighted { format!(", β = {beta}{warmup}") } else { String::new() };
    let what = match objective {
        Estimator::Elbo => format!("reconstruction + {times_beta}KL{least}"),
        _ => format!("−{}, {objective}", objective.bound(k)),
    };
    (config.objective() != Objective::default()).then(|| what + &samples + &weight)
}

/// A bar with the rate of this session.
fn progress_bar(trainer: &Trainer, data: &Dataset) -> ProgressBar {
    let (images, batch) = (data.train.len() as u64, trainer.model.config.batch as u64);
    let progress = trainer.progress();
    let done = progress.epoch.saturating_mul(images) + (progress.batch as u64).saturating_mul(batch).min(images);
    let bar = output::progress_bar(images.saturating_mul(trainer.model.config.epochs), "{rate} images/s  ");
    let rate = |state: &indicatif::ProgressState, w: &mut dyn std::fmt::Write| {
        let _ = w.write_str(&thousands(state.per_sec() as usize));
    };
    bar.set_style(bar.style().with_key("rate", rate));
    bar.set_position(done);
    // The rate is that of this session, not of what an earlier one did.
    bar.reset_eta();
    bar
}
