//! What an element of an array is, and the number or the word that its bytes stand for.

use std::fmt;

/// What elements are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    Bool,
    Unsigned,
    Signed,
    Float,
    /// Text of four bytes a character.
    Text,
    /// Text of one byte a character.
    Bytes,
}

/// The type of an element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Kind {
    pub(super) class: Class,
    /// Bytes of an element.
    pub(super) width: usize,
    big_endian: bool,
}

impl Kind {
    /// From NumPy's description, as `<f4`.
    ///
    /// # Errors
    ///
    /// What it is, if it is neither a number of at most 8 bytes nor text.
    pub(super) fn parse(descr: &str) -> Result<Kind, String> {
        let (order, rest) = match descr.as_bytes() {
            [order @ (b'<' | b'>' | b'|' | b'=' | b'!'), rest @ ..] => (*order, rest),
            rest => (b'|', rest),
        };
        let (&letter, digits) = rest.split_first().unwrap_or((&b' ', &[]));
        let width = std::str::from_utf8(digits).ok().and_then(|digits| digits.parse::<usize>().ok());
        let (class, width) = match (letter, width) {
            (b'?', None) | (b'b', Some(1)) => (Class::Bool, 1),
            (b'u', Some(width @ (1 | 2 | 4 | 8))) => (Class::Unsigned, width),
            (b'i', Some(width @ (1 | 2 | 4 | 8))) => (Class::Signed, width),
            (b'f', Some(width @ (2 | 4 | 8))) => (Class::Float, width),
            (b'U', Some(characters)) if characters <= LONGEST_WORD => (Class::Text, 4 * characters),
            (b'S' | b'a', Some(characters)) if characters <= LONGEST_WORD => (Class::Bytes, characters),
            _ => {
                let what = match letter {
                    b'O' => ", Python objects",
                    b'c' => ", complex numbers",
                    b'f' if width.is_some() => ", long doubles",
                    b'M' | b'm' => ", dates or times",
                    b'V' => ", raw bytes",
                    b'[' => ", records of several fields",
                    _ => "",
                };
                let shown: String = descr.chars().take(60).collect();
                return Err(format!("{shown}{what}"));
            }
        };
        Ok(Kind { class, width, big_endian: matches!(order, b'>' | b'!') })
    }

    /// The number that these bytes, as many as the type has, stand for.
    pub(super) fn number(self, bytes: &[u8]) -> f64 {
        let mut number = [0; 8];
        number[..self.width].copy_from_slice(bytes);
        if self.big_endian {
            number[..self.width].reverse();
        }
        let whole = u64::from_le_bytes(number);
        match (self.class, self.width) {
            (Class::Bool, _) => f64::from(u8::from(whole != 0)),
            (Class::Float, 2) => half(whole as u16),
            (Class::Float, 4) => f32::from_bits(whole as u32).into(),
            (Class::Float, _) => f64::from_bits(whole),
            (Class::Signed, _) => {
                // Up to the top and back: copies of the sign fill the bytes above.
                let above = 64 - 8 * self.width;
                ((whole as i64) << above >> above) as f64
            }
            _ => whole as f64,
        }
    }

    /// The word that these bytes, as many as the type has, stand for: zeros at its end are none of it.
    pub(super) fn word(self, bytes: &[u8]) -> String {
        let word = match self.class {
            Class::Text => {
                let code = |&four: &[u8; 4]| match self.big_endian {
                    true => u32::from_be_bytes(four),
                    false => u32::from_le_bytes(four),
                };
                let codes = bytes.as_chunks().0.iter().map(code);
                codes.map(|code| char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
            }
            _ => String::from_utf8_lossy(bytes).into_owned(),
        };
        word.trim_end_matches('\0').to_string()
    }

    /// Whether elements are text.
    pub(super) fn is_text(self) -> bool {
        matches!(self.class, Class::Text | Class::Bytes)
    }
}

/// Longer words are not read, in characters.
const LONGEST_WORD: usize = 10_000;

/// The number that a half-precision float stands for: a sign, five bits of exponent, ten of fraction.
fn half(bits: u16) -> f64 {
    let (exponent, fraction) = (i32::from(bits >> 10 & 31), f64::from(bits & 1023));
    let magnitude = match exponent {
        0 => fraction * 2f64.powi(-24),
        31 if fraction == 0.0 => f64::INFINITY,
        31 => f64::NAN,
        _ => (1024.0 + fraction) * 2f64.powi(exponent - 25),
    };
    if bits >> 15 == 1 { -magnitude } else { magnitude }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bits = 8 * self.width;
        match self.class {
            Class::Bool => write!(f, "bool"),
            Class::Unsigned => write!(f, "uint{bits}"),
            Class::Signed => write!(f, "int{bits}"),
            Class::Float => write!(f, "float{bits}"),
            Class::Text | Class::Bytes => write!(f, "text"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The number that `bytes` stand for in the type `descr`, and in the other order of bytes.
    fn number(descr: &str, bytes: &[u8]) -> f64 {
        let value = Kind::parse(&format!("<{descr}")).unwrap().number(bytes);
        let reversed: Vec<u8> = bytes.iter().rev().copied().collect();
        let other = Kind::parse(&format!(">{descr}")).unwrap().number(&reversed);
        assert!(value == other || value.is_nan() && other.is_nan());
        value
    }

    #[test]
    fn numbers_of_every_type_are_read_in_either_order_of_bytes() {
        assert_eq!((number("b1", &[0]), number("b1", &[1]), number("b1", &[7])), (0.0, 1.0, 1.0));
        assert_eq!((number("u1", &[200]), number("i1", &[200])), (200.0, -56.0));
        assert_eq!((number("u2", &[1, 200]), number("i2", &[1, 200])), (51_201.0, -14_335.0));
        assert_eq!((number("u4", &[1, 0, 0, 200]), number("i4", &[255; 4])), (3_355_443_201.0, -1.0));
        assert_eq!(
            (number("u8", &[255; 8]), number("i8", &[254, 255, 255, 255, 255, 255, 255, 255])),
            (2f64.powi(64), -2.0)
        );
        assert_eq!((number("f4", &0.1f32.to_le_bytes()), number("f8", &0.1f64.to_le_bytes())), (0.1f32.into(), 0.1));
        for descr in ["?", "b1", "u1", "|u1", "=f4", "f8", "!i2"] {
            Kind::parse(descr).unwrap();
        }
        assert_eq!(Kind::parse("!i2").unwrap().number(&[0, 1]), 1.0);
    }

    #[test]
    fn half_precision_is_exact() {
        let of = |bits: u16| number("f2", &bits.to_le_bytes());
        assert_eq!([of(0), of(0x3c00), of(0xbc00), of(0x3555)], [0.0, 1.0, -1.0, 1365.0 / 4096.0]);
        // The greatest, the smallest that is normal, the smallest of all.
        assert_eq!([of(0x7bff), of(0x0400), of(0x0001)], [65_504.0, 2f64.powi(-14), 2f64.powi(-24)]);
        assert!(of(0x7c00) == f64::INFINITY && of(0xfc00) == f64::NEG_INFINITY && of(0x7e00).is_nan());
    }

    #[test]
    fn words_end_before_the_zeros_that_fill_them() {
        let word = |descr: &str, bytes: &[u8]| Kind::parse(descr).unwrap().word(bytes);
        assert_eq!(word("|S5", b"cat\0\0"), "cat");
        assert_eq!(word("<U3", b"\xe9\0\0\0a\0\0\0\0\0\0\0"), "éa");
        assert_eq!(word(">U2", b"\0\0\0a\0\x11\0\0"), "a\u{fffd}");
        assert_eq!(word("<U0", b""), "");
    }

    #[test]
    fn what_is_no_number_and_no_text_is_named() {
        for (descr, what) in [
            ("|O", "|O, Python objects"),
            ("<c8", "<c8, complex numbers"),
            ("<f16", "<f16, long doubles"),
            ("<M8[ns]", "<M8[ns], dates or times"),
            ("|V2", "|V2, raw bytes"),
            ("[('a', '<u2')]", "[('a', '<u2')], records of several fields"),
            ("<u3", "<u3"),
            ("<f", "<f"),
            ("<U99999999999999999999", "<U99999999999999999999"),
            ("", ""),
        ] {
            assert_eq!(Kind::parse(descr).unwrap_err(), what);
        }
    }
}
