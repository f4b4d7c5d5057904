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

/// The same numbers, through which no gradient flows back: with [`WeightGradient`], the operations that leave a sink empty.
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

/// The same numbers `yᵢⱼ = xᵢⱼ`, with a gradient of which each row is weighted: `dxᵢⱼ = wᵢ · dyᵢⱼ`. It is no derivative of
/// anything; estimators of gradients need it that weigh the path through a sample otherwise than the loss does. None
/// flows into the weights.
pub struct WeightGradient;

impl<T: Real> Op<T, 2> for WeightGradient {
    fn shape(&self, [x, w]: [Shape; 2]) -> Result<Shape, String> {
        if w == [x[0], 1] {
            Ok(x)
        } else {
            Err(format!("weight_gradient: {w:?} is not a weight for each row of {x:?}"))
        }
    }
    fn forward(&self, [x, _]: [View<T>; 2], mut y: ViewMut<T>) {
        y.assign(&x);
    }
    fn backward(&self, [_, w]: [View<T>; 2], _: View<T>, dy: ViewMut<T>, [dx, _]: [Sink<T>; 2]) {
        dx.add_map_rows([w], [dy.view()], |[w], [dy]| w * dy);
    }
}

impl<'r, T: Real> Var<'r, T> {
    /// Each row `k` times, one below the other.
    #[track_caller]
    pub fn repeat_rows(self, k: usize) -> Var<'r, T> {
        if k == 1 { self } else { Var::apply(RepeatRows(k), [self]) }
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

    /// The same numbers, with a gradient of which each row is weighted by that of a column.
    #[track_caller]
    pub fn weight_gradient(self, weights: Var<'r, T>) -> Var<'r, T> {
        Var::apply(WeightGradient, [self, weights])
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
    fn each_row_of_a_gradient_has_its_weight() {
        let mut params = Params::<f64>::new();
        let x = params.add("x", array![[3.0, 1.0], [2.0, 5.0]]);
        let r = Recorder::new(&params);
        let w = r.input([2, 1]);
        let (loss, w) = (r.param(x).weight_gradient(w).square().sum().slot(), w.slot());
        let (mut tape, mut grads) = (r.finish(), Grads::zeros(&params));
        tape.input_mut(w).assign(&array![[0.5], [-1.0]]);
        tape.forward(&params);
        tape.backward(loss, &params, &mut grads);
        assert_eq!((tape.scalar(loss), grads.view(x)), (39.0, array![[3.0, 1.0], [-4.0, -10.0]].view()));
    }

    #[test]
    #[should_panic(expected = "reshape: [3, 4] to [5, 2], but 12 ≠ 10")]
    fn a_shape_of_another_size_is_refused() {
        gradients([[3, 4]], |[x]| x.reshape([5, 2]));
    }
}
