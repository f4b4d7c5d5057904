//! Binarised MNIST as Larochelle published it: a line of text for each image.
//!
//! A line is 784 digits, 0 or 1, with a space between two; the pixels of 28 × 28, row by row. Every paper that reports results
//! on "statically binarised" MNIST uses these files, because binarising anew would give other images.
//!
//! Source: Larochelle & Murray 2011, *The neural autoregressive distribution estimator*.

use crate::source::{open, unfold};
use crate::{Dataset, Error, Images, Result, Size};
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

const SIZE: Size = Size::grey(28, 28);

/// The digits of a line and the spaces between them.
const LINE: usize = 2 * 784 - 1;

/// The file `binarized_mnist_{part}.amat` in `dir`, or else the same with `.gz`.
fn find(dir: &Path, part: &str) -> Option<PathBuf> {
    let name = format!("binarized_mnist_{part}.amat");
    [dir.join(&name), dir.join(name + ".gz")].into_iter().find(|path| path.exists())
}

/// Whether some of the files are in the folder `dir`.
pub(crate) fn is_here(dir: &Path) -> bool {
    ["train", "test"].iter().any(|part| find(dir, part).is_some())
}

/// Reads `binarized_mnist_train.amat` and `binarized_mnist_test.amat`, each with or without `.gz`.
///
/// The 10 000 images of `binarized_mnist_valid.amat` are left alone: models are usually trained on the 50 000 of `train`
/// and reported on `test`. Pixels are 0 or 255, and all labels 0, because the files have none.
///
/// # Errors
///
/// If a file is missing, cannot be read, or holds anything but lines of 784 digits; the error says which line.
pub(crate) fn from_folder(dir: &Path) -> Result<Dataset> {
    let read = |part: &str| {
        let missing = || Error::new(dir, format!("holds neither binarized_mnist_{part}.amat nor the same with .gz"));
        let path = find(dir, part).ok_or_else(missing)?;
        let failed = |problem: String| Error::new(&path, problem);
        let (source, _) = unfold(open(&path)?).map_err(|error| failed(format!("cannot read: {error}")))?;
        let pixels = parse(source).map_err(failed)?;
        let labels = vec![0; pixels.len() / SIZE.count()];
        Images::new(pixels, SIZE, labels).map_err(failed)
    };
    Ok(Dataset { train: read("train")?, test: read("test")? })
}

/// The pixels of all images, `[n, 28, 28]`.
fn parse(source: impl Read) -> std::result::Result<Vec<u8>, String> {
    let mut source = BufReader::with_capacity(1 << 16, source);
    let (mut pixels, mut line) = (Vec::new(), Vec::with_capacity(LINE + 3));
    for number in 1.. {
        line.clear();
        // A line without an end must not fill the memory.
        source.by_ref().take(LINE as u64 + 3).read_until(b'\n', &mut line).map_err(|e| format!("cannot read: {e}"))?;
        if line.is_empty() {
            break;
        }
        let digits = line.strip_suffix(b"\n").map(|line| line.strip_suffix(b"\r").unwrap_or(line));
        let digits = digits.map(|line| line.strip_suffix(b" ").unwrap_or(line)).filter(|line| line.len() == LINE);
        let Some(digits) = digits else {
            return Err(format!(
                "line {number}: expected 784 digits with spaces between them, found {}",
                length(&line)
            ));
        };
        let start = pixels.len();
        // Subtract, and notice afterwards whether all went well: a loop without branches, 50 000 lines in 0.15 s.
        pixels.extend(digits.iter().step_by(2).map(|&digit| 0u8.wrapping_sub(digit.wrapping_sub(b'0'))));
        let spaces = digits.iter().skip(1).step_by(2).all(|&space| space == b' ');
        if !spaces || !pixels[start..].iter().all(|&pixel| pixel == 0 || pixel == 255) {
            let odd = digits.iter().enumerate().position(|(i, byte)| match i % 2 {
                0 => !b"01".contains(byte),
                _ => *byte != b' ',
            });
            let odd = odd.expect("some character was wrong");
            let found = digits[odd].escape_ascii();
            return Err(format!(
                "line {number}: expected digits 0 or 1 and spaces, found {found} at character {}",
                odd + 1
            ));
        }
    }
    Ok(pixels)
}

/// How much of a line there is, as an error tells it.
fn length(line: &[u8]) -> String {
    match line.strip_suffix(b"\n") {
        Some(line) => format!("{} characters", line.len()),
        None if line.len() > LINE => format!("more than {LINE} characters"),
        None => format!("{} characters and no end of the line", line.len()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::damage::{cuts, flips};
    use crate::encode::gzip;
    use proptest::prelude::*;
    use std::fs;

    /// `n` images in the format, every third pixel on, with a shift from line to line.
    fn text(n: usize) -> Vec<u8> {
        let line = |row: usize| {
            (0..784).map(|i| if (i + row).is_multiple_of(3) { "1" } else { "0" }).collect::<Vec<_>>().join(" ")
        };
        (0..n).flat_map(|row| (line(row) + "\n").into_bytes()).collect()
    }

    fn problem(text: &[u8]) -> String {
        parse(text).unwrap_err()
    }

    #[test]
    fn a_line_is_an_image_of_0_and_255() {
        let pixels = parse(&text(2)[..]).unwrap();
        assert_eq!((pixels.len(), &pixels[..4], &pixels[784..788]), (1568, &[255, 0, 0, 255][..], &[0, 0, 255, 0][..]));
    }

    #[test]
    fn a_space_or_a_carriage_return_at_the_end_of_a_line_does_no_harm() {
        let plain = String::from_utf8(text(3)).unwrap();
        for end in [" \n", "\r\n", " \r\n"] {
            assert_eq!(parse(plain.replace('\n', end).as_bytes()), parse(plain.as_bytes()));
        }
    }

    #[test]
    fn a_wrong_line_is_an_error_with_its_number() {
        let mut odd = text(3);
        odd[1568 + 6] = b'2';
        assert_eq!(problem(&odd), "line 2: expected digits 0 or 1 and spaces, found 2 at character 7");
        odd[1568 + 6] = b'1';
        odd[2 * 1568 + 1] = b'\t';
        assert_eq!(problem(&odd), "line 3: expected digits 0 or 1 and spaces, found \\t at character 2");
        let expected = "expected 784 digits with spaces between them, found";
        assert_eq!(problem(b"0 1\n"), format!("line 1: {expected} 3 characters"));
        assert_eq!(problem(&[&text(1)[..], b"\n"].concat()), format!("line 2: {expected} 0 characters"));
        assert_eq!(problem(&text(2)[..3135]), format!("line 2: {expected} 1567 characters and no end of the line"));
        assert_eq!(problem(&[b'0'; 5000]), format!("line 1: {expected} more than 1567 characters"));
    }

    #[test]
    fn a_line_without_an_end_takes_no_memory() {
        assert!(parse(std::io::repeat(b'0')).is_err());
    }

    #[test]
    fn a_cut_is_an_error_but_between_two_lines() {
        let whole = text(2);
        cuts(&whole, |cut| assert_eq!(parse(cut).is_ok(), cut.len() % 1568 == 0, "{}", cut.len()));
        // Gzipped there is no such place.
        let zipped = gzip(&whole);
        let read = |bytes: &[u8]| unfold(bytes).map_err(|e| e.to_string()).and_then(|(source, _)| parse(source));
        assert_eq!(read(&zipped), parse(&whole[..]));
        cuts(&zipped, |cut| {
            assert!(read(cut).is_ok_and(|pixels| pixels.is_empty()) == cut.is_empty(), "{}", cut.len())
        });
        let expected = read(&zipped);
        flips(&zipped, |flipped| assert!(read(flipped).is_err() || read(flipped) == expected));
    }

    #[test]
    fn a_folder_gives_train_and_test_plain_or_gzipped() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("binarized_mnist_train.amat.gz"), gzip(&text(3))).unwrap();
        assert!(is_here(dir.path()));
        let error = from_folder(dir.path()).unwrap_err().to_string();
        assert!(error.ends_with("holds neither binarized_mnist_test.amat nor the same with .gz"), "{error}");
        fs::write(dir.path().join("binarized_mnist_test.amat"), text(2)).unwrap();
        let data = from_folder(dir.path()).unwrap();
        assert_eq!((data.train.len(), data.test.len(), data.test.size()), (3, 2, Size::grey(28, 28)));
        assert_eq!(data.train.labels(), [0; 3]);
        fs::write(dir.path().join("binarized_mnist_test.amat"), "").unwrap();
        assert!(from_folder(dir.path()).unwrap_err().to_string().ends_with("test.amat: there are no images"));
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..2000), start in 0usize..1568) {
            let _ = parse(&bytes[..]);
            let _ = parse(&[&text(1)[..start], &bytes].concat()[..]);
        }
    }
}
