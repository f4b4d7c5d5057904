//! Checkpoints, models and weights from PyTorch. Checksums are not looked at: almost no change would get past them.
#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use serde::de::IgnoredAny;
use vae::checkpoint::pytorch::{self, Told};
use vae::checkpoint::{Checkpoint, Model};

fuzz_target!(|bytes: &[u8]| {
    read(bytes);
    read(&with_length_set_right(bytes));
});

fn read(bytes: &[u8]) {
    let path = Path::new("x");
    let results = [
        Checkpoint::parse(path, bytes).map(drop),
        Model::parse(path, bytes).map(drop),
        pytorch::parse(path, bytes, &Told::default()).map(drop),
    ];
    for error in results.into_iter().filter_map(Result::err) {
        assert!(!error.to_string().contains('\n'), "{error}");
    }
}

/// The file with the true length of its header in front, which whatever makes the header longer leaves wrong.
fn with_length_set_right(bytes: &[u8]) -> Vec<u8> {
    let mut file = bytes.to_vec();
    if let Some((length, rest)) = file.split_first_chunk_mut::<8>() {
        let mut header = serde_json::Deserializer::from_slice(rest).into_iter::<IgnoredAny>();
        header.next();
        *length = (header.byte_offset() as u64).to_le_bytes();
    }
    file
}
