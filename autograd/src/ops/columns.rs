//! Cutting and joining side by side.

use std::ops::Range;

use ndarray::{Axis, s};

use crate::kernels::Write;
use crate::{Op, Real, Shape, Sink, Var, View, ViewMut};

/// `Y` is some of the columns of `X`, and so `dX` is `dY` there and 0 elsewhere.
pub struct Columns(pub Range<usize>);

impl<T: Real> Op<T, 1> for Columns {
    fn shape(&self, [x]: [Shape; 1]) -> Result<Shape, String> {
        let Range { start, end } = self.0;
        if start < end && end <= x[1] {
            Ok([x[0], end - start])
        } else {
            Err(format!("columns: {start}..{end} of {x:?}"))
        }
    }

    fn forward(&self, [x]: [View<T>; 1], mut y: ViewMut<T>) {
        y.assign(&x.slice(s![.., self.0.clone()]));
    }

    fn backward(&self, _: [View<T>; 1], _: View<T>, dy: ViewMut<T>, [dx]: [Sink<T>; 1]) {
        dx.accumulate(|mut dx, write| {
            if write == Write::Set {
                // The first write covers a part only: the rest must not keep what an earlier pass left.
                dx.fill(T::zero());
            }
            dx.slice_mut(s![.., self.0.clone()]).scaled_add(T::one(), &dy);
        });
    }
}

/// `Y = [A  B]`, and so `dA` is the left part of `dY` and `dB` the right.
pub struct Join;

impl<T: Real> Op<T, 2> for Join {
    fn shape(&self, [a, b]: [Shape; 2]) -> Result<Shape, String> {
        if a[0] == b[0] { Ok([a[0], a[1] + b[1]]) } else { Err(format!("join: {a:?} beside {b:?}")) }
    }

    fn forward(&self, [a, b]: [View<T>; 2], y: ViewMut<T>) {
        let (mut left, mut right) = y.split_at(Axis(1), a.ncols());
        left.assign(&a);
        right.assign(&b);
    }

    fn backward(&self, [a, _]: [View<T>; 2], _: View<T>, dy: ViewMut<T>, [da, db]: [Sink<T>; 2]) {
        let (left, right) = dy.view().split_at(Axis(1), a.ncols());
        for (dx, part) in [(da, left), (db, right)] {
            dx.accumulate(|mut dx, write| match write {
                Write::Set => dx.assign(&part),
                Write::Add => dx.scaled_add(T::one(), &part),
            });
        }
    }
}

impl<'r, T: Real> Var<'r, T> {
    /// Some of the columns.
    #[track_caller]
    pub fn columns(self, range: Range<usize>) -> Var<'r, T> {
        Var::apply(Columns(range), [self])
    }

    /// `[self  b]`, side by side.
    #[track_caller]
    pub fn join(self, b: Var<'r, T>) -> Var<'r, T> {
        Var::apply(Join, [self, b])
    }
}

#[cfg(test)]
mod tests {
    use crate::check::{gradients, same};

    #[test]
    fn gradient() {
        gradients([[3, 5]], |[x]| x.columns(1..4));
        gradients([[3, 2], [3, 4]], |[a, b]| a.join(b));
        // Parts first and the whole afterwards, and the other way round: the first write covers a part only.
        gradients([[3, 5]], |[x]| x.columns(0..2) * x.columns(3..5));
        gradients([[3, 4]], |[x]| (x * x).columns(0..2).join(x.columns(0..2)) * x);
        gradients([[3, 2]], |[x]| x.join(x));
    }

    #[test]
    fn joining_undoes_cutting() {
        same([[3, 5]], |[x]| x.columns(0..2).join(x.columns(2..5)), |[x]| x * 1.0);
    }

    #[test]
    #[should_panic(expected = "columns: 3..6 of [3, 5]")]
    fn columns_that_do_not_exist_are_refused() {
        gradients([[3, 5]], |[x]| x.columns(3..6));
    }
}
