//! Any path as text: as it is, or, where it is no UTF-8, as a URI.
//!
//! TOML holds text only, and on Unix a path is any bytes. One that is no text is written as RFC 8089 has it:
//! `/data/caf\xe9` as `file:///data/caf%E9`.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

const SCHEME: &str = "file://";

fn to_text(path: &Path) -> String {
    match path.to_str().filter(|text| !text.starts_with(SCHEME)) {
        Some(text) => text.into(),
        None => path.as_os_str().as_encoded_bytes().iter().fold(SCHEME.into(), |mut text, &byte| {
            match byte {
                b'/' | b'.' | b'-' | b'_' | b'~' => text.push(byte.into()),
                _ if byte.is_ascii_alphanumeric() => text.push(byte.into()),
                _ => write!(text, "%{byte:02X}").expect("a string takes every write"),
            }
            text
        }),
    }
}

fn from_text(text: &str) -> Result<PathBuf, String> {
    let Some(encoded) = text.strip_prefix(SCHEME) else { return Ok(text.into()) };
    let mut pieces = encoded.split('%');
    let mut bytes = pieces.next().unwrap_or_default().as_bytes().to_vec();
    for piece in pieces {
        let digits = piece.get(..2).filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()));
        let byte = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        bytes.push(byte.ok_or_else(|| format!("expected two hexadecimal digits after each % of `{text}`"))?);
        bytes.extend_from_slice(&piece.as_bytes()[2..]);
    }
    #[cfg(unix)]
    return Ok(<std::ffi::OsString as std::os::unix::ffi::OsStringExt>::from_vec(bytes).into());
    #[cfg(not(unix))]
    String::from_utf8(bytes).map(PathBuf::from).map_err(|_| format!("expected a path of this system, found `{text}`"))
}

/// Writes a path, if there is one.
pub(crate) fn serialize<S: Serializer>(path: &Option<PathBuf>, serializer: S) -> Result<S::Ok, S::Error> {
    path.as_deref().map(to_text).serialize(serializer)
}

/// Reads what [`serialize`] wrote.
pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<PathBuf>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?;
    text.map(|text| from_text(&text)).transpose().map_err(serde::de::Error::custom)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_that_is_text_is_itself() {
        for text in ["", "mnist", "/a b/ü%20/\n", "C:\\data"] {
            assert_eq!((to_text(Path::new(text)).as_str(), from_text(text)), (text, Ok(text.into())));
        }
    }

    #[test]
    fn what_would_be_taken_for_a_uri_is_written_as_one() {
        let path = Path::new("file://a b");
        assert_eq!(to_text(path), "file://file%3A//a%20b");
        assert_eq!(from_text(&to_text(path)), Ok(path.into()));
    }

    #[cfg(unix)]
    #[test]
    fn any_bytes_come_back_from_text() {
        use std::os::unix::ffi::OsStrExt;
        let path = Path::new(std::ffi::OsStr::from_bytes(b"/data/caf\xe9 50%"));
        assert_eq!(to_text(path), "file:///data/caf%E9%2050%25");
        let all: Vec<u8> = (1..=255).rev().collect();
        for path in [path, Path::new(std::ffi::OsStr::from_bytes(&all))] {
            assert_eq!(from_text(&to_text(path)).as_deref(), Ok(path));
        }
    }

    #[test]
    fn a_uri_cut_short_is_refused() {
        for wrong in ["file:///a%", "file:///a%4", "file:///a%+4b", "file:///a%é"] {
            let expected = format!("expected two hexadecimal digits after each % of `{wrong}`");
            assert_eq!(from_text(wrong), Err(expected));
        }
    }
}
