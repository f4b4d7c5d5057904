//! Grey or coloured pixels with Gaussian noise of a variance that is given.

use autograd::ops::RowSumOf;
use autograd::{Real, Var, View};
use datasets::Generator;
use ndarray::Array2;
use rand_distr::{Distribution as _, StandardNormal};

use super::{Distribution, LN_2PI, SquaredErrorOfLogit};

/// Independent numbers `N(σ(l), τ²)`, with means between 0 and 1 given by their logits `l` and a standard deviation that is
/// a constant of the model. It is a squared error, `τ` deciding how much of it weighs as much as the KL.
#[derive(Clone, Copy, Debug)]
pub struct GaussianFixed<'r, T: Real = f32> {
    /// `l`, any numbers, `[batch, numbers]`
    pub logits: Var<'r, T>,
    /// `τ`, positive
    pub std: f64,
}

impl<'r, T: Real> GaussianFixed<'r, T> {
    /// The mean of each number, `σ(l)`.
    pub fn mean(&self) -> Var<'r, T> {
        self.logits.sigmoid()
    }
}

impl GaussianFixed<'_> {
    /// One draw for each logit: any number, for noise does not stop at black and white.
    pub fn sample(logits: View<f32>, std: f32, randomness: &mut Generator) -> Array2<f32> {
        logits.mapv(|logit| {
            let noise: f32 = StandardNormal.sample(randomness);
            autograd::kernels::math::sigmoid(logit) + std * noise
        })
    }
}

impl<'r, T: Real> Distribution<'r, T> for GaussianFixed<'r, T> {
    /// `log p(x) = −½ (n ln 2πτ² + Σⱼ (σ(lⱼ) − xⱼ)² / τ²)` for images of `n` numbers
    fn log_prob(&self, x: Var<'r, T>) -> Var<'r, T> {
        let (n, variance) = (x.shape()[1] as f64, self.std * self.std);
        let error = Var::apply(RowSumOf(SquaredErrorOfLogit), [self.logits, x]);
        error * (-0.5 / variance) - 0.5 * n * (LN_2PI + variance.ln())
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{assert_means, compute};
    use super::*;
    use autograd::check::{gradients, same};
    use datasets::generator;

    #[test]
    fn gradient() {
        gradients([[3, 4], [3, 4]], |[logits, x]| GaussianFixed { logits, std: 0.3 }.log_prob(x));
    }

    #[test]
    fn the_fused_form_equals_the_product_of_normal_densities() {
        same(
            [[3, 2], [3, 2]],
            |[logits, x]| GaussianFixed { logits, std: 0.7 }.log_prob(x).exp(),
            |[logits, x]| {
                let z = (x - logits.sigmoid()) / 0.7;
                let density = (z.square() * -0.5).exp() / (0.7 * std::f64::consts::TAU.sqrt());
                density.columns(0..1) * density.columns(1..2)
            },
        );
    }

    #[test]
    fn the_density_of_a_pixel_integrates_to_one() {
        let x = Array2::from_shape_fn((20_001, 1), |(i, _)| i as f64 / 10_000.0 - 0.5);
        let p = compute([Array2::zeros((20_001, 1)), x], |[logits, x]| {
            GaussianFixed { logits, std: 0.08 }.log_prob(x).exp()
        });
        assert!((p.sum() / 10_000.0 - 1.0).abs() < 1e-9);
    }

    #[test]
    fn samples_have_mean_and_variance() {
        let samples = GaussianFixed::sample(Array2::zeros((20_000, 2)).view(), 0.2, &mut generator(1, "test", 0));
        assert_means(&samples, &ndarray::array![[0.5, 0.5]]);
        assert_means(&samples.mapv(|x| (x - 0.5).powi(2)), &ndarray::array![[0.04, 0.04]]);
    }
}
