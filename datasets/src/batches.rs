//! One pass over the images, in batches.

use crate::{Batch, Images, generator};
use rand::Rng;
use std::slice::Chunks;

/// An epoch: every image exactly once, in batches of one size; the last batch is smaller if the size does not divide
/// the number of images.
///
/// The order is all it stores, so that an epoch allocates once.
#[derive(Clone, Debug)]
pub struct Batches<'a> {
    images: &'a Images,
    order: Vec<u32>,
    size: usize,
}

impl<'a> Batches<'a> {
    /// See [`Images::in_order`].
    pub(crate) fn in_order(images: &'a Images, size: usize) -> Self {
        assert!(size > 0, "the batch size is 0, it must be at least 1");
        // `Images` holds no more than a u32 counts.
        Self { images, order: (0..images.len() as u32).collect(), size }
    }

    /// See [`Images::batches`].
    pub(crate) fn shuffled(images: &'a Images, size: usize, seed: u64, epoch: u64) -> Self {
        let mut batches = Self::in_order(images, size);
        shuffle(&mut batches.order, &mut generator(seed, "shuffle", epoch));
        batches
    }

    /// The batches, first to last; `iter().len()` is their number.
    pub fn iter(&self) -> BatchIter<'_> {
        BatchIter { images: self.images, chunks: self.order.chunks(self.size) }
    }
}

impl<'a> IntoIterator for &'a Batches<'_> {
    type Item = Batch<'a>;
    type IntoIter = BatchIter<'a>;

    fn into_iter(self) -> BatchIter<'a> {
        self.iter()
    }
}

/// Iterates over the batches of an epoch; made by [`Batches::iter`].
#[derive(Clone, Debug)]
pub struct BatchIter<'a> {
    images: &'a Images,
    chunks: Chunks<'a, u32>,
}

impl<'a> Iterator for BatchIter<'a> {
    type Item = Batch<'a>;

    fn next(&mut self) -> Option<Batch<'a>> {
        self.chunks.next().map(|indices| Batch::new(self.images, indices))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.chunks.size_hint()
    }
}

impl ExactSizeIterator for BatchIter<'_> {}

/// The Fisher–Yates shuffle: every order is as likely as every other.
///
/// Written out, since the order belongs to the result of a run and must not change with a version of a library.
fn shuffle(order: &mut [u32], randomness: &mut impl Rng) {
    for last in (1..order.len()).rev() {
        // The high half of a 64 × 64-bit product is a number in 0..=last, uniform to within last / 2⁶⁴.
        let chosen = (u128::from(randomness.next_u64()) * (last as u128 + 1)) >> 64;
        order.swap(last, chosen as usize);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Size;
    use proptest::prelude::*;

    fn images(n: usize) -> Images {
        Images::new(vec![0; n], Size::grey(1, 1), vec![0; n]).unwrap()
    }

    fn order(batches: &Batches<'_>) -> Vec<u32> {
        batches.iter().flat_map(|batch| batch.indices()).copied().collect()
    }

    proptest! {
        #[test]
        fn every_image_comes_once_in_an_epoch(n in 1usize..300, size in 1usize..100, seed: u64, epoch: u64) {
            let images = images(n);
            let batches = images.batches(size, seed, epoch);
            let mut seen = order(&batches);
            seen.sort_unstable();
            prop_assert_eq!(seen, (0..n as u32).collect::<Vec<_>>());
        }

        #[test]
        fn all_batches_are_full_but_the_last(n in 1usize..300, size in 1usize..100) {
            let images = images(n);
            let batches = images.batches(size, 1, 0);
            let lengths: Vec<_> = batches.iter().map(|batch| batch.len()).collect();
            prop_assert_eq!(batches.iter().len(), n.div_ceil(size));
            prop_assert_eq!(lengths.len(), n.div_ceil(size));
            prop_assert!(lengths[..lengths.len() - 1].iter().all(|&length| length == size));
            prop_assert_eq!(lengths.iter().sum::<usize>(), n);
        }
    }

    #[test]
    fn the_order_is_a_function_of_seed_and_epoch_alone() {
        let images = images(1000);
        let first = order(&images.batches(128, 1, 0));
        assert_eq!(order(&images.batches(128, 1, 0)), first);
        assert_eq!(order(&images.batches(7, 1, 0)), first);
        assert_ne!(order(&images.batches(128, 1, 1)), first);
        assert_ne!(order(&images.batches(128, 2, 0)), first);
    }

    #[test]
    fn the_order_does_not_change_between_versions() {
        // Computed apart from this crate, with the ChaCha8 of its specification.
        assert_eq!(order(&images(10).batches(4, 1, 2)), [8, 9, 3, 4, 5, 6, 0, 1, 2, 7]);
    }

    #[test]
    fn every_order_is_equally_likely() {
        // 3 images have 6 orders; chi-squared with 5 degrees of freedom exceeds 25.7 once in 10 000 cases.
        let images = images(3);
        let (epochs, mut counts) = (6000, [0; 27]);
        for epoch in 0..epochs {
            let order = order(&images.batches(3, 1, epoch));
            counts[(order[0] * 9 + order[1] * 3 + order[2]) as usize] += 1;
        }
        let seen: Vec<_> = counts.into_iter().filter(|&count| count > 0).collect();
        assert_eq!(seen.len(), 6);
        let chi_squared: f64 = seen.iter().map(|&count| f64::from(count - 1000).powi(2) / 1000.0).sum();
        assert!(chi_squared < 25.7, "{seen:?}");
    }

    #[test]
    fn in_order_leaves_the_images_in_order() {
        assert_eq!(order(&images(5).in_order(2)), [0, 1, 2, 3, 4]);
    }

    #[test]
    #[should_panic(expected = "the batch size is 0")]
    fn batches_of_no_images_panic() {
        images(5).batches(0, 1, 0);
    }
}
