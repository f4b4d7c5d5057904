//! What the tests of the estimators share: a model so small that its truth can be computed.

use autograd::Recorder;
use datasets::{Images, Pixels, Size};
use ndarray::{Array2, ArrayView2};

use crate::checkpoint::Model;
use crate::config::Config;
use crate::distributions::{Distribution, StandardNormal};

/// Some images of nine pixels.
pub(super) fn images(n: usize) -> Images {
    Images::new((0..n * 9).map(|k| (k * 37 % 256) as u8).collect(), Size::grey(3, 3), vec![0; n]).unwrap()
}

/// A model of black and white pixels whose encoder never learned anything, and whose decoder says much.
pub(super) fn model(latent: usize) -> Model {
    let config = Config { hidden: vec![8], latent, binarize: Pixels::Threshold, ..Config::default() };
    let mut model = Model::new(config, Size::grey(3, 3));
    model.params.view_mut(model.vae.logits.weight).mapv_inplace(|w| 5.0 * w);
    model
}

/// `log p(x)` of a model with two latent dimensions, an integral over the plane, by the trapezoidal rule on [−7, 7]²:
/// beyond, the prior has 10⁻¹¹ of its mass.
pub(super) fn quadrature(model: &Model, x: ArrayView2<f32>) -> Vec<f64> {
    let (side, step) = (281, 0.05);
    let params = model.params.cast::<f64>();
    let z = Array2::from_shape_fn((side * side, 2), |(i, d)| step * ([i % side, i / side][d] as f64) - 7.0);
    let r = Recorder::new(&params);
    let (code, image) = (r.input([side * side, 2]), r.input([side * side, x.ncols()]));
    let log_joint = model.vae.decode(code).log_prob(image) + StandardNormal.log_prob(code);
    let log_p = log_joint.reshape([1, side * side]).log_sum_exp().slot();
    let (code, image) = (code.slot(), image.slot());
    let mut tape = r.finish();
    tape.input_mut(code).assign(&z);
    let integral = |x: ndarray::ArrayView1<f32>| {
        tape.input_mut(image).assign(&x.mapv(f64::from));
        tape.forward(&params);
        tape.scalar(log_p) + 2.0 * step.ln()
    };
    x.rows().into_iter().map(integral).collect()
}
