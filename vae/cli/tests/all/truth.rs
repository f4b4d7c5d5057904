//! A linear VAE, whose likelihood has a closed form: what its training ends at is known.

use std::f64::consts::TAU;

use autograd::{Activation, Grads, Params, Recorder, Var};
use datasets::generator;
use ndarray::{Array2, Axis, array};
use rand_distr::{Distribution as _, StandardNormal as Normal};
use vae::distributions::{Distribution, Gaussian, KlTo, Reparameterized, StandardNormal};
use vae::layers::{Dense, Layer};
use vae::optim::Adam;

/// How many numbers an example has, and its code.
const WIDTH: usize = 5;
const LATENT: usize = 2;

const STEPS: usize = 3000;

/// The eigenvalues of a symmetric matrix, largest first, by Jacobi's rotations.
fn eigenvalues(mut a: Array2<f64>) -> Vec<f64> {
    let n = a.nrows();
    for _ in 0..50 {
        for p in 0..n {
            for q in p + 1..n {
                // The angle that makes a[p, q] zero.
                let angle = 0.5 * (2.0 * a[[p, q]]).atan2(a[[q, q]] - a[[p, p]]);
                let (s, c) = angle.sin_cos();
                let mut rotation = Array2::eye(n);
                (rotation[[p, p]], rotation[[q, q]], rotation[[p, q]], rotation[[q, p]]) = (c, c, s, -s);
                a = rotation.t().dot(&a).dot(&rotation);
            }
        }
    }
    let mut values = a.diag().to_vec();
    values.sort_by(|a, b| b.total_cmp(a));
    values
}

/// The largest mean log-likelihood that probabilistic PCA gives these examples (Tipping and Bishop 1999, equations 4 to 8):
/// it depends on them through the eigenvalues of their covariance alone.
fn best_log_likelihood(x: &Array2<f64>) -> f64 {
    let centred = x - &x.mean_axis(Axis(0)).unwrap();
    let values = eigenvalues(centred.t().dot(&centred) / x.nrows() as f64);
    let noise = values[LATENT..].iter().sum::<f64>() / (WIDTH - LATENT) as f64;
    let log_determinant = values[..LATENT].iter().map(|v| v.ln()).sum::<f64>() + (WIDTH - LATENT) as f64 * noise.ln();
    -0.5 * (WIDTH as f64 * (TAU.ln() + 1.0) + log_determinant)
}

/// The ELBO has the true posterior within its reach, if the axes of the code are those of the data, and training finds
/// them (Lucas et al. 2019). So what is left between the two is what the optimizer has left.
#[test]
fn a_trained_linear_vae_reaches_the_likelihood_of_probabilistic_pca_from_below() {
    let mut rng = generator(3, "test", 0);
    let n = 200;
    let mut normal = |shape| Array2::from_shape_simple_fn(shape, || Normal.sample(&mut rng));
    let weights = array![[1.5, -0.7, 0.3, 0.9, 0.1], [0.2, 0.8, -1.1, 0.4, 0.6]];
    let x: Array2<f64> = normal((n, LATENT)).dot(&weights) + normal((n, WIDTH)) * 0.5 + 1.0;

    let (mut params, mut rng) = (Params::new(), generator(1, "init", 0));
    let mut dense = |name, sizes| Dense::new(&mut params, name, sizes, Activation::Identity, &mut rng);
    let [mean, log_var, decoder] =
        [dense("mean", [WIDTH, LATENT]), dense("log_var", [WIDTH, LATENT]), dense("decoder", [LATENT, WIDTH])];
    let noise_log_var = params.add("noise", array![[0.0]]);
    let mut params = params.cast::<f64>();

    // The expectation over q of a square is its mean over ±√d along each of the d axes: no noise, and nothing estimated.
    let points = 2 * LATENT;
    let far = (LATENT as f64).sqrt();
    let sigma = Array2::from_shape_fn((n * points, LATENT), |(row, j)| match row % points {
        k if k / 2 == j => far * (1.0 - 2.0 * (k % 2) as f64),
        _ => 0.0,
    });

    let r = Recorder::new(&params);
    let (images, noise, ones) = (r.input([n, WIDTH]), r.input([n * points, LATENT]), r.input([1, WIDTH]));
    let q = Gaussian { mean: mean.apply(images), log_var: log_var.apply(images) };
    let repeated = Gaussian { mean: q.mean.repeat_rows(points), log_var: q.log_var.repeat_rows(points) };
    let noise_log_var = r.param(noise_log_var).matmul(ones).repeat_rows(n * points);
    let p = Gaussian { mean: decoder.apply(repeated.sample(noise)), log_var: noise_log_var };
    let loss = (q.kl_to(StandardNormal).mean() - p.log_prob(images.repeat_rows(points)).mean()).slot();
    let [images, noise, ones] = [images, noise, ones].map(Var::slot);
    let mut tape = r.finish();
    tape.input_mut(images).assign(&x);
    tape.input_mut(noise).assign(&sigma);
    tape.input_mut(ones).fill(1.0);

    let truth = best_log_likelihood(&x);
    let (mut adam, mut grads) = (Adam::new(&params, 0.03), Grads::zeros(&params));
    for step in 0..STEPS {
        tape.forward(&params);
        let elbo = -tape.scalar(loss);
        assert!(elbo <= truth + 1e-9, "an ELBO of {elbo} at step {step}, and {truth} is the most there can be");
        tape.backward(loss, &params, &mut grads);
        adam.lr = 0.03 * (1.0 - step as f64 / STEPS as f64);
        adam.step(&mut params, &grads);
    }
    tape.forward(&params);
    let elbo = -tape.scalar(loss);
    assert!(elbo <= truth + 1e-9 && truth - elbo < 1e-4, "{elbo} where {truth} can be reached");
}
