//! Shapes, views, and the memory that tensors lie in.

use std::ops::{Deref, DerefMut};

use ndarray::{ArrayView2, ArrayViewMut2};

/// `[rows, columns]`. Everything is a matrix: a batch is its rows, a scalar is `[1, 1]`.
pub type Shape = [usize; 2];
/// A matrix to read. Its strides make `.t()` free.
pub type View<'a, T = f32> = ArrayView2<'a, T>;
/// A matrix to write.
pub type ViewMut<'a, T = f32> = ArrayViewMut2<'a, T>;

/// How many numbers a matrix of this shape holds.
pub fn size([rows, columns]: Shape) -> usize {
    rows * columns
}

/// Tensors start at multiples of this many numbers: 64 bytes, a cache line and an AVX-512 register, in `f32` and
/// 128 in `f64`, so that both share one layout. Worth 15 % of a step at batch 32.
pub(crate) const ALIGNMENT: usize = 16;

/// A fixed number of zeros to begin with, the first of them on a 64-byte boundary.
///
/// A `Vec` promises only the alignment of its element. This one is a little longer than asked, and skips the
/// elements in front of the boundary: no `unsafe`, no allocator of its own.
#[derive(Debug)]
pub struct Buffer<T> {
    memory: Vec<T>,
    start: usize,
    len: usize,
}

impl<T: Copy + Default> Buffer<T> {
    /// `len` zeros.
    pub fn zeros(len: usize) -> Self {
        let memory = vec![T::default(); len + ALIGNMENT];
        // `align_offset` may say "never" (usize::MAX) in principle; alignment is speed, not correctness.
        let start = memory.as_ptr().align_offset(64).min(ALIGNMENT);
        Buffer { memory, start, len }
    }
}

impl<T: Copy + Default> Default for Buffer<T> {
    fn default() -> Self {
        Buffer::zeros(0)
    }
}

impl<T: Copy + Default> Clone for Buffer<T> {
    /// The copy is aligned anew: it lies elsewhere.
    fn clone(&self) -> Self {
        let mut copy = Buffer::zeros(self.len);
        copy.copy_from_slice(self);
        copy
    }
}

impl<T> Deref for Buffer<T> {
    type Target = [T];
    fn deref(&self) -> &[T] {
        &self.memory[self.start..self.start + self.len]
    }
}

impl<T> DerefMut for Buffer<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        &mut self.memory[self.start..self.start + self.len]
    }
}

/// The numbers as a row-major matrix.
pub(crate) fn view<T>(numbers: &[T], [rows, columns]: Shape) -> View<'_, T> {
    View::from_shape((rows, columns), numbers).expect("a tensor has as many numbers as its shape says")
}

/// The numbers as a row-major matrix to write.
pub(crate) fn view_mut<T>(numbers: &mut [T], [rows, columns]: Shape) -> ViewMut<'_, T> {
    ViewMut::from_shape((rows, columns), numbers).expect("a tensor has as many numbers as its shape says")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_and_its_clone_start_on_a_64_byte_boundary() {
        for len in [0, 1, 63, 64, 1000] {
            let buffer = Buffer::<f32>::zeros(len);
            assert_eq!((buffer.len(), buffer.as_ptr() as usize % 64), (len, 0));
            assert_eq!(buffer.clone().as_ptr() as usize % 64, 0);
            assert_eq!(Buffer::<f64>::zeros(len).as_ptr() as usize % 64, 0);
        }
    }
}
