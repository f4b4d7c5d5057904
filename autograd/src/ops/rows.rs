//! The same numbers in another arrangement, or with no way back.

use crate::kernels::{Write, each, reduce};
use crate::{Op, Real, Shape, Sink, Var, View, ViewMut, size};

/// Each row `k` times, one below the other: `yᵢₖ₊ₗ = xᵢ` for `0 ≤ l < k`, and so `dxᵢ = Σₗ dyᵢₖ₊ₗ`. Of a batch of
/// images it makes room for `k` samples of each.
pub struct RepeatRows(pub usize);

impl<T: Real> Op<T, 1> for RepeatRows {
    fn shape(&self, [x]: [Shape; 1]) -> Result<Shape, String> {
        if self.0 > 0 { Ok([x[0] * self.0, x[1]]) } else { Err(format!("repeat_rows: {x:?}, 0 times")) }
    }

    fn forward(&self, [x]: [View<T>; 1], mut y: ViewMut<T>) {
        for (i, mut y) in y.rows_mut().into_iter().enumerate() {
            y.assign(&x.row(i / self.0));
        }
    }

    fn backward(&self, _: [View<T>; 1], _: View<T>, dy: ViewMut<T>, [dx]: [Sink<T>; 1]) {
        dx.accumulate(|mut dx, write| {
            if write == Write::Set {
                dx.fill(T::zero());
            }
            for (mut dx, dy) in dx.rows_mut().into_iter().zip(dy.axis_chunks_iter(ndarray::Axis(0), self.0)) {
                reduce::add_column_sums(dy, dx.as_slice_mut().expect("rows of a tape's matrix are contiguous"));
            }
        });
    }
}

/// The same numbers, row by row, in another shape.
pub struct Reshape(pub Shape);

impl<T: Real> Op<T, 1> for Reshape {
    fn shape(&self, [x]: [Shape; 1]) -> Result<Shape, String> {
        if size(x) == size(self.0) {
            Ok(self.0)
        } else {
            Err(format!("reshape: {x:?} to {:?}, but {} ≠ {}", self.0, size(x), size(self.0)))
        }
    }

    fn forward(&self, [x]: [View<T>; 1], y: ViewMut<T>) {
        each::slice_mut(y).copy_from_slice(each::slice(x));
    }

    fn backward(&self, [x]: [View<T>; 1], _: View<T>, dy: ViewMut<T>, [dx]: [Sink<T>; 1]) {
        dx.add(dy.view().into_shape_with_order(x.dim()).expect("checked at recording"));
    }
}

/// The same numbers, through which no gradient flows back: the one operation that leaves its sink empty.
pub struct StopGradient;

impl<T: Real> Op<T, 1> for StopGradient {
    fn shape(&self, [x]: [Shape; 1]) -> Result<Shape, String> {
        Ok(x)
    }
    fn forward(&self, [x]: [View<T>; 1], mut y: ViewMut<T>) {
        y.assign(&x);
    }
    fn backward(&self, _: [View<T>; 1], _: View<T>, _: ViewMut<T>, _: [Sink<T>; 1]) {}
}

impl<'r, T: Real> Var<'r, T> {
    /// Each row `k` times, one below the other.
    #[track_caller]
    pub fn repeat_rows(self, k: usize) -> Var<'r, T> {
        Var::apply(RepeatRows(k), [self])
    }

    /// The same numbers, row by row, in another shape.
    #[track_caller]
    pub fn reshape(self, shape: Shape) -> Var<'r, T> {
        Var::apply(Reshape(shape), [self])
    }

    /// The same numbers, through which no gradient flows back.
    pub fn stop_gradient(self) -> Var<'r, T> {
        Var::apply(StopGradient, [self])
    }
}

#[cfg(test)]
mod tests {
    use crate::check::{gradients, same};
    use crate::{Grads, Params, Recorder};
    use ndarray::array;

    #[test]
    fn gradient() {
        gradients([[3, 4]], |[x]| x.repeat_rows(5));
        gradients([[3, 4]], |[x]| x.repeat_rows(2).columns(0..2) * x.repeat_rows(2).columns(2..4));
        gradients([[3, 4]], |[x]| x.reshape([2, 6]));
        gradients([[3, 4]], |[x]| x.reshape([4, 3]).matmul(x));
    }

    #[test]
    fn repeating_equals_a_product_with_ones() {
        same([[1, 4]], |[x]| x.repeat_rows(3), |[x]| x.join(x).join(x).reshape([3, 4]));
    }

    #[test]
    fn no_gradient_flows_through_a_stop() {
        let mut params = Params::<f64>::new();
        let w = params.add("w", array![[3.0]]);
        let r = Recorder::new(&params);
        let loss = (r.param(w) * r.param(w).stop_gradient()).slot();
        let stopped = r.param(w).stop_gradient().square().slot();
        let (mut tape, mut grads) = (r.finish(), Grads::zeros(&params));
        tape.forward(&params);
        tape.backward(loss, &params, &mut grads);
        assert_eq!((tape.scalar(loss), grads.view(w)[[0, 0]]), (9.0, 3.0));
        tape.backward(stopped, &params, &mut grads);
        assert_eq!((tape.scalar(stopped), grads.view(w)[[0, 0]]), (9.0, 0.0));
    }

    #[test]
    #[should_panic(expected = "reshape: [3, 4] to [5, 2], but 12 ≠ 10")]
    fn a_shape_of_another_size_is_refused() {
        gradients([[3, 4]], |[x]| x.reshape([5, 2]));
    }
}
