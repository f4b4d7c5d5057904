//! Files that are written whole or not at all.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::Path;

use crate::error::{Error, Result};

/// Writes a file as `.NAME.part` in the same folder, flushes it to disk, and renames it. Whoever looks, at any time, also
/// after a power cut, finds the old content or the new, never a part. Which of the two is certain once the folder is flushed
/// ([`flush_folder_of`]); an epoch writes six files, and a flush for each took a hundredth of its time.
///
/// # Errors
/// If that fails; there is then no new file, and an old one is as it was.
pub fn write_whole(path: &Path, content: &[u8]) -> Result<()> {
    write_stage_by_stage(path, content, |_| Ok(()))
}

/// What writing a file consists of; a disk can fail in any of these.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Stage {
    Create,
    Write,
    Flush,
    Rename,
}

/// Asks `before` each stage, whose errors count as the disk's, so that tests can let any of them fail.
fn write_stage_by_stage(path: &Path, content: &[u8], before: impl Fn(Stage) -> io::Result<()>) -> Result<()> {
    // Renaming would replace a device or a link, /dev/null say, by the file.
    if path.symlink_metadata().is_ok_and(|there| !there.is_file()) {
        return Err(Error::file(path, "cannot write: something is there that is not a file"));
    }
    let name = path.file_name().unwrap_or_default();
    // Always the same name: what a kill leaves behind is overwritten by the next attempt.
    let part = path.with_file_name(format!(".{}.part", name.to_string_lossy()));
    let write = || -> io::Result<()> {
        before(Stage::Create)?;
        let mut file = File::create(&part)?;
        before(Stage::Write)?;
        file.write_all(content)?;
        before(Stage::Flush)?;
        file.sync_all()?;
        before(Stage::Rename)?;
        fs::rename(&part, path)
    };
    write().map_err(|e| {
        let _ = fs::remove_file(&part);
        Error::file(path, format!("cannot write: {e}"))
    })
}

/// Flushes the folder that a file is in: what was renamed in it stays so after a power cut. Only Unix lets a folder be
/// opened; elsewhere nothing is done.
///
/// # Errors
/// If that fails.
pub fn flush_folder_of(path: &Path) -> Result<()> {
    #[cfg(unix)]
    {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let flushed = File::open(folder).and_then(|folder| folder.sync_all());
        flushed.map_err(|e| Error::file(folder, format!("cannot write: {e}")))?;
    }
    Ok(())
}

/// Reads a text of at most so many bytes.
///
/// # Errors
/// If it cannot be read, is longer, or is no UTF-8.
pub fn read_text(path: &Path, most: u64) -> Result<String> {
    let mut text = String::new();
    let read = File::open(path).and_then(|file| file.take(most + 1).read_to_string(&mut text));
    read.map_err(|e| Error::file(path, format!("cannot read: {e}")))?;
    match text.len() as u64 > most {
        true => Err(Error::file(path, format!("expected at most {most} bytes, found more"))),
        false => Ok(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_old_file_is_replaced_and_nothing_else_is_left_behind() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        write_whole(&path, b"old and longer").unwrap();
        write_whole(&path, b"new").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn whatever_stage_fails_the_old_file_stands_whole_and_no_part_is_left() {
        for stage in [Stage::Create, Stage::Write, Stage::Flush, Stage::Rename] {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("a");
            write_whole(&path, b"old").unwrap();
            let fail = |now| if now == stage { Err(io::Error::other("the disk is gone")) } else { Ok(()) };
            let error = write_stage_by_stage(&path, b"new", fail).unwrap_err().to_string();
            assert_eq!(error, format!("{}: cannot write: the disk is gone", path.display()));
            assert_eq!(fs::read(&path).unwrap(), b"old", "{stage:?}");
            assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "{stage:?}");
        }
    }

    #[test]
    fn a_failure_names_the_file_and_keeps_the_old_one() {
        let folder = tempfile::tempdir().unwrap();
        // A folder stands where the file should go, so the rename fails.
        let path = folder.path().join("a");
        fs::create_dir_all(path.join("b")).unwrap();
        let error = write_whole(&path, b"new").unwrap_err().to_string();
        assert!(error.starts_with(&format!("{}: cannot write: ", path.display())), "{error}");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        let missing = folder.path().join("no").join("such");
        assert!(write_whole(&missing, b"x").unwrap_err().to_string().contains("no/such: cannot write"));
    }

    proptest! {
        #[test]
        fn a_text_is_read_if_it_is_no_longer_than_expected(text: String, most in 0u64..20) {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("a");
            fs::write(&path, &text).unwrap();
            prop_assert_eq!(read_text(&path, most).ok(), (text.len() as u64 <= most).then_some(text));
        }
    }
}
