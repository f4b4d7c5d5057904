//! Files damaged on purpose, for tests.

use crate::generator;
use rand::RngExt;

/// Calls `check` with `file` cut at every byte.
pub(crate) fn cuts(file: &[u8], mut check: impl FnMut(&[u8])) {
    (0..file.len()).for_each(|end| check(&file[..end]));
}

/// Calls `check` with 10,000 copies of `file`, each with one to four random bits flipped.
pub(crate) fn flips(file: &[u8], mut check: impl FnMut(&[u8])) {
    let mut random = generator(1, "flips", 0);
    for _ in 0..10_000 {
        let mut flipped = file.to_vec();
        for _ in 0..random.random_range(1..=4) {
            let bit = random.random_range(0..8 * file.len());
            flipped[bit / 8] ^= 1 << (bit % 8);
        }
        check(&flipped);
    }
}
