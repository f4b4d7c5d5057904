//! `vae eval`

mod pictures;
mod tables;

use std::path::PathBuf;

use clap::Args;
use indicatif::ProgressBar;
use serde::Serialize;
use vae::distributions::Meaning;
use vae::evaluate::annealed::{Annealed, Effort, anneal};
use vae::evaluate::decomposition::{Decomposition, decompose};
use vae::evaluate::gap::{Gap, gap};
use vae::evaluate::importance::{Estimate, log_likelihood};
use vae::evaluate::{Evaluation, evaluate};
use vae::{Error, Result};

use super::folder::{Others, RunFolder};
use super::output::{name_of_not_finite, not_finite, print, progress_bar, result_json, say};

/// Samples for log p(x) in `--gap-images` if nobody says how many.
const SAMPLES: u32 = 1000;

/// Evaluate a run on its test images: −ELBO, where its nats go, and how probable the model finds them
#[derive(Args)]
pub(crate) struct Eval {
    /// The run folder
    run: PathBuf,
    #[command(flatten)]
    others: Others,
    /// Threads, at most one per core; they change the time and nothing else [default: one per core]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(super) threads: Option<u16>,
    /// Estimate −log p(x) too, by importance sampling with K samples for each image; 5000 are usual
    #[arg(long, value_name = "K", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    importance_samples: Option<u32>,
    /// Estimate −log p(x) too, by annealed importance sampling with N steps from the prior to the posterior, and bound it on
    /// both sides for images drawn from the model; 1000 are usual
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    ais_steps: Option<u32>,
    /// Chains of each image
    #[arg(long, value_name = "C", requires = "ais_steps", default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    ais_chains: u32,
    /// Images: the first of the test set, and as many drawn from the model
    #[arg(long, value_name = "M", requires = "ais_steps", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    ais_images: u32,
    /// Fit a posterior to each of the first N test images, to tell what is lost by the encoder (the amortization gap) from what
    /// is lost by Gaussians (the approximation gap)
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    gap_images: Option<u32>,
    /// Also draw, in this folder: nats.png, what each pixel costs, and kl.svg and kl.png, the KL of each latent dimension
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Print one line of JSON: loss, reconstruction, kl, kl_per_dimension, active_units, mutual_information,
    /// mutual_information_se, marginal_kl, and meaning: what the reconstruction is of these images, a probability, a density or a
    /// cross-entropy; of importance sampling negative_log_p, negative_log_p_se, bits_per_dimension (of a probability; of a
    /// density that of its 8-bit levels, with log2 255 added), effective_samples, and bounds by their number of samples; of the
    /// others an object each, ais and gap
    #[arg(long)]
    json: bool,
}

/// What is known of a run.
#[derive(Serialize)]
struct Report {
    #[serde(flatten)]
    evaluation: Evaluation,
    #[serde(flatten)]
    decomposition: Decomposition,
    #[serde(skip_serializing_if = "Option::is_none")]
    meaning: Option<Meaning>,
    #[serde(flatten)]
    estimate: Option<Estimate>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ais: Option<Annealed>,
    #[serde(skip_serializing_if = "Option::is_none")]
    gap: Option<Gap>,
}

impl Eval {
    pub(crate) fn run(self) -> Result<()> {
        let folder = RunFolder(self.run.clone());
        let model = folder.model()?;
        let test = folder.images(&model, &self.others)?;
        // Before minutes of computing, not after them.
        self.out.as_deref().map_or(Ok(()), pictures::make_folder)?;
        let at_most = |n: u32| (n as usize).min(test.len());
        let meaning = model.config.meaning(&test).ok();
        let evaluation = evaluate(&model, &test);
        let decomposition = decompose(&model, &test, evaluation.losses.kl);
        result_json(&evaluation, &self.run)?;
        result_json(&decomposition, &self.run)?;
        let mut estimate = self
            .importance_samples
            .map(|k| with_bar("log p(x)", test.len(), |bar| log_likelihood(&model, &test, k as usize, || bar.inc(1))));
        let mut ais = self.ais_steps.map(|steps| {
            let chains = self.ais_chains as usize;
            let effort = Effort { steps: steps as usize, chains, images: at_most(self.ais_images) };
            with_bar("annealing", effort.total(), |bar| anneal(&model, &test, effort, |n| bar.inc(n as u64)))
        });
        let mut gap = self.gap_images.map(at_most).map(|n| {
            let k = self.importance_samples.unwrap_or(SAMPLES) as usize;
            with_bar("fitting", n, |bar| gap(&model, &test, n, k, || bar.inc(1)))
        });
        self.out.as_deref().map_or(Ok(()), |out| pictures::draw(out, &model, &test, &evaluation, self.json))?;
        // What can be had is shown, for it took minutes.
        let left_out = [
            leave_out_if_not_finite("", &mut estimate),
            leave_out_if_not_finite("ais.", &mut ais),
            leave_out_if_not_finite("gap.", &mut gap),
        ];
        let report = Report { evaluation, decomposition, meaning, estimate, ais, gap };
        let json = result_json(&report, &self.run)?;
        match self.json {
            true => print(&json),
            false => say(&tables::all(&model, &test, &report)),
        }
        match left_out.into_iter().flatten().collect::<Vec<_>>() {
            names if names.is_empty() => Ok(()),
            names => Err(Error::file(&self.run, not_finite(&names.join("`, `")) + "; left out")),
        }
    }
}

/// Leaves out an estimate if one of its numbers is not finite: that number's name in the report.
fn leave_out_if_not_finite<E: Serialize>(prefix: &str, estimate: &mut Option<E>) -> Option<String> {
    let name = name_of_not_finite(estimate.as_ref()?)?;
    *estimate = None;
    Some(format!("{prefix}{name}"))
}

/// Runs `work` with a bar and the remaining time on standard error.
pub(super) fn with_bar<R>(name: &'static str, length: usize, work: impl FnOnce(&ProgressBar) -> R) -> R {
    let bar = progress_bar(length as u64, "").with_message(name);
    let result = work(&bar);
    bar.finish_and_clear();
    result
}
