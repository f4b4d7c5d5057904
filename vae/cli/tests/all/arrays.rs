//! Arrays and IDX files as people have them, trained on by the program: what is assumed is said, and what is chosen is kept.

use std::fs;
use std::io::{Cursor, Write};
use std::path::Path;

use tempfile::tempdir;

use crate::common::{fails, succeeds, text, vae, write_data};

const SMALL: [&str; 10] = ["--epochs", "1", "--hidden", "4", "--latent", "2", "--batch", "8", "--out", "run"];

/// A `.npy` file.
fn npy(descr: &str, shape: &str, data: &[u8]) -> Vec<u8> {
    let header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}");
    [b"\x93NUMPY\x01\x00\x76\x00", format!("{header:<117}\n").as_bytes(), data].concat()
}

/// 20 images of 4 × 5 with numbers below `end`.
fn images(end: usize) -> Vec<u8> {
    npy("|u1", "(20, 4, 5)", &(0..400).map(|i| (i * i % end) as u8).collect::<Vec<_>>())
}

/// Trains; what is said on standard error.
fn trained(folder: &Path, arguments: &[&str]) -> String {
    let arguments = [&["train"], arguments, &SMALL].concat();
    let output = vae(folder, &arguments).output().unwrap();
    let said = text(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {said}");
    said
}

#[test]
fn what_is_assumed_of_an_array_is_said_in_a_line_with_its_path() {
    let folder = tempdir().unwrap();
    fs::write(folder.path().join("mask.npy"), images(2)).unwrap();
    let said = trained(folder.path(), &["--data", "mask.npy"]);
    assert!(said.starts_with("vae: ") && said.lines().count() == 1, "{said}");
    assert!(said.ends_with("mask.npy: all pixels are 0 and 1: 1 is taken for white\n"), "{said}");
    // White is white: the images are black and white, and not all but black.
    let config = fs::read_to_string(folder.path().join("run/config.toml")).unwrap();
    assert!(config.contains("init_bias = true"), "{config}");
}

#[test]
fn a_key_chooses_among_arrays_and_is_kept_with_the_run() {
    let folder = tempdir().unwrap();
    let mut zip = zip_of(&[("faces", images(250)), ("masks", images(200)), ("ids", npy("|u1", "(20,)", &[7; 20]))]);
    fs::write(folder.path().join("d.npz"), &mut zip).unwrap();
    let problem = fails(1, folder.path(), &["train", "--data", "d.npz"]);
    assert!(problem.contains("found faces, masks, ids; --key NAME picks the images"), "{problem}");
    let problem = fails(1, folder.path(), &["train", "--data", "d.npz", "--key", "noses"]);
    assert!(problem.contains("expected an array called noses (--key), found faces, masks, ids"), "{problem}");

    assert_eq!(trained(folder.path(), &["--data", "d.npz", "--key", "faces"]), "");
    succeeds(folder.path(), &["eval", "run"]);
    let problem = fails(2, folder.path(), &["train", "--key", "faces"]);
    assert!(problem.starts_with("vae: --key: expected no key"), "{problem}");
}

#[test]
fn labels_that_are_none_do_not_stop_training() {
    let folder = tempdir().unwrap();
    let labels = npy("|O", "(20,)", b"pickled");
    fs::write(folder.path().join("d.npz"), zip_of(&[("images", images(250)), ("labels", labels)])).unwrap();
    let said = trained(folder.path(), &["--data", "d.npz"]);
    let expected = "d.npz: labels: expected numbers or text, found |O, Python objects; these labels are left out\n";
    assert!(said.ends_with(expected), "{said}");
}

#[test]
fn torchvisions_folder_and_one_set_of_several_are_trained_on() {
    let folder = tempdir().unwrap();
    let raw = folder.path().join("torch/MNIST/raw");
    fs::create_dir_all(raw.parent().unwrap()).unwrap();
    write_data(&raw, [20, 8], [4, 5]);
    assert_eq!(trained(folder.path(), &["--data", "torch"]), "");
    for name in
        ["train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"]
    {
        for set in ["letters", "digits"] {
            fs::copy(raw.join(name), folder.path().join(format!("emnist-{set}-{name}"))).unwrap();
        }
    }
    let problem = fails(1, folder.path(), &["train", "--data", "."]);
    assert!(problem.contains("found emnist-digits, emnist-letters; --key NAME picks one"), "{problem}");
    let arguments = [&["train", "--data", ".", "--key", "letters"], &SMALL[..8], &["--out", "letters"]].concat();
    // EMNIST's images are stored column by column.
    assert!(succeeds(folder.path(), &arguments).contains("images of 5 × 4"));
}

/// A `.npz` archive: a zip of files that are stored as they are.
fn zip_of(arrays: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut file = Cursor::new(Vec::new());
    let mut directory = Vec::new();
    for (name, content) in arrays {
        let name = format!("{name}.npy");
        let offset = file.position() as u32;
        let size = (content.len() as u32).to_le_bytes();
        // Version, flags, method, time and date; checksum, sizes and the length of the name.
        let entry = [
            &[20, 0, 0, 0, 0, 0, 0, 0, 0x21, 0][..],
            &crc32fast::hash(content).to_le_bytes(),
            &size,
            &size,
            &(name.len() as u16).to_le_bytes(),
            &[0, 0],
        ]
        .concat();
        file.write_all(&[b"PK\x03\x04", &entry[..], name.as_bytes(), content].concat()).unwrap();
        directory
            .extend([b"PK\x01\x02\x14\x00", &entry[..], &[0; 10], &offset.to_le_bytes(), name.as_bytes()].concat());
    }
    let (entries, start) = ((arrays.len() as u16).to_le_bytes(), (file.position() as u32).to_le_bytes());
    let length = (directory.len() as u32).to_le_bytes();
    let end = [b"PK\x05\x06\0\0\0\0", &entries[..], &entries, &length, &start, &[0, 0]].concat();
    [file.into_inner(), directory, end].concat()
}
