//! The vector instructions of x86-64.
#![allow(unsafe_code)]

use std::arch::x86_64::*;

use super::{Lanes, Simd};

/// The CPU has AVX2 and FMA.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Avx2(());

/// The CPU has AVX-512 F, BW, DQ and VL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Avx512(());

impl Avx2 {
    pub(super) fn detect() -> Option<Avx2> {
        (is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma")).then_some(Avx2(()))
    }
}

impl Avx512 {
    pub(super) fn detect() -> Option<Avx512> {
        let has = is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("avx512vl");
        has.then_some(Avx512(()))
    }
}

impl Simd for Avx2 {
    #[inline(always)]
    fn vectorize<R>(self, f: impl FnOnce() -> R) -> R {
        #[target_feature(enable = "avx2,fma")]
        fn with_features<R>(f: impl FnOnce() -> R) -> R {
            f()
        }
        // SAFETY: the token proves that the CPU has AVX2 and FMA.
        unsafe { with_features(f) }
    }
}

impl Simd for Avx512 {
    #[inline(always)]
    fn vectorize<R>(self, f: impl FnOnce() -> R) -> R {
        #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
        fn with_features<R>(f: impl FnOnce() -> R) -> R {
            f()
        }
        // SAFETY: the token proves that the CPU has these parts of AVX-512; all of them come with AVX2 and FMA.
        unsafe { with_features(f) }
    }
}

/// One register of one kind of number: which intrinsics it takes.
macro_rules! lanes {
    ($Token:ty, $T:ty, $N:literal, $V:ty: $splat:ident, $load:ident, $store:ident, $mul_add:ident) => {
        impl Lanes<$T, $N> for $Token {
            type V = $V;

            #[inline(always)]
            fn splat(self, x: $T) -> $V {
                // SAFETY: the token proves that the CPU has this instruction.
                unsafe { $splat(x) }
            }
            #[inline(always)]
            fn load(self, x: &[$T; $N]) -> $V {
                // SAFETY: the token proves that the CPU has this instruction, which reads as many bytes as the array
                // has, from any address.
                unsafe { $load(x.as_ptr()) }
            }
            #[inline(always)]
            fn store(self, x: &mut [$T; $N], v: $V) {
                // SAFETY: the token proves that the CPU has this instruction, which writes as many bytes as the array
                // has, to any address.
                unsafe { $store(x.as_mut_ptr(), v) }
            }
            #[inline(always)]
            fn mul_add(self, a: $V, b: $V, c: $V) -> $V {
                // SAFETY: the token proves that the CPU has this instruction.
                unsafe { $mul_add(a, b, c) }
            }
        }
    };
}

lanes!(Avx2, f32, 8, __m256: _mm256_set1_ps, _mm256_loadu_ps, _mm256_storeu_ps, _mm256_fmadd_ps);
lanes!(Avx2, f64, 4, __m256d: _mm256_set1_pd, _mm256_loadu_pd, _mm256_storeu_pd, _mm256_fmadd_pd);
lanes!(Avx512, f32, 16, __m512: _mm512_set1_ps, _mm512_loadu_ps, _mm512_storeu_ps, _mm512_fmadd_ps);
lanes!(Avx512, f64, 8, __m512d: _mm512_set1_pd, _mm512_loadu_pd, _mm512_storeu_pd, _mm512_fmadd_pd);
