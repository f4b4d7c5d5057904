//! Files that are written whole or not at all.

use std::ffi::OsString;
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
    // Always the same name: what a kill leaves behind is overwritten by the next attempt.
    let mut part = OsString::from(".");
    part.push(path.file_name().unwrap_or_default());
    part.push(".part");
    let part = path.with_file_name(part);
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

/// Flushes the folder that a file is in: what was renamed in it stays so after a power cut, where the file system knows how
/// ([`datasets::flush_folder`]).
///
/// # Errors
/// If that fails.
pub fn flush_folder_of(path: &Path) -> Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    datasets::flush_folder(folder).map_err(|e| Error::file(folder, format!("cannot write: {e}")))
}

/// Reads a text of at most so many bytes, in UTF-8 or, as PowerShell's `>` writes it, in UTF-16.
///
/// # Errors
/// If it cannot be read, is longer, or is in neither.
pub fn read_text(path: &Path, most: u64) -> Result<String> {
    let mut bytes = vec![];
    let read = File::open(path).and_then(|file| file.take(most + 1).read_to_end(&mut bytes));
    read.map_err(|e| Error::file(path, format!("cannot read: {e}")))?;
    if bytes.len() as u64 > most {
        return Err(Error::file(path, format!("expected at most {most} bytes, found more")));
    }
    decode(&bytes).map_err(|problem| Error::file(path, problem))
}

/// The text in these bytes. UTF-16 is known by its byte order mark, or by the zero beside its first letter, an ASCII one.
fn decode(bytes: &[u8]) -> std::result::Result<String, String> {
    let utf16 = |bytes: &[u8], unit: fn([u8; 2]) -> u16| {
        let (pairs, rest) = bytes.as_chunks();
        let text = String::from_utf16(&pairs.iter().map(|&pair| unit(pair)).collect::<Vec<_>>());
        text.ok()
            .filter(|_| rest.is_empty())
            .ok_or("expected text in UTF-16, as it begins, found something else".into())
    };
    match bytes {
        [0xff, 0xfe, text @ ..] | text @ [_, 0, ..] => utf16(text, u16::from_le_bytes),
        [0xfe, 0xff, text @ ..] | text @ [0, _, ..] => utf16(text, u16::from_be_bytes),
        [0xef, 0xbb, 0xbf, text @ ..] | text => String::from_utf8(text.to_vec()).map_err(|e| {
            let valid = e.utf8_error().valid_up_to();
            let (line, byte) = (1 + text[..valid].iter().filter(|&&byte| byte == b'\n').count(), text[valid]);
            format!("line {line}: expected text in UTF-8 or UTF-16, found byte 0x{byte:02x}")
        }),
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

    #[test]
    fn a_text_is_read_in_the_encodings_that_editors_and_shells_write() {
        let text = "epochs = 3\r\n# é, 𝄞\n";
        let utf16 = |mark: &str, bytes: fn(u16) -> [u8; 2]| -> Vec<u8> {
            format!("{mark}{text}").encode_utf16().flat_map(bytes).collect()
        };
        for bytes in [
            text.as_bytes().to_vec(),
            format!("\u{feff}{text}").into_bytes(),
            utf16("\u{feff}", u16::to_le_bytes),
            utf16("\u{feff}", u16::to_be_bytes),
            utf16("", u16::to_le_bytes),
            utf16("", u16::to_be_bytes),
        ] {
            assert_eq!(decode(&bytes).as_deref(), Ok(text), "{bytes:02x?}");
        }
        for empty in [&b""[..], b"\xff\xfe", b"\xfe\xff", b"\xef\xbb\xbf"] {
            assert_eq!(decode(empty).as_deref(), Ok(""), "{empty:02x?}");
        }
    }

    #[test]
    fn a_text_in_another_encoding_is_refused_with_the_line_where_that_shows() {
        let latin1 = b"epochs = 3\ndata = 'caf\xe9'\n";
        assert_eq!(decode(latin1).unwrap_err(), "line 2: expected text in UTF-8 or UTF-16, found byte 0xe9");
        for half in [&b"\xff\xfea"[..], b"\xff\xfea\0\x00\xd8", b"a\0b"] {
            assert!(decode(half).unwrap_err().starts_with("expected text in UTF-16"), "{half:02x?}");
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_file_may_have_a_name_that_is_no_text() {
        use std::os::unix::ffi::OsStrExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(std::ffi::OsStr::from_bytes(b"caf\xe9"));
        write_whole(&path, b"new").unwrap();
        assert_eq!(read_text(&path, 3).unwrap(), "new");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
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
