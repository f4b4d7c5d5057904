//! The innermost loop: one tile of `C` in registers.
#![allow(
    clippy::needless_range_loop,
    reason = "a closure that is not inlined lacks the instruction set; a loop cannot"
)]

use super::pack::STEPS;
use crate::Real;
use crate::kernels::simd::Lanes;

/// Steps of `k` that are unrolled where `A` lies by rows: its bounds are checked once for so many.
const UNROLL_ROWS: usize = 8;
/// Steps of `k` that are unrolled where `A` is packed: a fifth fewer instructions, worth 4 to 8 % where another
/// hardware thread wants the core too.
const UNROLL_PACKED: usize = 4;

/// A strip of `A`, `MR` rows high.
#[derive(Clone, Copy)]
pub(super) enum Left<'a, T, const MR: usize> {
    /// As it lies in memory: row by row.
    Rows([&'a [T]; MR]),
    /// Packed: the numbers for one step of `k` together, and step after step.
    Packed(&'a [[T; MR]]),
    /// Packed, and only the steps of `k` in this list.
    Listed(&'a [[T; MR]], &'a [u8]),
}

/// `C += A · B` (or `C = A · B`, if `fresh`) for a tile of `MR` rows and `NV` registers of `N` columns, and so many steps
/// of `k`. The rows of `B` follow each other, and are followed by as many numbers, whatever they are, as make [`STEPS`] rows.
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
        Left::Listed(a, steps) => {
            // As many rows as an index may say, so that none need be checked.
            let (b, _) = b[..STEPS * NV * N].as_chunks::<N>();
            let (blocks, rest) = a[..steps.len()].as_chunks::<UNROLL_PACKED>();
            let (ks, last) = steps.as_chunks::<UNROLL_PACKED>();
            for (a, ks) in blocks.iter().zip(ks) {
                for u in 0..UNROLL_PACKED {
                    step(
                        simd,
                        #[inline(always)]
                        |r| a[u][r],
                        &b[usize::from(ks[u]) * NV..],
                        &mut sums,
                    );
                }
            }
            for (a, &k) in rest.iter().zip(last) {
                step(
                    simd,
                    #[inline(always)]
                    |r| a[r],
                    &b[usize::from(k) * NV..],
                    &mut sums,
                );
            }
        }
        Left::Rows(a) => {
            let mut blocks: [&[[T; UNROLL_ROWS]]; MR] = [&[]; MR];
            let mut rests: [&[T]; MR] = [&[]; MR];
            for r in 0..MR {
                (blocks[r], rests[r]) = a[r][..steps].as_chunks();
            }
            let mut panels = b[..steps * NV * N].chunks_exact(UNROLL_ROWS * NV * N);
            for (i, b) in (&mut panels).enumerate() {
                let zeros = [T::zero(); UNROLL_ROWS];
                let mut block: [&[T; UNROLL_ROWS]; MR] = [&zeros; MR];
                for r in 0..MR {
                    block[r] = &blocks[r][i];
                }
                for u in 0..UNROLL_ROWS {
                    step(
                        simd,
                        #[inline(always)]
                        |r| block[r][u],
                        b[u * NV * N..].as_chunks().0,
                        &mut sums,
                    );
                }
            }
            for (k, b) in panels.remainder().chunks_exact(NV * N).enumerate() {
                step(
                    simd,
                    #[inline(always)]
                    |r| rests[r][k],
                    b.as_chunks().0,
                    &mut sums,
                );
            }
        }
        Left::Packed(a) => {
            let (blocks, rest) = a[..steps].as_chunks::<UNROLL_PACKED>();
            let mut panels = b[..steps * NV * N].chunks_exact(UNROLL_PACKED * NV * N);
            for (a, b) in blocks.iter().zip(&mut panels) {
                for u in 0..UNROLL_PACKED {
                    step(
                        simd,
                        #[inline(always)]
                        |r| a[u][r],
                        b[u * NV * N..].as_chunks().0,
                        &mut sums,
                    );
                }
            }
            for (a, b) in rest.iter().zip(panels.remainder().chunks_exact(NV * N)) {
                step(
                    simd,
                    #[inline(always)]
                    |r| a[r],
                    b.as_chunks().0,
                    &mut sums,
                );
            }
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
    b: &[[T; N]],
    sums: &mut [[S::V; NV]; MR],
) {
    let b = &b[..NV];
    let mut row = [simd.splat(T::zero()); NV];
    for v in 0..NV {
        row[v] = simd.load(&b[v]);
    }
    for r in 0..MR {
        let a = simd.splat(a(r));
        for v in 0..NV {
            sums[r][v] = simd.mul_add(a, row[v], sums[r][v]);
        }
    }
}
