//! The vector instructions of x86-64.
#![allow(unsafe_code)]

use std::arch::x86_64::*;

use super::{Lanes, Simd, store_by_memory};

token! {
    /// The CPU has AVX2 and FMA.
    Avx2, prefetch_to_write, is_x86_feature_detected "avx2" "fma"
}

token! {
    /// The CPU has AVX-512 F, BW, DQ and VL, AVX2 and FMA.
    Avx512, prefetch_to_write, is_x86_feature_detected "avx512f" "avx512bw" "avx512dq" "avx512vl" "avx2" "fma"
}

#[inline(always)]
fn prefetch_to_write(x: *const i8) {
    // SAFETY: it reads nothing, whatever the address; where a CPU does not have it, it does nothing.
    unsafe { _mm_prefetch::<_MM_HINT_ET0>(x) }
}

/// One register of one kind of number: which intrinsics it takes.
macro_rules! lanes {
    ($Token:ty, $T:ty, $N:literal, $V:ty: $splat:ident, $load:ident, $store:ident, $mul_add:ident,
     $load_first:ident, $store_first:ident, $transpose:ident, $nonzero:ident) => {
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
            fn load_first(self, x: &[$T]) -> $V {
                // SAFETY: the token proves that the CPU has these instructions.
                unsafe { $load_first(x) }
            }
            #[inline(always)]
            fn store_first(self, x: &mut [$T], v: $V) {
                $store_first(self, x, v);
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

lanes!(Avx2, f32, 8, __m256: _mm256_set1_ps, _mm256_loadu_ps, _mm256_storeu_ps, _mm256_fmadd_ps,
    load_first_8, store_by_memory, transpose_8, nonzero_8);
lanes!(Avx2, f64, 4, __m256d: _mm256_set1_pd, _mm256_loadu_pd, _mm256_storeu_pd, _mm256_fmadd_pd,
    load_first_4, store_by_memory, transpose_4, nonzero_4);
lanes!(Avx512, f32, 16, __m512: _mm512_set1_ps, _mm512_loadu_ps, _mm512_storeu_ps, _mm512_fmadd_ps,
    load_first_16, store_first_16, transpose_16, nonzero_16);

impl Avx512 {
    /// What it also proves.
    #[inline(always)]
    pub fn avx2(self) -> Avx2 {
        Avx2(())
    }
}

// What follows is inlined, always: a function would be passed its registers through memory, which takes longer than it does.
// That excludes `#[target_feature]`, so each says whose token it needs.

/// # Safety
/// The CPU has AVX2.
#[inline(always)]
unsafe fn load_first_8(x: &[f32]) -> __m256 {
    // SAFETY: as promised; it reads only numbers whose place is below the length.
    unsafe {
        let places = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
        _mm256_maskload_ps(x.as_ptr(), _mm256_cmpgt_epi32(_mm256_set1_epi32(x.len() as i32), places))
    }
}

/// # Safety
/// The CPU has AVX2.
#[inline(always)]
unsafe fn load_first_4(x: &[f64]) -> __m256d {
    // SAFETY: as promised; it reads only numbers whose place is below the length.
    unsafe {
        let places = _mm256_setr_epi64x(0, 1, 2, 3);
        _mm256_maskload_pd(x.as_ptr(), _mm256_cmpgt_epi64(_mm256_set1_epi64x(x.len() as i64), places))
    }
}

/// # Safety
/// The CPU has AVX-512 F.
#[inline(always)]
unsafe fn load_first_16(x: &[f32]) -> __m512 {
    // SAFETY: as promised; it reads only numbers whose place is below the length.
    unsafe { _mm512_maskz_loadu_ps(first(x.len()) as u16, x.as_ptr()) }
}

#[inline(always)]
fn store_first_16(_: Avx512, x: &mut [f32], v: __m512) {
    // SAFETY: the token proves that the CPU has this instruction; it writes only numbers whose place is below the length.
    unsafe { _mm512_mask_storeu_ps(x.as_mut_ptr(), first(x.len()) as u16, v) }
}

/// So many bits, or all.
#[inline(always)]
fn first(len: usize) -> u32 {
    (1u32 << len.min(16)) - 1
}

/// Pairs of numbers, then pairs of pairs, then halves of registers change places: 24 shuffles.
///
/// # Safety
/// The CPU has AVX2.
#[inline(always)]
unsafe fn transpose_8(r: [__m256; 8]) -> [__m256; 8] {
    let [mut a, mut b, mut c] = [r; 3];
    // SAFETY: as promised.
    unsafe {
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
    }
    c
}

/// # Safety
/// The CPU has AVX2.
#[inline(always)]
unsafe fn transpose_4(r: [__m256d; 4]) -> [__m256d; 4] {
    // SAFETY: as promised.
    unsafe {
        let (a, b) = (_mm256_unpacklo_pd(r[0], r[1]), _mm256_unpackhi_pd(r[0], r[1]));
        let (c, d) = (_mm256_unpacklo_pd(r[2], r[3]), _mm256_unpackhi_pd(r[2], r[3]));
        [
            _mm256_permute2f128_pd::<0x20>(a, c),
            _mm256_permute2f128_pd::<0x20>(b, d),
            _mm256_permute2f128_pd::<0x31>(a, c),
            _mm256_permute2f128_pd::<0x31>(b, d),
        ]
    }
}

/// Pairs of numbers, then pairs of pairs, and then quarters of registers change places: 64 shuffles.
///
/// # Safety
/// The CPU has AVX-512 F.
#[inline(always)]
unsafe fn transpose_16(r: [__m512; 16]) -> [__m512; 16] {
    let [mut a, mut b] = [r; 2];
    // SAFETY: as promised.
    unsafe {
        for i in [0, 2, 4, 6, 8, 10, 12, 14] {
            a[i] = _mm512_unpacklo_ps(r[i], r[i + 1]);
            a[i + 1] = _mm512_unpackhi_ps(r[i], r[i + 1]);
        }
        for i in [0, 4, 8, 12] {
            b[i] = _mm512_shuffle_ps::<0b01_00_01_00>(a[i], a[i + 2]);
            b[i + 1] = _mm512_shuffle_ps::<0b11_10_11_10>(a[i], a[i + 2]);
            b[i + 2] = _mm512_shuffle_ps::<0b01_00_01_00>(a[i + 1], a[i + 3]);
            b[i + 3] = _mm512_shuffle_ps::<0b11_10_11_10>(a[i + 1], a[i + 3]);
        }
        for (i, j) in [(0, 0), (1, 1), (2, 2), (3, 3), (8, 8), (9, 9), (10, 10), (11, 11)] {
            a[i] = _mm512_shuffle_f32x4::<0b10_00_10_00>(b[j], b[j + 4]);
            a[i + 4] = _mm512_shuffle_f32x4::<0b11_01_11_01>(b[j], b[j + 4]);
        }
        for i in 0..8 {
            b[i] = _mm512_shuffle_f32x4::<0b10_00_10_00>(a[i], a[i + 8]);
            b[i + 8] = _mm512_shuffle_f32x4::<0b11_01_11_01>(a[i], a[i + 8]);
        }
    }
    b
}

/// Not equal, or not comparable: a NaN is not zero.
///
/// # Safety
/// The CPU has AVX2.
#[inline(always)]
unsafe fn nonzero_8(v: __m256) -> u32 {
    // SAFETY: as promised.
    unsafe { _mm256_movemask_ps(_mm256_cmp_ps::<_CMP_NEQ_UQ>(v, _mm256_setzero_ps())) as u32 }
}

/// # Safety
/// The CPU has AVX2.
#[inline(always)]
unsafe fn nonzero_4(v: __m256d) -> u32 {
    // SAFETY: as promised.
    unsafe { _mm256_movemask_pd(_mm256_cmp_pd::<_CMP_NEQ_UQ>(v, _mm256_setzero_pd())) as u32 }
}

/// # Safety
/// The CPU has AVX-512 F.
#[inline(always)]
unsafe fn nonzero_16(v: __m512) -> u32 {
    // SAFETY: as promised.
    unsafe { _mm512_cmp_ps_mask::<_CMP_NEQ_UQ>(v, _mm512_setzero_ps()).into() }
}
