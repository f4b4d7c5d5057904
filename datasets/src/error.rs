//! What went wrong with a file, on one line.

use std::fmt;
use std::path::{Path, PathBuf};

/// The result of reading outside data.
pub type Result<T> = std::result::Result<T, Error>;

/// A file that could not be used, and why: displayed as `path: problem`, always on one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    path: PathBuf,
    problem: String,
}

impl Error {
    /// An error about the file or folder `path`; `problem` is one line without a full stop.
    pub fn new(path: impl Into<PathBuf>, problem: impl Into<String>) -> Self {
        Self { path: path.into(), problem: problem.into() }
    }

    /// The file or folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What is wrong, without the name of the file.
    pub fn problem(&self) -> &str {
        &self.problem
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A file's name may hold line breaks and terminal escapes; a message must not.
        let line = format!("{}: {}", self.path.display(), self.problem);
        f.write_str(&line.replace(char::is_control, "?"))
    }
}

impl std::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_reads_path_colon_problem() {
        assert_eq!(Error::new("data/labels", "no such file").to_string(), "data/labels: no such file");
    }

    #[test]
    fn an_error_stays_on_one_line_whatever_the_file_is_called() {
        assert_eq!(Error::new("a\nb\u{1b}[31m", "odd\r\nname").to_string(), "a?b?[31m: odd??name");
    }
}
