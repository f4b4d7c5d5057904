//! What precedes the elements of an array: a dictionary, as Python writes it.

use super::kind::Kind;
use crate::source::up_to;
use std::io::Read;

/// Longer headers are refused, as NumPy itself does.
const LONGEST: usize = 10_000;

/// Elements are read in pieces of at most as many bytes, or one by one if they are longer.
const AT_A_TIME: usize = 1 << 18;

/// What a `.npy` file says of its array.
#[derive(Debug, PartialEq)]
pub(super) struct Header {
    /// The type of an element; what it is, if it is none that we read.
    pub(super) kind: Result<Kind, String>,
    /// Whether the first dimension varies fastest in the file, and not the last.
    pub(super) fortran_order: bool,
    /// The size of each dimension.
    pub(super) shape: Vec<usize>,
}

impl Header {
    /// Reads everything that precedes the elements.
    pub(super) fn read(source: &mut impl Read) -> Result<Header, String> {
        let start = up_to(8, source)?;
        let bytes_of_length = match start[..] {
            [0x93, b'N', b'U', b'M', b'P', b'Y', 1, _] => 2,
            [0x93, b'N', b'U', b'M', b'P', b'Y', 2 | 3, _] => 4,
            [0x93, b'N', b'U', b'M', b'P', b'Y', major, minor] => {
                return Err(format!("expected version 1, 2 or 3 of the NumPy format, found {major}.{minor}"));
            }
            _ => return Err("expected an array in the NumPy format (starting 93 NUMPY)".into()),
        };
        let length = up_to(bytes_of_length, source)?;
        if length.len() < bytes_of_length {
            return Err("header cut short".into());
        }
        let length = length.iter().rev().fold(0, |length, &byte| length << 8 | usize::from(byte));
        if length > LONGEST {
            return Err(format!("expected a header of at most {LONGEST} bytes, found one of {length}"));
        }
        let text = up_to(length, source)?;
        if text.len() < length {
            return Err("header cut short".into());
        }
        dictionary(&text).ok_or_else(|| {
            let text = String::from_utf8_lossy(&text[..text.len().min(100)]);
            format!("expected a header with descr, fortran_order and shape of an array, found {}", text.trim())
        })
    }

    /// How many bytes the elements, of `kind`, are promised to have: at most `most`.
    pub(super) fn promised(&self, kind: Kind, most: u64) -> Result<usize, String> {
        let promised = self.shape.iter().try_fold(kind.width, |bytes, &size| bytes.checked_mul(size));
        promised.filter(|&promised| promised as u64 <= most).ok_or_else(|| {
            format!("header promises {kind} of shape {:?}, more than the {most} bytes that are read", self.shape)
        })
    }

    /// Hands the elements, of `kind`, to `take`: some at a time, in the order of the file.
    ///
    /// The array may have `most` bytes, and they must be there to the last, and nothing after.
    pub(super) fn each(
        &self,
        kind: Kind,
        source: &mut impl Read,
        most: u64,
        mut take: impl FnMut(&[u8]),
    ) -> Result<(), String> {
        let promised = self.promised(kind, most)?;
        let held = |held: String| format!("header promises {promised} bytes of data, but the file holds {held}");
        let mut read = 0;
        while read < promised {
            let chunk = (promised - read).min((AT_A_TIME / kind.width).max(1) * kind.width);
            let data = up_to(chunk, source)?;
            read += data.len();
            if data.len() < chunk {
                return Err(held(read.to_string()));
            }
            take(&data);
        }
        // Asking for more also has the checksum of an archive's member compared.
        match up_to(1, source)?[..] {
            [] => Ok(()),
            _ => Err(held("more".into())),
        }
    }
}

/// A header from a Python dictionary with its three keys and no others.
fn dictionary(text: &[u8]) -> Option<Header> {
    let mut text = Scanner(text);
    let (mut kind, mut fortran_order, mut shape) = (None, None, None);
    text.expect("{")?;
    while text.expect("}").is_none() {
        let key = text.string()?;
        text.expect(":")?;
        match &key[..] {
            "descr" => kind = Some(Kind::parse(&text.string().or_else(|| text.list())?)),
            "fortran_order" => {
                fortran_order = Some(text.expect("False").is_none());
                if fortran_order == Some(true) {
                    text.expect("True")?;
                }
            }
            "shape" => shape = Some(text.tuple()?),
            _ => return None,
        }
        if text.expect(",").is_none() {
            text.expect("}")?;
            break;
        }
    }
    // Some programs fill the header with zeros and not with spaces.
    let is_padding = |byte: &u8| byte.is_ascii_whitespace() || *byte == 0;
    let header = Header { kind: kind?, fortran_order: fortran_order?, shape: shape? };
    text.0.iter().all(is_padding).then_some(header)
}

/// The text that is still to be read.
struct Scanner<'a>(&'a [u8]);

impl Scanner<'_> {
    /// Goes past `token`, if it comes next.
    fn expect(&mut self, token: &str) -> Option<()> {
        self.0 = self.0.trim_ascii_start().strip_prefix(token.as_bytes())?;
        Some(())
    }

    /// A string in either kind of quotes, without escapes; Python 2 puts `u` before it, programs that have bytes `b`.
    fn string(&mut self) -> Option<String> {
        let text = self.0.trim_ascii_start();
        let text = text.strip_prefix(b"u").or_else(|| text.strip_prefix(b"b")).unwrap_or(text);
        let (&quote, rest) = text.split_first().filter(|&(&quote, _)| quote == b'\'' || quote == b'"')?;
        let end = rest.iter().position(|&byte| byte == quote)?;
        self.0 = &rest[end + 1..];
        String::from_utf8(rest[..end].to_vec()).ok()
    }

    /// The text of a list, whatever is in it: so a type of several fields is described.
    fn list(&mut self) -> Option<String> {
        let text = self.0.trim_ascii_start();
        let mut depth = 0;
        for (at, byte) in text.iter().enumerate() {
            match byte {
                b'[' => depth += 1,
                b']' => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                self.0 = &text[at + 1..];
                return (at > 0).then(|| String::from_utf8_lossy(&text[..=at]).into_owned());
            }
        }
        None
    }

    /// Numbers in parentheses; Python 2 puts `L` after long ones.
    fn tuple(&mut self) -> Option<Vec<usize>> {
        self.expect("(")?;
        let mut numbers = Vec::new();
        while self.expect(")").is_none() {
            let text = self.0.trim_ascii_start();
            let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
            numbers.push(std::str::from_utf8(&text[..digits]).ok()?.parse().ok()?);
            self.0 = text[digits..].strip_prefix(b"L").unwrap_or(&text[digits..]);
            if self.expect(",").is_none() {
                self.expect(")")?;
                break;
            }
        }
        Some(numbers)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{npy, with_header};
    use super::*;
    use proptest::prelude::*;

    fn read(mut file: &[u8]) -> Result<Header, String> {
        Header::read(&mut file)
    }

    #[test]
    fn a_header_may_be_written_in_other_ways() {
        let expected = Header { kind: Kind::parse("|u1"), fortran_order: false, shape: vec![1, 20, 3] };
        for header in [
            "{'descr': '|u1', 'fortran_order': False, 'shape': (1, 20, 3), }",
            "{\"shape\":(1,20,3),\"descr\":\"|u1\",\"fortran_order\":False}",
            " { 'descr' : '|u1' , 'shape' : ( 1 , 20 , 3 , ) , 'fortran_order' : False , } ",
            "{'descr': '|u1', 'fortran_order': False, 'shape': (1L, 20L, 3L), }",
            "{b'descr': b'|u1', b'fortran_order': False, b'shape': (1, 20, 3)}",
            "{u'descr': u'|u1', u'fortran_order': False, u'shape': (1, 20, 3)}",
            "{'descr': '|u1', 'fortran_order': False, 'shape': (1, 20, 3)}\0\0\0\n",
        ] {
            assert_eq!(read(&with_header(header, &[])).as_ref(), Ok(&expected), "{header}");
        }
        let shape = |shape: &str| {
            read(&with_header(&format!("{{'descr': '|u1', 'fortran_order': True, 'shape': {shape}}}"), &[]))
                .unwrap()
                .shape
        };
        assert_eq!((shape("()"), shape("(5,)"), shape("(5)")), (vec![], vec![5], vec![5]));
    }

    #[test]
    fn every_version_is_read_with_and_without_the_line_break_at_its_end() {
        let text = b"{'descr': '<f4', 'fortran_order': True, 'shape': (2, 3)}";
        let expected = Header { kind: Kind::parse("<f4"), fortran_order: true, shape: vec![2, 3] };
        for end in [&b""[..], b"\n", b" \n"] {
            for version in [1, 2, 3] {
                let length = ((text.len() + end.len()) as u32).to_le_bytes();
                let length = if version == 1 { &length[..2] } else { &length };
                let file = [b"\x93NUMPY", &[version, 0][..], length, text, end].concat();
                assert_eq!(read(&file).as_ref(), Ok(&expected), "version {version}");
            }
        }
        assert_eq!(
            read(b"\x93NUMPY\x09\x00").unwrap_err(),
            "expected version 1, 2 or 3 of the NumPy format, found 9.0"
        );
        assert_eq!(read(b"PK\x03\x04").unwrap_err(), "expected an array in the NumPy format (starting 93 NUMPY)");
    }

    #[test]
    fn a_type_of_several_fields_is_no_odd_header() {
        let header =
            "{'descr': [('a', '<u2', (2, 2)), ('b', [('c', '|u1')])], 'fortran_order': False, 'shape': (1, 2)}";
        let kind = read(&with_header(header, &[])).unwrap().kind;
        assert_eq!(kind.unwrap_err(), "[('a', '<u2', (2, 2)), ('b', [('c', '|u1')])], records of several fields");
    }

    #[test]
    fn a_header_that_is_odd_is_shown() {
        for header in [
            "",
            "{}",
            "{'descr': '|u1', 'fortran_order': False, 'shape': (1, 2), 'more': 1}",
            "{'descr': '|u1', 'fortran_order': 0, 'shape': (1, 2)}",
            "{'descr': '|u1', 'fortran_order': False, 'shape': (1, -2)}",
            "{'descr': '|u1', 'fortran_order': False, 'shape': (1, 99999999999999999999)}",
            "{'descr': [('a', '<u2'), 'fortran_order': False, 'shape': (1, 2)}",
            "{'descr': '|u1', 'fortran_order': False, 'shape': (1, 2)} more",
        ] {
            let expected = "expected a header with descr, fortran_order and shape of an array, found ";
            assert_eq!(read(&with_header(header, &[])).unwrap_err(), format!("{expected}{header}"));
        }
    }

    #[test]
    fn a_long_or_deep_header_takes_no_memory_and_no_stack() {
        let long = [&b"\x93NUMPY\x02\x00"[..], &u32::MAX.to_le_bytes()].concat();
        assert_eq!(read(&long).unwrap_err(), "expected a header of at most 10000 bytes, found one of 4294967295");
        for odd in ["(", "["] {
            let file = with_header(&format!("{{'shape': {}", odd.repeat(9000)), &[]);
            assert!(read(&file).unwrap_err().starts_with("expected a header"));
        }
    }

    #[test]
    fn as_many_elements_as_promised_are_handed_over() {
        let read = |file: &[u8], most: u64| {
            let (mut rest, mut found) = (file, Vec::new());
            let header = Header::read(&mut rest)?;
            header.each(header.kind.clone()?, &mut rest, most, |bytes| found.extend_from_slice(bytes))?;
            Ok::<_, String>(found)
        };
        // Two pieces, and a part of a third.
        let bytes: Vec<u8> = (0..5 * AT_A_TIME / 2).map(|i| i as u8).collect();
        let file = npy("<u2", &[bytes.len() / 2], &bytes);
        assert!(read(&file, 1 << 20) == Ok(bytes));
        let short = read(&file[..file.len() - 1], 1 << 20).unwrap_err();
        assert_eq!(short, "header promises 655360 bytes of data, but the file holds 655359");
        let long = read(&[&file[..], &[0]].concat(), 1 << 20).unwrap_err();
        assert_eq!(long, "header promises 655360 bytes of data, but the file holds more");
        let great = read(&file, 655_359).unwrap_err();
        assert_eq!(great, "header promises uint16 of shape [327680], more than the 655359 bytes that are read");
        assert!(read(&npy("<f8", &[usize::MAX, usize::MAX, 3], &[]), 1 << 20).is_err());
    }

    proptest! {
        #[test]
        fn arbitrary_headers_never_panic(text in "(\\{|\\}|\\(|\\)|\\[|\\]|:|,|'|descr|shape|fortran_order|True|False|[0-9]{1,20}|L|b|<f4| ){0,40}") {
            let _ = read(&with_header(&text, &[0; 8]));
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), text in ".{0,200}") {
            let _ = read(&bytes);
            let _ = read(&[b"\x93NUMPY\x01\x00", &bytes[..]].concat());
            let _ = read(&with_header(&text, &bytes));
        }
    }
}
