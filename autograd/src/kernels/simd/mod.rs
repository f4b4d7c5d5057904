//! What the CPU can do, found at run time, so that a default build is the fast build.
//!
//! A **token** – [`Scalar`], `Avx2`, `Avx512`, `Neon` – proves that the CPU has the instructions it stands for:
//! only [`Isa::available`] makes one. Whoever holds a token may use its registers ([`Lanes`]) and compile a plain loop
//! for them ([`Simd::vectorize`]) without any `unsafe`, which stays in this folder.
//!
//! The environment variable `AUTOGRAD_SIMD` (`scalar`, `avx2`, `avx512` or `neon`) forces one, for tests and for
//! comparisons.

/// A token and the features of the CPU that it stands for. They are listed once: what is compiled for is what was looked for.
macro_rules! token {
    ($(#[$doc:meta])* $Token:ident, $prefetch:expr, $has:ident $($feature:tt)*) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub struct $Token(());

        impl $Token {
            pub(super) fn detect() -> Option<$Token> {
                ($($has!($feature))&&*).then_some($Token(()))
            }
        }

        impl Simd for $Token {
            #[inline(always)]
            fn vectorize<R>(self, f: impl FnOnce() -> R) -> R {
                #[target_feature($(enable = $feature),*)]
                fn with_features<R>(f: impl FnOnce() -> R) -> R {
                    f()
                }
                // SAFETY: the token proves that the CPU has these features: they are those that were looked for.
                unsafe { with_features(f) }
            }
            #[inline(always)]
            fn prefetch_to_write<T>(self, x: *const T) {
                $prefetch(x.cast())
            }
        }
    };
}

#[cfg(target_arch = "aarch64")]
mod aarch64;
mod operand;
mod scalar;
mod tile;
#[cfg(target_arch = "x86_64")]
mod x86;

use std::fmt;
use std::sync::OnceLock;

use crate::Real;

#[cfg(target_arch = "aarch64")]
pub use aarch64::Neon;
pub(crate) use operand::{Kept, Operand, STEPS, Steps};
pub use scalar::Scalar;
pub(crate) use tile::{Place, tile};
#[cfg(target_arch = "x86_64")]
pub use x86::{Avx2, Avx512};

/// Proof that the CPU has certain instructions.
pub trait Simd: Copy + Send + Sync + 'static {
    /// Runs `f`, compiled with these instructions: a plain loop inside becomes a loop over whole registers, and
    /// `mul_add` one instruction. The closure, and those inside it, should be marked `#[inline(always)]`: one that is
    /// not inlined is compiled without the instructions, and a loop over [`math`](super::math) is then 40 times slower.
    fn vectorize<R>(self, f: impl FnOnce() -> R) -> R;
    /// Has the line of the cache at this address, if there is one, fetched to be written.
    #[inline(always)]
    fn prefetch_to_write<T>(self, _: *const T) {}
}

/// `N` numbers of kind `T` in one register.
///
/// Few operations on purpose: they are what a product of matrices needs. Everything elementwise is a plain loop inside
/// [`Simd::vectorize`].
pub trait Lanes<T, const N: usize>: Simd {
    /// The register.
    type V: Copy;
    /// The same number in every lane.
    fn splat(self, x: T) -> Self::V;
    /// Reads `N` numbers.
    fn load(self, x: &[T; N]) -> Self::V;
    /// Writes `N` numbers.
    fn store(self, x: &mut [T; N], v: Self::V);
    /// Reads at most `N` numbers; in the other lanes are zeros.
    fn load_first(self, x: &[T]) -> Self::V;
    /// Writes the first lanes, as many as there is room for.
    fn store_first(self, x: &mut [T], v: Self::V);
    /// `a · b + c`, rounded once.
    fn mul_add(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V;
    /// `N` registers as the rows of a square: its columns.
    fn transpose(self, rows: [Self::V; N]) -> [Self::V; N];
    /// Bit `l` says whether the number in lane `l` is another than 0; a NaN is.
    fn nonzero(self, v: Self::V) -> u32;
}

/// How [`Lanes::load_first`] can be done anywhere.
#[inline(always)]
fn load_by_memory<T: Real, const N: usize, S: Lanes<T, N>>(simd: S, x: &[T]) -> S::V {
    let mut all = [T::zero(); N];
    for (all, x) in all.iter_mut().zip(x) {
        *all = *x;
    }
    simd.load(&all)
}

/// How [`Lanes::store_first`] can be done anywhere; AMD's masked store to 256 bits is a program of some forty steps.
#[inline(always)]
fn store_by_memory<T: Real, const N: usize, S: Lanes<T, N>>(simd: S, x: &mut [T], v: S::V) {
    let mut all = [T::zero(); N];
    simd.store(&mut all, v);
    for (x, all) in x.iter_mut().zip(all) {
        *x = all;
    }
}

/// The instruction sets there are code paths for, each with its token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Isa {
    /// No vector instructions; where the CPU has no fused multiply–add either, `mul_add` is computed in software, so
    /// that the results have the same bits, slowly.
    Scalar(Scalar),
    /// AVX2 and FMA: registers of 256 bits.
    #[cfg(target_arch = "x86_64")]
    Avx2(Avx2),
    /// AVX-512 F, BW, DQ and VL, AVX2 and FMA: registers of 512 bits.
    #[cfg(target_arch = "x86_64")]
    Avx512(Avx512),
    /// NEON: registers of 128 bits.
    #[cfg(target_arch = "aarch64")]
    Neon(Neon),
}

impl Isa {
    /// All that this CPU has, the best last.
    pub fn available() -> Vec<Isa> {
        let mut all = vec![Isa::Scalar(Scalar)];
        #[cfg(target_arch = "x86_64")]
        {
            all.extend(Avx2::detect().map(Isa::Avx2));
            all.extend(Avx512::detect().map(Isa::Avx512));
        }
        #[cfg(target_arch = "aarch64")]
        all.extend(Neon::detect().map(Isa::Neon));
        all
    }

    /// The best that this CPU has, or the one that `AUTOGRAD_SIMD` forces; found once.
    ///
    /// # Errors
    /// If the variable names one that does not exist or that this CPU lacks.
    pub fn choose() -> Result<Isa, String> {
        static CHOSEN: OnceLock<Result<Isa, String>> = OnceLock::new();
        CHOSEN.get_or_init(|| Isa::forced(std::env::var("AUTOGRAD_SIMD").ok().as_deref())).clone()
    }

    fn forced(name: Option<&str>) -> Result<Isa, String> {
        let available = Isa::available();
        let best = available[available.len() - 1];
        let Some(name) = name.filter(|name| !name.is_empty()) else { return Ok(best) };
        let named = available.iter().find(|isa| isa.to_string() == name);
        let names: Vec<String> = available.iter().map(Isa::to_string).collect();
        named.copied().ok_or_else(|| format!("AUTOGRAD_SIMD: this CPU has {}, found `{name}`", names.join(", ")))
    }
}

impl fmt::Display for Isa {
    /// Its name as in `AUTOGRAD_SIMD`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Isa::Scalar(_) => "scalar",
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2(_) => "avx2",
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512(_) => "avx512",
            #[cfg(target_arch = "aarch64")]
            Isa::Neon(_) => "neon",
        })
    }
}

/// Runs `f`, compiled for the best instructions that this CPU has; see [`Simd::vectorize`].
///
/// # Panics
/// If `AUTOGRAD_SIMD` asks for something this CPU does not have; [`Isa::choose`] says so without a panic.
#[inline(always)]
pub fn vectorize<R>(f: impl FnOnce() -> R) -> R {
    vectorize_for(Isa::choose().unwrap_or_else(|problem| panic!("{problem}")), f)
}

/// Runs `f`, compiled for these instructions.
#[inline(always)]
pub fn vectorize_for<R>(isa: Isa, f: impl FnOnce() -> R) -> R {
    match isa {
        Isa::Scalar(token) => token.vectorize(f),
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2(token) => token.vectorize(f),
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512(token) => token.vectorize(f),
        #[cfg(target_arch = "aarch64")]
        Isa::Neon(token) => token.vectorize(f),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `N` lanes of `a · b + c`, through every operation of [`Lanes`].
    fn lanes<T: crate::Real, const N: usize>(token: impl Lanes<T, N>) {
        let a: [T; N] = std::array::from_fn(|l| T::of(1.0 + l as f64 / 7.0));
        let (b, mut c) = (T::of(1.0 / 3.0), [T::of(-0.25); N]);
        let expected: [T; N] = std::array::from_fn(|l| a[l].mul_add(b, c[l]));
        token.vectorize(|| {
            let product = token.mul_add(token.load(&a), token.splat(b), token.load(&c));
            token.store(&mut c, product);
        });
        assert_eq!(c, expected);

        for len in 0..=N {
            let mut first = [T::nan(); N];
            token.vectorize(|| token.store(&mut first, token.load_first(&a[..len])));
            assert!(first[..len] == a[..len] && first[len..].iter().all(|x| x.is_zero()), "{first:?}");
            let mut first = [T::zero(); N];
            token.vectorize(|| token.store_first(&mut first[..len], token.load(&a)));
            assert!(first[..len] == a[..len] && first[len..].iter().all(|x| x.is_zero()), "{first:?}");
        }

        let mut square: [[T; N]; N] = std::array::from_fn(|i| std::array::from_fn(|j| T::of((i * N + j) as f64)));
        let expected: [[T; N]; N] = std::array::from_fn(|i| std::array::from_fn(|j| square[j][i]));
        token.vectorize(|| {
            let columns = token.transpose(square.each_ref().map(|row| token.load(row)));
            square.iter_mut().zip(columns).for_each(|(row, column)| token.store(row, column));
        });
        assert_eq!(square, expected);

        for special in [T::nan(), T::infinity(), T::min_positive_value(), -T::one()] {
            let numbers: [T; N] = std::array::from_fn(|l| [T::zero(), -T::zero(), special][(l + l / 3) % 3]);
            let expected = (0..N).filter(|&l| numbers[l] != T::zero()).fold(0, |mask, l| mask | 1 << l);
            assert_eq!(token.vectorize(|| token.nonzero(token.load(&numbers))), expected, "{numbers:?}");
        }
    }

    /// No path that the machine has goes untested: the match is over the very list that is chosen from.
    #[test]
    fn every_token_this_cpu_has_loads_multiplies_adds_transposes_finds_zeros_and_stores() {
        for isa in Isa::available() {
            match isa {
                Isa::Scalar(t) => (lanes::<f32, 4>(t), lanes::<f64, 4>(t)),
                #[cfg(target_arch = "x86_64")]
                Isa::Avx2(t) => (lanes::<f32, 8>(t), lanes::<f64, 4>(t)),
                #[cfg(target_arch = "x86_64")]
                Isa::Avx512(t) => (lanes::<f32, 16>(t), lanes::<f64, 4>(t.avx2())),
                #[cfg(target_arch = "aarch64")]
                Isa::Neon(t) => (lanes::<f32, 4>(t), lanes::<f64, 2>(t)),
            };
        }
    }

    #[test]
    fn a_vectorized_loop_has_the_bits_of_the_scalar_one() {
        let x: Vec<f32> = (0..1000).map(|i| i as f32 / 7.0).collect();
        let run = |isa| vectorize_for(isa, || x.iter().map(|&x| x.mul_add(x, 0.1)).collect::<Vec<f32>>());
        let expected = run(Isa::Scalar(Scalar));
        assert!(Isa::available().into_iter().all(|isa| run(isa) == expected));
    }

    #[test]
    fn a_name_that_this_cpu_lacks_is_refused_and_the_best_is_the_default() {
        let available = Isa::available();
        assert_eq!(Isa::forced(None), Ok(available[available.len() - 1]));
        for isa in available {
            assert_eq!(Isa::forced(Some(&isa.to_string())), Ok(isa));
        }
        assert!(Isa::forced(Some("mmx")).unwrap_err().ends_with("found `mmx`"));
    }
}
