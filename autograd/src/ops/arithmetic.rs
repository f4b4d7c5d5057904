//! `+ − × ÷` of two matrices, or of a matrix and one row, or of a matrix and a constant.

use std::ops;

use super::elementwise::{Each, Scale, Shift};
use crate::kernels::{Write, each};
use crate::{Op, Real, Shape, Sink, Var, View, ViewMut};

/// A function of two numbers and its derivatives.
pub trait Function2<T: Real>: Send + Sync + 'static {
    /// What error messages call it.
    const NAME: &'static str;
    /// `y = f(a, b)`
    fn f(&self, a: T, b: T) -> T;
    /// `∂y/∂a`
    fn da(&self, a: T, b: T) -> T;
    /// `∂y/∂b`
    fn db(&self, a: T, b: T) -> T;
}

/// `yᵢⱼ = f(aᵢⱼ, bᵢⱼ)`, where a matrix of one row stands for as many rows as the other has. Its gradient is then the
/// sum over those rows.
pub struct Zip<F>(pub F);

impl<T: Real, F: Function2<T>> Op<T, 2> for Zip<F> {
    fn shape(&self, [a, b]: [Shape; 2]) -> Result<Shape, String> {
        if a == b || b == [1, a[1]] {
            Ok(a)
        } else if a == [1, b[1]] {
            Ok(b)
        } else {
            Err(format!("{}: {a:?} and {b:?} are not alike, and neither is one row of the other", F::NAME))
        }
    }

    fn forward(&self, [a, b]: [View<T>; 2], y: ViewMut<T>) {
        each::map(
            [a, b],
            Write::Set,
            y,
            #[inline(always)]
            |[a, b]| self.0.f(a, b),
        );
    }

    fn backward(&self, [a, b]: [View<T>; 2], _: View<T>, mut dy: ViewMut<T>, [da, db]: [Sink<T>; 2]) {
        let whole = |x: View<T>| x.nrows() == dy.nrows();
        let (a_whole, b_whole) = (whole(a), whole(b));
        if a_whole {
            da.add_map(
                [dy.view(), a, b],
                #[inline(always)]
                |[dy, a, b]| dy * self.0.da(a, b),
            );
        }
        if b_whole {
            db.add_map(
                [dy.view(), a, b],
                #[inline(always)]
                |[dy, a, b]| dy * self.0.db(a, b),
            );
        }
        // At most one of the two is a single row, and it comes last: its terms take the place of `dy`.
        if !a_whole {
            each::update(
                [a, b],
                dy.view_mut(),
                #[inline(always)]
                |dy, [a, b]| dy * self.0.da(a, b),
            );
            da.add_column_sums(dy.view());
        } else if !b_whole {
            each::update(
                [a, b],
                dy.view_mut(),
                #[inline(always)]
                |dy, [a, b]| dy * self.0.db(a, b),
            );
            db.add_column_sums(dy.view());
        }
    }
}

/// One line an operation: its name, its operator, its value and its two derivatives.
macro_rules! operators {
    ($($(#[$doc:meta])* $Name:ident, $method:ident: |$a:tt, $b:tt| $f:expr, |$aa:tt, $ab:tt| $da:expr, |$ba:tt, $bb:tt| $db:expr;)*) => {$(
        $(#[$doc])*
        pub struct $Name;

        impl<T: Real> Function2<T> for $Name {
            const NAME: &'static str = stringify!($method);
            #[inline(always)]
            fn f(&self, $a: T, $b: T) -> T {
                $f
            }
            #[inline(always)]
            fn da(&self, $aa: T, $ab: T) -> T {
                $da
            }
            #[inline(always)]
            fn db(&self, $ba: T, $bb: T) -> T {
                $db
            }
        }

        impl<'r, T: Real> ops::$Name for Var<'r, T> {
            type Output = Var<'r, T>;
            #[track_caller]
            fn $method(self, b: Var<'r, T>) -> Var<'r, T> {
                Var::apply(Zip($Name), [self, b])
            }
        }
    )*};
}

operators! {
    /// `y = a + b`, and so `da = dy` and `db = dy`.
    Add, add: |a, b| a + b, |_, _| T::one(), |_, _| T::one();
    /// `y = a − b`, and so `da = dy` and `db = −dy`.
    Sub, sub: |a, b| a - b, |_, _| T::one(), |_, _| -T::one();
    /// `y = a · b`, and so `da = dy · b` and `db = dy · a`.
    Mul, mul: |a, b| a * b, |_, b| b, |a, _| a;
    /// `y = a / b`, and so `da = dy / b` and `db = −dy · a / b²`.
    Div, div: |a, b| a / b, |_, b| b.recip(), |a, b| -(a / b) / b;
}

impl<'r, T: Real> ops::Mul<f64> for Var<'r, T> {
    type Output = Var<'r, T>;
    fn mul(self, c: f64) -> Var<'r, T> {
        Var::apply(Each(Scale(c)), [self])
    }
}

impl<'r, T: Real> ops::Div<f64> for Var<'r, T> {
    type Output = Var<'r, T>;
    fn div(self, c: f64) -> Var<'r, T> {
        Var::apply(Each(Scale(c.recip())), [self])
    }
}

impl<'r, T: Real> ops::Add<f64> for Var<'r, T> {
    type Output = Var<'r, T>;
    fn add(self, c: f64) -> Var<'r, T> {
        Var::apply(Each(Shift(c)), [self])
    }
}

impl<'r, T: Real> ops::Sub<f64> for Var<'r, T> {
    type Output = Var<'r, T>;
    fn sub(self, c: f64) -> Var<'r, T> {
        self + -c
    }
}

impl<'r, T: Real> ops::Neg for Var<'r, T> {
    type Output = Var<'r, T>;
    fn neg(self) -> Var<'r, T> {
        self * -1.0
    }
}

#[cfg(test)]
mod tests {
    use crate::check::{gradients, gradients_in};

    #[test]
    fn gradient() {
        gradients(
            [[3, 4], [3, 4]],
            #[inline(always)]
            |[a, b]| a + b,
        );
        gradients(
            [[3, 4], [3, 4]],
            #[inline(always)]
            |[a, b]| a - b,
        );
        gradients(
            [[3, 4], [3, 4]],
            #[inline(always)]
            |[a, b]| a * b,
        );
        gradients_in(
            0.5..2.0,
            [[3, 4], [3, 4]],
            #[inline(always)]
            |[a, b]| a / b,
        );
        gradients([[3, 4]], |[a]| a * a / (a + 5.0));
        gradients([[3, 4]], |[a]| -(a * 3.0 - 1.0) / 2.0);
    }

    #[test]
    fn gradient_of_one_row_on_either_side() {
        gradients(
            [[3, 4], [1, 4]],
            #[inline(always)]
            |[a, b]| a + b,
        );
        gradients(
            [[1, 4], [3, 4]],
            #[inline(always)]
            |[a, b]| a - b,
        );
        gradients(
            [[3, 4], [1, 4]],
            #[inline(always)]
            |[a, b]| a * b,
        );
        gradients(
            [[1, 4], [3, 4]],
            #[inline(always)]
            |[a, b]| a * b,
        );
        gradients_in(
            0.5..2.0,
            [[3, 4], [1, 4]],
            #[inline(always)]
            |[a, b]| a / b,
        );
        gradients_in(
            0.5..2.0,
            [[1, 4], [3, 4]],
            #[inline(always)]
            |[a, b]| a / b,
        );
        // A column and a scalar; a single row is not a special case.
        gradients(
            [[5, 1], [1, 1]],
            #[inline(always)]
            |[a, b]| a * b,
        );
        gradients(
            [[1, 4], [1, 4]],
            #[inline(always)]
            |[a, b]| a * b,
        );
    }

    #[test]
    #[should_panic(expected = "add: [3, 4] and [3, 1] are not alike, and neither is one row of the other")]
    fn a_column_does_not_stand_for_every_column() {
        gradients(
            [[3, 4], [3, 1]],
            #[inline(always)]
            |[a, b]| a + b,
        );
    }
}
