//! Many numbers in, one number per row (or per matrix) out.

use super::arithmetic::Function2;
use crate::kernels::{Write, each, math, parallel, reduce, simd::vectorize};
use crate::{Op, Real, Shape, Sink, Var, View, ViewMut, size};

/// `yᵢ = Σⱼ xᵢⱼ`, and so `dxᵢⱼ = dyᵢ`.
pub struct RowSum;

impl<T: Real> Op<T, 1> for RowSum {
    fn shape(&self, [x]: [Shape; 1]) -> Result<Shape, String> {
        Ok([x[0], 1])
    }
    fn forward(&self, [x]: [View<T>; 1], y: ViewMut<T>) {
        reduce::row_sums(
            [x],
            y,
            #[inline(always)]
            |[x]| x,
        );
    }
    fn backward(&self, _: [View<T>; 1], _: View<T>, dy: ViewMut<T>, [dx]: [Sink<T>; 1]) {
        dx.add_map_rows([dy.view()], [], |[dy], []| dy);
    }
    fn flops(&self, [x]: [Shape; 1]) -> usize {
        size(x)
    }
}

/// `yᵢ = Σⱼ f(aᵢⱼ, bᵢⱼ)`, and so `daᵢⱼ = dyᵢ · ∂f/∂a`: one pass, and no matrix of terms in memory. Every fused loss
/// is one of these.
pub struct RowSumOf<F>(pub F);

impl<T: Real, F: Function2<T>> Op<T, 2> for RowSumOf<F> {
    fn shape(&self, [a, b]: [Shape; 2]) -> Result<Shape, String> {
        if a == b { Ok([a[0], 1]) } else { Err(format!("{}: {a:?} and {b:?} are not alike", F::NAME)) }
    }
    fn forward(&self, [a, b]: [View<T>; 2], y: ViewMut<T>) {
        reduce::row_sums(
            [a, b],
            y,
            #[inline(always)]
            |[a, b]| self.0.f(a, b),
        );
    }
    fn backward(&self, [a, b]: [View<T>; 2], _: View<T>, dy: ViewMut<T>, [da, db]: [Sink<T>; 2]) {
        da.add_map_rows(
            [dy.view()],
            [a, b],
            #[inline(always)]
            |[dy], [a, b]| dy * self.0.da(a, b),
        );
        db.add_map_rows(
            [dy.view()],
            [a, b],
            #[inline(always)]
            |[dy], [a, b]| dy * self.0.db(a, b),
        );
    }
    fn flops(&self, [a, _]: [Shape; 2]) -> usize {
        size(a)
    }
}

/// A function of three numbers and its derivatives.
pub trait Function3<T: Real>: Send + Sync + 'static {
    /// What error messages call it.
    const NAME: &'static str;
    /// `y = f(a, b, c)`
    fn f(&self, a: T, b: T, c: T) -> T;
    /// `∂y/∂a`
    fn da(&self, a: T, b: T, c: T) -> T;
    /// `∂y/∂b`
    fn db(&self, a: T, b: T, c: T) -> T;
    /// `∂y/∂c`
    fn dc(&self, a: T, b: T, c: T) -> T;
}

/// `yᵢ = Σⱼ f(aᵢⱼ, bᵢⱼ, cᵢⱼ)`: [`RowSumOf`] for three.
pub struct RowSumOf3<F>(pub F);

impl<T: Real, F: Function3<T>> Op<T, 3> for RowSumOf3<F> {
    fn shape(&self, [a, b, c]: [Shape; 3]) -> Result<Shape, String> {
        if a == b && a == c { Ok([a[0], 1]) } else { Err(format!("{}: {a:?}, {b:?} and {c:?} are not alike", F::NAME)) }
    }
    fn forward(&self, xs: [View<T>; 3], y: ViewMut<T>) {
        reduce::row_sums(
            xs,
            y,
            #[inline(always)]
            |[a, b, c]| self.0.f(a, b, c),
        );
    }
    fn backward(&self, xs: [View<T>; 3], _: View<T>, dy: ViewMut<T>, [da, db, dc]: [Sink<T>; 3]) {
        da.add_map_rows(
            [dy.view()],
            xs,
            #[inline(always)]
            |[dy], [a, b, c]| dy * self.0.da(a, b, c),
        );
        db.add_map_rows(
            [dy.view()],
            xs,
            #[inline(always)]
            |[dy], [a, b, c]| dy * self.0.db(a, b, c),
        );
        dc.add_map_rows(
            [dy.view()],
            xs,
            #[inline(always)]
            |[dy], [a, b, c]| dy * self.0.dc(a, b, c),
        );
    }
    fn flops(&self, [a, ..]: [Shape; 3]) -> usize {
        size(a)
    }
}

/// `y = Σᵢⱼ xᵢⱼ`, a scalar, and so `dxᵢⱼ = dy`.
pub struct Sum;

impl<T: Real> Op<T, 1> for Sum {
    fn shape(&self, _: [Shape; 1]) -> Result<Shape, String> {
        Ok([1, 1])
    }
    fn forward(&self, [x]: [View<T>; 1], mut y: ViewMut<T>) {
        y[[0, 0]] = reduce::sum(
            [each::slice(x)],
            #[inline(always)]
            |[x]| x,
        );
    }
    fn backward(&self, _: [View<T>; 1], _: View<T>, dy: ViewMut<T>, [dx]: [Sink<T>; 1]) {
        let dy = dy[[0, 0]];
        dx.add_map([], |[]| dy);
    }
    fn flops(&self, [x]: [Shape; 1]) -> usize {
        size(x)
    }
}

/// `yⱼ = Σᵢ xᵢⱼ`, one row, and so `dxᵢⱼ = dyⱼ`.
pub struct ColumnSum;

impl<T: Real> Op<T, 1> for ColumnSum {
    fn shape(&self, [x]: [Shape; 1]) -> Result<Shape, String> {
        Ok([1, x[1]])
    }
    fn forward(&self, [x]: [View<T>; 1], y: ViewMut<T>) {
        let y = each::slice_mut(y);
        y.fill(T::zero());
        reduce::add_column_sums(x, y);
    }
    fn backward(&self, _: [View<T>; 1], _: View<T>, dy: ViewMut<T>, [dx]: [Sink<T>; 1]) {
        dx.add(dy.view());
    }
    fn flops(&self, [x]: [Shape; 1]) -> usize {
        size(x)
    }
}

/// `yᵢ = ln Σⱼ exp xᵢⱼ`, and so `dxᵢⱼ = dyᵢ · softmax(xᵢ)ⱼ`.
pub struct LogSumExp;

impl<T: Real> Op<T, 1> for LogSumExp {
    fn shape(&self, [x]: [Shape; 1]) -> Result<Shape, String> {
        Ok([x[0], 1])
    }
    fn forward(&self, [x]: [View<T>; 1], y: ViewMut<T>) {
        let (width, x) = (x.ncols(), each::slice(x));
        parallel::rows(each::slice_mut(y), 1, width, |first, y| {
            vectorize(
                #[inline(always)]
                move || {
                    for (y, x) in y.iter_mut().zip(x[first * width..].chunks_exact(width)) {
                        let (m, sum) = scaled_sum(x);
                        *y = m + math::ln(sum);
                    }
                },
            );
        });
    }
    fn backward(&self, [x]: [View<T>; 1], _: View<T>, dy: ViewMut<T>, [dx]: [Sink<T>; 1]) {
        let (width, x, dy) = (x.ncols(), each::slice(x), each::slice(dy.view()));
        dx.accumulate(|dx, write| {
            parallel::rows(each::slice_mut(dx), width, width, |first, dx| {
                vectorize(
                    #[inline(always)]
                    move || {
                        for (i, dx) in (first..).zip(dx.chunks_exact_mut(width)) {
                            let (x, dy) = (&x[i * width..][..dx.len()], dy[i]);
                            let (m, sum) = scaled_sum(x);
                            for j in 0..dx.len() {
                                let g = dy * math::exp(x[j] - m) / sum;
                                dx[j] = if write == Write::Set { g } else { dx[j] + g };
                            }
                        }
                    },
                );
            });
        });
    }
}

/// `yᵢⱼ = exp xᵢⱼ / Σₖ exp xᵢₖ`, and so `dxᵢⱼ = yᵢⱼ · (dyᵢⱼ − Σₖ dyᵢₖ yᵢₖ)`.
pub struct Softmax;

impl<T: Real> Op<T, 1> for Softmax {
    fn shape(&self, [x]: [Shape; 1]) -> Result<Shape, String> {
        Ok(x)
    }
    fn forward(&self, [x]: [View<T>; 1], y: ViewMut<T>) {
        let (width, x) = (x.ncols(), each::slice(x));
        parallel::rows(each::slice_mut(y), width, width, |first, y| {
            vectorize(
                #[inline(always)]
                move || {
                    for (y, x) in y.chunks_exact_mut(width).zip(x[first * width..].chunks_exact(width)) {
                        let ((m, sum), x) = (scaled_sum(x), &x[..y.len()]);
                        for j in 0..y.len() {
                            y[j] = math::exp(x[j] - m) / sum;
                        }
                    }
                },
            );
        });
    }
    fn backward(&self, _: [View<T>; 1], y: View<T>, mut dy: ViewMut<T>, [dx]: [Sink<T>; 1]) {
        let (width, y) = (y.ncols(), each::slice(y));
        parallel::rows(each::slice_mut(dy.view_mut()), width, width, |first, dy| {
            vectorize(
                #[inline(always)]
                move || {
                    for (dy, y) in dy.chunks_exact_mut(width).zip(y[first * width..].chunks_exact(width)) {
                        let mean = reduce::lanes(
                            [dy, y],
                            #[inline(always)]
                            |[dy, y]| dy * y,
                        );
                        let y = &y[..dy.len()];
                        for j in 0..dy.len() {
                            dy[j] = y[j] * (dy[j] - mean);
                        }
                    }
                },
            );
        });
        dx.add(dy.view());
    }
}

/// `m = maxⱼ xⱼ` and `Σⱼ exp(xⱼ − m)`. With the largest taken out nothing overflows, and a softmax computed from these
/// keeps its precision where `exp(x − ln Σ exp x)` would lose it: at 10⁴ an `f32` has steps of 10⁻³.
#[inline(always)]
fn scaled_sum<T: Real>(x: &[T]) -> (T, T) {
    let m = x.iter().fold(T::neg_infinity(), |m, &x| if x > m || x.is_nan() { x } else { m });
    // ∞ − ∞ would be NaN: a row of nothing but −∞ has the sum 0, and its logarithm is −∞.
    if m == T::neg_infinity() {
        (T::zero(), T::zero())
    } else {
        (
            m,
            reduce::lanes(
                [x],
                #[inline(always)]
                |[x]| math::exp(x - m),
            ),
        )
    }
}

impl<'r, T: Real> Var<'r, T> {
    /// `Σⱼ` along each row: a column.
    pub fn row_sum(self) -> Var<'r, T> {
        Var::apply(RowSum, [self])
    }

    /// The mean of each row: a column.
    pub fn row_mean(self) -> Var<'r, T> {
        self.row_sum() / self.shape()[1] as f64
    }

    /// `Σᵢ` along each column: a row.
    pub fn column_sum(self) -> Var<'r, T> {
        Var::apply(ColumnSum, [self])
    }

    /// The mean of each column: a row.
    pub fn column_mean(self) -> Var<'r, T> {
        self.column_sum() / self.shape()[0] as f64
    }

    /// The sum of all numbers: a scalar.
    pub fn sum(self) -> Var<'r, T> {
        Var::apply(Sum, [self])
    }

    /// The mean of all numbers: a scalar.
    pub fn mean(self) -> Var<'r, T> {
        self.sum() / size(self.shape()) as f64
    }

    /// `ln Σⱼ exp` along each row: a column.
    pub fn log_sum_exp(self) -> Var<'r, T> {
        Var::apply(LogSumExp, [self])
    }

    /// The softmax of each row.
    pub fn softmax(self) -> Var<'r, T> {
        Var::apply(Softmax, [self])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::{gradients, gradients_in, same};
    use crate::ops::{Div, Mul};
    use ndarray::array;

    #[test]
    fn gradient() {
        gradients([[3, 4]], |[x]| x.row_sum());
        gradients([[3, 4]], |[x]| x.row_mean());
        gradients([[3, 4]], |[x]| x.sum());
        gradients([[3, 4]], |[x]| x.mean());
        gradients([[3, 4]], |[x]| x.log_sum_exp());
        gradients([[3, 4]], |[x]| x.softmax());
        gradients([[3, 4]], |[x]| x.column_mean());
        gradients([[3, 4]], |[x]| x.column_sum() * x);
        gradients([[3, 4], [3, 4]], |[a, b]| Var::apply(RowSumOf(Mul), [a, b]));
        gradients_in(0.5..2.0, [[3, 4], [3, 4]], |[a, b]| Var::apply(RowSumOf(Div), [a, b]));
        gradients([[3, 4]; 3], |[a, b, c]| Var::apply(RowSumOf3(MulAdd), [a, b, c]));
    }

    /// `a · b + c`
    struct MulAdd;

    impl<T: Real> Function3<T> for MulAdd {
        const NAME: &'static str = "mul_add";

        fn f(&self, a: T, b: T, c: T) -> T {
            a * b + c
        }
        fn da(&self, _: T, b: T, _: T) -> T {
            b
        }
        fn db(&self, a: T, _: T, _: T) -> T {
            a
        }
        fn dc(&self, _: T, _: T, _: T) -> T {
            T::one()
        }
    }

    #[test]
    fn fused_forms_equal_their_definitions() {
        same([[3, 4]], |[x]| x.log_sum_exp(), |[x]| x.exp().row_sum().ln());
        same([[3, 4], [3, 4]], |[a, b]| Var::apply(RowSumOf(Mul), [a, b]), |[a, b]| (a * b).row_sum());
        same([[3, 4]], |[x]| x.column_sum().row_sum(), |[x]| x.sum());
        same([[3, 4]; 3], |[a, b, c]| Var::apply(RowSumOf3(MulAdd), [a, b, c]), |[a, b, c]| (a * b + c).row_sum());
        // One row at a time, a softmax is eˣ over a scalar, written with the operators that broadcast a row.
        same(
            [[4, 1], [1, 4]],
            |[x, y]| (x.matmul(y)).reshape([1, 16]).softmax(),
            |[x, y]| {
                let e = x.matmul(y).reshape([16, 1]).exp();
                (e / e.sum()).reshape([1, 16])
            },
        );
    }

    #[test]
    fn log_sum_exp_and_softmax_do_not_overflow() {
        let log_sum_exp = |x: ndarray::Array2<f32>| {
            let mut y = array![[0.0]];
            LogSumExp.forward([x.view()], y.view_mut());
            y[[0, 0]]
        };
        let inf = f32::INFINITY;
        assert_eq!(log_sum_exp(array![[1e4, 1e4]]), 1e4 + 2f32.ln());
        assert_eq!(log_sum_exp(array![[-1e4, -1e4]]), -1e4 + 2f32.ln());
        assert_eq!(log_sum_exp(array![[-inf, -inf, -inf]]), -inf);
        assert_eq!(log_sum_exp(array![[0.0, -inf]]), 0.0);
        assert!(log_sum_exp(array![[0.0, f32::NAN, 1.0]]).is_nan());
        let x = array![[1e4f32, -1e4, 1e4, 0.0]];
        let mut y = x.clone();
        Softmax.forward([x.view()], y.view_mut());
        assert_eq!(y, array![[0.5, 0.0, 0.5, 0.0]]);
    }
}
