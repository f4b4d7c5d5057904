//! The inverse of [`crate::idx::parse`], for tests.

use crate::idx::{Elements, Idx};
use flate2::{Compression, write::GzEncoder};
use std::io::Write;

/// The bytes of an IDX file that holds `idx`.
pub(crate) fn encode(idx: &Idx) -> Vec<u8> {
    let (code, data): (u8, Vec<u8>) = match &idx.elements {
        Elements::U8(values) => (0x08, values.clone()),
        Elements::I8(values) => (0x09, values.iter().flat_map(|value| value.to_be_bytes()).collect()),
        Elements::I16(values) => (0x0B, values.iter().flat_map(|value| value.to_be_bytes()).collect()),
        Elements::I32(values) => (0x0C, values.iter().flat_map(|value| value.to_be_bytes()).collect()),
        Elements::F32(values) => (0x0D, values.iter().flat_map(|value| value.to_be_bytes()).collect()),
        Elements::F64(values) => (0x0E, values.iter().flat_map(|value| value.to_be_bytes()).collect()),
    };
    let mut file = vec![0, 0, code, idx.shape.len() as u8];
    file.extend(idx.shape.iter().flat_map(|&size| (size as u32).to_be_bytes()));
    file.extend(data);
    file
}

/// `bytes`, gzipped.
pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}
