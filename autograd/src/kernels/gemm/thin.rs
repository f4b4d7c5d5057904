//! Products in which nothing is read twice: one or two rows (a batch of one), or one or few terms a sum (its gradient).
//!
//! Copying `B` would cost more than the product. Instead its rows are read as they lie, a few at a time, from the first
//! number to the last, and a row of `C` stays in the first-level cache. What limits is the memory.
#![allow(
    clippy::needless_range_loop,
    reason = "a closure that is not inlined lacks the instruction set; a loop cannot"
)]

use super::leaf::finish_rows;
use super::{Operand, Piece};
use crate::Real;
use crate::kernels::simd::Lanes;

/// Rows of `B` that are read side by side.
const ROWS: usize = 8;

/// Whether a product of this shape is better off without tiles.
pub(super) fn is_thin([m, _, k]: [usize; 3], b_by_rows: bool) -> bool {
    b_by_rows && (m <= 2 || k <= 4)
}

#[inline(always)]
pub(super) fn thin<T: Real, S: Lanes<T, N>, const N: usize>(simd: S, piece: Piece<T>) {
    let Piece { size: [_, n, steps], a, b, c, fresh, finish, .. } = piece;
    for (i, c) in c.iter_mut().enumerate() {
        let a = a.from(i, 0);
        let mut k = 0;
        while k < steps {
            let (a, b, fresh) = (a.from(0, k), b.from(k, 0), fresh && k == 0);
            if k + ROWS <= steps {
                some_rows::<T, S, N, ROWS>(simd, a, b, &mut c[..n], fresh);
                k += ROWS;
            } else {
                some_rows::<T, S, N, 1>(simd, a, b, &mut c[..n], fresh);
                k += 1;
            }
        }
    }
    finish_rows(c, 0, n, finish);
}

/// `c += a₀ b₀ + a₁ b₁ + …`, for `K` rows `b` and as many numbers `a`: the same chains as in a tile.
#[inline(always)]
fn some_rows<T: Real, S: Lanes<T, N>, const N: usize, const K: usize>(
    simd: S,
    a: Operand<T>,
    b: Operand<T>,
    c: &mut [T],
    fresh: bool,
) {
    let n = c.len();
    let (mut factors, mut splats) = ([T::zero(); K], [simd.splat(T::zero()); K]);
    let (mut rows, mut rests): ([&[[T; N]]; K], [&[T]; K]) = ([&[]; K], [&[]; K]);
    for k in 0..K {
        factors[k] = a.data[k * a.column];
        splats[k] = simd.splat(factors[k]);
        (rows[k], rests[k]) = b.data[k * b.row..][..n].as_chunks();
    }
    let (whole, rest) = c.as_chunks_mut();
    for k in 0..K {
        rows[k] = &rows[k][..whole.len()];
        rests[k] = &rests[k][..rest.len()];
    }
    for (j, c) in whole.iter_mut().enumerate() {
        let mut sum = if fresh { simd.splat(T::zero()) } else { simd.load(c) };
        for k in 0..K {
            sum = simd.mul_add(splats[k], simd.load(&rows[k][j]), sum);
        }
        simd.store(c, sum);
    }
    for (j, c) in rest.iter_mut().enumerate() {
        let mut sum = if fresh { T::zero() } else { *c };
        for k in 0..K {
            sum = factors[k].mul_add(rests[k][j], sum);
        }
        *c = sum;
    }
}
