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

use super::loops::{Buffer, Kernel};
use super::plan::Plan;
use crate::kernels::parallel::{join, threads};
use crate::kernels::simd::{Kept, Lanes, Operand, STEPS, Steps};
use crate::{Precision, Real};

/// Numbers that one thread packs, at most.
const PACK_PIECE: usize = 1 << 13;

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

/// A packed block of `A`: its strips, each `strip_len` after the one before, and what is in each.
#[derive(Clone, Copy)]
pub(super) struct Block<'a, T> {
    numbers: &'a [T],
    strip_len: usize,
    kept: &'a [Kept],
}

impl<'a, T: Real> Block<'a, T> {
    /// A strip that is so high. Strips lie as far apart as the highest are long, also those that are less high.
    #[inline(always)]
    pub(super) fn strip(self, strip: usize, height: usize) -> (Operand<'a, T>, Steps<'a>) {
        let data = &self.numbers[strip * self.strip_len..];
        (Operand { data, row: 1, column: height }, self.kept[strip].steps())
    }
}

/// Lends room for a block of so many rows and steps.
pub(super) fn with_room_for_block<T: Real>(
    plan: &Plan,
    [rows, steps]: [usize; 2],
    work: impl FnOnce(&mut [T], &mut [Kept]),
) {
    thread_local!(static KEPT: RefCell<Vec<Kept>> = const { RefCell::new(Vec::new()) });
    let [mr, _] = plan.tile;
    let strips = strips(rows, mr);
    // Nobody else has it: a thread that waits here may be given another product.
    let mut kept = KEPT.take();
    if kept.len() < strips {
        kept.resize(strips, Kept::NONE);
    }
    T::with_buffer(Buffer::A, strips * strip_len(steps, mr), |numbers| work(numbers, &mut kept));
    KEPT.set(kept);
}

/// Packs a block of `A`, in halves of whole strips.
pub(super) fn pack_block<'b, T: Real>(
    plan: &Plan,
    a: Operand<T>,
    [m, steps]: [usize; 2],
    numbers: &'b mut [T],
    kept: &'b mut [Kept],
) -> Block<'b, T> {
    let [mr, _] = plan.tile;
    let strip_len = strip_len(steps, mr);
    if m * steps <= PACK_PIECE || m <= 2 * mr || threads() == 1 {
        T::on(
            plan.isa,
            Strips { precision: plan.precision, a, size: [m, steps], numbers: &mut *numbers, kept: &mut *kept },
        );
    } else {
        let half = (m / 2).next_multiple_of(mr);
        let (numbers1, numbers2) = numbers.split_at_mut(half / mr * strip_len);
        let (kept1, kept2) = kept.split_at_mut(half / mr);
        join(
            || pack_block(plan, a, [half, steps], numbers1, kept1).strip_len,
            || pack_block(plan, a.from(half, 0), [m - half, steps], numbers2, kept2).strip_len,
        );
    }
    Block { numbers, strip_len, kept }
}

/// Strips of `A` that one thread packs.
struct Strips<'a, 'b, T> {
    precision: Precision,
    a: Operand<'a, T>,
    size: [usize; 2],
    numbers: &'b mut [T],
    kept: &'b mut [Kept],
}

impl<T: Real> Kernel<T> for Strips<'_, '_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Lanes<T, N>, const N: usize, const MR: usize, const NV: usize>(self, simd: S) {
        let Strips { precision, a, size: [m, steps], numbers, kept } = self;
        simd.vectorize(
            #[inline(always)]
            move || pack_strips::<T, S, N, MR>(simd, precision, a, m, steps, numbers, kept),
        );
    }
}

/// Numbers by which a packed strip is longer than what it holds: whole registers are stored.
const SLACK: usize = 16;

/// How far after the last a packed strip begins. One that is not full takes the place of one that is.
#[inline(always)]
fn strip_len(steps: usize, mr: usize) -> usize {
    steps * mr + SLACK
}

/// Strips in `m` rows, at most. What is left of full strips takes three: seven rows are four, two and one.
fn strips(m: usize, mr: usize) -> usize {
    m / mr + 3
}

/// Copies `A` strip after strip, each so that the numbers for one step of `k` lie together. A strip of fewer rows than
/// `MR` is packed as narrow as it is.
#[inline(always)]
fn pack_strips<T: Real, S: Lanes<T, N>, const N: usize, const MR: usize>(
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
        round(precision, &mut strip[..kept.len() * height]);
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
                squares[g] = a.turned::<S, N>(simd, g * N, k, (MR - g * N).min(N));
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
        return kept.all(steps);
    }
    // A register reaches beyond its step, into the next.
    let rows = (1u32 << MR) - 1;
    kept.list(
        #[inline(always)]
        |list| {
            let mut len = 0;
            for k in 0..steps {
                let mut nonzero = 0;
                for g in 0..MR.div_ceil(N) {
                    nonzero |= simd.nonzero(load(simd, &strip[k * MR + g * N..])) << (g * N);
                }
                let (to, _) = strip.as_chunks_mut::<MR>();
                to[len] = to[k];
                list[len % STEPS] = k as u8;
                len += usize::from(nonzero & rows != 0);
            }
            len
        },
    );
}

/// Panels that are packed together, so that whole lines of the cache are read from every row, where a single panel would take one.
const TOGETHER: usize = 4;

/// Packs panels of `B` as wide as a tile, one behind the other, and at last one that is narrower or wider.
#[inline(always)]
pub(super) fn pack_panels<T: Real, S: Lanes<T, N>, const N: usize, const NV: usize>(
    simd: S,
    precision: Precision,
    b: Operand<T>,
    [steps, n]: [usize; 2],
    last: usize,
    packed: &mut [T],
) {
    let nr = N * NV;
    let whole = (n - last) / nr;
    if b.column == 1 {
        let mut p = 0;
        while p < whole {
            let (b, to) = (b.from(0, p * nr), &mut packed[p * steps * nr..]);
            if p + TOGETHER <= whole {
                copy_panels::<T, S, N, NV, TOGETHER>(simd, b, steps, to);
                p += TOGETHER;
            } else {
                copy_panels::<T, S, N, NV, 1>(simd, b, steps, to);
                p += 1;
            }
        }
        let width = last.next_multiple_of(N);
        for k in 0..if last > 0 { steps } else { 0 } {
            let (row, rest) = b.data[k * b.row + whole * nr..][..last].as_chunks::<N>();
            let (to, _) = packed[whole * steps * nr + k * width..][..width].as_chunks_mut::<N>();
            for v in 0..row.len() {
                simd.store(&mut to[v], simd.load(&row[v]));
            }
            if !rest.is_empty() {
                simd.store(&mut to[row.len()], simd.load_first(rest));
            }
        }
    } else {
        for p in 0..whole + usize::from(last > 0) {
            let width = if p == whole { last } else { nr };
            turn_panel::<T, S, N>(simd, b.from(0, p * nr), [steps, width], &mut packed[p * steps * nr..]);
        }
    }
    round(precision, &mut packed[..steps * n.next_multiple_of(N)]);
}

#[inline(always)]
fn copy_panels<T: Real, S: Lanes<T, N>, const N: usize, const NV: usize, const P: usize>(
    simd: S,
    b: Operand<T>,
    steps: usize,
    packed: &mut [T],
) {
    for k in 0..steps {
        let (row, _) = b.data[k * b.row..][..P * NV * N].as_chunks::<N>();
        for p in 0..P {
            let (to, _) = packed[(p * steps + k) * NV * N..][..NV * N].as_chunks_mut::<N>();
            for v in 0..NV {
                simd.store(&mut to[v], simd.load(&row[p * NV + v]));
            }
        }
    }
}

/// Packs a panel whose columns lie together: turned, square by square, in registers.
#[inline(always)]
fn turn_panel<T: Real, S: Lanes<T, N>, const N: usize>(
    simd: S,
    b: Operand<T>,
    [steps, width]: [usize; 2],
    panel: &mut [T],
) {
    let row = width.next_multiple_of(N);
    let whole = steps - steps % N;
    for j in (0..width - width % N).step_by(N) {
        for k in (0..whole).step_by(N) {
            let square = b.transposed().turned::<S, N>(simd, j, k, N);
            for l in 0..N {
                store(simd, &mut panel[(k + l) * row + j..], square[l]);
            }
        }
    }
    for j in 0..width {
        let column = &b.data[j * b.column..][..steps];
        for k in if j < width - width % N { whole } else { 0 }..steps {
            panel[k * row + j] = column[k];
        }
    }
}

/// Rounds a copy that was just made and lies in the cache: a loop of its own takes less than the registers it would cost
/// among the loads and stores above.
#[inline(always)]
fn round<T: Real>(precision: Precision, copy: &mut [T]) {
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

    #[test]
    fn no_plan_asks_for_more_than_a_threads_buffer_has() {
        use crate::kernels::gemm::loops::ROOM;
        use crate::kernels::gemm::plan::Tiles;
        use crate::kernels::simd::Isa;
        const SIZES: [usize; 8] = [1, 7, 20, 48, 128, 400, 785, 2100];
        let numbers = vec![1f32; 2100 * 2100];
        let operand = |row, column| Operand { data: &numbers[..], row, column };
        for isa in Isa::available() {
            for (m, n) in SIZES.into_iter().flat_map(|m| SIZES.map(|n| (m, n))) {
                for (k, tiles) in SIZES.into_iter().flat_map(|k| [(k, Tiles::Narrow), (k, Tiles::Wide)]) {
                    for (precision, b) in
                        Precision::ALL.into_iter().flat_map(|p| [(p, operand(n, 1)), (p, operand(1, k))])
                    {
                        let plan = Plan::new(isa, tiles, precision, [m, n, k], operand(k, 1), b);
                        let [m, n] = if plan.flip { [n, m] } else { [m, n] };
                        let [mr, nr] = plan.tile;
                        let steps = plan.kc.min(k);
                        let a = strips(plan.mc.min(m), mr) * strip_len(steps, mr);
                        let b = steps * plan.nc.min(n).next_multiple_of(nr);
                        assert!((!plan.pack_a || a <= ROOM) && (!plan.pack_b || b <= ROOM), "{plan:?}: {a} and {b}");
                    }
                }
            }
        }
    }
}
