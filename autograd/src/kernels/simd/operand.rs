//! An operand of a product as it lies in memory, and which of its steps are there.
#![allow(unsafe_code)]
#![allow(
    clippy::needless_range_loop,
    reason = "a closure that is not inlined lacks the instruction set; a loop cannot"
)]

use super::Lanes;
use crate::Real;

/// A matrix as it lies in memory: its element `(i, j)` is `data[i · row + j · column]`.
#[derive(Clone, Copy)]
pub(crate) struct Operand<'a, T> {
    pub(crate) data: &'a [T],
    pub(crate) row: usize,
    pub(crate) column: usize,
}

impl<'a, T> Operand<'a, T> {
    pub(crate) fn transposed(self) -> Operand<'a, T> {
        Operand { row: self.column, column: self.row, ..self }
    }

    /// The part that begins at `(i, j)`.
    #[inline(always)]
    pub(crate) fn from(self, i: usize, j: usize) -> Operand<'a, T> {
        Operand { data: &self.data[i * self.row + j * self.column..], ..self }
    }

    /// The columns of a square of `rows × N` numbers that begins at `(i, j)`; the numbers of a row lie together. It is checked
    /// once: with a check for each row, a row of `A` times a transposed `B` takes three times as long.
    ///
    /// # Panics
    /// If it is not inside.
    #[inline(always)]
    pub(crate) fn turned<S: Lanes<T, N>, const N: usize>(self, simd: S, i: usize, j: usize, rows: usize) -> [S::V; N]
    where
        T: Real,
    {
        let from = self.from(i, j);
        assert!(self.column == 1 && rows <= N && (rows == 0 || from.holds(rows, N)), "not a square of a matrix");
        let mut square = [simd.splat(T::zero()); N];
        for r in 0..N {
            if r < rows {
                // SAFETY: N numbers of a row that is inside, as asserted.
                square[r] = simd.load(unsafe { &*from.data.as_ptr().add(r * self.row).cast() });
            }
        }
        simd.transpose(square)
    }

    /// Whether `rows × columns` elements lie in the slice, none of them empty.
    #[inline(always)]
    pub(super) fn holds(self, rows: usize, columns: usize) -> bool {
        let [down, along] = [(rows, self.row), (columns, self.column)].map(|(n, apart)| (n - 1).checked_mul(apart));
        let last = down.and_then(|down| down.checked_add(along?));
        last.is_some_and(|last| last < self.data.len())
    }
}

/// Steps of `k` in a packed block, at most: as many as a byte counts.
pub(crate) const STEPS: usize = 256;

/// The steps of `k` that a packed strip of `A` holds.
#[derive(Clone, Copy)]
pub(crate) struct Kept {
    steps: [u8; STEPS],
    len: usize,
    /// Whether they are all there are, and not listed.
    all: bool,
    /// More than the largest of them: what is read by the list is checked by that.
    end: usize,
}

impl Kept {
    pub(crate) const NONE: Kept = Kept { steps: [0; STEPS], len: 0, all: false, end: 0 };

    /// Lets `list` write steps, in ascending order, and say how many.
    #[inline(always)]
    pub(crate) fn list(&mut self, list: impl FnOnce(&mut [u8; STEPS]) -> usize) {
        // Should it panic, there are none.
        self.len = 0;
        self.len = list(&mut self.steps).min(STEPS);
        self.all = false;
        let mut last = 0;
        for i in 0..self.len {
            last = self.steps[i].max(last);
        }
        self.end = usize::from(last) + 1;
    }

    /// All of so many, of which there is no list.
    #[inline(always)]
    pub(crate) fn all(&mut self, steps: usize) {
        (self.len, self.all, self.end) = (steps.min(STEPS), true, STEPS);
    }

    #[inline(always)]
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// The list.
    #[inline(always)]
    pub(super) fn listed(&self) -> &[u8] {
        &self.steps[..self.len]
    }

    /// More than any step of the list.
    #[inline(always)]
    pub(super) fn end(&self) -> usize {
        self.end
    }

    #[inline(always)]
    pub(crate) fn steps(&self) -> Steps<'_> {
        if self.all { Steps::All(self.len) } else { Steps::Kept(self) }
    }
}

/// The steps of `k` that a sum has.
#[derive(Clone, Copy)]
pub(crate) enum Steps<'a> {
    /// So many.
    All(usize),
    /// Those that are listed; `A` holds no others.
    Kept(&'a Kept),
}
