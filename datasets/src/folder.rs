//! A data set in a folder, in files like MNIST's four: Fashion-MNIST, KMNIST, EMNIST and QMNIST come that way.

use crate::idx::{self, Elements, Idx};
use crate::idx_sets::{IdxSet, Part};
use crate::open::{Found, Options, Reading};
use crate::pair::{Pair, join};
use crate::{Dataset, Error, Result};
use std::path::Path;

/// Reads one of the data sets `sets` that are in the folder `dir`: the only one, or the one that `options.key` names.
///
/// Where there are no labels, or none that can be read, all are 0. A set with training or test images alone is not divided. Two families of sets are
/// not as MNIST is, and are known by their names: EMNIST's images are stored column by column, and of QMNIST's labels, eight
/// numbers each, the first is the class.
///
/// # Errors
///
/// If `options` leave a choice or name no set, a file of images is not the IDX it should be (see [`idx::parse`]), there are no images, or
/// training and test images differ in size.
pub(crate) fn from_folder(dir: &Path, sets: &[IdxSet], options: &Options) -> Result<Reading> {
    let set = choose(sets, options.key.as_deref()).map_err(|problem| Error::new(dir, problem))?;
    let (mut pairs, mut notes) = (Vec::new(), Vec::new());
    for (part, what) in [(Part::Train, "training"), (Part::Test, "test")] {
        let [images, labels] = set.part(part);
        let Some(images) = images else {
            notes.push(format!("there is no file of {what} images"));
            continue;
        };
        if labels.is_none() {
            notes.push(format!("there is no file of labels for the {what} images"));
        }
        let turn = if set.name.starts_with("emnist") { transposed } else { |images| images };
        let cut = if set.name.starts_with("qmnist") { first_column } else { |labels| labels };
        let labels = labels.map(|path| (path.to_path_buf(), idx::read(path).map(cut)));
        pairs.push(Pair { images: (images.to_path_buf(), turn(idx::read(images)?)), labels });
    }
    let (mut images, assumed) = join(pairs)?;
    notes.extend(assumed);
    let last = images.pop().expect("a set has images of one part at least");
    let found = match images.pop() {
        Some(train) if train.size() != last.size() => {
            let (train, test) = (train.size(), last.size());
            return Err(Error::new(dir, format!("training images are {train}, but test images are {test}")));
        }
        Some(train) => Found::Parts(Dataset { train, test: last }),
        None => Found::Rows(last),
    };
    Ok(Reading { notes, ..found.into() })
}

/// The set called `key`, or the only one.
fn choose<'a>(sets: &'a [IdxSet], key: Option<&str>) -> std::result::Result<&'a IdxSet, String> {
    let names = sets.iter().map(|set| &set.name[..]).collect::<Vec<_>>().join(", ");
    let called: Vec<&IdxSet> = sets.iter().filter(|set| key.is_none_or(|key| set.is_called(key))).collect();
    match (&called[..], key) {
        ([set], _) => Ok(set),
        ([], Some(key)) => Err(format!("expected a data set called {key} (--key), found {names}")),
        _ => Err(format!("expected one data set, found {names}; --key NAME picks one")),
    }
}

/// Images that were stored column by column, row by row.
fn transposed(mut images: Idx) -> Idx {
    if let (&[_, columns, rows], Elements::U8(pixels)) = (&images.shape[..], &mut images.elements)
        && rows * columns > 0
    {
        for image in pixels.chunks_exact_mut(rows * columns) {
            let stored = image.to_vec();
            let turned = (0..rows).flat_map(|row| stored[row..].iter().step_by(rows));
            image.iter_mut().zip(turned).for_each(|(pixel, &stored)| *pixel = stored);
        }
        images.shape[1..].swap(0, 1);
    }
    images
}

/// The first number of each row.
fn first_column(mut labels: Idx) -> Idx {
    if let (&[rows, columns], Elements::I32(numbers)) = (&labels.shape[..], &labels.elements)
        && columns > 0
    {
        labels.elements = Elements::I32(numbers.iter().step_by(columns).copied().collect());
        labels.shape = vec![rows];
    }
    labels
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encode::{encode, gzip};
    use crate::idx_sets::find;
    use crate::{Images, Size};
    use std::fs;
    use tempfile::TempDir;

    const FILES: [&str; 4] =
        ["train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"];

    fn bytes(shape: &[usize]) -> Vec<u8> {
        let elements = Elements::U8((0..shape.iter().product()).map(|i: usize| i as u8).collect());
        encode(&Idx { shape: shape.to_vec(), elements })
    }

    /// A valid folder: 3 training and 2 test images of 2 × 1.
    fn folder() -> TempDir {
        folder_of("")
    }

    /// A valid folder of a set whose names begin so.
    fn folder_of(set: &str) -> TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (name, shape) in FILES.into_iter().zip([&[3, 2, 1][..], &[3], &[2, 2, 1], &[2]]) {
            fs::write(dir.path().join(format!("{set}{name}")), bytes(shape)).unwrap();
        }
        dir
    }

    fn reading(dir: &Path, key: Option<&str>) -> Result<Reading> {
        from_folder(dir, &find(dir), &Options { key: key.map(String::from), ..Options::default() })
    }

    /// The data set and the notes.
    fn opened(dir: &Path) -> (Dataset, Vec<String>) {
        let Reading { found, notes, .. } = reading(dir, None).unwrap();
        (found.split().unwrap(), notes)
    }

    /// The error, with the folder's random name cut off, after `contents` have replaced the file `name`.
    fn problem_with(name: &str, contents: &[u8]) -> String {
        let dir = folder();
        fs::write(dir.path().join(name), contents).unwrap();
        let error = reading(dir.path(), None).unwrap_err().to_string();
        error.replace(&format!("{}/", dir.path().display()), "").replace(&dir.path().display().to_string(), "DIR")
    }

    #[test]
    fn a_folder_gives_its_images_and_labels() {
        let (data, notes) = opened(folder().path());
        assert_eq!(data.train, Images::new(vec![0, 1, 2, 3, 4, 5], Size::grey(2, 1), vec![0, 1, 2]).unwrap());
        assert_eq!(data.test, Images::new(vec![0, 1, 2, 3], Size::grey(2, 1), vec![0, 1]).unwrap());
        assert_eq!(notes, ["dark: no pixel is above 5 of 255"]);
    }

    #[test]
    fn gzipped_and_plain_files_may_be_mixed() {
        let dir = folder();
        let plain = opened(dir.path());
        let labels = dir.path().join(FILES[1]);
        fs::write(dir.path().join(format!("{}.gz", FILES[1])), gzip(&fs::read(&labels).unwrap())).unwrap();
        fs::remove_file(labels).unwrap();
        assert_eq!(opened(dir.path()), plain);
    }

    #[test]
    fn labels_that_are_missing_or_none_are_left_out_with_a_note() {
        let dir = folder();
        fs::remove_file(dir.path().join(FILES[1])).unwrap();
        let (data, notes) = opened(dir.path());
        assert_eq!((data.train.labels(), data.test.labels()), (&[0, 0, 0][..], &[0, 1][..]));
        assert_eq!(notes[0], "there is no file of labels for the training images");

        fs::write(dir.path().join(FILES[1]), bytes(&[3, 2, 2])).unwrap();
        let (data, notes) = opened(dir.path());
        assert_eq!(data.train.labels(), [0, 0, 0]);
        let expected = "expected labels of 3 images, found an array of shape [3, 2, 2]; these labels are left out";
        assert_eq!(notes[0], format!("{}: {expected}", FILES[1]));

        fs::write(dir.path().join(FILES[1]), "damaged").unwrap();
        let (data, notes) = opened(dir.path());
        assert_eq!(data.train.labels(), [0, 0, 0]);
        assert!(notes[0].starts_with(&format!("{}: expected an IDX file", FILES[1])), "{notes:?}");

        let shorts = encode(&Idx { shape: vec![3], elements: Elements::I16(vec![975, 0, 3]) });
        fs::write(dir.path().join(FILES[1]), shorts).unwrap();
        assert_eq!(opened(dir.path()).0.train.labels(), [975, 0, 3]);
    }

    #[test]
    fn one_part_alone_is_not_divided_and_the_other_is_said_to_be_missing() {
        for (missing, what, left) in [(FILES[2], "test", 3), (FILES[0], "training", 2)] {
            let dir = folder();
            fs::remove_file(dir.path().join(missing)).unwrap();
            let Reading { found, notes, .. } = reading(dir.path(), None).unwrap();
            assert!(matches!(found, Found::Rows(images) if images.len() == left));
            assert_eq!(notes[0], format!("there is no file of {what} images"));
        }
    }

    #[test]
    fn emnist_is_turned_and_of_qmnists_labels_the_first_number_is_the_class() {
        let dir = folder_of("emnist-letters-");
        for name in [FILES[0], FILES[2]] {
            fs::write(dir.path().join(format!("emnist-letters-{name}")), bytes(&[2, 2, 3])).unwrap();
        }
        let images = opened(dir.path()).0.train;
        assert_eq!(
            (images.size(), images.image(0), images.image(1)),
            (Size::grey(3, 2), &[0, 3, 1, 4, 2, 5][..], &[6, 9, 7, 10, 8, 11][..])
        );

        let dir = folder_of("qmnist-");
        fs::remove_file(dir.path().join(format!("qmnist-{}", FILES[1]))).unwrap();
        let labels = Idx { shape: vec![3, 8], elements: Elements::I32((0..24).collect()) };
        fs::write(dir.path().join("qmnist-train-labels-idx2-int"), encode(&labels)).unwrap();
        assert_eq!(opened(dir.path()).0.train.labels(), [0, 8, 16]);
    }

    #[test]
    fn among_several_sets_a_key_picks_one() {
        let dir = folder_of("emnist-letters-");
        for name in FILES {
            let letters = dir.path().join(format!("emnist-letters-{name}"));
            fs::copy(letters, dir.path().join(format!("emnist-digits-{name}"))).unwrap();
        }
        reading(dir.path(), Some("letters")).unwrap();
        let problem = |key| reading(dir.path(), key).unwrap_err().problem().to_string();
        assert_eq!(problem(None), "expected one data set, found emnist-digits, emnist-letters; --key NAME picks one");
        let expected = "expected a data set called byclass (--key), found emnist-digits, emnist-letters";
        assert_eq!(problem(Some("byclass")), expected);
    }

    #[test]
    fn a_damaged_file_is_an_error_that_names_it() {
        let problem = problem_with(FILES[2], &bytes(&[2, 2, 1])[..19]);
        let expected = "t10k-images-idx3-ubyte: IDX header promises 2 × 2 × 1 = 4 bytes of data, but the file holds 3";
        assert_eq!(problem, expected);
    }

    #[test]
    fn images_of_another_type_or_rank_are_refused() {
        let shorts = encode(&Idx { shape: vec![3, 1, 1], elements: Elements::I16(vec![0; 3]) });
        let images = "train-images-idx3-ubyte: expected images of u8 in 3 dimensions, found ";
        assert_eq!(problem_with(FILES[0], &shorts), format!("{images}i16 in 3 dimensions"));
        assert_eq!(problem_with(FILES[0], &bytes(&[3])), format!("{images}u8 in 1 dimension"));
    }

    #[test]
    fn no_images_are_an_error() {
        let none = "t10k-images-idx3-ubyte: there are no images";
        assert_eq!(problem_with(FILES[2], &bytes(&[0, 2, 1])), none);
        // A header of 16 bytes may promise any number of images of nothing.
        let empty = [&[0, 0, 8, 3][..], &[0xff; 4], &[0; 4], &[0, 0, 0, 1]].concat();
        assert_eq!(problem_with(FILES[2], &empty), "t10k-images-idx3-ubyte: images of 0 × 1 have no pixels");
    }

    #[test]
    fn training_and_test_images_are_of_one_size() {
        let expected = "DIR: training images are 2 × 1, but test images are 1 × 2";
        assert_eq!(problem_with(FILES[2], &bytes(&[2, 1, 2])), expected);
    }
}
