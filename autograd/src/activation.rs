//! The nonlinearities a layer can end in.

use std::fmt;
use std::str::FromStr;

use crate::kernels::math;
use crate::real::Real;

/// A nonlinearity whose derivative can be had from its value alone, so that a fused layer need not keep its input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// `y = x`
    Identity,
    /// `y = max(x, 0)`
    Relu,
    /// `y = tanh x`
    Tanh,
    /// `y = 1 / (1 + e⁻ˣ)`
    Sigmoid,
    /// `y = ln(1 + eˣ)`
    Softplus,
}

impl Activation {
    /// All of them.
    pub const ALL: [Activation; 5] =
        [Activation::Identity, Activation::Relu, Activation::Tanh, Activation::Sigmoid, Activation::Softplus];

    /// The value at `x`.
    #[inline(always)]
    pub fn f<T: Real>(self, x: T) -> T {
        match self {
            Activation::Identity => x,
            Activation::Relu => relu(x),
            Activation::Tanh => math::tanh(x),
            Activation::Sigmoid => math::sigmoid(x),
            Activation::Softplus => math::softplus(x),
        }
    }

    /// The derivative where the value is `y`. That of the ReLU at its kink is 0, as in PyTorch.
    #[inline(always)]
    pub fn df<T: Real>(self, y: T) -> T {
        let one = T::one();
        match self {
            Activation::Identity => one,
            Activation::Relu if y > T::zero() => one,
            Activation::Relu => T::zero(),
            Activation::Tanh => one - y * y,
            Activation::Sigmoid => y * (one - y),
            // σ(x) = 1 − e⁻ʸ; `exp_m1` keeps its precision where y is tiny.
            Activation::Softplus => -math::exp_m1(-y),
        }
    }
}

/// `$body`, compiled once for each activation, with `$F` a constant: a loop that asks at every number which function to
/// compute is not vectorized, and takes five times as long.
macro_rules! with_activation {
    ($f:expr, $F:ident => $body:expr) => {
        match $f {
            $crate::Activation::Identity => {
                const $F: $crate::Activation = $crate::Activation::Identity;
                $body
            }
            $crate::Activation::Relu => {
                const $F: $crate::Activation = $crate::Activation::Relu;
                $body
            }
            $crate::Activation::Tanh => {
                const $F: $crate::Activation = $crate::Activation::Tanh;
                $body
            }
            $crate::Activation::Sigmoid => {
                const $F: $crate::Activation = $crate::Activation::Sigmoid;
                $body
            }
            $crate::Activation::Softplus => {
                const $F: $crate::Activation = $crate::Activation::Softplus;
                $body
            }
        }
    };
}
pub(crate) use with_activation;

impl fmt::Display for Activation {
    /// Its name in lower case.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Activation::Identity => "identity",
            Activation::Relu => "relu",
            Activation::Tanh => "tanh",
            Activation::Sigmoid => "sigmoid",
            Activation::Softplus => "softplus",
        })
    }
}

impl FromStr for Activation {
    type Err = String;
    fn from_str(name: &str) -> Result<Self, String> {
        let named = Activation::ALL.into_iter().find(|f| f.to_string() == name);
        named.ok_or_else(|| {
            format!("expected one of {}, found `{name}`", Activation::ALL.map(|f| f.to_string()).join(", "))
        })
    }
}

/// `max(x, 0)`, but NaN stays NaN: `f64::max` would turn it into 0 and hide a diverging run.
#[inline(always)]
pub(crate) fn relu<T: Real>(x: T) -> T {
    if x < T::zero() { T::zero() } else { x }
}

#[cfg(test)]
mod tests {
    use super::Activation;

    #[test]
    fn the_derivative_from_the_value_is_the_derivative() {
        for activation in Activation::ALL {
            for x in [-3.0f64, -0.4, 0.7, 2.0] {
                let h = 1e-6;
                let slope = (activation.f(x + h) - activation.f(x - h)) / (2.0 * h);
                assert!((activation.df(activation.f(x)) - slope).abs() < 1e-9, "{activation:?} at {x}");
            }
        }
    }

    #[test]
    fn nothing_overflows_far_out_and_nan_is_not_hidden() {
        for activation in Activation::ALL {
            for x in [1e4f32, -1e4, 0.0, -0.0] {
                let y = activation.f(x);
                assert!(y.is_finite() && activation.df(y).is_finite(), "{activation:?} at {x}");
            }
            assert!(activation.f(f32::NAN).is_nan(), "{activation:?}");
        }
        assert_eq!(
            "swish".parse::<Activation>().unwrap_err(),
            "expected one of identity, relu, tanh, sigmoid, softplus, found `swish`"
        );
        assert_eq!(Activation::Relu.df(Activation::Relu.f(0.0f32)), 0.0);
    }
}
