//! Products in which nothing is read twice: one or two rows (a batch of one), or one or few terms a sum (its gradient).
//!
//! Copying `B` would cost more than the product. Instead its rows are read as they lie, a few at a time, from the first
//! number to the last, and a row of `C` stays in the first-level cache. What limits is the memory.
#![allow(
    clippy::needless_range_loop,
    reason = "a closure that is not inlined lacks the instruction set; a loop cannot"
)]

use ndarray::Axis;

use super::loops::{Finish, Kernel, finish, of_columns};
use crate::Real;
use crate::kernels::Write;
use crate::kernels::parallel::{join, threads};
use crate::kernels::simd::{Isa, Lanes, Operand};
use crate::matrix::ViewMut;

/// Multiply–adds that are not divided further: the memory limits, and each takes longer than in a tile.
const PIECE: usize = 1 << 18;

/// Columns of a row that are worth a thread, at least.
const WIDTH: usize = 64;

/// Rows of `B` that are read side by side.
const ROWS: usize = 8;

/// Registers of columns of a transposed `B` that are read side by side.
const SQUARES: usize = 2;

/// Whether a product of this shape is better off without tiles.
pub(super) fn is_thin([m, _, k]: [usize; 3], b_by_rows: bool) -> bool {
    m <= 2 || b_by_rows && k <= 4
}

/// Such a product or a part of one.
#[derive(Clone, Copy)]
pub(super) struct Thin<'a, T> {
    pub(super) isa: Isa,
    /// `m`, `n` and `k`.
    pub(super) size: [usize; 3],
    pub(super) a: Operand<'a, T>,
    pub(super) b: Operand<'a, T>,
    pub(super) write: Write,
    pub(super) finish: Finish<'a, T>,
}

impl<T: Real> Thin<'_, T> {
    /// Halves, until they are small enough for one thread, which reads whole rows of `B` faster than halves: 1.3 times where a
    /// batch is one row.
    pub(super) fn share(self, c: ViewMut<T>) {
        let [m, n, k] = self.size;
        let by_rows = m > 2;
        if threads() == 1 || m * n * k <= PIECE || !by_rows && n < 2 * WIDTH {
            return T::on(self.isa, Rows { thin: self, c });
        }
        let at = if by_rows { m / 2 } else { (n / 2).next_multiple_of(WIDTH) };
        let (one, two) = if by_rows {
            (Thin { size: [at, n, k], ..self }, Thin { size: [m - at, n, k], a: self.a.from(at, 0), ..self })
        } else {
            let [finish1, finish2] = [0..at, at..n].map(|columns| of_columns(self.finish, columns));
            let b = self.b.from(0, at);
            (
                Thin { size: [m, at, k], finish: finish1, ..self },
                Thin { size: [m, n - at, k], b, finish: finish2, ..self },
            )
        };
        let (c1, c2) = c.split_at(Axis(usize::from(!by_rows)), at);
        join(|| one.share(c1), || two.share(c2));
    }
}

struct Rows<'a, 'c, T> {
    thin: Thin<'a, T>,
    c: ViewMut<'c, T>,
}

impl<T: Real> Kernel<T> for Rows<'_, '_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Lanes<T, N>, const N: usize, const MR: usize, const NV: usize>(self, simd: S) {
        let Rows { thin, mut c } = self;
        let rows = c.view_mut();
        simd.vectorize(
            #[inline(always)]
            move || all_rows::<T, S, N>(simd, thin, rows),
        );
        if let Some((bias, f)) = thin.finish {
            finish(simd, c, bias, f);
        }
    }
}

#[inline(always)]
fn all_rows<T: Real, S: Lanes<T, N>, const N: usize>(simd: S, thin: Thin<T>, mut c: ViewMut<T>) {
    let Thin { size: [_, _, steps], a, b, write, .. } = thin;
    let fresh = write == Write::Set;
    for (i, c) in c.axis_iter_mut(Axis(0)).enumerate() {
        let (a, c) = (a.from(i, 0), c.into_slice().expect("contiguous rows"));
        if b.column != 1 {
            columns::<T, S, N>(simd, steps, a, b, c, fresh);
            continue;
        }
        let mut k = 0;
        while k < steps {
            let (a, b, fresh) = (a.from(0, k), b.from(k, 0), fresh && k == 0);
            if k + ROWS <= steps {
                some_rows::<T, S, N, ROWS>(simd, a, b, c, fresh);
                k += ROWS;
            } else {
                some_rows::<T, S, N, 1>(simd, a, b, c, fresh);
                k += 1;
            }
        }
    }
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

/// A row of `A` times a transposed `B`, whose columns are contiguous.
#[inline(always)]
fn columns<T: Real, S: Lanes<T, N>, const N: usize>(
    simd: S,
    steps: usize,
    a: Operand<T>,
    b: Operand<T>,
    mut c: &mut [T],
    fresh: bool,
) {
    let mut j = 0;
    while !c.is_empty() {
        let (b, width) = (b.from(0, j), if c.len() >= SQUARES * N { SQUARES * N } else { c.len().min(N) });
        let (now, later) = c.split_at_mut(width);
        if width == SQUARES * N {
            squares::<T, S, N, SQUARES>(simd, steps, a, b, now.as_chunks_mut().0, fresh);
        } else if width == N {
            squares::<T, S, N, 1>(simd, steps, a, b, now.as_chunks_mut().0, fresh);
        } else {
            for (j, c) in now.iter_mut().enumerate() {
                let column = &b.data[j * b.column..][..steps];
                let mut sum = if fresh { T::zero() } else { *c };
                for k in 0..steps {
                    sum = a.data[k * a.column].mul_add(column[k], sum);
                }
                *c = sum;
            }
        }
        (j, c) = (j + width, later);
    }
}

/// `G` registers of columns. Squares of `N × N` numbers are turned in registers, and never stored.
#[inline(always)]
fn squares<T: Real, S: Lanes<T, N>, const N: usize, const G: usize>(
    simd: S,
    steps: usize,
    a: Operand<T>,
    b: Operand<T>,
    c: &mut [[T; N]],
    fresh: bool,
) {
    let mut sums = [simd.splat(T::zero()); G];
    if !fresh {
        for g in 0..G {
            sums[g] = simd.load(&c[g]);
        }
    }
    let whole = steps - steps % N;
    for k in (0..whole).step_by(N) {
        for g in 0..G {
            let square = b.transposed().turned::<S, N>(simd, g * N, k, N);
            for l in 0..N {
                sums[g] = simd.mul_add(simd.splat(a.data[(k + l) * a.column]), square[l], sums[g]);
            }
        }
    }
    for k in whole..steps {
        for g in 0..G {
            let mut row = [T::zero(); N];
            for l in 0..N {
                row[l] = b.data[(g * N + l) * b.column + k];
            }
            sums[g] = simd.mul_add(simd.splat(a.data[k * a.column]), simd.load(&row), sums[g]);
        }
    }
    for g in 0..G {
        simd.store(&mut c[g], sums[g]);
    }
}
