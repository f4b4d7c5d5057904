//! `vae eval`

use std::path::PathBuf;

use clap::Args;
use vae::Result;
use vae::checkpoint::Model;
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
    /// Print one line of JSON: loss, reconstruction, kl, kl_per_dimension, active_units
    #[arg(long)]
    json: bool,
}

impl Eval {
    pub(crate) fn run(self) -> Result<()> {
        let folder = RunFolder(self.run);
        let model = folder.model()?;
        let data = folder.data(&model, self.data.as_deref())?;
        let evaluation = on_threads(self.threads.map(usize::from), || Ok(evaluate(&model, &data.test)))?;
        if self.json {
            say_json(&evaluation);
        } else {
            say(&table(&model, data.test.len(), &evaluation));
        }
        Ok(())
    }
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
