//! Numbers of any type → pixels, where white is 255.
//!
//! Floats are from 0 to 1. Of whole numbers it is known what is white only when all have been read, those of the test as well
//! as those of the training; until then each takes one byte, and a second one where some are above 255.

use super::header::Header;
use super::kind::{Class, Kind};
use super::layout::Layout;
use crate::{Options, Size, scale};
use std::io::Read;

/// Floats below this are all but black.
const DARK: f64 = 16.0 / 255.0;

/// An array of images, read, but not yet on the scale of bytes.
pub(super) struct Pixels {
    pub(super) images: usize,
    pub(super) size: Size,
    /// What was assumed of the shape.
    pub(super) note: Option<String>,
    kind: Kind,
    /// Whole numbers modulo 256; floats as the bytes that they become.
    low: Vec<u8>,
    /// What 256 is to be multiplied by; nothing if no number is above 255.
    high: Vec<u8>,
    /// The greatest of the numbers.
    greatest: f64,
}

impl Pixels {
    /// Reads an array that may have `most` bytes; see [`Layout`] for the shapes.
    ///
    /// The elements are numbers, from 0 to 1 if they are floats (and so are those whose nearest byte is 0 or 255), else from 0 to
    /// 65,535.
    ///
    /// # Errors
    ///
    /// If the array has another shape or another type, or numbers that are no such pixels; or fewer bytes than promised, or more.
    pub(super) fn read(mut source: impl Read, most: u64, options: &Options) -> Result<Pixels, String> {
        let header = Header::read(&mut source)?;
        let kind = header.kind.clone();
        let kind = kind.and_then(|kind| if kind.is_text() { Err(kind.to_string()) } else { Ok(kind) });
        let kind = kind.map_err(|what| format!("expected images of numbers, found {what}"))?;
        let layout = Layout::new(&header.shape, header.fortran_order, options)?;
        header.promised(kind, most)?;

        let count = layout.count();
        let mut pixels = Pixels {
            images: layout.images,
            size: layout.size,
            note: layout.note.clone(),
            kind,
            low: zeros(count)?,
            high: Vec::new(),
            greatest: 0.0,
        };
        let mut range = Range::default();
        let read = match (kind.class, kind.width) {
            (Class::Unsigned, 1) if layout.is_in_order() => {
                let mut rest = &mut pixels.low[..];
                header.each(kind, &mut source, most, |bytes| {
                    let (now, later) = std::mem::take(&mut rest).split_at_mut(bytes.len());
                    now.copy_from_slice(bytes);
                    rest = later;
                    // Of bytes the greatest is all that matters, and this loop takes many at a time.
                    range.take(bytes.iter().fold(0, |greatest, &byte| greatest.max(byte)).into());
                })
            }
            (class, width) => {
                let mut places = layout.places();
                header.each(kind, &mut source, most, |bytes| {
                    for number in bytes.chunks_exact(width).map(|bytes| kind.number(bytes)) {
                        range.take(number);
                        pixels.put(places.next(), number, class);
                    }
                })
            }
        };
        read?;
        range.check(kind)?;
        pixels.greatest = range.greatest;
        Ok(pixels)
    }

    /// Puts a number at its place. One that is out of range becomes some byte: the whole array is then refused.
    fn put(&mut self, place: usize, number: f64, class: Class) {
        if class == Class::Float {
            self.low[place] = (255.0 * number).round() as u8;
            return;
        }
        let [low, high] = (number as u16).to_le_bytes();
        self.low[place] = low;
        if high > 0 {
            if self.high.is_empty() {
                self.high = vec![0; self.low.len()];
            }
            self.high[place] = high;
        }
    }

    fn is_float(&self) -> bool {
        self.kind.class == Class::Float
    }
}

/// The bytes of arrays that belong together, on one scale, and what was assumed of it.
pub(super) fn to_bytes(mut arrays: Vec<Pixels>) -> (Vec<Vec<u8>>, Vec<String>) {
    let mut notes = Vec::new();
    let greatest = |float: bool| {
        let all = arrays.iter().filter(|array| array.is_float() == float).map(|array| array.greatest);
        all.reduce(f64::max)
    };
    if let Some(greatest) = greatest(true).filter(|&greatest| greatest < DARK) {
        notes.push(format!("dark: no pixel is above {greatest:.2e}, where white is 1"));
    }
    if let Some(greatest) = greatest(false) {
        let integers = arrays.iter_mut().filter(|array| !array.is_float());
        let odd = integers.map(|array| array.kind).find(|kind| (kind.class, kind.width) != (Class::Unsigned, 1));
        let (white, mut note) = scale::white(greatest as u16, if odd.is_some() { u16::MAX } else { 255 });
        if let (Some(kind), None) = (odd, &note) {
            note = Some(format!("{white} is taken for white in pixels of {kind}"));
        }
        notes.extend(note);
        for Pixels { low, high, .. } in arrays.iter_mut().filter(|array| !array.is_float()) {
            if high.is_empty() {
                if white != 255 {
                    low.iter_mut().for_each(|low| *low = scale::byte((*low).into(), white));
                }
            } else {
                let numbers = low.iter_mut().zip(&*high);
                numbers.for_each(|(low, &high)| *low = scale::byte(u16::from_le_bytes([*low, high]), white));
            }
        }
    }
    (arrays.into_iter().map(|array| array.low).collect(), notes)
}

/// So many zeros, if they fit in memory.
fn zeros(count: usize) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(count).map_err(|_| format!("{count} bytes of images do not fit in memory"))?;
    bytes.resize(count, 0);
    Ok(bytes)
}

/// The least and the greatest of numbers, and whether all are such.
#[derive(Default)]
struct Range {
    least: f64,
    greatest: f64,
    /// Whether there is a number that is none.
    nan: bool,
    seen: bool,
}

impl Range {
    fn take(&mut self, number: f64) {
        self.nan |= number.is_nan();
        if !self.seen {
            (self.least, self.greatest, self.seen) = (number, number, true);
        }
        self.least = self.least.min(number);
        self.greatest = self.greatest.max(number);
    }

    /// Checks whether the numbers are pixels.
    fn check(&self, kind: Kind) -> Result<(), String> {
        let Range { least, greatest, nan, .. } = *self;
        let found = if nan { "NaN".to_string() } else { format!("numbers from {least} to {greatest}") };
        let is_float = kind.class == Class::Float;
        let is_byte = |number: f64| (0.0..=255.0).contains(&(255.0 * number).round());
        match is_float {
            true if nan || !is_byte(least) || !is_byte(greatest) => {
                Err(format!("expected {kind} pixels from 0 to 1 (or save bytes, 0 to 255, as uint8), found {found}"))
            }
            false if least < 0.0 || greatest > u16::MAX.into() => {
                Err(format!("expected {kind} pixels from 0 to 255, or to 65535, found {found}"))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{npy, with_header};
    use super::*;
    use crate::source::MOST_BYTES;
    use proptest::prelude::*;

    fn read(file: &[u8]) -> Result<Pixels, String> {
        Pixels::read(file, MOST_BYTES, &Options::default())
    }

    /// The bytes that one image of a row becomes, and the notes.
    fn row(descr: &str, data: &[u8]) -> Result<(Vec<u8>, Vec<String>), String> {
        let width = Kind::parse(descr).map_or(1, |kind| kind.width);
        let (mut bytes, notes) = to_bytes(vec![read(&npy(descr, &[1, 1, data.len() / width], data))?]);
        Ok((bytes.remove(0), notes))
    }

    fn doubles(numbers: &[f64]) -> Vec<u8> {
        numbers.iter().flat_map(|number| number.to_le_bytes()).collect()
    }

    fn shorts(numbers: &[u16]) -> Vec<u8> {
        numbers.iter().flat_map(|number| number.to_le_bytes()).collect()
    }

    #[test]
    fn a_float_becomes_the_nearest_byte() {
        let half = 0.5 / 255.0;
        let numbers = [0.0, 1.0, half - 1e-9, half + 1e-9, -0.0];
        assert_eq!(row("<f8", &doubles(&numbers)), Ok((vec![0, 255, 0, 1, 0], vec![])));
    }

    #[test]
    fn a_rounding_error_beyond_0_or_1_is_none_and_more_is_refused_with_the_range() {
        assert_eq!(row("<f8", &doubles(&[1.0000001, -1e-7, 1.0009, -0.0009])), Ok((vec![255, 0, 255, 0], vec![])));
        let problem = |numbers: &[f64]| row("<f8", &doubles(numbers)).unwrap_err();
        let expected = "expected float64 pixels from 0 to 1 (or save bytes, 0 to 255, as uint8), found";
        for (numbers, found) in [
            ([0.5, 255.0, 3.0], "numbers from 0.5 to 255"),
            ([0.5, -1.0, 1.0], "numbers from -1 to 1"),
            ([0.5, 1.01, 0.0], "numbers from 0 to 1.01"),
            ([0.5, f64::INFINITY, 0.0], "numbers from 0 to inf"),
            ([f64::NAN, 0.5, 0.0], "NaN"),
            ([0.5, f64::NAN, 0.0], "NaN"),
        ] {
            assert_eq!(problem(&numbers), format!("{expected} {found}"));
        }
    }

    #[test]
    fn floats_that_are_all_but_black_are_said_to_be_dark() {
        let notes = |greatest: f64| row("<f8", &doubles(&[0.0, greatest])).unwrap().1;
        assert_eq!(notes(1.0 / 255.0), ["dark: no pixel is above 3.92e-3, where white is 1"]);
        assert_eq!(notes(0.1), [""; 0]);
        // They may have been divided twice; what they are is not guessed.
        assert_eq!(row("<f8", &doubles(&[0.0, 1.0 / 255.0])).unwrap().0, [0, 1]);
    }

    #[test]
    fn integers_of_every_type_are_read_and_their_scale_is_said() {
        let white = |white, greatest| vec![format!("no pixel is above {greatest}: {white} is taken for white")];
        assert_eq!(row("|u1", &[0, 128, 255]), Ok((vec![0, 128, 255], vec![])));
        assert_eq!(row("<i8", &[[255, 0, 0, 0, 0, 0, 0, 0], [0; 8]].concat()), Ok((vec![255, 0], white(255, 255))));
        assert_eq!(row(">i4", &[0, 0, 0, 200, 0, 0, 0, 7]), Ok((vec![200, 7], white(255, 200))));
        assert_eq!(row("|i1", &[0, 127]), Ok((vec![0, 127], white(255, 127))));
        assert_eq!(row("<u2", &shorts(&[0, 255])), Ok((vec![0, 255], white(255, 255))));
        assert_eq!(row("<u2", &shorts(&[0, 4095, 2048])), Ok((vec![0, 255, 128], white(4095, 4095))));
        let all = vec!["65535 is taken for white in pixels of uint16".to_string()];
        assert_eq!(row("<u2", &shorts(&[0, 65_535, 257])), Ok((vec![0, 255, 1], all)));
    }

    #[test]
    fn zeros_and_ones_are_black_and_white_in_every_type() {
        let notes = vec!["all pixels are 0 and 1: 1 is taken for white".to_string()];
        for (descr, data) in [("|u1", &[0, 1][..]), ("|b1", &[0, 1]), ("<i2", &[0, 0, 1, 0]), ("|i1", &[0, 1])] {
            assert_eq!(row(descr, data), Ok((vec![0, 255], notes.clone())), "{descr}");
        }
    }

    #[test]
    fn integers_that_are_no_pixels_are_refused_with_their_range() {
        let expected = "expected int32 pixels from 0 to 255, or to 65535, found numbers from";
        let problem = |numbers: [i32; 2]| row("<i4", &numbers.map(i32::to_le_bytes).concat()).unwrap_err();
        assert_eq!(problem([-1, 255]), format!("{expected} -1 to 255"));
        assert_eq!(problem([65_536, 0]), format!("{expected} 0 to 65536"));
    }

    #[test]
    fn arrays_that_belong_together_are_on_one_scale() {
        let array = |numbers: &[u16]| read(&npy("<u2", &[1, 1, numbers.len()], &shorts(numbers))).unwrap();
        let (bytes, notes) = to_bytes(vec![array(&[0, 1]), array(&[0, 4095])]);
        assert_eq!((bytes, notes.len()), (vec![vec![0, 0], vec![0, 255]], 1));
    }

    #[test]
    fn what_is_no_number_is_named() {
        let problem = |descr: &str| read(&npy(descr, &[1, 1, 1], &[])).map(|_| ()).unwrap_err();
        assert_eq!(problem("<U10"), "expected images of numbers, found text");
        assert_eq!(problem("|O"), "expected images of numbers, found |O, Python objects");
        assert_eq!(problem("<c16"), "expected images of numbers, found <c16, complex numbers");
    }

    #[test]
    fn a_header_that_promises_more_than_is_read_takes_no_memory() {
        let file = npy("|u1", &[1 << 40, 1 << 10], &[]);
        let problem = Pixels::read(&file[..], 1000, &Options::default()).map(|_| ()).unwrap_err();
        assert!(problem.contains("more than the 1000 bytes that are read"), "{problem}");
    }

    proptest! {
        #[test]
        fn pixels_are_the_same_in_every_type_and_every_order(
            n in 1usize..6,
            h in 4usize..6,
            w in 4usize..6,
            c in prop::sample::select(vec![1usize, 3]),
            bytes in prop::collection::vec(any::<u8>(), 5 * 5 * 5 * 3),
        ) {
            let count = n * h * w * c;
            let mut expected = bytes[..count].to_vec();
            expected[0] = 255;
            let shape = [n, h, w, c];
            let place = |i: usize, fortran: bool, first: bool| {
                // The index of an element of the file along each of its dimensions, and what that is in the images.
                let sizes = if first { [n, c, h, w] } else { shape };
                let (mut rest, mut index) = (i, [0; 4]);
                for d in if fortran { [0, 1, 2, 3] } else { [3, 2, 1, 0] } {
                    index[d] = rest % sizes[d];
                    rest /= sizes[d];
                }
                let [image, y, x, channel] = if first { [index[0], index[2], index[3], index[1]] } else { index };
                ((image * h + y) * w + x) * c + channel
            };
            for (fortran, first) in [(false, false), (false, true), (true, false), (true, true)] {
                let sizes = if first { [n, c, h, w] } else { shape };
                let ordered: Vec<u8> = (0..count).map(|i| expected[place(i, fortran, first)]).collect();
                let floats: Vec<f64> = ordered.iter().map(|&byte| f64::from(byte) / 255.0).collect();
                let single = floats.iter().flat_map(|&value| (value as f32).to_le_bytes()).collect::<Vec<_>>();
                let double = floats.iter().flat_map(|value| value.to_be_bytes()).collect::<Vec<_>>();
                let long = ordered.iter().flat_map(|&byte| i64::from(byte).to_le_bytes()).collect::<Vec<_>>();
                for (descr, data) in [("|u1", &ordered), ("<f4", &single), (">f8", &double), ("<i8", &long)] {
                    let order = if fortran { "True" } else { "False" };
                    let [a, b, d, e] = sizes;
                    let header = format!("{{'descr': '{descr}', 'fortran_order': {order}, 'shape': ({a}, {b}, {d}, {e}), }}");
                    let pixels = read(&with_header(&header, data)).unwrap();
                    prop_assert_eq!((pixels.images, pixels.size), (n, Size { height: h, width: w, channels: c }));
                    let (bytes, _) = to_bytes(vec![pixels]);
                    prop_assert_eq!(&bytes[0], &expected);
                }
            }
        }
    }
}
