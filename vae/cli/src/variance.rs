//! `vae variance`

use std::path::PathBuf;

use clap::Args;
use datasets::{Images, Pixels};
use report::plots::{Curve, curves_svg};
use serde::Serialize;
use vae::checkpoint::Model;
use vae::config::Config;
use vae::files::write_whole;
use vae::objective::Estimator;
use vae::train::Trainer;
use vae::variance::{OfEstimator, Scatter, fixed_images, scatter};
use vae::{Error, Result};

use super::folder::RunFolder;
use super::output::{print, result_json, say};
use super::signals::Stop;
use super::train::load;

/// Study how much the estimates of the gradient scatter while a model trains
///
/// Trains a model, and before it and after each epoch draws the gradient of the same images again and again, by each estimator:
/// the variance over the noise alone, summed over the parameters of the encoder and of the decoder, as a table, as
/// variance.jsonl and as variance.svg. The number of an estimator is that of its samples for each image.
#[derive(Args)]
pub(crate) struct Variance {
    /// Settings of the model and its training from a TOML file, as config.toml of a run
    /// [default: those of `vae train --binarize dynamic`]
    #[arg(long, value_name = "FILE.toml")]
    config: Option<PathBuf>,
    /// Passes over the training images [default: that of --config, or 5]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    epochs: Option<u64>,
    /// Samples of each image for the estimators that take many
    #[arg(long, value_name = "K", default_value_t = 10, value_parser = clap::value_parser!(u16).range(2..=1000))]
    k: u16,
    /// Images in the batch whose gradient is drawn
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(2..=10_000))]
    images: u32,
    /// How often it is drawn
    #[arg(long, value_name = "N", default_value_t = 30, value_parser = clap::value_parser!(u32).range(2..=100_000))]
    draws: u32,
    /// Threads, at most one per core; they change the time and nothing else [default: one per core]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(super) threads: Option<u16>,
    /// The folder for what is written, new or empty
    #[arg(long, value_name = "DIR", default_value = "runs/variance")]
    out: PathBuf,
    /// Print the lines of variance.jsonl instead of the table
    #[arg(long)]
    json: bool,
}

/// A line of variance.jsonl.
#[derive(Serialize)]
struct Line {
    epoch: u64,
    estimator: String,
    k: usize,
    #[serde(flatten)]
    scatter: OfEstimator,
}

/// The estimators to compare, with one sample and with `k`.
fn estimators(k: usize) -> [(Estimator, usize); 7] {
    use Estimator::{Dreg, Elbo, Iwae, Reinforce, Stl};
    [(Elbo, 1), (Stl, 1), (Reinforce, 1), (Reinforce, k), (Iwae, k), (Stl, k), (Dreg, k)]
}

impl Variance {
    /// Those that the arguments override.
    pub(super) fn settings(&self) -> Result<Config> {
        match &self.config {
            Some(path) => Config::read(path),
            None => Ok(Config { binarize: Pixels::Dynamic, epochs: 5, ..Config::default() }),
        }
    }

    pub(crate) fn run(self, mut config: Config) -> Result<()> {
        config.epochs = self.epochs.unwrap_or(config.epochs);
        let data = load(&mut config)?;
        let images = fixed_images(&data.train, self.images as usize, &config);
        if images.len() < 2 {
            return Err(Error::Usage(format!("--images: expected at least 2 training images, found {}", images.len())));
        }
        Config { batch: images.len(), k: usize::from(self.k), ..config.clone() }.check_size(&images)?;
        let (folder, _lock) = RunFolder::create(Some(&self.out))?;
        let stop = Stop::listen()?;
        folder.write("config.toml", config.to_toml().as_bytes())?;
        self.study(&folder, &stop, Trainer::new(Model::new(config, data.train.size()), &data.train), &images)
    }

    fn study(&self, folder: &RunFolder, stop: &Stop, mut trainer: Trainer, images: &Images) -> Result<()> {
        let path = folder.file("variance.jsonl");
        let (mut lines, mut json) = (vec![], String::new());
        if !self.json {
            say(&format!(
                "the gradient of {} images, {} draws: its variance, summed over the parameters (nats²), and\n\
                 its signal-to-noise ratio; the number after an estimator is that of its samples\n\n\
                 \x20                        encoder                     decoder\n\
                 epoch   estimator        variance   signal/noise     variance   signal/noise",
                images.len(),
                self.draws
            ));
        }
        loop {
            for (estimator, k) in estimators(self.k.into()) {
                self.stop_if_asked(stop)?;
                let scatter = scatter(&trainer.model, images, estimator, k, self.draws.into());
                let line = Line { epoch: trainer.progress().epoch, estimator: estimator.to_string(), k, scatter };
                let written = result_json(&line, &path)?;
                if self.json {
                    print(&written)
                } else {
                    say(&line.row())
                }
                json += &(written + "\n");
                lines.push(line);
            }
            write_whole(&path, json.as_bytes())?;
            folder.write("variance.svg", plot(&lines).as_bytes())?;
            if trainer.progress().epoch == trainer.model.config.epochs {
                break;
            }
            while trainer.step()?.is_some() {
                self.stop_if_asked(stop)?;
            }
            trainer.finish_epoch()?;
        }
        if !self.json {
            say(&format!("\nwrote {}", folder.0.display()));
        }
        Ok(())
    }

    fn stop_if_asked(&self, stop: &Stop) -> Result<()> {
        let folder = self.out.display();
        let message =
            |signal| Error::Interrupted { signal, message: format!("interrupted; {folder} has what was found") };
        stop.asked().map_or(Ok(()), |signal| Err(message(signal)))
    }
}

impl Line {
    /// The estimator with its number of samples.
    fn name(&self) -> String {
        format!("{} {}", self.estimator, self.k)
    }

    /// A line of the table.
    fn row(&self) -> String {
        let ratio = |ratio: Option<f64>| ratio.map_or("no noise".into(), |ratio| format!("{ratio:.2}"));
        let scatter = |s: Scatter| format!("{:>10.3e}   {:>12}", s.variance, ratio(s.signal_to_noise));
        let [encoder, decoder] = [self.scatter.encoder, self.scatter.decoder].map(scatter);
        format!("{:>5}   {:<14} {encoder}   {decoder}", self.epoch, self.name())
    }
}

/// Logarithms of the variances over the epochs.
fn plot(lines: &[Line]) -> String {
    let mut names: Vec<String> = vec![];
    for line in lines {
        if !names.contains(&line.name()) {
            names.push(line.name());
        }
    }
    let curves = |of: fn(&OfEstimator) -> Option<f64>| -> Vec<Curve> {
        let points = |name: &String| {
            let lines = lines.iter().filter(|line| line.name() == *name);
            lines.filter_map(|line| Some((line.epoch as f64, of(&line.scatter)?.log10()))).collect()
        };
        names.iter().map(|name| Curve { name, points: points(name) }).collect()
    };
    let panels = [
        ("encoder: variance", curves(|s| Some(s.encoder.variance))),
        ("decoder: variance", curves(|s| Some(s.decoder.variance))),
        ("encoder: signal/noise", curves(|s| s.encoder.signal_to_noise)),
    ];
    curves_svg("The gradient's noise", "epoch", "logarithm to base 10", &panels)
}
