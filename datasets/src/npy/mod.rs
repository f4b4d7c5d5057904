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
//!
//! | file        | the one idea in it                                           |
//! |-------------|--------------------------------------------------------------|
//! | `header.rs` | the dictionary before the elements                           |
//! | `kind.rs`   | the type of an element: the number that its bytes stand for  |
//! | `layout.rs` | the shape: which images there are, in which order            |
//! | `pixels.rs` | numbers → bytes, where white is 255                          |
//! | `labels.rs` | numbers or words → labels                                    |
//! | `names.rs`  | which arrays of an archive are images, and which labels      |
//! | `npz.rs`    | the archive                                                  |

mod header;
mod kind;
mod labels;
mod layout;
mod names;
mod npz;
mod pixels;

pub(crate) use npz::from_npz;

use crate::open::{Found, Options, Reading};
use crate::source::{MOST_BYTES, open};
use crate::{Error, Images, Result};
use pixels::{Pixels, to_bytes};
use std::io::BufReader;
use std::path::Path;

/// Reads a `.npy` file: one array of images, which have their rows' numbers as names.
///
/// # Errors
///
/// If the file cannot be opened or is not an array of images; see [`Pixels::read`].
pub(crate) fn from_npy(path: &Path, options: &Options) -> Result<Reading> {
    let file = open(path)?;
    // What a header promises beyond the file's length is not believed.
    let most = file.metadata().map_or(MOST_BYTES, |metadata| metadata.len()).min(MOST_BYTES);
    let pixels = Pixels::read(BufReader::new(file), most, options);
    pixels.and_then(rows).map_err(|problem| Error::new(path, problem))
}

/// Images without labels, each named by the number of its row.
fn rows(pixels: Pixels) -> std::result::Result<Reading, String> {
    let (images, size, assumed) = (pixels.images, pixels.size, pixels.note.clone());
    let (mut bytes, notes) = to_bytes(vec![pixels]);
    let images = Images::new(bytes.remove(0), size, vec![0; images])?;
    let notes = assumed.into_iter().chain(notes).collect();
    Ok(Reading { notes, ..Found::Rows(images).into() })
}

#[cfg(test)]
mod testing {
    //! Arrays, for tests.

    /// A `.npy` file as NumPy writes it: `descr`, `shape`, and the bytes of the elements.
    pub(super) fn npy(descr: &str, shape: &[usize], data: &[u8]) -> Vec<u8> {
        let shape: String = shape.iter().map(|size| format!("{size}, ")).collect();
        let header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({}), }}", shape.trim_end());
        with_header(&header, data)
    }

    /// A `.npy` file with this header, padded as NumPy does.
    pub(super) fn with_header(header: &str, data: &[u8]) -> Vec<u8> {
        let header = format!("{header:<117}\n");
        let length = (header.len() as u16).to_le_bytes();
        [b"\x93NUMPY\x01\x00", &length[..], header.as_bytes(), data].concat()
    }
}

#[cfg(test)]
mod tests {
    use super::testing::npy;
    use super::*;
    use crate::Size;
    use crate::damage::{cuts, flips};
    use std::path::PathBuf;

    fn fixture(name: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(name)
    }

    fn read(name: &str) -> (Images, Vec<String>) {
        match from_npy(&fixture(name), &Options::default()).unwrap() {
            Reading { found: Found::Rows(images), notes, .. } => (images, notes),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_numpy_writes_is_read() {
        // 256 floats from 0 to 1 become the 256 bytes.
        let floats = Images::new((0..=255).collect(), Size::grey(2, 2), vec![0; 64]).unwrap();
        assert!(read("floats.npy") == (floats, vec![]));
        let fortran = Images::new((0..12).collect(), Size::grey(2, 2), vec![0; 3]).unwrap();
        assert!(read("fortran.npy") == (fortran, vec!["dark: no pixel is above 11 of 255".into()]));
    }

    #[test]
    fn a_cut_is_an_error_wherever_it_is_and_flipped_bits_never_panic() {
        let file = npy("<f4", &[2, 2, 1], &[0; 16]);
        let read = |file: &[u8]| Pixels::read(file, MOST_BYTES, &Options::default()).and_then(rows);
        assert!(read(&file).is_ok());
        cuts(&file, |cut| drop(read(cut).unwrap_err()));
        flips(&file, |flipped| drop(Pixels::read(flipped, flipped.len() as u64, &Options::default()).and_then(rows)));
    }

    #[test]
    fn more_than_the_file_is_long_is_not_believed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.npy");
        std::fs::write(&path, npy("|u1", &[1 << 15, 1 << 10, 1 << 9], &[0; 7])).unwrap();
        let problem = from_npy(&path, &Options::default()).unwrap_err();
        assert!(problem.problem().starts_with("header promises uint8 of shape [32768, 1024, 512], more than the "));
    }
}
