//! Which images are kept apart for the test, where the data do not say it.

use crate::{Dataset, Images};
use sha2::{Digest, Sha256};

/// Divides images into about five to train on and one to test on, as CIFAR-10 is, by their `names` alone.
///
/// An image is on the side that the SHA-256 of its name decides, so it stays there whatever other images come or go, and in
/// whatever order they are read. Only if all fell on one side, the one nearest to the other side goes there.
///
/// There is a name for each image.
///
/// # Errors
///
/// If there are fewer than 2 images, on one line.
pub(crate) fn split(images: Images, names: impl Iterator<Item = impl AsRef<[u8]>>) -> Result<Dataset, String> {
    let (mut pixels, size, labels) = images.into_parts();
    let n = labels.len();
    if n < 2 {
        return Err(format!("expected at least 2 images, one to train on and one to test on, found {n}"));
    }
    let is_test = sides(&names.map(|name| key(name.as_ref())).collect::<Vec<_>>());

    // Training images move up in place, so that only those of the test take memory once more.
    let (count, tests) = (size.count(), is_test.iter().filter(|&&is_test| is_test).count());
    let (mut kept, mut test) = (0, Vec::with_capacity(tests * count));
    for (i, &is_test) in is_test.iter().enumerate() {
        let image = i * count..(i + 1) * count;
        if is_test {
            test.extend_from_slice(&pixels[image]);
        } else {
            pixels.copy_within(image, kept * count);
            kept += 1;
        }
    }
    pixels.truncate(kept * count);
    pixels.shrink_to_fit();
    let labels_where = |side| labels.iter().zip(&is_test).filter(|&(_, &test)| test == side).map(|(&l, _)| l).collect();
    let (train_labels, test_labels) = (labels_where(false), labels_where(true));
    Ok(Dataset { train: Images::new(pixels, size, train_labels)?, test: Images::new(test, size, test_labels)? })
}

/// The first 8 bytes of the SHA-256 of a name, as a number.
fn key(name: &[u8]) -> u64 {
    let hash = Sha256::digest(name);
    u64::from_be_bytes(*hash.first_chunk().expect("a SHA-256 has 32 bytes"))
}

/// For each key whether it is on the side of the test; with two keys or more both sides have one.
fn sides(keys: &[u64]) -> Vec<bool> {
    let mut is_test: Vec<bool> = keys.iter().map(|&key| key < u64::MAX / 6).collect();
    let order = (0..keys.len()).map(|i| (keys[i], i));
    if let Some((_, smallest)) = order.clone().min().filter(|_| !is_test.contains(&true)) {
        is_test[smallest] = true;
    }
    if let Some((_, largest)) = order.max().filter(|_| !is_test.contains(&false)) {
        is_test[largest] = false;
    }
    is_test
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Size;
    use proptest::prelude::*;

    /// Images of one pixel, whose grey level and label are their place in `names`.
    fn numbered(names: &[String]) -> Dataset {
        let numbers: Vec<u8> = (0..names.len()).map(|i| i as u8).collect();
        let labels = numbers.iter().map(|&i| i.into()).collect();
        split(Images::new(numbers, Size::grey(1, 1), labels).unwrap(), names.iter()).unwrap()
    }

    #[test]
    fn the_key_is_the_start_of_the_sha_256() {
        // FIPS 180-2: SHA-256("abc") = ba7816bf 8f01cfea …
        assert_eq!(key(b"abc"), 0xba78_16bf_8f01_cfea);
    }

    #[test]
    fn about_one_in_six_is_a_test() {
        let keys: Vec<u64> = (0..6000).map(|i: u32| key(i.to_string().as_bytes())).collect();
        let tests = sides(&keys).into_iter().filter(|&is_test| is_test).count();
        assert!((900..1100).contains(&tests), "{tests}"); // 1000 ± 3.5 standard deviations of 29
    }

    #[test]
    fn a_single_image_cannot_be_split() {
        let error = split(Images::new(vec![0], Size::grey(1, 1), vec![0]).unwrap(), ["a"].iter()).unwrap_err();
        assert_eq!(error, "expected at least 2 images, one to train on and one to test on, found 1");
    }

    #[test]
    fn if_all_fall_on_one_side_the_nearest_goes_to_the_other() {
        assert_eq!(sides(&[u64::MAX, u64::MAX - 5, u64::MAX - 4]), [false, true, false]);
        assert_eq!(sides(&[3, 9, 4]), [true, false, true]);
        assert_eq!(sides(&[7, 7]), [true, false]);
    }

    proptest! {
        #[test]
        fn every_image_is_on_one_side_with_its_label_and_in_its_order(n in 2usize..200) {
            let data = numbered(&(0..n).map(|i| i.to_string()).collect::<Vec<_>>());
            let mut all: Vec<u32> = Vec::new();
            for images in [&data.train, &data.test] {
                prop_assert!(!images.is_empty());
                prop_assert!(images.labels().is_sorted());
                for i in 0..images.len() {
                    prop_assert_eq!(u32::from(images.image(i)[0]), images.label(i));
                }
                all.extend(images.labels());
            }
            all.sort_unstable();
            prop_assert_eq!(all, (0..n).map(|i| i as u32).collect::<Vec<_>>());
        }

        #[test]
        fn a_key_keeps_its_side_whatever_others_come(keys in prop::collection::vec(any::<u64>(), 2..40), more in prop::collection::vec(any::<u64>(), 0..40)) {
            let before = sides(&keys);
            let both = |keys: &[u64]| keys.iter().any(|&k| k < u64::MAX / 6) && keys.iter().any(|&k| k >= u64::MAX / 6);
            prop_assume!(both(&keys));
            prop_assert_eq!(&sides(&[keys, more].concat())[..before.len()], before);
        }
    }
}
