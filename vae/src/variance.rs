//! How much estimates of a gradient scatter: by the noise of the samples alone, over the same images and parameters.

use std::ops::Range;

use autograd::{Grads, Params};
use datasets::{Images, Pixels};
use serde::Serialize;

use crate::checkpoint::Model;
use crate::config::Config;
use crate::gradient::{Gradient, Of};
use crate::models::Vae;
use crate::noise::Purpose;
use crate::objective::Estimator;

/// How an estimate scatters in some of the parameters.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Scatter {
    /// The sum over the parameters of the variance of the gradient, nats².
    pub variance: f64,
    /// The norm of the mean gradient over the root of that variance; what the mean owes to chance is taken off. 0 where nothing
    /// is left: with so few draws, the gradient cannot be told from noise. None where there is no noise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signal_to_noise: Option<f64>,
}

/// How an estimate scatters.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct OfEstimator {
    /// In the parameters of `q(z | x)`.
    pub encoder: Scatter,
    /// In those of `p(x | z)`.
    pub decoder: Scatter,
}

/// The first of these images as a training step would see them: drawn black or white once, if they are to be.
///
/// # Panics
/// If there are none.
pub fn fixed_images(images: &Images, n: usize, config: &Config) -> Images {
    let mut few = images.clone();
    few.truncate(n);
    if config.binarize == Pixels::Grey {
        return few;
    }
    let mut x = ndarray::Array2::<f32>::zeros((few.len(), few.size().count()));
    let mut randomness = Purpose::EvaluationBinarize.generator(config.seed, 0);
    let batches = few.in_order(few.len());
    batches.iter().next().expect("some images").write_to(config.binarize, &mut randomness, x.view_mut());
    let pixels = x.iter().map(|&x| if x > 0.5 { 255 } else { 0 }).collect();
    Images::new(pixels, few.size(), vec![0; few.len()]).expect("as many as there were")
}

/// Draws the gradient of all these images as one batch so many times, each with noise of its own.
///
/// # Panics
/// If there are less than two draws.
pub fn scatter(model: &Model, images: &Images, estimator: Estimator, k: usize, draws: u64) -> OfEstimator {
    assert!(draws > 1, "one draw does not scatter");
    let Model { vae, params, .. } = model;
    let config = Config { objective: estimator, k, binarize: Pixels::Grey, free_bits: 0.0, ..model.config.clone() };
    let batches = images.in_order(images.len());
    let batch = batches.iter().next().expect("some images");
    let (mut gradient, mut grads) = (Gradient::default(), Grads::zeros(params));
    let [mut sums, mut squares] = [(); 2].map(|()| vec![0.0f64; grads.flat.len()]);
    for draw in 0..draws {
        let of = Of { vae, params, config: &config, batch, step: NEVER_TRAINED + draw, beta: config.beta };
        gradient.compute(&of, &mut grads);
        vae.likelihood.keep_what_is_followed(&mut grads);
        for ((sum, square), &g) in sums.iter_mut().zip(&mut squares).zip(&grads.flat[..]) {
            let g = f64::from(g);
            *sum += g;
            *square += g * g;
        }
    }
    let n = draws as f64;
    let of = |range: Range<usize>| {
        let variance = |i: usize| at_least_0((squares[i] - sums[i] * sums[i] / n) / (n - 1.0));
        let total: f64 = range.clone().map(variance).sum();
        // E[mean²] is the square of the expected gradient and a share of the variance.
        let signal = range.map(|i| (sums[i] / n).powi(2)).sum::<f64>() - total / n;
        let signal_to_noise = (total != 0.0).then(|| (at_least_0(signal) / total).sqrt());
        Scatter { variance: total, signal_to_noise }
    };
    let cut = first_of_decoder(vae, params);
    OfEstimator { encoder: of(0..cut), decoder: of(cut..grads.flat.len()) }
}

/// What rounding has made negative, made 0. `f64::max` would make a NaN 0, too, and hide a gradient that is not finite.
fn at_least_0(x: f64) -> f64 {
    if x < 0.0 { 0.0 } else { x }
}

/// The numbers of training steps are below: their noise is other noise.
const NEVER_TRAINED: u64 = 1 << 31;

/// Where the decoder's parameters begin.
fn first_of_decoder(vae: &Vae, params: &Params) -> usize {
    params.layout.range(vae.decoder.first().unwrap_or(&vae.logits).weight).start
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::distributions::{Family, Likelihood};
    use datasets::Size;

    fn model() -> (Model, Images) {
        let images =
            Images::new((0..20 * 9).map(|k| (k * 37 % 256) as u8).collect(), Size::grey(3, 3), vec![0; 20]).unwrap();
        let config = Config { hidden: vec![8], latent: 3, binarize: Pixels::Dynamic, ..Config::default() };
        let model = Model::new(config, images.size());
        let images = fixed_images(&images, 15, &model.config);
        (model, images)
    }

    #[test]
    fn images_are_drawn_once_and_black_or_white() {
        let images = model().1;
        assert!(images.are_black_and_white() && images.len() == 15);
        assert!(images == model().1);
    }

    #[test]
    fn without_noise_nothing_scatters() {
        let (mut model, images) = model();
        model.params.view_mut(model.vae.log_var.bias).fill(-80.0);
        let OfEstimator { encoder, decoder } = scatter(&model, &images, Estimator::Elbo, 1, 5);
        assert!(encoder.variance < 1e-12 && decoder.variance < 1e-12, "{encoder:?} {decoder:?}");
        assert!(decoder.signal_to_noise.is_none_or(|ratio| ratio > 1e3), "{decoder:?}");
    }

    #[test]
    fn a_gradient_that_is_not_finite_has_no_variance() {
        let (mut model, images) = model();
        model.params.view_mut(model.vae.mean.bias).fill(f32::NAN);
        let OfEstimator { encoder, .. } = scatter(&model, &images, Estimator::Elbo, 1, 5);
        assert!(encoder.variance.is_nan() && encoder.signal_to_noise.is_some_and(f64::is_nan), "{encoder:?}");
    }

    /// Its gradient is n/2 (1 − mean error²/σ²), and with σ = e⁻⁵ larger than all others by far.
    #[test]
    fn a_variance_that_is_set_and_not_followed_adds_nothing_to_the_noise() {
        let (_, images) = model();
        let config = Config { hidden: vec![8], latent: 3, likelihood: Some(Family::Gaussian), ..Config::default() };
        let mut model = Model::new(config, images.size());
        let Likelihood::Gaussian { log_var } = model.vae.likelihood else { panic!() };
        model.params.view_mut(log_var).fill(-10.0);
        let fixed = Family::GaussianFixed { std: (-5f64).exp() };
        let twin = Model::new(Config { likelihood: Some(fixed), ..model.config.clone() }, images.size());
        let of = |model: &Model| scatter(model, &images, Estimator::Elbo, 1, 5).decoder.variance;
        assert!((of(&model) / of(&twin) - 1.0).abs() < 1e-3, "{} {}", of(&model), of(&twin));
    }

    #[test]
    fn the_score_function_scatters_more_than_the_path_and_samples_scatter_less() {
        let (model, images) = model();
        let encoder = |estimator, k| scatter(&model, &images, estimator, k, 100).encoder;
        let [elbo, reinforce] = [Estimator::Elbo, Estimator::Reinforce].map(|estimator| encoder(estimator, 1));
        assert!(reinforce.variance > 2.0 * elbo.variance && reinforce.signal_to_noise < elbo.signal_to_noise);
        let four = encoder(Estimator::Elbo, 4);
        // A mean of four independent gradients has a quarter of the variance; of 100 draws it is known to about 15 %.
        assert!((elbo.variance / four.variance - 4.0).abs() < 1.5, "{elbo:?} {four:?}");
    }
}
