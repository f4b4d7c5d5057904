//! Grey or coloured pixels, each with Gaussian noise of its own variance.

use autograd::kernels::math;
use autograd::ops::{Function3, RowSumOf3};
use autograd::{Real, Var, View};
use datasets::Generator;
use ndarray::{Array2, Zip};
use rand_distr::{Distribution as _, StandardNormal};

use super::gaussian_pixels::ROUNDING;
use super::{Distribution, LN_2PI};

/// Independent numbers `N(σ(l), ρ + e^s)`, with means between 0 and 1 given by their logits `l`.
///
/// `ρ = 1/(12·255²)` is the variance that rounding to 8 bits adds to whatever was rounded. Without it the density of a pixel
/// that is always black has no bound, and training would look for nothing else; with it, no number's exceeds `5.9` nats.
#[derive(Clone, Copy, Debug)]
pub struct GaussianPerPixel<'r, T: Real = f32> {
    /// `l`, any numbers, `[batch, numbers]`
    pub logits: Var<'r, T>,
    /// `s`, the logarithm of the variance before rounding, any numbers, `[batch, numbers]`
    pub log_var: Var<'r, T>,
}

impl<'r, T: Real> GaussianPerPixel<'r, T> {
    /// The mean of each number, `σ(l)`.
    pub fn mean(&self) -> Var<'r, T> {
        self.logits.sigmoid()
    }
}

impl GaussianPerPixel<'_> {
    /// One draw for each pair of a logit and a log-variance: any number, for noise does not stop at black and white.
    pub fn sample(logits: View<f32>, log_var: View<f32>, randomness: &mut Generator) -> Array2<f32> {
        Zip::from(logits).and(log_var).map_collect(|&logit, &s| {
            let noise: f32 = StandardNormal.sample(randomness);
            math::sigmoid(logit) + math::exp(log_of_total(s) * 0.5) * noise
        })
    }
}

impl<'r, T: Real> Distribution<'r, T> for GaussianPerPixel<'r, T> {
    fn log_prob(&self, x: Var<'r, T>) -> Var<'r, T> {
        Var::apply(RowSumOf3(GaussianPerPixelLogProb), [self.logits, self.log_var, x])
    }
}

/// `log p(x) = −½ (ln 2πv + (p − x)²/v)` with `p = σ(l)` and `v = ρ + e^s`, and so `dl = (x − p)/v · p(1 − p)`,
/// `ds = ½ ((p − x)²/v − 1) · e^s/v` and `dx = (p − x)/v`.
pub struct GaussianPerPixelLogProb;

impl<T: Real> Function3<T> for GaussianPerPixelLogProb {
    const NAME: &'static str = "log_prob";

    #[inline(always)]
    fn f(&self, logit: T, log_var: T, x: T) -> T {
        let (error, log_v) = (math::sigmoid(logit) - x, log_of_total(log_var));
        T::of(-0.5) * (T::of(LN_2PI) + log_v + error * error * math::exp(-log_v))
    }
    #[inline(always)]
    fn da(&self, logit: T, log_var: T, x: T) -> T {
        let p = math::sigmoid(logit);
        self.dc(logit, log_var, x) * p * (p - T::one())
    }
    #[inline(always)]
    fn db(&self, logit: T, log_var: T, x: T) -> T {
        let error = math::sigmoid(logit) - x;
        let excess = error * error * math::exp(-log_of_total(log_var)) - T::one();
        // e^s/(ρ + e^s) = σ(s − ln ρ)
        T::of(0.5) * excess * math::sigmoid(log_var - T::of(ROUNDING.ln()))
    }
    #[inline(always)]
    fn dc(&self, logit: T, log_var: T, x: T) -> T {
        (math::sigmoid(logit) - x) * math::exp(-log_of_total(log_var))
    }
}

/// `ln(ρ + e^s) = ln ρ + ln(1 + e^{s − ln ρ})`, which overflows for no `s`.
#[inline(always)]
fn log_of_total<T: Real>(log_var: T) -> T {
    let log_rounding = T::of(ROUNDING.ln());
    log_rounding + math::softplus(log_var - log_rounding)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{assert_means, compute};
    use super::*;
    use autograd::check::{gradients, gradients_in, same};
    use datasets::generator;

    #[test]
    fn gradient() {
        gradients([[3, 4]; 3], |[logits, log_var, x]| GaussianPerPixel { logits, log_var }.log_prob(x));
        // Where rounding has most of the variance.
        gradients_in(-0.4..0.4, [[3, 4]; 3], |[logits, s, x]| {
            GaussianPerPixel { logits, log_var: s * 5.0 - 13.0 }.log_prob(x) * 1e-3
        });
    }

    #[test]
    fn the_fused_form_equals_the_product_of_normal_densities() {
        same(
            [[3, 2]; 3],
            |[logits, log_var, x]| GaussianPerPixel { logits, log_var }.log_prob(x).exp(),
            |[logits, log_var, x]| {
                let v = log_var.exp() + 1.0 / (12.0 * 255.0 * 255.0);
                let density = ((x - logits.sigmoid()).square() / v * -0.5).exp() / (v * std::f64::consts::TAU).sqrt();
                density.columns(0..1) * density.columns(1..2)
            },
        );
    }

    #[test]
    fn the_density_of_a_pixel_integrates_to_one() {
        for log_var in [-40.0f64, -13.0, -4.0] {
            let x = Array2::from_shape_fn((200_001, 1), |(i, _)| i as f64 / 100_000.0 - 0.5);
            let [logits, log_var] = [0.3, log_var].map(|number| Array2::from_elem((200_001, 1), number));
            let p = compute([logits, log_var, x], |[logits, log_var, x]| {
                GaussianPerPixel { logits, log_var }.log_prob(x).exp()
            });
            assert!((p.sum() / 100_000.0 - 1.0).abs() < 1e-3);
        }
    }

    #[test]
    fn the_density_is_bounded_and_its_slope_vanishes_where_nothing_is_to_be_gained() {
        let f = GaussianPerPixelLogProb;
        let best = f.f(0.0f32, -1e4, 0.5);
        assert!((best - 5.87).abs() < 0.01, "{best}");
        assert_eq!(f.db(0.0, -1e4, 0.5), 0.0);
        for s in [-1e30f32, 1e4] {
            let numbers = [f.f(1e4, s, 0.0), f.da(1e4, s, 0.0), f.db(1e4, s, 0.0), f.dc(1e4, s, 0.0)];
            assert!(numbers.iter().all(|x| x.is_finite()), "{numbers:?} at {s}");
        }
    }

    #[test]
    fn samples_have_mean_and_variance() {
        let n = 20_000;
        let log_var = Array2::from_shape_fn((n, 2), |(_, j)| [-4.0, -30.0][j]);
        let samples =
            GaussianPerPixel::sample(Array2::zeros((n, 2)).view(), log_var.view(), &mut generator(1, "test", 0));
        assert_means(&samples, &ndarray::array![[0.5, 0.5]]);
        let expected = ndarray::array![[(-4f64).exp() + ROUNDING, ROUNDING]];
        assert_means(&samples.mapv(|x| 1e3 * (x - 0.5).powi(2)), &(expected * 1e3));
    }
}
