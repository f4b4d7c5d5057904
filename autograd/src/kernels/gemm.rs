//! The one product of matrices. A transposed operand is only a view with other strides, so the forward pass, `dx` and
//! `dw` are the same function.

use ndarray::Axis;
use ndarray::linalg::general_mat_mul;

use super::Write;
use crate::matrix::{View, ViewMut};
use crate::real::Real;

/// Multiply–adds below which a product is not divided further. Each piece packs its operands anew, so pieces much
/// smaller than this lose more than a second thread gains.
const PIECE: usize = 1 << 24;
/// Nor is a side cut to less than this: the widest register tiles are 48 wide.
const SIDE: usize = 96;

/// `C = A · B` or `C += A · B`, for `A` of shape `[m, k]`, `B` of `[k, n]` and `C` of `[m, n]`, with any strides.
///
/// Large products are halved along the longer side of `C` until the pieces are small, and the pieces are computed
/// in parallel. Where to cut depends on the shape alone, so the result does not depend on the number of threads.
///
/// # Panics
/// If the shapes do not fit.
pub fn gemm<T: Real>(a: View<T>, b: View<T>, write: Write, c: ViewMut<T>) {
    let ((m, k), n) = (a.dim(), b.ncols());
    assert!(b.nrows() == k && c.dim() == (m, n), "gemm: {:?} · {:?} into {:?}", a.dim(), b.dim(), c.dim());

    if m * n * k <= PIECE || m.max(n) < 2 * SIDE {
        serial(a, b, write, c);
    } else if m > n {
        let (a1, a2) = a.split_at(Axis(0), m / 2);
        let (c1, c2) = c.split_at(Axis(0), m / 2);
        rayon::join(|| gemm(a1, b, write, c1), || gemm(a2, b, write, c2));
    } else {
        // A cut at a multiple of 16 columns leaves whole registers on its left.
        let half = (n / 2).next_multiple_of(16);
        let (b1, b2) = b.split_at(Axis(1), half);
        let (c1, c2) = c.split_at(Axis(1), half);
        rayon::join(|| gemm(a, b1, write, c1), || gemm(a, b2, write, c2));
    }
}

fn serial<T: Real>(a: View<T>, b: View<T>, write: Write, mut c: ViewMut<T>) {
    let keep = match write {
        Write::Set => T::zero(),
        Write::Add => T::one(),
    };
    general_mat_mul(T::one(), &a, &b, keep, &mut c);
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

    fn matrix(rows: usize, columns: usize, seed: usize) -> Array2<f64> {
        Array2::from_shape_fn((rows, columns), |(i, j)| ((i * 31 + j * 17 + seed * 7) % 23) as f64 - 11.0)
    }

    /// Small integers multiply and add exactly, so the comparison is exact in any order.
    fn agrees([m, k, n]: [usize; 3], [transpose_a, transpose_b]: [bool; 2]) {
        let (a, b) = (if transpose_a { matrix(k, m, 1) } else { matrix(m, k, 1) }, matrix(k, n, 2));
        let a = if transpose_a { a.t() } else { a.view() };
        let bt = b.t().as_standard_layout().into_owned();
        let b = if transpose_b { bt.t() } else { b.view() };
        for write in [Write::Set, Write::Add] {
            let mut ours = if write == Write::Set { Array2::from_elem((m, n), f64::NAN) } else { matrix(m, n, 3) };
            let mut expected = ours.clone();
            gemm(a, b, write, ours.view_mut());
            naive(a, b, write, expected.view_mut());
            assert_eq!(ours, expected, "{m}×{k} · {k}×{n}, {write:?}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn agrees_with_the_definition_on_any_shape(m in 0usize..40, k in 0usize..40, n in 0usize..40, t: [bool; 2]) {
            agrees([m, k, n], t);
        }
    }

    #[test]
    fn agrees_with_the_definition_where_it_is_cut_in_pieces() {
        agrees([128, 784, 400], [false, false]);
        agrees([784, 128, 400], [true, false]);
        agrees([128, 784, 400], [false, true]);
    }

    #[test]
    fn the_bits_do_not_depend_on_the_number_of_threads() {
        let (a, b) = (matrix(128, 784, 5) / 3.0, matrix(784, 400, 6) / 7.0);
        let results = [1, 2, 3, 16].map(|threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let mut c = Array2::zeros((128, 400));
            pool.install(|| gemm(a.view(), b.view(), Write::Set, c.view_mut()));
            c
        });
        assert!(results.iter().all(|c| c == results[0]));
    }
}
