//! Downloads from a server of the test's own that does everything wrong, and what they leave on the disk. They need the
//! program `curl`, as all downloads do.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Mutex};
use std::thread;
use std::time::Duration;

use datasets::catalog::RemoteFile;
use datasets::download::{Failure, Limits, Patience, Progress, fetch};
use sha2::{Digest, Sha256};
use tempfile::{TempDir, tempdir};

/// What the server has, a few buffers long.
static CONTENT: LazyLock<Vec<u8>> = LazyLock::new(|| (0..200_000_u64).map(|i| (i * i % 251) as u8).collect());

static FILE: LazyLock<RemoteFile> = LazyLock::new(|| {
    let sha256: String = Sha256::digest(&*CONTENT).iter().map(|byte| format!("{byte:02x}")).collect();
    RemoteFile { name: "a.gz", bytes: CONTENT.len() as u64, sha256: sha256.leak() }
});

/// Never in a hurry, but quick to try again.
const PATIENCE: Patience = Patience {
    limits: Limits { connect: 20, stall: 20, redirects: 5, proxy: false },
    attempts: 3,
    pause: Duration::from_millis(1),
};

/// What a client asked for: the path, and the first byte if it was not the first of all.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Request {
    path: String,
    from: Option<usize>,
}

/// How a request is answered.
type Reply = fn(&Request, &mut TcpStream);

/// Answers each request with the next of its replies, and every further one with the last.
struct Server {
    base: String,
    requests: Arc<Mutex<Vec<Request>>>,
}

impl Server {
    fn with(replies: &[Reply]) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let base = format!("http://{}/", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (replies, log) = (replies.to_vec(), requests.clone());
        thread::spawn(move || {
            for connection in listener.incoming() {
                let mut connection = connection.unwrap();
                let Some(request) = read_request(&connection) else { continue };
                let reply = {
                    let mut log = log.lock().unwrap();
                    log.push(request.clone());
                    replies[(log.len() - 1).min(replies.len() - 1)]
                };
                // A thread each, so that one that stalls does not hold up the next.
                thread::spawn(move || reply(&request, &mut connection));
            }
        });
        Server { base, requests }
    }

    fn address(&self) -> String {
        format!("{}{}", self.base, FILE.name)
    }

    /// The first bytes asked for, request by request.
    fn asked_from(&self) -> Vec<Option<usize>> {
        self.requests.lock().unwrap().iter().map(|request| request.from).collect()
    }
}

/// Reads a request up to its empty line.
fn read_request(connection: &TcpStream) -> Option<Request> {
    let mut lines = BufReader::new(connection).lines().map_while(Result::ok);
    let path = lines.next()?.split(' ').nth(1)?.to_string();
    let headers: Vec<String> =
        lines.take_while(|line| !line.is_empty()).map(|line| line.to_ascii_lowercase()).collect();
    assert!(headers.contains(&"accept-encoding: identity".to_string()), "{headers:?}");
    let range = headers.iter().find_map(|line| line.strip_prefix("range: bytes="));
    let from = range.map(|range| range.strip_suffix('-').unwrap().parse().unwrap());
    Some(Request { path, from })
}

/// Sends a head and a body. A client that has gone away is none of the server's business.
fn send(to: &mut TcpStream, status: &str, headers: &str, body: &[u8]) {
    let head = format!("HTTP/1.1 {status}\r\nconnection: close\r\n{headers}\r\n");
    let _ = to.write_all(head.as_bytes()).and_then(|()| to.write_all(body));
}

/// Sends the first `n` bytes of what was asked for, under a head that promises them all.
fn send_first(n: usize, request: &Request, to: &mut TcpStream) {
    let (first, all) = (request.from.unwrap_or(0), CONTENT.len());
    let rest = &CONTENT[first..];
    let length = format!("content-length: {}\r\n", rest.len());
    let rest = &rest[..n.min(rest.len())];
    match request.from {
        None => send(to, "200 OK", &length, rest),
        Some(_) => {
            let range = format!("content-range: bytes {first}-{}/{all}\r\n", all - 1);
            send(to, "206 Partial Content", &(range + &length), rest);
        }
    }
}

fn well(request: &Request, to: &mut TcpStream) {
    send_first(usize::MAX, request, to);
}

fn breaks_off(request: &Request, to: &mut TcpStream) {
    send_first(80_000, request, to);
}

/// After one byte: after more, what comes for a second is less than one a second on average only later.
fn stalls(request: &Request, to: &mut TcpStream) {
    send_first(1, request, to);
    until_closed(to);
}

fn says_nothing(_: &Request, to: &mut TcpStream) {
    until_closed(to);
}

fn until_closed(connection: &mut TcpStream) {
    let _ = connection.read_to_end(&mut Vec::new());
}

fn ignores_range(_: &Request, to: &mut TcpStream) {
    well(&Request { path: String::new(), from: None }, to);
}

fn breaks_off_unnoticed(request: &Request, to: &mut TcpStream) {
    match request.from {
        None => send(to, "200 OK", "", &CONTENT[..80_000]),
        Some(first) => send(to, "206 Partial Content", &format!("content-range: bytes {first}-199999/200000\r\n"), b""),
    }
}

fn another_part(_: &Request, to: &mut TcpStream) {
    let headers = "content-range: bytes 1-199999/200000\r\ncontent-length: 199999\r\n";
    send(to, "206 Partial Content", headers, &CONTENT[1..]);
}

fn no_such_range(_: &Request, to: &mut TcpStream) {
    send(to, "416 Range Not Satisfiable", "content-length: 0\r\n", b"");
}

fn wrong_bytes(_: &Request, to: &mut TcpStream) {
    let wrong: Vec<u8> = CONTENT.iter().map(|byte| !byte).collect();
    send(to, "200 OK", "content-length: 200000\r\n", &wrong);
}

fn a_page(_: &Request, to: &mut TcpStream) {
    send(to, "200 OK", "content-type: text/html\r\ncontent-length: 26\r\n", b"<html>Please log in</html>");
}

fn more_than_it_should(_: &Request, to: &mut TcpStream) {
    send(to, "200 OK", "", &[&CONTENT[..], b"!"].concat());
}

fn more_and_says_so(_: &Request, to: &mut TcpStream) {
    send(to, "200 OK", "content-length: 200001\r\n", &[&CONTENT[..], b"!"].concat());
}

fn is_elsewhere(request: &Request, to: &mut TcpStream) {
    match request.path.as_str() {
        "/elsewhere" => well(request, to),
        _ => send(to, "302 Found", "location: /elsewhere\r\ncontent-length: 0\r\n", b""),
    }
}

fn in_circles(_: &Request, to: &mut TcpStream) {
    send(to, "301 Moved Permanently", "location: /a.gz\r\ncontent-length: 0\r\n", b"");
}

fn is_nowhere(_: &Request, to: &mut TcpStream) {
    send(to, "302 Found", "content-length: 2\r\n", b"no");
}

fn is_no_web_page(_: &Request, to: &mut TcpStream) {
    send(to, "302 Found", "location: ftp://127.0.0.1/a.gz\r\ncontent-length: 0\r\n", b"");
}

fn hints_first(request: &Request, to: &mut TcpStream) {
    let _ = to.write_all(b"HTTP/1.1 103 Early Hints\r\nlink: </a.css>\r\n\r\n");
    well(request, to);
}

fn hangs_up(_: &Request, _: &mut TcpStream) {}

fn hangs_up_in_the_head(_: &Request, to: &mut TcpStream) {
    let _ = to.write_all(b"HTTP/1.1 200 OK\r\ncontent-len");
}

fn never_comes_to_the_point(_: &Request, to: &mut TcpStream) {
    let _ = to.write_all(b"HTTP/1.1 200 OK\r\n");
    while to.write_all(b"x-more: and more\r\n").is_ok() {}
}

fn forbidden(_: &Request, to: &mut TcpStream) {
    send(to, "403 Forbidden", "content-length: 2\r\n", b"no");
}

fn not_found(_: &Request, to: &mut TcpStream) {
    send(to, "404 Not Found", "content-length: 2\r\n", b"no");
}

fn server_error(_: &Request, to: &mut TcpStream) {
    send(to, "500 Internal Server Error", "content-length: 2\r\n", b"no");
}

fn no_http(_: &Request, to: &mut TcpStream) {
    let _ = to.write_all(b"220 mail.example.org ESMTP\r\n");
}

/// A folder that does not exist yet, and what removes it.
fn folder() -> (TempDir, PathBuf) {
    let outer = tempdir().unwrap();
    let folder = outer.path().join("cache").join("set");
    (outer, folder)
}

/// What is in the folder but its lock.
fn content(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    let files = entries.map(|e| (e.file_name().into_string().unwrap(), fs::read(e.path()).unwrap()));
    files.filter(|(name, _)| name != ".lock").collect()
}

fn holds_only(folder: &Path, name: &str, bytes: &[u8]) {
    let content = content(folder);
    assert_eq!(content.keys().collect::<Vec<_>>(), [name]);
    assert!(content[name] == bytes, "{name} has other bytes than it should, {} of them", content[name].len());
}

/// The folder holds the file, and nothing else.
fn is_complete(folder: &Path) {
    holds_only(folder, "a.gz", &CONTENT);
}

/// The folder holds the first `n` bytes, to be continued, and nothing else.
fn is_begun(folder: &Path, n: usize) {
    holds_only(folder, ".a.gz.part", &CONTENT[..n]);
}

fn is_empty(folder: &Path) {
    assert_eq!(content(folder).keys().count(), 0);
}

/// Leaves `bytes` where a download that broke off would.
fn begin(folder: &Path, bytes: &[u8]) {
    fs::create_dir_all(folder).unwrap();
    fs::write(folder.join(".a.gz.part"), bytes).unwrap();
}

fn fetch_from(server: &Server, folder: &Path) -> Result<bool, Failure> {
    fetch(&FILE, &[server.address()], folder, &PATIENCE, &mut |_| {})
}

/// Fetches from a server that must fail: what was wrong with its address.
fn problem(server: &Server, folder: &Path) -> String {
    match fetch_from(server, folder).unwrap_err() {
        Failure::Network(problems) if problems.len() == 1 => {
            problems[0].strip_prefix(&format!("{}: ", server.address())).unwrap().to_string()
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_file_arrives_whole_and_is_fetched_once() {
    let (_outer, folder) = folder();
    let server = Server::with(&[well]);
    let mut seen = Vec::new();
    let mut watch = |progress: Progress| match progress {
        Progress::Bytes { done, total } => {
            assert_eq!(total, FILE.bytes);
            seen.push(done);
        }
        other => panic!("{other:?}"),
    };
    assert_eq!(fetch(&FILE, &[server.address()], &folder, &PATIENCE, &mut watch), Ok(true));
    assert!(seen.is_sorted() && seen.first() == Some(&0) && seen.last() == Some(&FILE.bytes), "{seen:?}");
    is_complete(&folder);
    assert_eq!(fetch_from(&server, &folder), Ok(false));
    assert_eq!(server.asked_from(), [None]);
}

#[test]
fn a_wrong_file_of_the_right_name_is_replaced() {
    let (_outer, folder) = folder();
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join(FILE.name), vec![0; CONTENT.len()]).unwrap();
    assert_eq!(fetch_from(&Server::with(&[well]), &folder), Ok(true));
    is_complete(&folder);
}

#[test]
fn a_download_that_breaks_off_is_continued_where_it_broke_off() {
    let (_outer, folder) = folder();
    let server = Server::with(&[breaks_off, breaks_off, well]);
    let mut problems = Vec::new();
    let mut watch = |progress: Progress| {
        if let Progress::Retrying { address, problem } = progress {
            assert_eq!(address, server.address());
            problems.push(problem.to_string());
        }
    };
    assert_eq!(fetch(&FILE, &[server.address()], &folder, &PATIENCE, &mut watch), Ok(true));
    is_complete(&folder);
    assert_eq!(server.asked_from(), [None, Some(80_000), Some(160_000)]);
    assert_eq!(problems, [80_000, 160_000].map(|n| format!("broke off after {n} of 200000 bytes")));
}

#[test]
fn what_a_failed_download_leaves_is_continued_by_the_next() {
    let (_outer, folder) = folder();
    let server = Server::with(&[breaks_off, server_error]);
    assert_eq!(problem(&server, &folder), "HTTP status 500");
    is_begun(&folder, 80_000);
    let server = Server::with(&[well]);
    assert_eq!(fetch_from(&server, &folder), Ok(true));
    is_complete(&folder);
    assert_eq!(server.asked_from(), [Some(80_000)]);
}

#[test]
fn a_complete_part_needs_no_network() {
    let (_outer, folder) = folder();
    begin(&folder, &CONTENT);
    let server = Server::with(&[forbidden]);
    assert_eq!(fetch_from(&server, &folder), Ok(true));
    is_complete(&folder);
    assert_eq!(server.asked_from(), []);
}

#[test]
fn a_body_of_unsaid_length_that_ends_early_is_not_taken_for_the_file() {
    let (_outer, folder) = folder();
    let server = Server::with(&[breaks_off_unnoticed]);
    assert_eq!(problem(&server, &folder), "broke off after 80000 of 200000 bytes");
    assert_eq!(server.asked_from(), [None, Some(80_000), Some(80_000)]);
    is_begun(&folder, 80_000);
}

#[test]
fn a_server_that_stalls_is_left_and_asked_for_the_rest() {
    let (_outer, folder) = folder();
    let server = Server::with(&[says_nothing, stalls, well]);
    // On a busy machine a good answer may come too late as well: then it is asked again.
    let limits = Limits { stall: 1, ..PATIENCE.limits };
    let patience = Patience { limits, attempts: 50, pause: Duration::ZERO };
    let mut problems = Vec::new();
    let mut watch = |progress: Progress| {
        if let Progress::Retrying { problem, .. } = progress {
            problems.push(problem.to_string());
        }
    };
    assert_eq!(fetch(&FILE, &[server.address()], &folder, &patience, &mut watch), Ok(true));
    is_complete(&folder);
    let too_slow = "Operation too slow. Less than 1 bytes/sec transferred the last 1 seconds";
    assert_eq!(problems[..2], [too_slow.to_string(), format!("broke off after 1 of 200000 bytes: {too_slow}")]);
    assert_eq!(server.asked_from()[..3], [None, None, Some(1)]);
}

#[test]
fn a_server_that_ignores_the_range_makes_it_start_over() {
    let (_outer, folder) = folder();
    begin(&folder, b"what begins otherwise");
    let server = Server::with(&[ignores_range]);
    assert_eq!(fetch_from(&server, &folder), Ok(true));
    is_complete(&folder);
    assert_eq!(server.asked_from(), [Some(21)]);
}

#[test]
fn a_server_that_sends_another_range_or_knows_none_makes_it_start_over() {
    for reply in [another_part as Reply, no_such_range] {
        let (_outer, folder) = folder();
        begin(&folder, &CONTENT[..500]);
        let server = Server::with(&[reply, well]);
        assert_eq!(fetch_from(&server, &folder), Ok(true));
        is_complete(&folder);
        assert_eq!(server.asked_from(), [Some(500), None]);
    }
}

#[test]
fn a_part_that_is_too_long_is_thrown_away() {
    let (_outer, folder) = folder();
    begin(&folder, &vec![0; CONTENT.len() + 1]);
    let server = Server::with(&[well]);
    assert_eq!(fetch_from(&server, &folder), Ok(true));
    is_complete(&folder);
    assert_eq!(server.asked_from(), [None]);
}

#[test]
fn wrong_bytes_are_thrown_away_and_the_error_has_both_checksums() {
    let (_outer, folder) = folder();
    let server = Server::with(&[wrong_bytes]);
    let problem = problem(&server, &folder);
    assert!(problem.starts_with(&format!("expected SHA-256 {}, found ", FILE.sha256)), "{problem}");
    assert!(!problem.ends_with(FILE.sha256));
    is_empty(&folder);
    assert_eq!(server.asked_from(), [None]);
}

#[test]
fn a_part_with_wrong_bytes_costs_a_second_download_and_no_more() {
    let (_outer, folder) = folder();
    begin(&folder, &[0; 1000]);
    let server = Server::with(&[well]);
    assert_eq!(fetch_from(&server, &folder), Ok(true));
    is_complete(&folder);
    assert_eq!(server.asked_from(), [Some(1000), None]);
}

#[test]
fn no_more_bytes_are_taken_than_the_file_has() {
    for (reply, expected) in [
        (more_than_it_should as Reply, "expected 200000 bytes, found more"),
        (more_and_says_so, "expected 200000 bytes, found 200001 (HTTP status 200)"),
    ] {
        let (_outer, folder) = folder();
        let server = Server::with(&[reply]);
        assert_eq!(problem(&server, &folder), expected);
        is_empty(&folder);
        assert_eq!(server.asked_from(), [None]);
    }
}

#[test]
fn a_page_in_place_of_the_file_does_not_cost_what_is_there() {
    let (_outer, folder) = folder();
    begin(&folder, &CONTENT[..500]);
    let server = Server::with(&[a_page]);
    assert_eq!(problem(&server, &folder), "expected 200000 bytes, found 26 (HTTP status 200)");
    is_begun(&folder, 500);
}

#[test]
fn a_redirect_is_followed_with_the_range() {
    let (_outer, folder) = folder();
    begin(&folder, &CONTENT[..500]);
    let server = Server::with(&[is_elsewhere]);
    assert_eq!(fetch_from(&server, &folder), Ok(true));
    is_complete(&folder);
    assert_eq!(server.asked_from(), [Some(500), Some(500)]);
}

#[test]
fn redirects_in_circles_come_to_an_end() {
    let (_outer, folder) = folder();
    let server = Server::with(&[in_circles]);
    assert_eq!(problem(&server, &folder), "redirected more than 5 times");
    assert_eq!(server.asked_from().len(), 6);
    is_empty(&folder);
}

#[test]
fn a_redirect_to_no_address_or_to_none_of_the_web_is_told() {
    for (reply, expected) in [(is_nowhere as Reply, "HTTP status 302"), (is_no_web_page, "ftp")] {
        let (_outer, folder) = folder();
        let server = Server::with(&[reply]);
        let problem = problem(&server, &folder);
        assert!(problem.contains(expected), "{problem}");
        assert_eq!(server.asked_from(), [None]);
        is_empty(&folder);
    }
}

#[test]
fn an_answer_may_be_preceded_by_a_preliminary_one() {
    let (_outer, folder) = folder();
    assert_eq!(fetch_from(&Server::with(&[hints_first]), &folder), Ok(true));
    is_complete(&folder);
}

#[test]
fn a_connection_that_breaks_before_the_answer_is_made_anew() {
    let (_outer, folder) = folder();
    let server = Server::with(&[hangs_up, hangs_up_in_the_head, well]);
    assert_eq!(fetch_from(&server, &folder), Ok(true));
    is_complete(&folder);
    assert_eq!(server.asked_from(), [None; 3]);
}

#[test]
fn a_refusal_is_told_and_only_what_may_pass_is_tried_again() {
    for (reply, status, requests) in [(forbidden as Reply, 403, 1), (not_found, 404, 1), (server_error, 500, 3)] {
        let (_outer, folder) = folder();
        begin(&folder, &CONTENT[..500]);
        let server = Server::with(&[reply]);
        assert_eq!(problem(&server, &folder), format!("HTTP status {status}"));
        assert_eq!(server.asked_from(), vec![Some(500); requests]);
        is_begun(&folder, 500);
    }
}

#[test]
fn an_answer_that_is_no_http_or_nothing_but_headers_is_an_error() {
    for reply in [no_http as Reply, never_comes_to_the_point] {
        let (_outer, folder) = folder();
        let problem = problem(&Server::with(&[reply]), &folder);
        assert!(!problem.is_empty() && !problem.contains('\n'), "{problem}");
        is_empty(&folder);
    }
}

/// A child that has ended, but has not been waited for, counts as well.
#[cfg(target_os = "linux")]
#[test]
fn no_program_outlives_the_download_that_it_was_started_for() {
    for reply in [well as Reply, more_than_it_should, more_and_says_so, forbidden, breaks_off, hangs_up, in_circles] {
        let (_outer, folder) = folder();
        let _ = fetch_from(&Server::with(&[reply]), &folder);
        // Not every kernel has this list.
        let children = fs::read_to_string("/proc/thread-self/children").unwrap_or_default();
        assert_eq!(children, "");
    }
}

#[test]
fn a_server_that_is_not_who_it_should_be_is_an_error() {
    let (_outer, folder) = folder();
    let address = Server::with(&[well]).address().replace("http:", "https:");
    let problems = match fetch(&FILE, &[address], &folder, &PATIENCE, &mut |_| {}).unwrap_err() {
        Failure::Network(problems) => problems,
        other => panic!("{other:?}"),
    };
    assert!(problems.len() == 1 && problems[0].starts_with("https:"), "{problems:?}");
    is_empty(&folder);
}

#[test]
fn the_next_address_continues_what_the_one_before_began() {
    let (_outer, folder) = folder();
    let servers = [Server::with(&[breaks_off, forbidden]), Server::with(&[not_found]), Server::with(&[well])];
    let addresses = servers.each_ref().map(Server::address);
    assert_eq!(fetch(&FILE, &addresses, &folder, &PATIENCE, &mut |_| {}), Ok(true));
    is_complete(&folder);
    let asked = servers.each_ref().map(Server::asked_from);
    assert_eq!(asked, [vec![None, Some(80_000)], vec![Some(80_000)], vec![Some(80_000)]]);
}

#[test]
fn a_failure_tells_of_every_address() {
    let (_outer, folder) = folder();
    // Nobody listens there any more.
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let gone = format!("http://{gone}/a.gz");
    let server = Server::with(&[forbidden]);
    let addresses = [gone.clone(), server.address()];
    match fetch(&FILE, &addresses, &folder, &PATIENCE, &mut |progress| panic!("{progress:?}")) {
        Err(Failure::Network(problems)) => {
            assert!(problems[0].starts_with(&format!("{gone}: ")), "{problems:?}");
            assert_eq!(problems[1..], [format!("{}: HTTP status 403", server.address())]);
        }
        other => panic!("{other:?}"),
    }
    is_empty(&folder);
}

#[test]
fn several_that_fetch_at_once_leave_one_right_file_and_ask_once() {
    let (_outer, folder) = folder();
    let server = Server::with(&[breaks_off, well]);
    let fetched: Vec<bool> = thread::scope(|scope| {
        let all: Vec<_> = (0..4).map(|_| scope.spawn(|| fetch_from(&server, &folder).unwrap())).collect();
        all.into_iter().map(|one| one.join().unwrap()).collect()
    });
    assert_eq!(fetched.iter().filter(|&&fetched| fetched).count(), 1);
    is_complete(&folder);
    assert_eq!(server.asked_from(), [None, Some(80_000)]);
}

#[test]
fn who_has_to_wait_for_another_is_told() {
    let (_outer, folder) = folder();
    fs::create_dir_all(&folder).unwrap();
    let lock = fs::File::create(folder.join(".lock")).unwrap();
    lock.lock().unwrap();
    let server = Server::with(&[well]);
    let mut waited = false;
    let mut watch = |progress: Progress| {
        if progress == Progress::Waiting {
            waited = true;
            lock.unlock().unwrap();
        }
    };
    assert_eq!(fetch(&FILE, &[server.address()], &folder, &PATIENCE, &mut watch), Ok(true));
    assert!(waited);
    is_complete(&folder);
}

#[test]
fn a_place_that_cannot_be_written_is_named() {
    let outer = tempdir().unwrap();
    fs::write(outer.path().join("a-file"), "").unwrap();
    let in_a_file = outer.path().join("a-file").join("set");
    let taken = outer.path().join("taken");
    let part = taken.join(".a.gz.part");
    fs::create_dir_all(&part).unwrap();
    let server = Server::with(&[well]);
    for (folder, named) in [(&in_a_file, &in_a_file), (&taken, &part)] {
        match fetch_from(&server, folder).unwrap_err() {
            Failure::Disk(error) => assert!(error.to_string().starts_with(&format!("{}: cannot ", named.display()))),
            other => panic!("{other:?}"),
        }
    }
}
