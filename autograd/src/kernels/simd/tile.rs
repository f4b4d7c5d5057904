//! The micro-kernel: one tile of `C` in registers. What it reads and writes is checked once, and not at every step.
#![allow(unsafe_code)]
#![allow(
    clippy::needless_range_loop,
    reason = "a closure that is not inlined lacks the instruction set; a loop cannot"
)]

use super::{Lanes, Operand, Steps};
use crate::Real;
use crate::kernels::Write;
use crate::matrix::ViewMut;

/// Where in `C` a tile lies.
#[derive(Clone, Copy)]
pub(crate) struct Place {
    /// Its first row.
    pub(crate) i: usize,
    /// Its first column.
    pub(crate) j: usize,
    /// Its columns.
    pub(crate) width: usize,
    /// Whether these are rows of `C`, and its rows columns.
    pub(crate) flip: bool,
    pub(crate) write: Write,
}

/// `C = A · B` or `C += A · B` for a tile of `MR` rows, and of `width` columns in `NV` registers of `N` numbers; at an `EDGE` the
/// last of these is not full. Rows of `C` are contiguous, and those of `B`; and rows or columns of `A`.
///
/// Each sum is one chain of fused multiply–adds in the order of the steps, whatever the strides, the tile and the instruction set.
/// All `MR · NV` of them stay in registers. A step is `NV` loads, `MR` broadcasts and `MR · NV` multiply–adds; the tile is
/// chosen so that the last are what limits. On safe slices the same loop spills its sums, which costs a third of the speed.
///
/// # Panics
/// If an operand is too short, or the tile is not inside of `C`.
#[inline(always)]
pub(crate) fn tile<T: Real, S: Lanes<T, N>, const N: usize, const MR: usize, const NV: usize, const EDGE: bool>(
    simd: S,
    steps: Steps,
    a: Operand<T>,
    b: Operand<T>,
    place: Place,
    c: &mut ViewMut<T>,
) {
    let Place { i, j, flip, write, .. } = place;
    let width = if EDGE { place.width } else { NV * N };
    let (a_steps, b_steps) = match steps {
        Steps::All(steps) => (steps, steps),
        Steps::Kept(kept) => (kept.len(), kept.end()),
    };
    // Numbers in the last register.
    let last = width.wrapping_sub((NV - 1) * N);
    assert!((1..=N).contains(&last) && b.column == 1 && (a.row == 1 || a.column == 1), "not a tile");
    assert!(a_steps == 0 || a.holds(MR, a_steps) && b.holds(b_steps, (NV - 1) * N + last), "operands are too short");
    let (rows, columns) = if flip { (width, MR) } else { (MR, width) };
    let [down, right] = if flip { [j, i] } else { [i, j] };
    let fits = |from: usize, len: usize, all: usize| from <= all && len <= all - from;
    assert!(
        (c.strides()[1] == 1 || c.ncols() == 1) && fits(down, rows, c.nrows()) && fits(right, columns, c.ncols()),
        "not inside of C"
    );
    let stride = c.strides()[0];
    let first = c.as_mut_ptr().wrapping_offset(down as isize * stride).wrapping_add(right);
    // SAFETY: a row of the tile, which is inside of C, as asserted; C is borrowed mutably, and one row at a time is used.
    let row = |r: usize| unsafe { std::slice::from_raw_parts_mut(first.wrapping_offset(r as isize * stride), columns) };

    // Now, that they are there when the sums are.
    for r in 0..rows {
        for line in (0..columns).step_by(64 / size_of::<T>()) {
            simd.prefetch_to_write(first.wrapping_offset(r as isize * stride).wrapping_add(line));
        }
    }
    let mut sums = [[simd.splat(T::zero()); NV]; MR];
    if write == Write::Add {
        if flip {
            let mut aside = [[[T::zero(); N]; NV]; MR];
            for l in 0..width {
                let column: &[T; MR] = row(l).first_chunk().expect("MR numbers");
                for r in 0..MR {
                    aside[r][l / N][l % N] = column[r];
                }
            }
            for r in 0..MR {
                for v in 0..NV {
                    sums[r][v] = simd.load(&aside[r][v]);
                }
            }
        } else {
            for r in 0..MR {
                for v in 0..NV {
                    sums[r][v] = load::<T, S, N>(simd, EDGE && v == NV - 1, &row(r)[v * N..]);
                }
            }
        }
    }
    // Whole registers of B are loaded wherever they are inside of it: what lies behind the tile's columns goes to lanes that are not
    // stored.
    let whole = match b.data.len().checked_sub(NV * N) {
        _ if !EDGE => b_steps,
        Some(rest) if b.row > 0 => b_steps.min(rest / b.row + 1),
        _ => 0,
    };
    match steps {
        Steps::All(steps) => {
            // SAFETY: A holds the steps, as asserted, and B so many with whole registers.
            unsafe { walk::<T, S, N, MR, NV, EDGE>(simd, Steps::All(whole), a, b, &mut sums) };
            for k in if EDGE { whole..steps } else { 0..0 } {
                edge_step::<T, S, N, MR, NV>(simd, a.from(0, k), b.from(k, 0), last, &mut sums);
            }
        }
        // SAFETY: as above.
        Steps::Kept(_) if !EDGE || whole == b_steps => unsafe {
            walk::<T, S, N, MR, NV, EDGE>(simd, steps, a, b, &mut sums)
        },
        Steps::Kept(kept) => {
            for (i, &k) in kept.listed().iter().enumerate() {
                edge_step::<T, S, N, MR, NV>(simd, a.from(0, i), b.from(k.into(), 0), last, &mut sums);
            }
        }
    }
    if flip {
        let mut aside = [[[T::zero(); N]; NV]; MR];
        for r in 0..MR {
            for v in 0..NV {
                simd.store(&mut aside[r][v], sums[r][v]);
            }
        }
        for l in 0..width {
            let column: &mut [T; MR] = row(l).first_chunk_mut().expect("MR numbers");
            for r in 0..MR {
                column[r] = aside[r][l / N][l % N];
            }
        }
    } else {
        for r in 0..MR {
            for v in 0..NV {
                let to = &mut row(r)[v * N..];
                if EDGE && v == NV - 1 {
                    simd.store_first(to, sums[r][v]);
                } else {
                    simd.store(to.first_chunk_mut().expect("N numbers"), sums[r][v]);
                }
            }
        }
    }
}

/// A step of `k` of which the last register of `B` has `last` numbers.
#[inline(always)]
fn edge_step<T: Real, S: Lanes<T, N>, const N: usize, const MR: usize, const NV: usize>(
    simd: S,
    a: Operand<T>,
    b: Operand<T>,
    last: usize,
    sums: &mut [[S::V; NV]; MR],
) {
    for r in 0..MR {
        let left = simd.splat(a.data[r * a.row]);
        for v in 0..NV {
            let right = if v == NV - 1 {
                simd.load_first(&b.data[v * N..][..last])
            } else {
                load::<T, S, N>(simd, false, &b.data[v * N..])
            };
            sums[r][v] = simd.mul_add(left, right, sums[r][v]);
        }
    }
}

#[inline(always)]
fn load<T: Real, S: Lanes<T, N>, const N: usize>(simd: S, edge: bool, from: &[T]) -> S::V {
    if edge { simd.load_first(from) } else { simd.load(from.first_chunk().expect("N numbers")) }
}

/// Steps that are unrolled: a fifth fewer instructions, worth 4 to 8 % where another hardware thread wants the core too.
const UNROLL: usize = 4;

/// `sums += A · B`. There is a loop for each way in which `A` may lie, so that where its rows are is part of the instructions, or
/// known before; with two strides that are not, a step takes 30 instructions instead of 21.
///
/// # Safety
/// `A` holds `MR` rows and `B` `NV` registers of columns, and both all steps.
#[inline(always)]
unsafe fn walk<T: Real, S: Lanes<T, N>, const N: usize, const MR: usize, const NV: usize, const EDGE: bool>(
    simd: S,
    steps: Steps,
    a: Operand<T>,
    b: Operand<T>,
    sums: &mut [[S::V; NV]; MR],
) {
    // Small tiles are not worth the code, and wide ones have many instructions for each that a stride takes.
    let packed = !EDGE && MR * NV >= 8 && NV <= 2 && a.row == 1 && a.column == MR && b.row == NV * N;
    // Behind the last step they point nowhere, and are not read.
    let (mut from_a, mut from_b) = (a.data.as_ptr(), b.data.as_ptr());
    match steps {
        Steps::Kept(kept) => {
            let (fours, ones) = if packed { kept.listed().as_chunks::<UNROLL>() } else { (&[][..], kept.listed()) };
            for four in fours {
                for k in four {
                    let from_b = from_b.wrapping_add(usize::from(*k) * NV * N);
                    // SAFETY: each is a step of B, and there are as many as steps of A.
                    unsafe { step(simd, |r| from_a.wrapping_add(r), from_b, sums) };
                    from_a = from_a.wrapping_add(MR);
                }
            }
            for k in ones {
                let from_b = from_b.wrapping_add(usize::from(*k) * b.row);
                // SAFETY: as above.
                unsafe { step(simd, |r| from_a.wrapping_add(r * a.row), from_b, sums) };
                from_a = from_a.wrapping_add(a.column);
            }
        }
        Steps::All(steps) if packed => {
            for (rounds, unrolled) in [(steps / UNROLL, UNROLL), (steps % UNROLL, 1)] {
                for _ in 0..rounds {
                    for _ in 0..unrolled {
                        // SAFETY: these are as many as there are steps.
                        unsafe { step(simd, |r| from_a.wrapping_add(r), from_b, sums) };
                        (from_a, from_b) = (from_a.wrapping_add(MR), from_b.wrapping_add(NV * N));
                    }
                }
            }
        }
        Steps::All(steps) if a.row == 1 => {
            for _ in 0..steps {
                // SAFETY: as above.
                unsafe { step(simd, |r| from_a.wrapping_add(r), from_b, sums) };
                (from_a, from_b) = (from_a.wrapping_add(a.column), from_b.wrapping_add(b.row));
            }
        }
        // The columns of A lie together, as was asserted.
        Steps::All(steps) => {
            let mut rows = [from_a; MR];
            for r in 0..MR {
                rows[r] = rows[r].wrapping_add(r * a.row);
            }
            let unroll = if EDGE || MR * NV < 8 { 1 } else { UNROLL };
            let whole = steps - steps % unroll;
            for (from, to, by) in [(0, whole, unroll), (whole, steps, 1)] {
                for k in (from..to).step_by(by) {
                    for k in k..k + by {
                        // SAFETY: as above.
                        unsafe { step(simd, |r| rows[r].wrapping_add(k), from_b, sums) };
                        from_b = from_b.wrapping_add(b.row);
                    }
                }
            }
        }
    }
}

/// One step of `k`.
///
/// # Safety
/// A number can be read where `a` says that row `r` has it, for each of `MR`, and `NV` registers from `b` on.
#[inline(always)]
unsafe fn step<T: Real, S: Lanes<T, N>, const N: usize, const MR: usize, const NV: usize>(
    simd: S,
    a: impl Fn(usize) -> *const T,
    b: *const T,
    sums: &mut [[S::V; NV]; MR],
) {
    let mut right = [simd.splat(T::zero()); NV];
    for v in 0..NV {
        // SAFETY: as promised.
        right[v] = simd.load(unsafe { &*b.wrapping_add(v * N).cast() });
    }
    for r in 0..MR {
        // SAFETY: as promised.
        let left = simd.splat(unsafe { *a(r) });
        for v in 0..NV {
            sums[r][v] = simd.mul_add(left, right[v], sums[r][v]);
        }
    }
}
