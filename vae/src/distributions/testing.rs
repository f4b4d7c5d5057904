//! What the tests of the distributions share.

use autograd::{Params, Real, Recorder, Var};
use ndarray::{Array2, Axis, Zip};

/// `f` of these matrices.
pub(super) fn compute<T: Real, const N: usize>(
    inputs: [Array2<T>; N],
    f: impl for<'r> Fn([Var<'r, T>; N]) -> Var<'r, T>,
) -> Array2<T> {
    let r = Recorder::new(&Params::new());
    let vars = inputs.each_ref().map(|x| r.input([x.nrows(), x.ncols()]));
    let (y, slots) = (f(vars).slot(), vars.map(Var::slot));
    let mut tape = r.finish();
    for (slot, x) in slots.into_iter().zip(&inputs) {
        tape.input_mut(slot).assign(x);
    }
    tape.forward(&Params::new());
    tape.value(y).to_owned()
}

/// A matrix as high as `x` with these numbers in each row, whatever those of `x` are: for an argument that is not to be
/// moved.
pub(super) fn constant<'r>(x: Var<'r, f64>, row: &[f64]) -> Var<'r, f64> {
    let zero = x.columns(0..1) * 0.0;
    let columns = row.iter().map(|&number| zero + number);
    columns.reduce(Var::join).expect("at least one column")
}

/// Asserts that the mean of each column of independent samples is what it should be, within 4.5 standard errors.
#[track_caller]
pub(super) fn assert_means(samples: &Array2<f32>, expected: &Array2<f64>) {
    let samples = samples.mapv(f64::from);
    let means = samples.mean_axis(Axis(0)).expect("samples");
    let errors = samples.std_axis(Axis(0), 1.0) / (samples.nrows() as f64).sqrt();
    Zip::from(&means).and(&errors).and(expected.row(0)).for_each(|&mean, &error, &expected| {
        assert!((mean - expected).abs() <= 4.5 * error + 1e-6, "{mean} ± {error}, not {expected}");
    });
}
