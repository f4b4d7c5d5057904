//! The loops around the micro-kernel, from the outermost to the innermost, by the names that BLIS gives to what they run over
//! (Van Zee and van de Geijn, "BLIS: A framework for rapidly instantiating BLAS functionality", 2015): `ic`, `pc` and `jc` are
//! where a block of rows, of steps and of columns begins, `ir` and `jr` the first row and column of a tile.
//!
//! What is packed, and in which order the loops run, is the [`Plan`]'s.

use std::cell::RefCell;
use std::ops::Range;

use ndarray::Axis;

use super::Task;
use super::pack::{Block, pack_block, pack_panels, strip_height, with_room_for_block};
use super::plan::{BLOCK, Plan};
use crate::activation::with_activation;
use crate::kernels::Write;
use crate::kernels::parallel::{join, threads};
use crate::kernels::simd::{Isa, Lanes, Operand, Place, Simd, Steps, tile};
use crate::matrix::{self, ViewMut};
use crate::{Activation, Real};

/// What is compiled for each instruction set, with its tile: `N` numbers in a register, `MR` rows and `NV` registers of columns.
pub trait Kernel<T> {
    /// What it finds out.
    type Output;
    /// Does it.
    fn run<S: Lanes<T, N>, const N: usize, const MR: usize, const NV: usize>(self, simd: S) -> Self::Output;
}

/// A kind of number that there are tiles for.
pub trait Product: Sized + 'static {
    /// Runs a kernel with these instructions.
    #[doc(hidden)]
    fn on<K: Kernel<Self>>(isa: Isa, kernel: K) -> K::Output;

    /// Computes a product. Of a method that is not generic there is one copy, in this crate; every crate that calls
    /// [`gemm`](super::gemm()) would compile its own, which takes half a minute.
    #[doc(hidden)]
    fn product(task: Task<Self>, c: ViewMut<Self>);

    /// A buffer of this thread, at least so long; what it holds is anything.
    #[doc(hidden)]
    fn with_buffer<R>(which: Buffer, len: usize, work: impl FnOnce(&mut [Self]) -> R) -> R;
}

/// What a thread's buffers are for.
#[doc(hidden)]
#[derive(Clone, Copy)]
pub enum Buffer {
    /// A block of `A`.
    A,
    /// A group of panels of `B`.
    B,
}

/// One line a kind of number: for each instruction set the numbers in a register, and the rows and registers of a tile.
macro_rules! tiles {
    ($($T:ty: $($(#[$cfg:meta])? $Isa:ident $(. $other:ident ())? $n:literal ($r:literal x $v:literal)),*;)*) => {$(
        impl Product for $T {
            fn on<K: Kernel<Self>>(isa: Isa, kernel: K) -> K::Output {
                match isa {
                    $($(#[$cfg])? Isa::$Isa(simd) => kernel.run::<_, $n, $r, $v>(simd $(.$other())?),)*
                }
            }

            fn product(task: Task<Self>, c: ViewMut<Self>) {
                task.product(c);
            }

            fn with_buffer<R>(which: Buffer, len: usize, work: impl FnOnce(&mut [$T]) -> R) -> R {
                thread_local! {
                    static BUFFERS: [RefCell<matrix::Buffer<$T>>; 2] = Default::default();
                }
                BUFFERS.with(|buffers| with_room(&buffers[which as usize], len, work))
            }
        }
    )*};
}

// Sixteen registers hold 6 × 2 sums, two of `B` and one of `A`; thirty-two 6 × 4 on x86, which multiplies by a number in memory,
// and 8 × 3 on ARM. In `f64` nothing is trained, only checked: it has no wide tiles, which would take 5 seconds to compile.
tiles! {
    f32: Scalar 4 (4 x 1), #[cfg(target_arch = "x86_64")] Avx2 8 (6 x 2), #[cfg(target_arch = "x86_64")] Avx512 16 (6 x 4),
        #[cfg(target_arch = "aarch64")] Neon 4 (8 x 3);
    f64: Scalar 4 (4 x 1), #[cfg(target_arch = "x86_64")] Avx2 4 (6 x 2), #[cfg(target_arch = "x86_64")] Avx512.avx2() 4 (6 x 2),
        #[cfg(target_arch = "aarch64")] Neon 2 (8 x 3);
}

/// Numbers in a thread's buffer: more than a plan asks for ([`BLOCK`], and what makes strips and panels whole), so that none grows
/// later, with a larger piece that a thread happens to be given. What is not used costs no memory.
pub(super) const ROOM: usize = 2 * BLOCK;

/// Lends so much of a thread's buffer; what it holds is anything.
fn with_room<T: Copy + Default, R>(
    buffer: &RefCell<matrix::Buffer<T>>,
    len: usize,
    work: impl FnOnce(&mut [T]) -> R,
) -> R {
    match buffer.try_borrow_mut() {
        Ok(mut buffer) => {
            if buffer.len() < len {
                *buffer = matrix::Buffer::zeros(len.max(ROOM));
            }
            work(&mut buffer[..len])
        }
        // This thread is waiting inside another product, and has been given this one meanwhile.
        Err(_) => work(&mut matrix::Buffer::zeros(len)),
    }
}

/// What happens to finished sums: `y = f(c + bias)`, where `bias` has a number for each column of `C`.
pub(super) type Finish<'a, T> = Option<(&'a [T], Activation)>;

/// What happens to some columns of `C`.
pub(super) fn of_columns<T>(finish: Finish<T>, columns: Range<usize>) -> Finish<T> {
    finish.map(|(bias, f)| (&bias[columns], f))
}

/// A product or a part of one: `m × n` sums of `k` terms each.
///
/// However it is cut, every element of `C` is computed by one thread and in one order.
#[derive(Clone, Copy)]
pub(super) struct Part<'a, T> {
    pub(super) plan: &'a Plan,
    /// `m`, `n` and `k`.
    pub(super) size: [usize; 3],
    pub(super) a: Operand<'a, T>,
    /// `A` once more, if it is packed.
    pub(super) packed_a: Option<Block<'a, T>>,
    pub(super) b: Operand<'a, T>,
    pub(super) write: Write,
    pub(super) finish: Finish<'a, T>,
}

impl<T: Real> Part<'_, T> {
    /// The whole product. Where `A` is packed, its blocks come one after the other, and all threads work on each.
    pub(super) fn run(self, mut c: ViewMut<T>) {
        let Plan { mc, kc, flip, pack_a, .. } = *self.plan;
        let [m, n, k] = self.size;
        if !pack_a {
            return self.share(c);
        }
        with_room_for_block(self.plan, [mc.min(m), kc.min(k)], |numbers: &mut [T], kept| {
            for ic in (0..m).step_by(mc) {
                let rows = ic..m.min(ic + mc);
                // They are columns of C where the product is flipped.
                let mut c = c.slice_axis_mut(Axis(usize::from(flip)), rows.clone().into());
                let finish = if flip { of_columns(self.finish, rows.clone()) } else { self.finish };
                for pc in (0..k).step_by(kc) {
                    let size = [rows.len(), n, kc.min(k - pc)];
                    let a = self.a.from(ic, pc);
                    let packed_a = Some(pack_block(self.plan, a, [size[0], size[2]], numbers, kept));
                    let part = Part { size, a, packed_a, b: self.b.from(pc, 0), finish, ..self };
                    part.of_steps(pc, k).share(c.view_mut());
                }
            }
        });
    }

    /// This part, whose steps are those from `pc` on, of `k` in all: the first sets `C`, and the last is followed by the bias.
    fn of_steps(self, pc: usize, k: usize) -> Self {
        let [.., steps] = self.size;
        let write = if pc == 0 { self.write } else { Write::Add };
        Part { write, finish: self.finish.filter(|_| pc + steps == k), ..self }
    }

    /// Halves, until they are small enough for one thread: of rows where `A` lies in place, for then both read the same panels of `B`;
    /// of columns where it is packed, and where each would pack all of `B`.
    fn share(self, c: ViewMut<T>) {
        let [m, n, k] = self.size;
        let Plan { flip, pack_b, piece, tile: [mr, nr], .. } = *self.plan;
        let by_rows = self.packed_a.is_none() && (!pack_b || n < 4 * nr) && m >= 8 * mr;
        if threads() == 1 || m * n * k <= piece || !by_rows && n < 2 * nr {
            return self.groups(c);
        }
        let half = |n: usize, unit: usize| (n / 2).next_multiple_of(unit);
        let at = if by_rows { half(m, mr) } else { half(n, nr) };
        let (mut one, mut two) = if by_rows {
            (Part { size: [at, n, k], ..self }, Part { size: [m - at, n, k], a: self.a.from(at, 0), ..self })
        } else {
            (Part { size: [m, at, k], ..self }, Part { size: [m, n - at, k], b: self.b.from(0, at), ..self })
        };
        let (axis, columns) = (usize::from(by_rows == flip), c.ncols());
        if axis == 1 {
            (one.finish, two.finish) = (of_columns(self.finish, 0..at), of_columns(self.finish, at..columns));
        }
        let (c1, c2) = c.split_at(Axis(axis), at);
        join(|| one.share(c1), || two.share(c2));
    }

    /// What one thread computes: a group of columns after the other, and for each a block of steps after the other.
    fn groups(self, mut c: ViewMut<T>) {
        let [m, n, k] = self.size;
        let Plan { isa, kc, nc, flip, pack_b, tile: [_, nr], .. } = *self.plan;
        let room = if pack_b { kc.min(k) * nc.min(n).next_multiple_of(nr) } else { 0 };
        T::with_buffer(Buffer::B, room, |packed_b| {
            for jc in (0..n).step_by(nc) {
                let columns = jc..n.min(jc + nc);
                // They are rows of C where the product is flipped.
                let mut c = c.slice_axis_mut(Axis(usize::from(!flip)), columns.clone().into());
                let finish = if flip { self.finish } else { of_columns(self.finish, columns.clone()) };
                for pc in (0..k).step_by(kc) {
                    let size = [m, columns.len(), kc.min(k - pc)];
                    let part = Part { size, a: self.a.from(0, pc), b: self.b.from(pc, jc), finish, ..self };
                    T::on(isa, Group { part: part.of_steps(pc, k), c: c.view_mut(), packed_b: &mut *packed_b });
                }
            }
        });
    }
}

/// Some columns of a part: their share of `B` stays in the second-level cache while all strips of `A` meet it.
struct Group<'a, 'c, T> {
    part: Part<'a, T>,
    c: ViewMut<'c, T>,
    packed_b: &'c mut [T],
}

impl<T: Real> Kernel<T> for Group<'_, '_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Lanes<T, N>, const N: usize, const MR: usize, const NV: usize>(self, simd: S) {
        let Group { part, mut c, packed_b } = self;
        let packed_b = part.plan.pack_b.then(|| {
            let Part { plan, size: [_, n, steps], b, .. } = part;
            let to = &mut *packed_b;
            simd.vectorize(
                #[inline(always)]
                move || pack_panels::<T, S, N, NV>(simd, plan.precision, b, [steps, n], last_panel::<N, NV>(&part), to),
            );
            &*packed_b
        });
        panels::<T, S, N, MR, NV>(simd, part, packed_b, &mut c);
        if let Some((bias, f)) = part.finish {
            finish(simd, c, bias, f);
        }
    }
}

/// The columns of the last panel, if they are other than those of a tile: fewer, or up to one register more, for with one alone six
/// sums would not keep the multipliers busy. Tiles there have 3 rows: only where strips are cut anew for each panel.
#[inline(always)]
fn last_panel<const N: usize, const NV: usize>(part: &Part<impl Real>) -> usize {
    let Part { plan, size: [_, n, _], packed_a, .. } = part;
    match n % (N * NV) {
        rest if NV == 2 && plan.strips_inside && packed_a.is_none() && (1..=N).contains(&rest) && *n > rest => {
            N * NV + rest
        }
        rest => rest,
    }
}

/// The loop over `jr`: panels of `B`, which all strips of `A` meet, or one after the other.
fn panels<T: Real, S: Lanes<T, N>, const N: usize, const MR: usize, const NV: usize>(
    simd: S,
    part: Part<T>,
    packed_b: Option<&[T]>,
    c: &mut ViewMut<T>,
) {
    let [m, n, steps] = part.size;
    let last = last_panel::<N, NV>(&part);
    let (mut ir, mut strip) = (0, 0);
    while ir < m {
        let rows = if part.plan.strips_inside { m } else { strip_height::<MR>(m - ir) };
        let mut jr = 0;
        while jr < n {
            let width = if jr + last == n { last } else { N * NV };
            let b = match packed_b {
                Some(panels) => Operand { data: &panels[jr * steps..], row: width.next_multiple_of(N), column: 1 },
                None => part.b.from(0, jr),
            };
            let place = Place { i: ir, j: jr, width, flip: part.plan.flip, write: part.write };
            let panel = Panel { part, b, place, rows, strip };
            match width.div_ceil(N) {
                _ if width == N * NV => panel.run::<S, N, MR, NV, false>(simd, c),
                1 => panel.run::<S, N, MR, 1, true>(simd, c),
                2 if const { NV > 1 } => panel.run::<S, N, MR, 2, true>(simd, c),
                3 if const { NV == 2 } => panel.run::<S, N, 3, 3, true>(simd, c),
                3 if const { NV > 2 } => panel.run::<S, N, MR, 3, true>(simd, c),
                _ => panel.run::<S, N, MR, NV, true>(simd, c),
            }
            jr += width;
        }
        (ir, strip) = (ir + rows, strip + 1);
    }
}

/// A panel of `B`, and the strips of `A` that it meets.
struct Panel<'a, T> {
    part: Part<'a, T>,
    b: Operand<'a, T>,
    /// Where the first tile lies.
    place: Place,
    /// Rows of all strips, and the first of these in a packed block.
    rows: usize,
    strip: usize,
}

impl<T: Real> Panel<'_, T> {
    /// The loop over `ir`. It is a function of its own: of one that holds the tiles of all widths, compiling takes twice as long.
    #[inline(never)]
    fn run<S: Lanes<T, N>, const N: usize, const MR: usize, const NV: usize, const EDGE: bool>(
        &self,
        simd: S,
        c: &mut ViewMut<T>,
    ) {
        simd.vectorize(
            #[inline(always)]
            || {
                let &Panel { part, b, mut place, rows, mut strip } = self;
                let end = place.i + rows;
                while place.i < end {
                    let height = strip_height::<MR>(end - place.i);
                    let (a, kept) = match part.packed_a {
                        Some(block) => block.strip(strip, height),
                        None => (part.a.from(place.i, 0), Steps::All(part.size[2])),
                    };
                    match height {
                        4 if const { MR > 4 } => tile::<T, S, N, 4, NV, EDGE>(simd, kept, a, b, place, c),
                        2 => tile::<T, S, N, 2, NV, EDGE>(simd, kept, a, b, place, c),
                        1 => tile::<T, S, N, 1, NV, EDGE>(simd, kept, a, b, place, c),
                        _ => tile::<T, S, N, MR, NV, EDGE>(simd, kept, a, b, place, c),
                    }
                    (place.i, strip) = (place.i + height, strip + 1);
                }
            },
        );
    }
}

/// `y = f(c + bias)`, while `C` is in the caches.
pub(super) fn finish<T: Real, S: Simd>(simd: S, mut c: ViewMut<T>, bias: &[T], f: Activation) {
    with_activation!(f, F => simd.vectorize(
        #[inline(always)]
        move || {
            for row in c.rows_mut() {
                let row = &mut row.into_slice().expect("contiguous rows")[..bias.len()];
                for j in 0..bias.len() {
                    row[j] = F.f(row[j] + bias[j]);
                }
            }
        },
    ));
}
