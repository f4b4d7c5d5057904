//! Plain Rust: for CPUs without vector instructions, and what the others must agree with.

use super::{Lanes, Simd, load_by_memory, store_by_memory};
use crate::Real;

/// No instructions are needed, so anybody may make this token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scalar;

impl Simd for Scalar {
    #[inline(always)]
    fn vectorize<R>(self, f: impl FnOnce() -> R) -> R {
        f()
    }
}

impl<T: Real, const N: usize> Lanes<T, N> for Scalar {
    type V = [T; N];

    #[inline(always)]
    fn splat(self, x: T) -> [T; N] {
        [x; N]
    }
    #[inline(always)]
    fn load(self, x: &[T; N]) -> [T; N] {
        *x
    }
    #[inline(always)]
    fn store(self, x: &mut [T; N], v: [T; N]) {
        *x = v;
    }
    #[inline(always)]
    fn load_first(self, x: &[T]) -> [T; N] {
        load_by_memory(self, x)
    }
    #[inline(always)]
    fn store_first(self, x: &mut [T], v: [T; N]) {
        store_by_memory(self, x, v);
    }
    #[inline(always)]
    fn mul_add(self, a: [T; N], b: [T; N], c: [T; N]) -> [T; N] {
        std::array::from_fn(|l| a[l].mul_add(b[l], c[l]))
    }
    #[inline(always)]
    fn transpose(self, rows: [[T; N]; N]) -> [[T; N]; N] {
        std::array::from_fn(|i| std::array::from_fn(|j| rows[j][i]))
    }
    #[inline(always)]
    fn nonzero(self, v: [T; N]) -> u32 {
        v.iter().rev().fold(0, |mask, &x| mask << 1 | u32::from(x != T::zero()))
    }
}
