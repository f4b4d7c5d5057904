//! How probable a model finds images: `log p(x)` by importance sampling (Burda, Grosse and Salakhutdinov 2015).
//!
//! With `k` samples `z ~ q(z | x)` and their weights `w = p(x, z) / q(z | x)`,
//! ```text
//! L_k = E[ log 1/k Σᵢ wᵢ ]        ELBO = L_1 ≤ L_5 ≤ L_50 ≤ … ≤ log p(x)
//! ```
//! The mean of the weights is an unbiased estimate of `p(x)`, and so its logarithm is a lower bound of `log p(x)` on average:
//! what is reported, `−log p`, is an upper one. It falls with `k`, to the truth.

use std::collections::BTreeMap;

use autograd::kernels::parallel;
use autograd::{Recorder, Slot, Tape};
use datasets::Images;
use ndarray::ArrayView1;
use serde::Serialize;

use crate::checkpoint::Model;
use crate::distributions::{Distribution, Gaussian, Reparameterized, StandardNormal};
use crate::generate;
use crate::noise::{Purpose, fill_normal};

/// Samples of one image that go through the decoder together. So many are enough for its products to be fast, and their logits,
/// 784 KB each 250, stay in a cache of their own.
const TOGETHER: usize = 250;

/// The numbers of samples whose bounds are reported on the way.
const ON_THE_WAY: [usize; 3] = [1, 5, 50];

/// What importance sampling says, in nats per image.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Estimate {
    /// The mean over the images of `−log p(x)`, estimated with all samples.
    pub negative_log_p: f64,
    /// Its standard error: of the mean over images, as a sample of all there might be.
    pub negative_log_p_se: f64,
    /// The same in bits per number of an image, where they are those of a probability ([`Meaning::bits`](crate::distributions::Meaning::bits)).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bits_per_dimension: Option<f64>,
    /// The mean over the images of how many equal weights would say as much. Where it is a few, so few samples carry the
    /// estimate, and more would change it.
    pub effective_samples: f64,
    /// `−L_k` by `k`, for `k` = 1, 5, 50 as far as there are samples, and for all of them.
    pub bounds: BTreeMap<usize, f64>,
}

/// Estimates `−log p(x)` of images with `k` samples of `q(z | x)` for each. Memory does not grow with `k`: samples are drawn,
/// weighed and forgotten. Each image has a stream of noise of its own, so the result does not depend on the number of threads.
/// `progress` is called after each image.
///
/// # Panics
/// If `k` is 0, or the images have another size than the model's.
pub fn log_likelihood(model: &Model, images: &Images, k: usize, progress: impl Fn() + Sync) -> Estimate {
    assert!(k > 0, "an estimate needs a sample");
    let rows = model.vae.images_per_pass(&model.params);
    let mut estimates: Vec<Weights> = vec![];
    for x in generate::batches(model, images, images.len(), rows) {
        let [mean, log_var] = generate::posteriors(model, x.view());
        let first = estimates.len();
        estimates.extend(parallel::map(
            x.nrows(),
            || Sampler::new(model, k),
            |sampler, i| {
                let q = [mean.row(i), log_var.row(i)];
                let weights = sampler.weigh(model, (first + i) as u64, x.row(i), q);
                progress();
                weights
            },
        ));
    }

    let n = estimates.len() as f64;
    let mean_of = |of: &dyn Fn(&Weights) -> f64| estimates.iter().map(of).sum::<f64>() / n;
    let negative_log_p = -mean_of(&|w| w.all.log_mean());
    let variance = mean_of(&|w| (w.all.log_mean() + negative_log_p).powi(2)) * n / (n - 1.0).max(1.0);
    let on_the_way = ON_THE_WAY.iter().enumerate().filter(|&(_, &size)| size < k);
    let bounds = on_the_way.map(|(i, &size)| (size, -mean_of(&|w| w.groups[i].mean())));
    let meaning = model.config.meaning(images).ok();
    Estimate {
        negative_log_p,
        negative_log_p_se: (variance / n).sqrt(),
        bits_per_dimension: meaning.and_then(|meaning| meaning.bits(negative_log_p / model.size.count() as f64)),
        effective_samples: mean_of(&|w| w.all.effective_samples()),
        bounds: bounds.chain([(k, negative_log_p)]).collect(),
    }
}

/// The computation of `log w` for some samples of one image, recorded; and for the rest, if `k` is no multiple.
pub(super) struct Sampler {
    k: usize,
    tapes: Vec<WeightTape>,
}

struct WeightTape {
    tape: Tape,
    x: Slot,
    posterior: [Slot; 2],
    noise: Slot,
    log_weights: Slot,
}

impl WeightTape {
    fn record(model: &Model, samples: usize) -> WeightTape {
        let r = Recorder::new(&model.params);
        let latent = [samples, model.config.latent];
        let (x, noise) = (r.input([samples, model.size.count()]), r.input(latent));
        let q = Gaussian { mean: r.input(latent), log_var: r.input(latent) };
        let z = q.sample(noise);
        let p = model.vae.decode(z);
        let log_weights = (p.log_prob(x) + StandardNormal.log_prob(z) - q.log_prob(z)).slot();
        let (x, noise, posterior) = (x.slot(), noise.slot(), [q.mean.slot(), q.log_var.slot()]);
        WeightTape { tape: r.finish(), x, posterior, noise, log_weights }
    }
}

impl Sampler {
    pub(super) fn new(model: &Model, k: usize) -> Sampler {
        let sizes = [TOGETHER.min(k), if k > TOGETHER { k % TOGETHER } else { 0 }];
        let tapes = sizes.into_iter().filter(|&size| size > 0).map(|size| WeightTape::record(model, size));
        Sampler { k, tapes: tapes.collect() }
    }

    /// The weights of image number `i`.
    pub(super) fn weigh(&mut self, model: &Model, i: u64, x: ArrayView1<f32>, q: [ArrayView1<f32>; 2]) -> Weights {
        for t in &mut self.tapes {
            t.tape.input_mut(t.x).assign(&x);
            t.posterior.into_iter().zip(q).for_each(|(slot, q)| t.tape.input_mut(slot).assign(&q));
        }
        let mut noise = Purpose::ImportanceNoise.generator(model.config.seed, i);
        let mut weights = Weights::default();
        let mut left = self.k;
        while left > 0 {
            let which = usize::from(left < TOGETHER && self.tapes.len() > 1);
            let t = &mut self.tapes[which];
            fill_normal(&mut noise, t.tape.input_mut(t.noise));
            t.tape.forward(&model.params);
            let log_weights = t.tape.value(t.log_weights);
            log_weights.iter().for_each(|&w| weights.add(f64::from(w)));
            left -= log_weights.len();
        }
        weights
    }
}

/// What is kept of the weights of an image.
#[derive(Default)]
pub(super) struct Weights {
    pub(super) all: LogMean,
    groups: [Groups; 3],
}

impl Weights {
    fn add(&mut self, log_weight: f64) {
        self.all.add(log_weight);
        for (groups, size) in self.groups.iter_mut().zip(ON_THE_WAY) {
            groups.add(log_weight, size);
        }
    }
}

/// `log 1/n Σ exp xᵢ` of numbers that come one by one.
#[derive(Clone)]
pub(super) struct LogMean {
    /// The largest so far: −∞ before the first.
    max: f64,
    /// `Σ exp(xᵢ − max)`
    sum: f64,
    /// `Σ exp 2(xᵢ − max)`
    squares: f64,
    n: usize,
}

impl Default for LogMean {
    fn default() -> LogMean {
        LogMean { max: f64::NEG_INFINITY, sum: 0.0, squares: 0.0, n: 0 }
    }
}

impl LogMean {
    pub(super) fn add(&mut self, x: f64) {
        if x > self.max {
            let shrink = (self.max - x).exp();
            (self.sum, self.squares) = (self.sum * shrink + 1.0, self.squares * shrink * shrink + 1.0);
            self.max = x;
        } else if x != f64::NEG_INFINITY {
            let w = (x - self.max).exp();
            (self.sum, self.squares) = (self.sum + w, self.squares + w * w);
        }
        self.n += 1;
    }

    /// How many equal weights would say as much: `(Σ w)² / Σ w²` (Kish 1965). One over it is about the variance of the
    /// logarithm of the mean.
    fn effective_samples(&self) -> f64 {
        self.sum * self.sum / self.squares
    }

    pub(super) fn log_mean(&self) -> f64 {
        self.max + (self.sum / self.n as f64).ln()
    }
}

/// The mean of `log 1/k Σ w` over the whole groups of `k` weights: an estimate of `L_k` that wastes none.
#[derive(Default)]
struct Groups {
    open: LogMean,
    sum: f64,
    n: usize,
}

impl Groups {
    fn add(&mut self, log_weight: f64, size: usize) {
        self.open.add(log_weight);
        if self.open.n == size {
            self.sum += std::mem::take(&mut self.open).log_mean();
            self.n += 1;
        }
    }

    fn mean(&self) -> f64 {
        self.sum / self.n as f64
    }
}

#[cfg(test)]
mod tests {
    use super::super::evaluate;
    use super::super::testing::{images, model, quadrature};
    use super::*;

    /// A posterior that is not the prior, so that weights differ.
    fn spread() -> Model {
        let mut model = model(3);
        model.params.view_mut(model.vae.log_var.bias).fill(-0.5);
        model.params.view_mut(model.vae.mean.weight).mapv_inplace(|w| 3.0 * w);
        model
    }

    #[test]
    fn weights_that_come_one_by_one_have_the_logarithm_of_their_mean() {
        let xs = [-700.0f64, -900.0, -690.0, -695.5, -2000.0];
        let mut groups = Groups::default();
        xs.iter().for_each(|&x| groups.add(x, 2));
        let pair = |a: f64, b: f64| ((a + 800.0).exp() / 2.0 + (b + 800.0).exp() / 2.0).ln() - 800.0;
        assert!((groups.mean() - (pair(xs[0], xs[1]) + pair(xs[2], xs[3])) / 2.0).abs() < 1e-9);
    }

    #[test]
    fn the_logarithm_of_a_mean_is_as_precise_wherever_the_numbers_lie_and_in_whatever_order() {
        let near = [0.0f64, -200.0, 10.0, 4.5, -1300.0];
        for far in [0.0, 700.0, 1e5, -700.0, -1e5] {
            for first in 0..near.len() {
                let mut log_mean = LogMean::default();
                (0..near.len()).for_each(|i| log_mean.add(far + near[(first + i) % near.len()]));
                let sum = |power: f64| near.iter().map(|x| (power * x).exp()).sum::<f64>();
                let expected = far + (sum(1.0) / near.len() as f64).ln();
                assert!((log_mean.log_mean() - expected).abs() < 1e-9, "{far}: {}", log_mean.log_mean());
                let effective = sum(1.0).powi(2) / sum(2.0);
                assert!((log_mean.effective_samples() / effective - 1.0).abs() < 1e-9, "{far}");
            }
        }
    }

    #[test]
    fn a_weight_of_zero_counts_as_one_and_none_but_such_have_a_mean_of_zero() {
        let log_mean = |xs: &[f64]| {
            let mut log_mean = LogMean::default();
            xs.iter().for_each(|&x| log_mean.add(x));
            log_mean.log_mean()
        };
        let zero = f64::NEG_INFINITY;
        for weights in [[zero, 3.0], [3.0, zero]] {
            assert!((log_mean(&weights) - (3.0 - 2f64.ln())).abs() < 1e-12);
        }
        assert_eq!(log_mean(&[zero, zero]), zero);
        assert!(log_mean(&[1.0, f64::NAN, 2.0]).is_nan());
    }

    #[test]
    fn with_one_sample_the_bound_is_the_elbo() {
        // The evaluation has the KL in closed form and one sample per image, so the two agree over many samples only.
        let (model, images) = (spread(), images(40));
        let one = log_likelihood(&model, &images, 4000, || {}).bounds[&1];
        let repeated: Vec<f64> = (0..40)
            .map(|seed| {
                let mut model = model.clone();
                model.config.seed = seed;
                evaluate(&model, &images).losses.loss
            })
            .collect();
        let mean = repeated.iter().sum::<f64>() / 40.0;
        let variance = repeated.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / 39.0;
        assert!((one - mean).abs() < 4.0 * (variance / 40.0).sqrt(), "{one} {mean} ± {}", (variance / 40.0).sqrt());
    }

    #[test]
    fn the_bounds_tighten_with_the_number_of_samples() {
        let estimate = log_likelihood(&spread(), &images(40), 1000, || {});
        let bounds: Vec<f64> = estimate.bounds.values().copied().collect();
        assert_eq!(estimate.bounds.keys().copied().collect::<Vec<_>>(), [1, 5, 50, 1000]);
        assert!(bounds.is_sorted_by(|a, b| a > b), "{bounds:?}");
        assert_eq!(estimate.negative_log_p, bounds[3]);
        let bits = estimate.negative_log_p / (9.0 * 2f64.ln());
        assert!((estimate.bits_per_dimension.unwrap() - bits).abs() < 1e-12);
    }

    #[test]
    fn the_mean_weight_is_the_integral_over_the_plane_within_three_standard_errors() {
        let (model, images) = (model(2), images(6));
        let x = generate::first_images(&model, &images, 6);
        let [mean, log_var] = generate::posteriors(&model, x.view());
        for (i, truth) in quadrature(&model, x.view()).into_iter().enumerate() {
            let mut sampler = Sampler::new(&model, 20_000);
            let estimate = sampler.weigh(&model, i as u64, x.row(i), [mean.row(i), log_var.row(i)]).all;
            let error = (estimate.log_mean() - truth).exp() - 1.0;
            let standard_error = estimate.effective_samples().recip().sqrt();
            assert!(error.abs() < 3.0 * standard_error && standard_error < 0.1, "{i}: {error} {standard_error}");
        }
    }

    #[test]
    fn every_bound_lies_above_the_truth_and_closer_to_it_with_more_samples() {
        let (model, images) = (model(2), images(6));
        let x = generate::first_images(&model, &images, 6);
        let truth = -quadrature(&model, x.view()).iter().sum::<f64>() / 6.0;
        let estimate = log_likelihood(&model, &images, 20_000, || {});
        let [l1, l5, l50] = [1, 5, 50].map(|k| estimate.bounds[&k]);
        assert!(l1 > l5 + 0.01 && l5 > l50 + 0.001 && l50 > truth, "{l1} {l5} {l50} {truth}");
        assert!((estimate.negative_log_p - truth).abs() < 0.02, "{} {truth}", estimate.negative_log_p);
    }

    #[test]
    fn the_estimate_depends_on_the_seed_and_not_on_the_threads() {
        let (mut model, images) = (spread(), images(7));
        let on = |threads: usize, model: &Model| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| log_likelihood(model, &images, 260, || {}))
        };
        let first = on(1, &model);
        assert_eq!(on(3, &model), first);
        model.config.seed += 1;
        assert_ne!(on(1, &model).negative_log_p, first.negative_log_p);
    }
}
