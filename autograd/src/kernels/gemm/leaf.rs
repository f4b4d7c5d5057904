//! A piece of a product that one thread computes: the loops over tiles.
#![allow(
    clippy::needless_range_loop,
    reason = "a closure that is not inlined lacks the instruction set; a loop cannot"
)]

use std::array::from_fn;
use std::cell::RefCell;

use super::pack::{pack_panel, pack_panels, pack_strips, strip_height, strip_len};
use super::thin::thin;
use super::tile::{Left, tile};
use super::{Operand, Piece};
use crate::kernels::simd::{Isa, Lanes};
use crate::{Activation, Real};

/// A kind of number that there are tiles for.
pub trait Product: Sized + 'static {
    /// Computes a piece of a product with the registers of one instruction set.
    #[doc(hidden)]
    fn piece(isa: Isa, piece: Piece<'_, '_, Self>);

    /// Copies a block of `A` together, `m` rows high and so many steps of `k` wide.
    #[doc(hidden)]
    fn pack(isa: Isa, a: Operand<Self>, m: usize, steps: usize, block: &mut [Self]);

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
    /// A few columns of `B`, packed.
    Panel,
    /// A block of `A`, packed.
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
            fn piece(isa: Isa, piece: Piece<'_, '_, Self>) {
                // The buffer is taken out here: inside `vectorize` everything must be compiled into one function.
                let len = if piece.thin { 0 } else { piece.size[2] * Self::tile(isa)[1] * GROUP };
                Self::with_buffer(Buffer::Panel, len, |panel| dispatch!(isa, simd =>
                    panels::<$T, _, $n0, $r0, $v0>(simd, piece, panel),
                    panels::<$T, _, $n1, $r1, $v1>(simd, piece, panel),
                    panels::<$T, _, $n2, $r2, $v2>(simd, piece, panel),
                    panels::<$T, _, $n3, $r3, $v3>(simd, piece, panel)));
            }

            fn pack(isa: Isa, a: Operand<Self>, m: usize, steps: usize, block: &mut [Self]) {
                use crate::kernels::simd::Simd;
                dispatch!(isa, simd =>
                    simd.vectorize(#[inline(always)] || pack_strips::<$T, _, $n0, $r0>(simd, a, m, steps, block)),
                    simd.vectorize(#[inline(always)] || pack_strips::<$T, _, $n1, $r1>(simd, a, m, steps, block)),
                    simd.vectorize(#[inline(always)] || pack_strips::<$T, _, $n2, $r2>(simd, a, m, steps, block)),
                    simd.vectorize(#[inline(always)] || pack_strips::<$T, _, $n3, $r3>(simd, a, m, steps, block)));
            }

            fn tile(isa: Isa) -> [usize; 2] {
                dispatch!(isa, _simd => [$r0, $n0 * $v0], [$r1, $n1 * $v1], [$r2, $n2 * $v2], [$r3, $n3 * $v3])
            }

            fn with_buffer<R>(which: Buffer, len: usize, work: impl FnOnce(&mut [$T]) -> R) -> R {
                thread_local! {
                    static BUFFERS: [RefCell<Vec<$T>>; 2] = const { [const { RefCell::new(Vec::new()) }; 2] };
                }
                BUFFERS.with(|buffers| match buffers[which as usize].try_borrow_mut() {
                    Ok(mut buffer) => {
                        if buffer.len() < len {
                            buffer.resize(len, 0.0);
                        }
                        work(&mut buffer[..len])
                    }
                    // This thread is waiting inside another product, and has been given this one meanwhile.
                    Err(_) => work(&mut vec![0.0; len]),
                })
            }
        }
    )*};
}

products! {
    f32: scalar 4 (4 x 1), avx2 8 (6 x 2), avx512 16 (8 x 3), neon 4 (8 x 3);
    f64: scalar 4 (4 x 1), avx2 4 (6 x 2), avx512 8 (8 x 3), neon 2 (8 x 3);
}

/// Panels of `B`, as wide as a tile, one after the other.
fn panels<T: Real, S: Lanes<T, N>, const N: usize, const MR: usize, const NV: usize>(
    simd: S,
    mut piece: Piece<T>,
    panels: &mut [T],
) {
    if piece.thin {
        return simd.vectorize(
            #[inline(always)]
            move || thin::<T, S, N>(simd, piece),
        );
    }
    let [_, n, steps] = piece.size;
    for j in (0..n).step_by(N * NV * GROUP) {
        let full = ((n - j) / (N * NV)).min(GROUP);
        for p in 0..if full == GROUP { 1 } else { full } {
            let (b, panels) = (piece.b.from(0, j + p * N * NV), &mut panels[p * steps * N * NV..]);
            simd.vectorize(
                #[inline(always)]
                move || match full {
                    GROUP => pack_panels::<T, S, N, NV, GROUP>(simd, b, steps, panels),
                    _ => pack_panels::<T, S, N, NV, 1>(simd, b, steps, panels),
                },
            );
        }
        for p in 0..full {
            let (piece, panel) = (&mut piece, &panels[p * steps * N * NV..][..steps * N * NV]);
            simd.vectorize(
                #[inline(always)]
                move || strips::<T, S, N, MR, NV>(simd, piece, j + p * N * NV, panel),
            );
        }
    }
    // What is left where no full panel is.
    let j = n - n % (N * NV);
    match (n - j).div_ceil(N) {
        0 => {}
        1 => last_panel::<T, S, N, MR, 1>(simd, &mut piece, j, panels),
        2 => last_panel::<T, S, N, MR, 2>(simd, &mut piece, j, panels),
        _ => last_panel::<T, S, N, MR, NV>(simd, &mut piece, j, panels),
    }
}

/// Columns that do not fill a panel. Packing and multiplying are compiled as functions of their own: in a larger one the
/// compiler runs out of registers and spills sums in the innermost loop, which costs a third of the speed.
fn last_panel<T: Real, S: Lanes<T, N>, const N: usize, const MR: usize, const NV: usize>(
    simd: S,
    piece: &mut Piece<T>,
    j: usize,
    panels: &mut [T],
) {
    let [_, n, steps] = piece.size;
    let (b, panel) = (piece.b.from(0, j), &mut panels[..steps * N * NV]);
    let packed = &mut *panel;
    simd.vectorize(
        #[inline(always)]
        move || pack_panel::<T, S, N, NV>(simd, b, steps, n - j, packed),
    );
    simd.vectorize(
        #[inline(always)]
        move || strips::<T, S, N, MR, NV>(simd, piece, j, panel),
    );
}

/// All strips of `A` times the panel of `B` that begins in column `j`.
#[inline(always)]
fn strips<T: Real, S: Lanes<T, N>, const N: usize, const MR: usize, const NV: usize>(
    simd: S,
    piece: &mut Piece<T>,
    j: usize,
    panel: &[T],
) {
    let [m, n, steps] = piece.size;
    let width = (n - j).min(N * NV);
    let (mut i, mut at) = (0, 0);
    while i < m {
        let height = strip_height::<MR>(m - i);
        let place = Place { i, j, width, at };
        match height {
            4 if const { MR > 4 } => strip::<T, S, N, 4, NV>(simd, piece, place, panel),
            2 => strip::<T, S, N, 2, NV>(simd, piece, place, panel),
            1 => strip::<T, S, N, 1, NV>(simd, piece, place, panel),
            _ => strip::<T, S, N, MR, NV>(simd, piece, place, panel),
        }
        i += height;
        at += strip_len(steps, MR);
    }
    if !piece.flip {
        finish_rows(piece.c, j, width, piece.finish);
    }
}

/// Where a tile lies in `C`, and its strip in a packed block.
#[derive(Clone, Copy)]
struct Place {
    i: usize,
    j: usize,
    width: usize,
    at: usize,
}

/// One strip of `A` times one panel of `B`.
#[inline(always)]
fn strip<T: Real, S: Lanes<T, N>, const N: usize, const MR: usize, const NV: usize>(
    simd: S,
    piece: &mut Piece<T>,
    place: Place,
    panel: &[T],
) {
    let (steps, fresh) = (piece.size[2], piece.fresh);
    let Place { i, j, width, at } = place;
    let a = match piece.packed {
        Some(block) => Left::Packed(block[at..at + steps * MR].as_chunks().0),
        None => {
            let mut rows: [&[T]; MR] = [&[]; MR];
            for r in 0..MR {
                rows[r] = &piece.a.from(i + r, 0).data[..steps];
            }
            Left::Rows(rows)
        }
    };
    let c = &mut *piece.c;
    if width == N * NV && !piece.flip {
        let mut rows = c[i..i + MR].iter_mut();
        let mut target: [[&mut [T; N]; NV]; MR] = from_fn(|_| {
            let row = rows.next().expect("MR rows");
            let (registers, _) = row[j..j + N * NV].as_chunks_mut();
            let mut registers = registers.iter_mut();
            from_fn(|_| registers.next().expect("NV registers"))
        });
        return tile::<T, S, N, MR, NV>(simd, steps, a, panel, &mut target, fresh);
    }
    // At the edge, and where `C` lies transposed, a tile is computed aside.
    let mut sums = [[[T::zero(); N]; NV]; MR];
    if !fresh {
        for r in 0..MR {
            for l in 0..width {
                sums[r][l / N][l % N] = if piece.flip { c[j + l][i + r] } else { c[i + r][j + l] };
            }
        }
    }
    let mut target = sums.each_mut().map(|row| row.each_mut());
    tile::<T, S, N, MR, NV>(simd, steps, a, panel, &mut target, fresh);
    if piece.flip {
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

/// `y = f(c + bias)` for finished columns of `C`, while they are in the first-level cache.
#[inline(always)]
pub(super) fn finish_rows<T: Real>(
    c: &mut [&mut [T]],
    j: usize,
    width: usize,
    finish: Option<(&[T], Activation)>,
) {
    let Some((bias, f)) = finish else { return };
    for row in c {
        for (c, &bias) in row[j..j + width].iter_mut().zip(&bias[j..j + width]) {
            *c = f.f(*c + bias);
        }
    }
}
