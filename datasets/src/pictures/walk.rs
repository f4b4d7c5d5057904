//! The pictures below a folder, and what else is there.

use crate::Error;
use std::collections::{BTreeMap, HashSet};
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

/// What the names of pictures end in, in any case.
const PICTURES: [&str; 8] = ["png", "jpg", "jpeg", "jpe", "jfif", "webp", "bmp", "gif"];

/// What systems and archivers leave beside the data, in any case: no data, whatever it holds.
const NO_DATA: [&str; 7] =
    ["@eadir", "#recycle", "$recycle.bin", "__macosx", "system volume information", "thumbs.db", "desktop.ini"];

/// What a run's folder has beside its `config.toml`, one of them at least.
const OF_A_RUN: [&str; 4] = [".lock", "checkpoint.safetensors", "metrics.jsonl", "model.safetensors"];

/// At most this many kinds of other files are named.
const KINDS: usize = 5;

/// A way through folders, and what was met on it beside pictures.
#[derive(Default)]
pub(super) struct Walk {
    /// Folders that cannot be listed and links that lead nowhere.
    pub(super) skipped: Vec<Error>,
    /// The number of files that are no pictures, by what their names end in; `None` stands for those without an ending.
    others: BTreeMap<Option<String>, usize>,
}

impl Walk {
    /// The pictures and the sub-folders in a folder, each by name, without what is no data.
    ///
    /// # Errors
    ///
    /// If the folder cannot be listed.
    pub(super) fn entries(&mut self, folder: &Path) -> Result<(Vec<PathBuf>, Vec<PathBuf>), Error> {
        let failed = |error: std::io::Error| Error::new(folder, format!("cannot list this folder: {error}"));
        let (mut pictures, mut folders) = (Vec::new(), Vec::new());
        for entry in fs::read_dir(folder).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let (path, name) = (entry.path(), entry.file_name());
            if is_no_data(&name) {
                continue;
            }
            let mut kind = entry.file_type().map_err(failed)?;
            if kind.is_symlink() {
                match fs::metadata(&path) {
                    Ok(target) => kind = target.file_type(),
                    Err(error) => {
                        self.skipped.push(Error::new(path, format!("cannot open: {error}")));
                        continue;
                    }
                }
            }
            match kind.is_dir() {
                true if is_run(&path) => {}
                true => folders.push(path),
                false if is_picture(&path) => pictures.push(path),
                false => *self.others.entry(ending(&path)).or_default() += 1,
            }
        }
        pictures.sort();
        folders.sort();
        Ok((pictures, folders))
    }

    /// The pictures in a folder and in all folders below it, by name.
    ///
    /// Links are followed. A folder is entered once, and those `above` it never: so nobody walks in circles. What cannot be
    /// listed is skipped.
    pub(super) fn below(&mut self, folder: &Path, above: &[&Path]) -> Vec<PathBuf> {
        let mut entered: HashSet<PathBuf> = above.iter().filter_map(|folder| folder.canonicalize().ok()).collect();
        let (mut pictures, mut waiting) = (Vec::new(), vec![folder.to_path_buf()]);
        while let Some(folder) = waiting.pop() {
            if folder.canonicalize().is_ok_and(|real| !entered.insert(real)) {
                continue;
            }
            match self.entries(&folder) {
                Ok((here, folders)) => {
                    pictures.extend(here);
                    waiting.extend(folders);
                }
                Err(error) => self.skipped.push(error),
            }
        }
        pictures.sort();
        pictures
    }

    /// How many files are no pictures, and of which kinds they are; `None` if there are none.
    pub(super) fn others(&self) -> Option<String> {
        let total: usize = self.others.values().sum();
        let mut kinds: Vec<_> = self.others.iter().collect();
        kinds.sort_by_key(|&(_, &count)| std::cmp::Reverse(count));
        let named = kinds.iter().take(KINDS).map(|(ending, count)| match ending {
            Some(ending) => format!("{count} .{ending}"),
            None => format!("{count} without an ending"),
        });
        let mut named: Vec<String> = named.collect();
        let rest: usize = kinds.iter().skip(KINDS).map(|&(_, &count)| count).sum();
        if rest > 0 {
            named.push(format!("{rest} of other kinds"));
        }
        let what =
            if total == 1 { "1 file that is no picture" } else { &format!("{total} files that are no pictures") };
        (total > 0).then(|| format!("{what}: {}", named.join(", ")))
    }
}

/// Whether what has this name is no data: hidden, or left by a system.
fn is_no_data(name: &OsStr) -> bool {
    name.as_encoded_bytes().starts_with(b".") || NO_DATA.iter().any(|known| name.eq_ignore_ascii_case(known))
}

/// Whether a folder is that of a run of this program, whose pictures are results.
pub(super) fn is_run(folder: &Path) -> bool {
    folder.join("config.toml").is_file() && OF_A_RUN.iter().any(|name| folder.join(name).is_file())
}

/// Whether a file is called like a picture; what it holds is another question.
pub(super) fn is_picture(path: &Path) -> bool {
    let extension = path.extension().unwrap_or_default();
    PICTURES.iter().any(|known| extension.eq_ignore_ascii_case(known))
}

/// What a file's name ends in, in small letters, if it is an ending as kinds of files have one.
fn ending(path: &Path) -> Option<String> {
    let ending = path.extension()?.to_str()?;
    let usual = (1..=12).contains(&ending.len()) && ending.bytes().all(|byte| byte.is_ascii_alphanumeric());
    usual.then(|| ending.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pictures::testing::folder;

    /// The names of the pictures below a folder, and of what is skipped.
    fn below(dir: &Path) -> (Vec<String>, Vec<String>) {
        let mut walk = Walk::default();
        let inside = |path: &Path| path.strip_prefix(dir).unwrap().to_str().unwrap().replace('\\', "/");
        let pictures = walk.below(dir, &[]).iter().map(|path| inside(path)).collect();
        (pictures, walk.skipped.iter().map(|error| inside(error.path())).collect())
    }

    #[test]
    fn pictures_are_told_by_the_ends_of_their_names_and_what_systems_leave_is_none() {
        let kinds = ["a.png", "b.JPG", "c.jpeg", "d.jpe", "e.jfif", "f.webp", "g.BMP", "h.gif"];
        let left = [
            ".hidden/1.png",
            "._1.jpg",
            "@eaDir/1.jpg/SYNOPHOTO_THUMB_S.jpg",
            "__MACOSX/1.png",
            "$RECYCLE.BIN/1.png",
            "Thumbs.db",
            "desktop.ini",
        ];
        let dir = folder(&kinds.iter().chain(&left).map(|&name| (name, vec![])).collect::<Vec<_>>());
        assert_eq!(below(dir.path()), (kinds.map(String::from).to_vec(), vec![]));
        let mut walk = Walk::default();
        walk.below(dir.path(), &[]);
        assert_eq!(walk.others(), None);
    }

    #[test]
    fn other_files_are_counted_by_kind() {
        let others = |names: &[&str]| {
            let dir = folder(&names.iter().map(|&name| (name, vec![])).collect::<Vec<_>>());
            let mut walk = Walk::default();
            walk.below(dir.path(), &[]);
            walk.others()
        };
        assert_eq!(others(&["a.png"]), None);
        assert_eq!(others(&["README"]).unwrap(), "1 file that is no picture: 1 without an ending");
        let names = ["1.txt", "a.png", "x/2.TXT", "3.mp4", "x/y/4.txt", "not an ending.of a file"];
        assert_eq!(others(&names).unwrap(), "5 files that are no pictures: 3 .txt, 1 without an ending, 1 .mp4");
        let names = ["1.a", "2.a", "1.b", "1.c", "1.d", "1.e", "1.f", "1.g"];
        assert_eq!(
            others(&names).unwrap(),
            "8 files that are no pictures: 2 .a, 1 .b, 1 .c, 1 .d, 1 .e, 2 of other kinds"
        );
    }

    #[test]
    fn folders_of_runs_are_no_data() {
        let dir = folder(&[
            ("1.png", vec![]),
            ("runs/vae-1/config.toml", vec![]),
            ("runs/vae-1/.lock", vec![]),
            ("runs/vae-1/samples.png", vec![]),
            ("imported/config.toml", vec![]),
            ("imported/model.safetensors", vec![]),
            ("imported/deeper/2.png", vec![]),
            ("no run/config.toml", vec![]),
            ("no run/3.png", vec![]),
        ]);
        assert_eq!(below(dir.path()).0, ["1.png", "no run/3.png"]);
        let mut walk = Walk::default();
        walk.below(dir.path(), &[]);
        assert_eq!(walk.others().unwrap(), "1 file that is no picture: 1 .toml");
    }

    #[test]
    #[cfg(unix)]
    fn links_are_followed_at_any_depth_and_never_in_circles() {
        use std::os::unix::fs::symlink;
        let elsewhere = folder(&[("3.png", vec![]), ("deeper/4.png", vec![])]);
        let dir = folder(&[("1.png", vec![]), ("a/b/2.png", vec![])]);
        symlink(dir.path(), dir.path().join("a/b/up")).unwrap();
        symlink(".", dir.path().join("a/here")).unwrap();
        symlink(elsewhere.path(), dir.path().join("a/b/c")).unwrap();
        symlink(elsewhere.path().join("3.png"), dir.path().join("a/5.png")).unwrap();
        symlink("nowhere.png", dir.path().join("6.png")).unwrap();
        symlink("no folder", dir.path().join("a/7")).unwrap();
        symlink("itself", dir.path().join("itself")).unwrap();
        let (pictures, mut skipped) = below(dir.path());
        skipped.sort();
        assert_eq!(pictures, ["1.png", "a/5.png", "a/b/2.png", "a/b/c/3.png", "a/b/c/deeper/4.png"]);
        assert_eq!(skipped, ["6.png", "a/7", "itself"]);
    }
}
