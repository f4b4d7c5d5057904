//! An array of numbers or words → labels.

use super::header::Header;
use crate::labels::{Label, Numbers, numbers_each};
use std::io::Read;

/// Reads the labels of `images` images from an array that may have `most` bytes.
///
/// # Errors
///
/// If the array is damaged, or what is in it are no labels.
pub(super) fn read(mut source: impl Read, most: u64, images: usize) -> Result<Vec<Label>, String> {
    let header = Header::read(&mut source)?;
    let kind = header.kind.clone().map_err(|what| format!("expected numbers or text, found {what}"))?;
    let each = numbers_each(&header.shape, images)?;
    if kind.is_text() {
        if each != 1 {
            return Err(format!("expected one word for each image, found {each}"));
        }
        let mut words = Vec::new();
        header.each(kind, &mut source, most, |bytes| {
            words.extend(bytes.chunks_exact(kind.width).map(|bytes| Label::from(kind.word(bytes))));
        })?;
        // Words of no letters have no bytes.
        words.resize(images, Label::Word(String::new()));
        return Ok(words);
    }
    let mut numbers = Numbers::new(images, each);
    let mut i = 0;
    header.each(kind, &mut source, most, |bytes| {
        for number in bytes.chunks_exact(kind.width).map(|bytes| kind.number(bytes)) {
            let place = if header.fortran_order { i % images * each + i / images } else { i };
            numbers.put(place, number);
            i += 1;
        }
    })?;
    numbers.finish()
}

#[cfg(test)]
mod tests {
    use super::super::testing::{npy, with_header};
    use super::*;
    use crate::source::MOST_BYTES;

    /// The labels of two images as text, or why they are none.
    fn labels(file: &[u8]) -> Result<Vec<String>, String> {
        read(file, MOST_BYTES, 2).map(|labels| labels.iter().map(Label::to_string).collect())
    }

    fn expected(labels: [&str; 2]) -> Result<Vec<String>, String> {
        Ok(labels.map(String::from).to_vec())
    }

    #[test]
    fn labels_are_numbers_of_any_type() {
        assert_eq!(labels(&npy("<i8", &[2], &[[3, 0, 0, 0, 0, 0, 0, 0], [255; 8]].concat())), expected(["3", "-1"]));
        assert_eq!(labels(&npy(">i2", &[2, 1], &[0, 3, 1, 0])), expected(["3", "256"]));
        assert_eq!(labels(&npy("|b1", &[2], &[1, 0])), expected(["1", "0"]));
        assert_eq!(labels(&npy("<f2", &[1, 2], &[0, 0x3c, 0, 0x40])), expected(["1", "2"]));
    }

    #[test]
    fn labels_are_words() {
        assert_eq!(labels(&npy("|S3", &[2], b"catemu")), expected(["cat", "emu"]));
        assert_eq!(labels(&npy("<U2", &[2, 1], b"a\0\0\0\0\0\0\0\xe9\0\0\0b\0\0\0")), expected(["a", "éb"]));
        assert_eq!(labels(&npy("<U0", &[2], b"")), expected(["", ""]));
    }

    #[test]
    fn labels_are_one_hot_in_either_order() {
        assert_eq!(labels(&npy("|u1", &[2, 3], &[0, 0, 1, 0, 1, 0])), expected(["2", "1"]));
        let header = "{'descr': '|b1', 'fortran_order': True, 'shape': (2, 3), }";
        assert_eq!(labels(&with_header(header, &[0, 0, 0, 1, 1, 0])), expected(["2", "1"]));
    }

    #[test]
    fn what_are_no_labels_is_said() {
        assert_eq!(labels(&npy("|O", &[2], b"")).unwrap_err(), "expected numbers or text, found |O, Python objects");
        assert_eq!(labels(&npy("|S1", &[2, 2], b"")).unwrap_err(), "expected one word for each image, found 2");
        let problem = "expected labels of 2 images, found an array of shape [3]";
        assert_eq!(labels(&npy("|u1", &[3], b"")).unwrap_err(), problem);
        assert_eq!(
            labels(&npy("<f4", &[2], &[0, 0, 0, 0x3f, 0, 0, 0, 0])).unwrap_err(),
            "expected whole numbers, found 0.5 for image 0"
        );
        let problem = "header promises 2 bytes of data, but the file holds 1";
        assert_eq!(labels(&npy("|u1", &[2], &[1])).unwrap_err(), problem);
    }
}
