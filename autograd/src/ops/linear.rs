//! A whole layer in one operation.

use crate::activation::with_activation;
use crate::kernels::{each, gemm::gemm_bias};
use crate::{Activation, Op, Precision, Real, Shape, Sink, Var, View, ViewMut, size};

/// `Y = f(X · W + b)`, for `X` of shape `[batch, in]`, `W` of `[in, out]` and `b` of `[1, out]`.
///
/// With `S = X · W + b`: `dS = dY ∘ f′(S)`, and so `dX = dS · Wᵀ`, `dW = Xᵀ · dS` and `db = Σᵢ dSᵢ`. Every
/// [`Activation`] gives `f′` from `Y`, so `S` is never kept, and `dS` takes the place of `dY`.
///
/// The three products have the operation's precision.
pub struct Linear {
    /// The nonlinearity.
    pub f: Activation,
    /// What `X`, `W` and `dS` are rounded to where they are multiplied.
    pub precision: Precision,
}

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
        gemm_bias(x, w, self.precision, each::slice(b), self.f, y);
    }

    fn backward(&self, [x, w, _]: [View<T>; 3], y: View<T>, mut dy: ViewMut<T>, [dx, dw, db]: [Sink<T>; 3]) {
        if self.f != Activation::Identity {
            with_activation!(self.f, F => each::update(
                [y],
                dy.view_mut(),
                #[inline(always)]
                |dy, [y]| dy * F.df(y),
            ));
        }
        let ds = dy.view();
        dx.add_product(ds, w.t(), self.precision);
        dw.add_product(x.t(), ds, self.precision);
        db.add_column_sums(ds);
    }

    fn name(&self) -> String {
        let mut name = "Linear".to_string();
        if self.f != Activation::Identity {
            name += &format!(" {}", self.f);
        }
        if self.precision != Precision::Single {
            name += &format!(" {}", self.precision);
        }
        name
    }

    fn flops(&self, [x, w, _]: [Shape; 3]) -> usize {
        2 * x[0] * size(w) + 2 * x[0] * w[1]
    }

    fn backward_flops(&self, [x, w, _]: [Shape; 3], [dx, dw, db]: [bool; 3]) -> usize {
        2 * x[0] * size(w) * (usize::from(dx) + usize::from(dw)) + x[0] * w[1] * (1 + usize::from(db))
    }
}

impl<'r, T: Real> Var<'r, T> {
    /// `f(self · w + b)`: one operation, equal to `f(self.matmul(w) + b)`. From 20 to 400, both passes over a batch take 0.20
    /// ms, and the definition 0.21 (`cargo bench --bench fusion`); it also needs a third of the memory.
    #[track_caller]
    pub fn linear(self, w: Var<'r, T>, b: Var<'r, T>, f: Activation) -> Var<'r, T> {
        Var::apply(Linear { f, precision: self.recorder().precision() }, [self, w, b])
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
    use crate::{Grads, Params, Precision, Real, Recorder};
    use ndarray::{Axis, array};

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
    fn in_bf16_all_three_products_are_those_of_rounded_operands_and_nothing_else_is_rounded() {
        let mut params = Params::<f64>::new();
        let (x, w) = (array![[0.1, -0.7, 0.3], [1.9, 0.2, 0.6]], array![[0.9, -0.31], [3.3, 0.17], [0.41, 2.1]]);
        let (b, ds) = (array![[0.123, -0.77]], array![[1.7, -0.13], [0.37, 0.59]]);
        let [px, pw, pb] = [("x", &x), ("w", &w), ("b", &b)].map(|(name, value)| params.add(name, value.clone()));
        let r = Recorder::new(&params).with_precision(Precision::Bf16);
        let y = r.param(px).linear(r.param(pw), r.param(pb), Identity);
        let weights = r.input([2, 2]);
        let loss = (y * weights).sum().slot();
        let (y, weights) = (y.slot(), weights.slot());
        let (mut tape, mut grads) = (r.finish(), Grads::zeros(&params));
        tape.input_mut(weights).assign(&ds);
        tape.forward(&params);
        tape.backward(loss, &params, &mut grads);

        // With so few bits, everything is exact in f64.
        let [rx, rw, rds] = [&x, &w, &ds].map(|x| x.mapv(Real::to_bf16));
        assert_eq!(tape.value(y), rx.dot(&rw) + &b);
        assert_eq!(grads.view(px), rds.dot(&rw.t()));
        assert_eq!(grads.view(pw), rx.t().dot(&rds));
        assert_eq!(grads.view(pb), ds.sum_axis(Axis(0)).insert_axis(Axis(0)));
    }

    #[test]
    #[should_panic(expected = "the bias must be [1, 2]")]
    fn a_bias_of_another_width_is_refused() {
        gradients([[3, 4], [4, 2], [1, 3]], |[x, w, b]| x.linear(w, b, Relu));
    }
}
