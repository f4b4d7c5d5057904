//! What keeps the ELBO from `log p(x)` (Cremer, Li and Duvenaud 2018).
//!
//! ```text
//! log p(x) − ELBO(q)  =  [log p(x) − ELBO(q*)]  +  [ELBO(q*) − ELBO(q)]
//!                         approximation gap         amortization gap
//! ```
//! `q*` is the best diagonal Gaussian for this very image, found by gradient steps from the encoder's `q`. The first gap is the
//! price of the family, the second that of an encoder which must serve all images.

use autograd::kernels::parallel;
use autograd::{Grads, Param, Params, Recorder, Slot, Tape};
use datasets::{Generator, Images};
use ndarray::{Array2, ArrayView2, Axis, s};
use serde::Serialize;

use super::annealed::mean;
use super::importance::Sampler;
use crate::checkpoint::Model;
use crate::distributions::{Distribution, Gaussian, KlTo, Reparameterized, StandardNormal};
use crate::generate;
use crate::noise::{Purpose, fill_normal};
use crate::optim::Adam;

/// Images whose posteriors are fitted together, and samples of each: so many rows go through the decoder.
const IMAGES: usize = 16;
const SAMPLES: usize = 8;

/// Gradient steps, and the learning rate, which falls to 0 along a line.
const STEPS: usize = 300;
const RATE: f64 = 0.05;

/// Samples that an ELBO is estimated with once its posterior is found: those of so many passes.
const PASSES: usize = 64;

/// The two gaps, means over images in nats, with their standard errors over the images.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Gap {
    /// How many images.
    pub images: usize,
    /// `−ELBO` with the encoder's `q`.
    pub encoder: f64,
    /// `−ELBO` with `q*`.
    pub fitted: f64,
    /// An estimate of `−log p(x)` from above, by importance sampling from `q*`.
    pub negative_log_p: f64,
    /// `ELBO(q*) − ELBO(q)`
    pub amortization: f64,
    /// Its standard error.
    pub amortization_se: f64,
    /// `log p(x) − ELBO(q*)`, or rather what is known of it: as the estimate of `log p(x)` is a lower bound, so is this.
    pub approximation: f64,
    /// Its standard error.
    pub approximation_se: f64,
}

/// Finds both gaps of the first `n` images, with `k` samples for `log p(x)`. It does not depend on the number of threads.
/// `progress` is called after each image.
///
/// # Panics
/// If `n` or `k` is 0, or the images have another size than the model's.
pub fn gap(model: &Model, images: &Images, n: usize, k: usize, progress: impl Fn() + Sync) -> Gap {
    assert!(n > 0 && k > 0, "an estimate needs images and samples");
    let x = generate::first_images(model, images, n);
    let encoded = generate::posteriors(model, x.view());
    let groups = parallel::map(
        x.nrows().div_ceil(IMAGES),
        || (),
        |(), group| {
            let rows = group * IMAGES..((group + 1) * IMAGES).min(x.nrows());
            let of_group = s![rows.clone(), ..];
            let x = x.slice(of_group);
            let randomness = || Purpose::Fit.generator(model.config.seed, group as u64);
            let mut posterior = Posteriors::new(model, x, encoded.each_ref().map(|q| q.slice(of_group)));
            // The same noise for both, so that their difference is precise.
            let encoder = posterior.elbo(&mut randomness());
            posterior.fit(&mut randomness());
            let fitted = posterior.elbo(&mut randomness());
            let [mean, log_var] = [posterior.mean, posterior.log_var].map(|p| posterior.params.view(p));
            let mut sampler = Sampler::new(model, k);
            let estimate = |i: usize| {
                let weights = sampler.weigh(model, (rows.start + i) as u64, x.row(i), [mean.row(i), log_var.row(i)]);
                progress();
                [encoder[i], fitted[i], weights.all.log_mean()]
            };
            (0..x.nrows()).map(estimate).collect::<Vec<_>>()
        },
    );
    let found: Vec<[f64; 3]> = groups.concat();
    let of = |f: &dyn Fn(&[f64; 3]) -> f64| mean(&found.iter().map(f).collect::<Vec<_>>());
    let [amortization, amortization_se] = of(&|[encoder, fitted, _]| fitted - encoder);
    let [approximation, approximation_se] = of(&|[_, fitted, log_p]| log_p - fitted);
    Gap {
        images: found.len(),
        encoder: -of(&|e| e[0])[0],
        fitted: -of(&|e| e[1])[0],
        negative_log_p: -of(&|e| e[2])[0],
        amortization,
        amortization_se,
        approximation,
        approximation_se,
    }
}

/// A posterior for each of some images, whose means and log-variances are themselves what is learned.
struct Posteriors {
    tape: Tape,
    params: Params,
    mean: Param,
    log_var: Param,
    noise: Slot,
    reconstruction: Slot,
    kl: Slot,
    loss: Slot,
}

impl Posteriors {
    fn new(model: &Model, x: ArrayView2<f32>, [mean, log_var]: [ArrayView2<f32>; 2]) -> Posteriors {
        let mut params = model.params.clone();
        let mean = params.add("fitted mean", mean.to_owned());
        let log_var = params.add("fitted log_var", log_var.to_owned());
        let r = Recorder::new(&params).learning_only(&[mean, log_var]);
        let images = r.input([x.nrows(), x.ncols()]);
        let noise = r.input([x.nrows() * SAMPLES, model.config.latent]);
        let q = Gaussian { mean: r.param(mean), log_var: r.param(log_var) };
        let repeated = Gaussian { mean: q.mean.repeat_rows(SAMPLES), log_var: q.log_var.repeat_rows(SAMPLES) };
        let p = model.vae.decode(repeated.sample(noise));
        let reconstruction = -p.log_prob(images.repeat_rows(SAMPLES));
        let kl = q.kl_to(StandardNormal);
        let loss = reconstruction.mean() + kl.mean();
        let [images, noise, reconstruction, kl, loss] = [images, noise, reconstruction, kl, loss].map(|x| x.slot());
        let mut tape = r.finish();
        tape.input_mut(images).assign(&x);
        Posteriors { tape, params, mean, log_var, noise, reconstruction, kl, loss }
    }

    fn play(&mut self, randomness: &mut Generator) {
        fill_normal(randomness, self.tape.input_mut(self.noise));
        self.tape.forward(&self.params);
    }

    /// Adam from where the posteriors are. What is not learned has gradients of 0, and stays as it is.
    fn fit(&mut self, randomness: &mut Generator) {
        let (mut adam, mut grads) = (Adam::new(&self.params, RATE), Grads::zeros(&self.params));
        for step in 0..STEPS {
            self.play(randomness);
            self.tape.backward(self.loss, &self.params, &mut grads);
            adam.lr = RATE * (1.0 - step as f64 / STEPS as f64);
            adam.step(&mut self.params, &grads);
        }
    }

    /// The ELBO of each image.
    fn elbo(&mut self, randomness: &mut Generator) -> Vec<f64> {
        let images = self.params.view(self.mean).nrows();
        let mut reconstruction = Array2::<f64>::zeros((images, SAMPLES));
        for _ in 0..PASSES {
            self.play(randomness);
            let column = self.tape.value(self.reconstruction);
            reconstruction.iter_mut().zip(column).for_each(|(sum, &x)| *sum += f64::from(x));
        }
        let kl = self.tape.value(self.kl);
        let means = reconstruction.sum_axis(Axis(1)) / (PASSES * SAMPLES) as f64;
        means.iter().zip(kl).map(|(reconstruction, &kl)| -(reconstruction + f64::from(kl))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{images, model, quadrature};
    use super::*;

    /// Fitted to each image, a posterior makes up for whatever the encoder does; what is then left is what its family
    /// cannot say, and that is little in this model.
    #[test]
    fn of_a_spoiled_encoder_all_that_is_lost_is_in_the_amortization_gap() {
        let (mut model, images) = (model(2), images(20));
        let good = gap(&model, &images, 20, 1000, || {});
        model.params.view_mut(model.vae.mean.bias).fill(3.0);
        model.params.view_mut(model.vae.log_var.bias).fill(-4.0);
        let spoiled = gap(&model, &images, 20, 1000, || {});
        assert!(spoiled.amortization > good.amortization + 2.0, "{good:?} {spoiled:?}");
        assert!((spoiled.fitted - good.fitted).abs() < 0.05, "{good:?} {spoiled:?}");
        let x = generate::first_images(&model, &images, 20);
        let truth = -mean(&quadrature(&model, x.view()))[0];
        for found in [good, spoiled] {
            assert!(found.amortization > -0.01 && found.approximation > -0.01, "{found:?}");
            assert!((found.negative_log_p - truth).abs() < 0.02, "{found:?} {truth}");
            assert!((found.encoder - found.fitted - found.amortization).abs() < 1e-9);
            assert!((found.fitted - found.negative_log_p - found.approximation).abs() < 1e-9);
        }
    }

    #[test]
    fn nothing_but_the_posteriors_is_fitted_and_no_thread_matters() {
        let (model, images) = (model(2), images(40));
        let x = generate::first_images(&model, &images, 5);
        let q = generate::posteriors(&model, x.view());
        let mut posteriors = Posteriors::new(&model, x.view(), q.each_ref().map(|q| q.view()));
        posteriors.fit(&mut Purpose::Fit.generator(1, 0));
        for (p, before) in model.params.layout.params().zip(model.params.iter()) {
            assert_eq!(posteriors.params.view(p), before.1, "{}", before.0);
        }
        assert_ne!(posteriors.params.view(posteriors.mean), q[0]);
        let on = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| gap(&model, &images, 33, 20, || {}))
        };
        assert_eq!(on(1), on(3));
    }
}
