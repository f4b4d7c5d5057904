//! One file from the network to the disk: resumed where it broke off, and there whole and verified, or not at all.
//!
//! The bytes go to `.NAME.part` in the folder where the file is to be. That stays when a download breaks off or the
//! program is stopped, and the next attempt asks for the rest only. When it is complete and its checksum is right, it is
//! renamed: whoever finds a file under its own name finds the right one.

use crate::catalog::RemoteFile;
use crate::curl::{self, Answer, Failed};
use crate::{Error, cache, flush_folder};
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::Path;
use std::thread;
use std::time::Duration;

pub use crate::curl::Limits;

/// How long to wait for a server, and how often to try.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// For a single attempt.
    pub limits: Limits,
    /// How often to try an address whose answer breaks off.
    pub attempts: u32,
    /// Between the first attempt and the second; twice as long before the third, and so on.
    pub pause: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            limits: Limits { connect: 10, stall: 30, redirects: 5, proxy: true },
            attempts: 5,
            pause: Duration::from_secs(1),
        }
    }
}

/// What happens during a download.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress<'a> {
    /// Another process downloads into the same folder, and is waited for.
    Waiting,
    /// So many of all bytes are there, those of an earlier attempt included.
    Bytes {
        /// How many are there.
        done: u64,
        /// How many there will be.
        total: u64,
    },
    /// An attempt failed, and there will be another.
    Retrying {
        /// Where.
        address: &'a str,
        /// What went wrong.
        problem: &'a str,
    },
    /// The folder knows no locks: nothing keeps another process from downloading into it at the same time.
    Unlocked {
        /// What the system says.
        problem: &'a str,
    },
}

/// Why a file was not fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// No address had it: what was wrong with each, as `address: problem`, or why none could be asked.
    Network(Vec<String>),
    /// It could not be kept.
    Disk(Error),
}

/// Fetches `file` from the first of `addresses` that has it into `folder`, which is made if need be: whether that was
/// necessary. If the right file is there, the network is left alone; a wrong one of the same name is replaced.
///
/// Of several processes that fetch into one folder, all but one wait, if its file system has locks.
///
/// # Errors
///
/// If no address gave the right file, or it could not be written. What came of it, if its checksum was not found wrong,
/// is kept for the next attempt.
pub fn fetch(
    file: &RemoteFile,
    addresses: &[String],
    folder: &Path,
    patience: &Patience,
    progress: &mut dyn FnMut(Progress),
) -> Result<bool, Failure> {
    let path = folder.join(file.name);
    let there = || cache::check(&path, file).is_ok();
    if there() {
        return Ok(false);
    }
    fs::create_dir_all(folder).map_err(|e| disk(folder, "cannot make this folder", &e))?;
    let _lock = lock(folder, progress)?;
    // Whoever held the lock may have fetched it.
    if there() {
        return Ok(false);
    }
    let part = folder.join(format!(".{}.part", file.name));
    let mut download = Download { file, part: &part, patience, progress };
    let mut problems = Vec::new();
    for address in addresses {
        match download.from(address) {
            Ok(()) => return settle(&part, &path, folder).map(|()| true),
            Err(Broken::Transient(problem) | Broken::Lasting(problem)) => {
                problems.push(format!("{address}: {problem}"))
            }
            Err(Broken::Start(problem)) => return Err(Failure::Network(vec![problem])),
            Err(Broken::Disk(error)) => return Err(Failure::Disk(error)),
        }
    }
    Err(Failure::Network(problems))
}

/// A file on its way into `part`.
struct Download<'a> {
    file: &'a RemoteFile,
    part: &'a Path,
    patience: &'a Patience,
    progress: &'a mut dyn FnMut(Progress),
}

/// Why an attempt failed.
enum Broken {
    /// Another one may do better.
    Transient(String),
    /// Another one would not.
    Lasting(String),
    /// Nothing can be asked for, here or elsewhere.
    Start(String),
    /// There is nowhere to put it.
    Disk(Error),
}

impl From<Failed> for Broken {
    fn from(failed: Failed) -> Self {
        match failed {
            Failed::Start(problem) => Broken::Start(problem),
            Failed::Transient(problem) => Broken::Transient(problem),
            Failed::Lasting(problem) => Broken::Lasting(problem),
        }
    }
}

impl Download<'_> {
    /// Fills `part` with the right bytes from this address, in as many attempts as it may take.
    fn from(&mut self, address: &str) -> Result<(), Broken> {
        let mut pause = self.patience.pause;
        for _ in 1..self.patience.attempts {
            match self.attempt(address) {
                Err(Broken::Transient(problem)) => (self.progress)(Progress::Retrying { address, problem: &problem }),
                end => return end,
            }
            thread::sleep(pause);
            pause *= 2;
        }
        self.attempt(address)
    }

    /// Asks for what `part` lacks, appends it, and checks the whole.
    fn attempt(&mut self, address: &str) -> Result<(), Broken> {
        let (part, total) = (self.part, self.file.bytes);
        let cannot_write = |e: io::Error| cannot_write(part, &e);
        let from_before = part.metadata().map_or(0, |there| there.len());
        let mut done = if from_before > total { 0 } else { from_before };
        let open = || OpenOptions::new().create(true).truncate(false).write(true).open(part).map_err(cannot_write);
        if done < total {
            let mut answer = self.ask(address, done)?;
            if answer.status() != 206 {
                // The whole file comes, whatever was asked for.
                done = 0;
            }
            let mut out = open()?;
            out.set_len(done).map_err(cannot_write)?;
            out.seek(SeekFrom::Start(done)).map_err(cannot_write)?;
            let mut buffer = vec![0; 1 << 16];
            loop {
                (self.progress)(Progress::Bytes { done, total });
                let broke_off =
                    |problem| Broken::Transient(format!("broke off after {done} of {total} bytes: {problem}"));
                let n = answer.read(&mut buffer).map_err(broke_off)?;
                if n == 0 {
                    break;
                }
                if done + n as u64 > total {
                    fs::remove_file(part).map_err(cannot_write)?;
                    return Err(Broken::Lasting(format!("expected {total} bytes, found more")));
                }
                out.write_all(&buffer[..n]).map_err(cannot_write)?;
                done += n as u64;
            }
            if done < total {
                return Err(Broken::Transient(format!("broke off after {done} of {total} bytes")));
            }
        }
        open()?.sync_all().map_err(cannot_write)?;
        cache::check(part, self.file).map_err(|wrong| {
            if let Err(e) = fs::remove_file(part) {
                return cannot_write(e);
            }
            // Where bytes of another attempt were in it, they may be to blame.
            let broken = if from_before > 0 { Broken::Transient } else { Broken::Lasting };
            broken(wrong.problem().into())
        })
    }

    /// The answer to a request for the file from byte `first` on: the whole file (200), or what was asked for (206).
    fn ask(&self, address: &str, first: u64) -> Result<Answer, Broken> {
        let answer = curl::get(address, first, &self.patience.limits)?;
        let status = answer.status();
        let expected = match status {
            200 => self.file.bytes,
            206 if first > 0 && begins_at(&answer, first) => self.file.bytes - first,
            206 | 416 if first > 0 => {
                // What is there cannot be continued here; the next attempt begins anew.
                fs::remove_file(self.part).map_err(|e| cannot_write(self.part, &e))?;
                return Err(Broken::Transient(format!("HTTP status {status}, and not the bytes from {first} on")));
            }
            // What these say of a moment, others say for good.
            408 | 429 | 500.. => return Err(Broken::Transient(format!("HTTP status {status}"))),
            _ => return Err(Broken::Lasting(format!("HTTP status {status}"))),
        };
        match answer.header("content-length").and_then(|length| length.parse::<u64>().ok()) {
            // Not the file, but a page that says why not, say. What is there already is not given up for it.
            Some(found) if found != expected => {
                Err(Broken::Lasting(format!("expected {expected} bytes, found {found} (HTTP status {status})")))
            }
            _ => Ok(answer),
        }
    }
}

fn cannot_write(part: &Path, error: &io::Error) -> Broken {
    Broken::Disk(Error::new(part, format!("cannot write: {error}")))
}

/// Whether the header `Content-Range: bytes FIRST-LAST/ALL` says that the part begins at byte `first`.
fn begins_at(answer: &Answer, first: u64) -> bool {
    let bytes = answer.header("content-range").and_then(|range| range.strip_prefix("bytes "));
    bytes.and_then(|bytes| bytes.split('-').next()?.parse().ok()) == Some(first)
}

/// Waits until no other process downloads into this folder, and keeps others out as long as the file is open.
///
/// The lock is a file of its own, never removed: a lock on the `.part` would be one on another file after its renaming.
fn lock(folder: &Path, progress: &mut dyn FnMut(Progress)) -> Result<File, Failure> {
    let path = folder.join(".lock");
    let cannot_lock = |e: io::Error| disk(&path, "cannot lock", &e);
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(&path).map_err(cannot_lock)?;
    let locked = match file.try_lock() {
        Ok(()) => Ok(()),
        Err(TryLockError::WouldBlock) => {
            progress(Progress::Waiting);
            file.lock()
        }
        Err(TryLockError::Error(e)) => Err(e),
    };
    // Some network file systems have no locks. Bytes of two processes in one file would not pass for the right ones.
    if let Err(e) = locked {
        progress(Progress::Unlocked { problem: &e.to_string() });
    }
    Ok(file)
}

/// Gives the complete file its name, for good.
fn settle(part: &Path, path: &Path, folder: &Path) -> Result<(), Failure> {
    fs::rename(part, path).map_err(|e| disk(path, "cannot rename the finished download to this", &e))?;
    flush_folder(folder).map_err(|e| disk(folder, "cannot write", &e))
}

fn disk(path: &Path, problem: &str, error: &io::Error) -> Failure {
    Failure::Disk(Error::new(path, format!("{problem}: {error}")))
}
