//! Where downloaded data sets are kept, and whether what is kept there is what it should be.

use crate::catalog::{self, Entry, RemoteFile};
use crate::{Error, Result};
use etcetera::BaseStrategy;
use sha2::{Digest, Sha256};
use std::env;
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};

/// The folder with a folder for each data set: what the environment variable `VAE_DATA` says, or else `vae` in the user's
/// cache folder (on Linux `$XDG_CACHE_HOME` or `~/.cache`). It need not exist.
///
/// # Errors
///
/// If `VAE_DATA` is not set and the user has no home folder.
pub fn root() -> Result<PathBuf> {
    if let Some(folder) = env::var_os("VAE_DATA").filter(|folder| !folder.is_empty()) {
        return Ok(folder.into());
    }
    let user = etcetera::base_strategy::choose_native_strategy();
    let user = user.map_err(|_| Error::new("VAE_DATA", "set it to a folder for data sets: there is no home folder"))?;
    Ok(user.cache_dir().join("vae"))
}

/// The folder of one data set. It need not exist.
///
/// # Errors
///
/// As [`root`].
pub fn folder(set: &Entry) -> Result<PathBuf> {
    Ok(root()?.join(set.name))
}

/// The folder of the data set called `name`, if all its files are there with the right size.
///
/// The contents are not read: a file gets its name only when its checksum was right, and [`check`] tells for certain.
pub fn find(name: &str) -> Option<PathBuf> {
    let set = catalog::entry(name)?;
    let folder = folder(set).ok()?;
    set.files.iter().all(|file| has(&folder, file)).then_some(folder)
}

/// Whether `folder` holds a file of this name and size.
pub fn has(folder: &Path, file: &RemoteFile) -> bool {
    folder.join(file.name).metadata().is_ok_and(|there| there.is_file() && there.len() == file.bytes)
}

/// Whether the file at `path` is `file`, by its size and its SHA-256.
///
/// # Errors
///
/// If it is not, with what was expected and what was found; or if it cannot be read.
pub fn check(path: &Path, file: &RemoteFile) -> Result<()> {
    let cannot_read = |e: io::Error| Error::new(path, format!("cannot read: {e}"));
    let open = File::open(path).map_err(cannot_read)?;
    let bytes = open.metadata().map_err(cannot_read)?.len();
    if bytes != file.bytes {
        return Err(Error::new(path, format!("expected {} bytes, found {bytes}", file.bytes)));
    }
    let found = sha256(open).map_err(cannot_read)?;
    if found != file.sha256 {
        return Err(Error::new(path, format!("expected SHA-256 {}, found {found}", file.sha256)));
    }
    Ok(())
}

/// The SHA-256 of all that is read from `file`, in hexadecimal digits.
fn sha256(file: File) -> io::Result<String> {
    let mut file = BufReader::with_capacity(1 << 16, file);
    let mut hash = Sha256::new();
    loop {
        let bytes = match file.fill_buf() {
            Ok([]) => return Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()),
            Ok(bytes) => bytes,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            Err(e) => return Err(e),
        };
        hash.update(bytes);
        let n = bytes.len();
        file.consume(n);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    /// The example of FIPS 180-2.
    const ABC: RemoteFile = RemoteFile {
        name: "abc",
        bytes: 3,
        sha256: "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
    };

    #[test]
    fn a_file_is_known_by_its_size_and_its_checksum() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(ABC.name);
        let problem = || check(&path, &ABC).unwrap_err().to_string().replace(&path.display().to_string(), "abc");
        assert!(problem().starts_with("abc: cannot read: "), "{}", problem());
        assert!(!has(dir.path(), &ABC));
        fs::write(&path, "abcd").unwrap();
        assert_eq!(problem(), "abc: expected 3 bytes, found 4");
        assert!(!has(dir.path(), &ABC));
        fs::write(&path, "abd").unwrap();
        let expected = format!("abc: expected SHA-256 {}, found a52d159f", ABC.sha256);
        assert!(problem().starts_with(&expected), "{}", problem());
        fs::write(&path, "abc").unwrap();
        check(&path, &ABC).unwrap();
        assert!(has(dir.path(), &ABC));
    }

    #[test]
    fn a_folder_is_no_file() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join(ABC.name)).unwrap();
        assert!(!has(dir.path(), &ABC));
        check(&dir.path().join(ABC.name), &ABC).unwrap_err();
    }

    #[test]
    fn what_is_not_in_the_catalogue_is_not_found() {
        assert_eq!(find("no-such-set"), None);
    }
}
