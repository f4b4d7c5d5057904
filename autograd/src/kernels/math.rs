//! Elementary functions as straight lines of arithmetic, so that a loop over them becomes a loop over whole registers.
//!
//! The standard library calls into libm, one number at a time. Here every case is computed and the right one selected:
//! there is no branch, no table, and nothing but additions, multiplications, a division and a few bit operations. Call
//! them in a plain loop inside [`simd::vectorize`](super::simd::vectorize): with AVX2, that takes a 25th to a quarter of
//! libm's time in `f32` and an 8th to a half in `f64`.
//!
//! The plan is always the same three steps:
//! 1. **reduce** the argument to a small interval around 0, by taking out a power of two;
//! 2. a **polynomial** there, as short as the precision of the kind of number allows;
//! 3. **put back** the power of two.
//!
//! Errors are in ulp (units in the last place: distances between neighbouring numbers). Those for `f32` are the maxima
//! over all 2³² arguments (`cargo run --release --example ulp`), those for `f64` the largest that a search among 40
//! million found, against 140 bits: no proof.

use num_traits::Float;

use crate::real::Real;

/// What the functions must know about a kind of number: how many terms its precision takes, and where its bits are.
///
/// The polynomials are minimax fits of the relative error, made in 50 digits (Remez exchange and Lawson's iteration)
/// and then rounded.
pub trait Elementary: Float + 'static {
    /// Coefficients, in pairs, of `(eʳ − 1 − r) / r²` for `|r| ≤ ½ ln 2`.
    const EXP: &'static [[Self; 2]];
    /// Coefficients, in pairs, of `(2 artanh(s) / s − 2) / s²` in powers of `s²`, for `|s| ≤ 1/5`.
    const LN: &'static [[Self; 2]];
    /// `log₂ e`
    const LOG2_E: Self;
    /// `ln 2`, rounded, and what the rounding lost.
    const LN_2: [Self; 2];
    /// Up to the one, `eˣ` rounds to 0; from the other on, it overflows.
    const EXP_RANGE: [Self; 2];
    /// `1.5 · 2ᵈ`, where neighbouring numbers are 1 apart: adding it, and taking it off again, rounds to an integer.
    const ROUND: Self;

    /// `2ᵏ` for an integer `k` within the exponents of normal numbers.
    fn pow2(k: Self) -> Self;

    /// `[k, m]` with `x = 2ᵏ·m` and `m` between `√½` and `√2`, for a finite normal `x > 0`; anything for other `x`.
    fn split(self) -> [Self; 2];
}

macro_rules! elementary {
    ($T:ident, $U:ident, exp: $EXP:expr, ln: $LN:expr, ln_2: $LN_2:expr, exp_range: $EXP_RANGE:expr) => {
        impl Elementary for $T {
            const EXP: &'static [[$T; 2]] = &$EXP;
            const LN: &'static [[$T; 2]] = &$LN;
            const LOG2_E: $T = std::$T::consts::LOG2_E;
            const LN_2: [$T; 2] = $LN_2;
            const EXP_RANGE: [$T; 2] = $EXP_RANGE;
            const ROUND: $T = 1.5 / $T::EPSILON;

            #[inline(always)]
            fn pow2(k: $T) -> $T {
                // The sum ends in the integer k + bias; the shift makes that the exponent and drops all else.
                const BIAS: $T = ($T::MAX_EXP - 1) as $T;
                $T::from_bits((k + (<$T>::ROUND + BIAS)).to_bits() << ($T::MANTISSA_DIGITS - 1))
            }

            #[inline(always)]
            fn split(self) -> [$T; 2] {
                const MANTISSA: u32 = $T::MANTISSA_DIGITS - 1;
                const ROOT: $U = std::$T::consts::FRAC_1_SQRT_2.to_bits();
                const ONE: $U = (1 as $T).to_bits();
                // 2 to the number of bits of the mantissa: among its own, an integer can be written as it is.
                const UNIT: $T = 1.0 / $T::EPSILON;
                const BIAS: $T = ($T::MAX_EXP - 1) as $T;
                // As if √½ had mantissa 0: a mantissa from √2 on carries into the exponent.
                let bits = self.to_bits().wrapping_add(ONE - ROOT);
                // A conversion from integer, which few CPUs have for 64 bits: UNIT's mantissa is 0 up to here.
                let k = $T::from_bits((bits >> MANTISSA) | UNIT.to_bits()) - (UNIT + BIAS);
                let m = $T::from_bits((bits & (((1 as $U) << MANTISSA) - 1)) + ROOT);
                [k, m]
            }
        }
    };
}

elementary!(
    f32,
    u32,
    exp: [[0.5, 0.16666666], [0.04166636, 0.00833339], [0.0013940902, 0.00019846257]],
    ln: [[0.6666666, 0.40000868], [0.28506795, 0.2410348]],
    ln_2: [std::f32::consts::LN_2, -1.9046542e-09],
    exp_range: [-104.0, 89.0]
);

elementary!(
    f64,
    u64,
    exp: [
        [0.5000000000000006, 0.16666666666666588],
        [0.04166666666657484, 0.008333333333390503],
        [0.0013888888932238692, 0.00019841269717599212],
        [2.4801504415606593e-05, 2.755740800300044e-06],
        [2.762639574766751e-07, 2.5053929495611145e-08],
    ],
    ln: [
        [0.666666666666666, 0.4000000000005695],
        [0.28571428555767847, 0.222222243028532],
        [0.1818166551217723, 0.15391123368967338],
        [0.13173412996810482, 0.138442707929129],
    ],
    ln_2: [std::f64::consts::LN_2, 2.3190468138462996e-17],
    exp_range: [-746.0, 710.0]
);

/// `c₀ + c₁x + c₂x² + …` by Horner's rule in `x²`: the pairs do not wait for each other, so the chain of dependent
/// additions is half as long.
#[inline(always)]
fn polynomial<T: Real>(pairs: &[[T; 2]], x: T) -> T {
    let square = x * x;
    let pair = |&[a, b]: &[T; 2]| b.mul_add(x, a);
    let (last, rest) = pairs.split_last().expect("coefficients");
    rest.iter().rev().fold(pair(last), |sum, c| sum.mul_add(square, pair(c)))
}

/// `min(x, bound)`, but NaN stays NaN.
#[inline(always)]
fn at_most<T: Real>(x: T, bound: T) -> T {
    if x > bound { bound } else { x }
}

/// `max(x, bound)`, but NaN stays NaN.
#[inline(always)]
fn at_least<T: Real>(x: T, bound: T) -> T {
    if x < bound { bound } else { x }
}

/// `[k, r, lost]` with `x = k·ln 2 + r + lost`, an integer `k` and `|r| ≤ ½ ln 2`; `lost` is the rounding error of `r`.
#[inline(always)]
fn reduce<T: Real>(x: T) -> [T; 3] {
    let k = x.mul_add(T::LOG2_E, T::ROUND) - T::ROUND;
    // Exact: the digits in front cancel, and `mul_add` keeps all those behind.
    let high = (-k).mul_add(T::LN_2[0], x);
    let r = (-k).mul_add(T::LN_2[1], high);
    [k, r, (-k).mul_add(T::LN_2[1], high - r)]
}

/// `[a, b]` with `s·(eˣ − 1) = a + b` and `s = 2^shift`, where `2ᵏ⁺ˢʰⁱᶠᵗ` must not overflow. The large terms are in
/// `a = s·(2ᵏ − 1 + 2ᵏ·r)`, so that its rounding is nearly all that is lost.
#[inline(always)]
fn scaled_exp_m1<T: Real>(x: T, shift: T) -> [T; 2] {
    let [k, r, lost] = reduce(x);
    let scale = T::pow2(k + shift);
    let curve = (r * r).mul_add(polynomial(T::EXP, r), lost);
    [scale.mul_add(r, scale - T::pow2(shift)), scale * curve]
}

/// `k·ln 2 + ln(1 + f)` for an integer `k` and `−0.3 ≤ f ≤ ½`.
///
/// `1 + f = (1 + s) / (1 − s)` for `s = f / (2 + f)`, so `ln(1 + f) = 2 artanh s`, an odd function whose series converges
/// fast. Its first term `2s` is written as `f − s·f`, which begins with `f` itself, unrounded.
#[inline(always)]
fn ln_of<T: Real>(k: T, f: T) -> T {
    let s = f / (f + T::of(2.0));
    let z = s * s;
    let curve = (-z).mul_add(polynomial(T::LN, z), f);
    k.mul_add(T::LN_2[0], f + (-s).mul_add(curve, k * T::LN_2[1]))
}

/// `eˣ` for `x` in [`Elementary::EXP_RANGE`].
#[inline(always)]
fn exp_inside<T: Real>(x: T) -> T {
    let [k, r, _] = reduce(x);
    let y = r.mul_add(r.mul_add(polynomial(T::EXP, r), T::one()), T::one());
    // 2ᵏ may be too large or too small for a number although y·2ᵏ is not: half of k at a time. Only the last product
    // rounds, if it is denormal.
    let half = k.mul_add(T::of(0.5), T::ROUND) - T::ROUND;
    y * T::pow2(half) * T::pow2(k - half)
}

/// `e^−|x|`
#[inline(always)]
fn exp_minus<T: Real>(x: T) -> T {
    exp_inside(at_least(-x.abs(), T::EXP_RANGE[0]))
}

/// `eˣ = 2ᵏ·eʳ` with `x = k·ln 2 + r`.
///
/// Error: 0.89 ulp in `f32`, 0.88 in `f64`.
#[inline(always)]
pub fn exp<T: Real>(x: T) -> T {
    exp_inside(at_least(at_most(x, T::EXP_RANGE[1]), T::EXP_RANGE[0]))
}

/// `eˣ − 1 = 2ᵏ·(eʳ − 1) + (2ᵏ − 1)`, precise where `eˣ` is close to 1.
///
/// Error: 1.30 ulp in `f32`, 1.29 in `f64`.
#[inline(always)]
pub fn exp_m1<T: Real>(x: T) -> T {
    // From −40 down it is −1 in either precision. Half of it is computed, as 2ᵏ alone would overflow before eˣ does.
    let [a, b] = scaled_exp_m1(at_least(at_most(x, T::EXP_RANGE[1]), T::of(-40.0)), -T::one());
    let half = a + b;
    // Half of a denormal number need not be a number, nor does −0 survive.
    if x.abs() < T::epsilon() { x } else { half + half }
}

/// `ln x = k·ln 2 + ln m` with `x = 2ᵏ·m`.
///
/// Error: 0.90 ulp in `f32`, 0.79 in `f64`.
#[inline(always)]
pub fn ln<T: Real>(x: T) -> T {
    // A denormal number is first made a normal one.
    let (denormal, shift) = (x < T::min_positive_value(), T::of(64.0));
    let [k, m] = if denormal { x * T::pow2(shift) } else { x }.split();
    let y = ln_of(if denormal { k - shift } else { k }, m - T::one());
    let y = if x < T::infinity() { y } else { x };
    let outside = if x == T::zero() { T::neg_infinity() } else { T::nan() };
    if x > T::zero() { y } else { outside }
}

/// `ln(1 + x)`, precise where `x` is close to 0: what `1 + x` lost in rounding is added to its mantissa.
///
/// Error: 1.50 ulp in `f32`, 1.43 in `f64`.
#[inline(always)]
pub fn ln_1p<T: Real>(x: T) -> T {
    let sum = T::one() + x;
    let lost = x - (sum - T::one());
    let [k, m] = sum.split();
    // Where 2⁻ᵏ would no longer be a normal number, nothing was lost.
    let y = ln_of(k, lost.mul_add(T::pow2(-at_most(k, T::of(64.0))), m - T::one()));
    // So infinity and −0 stay what they are.
    let y = if x < T::infinity() && x != T::zero() { y } else { x };
    let outside = if x == -T::one() { T::neg_infinity() } else { T::nan() };
    if x > -T::one() { y } else { outside }
}

/// `tanh x = t / (t + 2)` with `t = e²ˣ − 1`, for `|x|`; the sign is put back.
///
/// Error: 1.00 ulp in `f32`, 1.37 in `f64`.
#[inline(always)]
pub fn tanh<T: Real>(x: T) -> T {
    // From 20 on it is 1 in either precision.
    let x2 = at_most(x.abs(), T::of(20.0)) * T::of(2.0);
    let [a, b] = scaled_exp_m1(x2, T::zero());
    let t = a + b;
    let sum = t + T::of(2.0);
    let lost = (a - (sum - T::of(2.0))) + b;
    // y·(sum + lost) should be a + b: one step of Newton's takes back the roundings of both sums and of the division.
    let inverse = sum.recip();
    let y = t * inverse;
    let error = (-y).mul_add(lost, (-y).mul_add(sum, a) + b);
    error.mul_add(inverse, y).copysign(x)
}

/// `σ(x) = 1 / (1 + e⁻ˣ)`. Only `e^−|x|` is ever taken, so nothing overflows.
///
/// Error: 2.41 ulp in `f32`, 2.22 in `f64`.
#[inline(always)]
pub fn sigmoid<T: Real>(x: T) -> T {
    let e = exp_minus(x);
    let numerator = if x < T::zero() { e } else { T::one() };
    numerator / (T::one() + e)
}

/// `e^−|x|`, from 0 to 1: what [`sigmoid`] and [`softplus`] are made of.
#[inline(always)]
pub fn exp_minus_abs<T: Real>(x: T) -> T {
    exp_minus(x)
}

/// `ln(1 + eˣ) = max(x, 0) + ln(1 + e)` with `e = e^−|x|`, which never overflows.
///
/// Error: 1.72 ulp in `f32`, 1.65 in `f64`.
#[inline(always)]
pub fn softplus<T: Real>(x: T) -> T {
    let e = exp_minus(x);
    // From ½ on, 1 + e = 2 · (1 + (e − 1)/2), exactly.
    let large = e > T::of(0.5);
    let k = if large { T::one() } else { T::zero() };
    let f = if large { T::of(0.5).mul_add(e, T::of(-0.5)) } else { e };
    at_least(x, T::zero()) + ln_of(k, f)
}

#[cfg(test)]
mod tests {
    use super::super::simd::{Isa, vectorize, vectorize_for};
    use super::*;

    /// Calls `check!` with every function: ours, the exact one in `f64` (to 1 or 2 ulp), how far ours may be from the
    /// nearest number, and arguments with the nearest numbers to the values as 600 digits give them: two where the error
    /// is largest in `f64`, and one far out.
    macro_rules! for_all {
        ($check:ident) => {
            $check!(
                exp,
                f64::exp,
                1,
                [
                    (-699.0534512633949, 2.540642512692544e-304),
                    (3.86862834870679, 47.87667092439475),
                    (-740.3, 3.1e-322),
                ]
            );
            $check!(
                exp_m1,
                f64::exp_m1,
                1,
                [
                    (707.3666013367726, 1.604765736882911e307),
                    (0.44434037189321884, 0.5594611920563562),
                    (1e-9, 1.0000000005000001e-9),
                ]
            );
            $check!(
                ln,
                f64::ln,
                1,
                [
                    (0.37324571323258127, -0.9855183276051297),
                    (1.390795961730965, 0.3298762175889452),
                    (6.099e-320, -735.019065519602),
                ]
            );
            $check!(
                ln_1p,
                f64::ln_1p,
                1,
                [
                    (0.4619245721754022, 0.3797537677773753),
                    (0.47577741288677683, 0.38918491052892096),
                    (-0.9999999999999999, -36.7368005696771),
                ]
            );
            $check!(
                tanh,
                f64::tanh,
                1,
                [(-0.22450641389466508, -0.2208089985850174), (0.75, 0.6351489523872873), (1e-5, 9.999999999666668e-6),]
            );
            $check!(
                sigmoid,
                exact_sigmoid,
                2,
                [
                    (-3.436418046191415, 0.031176493858819248),
                    (-1.9494023775661988, 0.12461853745219859),
                    (-740.3, 3.1e-322),
                ]
            );
            $check!(
                softplus,
                exact_softplus,
                2,
                [
                    (-1.2780674001664352, 0.24574629763896222),
                    (-2.0347386882959038, 0.1228498534550857),
                    (-740.3, 3.1e-322),
                ]
            );
        };
    }

    fn exact_sigmoid(x: f64) -> f64 {
        if x < 0.0 { x.exp() / (1.0 + x.exp()) } else { 1.0 / (1.0 + (-x).exp()) }
    }

    fn exact_softplus(x: f64) -> f64 {
        x.max(0.0) + (-x.abs()).exp().ln_1p()
    }

    /// Every 4099th number there is.
    fn numbers32() -> Vec<f32> {
        (0..=u32::MAX).step_by(4099).map(f32::from_bits).collect()
    }

    /// Numbers of all magnitudes, and as many in the middle.
    fn numbers64() -> Vec<f64> {
        let all = (0..=u64::MAX).step_by(u64::MAX as usize / 100_003).map(f64::from_bits);
        all.chain((0..100_000).map(|i| f64::from(i - 50_000) / 1237.0)).collect()
    }

    /// `f` of all numbers, compiled for these instructions.
    fn map<T: Real>(isa: Isa, x: &[T], f: impl Fn(T) -> T) -> Vec<T> {
        let mut y = vec![T::zero(); x.len()];
        vectorize_for(
            isa,
            #[inline(always)]
            || {
                y.iter_mut().zip(x).for_each(
                    #[inline(always)]
                    |(y, &x)| *y = f(x),
                )
            },
        );
        y
    }

    /// How many numbers `y` is from `exact`: those of one sign are ordered as their bits are.
    fn apart32(y: f32, exact: f32) -> u32 {
        let place = |x: f32| if x.is_sign_negative() { !x.to_bits() } else { x.to_bits() | 1 << 31 };
        if y.is_nan() && exact.is_nan() { 0 } else { place(y).abs_diff(place(exact)) }
    }

    /// [`apart32`] for the other kind.
    fn apart64(y: f64, exact: f64) -> u64 {
        let place = |x: f64| if x.is_sign_negative() { !x.to_bits() } else { x.to_bits() | 1 << 63 };
        if y.is_nan() && exact.is_nan() { 0 } else { place(y).abs_diff(place(exact)) }
    }

    fn best() -> Isa {
        Isa::choose().unwrap()
    }

    #[test]
    fn f32_is_right_at_every_magnitude() {
        let x = numbers32();
        macro_rules! check {
            ($f:ident, $exact:expr, $limit:literal, $points:tt) => {
                for (&x, y) in x.iter().zip(map(best(), &x, $f)) {
                    let exact = $exact(f64::from(x)) as f32;
                    assert!(apart32(y, exact) <= $limit, "{}({x:e}) = {y:e}, not {exact:e}", stringify!($f));
                }
            };
        }
        for_all!(check);
    }

    /// One or two more than the limit, as the standard library is not exact either; at the given points, the limit.
    #[test]
    fn f64_is_right_at_every_magnitude_and_where_it_is_worst() {
        let x = numbers64();
        macro_rules! check {
            ($f:ident, $exact:expr, $limit:literal, $points:tt) => {
                for (&x, y) in x.iter().zip(map(best(), &x, $f)) {
                    let exact = $exact(x);
                    assert!(apart64(y, exact) <= $limit + 2, "{}({x:e}) = {y:e}, not {exact:e}", stringify!($f));
                }
                for (x, exact) in $points {
                    let y = vectorize(|| $f::<f64>(x));
                    assert!(apart64(y, exact) <= $limit, "{}({x:e}) = {y:e}, not {exact:e}", stringify!($f));
                }
            };
        }
        for_all!(check);
    }

    #[test]
    fn every_instruction_set_gives_the_same_bits() {
        fn same<T: Real>(name: &str, x: &[T], f: impl Fn(T) -> T) {
            let bits = |isa| -> Vec<u64> {
                // The bits of a NaN are nobody's business.
                map(isa, x, &f).into_iter().map(|y| if y.is_nan() { 0 } else { y.as_f64().to_bits() }).collect()
            };
            let expected = bits(Isa::available()[0]);
            assert!(Isa::available().into_iter().all(|isa| bits(isa) == expected), "{name}");
        }
        let x32: Vec<f32> = numbers32().into_iter().step_by(31).collect();
        let x64: Vec<f64> = numbers64().into_iter().step_by(7).collect();
        macro_rules! check {
            ($f:ident, $exact:expr, $limit:literal, $points:tt) => {
                same(stringify!($f), &x32, $f);
                same(stringify!($f), &x64, $f);
            };
        }
        for_all!(check);
    }

    #[test]
    fn special_numbers_have_their_values() {
        fn check<T: Real>() {
            let [zero, one, infinity] = [T::zero(), T::one(), T::infinity()];
            let least = T::min_positive_value() * T::epsilon();
            let same = |y: T, exact: T| assert!(y == exact && y.is_sign_negative() == exact.is_sign_negative());
            for f in [exp, exp_m1, ln, ln_1p, tanh, sigmoid, softplus] {
                assert!(f(T::nan()).is_nan());
            }
            for f in [exp_m1, ln_1p, tanh] {
                for x in [zero, least, least + least + least] {
                    same(f(x), x);
                    same(f(-x), -x);
                }
            }
            for f in [exp, exp_m1, ln, ln_1p, softplus] {
                same(f(infinity), infinity);
            }
            for f in [exp, sigmoid, softplus] {
                same(f(-infinity), zero);
                same(f(-T::max_value()), zero);
            }
            for f in [tanh, sigmoid] {
                same(f(infinity), one);
                same(f(T::of(40.0)), one);
            }
            same(exp(zero), one);
            same(exp(-zero), one);
            same(exp_m1(-infinity), -one);
            same(tanh(-infinity), -one);
            same(sigmoid(zero), T::of(0.5));
            same(softplus(T::max_value()), T::max_value());
            same(ln(one), zero);
            for (f, pole) in [(ln as fn(T) -> T, zero), (ln, -zero), (ln_1p, -one)] {
                same(f(pole), -infinity);
                assert!(f(pole - T::epsilon()).is_nan() && f(-infinity).is_nan());
            }
        }
        check::<f32>();
        check::<f64>();
    }

    #[test]
    fn exp_overflows_between_the_right_two_numbers() {
        let (last, first) = (f32::MAX.ln().next_down(), f32::MAX.ln());
        assert!(exp(last).is_finite() && exp_m1(last).is_finite());
        assert!(exp(first).is_infinite() && exp_m1(first).is_infinite());
        let last = f64::MAX.ln();
        assert!(exp(last).is_finite() && exp_m1(last).is_finite());
        assert!(exp(last.next_up()).is_infinite() && exp_m1(last.next_up()).is_infinite());
    }
}
