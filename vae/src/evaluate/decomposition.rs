//! Where the nats of the KL go (Hoffman and Johnson 2016), and where in the image those of the reconstruction.
//!
//! With `q(z) = 1/n Σₘ q(z | xₘ)`, the mixture of the posteriors of all `n` images,
//! ```text
//! 1/n Σₘ KL(q(z | xₘ) ‖ p(z))  =  I(x; z)  +  KL(q(z) ‖ p(z))
//! ```
//! What the code says of the image, and how far the codes of all images together are from the prior: what is sampled from the
//! prior is like the data only if the second is small.

use autograd::{Activation, Params, Recorder};
use datasets::Images;
use ndarray::{Array1, Array2, Axis, Zip, s};
use serde::Serialize;

use crate::checkpoint::Model;
use crate::distributions::{Distribution, Reparameterized};
use crate::generate;
use crate::layers::Layer;
use crate::noise::{Purpose, fill_normal};

/// Images whose codes are drawn, at most. It makes a standard error of a hundredth of that of a single one.
const CODES: usize = 10_000;

/// The two parts of the mean KL divergence, in nats per example.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Decomposition {
    /// `I(x; z)` under `q`: what the code says of which image it was made from. As the image's own posterior is part of the
    /// mixture, it is never above `ln n`: where it is close, more images would make it larger.
    pub mutual_information: f64,
    /// Its standard error, of the codes drawn.
    pub mutual_information_se: f64,
    /// `KL(q(z) ‖ p(z))`, the rest of the KL; with the same standard error.
    pub marginal_kl: f64,
}

/// Divides the mean KL divergence of these images, `kl`, into its parts. Every image has its posterior in the mixture; of ten
/// thousand of them at most a code is drawn, the one that [`evaluate`](super::evaluate()) draws.
///
/// # Panics
/// If the images have another size than the model's.
pub fn decompose(model: &Model, images: &Images, kl: f64) -> Decomposition {
    let [mean, log_var] = generate::posteriors_of(model, images);
    let mut noise = Array2::zeros(mean.dim());
    fill_normal(&mut Purpose::EvaluationNoise.generator(model.config.seed, 0), noise.view_mut());
    let [mutual_information, mutual_information_se] =
        mutual_information([mean, log_var].map(|x| x.mapv(f64::from)), &noise);
    Decomposition { mutual_information, mutual_information_se, marginal_kl: kl - mutual_information }
}

/// `I(x; z) = E[log q(z | x) − log q(z)]` for posteriors of these means and log-variances, `[n, latent]`, by one code each,
/// of this noise; and its standard error. The two logarithms are taken of the same code, so that what is the same in both
/// does not make the estimate uncertain.
fn mutual_information([mean, log_var]: [Array2<f64>; 2], noise: &Array2<f32>) -> [f64; 2] {
    let (n, latent) = mean.dim();
    let ln_2pi = std::f64::consts::TAU.ln();
    // −2 log q(z | xₘ) = Σⱼ (zⱼ²τⱼ − 2zⱼμⱼτⱼ + μⱼ²τⱼ + ln 2π − ln τⱼ) with the precision τ = 1/σ²: so all pairs of a code and
    // a posterior are one product of matrices. In double precision, for the terms are large where the sum is not.
    let precision = log_var.mapv(|s| (-s).exp());
    let mut weights = Array2::zeros((2 * latent, n));
    weights.slice_mut(s![..latent, ..]).assign(&(&precision * -0.5).t());
    weights.slice_mut(s![latent.., ..]).assign(&(&mean * &precision).t());
    let constant = (&mean * &mean * &precision + &log_var + ln_2pi).sum_axis(Axis(1)) * -0.5;
    let mut params = Params::new();
    let (weights, constant) = (params.add("weights", weights), params.add("constant", constant.insert_axis(Axis(0))));

    let codes = n.min(CODES);
    let rows = ((1 << 20) / n).clamp(1, 64);
    let r = Recorder::new(&params);
    let features = r.input([rows, 2 * latent]);
    let sum = features.linear(r.param(weights), r.param(constant), Activation::Identity).log_sum_exp().slot();
    let features = features.slot();
    let mut tape = r.finish();

    let mut differences = Vec::with_capacity(codes);
    while differences.len() < codes {
        // Spread over all images, as those of a folder come label by label. The rows of the last batch that are too many are
        // computed and dropped.
        let of_image = |i: usize| (differences.len() + i).min(codes - 1) * n / codes;
        let mut own = Vec::with_capacity(rows);
        for (i, mut features) in tape.input_mut(features).rows_mut().into_iter().enumerate() {
            let m = of_image(i);
            let (mut squares, mut z) = features.view_mut().split_at(Axis(0), latent);
            Zip::from(&mut z).and(mean.row(m)).and(log_var.row(m)).and(noise.row(m)).for_each(|z, mean, s, &noise| {
                *z = mean + (0.5 * s).exp() * f64::from(noise);
            });
            squares.assign(&(&z * &z));
            let log_density = |(s, &noise): (&f64, &f32)| -0.5 * (ln_2pi + s + f64::from(noise).powi(2));
            own.push(log_var.row(m).iter().zip(noise.row(m)).map(log_density).sum::<f64>());
        }
        tape.forward(&params);
        let mixture = tape.value(sum);
        let pairs = own.iter().zip(mixture).take(codes - differences.len());
        differences.extend(pairs.map(|(own, sum)| own - (sum - (n as f64).ln())));
    }
    let differences = Array1::from(differences);
    [differences.mean().expect("an image"), differences.std(f64::from(codes > 1)) / (codes as f64).sqrt()]
}

/// The mean over the images of `−log p(xⱼ | z)` of each number `j` of an image, in nats; they add up to the reconstruction.
/// `None` if the numbers of an image are not independent given its code.
///
/// # Panics
/// If the images have another size than the model's.
pub fn nats_per_number(model: &Model, images: &Images) -> Option<Array1<f64>> {
    let Model { config, vae, params, size } = model;
    let (latent, count) = (config.latent, size.count());
    let mut noise = Array2::zeros((images.len(), latent));
    fill_normal(&mut Purpose::EvaluationNoise.generator(config.seed, 0), noise.view_mut());
    let mut sums = Array1::zeros(count);
    // The terms of each number by itself are a dozen matrices as large as its outputs, where a pass has two.
    let rows = vae.images_per_pass(params).div_ceil(8);
    let seen = generate::batches(model, images, images.len(), rows);
    for (some, some_noise) in seen.zip(noise.axis_chunks_iter(Axis(0), rows)) {
        let r = Recorder::new(params);
        let (x, noise) = (r.input([some.nrows(), count]), r.input([some.nrows(), latent]));
        let outputs = vae.logits.apply(vae.decoder.apply(vae.encode(x).sample(noise)));
        let p = vae.likelihood.of_each_number(outputs, count)?;
        let log_prob = p.log_prob(x.reshape([some.len(), 1])).reshape([some.nrows(), count]).slot();
        let (x, noise) = (x.slot(), noise.slot());
        let mut tape = r.finish();
        tape.input_mut(x).assign(&some);
        tape.input_mut(noise).assign(&some_noise);
        tape.forward(params);
        sums -= &tape.value(log_prob).mapv(f64::from).sum_axis(Axis(0));
    }
    Some(sums / images.len() as f64)
}

#[cfg(test)]
mod tests {
    use super::super::evaluate;
    use super::super::testing::{images, model};
    use super::*;
    use crate::config::Config;
    use crate::distributions::Family;
    use datasets::generator;

    fn noise(n: usize, latent: usize) -> Array2<f32> {
        let mut noise = Array2::zeros((n, latent));
        fill_normal(&mut generator(1, "test", 0), noise.view_mut());
        noise
    }

    #[test]
    fn codes_of_equal_posteriors_say_nothing_and_of_distant_ones_which_it_was() {
        let (n, latent) = (150, 3);
        let alike = [Array2::from_elem((n, latent), 0.7), Array2::from_elem((n, latent), -9.0)];
        let [information, error] = mutual_information(alike, &noise(n, latent));
        assert!(information.abs() < 1e-9 && error < 1e-9, "{information} ± {error}");
        let apart = [Array2::from_shape_fn((n, latent), |(i, _)| i as f64), Array2::from_elem((n, latent), -9.0)];
        let [information, error] = mutual_information(apart, &noise(n, latent));
        // The terms of the product are as large as μ²τ, about 10⁸.
        assert!((information - (n as f64).ln()).abs() < 1e-6 && error < 1e-6, "{information} ± {error}");
    }

    /// A Gaussian channel: if `z` has mean `μ ~ N(0, 1 − σ²)` and variance `σ²`, all codes together are the prior, and
    /// `I = −½ ln σ²` per dimension.
    #[test]
    fn a_gaussian_channel_has_the_capacity_that_shannon_says() {
        let (n, latent, variance) = (4000, 2, 0.3f64);
        let mut mean = Array2::<f64>::zeros((n, latent));
        fill_normal(&mut generator(2, "test", 0), mean.view_mut());
        mean *= (1.0 - variance).sqrt();
        let log_var = Array2::from_elem((n, latent), variance.ln());
        let [information, error] = mutual_information([mean, log_var], &noise(n, latent));
        let truth = -0.5 * variance.ln() * latent as f64;
        assert!((information - truth).abs() < 3.0 * error && error < 0.02, "{information} ± {error}, not {truth}");
    }

    #[test]
    fn the_parts_are_the_kl_and_depend_on_the_seed_alone() {
        let (mut model, images) = (model(3), images(90));
        let kl = evaluate(&model, &images).losses.kl;
        let parts = decompose(&model, &images, kl);
        assert_eq!(decompose(&model, &images, kl), parts);
        assert!((parts.mutual_information + parts.marginal_kl - kl).abs() < 1e-12);
        assert!(parts.mutual_information > 0.0 && parts.mutual_information < 90f64.ln());
        model.config.seed += 1;
        assert_ne!(decompose(&model, &images, kl), parts);
    }

    #[test]
    fn the_nats_of_all_numbers_are_the_reconstruction() {
        let images = images(700);
        for family in Family::ALL.map(Family::small) {
            let config = Config { hidden: vec![8], latent: 2, likelihood: Some(family), ..Config::default() };
            let model = Model::new(config, images.size());
            let Some(nats) = nats_per_number(&model, &images) else {
                assert_eq!(family, Family::Multinomial);
                continue;
            };
            let reconstruction = evaluate(&model, &images).losses.reconstruction;
            assert!((nats.sum() / reconstruction - 1.0).abs() < 1e-5, "{family}: {} {reconstruction}", nats.sum());
        }
    }
}
