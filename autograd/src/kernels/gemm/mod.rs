//! The one product of matrices. A transposed operand is only a view with other strides, so the forward pass, `dx` and
//! `dw` are one function, at one speed.
//!
//! From the inside: `tile.rs` keeps a few rows and columns of `C` in registers while `k` runs; `leaf.rs` walks over the
//! tiles of a piece of `C` so that what they read stays in the caches; here the product is cut into such pieces, which
//! are computed in parallel. Every element of `C` is one chain of fused multiply–adds in the order of `k`. So the result
//! has the same bits for any cut, any tile, any instruction set, and any number of threads.

mod leaf;
mod tile;

use ndarray::{Array2, Axis};

use super::Write;
use super::simd::Isa;
use crate::matrix::{View, ViewMut};
use crate::{Activation, Real};
pub use leaf::{Buffer, Product};
use leaf::{Leaf, Operand};

/// Multiply–adds in a leaf, at most: some 30 µs on one core. Smaller ones would pay for being handed out; larger ones
/// leave a thread idle at the end. A large product has 64 leaves, each large enough to pay for packing.
const LEAF: usize = 1 << 20;
/// Rows of `C` in a leaf, at most: whole tiles of 6 and of 8 rows; their share of `A` stays in the second-level cache, and
/// a panel of `B` that is in the first-level cache serves 18 strips or more.
const ROWS: usize = 144;

/// `C = A · B` or `C += A · B`, for `A` of shape `[m, k]`, `B` of `[k, n]` and `C` of `[m, n]`.
///
/// Any strides will do; operands that are contiguous, by rows or by columns, are not copied.
///
/// # Panics
/// If the shapes do not fit.
pub fn gemm<T: Real>(a: View<T>, b: View<T>, write: Write, c: ViewMut<T>) {
    product(isa(), a, b, write, None, c);
}

/// `C = f(A · B + bias)`: a layer. `bias` has one number per column of `C`. The sum is finished while it is in the
/// cache, which saves a pass over `C`.
///
/// # Panics
/// If the shapes do not fit.
pub fn gemm_bias<T: Real>(a: View<T>, b: View<T>, bias: &[T], f: Activation, c: ViewMut<T>) {
    assert_eq!(bias.len(), c.ncols(), "gemm: one bias per column");
    product(isa(), a, b, Write::Set, Some((bias, f)), c);
}

fn isa() -> Isa {
    Isa::choose().unwrap_or_else(|problem| panic!("{problem}"))
}

/// Brings the operands into a form that leaves can work with, and cuts.
fn product<T: Real>(isa: Isa, a: View<T>, b: View<T>, write: Write, finish: Option<(&[T], Activation)>, c: ViewMut<T>) {
    let ((m, k), n) = (a.dim(), b.ncols());
    assert!(b.nrows() == k && c.dim() == (m, n), "gemm: {:?} · {:?} into {:?}", a.dim(), b.dim(), c.dim());
    if m == 0 || n == 0 {
        return;
    }
    if k == 0 || !c.is_standard_layout() {
        return odd(isa, a, b, write, finish, c);
    }
    let (mut copy_a, mut copy_b) = (None, None);
    let (a, b) = (operand(a, &mut copy_a), operand(b, &mut copy_b));
    let cut = Cut { isa, fresh: write == Write::Set, leaf: LEAF.max(m * n * k / 64) };
    cut.run([m, n, k], a, b, finish, c);
}

/// The rare cases: no terms at all, or a result whose rows are not contiguous.
fn odd<T: Real>(isa: Isa, a: View<T>, b: View<T>, write: Write, finish: Option<(&[T], Activation)>, mut c: ViewMut<T>) {
    let mut sums = Array2::zeros(c.dim());
    if !b.is_empty() {
        product(isa, a, b, Write::Set, None, sums.view_mut());
    }
    match write {
        Write::Set => c.assign(&sums),
        Write::Add => c.scaled_add(T::one(), &sums),
    }
    if let Some((bias, f)) = finish {
        for mut row in c.rows_mut() {
            row.iter_mut().zip(bias).for_each(|(c, &bias)| *c = f.f(*c + bias));
        }
    }
}

/// The operand as it lies in memory, or a copy of it if neither its rows nor its columns are contiguous.
fn operand<'a, T: Real>(x: View<'a, T>, copy: &'a mut Option<Array2<T>>) -> Operand<'a, T> {
    let (rows, columns) = x.dim();
    if let Some(data) = x.to_slice() {
        return Operand { data, row: columns, column: 1 };
    }
    if let Some(data) = x.reversed_axes().to_slice() {
        return Operand { data, row: 1, column: rows };
    }
    let copy = copy.insert(x.as_standard_layout().into_owned());
    Operand { data: copy.as_slice().expect("just made so"), row: columns, column: 1 }
}

/// How a product is cut into leaves. It depends on the shape and the instruction set, not on the number of threads.
#[derive(Clone, Copy)]
struct Cut {
    isa: Isa,
    fresh: bool,
    /// Multiply–adds in a leaf, at most.
    leaf: usize,
}

impl Cut {
    /// `a · b`, for `m × n` sums of `k` terms.
    fn run<T: Real>(
        self,
        [m, n, k]: [usize; 3],
        a: Operand<T>,
        b: Operand<T>,
        finish: Option<(&[T], Activation)>,
        mut c: ViewMut<T>,
    ) {
        // Halves, in whole leaves or tiles.
        let half = |n: usize, unit: usize| (n / 2).next_multiple_of(unit);
        let columns = T::columns(self.isa);
        if m > ROWS {
            let half = half(m, ROWS);
            let (c1, c2) = c.split_at(Axis(0), half);
            rayon::join(
                || self.run([half, n, k], a, b, finish, c1),
                || self.run([m - half, n, k], a.from(half, 0), b, finish, c2),
            );
        } else if m * n * k > self.leaf && n > columns {
            let half = half(n, columns);
            let (c1, c2) = c.split_at(Axis(1), half);
            let bias = |range: std::ops::Range<usize>| finish.map(|(bias, f)| (&bias[range], f));
            rayon::join(
                || self.run([m, half, k], a, b, bias(0..half), c1),
                || self.run([m, n - half, k], a, b.from(0, half), bias(half..n), c2),
            );
        } else {
            let mut rows = c.rows_mut().into_iter();
            let mut next = || rows.next().and_then(|row| row.into_slice()).unwrap_or_default();
            let mut rows: [&mut [T]; ROWS] = std::array::from_fn(|_| next());
            T::leaf(self.isa, Leaf { size: [m, n, k], a, b, c: &mut rows[..m], fresh: self.fresh, finish });
        }
    }
}

/// The definition: `cᵢⱼ = Σₖ aᵢₖ bₖⱼ`. What [`gemm`] is tested against.
pub fn naive<T: Real>(a: View<T>, b: View<T>, write: Write, mut c: ViewMut<T>) {
    for ((i, j), c) in c.indexed_iter_mut() {
        let dot = (0..a.ncols()).map(|k| a[[i, k]] * b[[k, j]]).sum();
        *c = if write == Write::Set { dot } else { *c + dot };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::Array2;
    use proptest::prelude::*;

    fn matrix<T: Real>(rows: usize, columns: usize, seed: usize) -> Array2<T> {
        let number = |(i, j)| ((i * 31 + j * 17 + seed * 7) % 23) as f64 - 11.0;
        Array2::from_shape_fn((rows, columns), |place| T::of(number(place)))
    }

    /// Small integers multiply and add exactly, so the comparison is exact in any order.
    fn agrees<T: Real>([m, k, n]: [usize; 3], [transpose_a, transpose_b, transpose_c]: [bool; 3]) {
        let (a, b) = (if transpose_a { matrix(k, m, 1) } else { matrix::<T>(m, k, 1) }, matrix::<T>(k, n, 2));
        let a = if transpose_a { a.t() } else { a.view() };
        let bt = b.t().as_standard_layout().into_owned();
        let b = if transpose_b { bt.t() } else { b.view() };
        let bias: Vec<T> = (0..n).map(|j| T::of(j as f64)).collect();
        for isa in Isa::available() {
            for write in [Write::Set, Write::Add] {
                for finish in [None, Some((&bias[..], Activation::Relu))] {
                    let before = match write {
                        Write::Set => Array2::from_elem((m, n), T::nan()),
                        Write::Add => matrix(m, n, 3),
                    };
                    let mut expected = before.clone();
                    naive(a, b, write, expected.view_mut());
                    if let Some((bias, f)) = finish {
                        expected.indexed_iter_mut().for_each(|((_, j), c)| *c = f.f(*c + bias[j]));
                    }
                    let mut rows = before.clone();
                    let mut columns = before.t().as_standard_layout().into_owned();
                    let ours = if transpose_c { columns.view_mut().reversed_axes() } else { rows.view_mut() };
                    product(isa, a, b, write, finish, ours);
                    let ours = if transpose_c { columns.t() } else { rows.view() };
                    assert_eq!(ours, expected, "{isa}: {m}×{k} · {k}×{n}, {write:?}");
                }
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn agrees_with_the_definition_on_any_shape(m in 0usize..40, k in 0usize..40, n in 0usize..70, t: [bool; 3]) {
            agrees::<f32>([m, k, n], t);
            agrees::<f64>([m, k, n], t);
        }
    }

    #[test]
    fn agrees_with_the_definition_where_it_is_cut_in_leaves_and_blocks() {
        for t in [[false; 3], [true, false, false], [false, true, false], [true, true, false]] {
            agrees::<f32>([130, 350, 150], t);
            agrees::<f32>([300, 40, 130], t);
        }
        // Rows a multiple of 1 KB apart, and enough columns that A is packed.
        agrees::<f32>([70, 512, 300], [false; 3]);
        agrees::<f32>([512, 33, 260], [true, false, false]);
        // One and two rows: nothing is packed.
        agrees::<f32>([1, 400, 300], [false; 3]);
        agrees::<f64>([2, 400, 300], [true, false, false]);
    }

    #[test]
    fn operands_with_any_strides_will_do() {
        let (wide, tall) = (matrix::<f64>(10, 40, 1), matrix::<f64>(60, 30, 2));
        let a = wide.slice(ndarray::s![..;2, 5..35;3]);
        let b = tall.slice(ndarray::s![50..;-1, ..;2]).slice(ndarray::s![..10, ..]).to_owned();
        let b = b.slice(ndarray::s![..;-1, ..]);
        let (mut ours, mut expected) = (Array2::zeros((5, 15)), Array2::zeros((5, 15)));
        gemm(a, b, Write::Set, ours.view_mut());
        naive(a, b, Write::Set, expected.view_mut());
        assert_eq!(ours, expected);
    }

    /// What a product of numbers that do round looks like, for a number of threads and an instruction set.
    fn bits(isa: Isa, threads: usize, transpose_b: bool) -> Vec<u32> {
        let (a, b) = (matrix::<f32>(130, 350, 5) / 3.0, matrix::<f32>(350, 150, 6) / 7.0);
        let bt = b.t().as_standard_layout().into_owned();
        let b = if transpose_b { bt.t() } else { b.view() };
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let mut c = Array2::zeros((130, 150));
        pool.install(|| product(isa, a.view(), b, Write::Set, None, c.view_mut()));
        c.iter().map(|c: &f32| c.to_bits()).collect()
    }

    #[test]
    fn the_bits_depend_neither_on_threads_nor_on_the_instruction_set_nor_on_the_layout() {
        let expected = bits(Isa::available()[0], 1, false);
        for isa in Isa::available() {
            for (threads, transpose_b) in [(1, false), (2, true), (3, false), (16, true)] {
                assert!(bits(isa, threads, transpose_b) == expected, "{isa}, {threads} threads");
            }
        }
    }
}
