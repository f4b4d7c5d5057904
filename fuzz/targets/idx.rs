//! IDX files, plain or gzipped.
#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Err(error) = datasets::idx::parse(Path::new("x"), bytes) {
        assert!(!error.to_string().contains('\n'), "{error}");
    }
});
