//! `vae tape`

use std::path::PathBuf;

use autograd::Profile;
use clap::Args;
use datasets::Size;
use serde_json::json;
use vae::Result;
use vae::checkpoint::Model;
use vae::config::Config;
use vae::noise::{Purpose, fill_normal};
use vae::train::Step;

use super::folder::RunFolder;
use super::output::{say, say_json};

/// Print the tape of a training step, line by line, with what each line costs
///
/// Without a run folder: the tape of the default model on MNIST. The times are medians; the inputs are noise.
#[derive(Args)]
pub(crate) struct TapeOf {
    /// The run folder
    run: Option<PathBuf>,
    /// Images per update
    #[arg(long, value_name = "N", default_value_t = 128, value_parser = clap::value_parser!(u16).range(1..))]
    batch: u16,
    /// How often each line is timed
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..))]
    runs: u16,
    /// Threads, at most one per core [default: one per core]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(super) threads: Option<u16>,
    /// Print a line of JSON for each line of the tape
    #[arg(long)]
    json: bool,
}

impl TapeOf {
    pub(crate) fn run(self) -> Result<()> {
        let model = match &self.run {
            Some(run) => RunFolder(run.clone()).model()?,
            None => Model::new(Config::default(), Size::grey(28, 28)),
        };
        let (batch, runs) = (usize::from(self.batch), usize::from(self.runs));
        let Model { config, vae, params, .. } = &model;
        let mut step = Step::record(vae, params, batch, &config.objective(), config.precision);
        let mut noise = Purpose::Noise.generator(config.seed, 0);
        fill_normal(&mut noise, step.tape.input_mut(step.noise));
        fill_normal(&mut noise, step.tape.input_mut(step.x));
        step.tape.input_mut(step.x).mapv_inplace(|x| if x > 1.0 { 1.0 } else { 0.0 });
        let profile = step.tape.profile(step.loss, params, runs);
        match self.json {
            true => print_json(&profile),
            false => say(&format!("{profile}\nparameters\n{}", step.tape.parameters())),
        }
        Ok(())
    }
}

fn print_json(profile: &Profile) {
    for line in &profile.lines {
        say_json(&json!({
            "slot": line.slot.to_string(),
            "shape": line.shape,
            "operation": line.name,
            "of": line.args,
            "forward_seconds": line.forward,
            "backward_seconds": line.backward,
            "flops": line.flops,
            "bytes": line.bytes,
        }));
    }
}
