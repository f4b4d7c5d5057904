//! The product of matrices as a ladder: six programs with one signature, each faster than the one before, and each for
//! one reason. `cargo bench --bench matmul -- --ladder ladder.svg` measures the rungs and draws them.
//!
//! All of them do the same `m · n · k` multiplications. What differs is where their operands come from: on a CPU, a
//! multiply–add costs next to nothing, and fetching what it multiplies costs nearly everything.

use ndarray::{Axis, Zip, s};

use super::Write;
use super::gemm::{self, gemm, gemm_in_place};
use super::parallel::alone;
use crate::matrix::{View, ViewMut};
use crate::{Precision, Real};

/// One way to compute `C = A · B`.
///
/// # Panics
/// If the shapes do not fit.
pub type Product<T> = fn(View<T>, View<T>, ViewMut<T>);

/// A rung of the ladder.
pub struct Rung<T> {
    /// What it is called in tables and charts.
    pub name: &'static str,
    /// Why it is faster than the rung below.
    pub why: &'static str,
    /// The program.
    pub product: Product<T>,
    /// Whether it uses every thread of the pool it is called in.
    pub parallel: bool,
}

/// The ladder, from the bottom up.
pub fn rungs<T: Real>() -> [Rung<T>; 6] {
    let serial = |name, why, product| Rung { name, why, product, parallel: false };
    [
        serial("naive", "the definition, and nothing else", naive),
        serial("loop order", "the innermost loop runs along rows, so memory is read in the order it lies", loop_order),
        serial(
            "blocked",
            "a block of B stays in the cache for every row of A, and four of its rows share each access to C",
            blocked,
        ),
        serial("tiles + SIMD", "sums stay in registers, and an instruction adds to a whole register of them", tiles),
        serial("packed", "what a tile reads lies in the order of reading", packed),
        Rung { parallel: true, ..serial("parallel", "pieces of C are computed on all cores at once", parallel) },
    ]
}

/// The definition, as it is written down: `cᵢⱼ = Σₖ aᵢₖ bₖⱼ`.
///
/// The innermost loop runs down a column of `B`. Memory comes in lines of 64 bytes, and each step uses 4 bytes of
/// another line. And it is one sum, whose every addition must wait for the last: the CPU could do a dozen or more
/// meanwhile.
pub fn naive<T: Real>(a: View<T>, b: View<T>, c: ViewMut<T>) {
    check(&a, &b, &c);
    gemm::naive(a, b, Write::Set, c);
}

/// The same three loops with the two inner ones exchanged: `cᵢ += aᵢₖ · bₖ`, for whole rows of `C` and `B`.
///
/// Now the innermost loop runs along rows: all of a line of memory is used, the CPU sees what comes next and fetches it
/// early, and the additions do not wait for each other. The compiler even makes a loop over registers of it, as
/// small as the oldest CPU of the kind has them.
pub fn loop_order<T: Real>(a: View<T>, b: View<T>, mut c: ViewMut<T>) {
    check(&a, &b, &c);
    c.fill(T::zero());
    add_rows(a, b, c);
}

/// Rows and columns of a block of `B`: 256 KB in `f32`, which stay in the second-level cache, and a piece of a row of `C`
/// is 2 KB, which stays in the first.
const BLOCK: [usize; 2] = [128, 512];

/// As [`loop_order`], but block by block of `B`, and four rows of a block at a time.
///
/// There, all of `B` passes by once for every row of `A`, and comes from wherever it fits; here, a block is fetched once
/// and serves every row. And there, every multiply–add reads an element of `C` and writes it back; here, four share that.
pub fn blocked<T: Real>(a: View<T>, b: View<T>, mut c: ViewMut<T>) {
    check(&a, &b, &c);
    c.fill(T::zero());
    let [rows, columns] = BLOCK;
    for (a, b) in a.axis_chunks_iter(Axis(1), rows).zip(b.axis_chunks_iter(Axis(0), rows)) {
        for (b, c) in b.axis_chunks_iter(Axis(1), columns).zip(c.axis_chunks_iter_mut(Axis(1), columns)) {
            add_four_rows_at_a_time(a, b, c);
        }
    }
}

/// Our micro-kernel, with both operands as they lie in memory.
///
/// Carried to its end, the idea of the last rung: a tile of `C` stays in registers while the whole sum runs, so that each
/// number that is loaded serves many multiply–adds; and each instruction does 4 to 16 of them, as the CPU can.
pub fn tiles<T: Real>(a: View<T>, b: View<T>, c: ViewMut<T>) {
    check(&a, &b, &c);
    alone(|| gemm_in_place(a, b, c));
}

/// Our [`gemm()`] on one thread.
///
/// There, a step of a tile reads from as many rows as it is high, and each row of `B` lies in another page. Here both operands are
/// first packed, that is, copied together in the order of reading, wherever each number is read often enough (on CPUs with AVX-512,
/// larger products than this one). What packing leaves out – steps at which `A` is zero – shows only with images:
/// `cargo bench --bench zeros`.
pub fn packed<T: Real>(a: View<T>, b: View<T>, c: ViewMut<T>) {
    alone(|| gemm(a, b, Precision::Single, Write::Set, c));
}

/// Our [`gemm()`] as it is called everywhere else: cut into pieces, which all threads of the pool share.
pub fn parallel<T: Real>(a: View<T>, b: View<T>, c: ViewMut<T>) {
    gemm(a, b, Precision::Single, Write::Set, c);
}

/// `C += A · B`, row by row.
fn add_rows<T: Real>(a: View<T>, b: View<T>, mut c: ViewMut<T>) {
    for (i, mut c) in c.rows_mut().into_iter().enumerate() {
        for (k, b) in b.rows().into_iter().enumerate() {
            c.scaled_add(a[[i, k]], &b);
        }
    }
}

/// As [`add_rows`].
fn add_four_rows_at_a_time<T: Real>(a: View<T>, b: View<T>, mut c: ViewMut<T>) {
    let whole = b.nrows() / 4 * 4;
    for (i, mut c) in c.rows_mut().into_iter().enumerate() {
        for k in (0..whole).step_by(4) {
            let [a0, a1, a2, a3] = [0, 1, 2, 3].map(|d| a[[i, k + d]]);
            let [b0, b1, b2, b3] = [0, 1, 2, 3].map(|d| b.row(k + d));
            Zip::from(&mut c).and(b0).and(b1).and(b2).and(b3).for_each(|c, &b0, &b1, &b2, &b3| {
                *c = *c + a0 * b0 + a1 * b1 + a2 * b2 + a3 * b3;
            });
        }
    }
    add_rows(a.slice_move(s![.., whole..]), b.slice_move(s![whole.., ..]), c);
}

fn check<T>(a: &View<T>, b: &View<T>, c: &ViewMut<T>) {
    let fits = a.ncols() == b.nrows() && c.dim() == (a.nrows(), b.ncols());
    assert!(fits, "product: {:?} · {:?} into {:?}", a.dim(), b.dim(), c.dim());
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::Array2;

    /// Small integers: they multiply and add exactly, in any order.
    fn matrix<T: Real>(shape: (usize, usize), seed: usize) -> Array2<T> {
        Array2::from_shape_fn(shape, |(i, j)| T::of(((i * 31 + j * 17 + seed * 7) % 23) as f64 - 11.0))
    }

    fn every_rung_agrees<T: Real>() {
        let blocks = [5, 2 * BLOCK[0] + 3, BLOCK[1] + 7];
        for [m, k, n] in [[1, 1, 1], [7, 5, 3], [1, 70, 33], [33, 70, 1], [0, 4, 3], [4, 0, 3], [4, 3, 0], blocks] {
            let (a, b) = (matrix::<T>((m, k), 1), matrix::<T>((k, n), 2));
            let mut expected = Array2::zeros((m, n));
            naive(a.view(), b.view(), expected.view_mut());
            let by_columns = |x: &Array2<T>| x.t().as_standard_layout().into_owned();
            let (at, bt) = (by_columns(&a), by_columns(&b));
            for rung in rungs::<T>() {
                for (a, b) in [(a.view(), b.view()), (at.t(), b.view()), (a.view(), bt.t()), (at.t(), bt.t())] {
                    let mut c = Array2::from_elem((m, n), T::nan());
                    (rung.product)(a, b, c.view_mut());
                    assert_eq!(c, expected, "{}: {m}×{k} · {k}×{n}", rung.name);
                }
                // Every other row and column of something larger, and a result that is stored by columns.
                let (wide_a, wide_b) = (matrix::<T>((2 * m, 2 * k), 1), matrix::<T>((2 * k, 2 * n), 2));
                let (a, b) = (wide_a.slice(s![..;2, ..;2]), wide_b.slice(s![..;2, ..;2]));
                let (mut expected, mut c) = (Array2::zeros((m, n)), Array2::zeros((n, m)));
                naive(a, b, expected.view_mut());
                (rung.product)(a, b, c.view_mut().reversed_axes());
                assert_eq!(c.t(), expected, "{}: {m}×{k} · {k}×{n}, strided", rung.name);
            }
        }
    }

    #[test]
    fn every_rung_agrees_with_the_definition_on_any_shape_and_layout() {
        every_rung_agrees::<f32>();
        every_rung_agrees::<f64>();
    }

    #[test]
    fn every_rung_refuses_shapes_that_do_not_fit() {
        for rung in rungs::<f32>() {
            let (a, b, mut c) = (matrix((2, 3), 1), matrix((4, 2), 2), Array2::zeros((2, 2)));
            let product = std::panic::AssertUnwindSafe(|| (rung.product)(a.view(), b.view(), c.view_mut()));
            assert!(std::panic::catch_unwind(product).is_err(), "{}", rung.name);
        }
    }
}
