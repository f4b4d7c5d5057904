//! `vae eval`

use std::path::PathBuf;

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use vae::Result;
use vae::checkpoint::Model;
use vae::evaluate::importance::{Estimate, log_likelihood};
use vae::evaluate::{Evaluation, evaluate};

use super::folder::RunFolder;
use super::on_threads;
use super::output::{say, say_json, thousands};

/// Evaluate a run on its test images: −ELBO and its parts, in nats per example
#[derive(Args)]
pub(crate) struct Eval {
    /// The run folder
    run: PathBuf,
    /// Other data; pictures are resized to the images of the run, all else must be of their size [default: the data of the run]
    #[arg(long, value_name = "PATH")]
    data: Option<PathBuf>,
    /// Threads; they change the time and nothing else [default: one per core]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
    /// Estimate −log p(x) too, by importance sampling with K samples for each image; 5000 are usual
    #[arg(long, value_name = "K", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    importance_samples: Option<u32>,
    /// Print one line of JSON: loss, reconstruction, kl, kl_per_dimension, active_units; and of importance sampling
    /// negative_log_p, negative_log_p_se, bits_per_dimension, effective_samples, and bounds by their number of samples
    #[arg(long)]
    json: bool,
}

/// What is known of a run.
#[derive(Serialize)]
struct Report {
    #[serde(flatten)]
    evaluation: Evaluation,
    #[serde(flatten)]
    estimate: Option<Estimate>,
}

impl Eval {
    pub(crate) fn run(self) -> Result<()> {
        let folder = RunFolder(self.run);
        let model = folder.model()?;
        let data = folder.data(&model, self.data.as_deref())?;
        let report = on_threads(self.threads.map(usize::from), || {
            let evaluation = evaluate(&model, &data.test);
            let bar = progress_bar(data.test.len());
            let estimate = |k: u32| log_likelihood(&model, &data.test, k as usize, || bar.inc(1));
            let estimate = self.importance_samples.map(estimate);
            bar.finish_and_clear();
            Ok(Report { evaluation, estimate })
        })?;
        if self.json {
            say_json(&report);
            return Ok(());
        }
        say(&table(&model, data.test.len(), &report.evaluation));
        if let Some(estimate) = &report.estimate {
            say(&importance_table(estimate));
        }
        Ok(())
    }
}

/// A bar with the remaining time, on standard error; it hides itself where that is no terminal.
fn progress_bar(images: usize) -> ProgressBar {
    let style = ProgressStyle::with_template("log p(x)  {bar:30} {percent}%  {per_sec}  {eta} left");
    ProgressBar::new(images as u64).with_style(style.expect("the template is well-formed"))
}

fn importance_table(e: &Estimate) -> String {
    let mut text = "\n\nby importance sampling, nats per image: −log p(x) is at most\nsamples".to_string();
    for (k, bound) in &e.bounds {
        text += &format!("\n{:>7}   {bound:>8.2}", thousands(*k));
    }
    text += &format!(" ± {:.2} (standard error over the images)", e.negative_log_p_se);
    text + &format!(
        "\n          {:>8.4} bits per number of an image\n          {:>8.0} equal weights would say as much",
        e.bits_per_dimension, e.effective_samples
    )
}

fn table(model: &Model, images: usize, e: &Evaluation) -> String {
    let mut text = format!(
        "{} test images, nats per example\n\n\
         loss (−ELBO)     {:>8.2}\n\
         reconstruction   {:>8.2}\n\
         KL               {:>8.2}\n\
         active units     {:>8} of {}\n\n\
         KL of each latent dimension, largest first",
        thousands(images),
        e.losses.loss,
        e.losses.reconstruction,
        e.losses.kl,
        e.active_units,
        model.config.latent,
    );
    let mut dimensions: Vec<(usize, f64)> = e.kl_per_dimension.iter().copied().enumerate().collect();
    dimensions.sort_by(|a, b| b.1.total_cmp(&a.1));
    let largest = dimensions.first().map_or(0.0, |d| d.1).max(f64::MIN_POSITIVE);
    for (d, kl) in dimensions {
        let bar = "█".repeat((40.0 * kl / largest).round() as usize);
        text += &format!("\n{:>5}   {kl:>6.2}  {bar}", format!("z{}", d + 1));
    }
    text
}
