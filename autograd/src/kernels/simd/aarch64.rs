//! The vector instructions of 64-bit ARM.
#![allow(unsafe_code)]

use std::arch::aarch64::*;
use std::arch::is_aarch64_feature_detected;

use super::{Lanes, Simd, load_by_memory, store_by_memory};

token! {
    /// The CPU has NEON, as nearly every 64-bit ARM does.
    Neon, |_: *const i8| {}, is_aarch64_feature_detected "neon"
}

/// One register of one kind of number: which intrinsics it takes.
macro_rules! lanes {
    ($T:ty, $N:literal, $V:ty:
     $splat:ident, $load:ident, $store:ident, $mul_add:ident, $transpose:ident, $nonzero:ident) => {
        impl Lanes<$T, $N> for Neon {
            type V = $V;

            #[inline(always)]
            fn splat(self, x: $T) -> $V {
                // SAFETY: the token proves that the CPU has this instruction.
                unsafe { $splat(x) }
            }
            #[inline(always)]
            fn load(self, x: &[$T; $N]) -> $V {
                // SAFETY: the token proves that the CPU has this instruction, which reads as many bytes as the array
                // has.
                unsafe { $load(x.as_ptr()) }
            }
            #[inline(always)]
            fn store(self, x: &mut [$T; $N], v: $V) {
                // SAFETY: the token proves that the CPU has this instruction, which writes as many bytes as the array
                // has.
                unsafe { $store(x.as_mut_ptr(), v) }
            }
            #[inline(always)]
            fn load_first(self, x: &[$T]) -> $V {
                load_by_memory(self, x)
            }
            #[inline(always)]
            fn store_first(self, x: &mut [$T], v: $V) {
                store_by_memory(self, x, v);
            }
            #[inline(always)]
            fn mul_add(self, a: $V, b: $V, c: $V) -> $V {
                // SAFETY: the token proves that the CPU has this instruction. It takes the addend first.
                unsafe { $mul_add(c, a, b) }
            }
            #[inline(always)]
            fn transpose(self, rows: [$V; $N]) -> [$V; $N] {
                // SAFETY: the token proves that the CPU has these instructions.
                unsafe { $transpose(rows) }
            }
            #[inline(always)]
            fn nonzero(self, v: $V) -> u32 {
                // SAFETY: the token proves that the CPU has these instructions.
                unsafe { $nonzero(v) }
            }
        }
    };
}

lanes!(f32, 4, float32x4_t: vdupq_n_f32, vld1q_f32, vst1q_f32, vfmaq_f32, transpose_4, nonzero_4);
lanes!(f64, 2, float64x2_t: vdupq_n_f64, vld1q_f64, vst1q_f64, vfmaq_f64, transpose_2, nonzero_2);

/// Pairs of rows exchange single numbers, then pairs of numbers.
#[inline]
#[target_feature(enable = "neon")]
fn transpose_4([a, b, c, d]: [float32x4_t; 4]) -> [float32x4_t; 4] {
    let pairs = [vtrn1q_f32(a, b), vtrn2q_f32(a, b), vtrn1q_f32(c, d), vtrn2q_f32(c, d)];
    let [a, b, c, d] = pairs.map(|pair| vreinterpretq_f64_f32(pair));
    [vtrn1q_f64(a, c), vtrn1q_f64(b, d), vtrn2q_f64(a, c), vtrn2q_f64(b, d)].map(|row| vreinterpretq_f32_f64(row))
}

#[inline]
#[target_feature(enable = "neon")]
fn transpose_2([a, b]: [float64x2_t; 2]) -> [float64x2_t; 2] {
    [vtrn1q_f64(a, b), vtrn2q_f64(a, b)]
}

/// The bit of each lane, but not where it is 0.
#[inline]
#[target_feature(enable = "neon")]
fn nonzero_4(v: float32x4_t) -> u32 {
    // SAFETY: it reads as many bytes as the array has.
    let bits = unsafe { vld1q_u32([1, 2, 4, 8].as_ptr()) };
    vaddvq_u32(vbicq_u32(bits, vceqzq_f32(v)))
}

#[inline]
#[target_feature(enable = "neon")]
fn nonzero_2(v: float64x2_t) -> u32 {
    // SAFETY: it reads as many bytes as the array has.
    let bits = unsafe { vld1q_u64([1, 2].as_ptr()) };
    vaddvq_u64(vbicq_u64(bits, vceqzq_f64(v))) as u32
}
