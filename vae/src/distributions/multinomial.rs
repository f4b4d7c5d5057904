//! Counts: how often each of several things came, of so many in all.

use autograd::kernels::{Write, each, math, parallel, reduce, simd::vectorize};
use autograd::{Op, Real, Shape, Sink, Var, View, ViewMut};
use datasets::Generator;
use ndarray::Array2;
use rand_distr::{Binomial, Distribution as _};

use super::Distribution;
use super::categorical::largest;

/// The counts `c` of words in a text, say: `N = Σⱼ cⱼ` draws from `softmax(l)`. How many draws there are is no part of it.
#[derive(Clone, Copy, Debug)]
pub struct Multinomial<'r, T: Real = f32> {
    /// `l`, any numbers, `[batch, things]`
    pub logits: Var<'r, T>,
}

impl<'r, T: Real> Multinomial<'r, T> {
    /// The mean of each count, of one draw: `softmax(l)`.
    pub fn probabilities(&self) -> Var<'r, T> {
        self.logits.softmax()
    }

    /// The mean of each count over the largest of them, which does not depend on how many draws there are:
    /// `exp(lⱼ − maxₖ lₖ)`, from 0 to 1.
    pub fn mean_over_largest(&self) -> Var<'r, T> {
        Var::apply(OverLargest, [self.logits])
    }
}

impl Multinomial<'_> {
    /// Counts of `draws[i]` draws for each row: of each thing in turn a binomial number of those that are left.
    ///
    /// # Panics
    /// If there is not one number of draws for each row.
    pub fn sample(logits: View<f32>, draws: &[u64], randomness: &mut Generator) -> Array2<f32> {
        assert_eq!(logits.nrows(), draws.len(), "a number of draws for each row");
        let mut counts = Array2::zeros(logits.dim());
        for ((l, mut counts), &draws) in logits.rows().into_iter().zip(counts.rows_mut()).zip(draws) {
            let m = l.fold(f32::NEG_INFINITY, |m, &l| m.max(l));
            let weights: Vec<f64> = l.iter().map(|&l| f64::from(l - m).exp()).collect();
            // What each and those after it weigh, summed from the last one: so the last one's share is exactly 1.
            let mut tails = weights.clone();
            for j in (1..tails.len()).rev() {
                tails[j - 1] += tails[j];
            }
            let mut left = draws;
            for ((count, weight), tail) in counts.iter_mut().zip(weights).zip(tails) {
                let share = if tail > 0.0 { weight / tail } else { 0.0 };
                let drawn = Binomial::new(left, share).expect("a share is from 0 to 1").sample(randomness);
                *count = drawn as f32;
                left -= drawn;
            }
        }
        counts
    }
}

impl<'r, T: Real> Distribution<'r, T> for Multinomial<'r, T> {
    /// Of counts, whole numbers from 0.
    fn log_prob(&self, c: Var<'r, T>) -> Var<'r, T> {
        Var::apply(MultinomialLogProb, [self.logits, c])
    }
}

/// `log P(c) = ln N! − Σⱼ ln cⱼ! + Σⱼ cⱼ (lⱼ − ln Σₖ exp lₖ)`, and so `dl = c − N softmax(l)`, and `dc = 0`, for a count does not
/// change a little.
///
/// An image has 26,000 counts, of which `ln N!` and the cross-entropy are both 10⁵ nats: their difference is taken in `f64`.
pub struct MultinomialLogProb;

impl<T: Real> Op<T, 2> for MultinomialLogProb {
    fn shape(&self, [l, c]: [Shape; 2]) -> Result<Shape, String> {
        if l == c { Ok([l[0], 1]) } else { Err(format!("log_prob: {l:?} and {c:?} are not alike")) }
    }

    fn forward(&self, [l, c]: [View<T>; 2], y: ViewMut<T>) {
        let width = l.ncols();
        let (l, c) = (each::slice(l), each::slice(c));
        parallel::rows(each::slice_mut(y), 1, width, |first, y| {
            for (i, y) in (first..).zip(y) {
                let [l, c] = [l, c].map(|x| &x[i * width..(i + 1) * width]);
                let Row { largest, sum, draws } = Row::of(l, c);
                let log_sum = largest.as_f64() + math::ln(sum);
                let terms = sum_in_f64(
                    [l, c],
                    #[inline(always)]
                    |[l, c]| c * (l - log_sum) - log_factorial(c),
                );
                *y = T::of(log_factorial(draws) + terms);
            }
        });
    }

    fn backward(&self, [l, c]: [View<T>; 2], _: View<T>, dy: ViewMut<T>, [dl, dc]: [Sink<T>; 2]) {
        let width = l.ncols();
        let (l, c, dy) = (each::slice(l), each::slice(c), each::slice(dy.view()));
        dl.accumulate(|dl, write| {
            parallel::rows(each::slice_mut(dl), width, width, |first, dl| {
                for (i, dl) in (first..).zip(dl.chunks_exact_mut(width)) {
                    let [l, c] = [l, c].map(|x| &x[i * width..(i + 1) * width]);
                    let Row { largest, sum, draws } = Row::of(l, c);
                    let (dy, scale) = (dy[i], T::of(draws / sum));
                    vectorize(
                        #[inline(always)]
                        || {
                            let (l, c) = (&l[..dl.len()], &c[..dl.len()]);
                            for j in 0..dl.len() {
                                let g = dy * (c[j] - scale * math::exp(l[j] - largest));
                                dl[j] = if write == Write::Set { g } else { dl[j] + g };
                            }
                        },
                    );
                }
            });
        });
        dc.add_map([], |[]| T::zero());
    }

    fn flops(&self, [l, _]: [Shape; 2]) -> usize {
        autograd::size(l)
    }
}

/// What all numbers of a row share.
struct Row<T> {
    /// `m = maxⱼ lⱼ`
    largest: T,
    /// `Σⱼ exp(lⱼ − m)`
    sum: f64,
    /// `N`
    draws: f64,
}

impl<T: Real> Row<T> {
    fn of(l: &[T], c: &[T]) -> Self {
        let largest = largest(l);
        let m = largest.as_f64();
        let sum = sum_in_f64(
            [l],
            #[inline(always)]
            |[l]| math::exp(l - m),
        );
        let draws = sum_in_f64(
            [c],
            #[inline(always)]
            |[c]| c,
        );
        Row { largest, sum, draws }
    }
}

/// `Σⱼ f(x₁ⱼ, …)`, converted before.
#[inline(always)]
fn sum_in_f64<T: Real, const M: usize>(xs: [&[T]; M], f: impl Fn([f64; M]) -> f64) -> f64 {
    let mut sum = 0.0;
    let mut pieces = [[0.0; PIECE]; M];
    for start in (0..xs[0].len()).step_by(PIECE) {
        let n = PIECE.min(xs[0].len() - start);
        for (piece, x) in pieces.iter_mut().zip(xs) {
            piece.iter_mut().zip(&x[start..start + n]).for_each(|(piece, x)| *piece = x.as_f64());
        }
        sum += reduce::sum(std::array::from_fn(|m| &pieces[m][..n]), &f);
    }
    sum
}

/// Numbers that are converted at a time.
const PIECE: usize = 256;

/// `ln c!` for `c ≥ 0`: `Γ(c + 9)` by Stirling's series, where four terms of it are enough, divided by the eight factors
/// too many.
///
/// Error: 5e-15 · max(1, ln c!).
#[inline(always)]
fn log_factorial(c: f64) -> f64 {
    let factors =
        ((c + 1.0) * (c + 2.0)) * ((c + 3.0) * (c + 4.0)) * (((c + 5.0) * (c + 6.0)) * ((c + 7.0) * (c + 8.0)));
    let z = c + 9.0;
    let (inverse, square) = (1.0 / z, 1.0 / (z * z));
    let series = (((((-691.0 / 360_360.0 * square + 1.0 / 1188.0) * square - 1.0 / 1680.0) * square + 1.0 / 1260.0)
        * square
        - 1.0 / 360.0)
        * square
        + 1.0 / 12.0)
        * inverse;
    (z - 0.5) * math::ln(z) - z + 0.5 * super::LN_2PI + series - math::ln(factors)
}

/// `yⱼ = exp(lⱼ − lₘ)` with `m` the place of the largest, and so `dlⱼ = dyⱼ yⱼ`, but `dlₘ = −Σ dyⱼ yⱼ` over the others.
struct OverLargest;

impl<T: Real> Op<T, 1> for OverLargest {
    fn shape(&self, [l]: [Shape; 1]) -> Result<Shape, String> {
        Ok(l)
    }

    fn forward(&self, [l]: [View<T>; 1], mut y: ViewMut<T>) {
        for (l, mut y) in l.rows().into_iter().zip(y.rows_mut()) {
            let m = largest(l.to_slice().expect("a row of a tape's matrix is contiguous"));
            y.zip_mut_with(&l, |y, &l| *y = (l - m).exp());
        }
    }

    fn backward(&self, [l]: [View<T>; 1], y: View<T>, mut dy: ViewMut<T>, [dl]: [Sink<T>; 1]) {
        for ((l, y), mut dy) in l.rows().into_iter().zip(y.rows()).zip(dy.rows_mut()) {
            let m = largest(l.to_slice().expect("a row of a tape's matrix is contiguous"));
            dy.zip_mut_with(&y, |dy, &y| *dy = *dy * y);
            let sum = dy.sum();
            let place = l.iter().position(|&l| l == m).unwrap_or(0);
            dy[place] = dy[place] - sum;
        }
        dl.add(dy.view());
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{assert_means, compute, constant};
    use super::*;
    use autograd::check::{gradients, same};
    use datasets::generator;
    use ndarray::array;

    #[test]
    fn gradient() {
        gradients([[3, 4]], |[logits]| Multinomial { logits }.log_prob(constant(logits, &[3.0, 0.0, 5.0, 1.0])));
        gradients([[3, 4]], |[logits]| {
            let p = Multinomial { logits }.log_prob(constant(logits, &[3.0, 0.0, 5.0, 1.0]));
            p * p
        });
        gradients([[3, 4]], |[logits]| Multinomial { logits }.mean_over_largest());
        gradients([[3, 4]], |[logits]| Multinomial { logits }.probabilities());
    }

    #[test]
    fn the_fused_form_equals_the_definition_from_probabilities() {
        same(
            [[3, 3]],
            |[logits]| Multinomial { logits }.log_prob(constant(logits, &[2.0, 0.0, 3.0])),
            |[logits]| {
                let p = logits.softmax();
                let (first, last) = (p.columns(0..1), p.columns(2..3));
                // 5! / (2! 0! 3!)
                (first * first * last * last * last * 10.0).ln()
            },
        );
    }

    #[test]
    fn means_are_probabilities_over_the_largest() {
        let logits = array![[1.0, -2.0, 0.5], [-1e4, 3.0, 1e4]];
        let mean = compute([logits], |[logits]| Multinomial { logits }.mean_over_largest());
        assert_eq!(mean, array![[1.0, (-3f64).exp(), (-0.5f64).exp()], [0.0, 0.0, 1.0]]);
    }

    #[test]
    fn the_probabilities_of_all_counts_add_up_to_one() {
        for draws in [0, 1, 7, 40] {
            let all = (0..=draws).flat_map(|a| (0..=draws - a).map(move |b| [a, b, draws - a - b].map(f64::from)));
            let counts: Vec<_> = all.collect();
            let c = Array2::from_shape_fn((counts.len(), 3), |(i, j)| counts[i][j]);
            let logits = Array2::from_shape_fn(c.dim(), |(_, j)| [-1.3, 2.0, 0.4][j]);
            let p = compute([logits, c], |[logits, c]| Multinomial { logits }.log_prob(c).exp());
            assert!((p.sum() - 1.0).abs() < 1e-12, "{} of {draws} draws", p.sum());
        }
    }

    #[test]
    fn the_logarithm_of_a_factorial_is_the_sum_of_logarithms() {
        // With what each addition rounds off, for there are many.
        let (mut sum, mut lost) = (0.0f64, 0.0);
        for c in 1..=100_000 {
            let term = f64::from(c).ln() + lost;
            let next = sum + term;
            (sum, lost) = (next, term - (next - sum));
            let error = log_factorial(c.into()) - sum;
            assert!(error.abs() <= 5e-15 * sum.max(1.0), "{error:e} at {c}");
        }
        assert!(log_factorial(0.0).abs() < 5e-15);
    }

    #[test]
    fn in_f32_an_image_of_many_counts_is_as_precise_as_its_arguments() {
        let logits = Array2::from_shape_fn((1, 784), |(_, j)| (j as f32 * 0.37).sin() * 6.0);
        let c = Array2::from_shape_fn((1, 784), |(_, j)| (j * 37 % 256) as f32);
        let exact =
            compute([logits.mapv(f64::from), c.mapv(f64::from)], |[logits, c]| Multinomial { logits }.log_prob(c));
        let single = compute([logits, c], |[logits, c]| Multinomial { logits }.log_prob(c));
        let (single, exact) = (f64::from(single[[0, 0]]), exact[[0, 0]]);
        assert!((single / exact - 1.0).abs() < 1e-7, "{single} {exact}");
    }

    #[test]
    fn samples_have_so_many_counts_and_the_mean() {
        let row = [0.0f32, -1.0, 2.0, -1e4];
        let logits = Array2::from_shape_fn((20_000, 4), |(_, j)| row[j]);
        let samples = Multinomial::sample(logits.view(), &[50; 20_000], &mut generator(1, "test", 0));
        assert!(samples.rows().into_iter().all(|counts| counts.sum() == 50.0));
        let p = compute([array![[0.0f64, -1.0, 2.0, -1e4]]], |[logits]| Multinomial { logits }.probabilities());
        assert_means(&samples, &(p * 50.0));
    }
}
