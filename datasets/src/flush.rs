//! What is new in a folder, on disk.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::path::Path;

/// Flushes a folder: what was created or renamed in it stays so after a power cut, where the file system knows how.
///
/// # Errors
///
/// If the disk fails. A folder that cannot be flushed at all is no failure: network file systems and some in user space
/// have no such thing, some folders may be written to but not opened, and only Unix opens one in the first place.
pub fn flush_folder(folder: &Path) -> io::Result<()> {
    if !cfg!(unix) {
        return Ok(());
    }
    match File::open(folder).and_then(|folder| folder.sync_all()) {
        Err(e) if is_impossible(&e) => Ok(()),
        flushed => flushed,
    }
}

/// `EBADF`, the same on every Unix; it has no [`ErrorKind`].
const BAD_DESCRIPTOR: i32 = 9;

/// Whether an error says that this is not done to folders here, and nothing about the disk.
fn is_impossible(error: &io::Error) -> bool {
    use ErrorKind::{InvalidInput, IsADirectory, PermissionDenied, Unsupported};
    matches!(error.kind(), InvalidInput | IsADirectory | PermissionDenied | Unsupported)
        || error.raw_os_error() == Some(BAD_DESCRIPTOR)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_flushed_and_a_missing_one_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        flush_folder(folder.path()).unwrap();
        assert_eq!(flush_folder(&folder.path().join("none")).is_err(), cfg!(unix));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn what_a_file_system_cannot_do_is_no_failure_and_what_a_disk_cannot_do_is_one() {
        let [eperm, ebadf, eacces, eisdir, einval, enosys, eopnotsupp] = [1, 9, 13, 21, 22, 38, 95];
        for code in [eperm, ebadf, eacces, eisdir, einval, enosys, eopnotsupp] {
            assert!(is_impossible(&io::Error::from_raw_os_error(code)), "{code}");
        }
        let [enoent, eio, enospc, erofs, edquot] = [2, 5, 28, 30, 122];
        for code in [enoent, eio, enospc, erofs, edquot] {
            assert!(!is_impossible(&io::Error::from_raw_os_error(code)), "{code}");
        }
    }
}
