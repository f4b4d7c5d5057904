//! One GET through the system's `curl` program: the head of the answer, and then its body.
//!
//! `curl` writes the heads of all answers (those that redirect, then the last) and the body of the last to its standard
//! output, a pipe that is read here. To its standard error it writes one line on what went wrong.

use std::env;
use std::io::{self, BufRead, BufReader, Read};
use std::process::{Child, ChildStderr, ChildStdout, Command, Stdio};
use std::thread::{self, JoinHandle};

/// What to put up with, and how to get there.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Seconds to find the address and to connect, at least 1.
    pub connect: u32,
    /// Seconds without a byte of the answer, at least 1. `curl` averages over five seconds, so it may notice a stall
    /// that much later.
    pub stall: u32,
    /// Redirections to follow.
    pub redirects: u32,
    /// Whether to go through the proxy that the environment names (`HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY`, `NO_PROXY`).
    pub proxy: bool,
}

/// Why there is no answer.
pub(crate) enum Failed {
    /// `curl` cannot be run.
    Start(String),
    /// The same request may succeed a moment later: a connection broke that had been made.
    Transient(String),
    /// It would not.
    Lasting(String),
}

/// An answer whose body is still to be read. When it is dropped, `curl` ends.
pub(crate) struct Answer {
    head: Head,
    curl: Curl,
}

impl Answer {
    pub(crate) fn status(&self) -> u16 {
        self.head.status
    }

    /// What stands after `name:` in the head.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.header(name)
    }

    /// Puts the next bytes of the body into `buffer`: how many, and 0 where the body ends, early or not.
    ///
    /// # Errors
    ///
    /// What went wrong, if something else ended it than the server.
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> Result<usize, String> {
        match self.curl.output.read(buffer) {
            Ok(0) => match self.curl.end() {
                (Some(WHOLE | CUT), _) => Ok(0),
                (_, problem) => Err(problem),
            },
            Ok(n) => Ok(n),
            Err(e) => Err(e.to_string()),
        }
    }
}

/// The answer to a request for what is at `address`, from byte `first` on if that is not 0. Any status is an answer, but
/// one that redirects.
pub(crate) fn get(address: &str, first: u64, limits: &Limits) -> Result<Answer, Failed> {
    let mut curl = Curl::start(command(address, first, limits))?;
    match curl.head()? {
        Some(head) => Ok(Answer { head, curl }),
        None => Err(curl.no_answer(limits)),
    }
}

fn command(address: &str, first: u64, limits: &Limits) -> Command {
    let mut command = Command::new("curl");
    // First: no configuration of the user's.
    command.arg("--disable");
    command.args(["--silent", "--show-error", "--include", "--suppress-connect-headers", "--no-buffer"]);
    command.args(["--proto", "=http,https", "--http1.1", "--location", "--globoff"]);
    // Compressed on its way, it would be other bytes.
    command.args(["--header", "Accept-Encoding: identity"]);
    command.args(["--user-agent", concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION"))]);
    command.args(["--max-redirs", &limits.redirects.to_string()]);
    command.args(["--connect-timeout", &limits.connect.to_string()]);
    command.args(["--speed-limit", "1", "--speed-time", &limits.stall.to_string()]);
    if first > 0 {
        command.args(["--range", &format!("{first}-")]);
    }
    if !limits.proxy {
        command.args(["--noproxy", "*"]);
    } else if env::var_os("http_proxy").is_none()
        && let Some(proxy) = env::var_os("HTTP_PROXY")
    {
        // `curl` takes the name in small letters only: in a web server's child the other one is a header of the request.
        command.env("http_proxy", proxy);
    }
    command.args(["--url", address]);
    command
}

/// Exit codes: all is well, and a body shorter than was promised.
const WHOLE: i32 = 0;
const CUT: i32 = 18;

/// The most bytes that heads may have; newer versions of `curl` take a third of it.
const MOST_OF_HEADS: u64 = 1 << 20;

/// A running `curl`, ended and reaped when dropped.
struct Curl {
    child: Child,
    output: BufReader<ChildStdout>,
    /// What it says to standard error, read by a thread of its own, so that neither pipe holds up the other.
    said: Option<JoinHandle<String>>,
}

impl Curl {
    fn start(mut command: Command) -> Result<Self, Failed> {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|e| {
            Failed::Start(match e.kind() {
                io::ErrorKind::NotFound => "there is no program `curl`, which downloads need".into(),
                _ => format!("cannot run the program `curl`: {e}"),
            })
        })?;
        let output = BufReader::new(child.stdout.take().expect("standard output is a pipe"));
        let errors = child.stderr.take().expect("standard error is a pipe");
        // Without a thread the exit code has to do.
        let said = thread::Builder::new().spawn(move || beginning(errors)).ok();
        Ok(Curl { child, output, said })
    }

    /// The head of the last answer; `None` if there is none.
    fn head(&mut self) -> Result<Option<Head>, Failed> {
        let mut output = (&mut self.output).take(MOST_OF_HEADS);
        loop {
            let mut head = Vec::new();
            loop {
                let n = output.read_until(b'\n', &mut head).map_err(|e| Failed::Transient(e.to_string()))?;
                match &head[head.len() - n..] {
                    [] if output.limit() == 0 => {
                        return Err(Failed::Lasting(format!("headers of more than {MOST_OF_HEADS} bytes")));
                    }
                    [] => return Ok(None),
                    b"\n" | b"\r\n" => break,
                    _ => {}
                }
            }
            let Some(head) = Head::parse(&head) else { return Err(Failed::Lasting("no answer in HTTP".into())) };
            if !head.is_followed_by_another() {
                return Ok(Some(head));
            }
        }
    }

    /// Why all output has ended without an answer.
    fn no_answer(&mut self, limits: &Limits) -> Failed {
        let (code, problem) = self.end();
        let transient = match code {
            Some(WHOLE | CUT) => return Failed::Transient("broke off".into()),
            // For this the line may be another's.
            Some(47) => return Failed::Lasting(format!("redirected more than {} times", limits.redirects)),
            // One code for a connection that is not made in time, and for one on which nothing comes.
            Some(28) => problem.starts_with("Operation too slow"),
            // One code for a connection that breaks, and for a proxy that makes none.
            Some(56) => !problem.contains("CONNECT"),
            // An empty answer; a request that cannot be sent.
            Some(52 | 55) => true,
            _ => false,
        };
        if transient { Failed::Transient(problem) } else { Failed::Lasting(problem) }
    }

    /// Waits for its end, after that of all its output: the exit code, and what it said.
    fn end(&mut self) -> (Option<i32>, String) {
        let status = match self.child.wait() {
            Ok(status) => status,
            Err(e) => return (None, format!("cannot wait for the program `curl`: {e}")),
        };
        let said = self.said.take().and_then(|thread| thread.join().ok()).unwrap_or_default();
        let line = said.lines().find_map(|line| line.strip_prefix("curl: "));
        // `(6) Could not resolve host: example.org`
        let line =
            line.map(|line| line.strip_prefix('(').and_then(|line| line.split_once(") ")).map_or(line, |(_, l)| l));
        (status.code(), line.map_or_else(|| format!("the program `curl` ended with {status}"), str::to_string))
    }
}

impl Drop for Curl {
    fn drop(&mut self) {
        // Neither fails for a child that has not been waited for, and another needs neither.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Reads to the end and keeps the beginning.
fn beginning(mut errors: ChildStderr) -> String {
    let mut said = Vec::new();
    let _ = (&mut errors).take(1 << 12).read_to_end(&mut said);
    let _ = io::copy(&mut errors, &mut io::sink());
    String::from_utf8_lossy(&said).into_owned()
}

/// A status line and headers, as they came.
struct Head {
    status: u16,
    lines: String,
}

impl Head {
    /// `HTTP/1.1 200 OK`, and so on; `None` if it is none.
    fn parse(head: &[u8]) -> Option<Self> {
        let lines = String::from_utf8_lossy(head).into_owned();
        let status = lines.strip_prefix("HTTP/")?.split_whitespace().nth(1)?.parse().ok()?;
        Some(Head { status, lines })
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.lines.lines().skip(1).find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    /// Whether `curl` goes on to another answer: after one that is preliminary, and one that redirects.
    fn is_followed_by_another(&self) -> bool {
        match self.status {
            100..200 => true,
            300..400 => self.header("location").is_some_and(|address| !address.is_empty()),
            _ => false,
        }
    }
}
