//! Which data sets in IDX files are in a folder, however those who unpacked them have named and nested them.

use std::fs;
use std::path::{Path, PathBuf};

/// The parts that a data set has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Train,
    Test,
}

/// The files of a data set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct IdxSet {
    /// What its files' names begin with, as `emnist-letters`; where that is nothing, the folder they are in.
    pub(crate) name: String,
    /// The images and the labels of the training, then of the test.
    files: [[Option<PathBuf>; 2]; 2],
}

impl IdxSet {
    /// The files of images and of labels.
    pub(crate) fn part(&self, part: Part) -> [Option<&Path>; 2] {
        self.files[part as usize].each_ref().map(Option::as_deref)
    }

    /// Whether somebody who says `key` means this set: `letters` is enough for `emnist-letters`.
    pub(crate) fn is_called(&self, key: &str) -> bool {
        let (name, key) = (self.name.to_lowercase(), key.to_lowercase());
        name == key || name.strip_suffix(&key).is_some_and(|rest| rest.ends_with('-'))
    }
}

/// The data sets in the folder `dir`, or else in folders below it that are called as torchvision (`MNIST/raw`) and the archive
/// of EMNIST (`gzip`) call them.
///
/// A file is `{set-}{train|t10k|test}-{images|labels}-idx{rank}-{type}`, with dots or lines for `-`, in any case, perhaps with
/// `.gz` after it, perhaps in a folder of its own name. Where there are several for one thing, the first of a plain one, a
/// gzipped one and a folder is taken.
pub(crate) fn find(dir: &Path) -> Vec<IdxSet> {
    let here = sets_in(dir);
    if !here.is_empty() {
        return here;
    }
    let folders = entries(dir).into_iter().filter(|path| path.is_dir());
    folders.flat_map(|folder| if is_raw(&folder) { sets_in(&folder) } else { sets_in(&folder.join("raw")) }).collect()
}

/// Whether a folder's name says nothing of what is in it.
fn is_raw(folder: &Path) -> bool {
    folder.file_name().is_some_and(|name| name == "raw" || name == "gzip")
}

/// What is in a folder, without hidden files, by name; nothing if it cannot be listed, which others will say.
fn entries(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let entries = entries.flatten().filter(|entry| !entry.file_name().as_encoded_bytes().starts_with(b"."));
    let mut entries: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    entries.sort();
    entries
}

/// The data sets whose files are in this very folder.
fn sets_in(folder: &Path) -> Vec<IdxSet> {
    let mut files: Vec<(Stem, u8, PathBuf)> = Vec::new();
    for path in entries(folder) {
        let Some(stem) = Stem::of(&path) else { continue };
        if !path.is_dir() {
            let gzipped = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("gz"));
            files.push((stem, gzipped.into(), path));
        } else if let Some(file) =
            entries(&path).into_iter().find(|file| !file.is_dir() && Stem::of(file).as_ref() == Some(&stem))
        {
            files.push((stem, 2, file));
        }
    }
    // The sort is stable, and the first of its kind stays.
    files.sort_by_key(|(_, rank, _)| *rank);
    let unnamed = if is_raw(folder) { folder.parent().unwrap_or(folder) } else { folder };
    let unnamed = unnamed.file_name().unwrap_or_default().to_string_lossy();
    let mut sets: Vec<IdxSet> = Vec::new();
    for (Stem { set, part, labels }, _, path) in files {
        let name = if set.is_empty() { unnamed.to_string() } else { set };
        let at = sets.iter().position(|set| set.name == name).unwrap_or_else(|| {
            sets.push(IdxSet { name, ..IdxSet::default() });
            sets.len() - 1
        });
        sets[at].files[part as usize][usize::from(labels)].get_or_insert(path);
    }
    // Labels alone are no data set.
    sets.retain(|set| [Part::Train, Part::Test].iter().any(|&part| set.part(part)[0].is_some()));
    sets.sort_by(|a, b| a.name.cmp(&b.name));
    sets
}

/// What the name of a file says.
#[derive(Debug, PartialEq, Eq)]
struct Stem {
    set: String,
    part: Part,
    labels: bool,
}

impl Stem {
    fn of(path: &Path) -> Option<Stem> {
        let name = path.file_name()?.to_str()?.to_lowercase();
        let name = name.strip_suffix(".gz").unwrap_or(&name);
        let words: Vec<&str> = name.split(['-', '.', '_']).collect();
        let at = words.iter().position(|word| matches!(*word, "images" | "labels"))?;
        let part = match *words.get(at.checked_sub(1)?)? {
            "train" => Part::Train,
            "t10k" | "test" => Part::Test,
            _ => return None,
        };
        match words[at + 1..] {
            [idx] | [idx, "ubyte" | "byte" | "int"] if idx.starts_with("idx") => {}
            _ => return None,
        }
        Some(Stem { set: words[..at - 1].join("-"), part, labels: words[at] == "labels" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tempfile::TempDir;

    const FILES: [&str; 4] =
        ["train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"];

    fn folder(files: &[&str]) -> TempDir {
        let dir = tempfile::tempdir().unwrap();
        for file in files {
            let path = dir.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        dir
    }

    /// The sets in a folder with these files: name, and the files by their paths inside it.
    fn found(files: &[&str]) -> Vec<(String, Vec<String>)> {
        let dir = folder(files);
        let inside = |path: &PathBuf| path.strip_prefix(dir.path()).unwrap().to_str().unwrap().to_string();
        let sets = find(dir.path()).into_iter();
        let own = dir.path().file_name().unwrap().to_str().unwrap();
        sets.map(|set| {
            let name = if set.name == own { "DIR".into() } else { set.name.clone() };
            (name, set.files.iter().flatten().flatten().map(inside).collect())
        })
        .collect()
    }

    fn set(name: &str, files: &[&str]) -> (String, Vec<String>) {
        (name.into(), files.iter().map(|file| file.to_string()).collect())
    }

    #[test]
    fn names_may_have_dots_and_capitals_and_gz() {
        for rename in [
            (|name| name.to_string()) as fn(&str) -> String,
            |name| name.replace("-idx", ".idx"),
            |name| name.to_uppercase(),
            |name| format!("{name}.gz"),
            |name| format!("{name}.GZ").replace("-idx", ".idx"),
            |name| name.replace("-ubyte", ""),
            |name| name.replace("t10k", "test").replace('-', "_"),
        ] {
            let files = FILES.map(rename);
            let files = files.each_ref().map(String::as_str);
            assert_eq!(found(&files), [set("DIR", &files)]);
        }
        for odd in [
            "train-images",
            "images-idx3-ubyte",
            "train-images-idx3-ubyte.png",
            "valid-images-idx3-ubyte",
            "._train-images-idx3-ubyte",
        ] {
            assert_eq!(found(&[odd]), []);
        }
    }

    #[test]
    fn a_file_may_be_in_a_folder_of_its_own_name() {
        let nested = FILES.map(|name| format!("{name}/{name}"));
        let nested = nested.each_ref().map(String::as_str);
        assert_eq!(found(&nested), [set("DIR", &nested)]);
        let dotted = FILES.map(|name| format!("{name}.gz/{}", name.replace("-idx", ".idx")));
        let dotted = dotted.each_ref().map(String::as_str);
        assert_eq!(found(&dotted), [set("DIR", &dotted)]);
        // A plain file goes before a gzipped one, and that before a folder.
        let (gz, dots) = (format!("{}.gz", FILES[0]), FILES[0].replace("-idx", ".idx"));
        assert_eq!(found(&[&gz, nested[0]]), [set("DIR", &[&gz])]);
        assert_eq!(found(&[&gz, &dots, nested[0]]), [set("DIR", &[&dots])]);
    }

    #[test]
    fn torchvisions_folders_are_found_from_above() {
        let raw = FILES.map(|name| format!("MNIST/raw/{name}"));
        let raw = raw.each_ref().map(String::as_str);
        assert_eq!(found(&raw), [set("MNIST", &raw)]);
        let dir = folder(&raw);
        for inside in ["MNIST", "MNIST/raw"] {
            let sets = find(&dir.path().join(inside));
            assert_eq!(sets.iter().map(|set| &set.name[..]).collect::<Vec<_>>(), ["MNIST"], "{inside}");
        }
        let two = ["FashionMNIST/raw/train-images-idx3-ubyte", "MNIST/raw/train-images-idx3-ubyte"];
        assert_eq!(found(&two), [set("FashionMNIST", &two[..1]), set("MNIST", &two[1..])]);
    }

    #[test]
    fn several_sets_in_a_folder_are_told_apart_by_what_their_names_begin_with() {
        let names = [
            "emnist-letters-train-images-idx3-ubyte",
            "emnist-digits-train-images-idx3-ubyte",
            "qmnist-test-labels-idx2-int",
        ];
        assert_eq!(found(&names), [set("emnist-digits", &names[1..2]), set("emnist-letters", &names[..1])]);
        let gzip = ["gzip/emnist-mnist-test-images-idx3-ubyte.gz"];
        assert_eq!(found(&gzip), [set("emnist-mnist", &gzip)]);
        let letters = IdxSet { name: "emnist-letters".into(), ..IdxSet::default() };
        assert!(letters.is_called("emnist-letters") && letters.is_called("Letters"));
        assert!(!letters.is_called("etters") && !letters.is_called("emnist") && !letters.is_called(""));
    }
}
