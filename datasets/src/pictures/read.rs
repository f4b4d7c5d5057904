//! Files read in parallel, and those that cannot be.

use super::formats::{Format, Header};
use super::guard::guarded;
use super::list::{Picture, name};
use super::raster::Raster;
use crate::source::{most_unfolded, up_to};
use crate::{Error, Result};
use rayon::ThreadPoolBuilder;
use rayon::prelude::*;
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::Path;

/// Rows and columns that a picture, and what it is resized to, may have.
pub(super) const LONGEST_SIDE: usize = 1 << 15;

/// A longer file is not read: 256 MiB.
const LONGEST_FILE: u64 = 1 << 28;

/// What decoders may take at once, about: 512 MiB. A single one may take as much, however short its file is: a blank page that
/// was scanned is a few kilobytes. One that takes more has the memory for itself.
const MOST_DECODED: u64 = 512 << 20;

/// At most this many pictures are read at a time.
const AT_A_TIME: usize = 128;

/// At most this many files that cannot be read are skipped, or one in a hundred if that is more.
const MOST_SKIPPED: usize = 10;

/// Reads files, and keeps the errors of those that it skips.
pub(super) struct Reader<'a> {
    dir: &'a Path,
    total: usize,
    skipped: Vec<Error>,
}

impl<'a> Reader<'a> {
    /// One for this many files below `dir`.
    pub(super) fn new(dir: &'a Path, total: usize) -> Reader<'a> {
        belong_to_a_pool();
        Reader { dir, total, skipped: Vec::new() }
    }

    /// The files that could not be read.
    pub(super) fn skipped(self) -> Vec<Error> {
        self.skipped
    }

    /// Reads all files in parallel, and gives those that can be read to `take`, in order. What is known of a file says what
    /// reading it `takes`, in bytes.
    ///
    /// # Errors
    ///
    /// If more cannot be read than are skipped.
    pub(super) fn read<K: Sync, T: Send>(
        &mut self,
        files: Vec<(Picture, K)>,
        takes: impl Fn(&K) -> u64,
        read: impl Fn(&Path, &K) -> std::result::Result<T, String> + Sync,
        mut take: impl FnMut(Picture, K, T),
    ) -> Result<()> {
        let mut waiting = files.into_iter().peekable();
        while waiting.peek().is_some() {
            let (mut together, mut bytes) = (Vec::new(), 0);
            while let Some(file) = waiting.next_if(|(_, known)| {
                bytes += takes(known);
                together.is_empty() || (bytes <= MOST_DECODED && together.len() < AT_A_TIME)
            }) {
                together.push(file);
            }
            let read = |(picture, known): &(Picture, K)| read(&picture.path, known);
            #[expect(clippy::disallowed_methods, reason = "the pool is there")]
            let results: Vec<_> = together.par_iter().map(read).collect();
            for ((picture, known), result) in together.into_iter().zip(results) {
                match result {
                    Ok(content) => take(picture, known, content),
                    Err(problem) => self.skipped.push(Error::new(picture.path, problem)),
                }
            }
            self.check(waiting.peek().is_some())?;
        }
        Ok(())
    }

    /// Whether too many files have been skipped; `more` are still to be read.
    fn check(&self, more: bool) -> Result<()> {
        let (skipped, total) = (self.skipped.len(), self.total);
        if skipped <= MOST_SKIPPED.max(total / 100) && skipped < total {
            return Ok(());
        }
        if let [only] = &self.skipped[..] {
            return Err(only.clone());
        }
        let at_least = if more { "at least " } else { "" };
        let first: Vec<_> = self.skipped.iter().take(3).map(|error| self.inside(error)).collect();
        let problem = format!("{at_least}{skipped} of {total} pictures cannot be read: {}", first.join("; "));
        Err(Error::new(self.dir, problem + if skipped > 3 { "; …" } else { "" }))
    }

    /// An error about a file inside the folder, without the path of the folder.
    fn inside(&self, error: &Error) -> String {
        format!("{}: {}", String::from_utf8_lossy(&name(self.dir, error.path())), error.problem())
    }
}

/// Makes this thread a pool of its own, if it is in none: otherwise rayon would start threads that nobody has asked for, here and
/// in JPEG's decoder, and panic where none can be had.
fn belong_to_a_pool() {
    if rayon::current_thread_index().is_none() {
        // It fails where the thread is in a pool; the thread stays in this one as long as it runs.
        std::mem::forget(ThreadPoolBuilder::new().num_threads(1).use_current_thread().build());
    }
}

/// A picture's kind and header, which are in bounds.
pub(super) fn measure(path: &Path) -> std::result::Result<(Format, Header), String> {
    let (file, length) = open(path)?;
    let mut source = BufReader::new(file);
    let start = source.fill_buf().map_err(|error| format!("cannot read: {error}"))?;
    let format = Format::of(start, path)?;
    let header = guarded(|| format.header(source))?;
    let Header { height, width, .. } = header;
    let most = most_unfolded(length).max(MOST_DECODED);
    match header.bytes() {
        _ if height > LONGEST_SIDE || width > LONGEST_SIDE => {
            Err(format!("expected at most {LONGEST_SIDE} rows and columns, found a picture of {height} × {width}"))
        }
        0 => Err(format!("a picture of {height} × {width} has no pixels")),
        bytes if bytes > most => {
            Err(format!("a picture of {height} × {width} in {length} bytes; so few are taken for damaged"))
        }
        _ => Ok((format, header)),
    }
}

/// The picture at `path`, upright, of whose numbers of 16 bits `white` is white.
pub(super) fn decode(path: &Path, format: Format, header: &Header, white: u16) -> std::result::Result<Raster, String> {
    let bytes = content(path)?;
    Ok(guarded(|| format.decode(&bytes, white))?.upright(header.orientation))
}

/// The greatest number in a picture of 16 bits.
pub(super) fn brightest(path: &Path, format: Format) -> std::result::Result<u16, String> {
    let bytes = content(path)?;
    guarded(|| format.brightest(&bytes))
}

fn content(path: &Path) -> std::result::Result<Vec<u8>, String> {
    let (mut file, length) = open(path)?;
    up_to(length as usize, &mut file)
}

/// Opens a file and says how long it is, if it is one that can be read.
fn open(path: &Path) -> std::result::Result<(File, u64), String> {
    // Of the path and not of the open file: to open a pipe would wait for somebody to write to it.
    let metadata = fs::metadata(path).map_err(|error| format!("cannot open: {error}"))?;
    match metadata.len() {
        _ if !metadata.is_file() => Err("expected a file".into()),
        length if length > LONGEST_FILE => {
            Err(format!("expected a file of at most 256 MiB, found one of {length} bytes"))
        }
        length => Ok((File::open(path).map_err(|error| format!("cannot open: {error}"))?, length)),
    }
}
