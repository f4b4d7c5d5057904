//! What a disk does to a run: full, failing, gone. One clear line, the last checkpoint whole, and no torn file.
//!
//! Faults of single system calls are injected with `strace`, a full disk is a small `tmpfs`; where a machine has no such
//! thing, or does not allow it, a test says so and checks nothing. `.ci/run` installs what it may. (That each stage of
//! writing a file may fail is tested without them, in `files.rs`.)
#![cfg(target_os = "linux")]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

use crate::common::{content, fails, folder, metrics, succeeds, text, through, vae};

/// Ten updates an epoch, and a checkpoint of 40 KB after each.
const SMALL: [&str; 10] =
    ["--hidden", "50", "--latent", "2", "--batch", "4", "--checkpoint-every", "1", "--data", "data"];

fn train<'a>(options: &[&'a str]) -> Vec<&'a str> {
    [&["train"], &SMALL[..], options].concat()
}

fn works(command: &mut Command) -> bool {
    command.output().is_ok_and(|output| output.status.success())
}

/// It failed with one line that says so, and nothing of a file's beginning is left.
fn assert_failed_in_good_order(output: &Output, run: &Path, problem: &str) {
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{problem}: {said}");
    assert!(said.starts_with("vae: run") && said.lines().count() == 1 && said.contains(problem), "{problem}: {said}");
    assert!(content(run).keys().all(|name| !name.ends_with(".part")), "{:?}", content(run).keys());
}

/// A run of four epochs, resumed, has the model of one that nothing happened to.
fn assert_goes_on(folder: &Path) {
    succeeds(folder, &["train", "--resume", "run", "--epochs", "4"]);
    succeeds(folder, &train(&["--out", "whole", "--epochs", "4"]));
    let model = |run: &str| content(&folder.join(run)).remove("model.safetensors").unwrap();
    assert!(model("run") == model("whole"));
    assert_eq!(metrics(&folder.join("run")), metrics(&folder.join("whole")));
}

fn strace_works() -> bool {
    let works = works(Command::new("strace").args(["-o", "/dev/null", "true"]));
    if !works {
        eprintln!("skipped: strace does not work here");
    }
    works
}

/// Resumes a run of two epochs while the system has this fault, in the words of `strace`; in this file only, if one is named.
fn resume_with(fault: &str, file: Option<&str>) -> (TempDir, Output) {
    let folder = folder();
    succeeds(folder.path(), &train(&["--out", "run", "--epochs", "2"]));
    let calls = fault.split(':').next().unwrap();
    let by = ["strace", "-f", "-o", "/dev/null", "-e", &format!("trace={calls}"), "-e", &format!("inject={fault}")];
    let by = [&by[..], &file.map_or(vec![], |file| vec!["-P", file])].concat();
    // One thread: `when` counts the calls of each.
    let arguments = ["train", "--resume", "run", "--epochs", "4", "--threads", "1"];
    let output = through(&by, folder.path(), &arguments).output().unwrap();
    (folder, output)
}

#[test]
fn a_system_call_that_fails_once_is_named_and_the_run_goes_on_from_its_last_checkpoint() {
    if !strace_works() {
        return;
    }
    for (fault, file, problem) in [
        ("fsync:error=EIO:when=7", None, "Input/output error"),
        ("fsync:error=ENOSPC:when=40", None, "No space left on device"),
        ("rename,renameat,renameat2:error=EIO:when=11", None, "Input/output error"),
        ("write:error=EDQUOT:when=20", None, "uota exceeded"),
        ("openat:error=EROFS:when=2", Some("run/.metrics.jsonl.part"), "Read-only file system"),
    ] {
        let (folder, output) = resume_with(fault, file);
        assert_failed_in_good_order(&output, &folder.path().join("run"), problem);
        assert_goes_on(folder.path());
    }
}

#[test]
fn killed_between_writing_and_renaming_the_last_checkpoint_stands() {
    if !strace_works() {
        return;
    }
    for fault in ["rename,renameat,renameat2:signal=KILL:when=12", "fsync:signal=KILL:when=23"] {
        let (folder, output) = resume_with(fault, None);
        assert!(!output.status.success());
        assert_goes_on(folder.path());
    }
}

#[test]
fn a_folder_that_cannot_be_flushed_is_no_failure() {
    if !strace_works() {
        return;
    }
    for error in ["EINVAL", "EBADF", "EOPNOTSUPP"] {
        let folder = folder();
        let run = folder.path().canonicalize().unwrap().join("run");
        // Only the folder itself: a file that cannot be flushed is a failure.
        let (only, fault) = (run.to_str().unwrap(), format!("inject=fsync:error={error}"));
        let by = ["strace", "-f", "-o", "calls", "-P", only, "-e", "trace=fsync", "-e", &fault];
        let output = through(&by, folder.path(), &train(&["--out", "run", "--epochs", "1"])).output().unwrap();
        assert!(output.status.success() && output.stderr.is_empty(), "{error}: {}", text(&output.stderr));
        assert!(run.join("checkpoint.safetensors").exists());
        assert!(fs::read_to_string(folder.path().join("calls")).unwrap().contains("(INJECTED)"), "{error}");
    }
}

#[test]
fn where_there_are_no_locks_that_is_said_and_the_run_is_trained() {
    if !strace_works() {
        return;
    }
    for error in ["ENOLCK", "EOPNOTSUPP", "ENOSYS", "EINVAL"] {
        let folder = folder();
        let fault = format!("inject=flock:error={error}");
        let by = ["strace", "-f", "-o", "/dev/null", "-e", "trace=flock", "-e", &fault];
        let output = through(&by, folder.path(), &train(&["--out", "run", "--epochs", "1"])).output().unwrap();
        let said = text(&output.stderr);
        assert!(output.status.success(), "{error}: {said}");
        assert!(
            said.starts_with("vae: run: cannot lock this folder (") && said.lines().count() == 1,
            "{error}: {said}"
        );
    }
}

#[test]
fn a_full_disk_is_one_line_and_loses_nothing() {
    // In name spaces of its own the small file system goes with the process, whatever happens to it.
    let alone = ["unshare", "--mount", "--map-root-user"];
    if !works(Command::new(alone[0]).args(&alone[1..]).args(["sh", "-c", "mount -t tmpfs -o size=1m none /mnt"])) {
        eprintln!("skipped: a tmpfs cannot be mounted here");
        return;
    }
    let folder = folder();
    fs::create_dir(folder.path().join("run")).unwrap();
    let program = vae(folder.path(), &[]).get_program().to_str().unwrap().to_string();
    let train = train(&["--out", "run/it", "--epochs", "3"]).join(" ");
    // Space for a run of two epochs; then all but 16 KB is taken away, which is less than a checkpoint; what is there after
    // the failure is what was there before it, but for whole files; with space again the run goes on.
    let script = format!(
        "mount -t tmpfs -o size=1m none run &&
         {program} {train} >/dev/null && cp -r run/it before &&
         head -c 10000000 /dev/zero > run/filler 2>/dev/null; truncate -s -16384 run/filler;
         {program} train --resume run/it --epochs 5 >/dev/null 2>problem; echo $? > code;
         cp -r run/it after; rm run/filler;
         {program} train --resume run/it --epochs 5 >/dev/null && cp -r run/it resumed"
    );
    let output = Command::new(alone[0]).args(&alone[1..]).args(["sh", "-c", &script]).current_dir(&folder).output();
    let output = output.unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    let read = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap();
    assert_eq!(read("code"), "1\n");
    let problem = read("problem");
    assert!(problem.starts_with("vae: run/it/") && problem.contains("No space left on device"), "{problem}");
    assert_eq!(problem.lines().count(), 1, "{problem}");
    let files = |name: &str| -> BTreeMap<String, Vec<u8>> { content(&folder.path().join(name)) };
    assert!(files("before").keys().eq(files("after").keys()), "{:?}", files("after").keys());
    assert!(vae::checkpoint::Checkpoint::load(&folder.path().join("after/checkpoint.safetensors")).is_ok());

    let whole = [&["train"], &SMALL[..], &["--out", "whole", "--epochs", "5"]].concat();
    succeeds(folder.path(), &whole);
    assert!(files("resumed")["model.safetensors"] == files("whole")["model.safetensors"]);
}

#[test]
fn a_file_that_may_grow_no_further_is_one_line_and_loses_nothing() {
    // What every shell can do: a limit on the size of files, below that of a checkpoint.
    let folder = folder();
    succeeds(folder.path(), &train(&["--out", "run", "--epochs", "2"]));
    let by = ["sh", "-c", "trap '' XFSZ; ulimit -f 16; exec \"$0\" \"$@\""];
    let arguments = ["train", "--resume", "run", "--epochs", "4"];
    let output = through(&by, folder.path(), &arguments).output().unwrap();
    assert_failed_in_good_order(
        &output,
        &folder.path().join("run"),
        "run/checkpoint.safetensors: cannot write: File too large",
    );
    assert_goes_on(folder.path());
}

#[test]
fn a_folder_that_is_removed_under_way_is_one_line() {
    let folder = folder();
    let run = folder.path().join("run");
    let arguments = train(&["--out", "run", "--epochs", "100000"]);
    let mut command = vae(folder.path(), &arguments);
    let child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    while !run.join("checkpoint.safetensors").exists() {
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    // Until nothing is written any more between the listing and the removal.
    while fs::remove_dir_all(&run).is_err() {}
    let output = child.wait_with_output().unwrap();
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.starts_with("vae: run") && said.contains("cannot write: No such file or directory"), "{said}");
    assert!(!run.exists());
}

#[test]
fn a_folder_that_cannot_be_written_in_is_refused_before_training() {
    // Read-only even for root: procfs has no new files.
    let problem = fails(1, folder().path(), &train(&["--out", "/proc/self/run"]));
    assert!(problem.starts_with("vae: /proc/self/run: cannot make this folder: "), "{problem}");
    let folder = folder();
    let by = [
        "unshare",
        "--mount",
        "--map-root-user",
        "sh",
        "-c",
        "mount --bind run run && mount -o remount,ro,bind run && exec \"$0\" \"$@\"",
    ];
    succeeds(folder.path(), &train(&["--out", "run", "--epochs", "1"]));
    let before = content(&folder.path().join("run"));
    if !works(&mut through(&by, folder.path(), &["eval", "run"])) {
        eprintln!("skipped: a folder cannot be mounted read-only here");
        return;
    }
    let output = through(&by, folder.path(), &["train", "--resume", "run", "--epochs", "2"]).output().unwrap();
    assert_failed_in_good_order(&output, &folder.path().join("run"), "run: cannot write in this folder: Read-only");
    assert!(content(&folder.path().join("run")) == before);
}
