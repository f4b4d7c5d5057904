//! Randomness is an argument.
//!
//! No code in this project keeps a generator of its own or asks the operating system for chance. What needs random
//! numbers is handed a generator, and a generator is made from three things: the seed of the run, what the numbers
//! are for, and which step (batch, epoch) they are for. A run is therefore a pure function of its configuration,
//! whatever the number of threads and whatever else was drawn before.

use rand::SeedableRng;
use rand::rngs::ChaCha8Rng;

/// The generator for `purpose` at `step` of the run with `seed`.
///
/// The three are laid out in the 32-byte ChaCha key, so different arguments give unrelated streams:
///
/// | bytes    | contents                                 |
/// |----------|------------------------------------------|
/// | 0 to 7   | `seed`, little-endian                    |
/// | 8 to 15  | `step`, little-endian                    |
/// | 16 to 31 | `purpose` in ASCII, filled up with zeros |
///
/// ChaCha (Bernstein 2008, *ChaCha, a variant of Salsa20*), with 8 rounds, is used because its stream is specified: it
/// is the same in every version and on every machine, which `rand`'s `StdRng` does not promise.
///
/// # Panics
///
/// If `purpose` is longer than 16 bytes or not ASCII.
pub fn generator(seed: u64, purpose: &str, step: u64) -> ChaCha8Rng {
    assert!(purpose.len() <= 16 && purpose.is_ascii(), "purpose {purpose:?} is not ASCII of at most 16 bytes");
    let mut key = [0; 32];
    key[..8].copy_from_slice(&seed.to_le_bytes());
    key[8..16].copy_from_slice(&step.to_le_bytes());
    key[16..][..purpose.len()].copy_from_slice(purpose.as_bytes());
    ChaCha8Rng::from_seed(key)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::Rng;
    use std::collections::HashSet;

    #[test]
    fn other_seeds_steps_and_purposes_give_other_streams() {
        let arguments = [(0, "", 0), (1, "", 0), (0, "", 1), (0, "a", 0), (0, "b", 0), (0, "ab", 0), (1, "a", 1)];
        let first: HashSet<_> = arguments.map(|(seed, purpose, step)| generator(seed, purpose, step).next_u64()).into();
        assert_eq!(first.len(), arguments.len());
    }

    #[test]
    fn the_same_arguments_give_the_same_stream() {
        let (mut one, mut other) = (generator(3, "noise", 4), generator(3, "noise", 4));
        assert!((0..1000).all(|_| one.next_u64() == other.next_u64()));
    }

    #[test]
    fn the_key_is_seed_then_step_then_purpose() {
        let mut key = [0; 32];
        (key[0], key[7], key[8], key[15]) = (2, 1, 4, 3);
        key[16..32].copy_from_slice(b"sixteen letters!");
        let mut expected = ChaCha8Rng::from_seed(key);
        let mut found = generator(0x0100_0000_0000_0002, "sixteen letters!", 0x0300_0000_0000_0004);
        assert_eq!(found.next_u64(), expected.next_u64());
    }

    #[test]
    fn the_stream_is_the_one_chacha8_specifies() {
        // With an all-zero key: the first 8 bytes of the published key stream are 3e 00 ef 2f 89 5f 40 d6.
        assert_eq!(generator(0, "", 0).next_u64().to_le_bytes(), [0x3e, 0x00, 0xef, 0x2f, 0x89, 0x5f, 0x40, 0xd6]);
    }

    #[test]
    #[should_panic(expected = "at most 16 bytes")]
    fn a_purpose_too_long_for_the_key_panics() {
        generator(0, "seventeen letters", 0);
    }
}
