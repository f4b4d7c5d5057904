//! The innermost loop: one tile of `C` in registers.
#![allow(
    clippy::needless_range_loop,
    reason = "a closure that is not inlined lacks the instruction set; a loop cannot"
)]

use crate::Real;
use crate::kernels::simd::Lanes;

/// Steps of `k` that are unrolled where `A` lies by rows: its bounds are checked once for so many.
const UNROLL: usize = 8;

/// A strip of `A`, `MR` rows high.
pub(super) enum Left<'a, T, const MR: usize> {
    /// Row by row.
    Rows([&'a [T]; MR]),
    /// Column by column, each so far after the last.
    Columns(&'a [T], usize),
}

/// `C += A · B` (or `C = A · B`, if `fresh`) for a tile of `MR` rows and `NV` registers of `N` columns, and so many steps
/// of `k`. The rows of `B` follow each other.
///
/// Each element of `C` is one chain of fused multiply–adds in the order of `k`: whatever the tile, the packing, the
/// instruction set or the thread, that chain is the same, and so are its bits.
///
/// All `MR · NV` sums stay in registers. A step is `NV` loads, `MR` broadcasts and `MR · NV` multiply–adds; the tile is
/// chosen so that the last are what limits.
#[inline(always)]
pub(super) fn tile<T: Real, S: Lanes<T, N>, const N: usize, const MR: usize, const NV: usize>(
    simd: S,
    steps: usize,
    a: Left<T, MR>,
    b: &[T],
    c: &mut [[&mut [T; N]; NV]; MR],
    fresh: bool,
) {
    // Loops over indices, not `map`: a closure that the compiler did not inline would lack the instruction set.
    let mut sums = [[simd.splat(T::zero()); NV]; MR];
    if !fresh {
        for r in 0..MR {
            for v in 0..NV {
                sums[r][v] = simd.load(c[r][v]);
            }
        }
    }
    match a {
        Left::Rows(a) => {
            let mut blocks: [&[[T; UNROLL]]; MR] = [&[]; MR];
            let mut rests: [&[T]; MR] = [&[]; MR];
            for r in 0..MR {
                (blocks[r], rests[r]) = a[r][..steps].as_chunks();
            }
            let mut panels = b.chunks_exact(UNROLL * NV * N);
            for (i, b) in (&mut panels).take(steps / UNROLL).enumerate() {
                let zeros = [T::zero(); UNROLL];
                let mut block: [&[T; UNROLL]; MR] = [&zeros; MR];
                for r in 0..MR {
                    block[r] = &blocks[r][i];
                }
                for u in 0..UNROLL {
                    step(
                        simd,
                        #[inline(always)]
                        |r| block[r][u],
                        &b[u * NV * N..],
                        &mut sums,
                    );
                }
            }
            let b = &b[steps / UNROLL * UNROLL * NV * N..];
            for (k, b) in b.chunks_exact(NV * N).take(steps % UNROLL).enumerate() {
                step(
                    simd,
                    #[inline(always)]
                    |r| rests[r][k],
                    b,
                    &mut sums,
                );
            }
        }
        Left::Columns(a, column) => {
            let (b, last) = b[..steps * NV * N].split_at((steps - 1) * NV * N);
            for (a, b) in a.chunks_exact(column).zip(b.chunks_exact(NV * N)) {
                let a: &[T; MR] = a.first_chunk().expect("MR rows");
                step(
                    simd,
                    #[inline(always)]
                    |r| a[r],
                    b,
                    &mut sums,
                );
            }
            // Behind the last column there may be less than a whole one.
            let a: &[T; MR] = a[(steps - 1) * column..].first_chunk().expect("MR rows");
            step(
                simd,
                #[inline(always)]
                |r| a[r],
                last,
                &mut sums,
            );
        }
    }
    for r in 0..MR {
        for v in 0..NV {
            simd.store(c[r][v], sums[r][v]);
        }
    }
}

/// One step of `k`.
#[inline(always)]
fn step<T: Real, S: Lanes<T, N>, const N: usize, const MR: usize, const NV: usize>(
    simd: S,
    a: impl Fn(usize) -> T,
    b: &[T],
    sums: &mut [[S::V; NV]; MR],
) {
    let b = &b[..NV * N];
    let mut row = [simd.splat(T::zero()); NV];
    for v in 0..NV {
        row[v] = simd.load(b[v * N..(v + 1) * N].try_into().expect("N numbers"));
    }
    for r in 0..MR {
        let a = simd.splat(a(r));
        for v in 0..NV {
            sums[r][v] = simd.mul_add(a, row[v], sums[r][v]);
        }
    }
}
