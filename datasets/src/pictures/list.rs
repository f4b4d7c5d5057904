//! Which pictures of a folder belong to which class, and to training or to the test.

use super::walk::{Walk, is_run};
use crate::{Error, Result};
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

/// The names, in any case, of folders with pictures to train on.
const TRAIN: &[&str] = &["train", "training"];

/// The names of folders with pictures to test on: those of the first row count, where there are any.
const TEST: [&[&str]; 2] = [&["test", "testing"], &["val", "valid", "validation", "dev"]];

/// A file that should be a picture.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Picture {
    pub(super) path: PathBuf,
    /// The path inside the data's folder, its parts joined by `/` on every system: what the split depends on.
    pub(super) name: Vec<u8>,
    pub(super) label: u32,
    pub(super) side: Side,
}

/// What a picture is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    /// Nobody has said so.
    Any,
    Train,
    Test,
}

/// All pictures of a folder, in order, and what is to be said of the rest.
#[derive(Debug)]
pub(super) struct Listing {
    pub(super) pictures: Vec<Picture>,
    /// Folders and links that lead nowhere.
    pub(super) skipped: Vec<Error>,
    pub(super) notes: Vec<String>,
}

/// The pictures of a folder: those in it, and those of each of its sub-folders, in it or deeper, by its name.
struct Classes {
    loose: Vec<PathBuf>,
    named: BTreeMap<OsString, Vec<PathBuf>>,
}

/// Lists the pictures of `dir`.
///
/// # Errors
///
/// If it cannot be listed, is the folder of a run or has no pictures, or if there are pictures beside sub-folders of pictures.
pub(super) fn list(dir: &Path) -> Result<Listing> {
    if is_run(dir) {
        return Err(Error::new(dir, "expected images, found the folder of a run"));
    }
    let mut walk = Walk::default();
    let (loose, folders) = walk.entries(dir)?;
    let (pictures, mut notes) = match sides(&folders) {
        Some(sides) => divided(dir, &mut walk, loose, folders, &sides)?,
        None => {
            let all = Classes { loose, named: named(&mut walk, folders.into_iter(), &[dir]) };
            (labelled(dir, &[(Side::Any, all)])?, Vec::new())
        }
    };
    let others = walk.others();
    if pictures.is_empty() {
        let found = others.map_or("none".into(), |others| format!("only {others}"));
        let first = walk.skipped.first().map_or(String::new(), |error| format!("; {error}"));
        let expected = "MNIST's four IDX files, CIFAR-10's or binarised MNIST's files, or pictures";
        return Err(Error::new(dir, format!("expected {expected}, found {found}{first}")));
    }
    notes.extend(others.map(|others| format!("passed over {others}")));
    Ok(Listing { pictures, skipped: walk.skipped, notes })
}

/// The folders to train on and those to test on, if there are such.
fn sides(folders: &[PathBuf]) -> Option<[(Side, Vec<PathBuf>); 2]> {
    let called = |names: &[&str]| -> Vec<PathBuf> {
        let is_one = |folder: &&PathBuf| names.iter().any(|name| file_name(folder).eq_ignore_ascii_case(name));
        folders.iter().filter(is_one).cloned().collect()
    };
    let train = called(TRAIN);
    let test = TEST.into_iter().map(called).find(|folders| !folders.is_empty())?;
    (!train.is_empty()).then_some([(Side::Train, train), (Side::Test, test)])
}

/// The pictures of folders that are training and test, and what is to be said of those in neither.
fn divided(
    dir: &Path,
    walk: &mut Walk,
    loose: Vec<PathBuf>,
    folders: Vec<PathBuf>,
    sides: &[(Side, Vec<PathBuf>); 2],
) -> Result<(Vec<Picture>, Vec<String>)> {
    let mut all = sides.each_ref().map(|(side, parts)| (*side, Classes::of_parts(dir, walk, parts)));
    let [train, test] = sides.each_ref().map(|(_, parts)| file_name(&parts[0]).display().to_string());

    let is_rest = |folder: &PathBuf| !sides.iter().any(|(_, parts)| parts.contains(folder));
    let rest = named(walk, folders.into_iter().filter(is_rest), &[dir]);
    let rest = rest.iter().map(|(name, pictures)| (format!("in {}", name.display()), pictures.len()));
    let beside = (!loose.is_empty()).then(|| ("beside them".to_string(), loose.len()));
    let notes = rest.chain(beside).map(|(place, count)| {
        let pictures = if count == 1 { "picture" } else { "pictures" };
        format!("left out {count} {pictures} {place}: {train} is trained on and {test} tested on")
    });
    let mut notes: Vec<String> = notes.collect();

    let [has_train, has_test] = all.each_ref().map(|(_, classes)| !classes.is_empty());
    if has_train != has_test {
        let (folder, what) = if has_train { (&sides[1].1[0], "test") } else { (&sides[0].1[0], "train") };
        return Err(Error::new(folder, format!("expected pictures to {what} on, found none")));
    }
    let with_labels = all.iter().filter(|(_, classes)| !classes.named.is_empty()).count();
    if with_labels == 1 {
        notes.push(format!("{train} and {test} do not both have sub-folders: their pictures are read without labels"));
        all.iter_mut().for_each(|(_, classes)| classes.forget());
    }
    Ok((labelled(dir, &all)?, notes))
}

impl Classes {
    /// The classes of all these folders together.
    fn of_parts(dir: &Path, walk: &mut Walk, parts: &[PathBuf]) -> Classes {
        let mut classes = Classes { loose: Vec::new(), named: BTreeMap::new() };
        for part in parts {
            match walk.entries(part) {
                Ok((loose, folders)) => {
                    classes.loose.extend(loose);
                    for (name, pictures) in named(walk, folders.into_iter(), &[dir, part]) {
                        classes.named.entry(name).or_default().extend(pictures);
                    }
                }
                Err(error) => walk.skipped.push(error),
            }
        }
        classes
    }

    fn is_empty(&self) -> bool {
        self.loose.is_empty() && self.named.is_empty()
    }

    /// Takes the pictures of all classes for pictures of none.
    fn forget(&mut self) {
        self.loose.extend(std::mem::take(&mut self.named).into_values().flatten());
        self.loose.sort();
    }
}

/// Those of the folders that have pictures, by their names.
fn named(walk: &mut Walk, folders: impl Iterator<Item = PathBuf>, above: &[&Path]) -> BTreeMap<OsString, Vec<PathBuf>> {
    let folders = folders.map(|folder| (file_name(&folder).to_owned(), walk.below(&folder, above)));
    folders.filter(|(_, pictures)| !pictures.is_empty()).collect()
}

/// The pictures of all sides, their labels in the order of the names of all classes.
///
/// # Errors
///
/// If a side has pictures beside sub-folders of pictures.
fn labelled(dir: &Path, sides: &[(Side, Classes)]) -> Result<Vec<Picture>> {
    let names: BTreeSet<&OsString> = sides.iter().flat_map(|(_, classes)| classes.named.keys()).collect();
    let mut pictures = Vec::new();
    for &(side, Classes { ref loose, ref named }) in sides {
        if let (Some(file), Some(of_class)) = (loose.first(), named.values().next()) {
            let [file, of_class] =
                [file, &of_class[0]].map(|path| String::from_utf8_lossy(&name(dir, path)).into_owned());
            let expected = "expected pictures or sub-folders of pictures";
            return Err(Error::new(dir, format!("{expected}, found both: {file}, and {of_class} of a sub-folder")));
        }
        let mut add = |paths: &[PathBuf], label: usize| {
            let label = u32::try_from(label).expect("fewer classes than pictures, and these are counted so");
            pictures.extend(paths.iter().map(|path| Picture {
                path: path.clone(),
                name: name(dir, path),
                label,
                side,
            }));
        };
        add(loose, 0);
        names.iter().enumerate().for_each(|(label, &class)| add(named.get(class).map_or(&[], |paths| paths), label));
    }
    Ok(pictures)
}

fn file_name(path: &Path) -> &OsStr {
    path.file_name().unwrap_or_default()
}

/// The path of a file inside `dir`.
pub(super) fn name(dir: &Path, path: &Path) -> Vec<u8> {
    let inside = path.strip_prefix(dir).unwrap_or(path);
    inside.iter().map(|part| part.as_encoded_bytes()).collect::<Vec<_>>().join(&b'/')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pictures::testing::folder;

    fn listed(files: &[&str]) -> Result<Listing> {
        let dir = folder(&files.iter().map(|&name| (name, vec![])).collect::<Vec<_>>());
        let listing = list(dir.path());
        listing.map_err(|error| Error::new("DIR", error.problem().replace(&dir.path().display().to_string(), "DIR")))
    }

    /// Name, label and side of each picture, and the notes.
    fn pictures(files: &[&str]) -> (Vec<(String, u32, Side)>, Vec<String>) {
        let Listing { pictures, notes, .. } = listed(files).unwrap();
        let of = |picture: Picture| (String::from_utf8(picture.name).unwrap(), picture.label, picture.side);
        (pictures.into_iter().map(of).collect(), notes)
    }

    fn all<const N: usize>(expected: [(&str, u32, Side); N]) -> Vec<(String, u32, Side)> {
        expected.map(|(name, label, side)| (name.to_string(), label, side)).to_vec()
    }

    use Side::{Any, Test, Train};

    #[test]
    fn sub_folders_are_labels_in_the_order_of_their_names() {
        let files = ["b/1.png", "b/deeper/still/2.PNG", "a/2.jpg", "a/1.jpg", "c/1.png", "empty/readme.txt"];
        let expected = [
            ("a/1.jpg", 0, Any),
            ("a/2.jpg", 0, Any),
            ("b/1.png", 1, Any),
            ("b/deeper/still/2.PNG", 1, Any),
            ("c/1.png", 2, Any),
        ];
        let note = "passed over 1 file that is no picture: 1 .txt".to_string();
        assert_eq!(pictures(&files), (all(expected), vec![note]));
        assert_eq!(pictures(&["b.png", "a.png"]).0, all([("a.png", 0, Any), ("b.png", 0, Any)]));
    }

    #[test]
    fn any_number_of_sub_folders_are_labels() {
        let files: Vec<_> = (0..300).map(|i| format!("{i:03}/1.png")).collect();
        let files: Vec<_> = files.iter().map(|name| &name[..]).collect();
        assert!(pictures(&files).0.iter().map(|(_, label, _)| *label).eq(0..300));
    }

    #[test]
    fn folders_for_training_and_test_are_no_labels_and_theirs_are_the_same_in_both() {
        for [train, test] in
            [["train", "test"], ["Training", "TESTING"], ["train", "val"], ["TRAIN", "Dev"], ["training", "valid"]]
        {
            let files = [("b/1.png", train), ("a/2.png", train), ("c/3.png", test), ("b/4.png", test)];
            let files = files.map(|(name, side)| format!("{side}/{name}"));
            let (found, notes) = pictures(&files.each_ref().map(|name| &name[..]));
            let found: Vec<_> =
                found.iter().map(|(name, label, side)| (&name[name.len() - 7..], *label, *side)).collect();
            assert_eq!(
                found,
                [("a/2.png", 0, Train), ("b/1.png", 1, Train), ("b/4.png", 1, Test), ("c/3.png", 2, Test)]
            );
            assert_eq!(notes, [""; 0]);
        }
        let (found, _) = pictures(&["train/1.png", "test/2.png"]);
        assert_eq!(found, all([("train/1.png", 0, Train), ("test/2.png", 0, Test)]));
    }

    #[test]
    fn what_is_neither_for_training_nor_for_the_test_is_left_out_and_said() {
        let files =
            ["train/1.png", "test/2.png", "val/3.png", "val/4.png", "extra/deep/5.png", "docs/a.txt", "logo.png"];
        let (found, notes) = pictures(&files);
        assert_eq!(found, all([("train/1.png", 0, Train), ("test/2.png", 0, Test)]));
        let expected = [
            "left out 1 picture in extra: train is trained on and test tested on",
            "left out 2 pictures in val: train is trained on and test tested on",
            "left out 1 picture beside them: train is trained on and test tested on",
            "passed over 1 file that is no picture: 1 .txt",
        ];
        assert_eq!(notes, expected);
    }

    #[test]
    fn labels_of_one_side_alone_are_left_out() {
        let (found, notes) = pictures(&["train/cats/1.png", "train/dogs/2.png", "test/3.png"]);
        let expected = [("train/cats/1.png", 0, Train), ("train/dogs/2.png", 0, Train), ("test/3.png", 0, Test)];
        assert_eq!(found, all(expected));
        assert_eq!(notes, ["train and test do not both have sub-folders: their pictures are read without labels"]);
    }

    #[test]
    fn a_test_without_pictures_is_an_error_and_training_alone_a_label() {
        let error = listed(&["train/1.png", "test/list.csv"]).unwrap_err();
        assert_eq!(error.problem(), "expected pictures to test on, found none");
        let error = listed(&["train/list.csv", "val/1.png"]).unwrap_err();
        assert_eq!(error.problem(), "expected pictures to train on, found none");
        assert_eq!(pictures(&["train/1.png", "bus/2.png"]).0, all([("bus/2.png", 0, Any), ("train/1.png", 1, Any)]));
    }

    #[test]
    fn pictures_beside_sub_folders_of_pictures_are_refused() {
        let expected = "expected pictures or sub-folders of pictures, found both: ";
        let error = listed(&["cats/1.png", "stray.png"]).unwrap_err();
        assert_eq!(error.problem(), format!("{expected}stray.png, and cats/1.png of a sub-folder"));
        let error = listed(&["train/cats/1.png", "train/stray.png", "test/cats/2.png"]).unwrap_err();
        assert_eq!(error.problem(), format!("{expected}train/stray.png, and train/cats/1.png of a sub-folder"));
        // Runs are no pictures, wherever they are.
        let files = ["1.png", "2.png", "runs/vae-1/config.toml", "runs/vae-1/metrics.jsonl", "runs/vae-1/samples.png"];
        assert_eq!(pictures(&files), (all([("1.png", 0, Any), ("2.png", 0, Any)]), vec![]));
    }

    #[test]
    fn a_folder_without_pictures_is_an_error_that_says_what_is_there() {
        let expected = "expected MNIST's four IDX files, CIFAR-10's or binarised MNIST's files, or pictures, found ";
        assert_eq!(listed(&[]).unwrap_err().problem(), format!("{expected}none"));
        let only = "only 2 files that are no pictures: 1 .heic, 1 .txt";
        assert_eq!(listed(&["a.txt", "x/b.HEIC"]).unwrap_err().problem(), format!("{expected}{only}"));
        let run = listed(&["config.toml", "metrics.jsonl", "samples.png"]).unwrap_err();
        assert_eq!(run.problem(), "expected images, found the folder of a run");
    }
}
