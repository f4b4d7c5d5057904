//! What the operands of a product are rounded to.

use std::fmt;
use std::str::FromStr;

/// How exactly matrix products see their operands. It is an argument of each product, and part of each operation that
/// contains one; everything else – weights, activations, sums, gradients, the optimizer – keeps the kind of number that
/// it has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Precision {
    /// Operands as they are: single precision in a model of `f32` (and double in one of `f64`).
    #[default]
    Single,
    /// Operands rounded to bfloat16, to nearest: the exponents of `f32`, and 8 significant bits instead of 24. So an
    /// operand of usual size changes by at most 2⁻⁸ of itself, a product of two by less than 2⁻⁷, and a whole sum by less
    /// than `2⁻⁷ · Σ|aᵢₖ bₖⱼ|`; products and sums are those of `f32` (or `f64`) from there on.
    Bf16,
}

impl Precision {
    /// All of them.
    pub const ALL: [Precision; 2] = [Precision::Single, Precision::Bf16];
}

impl fmt::Display for Precision {
    /// Its name in lower case.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Precision::Single => "single",
            Precision::Bf16 => "bf16",
        })
    }
}

impl FromStr for Precision {
    type Err = String;
    fn from_str(name: &str) -> Result<Self, String> {
        let named = Precision::ALL.into_iter().find(|p| p.to_string() == name);
        named.ok_or_else(|| {
            format!("expected one of {}, found `{name}`", Precision::ALL.map(|p| p.to_string()).join(", "))
        })
    }
}

/// The nearest bfloat16; of two equally near, the one whose last bit is 0. What lies beyond the largest becomes infinite,
/// and NaN stays as it is. Branch-free, so that a loop over it becomes a loop over registers.
#[inline(always)]
pub(crate) fn to_bf16(x: f32) -> f32 {
    let bits = x.to_bits();
    let last = bits >> 16 & 1;
    let nearest = f32::from_bits(bits.wrapping_add(0x7fff + last) & 0xffff_0000);
    if x.is_nan() { x } else { nearest }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The definition: of the two that enclose a number, the nearer one, where infinity counts as the power of two that
    /// would come next. In `f64`, all of this is exact.
    fn naive(x: f32) -> f32 {
        if x.is_nan() || x.is_infinite() {
            return x;
        }
        let value = |x: f32| if x.is_infinite() { 2f64.powi(128).copysign(x.into()) } else { x.into() };
        let towards_zero = f32::from_bits(x.to_bits() & 0xffff_0000);
        let away = f32::from_bits(towards_zero.to_bits() + 0x1_0000);
        let [below, above] = [towards_zero, away].map(|y| (value(y) - f64::from(x)).abs());
        let is_even = towards_zero.to_bits() & 0x1_0000 == 0;
        if below < above || below == above && is_even { towards_zero } else { away }
    }

    #[test]
    fn every_number_becomes_the_nearest_and_ties_go_to_even() {
        for upper in 0..=0xffff_u32 {
            for lower in [0, 1, 2, 0x1234, 0x7ffe, 0x7fff, 0x8000, 0x8001, 0xabcd, 0xfffe, 0xffff] {
                let x = f32::from_bits(upper << 16 | lower);
                let (ours, expected) = (to_bf16(x), naive(x));
                assert!(ours.to_bits() == expected.to_bits(), "{:#x}: {ours:e} {expected:e}", x.to_bits());
                if x.is_normal() && ours.is_finite() {
                    let error = (f64::from(ours) - f64::from(x)).abs();
                    assert!(error <= f64::from(x).abs() / 256.0, "{x:e} became {ours:e}");
                }
            }
        }
    }

    #[test]
    fn zeros_infinities_and_numbers_too_large_are_right() {
        for x in [0.0, -0.0, f32::INFINITY, f32::NEG_INFINITY] {
            assert_eq!(to_bf16(x).to_bits(), x.to_bits());
        }
        let largest = f32::from_bits(0x7f7f_0000);
        assert_eq!((to_bf16(largest), to_bf16(-f32::MAX)), (largest, f32::NEG_INFINITY));
        assert!(to_bf16(f32::NAN).is_nan());
    }

    #[test]
    fn names_are_read_as_they_are_written() {
        assert!(Precision::ALL.into_iter().all(|p| p.to_string().parse() == Ok(p)));
        let problem = "half".parse::<Precision>().unwrap_err();
        assert_eq!(problem, "expected one of single, bf16, found `half`");
    }
}
