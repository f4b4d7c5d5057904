//! The vector instructions of 64-bit ARM.
#![allow(unsafe_code)]

use std::arch::is_aarch64_feature_detected;

use super::Simd;

/// The CPU has NEON, as nearly every 64-bit ARM does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Neon(());

impl Neon {
    pub(super) fn detect() -> Option<Neon> {
        is_aarch64_feature_detected!("neon").then_some(Neon(()))
    }
}

impl Simd for Neon {
    #[inline(always)]
    fn vectorize<R>(self, f: impl FnOnce() -> R) -> R {
        #[target_feature(enable = "neon")]
        fn with_features<R>(f: impl FnOnce() -> R) -> R {
            f()
        }
        // SAFETY: the token proves that the CPU has NEON.
        unsafe { with_features(f) }
    }
}
