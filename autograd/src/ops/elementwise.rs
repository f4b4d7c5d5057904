//! Functions of one number, applied to each.

use crate::activation::relu;
use crate::kernels::{Write, each, math};
use crate::{Op, Real, Shape, Sink, Var, View, ViewMut};

/// A function of one number and its derivative.
pub trait Function<T: Real>: Send + Sync + 'static {
    /// `y = f(x)`
    fn f(&self, x: T) -> T;
    /// `dy/dx` at `x`, where the value is `y`.
    fn df(&self, x: T, y: T) -> T;
}

/// `yᵢⱼ = f(xᵢⱼ)`, and so `dxᵢⱼ = dyᵢⱼ · f′(xᵢⱼ)`: the operation that any [`Function`] makes.
pub struct Each<F>(pub F);

impl<T: Real, F: Function<T>> Op<T, 1> for Each<F> {
    fn shape(&self, [x]: [Shape; 1]) -> Result<Shape, String> {
        Ok(x)
    }
    fn forward(&self, [x]: [View<T>; 1], y: ViewMut<T>) {
        each::map(
            [x],
            Write::Set,
            y,
            #[inline(always)]
            |[x]| self.0.f(x),
        );
    }
    fn backward(&self, [x]: [View<T>; 1], y: View<T>, dy: ViewMut<T>, [dx]: [Sink<T>; 1]) {
        dx.add_map(
            [x, y, dy.view()],
            #[inline(always)]
            |[x, y, dy]| dy * self.0.df(x, y),
        );
    }
}

/// One line a function: its name, its method, its value and its derivative.
macro_rules! functions {
    ($($(#[$doc:meta])* $Name:ident, $method:ident: |$x:ident| $f:expr, |$dx:tt, $dy:tt| $df:expr;)*) => {$(
        $(#[$doc])*
        pub struct $Name;

        impl<T: Real> Function<T> for $Name {
            #[inline(always)]
            fn f(&self, $x: T) -> T {
                $f
            }
            #[inline(always)]
            fn df(&self, $dx: T, $dy: T) -> T {
                $df
            }
        }

        impl<'r, T: Real> Var<'r, T> {
            $(#[$doc])*
            pub fn $method(self) -> Var<'r, T> {
                Var::apply(Each($Name), [self])
            }
        }
    )*};
}

functions! {
    /// `y = eˣ`, and so `dx = dy · y`.
    Exp, exp: |x| math::exp(x), |_, y| y;
    /// `y = ln x`, and so `dx = dy / x`.
    Ln, ln: |x| math::ln(x), |x, _| x.recip();
    /// `y = x²`, and so `dx = dy · 2x`.
    Square, square: |x| x * x, |x, _| x + x;
    /// `y = √x`, and so `dx = dy / 2y`; infinite at 0.
    Sqrt, sqrt: |x| x.sqrt(), |_, y| (y + y).recip();
    /// `y = tanh x`, and so `dx = dy · (1 − y²)`.
    Tanh, tanh: |x| math::tanh(x), |_, y| T::one() - y * y;
    /// `y = 1 / (1 + e⁻ˣ)`, and so `dx = dy · y(1 − y)`.
    Sigmoid, sigmoid: |x| math::sigmoid(x), |_, y| y * (T::one() - y);
    /// `y = ln(1 + eˣ)`, and so `dx = dy · σ(x)`.
    Softplus, softplus: |x| math::softplus(x), |x, _| math::sigmoid(x);
    /// `y = max(x, 0)`, and so `dx = dy` where `x > 0`, else 0.
    Relu, relu: |x| relu(x), |x, _| if x > T::zero() { T::one() } else { T::zero() };
    /// `y = x · σ(x)` (Hendrycks and Gimpel 2016), and so `dx = dy · σ(x)(1 + x(1 − σ(x)))`.
    Silu, silu: |x| x * math::sigmoid(x), |x, _| math::sigmoid(x) * (T::one() + x * math::sigmoid(-x));
}

/// `y = c · x`, and so `dx = dy · c`.
pub struct Scale(pub f64);

impl<T: Real> Function<T> for Scale {
    fn f(&self, x: T) -> T {
        x * T::of(self.0)
    }
    fn df(&self, _: T, _: T) -> T {
        T::of(self.0)
    }
}

/// `y = x + c`, and so `dx = dy`.
pub struct Shift(pub f64);

impl<T: Real> Function<T> for Shift {
    fn f(&self, x: T) -> T {
        x + T::of(self.0)
    }
    fn df(&self, _: T, _: T) -> T {
        T::one()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::{gradients, gradients_in};

    #[test]
    fn gradient() {
        gradients([[3, 4]], |[x]| x.exp());
        gradients_in(0.2..3.0, [[3, 4]], |[x]| x.ln());
        gradients([[3, 4]], |[x]| x.square());
        gradients_in(0.2..3.0, [[3, 4]], |[x]| x.sqrt());
        gradients([[3, 4]], |[x]| x.tanh());
        gradients([[3, 4]], |[x]| x.sigmoid());
        gradients([[3, 4]], |[x]| x.softplus());
        gradients([[3, 4]], |[x]| x.relu());
        gradients([[3, 4]], |[x]| x.silu());
    }

    /// `f` and `df` at ±1e4 and ±0, in `f32`: exactly these, and no NaN.
    fn far<F: Function<f32>>(f: F, values: [f32; 4], slopes: [f32; 4]) {
        for ((x, value), slope) in [-1e4, -0.0, 0.0, 1e4].into_iter().zip(values).zip(slopes) {
            let y = f.f(x);
            assert_eq!((y, f.df(x, y)), (value, slope), "{} at {x}", std::any::type_name::<F>());
        }
    }

    #[test]
    fn values_and_slopes_are_right_far_out_and_at_both_zeros() {
        let inf = f32::INFINITY;
        far(Exp, [0.0, 1.0, 1.0, inf], [0.0, 1.0, 1.0, inf]);
        far(Square, [1e8, 0.0, 0.0, 1e8], [-2e4, 0.0, 0.0, 2e4]);
        far(Tanh, [-1.0, 0.0, 0.0, 1.0], [0.0, 1.0, 1.0, 0.0]);
        far(Sigmoid, [0.0, 0.5, 0.5, 1.0], [0.0, 0.25, 0.25, 0.0]);
        let ln2 = std::f32::consts::LN_2;
        far(Softplus, [0.0, ln2, ln2, 1e4], [0.0, 0.5, 0.5, 1.0]);
        far(Relu, [0.0, 0.0, 0.0, 1e4], [0.0, 0.0, 0.0, 1.0]);
        far(Silu, [0.0, 0.0, 0.0, 1e4], [0.0, 0.5, 0.5, 1.0]);
        assert_eq!((Ln.f(0.0f32), Ln.f(1e4f32)), (-inf, 1e4f32.ln()));
        assert_eq!((Sqrt.f(0.0f32), Sqrt.f(1e4f32)), (0.0, 100.0));
    }
}
