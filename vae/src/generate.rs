//! Images from a model. Pixels are shown by their mean, `σ(l)` for most families, not by a draw: that is what the decoder knows.

use autograd::{Recorder, Var};
use datasets::Images;
use ndarray::{Array2, ArrayView2, Axis, Zip};

use crate::checkpoint::Model;
use crate::layers::Layer;
use crate::noise::{Purpose, fill_normal};

/// The mean images of latent codes: `[n, latent]` to `[n, pixels]`, in `[0, 1]`.
///
/// # Panics
/// If the codes have another number of dimensions than the model.
pub fn decode(model: &Model, codes: ArrayView2<f32>) -> Array2<f32> {
    assert_eq!(codes.ncols(), model.config.latent, "codes of another model");
    by_batches(model, codes, model.size.count(), |z| model.vae.decode(z).mean())
}

/// What the decoder says of latent codes, before it is read as a distribution: `[n, latent]` to `[n, outputs]`.
///
/// # Panics
/// If the codes have another number of dimensions than the model.
pub fn outputs(model: &Model, codes: ArrayView2<f32>) -> Array2<f32> {
    assert_eq!(codes.ncols(), model.config.latent, "codes of another model");
    let width = model.params.view(model.vae.logits.bias).len();
    by_batches(model, codes, width, |z| model.vae.logits.apply(model.vae.decoder.apply(z)))
}

/// The means of `q(z | x)` for images given as `[n, pixels]`: `[n, latent]`.
///
/// # Panics
/// If the images have another number of pixels than the model.
pub fn encode(model: &Model, images: ArrayView2<f32>) -> Array2<f32> {
    assert_eq!(images.ncols(), model.size.count(), "images of another size than the model's");
    by_batches(model, images, model.config.latent, |x| model.vae.encode(x).mean)
}

/// The means and the log-variances of `q(z | x)` for images given as `[n, pixels]`: two of `[n, latent]`.
///
/// # Panics
/// If the images have another number of pixels than the model.
pub fn posteriors(model: &Model, images: ArrayView2<f32>) -> [Array2<f32>; 2] {
    assert_eq!(images.ncols(), model.size.count(), "images of another size than the model's");
    let latent = model.config.latent;
    let both = by_batches(model, images, 2 * latent, |x| {
        let q = model.vae.encode(x);
        q.mean.join(q.log_var)
    });
    let (mean, log_var) = both.view().split_at(Axis(1), latent);
    [mean, log_var].map(|x| x.to_owned())
}

/// `f` of each row, `width` numbers: in batches, so that memory does not grow with their number.
fn by_batches(
    model: &Model,
    inputs: ArrayView2<f32>,
    width: usize,
    f: impl for<'r> Fn(Var<'r>) -> Var<'r>,
) -> Array2<f32> {
    let mut outputs = Array2::zeros((inputs.nrows(), width));
    let rows = model.vae.images_per_pass(&model.params);
    let batches = inputs.axis_chunks_iter(Axis(0), rows).zip(outputs.axis_chunks_iter_mut(Axis(0), rows));
    for (input, mut output) in batches {
        let r = Recorder::new(&model.params);
        let x = r.input([input.nrows(), input.ncols()]);
        let (x, y) = (x.slot(), f(x).slot());
        let mut tape = r.finish();
        tape.input_mut(x).assign(&input);
        tape.forward(&model.params);
        output.assign(&tape.value(y));
    }
    outputs
}

/// The first `n` images as the model sees them: `[n, pixels]`, binarised if it was trained so.
pub fn first_images(model: &Model, images: &Images, n: usize) -> Array2<f32> {
    let mut x = Array2::zeros((n.min(images.len()), images.size().count()));
    let mut pixel_noise = Purpose::EvaluationBinarize.generator(model.config.seed, 0);
    if let Some(batch) = images.in_order(n.max(1)).iter().next().filter(|_| n > 0) {
        batch.write_to(model.config.binarize, &mut pixel_noise, x.view_mut());
    }
    x
}

/// Images of codes drawn from the prior, `z ~ N(0, temperature²)`: below 1 more typical, above 1 more varied.
pub fn sample(model: &Model, n: usize, temperature: f32, seed: u64) -> Array2<f32> {
    let mut codes = Array2::zeros((n, model.config.latent));
    fill_normal(&mut Purpose::Prior.generator(seed, 0), codes.view_mut());
    codes *= temperature;
    decode(model, codes.view())
}

/// Images decoded from the mean of `q(z | x)`.
pub fn reconstruct(model: &Model, images: ArrayView2<f32>) -> Array2<f32> {
    decode(model, encode(model, images).view())
}

/// `steps` images on the straight line between the codes of two images, ends included.
///
/// # Panics
/// If `pair` does not have two rows, or `steps < 2`.
pub fn interpolate(model: &Model, pair: ArrayView2<f32>, steps: usize) -> Array2<f32> {
    assert!(pair.nrows() == 2 && steps >= 2, "a line has two ends");
    let ends = encode(model, pair);
    let mut codes = Array2::zeros((steps, model.config.latent));
    for (i, mut code) in codes.rows_mut().into_iter().enumerate() {
        let t = i as f32 / (steps - 1) as f32;
        Zip::from(&mut code).and(ends.row(0)).and(ends.row(1)).for_each(|z, &a, &b| *z = (1.0 - t) * a + t * b);
    }
    decode(model, codes.view())
}

/// The plane of a model with two latent dimensions: `side × side` images, `z₁` from −2.5 to 2.5 to the right and `z₂`
/// upwards, so that the picture lies over a scatter plot of the codes.
///
/// # Panics
/// If the model does not have two latent dimensions.
pub fn manifold(model: &Model, side: usize) -> Array2<f32> {
    let at = |i: usize| 5.0 * (i as f32 / (side.max(2) - 1) as f32) - 2.5;
    let codes = Array2::from_shape_fn((side * side, 2), |(k, dimension)| match dimension {
        0 => at(k % side),
        _ => -at(k / side),
    });
    decode(model, codes.view())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use datasets::Size;

    fn model() -> Model {
        Model::new(Config { hidden: vec![8], latent: 2, ..Config::default() }, Size::grey(3, 3))
    }

    #[test]
    fn images_are_probabilities_and_do_not_depend_on_how_many_are_made() {
        let model = model();
        let many = sample(&model, 2 * model.vae.images_per_pass(&model.params) + 1, 1.0, 3);
        assert!(many.iter().all(|p| (0.0..=1.0).contains(p)));
        let few = sample(&model, 4, 1.0, 3);
        assert_eq!(many.slice(ndarray::s![..4, ..]), few);
        assert_ne!(sample(&model, 4, 1.0, 4), few);
    }

    #[test]
    fn at_temperature_zero_every_sample_is_the_image_of_the_origin() {
        let images = sample(&model(), 3, 0.0, 1);
        assert_eq!(images, decode(&model(), Array2::zeros((3, 2)).view()));
    }

    #[test]
    fn an_interpolation_begins_and_ends_at_the_reconstructions() {
        let model = model();
        let pair = Array2::from_shape_fn((2, 9), |(i, j)| ((i + j) % 3) as f32 / 2.0);
        let line = interpolate(&model, pair.view(), 5);
        let ends = reconstruct(&model, pair.view());
        assert_eq!((line.row(0), line.row(4)), (ends.row(0), ends.row(1)));
    }

    #[test]
    fn the_manifold_has_its_origin_in_the_middle_and_z2_upwards() {
        let model = model();
        let plane = manifold(&model, 5);
        let at = |z: [f32; 2]| decode(&model, ArrayView2::from_shape((1, 2), &z).unwrap());
        assert_eq!(plane.row(12), at([0.0, 0.0]).row(0));
        assert_eq!(plane.row(4), at([2.5, 2.5]).row(0));
        assert_eq!(plane.row(20), at([-2.5, -2.5]).row(0));
    }
}
