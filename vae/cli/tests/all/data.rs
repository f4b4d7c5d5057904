//! `vae data`, and `--data` with the name of a set. None of it needs the network: what would go there goes to a proxy,
//! which is the test's own. Downloads need the program `curl`.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Output};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use datasets::catalog::{CATALOG, entry};
use serde_json::Value;
use tempfile::{TempDir, tempdir};

/// The program in `folder`, with its data in `folder/cache`, and with a proxy at this port.
fn vae(folder: &Path, port: u16, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vae"));
    command.current_dir(folder).args(arguments).env("VAE_DATA", folder.join("cache"));
    for name in ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "all_proxy", "NO_PROXY", "no_proxy"] {
        command.env_remove(name);
    }
    command.env("ALL_PROXY", address_of(port));
    command
}

fn address_of(port: u16) -> String {
    format!("http://127.0.0.1:{port}")
}

/// A port at which nobody listens: as if there were no network.
fn closed_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// Runs the program without a network: its exit code, what it printed, and its one line of complaint.
fn run(folder: &TempDir, arguments: &[&str]) -> (i32, String, String) {
    let Output { status, stdout, stderr } = vae(folder.path(), closed_port(), arguments).output().unwrap();
    let problem = text(&stderr);
    assert!(problem.is_empty() == status.success() && problem.lines().count() <= 1, "{arguments:?}: {problem}");
    (status.code().unwrap(), text(&stdout), problem)
}

fn succeeds(folder: &TempDir, arguments: &[&str]) -> String {
    let (code, printed, problem) = run(folder, arguments);
    assert_eq!(code, 0, "{arguments:?}: {problem}");
    printed
}

fn fails(code: i32, folder: &TempDir, arguments: &[&str]) -> String {
    let (found, _, problem) = run(folder, arguments);
    assert_eq!(found, code, "{arguments:?}: {problem}");
    problem
}

/// Puts files of the right names and sizes, but full of zeros, where a set belongs.
fn pretend(folder: &TempDir, name: &str) {
    let cache = folder.path().join("cache").join(name);
    fs::create_dir_all(&cache).unwrap();
    for file in entry(name).unwrap().files {
        File::create(cache.join(file.name)).unwrap().set_len(file.bytes).unwrap();
    }
}

fn json_lines(lines: &str) -> Vec<Value> {
    lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn list_shows_every_set_and_whether_it_is_complete() {
    let folder = tempdir().unwrap();
    pretend(&folder, "kmnist");
    pretend(&folder, "fashion-mnist");
    fs::remove_file(folder.path().join("cache/fashion-mnist/t10k-labels-idx1-ubyte.gz")).unwrap();
    let table = succeeds(&folder, &["data", "list"]);
    for (name, state) in [
        ("mnist", "  built in  "),
        ("fashion-mnist", "  3 of 4 files  "),
        ("kmnist", "  yes  "),
        ("cifar10", "  no  "),
        ("binarized-mnist", "  no  "),
    ] {
        let line = table.lines().find(|line| line.starts_with(&format!("{name} "))).unwrap();
        assert!(line.contains(state) && line.ends_with(&format!("cache/{name}")), "{line}");
    }
    assert_eq!(table.lines().count(), 1 + CATALOG.len());
    let lines = json_lines(&succeeds(&folder, &["data", "list", "--json"]));
    let present: Vec<bool> = lines.iter().map(|line| line["present"].as_bool().unwrap()).collect();
    assert_eq!(present, [false, false, true, false, false]);
    assert_eq!((&lines[3]["set"], &lines[3]["channels"]), (&"cifar10".into(), &3.into()));
}

#[test]
fn verify_finds_wrong_files_always_and_missing_ones_where_their_set_is_named() {
    let folder = tempdir().unwrap();
    assert!(succeeds(&folder, &["data", "verify"]).starts_with("nothing has been fetched into "));
    assert_eq!(succeeds(&folder, &["data", "verify", "--json"]), "");
    assert!(fails(1, &folder, &["data", "verify", "cifar10"]).contains("cifar10/cifar-10-binary.tar.gz"));

    let labels = folder.path().join("cache/kmnist/t10k-labels-idx1-ubyte.gz");
    fs::create_dir_all(labels.parent().unwrap()).unwrap();
    fs::write(&labels, [0; 5120]).unwrap();
    let problem = fails(1, &folder, &["data", "verify"]);
    assert!(problem.contains(": wrong or missing: kmnist/t10k-labels-idx1-ubyte.gz;"), "{problem}");
    assert_eq!(fails(1, &folder, &["data", "verify", "kmnist"]).matches("kmnist/").count(), 4);

    let (_, printed, _) = run(&folder, &["data", "verify", "--json"]);
    let lines = json_lines(&printed);
    let states: Vec<&str> = lines.iter().map(|line| line["state"].as_str().unwrap()).collect();
    assert_eq!(states, ["missing", "missing", "missing", "wrong"]);
    let expected = format!("expected SHA-256 {}, found ", entry("kmnist").unwrap().files[3].sha256);
    assert!(lines[3]["problem"].as_str().unwrap().starts_with(&expected), "{}", lines[3]);
}

#[test]
fn an_unknown_name_is_refused_with_all_names_and_the_nearest() {
    let folder = tempdir().unwrap();
    for command in ["fetch", "verify"] {
        let problem = fails(2, &folder, &["data", command, "fashon-mnist"]);
        assert!(CATALOG.iter().all(|set| problem.contains(set.name)), "{problem}");
        assert!(problem.ends_with("a similar value exists: 'fashion-mnist'\n"), "{problem}");
    }
    assert!(fails(2, &folder, &["data", "fetch"]).contains("<NAME>"));
}

#[test]
fn without_a_network_fetch_says_what_to_download_by_hand_and_where_to_put_it() {
    let folder = tempdir().unwrap();
    pretend(&folder, "fashion-mnist");
    let cache = folder.path().join("cache").join("fashion-mnist");
    let missing = &entry("fashion-mnist").unwrap().files[1..3];
    missing.iter().for_each(|file| fs::remove_file(cache.join(file.name)).unwrap());
    // Its first file is wrong, and so is asked for first.
    let problem = fails(1, &folder, &["data", "fetch", "fashion-mnist"]);
    assert!(problem.starts_with(&format!("vae: {}: cannot fetch train-images-idx3-ubyte.gz: ", cache.display())));
    let (_, advice) = problem.split_once(" into this folder by hand: ").unwrap();
    let set = entry("fashion-mnist").unwrap();
    let addresses: Vec<String> = set.files[..3].iter().map(|file| set.addresses(file).join(" or ")).collect();
    assert_eq!(advice, addresses.join(", ") + "\n");
}

#[test]
fn data_that_is_not_downloaded_is_an_error_that_says_how_to() {
    let folder = tempdir().unwrap();
    let problem = fails(1, &folder, &["train", "--data", "kmnist"]);
    assert_eq!(problem, "vae: kmnist: not downloaded yet: `vae data fetch kmnist` does it\n");
    assert!(!folder.path().join("runs").exists());
}

#[test]
fn a_run_on_a_set_finds_it_by_its_name() {
    let folder = tempdir().unwrap();
    pretend(&folder, "kmnist");
    // Files without `.gz` go first: four images, in place of 70,000.
    for name in ["train", "t10k"] {
        let write = |kind: &str, bytes: &[u8]| {
            fs::write(folder.path().join(format!("cache/kmnist/{name}-{kind}-ubyte")), bytes).unwrap();
        };
        write("images-idx3", b"\0\0\x08\x03\0\0\0\x02\0\0\0\x01\0\0\0\x02abcd");
        write("labels-idx1", b"\0\0\x08\x01\0\0\0\x02\x00\x01");
    }
    succeeds(&folder, &["train", "--data", "kmnist", "--out", "run", "--epochs", "1", "--hidden", "4"]);
    let config = fs::read_to_string(folder.path().join("run/config.toml")).unwrap();
    assert!(config.contains("data = \"kmnist\""), "{config}");
    assert!(succeeds(&folder, &["eval", "run"]).starts_with("2 test images"));
    // What is in the way goes first.
    fs::create_dir(folder.path().join("kmnist")).unwrap();
    assert!(
        fails(1, &folder, &["eval", "run", "--data", "kmnist"]).contains("kmnist: expected MNIST's four IDX files")
    );
}

#[test]
fn mnist_by_its_name_is_the_built_in_one() {
    let folder = tempdir().unwrap();
    let run = ["train", "--data", "mnist", "--limit", "8", "--epochs", "1", "--hidden", "4", "--latent", "3"];
    assert!(succeeds(&folder, &run).contains("8 training and 10,000 test images of 28 × 28"));
}

/// Answers every connection through the proxy as `reply` says, and sends what was asked for: its lines.
fn proxy(reply: fn(&mut TcpStream)) -> (u16, Receiver<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (sender, requests) = channel();
    thread::spawn(move || {
        for connection in listener.incoming() {
            let mut connection = connection.unwrap();
            let _ = sender.send(head(&connection));
            thread::spawn(move || reply(&mut connection));
        }
    });
    (port, requests)
}

/// The lines of a request.
fn head(connection: &TcpStream) -> Vec<String> {
    let lines = BufReader::new(connection).lines().map_while(Result::ok);
    lines.take_while(|line| !line.is_empty()).map(|line| line.to_ascii_lowercase()).collect()
}

fn refuses(connection: &mut TcpStream) {
    connection.write_all(b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n").unwrap();
}

#[test]
fn a_refusal_is_told_with_its_address_and_code() {
    let folder = tempdir().unwrap();
    let set = entry("binarized-mnist").unwrap();
    let expected = format!("{}: HTTP status 403. ", set.addresses(&set.files[0])[0]);
    for name in ["ALL_PROXY", "HTTP_PROXY", "http_proxy"] {
        let (port, _requests) = proxy(refuses);
        let mut vae = vae(folder.path(), port, &["data", "fetch", set.name]);
        let Output { status, stderr, .. } = vae.env_remove("ALL_PROXY").env(name, address_of(port)).output().unwrap();
        assert_eq!(status.code(), Some(1));
        assert!(text(&stderr).contains(&expected), "{}", text(&stderr));
    }
}

#[test]
fn a_proxy_that_connects_to_nobody_is_asked_once() {
    let folder = tempdir().unwrap();
    let (port, requests) = proxy(refuses);
    let Output { status, stderr, .. } = vae(folder.path(), port, &["data", "fetch", "cifar10"]).output().unwrap();
    assert_eq!((status.code(), text(&stderr).lines().count()), (Some(1), 1), "{}", text(&stderr));
    assert!(text(&stderr).contains("403"), "{}", text(&stderr));
    assert!(requests.recv().unwrap()[0].starts_with("connect www.cs.toronto.edu:443 "));
    assert!(requests.try_recv().is_err());
}

#[test]
fn without_curl_fetch_says_so_once_and_what_to_download_by_hand() {
    let folder = tempdir().unwrap();
    let mut vae = vae(folder.path(), closed_port(), &["data", "fetch", "fashion-mnist"]);
    let Output { status, stderr, .. } = vae.env("PATH", folder.path()).output().unwrap();
    assert_eq!(status.code(), Some(1));
    let problem =
        "cannot fetch train-images-idx3-ubyte.gz: there is no program `curl`, which downloads need. Try again";
    assert!(text(&stderr).contains(problem) && text(&stderr).lines().count() == 1, "{}", text(&stderr));
}

#[cfg(unix)]
#[test]
fn an_interrupted_download_is_continued_by_the_next() {
    use std::os::unix::process::ExitStatusExt;

    let folder = tempdir().unwrap();
    // The first thousand bytes of kmnist's first file, and then nothing.
    let (port, requests) = proxy(|connection| {
        let _ = connection.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 18165135\r\n\r\n");
        let _ = connection.write_all(&[0; 1000]);
        let _ = connection.read_to_end(&mut Vec::new());
    });
    let mut program = vae(folder.path(), port, &["data", "fetch", "kmnist"]).spawn().unwrap();
    let part = folder.path().join("cache/kmnist/.train-images-idx3-ubyte.gz.part");
    while part.metadata().map_or(0, |there| there.len()) < 1000 {
        thread::sleep(Duration::from_millis(5));
        assert_eq!(program.try_wait().unwrap(), None, "it ended before it was interrupted");
    }
    assert!(Command::new("kill").args(["-TERM", &program.id().to_string()]).status().unwrap().success());
    assert_eq!(program.wait().unwrap().signal(), Some(15));
    assert_eq!(fs::read(&part).unwrap(), [0; 1000]);
    assert!(!requests.recv().unwrap().iter().any(|line| line.starts_with("range:")));

    let mut program = vae(folder.path(), port, &["data", "fetch", "kmnist"]).spawn().unwrap();
    assert!(requests.recv().unwrap().contains(&"range: bytes=1000-".to_string()));
    program.kill().unwrap();
    program.wait().unwrap();
}

#[cfg(unix)]
#[test]
fn a_full_disk_is_told_and_leaves_what_fitted() {
    let folder = tempdir().unwrap();
    let (port, _requests) = proxy(|connection| {
        let _ = connection.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 18165135\r\n\r\n");
        let _ = connection.write_all(&[0; 100_000]);
    });
    // A limit on the size of files stands for the end of the disk; its signal, ignored, becomes an error of `write`.
    let vae = vae(folder.path(), port, &["data", "fetch", "kmnist"]);
    let mut limited = Command::new("sh");
    limited.args(["-c", "trap '' XFSZ; ulimit -f 8; exec \"$0\" \"$@\""]).arg(vae.get_program()).args(vae.get_args());
    for (name, value) in vae.get_envs() {
        match value {
            Some(value) => limited.env(name, value),
            None => limited.env_remove(name),
        };
    }
    let Output { status, stderr, .. } = limited.output().unwrap();
    let part = folder.path().join("cache/kmnist/.train-images-idx3-ubyte.gz.part");
    assert_eq!(status.code(), Some(1));
    assert!(text(&stderr).starts_with(&format!("vae: {}: cannot write: ", part.display())), "{}", text(&stderr));
    assert_eq!(text(&stderr).lines().count(), 1);
    // The shells differ in the unit.
    assert!([4096, 8192].contains(&part.metadata().unwrap().len()));
}
