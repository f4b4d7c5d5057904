//! Files that are written whole or not at all.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use crate::error::{Error, Result};

/// Writes a file as `.NAME.part` in the same folder, flushes it to disk, and renames it. Whoever looks, at any time, finds
/// the old content or the new, never a part.
///
/// # Errors
/// If that fails; there is then no new file, and an old one is as it was.
pub fn write_whole(path: &Path, content: &[u8]) -> Result<()> {
    // Renaming would replace a device or a link, /dev/null say, by the file.
    if path.symlink_metadata().is_ok_and(|there| !there.is_file()) {
        return Err(Error::file(path, "cannot write: something is there that is not a file"));
    }
    let name = path.file_name().unwrap_or_default();
    // Always the same name: what a kill leaves behind is overwritten by the next attempt.
    let part = path.with_file_name(format!(".{}.part", name.to_string_lossy()));
    let write = || -> io::Result<()> {
        let mut file = File::create(&part)?;
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&part, path)
    };
    write().map_err(|e| {
        let _ = fs::remove_file(&part);
        Error::file(path, format!("cannot write: {e}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
