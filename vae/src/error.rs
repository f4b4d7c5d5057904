//! What can go wrong outside the program: one line each, naming what was expected and what was found.

use std::fmt;
use std::path::{Path, PathBuf};

/// Why something could not be done.
#[derive(Clone, Debug, PartialEq)]
pub enum Error {
    /// An argument or a setting is not what it must be.
    Usage(String),
    /// The data set cannot be read.
    Data(datasets::Error),
    /// A file or folder cannot be read or written, or does not hold what it should.
    File {
        /// Which.
        path: PathBuf,
        /// What was expected and what was found.
        problem: String,
    },
    /// A number became NaN or infinite in training.
    Diverged {
        /// Counted from 1.
        epoch: u64,
        /// Counted from 1 over the whole run.
        step: u64,
        /// What was not finite, and what produced it first.
        what: String,
    },
    /// The program was told to stop, and did so in good order.
    Interrupted {
        /// The number of the signal.
        signal: u8,
        /// Where it stopped, and how to go on.
        message: String,
    },
}

/// No problem of a file is described in more letters.
const LONGEST: usize = 2000;

/// What fails with an [`Error`].
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// Something is wrong with a file or folder.
    pub fn file(path: &Path, problem: impl fmt::Display) -> Error {
        // One line, whatever a library had to say and however long the names in the file are.
        let mut problem = problem.to_string().split_whitespace().collect::<Vec<_>>().join(" ");
        if let Some((end, _)) = problem.char_indices().nth(LONGEST) {
            problem.truncate(end);
            problem.push_str(" …");
        }
        Error::File { path: path.into(), problem }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Usage(problem) => f.write_str(problem),
            Error::Data(error) => error.fmt(f),
            Error::File { path, problem } => {
                // A file's name may hold line breaks and terminal escapes; a message must not.
                let line = format!("{}: {problem}", path.display());
                f.write_str(&line.replace(char::is_control, "?"))
            }
            Error::Interrupted { message, .. } => f.write_str(message),
            Error::Diverged { epoch, step, what } => {
                write!(f, "training diverged in step {step} (epoch {epoch}): {what}")
            }
        }
    }
}

impl std::error::Error for Error {}

impl From<datasets::Error> for Error {
    fn from(error: datasets::Error) -> Error {
        Error::Data(error)
    }
}
