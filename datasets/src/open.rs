//! Data of whatever kind is there.

use crate::split::split;
use crate::{Dataset, Error, Images, Result, Size, amat, cifar, folder, idx_sets, npy, pictures};
use std::path::Path;

/// What is wished of data that leave a choice.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Height and width: what pictures are resized to, and what the rows of a matrix are.
    pub image_size: Option<(usize, usize)>,
    /// 1 for grey images, 3 for coloured ones: what pictures are turned into.
    pub channels: Option<usize>,
    /// The array of an archive, or the set of IDX files in a folder, that is read where there are several.
    pub key: Option<String>,
}

impl Options {
    /// Compares what is wished with the size `found` of images that are as they are.
    ///
    /// # Errors
    ///
    /// If it is another one, on one line.
    pub fn expect(&self, found: Size) -> std::result::Result<(), String> {
        let why = "only pictures can be changed";
        if let Some((height, width)) = self.image_size.filter(|&size| size != (found.height, found.width)) {
            return Err(format!("expected images of {height} × {width}, found {found}; {why}"));
        }
        if let Some(channels) = self.channels.filter(|&channels| channels != found.channels) {
            return Err(format!("expected images of {channels} channels, found {}; {why}", found.channels));
        }
        Ok(())
    }

    /// Checks that nobody wishes to choose where there is no choice.
    ///
    /// # Errors
    ///
    /// If there is a key, on one line.
    pub fn expect_no_key(&self) -> std::result::Result<(), String> {
        self.key.as_ref().map_or(Ok(()), |key| {
            let where_it_is = "--key picks an array of a .npz or a set of IDX files";
            Err(format!("expected no key, for there is nothing to choose from, found {key}; {where_it_is}"))
        })
    }
}

/// What a reader finds at a path.
#[derive(Debug)]
pub(crate) enum Found {
    /// Images of which somebody has said which are the test set.
    Parts(Dataset),
    /// Images of which nobody has said so, and their names.
    Whole(Images, Vec<Vec<u8>>),
    /// Images of which nobody has said so, named by the numbers of their rows.
    Rows(Images),
}

impl Found {
    /// Images to train on and images to test on; where nobody has said which, their names do.
    pub(crate) fn split(self) -> std::result::Result<Dataset, String> {
        match self {
            Found::Parts(dataset) => Ok(dataset),
            Found::Whole(images, names) => split(images, names.iter()),
            Found::Rows(images) => {
                let rows = 0..images.len();
                split(images, rows.map(|row| row.to_string()))
            }
        }
    }

    /// The images to test on where somebody has said which they are, else all.
    fn whole(self) -> Images {
        match self {
            Found::Parts(dataset) => dataset.test,
            Found::Whole(images, _) | Found::Rows(images) => images,
        }
    }

    fn size(&self) -> Size {
        match self {
            Found::Parts(Dataset { train: images, .. }) | Found::Whole(images, _) | Found::Rows(images) => {
                images.size()
            }
        }
    }
}

/// What a reader finds, and what is to be said of it.
#[derive(Debug)]
pub(crate) struct Reading {
    pub(crate) found: Found,
    pub(crate) skipped: Vec<Error>,
    pub(crate) notes: Vec<String>,
}

impl From<Found> for Reading {
    fn from(found: Found) -> Reading {
        Reading { found, skipped: Vec::new(), notes: Vec::new() }
    }
}

impl From<Dataset> for Reading {
    fn from(dataset: Dataset) -> Reading {
        Found::Parts(dataset).into()
    }
}

/// Data that were read: a [`Dataset`], or [`Images`] alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opened<D = Dataset> {
    /// The images.
    pub dataset: D,
    /// The pictures that could not be read and are left out, each with its reason; few, because many are an error.
    pub skipped: Vec<Error>,
    /// What else the user should know of how the data were read, a line each: what was assumed, and what left out.
    pub notes: Vec<String>,
}

/// Reads the data at `path`, which is
///
/// - a folder with MNIST's four IDX files, or those of Fashion-MNIST, KMNIST, EMNIST or QMNIST, by whatever names and in
///   whatever folders these are found,
/// - a folder with CIFAR-10's binary files, in it or in its sub-folder `cifar-10-batches-bin`, or with
///   `cifar-10-binary.tar.gz`; or that archive itself,
/// - a folder with Larochelle's binarised MNIST, `binarized_mnist_train.amat` and `binarized_mnist_test.amat`, plain or
///   gzipped,
/// - a folder of pictures (PNG, JPEG, WebP, BMP, GIF), of which sub-folders are the labels; or a single picture, or
/// - an array of images as NumPy saves it, `.npy` or `.npz`.
///
/// # Errors
///
/// If there is nothing of that kind, if it cannot be read, or if `options` ask for another size than the data have; only
/// pictures can be resized or change their colours.
pub fn open(path: &Path, options: &Options) -> Result<Opened> {
    let Reading { found, skipped, notes } = read(path, options)?;
    let dataset = found.split().map_err(|problem| Error::new(path, problem))?;
    Ok(Opened { dataset, skipped, notes })
}

/// Reads the data at `path` as [`open`] does, without dividing them: the images to test on where the data say which they are,
/// else all, of which there may be a single one.
///
/// # Errors
///
/// As those of [`open`].
pub fn open_undivided(path: &Path, options: &Options) -> Result<Opened<Images>> {
    let Reading { found, skipped, notes } = read(path, options)?;
    Ok(Opened { dataset: found.whole(), skipped, notes })
}

fn read(path: &Path, options: &Options) -> Result<Reading> {
    let mut reading = read_any(path, options)?;
    options.expect(reading.found.size()).map_err(|problem| Error::new(path, problem))?;
    // A note reads like an error: the file, and what there is to say of it.
    reading.notes.iter_mut().for_each(|note| *note = Error::new(path, std::mem::take(note)).to_string());
    Ok(reading)
}

fn read_any(path: &Path, options: &Options) -> Result<Reading> {
    let no_choice = || options.expect_no_key().map_err(|problem| Error::new(path, problem));
    if path.is_dir() {
        let sets = idx_sets::find(path);
        if !sets.is_empty() {
            return folder::from_folder(path, &sets, options);
        }
        no_choice()?;
        if cifar::is_here(path) {
            return cifar::from_folder(path).map(Reading::from);
        }
        if amat::is_here(path) {
            return amat::from_folder(path).map(Reading::from);
        }
        return pictures::from_folder(path, options);
    }
    if !path.exists() {
        return Err(Error::new(path, "there is no such file or folder"));
    }
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
    if name.ends_with(".npz") {
        return npy::from_npz(path, options);
    }
    no_choice()?;
    match () {
        () if name.ends_with(".npy") => npy::from_npy(path, options),
        () if name.ends_with(".tar.gz") || name.ends_with(".tgz") => cifar::from_archive(path).map(Reading::from),
        () if pictures::is_picture(path) => pictures::from_file(path, options),
        () => Err(Error::new(path, "expected a folder, a picture, or a file .npy, .npz or cifar-10-binary.tar.gz")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encode::{encode, gzip};
    use crate::idx::{Elements, Idx};
    use crate::pictures::testing::{grey, grey_jpeg};
    use std::fs;
    use tempfile::TempDir;

    fn folder(files: &[(&str, Vec<u8>)]) -> TempDir {
        let dir = tempfile::tempdir().unwrap();
        files.iter().for_each(|(name, content)| fs::write(dir.path().join(name), content).unwrap());
        dir
    }

    fn sized(image_size: Option<(usize, usize)>, channels: Option<usize>) -> Options {
        Options { image_size, channels, ..Options::default() }
    }

    /// The size of the images at `path`, or the error without the folder's random name.
    fn opened(dir: &TempDir, name: &str, options: &Options) -> std::result::Result<Size, String> {
        let opened = open(&dir.path().join(name), options);
        let error = |error: Error| error.to_string().replace(&dir.path().display().to_string(), "DIR");
        opened.map(|opened| opened.dataset.train.size()).map_err(error)
    }

    fn idx(shape: &[usize]) -> Vec<u8> {
        encode(&Idx { shape: shape.to_vec(), elements: Elements::U8(vec![0; shape.iter().product()]) })
    }

    /// MNIST's files, with images of 2 × 3.
    fn mnist() -> TempDir {
        folder(&[
            ("train-images-idx3-ubyte", idx(&[2, 2, 3])),
            ("train-labels-idx1-ubyte.gz", gzip(&idx(&[2]))),
            ("t10k-images-idx3-ubyte", idx(&[1, 2, 3])),
            ("t10k-labels-idx1-ubyte", idx(&[1])),
        ])
    }

    #[test]
    fn what_is_there_decides_how_it_is_read() {
        let any = Options::default();
        assert_eq!(opened(&mnist(), "", &any), Ok(Size::grey(2, 3)));
        let record = vec![0; 3073];
        let names = ["data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5", "test_batch"];
        let names = names.map(|name| format!("{name}.bin"));
        let cifar = folder(&names.each_ref().map(|name| (&name[..], record.clone())));
        assert_eq!(opened(&cifar, "", &any), Ok(Size { height: 32, width: 32, channels: 3 }));
        let line = [b"0 ".repeat(783), b"1\n".to_vec()].concat();
        let amat =
            folder(&[("binarized_mnist_train.amat", line.clone()), ("binarized_mnist_test.amat.gz", gzip(&line))]);
        assert_eq!(opened(&amat, "", &any), Ok(Size::grey(28, 28)));
        let pictures = folder(&[("a.png", grey(1)), ("b.jpg", grey_jpeg(1))]);
        assert_eq!(opened(&pictures, "", &any), Ok(Size::grey(2, 3)));
        assert_eq!(open_undivided(&pictures.path().join("b.jpg"), &any).unwrap().dataset.size(), Size::grey(2, 3));
        let mut npy = fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/floats.npy")).unwrap();
        let npz = fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/keras.npz")).unwrap();
        let arrays = folder(&[("a.npy", npy.clone()), ("b.NPZ", npz)]);
        assert_eq!(opened(&arrays, "a.npy", &any), Ok(Size::grey(2, 2)));
        assert_eq!(opened(&arrays, "b.NPZ", &any), Ok(Size::grey(2, 2)));
        npy.pop();
        let cut = opened(&folder(&[("a.npy", npy)]), "a.npy", &any).unwrap_err();
        assert_eq!(cut, "DIR/a.npy: header promises 1024 bytes of data, but the file holds 1023");
    }

    #[test]
    fn a_picture_alone_is_read_undivided_and_cannot_be_divided() {
        let dir = folder(&[("a.png", grey(9))]);
        let undivided = |options| open_undivided(&dir.path().join("a.png"), &options).unwrap().dataset;
        assert_eq!(undivided(Options::default()), Images::new(vec![9; 6], Size::grey(2, 3), vec![0]).unwrap());
        assert_eq!(undivided(sized(Some((2, 2)), Some(3))).size(), Size { height: 2, width: 2, channels: 3 });
        let expected = "DIR/a.png: expected at least 2 images, one to train on and one to test on, found 1";
        assert_eq!(opened(&dir, "a.png", &Options::default()).unwrap_err(), expected);
    }

    #[test]
    fn a_folder_undivided_is_all_of_it_and_a_set_with_a_test_part_is_that_part() {
        let files: Vec<_> = (0..9).map(|i| (format!("{i}.png"), grey(i))).collect();
        let dir = folder(&files.iter().map(|(name, file)| (&name[..], file.clone())).collect::<Vec<_>>());
        let all = open_undivided(dir.path(), &Options::default()).unwrap().dataset;
        let pixels = (0..9).flat_map(|i| [i; 6]).collect();
        assert_eq!(all, Images::new(pixels, Size::grey(2, 3), vec![0; 9]).unwrap());
        assert_eq!(open_undivided(mnist().path(), &Options::default()).unwrap().dataset.len(), 1);
    }

    #[test]
    fn what_is_not_known_is_an_error_that_says_what_is() {
        let dir = folder(&[("notes.txt", vec![])]);
        let any = Options::default();
        assert_eq!(opened(&dir, "nothing", &any).unwrap_err(), "DIR/nothing: there is no such file or folder");
        let expected = "DIR/notes.txt: expected a folder, a picture, or a file .npy, .npz or cifar-10-binary.tar.gz";
        assert_eq!(opened(&dir, "notes.txt", &any).unwrap_err(), expected);
        let expected = "expected MNIST's four IDX files, CIFAR-10's or binarised MNIST's files, or pictures";
        let found = "only 1 file that is no picture: 1 .txt";
        assert_eq!(opened(&dir, ".", &any).unwrap_err(), format!("DIR/.: {expected}, found {found}"));
    }

    #[test]
    fn a_note_begins_with_the_path_and_a_key_where_there_is_no_choice_is_refused() {
        let mnist = mnist();
        let notes = open(mnist.path(), &Options::default()).unwrap().notes;
        assert_eq!(notes, [format!("{}: all pixels are black", mnist.path().display())]);
        let picture = folder(&[("a.png", vec![])]);
        let key = Options { key: Some("x".into()), ..Options::default() };
        let expected = "DIR/.: expected no key, for there is nothing to choose from, found x; --key picks an array of a .npz \
                        or a set of IDX files";
        assert_eq!(opened(&picture, ".", &key).unwrap_err(), expected);
    }

    #[test]
    fn a_size_that_the_data_have_is_no_error_and_another_one_is() {
        let mnist = mnist();
        assert_eq!(opened(&mnist, "", &sized(Some((2, 3)), Some(1))), Ok(Size::grey(2, 3)));
        let why = "only pictures can be changed";
        let found = opened(&mnist, ".", &sized(Some((3, 2)), None)).unwrap_err();
        assert_eq!(found, format!("DIR/.: expected images of 3 × 2, found 2 × 3; {why}"));
        let found = opened(&mnist, ".", &sized(None, Some(3))).unwrap_err();
        assert_eq!(found, format!("DIR/.: expected images of 3 channels, found 1; {why}"));
    }
}
