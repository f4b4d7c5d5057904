//! A run in a file: all that it needs to go on as if it had never been interrupted.

use std::path::Path;

use autograd::Params;
use datasets::Size;
use serde::{Deserialize, Serialize};

use super::Model;
use super::format::{self, FORMAT};
use crate::config::Config;
use crate::error::{Error, Result};
use crate::files::flush_folder_of;
use crate::optim::Adam;
use crate::train::Sums;

/// How far a run has come. Randomness is not part of it: that is a function of (seed, purpose, step).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Progress {
    /// Epochs that are complete.
    pub epoch: u64,
    /// Updates made, which is also Adam's `t`.
    pub step: u64,
    /// Batches of the current epoch that are done.
    pub batch: usize,
    /// Training time of the current epoch so far, in seconds.
    pub seconds: f64,
    /// The losses of the current epoch so far.
    pub sums: Sums,
}

/// A run between two updates.
#[derive(Clone, Debug)]
pub struct Checkpoint {
    /// The weights, and the configuration that determined them so far.
    pub model: Model,
    /// The optimizer with its moments.
    pub adam: Adam,
    /// How far the run has come.
    pub progress: Progress,
    /// The SHA-256 of the data it learns from; any, if it has not yet learned from some.
    pub data: Option<String>,
}

/// The header of the file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    format: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<String>,
    size: Size,
    config: Config,
    progress: Progress,
}

/// What the names of weights and of Adam's moments begin with in the file.
const PREFIXES: [&str; 3] = ["", "adam.m.", "adam.v."];

impl Checkpoint {
    /// Writes these as a checkpoint, whole or not at all: until the new one stands, the last one does. What was written in
    /// its folder before is on disk before it, and it is on disk when this returns.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn save(path: &Path, model: &Model, adam: &Adam, progress: &Progress, data: Option<&str>) -> Result<()> {
        let (config, progress) = (model.config.of_weights(), progress.clone());
        let header = Header { format: FORMAT, data: data.map(Into::into), size: model.size, config, progress };
        let [m, v] = [&adam.m, &adam.v].map(|x| Params { flat: x.clone(), layout: model.params.layout.clone() });
        let parts = [&model.params, &m, &v];
        flush_folder_of(path)?;
        format::write(path, &header, &std::array::from_fn::<_, 3, _>(|i| (PREFIXES[i], parts[i])))?;
        flush_folder_of(path)
    }

    /// Reads a file that [`save`](Checkpoint::save) wrote.
    ///
    /// # Errors
    /// As those of [`Model::load`].
    pub fn load(path: &Path) -> Result<Checkpoint> {
        let file = format::read(path)?;
        let checkpoint = Checkpoint::parse(path, &file)?;
        format::verify(path, &file)?;
        Ok(checkpoint)
    }

    /// The checkpoint in such a file, whose path only labels errors; its checksum is not looked at.
    ///
    /// # Errors
    /// As those of [`load`](Checkpoint::load).
    pub fn parse(path: &Path, file: &[u8]) -> Result<Checkpoint> {
        let (Header { data, size, config, progress, .. }, tensors) = format::parse(path, file)?;
        // Weights and two moments.
        let mut model = Model::described(path, config, size, file.len() / 3)?;
        format::no_others(path, &tensors, &PREFIXES, &model.params)?;
        let [mut m, mut v] = [(); 2].map(|()| model.params.clone());
        for (prefix, params) in PREFIXES.into_iter().zip([&mut model.params, &mut m, &mut v]) {
            format::fill(path, &tensors, prefix, params)?;
        }
        if let Some(negative) = v.flat.iter().find(|&&v| v < 0.0) {
            return Err(Error::file(path, format!("a second moment is {negative}, and cannot be negative")));
        }
        let Progress { epoch, step, batch, seconds, .. } = progress;
        if i32::try_from(step).is_err()
            || epoch > step
            || batch as u64 > step
            || !(0.0..f64::INFINITY).contains(&seconds)
        {
            let problem =
                format!("cannot be: {epoch} epochs and {batch} batches after {step} steps, {seconds} seconds");
            return Err(Error::file(path, problem));
        }
        let mut adam = Adam::new(&model.params, model.config.lr);
        (adam.m, adam.v, adam.t) = (m.flat, v.flat, step as i32);
        Ok(Checkpoint { model, adam, progress, data })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::distributions::Family;
    use crate::objective::Estimator;
    use crate::schedule::{Schedule, Warmup};
    use crate::train::Trainer;
    use datasets::Images;
    use std::fs;

    fn images() -> Images {
        Images::new((0..240).collect(), Size::grey(2, 3), vec![0; 40]).unwrap()
    }

    fn config(family: Family) -> Config {
        Config { hidden: vec![5], latent: 2, batch: 16, epochs: 3, likelihood: Some(family), ..Config::default() }
    }

    fn model(family: Family) -> Model {
        Model::new(config(family), Size::grey(2, 3))
    }

    /// One of each likelihood, and what else changes from step to step: samples, in parts, warm-up and schedules.
    fn configs() -> Vec<Config> {
        let mut configs: Vec<_> = Family::ALL.map(|family| config(family.small())).into();
        for (objective, schedule) in [(Estimator::Dreg, Schedule::Cosine), (Estimator::Reinforce, Schedule::Burda)] {
            let kl_warmup = Some(Warmup::Cyclical { epochs: 2 });
            let plain = config(Family::Bernoulli);
            configs.push(Config {
                objective,
                k: 40,
                schedule,
                kl_warmup,
                clip: Some(1.0),
                init_bias: Some(true),
                ..plain
            });
        }
        configs
    }

    /// The bytes of a checkpoint in the middle of the second epoch.
    fn saved() -> Vec<u8> {
        let (folder, images) = (tempfile::tempdir().unwrap(), images());
        let path = folder.path().join("c");
        let mut trainer = Trainer::new(model(Family::Bernoulli), &images);
        trainer.epoch().unwrap();
        trainer.step().unwrap();
        trainer.save(&path, "abc").unwrap();
        fs::read(path).unwrap()
    }

    fn load(bytes: &[u8]) -> Result<Checkpoint> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("c");
        fs::write(&path, bytes).unwrap();
        Checkpoint::load(&path)
    }

    #[test]
    fn a_run_that_is_interrupted_after_any_step_ends_with_the_bits_of_one_that_is_not() {
        let (folder, images) = (tempfile::tempdir().unwrap(), images());
        let path = folder.path().join("c");
        let end = |mut trainer: Trainer| {
            let losses: Vec<_> = (trainer.progress().epoch..3).map(|_| trainer.epoch().unwrap()).collect();
            (trainer.model.params.flat.to_vec(), *losses.last().unwrap(), trainer.progress().clone())
        };
        let model = |config: &Config| Model::new(config.clone(), Size::grey(2, 3));
        for (config, steps) in configs().iter().flat_map(|config| (0..9).map(move |steps| (config, steps))) {
            let uninterrupted = end(Trainer::new(model(config), &images));
            let mut trainer = Trainer::new(model(config), &images);
            for _ in 0..steps {
                if trainer.step().unwrap().is_none() {
                    trainer.finish_epoch().unwrap();
                    trainer.step().unwrap();
                }
            }
            trainer.save(&path, "abc").unwrap();
            let checkpoint = Checkpoint::load(&path).unwrap();
            assert_eq!((checkpoint.progress.step, checkpoint.data.as_deref()), (steps, Some("abc")));
            assert_eq!(end(Trainer::resume(checkpoint, &images)), uninterrupted, "after {steps} steps");
        }
    }

    #[test]
    fn a_checkpoint_cut_anywhere_is_refused() {
        let file = saved();
        for end in 0..file.len() {
            assert!(load(&file[..end]).is_err(), "accepted {end} of {} bytes", file.len());
        }
    }

    #[test]
    fn ten_thousand_flipped_bits_are_all_found() {
        let file = saved();
        let bits = file.len() * 8;
        // Each bit in turn with a stride that visits all of them: 7919 is prime.
        for k in 0..10_000 {
            let bit = k * 7919 % bits;
            let mut flipped = file.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let path = Path::new("c");
            let read = Checkpoint::parse(path, &flipped).and_then(|_| format::verify(path, &flipped));
            assert!(read.is_err(), "bit {bit} of {bits}");
        }
    }

    #[test]
    fn what_cannot_be_a_run_is_refused_with_its_reason() {
        let file = saved();
        let good = load(&file).unwrap();
        let problem = |change: fn(&mut Checkpoint)| {
            let mut bad = good.clone();
            change(&mut bad);
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("c");
            Checkpoint::save(&path, &bad.model, &bad.adam, &bad.progress, bad.data.as_deref()).unwrap();
            let error = Checkpoint::load(&path).unwrap_err().to_string();
            error.split_once("/c: ").unwrap().1.to_string()
        };
        assert_eq!(problem(|c| c.adam.m[0] = f32::INFINITY), "tensor `adam.m.encoder.0.weight` holds inf");
        assert_eq!(problem(|c| c.adam.v[0] = -1.0), "a second moment is -1, and cannot be negative");
        let impossible = "cannot be: 5 epochs and 1 batches after 4 steps";
        assert!(problem(|c| c.progress.epoch = 5).starts_with(impossible));
        assert!(problem(|c| c.progress.seconds = f64::NAN).contains("NaN seconds"));
    }
}
