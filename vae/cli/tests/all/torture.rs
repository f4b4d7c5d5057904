//! A run that is killed at random moments, again and again, and resumed, ends as one that was left in peace.
//!
//! `TORTURE_KILLS=1000 cargo test --test all torture -- --nocapture` for a long one.

use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use rand::RngExt;
use tempfile::tempdir;

use crate::common::{content, metrics, succeeds, vae, write_data};

/// Kills in the run that is part of every test run: some seconds.
const KILLS: u64 = 25;

/// Settings of which a run takes longer than the longest life of a process; with a checkpoint after each third step most of
/// that time is spent on writing.
const SETTINGS: [&str; 14] = [
    "train",
    "--data",
    "data",
    "--epochs",
    "4",
    "--hidden",
    "16",
    "--latent",
    "2",
    "--batch",
    "4",
    "--checkpoint-every",
    "3",
    "--out",
];

#[test]
fn killed_at_random_moments_and_resumed_a_run_ends_as_one_that_was_left_in_peace() {
    let kills = std::env::var("TORTURE_KILLS").map_or(KILLS, |n| n.parse().expect("TORTURE_KILLS is a number"));
    let folder = tempdir().unwrap();
    write_data(&folder.path().join("data"), [60, 20], [6, 5]);
    let start = Instant::now();
    succeeds(folder.path(), &[&SETTINGS[..], &["whole"]].concat());
    let life = start.elapsed();
    let whole = folder.path().join("whole");
    let expected = (content(&whole), metrics(&whole));

    let mut chance = datasets::generator(1, "torture", 0);
    let mut report = Report::default();
    for n in 0.. {
        let name = format!("run{n}");
        let run = folder.path().join(&name);
        loop {
            // From before there is a folder to far into the run.
            let until = life.mul_f64(chance.random_range(0.02..0.7));
            let threads = chance.random_range(1..=3).to_string();
            let survived = survives(folder.path(), &name, &threads, until, &mut report);
            assert_whole_or_nothing(&run);
            if survived {
                break;
            }
        }
        let (found, found_metrics) = (content(&run), metrics(&run));
        assert_eq!(found_metrics, expected.1, "{name}");
        for file in ["model.safetensors", "samples.png", "reconstructions.png", "curves.svg", "latent.png"] {
            assert!(found[file] == expected.0[file], "{name}: {file}");
        }
        assert_eq!(found.keys().collect::<Vec<_>>(), expected.0.keys().collect::<Vec<_>>(), "{name}");
        fs::remove_dir_all(&run).unwrap();
        report.runs += 1;
        if report.kills >= kills {
            break;
        }
    }
    let Report { kills, runs, within_writes, .. } = report;
    println!(
        "{kills} kills survived, {within_writes} of them while a file was being written; {runs} runs, all as expected"
    );
}

#[derive(Default)]
struct Report {
    kills: u64,
    within_writes: u64,
    runs: u64,
}

/// Begins the run or goes on with it, and kills it after this time: whether it ended before.
fn survives(folder: &Path, name: &str, threads: &str, until: Duration, report: &mut Report) -> bool {
    let new = [&SETTINGS[..], &[name]].concat();
    let arguments = if folder.join(name).join("config.toml").exists() { vec!["train", "--resume", name] } else { new };
    let arguments = [&arguments[..], &["--threads", threads]].concat();
    let mut child = vae(folder, &arguments).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let start = Instant::now();
    while start.elapsed() < until {
        if let Some(status) = child.try_wait().unwrap() {
            let problem = child.wait_with_output().unwrap().stderr;
            assert!(status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&problem));
            return true;
        }
        std::thread::sleep(Duration::from_micros(200));
    }
    child.kill().unwrap();
    let done = child.wait().unwrap().success();
    if !done {
        report.kills += 1;
        report.within_writes += u64::from(parts(&folder.join(name)) > 0);
    }
    done
}

/// How many files were being written.
fn parts(run: &Path) -> usize {
    let Ok(entries) = fs::read_dir(run) else { return 0 };
    entries.filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().ends_with(".part")).count()
}

/// Whatever is there under its own name can be read to its end.
fn assert_whole_or_nothing(run: &Path) {
    if run.join("checkpoint.safetensors").exists() {
        vae::checkpoint::Checkpoint::load(&run.join("checkpoint.safetensors")).unwrap();
    }
    if run.join("model.safetensors").exists() {
        vae::checkpoint::Model::load(&run.join("model.safetensors")).unwrap();
    }
    if run.join("config.toml").exists() {
        vae::config::Config::read(&run.join("config.toml")).unwrap();
    }
    if run.join("metrics.jsonl").exists() {
        metrics(run);
    }
}
