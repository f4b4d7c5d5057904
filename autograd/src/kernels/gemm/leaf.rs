//! A piece of a product that one thread computes: the loops over tiles.
#![allow(
    clippy::needless_range_loop,
    reason = "a closure that is not inlined lacks the instruction set; a loop cannot"
)]

use std::array::from_fn;
use std::cell::RefCell;
use std::ops::Range;

use super::pack::{Kept, STEPS, pack_panel, pack_panels, pack_strips, round, strip_height};
use super::thin::thin;
use super::tile::{Left, tile};
use super::{Operand, Part};
use crate::activation::with_activation;
use crate::kernels::simd::{Isa, Lanes, Simd};
use crate::{Activation, Precision, Real};

/// A kind of number that there are tiles for.
pub trait Product: Sized + 'static {
    /// Computes a part of a product on this thread; `c` are the rows of `C`, or its columns if it is flipped.
    #[doc(hidden)]
    fn compute(part: Part<Self>, c: &mut [&mut [Self]]);

    /// Copies a block of `A` together, `m` rows high and so many steps of `k` wide, and rounds the copy. Steps at which a strip
    /// is zero are left out; `kept` are the others.
    #[doc(hidden)]
    fn pack(isa: Isa, precision: Precision, a: Operand<Self>, shape: [usize; 2], block: &mut [Self], kept: &mut [Kept]);

    /// Rows and columns of a full tile.
    #[doc(hidden)]
    fn tile(isa: Isa) -> [usize; 2];

    /// A buffer of this thread, at least so long; what it holds is anything.
    #[doc(hidden)]
    fn with_buffer<R>(which: Buffer, len: usize, work: impl FnOnce(&mut [Self]) -> R) -> R;
}

/// Panels of `B` that are packed together.
const GROUP: usize = 4;

/// What a thread's buffers are for.
#[doc(hidden)]
#[derive(Clone, Copy)]
pub enum Buffer {
    /// Panels of `B`.
    Panels,
    /// A block of `A`.
    Block,
}

/// Calls a function that is generic over the lanes and the tile, with those of this instruction set.
macro_rules! dispatch {
    ($isa:expr, $simd:ident => $scalar:expr, $avx2:expr, $avx512:expr, $neon:expr) => {
        match $isa {
            Isa::Scalar($simd) => $scalar,
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2($simd) => $avx2,
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512($simd) => $avx512,
            #[cfg(target_arch = "aarch64")]
            Isa::Neon($simd) => $neon,
        }
    };
}

/// One line a kind of number and instruction set: numbers in a register, and the rows and registers of a tile. Sixteen
/// registers hold 6 × 2 sums, two of `B` and one of `A`; thirty-two hold 8 × 3 (12 × 2 spills).
macro_rules! products {
    ($($T:ty: scalar $n0:literal ($r0:literal x $v0:literal), avx2 $n1:literal ($r1:literal x $v1:literal),
       avx512 $n2:literal ($r2:literal x $v2:literal), neon $n3:literal ($r3:literal x $v3:literal);)*) => {$(
        impl Product for $T {
            fn compute(part: Part<Self>, c: &mut [&mut [Self]]) {
                let [_, nr] = Self::tile(part.isa);
                // Behind the last panel of a group there is as much as indices of steps may reach.
                let panels_len = if part.thin { 0 } else { (part.size[2] * GROUP + STEPS) * nr };
                // The buffer is taken out here: inside `vectorize` everything must be compiled into one function.
                Self::with_buffer(Buffer::Panels, panels_len, |b| dispatch!(part.isa, simd =>
                    panels::<$T, _, $n0, $r0, $v0>(simd, part, c, b),
                    panels::<$T, _, $n1, $r1, $v1>(simd, part, c, b),
                    panels::<$T, _, $n2, $r2, $v2>(simd, part, c, b),
                    panels::<$T, _, $n3, $r3, $v3>(simd, part, c, b)));
            }

            fn pack(
                isa: Isa, precision: Precision, a: Operand<Self>, [m, steps]: [usize; 2], block: &mut [Self], kept: &mut [Kept],
            ) {
                dispatch!(isa, simd =>
                    simd.vectorize(#[inline(always)] || {
                        pack_strips::<$T, _, $n0, $r0>(simd, precision, a, m, steps, block, kept);
                    }),
                    simd.vectorize(#[inline(always)] || {
                        pack_strips::<$T, _, $n1, $r1>(simd, precision, a, m, steps, block, kept);
                    }),
                    simd.vectorize(#[inline(always)] || {
                        pack_strips::<$T, _, $n2, $r2>(simd, precision, a, m, steps, block, kept);
                    }),
                    simd.vectorize(#[inline(always)] || {
                        pack_strips::<$T, _, $n3, $r3>(simd, precision, a, m, steps, block, kept);
                    }));
            }

            fn tile(isa: Isa) -> [usize; 2] {
                dispatch!(isa, _simd => [$r0, $n0 * $v0], [$r1, $n1 * $v1], [$r2, $n2 * $v2], [$r3, $n3 * $v3])
            }

            fn with_buffer<R>(which: Buffer, len: usize, work: impl FnOnce(&mut [$T]) -> R) -> R {
                thread_local! {
                    static BUFFERS: [RefCell<Vec<$T>>; 2] = const { [const { RefCell::new(Vec::new()) }; 2] };
                }
                BUFFERS.with(|buffers| with_room(&buffers[which as usize], len, 0.0, work))
            }
        }
    )*};
}

products! {
    f32: scalar 4 (4 x 1), avx2 8 (6 x 2), avx512 16 (8 x 3), neon 4 (8 x 3);
    f64: scalar 4 (4 x 1), avx2 4 (6 x 2), avx512 8 (8 x 3), neon 2 (8 x 3);
}

/// Lends so much of a thread's buffer; what it holds is anything.
pub(super) fn with_room<X: Clone, R>(
    buffer: &RefCell<Vec<X>>,
    len: usize,
    anything: X,
    work: impl FnOnce(&mut [X]) -> R,
) -> R {
    match buffer.try_borrow_mut() {
        Ok(mut buffer) => {
            if buffer.len() < len {
                buffer.resize(len, anything);
            }
            work(&mut buffer[..len])
        }
        // This thread is waiting inside another product, and has been given this one meanwhile.
        Err(_) => work(&mut vec![anything; len]),
    }
}

/// Panels of `B`, as wide as a tile: packed, a few together, and then multiplied, one after the other.
///
/// Packing and multiplying are compiled as functions of their own: in a larger one the compiler runs out of registers and
/// spills sums in the innermost loop, which costs a third of the speed.
fn panels<T: Real, S: Lanes<T, N>, const N: usize, const MR: usize, const NV: usize>(
    simd: S,
    part: Part<T>,
    c: &mut [&mut [T]],
    packed: &mut [T],
) {
    if part.thin {
        let rows = &mut *c;
        simd.vectorize(
            #[inline(always)]
            move || thin::<T, S, N>(simd, part, rows),
        );
        return finish_columns(simd, c, 0..part.size[1], part.finish);
    }
    let Part { precision, size: [_, n, steps], b, finish, .. } = part;
    let (columns, len) = (N * NV, steps * N * NV);
    let mut j = 0;
    while n - j >= columns {
        let count = if n - j >= GROUP * columns { GROUP } else { 1 };
        let (b, to) = (b.from(0, j), &mut packed[..count * len]);
        simd.vectorize(
            #[inline(always)]
            move || {
                match count {
                    GROUP => pack_panels::<T, S, N, NV, GROUP>(simd, b, steps, to),
                    _ => pack_panels::<T, S, N, NV, 1>(simd, b, steps, to),
                }
                round(precision, to);
            },
        );
        for p in 0..count {
            multiply::<T, S, N, MR, NV>(simd, part, c, j + p * columns, &packed[p * len..]);
        }
        finish_columns(simd, c, j..j + count * columns, finish);
        j += count * columns;
    }
    match (n - j).div_ceil(N) {
        0 => {}
        1 => last_panel::<T, S, N, MR, 1>(simd, part, c, j, packed),
        2 => last_panel::<T, S, N, MR, 2>(simd, part, c, j, packed),
        _ => last_panel::<T, S, N, MR, NV>(simd, part, c, j, packed),
    }
    finish_columns(simd, c, j..n, finish);
}

/// Columns that do not fill a panel.
fn last_panel<T: Real, S: Lanes<T, N>, const N: usize, const MR: usize, const NV: usize>(
    simd: S,
    part: Part<T>,
    c: &mut [&mut [T]],
    j: usize,
    packed: &mut [T],
) {
    let Part { precision, size: [_, n, steps], b, .. } = part;
    let (b, to) = (b.from(0, j), &mut packed[..steps * N * NV]);
    simd.vectorize(
        #[inline(always)]
        move || {
            pack_panel::<T, S, N, NV>(simd, b, steps, n - j, to);
            round(precision, to);
        },
    );
    multiply::<T, S, N, MR, NV>(simd, part, c, j, packed);
}

/// All strips of `A` times the panel of `B` that begins in column `j`.
fn multiply<T: Real, S: Lanes<T, N>, const N: usize, const MR: usize, const NV: usize>(
    simd: S,
    part: Part<T>,
    c: &mut [&mut [T]],
    j: usize,
    panel: &[T],
) {
    simd.vectorize(
        #[inline(always)]
        move || {
            let [m, n, _] = part.size;
            let width = (n - j).min(N * NV);
            let (mut i, mut strip_number) = (0, 0);
            while i < m {
                let height = strip_height::<MR>(m - i);
                let place = Place { i, j, width, strip: strip_number };
                match height {
                    4 if const { MR > 4 } => strip::<T, S, N, 4, NV>(simd, part, c, place, panel),
                    2 => strip::<T, S, N, 2, NV>(simd, part, c, place, panel),
                    1 => strip::<T, S, N, 1, NV>(simd, part, c, place, panel),
                    _ => strip::<T, S, N, MR, NV>(simd, part, c, place, panel),
                }
                i += height;
                strip_number += 1;
            }
        },
    );
}

/// Where a tile lies in `C`, and which strip of a packed block is its.
#[derive(Clone, Copy)]
struct Place {
    i: usize,
    j: usize,
    width: usize,
    strip: usize,
}

/// One strip of `A` times one panel of `B`.
#[inline(always)]
fn strip<T: Real, S: Lanes<T, N>, const N: usize, const MR: usize, const NV: usize>(
    simd: S,
    part: Part<T>,
    c: &mut [&mut [T]],
    place: Place,
    panel: &[T],
) {
    let Part { size: [_, _, steps], fresh, flip, .. } = part;
    let Place { i, j, width, strip } = place;
    let a = match part.packed {
        Some(block) => {
            // Strips lie as far apart as the highest are long, also those that are less high.
            let (kept, a) = (block.kept[strip].steps(), &block.numbers[strip * block.strip_len..]);
            let a = a[..kept.len() * MR].as_chunks().0;
            if kept.len() == steps { Left::Packed(a) } else { Left::Listed(a, kept) }
        }
        None => {
            let mut rows: [&[T]; MR] = [&[]; MR];
            for r in 0..MR {
                rows[r] = &part.a.from(i + r, 0).data[..steps];
            }
            Left::Rows(rows)
        }
    };
    if width == N * NV && !flip {
        let mut rows = c[i..i + MR].iter_mut();
        let mut target: [[&mut [T; N]; NV]; MR] = from_fn(|_| {
            let row = rows.next().expect("MR rows");
            let (registers, _) = row[j..j + N * NV].as_chunks_mut();
            let mut registers = registers.iter_mut();
            from_fn(|_| registers.next().expect("NV registers"))
        });
        return tile::<T, S, N, MR, NV>(simd, steps, a, panel, &mut target, fresh);
    }
    // At the edge, and where `C` lies by columns, a tile is computed aside.
    let mut sums = [[[T::zero(); N]; NV]; MR];
    if !fresh {
        for r in 0..MR {
            for l in 0..width {
                sums[r][l / N][l % N] = if flip { c[j + l][i + r] } else { c[i + r][j + l] };
            }
        }
    }
    let mut target = sums.each_mut().map(|row| row.each_mut());
    tile::<T, S, N, MR, NV>(simd, steps, a, panel, &mut target, fresh);
    if flip {
        for l in 0..width {
            let c: &mut [T; MR] = c[j + l][i..].first_chunk_mut().expect("MR numbers");
            for r in 0..MR {
                c[r] = sums[r][l / N][l % N];
            }
        }
    } else {
        for r in 0..MR {
            let c = &mut c[i + r][j..j + width];
            for l in 0..width {
                c[l] = sums[r][l / N][l % N];
            }
        }
    }
}

/// `y = f(c + bias)` for finished columns of `C`, while they are in the caches.
pub(super) fn finish_columns<T: Real, S: Simd>(
    simd: S,
    c: &mut [&mut [T]],
    columns: Range<usize>,
    finish: Option<(&[T], Activation)>,
) {
    let Some((bias, f)) = finish else { return };
    let bias = &bias[columns.clone()];
    with_activation!(f, F => simd.vectorize(
        #[inline(always)]
        move || {
            for row in c {
                let row = &mut row[columns.clone()][..bias.len()];
                for j in 0..bias.len() {
                    row[j] = F.f(row[j] + bias[j]);
                }
            }
        },
    ));
}
