//! Grey levels between black and white, as a proper density.

use autograd::kernels::math;
use autograd::ops::{Each, Function, Function2, RowSumOf};
use autograd::{Real, Var, View};
use datasets::Generator;
use ndarray::Array2;
use rand::RngExt;

use super::Distribution;

/// Independent numbers in `[0, 1]` with density `C(λ) λˣ (1 − λ)¹⁻ˣ`, given by the logits `l` of `λ` (Loaiza-Ganem and
/// Cunningham 2019): what the Bernoulli cross-entropy of grey levels lacks to be a likelihood is the factor `C`.
///
/// In terms of `l` it is the exponential `e^{lx}` cut off at 0 and 1 and divided by its integral:
/// `p(x) = e^{lx − A(l)}` with `A(l) = ln((eˡ − 1) / l)`.
#[derive(Clone, Copy, Debug)]
pub struct ContinuousBernoulli<'r, T: Real = f32> {
    /// `l`, any numbers, `[batch, numbers]`
    pub logits: Var<'r, T>,
}

impl<'r, T: Real> ContinuousBernoulli<'r, T> {
    /// The mean of each number, `A′(l)`: nearer to ½ than `λ = σ(l)`.
    pub fn mean(&self) -> Var<'r, T> {
        Var::apply(Each(Mean), [self.logits])
    }
}

impl ContinuousBernoulli<'_> {
    /// One draw for each logit: the inverse of the distribution function at `u` uniform in `[0, 1)`,
    /// `x = ln(1 + u(eˡ − 1)) / l`.
    pub fn sample(logits: View<f32>, randomness: &mut Generator) -> Array2<f32> {
        logits.mapv(|logit| {
            let (u, l): (f32, f32) = (randomness.random(), -logit.abs());
            // Of the one that falls, where nothing overflows; the one that rises is its mirror image.
            let x = if l == 0.0 { u } else { ((u * l.exp_m1()).ln_1p() / l).min(1.0) };
            if logit > 0.0 { 1.0 - x } else { x }
        })
    }
}

impl<'r, T: Real> Distribution<'r, T> for ContinuousBernoulli<'r, T> {
    fn log_prob(&self, x: Var<'r, T>) -> Var<'r, T> {
        Var::apply(RowSumOf(ContinuousBernoulliLogProb), [self.logits, x])
    }
}

/// `log p(x) = x·l − A(l)`, and so `dl = x − A′(l)`, which is `x` less its mean, and `dx = l`.
pub struct ContinuousBernoulliLogProb;

impl<T: Real> Function2<T> for ContinuousBernoulliLogProb {
    const NAME: &'static str = "log_prob";

    #[inline(always)]
    fn f(&self, logit: T, x: T) -> T {
        x * logit - log_normalizer(logit)
    }
    #[inline(always)]
    fn da(&self, logit: T, x: T) -> T {
        x - mean(logit)
    }
    #[inline(always)]
    fn db(&self, logit: T, _: T) -> T {
        logit
    }
}

/// `y = A′(l)`, and so `dl = dy · A″(l)`: the mean, and the variance.
struct Mean;

impl<T: Real> Function<T> for Mean {
    #[inline(always)]
    fn f(&self, logit: T) -> T {
        mean(logit)
    }
    #[inline(always)]
    fn df(&self, logit: T, _: T) -> T {
        variance(logit)
    }
}

/// `A(l) = ln((eˡ − 1) / l) = max(l, 0) + ln((1 − e^−|l|) / |l|)`.
///
/// In `λ` the normalizer is a quotient of two differences that vanish at ½, and papers replace it by a Taylor series there.
/// In `l` both vanish at 0, where `exp_m1` is exact, so the quotient is right for every logit: no series.
///
/// Error in `f32`: 3e-7 · max(1, |A|) for `|l|` from 1e-30 to 1e30.
#[inline(always)]
fn log_normalizer<T: Real>(logit: T) -> T {
    let a = logit.abs();
    let quotient = -math::exp_m1(-a) / a;
    let quotient = if a > T::zero() { quotient } else { T::one() };
    (if logit > T::zero() { logit } else { T::zero() }) + math::ln(quotient)
}

/// `A′(l)`: for a negative logit `1/|l| − 1/(e^|l| − 1)`, for a positive one 1 less that. Near 0 its two terms cancel; there
/// it is a power series.
///
/// Error in `f32`: 3e-7.
#[inline(always)]
fn mean<T: Real>(logit: T) -> T {
    let a = logit.abs();
    let left = a.recip() - math::exp_m1(a).recip();
    let far = if logit > T::zero() { T::one() - left } else { left };
    let near = T::of(0.5) + logit * series(logit * logit, |_, c| c);
    if a < T::one() { near } else { far }
}

/// `A″(l) = 1/l² − eˡ/(eˡ − 1)²`
#[inline(always)]
fn variance<T: Real>(logit: T) -> T {
    let r = math::exp_m1(logit.abs()).recip();
    let near = series(logit * logit, |k, c| (2 * k + 1) as f64 * c);
    let far = (logit * logit).recip() - r * (T::one() + r);
    if logit.abs() < T::one() { near } else { far }
}

/// The coefficients of `A′(l) − ½ = l/12 − l³/720 + …`: `B₂ₖ / (2k)!`, with Bernoulli's numbers. Below 1 the first term left
/// out is less than 6e-18.
const SERIES: [f64; 10] = [
    1.0 / 12.0,
    -1.0 / 720.0,
    1.0 / 30_240.0,
    -1.0 / 1_209_600.0,
    1.0 / 47_900_160.0,
    -691.0 / 1_307_674_368_000.0,
    1.0 / 74_724_249_600.0,
    -3617.0 / 10_670_622_842_880_000.0,
    43_867.0 / 5_109_094_217_170_944_000.0,
    -174_611.0 / 802_857_662_698_291_200_000.0,
];

/// `Σₖ f(k, cₖ) xᵏ` with those coefficients.
#[inline(always)]
fn series<T: Real>(x: T, f: impl Fn(usize, f64) -> f64) -> T {
    let mut sum = T::zero();
    for k in (0..SERIES.len()).rev() {
        sum = sum.mul_add(x, T::of(f(k, SERIES[k])));
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::super::testing::{assert_means, compute};
    use super::*;
    use autograd::check::{gradients, gradients_in, same};
    use datasets::generator;

    #[test]
    fn gradient() {
        gradients([[3, 4], [3, 4]], |[logits, x]| ContinuousBernoulli { logits }.log_prob(x));
        gradients([[3, 4]], |[logits]| ContinuousBernoulli { logits }.mean());
        gradients_in(-9.0..9.0, [[3, 9], [3, 9]], |[logits, x]| ContinuousBernoulli { logits }.log_prob(x));
        gradients_in(-9.0..9.0, [[3, 9]], |[logits]| ContinuousBernoulli { logits }.mean());
    }

    #[test]
    fn the_fused_form_equals_the_definition_from_probabilities() {
        same(
            [[3, 4], [3, 4]],
            |[logits, x]| ContinuousBernoulli { logits }.log_prob(x),
            |[logits, x]| {
                let p = logits.sigmoid();
                // C(λ) = 2 artanh(1 − 2λ) / (1 − 2λ)
                let c = ((-p + 1.0) / p).ln() / (p * -2.0 + 1.0);
                (c.ln() + x * p.ln() + (-x + 1.0) * (-p + 1.0).ln()).row_sum()
            },
        );
    }

    #[test]
    fn the_density_integrates_to_one() {
        // Simpson's rule; the density is a piece of an exponential.
        let n = 2000;
        for logit in [-30.0f64, -1.0, -1e-5, 0.0, 0.3, 1.0, 30.0] {
            let weight = |i| if i == 0 || i == n { 1.0 } else { f64::from(2 + 2 * (i % 2)) };
            let term = |i| weight(i) * ContinuousBernoulliLogProb.f(logit, f64::from(i) / f64::from(n)).exp();
            let integral = (0..=n).map(term).sum::<f64>() / f64::from(3 * n);
            assert!((integral - 1.0).abs() < 1e-8, "{integral} at {logit}");
        }
    }

    /// `l`, `A`, `A′` and `A″` to 40 digits.
    const EXACT: [[f64; 4]; 9] = [
        [1e-09, 5.000000000416667e-10, 0.5000000000833333, 0.08333333333333333],
        [0.001, 0.0005000416666663195, 0.5000833333319444, 0.08333332916666683],
        [-0.5, -0.23960494900724327, 0.45850591746320174, 0.08230191096723624],
        [0.999, 0.5407429175705356, 0.5818973766120034, 0.07933410776812896],
        [1.0, 0.5413248546129181, 0.5819767068693265, 0.07932640579220768],
        [-3.0, -1.1496814696108113, 0.2809376368420774, 0.05597010560905135],
        [20.0, 17.004267724384857, 0.9500000020611536, 0.002499997938846369],
        [700.0, 693.4489196649566, 0.9985714285714286, 2.040816326530612e-06],
        [-10000.0, -9.210340371976184, 0.0001, 1e-08],
    ];

    #[test]
    fn normalizer_mean_and_variance_are_right_in_f64_and_to_rounding_in_f32() {
        let close = |found: f64, exact: f64, error: f64| {
            assert!((found - exact).abs() <= error * exact.abs().max(1.0), "{found:e}, not {exact:e}");
        };
        for [l, a, m, v] in EXACT {
            close(log_normalizer(l), a, 4e-16);
            close(mean(l), m, 4e-16);
            close(variance(l), v, 4e-16);
        }
        for exponent in -300..=300 {
            for logit in [1f32, -1.0].map(|sign| sign * 10f32.powf(exponent as f32 / 10.0)) {
                let exact = f64::from(logit);
                close(log_normalizer(logit).into(), log_normalizer(exact), 3e-7);
                close(mean(logit).into(), mean(exact), 3e-7);
                close(variance(logit).into(), variance(exact), 3e-7);
            }
        }
    }

    #[test]
    fn at_one_half_it_is_uniform_and_far_out_never_nan() {
        for zero in [0.0f32, -0.0] {
            assert_eq!(ContinuousBernoulliLogProb.f(zero, 0.3), 0.0);
            assert_eq!((mean(zero), variance(zero)), (0.5, 1.0 / 12.0));
        }
        for logit in [f32::MIN, -1e-45, 1e-45, f32::MAX] {
            let numbers = [log_normalizer(logit), mean(logit), variance(logit)];
            assert!(numbers.iter().all(|x| x.is_finite()), "{numbers:?} at {logit}");
        }
    }

    #[test]
    fn samples_have_the_mean() {
        let row = [-1e4f32, -20.0, -0.5, -1e-9, 0.0, 1e-9, 3.0, 20.0, 1e4];
        let logits = Array2::from_shape_fn((20_000, 9), |(_, j)| row[j]);
        let mean = compute([logits.slice(ndarray::s![..1, ..]).mapv(f64::from)], |[logits]| {
            ContinuousBernoulli { logits }.mean()
        });
        let samples = ContinuousBernoulli::sample(logits.view(), &mut generator(1, "test", 0));
        assert!(samples.iter().all(|x| (0.0..=1.0).contains(x)));
        assert_means(&samples, &mean);
    }
}
