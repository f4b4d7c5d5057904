//! The vector instructions of x86-64.
#![allow(unsafe_code)]

use std::arch::x86_64::*;

use super::{Lanes, Simd};

token! {
    /// The CPU has AVX2 and FMA.
    Avx2: is_x86_feature_detected "avx2" "fma"
}

token! {
    /// The CPU has AVX-512 F, BW, DQ and VL, AVX2 and FMA.
    Avx512: is_x86_feature_detected "avx512f" "avx512bw" "avx512dq" "avx512vl" "avx2" "fma"
}

/// One register of one kind of number: which intrinsics it takes.
macro_rules! lanes {
    ($Token:ty, $T:ty, $N:literal, $V:ty:
     $splat:ident, $load:ident, $store:ident, $mul_add:ident, $transpose:ident, $nonzero:ident) => {
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

lanes!(Avx2, f32, 8, __m256:
    _mm256_set1_ps, _mm256_loadu_ps, _mm256_storeu_ps, _mm256_fmadd_ps, transpose_8, nonzero_8);
lanes!(Avx2, f64, 4, __m256d:
    _mm256_set1_pd, _mm256_loadu_pd, _mm256_storeu_pd, _mm256_fmadd_pd, transpose_4, nonzero_4);
lanes!(Avx512, f32, 16, __m512:
    _mm512_set1_ps, _mm512_loadu_ps, _mm512_storeu_ps, _mm512_fmadd_ps, transpose_16, nonzero_16);
lanes!(Avx512, f64, 8, __m512d:
    _mm512_set1_pd, _mm512_loadu_pd, _mm512_storeu_pd, _mm512_fmadd_pd, transpose_8_doubles, nonzero_8_doubles);

/// Pairs of numbers, then pairs of pairs, then halves of registers change places: 24 shuffles.
#[inline]
#[target_feature(enable = "avx2,fma")]
fn transpose_8(r: [__m256; 8]) -> [__m256; 8] {
    let [mut a, mut b, mut c] = [r; 3];
    for i in [0, 2, 4, 6] {
        a[i] = _mm256_unpacklo_ps(r[i], r[i + 1]);
        a[i + 1] = _mm256_unpackhi_ps(r[i], r[i + 1]);
    }
    for (i, j) in [(0, 0), (1, 2), (4, 4), (5, 6)] {
        b[j] = _mm256_shuffle_ps::<0b01_00_01_00>(a[i], a[i + 2]);
        b[j + 1] = _mm256_shuffle_ps::<0b11_10_11_10>(a[i], a[i + 2]);
    }
    for i in 0..4 {
        c[i] = _mm256_permute2f128_ps::<0x20>(b[i], b[i + 4]);
        c[i + 4] = _mm256_permute2f128_ps::<0x31>(b[i], b[i + 4]);
    }
    c
}

#[inline]
#[target_feature(enable = "avx2,fma")]
fn transpose_4(r: [__m256d; 4]) -> [__m256d; 4] {
    let (a, b) = (_mm256_unpacklo_pd(r[0], r[1]), _mm256_unpackhi_pd(r[0], r[1]));
    let (c, d) = (_mm256_unpacklo_pd(r[2], r[3]), _mm256_unpackhi_pd(r[2], r[3]));
    [
        _mm256_permute2f128_pd::<0x20>(a, c),
        _mm256_permute2f128_pd::<0x20>(b, d),
        _mm256_permute2f128_pd::<0x31>(a, c),
        _mm256_permute2f128_pd::<0x31>(b, d),
    ]
}

/// For each distance 1, 2, 4, 8: of two rows so far apart, the numbers off the diagonal, so far from it, change places.
#[inline]
#[target_feature(enable = "avx512f")]
fn transpose_16(mut r: [__m512; 16]) -> [__m512; 16] {
    for distance in [1, 2, 4, 8] {
        let (mut upper, mut lower) = ([0i32; 16], [0i32; 16]);
        for l in 0..16 {
            // From 16 on, the indices mean the second register.
            (upper[l], lower[l]) = if l & distance == 0 {
                (l as i32, (l + distance) as i32)
            } else {
                ((l - distance + 16) as i32, (l + 16) as i32)
            };
        }
        // SAFETY: each reads as many bytes as the array has, from any address.
        let (upper, lower) =
            unsafe { (_mm512_loadu_si512(upper.as_ptr().cast()), _mm512_loadu_si512(lower.as_ptr().cast())) };
        for i in 0..16 {
            if i & distance == 0 {
                let (a, b) = (r[i], r[i + distance]);
                r[i] = _mm512_permutex2var_ps(a, upper, b);
                r[i + distance] = _mm512_permutex2var_ps(a, lower, b);
            }
        }
    }
    r
}

/// As for sixteen numbers of half the size.
#[inline]
#[target_feature(enable = "avx512f")]
fn transpose_8_doubles(mut r: [__m512d; 8]) -> [__m512d; 8] {
    for distance in [1, 2, 4] {
        let (mut upper, mut lower) = ([0i64; 8], [0i64; 8]);
        for l in 0..8 {
            (upper[l], lower[l]) = if l & distance == 0 {
                (l as i64, (l + distance) as i64)
            } else {
                ((l - distance + 8) as i64, (l + 8) as i64)
            };
        }
        // SAFETY: each reads as many bytes as the array has, from any address.
        let (upper, lower) =
            unsafe { (_mm512_loadu_si512(upper.as_ptr().cast()), _mm512_loadu_si512(lower.as_ptr().cast())) };
        for i in 0..8 {
            if i & distance == 0 {
                let (a, b) = (r[i], r[i + distance]);
                r[i] = _mm512_permutex2var_pd(a, upper, b);
                r[i + distance] = _mm512_permutex2var_pd(a, lower, b);
            }
        }
    }
    r
}

/// Not equal, or not comparable: a NaN is not zero.
#[inline]
#[target_feature(enable = "avx2,fma")]
fn nonzero_8(v: __m256) -> u32 {
    _mm256_movemask_ps(_mm256_cmp_ps::<_CMP_NEQ_UQ>(v, _mm256_setzero_ps())) as u32
}

#[inline]
#[target_feature(enable = "avx2,fma")]
fn nonzero_4(v: __m256d) -> u32 {
    _mm256_movemask_pd(_mm256_cmp_pd::<_CMP_NEQ_UQ>(v, _mm256_setzero_pd())) as u32
}

#[inline]
#[target_feature(enable = "avx512f")]
fn nonzero_16(v: __m512) -> u32 {
    _mm512_cmp_ps_mask::<_CMP_NEQ_UQ>(v, _mm512_setzero_ps()).into()
}

#[inline]
#[target_feature(enable = "avx512f")]
fn nonzero_8_doubles(v: __m512d) -> u32 {
    _mm512_cmp_pd_mask::<_CMP_NEQ_UQ>(v, _mm512_setzero_pd()).into()
}
