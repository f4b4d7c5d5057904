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
    halves(joined_posteriors(model, images).view())
}

/// The [`posteriors`] of all images, of which few at a time are turned into floats: four times their bytes.
///
/// # Panics
/// If the images have another size than the model's.
pub fn posteriors_of(model: &Model, images: &Images) -> [Array2<f32>; 2] {
    let mut all = Array2::zeros((images.len(), 2 * model.config.latent));
    let rows = model.vae.images_per_pass(&model.params);
    for (x, mut of_these) in batches(model, images, images.len(), rows).zip(all.axis_chunks_iter_mut(Axis(0), rows)) {
        of_these.assign(&joined_posteriors(model, x.view()));
    }
    halves(all.view())
}

/// Means and log-variances side by side: `[n, 2 · latent]`.
fn joined_posteriors(model: &Model, images: ArrayView2<f32>) -> Array2<f32> {
    assert_eq!(images.ncols(), model.size.count(), "images of another size than the model's");
    by_batches(model, images, 2 * model.config.latent, |x| {
        let q = model.vae.encode(x);
        q.mean.join(q.log_var)
    })
}

fn halves(both: ArrayView2<f32>) -> [Array2<f32>; 2] {
    let (one, other) = both.split_at(Axis(1), both.ncols() / 2);
    [one, other].map(|x| x.to_owned())
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

/// The first `n` images as the model sees them, binarised if it was trained so: `rows` at a time, `[rows, pixels]`.
///
/// # Panics
/// If `rows` is 0.
pub fn batches(model: &Model, images: &Images, n: usize, rows: usize) -> impl Iterator<Item = Array2<f32>> {
    let n = n.min(images.len());
    let all = images.in_order(rows);
    let mut pixel_noise = Purpose::EvaluationBinarize.generator(model.config.seed, 0);
    (0..n.div_ceil(rows)).map(move |i| {
        let batch = all.iter().nth(i).expect("there are as many images");
        let batch = batch.part(0..batch.len().min(n - i * rows));
        let mut x = Array2::zeros((batch.len(), images.size().count()));
        batch.write_to(model.config.binarize, &mut pixel_noise, x.view_mut());
        x
    })
}

/// The first `n` images as the model sees them, all at once: `[n, pixels]`.
pub fn first_images(model: &Model, images: &Images, n: usize) -> Array2<f32> {
    let first = batches(model, images, n, n.max(1)).next();
    first.unwrap_or_else(|| Array2::zeros((0, images.size().count())))
}

/// Codes drawn from the prior, `z ~ N(0, temperature²)`: below 1 more typical, above 1 more varied. `[n, latent]`
pub fn prior(model: &Model, n: usize, temperature: f32, seed: u64) -> Array2<f32> {
    let mut codes = Array2::zeros((n, model.config.latent));
    fill_normal(&mut Purpose::Prior.generator(seed, 0), codes.view_mut());
    codes * temperature
}

/// Images of codes drawn from the [`prior`].
pub fn sample(model: &Model, n: usize, temperature: f32, seed: u64) -> Array2<f32> {
    decode(model, prior(model, n, temperature, seed).view())
}

/// Images decoded from the mean of `q(z | x)`.
pub fn reconstruct(model: &Model, images: ArrayView2<f32>) -> Array2<f32> {
    decode(model, encode(model, images).view())
}

/// `steps` codes on the straight line between the codes of two images, ends included: `[steps, latent]`.
///
/// # Panics
/// If `pair` does not have two rows, or `steps < 2`.
pub fn line(model: &Model, pair: ArrayView2<f32>, steps: usize) -> Array2<f32> {
    assert!(pair.nrows() == 2 && steps >= 2, "a line has two ends");
    let ends = encode(model, pair);
    let mut codes = Array2::zeros((steps, model.config.latent));
    for (i, mut code) in codes.rows_mut().into_iter().enumerate() {
        let t = i as f32 / (steps - 1) as f32;
        Zip::from(&mut code).and(ends.row(0)).and(ends.row(1)).for_each(|z, &a, &b| *z = (1.0 - t) * a + t * b);
    }
    codes
}

/// The plane of two latent dimensions, `side × side` codes row by row: `z₁` from −2.5 to 2.5 to the right and `z₂` upwards, so
/// that a picture of it lies over a scatter plot of the codes. `[side², 2]`
pub fn plane(side: usize) -> Array2<f32> {
    let at = |i: usize| 5.0 * (i as f32 / (side.max(2) - 1) as f32) - 2.5;
    Array2::from_shape_fn((side * side, 2), |(k, dimension)| match dimension {
        0 => at(k % side),
        _ => -at(k / side),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use datasets::{Pixels, Size};
    use ndarray::{concatenate, s};

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
        let line = decode(&model, line(&model, pair.view(), 5).view());
        let ends = reconstruct(&model, pair.view());
        assert_eq!((line.row(0), line.row(4)), (ends.row(0), ends.row(1)));
    }

    #[test]
    fn the_plane_has_its_origin_in_the_middle_and_z2_upwards() {
        let plane = plane(5);
        let at = |k: usize| [plane[[k, 0]], plane[[k, 1]]];
        assert_eq!([at(12), at(4), at(20)], [[0.0, -0.0], [2.5, 2.5], [-2.5, -2.5]]);
    }

    #[test]
    fn images_seen_a_few_at_a_time_are_those_seen_at_once() {
        let mut model = model();
        let images = Images::new((0..45 * 9).map(|k| (k * 37 % 256) as u8).collect(), model.size, vec![0; 45]).unwrap();
        for binarize in Pixels::ALL {
            model.config.binarize = binarize;
            let at_once = first_images(&model, &images, 45);
            for (n, rows) in [(45, 7), (45, 45), (45, 50), (20, 10), (23, 10), (99, 1)] {
                let some: Vec<_> = batches(&model, &images, n, rows).collect();
                assert!(some.iter().all(|x| (1..=rows).contains(&x.nrows())));
                let together = concatenate(Axis(0), &some.iter().map(|x| x.view()).collect::<Vec<_>>()).unwrap();
                assert_eq!(together, at_once.slice(s![..n.min(45), ..]), "{n} by {rows}");
            }
            assert_eq!(posteriors_of(&model, &images), posteriors(&model, at_once.view()));
        }
        assert_eq!(first_images(&model, &images, 0).dim(), (0, 9));
    }
}
