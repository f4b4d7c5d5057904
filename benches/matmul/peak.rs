//! What the CPU can do at most: fused multiply–adds on registers, and nothing else.

#![allow(
    clippy::needless_range_loop,
    reason = "a closure that is not inlined lacks the instruction set; a loop cannot"
)]

use std::hint::black_box;

use autograd::kernels::simd::{Isa, Lanes};

/// Multiply–adds in a row that wait for each other, per call.
const STEPS: usize = 10_000;

/// Runs multiply–adds on the registers of this instruction set, on this thread.
///
/// A core begins two of them in a cycle (an Arm core up to four), and each takes about four cycles; so it takes eight that
/// do not wait for each other (or sixteen) to keep it busy. Two more registers hold the factor and the summand: twelve
/// chains where there are sixteen registers, twenty-four where there are thirty-two.
pub(crate) fn multiply_adds(isa: Isa) {
    match isa {
        Isa::Scalar(simd) => chains::<_, 4, 8>(simd),
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2(simd) => chains::<_, 8, 12>(simd),
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512(simd) => chains::<_, 16, 24>(simd),
        #[cfg(target_arch = "aarch64")]
        Isa::Neon(simd) => chains::<_, 4, 24>(simd),
    }
}

/// Billions of operations in a call.
pub(crate) fn gflop(isa: Isa) -> f64 {
    let lanes = match isa {
        Isa::Scalar(_) => 4 * 8,
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2(_) => 8 * 12,
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512(_) => 16 * 24,
        #[cfg(target_arch = "aarch64")]
        Isa::Neon(_) => 4 * 24,
    };
    2e-9 * (STEPS * lanes) as f64
}

fn chains<S: Lanes<f32, N>, const N: usize, const CHAINS: usize>(simd: S) {
    // The compiler must not know that the chains begin alike, or it would compute one of them; and it must not know the
    // factor, or that nobody reads the sums.
    let begin: [[f32; N]; CHAINS] = black_box([[1.0; N]; CHAINS]);
    let (factor, summand) = black_box((0.5, 0.5));
    let mut end = [[0.0; N]; CHAINS];
    simd.vectorize(
        #[inline(always)]
        || {
            let (factor, summand) = (simd.splat(factor), simd.splat(summand));
            let mut sums = [factor; CHAINS];
            for chain in 0..CHAINS {
                sums[chain] = simd.load(&begin[chain]);
            }
            for _ in 0..STEPS {
                for chain in 0..CHAINS {
                    sums[chain] = simd.mul_add(sums[chain], factor, summand);
                }
            }
            for chain in 0..CHAINS {
                simd.store(&mut end[chain], sums[chain]);
            }
        },
    );
    black_box(end);
}
