//! The two kinds of number everything is generic over.

use std::fmt::{Debug, Display};
use std::iter::Sum;

use ndarray::{LinalgScalar, ScalarOperand};
use num_traits::Float;

use crate::kernels::{gemm::Product, math::Elementary};
use crate::precision::to_bf16;

/// `f32`, in which models are trained, or `f64`, in which finite differences can check the same kernels to 1e-7.
pub trait Real:
    Float + LinalgScalar + ScalarOperand + Elementary + Product + Sum + Default + Debug + Display + Send + Sync + 'static
{
    /// The nearest number of this kind.
    fn of(x: f64) -> Self;

    /// This number as an `f64`, exactly.
    fn as_f64(self) -> f64;

    /// The nearest bfloat16, as [`Precision::Bf16`](crate::Precision::Bf16) rounds operands; an `f64` by way of the nearest
    /// `f32`.
    fn to_bf16(self) -> Self;
}

impl Real for f32 {
    fn of(x: f64) -> f32 {
        x as f32
    }
    fn as_f64(self) -> f64 {
        f64::from(self)
    }
    #[inline(always)]
    fn to_bf16(self) -> f32 {
        to_bf16(self)
    }
}

impl Real for f64 {
    fn of(x: f64) -> f64 {
        x
    }
    fn as_f64(self) -> f64 {
        self
    }
    #[inline(always)]
    fn to_bf16(self) -> f64 {
        to_bf16(self as f32).into()
    }
}
