//! The program from outside: what it leaves, what it prints, and how it refuses.

use std::fs::{self, File};
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::sync::OnceLock;

use autograd::kernels::simd::Isa;
use safetensors::SafeTensors;
use serde_json::Value;
use tempfile::{TempDir, tempdir};

use crate::common::{content, fails, json_lines, keys, names, succeeds, text, utf8, vae, write_data};

/// What every run leaves.
const FILES: [&str; 7] = [
    "checkpoint.safetensors",
    "config.toml",
    "curves.svg",
    "metrics.jsonl",
    "model.safetensors",
    "reconstructions.png",
    "samples.png",
];

/// Settings of a small model; ten updates an epoch.
const SMALL: [&str; 8] = ["--epochs", "2", "--hidden", "8", "--latent", "2", "--batch", "4"];

/// One data set and one run on it, for all tests: `data`, `run`, and what `train --json` printed.
struct Shared {
    folder: TempDir,
    printed: String,
}

impl Shared {
    fn get() -> &'static Shared {
        static SHARED: OnceLock<Shared> = OnceLock::new();
        SHARED.get_or_init(|| {
            let folder = tempdir().unwrap();
            write_data(&folder.path().join("data"), [40, 20], [6, 5]);
            let arguments = [&["train", "--data", "data", "--out", "run", "--json"], &SMALL[..]].concat();
            let printed = succeeds(folder.path(), &arguments);
            Shared { folder, printed }
        })
    }
}

fn data() -> PathBuf {
    Shared::get().folder.path().join("data")
}

fn run() -> PathBuf {
    Shared::get().folder.path().join("run")
}

/// Trains on the shared data: the folder of the run.
fn train(folder: &TempDir, arguments: &[&str]) -> PathBuf {
    let data = data();
    succeeds(folder.path(), &[&["train", "--out", "run", "--data", utf8(&data)], arguments].concat());
    folder.path().join("run")
}

fn model(run: &Path) -> Vec<u8> {
    fs::read(run.join("model.safetensors")).unwrap()
}

/// A copy of the shared run that may be written to.
fn copy_of_run() -> TempDir {
    let copy = tempdir().unwrap();
    for (name, bytes) in content(&run()).iter().filter(|(name, _)| FILES.contains(&name.as_str())) {
        fs::write(copy.path().join(name), bytes).unwrap();
    }
    copy
}

/// Decodes a whole picture: its width and height.
fn size_of_png(path: &Path) -> (u32, u32) {
    let mut png = png::Decoder::new(BufReader::new(File::open(path).unwrap())).read_info().unwrap();
    let mut pixels = vec![0; png.output_buffer_size().unwrap()];
    let info = png.next_frame(&mut pixels).unwrap();
    png.finish().unwrap();
    (info.width, info.height)
}

/// The shared run's metrics.jsonl.
fn metrics() -> Vec<Value> {
    json_lines(&fs::read_to_string(run().join("metrics.jsonl")).unwrap())
}

#[test]
fn a_run_leaves_exactly_the_promised_files_and_the_pictures_decode() {
    let mut promised = [&FILES[..], &["latent.png", "manifold.png"]].concat();
    promised.sort_unstable();
    assert_eq!(names(&run()), promised);
    for picture in promised.iter().filter(|name| name.ends_with(".png")) {
        let (width, height) = size_of_png(&run().join(picture));
        assert!(width >= 30 && height >= 30, "{picture}: {width} × {height}");
    }
    let svg = fs::read_to_string(run().join("curves.svg")).unwrap();
    assert!(svg.starts_with("<svg ") && svg.trim_end().ends_with("</svg>"));
    assert_eq!(names(&train(&tempdir().unwrap(), &["--epochs", "1", "--hidden", "8", "--latent", "3"])), FILES);
}

#[test]
fn metrics_have_a_line_per_epoch_whose_losses_add_up() {
    let metrics = metrics();
    assert_eq!(metrics.len(), 2);
    for (i, line) in metrics.iter().enumerate() {
        assert_eq!(keys(line), ["epoch", "images_per_second", "seconds", "step", "test", "train"]);
        assert_eq!((line["epoch"].as_u64(), line["step"].as_u64()), (Some(i as u64 + 1), Some(10 * (i as u64 + 1))));
        for losses in [&line["train"], &line["test"]] {
            assert_eq!(keys(losses), ["kl", "loss", "reconstruction"]);
            let [loss, reconstruction, kl] = ["loss", "reconstruction", "kl"].map(|key| losses[key].as_f64().unwrap());
            // serde_json may read the last digit of a number one off.
            assert!((loss - reconstruction - kl).abs() < 1e-12 * loss, "{losses}");
        }
    }
}

#[test]
fn train_json_prints_the_lines_of_metrics_jsonl_and_nothing_else() {
    assert_eq!(Shared::get().printed, fs::read_to_string(run().join("metrics.jsonl")).unwrap());
}

#[test]
fn every_instruction_set_of_this_cpu_writes_the_same_bytes() {
    let weights = |isa: &str| {
        let (out, data) = (tempdir().unwrap(), data());
        let arguments = [&["train", "--data", data.to_str().unwrap(), "--out", "run"], &SMALL[..]].concat();
        let output = vae(out.path(), &arguments).env("AUTOGRAD_SIMD", isa).output().unwrap();
        assert!(output.status.success(), "{isa}: {}", text(&output.stderr));
        fs::read(out.path().join("run/model.safetensors")).unwrap()
    };
    for isa in Isa::available() {
        assert_eq!(weights(&isa.to_string()), fs::read(run().join("model.safetensors")).unwrap(), "{isa}");
    }
    let unknown = vae(&run(), &["eval", "."]).env("AUTOGRAD_SIMD", "mmx").output().unwrap();
    assert_eq!((unknown.status.code(), text(&unknown.stderr).contains("found `mmx`")), (Some(2), true));
}

#[test]
fn equal_seeds_write_equal_bytes_whatever_the_threads_and_the_folder() {
    let config = run().join("config.toml");
    let of_first_run = model(&run());
    for arguments in [
        [&SMALL[..], &["--threads", "1"]].concat(),
        [&SMALL[..], &["--threads", "2"]].concat(),
        vec!["--config", utf8(&config)],
    ] {
        let folder = tempdir().unwrap();
        assert!(model(&train(&folder, &arguments)) == of_first_run, "{arguments:?}");
    }
    let folder = tempdir().unwrap();
    assert!(model(&train(&folder, &[&SMALL[..], &["--seed", "2"]].concat())) != of_first_run);
}

#[test]
fn a_model_holds_what_determines_it_and_no_path_thread_or_time() {
    let bytes = model(&run());
    let (_, metadata) = SafeTensors::read_metadata(&bytes).unwrap();
    let entries = metadata.metadata().as_ref().unwrap();
    assert_eq!(entries.keys().collect::<Vec<_>>(), ["vae"]);
    let settings = entries["vae"].lines().filter_map(|line| Some(line.split_once(" = ")?.0)).collect::<Vec<_>>();
    let expected = "format height width channels epochs batch hidden latent activation lr schedule adam_betas adam_eps objective k beta free_bits weight_decay precision binarize likelihood init_bias seed";
    assert_eq!(settings.join(" "), expected);
}

#[test]
fn in_bf16_other_weights_are_learned_and_the_tape_says_so() {
    let folder = tempdir().unwrap();
    let rounded = train(&folder, &[&SMALL[..], &["--precision", "bf16"]].concat());
    assert!(model(&rounded) != model(&run()));
    assert!(fs::read_to_string(rounded.join("config.toml")).unwrap().contains("precision = \"bf16\""));
    let tape = |run: &Path| succeeds(run, &["tape", ".", "--batch", "3", "--runs", "1"]);
    assert!(tape(&rounded).contains("Linear relu bf16") && !tape(&run()).contains("bf16"));
    let last: Value = json_lines(&fs::read_to_string(rounded.join("metrics.jsonl")).unwrap()).pop().unwrap();
    let evaluated = json_lines(&succeeds(&rounded, &["eval", ".", "--json"])).remove(0);
    assert_eq!(evaluated["loss"], last["test"]["loss"]);
}

#[test]
fn an_argument_overrides_the_file_and_the_file_the_default() {
    let folder = tempdir().unwrap();
    fs::write(folder.path().join("c.toml"), "epochs = 1\nhidden = [7, 3]\nlr = 0.5\nbatch = 10").unwrap();
    let run = train(&folder, &["--config", "c.toml", "--lr", "0.25", "--hidden", "4"]);
    let config = fs::read_to_string(run.join("config.toml")).unwrap();
    for line in ["epochs = 1", "hidden = [4]", "lr = 0.25", "batch = 10", "latent = 20"] {
        assert!(config.lines().any(|l| l == line), "{line}: {config}");
    }
}

#[test]
fn a_run_finds_its_data_from_any_folder() {
    let (folder, elsewhere) = (tempdir().unwrap(), tempdir().unwrap());
    write_data(&folder.path().join("data"), [4, 3], [2, 2]);
    fs::write(folder.path().join("c.toml"), "data = 'data'\nepochs = 1\nhidden = [4]").unwrap();
    for (out, options) in [
        ("by-argument", &["--data", "data", "--epochs", "1", "--hidden", "4"][..]),
        ("by-file", &["--config", "c.toml"]),
    ] {
        succeeds(folder.path(), &[&["train", "--out", out], options].concat());
        let printed = succeeds(elsewhere.path(), &["eval", utf8(&folder.path().join(out))]);
        assert!(printed.starts_with("3 test images"), "{printed}");
    }
}

#[test]
fn runs_are_numbered_and_none_is_overwritten() {
    let folder = tempdir().unwrap();
    let data = data();
    let train = |seed| {
        let arguments = ["train", "--data", utf8(&data), "--epochs", "1", "--hidden", "4", "--seed", seed];
        succeeds(folder.path(), &arguments)
    };
    let runs = folder.path().join("runs");
    assert!(train("1").ends_with("wrote runs/vae-1\n"));
    let first = content(&runs.join("vae-1"));
    assert!(train("2").ends_with("wrote runs/vae-2\n"));
    assert!(content(&runs.join("vae-1")) == first);
    assert!(model(&runs.join("vae-2")) != first["model.safetensors"]);
}

#[test]
fn a_folder_with_files_is_refused_and_not_touched() {
    let folder = tempdir().unwrap();
    fs::create_dir(folder.path().join("mine")).unwrap();
    fs::write(folder.path().join("mine/model.safetensors"), "precious").unwrap();
    let problem = fails(1, folder.path(), &["train", "--data", utf8(&data()), "--out", "mine"]);
    assert!(problem.starts_with("vae: mine: "), "{problem}");
    assert_eq!(content(&folder.path().join("mine")), [("model.safetensors".into(), b"precious".to_vec())].into());
}

#[test]
fn an_evaluation_repeats_the_last_test_losses_exactly_every_time() {
    let eval = |threads| succeeds(&run(), &["eval", ".", "--json", "--threads", threads]);
    let printed = eval("1");
    assert_eq!(printed, eval("2"));
    let [evaluation] = &json_lines(&printed)[..] else { panic!("{printed}") };
    let (losses, parts) =
        (["active_units", "kl", "kl_per_dimension", "loss"], ["mutual_information", "mutual_information_se"]);
    assert_eq!(keys(evaluation), [&losses[..], &["marginal_kl", "meaning"], &parts, &["reconstruction"]].concat());
    let last = &metrics()[1]["test"];
    for key in ["loss", "reconstruction", "kl"] {
        assert_eq!(evaluation[key], last[key], "{key}");
    }
    let dimensions = evaluation["kl_per_dimension"].as_array().unwrap();
    let sum: f64 = dimensions.iter().map(|kl| kl.as_f64().unwrap()).sum();
    assert_eq!(dimensions.len(), 2);
    assert!((sum - evaluation["kl"].as_f64().unwrap()).abs() < 1e-5);
    assert!(evaluation["active_units"].as_u64().unwrap() <= 2);
}

#[test]
fn importance_sampling_adds_its_estimate_and_bounds_that_tighten_to_the_evaluation() {
    let eval = |threads| {
        let options = ["--json", "--importance-samples", "60", "--threads", threads];
        succeeds(&run(), &[&["eval", "."], &options[..]].concat())
    };
    let printed = eval("1");
    assert_eq!(printed, eval("2"));
    let with = &json_lines(&printed)[0];
    let without = &json_lines(&succeeds(&run(), &["eval", ".", "--json"]))[0];
    assert!(without.as_object().unwrap().iter().all(|(key, value)| with[key] == *value));
    let added: Vec<&str> = keys(with).into_iter().filter(|key| !keys(without).contains(key)).collect();
    let expected = ["bounds", "effective_samples", "negative_log_p", "negative_log_p_se"];
    assert_eq!(added, expected);
    let bound = |k: &str| with["bounds"][k].as_f64().unwrap();
    assert!(bound("1") > bound("5") && bound("5") > bound("50") && bound("50") > bound("60"), "{}", with["bounds"]);
    assert_eq!(with["bounds"]["60"], with["negative_log_p"]);
    let table = succeeds(&run(), &["eval", ".", "--importance-samples", "5"]);
    assert!(table.contains("−log p(x) is at most") && table.contains("standard error over the images"), "{table}");
}

#[test]
fn pictures_are_written_where_it_says_and_nowhere_else() {
    let copy = copy_of_run();
    for (arguments, picture) in [
        (&["sample", "."][..], "sample-seed1.png"),
        (&["sample", ".", "-n", "3", "--seed", "5"], "sample-seed5.png"),
        (&["reconstruct", "."], "reconstructions.png"),
        (&["interpolate", ".", "--from", "3", "--to", "19"], "interpolation-3-19.png"),
        (&["sample", ".", "--out", "a b.png"], "a b.png"),
    ] {
        let mut expected = names(copy.path());
        assert!(succeeds(copy.path(), arguments).trim_end().ends_with(picture), "{arguments:?}");
        expected.push(picture.into());
        expected.sort();
        expected.dedup();
        assert_eq!(names(copy.path()), expected, "{arguments:?}");
        size_of_png(&copy.path().join(picture));
    }
    assert!(fs::read(copy.path().join("reconstructions.png")).unwrap() == content(&run())["reconstructions.png"]);
}

#[test]
fn a_sample_is_a_function_of_seed_and_temperature() {
    let copy = copy_of_run();
    let sample = |options: &[&str]| {
        succeeds(copy.path(), &[&["sample", ".", "--out", "s.png"], options].concat());
        fs::read(copy.path().join("s.png")).unwrap()
    };
    let first = sample(&["--seed", "7"]);
    assert!(sample(&["--seed", "7"]) == first);
    assert!(sample(&["--seed", "8"]) != first);
    assert!(sample(&["--seed", "7", "--temperature", "0"]) != first);
}

#[test]
fn the_tape_has_a_line_per_operation_in_both_forms() {
    let tape = |options: &[&str]| succeeds(&run(), &[&["tape", ".", "--batch", "3", "--runs", "2"], options].concat());
    let lines = json_lines(&tape(&["--json"]));
    let table = tape(&[]);
    for (i, line) in lines.iter().enumerate() {
        let expected = "backward_seconds bytes flops forward_seconds of operation shape slot";
        assert_eq!(keys(line).join(" "), expected);
        assert_eq!(line["slot"], format!("%{i}"));
        let name = line["operation"].as_str().unwrap();
        assert!(table.lines().any(|l| l.starts_with(&format!("%{i} ")) && l.contains(name)), "%{i} {name}: {table}");
    }
    assert!(lines.len() > 5 && table.contains("encoder.0.weight"), "{table}");
}

/// Arguments, what names the mistake in them, and the exit code; `data`, `run` and the others are laid out below.
#[rustfmt::skip]
const WRONG: [(&str, &str, i32); 59] = [
    ("train --latent 0", "--latent", 2),
    ("train --batch 0", "--batch", 2),
    ("train --epochs 0", "--epochs", 2),
    ("train --hidden 0", "--hidden", 2),
    ("train --hidden 400,,3", "--hidden", 2),
    ("train --hidden 4 --hidden 5", "--hidden", 2),
    ("train --hidden 1000000000", "--hidden", 2),
    ("train --latent 1000000000", "--latent", 2),
    ("train --lr 0", "--lr", 2),
    ("train --lr nan", "--lr", 2),
    ("train --lr inf", "--lr", 2),
    ("train --lr x", "--lr", 2),
    ("train --lr -1", "--lr", 2),
    ("train --beta -1", "--beta", 2),
    ("train --weight-decay -1", "--weight-decay", 2),
    ("train --seed -1", "--seed", 2),
    ("train --seed 9223372036854775808", "--seed", 2),
    ("train --threads 0", "--threads", 2),
    ("train --threads 1025", "--threads", 2),
    ("train --limit 0", "--limit", 2),
    ("train --binarize some", "--binarize", 2),
    ("train --activation swish", "--activation", 2),
    ("train --precision half", "--precision", 2),
    ("train --image-size 32", "--image-size", 2),
    ("train --image-size 0x5 --data data", "--image-size", 2),
    ("train --image-size 5x6", "--image-size", 2),
    ("train --channels 2", "--channels", 2),
    ("train --image-size 5x6 --data data", "data: expected images of 5 × 6, found 6 × 5", 1),
    ("train --channels 3 --data data", "data: expected images of 3 channels, found 1", 1),
    ("train --bogus", "--bogus", 2),
    ("train extra", "extra", 2),
    ("no-such-command", "no-such-command", 2),
    ("eval", "<RUN>", 2),
    ("eval run --importance-samples 0", "--importance-samples", 2),
    ("sample run -n 0", "-n", 2),
    ("sample run --temperature nan", "--temperature", 2),
    ("sample run --temperature -1", "--temperature", 2),
    ("sample run --seed -1", "--seed", 2),
    ("interpolate run --from 10000000", "--from", 2),
    ("interpolate run --from -1", "--from", 2),
    ("interpolate run --to 20", "--to", 2),
    ("interpolate run --steps 1", "--steps", 2),
    ("tape run --batch 0", "--batch", 2),
    ("train --data missing", "missing", 1),
    ("train --data run", "run: expected images, found the folder of a run", 1),
    ("train --out file/x", "file/x", 1),
    ("train --out file", "file", 1),
    ("train --config missing.toml", "missing.toml", 1),
    ("train --config broken.toml", "broken.toml: line 1", 1),
    ("train --config unknown.toml", "`latnt`", 1),
    ("eval missing", "missing", 1),
    ("eval two\nlines", "lines: expected a run folder", 1),
    ("eval data", "data", 1),
    ("eval run --data small", "small: expected images of 6 × 5", 1),
    ("eval truncated", "truncated/model.safetensors", 1),
    ("eval flipped", "flipped/model.safetensors", 1),
    ("sample foreign", "foreign/model.safetensors", 1),
    ("sample run --out missing/x.png", "missing/x.png", 1),
    ("sample run --out data", "data", 1),
];

#[test]
fn a_wrong_use_is_one_line_that_names_it_and_nothing_is_created() {
    let folder = tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    write_data(&at("data"), [40, 20], [6, 5]);
    write_data(&at("small"), [1, 1], [2, 2]);
    let good = content(&run());
    let lay_out = |name: &str, model: &[u8]| {
        fs::create_dir(at(name)).unwrap();
        fs::write(at(name).join("config.toml"), &good["config.toml"]).unwrap();
        fs::write(at(name).join("model.safetensors"), model).unwrap();
    };
    let model = &good["model.safetensors"];
    let mut flipped = model.clone();
    flipped[10] ^= 0x55;
    lay_out("run", model);
    lay_out("truncated", &model[..model.len() - 1]);
    lay_out("flipped", &flipped);
    lay_out("foreign", b"PK a zip, perhaps");
    fs::write(at("file"), "a file").unwrap();
    fs::write(at("broken.toml"), "epochs = ").unwrap();
    fs::write(at("unknown.toml"), "latnt = 5").unwrap();

    let everything = || {
        let mut all: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
        let inside: Vec<_> = all.iter().filter(|path| path.is_dir()).map(|path| content(path)).collect();
        all.sort();
        (all, inside)
    };
    let before = everything();
    for (line, culprit, code) in WRONG {
        let problem = fails(code, folder.path(), &line.split(' ').collect::<Vec<_>>());
        assert!(problem.contains(culprit), "{line}: {problem}");
        assert!(everything() == before, "{line} left something behind");
    }
}

#[test]
fn a_run_that_diverges_names_step_and_operation_and_leaves_no_model() {
    let folder = tempdir().unwrap();
    let data = data();
    let arguments = [&["train", "--data", utf8(&data), "--out", "run", "--lr", "1e30"], &SMALL[..]].concat();
    let problem = fails(1, folder.path(), &arguments);
    assert!(problem.contains("step 2 (epoch 1)") && problem.contains("is the value of %"), "{problem}");
    assert_eq!(names(&folder.path().join("run")), ["config.toml"]);
}

/// Diverges after one update an epoch: no step follows the last one and would notice.
fn diverges_between_epochs(folder: &TempDir, lr: &str) -> Output {
    let data = data();
    let arguments = ["train", "--data", utf8(&data), "--out", "run", "--json", "--lr", lr, "--batch", "40"];
    vae(folder.path(), &[&arguments[..], &["--epochs", "50", "--hidden", "8", "--latent", "2"]].concat())
        .output()
        .unwrap()
}

#[test]
fn a_run_that_diverges_in_the_last_update_of_an_epoch_leaves_no_model() {
    for lr in ["1e30", "1e300"] {
        let folder = tempdir().unwrap();
        let Output { status, stderr, stdout } = diverges_between_epochs(&folder, lr);
        assert_eq!(status.code(), Some(1), "{}", text(&stdout));
        assert!(text(&stderr).contains("step 1 (epoch 1)"), "{}", text(&stderr));
        assert_eq!(names(&folder.path().join("run")), ["config.toml"]);
    }
}

#[test]
fn a_run_that_diverges_later_keeps_its_last_good_epoch_and_prints_nothing_but_json() {
    let folder = tempdir().unwrap();
    let Output { status, stdout, .. } = diverges_between_epochs(&folder, "500");
    assert_eq!(status.code(), Some(1));
    assert_eq!(text(&stdout), fs::read_to_string(folder.path().join("run/metrics.jsonl")).unwrap());
    let evaluation = json_lines(&succeeds(folder.path(), &["eval", "run", "--json"])).remove(0);
    assert_eq!(evaluation["loss"], json_lines(&text(&stdout)).last().unwrap()["test"]["loss"]);
    assert!(evaluation["loss"].is_f64());
}

/// A rename replaces what is there: as root, `--out /dev/null` would have been the end of it.
#[cfg(unix)]
#[test]
fn a_picture_does_not_take_the_place_of_what_is_no_file() {
    let copy = copy_of_run();
    let link = copy.path().join("link");
    std::os::unix::fs::symlink("elsewhere", &link).unwrap();
    assert!(fails(1, copy.path(), &["sample", ".", "--out", "link"]).contains("link: "));
    assert_eq!(fs::read_link(link).unwrap(), Path::new("elsewhere"));
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    for arguments in [&["eval", "."][..], &["tape", ".", "--runs", "1"], &["tape", ".", "--runs", "1", "--json"]] {
        let mut child = vae(&run(), arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let mut problem = String::new();
        child.stderr.take().unwrap().read_to_string(&mut problem).unwrap();
        assert!(child.wait().unwrap().success() && problem.is_empty(), "{arguments:?}: {problem}");
    }
}

#[test]
fn one_image_of_one_pixel_is_enough() {
    let folder = tempdir().unwrap();
    write_data(&folder.path().join("data"), [1, 1], [1, 1]);
    // Its one pixel is black, which is said by whoever reads it.
    let said_to = |arguments: &[&str]| {
        let Output { status, stderr, .. } = vae(folder.path(), arguments).output().unwrap();
        assert!(status.success(), "{arguments:?}: {}", text(&stderr));
        text(&stderr)
    };
    let train = ["train", "--data", "data", "--epochs", "1", "--latent", "2", "--out", "a run"];
    assert!(said_to(&train).ends_with("data: all pixels are black\n"));
    for command in ["eval", "sample", "reconstruct", "interpolate", "tape"] {
        let said = said_to(&[command, "a run"]);
        assert!(said.is_empty() || said.ends_with("data: all pixels are black\n"), "{command}: {said}");
    }
}

#[test]
fn the_built_in_digits_are_trained_on_if_no_data_is_named() {
    let folder = tempdir().unwrap();
    let options = ["--epochs", "1", "--limit", "256", "--hidden", "8", "--latent", "3"];
    let printed = succeeds(folder.path(), &[&["train"], &options[..]].concat());
    assert!(printed.contains("256 training and 10,000 test images of 28 × 28"), "{printed}");
}
