//! One file from the network to the disk: resumed where it broke off, and there whole and verified, or not at all.
//!
//! The bytes go to `.NAME.part` in the folder where the file is to be. That stays when a download breaks off or the
//! program is stopped, and the next attempt asks for the rest only. When it is complete and its checksum is right, it is
//! renamed: whoever finds a file under its own name finds the right one.

use crate::catalog::RemoteFile;
use crate::{Error, cache, flush_folder};
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::thread;
use std::time::Duration;
use ureq::http::{Response, header};
use ureq::{Agent, Body, Timeout};

/// How long to wait for a server, and how often to try.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// To connect, once the address is found.
    pub connect: Duration,
    /// For the next bytes of an answer.
    pub stall: Duration,
    /// How often to try an address whose answer breaks off.
    pub attempts: u32,
    /// Between the first attempt and the second; twice as long before the third, and so on.
    pub pause: Duration,
    /// Redirections to follow.
    pub redirects: u32,
    /// Whether to go through the proxy that the environment names (`ALL_PROXY`, `HTTPS_PROXY`, `HTTP_PROXY`, `NO_PROXY`).
    pub proxy: bool,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            stall: Duration::from_secs(30),
            attempts: 5,
            pause: Duration::from_secs(1),
            redirects: 5,
            proxy: true,
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
    /// No address had it: what was wrong with each, as `address: problem`.
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
    let mut download = Download { file, part: &part, agent: agent(patience), patience, progress };
    let mut problems = Vec::new();
    for address in addresses {
        match download.from(address) {
            Ok(()) => return settle(&part, &path, folder).map(|()| true),
            Err(Broken::Transient(problem) | Broken::Lasting(problem)) => {
                problems.push(format!("{address}: {problem}"))
            }
            Err(Broken::Disk(error)) => return Err(Failure::Disk(error)),
        }
    }
    Err(Failure::Network(problems))
}

/// A file on its way into `part`.
struct Download<'a> {
    file: &'a RemoteFile,
    part: &'a Path,
    agent: Agent,
    patience: &'a Patience,
    progress: &'a mut dyn FnMut(Progress),
}

/// Why an attempt failed.
enum Broken {
    /// Another one may do better.
    Transient(String),
    /// Another one would not.
    Lasting(String),
    /// There is nowhere to put it.
    Disk(Error),
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
            let response = self.ask(address, done)?;
            if response.status() != 206 {
                // The whole file comes, whatever was asked for.
                done = 0;
            }
            let mut out = open()?;
            out.set_len(done).map_err(cannot_write)?;
            out.seek(SeekFrom::Start(done)).map_err(cannot_write)?;
            let mut body = response.into_body().into_reader();
            let mut buffer = vec![0; 1 << 16];
            loop {
                (self.progress)(Progress::Bytes { done, total });
                let n = match body.read(&mut buffer) {
                    Ok(0) => break,
                    Ok(n) => n,
                    Err(e) => {
                        let problem = describe(&e.into(), self.patience);
                        return Err(Broken::Transient(format!("{problem} after {done} of {total} bytes")));
                    }
                };
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
    fn ask(&self, address: &str, first: u64) -> Result<Response<Body>, Broken> {
        let mut request = self.agent.get(address);
        if first > 0 {
            request = request.header(header::RANGE, format!("bytes={first}-"));
        }
        let response = request.call().map_err(|e| {
            let problem = describe(&e, self.patience);
            if is_transient(&e) { Broken::Transient(problem) } else { Broken::Lasting(problem) }
        })?;
        let status = response.status().as_u16();
        let expected = match status {
            200 => self.file.bytes,
            206 if first > 0 && begins_at(&response, first) => self.file.bytes - first,
            206 | 416 if first > 0 => {
                // What is there cannot be continued here; the next attempt begins anew.
                fs::remove_file(self.part).map_err(|e| cannot_write(self.part, &e))?;
                return Err(Broken::Transient(format!("HTTP status {status}, and not the bytes from {first} on")));
            }
            // What these say of a moment, others say for good.
            408 | 429 | 500.. => return Err(Broken::Transient(format!("HTTP status {status}"))),
            _ => return Err(Broken::Lasting(format!("HTTP status {status}"))),
        };
        match response.body().content_length() {
            // Not the file, but a page that says why not, say. What is there already is not given up for it.
            Some(found) if found != expected => {
                Err(Broken::Lasting(format!("expected {expected} bytes, found {found} (HTTP status {status})")))
            }
            _ => Ok(response),
        }
    }
}

fn cannot_write(part: &Path, error: &io::Error) -> Broken {
    Broken::Disk(Error::new(part, format!("cannot write: {error}")))
}

/// Whether the header `Content-Range: bytes FIRST-LAST/ALL` says that the part begins at byte `first`.
fn begins_at(response: &Response<Body>, first: u64) -> bool {
    let range = response.headers().get(header::CONTENT_RANGE).and_then(|range| range.to_str().ok());
    let bytes = range.and_then(|range| range.strip_prefix("bytes "));
    bytes.and_then(|bytes| bytes.split('-').next()?.parse().ok()) == Some(first)
}

fn agent(patience: &Patience) -> Agent {
    let mut config = Agent::config_builder()
        // None for finding the address: it would take a thread, and where none can be had, a panic. The system has its own.
        .timeout_connect(Some(patience.connect))
        .timeout_per_read(Some(patience.stall))
        .timeout_per_write(Some(patience.stall))
        .max_redirects(patience.redirects)
        .http_status_as_error(false)
        // A server that compressed what it sends would send other bytes than those of the checksum.
        .accept_encoding("identity")
        .user_agent(concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION")));
    if !patience.proxy {
        config = config.proxy(None);
    }
    config.build().into()
}

/// Whether the same request may succeed a moment later: a connection that broke, not one that never was.
fn is_transient(error: &ureq::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, UnexpectedEof};
    match error {
        ureq::Error::Io(e) => matches!(e.kind(), ConnectionAborted | ConnectionReset | UnexpectedEof),
        ureq::Error::Timeout(limit) => matches!(limit, Timeout::PerRead | Timeout::PerWrite),
        _ => false,
    }
}

/// What went wrong, for people.
fn describe(error: &ureq::Error, patience: &Patience) -> String {
    match error {
        ureq::Error::Timeout(Timeout::PerRead | Timeout::PerWrite) => format!("nothing came for {:?}", patience.stall),
        ureq::Error::Timeout(_) => format!("no connection within {:?}", patience.connect),
        ureq::Error::TooManyRedirects => format!("redirected more than {} times", patience.redirects),
        ureq::Error::HostNotFound => "the host is not found".into(),
        ureq::Error::Io(e) if e.kind() == io::ErrorKind::UnexpectedEof => "broke off".into(),
        ureq::Error::Io(e) => e.to_string(),
        other => other.to_string(),
    }
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
