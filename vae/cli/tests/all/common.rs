//! What the tests of the program share: data to train on, the program itself, and what it leaves.
#![allow(dead_code, reason = "each test file uses some of it")]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::{TempDir, tempdir};

/// The four IDX files, with an arbitrary pattern in the pixels.
pub(crate) fn write_data(folder: &Path, images: [u32; 2], [height, width]: [u32; 2]) {
    fs::create_dir(folder).unwrap();
    let idx = |shape: &[u32], byte: fn(u32) -> u8| {
        let sizes = shape.iter().flat_map(|size| size.to_be_bytes());
        let head = [0, 0, 8, shape.len() as u8].into_iter().chain(sizes);
        head.chain((0..shape.iter().product()).map(byte)).collect::<Vec<u8>>()
    };
    for (name, n) in ["train", "t10k"].into_iter().zip(images) {
        let pixels = idx(&[n, height, width], |i| (i * i % 251) as u8);
        fs::write(folder.join(format!("{name}-images-idx3-ubyte")), pixels).unwrap();
        fs::write(folder.join(format!("{name}-labels-idx1-ubyte")), idx(&[n], |i| (i % 10) as u8)).unwrap();
    }
}

/// A folder with data to train on: ten updates an epoch, of four images each.
pub(crate) fn folder() -> TempDir {
    let folder = tempdir().unwrap();
    write_data(&folder.path().join("data"), [40, 20], [6, 5]);
    folder
}

pub(crate) fn vae(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vae"));
    command.current_dir(folder).args(arguments);
    command
}

/// The same command, run by another one.
pub(crate) fn through(by: &[&str], folder: &Path, arguments: &[&str]) -> Command {
    let program = vae(folder, arguments);
    let mut command = Command::new(by[0]);
    command.args(&by[1..]).arg(program.get_program()).args(arguments).current_dir(folder);
    command
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// Runs the program, which must succeed and complain of nothing: what it printed.
pub(crate) fn succeeds(folder: &Path, arguments: &[&str]) -> String {
    let Output { status, stdout, stderr } = vae(folder, arguments).output().unwrap();
    assert!(status.success() && stderr.is_empty(), "{arguments:?}: {}", text(&stderr));
    text(&stdout)
}

/// Runs the program, which must fail with this code, and with one line: that line.
pub(crate) fn fails(code: i32, folder: &Path, arguments: &[&str]) -> String {
    let Output { status, stderr, .. } = vae(folder, arguments).output().unwrap();
    let problem = text(&stderr);
    assert_eq!(status.code(), Some(code), "{arguments:?}: {problem}");
    assert!(problem.starts_with("vae: ") && problem.find('\n') == Some(problem.len() - 1), "{arguments:?}: {problem}");
    problem
}

pub(crate) fn utf8(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// The files in a folder by name, with what they hold; what a run is locked by is none of them.
pub(crate) fn content(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    let entries = entries.filter(|entry| entry.file_name() != ".lock");
    entries.map(|e| (e.file_name().into_string().unwrap(), fs::read(e.path()).unwrap())).collect()
}

pub(crate) fn names(folder: &Path) -> Vec<String> {
    content(folder).into_keys().collect()
}

pub(crate) fn json_lines(lines: &str) -> Vec<Value> {
    lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

pub(crate) fn keys(value: &Value) -> Vec<&str> {
    let mut keys: Vec<&str> = value.as_object().unwrap().keys().map(String::as_str).collect();
    keys.sort_unstable();
    keys
}

/// The metrics without what a clock has measured.
pub(crate) fn metrics(run: &Path) -> Vec<Value> {
    let mut lines = json_lines(&fs::read_to_string(run.join("metrics.jsonl")).unwrap());
    for line in &mut lines {
        for time in ["seconds", "images_per_second"] {
            line.as_object_mut().unwrap().remove(time).unwrap();
        }
    }
    lines
}
