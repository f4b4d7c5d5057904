//! Copies of pieces of `A` and of `B` in the order in which tiles read them.
//!
//! Where a tile reads one stream of numbers after the other, nothing has to be searched for: neither lines nor pages,
//! of which a strip of rows that are far apart would touch one each, at every step.
//!
//! Steps of `k` at which a whole strip of `A` is zero are left out of it. Images are mostly zeros: of MNIST's pixels and six
//! images at a time, 0.44 of the steps are left; of its images and six neighbouring pixels, 0.34. A fused multiply–add with
//! zero changes no sum, so the bits are the same, as long as `B` is finite: what is infinite or NaN there may be left out, too.
#![allow(
    clippy::needless_range_loop,
    reason = "a closure that is not inlined lacks the instruction set; a loop cannot"
)]

use std::cell::RefCell;

use super::Operand;
use super::leaf::with_room;
use crate::kernels::simd::Lanes;
use crate::{Precision, Real};

/// Rows of the next strip where so many are left: a full tile, or the largest smaller one there is.
#[inline(always)]
pub(super) fn strip_height<const MR: usize>(left: usize) -> usize {
    match left {
        // Four rows and four more keep the multipliers busy, which six and two would not.
        8 if MR == 6 => 4,
        _ if left >= MR => MR,
        4.. => 4,
        2.. => 2,
        _ => 1,
    }
}

/// Registers for one column of a strip, at most.
const GROUPS: usize = 4;

/// Steps of `k` in a block, at most: a panel of `B`, 16 columns wide, takes half of the first-level cache.
pub(super) const STEPS: usize = 256;

/// The steps of `k` that a packed strip of `A` holds, in ascending order; where it holds all of them, only how many they are.
#[derive(Clone, Copy)]
pub struct Kept {
    len: usize,
    steps: [u8; STEPS],
}

impl Kept {
    /// So many of this thread's, which hold anything.
    pub(super) fn with<R>(strips: usize, work: impl FnOnce(&mut [Kept]) -> R) -> R {
        thread_local!(static KEPT: RefCell<Vec<Kept>> = const { RefCell::new(Vec::new()) });
        KEPT.with(|kept| with_room(kept, strips, Kept { len: 0, steps: [0; STEPS] }, work))
    }

    #[inline(always)]
    pub(super) fn steps(&self) -> &[u8] {
        &self.steps[..self.len]
    }
}

/// A packed block of `A`: its strips, each `strip_len` after the one before, and what is in each.
#[derive(Clone, Copy)]
pub(super) struct Block<'a, T> {
    pub(super) numbers: &'a [T],
    pub(super) strip_len: usize,
    pub(super) kept: &'a [Kept],
}

/// Numbers by which a packed strip is longer than what it holds: whole registers are stored.
const SLACK: usize = 16;

/// How far after the last a packed strip begins. One that is not full takes the place of one that is.
#[inline(always)]
pub(super) fn strip_len(steps: usize, mr: usize) -> usize {
    steps * mr + SLACK
}

/// Strips in `m` rows, at most. What is left of full strips takes three: seven rows are four, two and one.
pub(super) fn strips(m: usize, mr: usize) -> usize {
    m / mr + 3
}

/// Copies `A` strip after strip, each so that the numbers for one step of `k` lie together. A strip of fewer rows than
/// `MR` is packed as narrow as it is.
#[inline(always)]
pub(super) fn pack_strips<T: Real, S: Lanes<T, N>, const N: usize, const MR: usize>(
    simd: S,
    precision: Precision,
    a: Operand<T>,
    m: usize,
    steps: usize,
    block: &mut [T],
    kept: &mut [Kept],
) {
    let (mut i, mut strips) = (0, block.chunks_exact_mut(strip_len(steps, MR)).zip(kept));
    while i < m {
        let height = strip_height::<MR>(m - i);
        let (a, (strip, kept)) = (a.from(i, 0), strips.next().expect("room for every strip"));
        match height {
            4 if const { MR > 4 } => pack_strip::<T, S, N, 4>(simd, a, steps, strip, kept),
            2 => pack_strip::<T, S, N, 2>(simd, a, steps, strip, kept),
            1 => pack_strip::<T, S, N, 1>(simd, a, steps, strip, kept),
            _ => pack_strip::<T, S, N, MR>(simd, a, steps, strip, kept),
        }
        round(precision, &mut strip[..kept.len * height]);
        i += height;
    }
}

/// Whole registers are stored, the end of each over the beginning of the next step: twice as fast as number by number.
#[inline(always)]
fn pack_strip<T: Real, S: Lanes<T, N>, const N: usize, const MR: usize>(
    simd: S,
    a: Operand<T>,
    steps: usize,
    strip: &mut [T],
    kept: &mut Kept,
) {
    let groups = MR.div_ceil(N);
    let strip = &mut strip[..steps * MR + SLACK];
    let mut k = 0;
    if a.column == 1 {
        while k + N <= steps {
            let mut squares = [[simd.splat(T::zero()); N]; GROUPS];
            for g in 0..groups {
                for l in 0..N {
                    if g * N + l < MR {
                        squares[g][l] = load(simd, &a.data[(g * N + l) * a.row + k..]);
                    }
                }
                squares[g] = simd.transpose(squares[g]);
            }
            for l in 0..N {
                for g in 0..groups {
                    store(simd, &mut strip[(k + l) * MR + g * N..], squares[g][l]);
                }
            }
            k += N;
        }
    } else {
        while k < steps && k * a.column + groups * N <= a.data.len() {
            for g in 0..groups {
                let column = load(simd, &a.data[k * a.column + g * N..]);
                store(simd, &mut strip[k * MR + g * N..], column);
            }
            k += 1;
        }
    }
    for k in k..steps {
        for r in 0..MR {
            strip[k * MR + r] = a.data[r * a.row + k * a.column];
        }
    }
    keep::<T, S, N, MR>(simd, steps, strip, kept);
}

/// Moves the steps that are not zero together, in place, and lists them; after packing, where the strip lies in the first-level
/// cache. A strip without a single zero, as of weights or gradients, is only looked over; and the rest is without a branch, for
/// nobody can foretell which steps are zero.
#[inline(always)]
fn keep<T: Real, S: Lanes<T, N>, const N: usize, const MR: usize>(
    simd: S,
    steps: usize,
    strip: &mut [T],
    kept: &mut Kept,
) {
    let strip = &mut strip[..steps * MR + SLACK];
    let mut zeros = false;
    for i in 0..steps * MR {
        zeros |= strip[i] == T::zero();
    }
    if !zeros {
        kept.len = steps;
        return;
    }
    // A register reaches beyond its step, into the next.
    let rows = (1u32 << MR) - 1;
    kept.len = 0;
    for k in 0..steps {
        let mut nonzero = 0;
        for g in 0..MR.div_ceil(N) {
            nonzero |= simd.nonzero(load(simd, &strip[k * MR + g * N..])) << (g * N);
        }
        let (to, _) = strip.as_chunks_mut::<MR>();
        to[kept.len] = to[k];
        kept.steps[kept.len % STEPS] = k as u8;
        kept.len += usize::from(nonzero & rows != 0);
    }
}

/// Packs `P` full panels, one behind the other. Rows are read to the end of the last panel before the next row is: a few
/// whole lines of the cache, where a single panel would take one line from every row.
#[inline(always)]
pub(super) fn pack_panels<T: Real, S: Lanes<T, N>, const N: usize, const NV: usize, const P: usize>(
    simd: S,
    b: Operand<T>,
    steps: usize,
    packed: &mut [T],
) {
    if b.column == 1 {
        for k in 0..steps {
            let (row, _) = b.data[k * b.row..][..P * NV * N].as_chunks::<N>();
            for p in 0..P {
                let (to, _) = packed[(p * steps + k) * NV * N..][..NV * N].as_chunks_mut::<N>();
                for v in 0..NV {
                    simd.store(&mut to[v], simd.load(&row[p * NV + v]));
                }
            }
        }
    } else {
        for p in 0..P {
            let panel = &mut packed[p * steps * NV * N..];
            pack_panel::<T, S, N, NV>(simd, b.from(0, p * NV * N), steps, NV * N, panel);
        }
    }
}

/// Copies `width` columns of `B` together, row after row, and fills up with zeros to `NV` registers.
#[inline(always)]
pub(super) fn pack_panel<T: Real, S: Lanes<T, N>, const N: usize, const NV: usize>(
    simd: S,
    b: Operand<T>,
    steps: usize,
    width: usize,
    panel: &mut [T],
) {
    let panel = &mut panel[..steps * N * NV];
    if width < N * NV {
        panel.fill(T::zero());
    }
    if b.column == 1 {
        for (k, to) in panel.chunks_exact_mut(N * NV).enumerate() {
            if width == N * NV {
                let from = &b.data[k * b.row..][..N * NV];
                for v in 0..NV {
                    store(simd, &mut to[v * N..], load(simd, &from[v * N..]));
                }
            } else {
                to[..width].copy_from_slice(&b.data[k * b.row..][..width]);
            }
        }
        return;
    }
    // A transposed B is turned, square by square, in registers.
    let whole = steps - steps % N;
    for v in 0..width / N {
        for k in (0..whole).step_by(N) {
            let mut square = [simd.splat(T::zero()); N];
            for l in 0..N {
                square[l] = load(simd, &b.data[(v * N + l) * b.column + k..]);
            }
            let square = simd.transpose(square);
            for l in 0..N {
                store(simd, &mut panel[(k + l) * N * NV + v * N..], square[l]);
            }
        }
    }
    for j in 0..width {
        let column = &b.data[j * b.column..][..steps];
        for k in if j < width - width % N { whole } else { 0 }..steps {
            panel[k * N * NV + j] = column[k];
        }
    }
}

/// Rounds a copy that was just made and lies in the cache: a loop of its own takes less than the registers it would cost
/// among the loads and stores above.
#[inline(always)]
pub(super) fn round<T: Real>(precision: Precision, copy: &mut [T]) {
    if precision == Precision::Bf16 {
        for x in copy {
            *x = x.to_bf16();
        }
    }
}

#[inline(always)]
fn load<T: Real, S: Lanes<T, N>, const N: usize>(simd: S, from: &[T]) -> S::V {
    simd.load(from.first_chunk().expect("N numbers"))
}

#[inline(always)]
fn store<T: Real, S: Lanes<T, N>, const N: usize>(simd: S, to: &mut [T], v: S::V) {
    simd.store(to.first_chunk_mut().expect("N numbers"), v);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heights<const MR: usize>(mut m: usize) -> usize {
        let mut strips = 0;
        while m > 0 {
            m -= strip_height::<MR>(m);
            strips += 1;
        }
        strips
    }

    #[test]
    fn there_is_room_for_the_strips_of_any_height_on_any_instruction_set() {
        for m in 0..100 {
            for (needed, mr) in [(heights::<4>(m), 4), (heights::<6>(m), 6), (heights::<8>(m), 8)] {
                assert!(needed <= strips(m, mr), "{m} rows in strips of {mr}");
            }
        }
    }
}
