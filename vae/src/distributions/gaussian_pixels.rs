//! Grey or coloured pixels with Gaussian noise of one variance.

use autograd::kernels::math;
use autograd::ops::{Function2, RowSumOf};
use autograd::{Grads, Param, Params, Real, Var, View};
use datasets::Generator;
use ndarray::Array2;

use super::{Distribution, GaussianFixed, LN_2PI};

/// Independent numbers `N(σ(l), e^s)` in each pixel, with means between 0 and 1 given by their logits `l`, and one log-variance
/// `s` for all numbers of all images: the σ-VAE of Rybkin, Daniilidis and Levine (2021).
///
/// It is a density: of images whose noise is small, `log p` is positive, and `−ELBO` negative. Numbers are 8-bit levels over
/// 255, so densities of more than 255 per number (`5.5` nats) say nothing about images.
#[derive(Clone, Copy, Debug)]
pub struct GaussianPixels<'r, T: Real = f32> {
    /// `l`, any numbers, `[batch, numbers]`
    pub logits: Var<'r, T>,
    /// `s`, `[1, 1]`
    pub log_var: Var<'r, T>,
}

impl<'r, T: Real> GaussianPixels<'r, T> {
    /// The mean of each number, `σ(l)`.
    pub fn mean(&self) -> Var<'r, T> {
        self.logits.sigmoid()
    }
}

impl GaussianPixels<'_> {
    /// One draw for each logit: any number, for noise does not stop at black and white.
    pub fn sample(logits: View<f32>, log_var: f32, randomness: &mut Generator) -> Array2<f32> {
        GaussianFixed::sample(logits, math::exp(0.5 * log_var), randomness)
    }
}

impl<'r, T: Real> Distribution<'r, T> for GaussianPixels<'r, T> {
    /// `log p(x) = −½ (n (ln 2π + s) + Σⱼ (σ(lⱼ) − xⱼ)² / e^s)` for images of `n` numbers
    fn log_prob(&self, x: Var<'r, T>) -> Var<'r, T> {
        let n = x.shape()[1] as f64;
        let error = Var::apply(RowSumOf(SquaredErrorOfLogit), [self.logits, x]);
        (error * (-self.log_var).exp() + (self.log_var + LN_2PI) * n) * -0.5
    }
}

/// `e = (σ(l) − x)²`, and so, with `p = σ(l)`, `dl = 2 (p − x) p (1 − p)` and `dx = −2 (p − x)`.
pub struct SquaredErrorOfLogit;

impl<T: Real> Function2<T> for SquaredErrorOfLogit {
    const NAME: &'static str = "log_prob";

    #[inline(always)]
    fn f(&self, logit: T, x: T) -> T {
        let error = math::sigmoid(logit) - x;
        error * error
    }
    #[inline(always)]
    fn da(&self, logit: T, x: T) -> T {
        let p = math::sigmoid(logit);
        T::of(2.0) * (p - x) * p * (T::one() - p)
    }
    #[inline(always)]
    fn db(&self, logit: T, x: T) -> T {
        T::of(2.0) * (x - math::sigmoid(logit))
    }
}

/// The variance of rounding to 8 bits, `1/(12·255²)`: the least that a variance is set to.
pub(super) const ROUNDING: f64 = 1.0 / (12.0 * 255.0 * 255.0);

/// How many batches the optimal variance is averaged over. Few, for it falls as the decoder learns; and of as many
/// numbers as a batch has, a mean is precise.
const MEMORY: f64 = 10.0;

/// The log-variance after update `t` (from 1), for images of `n` numbers: not a step down the gradient, which takes
/// thousands, but its closed-form optimum `σ² = mean (σ(l) − x)²` (equation 8 there), averaged over all batches so far
/// and, later, over the last ten or so.
///
/// The optimum can be read off the gradient, `∂(−log p)/∂s = n/2 (1 − mean (σ(l) − x)²/σ²)`.
pub(super) fn optimal_log_var(log_var: Param, n: usize, params: &Params, grads: &Grads, t: u64) -> f32 {
    let s = f64::from(params.view(log_var)[[0, 0]]);
    let gradient = f64::from(grads.view(log_var)[[0, 0]]);
    let optimum_over_current = 1.0 - 2.0 * gradient / n as f64;
    let rate = (1.0 / t as f64).max(1.0 / MEMORY);
    let variance = s.exp() * (1.0 + rate * (optimum_over_current - 1.0));
    variance.max(ROUNDING).ln() as f32
}

#[cfg(test)]
mod tests {
    use super::*;
    use autograd::Recorder;
    use autograd::check::{gradients, same};
    use ndarray::array;

    #[test]
    fn gradient() {
        gradients([[3, 4], [1, 1], [3, 4]], |[logits, log_var, x]| GaussianPixels { logits, log_var }.log_prob(x));
    }

    #[test]
    fn the_fused_form_equals_the_product_of_normal_densities() {
        same(
            [[3, 2], [1, 1], [3, 2]],
            |[logits, log_var, x]| GaussianPixels { logits, log_var }.log_prob(x).exp(),
            |[logits, log_var, x]| {
                let mean = GaussianPixels { logits, log_var }.mean();
                let s = log_var.join(log_var);
                let density = ((x - mean).square() / s.exp() * -0.5).exp() / (s.exp() * std::f64::consts::TAU).sqrt();
                density.columns(0..1) * density.columns(1..2)
            },
        );
    }

    #[test]
    fn the_density_of_a_pixel_integrates_to_one() {
        let n = 20_001;
        let r = Recorder::<f64>::new(&Params::new());
        let (logits, log_var, x) = (r.input([n, 1]), r.input([1, 1]), r.input([n, 1]));
        let p = GaussianPixels { logits, log_var }.log_prob(x).exp().slot();
        let [logits, log_var, x] = [logits, log_var, x].map(Var::slot);
        let mut tape = r.finish();
        tape.input_mut(logits).fill(0.3);
        tape.input_mut(log_var).fill(-2.0);
        tape.input_mut(x).assign(&Array2::from_shape_fn((n, 1), |(i, _)| i as f64 / 1000.0 - 10.0));
        tape.forward(&Params::new());
        assert!((tape.value(p).sum() / 1000.0 - 1.0).abs() < 1e-12);
    }

    #[test]
    fn the_variance_is_set_to_the_mean_squared_error_and_then_to_its_average_over_batches() {
        let mut params = Params::new();
        let log_var = params.add("log_var", array![[0.7f32]]);
        let mut grads = Grads::zeros(&params);
        let r = Recorder::new(&params);
        let (logits, x) = (r.input([2, 3]), r.input([2, 3]));
        let loss = (-GaussianPixels { logits, log_var: r.param(log_var) }.log_prob(x)).mean().slot();
        let [logits, x] = [logits, x].map(Var::slot);
        let mut tape = r.finish();
        tape.input_mut(logits).fill(0.0); // a mean of ½
        let mut after = |error: f32, t| {
            tape.input_mut(x).fill(0.5 + error);
            tape.forward(&params);
            tape.backward(loss, &params, &mut grads);
            let s = optimal_log_var(log_var, 3, &params, &grads, t);
            params.view_mut(log_var).fill(s);
            f64::from(s).exp()
        };
        let close = |found: f64, expected: f64| assert!((found / expected - 1.0).abs() < 1e-5, "{found} {expected}");
        close(after(0.2, 1), 0.04);
        close(after(0.4, 2), 0.10);
        close(after(0.1, 100_000), 0.10 + (0.01 - 0.10) / 10.0);
        close(after(0.0, 1), ROUNDING);
    }
}
