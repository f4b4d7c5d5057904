//! Pixels of so many levels, each with a probability of its own.

use autograd::kernels::{Write, each, math, parallel, reduce, simd::vectorize};
use autograd::{Op, Real, Shape, Sink, Var, View, ViewMut};
use datasets::Generator;
use ndarray::Array2;
use rand::RngExt;

use super::Distribution;

/// Independent levels, of which each number has `K`: `x = k/(K − 1)` with probability `softmax(l)ₖ`. It supposes nothing
/// of a level's neighbours, and takes `K` outputs of the decoder for each number.
///
/// With 256 levels the probability is that of 8-bit data. Fewer stand for equal ranges of 8-bit levels, `k = ⌊uK/256⌋`;
/// the probability is then that of those ranges, and with two that of [`Pixels::Threshold`](datasets::Pixels).
#[derive(Clone, Copy, Debug)]
pub struct Categorical<'r, T: Real = f32> {
    /// `l`, any numbers, `[batch, numbers · K]`: those of a number side by side
    pub logits: Var<'r, T>,
    /// `K`, a power of two from 2 to 256
    pub levels: usize,
}

impl<'r, T: Real> Categorical<'r, T> {
    /// The mean of each number, `Σₖ softmax(l)ₖ k/(K − 1)`.
    pub fn mean(&self) -> Var<'r, T> {
        Var::apply(Mean { levels: self.levels }, [self.logits])
    }
}

impl Categorical<'_> {
    /// One draw for each number: the largest of `lₖ + gₖ` with `g` of Gumbel's distribution, `−ln(−ln u)`.
    pub fn sample(logits: View<f32>, levels: usize, randomness: &mut Generator) -> Array2<f32> {
        Array2::from_shape_fn((logits.nrows(), logits.ncols() / levels), |(i, j)| {
            let mut best = (f64::NEG_INFINITY, 0);
            for k in 0..levels {
                let u: f64 = randomness.sample(rand_distr::Open01);
                let score = f64::from(logits[[i, j * levels + k]]) - (-u.ln()).ln();
                if score > best.0 {
                    best = (score, k);
                }
            }
            best.1 as f32 / (levels - 1) as f32
        })
    }
}

impl<'r, T: Real> Distribution<'r, T> for Categorical<'r, T> {
    fn log_prob(&self, x: Var<'r, T>) -> Var<'r, T> {
        Var::apply(CategoricalLogProb { levels: self.levels }, [self.logits, x])
    }
}

/// `log P(x) = Σⱼ (lⱼₖ − ln Σᵢ exp lⱼᵢ)` with `k` the level of `xⱼ`, and so `dlⱼᵢ = [i = k] − softmax(lⱼ)ᵢ`, and `dx = 0`, for a
/// level does not change a little.
pub struct CategoricalLogProb {
    /// `K`
    pub levels: usize,
}

impl<T: Real> Op<T, 2> for CategoricalLogProb {
    fn shape(&self, [l, x]: [Shape; 2]) -> Result<Shape, String> {
        if l == [x[0], x[1] * self.levels] {
            Ok([x[0], 1])
        } else {
            Err(format!("log_prob: {l:?} are not {} logits for each of {x:?}", self.levels))
        }
    }

    fn forward(&self, [l, x]: [View<T>; 2], y: ViewMut<T>) {
        let (numbers, width) = (x.ncols(), l.ncols());
        let (l, x) = (each::slice(l), each::slice(x));
        parallel::rows(each::slice_mut(y), 1, width, |first, y| {
            for (i, y) in (first..).zip(y) {
                let groups = l[i * width..(i + 1) * width].chunks_exact(self.levels);
                let terms = groups.zip(&x[i * numbers..]).map(|(l, &x)| {
                    let (m, sum) = scaled_sum(l);
                    l[level(x, self.levels)] - m - math::ln(sum)
                });
                *y = terms.sum();
            }
        });
    }

    fn backward(&self, [l, x]: [View<T>; 2], _: View<T>, dy: ViewMut<T>, [dl, dx]: [Sink<T>; 2]) {
        let (numbers, width) = (x.ncols(), l.ncols());
        let (l, x, dy) = (each::slice(l), each::slice(x), each::slice(dy.view()));
        dl.accumulate(|dl, write| {
            parallel::rows(each::slice_mut(dl), width, width, |first, dl| {
                for (i, dl) in (first..).zip(dl.chunks_exact_mut(width)) {
                    let groups = dl.chunks_exact_mut(self.levels).zip(l[i * width..].chunks_exact(self.levels));
                    for ((dl, l), &x) in groups.zip(&x[i * numbers..]) {
                        add_softmax(-dy[i], l, write, dl);
                        let k = level(x, self.levels);
                        dl[k] = dl[k] + dy[i];
                    }
                }
            });
        });
        dx.add_map([], |[]| T::zero());
    }

    fn flops(&self, [l, _]: [Shape; 2]) -> usize {
        autograd::size(l)
    }
}

/// `yⱼ = Σₖ pⱼₖ vₖ` with `pⱼ = softmax(lⱼ)` and `vₖ = k/(K − 1)`, and so `dlⱼₖ = dyⱼ · pⱼₖ (vₖ − yⱼ)`.
struct Mean {
    levels: usize,
}

impl<T: Real> Op<T, 1> for Mean {
    fn shape(&self, [l]: [Shape; 1]) -> Result<Shape, String> {
        if l[1].is_multiple_of(self.levels) {
            Ok([l[0], l[1] / self.levels])
        } else {
            Err(format!("mean: {l:?} are not {} logits for each of some numbers", self.levels))
        }
    }

    fn forward(&self, [l]: [View<T>; 1], y: ViewMut<T>) {
        let values = values::<T>(self.levels);
        let l = each::slice(l);
        parallel::rows(each::slice_mut(y), 1, self.levels, |first, y| {
            for (y, l) in y.iter_mut().zip(l[first * self.levels..].chunks_exact(self.levels)) {
                let (m, sum) = scaled_sum(l);
                let weighted = reduce::sum(
                    [l, &values],
                    #[inline(always)]
                    |[l, value]| math::exp(l - m) * value,
                );
                *y = weighted / sum;
            }
        });
    }

    fn backward(&self, [l]: [View<T>; 1], y: View<T>, dy: ViewMut<T>, [dl]: [Sink<T>; 1]) {
        let values = values::<T>(self.levels);
        let (l, y, dy) = (each::slice(l), each::slice(y), each::slice(dy.view()));
        dl.accumulate(|dl, write| {
            parallel::rows(each::slice_mut(dl), self.levels, self.levels, |first, dl| {
                let mut p = vec![T::zero(); self.levels];
                for (j, dl) in (first..).zip(dl.chunks_exact_mut(self.levels)) {
                    add_softmax(dy[j], &l[j * self.levels..(j + 1) * self.levels], Write::Set, &mut p);
                    for ((dl, &p), &value) in dl.iter_mut().zip(&p).zip(&values) {
                        let g = p * (value - y[j]);
                        *dl = if write == Write::Set { g } else { *dl + g };
                    }
                }
            });
        });
    }
}

/// What the levels stand for, 0 to 1.
fn values<T: Real>(levels: usize) -> Vec<T> {
    (0..levels).map(|k| T::of(k as f64 / (levels - 1) as f64)).collect()
}

/// The level of `x`, which is 0 for all below 0 and the last for all above 1.
fn level<T: Real>(x: T, levels: usize) -> usize {
    // A cast of a float to an integer ends at its bounds.
    let u = (x.as_f64() * 255.0).round() as u8;
    usize::from(u) * levels / 256
}

/// `m = maxₖ lₖ` and `Σₖ exp(lₖ − m)`
fn scaled_sum<T: Real>(l: &[T]) -> (T, T) {
    let m = largest(l);
    let sum = reduce::sum(
        [l],
        #[inline(always)]
        |[l]| math::exp(l - m),
    );
    (m, sum)
}

/// The largest of some numbers.
pub(super) fn largest<T: Real>(l: &[T]) -> T {
    l.iter().fold(T::neg_infinity(), |m, &l| if l > m || l.is_nan() { l } else { m })
}

/// `y = c · softmax(l)`, or `y += …`.
fn add_softmax<T: Real>(c: T, l: &[T], write: Write, y: &mut [T]) {
    let (m, sum) = scaled_sum(l);
    let c = c / sum;
    vectorize(
        #[inline(always)]
        || {
            let l = &l[..y.len()];
            for k in 0..y.len() {
                let g = c * math::exp(l[k] - m);
                y[k] = if write == Write::Set { g } else { y[k] + g };
            }
        },
    );
}

#[cfg(test)]
mod tests {
    use super::super::testing::{assert_means, compute, constant};
    use super::super::{Bernoulli, Distribution};
    use super::*;
    use autograd::check::{gradients, same};
    use datasets::generator;
    use ndarray::array;

    #[test]
    fn gradient() {
        gradients([[3, 8], [3, 2]], |[logits, x]| Categorical { logits, levels: 4 }.log_prob(x));
        gradients([[3, 8]], |[logits]| Categorical { logits, levels: 4 }.mean());
        // On top of what another use has left.
        gradients([[3, 8]], |[logits]| {
            let p = Categorical { logits, levels: 4 };
            p.mean() + p.mean() * p.mean() + logits.columns(0..2)
        });
        gradients([[3, 8], [3, 2]], |[logits, x]| {
            let p = Categorical { logits, levels: 4 };
            p.log_prob(x) * p.log_prob(x)
        });
    }

    #[test]
    fn the_fused_form_equals_the_logarithm_of_a_softmax() {
        same(
            [[3, 8]],
            |[logits]| Categorical { logits, levels: 4 }.log_prob(constant(logits, &[0.4, 1.0])),
            |[logits]| {
                let p =
                    |number: usize, k: usize| logits.columns(number * 4..(number + 1) * 4).softmax().columns(k..k + 1);
                // 0.4 is 102 of 255, the second quarter.
                p(0, 1).ln() + p(1, 3).ln()
            },
        );
        same(
            [[3, 8]],
            |[logits]| Categorical { logits, levels: 4 }.mean(),
            |[logits]| {
                let p = |number: usize| logits.columns(number * 4..(number + 1) * 4).softmax();
                let mean = |number| {
                    let p = |k: usize| p(number).columns(k..k + 1);
                    p(1) / 3.0 + p(2) * (2.0 / 3.0) + p(3)
                };
                mean(0).join(mean(1))
            },
        );
    }

    #[test]
    fn with_two_levels_it_is_the_bernoulli() {
        same(
            [[3, 2]],
            |[logits]| {
                let both = |j: usize| logits.columns(j..j + 1) * 0.0;
                let pairs = both(0).join(logits.columns(0..1)).join(both(1)).join(logits.columns(1..2));
                Categorical { logits: pairs, levels: 2 }.log_prob(constant(logits, &[0.0, 1.0]))
            },
            |[logits]| Bernoulli { logits }.log_prob(constant(logits, &[0.0, 1.0])),
        );
    }

    #[test]
    fn every_level_is_drawn_where_it_is_counted_and_their_probabilities_add_up_to_one() {
        for levels in (1..=8).map(|bits| 1usize << bits) {
            let values: Vec<f64> = values(levels);
            assert!(values.iter().enumerate().all(|(k, &value)| level(value as f32, levels) == k), "{levels}");
            let logits = Array2::from_shape_fn((levels, levels), |(_, k)| (k as f64 * 1.7).sin() * 9.0);
            let x = Array2::from_shape_fn((levels, 1), |(k, _)| values[k]);
            let p = compute([logits, x], |[logits, x]| Categorical { logits, levels }.log_prob(x).exp());
            assert!((p.sum() - 1.0).abs() < 1e-12);
        }
    }

    #[test]
    fn nothing_overflows() {
        let logits = array![[1e4f32, -1e4, f32::MIN / 4.0, f32::MAX / 4.0]];
        let p = compute([logits, array![[0.0, 1.0]]], |[logits, x]| Categorical { logits, levels: 2 }.log_prob(x));
        assert_eq!(p, array![[0.0]]);
    }

    #[test]
    fn samples_have_the_mean() {
        let row = [0.0f32, 1.0, -2.0, 3.0, 1e4, 0.0, 0.0, 0.0];
        let logits = Array2::from_shape_fn((20_000, 8), |(_, k)| row[k]);
        let samples = Categorical::sample(logits.view(), 4, &mut generator(1, "test", 0));
        let mean = compute([Array2::from_shape_fn((1, 8), |(_, k)| f64::from(row[k]))], |[logits]| {
            Categorical { logits, levels: 4 }.mean()
        });
        assert_means(&samples, &mean);
    }
}
