//! The IDX file format: an array of numbers of any rank, as MNIST is published.
//!
//! | offset     | bytes | meaning                                                                          |
//! |------------|-------|----------------------------------------------------------------------------------|
//! | 0          | 2     | zero                                                                             |
//! | 2          | 1     | type: `08` u8, `09` i8, `0B` i16, `0C` i32, `0D` f32, `0E` f64                   |
//! | 3          | 1     | rank `r`, the number of dimensions                                               |
//! | 4          | 4 `r` | the size of each dimension, u32, big-endian                                      |
//! | 4 + 4 `r`  | rest  | the elements, big-endian, the last dimension varying fastest (row-major)         |
//!
//! Source: LeCun, Cortes & Burges, *The MNIST database of handwritten digits*, section "File formats".

use crate::source::{MOST_BYTES, open, unfold, up_to};
use crate::{Error, Result};
use std::io::Read;
use std::path::Path;

/// The elements of an IDX file, in the type the file stores.
#[derive(Clone, Debug, PartialEq)]
pub enum Elements {
    /// Type `08`, as in MNIST.
    U8(Vec<u8>),
    /// Type `09`.
    I8(Vec<i8>),
    /// Type `0B`.
    I16(Vec<i16>),
    /// Type `0C`.
    I32(Vec<i32>),
    /// Type `0D`.
    F32(Vec<f32>),
    /// Type `0E`.
    F64(Vec<f64>),
}

impl Elements {
    /// The elements as numbers, in row-major order.
    pub(crate) fn numbers(&self) -> Box<dyn Iterator<Item = f64> + '_> {
        match self {
            Elements::U8(elements) => Box::new(elements.iter().map(|&element| element.into())),
            Elements::I8(elements) => Box::new(elements.iter().map(|&element| element.into())),
            Elements::I16(elements) => Box::new(elements.iter().map(|&element| element.into())),
            Elements::I32(elements) => Box::new(elements.iter().map(|&element| element.into())),
            Elements::F32(elements) => Box::new(elements.iter().map(|&element| element.into())),
            Elements::F64(elements) => Box::new(elements.iter().copied()),
        }
    }
}

/// An array read from an IDX file: the number of elements is the product of `shape`.
#[derive(Clone, Debug, PartialEq)]
pub struct Idx {
    /// The size of each dimension, outermost first; empty for a single number (rank 0).
    pub shape: Vec<usize>,
    /// The elements in row-major order.
    pub elements: Elements,
}

/// Reads the IDX file at `path`, plain or gzipped; see [`parse`].
///
/// # Errors
///
/// If the file cannot be opened, and for every reason [`parse`] has.
pub fn read(path: &Path) -> Result<Idx> {
    parse(path, open(path)?)
}

/// Reads IDX from `source`, plain or gzipped: the first bytes decide, not the `name`, which only labels errors.
///
/// No memory is set aside on the word of a header: what is held grows with the data that arrives, and reading
/// (and decompressing) stops one byte after the promised end.
///
/// # Errors
///
/// If `source` cannot be read, is not IDX, has an unknown element type, ends early, goes on after its promised end,
/// or is gzip that is damaged, cut short, or followed by something else than zeros, with which tapes and disks are filled up.
pub fn parse(name: &Path, source: impl Read) -> Result<Idx> {
    let (source, gzipped) = unfold(source).map_err(|error| Error::new(name, format!("cannot read: {error}")))?;
    let idx = decode(source).map_err(|problem| if gzipped { format!("inside gzip: {problem}") } else { problem });
    idx.map_err(|problem| Error::new(name, problem))
}

/// Reads uncompressed IDX; the error is the problem alone.
fn decode(mut source: impl Read) -> std::result::Result<Idx, String> {
    let header = up_to(4, &mut source)?;
    let (code, rank) = match header[..] {
        [0, 0, code, rank] => (code, usize::from(rank)),
        [] => return Err("expected an IDX file, found nothing".into()),
        [0] | [0, 0] | [0, 0, _] => return Err(format!("IDX header cut short after {} bytes", header.len())),
        _ => {
            let found: Vec<_> = header.iter().map(|byte| format!("{byte:02x}")).collect();
            let found = found.join(" ");
            return Err(format!("expected an IDX file (starting 00 00, or gzip 1f 8b), found bytes {found} …"));
        }
    };
    let (width, convert): (usize, fn(Vec<u8>) -> Elements) = match code {
        0x08 => (1, Elements::U8), // MNIST's pixels: moved, not copied
        0x09 => (1, |bytes| Elements::I8(numbers(&bytes, i8::from_be_bytes))),
        0x0B => (2, |bytes| Elements::I16(numbers(&bytes, i16::from_be_bytes))),
        0x0C => (4, |bytes| Elements::I32(numbers(&bytes, i32::from_be_bytes))),
        0x0D => (4, |bytes| Elements::F32(numbers(&bytes, f32::from_be_bytes))),
        0x0E => (8, |bytes| Elements::F64(numbers(&bytes, f64::from_be_bytes))),
        _ => return Err(format!("unknown IDX element type {code:02x} (known: 08, 09, 0b, 0c, 0d, 0e)")),
    };

    let sizes = up_to(4 * rank, &mut source)?;
    if sizes.len() < 4 * rank {
        return Err(format!("IDX header cut short after {} of {} bytes", 4 + sizes.len(), 4 + 4 * rank));
    }
    let shape = numbers(&sizes, |size| u32::from_be_bytes(size) as usize);

    // One byte more than promised is asked for, to see that nothing follows; for gzip, reaching the end also checks
    // the CRC.
    let promise = product(&shape, width);
    let promised = shape.iter().try_fold(width, |total, &size| total.checked_mul(size));
    let Some(promised) = promised.filter(|&promised| promised as u64 <= MOST_BYTES) else {
        return Err(format!("IDX header promises {promise} bytes of data, expected at most 16 GiB"));
    };
    let data = up_to(promised + 1, &mut source)?;
    if data.len() != promised {
        let held = if data.len() > promised { "more".into() } else { data.len().to_string() };
        return Err(format!("IDX header promises {promise} = {promised} bytes of data, but the file holds {held}"));
    }
    Ok(Idx { shape, elements: convert(data) })
}

/// The `N`-byte numbers that `bytes`, a whole number of them, hold.
fn numbers<const N: usize, T>(bytes: &[u8], decode: fn([u8; N]) -> T) -> Vec<T> {
    bytes.as_chunks().0.iter().map(|&chunk| decode(chunk)).collect()
}

/// The size of the data written as a product, like `60000 × 28 × 28`, the last factor being an element's bytes where
/// it has several.
fn product(shape: &[usize], width: usize) -> String {
    let width = if width == 1 && !shape.is_empty() { None } else { Some(&width) };
    let factors: Vec<_> = shape.iter().chain(width).map(usize::to_string).collect();
    factors.join(" × ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::damage::flips;
    use crate::encode::{encode, gzip};
    use proptest::prelude::*;

    fn parsed(bytes: &[u8]) -> Result<Idx> {
        parse(Path::new("x"), bytes)
    }

    fn problem(bytes: &[u8]) -> String {
        parsed(bytes).expect_err("a damaged file was accepted").to_string()
    }

    /// The start of a file of bytes (type 08) that promises `shape`.
    fn header(shape: &[u32]) -> Vec<u8> {
        let sizes = shape.iter().flat_map(|size| size.to_be_bytes());
        [0, 0, 8, shape.len() as u8].into_iter().chain(sizes).collect()
    }

    /// Any valid file: each type, rank 0 to 4, arbitrary contents (also NaNs).
    fn valid_file() -> impl Strategy<Value = Vec<u8>> {
        let kind = prop::sample::select(vec![(0x08, 1), (0x09, 1), (0x0B, 2), (0x0C, 4), (0x0D, 4), (0x0E, 8)]);
        (kind, prop::collection::vec(0u32..5, 0..=4)).prop_flat_map(|((code, width), shape)| {
            let len = width * shape.iter().product::<u32>() as usize;
            prop::collection::vec(any::<u8>(), len).prop_map(move |data| {
                let mut file = header(&shape);
                file[2] = code;
                file.extend(data);
                file
            })
        })
    }

    proptest! {
        #[test]
        fn every_type_and_rank_survives_the_round_trip(file in valid_file()) {
            let plain = parsed(&file).unwrap();
            prop_assert_eq!(encode(&plain), &file[..]);
            prop_assert_eq!(encode(&parsed(&gzip(&file)).unwrap()), file);
        }

        #[test]
        fn a_file_cut_anywhere_is_an_error(file in valid_file()) {
            for end in 0..file.len() {
                prop_assert!(parsed(&file[..end]).is_err(), "accepted {end} of {} bytes", file.len());
            }
        }

        #[test]
        fn a_gzipped_file_cut_anywhere_is_an_error(file in valid_file()) {
            let file = gzip(&file);
            for end in 0..file.len() {
                prop_assert!(parsed(&file[..end]).is_err(), "accepted {end} of {} bytes", file.len());
            }
        }

        #[test]
        fn arbitrary_bytes_never_panic(start in 0usize..5, bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            // Valid beginnings lead the bytes past the first check.
            let starts: [&[u8]; 5] = [&[], &[0, 0], &[0, 0, 0x0B, 2], &[0x1f, 0x8b, 8, 0], &[0x1f, 0x8b]];
            let _ = parsed(&[starts[start], &bytes].concat());
            let _ = parsed(&gzip(&[starts[start], &bytes].concat()));
        }
    }

    #[test]
    fn elements_are_big_endian() {
        let file = |code, data: &[u8]| parsed(&[&[0, 0, code, 0], data].concat()).unwrap();
        let scalar = |elements| Idx { shape: vec![], elements };
        assert_eq!(file(0x08, &[200]), scalar(Elements::U8(vec![200])));
        assert_eq!(file(0x09, &[0xfe]), scalar(Elements::I8(vec![-2])));
        assert_eq!(file(0x0B, &[1, 2]), scalar(Elements::I16(vec![258])));
        assert_eq!(file(0x0C, &[0xff, 0xff, 0xff, 0xfd]), scalar(Elements::I32(vec![-3])));
        assert_eq!(file(0x0D, &[0xbf, 0x80, 0, 0]), scalar(Elements::F32(vec![-1.0])));
        assert_eq!(file(0x0E, &[0x40, 0x04, 0, 0, 0, 0, 0, 0]), scalar(Elements::F64(vec![2.5])));
    }

    #[test]
    fn the_contents_and_not_the_name_decide_what_is_gzip() {
        let file = [0, 0, 8, 1, 0, 0, 0, 2, 7, 9];
        let expected = Idx { shape: vec![2], elements: Elements::U8(vec![7, 9]) };
        assert_eq!(parse(Path::new("plain.gz"), &file[..]).unwrap(), expected);
        assert_eq!(parse(Path::new("gzipped"), &gzip(&file)[..]).unwrap(), expected);
    }

    #[test]
    fn a_file_that_is_not_idx_is_named_by_its_first_bytes() {
        let expected = "x: expected an IDX file (starting 00 00, or gzip 1f 8b), found bytes 3c 21 44 4f …";
        assert_eq!(problem(b"<!DOCTYPE html>"), expected);
        assert_eq!(problem(b""), "x: expected an IDX file, found nothing");
    }

    #[test]
    fn an_unknown_element_type_is_named() {
        assert!(problem(&[0, 0, 0x0A, 0, 0]).contains("unknown IDX element type 0a"));
    }

    #[test]
    fn a_short_header_tells_how_much_of_it_there_is() {
        assert_eq!(problem(&[0, 0, 8]), "x: IDX header cut short after 3 bytes");
        assert_eq!(problem(&[0, 0, 8, 3, 0, 0]), "x: IDX header cut short after 6 of 16 bytes");
    }

    #[test]
    fn short_data_tells_what_was_promised_and_what_is_there() {
        let file = [header(&[60000, 28, 28]), vec![0; 784]].concat();
        let expected = "IDX header promises 60000 × 28 × 28 = 47040000 bytes of data, but the file holds 784";
        assert_eq!(problem(&file), format!("x: {expected}"));
        assert_eq!(problem(&gzip(&file)), format!("x: inside gzip: {expected}"));
        let expected = "x: IDX header promises 2 × 4 = 8 bytes of data, but the file holds 1";
        assert_eq!(problem(&[0, 0, 0x0D, 1, 0, 0, 0, 2, 5]), expected);
    }

    #[test]
    fn bytes_after_the_promised_end_are_an_error() {
        let file = [header(&[2]), vec![0; 3]].concat();
        assert!(problem(&file).ends_with("promises 2 = 2 bytes of data, but the file holds more"));
        assert!(problem(&gzip(&file)).ends_with("but the file holds more"));
    }

    #[test]
    fn a_header_that_promises_terabytes_takes_no_memory() {
        // 16 GiB, the most that is believed: it is not set aside before the data is there.
        assert!(problem(&header(&[1 << 17, 1 << 17])).ends_with("but the file holds 0"));
    }

    #[test]
    fn a_header_that_promises_more_than_16_gib_is_refused_however_much_follows() {
        let zeros = |shape: &[u32]| {
            parse(Path::new("x"), (&header(shape)[..]).chain(std::io::repeat(0))).unwrap_err().to_string()
        };
        for shape in [&[(1 << 17) + 1, 1 << 17][..], &[1 << 31, 1 << 30], &[u32::MAX; 3], &[u32::MAX; 255]] {
            assert!(zeros(shape).ends_with("bytes of data, expected at most 16 GiB"));
        }
    }

    #[test]
    fn a_gzip_that_unfolds_to_the_gigabytes_it_promises_is_refused_early() {
        // 4 GiB of zeros, as the header promises, in members of 64 MiB: the second is not reached.
        let member = gzip(&vec![0; 1 << 26]);
        let bomb = [gzip(&header(&[1 << 6, 1 << 26])), member.repeat(64)].concat();
        let mut rest = &bomb[..];
        let error = parse(Path::new("x"), &mut rest).unwrap_err().to_string();
        assert_eq!(error, "x: inside gzip: cannot read: it unfolds to more than 256 times its size");
        assert!(bomb.len() - rest.len() < 2 * member.len());
    }

    #[test]
    fn a_gzip_bomb_is_decompressed_no_further_than_its_header_promises() {
        let bomb = gzip(&[header(&[1]), vec![0; 1 << 26]].concat());
        let mut rest = &bomb[..];
        assert!(parse(Path::new("x"), &mut rest).is_err());
        assert!(rest.len() > bomb.len() / 4, "all but {} of {} bytes were read", rest.len(), bomb.len());
    }

    #[test]
    fn a_wrong_gzip_checksum_is_an_error() {
        let mut file = gzip(&[header(&[3]), vec![1, 2, 3]].concat());
        let crc = file.len() - 8;
        file[crc] ^= 1;
        assert!(problem(&file).contains("checksum"));
    }

    #[test]
    fn a_wrong_gzip_length_is_an_error() {
        let mut file = gzip(&[header(&[3]), vec![1, 2, 3]].concat());
        let length = file.len() - 4;
        file[length] ^= 1;
        parsed(&file).unwrap_err();
    }

    #[test]
    fn anything_after_the_gzip_is_an_error() {
        let file = gzip(&[header(&[3]), vec![1, 2, 3]].concat());
        for garbage in [&b"x"[..], b"\x1f\x8b", b"more than a gzip header of text", b"\0x", &gzip(b"x")] {
            parsed(&[&file, garbage].concat()).unwrap_err();
        }
    }

    #[test]
    fn zeros_after_the_gzip_are_padding() {
        let file = [header(&[3]), vec![1, 2, 3]].concat();
        for zeros in [1, 512, 100_000] {
            assert_eq!(parsed(&[gzip(&file), vec![0; zeros]].concat()), parsed(&file));
        }
    }

    #[test]
    fn flipped_bits_in_a_plain_file_never_panic() {
        let file = [header(&[3, 2, 2]), (0..12).collect()].concat();
        flips(&file, |flipped| drop(parsed(flipped)));
    }

    #[test]
    fn every_flipped_bit_in_a_gzipped_file_is_an_error_or_leaves_the_content_as_it_is() {
        // The CRC protects what is compressed. The rest of the ten bytes before it (a time, an operating system, the effort
        // of the compressor) is not content: a flip there cannot be noticed and changes nothing.
        let file = [header(&[3, 8, 8]), (0..192).map(|i| (i * i % 64) as u8).collect()].concat();
        let (zipped, expected) = (gzip(&file), parsed(&file).unwrap());
        let mut harmless = 0;
        for bit in 0..8 * zipped.len() {
            let mut flipped = zipped.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            if let Ok(idx) = parsed(&flipped) {
                assert_eq!(idx, expected, "bit {bit}");
                harmless += 1;
            }
        }
        // Time, effort and system are 48 bits; a few of the flags, and the padding of the last byte, mean nothing either.
        assert!((48..64).contains(&harmless), "{harmless}");
        flips(&zipped, |flipped| assert!(parsed(flipped).map_or(true, |idx| idx == expected)));
    }

    #[test]
    fn a_missing_file_is_an_error_that_names_it() {
        let error = read(Path::new("no/such/file")).unwrap_err().to_string();
        assert!(error.starts_with("no/such/file: cannot open: "), "{error}");
    }
}
