//! The one product of matrices. A transposed operand is only a view with other strides, so the forward pass, `dx` and
//! `dw` are one function, at one speed.
//!
//! From the outside: here it is taken as it comes; `plan.rs` has the rules by which it is computed, `loops.rs` the loops that cut it
//! into pieces for threads and caches, `pack.rs` copies what is read again and again into streams, and the micro-kernel
//! (`simd/tile.rs`) keeps a few rows and columns of `C` in registers while `k` runs. `thin.rs` does without all of this where
//! nothing is read twice. Every element of `C` is one chain of fused multiply–adds in the order of `k`. So the result has the same
//! bits for any cut, any tile, any instruction set, and any number of threads.

mod loops;
mod pack;
mod plan;
mod thin;

use ndarray::Array2;

use super::Write;
use super::simd::{Isa, Operand};
use crate::matrix::{View, ViewMut};
use crate::{Activation, Precision, Real};
use loops::{Finish, Part};
pub use loops::{Kernel, Product};
use plan::{Plan, Tiles};
use thin::Thin;

/// `C = A · B` or `C += A · B`, for `A` of shape `[m, k]`, `B` of `[k, n]` and `C` of `[m, n]`.
///
/// Any strides will do; operands that are contiguous neither by rows nor by columns are copied first. With
/// [`Precision::Bf16`] operands are rounded to bfloat16; their products, which are then exact in `f32`, are summed as any
/// others.
///
/// Where several rows of `A` are zero at the same step of `k`, that term is left out, which changes no bit as long as `B` is
/// finite; `0 · ∞` may then be missing from a sum.
///
/// # Panics
/// If the shapes do not fit.
pub fn gemm<T: Real>(a: View<T>, b: View<T>, precision: Precision, write: Write, c: ViewMut<T>) {
    T::product(Task { precision, ..Task::new(a, b, write) }, c);
}

/// `C = f(A · B + bias)`: a layer. `bias` has one number per column of `C`. The sum is finished while it is in the
/// cache, which saves a pass over `C`.
///
/// # Panics
/// If the shapes do not fit.
pub fn gemm_bias<T: Real>(a: View<T>, b: View<T>, precision: Precision, bias: &[T], f: Activation, c: ViewMut<T>) {
    assert_eq!(bias.len(), c.ncols(), "gemm: one bias per column");
    T::product(Task { precision, finish: Some((bias, f)), ..Task::new(a, b, Write::Set) }, c);
}

/// `C = A · B` with nothing packed but what has to be turned: what packing gains is the difference to [`gemm`].
///
/// # Panics
/// If the shapes do not fit.
pub fn gemm_in_place<T: Real>(a: View<T>, b: View<T>, c: ViewMut<T>) {
    T::product(Task { in_place: true, ..Task::new(a, b, Write::Set) }, c);
}

/// A product as it comes.
#[doc(hidden)]
#[derive(Clone, Copy)]
pub struct Task<'a, T> {
    isa: Isa,
    tiles: Tiles,
    precision: Precision,
    a: View<'a, T>,
    b: View<'a, T>,
    write: Write,
    finish: Finish<'a, T>,
    /// Whether nothing is packed that need not be.
    in_place: bool,
}

impl<'a, T: Real> Task<'a, T> {
    fn new(a: View<'a, T>, b: View<'a, T>, write: Write) -> Self {
        let isa = Isa::choose().unwrap_or_else(|problem| panic!("{problem}"));
        let tiles = Tiles::of::<T>(isa);
        Task { isa, tiles, precision: Precision::Single, a, b, write, finish: None, in_place: false }
    }

    /// Chooses how it is computed.
    fn product(self, c: ViewMut<T>) {
        let Task { isa, tiles, precision, a, b, write, finish, in_place } = self;
        let ((m, k), n) = (a.dim(), b.ncols());
        assert!(b.nrows() == k && c.dim() == (m, n), "gemm: {:?} · {:?} into {:?}", a.dim(), b.dim(), c.dim());
        if m == 0 || n == 0 {
            return;
        }
        if k == 0 || !c.is_standard_layout() {
            return self.odd(c);
        }
        let (mut copy_a, mut copy_b) = (None, None);
        let (a, b) = (operand(a, &mut copy_a), operand(b, &mut copy_b));
        let size = [m, n, k];
        // What is rounded is a copy: the packed one.
        if precision == Precision::Single && !in_place && thin::is_thin(size, b.column == 1) {
            return Thin { isa, size, a, b, write, finish }.share(c);
        }
        let mut plan = Plan::new(isa, tiles, precision, size, a, b);
        if in_place {
            plan = Plan { flip: false, pack_a: false, pack_b: b.column != 1, ..plan };
        }
        let (size, a, b) = if plan.flip { ([n, m, k], b.transposed(), a.transposed()) } else { (size, a, b) };
        Part { plan: &plan, size, a, packed_a: None, b, write, finish }.run(c);
    }

    /// The rare cases: no terms at all, or a result whose rows are not contiguous.
    fn odd(self, mut c: ViewMut<T>) {
        let mut sums = Array2::zeros(c.dim());
        if !self.b.is_empty() {
            Task { write: Write::Set, finish: None, ..self }.product(sums.view_mut());
        }
        match self.write {
            Write::Set => c.assign(&sums),
            Write::Add => c.scaled_add(T::one(), &sums),
        }
        if let Some((bias, f)) = self.finish {
            for mut row in c.rows_mut() {
                row.iter_mut().zip(bias).for_each(|(c, &bias)| *c = f.f(*c + bias));
            }
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
    use crate::kernels::parallel::{PerThread, map};
    use ndarray::Array2;
    use proptest::prelude::*;

    fn product<T: Real>(
        (isa, tiles): (Isa, Tiles),
        a: View<T>,
        b: View<T>,
        precision: Precision,
        write: Write,
        finish: Finish<T>,
        c: ViewMut<T>,
    ) {
        T::product(Task { isa, tiles, precision, finish, ..Task::new(a, b, write) }, c);
    }

    fn matrix<T: Real>(rows: usize, columns: usize, seed: usize) -> Array2<T> {
        let number = |(i, j)| ((i * 31 + j * 17 + seed * 7) % 23) as f64 - 11.0;
        Array2::from_shape_fn((rows, columns), |place| T::of(number(place)))
    }

    /// All kinds of product that this CPU computes, also by the rules of other CPUs.
    fn kinds() -> impl Iterator<Item = (Isa, Tiles, Precision)> {
        let kinds = [Tiles::Narrow, Tiles::Wide].map(|tiles| Precision::ALL.map(|precision| (tiles, precision)));
        let all = move |isa| kinds.into_iter().flatten().map(move |(tiles, precision)| (isa, tiles, precision));
        Isa::available().into_iter().flat_map(all)
    }

    /// Small integers are bfloat16, and multiply and add exactly, so the comparison is exact in any order.
    fn agrees<T: Real>([m, k, n]: [usize; 3], [transpose_a, transpose_b, transpose_c]: [bool; 3]) {
        let (a, b) = (if transpose_a { matrix(k, m, 1) } else { matrix::<T>(m, k, 1) }, matrix::<T>(k, n, 2));
        let a = if transpose_a { a.t() } else { a.view() };
        let bt = b.t().as_standard_layout().into_owned();
        let b = if transpose_b { bt.t() } else { b.view() };
        let bias: Vec<T> = (0..n).map(|j| T::of(j as f64)).collect();
        for write in [Write::Set, Write::Add] {
            let before = match write {
                Write::Set => Array2::from_elem((m, n), T::nan()),
                Write::Add => matrix(m, n, 3),
            };
            let mut sums = before.clone();
            naive(a, b, write, sums.view_mut());
            for finish in [None, Some((&bias[..], Activation::Relu))] {
                let mut expected = sums.clone();
                if let Some((bias, f)) = finish {
                    expected.indexed_iter_mut().for_each(|((_, j), c)| *c = f.f(*c + bias[j]));
                }
                for (isa, tiles, precision) in kinds() {
                    let mut rows = before.clone();
                    let mut columns = before.t().as_standard_layout().into_owned();
                    let ours = if transpose_c { columns.view_mut().reversed_axes() } else { rows.view_mut() };
                    product((isa, tiles), a, b, precision, write, finish, ours);
                    let ours = if transpose_c { columns.t() } else { rows.view() };
                    assert_eq!(ours, expected, "{isa} {tiles:?} {precision}: {m}×{k} · {k}×{n}, {write:?}");
                }
            }
        }
    }

    proptest! {
        #![proptest_config(cases(48))]
        #[test]
        fn agrees_with_the_definition_on_any_shape(m in 0usize..40, k in 0usize..40, n in 0usize..70, t: [bool; 3]) {
            agrees::<f32>([m, k, n], t);
            agrees::<f64>([m, k, n], t);
        }
    }

    #[test]
    fn agrees_with_the_definition_where_it_is_cut_in_pieces_and_blocks() {
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
        gemm(a, b, Precision::Single, Write::Set, ours.view_mut());
        naive(a, b, Write::Set, expected.view_mut());
        assert_eq!(ours, expected);
    }

    /// What a product of numbers that do round looks like, for a number of threads and an instruction set.
    fn bits((isa, tiles, precision): (Isa, Tiles, Precision), threads: usize, transpose_b: bool) -> Vec<u32> {
        let (a, b) = (matrix::<f32>(130, 350, 5) / 3.0, matrix::<f32>(350, 150, 6) / 7.0);
        let bt = b.t().as_standard_layout().into_owned();
        let b = if transpose_b { bt.t() } else { b.view() };
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let mut c = Array2::zeros((130, 150));
        pool.install(|| product((isa, tiles), a.view(), b, precision, Write::Set, None, c.view_mut()));
        c.iter().map(|c: &f32| c.to_bits()).collect()
    }

    #[test]
    fn the_bits_depend_neither_on_threads_nor_on_the_instruction_set_nor_on_the_layout() {
        for precision in Precision::ALL {
            let expected = bits((Isa::available()[0], Tiles::Narrow, precision), 1, false);
            for kind in kinds().filter(|kind| kind.2 == precision) {
                for (threads, transpose_b) in [(1, false), (2, true), (3, false), (16, true)] {
                    assert!(bits(kind, threads, transpose_b) == expected, "{kind:?}, {threads} threads");
                }
            }
        }
    }

    /// So many cases of a property, or fewer where `PROPTEST_CASES` says so: `.ci/emulate` does.
    fn cases(most: u32) -> ProptestConfig {
        ProptestConfig::with_cases(ProptestConfig::default().cases.min(most))
    }

    /// The chain of fused multiply–adds that is promised for each element of `C`, with no term left out.
    fn chains<T: Real>(a: View<T>, b: View<T>, mut c: ViewMut<T>) {
        for ((i, j), c) in c.indexed_iter_mut() {
            *c = (0..a.ncols()).fold(*c, |c, k| a[[i, k]].mul_add(b[[k, j]], c));
        }
    }

    /// Numbers of which so many in a hundred are another than zero, of either sign, in runs as in images; and some rows and
    /// columns without any.
    fn sparse<T: Real>(rows: usize, columns: usize, percent: u64, seed: u64) -> Array2<T> {
        let dense = random(rows, columns, seed);
        let runs = random(rows.div_ceil(3), columns.div_ceil(2), seed + 1).mapv(|x| (x.abs() * 100.0) as u64);
        Array2::from_shape_fn((rows, columns), |(i, j)| {
            let zero = runs[[i / 3, j / 2]] >= percent || percent < 100 && (i % 11 == 3 || j % 7 == 5);
            let x = dense[[i, j]];
            T::of(f64::from(if zero { 0f32.copysign(x) } else { x }))
        })
    }

    fn bits_of_zeros<T: Real>([m, k, n]: [usize; 3], transpose_a: bool, percent: u64, threads: usize) {
        let (a, b) = (sparse::<T>(m, k, percent, 1), random(k, n, 2).mapv(|x| T::of(x.into())));
        let at = a.t().as_standard_layout().into_owned();
        let before = random(m, n, 3).mapv(|x| T::of(x.into()));
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        for precision in Precision::ALL {
            let round = |x: &Array2<T>| if precision == Precision::Bf16 { x.mapv(T::to_bf16) } else { x.clone() };
            let (rounded_a, rounded_b) = (round(&a), round(&b));
            for write in [Write::Set, Write::Add] {
                let mut expected = if write == Write::Set { Array2::zeros((m, n)) } else { before.clone() };
                chains(rounded_a.view(), rounded_b.view(), expected.view_mut());
                for (isa, tiles, precision) in kinds().filter(|kind| kind.2 == precision) {
                    let mut ours = before.clone();
                    let a = if transpose_a { at.t() } else { a.view() };
                    pool.install(|| product((isa, tiles), a, b.view(), precision, write, None, ours.view_mut()));
                    // The sign of a zero counts, too.
                    let same =
                        ours.iter().zip(&expected).all(|(x, y)| x == y && x.is_sign_negative() == y.is_sign_negative());
                    assert!(same, "{isa} {tiles:?} {precision}: {m}×{k} · {k}×{n}, {percent} % not zero, {write:?}");
                }
            }
        }
    }

    proptest! {
        #![proptest_config(cases(24))]
        #[test]
        fn zeros_that_are_left_out_change_no_bit(
            m in 1usize..30, k in 1usize..300, n in 64usize..130, t: bool, percent in 0u64..=100, threads in 1usize..4
        ) {
            bits_of_zeros::<f32>([m, k, n], t, percent, threads);
            bits_of_zeros::<f64>([m, k, n], t, percent, threads);
        }
    }

    #[test]
    fn zeros_that_are_left_out_change_no_bit_where_a_product_is_cut_in_blocks() {
        for (threads, percent) in [(1, 20), (2, 40), (3, 0)] {
            bits_of_zeros::<f32>([128, 784, 100], false, percent, threads);
            bits_of_zeros::<f32>([600, 128, 70], true, percent, threads);
        }
    }

    /// A NaN is not zero: it is never left out, and neither is what it meets.
    #[test]
    fn what_is_not_finite_in_a_reaches_every_sum_that_it_is_part_of() {
        for (isa, tiles, precision) in kinds() {
            for special in [f32::NAN, f32::INFINITY] {
                let mut a = Array2::zeros((20, 300));
                a[[7, 290]] = special;
                let (b, mut c) = (random(300, 80, 1), Array2::zeros((20, 80)));
                product((isa, tiles), a.view(), b.view(), precision, Write::Set, None, c.view_mut());
                assert!(c.indexed_iter().all(|((i, _), c)| c.is_finite() == (i != 7)), "{isa} {tiles:?} {precision}");
            }
        }
    }

    /// More than 512 rows that are read in place, and as many columns of a flipped product: cut, however many threads there are.
    #[test]
    fn a_thread_that_computes_a_product_alone_is_given_nothing_else_meanwhile() {
        let (by_rows, by_columns, b) = (matrix::<f32>(700, 8, 1), matrix::<f32>(8, 700, 2), matrix::<f32>(8, 20, 3));
        for threads in [3, 16] {
            let mut busy = PerThread::<usize>::default();
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| {
                busy.make_room();
                map(
                    500,
                    || Array2::zeros((700, 20)),
                    |c, _| {
                        busy.with(|_| {
                            for a in [by_rows.view(), by_columns.t()] {
                                gemm(a, b.view(), Precision::Single, Write::Set, c.view_mut());
                            }
                        });
                    },
                );
            });
        }
    }

    /// Numbers in ±1 with all their bits, and some that are near no bfloat16.
    fn random(rows: usize, columns: usize, seed: u64) -> Array2<f32> {
        use rand::{RngExt, SeedableRng};
        let mut generator = rand::rngs::ChaCha8Rng::seed_from_u64(seed);
        Array2::from_shape_simple_fn((rows, columns), || generator.random_range(-1.0..1.0))
    }

    #[test]
    fn a_product_in_bf16_is_that_of_the_rounded_operands() {
        for (m, k, n) in [(1, 70, 90), (33, 1, 50), (13, 300, 20), (70, 301, 130)] {
            let (a, b) = (random(m, k, 1), random(k, n, 2));
            let rounded = [&a, &b].map(|x| x.mapv(Real::to_bf16));
            for (isa, tiles) in kinds().map(|kind| (kind.0, kind.1)) {
                let (mut ours, mut expected) = (Array2::zeros((m, n)), Array2::zeros((m, n)));
                product((isa, tiles), a.view(), b.view(), Precision::Bf16, Write::Set, None, ours.view_mut());
                let [a, b] = &rounded;
                product((isa, tiles), a.view(), b.view(), Precision::Single, Write::Set, None, expected.view_mut());
                assert_eq!(ours, expected, "{isa}: {m}×{k} · {k}×{n}");
            }
        }
    }

    /// The bound that [`Precision::Bf16`] states, and for the sums in `f32` a rounding of 2⁻²⁴ for each term.
    #[test]
    fn a_product_in_bf16_is_as_accurate_as_stated() {
        for (m, k, n) in [(5, 1, 64), (2, 64, 40), (64, 20, 100), (40, 784, 70)] {
            let (a, b) = (random(m, k, 3), random(k, n, 4));
            let [a64, b64] = [&a, &b].map(|x| x.mapv(f64::from));
            let (exact, size) = (a64.dot(&b64), a64.mapv(f64::abs).dot(&b64.mapv(f64::abs)));
            for (isa, tiles) in kinds().map(|kind| (kind.0, kind.1)) {
                let mut ours = Array2::zeros((m, n));
                product((isa, tiles), a.view(), b.view(), Precision::Bf16, Write::Set, None, ours.view_mut());
                for ((ours, exact), size) in ours.iter().zip(&exact).zip(&size) {
                    let error = (f64::from(*ours) - exact).abs();
                    let bound = (2f64.powi(-7) + k as f64 * 2f64.powi(-23)) * size;
                    assert!(error <= bound, "{isa}: {m}×{k} · {k}×{n}, {error} > {bound}");
                }
            }
        }
    }
}
