//! Black or white pixels.

use autograd::kernels::{each, math, parallel, reduce};
use autograd::ops::{Function2, RowSumOf};
use autograd::{Op, Real, Shape, Sink, Var, View, ViewMut};
use datasets::Generator;
use ndarray::Array2;
use rand::RngExt;

use super::Distribution;

/// Independent pixels that are 1 with probability `σ(l)`, given by their logits `l`.
///
/// It is a likelihood of black and white pixels only. Of grey levels in `[0, 1]` the same expression is a
/// cross-entropy: a useful loss, as in PyTorch's example, but no probability of the data.
#[derive(Clone, Copy, Debug)]
pub struct Bernoulli<'r, T: Real = f32> {
    /// `l`, any numbers, `[batch, pixels]`
    pub logits: Var<'r, T>,
}

impl<'r, T: Real> Bernoulli<'r, T> {
    /// The probability of each pixel, `σ(l)`.
    pub fn mean(&self) -> Var<'r, T> {
        self.logits.sigmoid()
    }
}

impl Bernoulli<'_> {
    /// One draw for each logit: 1 where `u`, uniform in `[0, 1)`, is below `σ(l)`, else 0.
    pub fn sample(logits: View<f32>, randomness: &mut Generator) -> Array2<f32> {
        logits.mapv(|logit| if randomness.random::<f32>() < math::sigmoid(logit) { 1.0 } else { 0.0 })
    }
}

impl<'r, T: Real> Distribution<'r, T> for Bernoulli<'r, T> {
    fn log_prob(&self, x: Var<'r, T>) -> Var<'r, T> {
        Var::apply(BernoulliLogProbs, [self.logits, x])
    }
}

/// `log p(x) = x·ln σ(l) + (1 − x)·ln(1 − σ(l)) = x·l − ln(1 + eˡ)` of one pixel, and so `dl = x − σ(l)` and `dx = l`.
///
/// Computed from the logits: `ln σ(l)` of a probability that was rounded to 0 would be `−∞`.
pub struct BernoulliLogProb;

impl<T: Real> Function2<T> for BernoulliLogProb {
    const NAME: &'static str = "log_prob";

    #[inline(always)]
    fn f(&self, logit: T, x: T) -> T {
        x * logit - math::softplus(logit)
    }
    #[inline(always)]
    fn da(&self, logit: T, x: T) -> T {
        x - math::sigmoid(logit)
    }
    #[inline(always)]
    fn db(&self, logit: T, _: T) -> T {
        logit
    }
}

/// `RowSumOf(BernoulliLogProb)` with fewer logarithms: `ln(1 + eˡ) = max(l, 0) + ln(1 + e^−|l|)`, and the logarithms of 64 pixels
/// are one of their product. It is exact to a rounding of the sum of a row, not of each pixel.
struct BernoulliLogProbs;

impl<T: Real> Op<T, 2> for BernoulliLogProbs {
    fn shape(&self, xs: [Shape; 2]) -> Result<Shape, String> {
        Op::<T, 2>::shape(&RowSumOf(BernoulliLogProb), xs)
    }

    fn forward(&self, [l, x]: [View<T>; 2], y: ViewMut<T>) {
        let (width, l, x) = (l.ncols(), each::slice(l), each::slice(x));
        parallel::rows(each::slice_mut(y), 1, width, |first, y| {
            for (i, y) in (first..).zip(y) {
                let [l, x] = [l, x].map(|numbers| &numbers[i * width..(i + 1) * width]);
                let linear = reduce::sum(
                    [l, x],
                    #[inline(always)]
                    |[l, x]| x * l - if l > T::zero() { l } else { T::zero() },
                );
                let logs = reduce::sum_of_logs(
                    l,
                    #[inline(always)]
                    |l| T::one() + math::exp_minus_abs(l),
                );
                *y = linear - logs;
            }
        });
    }

    fn backward(&self, xs: [View<T>; 2], y: View<T>, dy: ViewMut<T>, dxs: [Sink<T>; 2]) {
        RowSumOf(BernoulliLogProb).backward(xs, y, dy, dxs);
    }

    fn flops(&self, xs: [Shape; 2]) -> usize {
        Op::<T, 2>::flops(&RowSumOf(BernoulliLogProb), xs)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::assert_means;
    use super::*;
    use autograd::check::{gradients, same};
    use datasets::generator;

    #[test]
    fn gradient() {
        gradients([[3, 4], [3, 4]], |[logits, x]| Bernoulli { logits }.log_prob(x));
        gradients([[3, 4]], |[logits]| Bernoulli { logits }.mean());
    }

    #[test]
    fn the_fused_form_equals_the_definition_from_probabilities() {
        same(
            [[3, 4], [3, 4]],
            |[logits, x]| Bernoulli { logits }.log_prob(x),
            |[logits, x]| {
                let p = Bernoulli { logits }.mean();
                (x * p.ln() + (-x + 1.0) * (-p + 1.0).ln()).row_sum()
            },
        );
    }

    #[test]
    fn the_logarithm_of_products_equals_the_sum_of_logarithms() {
        fn of_pixels<'r>([logits, x]: [Var<'r, f64>; 2]) -> Var<'r, f64> {
            Var::apply(RowSumOf(BernoulliLogProb), [logits, x])
        }
        same([[2, 1100], [2, 1100]], |[logits, x]| Bernoulli { logits }.log_prob(x), of_pixels);
        same(
            [[2, 70], [2, 70]],
            |[l, x]| Bernoulli { logits: l * 50.0 }.log_prob(x),
            |[l, x]| of_pixels([l * 50.0, x]),
        );
    }

    #[test]
    fn certainty_costs_its_logit_when_wrong_and_nothing_when_right_and_is_never_nan() {
        let f = |logit: f32, x| (BernoulliLogProb.f(logit, x), BernoulliLogProb.da(logit, x));
        assert_eq!(f(1e4, 1.0), (0.0, 0.0));
        assert_eq!(f(1e4, 0.0), (-1e4, -1.0));
        assert_eq!(f(-1e4, 0.0), (0.0, 0.0));
        assert_eq!(f(-1e4, 1.0), (-1e4, 1.0));
        for zero in [0.0, -0.0] {
            assert_eq!(f(zero, 1.0), (-std::f32::consts::LN_2, 0.5));
        }
    }

    #[test]
    fn the_probabilities_of_black_and_white_add_up_to_one() {
        for logit in [-30.0f64, -1.0, 0.0, 0.3, 30.0] {
            let sum = BernoulliLogProb.f(logit, 0.0).exp() + BernoulliLogProb.f(logit, 1.0).exp();
            assert!((sum - 1.0).abs() < 1e-14, "{sum} at {logit}");
        }
    }

    #[test]
    fn samples_are_black_or_white_and_have_the_mean() {
        let row = [-1e4f32, -1.0, 0.0, 3.0, 1e4];
        let logits = Array2::from_shape_fn((20_000, 5), |(_, j)| row[j]);
        let samples = Bernoulli::sample(logits.view(), &mut generator(1, "test", 0));
        assert!(samples.iter().all(|&x| x == 0.0 || x == 1.0));
        assert_means(&samples, &Array2::from_shape_fn((1, 5), |(_, j)| math::sigmoid(f64::from(row[j]))));
    }
}
