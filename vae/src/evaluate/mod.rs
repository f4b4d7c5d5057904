//! What a model is worth: the test loss, where its nats go, and how probable it finds images. Nothing is updated.
//!
//! | file             | what it answers                                                               |
//! |------------------|-------------------------------------------------------------------------------|
//! | `mod`            | −ELBO and its parts                                                           |
//! | [`decomposition`]| what of the KL is information about the image; which pixels cost the nats      |
//! | [`importance`]   | −log p(x) is at most …: importance sampling                                   |
//! | [`annealed`]     | −log p(x) lies between …: annealed importance sampling, forth and back        |
//! | [`gap`]          | whether the encoder or its family of distributions keeps the ELBO from log p  |

pub mod annealed;
pub mod decomposition;
pub mod gap;
pub mod importance;
#[cfg(test)]
mod testing;

use autograd::Precision;
use autograd::ops::Function2;
use datasets::Images;
use serde::Serialize;

use crate::checkpoint::Model;
use crate::distributions::KlToStandardNormal;
use crate::noise::{Purpose, fill_normal};
use crate::objective::Objective;
use crate::train::{Losses, Step, Steps, Sums};

/// The result of an evaluation, in nats per example.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Evaluation {
    /// The mean loss and its parts; `−ELBO`, so β = 1.
    #[serde(flatten)]
    pub losses: Losses,
    /// The mean KL divergence of each latent dimension; they add up to `kl`.
    pub kl_per_dimension: Vec<f64>,
    /// Latent dimensions that the encoder uses: those whose posterior mean varies over the images with a variance of
    /// more than 0.01 (Burda et al. 2015, section 5.2).
    pub active_units: usize,
    /// Which they are.
    #[serde(skip)]
    pub active: Vec<bool>,
}

/// The variance of a posterior mean above which a latent dimension counts as active.
const ACTIVE: f64 = 0.01;

/// Evaluates a model on images, with one sample of `q(z | x)` per image. All is computed in single precision, whatever the
/// model was trained in. Noise and dynamic binarisation depend on the
/// run's seed alone: every evaluation of a run sees the same.
pub fn evaluate(model: &Model, images: &Images) -> Evaluation {
    let Model { config, vae, params, .. } = model;
    let mut noise = Purpose::EvaluationNoise.generator(config.seed, 0);
    let mut pixel_noise = Purpose::EvaluationBinarize.generator(config.seed, 0);
    let mut steps = Steps::default();
    let mut sums = vec![];
    let mut dimensions = vec![Dimension::default(); config.latent];
    for batch in &images.in_order(vae.images_per_pass(params)) {
        let step =
            steps.of(batch.len(), || Step::record(vae, params, batch.len(), &Objective::default(), Precision::Single));
        batch.write_to(config.binarize, &mut pixel_noise, step.tape.input_mut(step.x));
        fill_normal(&mut noise, step.tape.input_mut(step.noise));
        step.tape.forward(params);
        sums.push(Sums::of(step));
        let [mean, log_var] = step.posterior.map(|slot| step.tape.value(slot));
        for (mean, log_var) in mean.rows().into_iter().zip(log_var.rows()) {
            for (d, (&mean, &log_var)) in dimensions.iter_mut().zip(mean.iter().zip(log_var)) {
                d.add(f64::from(mean), f64::from(log_var));
            }
        }
    }
    let n = images.len() as f64;
    let active: Vec<bool> = dimensions.iter().map(|d| d.variance_of_mean(n) > ACTIVE).collect();
    Evaluation {
        losses: sums.into_iter().sum::<Sums>().mean(),
        kl_per_dimension: dimensions.iter().map(|d| d.kl / n).collect(),
        active_units: active.iter().filter(|&&active| active).count(),
        active,
    }
}

/// Sums over the images for one latent dimension.
#[derive(Clone, Default)]
struct Dimension {
    kl: f64,
    mean: f64,
    mean_squared: f64,
}

impl Dimension {
    fn add(&mut self, mean: f64, log_var: f64) {
        self.kl += KlToStandardNormal.f(mean, log_var);
        self.mean += mean;
        self.mean_squared += mean * mean;
    }

    fn variance_of_mean(&self, n: f64) -> f64 {
        self.mean_squared / n - (self.mean / n).powi(2)
    }
}

#[cfg(test)]
mod tests {
    use super::annealed::{Effort, anneal};
    use super::decomposition::decompose;
    use super::gap::gap;
    use super::importance::log_likelihood;
    use super::*;
    use crate::config::Config;
    use crate::distributions::{Family, Likelihood};
    use datasets::{Pixels, Size};

    fn images(n: usize) -> Images {
        Images::new((0..n * 9).map(|k| (k * 37 % 256) as u8).collect(), Size::grey(3, 3), vec![0; n]).unwrap()
    }

    fn model(binarize: Pixels) -> Model {
        Model::new(Config { hidden: vec![8], latent: 3, binarize, ..Config::default() }, Size::grey(3, 3))
    }

    /// A model that is all but certain of other images, grey or coloured: `exp` of its log-weights is 0, also as `f64`.
    fn mistaken(family: Family, size: Size) -> Model {
        let config = Config { hidden: vec![4], latent: 2, likelihood: Some(family), ..Config::default() };
        let mut model = Model::new(config, size);
        let scales = (family.outputs(size.count()) == 2 * size.count()).then_some(size.count());
        for (i, bias) in model.params.view_mut(model.vae.logits.bias).iter_mut().enumerate() {
            *bias = match scales {
                Some(first) if i >= first => -30.0,
                _ if i % 2 == 0 => 300.0,
                _ => -300.0,
            };
        }
        if let Likelihood::Gaussian { log_var } = model.vae.likelihood {
            model.params.view_mut(log_var).fill(-12.0);
        }
        model
    }

    fn assert_finite(family: Family, result: &impl Serialize) {
        let json = serde_json::to_string(result).unwrap();
        assert!(!json.contains("null"), "{family}: {json}");
    }

    #[test]
    fn every_evaluation_has_a_finite_result_under_every_likelihood_also_of_images_that_are_far_from_likely() {
        for size in [Size::grey(2, 3), Size { height: 2, width: 2, channels: 3 }] {
            let images =
                Images::new((0..3 * size.count()).map(|k| (60 + k * 37 % 130) as u8).collect(), size, vec![0; 3]);
            let images = images.unwrap();
            for family in Family::ALL.map(Family::small) {
                let family =
                    if family.name() == "gaussian-fixed" { Family::GaussianFixed { std: 0.01 } } else { family };
                let model = mistaken(family, size);
                let evaluation = evaluate(&model, &images);
                assert!(evaluation.losses.loss > 800.0, "{family}: {evaluation:?}");
                assert_finite(family, &evaluation);
                assert_finite(family, &decompose(&model, &images, evaluation.losses.kl));
                let estimate = log_likelihood(&model, &images, 10, || {});
                assert_finite(family, &estimate);
                // Of the same samples, larger groups have larger bounds.
                let [l1, l5, l10] = [1, 5, 10].map(|k| estimate.bounds[&k]);
                assert!(l1 >= l5 && l5 >= l10 && l10 == estimate.negative_log_p, "{family}: {estimate:?}");
                assert!(
                    estimate.effective_samples >= 1.0 && estimate.effective_samples <= 10.0,
                    "{family}: {estimate:?}"
                );
                assert_finite(family, &anneal(&model, &images, Effort { steps: 3, chains: 2, images: 2 }, |_| {}));
                assert_finite(family, &gap(&model, &images, 2, 5, || {}));
            }
        }
    }

    #[test]
    fn the_parts_add_up() {
        let e = evaluate(&model(Pixels::Grey), &images(700));
        assert!((e.losses.reconstruction + e.losses.kl - e.losses.loss).abs() < 1e-12);
        assert!((e.kl_per_dimension.iter().sum::<f64>() - e.losses.kl).abs() < 1e-6 * e.losses.kl);
    }

    #[test]
    fn the_same_run_sees_the_same_noise_every_time_and_another_seed_does_not() {
        let images = images(30);
        let mut model = model(Pixels::Dynamic);
        let first = evaluate(&model, &images);
        assert_eq!(evaluate(&model, &images), first);
        model.config.seed += 1;
        assert_ne!(evaluate(&model, &images).losses.loss, first.losses.loss);
    }

    #[test]
    fn what_it_was_trained_in_does_not_change_what_a_model_is_worth() {
        let images = images(30);
        let mut model = model(Pixels::Grey);
        let single = evaluate(&model, &images);
        model.config.precision = Precision::Bf16;
        assert_eq!(evaluate(&model, &images), single);
    }

    #[test]
    fn z_is_drawn_and_not_the_mean() {
        // An encoder of huge variance: at z = μ the loss would not notice.
        let (mut model, images) = (model(Pixels::Grey), images(30));
        let before = evaluate(&model, &images).losses.reconstruction;
        model.params.view_mut(model.vae.log_var.bias).fill(8.0);
        let after = evaluate(&model, &images).losses.reconstruction;
        assert!((after - before).abs() > 0.1, "{before} {after}");
    }

    #[test]
    fn a_dimension_whose_mean_never_moves_is_not_active() {
        let (mut model, images) = (model(Pixels::Grey), images(30));
        model.params.view_mut(model.vae.mean.weight).fill(0.0);
        assert_eq!(evaluate(&model, &images).active_units, 0);
        model.params.view_mut(model.vae.mean.weight).column_mut(1).fill(1.0);
        assert_eq!(evaluate(&model, &images).active_units, 1);
    }
}
