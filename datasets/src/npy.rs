//! Arrays as NumPy saves them: one in a `.npy` file, several in a `.npz` archive.
//!
//! | offset | bytes  | meaning                                                                      |
//! |--------|--------|------------------------------------------------------------------------------|
//! | 0      | 6      | `93`, then `NUMPY`                                                           |
//! | 6      | 2      | the version, 1.0, 2.0 or 3.0                                                 |
//! | 8      | 2 or 4 | the length of the text that follows, little-endian; 4 bytes from version 2.0 |
//! | 10, 12 |        | `{'descr': '<f4', 'fortran_order': False, 'shape': (60000, 28, 28), }`       |
//! | then   | rest   | the elements, the last dimension varying fastest                             |
//!
//! Source: NumPy's manual, `numpy.lib.format`.
//!
//! The header is parsed here and not by a library: those at hand set memory aside for as many elements as it promises before
//! they have seen one, and parse its text by recursion, so that a file of a few bytes ends the process. Reading element by
//! element, we also turn a file of floats into bytes without ever holding the floats.

use crate::open::{Found, Options};
use crate::source::{MOST_BYTES, most_unfolded, open, up_to};
use crate::{Dataset, Error, Images, Result, Size};
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::Path;
use zip::ZipArchive;

/// Longer headers are refused, as NumPy itself does.
const LONGEST_HEADER: usize = 10_000;

/// Reads a `.npy` file: one array of images, split by [`split`] with the row's number as its name.
///
/// # Errors
///
/// If the file cannot be opened or is not an array of images; see [`images`].
pub(crate) fn from_npy(path: &Path, options: &Options) -> Result<Found> {
    let read = BufReader::new(open(path)?);
    let found = images(read, MOST_BYTES, options).and_then(|(pixels, size, n)| by_row(pixels, size, n));
    found.map_err(|problem| Error::new(path, problem))
}

/// Reads a `.npz` archive: `x_train` and `x_test` with labels `y_train` and `y_test`, as Keras keeps MNIST; or `train` and
/// `test` with the same names for labels; or a single array, split like that of a `.npy` file. Without labels all are 0.
///
/// # Errors
///
/// If the file cannot be opened, is no archive, holds arrays of other names, or one that is not of images or labels.
pub(crate) fn from_npz(path: &Path, options: &Options) -> Result<Found> {
    unpack(BufReader::new(open(path)?), options).map_err(|problem| Error::new(path, problem))
}

fn unpack(file: impl Read + Seek, options: &Options) -> std::result::Result<Found, String> {
    let mut archive = Archive::open(file)?;
    let names = archive.names.clone();
    if let [name] = &names[..] {
        let (pixels, size, n) = archive.read(name, |source, most| images(source, most, options))?;
        return by_row(pixels, size, n);
    }
    let has = |name: &str| names.iter().any(|n| n == name);
    let pairs = [["x_train", "x_test"], ["train", "test"]];
    let Some([train, test]) = pairs.into_iter().find(|pair| pair.iter().all(|name| has(name))) else {
        let found = match &names[..] {
            [] => "none".to_string(),
            _ => names.iter().take(10).map(String::as_str).collect::<Vec<_>>().join(", "),
        };
        return Err(format!(
            "expected arrays x_train and x_test (and y_train, y_test), or train and test, or a single one, found {found}"
        ));
    };
    if has("y_train") != has("y_test") {
        return Err("expected both y_train and y_test, or neither, found one of them".into());
    }
    let mut part = |name: &str, labels_name: &str| {
        let (pixels, size, n) = archive.read(name, |source, most| images(source, most, options))?;
        let labels = if has(labels_name) { archive.read(labels_name, labels)? } else { vec![0; n] };
        if labels.len() != n {
            return Err(format!("{labels_name} holds {} labels, but {name} holds {n} images", labels.len()));
        }
        Images::new(pixels, size, labels).map_err(|problem| format!("{name}: {problem}"))
    };
    let (train, test) = (part(train, "y_train")?, part(test, "y_test")?);
    if train.size() != test.size() {
        return Err(format!("training images are {}, but test images are {}", train.size(), test.size()));
    }
    Ok(Found::Parts(Dataset { train, test }))
}

/// An array without labels, named by the numbers of its rows.
fn by_row(pixels: Vec<u8>, size: Size, n: usize) -> std::result::Result<Found, String> {
    let names = (0..n).map(|row| row.to_string().into_bytes()).collect();
    Ok(Found::Whole(Images::new(pixels, size, vec![0; n])?, names))
}

/// A `.npz` archive, which is a zip of `.npy` files.
struct Archive<R> {
    zip: ZipArchive<R>,
    /// How long the file is, in bytes.
    length: u64,
    /// The arrays' names, without the ending `.npy` that NumPy gives them, in the archive's order.
    names: Vec<String>,
}

impl<R: Read + Seek> Archive<R> {
    fn open(mut file: R) -> std::result::Result<Self, String> {
        let failed = |error: &dyn std::fmt::Display| format!("not an archive that can be read: {error}");
        let length = file.seek(SeekFrom::End(0)).map_err(|error| failed(&error))?;
        let zip = ZipArchive::new(file).map_err(|error| failed(&error))?;
        let names = zip.file_names().map(|name| name.map(|n| n.strip_suffix(".npy").unwrap_or(&n).to_string()));
        let names = names.collect::<zip::result::ZipResult<_>>().map_err(|error| failed(&error))?;
        Ok(Archive { zip, length, names })
    }

    /// What `parse` makes of the array `name` and of the most bytes that it may have; errors are preceded by the name.
    fn read<T>(
        &mut self,
        name: &str,
        parse: impl FnOnce(&mut dyn Read, u64) -> std::result::Result<T, String>,
    ) -> std::result::Result<T, String> {
        let index = self.names.iter().position(|n| n == name).expect("the archive has the array that is asked for");
        let mut member = self.zip.by_index(index).map_err(|error| format!("{name}: cannot read: {error}"))?;
        // The archive's word for the compressed size may be a lie, but the file is no longer than it is.
        let most = most_unfolded(member.compressed_size().min(self.length)).min(MOST_BYTES);
        parse(&mut member, most).map_err(|problem| format!("{name}: {problem}"))
    }
}

/// The pixels of an array of images, their size and their number.
///
/// The array is `[n, h, w]`, or `[n, h, w, c]` with 1 or 3 channels, or `[n, d]`. Rows of `d` numbers are images of the size
/// in `options`, if it says one (`h · w · c = d`, pixels interleaved), else square ones, else of 1 × `d`. Its elements are
/// bytes, or floats of 4 or 8 bytes from 0 to 1, which become the nearest of the bytes 0 to 255.
fn images(mut source: impl Read, most: u64, options: &Options) -> std::result::Result<(Vec<u8>, Size, usize), String> {
    let header = Header::read(&mut source)?;
    let (n, size) = measures(&header.shape, options)?;
    let expected = match header.kind {
        Kind { class: b'u', width: 1, .. } => "a byte",
        Kind { class: b'f', width: 4 | 8, .. } => "numbers from 0 to 1 (or save bytes, 0 to 255, as uint8)",
        kind => return Err(format!("expected images of uint8, float32 or float64, found {kind}")),
    };
    let pixels = header.bytes(&mut source, most, expected, |value| {
        (0.0..=1.0).contains(&value).then(|| (255.0 * value).round() as u8)
    })?;
    Ok((pixels, size, n))
}

/// Labels: integers from 0 to 255, `[n]` or `[n, 1]`.
fn labels(mut source: &mut dyn Read, most: u64) -> std::result::Result<Vec<u32>, String> {
    let header = Header::read(&mut source)?;
    if !matches!((&header.shape[..], header.kind.class), ([_] | [_, 1], b'u' | b'i')) {
        let found = format!("{} of shape {}", header.kind, shown(&header.shape));
        return Err(format!("expected labels, integers of shape [n], found {found}"));
    }
    // Integers beyond 2^53 are rounded on the way to a float, and out of range before and after.
    let labels = header.bytes(&mut source, most, "labels from 0 to 255", |value| {
        (0.0..=255.0).contains(&value).then_some(value as u8)
    })?;
    Ok(labels.into_iter().map(u32::from).collect())
}

/// How many images an array of `shape` holds, and of what size.
fn measures(shape: &[usize], options: &Options) -> std::result::Result<(usize, Size), String> {
    match *shape {
        [n, height, width] => Ok((n, Size::grey(height, width))),
        [n, height, width, channels @ (1 | 3)] => Ok((n, Size { height, width, channels })),
        [n, row] => {
            let sized = |channels| options.image_size.map(|(height, width)| Size { height, width, channels });
            let fits = |size: &Size| size.checked_count() == Some(row);
            let coloured =
                options.channels == Some(3) || options.channels.is_none() && sized(3).is_some_and(|s| fits(&s));
            let channels = options.channels.unwrap_or(if coloured { 3 } else { 1 });
            let pixels = row / channels.max(1);
            let side = pixels.isqrt();
            let (height, width) = if side * side == pixels { (side, side) } else { (1, pixels) };
            let size = sized(channels).unwrap_or(Size { height, width, channels });
            match fits(&size) {
                true => Ok((n, size)),
                false => Err(format!("rows of {row} numbers are not images of {size}")),
            }
        }
        _ => Err(format!("expected shape [n, h, w], [n, h, w, c] with c 1 or 3, or [n, d], found {}", shown(shape))),
    }
}

/// A shape or a position, as `[60000, 28, 28]`.
fn shown(numbers: &[usize]) -> String {
    format!("[{}]", numbers.iter().map(usize::to_string).collect::<Vec<_>>().join(", "))
}

/// The type of an element.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Kind {
    /// `u`nsigned, signed (`i`), `f`loat, and some that we do not read.
    class: u8,
    /// Bytes.
    width: usize,
    big_endian: bool,
}

impl Kind {
    /// From NumPy's description, as `<f4`; `None` if it describes no plain number.
    fn parse(descr: &str) -> Option<Kind> {
        let [order @ (b'<' | b'>' | b'|' | b'='), class, ref width @ ..] = *descr.as_bytes() else { return None };
        let width = match width {
            [digit @ (b'1' | b'2' | b'4' | b'8')] => usize::from(digit - b'0'),
            _ => return None,
        };
        matches!(class, b'u' | b'i' | b'f').then_some(Kind { class, width, big_endian: order == b'>' })
    }

    /// The number that these bytes, as many as the type has, stand for.
    fn number(self, bytes: &[u8]) -> f64 {
        let mut number = [0; 8];
        number[..self.width].copy_from_slice(bytes);
        if self.big_endian {
            number[..self.width].reverse();
        }
        match (self.class, self.width) {
            (b'f', 4) => f32::from_le_bytes(*number.first_chunk().expect("8 bytes are more than 4")).into(),
            (b'f', _) => f64::from_le_bytes(number),
            (b'u', _) => u64::from_le_bytes(number) as f64,
            // Up to the top and back: copies of the sign fill the bytes above.
            _ => {
                let above = 64 - 8 * self.width;
                (i64::from_le_bytes(number) << above >> above) as f64
            }
        }
    }
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let class = match self.class {
            b'u' => "uint",
            b'i' => "int",
            _ => "float",
        };
        write!(f, "{class}{}", 8 * self.width)
    }
}

/// What a `.npy` file says of its array.
#[derive(Debug, PartialEq)]
struct Header {
    kind: Kind,
    shape: Vec<usize>,
}

impl Header {
    /// Reads everything that precedes the elements.
    fn read(source: &mut impl Read) -> std::result::Result<Header, String> {
        let start = up_to(8, source)?;
        let bytes_of_length = match start[..] {
            [0x93, b'N', b'U', b'M', b'P', b'Y', 1, 0] => 2,
            [0x93, b'N', b'U', b'M', b'P', b'Y', 2 | 3, 0] => 4,
            [0x93, b'N', b'U', b'M', b'P', b'Y', major, minor] => {
                return Err(format!("expected version 1.0, 2.0 or 3.0 of the NumPy format, found {major}.{minor}"));
            }
            _ => return Err("expected an array in the NumPy format (starting 93 NUMPY)".into()),
        };
        let length = up_to(bytes_of_length, source)?;
        if length.len() < bytes_of_length {
            return Err("header cut short".into());
        }
        let length = length.iter().rev().fold(0, |length, &byte| length << 8 | usize::from(byte));
        if length > LONGEST_HEADER {
            return Err(format!("expected a header of at most {LONGEST_HEADER} bytes, found one of {length}"));
        }
        let text = up_to(length, source)?;
        if text.len() < length {
            return Err("header cut short".into());
        }
        Header::parse(&text)
    }

    /// The header from its text, a dictionary as Python writes it.
    fn parse(text: &[u8]) -> std::result::Result<Header, String> {
        let odd = || {
            let text = String::from_utf8_lossy(&text[..text.len().min(100)]);
            format!(
                "expected a header with descr, fortran_order and shape of an array of numbers, found {}",
                text.trim()
            )
        };
        let (descr, fortran_order, shape) = dictionary(text).ok_or_else(odd)?;
        if fortran_order && shape.len() > 1 {
            return Err(
                "expected an array in C order, found one in Fortran order (save numpy.ascontiguousarray of it)".into(),
            );
        }
        let kind = Kind::parse(&descr).ok_or_else(|| format!("expected an array of plain numbers, found {descr}"))?;
        Ok(Header { kind, shape })
    }

    /// The elements, each turned into a byte; `convert` gives `None` for those that are not the `expected` ones.
    ///
    /// Bytes stay what they are. The array may have `most` bytes, and they must be there to the last, and nothing after.
    fn bytes(
        &self,
        source: &mut impl Read,
        most: u64,
        expected: &str,
        convert: impl Fn(f64) -> Option<u8>,
    ) -> std::result::Result<Vec<u8>, String> {
        let Kind { class, width, .. } = self.kind;
        let count = self.shape.iter().try_fold(1usize, |count, &size| count.checked_mul(size));
        let promised = count.and_then(|count| count.checked_mul(width)).filter(|&promised| promised as u64 <= most);
        let (Some(count), Some(promised)) = (count, promised) else {
            let shape = shown(&self.shape);
            return Err(format!(
                "header promises {} of shape {shape}, more than the {most} bytes that are read",
                self.kind
            ));
        };
        let held = |held: String| format!("header promises {promised} bytes of data, but the file holds {held}");
        let mut bytes = Vec::new();
        while bytes.len() < count {
            let chunk = (count - bytes.len()).min(1 << 16) * width;
            let data = up_to(chunk, source)?;
            if data.len() < chunk {
                return Err(held((width * bytes.len() + data.len()).to_string()));
            }
            if (class, width) == (b'u', 1) {
                bytes.extend(data);
                continue;
            }
            for number in data.chunks_exact(width).map(|number| self.kind.number(number)) {
                let Some(byte) = convert(number) else {
                    return Err(format!("expected {expected}, found {number} at {}", self.position(bytes.len())));
                };
                bytes.push(byte);
            }
        }
        // Asking for more also has the checksum of an archive's member compared.
        if !up_to(1, source)?.is_empty() {
            return Err(held("more".into()));
        }
        Ok(bytes)
    }

    /// The position of the `i`th element, as NumPy would index it.
    fn position(&self, mut i: usize) -> String {
        let mut position: Vec<usize> = self.shape.iter().rev().map(|size| (i % size, i /= size).0).collect();
        position.reverse();
        shown(&position)
    }
}

/// `descr`, `fortran_order` and `shape` from a Python dictionary with these keys and no others.
fn dictionary(text: &[u8]) -> Option<(String, bool, Vec<usize>)> {
    let mut text = Scanner(text);
    let (mut descr, mut fortran_order, mut shape) = (None, None, None);
    text.expect("{")?;
    while text.expect("}").is_none() {
        match &text.string()?[..] {
            "descr" => {
                text.expect(":")?;
                descr = Some(text.string()?);
            }
            "fortran_order" => {
                text.expect(":")?;
                fortran_order = Some(text.expect("False").is_none());
                if fortran_order == Some(true) {
                    text.expect("True")?;
                }
            }
            "shape" => {
                text.expect(":")?;
                shape = Some(text.tuple()?);
            }
            _ => return None,
        }
        if text.expect(",").is_none() {
            text.expect("}")?;
            break;
        }
    }
    text.skip_space();
    text.0.is_empty().then_some((descr?, fortran_order?, shape?))
}

/// The text that is still to be read.
struct Scanner<'a>(&'a [u8]);

impl Scanner<'_> {
    fn skip_space(&mut self) {
        self.0 = self.0.trim_ascii_start();
    }

    /// Goes past `token`, if it comes next.
    fn expect(&mut self, token: &str) -> Option<()> {
        self.skip_space();
        self.0 = self.0.strip_prefix(token.as_bytes())?;
        Some(())
    }

    /// A string in either kind of quotes, without escapes.
    fn string(&mut self) -> Option<String> {
        self.skip_space();
        let (&quote, rest) = self.0.split_first().filter(|&(&quote, _)| quote == b'\'' || quote == b'"')?;
        let end = rest.iter().position(|&byte| byte == quote)?;
        self.0 = &rest[end + 1..];
        String::from_utf8(rest[..end].to_vec()).ok()
    }

    /// Numbers in parentheses.
    fn tuple(&mut self) -> Option<Vec<usize>> {
        self.expect("(")?;
        let mut numbers = Vec::new();
        while self.expect(")").is_none() {
            self.skip_space();
            let digits = self.0.iter().take_while(|byte| byte.is_ascii_digit()).count();
            numbers.push(std::str::from_utf8(&self.0[..digits]).ok()?.parse().ok()?);
            self.0 = &self.0[digits..];
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
    use super::*;
    use crate::damage::{cuts, flips};
    use proptest::prelude::*;
    use std::fs;
    use std::io::{Cursor, Write};
    use std::path::PathBuf;
    use zip::write::SimpleFileOptions;

    /// A `.npy` file as NumPy writes it: `descr`, `shape`, and the bytes of the elements.
    fn npy(descr: &str, shape: &[usize], data: &[u8]) -> Vec<u8> {
        let shape: String = shape.iter().map(|size| format!("{size}, ")).collect();
        let header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({}), }}", shape.trim_end());
        with_header(&header, data)
    }

    fn with_header(header: &str, data: &[u8]) -> Vec<u8> {
        let header = format!("{header:<117}\n");
        let length = (header.len() as u16).to_le_bytes();
        [b"\x93NUMPY\x01\x00", &length[..], header.as_bytes(), data].concat()
    }

    fn npz(members: &[(&str, Vec<u8>)]) -> Vec<u8> {
        let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
        for (name, content) in members {
            let method = SimpleFileOptions::default().compression_method(zip::CompressionMethod::Deflated);
            zip.start_file(format!("{name}.npy"), method).unwrap();
            zip.write_all(content).unwrap();
        }
        zip.finish().unwrap().into_inner()
    }

    type Parsed = std::result::Result<(Vec<u8>, Size, usize), String>;

    fn parsed_with(file: &[u8], options: &Options) -> Parsed {
        images(file, MOST_BYTES, options)
    }

    fn parsed(file: &[u8]) -> Parsed {
        parsed_with(file, &Options::default())
    }

    fn problem(file: &[u8]) -> String {
        parsed(file).unwrap_err()
    }

    /// Reads `bytes` as an archive.
    fn archived(bytes: &[u8]) -> std::result::Result<Dataset, String> {
        unpack(Cursor::new(bytes), &Options::default())?.split()
    }

    fn fixture(name: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(name)
    }

    #[test]
    fn what_numpy_writes_is_read() {
        let train = Images::new((0..12).collect(), Size::grey(2, 2), vec![5, 0, 255]).unwrap();
        let test = Images::new((100..108).collect(), Size::grey(2, 2), vec![1, 2]).unwrap();
        for name in ["keras.npz", "stored.npz"] {
            let data = from_npz(&fixture(name), &Options::default()).unwrap().split().unwrap();
            assert_eq!((&data.train, &data.test), (&train, &test), "{name}");
        }
        // 256 floats from 0 to 1 become the 256 bytes.
        let (pixels, size, n) = parsed(&fs::read(fixture("floats.npy")).unwrap()).unwrap();
        assert_eq!((pixels, size, n), ((0..=255).collect(), Size::grey(2, 2), 64));
        let data = from_npy(&fixture("floats.npy"), &Options::default()).unwrap().split().unwrap();
        assert_eq!(data.train.len() + data.test.len(), 64);
    }

    #[test]
    fn fortran_order_is_refused_with_a_way_out() {
        let expected = "expected an array in C order, found one in Fortran order (save numpy.ascontiguousarray of it)";
        assert_eq!(problem(&fs::read(fixture("fortran.npy")).unwrap()), expected);
    }

    #[test]
    fn shapes_of_three_four_and_two_dimensions_are_images() {
        let size = |shape: &[usize], options: &Options| measures(shape, options).map(|(n, size)| (n, size.to_string()));
        let grey = Options::default();
        let coloured = Options { channels: Some(3), ..Options::default() };
        let sized = |h, w| Options { image_size: Some((h, w)), ..Options::default() };
        assert_eq!(size(&[5, 2, 3], &grey), Ok((5, "2 × 3".into())));
        assert_eq!(size(&[5, 2, 3, 1], &grey), Ok((5, "2 × 3".into())));
        assert_eq!(size(&[5, 2, 4, 3], &grey), Ok((5, "2 × 4 × 3".into())));
        assert_eq!(size(&[5, 784], &grey), Ok((5, "28 × 28".into())));
        assert_eq!(size(&[5, 10], &grey), Ok((5, "1 × 10".into())));
        assert_eq!(size(&[5, 10], &sized(5, 2)), Ok((5, "5 × 2".into())));
        assert_eq!(size(&[5, 12], &coloured), Ok((5, "2 × 2 × 3".into())));
        assert_eq!(size(&[5, 12], &sized(1, 4)), Ok((5, "1 × 4 × 3".into())));
        assert_eq!(size(&[5, 10], &sized(3, 3)), Err("rows of 10 numbers are not images of 3 × 3".into()));
        assert_eq!(size(&[5, 10], &coloured), Err("rows of 10 numbers are not images of 1 × 3 × 3".into()));
        let expected = "expected shape [n, h, w], [n, h, w, c] with c 1 or 3, or [n, d], found ";
        assert_eq!(size(&[5, 3, 32, 32], &grey), Err(format!("{expected}[5, 3, 32, 32]")));
        assert_eq!(size(&[5], &grey), Err(format!("{expected}[5]")));
        assert_eq!(size(&[], &grey), Err(format!("{expected}[]")));
    }

    #[test]
    fn a_float_becomes_the_nearest_byte() {
        for (value, byte) in [(0.0, 0), (1.0, 255), (0.5 / 255.0 - 1e-9, 0), (0.5 / 255.0 + 1e-9, 1), (-0.0, 0)] {
            let value: f64 = value;
            assert_eq!(parsed(&npy("<f8", &[1, 1, 1], &value.to_le_bytes())).unwrap().0, [byte], "{value}");
            assert_eq!(parsed(&npy(">f8", &[1, 1, 1], &value.to_be_bytes())).unwrap().0, [byte], "{value}");
        }
    }

    #[test]
    fn a_float_that_is_no_grey_level_is_an_error_with_its_place() {
        let file = |odd: f32| {
            let mut values = [0.5f32; 12];
            values[7] = odd;
            npy("<f4", &[2, 2, 3], &values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<_>>())
        };
        let expected = "expected numbers from 0 to 1 (or save bytes, 0 to 255, as uint8), found";
        for (odd, shown) in [(255.0, "255"), (-0.25, "-0.25"), (f32::NAN, "NaN"), (f32::INFINITY, "inf")] {
            assert_eq!(problem(&file(odd)), format!("{expected} {shown} at [1, 0, 1]"));
        }
    }

    #[test]
    fn labels_are_integers_of_any_width() {
        let read = |file: Vec<u8>| labels(&mut &file[..], MOST_BYTES);
        assert_eq!(
            read(npy("<i8", &[2], &[[3, 0, 0, 0, 0, 0, 0, 0], [255, 0, 0, 0, 0, 0, 0, 0]].concat())),
            Ok(vec![3, 255])
        );
        assert_eq!(read(npy(">i2", &[2, 1], &[0, 3, 0, 200])), Ok(vec![3, 200]));
        assert_eq!(read(npy("|u1", &[2], &[0, 200])), Ok(vec![0, 200]));
        let odd = |file| read(file).unwrap_err();
        assert_eq!(odd(npy("|i1", &[2], &[0, 255])), "expected labels from 0 to 255, found -1 at [1]");
        assert_eq!(odd(npy("<i2", &[1], &[0, 1])), "expected labels from 0 to 255, found 256 at [0]");
        assert_eq!(
            odd(npy("<f4", &[1], &[0; 4])),
            "expected labels, integers of shape [n], found float32 of shape [1]"
        );
        assert_eq!(
            odd(npy("|u1", &[1, 2], &[0; 2])),
            "expected labels, integers of shape [n], found uint8 of shape [1, 2]"
        );
    }

    #[test]
    fn other_types_are_named() {
        assert_eq!(
            problem(&npy("<i4", &[1, 1, 1], &[0; 4])),
            "expected images of uint8, float32 or float64, found int32"
        );
        assert_eq!(
            problem(&npy("<f2", &[1, 1, 1], &[0; 2])),
            "expected images of uint8, float32 or float64, found float16"
        );
        assert_eq!(problem(&npy("<U10", &[1, 1, 1], &[])), "expected an array of plain numbers, found <U10");
        assert_eq!(problem(&npy("|O", &[1, 1, 1], &[])), "expected an array of plain numbers, found |O");
    }

    #[test]
    fn a_header_may_be_written_in_other_ways() {
        for header in [
            "{\"shape\":(1,2,1),\"descr\":\"|u1\",\"fortran_order\":False}",
            " { 'descr' : '|u1' , 'shape' : ( 1 , 2 , 1 , ) , 'fortran_order' : False , } ",
        ] {
            assert_eq!(parsed(&with_header(header, &[7, 8])), Ok((vec![7, 8], Size::grey(2, 1), 1)), "{header}");
        }
        // Version 2.0 has four bytes of length.
        let mut file = npy("|u1", &[1, 2, 1], &[7, 8]);
        file[6] = 2;
        file.splice(10..10, [0, 0]);
        assert_eq!(parsed(&file), Ok((vec![7, 8], Size::grey(2, 1), 1)));
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
            "{'descr': [('a', '<u2')], 'fortran_order': False, 'shape': (1, 2)}",
            "{'descr': '|u1', 'fortran_order': False, 'shape': (1, 2)} more",
        ] {
            let expected = "expected a header with descr, fortran_order and shape of an array of numbers, found ";
            assert_eq!(problem(&with_header(header, &[])), format!("{expected}{header}"));
        }
        assert_eq!(problem(b"PK\x03\x04"), "expected an array in the NumPy format (starting 93 NUMPY)");
        assert_eq!(problem(b"\x93NUMPY\x09\x00"), "expected version 1.0, 2.0 or 3.0 of the NumPy format, found 9.0");
    }

    #[test]
    fn headers_that_promise_too_much_take_no_memory() {
        let most = MOST_BYTES.to_string();
        assert!(problem(&npy("|u1", &[1 << 40, 1 << 10], &[])).contains(&most));
        assert!(problem(&npy("<f8", &[usize::MAX, usize::MAX, 3], &[])).contains(&most));
        assert_eq!(
            problem(&npy("|u1", &[1 << 17, 1 << 17], &[])),
            "header promises 17179869184 bytes of data, but the file holds 0"
        );
        let long = [&b"\x93NUMPY\x02\x00"[..], &u32::MAX.to_le_bytes()].concat();
        assert_eq!(problem(&long), "expected a header of at most 10000 bytes, found one of 4294967295");
        // Nested as deep as the header allows: what recurses would overflow its stack.
        assert!(
            problem(&with_header(&format!("{{'shape': {}", "(".repeat(9000)), &[])).starts_with("expected a header")
        );
    }

    #[test]
    fn too_little_and_too_much_data_are_errors() {
        let file = npy("<f4", &[2, 2, 2], &[0; 31]);
        assert_eq!(problem(&file), "header promises 32 bytes of data, but the file holds 31");
        let file = npy("|u1", &[2, 2, 2], &[0; 9]);
        assert_eq!(problem(&file), "header promises 8 bytes of data, but the file holds more");
    }

    #[test]
    fn an_archive_holds_one_array_or_two_with_or_without_labels() {
        let images = |n: u8| npy("|u1", &[n.into(), 1, 1], &(0..n).collect::<Vec<_>>());
        let labels = |n: u8| npy("|u1", &[n.into()], &(10..10 + n).collect::<Vec<_>>());
        let data = archived(&npz(&[("arr_0", images(20))])).unwrap();
        assert_eq!(data.train.len() + data.test.len(), 20);
        let data = archived(&npz(&[("test", images(1)), ("train", images(2))])).unwrap();
        assert_eq!((data.train.labels(), data.test.labels()), (&[0, 0][..], &[0][..]));
        let all = [("x_train", images(2)), ("y_train", labels(2)), ("x_test", images(1)), ("y_test", labels(1))];
        let data = archived(&npz(&all)).unwrap();
        assert_eq!((data.train.labels(), data.test.labels()), (&[10, 11][..], &[10][..]));

        let problem = |members: &[(&str, Vec<u8>)]| archived(&npz(members)).unwrap_err();
        let accepted =
            "expected arrays x_train and x_test (and y_train, y_test), or train and test, or a single one, found";
        assert_eq!(problem(&[("a", images(1)), ("b", images(2))]), format!("{accepted} a, b"));
        assert_eq!(problem(&[]), format!("{accepted} none"));
        assert_eq!(problem(&all[..3]), "expected both y_train and y_test, or neither, found one of them");
        let mut other = all.clone();
        other[1].1 = labels(3);
        assert_eq!(problem(&other), "y_train holds 3 labels, but x_train holds 2 images");
        other = all.clone();
        other[2].1 = npy("|u1", &[1, 1, 2], &[0; 2]);
        assert_eq!(problem(&other), "training images are 1 × 1, but test images are 1 × 2");
        other[2].1 = npy("|u1", &[0, 1, 1], &[]);
        other[3].1 = labels(0);
        assert_eq!(problem(&other), "x_test: there are no images");
        other[0].1 = b"no array".to_vec();
        assert_eq!(problem(&other), "x_train: expected an array in the NumPy format (starting 93 NUMPY)");
    }

    #[test]
    fn an_archive_that_unfolds_too_far_is_refused_before_it_does() {
        let bomb = npz(&[("arr_0", npy("|u1", &[1 << 14, 1 << 13], &vec![0; 1 << 27]))]);
        let error = archived(&bomb).unwrap_err();
        assert!(error.contains("arr_0: header promises uint8 of shape [16384, 8192], more than the"), "{error}");
    }

    #[test]
    fn an_archive_that_promises_billions_of_members_takes_no_memory() {
        // The end of a zip64 archive alone, with counts and places that are lies.
        let mut end64 = b"PK\x06\x06".to_vec();
        end64.extend(44u64.to_le_bytes());
        end64.extend([45, 0, 45, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        for lie in [1u64 << 33, 1 << 33, 1 << 40, 1 << 40] {
            end64.extend(lie.to_le_bytes());
        }
        let mut file = end64;
        file.extend(b"PK\x06\x07\0\0\0\0\0\0\0\0\0\0\0\0\x01\0\0\0");
        file.extend(b"PK\x05\x06\0\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\0\0");
        assert!(archived(&file).unwrap_err().starts_with("not an archive that can be read: "));
    }

    #[test]
    fn a_cut_is_an_error_wherever_it_is() {
        let file = npy("<f4", &[2, 2, 1], &[0; 16]);
        cuts(&file, |cut| drop(parsed(cut).unwrap_err()));
        let archive = npz(&[("x_train", file.clone()), ("x_test", file)]);
        assert!(archived(&archive).is_ok());
        cuts(&archive, |cut| drop(archived(cut).unwrap_err()));
    }

    #[test]
    fn flipped_bits_never_panic_and_in_an_archive_never_change_the_images() {
        let file = npy("<f4", &[2, 2, 1], &[0; 16]);
        flips(&file, |flipped| drop(parsed(flipped)));
        let archive = npz(&[("x_train", file.clone()), ("x_test", file)]);
        let expected = archived(&archive);
        flips(&archive, |flipped| assert!(archived(flipped).map_or(true, |data| Ok(data) == expected)));
    }

    proptest! {
        #[test]
        fn arrays_of_any_shape_survive_the_round_trip(n in 1usize..6, h in 1usize..5, w in 1usize..5, c in prop::sample::select(vec![1usize, 3]), bytes in prop::collection::vec(any::<u8>(), 240)) {
            let bytes = &bytes[..n * h * w * c];
            let expected = (bytes.to_vec(), Size { height: h, width: w, channels: c }, n);
            let floats: Vec<f64> = bytes.iter().map(|&byte| f64::from(byte) / 255.0).collect();
            let single = floats.iter().flat_map(|&value| (value as f32).to_le_bytes()).collect::<Vec<_>>();
            let big = floats.iter().flat_map(|value| value.to_be_bytes()).collect::<Vec<_>>();
            for (descr, data) in [("|u1", bytes), ("<f4", &single), (">f8", &big)] {
                prop_assert_eq!(parsed(&npy(descr, &[n, h, w, c], data)), Ok(expected.clone()));
                let options = Options { image_size: Some((h, w)), channels: Some(c), ..Options::default() };
                prop_assert_eq!(parsed_with(&npy(descr, &[n, h * w * c], data), &options), Ok(expected.clone()));
            }
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), text in ".{0,200}") {
            let _ = parsed(&bytes);
            let _ = parsed(&[b"\x93NUMPY\x01\x00", &bytes[..]].concat());
            let _ = parsed(&with_header(&text, &bytes));
            let _ = archived(&bytes);
            let _ = archived(&npz(&[("arr_0", bytes)]));
        }

        #[test]
        fn arbitrary_headers_never_panic(text in "(\\{|\\}|\\(|\\)|:|,|'|descr|shape|fortran_order|True|False|[0-9]{1,20}|<f4| ){0,40}") {
            let _ = parsed(&with_header(&text, &[0; 8]));
        }
    }
}
