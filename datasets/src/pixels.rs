//! From the byte of a pixel to the number a model sees.

use rand::Rng;
use std::fmt;
use std::str::FromStr;

/// What becomes of a pixel `u`, 0 to 255.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pixels {
    /// The grey level `u / 255`, in `[0, 1]`.
    Grey,
    /// Dynamic binarisation: 1 with probability `u / 255`, otherwise 0, drawn anew each time the image is seen.
    ///
    /// Source: Burda, Grosse & Salakhutdinov 2015, *Importance Weighted Autoencoders*, after Salakhutdinov & Murray
    /// 2008.
    Dynamic,
    /// 1 if `u ≥ 128`, otherwise 0: the same at every sight.
    Threshold,
}

impl Pixels {
    /// All of them.
    pub const ALL: [Pixels; 3] = [Pixels::Grey, Pixels::Dynamic, Pixels::Threshold];
}

impl fmt::Display for Pixels {
    /// The name of the binarisation: `none`, `dynamic` or `threshold`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Pixels::Grey => "none",
            Pixels::Dynamic => "dynamic",
            Pixels::Threshold => "threshold",
        })
    }
}

impl FromStr for Pixels {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let named = Pixels::ALL.into_iter().find(|pixels| pixels.to_string() == name);
        named.ok_or_else(|| format!("expected one of none, dynamic, threshold, found `{name}`"))
    }
}

/// Draws from a Bernoulli distribution with probability `u / 255`, exact to 2⁻³².
///
/// Black and white are certain and take nothing from the generator: four of five pixels of MNIST are.
pub(crate) fn bernoulli(u: u8, randomness: &mut (impl Rng + ?Sized)) -> bool {
    match u {
        0 => false,
        255 => true,
        // draw / 2³² < u / 255, in whole numbers.
        _ => u64::from(randomness.next_u32()) * 255 < u64::from(u) << 32,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generator;

    #[test]
    fn a_pixel_is_on_as_often_as_it_is_bright() {
        let mut randomness = generator(1, "test", 0);
        let n = 20_000;
        for u in 0..=255 {
            let on = (0..n).filter(|_| bernoulli(u, &mut randomness)).count() as f64;
            let p = f64::from(u) / 255.0;
            let sigma = (f64::from(n) * p * (1.0 - p)).sqrt();
            // For black and white, sigma is 0: they never flip.
            assert!((on - f64::from(n) * p).abs() <= 5.0 * sigma, "{u}: on {on} times of {n}");
        }
    }

    #[test]
    fn names_are_read_as_they_are_written() {
        for pixels in Pixels::ALL {
            assert_eq!(pixels.to_string().parse(), Ok(pixels));
        }
        assert!("grey".parse::<Pixels>().is_err());
    }

    #[test]
    fn only_grey_pixels_draw() {
        let [mut used, untouched] = [(); 2].map(|()| generator(1, "test", 0));
        bernoulli(0, &mut used);
        bernoulli(255, &mut used);
        assert_eq!(used, untouched);
        bernoulli(1, &mut used);
        assert_ne!(used, untouched);
    }
}
