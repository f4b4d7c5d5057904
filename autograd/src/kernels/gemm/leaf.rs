//! A piece of a product that one thread computes: the loops over tiles, and what is packed for them.
#![allow(
    clippy::needless_range_loop,
    reason = "a closure that is not inlined lacks the instruction set; a loop cannot"
)]

use std::array::from_fn;
use std::cell::RefCell;

use super::tile::{Left, tile};
use crate::kernels::simd::{Isa, Lanes};
use crate::{Activation, Real};

/// An operand as it lies in memory: element `(i, j)` is `data[i · row + j · column]`, and one of the strides is 1.
#[derive(Clone, Copy)]
pub(super) struct Operand<'a, T> {
    pub(super) data: &'a [T],
    pub(super) row: usize,
    pub(super) column: usize,
}

impl<'a, T> Operand<'a, T> {
    /// The part that begins at `(i, j)`.
    #[inline(always)]
    pub(super) fn from(self, i: usize, j: usize) -> Operand<'a, T> {
        Operand { data: &self.data[i * self.row + j * self.column..], ..self }
    }
}

/// `C += A · B` (or `=`) for `m × n` sums of `k` terms each. Public in name only: the module is private.
pub struct Leaf<'a, 'c, T> {
    pub(super) size: [usize; 3],
    pub(super) a: Operand<'a, T>,
    pub(super) b: Operand<'a, T>,
    /// The rows of `C`.
    pub(super) c: &'a mut [&'c mut [T]],
    /// Whether what `C` held is forgotten.
    pub(super) fresh: bool,
    /// What happens to the finished rows of `C`: `y = f(c + bias)`.
    pub(super) finish: Option<(&'a [T], Activation)>,
}

/// Steps of `k` per block: a panel of `B`, 16 columns wide, takes 20 KB of the first-level cache, and a strip of six rows
/// of `A` 8 KB.
const STEPS: usize = 320;

/// Registers in a tile of one row: eight independent chains, as many as it takes to hide how long one addition takes.
const THIN: usize = 8;

/// A kind of number that there are tiles for.
pub trait Product: Sized + 'static {
    /// Computes a leaf with the registers of one instruction set.
    #[doc(hidden)]
    fn leaf(isa: Isa, leaf: Leaf<'_, '_, Self>);

    /// Columns of a full tile: where a product is best cut.
    #[doc(hidden)]
    fn columns(isa: Isa) -> usize;

    /// A buffer of this thread, at least so long; what it holds is anything.
    #[doc(hidden)]
    fn with_buffer<R>(which: Buffer, len: usize, work: impl FnOnce(&mut [Self]) -> R) -> R;
}

/// What a thread's buffers are for.
#[doc(hidden)]
#[derive(Clone, Copy)]
pub enum Buffer {
    /// A few columns of `B`, packed.
    Panel,
    /// A block of `A`, packed.
    Block,
}

/// One line an instruction set: numbers in a register, and the rows and registers of a tile. Sixteen registers hold
/// 6 × 2 sums, two of `B` and one of `A`; thirty-two hold 8 × 3 (12 × 2 spills).
macro_rules! products {
    ($($T:ty: scalar $n0:literal ($r0:literal x $v0:literal), avx2 $n1:literal ($r1:literal x $v1:literal),
       avx512 $n2:literal ($r2:literal x $v2:literal), neon $n3:literal ($r3:literal x $v3:literal);)*) => {$(
        impl Product for $T {
            fn leaf(isa: Isa, leaf: Leaf<'_, '_, Self>) {
                let block = if leaf.packs_a() { leaf.size[0] * STEPS.min(leaf.size[2]) } else { 0 };
                // Buffers are taken out here: inside `vectorize` everything must be compiled into one function.
                Self::with_buffer(Buffer::Panel, STEPS * Self::columns(isa), |panel| {
                    Self::with_buffer(Buffer::Block, block, |block| match isa {
                        Isa::Scalar(simd) => loops::<$T, _, $n0, $r0, $v0>(simd, leaf, panel, block),
                        #[cfg(target_arch = "x86_64")]
                        Isa::Avx2(simd) => loops::<$T, _, $n1, $r1, $v1>(simd, leaf, panel, block),
                        #[cfg(target_arch = "x86_64")]
                        Isa::Avx512(simd) => loops::<$T, _, $n2, $r2, $v2>(simd, leaf, panel, block),
                        #[cfg(target_arch = "aarch64")]
                        Isa::Neon(simd) => loops::<$T, _, $n3, $r3, $v3>(simd, leaf, panel, block),
                    })
                });
            }

            fn columns(isa: Isa) -> usize {
                match isa {
                    Isa::Scalar(_) => $n0 * $v0,
                    #[cfg(target_arch = "x86_64")]
                    Isa::Avx2(_) => $n1 * $v1,
                    #[cfg(target_arch = "x86_64")]
                    Isa::Avx512(_) => $n2 * $v2,
                    #[cfg(target_arch = "aarch64")]
                    Isa::Neon(_) => $n3 * $v3,
                }
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

impl<T> Leaf<'_, '_, T> {
    /// Whether the block of `A` is copied together first. That costs a pass over it, which many columns pay back; and
    /// where its rows are a multiple of 1 KB apart they compete for the same few places in the caches.
    fn packs_a(&self) -> bool {
        let [_, n, _] = self.size;
        n >= 256 && (self.a.row.max(self.a.column) * size_of::<T>()).is_multiple_of(1024)
    }
}

/// The loops around the tile, from the outside: blocks of `k`, panels of `B`, strips of `A`.
#[inline(always)]
fn loops<T: Real, S: Lanes<T, N>, const N: usize, const MR: usize, const NV: usize>(
    simd: S,
    leaf: Leaf<T>,
    panel: &mut [T],
    block: &mut [T],
) {
    let packs_a = leaf.packs_a();
    let Leaf { size: [m, n, k], a, b, c, fresh, finish } = leaf;
    // With one or two rows of A nothing is read twice, and copying B would cost more than the product.
    let thin = if m <= 2 && b.column == 1 { n - n % (N * THIN) } else { 0 };
    for j in (0..thin).step_by(N * THIN) {
        for (i, c) in c.iter_mut().enumerate() {
            let c = &mut c[j..j + N * THIN];
            simd.vectorize(
                #[inline(always)]
                move || row_tile::<T, S, N>(simd, k, a.from(i, 0), b.from(0, j), c, fresh),
            );
        }
    }
    for k0 in (0..k).step_by(STEPS) {
        let steps = STEPS.min(k - k0);
        let (a, fresh) = (a.from(0, k0), fresh && k0 == 0);
        if packs_a {
            pack_strips::<T, MR>(a, m, steps, block);
        }
        let a = if packs_a { Block::Packed(&*block) } else { Block::InPlace(a) };
        for j in (thin..n).step_by(N * NV) {
            let width = (n - j).min(N * NV);
            let registers = width.div_ceil(N);
            // A panel is read by every strip, so it is copied together once: its rows, far apart in B, would each need a
            // page of their own, and an inner loop over what is contiguous has no bounds to check.
            pack_panel(b.from(k0, j), steps, width, registers * N, panel);
            let b = &panel[..steps * registers * N];
            let place = Place { m, j, width, steps, fresh };
            let c = &mut *c;
            match registers {
                1 => simd.vectorize(
                    #[inline(always)]
                    move || strips::<T, S, N, MR, 1>(simd, a, b, c, place),
                ),
                2 => simd.vectorize(
                    #[inline(always)]
                    move || strips::<T, S, N, MR, 2>(simd, a, b, c, place),
                ),
                _ => simd.vectorize(
                    #[inline(always)]
                    move || strips::<T, S, N, MR, NV>(simd, a, b, c, place),
                ),
            }
        }
    }
    if let Some((bias, f)) = finish {
        simd.vectorize(
            #[inline(always)]
            move || {
                for row in c.iter_mut() {
                    for (c, &bias) in row.iter_mut().zip(bias) {
                        *c = f.f(*c + bias);
                    }
                }
            },
        );
    }
}

/// One row of `A` times `THIN` registers of columns of `B`, where it lies: the same chains as in a `tile`.
#[inline(always)]
fn row_tile<T: Real, S: Lanes<T, N>, const N: usize>(
    simd: S,
    k: usize,
    a: Operand<T>,
    b: Operand<T>,
    c: &mut [T],
    fresh: bool,
) {
    let (c, _) = c.as_chunks_mut::<N>();
    let mut sums = [simd.splat(T::zero()); THIN];
    if !fresh {
        for v in 0..THIN {
            sums[v] = simd.load(&c[v]);
        }
    }
    for k in 0..k {
        let a = simd.splat(a.data[k * a.column]);
        let (row, _) = b.data[k * b.row..][..N * THIN].as_chunks::<N>();
        for v in 0..THIN {
            sums[v] = simd.mul_add(a, simd.load(&row[v]), sums[v]);
        }
    }
    for v in 0..THIN {
        simd.store(&mut c[v], sums[v]);
    }
}

/// A block of `A`, as it is or copied together strip by strip.
#[derive(Clone, Copy)]
enum Block<'a, T> {
    InPlace(Operand<'a, T>),
    Packed(&'a [T]),
}

/// Which part of `C` a panel of `B` leads to.
#[derive(Clone, Copy)]
struct Place {
    m: usize,
    j: usize,
    width: usize,
    steps: usize,
    fresh: bool,
}

/// All strips of `A` times one panel of `B`.
#[inline(always)]
fn strips<T: Real, S: Lanes<T, N>, const N: usize, const MR: usize, const NV: usize>(
    simd: S,
    a: Block<T>,
    b: &[T],
    c: &mut [&mut [T]],
    place: Place,
) {
    let mut i = 0;
    while i < place.m {
        let height = strip_height::<MR>(place.m - i);
        match height {
            4 if const { MR > 4 } => strip::<T, S, N, 4, NV>(simd, a, b, c, place, i),
            2 => strip::<T, S, N, 2, NV>(simd, a, b, c, place, i),
            1 => strip::<T, S, N, 1, NV>(simd, a, b, c, place, i),
            _ => strip::<T, S, N, MR, NV>(simd, a, b, c, place, i),
        }
        i += height;
    }
}

/// Rows of the next strip where so many are left: a full tile, or the largest smaller one there is.
#[inline(always)]
fn strip_height<const MR: usize>(left: usize) -> usize {
    match left {
        _ if left >= MR => MR,
        4.. => 4,
        2.. => 2,
        _ => 1,
    }
}

/// One strip of `A` times one panel of `B`.
#[inline(always)]
fn strip<T: Real, S: Lanes<T, N>, const N: usize, const MR: usize, const NV: usize>(
    simd: S,
    a: Block<T>,
    b: &[T],
    c: &mut [&mut [T]],
    place: Place,
    i: usize,
) {
    let Place { j, width, steps, fresh, .. } = place;
    let whole = width == N * NV;
    let mut sums = [[[T::zero(); N]; NV]; MR];
    if !whole && !fresh {
        for r in 0..MR {
            for l in 0..width {
                sums[r][l / N][l % N] = c[i + r][j + l];
            }
        }
    }
    let mut target: [[&mut [T; N]; NV]; MR] = if whole {
        let mut rows = c[i..i + MR].iter_mut();
        from_fn(|_| {
            let row = rows.next().expect("MR rows");
            let mut registers = row[j..j + N * NV].chunks_exact_mut(N);
            from_fn(|_| registers.next().and_then(|r| r.try_into().ok()).expect("NV registers"))
        })
    } else {
        sums.each_mut().map(|row| row.each_mut())
    };
    match a {
        Block::InPlace(a) if a.column == 1 => {
            let rows = from_fn(
                #[inline(always)]
                |r| &a.from(i + r, 0).data[..steps],
            );
            tile::<T, S, N, MR, NV>(simd, steps, Left::Rows(rows), b, &mut target, fresh);
        }
        _ => {
            // A packed strip is stored by columns too, each as short as can be.
            let (data, column) = match a {
                Block::InPlace(a) => (a.from(i, 0).data, a.column),
                Block::Packed(block) => (&block[i * steps..], MR),
            };
            tile::<T, S, N, MR, NV>(simd, steps, Left::Columns(data, column), b, &mut target, fresh);
        }
    }
    if !whole {
        for r in 0..MR {
            for l in 0..width {
                c[i + r][j + l] = sums[r][l / N][l % N];
            }
        }
    }
}

/// Copies strip after strip, each so that the numbers for one step of `k` lie together.
fn pack_strips<T: Real, const MR: usize>(a: Operand<T>, m: usize, steps: usize, block: &mut [T]) {
    let mut i = 0;
    while i < m {
        let height = strip_height::<MR>(m - i);
        let strip = &mut block[i * steps..(i + height) * steps];
        for r in 0..height {
            let a = a.from(i + r, 0);
            for (k, to) in strip[r..].iter_mut().step_by(height).enumerate() {
                *to = a.data[k * a.column];
            }
        }
        i += height;
    }
}

/// Copies `width` columns of `B`, row after row, and fills up with zeros to whole registers. Here a transposed `B` is
/// turned: one number at a time, which adds a tenth to a product of 128 rows.
fn pack_panel<T: Real>(b: Operand<T>, steps: usize, width: usize, padded: usize, panel: &mut [T]) {
    let rows = panel.chunks_exact_mut(padded).take(steps);
    if b.column == 1 {
        for (to, from) in rows.zip(b.data.chunks(b.row)) {
            to[..width].copy_from_slice(&from[..width]);
            to[width..].fill(T::zero());
        }
        return;
    }
    rows.for_each(|to| to[width..].fill(T::zero()));
    for j in 0..width {
        let column = &b.data[j * b.column..][..steps];
        for (to, &from) in panel.chunks_exact_mut(padded).zip(column) {
            to[j] = from;
        }
    }
}
