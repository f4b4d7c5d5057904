//! Data of one's own in a single file: an array, an archive of arrays, CIFAR-10's archive, a picture.
#![no_main]

use std::path::PathBuf;
use std::sync::LazyLock;

use datasets::Options;
use libfuzzer_sys::fuzz_target;

/// A folder for the file, of this process alone: in memory where there is such a place.
static FOLDER: LazyLock<PathBuf> = LazyLock::new(|| {
    let memory = PathBuf::from("/dev/shm");
    let parent = if memory.is_dir() { memory } else { std::env::temp_dir() };
    let folder = parent.join(format!("fuzz-data-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder for temporary files");
    folder
});

fuzz_target!(|bytes: &[u8]| {
    for name in ["x.npy", "x.npz", "x.tar.gz", "x.bmp", "x.gif", "x.webp"] {
        let path = FOLDER.join(name);
        std::fs::write(&path, bytes).expect("a temporary file");
        if let Err(error) = datasets::open_undivided(&path, &Options::default()) {
            assert!(!error.to_string().contains('\n'), "{error}");
        }
    }
});
