//! Plain Rust: for CPUs without vector instructions, and what the others must agree with.

use super::Simd;

/// No instructions are needed, so anybody may make this token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scalar;

impl Simd for Scalar {
    #[inline(always)]
    fn vectorize<R>(self, f: impl FnOnce() -> R) -> R {
        f()
    }
}
