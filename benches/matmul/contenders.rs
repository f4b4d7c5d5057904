//! Everyone who computes the same product.

use std::time::Duration;

use autograd::kernels::gemm::gemm;
use autograd::kernels::{Write, ladder};
use autograd::{Buffer, Precision, View, ViewMut};
use benches::{Family, Layout, Problem};
use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};
use ndarray::linalg::general_mat_mul;

/// The operands of a product.
pub(crate) struct Operands {
    pub(crate) problem: Problem,
    pub(crate) a: Buffer<f32>,
    pub(crate) b: Buffer<f32>,
}

impl Operands {
    /// Numbers between −1 and 1 in no order.
    pub(crate) fn new(problem: Problem) -> Operands {
        let Problem { m, n, k, .. } = problem;
        let mut state = 1u32;
        let mut numbers = |len| {
            let mut numbers = Buffer::zeros(len);
            for x in numbers.iter_mut() {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                *x = (state >> 8) as f32 / (1 << 23) as f32 - 1.0;
            }
            numbers
        };
        Operands { problem, a: numbers(m * k), b: numbers(k * n) }
    }

    /// `A`, as `m × k` however it lies in memory.
    pub(crate) fn a(&self) -> View<'_> {
        let Problem { m, k, layout, .. } = self.problem;
        view(&self.a, m, k, layout == Layout::At)
    }

    /// `B`, as `k × n` however it lies in memory.
    pub(crate) fn b(&self) -> View<'_> {
        let Problem { n, k, layout, .. } = self.problem;
        view(&self.b, k, n, layout == Layout::Bt)
    }

    /// The result, by rows.
    fn c<'c>(&self, numbers: &'c mut [f32]) -> ViewMut<'c> {
        ViewMut::from_shape((self.problem.m, self.problem.n), numbers).expect("a buffer of m · n numbers")
    }
}

fn view(numbers: &[f32], rows: usize, columns: usize, by_columns: bool) -> View<'_> {
    if by_columns {
        return view(numbers, columns, rows, false).reversed_axes();
    }
    View::from_shape((rows, columns), numbers).expect("a buffer of rows · columns numbers")
}

/// A product of fixed operands, into the numbers of `C`.
pub(crate) type Product<'a> = Box<dyn Fn(&mut [f32]) + 'a>;

/// One who computes `C = A · B`.
pub(crate) struct Contender<'a> {
    pub(crate) name: String,
    pub(crate) family: Family,
    /// Overwrites `C`, which may have been anything.
    pub(crate) product: Product<'a>,
    /// See [`benches::Runner`].
    pub(crate) rest: Duration,
}

impl<'a> Contender<'a> {
    pub(crate) fn new(name: &str, family: Family, product: impl Fn(&mut [f32]) + 'a) -> Contender<'a> {
        Contender { name: name.into(), family, product: Box::new(product), rest: Duration::ZERO }
    }
}

/// Our own: on one thread of a small square, the lower rungs of the ladder first.
pub(crate) fn ours(operands: &Operands, threads: usize) -> Vec<Contender<'_>> {
    let mut all = Vec::new();
    if threads == 1 && operands.problem.has_rungs() {
        let [lower @ .., _packed, _parallel] = ladder::rungs::<f32>();
        for rung in lower {
            let product = move |c: &mut [f32]| (rung.product)(operands.a(), operands.b(), operands.c(c));
            all.push(Contender::new(rung.name, Family::Rung, product));
        }
    }
    // The upper two are this, on one thread and on all.
    let product = |c: &mut [f32]| gemm(operands.a(), operands.b(), Precision::Single, Write::Set, operands.c(c));
    all.push(Contender::new("ours", Family::Ours, product));
    all
}

/// The other libraries in Rust. `ndarray` calls `matrixmultiply`, which takes its threads from the environment.
pub(crate) fn rust(operands: &Operands, threads: usize) -> Vec<Contender<'_>> {
    let Problem { m, n, k, layout, .. } = operands.problem;
    let ndarray = |c: &mut [f32]| general_mat_mul(1.0, &operands.a(), &operands.b(), 0.0, &mut operands.c(c));
    let faer = move |c: &mut [f32]| {
        let matrix = |numbers, rows, columns, by_columns| match by_columns {
            true => MatRef::from_column_major_slice(numbers, rows, columns),
            false => MatRef::from_row_major_slice(numbers, rows, columns),
        };
        let a = matrix(&operands.a[..], m, k, layout == Layout::At);
        let b = matrix(&operands.b[..], k, n, layout == Layout::Bt);
        let threads = if threads == 1 { Par::Seq } else { Par::rayon(threads) };
        matmul(MatMut::from_row_major_slice_mut(c, m, n), Accum::Replace, a, b, 1.0, threads);
    };
    vec![
        Contender::new("ndarray", Family::Rust, ndarray),
        Contender::new("gemm", Family::Rust, move |c| gemm_crate(operands, threads, c)),
        Contender::new("faer", Family::Rust, faer),
    ]
}

#[allow(unsafe_code, reason = "the crate has no other interface")]
fn gemm_crate(operands: &Operands, threads: usize, c: &mut [f32]) {
    let Problem { m, n, k, .. } = operands.problem;
    let (a, b, mut c) = (operands.a(), operands.b(), operands.c(c));
    let (&[a_row, a_column], &[b_row, b_column]) = (a.strides(), b.strides()) else { unreachable!("matrices") };
    let &[c_row, c_column] = c.strides() else { unreachable!("a matrix") };
    let threads = if threads == 1 { ::gemm::Parallelism::None } else { ::gemm::Parallelism::Rayon(threads) };
    // SAFETY: shapes and strides are those of views of the same numbers, and C is borrowed mutably.
    unsafe {
        ::gemm::gemm(
            m,
            n,
            k,
            c.as_mut_ptr(),
            c_column,
            c_row,
            false,
            a.as_ptr(),
            a_column,
            a_row,
            b.as_ptr(),
            b_column,
            b_row,
            0.0,
            1.0,
            false,
            false,
            false,
            threads,
        );
    }
}

/// The largest difference between two results, as a share of the largest number; infinite if one has no number somewhere.
pub(crate) fn difference(ours: &[f32], theirs: &[f32]) -> f32 {
    let largest = ours.iter().fold(f32::MIN_POSITIVE, |largest, x| largest.max(x.abs()));
    let apart = ours.iter().zip(theirs).map(|(x, y)| (x - y).abs() / largest);
    apart.fold(0.0, |most, x| if x.is_nan() { f32::INFINITY } else { most.max(x) })
}
