//! `log p(x)` between two bounds: annealed importance sampling (Neal 2001), forth and back.
//!
//! From the prior to the posterior there is a path of distributions, `f_β(z) ∝ p(z) p(x | z)^β` for `β` from 0 to 1. A chain
//! starts at a draw from the prior, and goes along with it: before each step of `β` it takes the weight
//! `p(x | z)^Δβ`, after it, it moves by a transition that leaves `f_β` as it is. The product of these is a weight `w` with
//! `E[w] = p(x)` whatever the transitions are worth, so `log w` is a lower bound of `log p(x)` on the average.
//!
//! The same chain backwards, from a draw from the true posterior to the prior, gives `E[1/w] = 1/p(x)`, and so an upper bound
//! (bidirectional Monte Carlo; Grosse, Ghahramani and Adams 2015). Nobody can draw from the posterior of a photograph, but
//! of an image that was itself drawn from the model, by `z ~ p(z)` and then `x ~ p(x | z)`, that `z` is such a draw. On
//! those images the two bounds say how far to trust the lower one on others.
//!
//! The path begins at the prior, not at the encoder's `q(z | x)`, so that what comes out is about the decoder alone: where an
//! encoder has lost a mode, so would a path that starts there. The encoder only says how far to step in which dimension.

use autograd::kernels::parallel;
use autograd::{Grads, Param, Params, Recorder, Slot, Tape};
use datasets::{Generator, Images};
use ndarray::{Array2, ArrayView2, Axis, Zip, concatenate, s};
use rand::RngExt;
use serde::Serialize;

use super::importance::LogMean;
use crate::checkpoint::Model;
use crate::distributions::Distribution;
use crate::generate;
use crate::noise::{Purpose, fill_normal};

/// Leapfrog steps of a transition.
const LEAPFROG: usize = 4;

/// The mean probability of acceptance that step sizes are adapted to.
const ACCEPT: f64 = 0.8;

/// Places along the path at which a step size is found; between them it is interpolated.
const PLACES: usize = 50;

/// Transitions at each place to find it.
const TRIALS: usize = 8;

/// Chains that go through the decoder together: enough rows for its products to be fast.
const TOGETHER: usize = 128;

/// How much is to be computed.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Effort {
    /// Steps of `β` from the prior to the posterior.
    pub steps: usize,
    /// Chains of each image.
    pub chains: usize,
    /// Images: the first of those given, and as many drawn from the model.
    pub images: usize,
}

impl Effort {
    /// How many calls of `progress` there will be, each image's steps counted one by one.
    pub fn total(&self) -> usize {
        3 * self.images * self.steps
    }
}

/// What annealed importance sampling says, in nats per image.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Annealed {
    /// What was computed.
    #[serde(flatten)]
    pub effort: Effort,
    /// The mean over the images of `−log p(x)`: at most this, on the average.
    pub negative_log_p: f64,
    /// Its standard error: of the mean over images, as a sample of all there might be.
    pub negative_log_p_se: f64,
    /// The share of the proposals that the chains of these images have accepted.
    pub acceptance: f64,
    /// The same of images drawn from the model, where there is a bound on the other side too.
    pub simulated: Sandwich,
}

/// `−log p(x)` of images drawn from the model, the mean over the images.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Sandwich {
    /// It is at least this, on the average: from the chains that go back.
    pub at_least: f64,
    /// It is at most this, on the average: from the chains that go forth.
    pub at_most: f64,
    /// The distance of the two.
    pub gap: f64,
    /// The standard error of the distance.
    pub gap_se: f64,
}

/// Estimates `−log p(x)` of images and of others drawn from the model. Nothing of it depends on the number of threads.
/// `progress` is told how many steps of images have been made.
///
/// # Panics
/// If the effort is nothing, there are not as many images, or they have another size than the model's.
pub fn anneal(model: &Model, images: &Images, effort: Effort, progress: impl Fn(usize) + Sync) -> Annealed {
    assert!(effort.steps > 0 && effort.chains > 0 && effort.images > 0, "nothing comes of nothing");
    assert!(effort.images <= images.len(), "not as many images");
    let x = generate::first_images(model, images, effort.images);
    let steps = step_sizes(model, x.view(), &effort);
    let found = run(model, x.view(), &Start::Prior, &effort, &steps, &progress);

    let (codes, simulated) = simulate(model, x.view());
    let steps = step_sizes(model, simulated.view(), &effort);
    let forth = run(model, simulated.view(), &Start::Prior, &effort, &steps, &progress);
    let back = run(model, simulated.view(), &Start::Posterior(codes.view()), &effort, &steps, &progress);
    let gaps: Vec<f64> = back.log_p.iter().zip(&forth.log_p).map(|(upper, lower)| upper - lower).collect();

    let ([log_p, negative_log_p_se], [gap, gap_se]) = (mean(&found.log_p), mean(&gaps));
    let sandwich = Sandwich { at_least: -mean(&back.log_p)[0], at_most: -mean(&forth.log_p)[0], gap, gap_se };
    Annealed { effort, negative_log_p: -log_p, negative_log_p_se, acceptance: found.acceptance, simulated: sandwich }
}

/// The mean and its standard error.
pub(super) fn mean(x: &[f64]) -> [f64; 2] {
    let n = x.len() as f64;
    let mean = x.iter().sum::<f64>() / n;
    let variance = x.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / (n - 1.0).max(1.0);
    [mean, (variance / n).sqrt()]
}

/// Draws as many codes from the prior as there are images, and an image from each.
fn simulate(model: &Model, like: ArrayView2<f32>) -> (Array2<f32>, Array2<f32>) {
    let mut randomness = Purpose::Simulation.generator(model.config.seed, 0);
    let mut codes = Array2::zeros((like.nrows(), model.config.latent));
    fill_normal(&mut randomness, codes.view_mut());
    let outputs = generate::outputs(model, codes.view());
    let images = model.vae.likelihood.sample(&model.params, outputs.view(), like, &mut randomness);
    (codes, images)
}

/// Where chains start.
enum Start<'a> {
    /// At draws from the prior; they end at the posterior.
    Prior,
    /// At these draws from the posterior, one for each image; they end at the prior.
    Posterior(ArrayView2<'a, f32>),
}

/// What chains have found.
struct Found {
    /// An estimate of `log p(x)` for each image.
    log_p: Vec<f64>,
    /// The share of accepted proposals.
    acceptance: f64,
}

/// `β` before step number `t` of so many, from 0 to 1: along a sigmoid, slowly at both ends (Wu et al. 2017).
fn beta(t: usize, steps: usize) -> f64 {
    let sigmoid = |t: usize| 1.0 / (1.0 + (-4.0 * (2.0 * t as f64 / steps as f64 - 1.0)).exp());
    (sigmoid(t) - sigmoid(0)) / (sigmoid(steps) - sigmoid(0))
}

/// Runs the chains of all images, some images at a time.
fn run(
    model: &Model,
    x: ArrayView2<f32>,
    start: &Start,
    effort: &Effort,
    steps: &[f64],
    progress: &(impl Fn(usize) + Sync),
) -> Found {
    let Effort { steps: total, chains: each, .. } = *effort;
    let together = (TOGETHER / each).max(1);
    let groups = parallel::map(
        x.nrows().div_ceil(together),
        || (),
        |(), group| {
            let of_group = s![group * together..((group + 1) * together).min(x.nrows()), ..];
            let number = (group as u64) << 2 | if matches!(start, Start::Prior) { 1 } else { 2 };
            let randomness = Purpose::Annealing.generator(model.config.seed, number);
            let mut chains = Chains::new(model, x.slice(of_group), each, randomness);
            let sign = match start {
                Start::Prior => 1.0,
                Start::Posterior(codes) => {
                    chains.start_at(codes.slice(of_group));
                    -1.0
                }
            };
            let mut log_weights = vec![0.0; chains.rows()];
            let mut accepted = 0.0;
            for i in 0..total {
                // The weight of going from β at t to β at t + 1, and back; there is no need to move after the last.
                let t = if sign > 0.0 { i } else { total - 1 - i };
                let difference = beta(t + 1, total) - beta(t, total);
                for (w, &log_likelihood) in log_weights.iter_mut().zip(&chains.log_likelihood) {
                    *w += sign * difference * log_likelihood;
                }
                if i + 1 < total {
                    let t = if sign > 0.0 { t + 1 } else { t };
                    accepted += chains.transition(beta(t, total), interpolate(steps, t as f64 / total as f64));
                }
                progress(chains.rows() / each);
            }
            let log_p = |weights: &[f64]| {
                let mut log_mean = LogMean::default();
                weights.iter().for_each(|&w| log_mean.add(w));
                sign * log_mean.log_mean()
            };
            (log_weights.chunks(each).map(log_p).collect::<Vec<_>>(), accepted / (total - 1).max(1) as f64)
        },
    );
    let acceptance = groups.iter().map(|(log_p, accepted)| log_p.len() as f64 * accepted).sum::<f64>();
    Found { log_p: groups.into_iter().flat_map(|group| group.0).collect(), acceptance: acceptance / x.nrows() as f64 }
}

/// The step sizes at places along the path, found with chains of their own on the first images: those that count must not
/// choose theirs.
fn step_sizes(model: &Model, x: ArrayView2<f32>, effort: &Effort) -> Vec<f64> {
    let first = (TOGETHER / effort.chains).clamp(1, x.nrows());
    let randomness = Purpose::Annealing.generator(model.config.seed, 0);
    let mut chains = Chains::new(model, x.slice(s![..first, ..]), effort.chains, randomness);
    let mut step = 0.5f64;
    let place = |t: usize| {
        // What moves the chains along from place to place also finds the size.
        for _ in 0..TRIALS {
            let accepted = chains.transition(beta(t, PLACES), step);
            step = (step * (accepted - ACCEPT).exp()).clamp(1e-4, 2.0);
        }
        step
    };
    (0..=PLACES).map(place).collect()
}

/// The step size at a share of the path.
fn interpolate(steps: &[f64], share: f64) -> f64 {
    let at = share * (steps.len() - 1) as f64;
    let (below, above) = (steps[at.floor() as usize], steps[at.ceil() as usize]);
    below + (above - below) * at.fract()
}

/// Markov chains on the codes of some images, moved by Hamiltonian Monte Carlo (Neal 2011).
struct Chains {
    tape: Tape,
    /// The model's, and the codes: what a gradient is to be had for must be a parameter.
    params: Params,
    grads: Grads,
    /// The codes, a row for each chain, the chains of an image one below the other.
    z: Param,
    /// `log p(x | z)`, a column, and its sum.
    column: Slot,
    sum: Slot,
    /// `σ²` of `q(z | x)`, by which steps are scaled.
    variance: Array2<f32>,
    /// `log p(x | z)` at the codes, and its gradient.
    log_likelihood: Vec<f64>,
    gradient: Array2<f32>,
    randomness: Generator,
}

impl Chains {
    /// So many chains for each of the images, at draws from the prior.
    fn new(model: &Model, x: ArrayView2<f32>, each: usize, mut randomness: Generator) -> Chains {
        let repeated = |x: ArrayView2<f32>| {
            let rows: Vec<usize> = (0..x.nrows() * each).map(|row| row / each).collect();
            x.select(Axis(0), &rows)
        };
        let [_, log_var] = generate::posteriors(model, x);
        let mut codes = Array2::zeros((x.nrows() * each, model.config.latent));
        fill_normal(&mut randomness, codes.view_mut());
        let mut params = model.params.clone();
        let z = params.add("chains", codes);

        let r = Recorder::new(&params).learning_only(&[z]);
        let images = r.input([x.nrows() * each, x.ncols()]);
        let log_likelihood = model.vae.decode(r.param(z)).log_prob(images);
        let [images, column, sum] = [images, log_likelihood, log_likelihood.sum()].map(|x| x.slot());
        let mut tape = r.finish();
        tape.input_mut(images).assign(&repeated(x));
        let grads = Grads::zeros(&params);
        let gradient = grads.view(z).to_owned();
        let variance = repeated(log_var.view()).mapv(f32::exp);
        let mut chains =
            Chains { tape, params, grads, z, column, sum, variance, log_likelihood: vec![], gradient, randomness };
        (chains.log_likelihood, chains.gradient) = chains.evaluate();
        chains
    }

    fn rows(&self) -> usize {
        self.gradient.nrows()
    }

    /// Sets the chains of each image to its code.
    fn start_at(&mut self, codes: ArrayView2<f32>) {
        let each = self.rows() / codes.nrows();
        let rows: Vec<ArrayView2<f32>> =
            (0..self.rows()).map(|row| codes.slice(s![row / each..=row / each, ..])).collect();
        self.params.view_mut(self.z).assign(&concatenate(Axis(0), &rows).expect("rows of one width"));
        (self.log_likelihood, self.gradient) = self.evaluate();
    }

    /// `log p(x | z)` and its gradient at the codes as they are.
    fn evaluate(&mut self) -> (Vec<f64>, Array2<f32>) {
        self.tape.forward(&self.params);
        self.tape.backward(self.sum, &self.params, &mut self.grads);
        let log_likelihood = self.tape.value(self.column).iter().map(|&x| f64::from(x)).collect();
        (log_likelihood, self.grads.view(self.z).to_owned())
    }

    /// One transition of every chain that leaves `f_β` as it is: its share of accepted proposals, or rather what is expected
    /// of it.
    fn transition(&mut self, beta: f64, step: f64) -> f64 {
        let z = self.params.view(self.z).to_owned();
        let (beta32, step) = (beta as f32, step as f32);
        // If prior and likelihood are Gaussian, the precision of f_β is that of the prior and β times what x adds to it. It
        // depends on x and β only, so it may be the mass of the coordinates.
        let scale = self.variance.mapv(|variance| (1.0 - beta32 + beta32 / variance).sqrt().recip());
        let mut velocity = Array2::zeros(z.dim());
        fill_normal(&mut self.randomness, velocity.view_mut());
        let before = energies(&z.view(), &velocity, &self.log_likelihood, beta);

        let (mut log_likelihood, mut gradient) = (vec![], self.gradient.clone());
        let mut kick = step / 2.0;
        for i in 0..=LEAPFROG {
            Zip::from(&mut velocity)
                .and(&scale)
                .and(&gradient)
                .and(&self.params.view(self.z))
                .for_each(|velocity, scale, gradient, z| *velocity += kick * scale * (beta32 * gradient - z));
            if i < LEAPFROG {
                let mut z = self.params.view_mut(self.z);
                Zip::from(&mut z)
                    .and(&scale)
                    .and(&velocity)
                    .for_each(|z, scale, velocity| *z += step * scale * velocity);
                (log_likelihood, gradient) = self.evaluate();
                kick = if i + 2 <= LEAPFROG { step } else { step / 2.0 };
            }
        }

        let after = energies(&self.params.view(self.z), &velocity, &log_likelihood, beta);
        let mut acceptance = 0.0;
        for (row, (before, after)) in before.iter().zip(after).enumerate() {
            // Where the energy is not a number, the comparison is false.
            let probability = (before - after).exp().min(1.0);
            acceptance += if probability.is_nan() { 0.0 } else { probability };
            if self.randomness.random::<f64>() < (before - after).exp() {
                self.log_likelihood[row] = log_likelihood[row];
                self.gradient.row_mut(row).assign(&gradient.row(row));
            } else {
                self.params.view_mut(self.z).row_mut(row).assign(&z.row(row));
            }
        }
        acceptance / self.rows() as f64
    }
}

/// `−log f_β(z) + ½ |v|²` of each chain, but for what does not depend on either.
fn energies(z: &ArrayView2<f32>, velocity: &Array2<f32>, log_likelihood: &[f64], beta: f64) -> Vec<f64> {
    let squares = |row: ndarray::ArrayView1<f32>| row.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>();
    let rows = z.rows().into_iter().zip(velocity.rows()).zip(log_likelihood);
    rows.map(|((z, velocity), log_likelihood)| 0.5 * (squares(z) + squares(velocity)) - beta * log_likelihood).collect()
}

#[cfg(test)]
mod tests {
    use super::super::testing::{images, model, quadrature};
    use super::*;

    const EFFORT: Effort = Effort { steps: 60, chains: 20, images: 12 };

    #[test]
    fn on_images_from_the_model_the_bounds_have_the_integral_between_them_and_are_close() {
        let model = model(2);
        let like = generate::first_images(&model, &images(40), 40);
        let (codes, x) = simulate(&model, like.view());
        let truth = quadrature(&model, x.view());
        let steps = step_sizes(&model, x.view(), &EFFORT);
        let errors = |start: Start| {
            let found = run(&model, x.view(), &start, &EFFORT, &steps, &|_| {});
            let errors: Vec<f64> = found.log_p.iter().zip(&truth).map(|(found, truth)| found - truth).collect();
            mean(&errors)
        };
        let ([lower, lower_error], [upper, upper_error]) =
            (errors(Start::Prior), errors(Start::Posterior(codes.view())));
        assert!(lower < 3.0 * lower_error && lower > -0.1, "{lower} ± {lower_error}");
        assert!(upper > -3.0 * upper_error && upper < 0.1, "{upper} ± {upper_error}");
    }

    /// With two steps hardly anything is annealed, and the bounds are far apart: on their own sides.
    #[test]
    fn with_few_steps_the_bounds_are_far_from_the_integral_on_their_own_sides() {
        let model = model(2);
        let like = generate::first_images(&model, &images(40), 40);
        let (codes, x) = simulate(&model, like.view());
        let truth = mean(&quadrature(&model, x.view()))[0];
        let effort = Effort { steps: 2, chains: 1, images: 40 };
        let steps = step_sizes(&model, x.view(), &effort);
        let found = |start: Start| mean(&run(&model, x.view(), &start, &effort, &steps, &|_| {}).log_p)[0];
        let (lower, upper) = (found(Start::Prior), found(Start::Posterior(codes.view())));
        assert!(lower < truth - 0.1 && upper > truth + 0.1, "{lower} {truth} {upper}");
    }

    #[test]
    fn weights_of_one_chain_have_the_integral_as_their_mean() {
        let model = model(2);
        let x = generate::first_images(&model, &images(3), 3);
        let effort = Effort { steps: 5, chains: 2000, images: 3 };
        let found = run(&model, x.view(), &Start::Prior, &effort, &[0.6, 0.6], &|_| {});
        for (found, truth) in found.log_p.iter().zip(quadrature(&model, x.view())) {
            // The weights vary by about their mean, so their mean by 2 %.
            assert!((found - truth).abs() < 0.07, "{found} {truth}");
        }
    }

    #[test]
    fn the_transitions_leave_the_posterior_as_it_is() {
        // Of a model that says nothing of x it is the prior, of unit variance; and steps are too long to be accepted always.
        let mut model = model(2);
        model.params.view_mut(model.vae.logits.weight).fill(0.0);
        let x = generate::first_images(&model, &images(1), 1);
        let mut chains = Chains::new(&model, x.view(), 4000, Purpose::Annealing.generator(1, 9));
        let accepted = (0..20).map(|_| chains.transition(1.0, 1.2)).sum::<f64>() / 20.0;
        assert!(accepted > 0.3 && accepted < 0.99, "{accepted}");
        let z = chains.params.view(chains.z);
        // Standard errors: 0.011 for the mean, 0.016 for the variance.
        assert!(
            z.mean().unwrap().abs() < 0.04 && (z.var(1.0) - 1.0).abs() < 0.06,
            "{} {}",
            z.mean().unwrap(),
            z.var(1.0)
        );
    }

    #[test]
    fn nothing_depends_on_the_threads() {
        let (model, images) = (model(3), images(17));
        let effort = Effort { steps: 4, chains: 16, images: 17 };
        let on = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let counted = std::sync::atomic::AtomicUsize::new(0);
            let count = |n| _ = counted.fetch_add(n, std::sync::atomic::Ordering::Relaxed);
            let annealed = pool.install(|| anneal(&model, &images, effort, count));
            assert_eq!(counted.into_inner(), effort.total());
            annealed
        };
        let first = on(1);
        assert_eq!(on(3), first);
        assert!((first.simulated.at_most - first.simulated.at_least - first.simulated.gap).abs() < 1e-9);
    }
}
