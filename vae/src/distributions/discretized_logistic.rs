//! 8-bit pixels: the probability of a level, not a density.

use autograd::kernels::math;
use autograd::ops::{Function3, RowSumOf3};
use autograd::{Real, Var, View};
use datasets::Generator;
use ndarray::{Array2, Zip};
use rand::RngExt;

use super::Distribution;

/// Independent levels `x = u/255`: each is a logistic variable with location `μ` and scale `s`, rounded to the nearest of
/// the 256 levels; what lies beyond black and white falls on them (Kingma et al. 2016; Salimans et al. 2017, with one
/// component).
///
/// `μ = ½ + l/4` is the line that touches `σ(l)` at 0, not `σ(l)`: a location beyond 0 or 1 makes black or white certain.
///
/// `s = s₀ + eᵗ`, with a twentieth of a level as the least, `s₀`, where a level is certain to 1 in 10⁴ and slopes are still
/// moderate. Each number has a scale of its own, from the decoder: the corner of an image is always black and the edge of a
/// stroke is not, and one scale for both describes neither. It costs a decoder whose last layer is twice as wide.
#[derive(Clone, Copy, Debug)]
pub struct DiscretizedLogistic<'r, T: Real = f32> {
    /// `l`, any numbers, `[batch, numbers]`
    pub location: Var<'r, T>,
    /// `t`, any numbers, `[batch, numbers]`
    pub log_scale: Var<'r, T>,
}

/// Half of the distance between levels.
const HALF: f64 = 1.0 / 510.0;

/// `ln s₀`, for `s₀` of a twentieth of that distance.
const LOG_LEAST: f64 = -8.536_995_818_712_42;

impl<'r, T: Real> DiscretizedLogistic<'r, T> {
    /// The mean of the logistic variable with what is beyond 0 or 1 moved there,
    /// `∫₀¹ σ((μ − t)/s) dt = s (ln(1 + e^{μ/s}) − ln(1 + e^{(μ−1)/s}))`. That of the levels differs by less than half a
    /// level, by which each of them was rounded.
    pub fn mean(&self) -> Var<'r, T> {
        let scale = self.log_scale.exp() + LOG_LEAST.exp();
        let location = self.location * 0.25;
        (((location + 0.5) / scale).softplus() - ((location - 0.5) / scale).softplus()) * scale
    }
}

impl DiscretizedLogistic<'_> {
    /// One level, over 255, for each pair of `l` and `t`: `μ + s·logit(u)` with `u` uniform in `(0, 1)`, rounded.
    pub fn sample(location: View<f32>, log_scale: View<f32>, randomness: &mut Generator) -> Array2<f32> {
        Zip::from(location).and(log_scale).map_collect(|&l, &t| {
            let u: f64 = randomness.sample(rand_distr::Open01);
            let (location, scale) = (0.5 + 0.25 * f64::from(l), LOG_LEAST.exp() + f64::from(t).exp());
            let x = location + scale * (u / (1.0 - u)).ln();
            ((x * 255.0).round().clamp(0.0, 255.0) / 255.0) as f32
        })
    }
}

impl<'r, T: Real> Distribution<'r, T> for DiscretizedLogistic<'r, T> {
    fn log_prob(&self, x: Var<'r, T>) -> Var<'r, T> {
        Var::apply(RowSumOf3(DiscretizedLogisticLogProb), [self.location, self.log_scale, x])
    }
}

/// `log P(x) = ln(σ(a) − σ(b))` with the edges of the level `a = (x + h − μ)/s` and `b = (x − h − μ)/s`, `h = 1/510`; without
/// `σ(b)` for black, and with 1 for `σ(a)` for white.
///
/// The difference of two sigmoids is computed as
/// `ln(σ(a) − σ(b)) = −ln(1 + e⁻ᵃ) − ln(1 + eᵇ) + ln(1 − e^{b−a})`, of which no term overflows or is a difference of
/// neighbours: neither the 10⁻⁷ added nor the approximation by a density that the original programs need. Black keeps the first
/// term alone and white the second. So, with `A = σ(−a)`, `B = σ(b)` and `D = δ/(e^δ − 1)` for `δ = a − b = 2h/s`, each 0
/// where its term is missing, `dx = (A − B)/s`, `dl = −(A − B)/4s` and `dt = (bB − aA − D) · eᵗ/s`.
pub struct DiscretizedLogisticLogProb;

impl<T: Real> Function3<T> for DiscretizedLogisticLogProb {
    const NAME: &'static str = "log_prob";

    #[inline(always)]
    fn f(&self, location: T, log_scale: T, x: T) -> T {
        let Level { edges: [a, b], width, not_black, not_white, .. } = Level::new(location, log_scale, x);
        let inside = math::ln(-math::exp_m1(-width));
        let [upper, lower] = [math::softplus(-a), math::softplus(b)];
        not_black * not_white * inside - not_white * upper - not_black * lower
    }
    #[inline(always)]
    fn da(&self, location: T, log_scale: T, x: T) -> T {
        T::of(-0.25) * self.dc(location, log_scale, x)
    }
    #[inline(always)]
    fn db(&self, location: T, log_scale: T, x: T) -> T {
        let level @ Level { edges: [a, b], width, not_black, not_white, .. } = Level::new(location, log_scale, x);
        let [upper, lower] = level.slopes();
        let inside = not_black * not_white * (width / math::exp_m1(width));
        // eᵗ/(s₀ + eᵗ)
        (b * lower - a * upper - inside) * math::sigmoid(log_scale - T::of(LOG_LEAST))
    }
    #[inline(always)]
    fn dc(&self, location: T, log_scale: T, x: T) -> T {
        let level = Level::new(location, log_scale, x);
        let [upper, lower] = level.slopes();
        (upper - lower) * level.inverse_scale
    }
}

/// Where a level lies, in units of the scale.
struct Level<T> {
    /// `a` and `b`
    edges: [T; 2],
    /// `δ = a − b`
    width: T,
    /// 1, or 0 for level 0
    not_black: T,
    /// 1, or 0 for level 255
    not_white: T,
    /// `1/s`
    inverse_scale: T,
}

impl<T: Real> Level<T> {
    #[inline(always)]
    fn new(location: T, log_scale: T, x: T) -> Self {
        let half = T::of(HALF);
        let log_least = T::of(LOG_LEAST);
        // ln(s₀ + eᵗ), which overflows for no t
        let inverse_scale = math::exp(-(log_least + math::softplus(log_scale - log_least)));
        let distance = x - T::of(0.25).mul_add(location, T::of(0.5));
        let flag = |yes| if yes { T::one() } else { T::zero() };
        Level {
            edges: [(distance + half) * inverse_scale, (distance - half) * inverse_scale],
            width: (half + half) * inverse_scale,
            not_black: flag(x > half),
            not_white: flag(x < T::one() - half),
            inverse_scale,
        }
    }

    /// `A` and `B`
    #[inline(always)]
    fn slopes(&self) -> [T; 2] {
        let [a, b] = self.edges;
        [self.not_white * math::sigmoid(-a), self.not_black * math::sigmoid(b)]
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
        // Numbers below 0 count as black, those above 1 as white, and there are some of each.
        gradients([[3, 8]; 3], |[location, log_scale, x]| DiscretizedLogistic { location, log_scale }.log_prob(x));
        gradients([[3, 8]; 3], |[location, log_scale, x]| {
            DiscretizedLogistic { location, log_scale: log_scale * 3.0 - 4.0 }.log_prob(x)
        });
        gradients([[3, 8]; 2], |[location, log_scale]| DiscretizedLogistic { location, log_scale }.mean());
    }

    #[test]
    fn the_fused_form_equals_the_difference_of_distribution_functions() {
        let level = 77.0 / 255.0;
        same(
            [[4, 3]; 2],
            |[location, log_scale]| {
                let x = super::super::testing::constant(location, &[0.0, level, 1.0]);
                DiscretizedLogistic { location, log_scale: log_scale - 1.5 }.log_prob(x)
            },
            |[location, log_scale]| {
                let scale = (log_scale - 1.5).exp() + 1.0 / (20.0 * 255.0);
                let below = |edge: f64| ((location * -0.25 + (edge - 0.5)) / scale).sigmoid();
                let half = 0.5 / 255.0;
                let black = below(half).columns(0..1);
                let grey = (below(level + half) - below(level - half)).columns(1..2);
                let white = (-below(1.0 - half) + 1.0).columns(2..3);
                black.ln() + grey.ln() + white.ln()
            },
        );
    }

    /// `l` and `t` of all kinds, tiny scales and huge ones.
    fn kinds() -> Vec<(f64, f64)> {
        let locations = [-40.0, -2.5, -1.0, 0.0, 0.31, 2.0, 30.0];
        locations.into_iter().flat_map(|l| [-30.0, -8.0, -4.0, 0.0, 4.0, 20.0].map(|t| (l, t))).collect()
    }

    #[test]
    fn the_probabilities_of_all_levels_add_up_to_one_and_have_the_mean() {
        for (l, t) in kinds() {
            let p = |u: usize| DiscretizedLogisticLogProb.f(l, t, u as f64 / 255.0).exp();
            let sum: f64 = (0..256).map(p).sum();
            assert!((sum - 1.0).abs() < 1e-12, "{sum} at {l}, {t}");
            let single = |u: usize| f64::from(DiscretizedLogisticLogProb.f(l as f32, t as f32, u as f32 / 255.0).exp());
            let sum: f64 = (0..256).map(single).sum();
            assert!((sum - 1.0).abs() < 3e-3, "{sum} at {l}, {t} in f32");
            let exact: f64 = (0..256).map(|u| p(u) * u as f64 / 255.0).sum();
            let numbers = [l, t].map(|number| Array2::from_elem((1, 1), number));
            let mean =
                compute(numbers, |[location, log_scale]| DiscretizedLogistic { location, log_scale }.mean())[[0, 0]];
            assert!((mean - exact).abs() < HALF + 1e-6, "{mean} where the levels have {exact} at {l}, {t}");
        }
    }

    #[test]
    fn certainty_is_possible_and_being_wrong_costs_no_infinity() {
        let f = DiscretizedLogisticLogProb;
        for (l, x) in [(-20.0f32, 0.0), (20.0, 1.0), (4.0 * (77.0 / 255.0 - 0.5), 77.0 / 255.0)] {
            let p = f.f(l, -1e4, x);
            assert!(p <= 0.0 && p > -2e-4, "{p} at {l}");
        }
        for l in [-1e4f32, 0.0, 1e4] {
            for t in [-1e4, 0.0, 60.0] {
                for x in [0.0, 0.5, 1.0] {
                    let numbers = [f.f(l, t, x), f.da(l, t, x), f.db(l, t, x), f.dc(l, t, x)];
                    assert!(numbers.iter().all(|x| x.is_finite()), "{numbers:?} at {l}, {t}, {x}");
                }
            }
        }
        assert!((LOG_LEAST.exp() * 255.0 * 20.0 - 1.0).abs() < 1e-12);
    }

    #[test]
    fn samples_have_the_mean_of_the_levels() {
        let pairs = [(-2.5f32, -4.0f32), (0.0, -30.0), (0.31, 0.0), (2.0, -2.0)];
        let [location, log_scale] =
            [0, 1].map(|k| Array2::from_shape_fn((20_000, 4), |(_, j)| [pairs[j].0, pairs[j].1][k]));
        let samples = DiscretizedLogistic::sample(location.view(), log_scale.view(), &mut generator(1, "test", 0));
        let p = |u: usize, (l, t): (f32, f32)| {
            DiscretizedLogisticLogProb.f(f64::from(l), f64::from(t), u as f64 / 255.0).exp()
        };
        let mean = |j: usize| (0..256).map(|u| p(u, pairs[j]) * u as f64 / 255.0).sum::<f64>();
        assert_means(&samples, &Array2::from_shape_fn((1, 4), |(_, j)| mean(j)));
    }
}
