//! A whole layer in one operation.

use crate::activation::with_activation;
use crate::kernels::{each, gemm::gemm_bias};
use crate::{Activation, Op, Real, Shape, Sink, Var, View, ViewMut, size};

/// `Y = f(X · W + b)`, for `X` of shape `[batch, in]`, `W` of `[in, out]` and `b` of `[1, out]`.
///
/// With `S = X · W + b`: `dS = dY ∘ f′(S)`, and so `dX = dS · Wᵀ`, `dW = Xᵀ · dS` and `db = Σᵢ dSᵢ`. Every
/// [`Activation`] gives `f′` from `Y`, so `S` is never kept, and `dS` takes the place of `dY`.
pub struct Linear(pub Activation);

impl<T: Real> Op<T, 3> for Linear {
    fn shape(&self, [x, w, b]: [Shape; 3]) -> Result<Shape, String> {
        if x[1] != w[0] {
            Err(format!("linear: {x:?} · {w:?}, but {} ≠ {}", x[1], w[0]))
        } else if b != [1, w[1]] {
            Err(format!("linear: {x:?} · {w:?} + {b:?}, but the bias must be [1, {}]", w[1]))
        } else {
            Ok([x[0], w[1]])
        }
    }

    fn forward(&self, [x, w, b]: [View<T>; 3], y: ViewMut<T>) {
        gemm_bias(x, w, each::slice(b), self.0, y);
    }

    fn backward(&self, [x, w, _]: [View<T>; 3], y: View<T>, mut dy: ViewMut<T>, [dx, dw, db]: [Sink<T>; 3]) {
        if self.0 != Activation::Identity {
            with_activation!(self.0, F => each::update(
                [y],
                dy.view_mut(),
                #[inline(always)]
                |dy, [y]| dy * F.df(y),
            ));
        }
        let ds = dy.view();
        dx.add_product(ds, w.t());
        dw.add_product(x.t(), ds);
        db.add_column_sums(ds);
    }

    fn name(&self) -> String {
        match self.0 {
            Activation::Identity => "Linear".to_string(),
            f => format!("Linear {f}"),
        }
    }

    fn flops(&self, [x, w, _]: [Shape; 3]) -> usize {
        2 * x[0] * size(w) + 2 * x[0] * w[1]
    }

    fn backward_flops(&self, [x, w, _]: [Shape; 3], [dx, dw, db]: [bool; 3]) -> usize {
        2 * x[0] * size(w) * (usize::from(dx) + usize::from(dw)) + x[0] * w[1] * (1 + usize::from(db))
    }
}

impl<'r, T: Real> Var<'r, T> {
    /// `f(self · w + b)`: one operation, equal to `f(self.matmul(w) + b)`.
    #[track_caller]
    pub fn linear(self, w: Var<'r, T>, b: Var<'r, T>, f: Activation) -> Var<'r, T> {
        Var::apply(Linear(f), [self, w, b])
    }

    /// `f(self)`, element by element.
    pub fn activation(self, f: Activation) -> Var<'r, T> {
        match f {
            Activation::Identity => self,
            Activation::Relu => self.relu(),
            Activation::Tanh => self.tanh(),
            Activation::Sigmoid => self.sigmoid(),
            Activation::Softplus => self.softplus(),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::Activation::*;
    use crate::check::{gradients, same};

    #[test]
    fn gradient() {
        for f in [Identity, Relu, Tanh, Sigmoid, Softplus] {
            gradients([[3, 4], [4, 2], [1, 2]], |[x, w, b]| x.linear(w, b, f));
        }
    }

    #[test]
    fn equals_its_definition() {
        for f in [Identity, Relu, Tanh, Sigmoid, Softplus] {
            same([[3, 4], [4, 2], [1, 2]], |[x, w, b]| x.linear(w, b, f), |[x, w, b]| (x.matmul(w) + b).activation(f));
        }
    }

    #[test]
    #[should_panic(expected = "the bias must be [1, 2]")]
    fn a_bias_of_another_width_is_refused() {
        gradients([[3, 4], [4, 2], [1, 3]], |[x, w, b]| x.linear(w, b, Relu));
    }
}
