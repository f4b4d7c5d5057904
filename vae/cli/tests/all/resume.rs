//! Runs that are interrupted, resumed, and made longer; and what a run refuses to go on with.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use crate::common::{content, fails, folder, metrics, names, succeeds, text, through, utf8, vae, write_data};

/// Ten updates an epoch.
const SMALL: [&str; 8] = ["--hidden", "8", "--latent", "2", "--batch", "4", "--data", "data"];

fn train<'a>(options: &[&'a str]) -> Vec<&'a str> {
    [&["train"], &SMALL[..], options].concat()
}

/// Whether two runs have learned the same, to the last bit, and say so alike.
fn assert_same(run: &Path, other: &Path) {
    assert_eq!(metrics(run), metrics(other));
    let (run, other) = (content(run), content(other));
    for name in ["model.safetensors", "samples.png", "reconstructions.png", "curves.svg"] {
        assert!(run[name] == other[name], "{name}");
    }
    assert_eq!(run.keys().collect::<Vec<_>>(), other.keys().collect::<Vec<_>>());
}

fn wait_for(what: &str, mut happened: impl FnMut() -> bool) {
    let start = Instant::now();
    while !happened() {
        assert!(start.elapsed() < Duration::from_secs(60), "{what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// The program with the signals as they are at a terminal, even if these tests ignore some (`nohup cargo test &`).
fn at_a_terminal(folder: &Path, arguments: &[&str]) -> Command {
    let by = ["env", "--default-signal=HUP,INT,QUIT,TERM"];
    // Only GNU's `env` can; where there is another, the signals are hoped for.
    let can = Command::new(by[0]).args([by[1], "true"]).output().is_ok_and(|output| output.status.success());
    if can { through(&by, folder, arguments) } else { vae(folder, arguments) }
}

/// A run that is stopped before it ends, with a checkpoint after each epoch.
const LONG: [&str; 6] = ["--out", "run", "--epochs", "100000", "--checkpoint-every", "1e"];

/// Starts a long run, and waits until it has a checkpoint.
fn start_long_run(folder: &Path) -> Child {
    start(at_a_terminal(folder, &train(&LONG)), folder)
}

fn start(mut command: Command, folder: &Path) -> Child {
    let child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    wait_for("a checkpoint", || folder.join("run/checkpoint.safetensors").exists());
    child
}

#[cfg(unix)]
fn signal(child: &Child, name: &str) {
    assert!(std::process::Command::new("kill").args([name, &child.id().to_string()]).status().unwrap().success());
}

#[cfg(unix)]
#[test]
fn a_signal_checkpoints_says_how_to_resume_and_the_run_ends_as_if_never_interrupted() {
    for (name, code, threads) in [("-INT", 130, "1"), ("-TERM", 143, "2"), ("-HUP", 129, "2")] {
        let folder = folder();
        let child = start_long_run(folder.path());
        signal(&child, name);
        let Output { status, stderr, .. } = child.wait_with_output().unwrap();
        assert_eq!(status.code(), Some(code));
        let said = text(&stderr);
        assert!(said.starts_with("vae: interrupted in epoch ") && said.lines().count() == 1, "{said}");
        assert!(said.contains("vae train --resume run goes on"), "{said}");

        let run = folder.path().join("run");
        let done = metrics(&run).len() as u64;
        let epochs = (done + 2).to_string();
        let printed = succeeds(folder.path(), &["train", "--resume", "run", "--epochs", &epochs, "--threads", threads]);
        assert!(printed.contains("\nresumed in epoch "), "{printed}");
        succeeds(folder.path(), &train(&["--out", "whole", "--epochs", &epochs]));
        assert_same(&run, &folder.path().join("whole"));
    }
}

/// `nohup` has a program ignore SIGHUP, and a shell has what a script starts in the background ignore Ctrl-C.
#[cfg(target_os = "linux")]
#[test]
fn a_signal_that_whoever_started_the_run_ignores_is_ignored() {
    let folder = folder();
    let by = ["sh", "-c", "trap '' HUP INT QUIT; exec \"$0\" \"$@\""];
    let child = start(through(&by, folder.path(), &train(&LONG)), folder.path());
    for name in ["-HUP", "-INT", "-QUIT"] {
        signal(&child, name);
    }
    let run = folder.path().join("run");
    let epochs = || fs::read_to_string(run.join("metrics.jsonl")).unwrap().lines().count();
    let before = epochs();
    wait_for("the run goes on", || epochs() > before + 2);
    signal(&child, "-TERM");
    assert_eq!(child.wait_with_output().unwrap().status.code(), Some(143));
}

/// Both the shell and the system send it when a terminal is closed.
#[cfg(target_os = "linux")]
#[test]
fn a_second_sighup_does_not_end_the_program_before_its_checkpoint() {
    let folder = folder();
    // Of a size with which a step and the checkpoint take longer than the signals.
    let options = ["train", "--hidden", "1000,1000", "--batch", "40", "--data", "data", "--out", "run"];
    let mut command = at_a_terminal(folder.path(), &options);
    let child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    wait_for("the run to begin", || folder.path().join("run/config.toml").exists());
    for _ in 0..2 {
        signal(&child, "-HUP");
        std::thread::sleep(Duration::from_millis(5));
    }
    let Output { status, stderr, .. } = child.wait_with_output().unwrap();
    assert_eq!(status.code(), Some(129), "{}", text(&stderr));
    assert!(folder.path().join("run/checkpoint.safetensors").exists());
}

#[cfg(unix)]
#[test]
fn a_second_ctrl_c_ends_the_program_at_once() {
    let folder = folder();
    // So large that a step takes seconds: the first signal waits for it, the second does not.
    let options =
        ["train", "--hidden", "3000,3000,3000", "--batch", "40", "--data", "data", "--out", "run", "--threads", "1"];
    let mut command = at_a_terminal(folder.path(), &options);
    let child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    wait_for("the run to begin", || folder.path().join("run/config.toml").exists());
    signal(&child, "-INT");
    signal(&child, "-INT");
    let Output { status, .. } = child.wait_with_output().unwrap();
    assert_eq!(status.code(), Some(130));
    assert!(!folder.path().join("run/.checkpoint.safetensors.part").exists());
}

#[test]
fn a_run_without_a_checkpoint_starts_at_its_first_step() {
    let folder = folder();
    succeeds(folder.path(), &train(&["--out", "whole", "--epochs", "2"]));
    let whole = folder.path().join("whole");
    fs::create_dir(folder.path().join("run")).unwrap();
    fs::copy(whole.join("config.toml"), folder.path().join("run/config.toml")).unwrap();
    succeeds(folder.path(), &["train", "--resume", "run"]);
    assert_same(&folder.path().join("run"), &whole);
}

#[test]
fn a_run_that_is_made_longer_is_the_longer_run() {
    let folder = folder();
    succeeds(folder.path(), &train(&["--out", "run", "--epochs", "2", "--threads", "2"]));
    succeeds(folder.path(), &["train", "--resume", "run", "--epochs", "4", "--threads", "1"]);
    succeeds(folder.path(), &train(&["--out", "whole", "--epochs", "4"]));
    assert_same(&folder.path().join("run"), &folder.path().join("whole"));
    let again = succeeds(folder.path(), &["train", "--resume", "run"]);
    assert_eq!(again, "run is finished: 4 of 4 epochs (--epochs makes it longer)\n");
    assert_eq!(succeeds(folder.path(), &["train", "--resume", "run", "--json"]), "");
}

#[test]
fn metrics_that_a_checkpoint_does_not_know_are_written_again_and_missing_ones_are_missed() {
    let folder = folder();
    let run = folder.path().join("run");
    succeeds(folder.path(), &train(&["--out", "run", "--epochs", "2"]));
    let checkpoint = fs::read(run.join("checkpoint.safetensors")).unwrap();
    succeeds(folder.path(), &["train", "--resume", "run", "--epochs", "4"]);
    let lines = fs::read_to_string(run.join("metrics.jsonl")).unwrap();

    // As after a kill between the metrics of epoch 4 and its checkpoint.
    fs::write(run.join("checkpoint.safetensors"), &checkpoint).unwrap();
    fs::write(run.join("metrics.jsonl"), lines.clone() + "{\"torn").unwrap();
    succeeds(folder.path(), &["train", "--resume", "run"]);
    succeeds(folder.path(), &train(&["--out", "whole", "--epochs", "4"]));
    assert_same(&run, &folder.path().join("whole"));

    let first = lines.lines().next().unwrap();
    for (metrics, problem) in [
        (first.to_string(), "metrics.jsonl: expected a line for each of 2 epochs, found 1"),
        (format!("{first}\n{first}\n"), "metrics.jsonl: line 2: expected epoch 2, found epoch 1"),
        ("nonsense\n".into(), "metrics.jsonl: line 1: not an epoch: "),
        ("[".repeat(100_000), "metrics.jsonl: line 1: not an epoch: "),
    ] {
        fs::write(run.join("checkpoint.safetensors"), &checkpoint).unwrap();
        fs::write(run.join("metrics.jsonl"), metrics).unwrap();
        let found = fails(1, folder.path(), &["train", "--resume", "run"]);
        assert!(found.contains(problem), "{found}");
    }
}

#[test]
fn a_run_does_not_go_on_with_other_settings_other_data_or_another_runs_checkpoint() {
    let folder = folder();
    let run = folder.path().join("run");
    succeeds(folder.path(), &train(&["--out", "run", "--epochs", "2"]));
    succeeds(folder.path(), &train(&["--out", "other", "--epochs", "2", "--seed", "2"]));
    write_data(&folder.path().join("less"), [39, 20], [6, 5]);
    let before = content(&run);
    let resume = |code, options: &[&str]| {
        let problem = fails(code, folder.path(), &[&["train", "--resume", "run"], options].concat());
        assert!(content(&run) == before, "{options:?} changed something");
        problem
    };
    assert_eq!(resume(2, &["--latent", "3"]), "vae: --latent: expected 2, as run has, found 3\n");
    assert_eq!(resume(2, &["--hidden", "8,8"]), "vae: --hidden: expected [8], as run has, found [8, 8]\n");
    assert_eq!(resume(2, &["--limit", "7"]), "vae: --limit: expected not set, as run has, found 7\n");
    let problem = "vae: --epochs: expected more than 2, which are trained already, found 1\n";
    assert_eq!(resume(2, &["--epochs", "1"]), problem);
    assert!(resume(2, &["--out", "elsewhere"]).contains("--out"));
    let problem = resume(1, &["--epochs", "3", "--data", "less"]);
    assert!(problem.starts_with("vae: run/checkpoint.safetensors: is of other data: expected SHA-256 "), "{problem}");
    assert!(problem.contains("(39 and 20 images of 6 × 5)"), "{problem}");
    // The same settings, said again, are no others, and the same data may lie elsewhere.
    fs::rename(folder.path().join("data"), folder.path().join("moved")).unwrap();
    assert!(resume(1, &["--epochs", "3"]).contains("data: "));
    succeeds(folder.path(), &["train", "--resume", "run", "--epochs", "3", "--data", "moved", "--latent", "2"]);

    fs::copy(folder.path().join("other/checkpoint.safetensors"), run.join("checkpoint.safetensors")).unwrap();
    let problem = fails(1, folder.path(), &["train", "--resume", "run"]);
    let expected = "run/checkpoint.safetensors: is of another run than config.toml: seed is 2 here, and 1 there";
    assert_eq!(problem, format!("vae: {expected}\n"));
}

#[test]
fn a_folder_that_is_no_run_and_a_damaged_checkpoint_are_refused() {
    let folder = folder();
    let problem = fails(1, folder.path(), &["train", "--resume", "data"]);
    assert_eq!(problem, "vae: data: expected a run folder, found no config.toml in it\n");
    succeeds(folder.path(), &train(&["--out", "run", "--epochs", "1"]));
    let path = folder.path().join("run/checkpoint.safetensors");
    let mut bytes = fs::read(&path).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&path, &bytes).unwrap();
    let problem = fails(1, folder.path(), &["train", "--resume", "run", "--epochs", "2"]);
    assert!(problem.starts_with("vae: run/checkpoint.safetensors: damaged: its checksum is "), "{problem}");
    assert!(fs::read(&path).unwrap() == bytes);
}

#[test]
fn one_process_at_a_time_has_a_run_folder() {
    let folder = folder();
    let mut child = start_long_run(folder.path());
    for arguments in [&["train", "--resume", "run"][..], &train(&["--out", "run"])] {
        let problem = fails(1, folder.path(), arguments);
        assert!(problem.starts_with("vae: run: "), "{problem}");
    }
    let problem = fails(1, folder.path(), &["train", "--resume", "run"]);
    assert_eq!(problem, "vae: run: another process is training in this folder\n");
    // A kill lets go of it.
    child.kill().unwrap();
    child.wait().unwrap();
    let epochs = (metrics(&folder.path().join("run")).len() + 3).to_string();
    succeeds(folder.path(), &["train", "--resume", "run", "--epochs", &epochs]);
}

#[test]
fn what_a_kill_leaves_before_there_is_a_run_does_not_stop_the_next_one() {
    let folder = folder();
    fs::create_dir(folder.path().join("run")).unwrap();
    fs::write(folder.path().join("run/.lock"), "").unwrap();
    fs::write(folder.path().join("run/.config.toml.part"), "epo").unwrap();
    succeeds(folder.path(), &train(&["--out", "run", "--epochs", "1"]));
    assert!(!names(&folder.path().join("run")).contains(&".config.toml.part".into()));
}

#[test]
fn a_name_that_a_shell_would_take_apart_is_quoted_where_it_is_to_be_typed() {
    let folder = folder();
    let out = folder.path().join("it's a run");
    let options = train(&["--out", utf8(&out), "--epochs", "100000", "--checkpoint-every", "1e"]);
    let mut command = at_a_terminal(folder.path(), &options);
    let child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    wait_for("a checkpoint", || out.join("checkpoint.safetensors").exists());
    signal(&child, "-INT");
    let said = text(&child.wait_with_output().unwrap().stderr);
    assert!(said.contains(r"/it'\''s a run' goes on"), "{said}");
}
