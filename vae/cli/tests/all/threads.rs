//! As many threads as there may be, and as few: the results are the same.

use std::fs;
use std::process::Output;

use crate::common::{content, folder, succeeds, text, vae, write_data};

/// What lets the operating system start no thread: a stack that fits into no address space.
const NO_THREAD: (&str, &str) = ("RUST_MIN_STACK", "1152921504606846976");

const TRAIN: [&str; 7] = ["train", "--epochs", "1", "--hidden", "8", "--latent", "2"];

#[test]
fn where_no_thread_can_be_started_every_command_works_on_the_one_there_is() {
    let folder = folder();
    let pictures = folder.path().join("pictures");
    fs::create_dir(&pictures).unwrap();
    succeeds(folder.path(), &[&TRAIN[..], &["--data", "data", "--out", "run"]].concat());
    for (i, name) in ["samples.png", "reconstructions.png", "manifold.png"].into_iter().enumerate() {
        fs::copy(folder.path().join("run").join(name), pictures.join(format!("{i}.png"))).unwrap();
    }
    let several = std::thread::available_parallelism().is_ok_and(|cores| cores.get() > 1);
    for command in [
        "train --epochs 1 --hidden 8 --latent 2 --data data --out again",
        "train --epochs 1 --hidden 8 --latent 2 --data data --objective iwae --k 60 --out weighted",
        "train --epochs 1 --hidden 8 --latent 2 --data pictures --image-size 8x8 --out of-pictures",
        "train --resume run --epochs 2",
        "eval again --importance-samples 5 --ais-steps 2 --ais-chains 2 --ais-images 3 --gap-images 2",
        "sample again",
        "reconstruct again",
        "reconstruct of-pictures --data pictures",
        "interpolate again",
        "variance --epochs 1 --config again/config.toml --images 10 --draws 2 --out study",
        "tape again --runs 1",
        "export again --to pytorch weights.safetensors",
        "import weights.safetensors --out imported",
        "data list",
    ] {
        let arguments: Vec<&str> = command.split(' ').collect();
        let Output { status, stderr, .. } =
            vae(folder.path(), &arguments).env(NO_THREAD.0, NO_THREAD.1).output().unwrap();
        let said = text(&stderr);
        let expected = match several && arguments[0] != "data" {
            true => "vae: can start no more threads: working on 1 instead of ",
            false => "",
        };
        assert!(status.success() && said.starts_with(expected), "{command}: {said}");
        assert!(said.lines().count() <= 1 && (said.is_empty() == expected.is_empty()), "{command}: {said}");
    }
    // A proxy at which nobody listens: as if there were no network.
    let mut fetch = vae(folder.path(), &["data", "fetch", "kmnist"]);
    fetch
        .env("VAE_DATA", folder.path().join("cache"))
        .env("ALL_PROXY", "http://127.0.0.1:1")
        .env(NO_THREAD.0, NO_THREAD.1);
    let Output { status, stderr, .. } = fetch.output().unwrap();
    assert!(status.code() == Some(1) && text(&stderr).lines().count() == 1, "{}", text(&stderr));
    succeeds(folder.path(), &["train", "--resume", "again", "--epochs", "2"]);
    let [run, again] = ["run", "again"].map(|run| content(&folder.path().join(run)).remove("model.safetensors"));
    assert!(run == again);
}

#[test]
fn no_more_threads_work_than_there_are_cores_and_the_bytes_are_the_same() {
    let folder = folder();
    write_data(&folder.path().join("more"), [300, 20], [6, 5]);
    let train = |out: &str, threads: &str| {
        let options = ["--data", "more", "--objective", "iwae", "--k", "20", "--out", out, "--threads", threads];
        let printed = succeeds(folder.path(), &[&TRAIN[..], &options].concat());
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let expected = cores.min(threads.parse().unwrap());
        assert!(printed.contains(&format!(", {expected} thread")), "{printed}");
        content(&folder.path().join(out)).remove("model.safetensors").unwrap()
    };
    assert!(train("one", "1") == train("many", "1000"));
}
