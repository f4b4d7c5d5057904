//! What training follows: bounds of `log p(x)`, and estimators of their gradients.
//!
//! With `k` samples `zᵢ ~ q(z | x)` of each image and `wᵢ = p(x | zᵢ) p(zᵢ) / q(zᵢ | x)`, two bounds are to be had,
//! ```text
//! ELBO = E[log wᵢ] = E[log p(x | zᵢ)] − KL(q(z | x) ‖ p(z))        L_k = E[log 1/k Σᵢ wᵢ]
//! ```
//! and of the gradient of each more than one estimate. All have the right mean, and scatter by very different amounts.

use std::fmt;
use std::str::FromStr;

use autograd::{Real, Var};

use crate::distributions::{Distribution, Gaussian, KlTo, Reparameterized, StandardNormal};
use crate::models::Vae;

/// Estimators of the gradient of a bound.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Estimator {
    /// Of the ELBO, its KL in closed form, through the samples (Kingma and Welling 2014).
    #[default]
    Elbo,
    /// Of `L_k`, through the samples (Burda, Grosse and Salakhutdinov 2015). With one sample it is the ELBO with a KL that is
    /// estimated too.
    Iwae,
    /// Of `L_k`, doubly reparameterized (Tucker et al. 2019): its noise falls with `k`, where that of [`Iwae`](Self::Iwae)
    /// in the encoder drowns the gradient (Rainforth et al. 2018).
    Dreg,
    /// Sticking the landing (Roeder, Wu and Duvenaud 2017): as [`Iwae`](Self::Iwae), without the gradient of the density
    /// `log q(z | x)` at a fixed sample. Its mean is 0 with one sample, and so the gradient is that of the ELBO, without noise
    /// where `q(z | x)` is the posterior. With more it is not 0: the estimate is biased, and [`Dreg`](Self::Dreg) is the remedy.
    Stl,
    /// Of the ELBO, by the score function (Williams 1992), not through the samples: for latent codes that have no derivative, and
    /// to see what reparameterization is worth.
    Reinforce,
}

/// A bound of `log p(x)`, and how its gradient is estimated.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Objective {
    /// Which bound, and which estimate.
    pub estimator: Estimator,
    /// Samples of each image, `k`.
    pub k: usize,
    /// Whether the tape has an input `β` that the KL – of other bounds `log q(z | x) − log p(z)` – is multiplied by. With
    /// `β = 1` it is a bound of `log p(x)`; other values make the β-VAE of Higgins et al. (2017).
    pub weighted: bool,
    /// `λ`, nats: what a latent dimension's KL, averaged over the batch, may be without costing more than `λ` (Kingma et al.
    /// 2016, section C.8). 0 for none.
    pub free_bits: f64,
}

impl Default for Objective {
    fn default() -> Self {
        Objective { estimator: Estimator::Elbo, k: 1, weighted: false, free_bits: 0.0 }
    }
}

/// An objective of a batch, on the tape.
#[derive(Clone, Copy, Debug)]
pub struct Bound<'r, T: Real = f32> {
    /// `q(z | x)`
    pub posterior: Gaussian<'r, T>,
    /// `−log p(x | z)` at each sample, `[batch · k, 1]`: those of an image one below the other.
    pub reconstruction: Var<'r, T>,
    /// `KL(q(z | x) ‖ p(z))`, `[batch, 1]`.
    pub kl: Var<'r, T>,
    /// What is minimized, averaged over the batch: nats per example, a scalar.
    pub value: Var<'r, T>,
    /// A scalar whose gradient is the estimate of that of `value`.
    pub loss: Var<'r, T>,
    /// Of `Dreg`: the weights that the value of the second is to be fed into the first as, between forward and backward.
    pub feed: Option<[Var<'r, T>; 2]>,
}

impl Objective {
    /// Whether what an image costs depends on the other images of its batch.
    pub fn couples_images(&self) -> bool {
        self.free_bits > 0.0 || self.estimator == Estimator::Reinforce && self.k == 1
    }

    /// Records the objective for images `x`, `[batch, pixels]`, and standard normal `noise`, `[batch · k, latent]`.
    ///
    /// # Panics
    /// If `beta` is missing or superfluous, or `noise` has another shape.
    #[track_caller]
    pub fn record<'r, T: Real>(
        &self,
        vae: &Vae,
        x: Var<'r, T>,
        noise: Var<'r, T>,
        beta: Option<Var<'r, T>>,
    ) -> Bound<'r, T> {
        assert_eq!(self.weighted, beta.is_some(), "β is an input where there is to be one");
        let (k, batch) = (self.k, x.shape()[0]);
        let times_beta = |term: Var<'r, T>| beta.map_or(term, |beta| term * beta);
        let posterior = vae.encode(x);
        let q = posterior.repeat_rows(k);

        // The normalized weights of the samples are known when the last of this has been computed, and used in its first line.
        let weights = (self.estimator == Estimator::Dreg).then(|| x.recorder().input([batch * k, 1]));
        let z = match (self.estimator, weights) {
            (Estimator::Reinforce, _) => q.sample(noise).stop_gradient(),
            (_, Some(weights)) => q.sample(noise).weight_gradient(weights),
            _ => q.sample(noise),
        };
        let p = vae.decode(z);
        let log_likelihood = p.log_prob(x.repeat_rows(k));
        let reconstruction = -log_likelihood;
        let kl = posterior.kl_to(StandardNormal);
        // log w = log p(x | z) + β (log p(z) − log q(z | x))
        let log_w = |q: Gaussian<'r, T>| log_likelihood + times_beta(StandardNormal.log_prob(z) - q.log_prob(z));
        // −log 1/k Σᵢ wᵢ
        let bound = |log_w: Var<'r, T>| (-log_w.reshape([batch, k]).log_sum_exp() + (k as f64).ln()).mean();
        let of = |value, loss, feed| Bound { posterior, reconstruction, kl, value, loss, feed };
        match self.estimator {
            Estimator::Elbo => {
                let mean = if k == 1 { reconstruction } else { reconstruction.reshape([batch, k]).row_mean() };
                let loss = match self.free_bits {
                    0.0 => (mean + times_beta(kl)).mean(),
                    // Σⱼ max(λ, mean KLⱼ)
                    λ => mean.mean() + times_beta(((posterior.kl_terms().column_mean() - λ).relu() + λ).sum()),
                };
                of(loss, loss, None)
            }
            Estimator::Iwae => {
                let loss = bound(log_w(q));
                of(loss, loss, None)
            }
            Estimator::Stl => {
                let loss = bound(log_w(q.stop_gradient()));
                of(loss, loss, None)
            }
            // Through log wᵢ flows w̃ᵢ = wᵢ / Σ w to the decoder's parameters, and through the sample w̃ᵢ² to the encoder's.
            Estimator::Dreg => {
                let log_w = log_w(q.stop_gradient());
                let normalized = log_w.reshape([batch, k]).softmax().reshape([batch * k, 1]);
                let loss = bound(log_w);
                of(loss, loss, weights.map(|weights| [weights, normalized]))
            }
            // ∇φ E[f] = E[(f − b) ∇φ log q(z | x)] with f = log w, and ∇θ E[f] = E[∇θ log p(x | z)].
            Estimator::Reinforce => {
                let f = log_w(q);
                let advantage = (f - others_mean(f, k)).stop_gradient();
                of(-f.mean(), -(advantage * q.log_prob(z) + log_likelihood).mean(), None)
            }
        }
    }
}

/// A baseline `b` for each sample that does not depend on it: the mean of the other samples of its image (Kool, van Hoof and
/// Welling 2019), or, if there are none, of the other images of its batch; 0 if there are none of these either.
fn others_mean<'r, T: Real>(f: Var<'r, T>, k: usize) -> Var<'r, T> {
    let rows = f.shape()[0];
    let group = if k > 1 { k } else { rows };
    let sums = f.reshape([rows / group, group]).row_sum().repeat_rows(group);
    (sums - f) / (group.max(2) - 1) as f64
}

impl Estimator {
    /// All of them.
    pub const ALL: [Estimator; 5] =
        [Estimator::Elbo, Estimator::Iwae, Estimator::Dreg, Estimator::Stl, Estimator::Reinforce];

    /// The bound it follows, as a symbol.
    pub fn bound(self, k: usize) -> String {
        match self {
            Estimator::Elbo | Estimator::Reinforce => "ELBO".into(),
            Estimator::Iwae | Estimator::Dreg | Estimator::Stl => format!("L_{k}"),
        }
    }
}

impl fmt::Display for Estimator {
    /// `elbo`, `iwae`, `dreg`, `stl` or `reinforce`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Estimator::Elbo => "elbo",
            Estimator::Iwae => "iwae",
            Estimator::Dreg => "dreg",
            Estimator::Stl => "stl",
            Estimator::Reinforce => "reinforce",
        })
    }
}

impl FromStr for Estimator {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let named = Estimator::ALL.into_iter().find(|estimator| estimator.to_string() == name);
        named.ok_or_else(|| format!("expected elbo, iwae, dreg, stl or reinforce, found `{name}`"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::distributions::Family;
    use crate::models::Architecture;
    use crate::noise::fill_normal;
    use autograd::{Activation, Grads, Params, Recorder, Slot, Tape};
    use datasets::generator;
    use ndarray::Array2;

    const BATCH: usize = 3;
    const PIXELS: usize = 6;
    const LATENT: usize = 2;

    /// An objective of three images, on the tape in `f64`.
    struct Played {
        params: Params<f64>,
        grads: Grads<f64>,
        tape: Tape<f64>,
        vae: Vae,
        noise: Slot,
        beta: Option<Slot>,
        value: Slot,
        loss: Slot,
        feed: Option<[Slot; 2]>,
    }

    impl Played {
        fn new(objective: Objective) -> Played {
            let mut params = Params::new();
            let (activation, family) = (Activation::Tanh, Family::Bernoulli);
            let architecture = Architecture { pixels: PIXELS, hidden: vec![4], latent: LATENT, activation, family };
            let vae = architecture.build(&mut params, &mut generator(2, "init", 0));
            // A posterior that is not the prior.
            params.view_mut(vae.mean.weight).mapv_inplace(|w| 3.0 * w);
            params.view_mut(vae.logits.weight).mapv_inplace(|w| 3.0 * w);
            params.view_mut(vae.log_var.bias).fill(-0.7);
            let params = params.cast::<f64>();
            let r = Recorder::new(&params);
            let (x, noise) = (r.input([BATCH, PIXELS]), r.input([BATCH * objective.k, LATENT]));
            let beta = objective.weighted.then(|| r.input([1, 1]));
            let bound = objective.record(&vae, x, noise, beta);
            let [x, noise, value, loss] = [x, noise, bound.value, bound.loss].map(Var::slot);
            let (beta, feed) = (beta.map(Var::slot), bound.feed.map(|feed| feed.map(Var::slot)));
            let (mut tape, grads) = (r.finish(), Grads::zeros(&params));
            let image = |(i, j)| f64::from(u8::from((i + j * j) % 3 == 0));
            tape.input_mut(x).assign(&Array2::from_shape_fn((BATCH, PIXELS), image));
            if let Some(beta) = beta {
                tape.input_mut(beta).fill(0.5);
            }
            Played { params, grads, tape, vae, noise, beta, value, loss, feed }
        }

        fn forward(&mut self, step: u64) -> f64 {
            fill_normal(&mut generator(1, "test", step), self.tape.input_mut(self.noise));
            self.tape.forward(&self.params);
            self.tape.scalar(self.value)
        }

        fn gradient(&mut self, step: u64) -> &[f64] {
            self.forward(step);
            if let Some([weights, normalized]) = self.feed {
                self.tape.feed(normalized, weights);
            }
            self.tape.backward(self.loss, &self.params, &mut self.grads);
            &self.grads.flat
        }
    }

    fn objective(estimator: Estimator, k: usize) -> Objective {
        Objective { estimator, k, ..Objective::default() }
    }

    #[test]
    fn the_default_is_the_elbo_of_the_model() {
        let mut played = Played::new(Objective::default());
        let value = played.forward(7);
        let r = Recorder::new(&played.params);
        let (x, noise) = (r.input([BATCH, PIXELS]), r.input([BATCH, LATENT]));
        let elbo = played.vae.elbo(x, noise);
        let (loss, x, noise) = ((elbo.reconstruction + elbo.kl).mean().slot(), x.slot(), noise.slot());
        let mut tape = r.finish();
        tape.input_mut(x).assign(&played.tape.value(Slot::Node(0)));
        tape.input_mut(noise).assign(&played.tape.value(played.noise));
        tape.forward(&played.params);
        assert_eq!(tape.scalar(loss), value);
    }

    /// The gradients of what is itself minimized, by finite differences.
    #[test]
    fn the_gradient_of_every_differentiable_objective_is_right_for_every_parameter() {
        let [elbo, iwae] = [Estimator::Elbo, Estimator::Iwae].map(|estimator| [1, 3].map(|k| objective(estimator, k)));
        let free = Objective { free_bits: 0.4, k: 2, ..Objective::default() };
        let weighted = [free, iwae[1]].map(|objective| Objective { weighted: true, ..objective });
        for objective in elbo.into_iter().chain(iwae).chain([free]).chain(weighted) {
            let mut played = Played::new(objective);
            let gradient = played.gradient(5).to_vec();
            for (i, gradient) in gradient.into_iter().enumerate() {
                let (theta, h) = (played.params.flat[i], 1e-5);
                let [above, below] = [theta + h, theta - h].map(|theta| {
                    played.params.flat[i] = theta;
                    played.forward(5)
                });
                played.params.flat[i] = theta;
                let difference = (above - below) / (2.0 * h);
                assert!((gradient - difference).abs() < 1e-7, "{objective:?}: {gradient} {difference}");
            }
        }
    }

    /// Mean and standard error of the gradient over this much noise.
    fn expected_gradient(objective: Objective, draws: u64) -> (Vec<f64>, Vec<f64>) {
        let mut played = Played::new(objective);
        let n = draws as f64;
        let mut sums = vec![[0.0; 2]; played.params.flat.len()];
        for step in 0..draws {
            for (sum, g) in sums.iter_mut().zip(played.gradient(step)) {
                *sum = [sum[0] + g, sum[1] + g * g];
            }
        }
        let error = |[sum, squares]: [f64; 2]| ((squares / n - (sum / n).powi(2)).max(0.0) / n).sqrt();
        (sums.iter().map(|sum| sum[0] / n).collect(), sums.into_iter().map(error).collect())
    }

    #[test]
    fn every_estimator_has_the_gradient_of_its_own_bound_on_average() {
        let pairs = [
            (objective(Estimator::Stl, 1), Objective::default()),
            (objective(Estimator::Reinforce, 1), Objective::default()),
            (objective(Estimator::Reinforce, 4), Objective::default()),
            (objective(Estimator::Iwae, 1), Objective::default()),
            (objective(Estimator::Dreg, 5), objective(Estimator::Iwae, 5)),
            (
                Objective { weighted: true, ..objective(Estimator::Reinforce, 3) },
                Objective { weighted: true, ..Objective::default() },
            ),
        ];
        for (estimate, of) in pairs {
            let (mean, error) = expected_gradient(estimate, 4_000);
            let (truth, truth_error) = expected_gradient(of, 4_000);
            for i in 0..mean.len() {
                // Of some hundred comparisons, none is off by 4.5 standard errors.
                let allowed = 4.5 * error[i].hypot(truth_error[i]) + 1e-12;
                assert!((mean[i] - truth[i]).abs() < allowed, "{estimate:?}, number {i}: {} {}", mean[i], truth[i]);
            }
        }
    }

    #[test]
    fn sticking_the_landing_is_biased_with_more_samples_than_one() {
        let (mean, error) = expected_gradient(objective(Estimator::Stl, 5), 4_000);
        let (truth, truth_error) = expected_gradient(objective(Estimator::Iwae, 5), 4_000);
        let off = |i: usize| (mean[i] - truth[i]).abs() / error[i].hypot(truth_error[i]).max(1e-12);
        assert!((0..mean.len()).map(off).fold(0.0, f64::max) > 6.0);
    }

    /// With `q(z | x)` the posterior – here the prior, and a decoder that does not listen – there is nothing to learn, and sticking
    /// the landing says so at every sample; the total gradient says so on average only.
    #[test]
    fn sticking_the_landing_has_no_noise_at_the_posterior() {
        let at_the_posterior = |estimator| {
            let mut played = Played::new(objective(estimator, 1));
            for layer in [&played.vae.mean, &played.vae.log_var, &played.vae.decoder[0]] {
                played.params.view_mut(layer.weight).fill(0.0);
                played.params.view_mut(layer.bias).fill(0.0);
            }
            played.gradient(3);
            let encoder = [played.vae.mean.bias, played.vae.log_var.bias];
            encoder.iter().flat_map(|&p| played.grads.view(p).to_owned()).fold(0.0, |m: f64, g| m.max(g.abs()))
        };
        assert!(at_the_posterior(Estimator::Stl) < 1e-15);
        assert!(at_the_posterior(Estimator::Iwae) > 0.01);
    }

    #[test]
    fn double_reparameterization_changes_the_gradient_of_the_encoder_and_not_of_the_decoder() {
        let mut dreg = Played::new(objective(Estimator::Dreg, 4));
        let mut iwae = Played::new(objective(Estimator::Iwae, 4));
        dreg.gradient(1);
        iwae.gradient(1);
        let largest_difference = |weight: autograd::Param| {
            let [d, i] = [&dreg, &iwae].map(|played| played.grads.view(weight).to_owned());
            (d - i).iter().fold(0.0, |m: f64, g| m.max(g.abs()))
        };
        assert!(
            largest_difference(iwae.vae.logits.weight) < 1e-14
                && largest_difference(iwae.vae.decoder[0].weight) < 1e-14
        );
        assert!(largest_difference(iwae.vae.mean.weight) > 1e-3);
        let mut stl = Played::new(objective(Estimator::Stl, 1));
        assert_eq!(Played::new(objective(Estimator::Dreg, 1)).gradient(2), stl.gradient(2), "with one sample");
    }

    #[test]
    fn double_reparameterization_has_less_noise_in_the_encoder() {
        let variance = |estimator| {
            let (_, error) = expected_gradient(objective(estimator, 20), 200);
            let played = Played::new(objective(estimator, 20));
            let layer = played.params.layout.range(played.vae.mean.weight);
            error[layer].iter().map(|e| e * e).sum::<f64>()
        };
        let [iwae, dreg] = [Estimator::Iwae, Estimator::Dreg].map(variance);
        assert!(dreg < 0.5 * iwae, "{dreg} {iwae}");
    }

    #[test]
    fn bounds_tighten_with_samples_and_beta_weighs_the_kl() {
        let mean = |objective: Objective| {
            let mut played = Played::new(objective);
            (0..2_000).map(|step| played.forward(step)).sum::<f64>() / 2_000.0
        };
        let [one, five, fifty] = [1, 5, 50].map(|k| mean(objective(Estimator::Iwae, k)));
        assert!(one > five && five > fifty, "{one} {five} {fifty}");
        let mut half = Played::new(Objective { weighted: true, ..Objective::default() });
        let with_half = half.forward(1);
        half.tape.input_mut(half.beta.unwrap()).fill(1.0);
        let with_one = half.forward(1);
        half.tape.input_mut(half.beta.unwrap()).fill(0.0);
        let reconstruction = half.forward(1);
        assert!((with_half - 0.5 * (with_one + reconstruction)).abs() < 1e-12 && with_one > reconstruction);
    }

    #[test]
    fn free_bits_cost_their_number_however_small_the_kl_is() {
        let free = |free_bits| Played::new(Objective { free_bits, ..Objective::default() }).forward(1);
        let nothing = Played::new(Objective::default()).forward(1);
        assert!((free(1e-9) - nothing).abs() < 1e-6);
        // Beyond every dimension's KL the price no longer depends on it.
        assert!((free(60.0) - free(50.0) - 20.0).abs() < 1e-9);
    }

    #[test]
    fn names_are_read_as_they_are_written() {
        for estimator in Estimator::ALL {
            assert_eq!(estimator.to_string().parse(), Ok(estimator));
        }
        assert_eq!(
            "vimco".parse::<Estimator>().unwrap_err(),
            "expected elbo, iwae, dreg, stl or reinforce, found `vimco`"
        );
        assert_eq!([Estimator::Dreg.bound(5), Estimator::Reinforce.bound(5)], ["L_5", "ELBO"]);
    }
}
