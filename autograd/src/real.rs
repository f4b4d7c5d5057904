//! The two kinds of number everything is generic over.

use std::fmt::{Debug, Display};
use std::iter::Sum;

use ndarray::{LinalgScalar, ScalarOperand};
use num_traits::Float;

/// `f32`, in which models are trained, or `f64`, in which finite differences can check the same kernels to 1e-7.
pub trait Real: Float + LinalgScalar + ScalarOperand + Sum + Default + Debug + Display + Send + Sync + 'static {
    /// The nearest number of this kind.
    fn of(x: f64) -> Self;

    /// This number as an `f64`, exactly.
    fn as_f64(self) -> f64;

    /// `σ(x) = 1 / (1 + e⁻ˣ)`. Only `e^−|x|` is ever taken, so nothing overflows.
    fn sigmoid(self) -> Self {
        let e = (-self.abs()).exp();
        let numerator = if self < Self::zero() { e } else { Self::one() };
        numerator / (Self::one() + e)
    }

    /// `ln(1 + eˣ) = max(x, 0) + ln(1 + e^−|x|)`, whose right-hand side never overflows.
    fn softplus(self) -> Self {
        self.max(Self::zero()) + (-self.abs()).exp().ln_1p()
    }
}

impl Real for f32 {
    fn of(x: f64) -> f32 {
        x as f32
    }
    fn as_f64(self) -> f64 {
        f64::from(self)
    }
}

impl Real for f64 {
    fn of(x: f64) -> f64 {
        x
    }
    fn as_f64(self) -> f64 {
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sigmoid_and_softplus_are_exact_at_the_ends_and_never_overflow() {
        assert_eq!((0.0f32).sigmoid(), 0.5);
        assert_eq!((1e4f32).sigmoid(), 1.0);
        assert_eq!((-1e4f32).sigmoid(), 0.0);
        assert_eq!((1e4f64).softplus(), 1e4);
        assert_eq!((-1e4f64).softplus(), 0.0);
        assert!((0.0f64.softplus() - 2f64.ln()).abs() < 1e-16);
        assert!(f64::NAN.sigmoid().is_nan() && f32::NAN.softplus().is_nan());
    }

    #[test]
    fn sigmoid_keeps_its_precision_in_the_left_tail() {
        // 1 − σ(40) would be 0; σ(−40) is e⁻⁴⁰ to rounding.
        assert!(((-40.0f64).sigmoid() / (-40.0f64).exp() - 1.0).abs() < 1e-15);
        assert!(((-40.0f64).softplus() / (-40.0f64).exp() - 1.0).abs() < 1e-15);
    }
}
