//! How a product is computed: which operand is packed, what runs inside of what, and where it is cut. None of it shows in the bits.

use super::loops::Kernel;
use crate::kernels::simd::{Isa, Lanes, Operand, STEPS};
use crate::{Precision, Real};

/// Numbers of a packed block of `A`, or of a group of panels of `B`: 256 KB of `f32`, half of a usual second-level cache.
pub(super) const BLOCK: usize = 1 << 16;
/// Numbers in an operand that is not worth a copy.
const SMALL: usize = 1 << 13;
/// Multiply–adds that are not divided further: some 10 µs on one core. Less would not pay for being handed out.
const PIECE: usize = 1 << 19;

/// What the loops need to know.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    pub(super) isa: Isa,
    pub(super) precision: Precision,
    /// Rows and columns of a full tile: `MR` and `NR`.
    pub(super) tile: [usize; 2],
    /// Whether it is computed as `Cᵀ = Bᵀ · Aᵀ`.
    pub(super) flip: bool,
    pub(super) pack_a: bool,
    pub(super) pack_b: bool,
    /// Rows of `A` in a packed block: `MC`.
    pub(super) mc: usize,
    /// Steps of `k` in a block: `KC`.
    pub(super) kc: usize,
    /// Columns in a group of panels of `B`: `NC`.
    pub(super) nc: usize,
    /// Whether all strips of `A` meet a panel of `B` before the next panel does; else a strip meets all panels of a group.
    pub(super) strips_inside: bool,
    /// Multiply–adds that are not divided further.
    pub(super) piece: usize,
}

/// The two kinds of tile that rules differ for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tiles {
    /// A row of a panel of `B` is one or two lines of the cache: AVX2, NEON and without vectors. In place, each step would fetch
    /// another page, and a step is so few instructions that strides which are part of them count.
    Narrow,
    /// It is four: AVX-512. What is in place streams as well as what is packed.
    Wide,
}

struct Tile;

impl<T> Kernel<T> for Tile {
    type Output = [usize; 2];

    fn run<S: Lanes<T, N>, const N: usize, const MR: usize, const NV: usize>(self, _: S) -> [usize; 2] {
        [MR, N * NV]
    }
}

impl Tiles {
    /// Those of an instruction set.
    pub(super) fn of<T: Real>(isa: Isa) -> Tiles {
        let [_, nr] = T::on(isa, Tile);
        if nr * size_of::<T>() >= 256 { Tiles::Wide } else { Tiles::Narrow }
    }
}

impl Plan {
    /// The rules. Those of narrow tiles were measured on Zen 3, those of wide ones on Zen 4; a gain is of one product on one thread,
    /// unless it says otherwise.
    pub(super) fn new<T: Real>(
        isa: Isa,
        tiles: Tiles,
        precision: Precision,
        [m, n, k]: [usize; 3],
        a: Operand<T>,
        b: Operand<T>,
    ) -> Plan {
        let tile @ [mr, nr] = T::on(isa, Tile);
        let wide = tiles == Tiles::Wide;
        // What is rounded is a copy: the packed one.
        let rounded = precision == Precision::Bf16;

        let flip = if wide {
            // A transposed B, as of weights in the backward pass, is then read in place, and only A is packed: 74 → 109 GFLOP/s. And a
            // narrow C is computed by whole tiles: 1.6 to 2 ×.
            !rounded && (b.column != 1 && a.column == 1 && k >= 64 || n < nr && m > n)
        } else {
            // A narrow C of an A that lies by columns, as the gradient of a layer's few units: nothing is packed. 1.1 ×.
            n < 64 && m >= 64 && b.column == 1 && a.column != 1
        };
        let ([m, n], [a, b]) = if flip { ([n, m], [b.transposed(), a.transposed()]) } else { ([m, n], [a, b]) };

        // What lies in the first-level cache anyway is not copied: 1.13 × for squares of 64.
        let small = (m * k).max(k * n) <= SMALL;
        // Each number of A then serves enough columns, and steps at which strips are zero are left out: images are mostly zeros.
        // Narrow tiles: 1.1 to 1.2 × without any zero, and 1.9 × more with those of MNIST. Wide ones lose 4 % if there are none.
        let pack_a = rounded || n >= 64.max(2 * nr) && (!wide && m >= 48 && !small || is_sparse(a, [m, k]));
        // Each number of B serves enough rows. Narrow tiles: 1.0 to 1.2 ×, and at 16 rows 0.9 ×. Wide ones: 0.96 × at 128 rows.
        let pack_b = rounded || b.column != 1 || if wide { m > 256 && k * n > 1 << 17 } else { m >= 48 && !small };

        // As equal as can be: the last must not be a sliver.
        let equal = |n: usize, most: usize, unit: usize| n.div_ceil(n.div_ceil(most)).next_multiple_of(unit);
        // A list of steps has room for so many; and a packed panel of 16 columns is half of the first-level cache. In place the
        // fewer blocks the better: each reads and writes C.
        let kc = equal(k, if pack_a || pack_b && !wide { STEPS } else { 4 * STEPS }, 8);
        let mc = equal(m, (BLOCK / kc.min(k)).min(8 * STEPS), mr);
        // Narrow panels are packed four at a time, from whole lines, and read while they are in the first-level cache.
        let nc = if pack_b && !wide { 4 * nr } else { (BLOCK / kc / nr).max(1) * nr };
        // Of wide ones none fits there: rather a strip of A stays.
        let strips_inside = !wide;
        // Sixteen pieces are enough where each streams. Narrow tiles: small ones keep both threads busy to the end.
        let piece = if wide { PIECE.max(m * n * k / 16) } else { PIECE };
        Plan { isa, precision, tile, flip, pack_a, pack_b, mc, kc, nc, strips_inside, piece }
    }
}

/// Whether so many steps of strips of `A` are all zero that packing it pays by what is left out, to judge by some of them.
fn is_sparse<T: Real>(a: Operand<T>, [m, k]: [usize; 2]) -> bool {
    const SAMPLE: usize = 64;
    const STRIP: usize = 6;
    if m < STRIP {
        return false;
    }
    let kept = (0..SAMPLE).filter(|s| {
        // At distances that have no factor in common with most sizes.
        let (i, k) = (s * 617 % (m / STRIP) * STRIP, (s * 1597 + s * s) % k);
        (i..i + STRIP).any(|i| a.data[i * a.row + k * a.column] != T::zero())
    });
    kept.count() * 10 <= SAMPLE * 7
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::simd::Isa;

    fn is_packed(numbers: &[f32], m: usize) -> bool {
        let k = numbers.len() / m;
        let a = Operand { data: numbers, row: k, column: 1 };
        let b = vec![1.0; 256 * k];
        let b = Operand { data: &b[..], row: 256, column: 1 };
        Plan::new(Isa::available()[0], Tiles::Wide, Precision::Single, [m, 256, k], a, b).pack_a
    }

    #[test]
    fn images_that_are_mostly_zeros_are_packed_and_others_are_read_in_place() {
        let image = |share: usize| (0..128 * 784).map(|i| f32::from(u8::from(i % 784 < share))).collect::<Vec<_>>();
        assert!(is_packed(&image(200), 128) && is_packed(&image(200)[..6 * 784], 6));
        assert!(!is_packed(&image(784), 128) && !is_packed(&image(700), 128));
        assert!(!is_packed(&[0.0; 5 * 784], 5), "too few rows for a strip");
    }
}
