//! Adam (Kingma and Ba 2015).

use autograd::kernels::parallel::{self, CHUNK};
use autograd::kernels::{reduce, simd::vectorize};
use autograd::{Buffer, Grads, Params, Real};

/// Adam's settings and its two moments, which lie as the parameters do.
///
/// With `g` the gradient and `t` counting updates from 1 (the paper's algorithm 1, `ε` outside the root):
/// ```text
/// m ← β₁·m + (1 − β₁)·g          v ← β₂·v + (1 − β₂)·g²
/// θ ← θ − α · m/(1 − β₁ᵗ) / (√(v/(1 − β₂ᵗ)) + ε)
/// ```
/// Weight decay, if any, is decoupled from the gradient (Loshchilov and Hutter 2019): `θ ← (1 − α·λ)·θ` first.
#[derive(Clone, Debug)]
pub struct Adam<T: Real = f32> {
    /// The learning rate `α`.
    pub lr: f64,
    /// How slowly the first moment forgets, `β₁`.
    pub beta1: f64,
    /// How slowly the second moment forgets, `β₂`.
    pub beta2: f64,
    /// What keeps the division finite, `ε`. It is compared with gradients, so it matters whether they belong to the
    /// sum or to the mean over a batch; here it is the mean.
    pub epsilon: f64,
    /// Decoupled weight decay, `λ`.
    pub weight_decay: f64,
    /// The first moment, `m`, in the layout of the parameters.
    pub m: Buffer<T>,
    /// The second moment, `v`.
    pub v: Buffer<T>,
    /// Updates made, `t`.
    pub t: i32,
}

impl<T: Real> Adam<T> {
    /// Adam with the paper's `β₁ = 0.9`, `β₂ = 0.999`, `ε = 10⁻⁸`, and no weight decay.
    pub fn new(params: &Params<T>, lr: f64) -> Self {
        let zeros = || Buffer::zeros(params.flat.len());
        Adam { lr, beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weight_decay: 0.0, m: zeros(), v: zeros(), t: 0 }
    }

    /// One update of all parameters.
    ///
    /// # Panics
    /// If the parameters are not those the moments were made for.
    pub fn step(&mut self, params: &mut Params<T>, grads: &Grads<T>) {
        assert!(params.flat.len() == self.m.len() && grads.layout == params.layout, "parameters of another model");
        self.t += 1;
        // In f64, whatever T is: 1 − β₂ = 0.001 as the difference of two f32 is off by 10⁻⁵ of itself.
        let (correct1, correct2) = (1.0 - self.beta1.powi(self.t), 1.0 - self.beta2.powi(self.t));
        let keep = T::of(1.0 - self.lr * self.weight_decay);
        let (gain1, beta2, gain2) = (T::of(1.0 - self.beta1), T::of(self.beta2), T::of(1.0 - self.beta2));
        let (rate, epsilon) = (T::of(self.lr / correct1), T::of(self.epsilon));
        let inverse_root = T::of(correct2.sqrt().recip());

        parallel::zip([&mut params.flat, &mut self.m, &mut self.v], [&grads.flat], &|[theta, m, v], [g]| {
            let (g, m, v) = (&g[..theta.len()], &mut m[..theta.len()], &mut v[..theta.len()]);
            vectorize(
                #[inline(always)]
                || {
                    for i in 0..theta.len() {
                        m[i] = flush(m[i] + gain1 * (g[i] - m[i]));
                        v[i] = flush(v[i] * beta2 + gain2 * g[i] * g[i]);
                        theta[i] = theta[i] * keep - rate * m[i] / (v[i].sqrt() * inverse_root + epsilon);
                    }
                },
            );
        });
    }
}

/// Scales a gradient so that its Euclidean norm over all parameters is at most `most` (Pascanu, Mikolov and Bengio 2013):
/// its norm before.
pub fn clip<T: Real>(grads: &mut Grads<T>, most: f64) -> f64 {
    let flat = &grads.flat;
    let squares = parallel::map(
        flat.len().div_ceil(CHUNK),
        || (),
        |(), i| {
            let g = &flat[i * CHUNK..flat.len().min((i + 1) * CHUNK)];
            reduce::sum(
                [g],
                #[inline(always)]
                |[g]| g * g,
            )
            .as_f64()
        },
    );
    let norm = squares.iter().sum::<f64>().sqrt();
    if norm > most {
        let scale = T::of(most / norm);
        parallel::chunks(&mut grads.flat, |_, grads| {
            vectorize(
                #[inline(always)]
                move || grads.iter_mut().for_each(|g| *g = *g * scale),
            );
        });
    }
    norm
}

/// A number too small to be normal becomes 0. The moments of a weight whose gradient has become 0 – a pixel that is
/// rarely lit – decay for ever; many CPUs are far slower with denormal numbers, and epochs would slow down
/// as training goes on.
#[inline(always)]
fn flush<T: Real>(x: T) -> T {
    if x.abs() < T::min_positive_value() { T::zero() } else { x }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    fn one_parameter() -> (Params<f64>, Grads<f64>, autograd::Param) {
        let mut params = Params::new();
        let p = params.add("p", array![[1.0, -2.0]]);
        let mut grads = Grads::zeros(&params);
        grads.flat[params.layout.range(p)].copy_from_slice(&[0.5, -1e-3]);
        (params, grads, p)
    }

    #[test]
    fn two_updates_follow_the_paper_written_out() {
        let (mut params, mut grads, p) = one_parameter();
        let mut adam = Adam::new(&params, 0.1);
        let (mut theta, mut m, mut v) = (1.0f64, 0.0, 0.0);
        for (t, g) in [(1, 0.5), (2, -0.25)] {
            grads.flat[0] = g;
            adam.step(&mut params, &grads);
            m = 0.9 * m + 0.1 * g;
            v = 0.999 * v + 0.001 * g * g;
            let (m_hat, v_hat) = (m / (1.0 - 0.9f64.powi(t)), v / (1.0 - 0.999f64.powi(t)));
            theta -= 0.1 * m_hat / (v_hat.sqrt() + 1e-8);
            assert!((params.view(p)[[0, 0]] - theta).abs() < 1e-14);
        }
    }

    #[test]
    fn the_first_update_is_the_learning_rate_whatever_the_gradient() {
        let (mut params, grads, p) = one_parameter();
        Adam::new(&params, 0.1).step(&mut params, &grads);
        let step = &params.view(p) - &array![[1.0, -2.0]];
        assert!((step[[0, 0]] + 0.1).abs() < 1e-7 && (step[[0, 1]] - 0.1).abs() < 1e-5, "{step}");
    }

    #[test]
    fn weight_decay_is_decoupled_from_the_gradient() {
        let (mut params, mut grads, p) = one_parameter();
        grads.flat.fill(0.0);
        let mut adam = Adam { weight_decay: 0.5, ..Adam::new(&params, 0.1) };
        adam.step(&mut params, &grads);
        assert_eq!(params.view(p), array![[0.95, -1.9]]);
    }

    #[test]
    fn a_gradient_that_is_too_long_is_shortened_and_keeps_its_direction() {
        let (_, mut grads, p) = one_parameter();
        grads.flat[..2].copy_from_slice(&[3.0, -4.0]);
        assert_eq!((clip(&mut grads, 6.0), grads.view(p)), (5.0, array![[3.0, -4.0]].view()));
        assert_eq!((clip(&mut grads, 2.5), grads.view(p)), (5.0, array![[1.5, -2.0]].view()));
    }

    #[test]
    fn moments_without_a_gradient_become_zero_and_not_denormal() {
        let mut params = Params::<f32>::new();
        params.add("p", array![[1.0]]);
        let mut grads = Grads::zeros(&params);
        let mut adam = Adam::new(&params, 1e-3);
        grads.flat.fill(1e-15);
        adam.step(&mut params, &grads);
        grads.flat.fill(0.0);
        for _ in 0..1500 {
            adam.step(&mut params, &grads);
            assert!([adam.m[0], adam.v[0]].iter().all(|x| *x == 0.0 || x.is_normal()));
        }
        assert_eq!(adam.m[0], 0.0);
    }
}
