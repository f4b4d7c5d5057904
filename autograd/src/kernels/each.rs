//! Elementwise loops over matrices of one shape.

use std::array::from_fn;

use super::{Write, parallel, simd::vectorize};
use crate::matrix::{View, ViewMut};
use crate::real::Real;

/// `y = f(x₁, …)`, element by element. Each `x` has the shape of `y`, or is one row that stands for every row.
///
/// # Panics
/// If a shape differs, or a matrix is not contiguous in row-major order (those of a tape are).
#[track_caller]
pub fn map<T: Real, const M: usize>(xs: [View<T>; M], write: Write, y: ViewMut<T>, f: impl Fn([T; M]) -> T + Sync) {
    let add = write == Write::Add;
    update(
        xs,
        y,
        #[inline(always)]
        |y, xs| sum(add, y, f(xs)),
    );
}

/// `y + new`, or `new` alone. Both are one loop, for each loop is compiled for each `f` and each instruction set: a
/// condition that does not change in the loop is taken out of it, or becomes a choice between two registers.
#[inline(always)]
fn sum<T: Real>(add: bool, y: T, new: T) -> T {
    if add { y + new } else { new }
}

/// `y = f(y, x₁, …)`: as [`map`], in place.
///
/// # Panics
/// As [`map`].
#[track_caller]
pub fn update<T: Real, const M: usize>(xs: [View<T>; M], y: ViewMut<T>, f: impl Fn(T, [T; M]) -> T + Sync) {
    let operands = Operands::beside(xs, y.dim());
    let Operands { width, .. } = operands;
    parallel::rows(slice_mut(y), width, width, |first, y| {
        // One loop for both cases: every call of `run` is compiled for each `f` and each instruction set.
        let line = if operands.alike { y.len() } else { width }.max(1);
        let f = &f;
        vectorize(
            #[inline(always)]
            move || {
                for (i, y) in (first..).zip(y.chunks_exact_mut(line)) {
                    run(operands.from(i), y, f);
                }
            },
        );
    });
}

/// What is read beside each row of a matrix. It knows nothing of what is computed, so it is compiled once.
#[derive(Clone, Copy)]
struct Operands<'a, T, const M: usize> {
    xs: [&'a [T]; M],
    /// Whether there is a row for each row of the matrix, or one for all.
    many: [bool; M],
    /// Whether there is for all of them: then all is one long row of elements, however narrow the matrix.
    alike: bool,
    /// Numbers in a row, or 1 where all is one.
    width: usize,
}

impl<'a, T: Real, const M: usize> Operands<'a, T, M> {
    #[track_caller]
    fn beside(xs: [View<'a, T>; M], (height, width): (usize, usize)) -> Self {
        for x in &xs {
            assert!(x.dim() == (height, width) || x.dim() == (1, width), "{:?} beside {:?}", x.dim(), (height, width));
        }
        let many = xs.each_ref().map(|x| x.nrows() == height);
        let alike = many == [true; M];
        Operands { xs: xs.map(slice), many, alike, width: if alike { 1 } else { width } }
    }

    /// Those from the `i`th row on.
    #[inline(always)]
    fn from(&self, i: usize) -> [&'a [T]; M] {
        from_fn(|m| if self.many[m] { &self.xs[m][i * self.width..] } else { self.xs[m] })
    }
}

/// The `i`th number of each.
#[inline(always)]
fn at<T: Copy, const S: usize>(columns: [&[T]; S], i: usize) -> [T; S] {
    columns.map(|s| s[i])
}

/// What each holds from its `i`th number on.
#[inline(always)]
fn from<T, const M: usize>(xs: [&[T]; M], i: usize) -> [&[T]; M] {
    xs.map(|x| &x[i..])
}

/// The `i`th row of each.
#[inline(always)]
pub(super) fn row<T, const M: usize>(xs: [&[T]; M], i: usize, width: usize) -> [&[T]; M] {
    xs.map(|x| &x[i * width..(i + 1) * width])
}

/// `yᵢⱼ = f([s₁ᵢ, …], [x₁ᵢⱼ, …])`: as [`map`], with numbers that are the same along a row, from columns.
///
/// # Panics
/// If an `s` is not a column as high as `y`, a shape differs, or a matrix is not contiguous in row-major order.
#[track_caller]
pub fn map_rows<T: Real, const S: usize, const M: usize>(
    columns: [View<T>; S],
    xs: [View<T>; M],
    write: Write,
    y: ViewMut<T>,
    f: impl Fn([T; S], [T; M]) -> T + Sync,
) {
    let (height, width) = y.dim();
    assert!(columns.iter().all(|s| s.dim() == (height, 1)), "one number per row");
    assert!(xs.iter().all(|x| x.dim() == (height, width)), "matrices of one shape");
    let (columns, xs, y, add) = (columns.map(slice), xs.map(slice), slice_mut(y), write == Write::Add);
    parallel::rows(y, width, width, |first, y| {
        let f = &f;
        vectorize(
            #[inline(always)]
            move || {
                for (i, y) in (first..).zip(y.chunks_exact_mut(width)) {
                    let (s, xs) = (at(columns, i), from(xs, i * width));
                    run(
                        xs,
                        y,
                        #[inline(always)]
                        move |y, xs| sum(add, y, f(s, xs)),
                    );
                }
            },
        );
    });
}

/// The loop itself, which is called inside of [`vectorize`]: `exp` takes 0.4 ns so, in libm 2.9.
#[inline(always)]
#[allow(clippy::needless_range_loop, reason = "only loops over indices are vectorized here, iterators over arrays not")]
fn run<T: Real, const M: usize>(xs: [&[T]; M], y: &mut [T], f: impl Fn(T, [T; M]) -> T) {
    // Slices of equal length let the compiler drop the bounds checks, which no register loop can have.
    let n = y.len();
    let mut slices: [&[T]; M] = [&[]; M];
    for m in 0..M {
        slices[m] = &xs[m][..n];
    }
    for j in 0..n {
        let mut x = [T::zero(); M];
        for m in 0..M {
            x[m] = slices[m][j];
        }
        y[j] = f(y[j], x);
    }
}

/// The numbers of a matrix, row by row.
///
/// # Panics
/// If they do not lie so in memory.
#[track_caller]
pub fn slice<T>(x: View<'_, T>) -> &[T] {
    x.to_slice().expect("a contiguous row-major matrix")
}

/// The numbers of a matrix to write, row by row.
///
/// # Panics
/// If they do not lie so in memory.
#[track_caller]
pub fn slice_mut<T>(y: ViewMut<'_, T>) -> &mut [T] {
    y.into_slice().expect("a contiguous row-major matrix")
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array2, array};

    #[test]
    fn set_never_reads_what_was_there_and_add_does() {
        let x = array![[1.0, 2.0], [3.0, 4.0]];
        let mut y = array![[f64::NAN, f64::NAN], [f64::NAN, f64::NAN]];
        map([x.view()], Write::Set, y.view_mut(), |[x]| 2.0 * x);
        assert_eq!(y, array![[2.0, 4.0], [6.0, 8.0]]);
        map([x.view(), x.view()], Write::Add, y.view_mut(), |[a, b]| a * b);
        assert_eq!(y, array![[3.0, 8.0], [15.0, 24.0]]);
    }

    #[test]
    fn one_row_stands_for_every_row() {
        let (x, row) = (array![[1.0, 2.0], [3.0, 4.0]], array![[10.0, 20.0]]);
        let mut y = array![[1.0, 1.0], [2.0, 2.0]];
        update([x.view(), row.view()], y.view_mut(), |y, [x, r]| y * (x + r));
        assert_eq!(y, array![[11.0, 22.0], [26.0, 48.0]]);
    }

    #[test]
    fn large_matrices_agree_with_the_plain_loop() {
        let (rows, columns) = (301, 97);
        let x = Array2::from_shape_fn((rows, columns), |(i, j)| (i * 7 + j) as f32);
        let s = Array2::from_shape_fn((rows, 1), |(i, _)| i as f32);
        let mut y = Array2::zeros((rows, columns));
        map_rows([s.view()], [x.view()], Write::Set, y.view_mut(), |[s], [x]| s - x);
        assert_eq!(y, &s - &x);
        map([x.view()], Write::Add, y.view_mut(), |[x]| x);
        assert_eq!(y, &s - &x + &x);
    }
}
