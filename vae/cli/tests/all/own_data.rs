//! Data of one's own: pictures and arrays, from the first to the last command.

use std::fs;
use std::path::Path;

use png::{BitDepth, ColorType};
use tempfile::{TempDir, tempdir};

use crate::common::{content, fails, metrics, succeeds, text, vae};

/// Settings of a small model; a few updates an epoch.
const SMALL: [&str; 8] = ["--epochs", "2", "--hidden", "8", "--latent", "2", "--batch", "8"];

/// A PNG with an arbitrary pattern that depends on `seed`.
fn png(path: &Path, seed: usize, [height, width, channels]: [usize; 3]) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let mut encoder = png::Encoder::new(fs::File::create(path).unwrap(), width as u32, height as u32);
    encoder.set_color(if channels == 1 { ColorType::Grayscale } else { ColorType::Rgb });
    encoder.set_depth(BitDepth::Eight);
    let pixels: Vec<u8> = (0..height * width * channels).map(|i| (i * (i + seed) % 251) as u8).collect();
    encoder.write_header().unwrap().write_image_data(&pixels).unwrap();
}

/// 40 pictures in two sub-folders.
fn pictures(size: [usize; 3]) -> TempDir {
    let dir = tempdir().unwrap();
    for i in 0..40 {
        png(&dir.path().join("data").join(["cats", "dogs"][i % 2]).join(format!("{i}.png")), i, size);
    }
    dir
}

/// The width, the height and the colours of a picture that a command has drawn.
fn measures(path: &Path) -> (u32, u32, ColorType) {
    let reader = png::Decoder::new(std::io::BufReader::new(fs::File::open(path).unwrap())).read_info().unwrap();
    (reader.info().width, reader.info().height, reader.info().color_type)
}

/// Trains on `data` in the folder, and has every command that takes a run show what it learned.
fn from_training_to_pictures(folder: &Path, data: &str, arguments: &[&str]) {
    let train = [&["train", "--data", data, "--out", "run"], &SMALL[..], arguments].concat();
    succeeds(folder, &train);
    let run = folder.join("run");
    let losses = metrics(&run);
    assert_eq!(losses.len(), 2);
    let evaluation = succeeds(folder, &["eval", "run", "--json"]);
    let evaluation: serde_json::Value = serde_json::from_str(&evaluation).unwrap();
    assert_eq!(evaluation["loss"], losses[1]["test"]["loss"]);
    for command in [&["sample", "run", "-n", "4"][..], &["reconstruct", "run", "-n", "2"], &["interpolate", "run"]] {
        succeeds(folder, command);
    }
    // Settings that are repeated repeat the run.
    succeeds(folder, &["train", "--config", "run/config.toml", "--out", "again"]);
    let again = content(&folder.join("again"));
    assert!(again["model.safetensors"] == content(&run)["model.safetensors"]);
}

#[test]
fn grey_pictures_are_trained_on_as_they_are() {
    let folder = pictures([6, 5, 1]);
    from_training_to_pictures(folder.path(), "data", &[]);
    assert_eq!(measures(&folder.path().join("run/samples.png")).2, ColorType::Grayscale);
}

#[test]
fn coloured_pictures_are_resized_and_give_coloured_pictures() {
    let folder = pictures([12, 10, 3]);
    png(&folder.path().join("data/cats/another-size.png"), 7, [30, 20, 3]);
    from_training_to_pictures(folder.path(), "data", &["--image-size", "6x4"]);
    assert_eq!(measures(&folder.path().join("run/samples.png")).2, ColorType::Rgb);
    let config = fs::read_to_string(folder.path().join("run/config.toml")).unwrap();
    assert!(config.contains("image_size = [") && !config.contains("channels"), "{config}");

    // Other pictures become what the model knows, whatever they were.
    png(&folder.path().join("other/1.png"), 1, [5, 5, 1]);
    png(&folder.path().join("other/2.png"), 2, [50, 40, 3]);
    succeeds(folder.path(), &["eval", "run", "--data", "other"]);
}

#[test]
fn coloured_pictures_become_grey_if_that_is_wished() {
    let folder = pictures([6, 5, 3]);
    from_training_to_pictures(folder.path(), "data", &["--channels", "1"]);
    assert_eq!(measures(&folder.path().join("run/samples.png")).2, ColorType::Grayscale);
}

#[test]
fn an_array_of_floats_is_trained_on() {
    let folder = tempdir().unwrap();
    let header = format!("{:<117}\n", "{'descr': '<f4', 'fortran_order': False, 'shape': (40, 30), }");
    let floats = (0..40 * 30).flat_map(|i| (((i * i) % 251) as f32 / 250.0).to_le_bytes());
    let file = [b"\x93NUMPY\x01\x00\x76\x00", header.as_bytes()].concat().into_iter().chain(floats);
    fs::write(folder.path().join("data.npy"), file.collect::<Vec<u8>>()).unwrap();
    from_training_to_pictures(folder.path(), "data.npy", &["--image-size", "6x5"]);
    let problem = fails(1, folder.path(), &["train", "--data", "data.npy", "--image-size", "7x5"]);
    assert!(problem.contains("data.npy: rows of 30 numbers are not images of 7 × 5"), "{problem}");
}

#[test]
fn pictures_of_different_sizes_ask_for_one() {
    let folder = pictures([6, 5, 1]);
    png(&folder.path().join("data/cats/0.png"), 7, [5, 6, 1]);
    let problem = fails(1, folder.path(), &["train", "--data", "data"]);
    assert!(
        problem.contains("found cats/0.png of 5 × 6 and cats/10.png of 6 × 5; --image-size HxW resizes all"),
        "{problem}"
    );
    assert!(!folder.path().join("runs").exists());
}

#[test]
fn pictures_that_cannot_be_read_are_named_and_skipped() {
    let folder = pictures([6, 5, 1]);
    for i in 0..7 {
        fs::write(folder.path().join(format!("data/cats/broken-{i}.png")), "no picture").unwrap();
    }
    let arguments = [&["train", "--data", "data", "--out", "run"], &SMALL[..]].concat();
    let output = vae(folder.path(), &arguments).output().unwrap();
    let complaints = text(&output.stderr);
    let lines: Vec<&str> = complaints.lines().collect();
    assert!(output.status.success() && lines.len() == 6, "{complaints}");
    assert!(
        lines[0].starts_with("vae: skipped ") && lines[0].contains("data/cats/broken-0.png: expected a PNG"),
        "{complaints}"
    );
    assert_eq!(lines[5], "vae: skipped 2 more pictures that cannot be read");
}

#[test]
fn runs_in_the_folder_of_their_data_are_no_part_of_it() {
    for [one, other] in [["cats/", "dogs/"], ["", ""]] {
        let folder = tempdir().unwrap();
        for i in 0..20 {
            png(&folder.path().join([one, other][i % 2]).join(format!("{i}.png")), i, [6, 5, 1]);
        }
        succeeds(folder.path(), &[&["train", "--data", "."], &SMALL[..]].concat());
        let evaluated = succeeds(folder.path(), &["eval", "runs/vae-1", "--json"]);
        succeeds(folder.path(), &["train", "--resume", "runs/vae-1", "--epochs", "3"]);
        // Other data would be refused, and so would pictures of other sizes.
        let again =
            succeeds(folder.path(), &["train", "--data", ".", "--epochs", "1", "--hidden", "2", "--latent", "2"]);
        assert!(again.contains("images of 6 × 5") && !evaluated.is_empty(), "{again}");
    }
}

#[test]
fn folders_called_train_and_test_are_what_is_trained_and_tested_on() {
    let folder = tempdir().unwrap();
    for i in 0..12 {
        png(&folder.path().join(format!("data/Train/{}/{i}.png", i % 3)), i, [6, 5, 1]);
    }
    for i in 0..5 {
        png(&folder.path().join(format!("data/test/{}/{i}.png", i % 3)), i + 20, [6, 5, 1]);
        png(&folder.path().join(format!("data/val/{}/{i}.png", i % 3)), i + 30, [6, 5, 1]);
    }
    fs::write(folder.path().join("data/labels.csv"), "").unwrap();
    let train = [&["train", "--data", "data", "--out", "run"], &SMALL[..]].concat();
    let output = vae(folder.path(), &train).output().unwrap();
    assert!(text(&output.stdout).contains("12 training and 5 test images of 6 × 5"), "{}", text(&output.stdout));
    let said = text(&output.stderr);
    let notes: Vec<_> =
        said.lines().map(|line| line.split_once("data: ").expect("the path, and what there is to say").1).collect();
    let expected = [
        "left out 5 pictures in val: Train is trained on and test tested on",
        "passed over 1 file that is no picture: 1 .csv",
    ];
    assert_eq!(notes, expected);
}

/// How many images of this size a row of a picture holds, at three screen pixels for each of theirs.
fn tiles(path: &Path, [height, width]: [u32; 2]) -> (u32, u32) {
    let (full_width, full_height, _) = measures(path);
    ((full_height - 2) / (3 * height + 2), (full_width - 2) / (3 * width + 2))
}

#[test]
fn pictures_of_ones_own_are_shown_to_a_model_all_of_them() {
    let folder = pictures([6, 5, 1]);
    succeeds(folder.path(), &[&["train", "--data", "data", "--out", "run"], &SMALL[..]].concat());
    png(&folder.path().join("one/mine.png"), 1, [12, 10, 3]);
    for i in 0..6 {
        png(&folder.path().join(format!("six/{i}.png")), i, [6, 5, 1]);
    }
    let reconstructed = |data: &[&str]| {
        succeeds(folder.path(), &[&["reconstruct", "run", "--out", "r.png", "--data"], data].concat());
        tiles(&folder.path().join("r.png"), [6, 5])
    };
    assert_eq!(reconstructed(&["one/mine.png"]), (2, 1));
    assert_eq!(reconstructed(&["one"]), (2, 1));
    assert_eq!(reconstructed(&["six"]), (2, 6));
    assert_eq!(reconstructed(&["six", "one/mine.png", "six/2.png"]), (2, 8));
    assert_eq!(reconstructed(&["six", "-n", "4"]), (2, 4));

    succeeds(folder.path(), &["interpolate", "run", "--out", "i.png", "--data", "one/mine.png", "six/3.png"]);
    assert_eq!(tiles(&folder.path().join("i.png"), [6, 5]), (1, 12));
    let problem = fails(2, folder.path(), &["interpolate", "run", "--to", "1", "--data", "one/mine.png"]);
    assert_eq!(problem, "vae: --to: expected an index below 1, found 1\n");
    let everything = ["--importance-samples", "3", "--ais-steps", "3", "--gap-images", "1", "--out", "e", "--json"];
    let printed = succeeds(folder.path(), &[&["eval", "run", "--data", "one/mine.png"], &everything[..]].concat());
    assert!(!printed.contains("null") && !printed.contains("NaN"), "{printed}");
    let printed = succeeds(folder.path(), &["eval", "run", "--data", "six"]);
    assert!(printed.starts_with("6 test images"), "{printed}");

    let problem = fails(1, folder.path(), &["train", "--data", "one/mine.png"]);
    assert!(
        problem.ends_with("expected at least 2 images, one to train on and one to test on, found 1\n"),
        "{problem}"
    );
    let problem = fails(1, folder.path(), &["reconstruct", "run", "--data", "six", "missing.png"]);
    assert_eq!(problem, "vae: missing.png: there is no such file or folder\n");
}

#[test]
fn pictures_of_large_images_fit_a_screen() {
    let folder = tempdir().unwrap();
    for i in 0..3 {
        png(&folder.path().join(format!("data/{i}.png")), i, [400, 500, 3]);
    }
    let small = ["--epochs", "1", "--hidden", "2", "--latent", "2"];
    succeeds(folder.path(), &[&["train", "--data", "data", "--out", "run"], &small[..]].concat());
    succeeds(folder.path(), &["reconstruct", "run", "-n", "3", "--data", "data"]);
    succeeds(folder.path(), &["interpolate", "run", "--steps", "40", "--out", "run/walk.png"]);
    for name in ["samples.png", "manifold.png", "reconstructions.png", "walk.png"] {
        let (width, height, _) = measures(&folder.path().join("run").join(name));
        assert!((1000..=3072).contains(&width) && height <= 3072, "{name}: {width} × {height}");
    }
}
