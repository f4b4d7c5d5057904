//! Training: the loop, and what it reports.

use std::path::Path;
use std::time::Instant;

use autograd::kernels::{Write, parallel, reduce};
use autograd::{Grads, Params, Precision, Recorder, Slot, Tape, Var};
use datasets::{Batches, Images};
use serde::{Deserialize, Serialize};

use crate::checkpoint::{Checkpoint, Model, Progress};
use crate::config::Config;
use crate::error::{Error, Result};
use crate::gradient::{Gradient, Of};
use crate::models::Vae;
use crate::objective::Objective;
use crate::optim::{Adam, clip};

/// The loss of a set of images, in nats per example.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Losses {
    /// `−ELBO = reconstruction + KL`, whatever β training uses.
    pub loss: f64,
    /// `−log p(x | z)`, averaged over the samples `z` of `q(z | x)` of an image; one in evaluation.
    pub reconstruction: f64,
    /// `KL(q(z | x) ‖ p(z))`
    pub kl: f64,
    /// What training minimizes, where that is another thing than `loss`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub objective: Option<f64>,
}

/// Sums of [`Losses`] over images, in `f64`: 60,000 losses of 100 nats have no `f32` sum worth printing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sums {
    reconstruction: f64,
    kl: f64,
    #[serde(default)]
    objective: f64,
    images: usize,
}

impl Sums {
    /// Those of the columns that a forward pass has left on the tape.
    pub fn of(step: &Step) -> Sums {
        let total = |slot: Slot| step.tape.value(slot).iter().map(|&x| f64::from(x)).sum::<f64>();
        let images = step.tape.value(step.kl).nrows();
        let samples = step.tape.value(step.reconstruction).nrows() / images;
        Sums {
            reconstruction: total(step.reconstruction) / samples as f64,
            kl: total(step.kl),
            objective: f64::from(step.tape.scalar(step.value)) * images as f64,
            images,
        }
    }

    /// The means; those of the objective are left out.
    pub fn mean(&self) -> Losses {
        let n = self.images as f64;
        let (reconstruction, kl) = (self.reconstruction / n, self.kl / n);
        Losses { loss: reconstruction + kl, reconstruction, kl, objective: None }
    }

    /// Whether there is no NaN and no infinity.
    pub(crate) fn are_finite(&self) -> bool {
        [self.reconstruction, self.kl, self.objective].iter().all(|sum| sum.is_finite())
    }

    /// The mean of the training objective.
    pub fn mean_objective(&self) -> f64 {
        self.objective / self.images as f64
    }
}

impl std::iter::Sum for Sums {
    fn sum<I: Iterator<Item = Sums>>(sums: I) -> Sums {
        sums.fold(Sums::default(), |a, b| Sums {
            reconstruction: a.reconstruction + b.reconstruction,
            kl: a.kl + b.kl,
            objective: a.objective + b.objective,
            images: a.images + b.images,
        })
    }
}

/// The computation for one batch size, recorded.
pub struct Step {
    /// The operations and their memory.
    pub tape: Tape,
    /// Input: the images, `[batch, pixels]`.
    pub x: Slot,
    /// Input: standard normal noise, `[batch · k, latent]`.
    pub noise: Slot,
    /// Input: what the KL divergence is multiplied by, if it is.
    pub beta: Option<Slot>,
    /// The posterior's mean and log-variance, `[batch, latent]`.
    pub posterior: [Slot; 2],
    /// `−log p(x | z)`, `[batch · k, 1]`
    pub reconstruction: Slot,
    /// `KL(q(z | x) ‖ p(z))`, `[batch, 1]`
    pub kl: Slot,
    /// The training objective, a scalar.
    pub value: Slot,
    /// The scalar whose gradient is followed; for most estimators the objective itself.
    pub loss: Slot,
    feed: Option<[Slot; 2]>,
}

impl Step {
    /// Records the objective of a model for batches of one size, with products of this precision.
    pub fn record(vae: &Vae, params: &Params, batch: usize, objective: &Objective, precision: Precision) -> Step {
        let (pixels, latent) = (vae.pixels(params), params.view(vae.mean.bias).len());
        let r = Recorder::new(params).with_precision(precision);
        let (x, noise) = (r.input([batch, pixels]), r.input([batch * objective.k, latent]));
        let beta = objective.weighted.then(|| r.input([1, 1]));
        let bound = objective.record(vae, x, noise, beta);
        let [x, noise, reconstruction, kl] = [x, noise, bound.reconstruction, bound.kl].map(Var::slot);
        let [value, loss] = [bound.value, bound.loss].map(Var::slot);
        let posterior = [bound.posterior.mean, bound.posterior.log_var].map(Var::slot);
        let (beta, feed) = (beta.map(Var::slot), bound.feed.map(|feed| feed.map(Var::slot)));
        Step { tape: r.finish(), x, noise, beta, posterior, reconstruction, kl, value, loss, feed }
    }

    /// The estimate of the objective's gradient, from the values of the last forward pass.
    pub fn backward(&mut self, params: &Params, grads: &mut Grads) {
        self.backward_of(1.0, Write::Set, params, grads);
    }

    /// The same of a part of a batch that is this share of it; with [`Write::Add`] it is added to that of other parts.
    pub fn backward_of(&mut self, share: f32, write: Write, params: &Params, grads: &mut Grads) {
        if let Some([weights, normalized]) = self.feed {
            self.tape.feed(normalized, weights);
        }
        self.tape.backward_of(self.loss, share, write, params, grads);
    }
}

/// A tape per batch size: the usual one, and the smaller one of the last batch.
#[derive(Default)]
pub struct Steps(Vec<(usize, Step)>);

impl Steps {
    /// The tape for this batch size, recorded at first use.
    pub fn of(&mut self, batch: usize, record: impl FnOnce() -> Step) -> &mut Step {
        let known = self.0.iter().position(|(size, _)| *size == batch);
        let at = known.unwrap_or_else(|| {
            self.0.push((batch, record()));
            self.0.len() - 1
        });
        &mut self.0[at].1
    }
}

/// A model in training: all that changes from step to step.
///
/// A run that was saved and goes on from there computes the same bits as one that was never interrupted.
pub struct Trainer<'d> {
    /// The model as it is now.
    pub model: Model,
    adam: Adam,
    progress: Progress,
    images: &'d Images,
    batches: Batches<'d>,
    grads: Grads,
    gradient: Gradient,
}

impl<'d> Trainer<'d> {
    /// Training that starts from this model; the output biases from the images, if its configuration says so.
    pub fn new(mut model: Model, images: &'d Images) -> Self {
        if model.config.init_bias == Some(true) {
            model.vae.start_at_mean(&images.mean(model.config.binarize), &mut model.params);
        }
        let adam = Adam::new(&model.params, model.config.lr);
        Trainer::at(model, adam, Progress::default(), images)
    }

    /// Training that goes on where a checkpoint was taken. That the images are those of the run is for the caller to see.
    pub fn resume(checkpoint: Checkpoint, images: &'d Images) -> Self {
        let Checkpoint { model, adam, progress, .. } = checkpoint;
        Trainer::at(model, adam, progress, images)
    }

    fn at(model: Model, mut adam: Adam, progress: Progress, images: &'d Images) -> Self {
        let Config { weight_decay, adam_eps, adam_betas, .. } = model.config;
        adam = Adam { weight_decay, epsilon: adam_eps, beta1: adam_betas.0, beta2: adam_betas.1, ..adam };
        let grads = Grads::zeros(&model.params);
        let batches = images.batches(model.config.batch, model.config.seed, progress.epoch);
        Trainer { model, adam, progress, images, batches, grads, gradient: Gradient::default() }
    }

    /// How far training has come.
    pub fn progress(&self) -> &Progress {
        &self.progress
    }

    /// Writes all that [`resume`](Trainer::resume) needs; `data` is the SHA-256 of what is learned from.
    ///
    /// # Errors
    /// If the file cannot be written; the last checkpoint is then as it was.
    pub fn save(&self, path: &Path, data: &str) -> Result<()> {
        Checkpoint::save(path, &self.model, &self.adam, &self.progress, Some(data))
    }

    /// One update: how many images it learned from; `None` if none of this epoch are left.
    ///
    /// # Errors
    /// [`Error::Diverged`] if the loss or a gradient is not finite, before the update they lead to.
    pub fn step(&mut self) -> Result<Option<usize>> {
        let start = Instant::now();
        let Some(batch) = self.batches.iter().nth(self.progress.batch) else { return Ok(None) };
        let Model { config, vae, params, size } = &mut self.model;
        let Progress { epoch, step: t, .. } = self.progress;
        let steps_per_epoch = self.images.len().div_ceil(config.batch) as u64;
        let beta = config.beta * config.kl_warmup.map_or(1.0, |warmup| warmup.factor(t, steps_per_epoch));
        let of = Of { vae, params, config, batch, step: t, beta };
        let sums = self.gradient.compute(&of, &mut self.grads);
        if !sums.are_finite() || !all_finite(&self.grads.flat) {
            let what = self.gradient.what_diverged(&of, &mut self.grads);
            return Err(Error::Diverged { epoch: epoch + 1, step: t + 1, what });
        }
        let optimum = vae.likelihood.optimum(size.count(), params, &self.grads, t + 1);
        vae.likelihood.keep_what_is_followed(&mut self.grads);
        if let Some(most) = config.clip {
            clip(&mut self.grads, most);
        }
        self.adam.lr = config.lr * config.schedule.factor(t, config.epochs.saturating_mul(steps_per_epoch));
        self.adam.step(params, &self.grads);
        if let Some((param, number)) = optimum {
            params.view_mut(param).fill(number);
        }

        self.progress.step += 1;
        self.progress.batch += 1;
        self.progress.sums = [self.progress.sums, sums].into_iter().sum();
        self.progress.seconds += start.elapsed().as_secs_f64();
        Ok(Some(batch.len()))
    }

    /// The mean loss of the epoch so far, each image's taken before the update it led to.
    pub fn losses(&self) -> Losses {
        let (sums, plain) = (&self.progress.sums, self.model.config.objective() == Objective::default());
        Losses { objective: (!plain).then(|| sums.mean_objective()), ..sums.mean() }
    }

    /// Goes on to the next epoch: the losses of this one.
    ///
    /// # Errors
    /// [`Error::Diverged`] if the last update, which no step follows, made a parameter that is not finite.
    pub fn finish_epoch(&mut self) -> Result<Losses> {
        let Progress { epoch, step, .. } = self.progress;
        if !all_finite(&self.model.params.flat) {
            let what = "its update made a parameter that is not finite".into();
            return Err(Error::Diverged { epoch: epoch + 1, step, what });
        }
        let losses = self.losses();
        self.progress = Progress { epoch: epoch + 1, step, ..Progress::default() };
        self.batches = self.images.batches(self.model.config.batch, self.model.config.seed, epoch + 1);
        Ok(losses)
    }

    /// One pass over the training images, or what is left of it: its mean loss.
    ///
    /// # Errors
    /// As those of [`step`](Trainer::step) and [`finish_epoch`](Trainer::finish_epoch).
    pub fn epoch(&mut self) -> Result<Losses> {
        while self.step()?.is_some() {}
        self.finish_epoch()
    }
}

/// Whether there is no NaN and no infinity. `0 · x` is 0 for every other number, so a sum finds out without branches.
pub(crate) fn all_finite(numbers: &[f32]) -> bool {
    if numbers.len() > 2 * parallel::CHUNK {
        let (now, later) = numbers.split_at(numbers.len() / 2);
        let (now, later) = parallel::join(|| all_finite(now), || all_finite(later));
        return now && later;
    }
    reduce::sum(
        [numbers],
        #[inline(always)]
        |[x]| 0.0 * x,
    ) == 0.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::distributions::{Family, Likelihood};
    use datasets::{Pixels, Size};

    /// Fifty images of two kinds: a bright upper half, or a bright left half.
    fn images() -> Images {
        let bright = |i: usize, y: usize, x: usize| if i.is_multiple_of(2) { y < 2 } else { x < 2 };
        let pixel = |k: usize| if bright(k / 16, k / 4 % 4, k % 4) { 200 + (k % 50) as u8 } else { (k % 30) as u8 };
        let pixels = (0..50 * 16).map(pixel).collect();
        Images::new(pixels, Size::grey(4, 4), vec![0; 50]).unwrap()
    }

    fn config() -> Config {
        Config { batch: 16, hidden: vec![12], latent: 2, lr: 1e-2, ..Config::default() }
    }

    fn train(config: &Config, threads: usize, epochs: usize) -> (Vec<Losses>, Vec<f32>) {
        let images = images();
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let mut trainer = Trainer::new(Model::new(config.clone(), Size::grey(4, 4)), &images);
            let losses = (0..epochs).map(|_| trainer.epoch().unwrap()).collect();
            assert_eq!(trainer.progress().step, 4 * epochs as u64, "the ragged last batch of 2 is trained on");
            (losses, trainer.model.params.flat.to_vec())
        })
    }

    #[test]
    fn the_loss_falls() {
        let (losses, _) = train(&config(), 1, 30);
        assert!(losses[29].loss < losses[0].loss - 1.0, "{losses:?}");
        assert!(losses.iter().all(|l| l.loss == l.reconstruction + l.kl && l.kl >= 0.0));
    }

    #[test]
    fn in_bf16_the_loss_falls_as_far_and_the_weights_stay_single() {
        let rounded = Config { precision: Precision::Bf16, ..config() };
        let ((single, _), (bf16, weights)) = (train(&config(), 1, 30), train(&rounded, 1, 30));
        assert_ne!(single, bf16);
        assert!((single[29].loss - bf16[29].loss).abs() < 0.3, "{:?} {:?}", single[29], bf16[29]);
        assert!(weights.iter().any(|w| w.to_bits() & 0xffff != 0));
    }

    #[test]
    fn a_run_is_a_function_of_its_configuration_whatever_the_number_of_threads() {
        for binarize in Pixels::ALL {
            let config = Config { binarize, ..config() };
            assert_eq!(train(&config, 1, 3), train(&config, 3, 3));
        }
        let rounded = Config { precision: Precision::Bf16, ..config() };
        assert_eq!(train(&rounded, 1, 3), train(&rounded, 3, 3));
        let other = Config { seed: 2, ..config() };
        assert_ne!(train(&config(), 1, 1).1, train(&other, 1, 1).1);
    }

    #[test]
    fn what_trains_on_from_weights_of_elsewhere_has_the_settings_of_its_own_configuration() {
        let (images, config) = (images(), Config { weight_decay: 0.1, ..config() });
        let model = Model::new(config, images.size());
        let (adam, progress) = (Adam::new(&model.params, 5.0), Progress::default());
        let checkpoint = Checkpoint { model: model.clone(), adam, progress, data: None };
        let weights = |mut trainer: Trainer| {
            trainer.step().unwrap();
            trainer.model.params.flat.to_vec()
        };
        assert_eq!(weights(Trainer::resume(checkpoint, &images)), weights(Trainer::new(model, &images)));
    }

    #[test]
    fn the_variance_of_gaussian_pixels_becomes_their_mean_squared_error() {
        let config = Config { likelihood: Some(Family::Gaussian), ..config() };
        let images = images();
        let mut trainer = Trainer::new(Model::new(config, images.size()), &images);
        let losses: Vec<_> = (0..40).map(|_| trainer.epoch().unwrap().reconstruction).collect();
        let Likelihood::Gaussian { log_var } = trainer.model.vae.likelihood else { panic!() };
        let s = f64::from(trainer.model.params.view(log_var)[[0, 0]]);
        // At the optimum the loss is the entropy, ½ ln 2πe σ² for each of 16 numbers; the epoch's mean lags behind its end.
        let entropy = 8.0 * (std::f64::consts::TAU.ln() + s + 1.0);
        assert!((losses[39] - entropy).abs() < 1.0, "{} {entropy}", losses[39]);
        assert!(s < -2.5 && losses[39] < losses[0] - 10.0, "{s} {losses:?}");
    }

    /// In the first step, with a variance of 1, its gradient is some hundred times as long as that of all the rest.
    #[test]
    fn a_gradient_is_not_shortened_for_what_is_set_and_not_followed() {
        let images = images();
        let step = |clip: Option<f64>| {
            let config = Config { likelihood: Some(Family::Gaussian), clip, ..config() };
            let mut trainer = Trainer::new(Model::new(config, images.size()), &images);
            trainer.step().unwrap();
            trainer
        };
        let free = step(None);
        let Likelihood::Gaussian { log_var } = free.model.vae.likelihood else { panic!() };
        let set = free.grads.layout.range(log_var);
        let others = |trainer: &Trainer| [&trainer.grads.flat[..set.start], &trainer.grads.flat[set.end..]].concat();
        let norm = others(&free).iter().map(|&g| f64::from(g).powi(2)).sum::<f64>().sqrt();
        assert_eq!(others(&step(Some(1.01 * norm))), others(&free));
        assert_eq!(step(Some(1.01 * norm)).model.params.flat[..], free.model.params.flat[..]);
        assert_ne!(others(&step(Some(0.99 * norm))), others(&free));
    }

    #[test]
    fn the_loss_falls_for_every_family() {
        for family in Family::ALL.map(Family::small) {
            let config = Config { likelihood: Some(family), ..config() };
            let (losses, _) = train(&config, 1, 30);
            let [first, last] = [losses[0].loss, losses[29].loss];
            assert!(last < first - 1.0, "{family}: {first} {last}");
        }
    }

    #[test]
    fn divergence_is_found_before_the_update_and_names_step_and_operation() {
        let images = images();
        let mut trainer = Trainer::new(Model::new(Config { lr: 1e30, ..config() }, Size::grey(4, 4)), &images);
        let error = trainer.epoch().unwrap_err();
        let Error::Diverged { epoch: 1, step: 2, what } = &error else { panic!("{error}") };
        assert!(what.contains("the value of %3 Linear 16×2 (%2 p2 p3)"), "{what}");
        assert!(trainer.model.params.flat.iter().all(|x| x.is_finite()));
    }

    #[test]
    fn not_finite_is_seen_anywhere() {
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            for i in [0, 15, 16, 99] {
                let mut numbers = vec![f32::MAX; 100];
                assert!(all_finite(&numbers));
                numbers[i] = bad;
                assert!(!all_finite(&numbers));
            }
        }
    }
}
