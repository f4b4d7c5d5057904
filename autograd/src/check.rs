//! How every gradient here is tested, in one line each; public, for your own operations too.

use std::ops::Range;

use ndarray::Array2;
use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};

use crate::{Grads, Param, Params, Recorder, Shape, Slot, Tape, Var};

/// Compares the gradients of `f` with central differences in `f64`, for arguments of these shapes: in random
/// directions of the result, at random points from ±[0.1, 1.1], which are clear of a kink at 0. The error may be
/// `1e-7 · max(1, ‖gradient‖∞)`.
///
/// # Panics
/// If a derivative is wrong, naming the argument and the element.
#[track_caller]
pub fn gradients<const N: usize>(shapes: [Shape; N], f: impl for<'r> Fn([Var<'r, f64>; N]) -> Var<'r, f64>) {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    compare_with_differences(shapes, f, || {
        let x: f64 = rng.random_range(-1.0..1.0);
        x + 0.1f64.copysign(x)
    });
}

/// As [`gradients`], at random points of a range: for functions that are not defined everywhere.
///
/// # Panics
/// As [`gradients`].
#[track_caller]
pub fn gradients_in<const N: usize>(
    range: Range<f64>,
    shapes: [Shape; N],
    f: impl for<'r> Fn([Var<'r, f64>; N]) -> Var<'r, f64>,
) {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    compare_with_differences(shapes, f, || rng.random_range(range.clone()));
}

/// Asserts that two ways to compute one thing agree, in value and in every gradient, to rounding in `f64`
/// (`1e-12 · max(1, ‖·‖∞)`): a fused operation and its definition.
///
/// # Panics
/// If they do not.
#[track_caller]
pub fn same<const N: usize>(
    shapes: [Shape; N],
    fused: impl for<'r> Fn([Var<'r, f64>; N]) -> Var<'r, f64>,
    definition: impl for<'r> Fn([Var<'r, f64>; N]) -> Var<'r, f64>,
) {
    let mut rng = ChaCha8Rng::seed_from_u64(2);
    let (params, args) = random_params(shapes, || rng.random_range(-1.0..1.0));
    let mut fused = Played::new(&params, args, fused);
    let mut definition = Played::new(&params, args, definition);
    fused.play(&params);
    definition.play(&params);
    let (ours, expected) = (fused.tape.value(fused.y), definition.tape.value(definition.y));
    assert_eq!(ours.dim(), expected.dim(), "the shapes of the values differ");
    assert_close("value", ours.iter(), expected.iter(), 1e-12);
    assert_close("gradient", fused.grads.flat.iter(), definition.grads.flat.iter(), 1e-12);
}

#[track_caller]
fn compare_with_differences<const N: usize>(
    shapes: [Shape; N],
    f: impl for<'r> Fn([Var<'r, f64>; N]) -> Var<'r, f64>,
    random: impl FnMut() -> f64,
) {
    let (mut params, args) = random_params(shapes, random);
    let mut played = Played::new(&params, args, f);
    played.play(&params);
    let gradient = played.grads.clone();
    let mut differences = Grads::zeros(&params);
    for &arg in &args {
        for i in params.layout.range(arg) {
            // The error of a central difference is ∝ h², that of rounding ∝ 1/h: together about 1e-10 here.
            let (x, h) = (params.flat[i], 1e-5);
            params.flat[i] = x + h;
            let above = played.loss(&params);
            params.flat[i] = x - h;
            let below = played.loss(&params);
            params.flat[i] = x;
            differences.flat[i] = (above - below) / (2.0 * h);
        }
    }
    for (n, &arg) in args.iter().enumerate() {
        assert_close(&format!("gradient of argument {n}"), gradient.view(arg), differences.view(arg), 1e-7);
    }
}

/// `f`, recorded with its arguments as parameters, and a loss that is its product with a random matrix: a single number
/// that moves with every element of the result, each in its own measure.
struct Played {
    tape: Tape<f64>,
    y: Slot,
    loss: Slot,
    grads: Grads<f64>,
}

impl Played {
    fn new<const N: usize>(
        params: &Params<f64>,
        args: [Param; N],
        f: impl for<'r> Fn([Var<'r, f64>; N]) -> Var<'r, f64>,
    ) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let r = Recorder::new(params);
        let y = f(args.map(|p| r.param(p)));
        let cotangent = r.input(y.shape());
        let loss = (y * cotangent).sum();
        let (y, cotangent, loss) = (y.slot(), cotangent.slot(), loss.slot());
        let mut tape = r.finish();
        tape.input_mut(cotangent).mapv_inplace(|_| rng.random_range(-1.0..1.0));
        Played { tape, y, loss, grads: Grads::zeros(params) }
    }

    fn loss(&mut self, params: &Params<f64>) -> f64 {
        self.tape.forward(params);
        self.tape.scalar(self.loss)
    }

    fn play(&mut self, params: &Params<f64>) {
        self.tape.forward(params);
        self.tape.backward(self.loss, params, &mut self.grads);
    }
}

fn random_params<const N: usize>(shapes: [Shape; N], mut random: impl FnMut() -> f64) -> (Params<f64>, [Param; N]) {
    let mut params = Params::new();
    let mut n = 0;
    let args = shapes.map(|shape| {
        n += 1;
        params.add(format!("argument {}", n - 1), Array2::from_shape_simple_fn(shape, &mut random))
    });
    (params, args)
}

#[track_caller]
fn assert_close<'a>(
    what: &str,
    ours: impl IntoIterator<Item = &'a f64>,
    expected: impl IntoIterator<Item = &'a f64>,
    tolerance: f64,
) {
    let pairs: Vec<_> = ours.into_iter().zip(expected).collect();
    let scale = pairs.iter().fold(1.0, |m: f64, (_, e)| m.max(e.abs()));
    for (i, (ours, expected)) in pairs.into_iter().enumerate() {
        let error = (ours - expected).abs();
        // Written so that NaN fails too.
        assert!(
            error <= tolerance * scale,
            "{what}, element {i}: {ours} where {expected} was expected (error {error:.1e}, scale {scale:.1e})"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::{Write, each};
    use crate::{Op, Real, Sink, View, ViewMut};

    /// `y = x²`, with a derivative that is off by one part in a million.
    struct Wrong;
    impl<T: Real> Op<T, 1> for Wrong {
        fn shape(&self, [x]: [Shape; 1]) -> Result<Shape, String> {
            Ok(x)
        }
        fn forward(&self, [x]: [View<T>; 1], y: ViewMut<T>) {
            each::map([x], Write::Set, y, |[x]| x * x);
        }
        fn backward(&self, [x]: [View<T>; 1], _: View<T>, dy: ViewMut<T>, [dx]: [Sink<T>; 1]) {
            dx.add_map([x, dy.view()], |[x, dy]| dy * x * T::of(2.000002));
        }
    }

    #[test]
    #[should_panic(expected = "gradient of argument 0")]
    fn a_slightly_wrong_gradient_is_found() {
        gradients([[3, 4]], |[x]| Var::apply(Wrong, [x]));
    }

    #[test]
    #[should_panic(expected = "gradient, element")]
    fn a_fused_operation_with_another_gradient_is_found() {
        same([[3, 4]], |[x]| Var::apply(Wrong, [x]), |[x]| x.square());
    }

    #[test]
    #[should_panic(expected = "value, element")]
    fn a_fused_operation_with_another_value_is_found() {
        same([[3, 4]], |[x]| x * 2.0, |[x]| x.square());
    }
}
