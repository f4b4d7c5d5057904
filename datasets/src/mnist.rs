//! MNIST, compiled into the program: nothing to download, nothing to go missing.
//!
//! The data are Yann LeCun's, Corinna Cortes's and Christopher J.C. Burges's, under CC BY-SA 3.0; see
//! `datasets/mnist/README.md`.

use crate::pair::{Pair, join};
use crate::{Dataset, Result, idx};
use std::path::{Path, PathBuf};

const TRAIN_IMAGES: &[u8] = include_bytes!("../mnist/train-images-idx3-ubyte.gz");
const TRAIN_LABELS: &[u8] = include_bytes!("../mnist/train-labels-idx1-ubyte.gz");
const TEST_IMAGES: &[u8] = include_bytes!("../mnist/t10k-images-idx3-ubyte.gz");
const TEST_LABELS: &[u8] = include_bytes!("../mnist/t10k-labels-idx1-ubyte.gz");

/// The MNIST handwritten digits: 60 000 images to train on and 10 000 to test on, 28 × 28 pixels, labels 0 to 9.
///
/// Each call decompresses the data anew (55 MB), so call it once.
pub fn mnist() -> Dataset {
    // The bytes are part of this program and a test compares them with the published ones.
    built_in().expect("the MNIST files compiled into this program are valid")
}

fn built_in() -> Result<Dataset> {
    let parse = |name: &str, bytes| (PathBuf::from(name), idx::parse(Path::new(name), bytes));
    let pair = |images, labels| -> Result<Pair> {
        let (name, images) = parse("images", images);
        Ok(Pair { images: (name, images?), labels: Some(parse("labels", labels)) })
    };
    let (mut images, _) = join(vec![pair(TRAIN_IMAGES, TRAIN_LABELS)?, pair(TEST_IMAGES, TEST_LABELS)?])?;
    let (test, train) = (images.pop().expect("two parts"), images.pop().expect("two parts"));
    Ok(Dataset { train, test })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Images, Size};
    use flate2::read::GzDecoder;
    use sha2::{Digest, Sha256};
    use std::io::Read;

    #[test]
    fn the_built_in_files_are_byte_for_byte_the_published_ones() {
        let readme = include_str!("../mnist/README.md");
        for (file, sha256) in [
            (TRAIN_IMAGES, "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db"),
            (TRAIN_LABELS, "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5"),
            (TEST_IMAGES, "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7"),
            (TEST_LABELS, "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2"),
        ] {
            let mut raw = Vec::new();
            GzDecoder::new(file).read_to_end(&mut raw).unwrap();
            let found: String = Sha256::digest(&raw).iter().map(|byte| format!("{byte:02x}")).collect();
            assert_eq!(found, sha256);
            assert!(readme.contains(sha256), "the README does not list {sha256}");
        }
    }

    #[test]
    fn mnist_has_its_known_sizes_and_first_digits() {
        let Dataset { train, test } = mnist();
        let measures = |images: &Images| (images.len(), images.size());
        assert_eq!(measures(&train), (60_000, Size::grey(28, 28)));
        assert_eq!(measures(&test), (10_000, Size::grey(28, 28)));
        assert_eq!(train.labels()[..10], [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]);
        assert_eq!(test.labels()[..10], [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]);
        // The mean grey level of the training images is the well-known 0.1307.
        let sum: u64 = (0..train.len()).flat_map(|i| train.image(i)).map(|&pixel| u64::from(pixel)).sum();
        let mean = sum as f64 / (255.0 * 60_000.0 * 784.0);
        assert!((mean - 0.1307).abs() < 5e-5, "{mean}");
    }
}
