//! Layers: parameters by name, and what they do to a batch.

use autograd::{Activation, Param, Params, Real, Var};
use datasets::Generator;
use ndarray::Array2;
use rand::RngExt;

/// Something that turns a batch `[batch, in]` into a batch `[batch, out]`.
pub trait Layer {
    /// The layer's output for `x`, recorded where `x` is.
    fn apply<'r, T: Real>(&self, x: Var<'r, T>) -> Var<'r, T>;
}

/// `y = f(x · W + b)`, for `W` of shape `[in, out]` and `b` of `[1, out]`.
#[derive(Clone, Debug)]
pub struct Dense {
    /// The weights `W`.
    pub weight: Param,
    /// The bias `b`.
    pub bias: Param,
    /// The nonlinearity `f`.
    pub activation: Activation,
}

impl Dense {
    /// A layer whose parameters are drawn as PyTorch's `nn.Linear` draws them: uniform in `±1/√in`, the weights of
    /// one output after another, then the biases. They are called `name.weight` and `name.bias`.
    pub fn new(
        params: &mut Params,
        name: &str,
        [inputs, outputs]: [usize; 2],
        activation: Activation,
        randomness: &mut Generator,
    ) -> Dense {
        let bound = (inputs as f32).sqrt().recip();
        let mut uniform = |shape| Array2::from_shape_simple_fn(shape, || randomness.random_range(-bound..bound));
        let weight = uniform((outputs, inputs));
        let bias = uniform((1, outputs));
        Dense {
            weight: params.add(format!("{name}.weight"), weight.reversed_axes()),
            bias: params.add(format!("{name}.bias"), bias),
            activation,
        }
    }
}

impl Layer for Dense {
    fn apply<'r, T: Real>(&self, x: Var<'r, T>) -> Var<'r, T> {
        let r = x.recorder();
        x.linear(r.param(self.weight), r.param(self.bias), self.activation)
    }
}

/// One after the other.
impl<L: Layer> Layer for Vec<L> {
    fn apply<'r, T: Real>(&self, x: Var<'r, T>) -> Var<'r, T> {
        self.iter().fold(x, |x, layer| layer.apply(x))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use datasets::generator;

    #[test]
    fn initial_parameters_fill_the_range_that_pytorch_uses_and_do_not_leave_it() {
        let mut params = Params::new();
        let layer = Dense::new(&mut params, "x", [400, 100], Activation::Relu, &mut generator(1, "init", 0));
        for param in [layer.weight, layer.bias] {
            let numbers = params.view(param);
            let largest = numbers.iter().fold(0.0f32, |m, x| m.max(x.abs()));
            assert!(largest <= 0.05 && largest > 0.045, "{largest}");
        }
        // The variance of a uniform distribution on ±a is a²/3; the standard error here is 0.4 %.
        let variance = params.view(layer.weight).mapv(|x| x * x).mean().unwrap();
        assert!((variance / (0.05f32.powi(2) / 3.0) - 1.0).abs() < 0.02, "{variance}");
    }
}
