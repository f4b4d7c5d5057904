//! What machines do to the program: output that cannot be written, terminals, names that are no text, numbers and encodings
//! that a configuration cannot have. (Disks are in `faults.rs`, signals in `resume.rs`.)
#![cfg(target_os = "linux")]

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::{Output, Stdio};

use console::{measure_text_width, strip_ansi_codes};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};
use tempfile::TempDir;

use crate::common::{content, fails, folder, names, succeeds, text, vae, write_data};

const SMALL: [&str; 8] = ["--hidden", "8", "--latent", "2", "--batch", "4", "--data", "data"];

fn train<'a>(options: &[&'a str]) -> Vec<&'a str> {
    [&["train"], &SMALL[..], options].concat()
}

/// A folder with `data` and a `run` of one epoch.
fn with_run() -> TempDir {
    let folder = folder();
    succeeds(folder.path(), &train(&["--out", "run", "--epochs", "1"]));
    folder
}

fn full() -> File {
    File::options().write(true).open("/dev/full").unwrap()
}

#[test]
fn output_that_cannot_be_written_is_a_failure_of_one_line() {
    let folder = with_run();
    for arguments in [
        &["--help"][..],
        &["--version"],
        &["train", "--help"],
        &["eval", "run"],
        &["eval", "run", "--json"],
        &["sample", "run"],
        &["tape", "run", "--runs", "1"],
        &["data", "list", "--json"],
        &["train", "--resume", "run"],
    ] {
        let Output { status, stderr, .. } = vae(folder.path(), arguments).stdout(full()).output().unwrap();
        let expected = "vae: standard output: cannot write: No space left on device (os error 28)\n";
        assert_eq!((status.code(), text(&stderr).as_str()), (Some(1), expected), "{arguments:?}");
    }
}

#[test]
fn a_run_whose_output_cannot_be_written_is_trained_to_its_end() {
    let folder = with_run();
    let arguments = train(&["--out", "silent", "--epochs", "1"]);
    let Output { status, stderr, .. } = vae(folder.path(), &arguments).stdout(full()).output().unwrap();
    assert_eq!(status.code(), Some(1), "{}", text(&stderr));
    let [silent, run] = ["silent", "run"].map(|run| content(&folder.path().join(run)));
    assert!(silent["model.safetensors"] == run["model.safetensors"]);
    assert!(silent.keys().eq(run.keys()));
}

#[test]
fn complaints_that_cannot_be_written_change_no_exit_code() {
    let folder = folder();
    for (arguments, code) in [(&["--nonsense"][..], 2), (&["eval", "none"], 1), (&[], 2)] {
        let status = vae(folder.path(), arguments).stdout(full()).stderr(full()).status().unwrap();
        assert_eq!(status.code(), Some(code), "{arguments:?}");
    }
}

/// Runs the program on a terminal of this width, which has the environment of one besides this: what is seen there.
fn on_terminal(folder: &Path, columns: u16, environment: &[(&str, &str)], arguments: &[&str]) -> String {
    let terminal = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&terminal).and_then(|()| unlockpt(&terminal)).unwrap();
    let name = ptsname(&terminal, vec![]).unwrap();
    let inside = File::options().read(true).write(true).open(OsStr::from_bytes(name.as_bytes())).unwrap();
    tcsetwinsize(&inside, Winsize { ws_row: 24, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 }).unwrap();
    let mut child = {
        let mut command = vae(folder, arguments);
        command.env_remove("NO_COLOR").env("TERM", "xterm-256color").env("VAE_DATA", "sets");
        command.envs(environment.iter().copied()).stdin(Stdio::null()).stdout(inside.try_clone().unwrap());
        command.stderr(inside).spawn().unwrap()
    };
    let mut seen = vec![];
    // Ends with an error when nobody has the other side open any more.
    let _ = File::from(terminal).read_to_end(&mut seen);
    let status = child.wait().unwrap();
    let seen = text(&seen);
    assert!(status.success(), "{arguments:?}: {seen}");
    seen
}

const COMMANDS: [&[&str]; 8] = [
    &["train", "--out", "another", "--epochs", "2", "--hidden", "8", "--latent", "2", "--batch", "4", "--data", "data"],
    &["eval", "run", "--importance-samples", "3", "--ais-steps", "3", "--gap-images", "2"],
    &["sample", "run"],
    &["reconstruct", "run"],
    &["interpolate", "run"],
    &["tape", "run", "--runs", "1"],
    &["data", "list"],
    &["reproduce"],
];

/// Runs all commands on such a terminal, on images of this size.
fn seen(size: [u32; 2], columns: u16, environment: &[(&str, &str)]) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    write_data(&folder.path().join("data"), [40, 20], size);
    succeeds(folder.path(), &train(&["--out", "run", "--epochs", "1"]));
    COMMANDS.iter().map(|command| on_terminal(folder.path(), columns, environment, command)).collect()
}

#[test]
fn a_terminal_that_knows_or_is_to_show_no_colours_sees_no_escape_sequence() {
    for environment in [("TERM", "dumb"), ("NO_COLOR", "1")] {
        for seen in seen([6, 5], 80, &[environment]) {
            assert!(!seen.contains('\x1b'), "{environment:?}: {seen:?}");
        }
        let help = on_terminal(Path::new("."), 80, &[environment], &["train", "--help"]);
        assert!(!help.contains('\x1b'), "{environment:?}: {help:?}");
    }
    assert!(seen([6, 5], 80, &[])[2].contains("\x1b[38;5;"));
}

#[test]
fn no_line_is_wider_than_the_terminal() {
    for columns in [20, 80] {
        for seen in seen([4, 200], columns, &[]) {
            for line in strip_ansi_codes(&seen).split(['\n', '\r']) {
                // A path stays in one piece.
                let is_path = line.contains('/') && !line.contains(' ');
                assert!(measure_text_width(line) <= columns.into() || is_path, "{columns} columns: {line:?}");
            }
        }
    }
    for columns in [40, 80] {
        for command in ["train", "eval", "sample", "data"] {
            let help = on_terminal(Path::new("."), columns, &[], &[command, "--help"]);
            let widest = strip_ansi_codes(&help).lines().map(measure_text_width).max().unwrap();
            assert!(widest <= columns.into(), "{command} --help on {columns} columns: {widest}");
        }
    }
}

#[test]
fn a_terminal_that_does_not_know_its_width_is_taken_for_one_of_80_columns() {
    let folder = with_run();
    assert_eq!(
        on_terminal(folder.path(), 0, &[], &["sample", "run"]),
        on_terminal(folder.path(), 80, &[], &["sample", "run"])
    );
}

#[test]
fn the_names_of_data_runs_and_configurations_need_not_be_text() {
    let folder = folder();
    let name = |bytes: &'static [u8]| OsStr::from_bytes(bytes);
    fs::rename(folder.path().join("data"), folder.path().join(name(b"caf\xe9 data"))).unwrap();
    let run = name(b"run\xff");
    let config = folder.path().join(run).join("config.toml");
    let succeeds = |before: &[&str], path: &OsStr, after: &[&str]| {
        let output = vae(folder.path(), before).arg(path).args(after).output().unwrap();
        assert!(output.status.success() && output.stderr.is_empty(), "{before:?}: {}", text(&output.stderr));
        text(&output.stdout)
    };
    let small = [&["--epochs", "1", "--out"], &[][..]].concat();
    let output = vae(folder.path(), &["train", "--hidden", "8", "--data"])
        .arg(name(b"caf\xe9 data"))
        .args(small)
        .arg(run)
        .output();
    let output = output.unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(fs::read_to_string(&config).unwrap().contains("caf%E9%20data\"\n"));
    assert!(succeeds(&["eval"], run, &["--json"]).contains("\"loss\":"));
    succeeds(&["reconstruct"], run, &[]);
    succeeds(&["train", "--resume"], run, &["--epochs", "2"]);
    succeeds(&["train", "--config"], config.as_os_str(), &["--out", "again"]);
    let [again, first] = ["again".as_ref(), run].map(|run| content(&folder.path().join(run)));
    assert!(again["model.safetensors"] == first["model.safetensors"]);
}

#[test]
fn a_folder_with_a_file_whose_name_is_no_text_is_not_empty() {
    let folder = folder();
    let out = folder.path().join("out");
    fs::create_dir(&out).unwrap();
    fs::write(out.join(OsStr::from_bytes(b"\xff")), "mine").unwrap();
    let problem = fails(1, folder.path(), &train(&["--out", "out"]));
    assert!(problem.starts_with("vae: out: expected a new or empty folder"), "{problem}");
    assert_eq!(fs::read_dir(&out).unwrap().count(), 1);
}

#[test]
fn a_number_that_a_configuration_cannot_hold_is_refused_by_its_argument() {
    let folder = with_run();
    let before = names(folder.path().join("run").as_path());
    let most = u64::MAX.to_string();
    for name in ["epochs", "batch", "hidden", "latent", "k", "limit", "seed", "threads"] {
        let problem =
            fails(2, folder.path(), &["train", "--data", "data", "--out", "new", &format!("--{name}"), &most]);
        assert!(problem.starts_with(&format!("vae: --{name}: expected at most ")), "{problem}");
    }
    let problem =
        fails(2, folder.path(), &["train", "--data", "data", "--out", "new", "--image-size", &format!("5x{most}")]);
    assert!(problem.starts_with("vae: --image-size: expected at most "), "{problem}");
    assert!(!folder.path().join("new").exists());
    fs::write(folder.path().join("c.toml"), format!("epochs = 1\nseed = {most}\n")).unwrap();
    let problem = fails(1, folder.path(), &["train", "--config", "c.toml", "--out", "new"]);
    assert!(problem.starts_with("vae: c.toml: --seed: expected at most "), "{problem}");
    // What is not stored may be any number.
    succeeds(folder.path(), &["sample", "run", "--seed", &most]);
    assert_eq!(names(folder.path().join("run").as_path()).len(), before.len() + 1);
}

#[test]
fn a_configuration_that_powershell_has_written_is_read() {
    let folder = folder();
    let settings = "\u{feff}data = \"data\"\r\nepochs = 1\r\nhidden = [8]\r\n";
    let bytes: Vec<u8> = settings.encode_utf16().flat_map(u16::to_le_bytes).collect();
    fs::write(folder.path().join("c.toml"), bytes).unwrap();
    assert!(succeeds(folder.path(), &["train", "--config", "c.toml", "--out", "run"]).contains("model   30–8–20–8–30"));
}
