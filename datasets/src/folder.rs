//! A data set in a folder, in MNIST's four files: Fashion-MNIST and KMNIST come that way too.

use crate::pair::join;
use crate::{Dataset, Error, Result, idx};
use std::path::{Path, PathBuf};

const FILES: [&str; 4] =
    ["train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"];

/// Whether some of the files are in the folder `dir`.
pub(crate) fn is_here(dir: &Path) -> bool {
    FILES.iter().any(|name| dir.join(name).exists() || dir.join(format!("{name}.gz")).exists())
}

/// Reads a data set from the folder `dir`.
///
/// The folder holds `train-images-idx3-ubyte`, `train-labels-idx1-ubyte`, `t10k-images-idx3-ubyte` and
/// `t10k-labels-idx1-ubyte`, each with or without `.gz` after its name (without goes first if both are there).
///
/// # Errors
///
/// If the folder or a file is missing, a file is not the IDX it should be (see [`idx::parse`]), images and labels
/// differ in number, there are none, or training and test images differ in size.
pub fn from_folder(dir: &Path) -> Result<Dataset> {
    if !dir.is_dir() {
        return Err(Error::new(dir, "there is no such folder"));
    }
    let [train_images, train_labels, test_images, test_labels] = FILES;
    let train = join(read(dir, train_images)?, read(dir, train_labels)?)?;
    let test = join(read(dir, test_images)?, read(dir, test_labels)?)?;
    if train.size() != test.size() {
        let (train, test) = (train.size(), test.size());
        return Err(Error::new(dir, format!("training images are {train}, but test images are {test}")));
    }
    Ok(Dataset { train, test })
}

/// The contents of the file `name`, or else `name.gz`, with its path.
fn read(dir: &Path, name: &str) -> Result<(PathBuf, idx::Idx)> {
    let gzipped = format!("{name}.gz");
    let Some(path) = [name, &gzipped].map(|name| dir.join(name)).into_iter().find(|path| path.exists()) else {
        return Err(Error::new(dir, format!("holds neither {name} nor {gzipped}")));
    };
    let idx = idx::read(&path)?;
    Ok((path, idx))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encode::{encode, gzip};
    use crate::idx::{Elements, Idx};
    use crate::{Images, Size};
    use std::fs;
    use tempfile::TempDir;

    fn bytes(shape: &[usize]) -> Vec<u8> {
        let elements = Elements::U8((0..shape.iter().product()).map(|i: usize| i as u8).collect());
        encode(&Idx { shape: shape.to_vec(), elements })
    }

    /// A valid folder: 3 training and 2 test images of 2 × 1.
    fn folder() -> TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (name, shape) in FILES.into_iter().zip([&[3, 2, 1][..], &[3], &[2, 2, 1], &[2]]) {
            fs::write(dir.path().join(name), bytes(shape)).unwrap();
        }
        dir
    }

    /// The error, with the folder's random name cut off, after `contents` have replaced the file `name`.
    fn problem_with(name: &str, contents: &[u8]) -> String {
        let dir = folder();
        fs::write(dir.path().join(name), contents).unwrap();
        let error = from_folder(dir.path()).unwrap_err().to_string();
        error.replace(&format!("{}/", dir.path().display()), "").replace(&dir.path().display().to_string(), "DIR")
    }

    #[test]
    fn a_folder_gives_its_images_and_labels() {
        let data = from_folder(folder().path()).unwrap();
        assert_eq!(data.train, Images::new(vec![0, 1, 2, 3, 4, 5], Size::grey(2, 1), vec![0, 1, 2]).unwrap());
        assert_eq!(data.test, Images::new(vec![0, 1, 2, 3], Size::grey(2, 1), vec![0, 1]).unwrap());
    }

    #[test]
    fn gzipped_and_plain_files_may_be_mixed() {
        let dir = folder();
        let plain = from_folder(dir.path()).unwrap();
        let labels = dir.path().join(FILES[1]);
        fs::write(dir.path().join(format!("{}.gz", FILES[1])), gzip(&fs::read(&labels).unwrap())).unwrap();
        fs::remove_file(labels).unwrap();
        assert_eq!(from_folder(dir.path()).unwrap(), plain);
    }

    #[test]
    fn a_missing_folder_is_an_error_that_names_it() {
        let error = from_folder(Path::new("no/such/folder")).unwrap_err();
        assert_eq!(error.to_string(), "no/such/folder: there is no such folder");
    }

    #[test]
    fn a_missing_file_is_an_error_that_names_both_candidates() {
        for name in FILES {
            let dir = folder();
            fs::remove_file(dir.path().join(name)).unwrap();
            let error = from_folder(dir.path()).unwrap_err().to_string();
            assert_eq!(error, format!("{}: holds neither {name} nor {name}.gz", dir.path().display()));
        }
    }

    #[test]
    fn a_damaged_file_is_an_error_that_names_it() {
        let problem = problem_with(FILES[2], &bytes(&[2, 2, 1])[..19]);
        let expected = "t10k-images-idx3-ubyte: IDX header promises 2 × 2 × 1 = 4 bytes of data, but the file holds 3";
        assert_eq!(problem, expected);
    }

    #[test]
    fn images_and_labels_of_another_type_or_rank_are_refused() {
        let shorts = encode(&Idx { shape: vec![3, 1, 1], elements: Elements::I16(vec![0; 3]) });
        let images = "train-images-idx3-ubyte: expected images of u8 in 3 dimensions, found ";
        assert_eq!(problem_with(FILES[0], &shorts), format!("{images}i16 in 3 dimensions"));
        assert_eq!(problem_with(FILES[0], &bytes(&[3])), format!("{images}u8 in 1 dimension"));
        let expected = "train-labels-idx1-ubyte: expected labels of u8 in 1 dimension, found u8 in 3 dimensions";
        assert_eq!(problem_with(FILES[1], &bytes(&[3, 2, 1])), expected);
    }

    #[test]
    fn as_many_labels_as_images_are_needed() {
        let expected = "train-labels-idx1-ubyte: 2 labels, but train-images-idx3-ubyte holds 3 images";
        assert_eq!(problem_with(FILES[1], &bytes(&[2])), expected);
    }

    #[test]
    fn no_images_are_an_error() {
        let dir = folder();
        fs::write(dir.path().join(FILES[2]), bytes(&[0, 2, 1])).unwrap();
        fs::write(dir.path().join(FILES[3]), bytes(&[0])).unwrap();
        assert!(
            from_folder(dir.path()).unwrap_err().to_string().ends_with("t10k-images-idx3-ubyte: there are no images")
        );
    }

    #[test]
    fn training_and_test_images_are_of_one_size() {
        let expected = "DIR: training images are 2 × 1, but test images are 1 × 2";
        assert_eq!(problem_with(FILES[2], &bytes(&[2, 1, 2])), expected);
    }
}
