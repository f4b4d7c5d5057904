//! Labelled images of one size, in memory.

use crate::{Batches, Pixels};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fmt;

/// The measures of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Size {
    /// Rows of pixels.
    pub height: usize,
    /// Columns of pixels.
    pub width: usize,
    /// Numbers in a pixel: 1 for grey images, 3 (red, green, blue) for coloured ones.
    pub channels: usize,
}

impl Size {
    /// The size of grey images.
    pub const fn grey(height: usize, width: usize) -> Size {
        Size { height, width, channels: 1 }
    }

    /// Numbers in an image, `height × width × channels`: 784 for MNIST.
    ///
    /// # Panics
    ///
    /// If that overflows; the size of [`Images`] never does.
    pub fn count(self) -> usize {
        self.checked_count().expect("an image fits in memory")
    }

    /// Numbers in an image; `None` if they are more than can be counted.
    pub fn checked_count(self) -> Option<usize> {
        self.height.checked_mul(self.width)?.checked_mul(self.channels)
    }
}

impl fmt::Display for Size {
    /// `28 × 28`, or `32 × 32 × 3` for a coloured image.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Size { height, width, channels } = self;
        match channels {
            1 => write!(f, "{height} × {width}"),
            _ => write!(f, "{height} × {width} × {channels}"),
        }
    }
}

/// `n` images of one size and their `n` labels.
///
/// Each number of a pixel is one byte, 0 to 255. Images follow one another, each row by row, and in a row pixel by pixel. In
/// MNIST 0 is the paper and 255 the ink.
#[derive(Clone, PartialEq, Eq)]
pub struct Images {
    pixels: Vec<u8>,
    size: Size,
    labels: Vec<u32>,
}

/// Images to learn from, and images of the same size kept apart to judge what was learnt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dataset {
    /// The images to learn from.
    pub train: Images,
    /// The images to evaluate on.
    pub test: Images,
}

impl Dataset {
    /// The SHA-256 of everything in it, in hexadecimal: equal if, and only if, the data are.
    pub fn sha256(&self) -> String {
        let mut sha = Sha256::new();
        for Images { pixels, size, labels } in [&self.train, &self.test] {
            for number in [labels.len(), size.height, size.width, size.channels] {
                sha.update((number as u64).to_le_bytes());
            }
            sha.update(pixels);
            // A byte each where that is enough: so it was before there were more, and so runs know their data again.
            match labels.iter().map(|&label| u8::try_from(label)).collect::<Result<Vec<u8>, _>>() {
                Ok(bytes) => sha.update(bytes),
                Err(_) => labels.iter().for_each(|label| sha.update(label.to_le_bytes())),
            }
        }
        sha.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

impl Images {
    /// Images from their `pixels`, `[n, height, width, channels]` in row-major order, and `n` `labels`.
    ///
    /// # Errors
    ///
    /// What is wrong, on one line: no pixels in an image, neither 1 nor 3 channels, no images, more images than a `u32`
    /// counts, or lengths that do not fit together.
    pub fn new(pixels: Vec<u8>, size: Size, labels: Vec<u32>) -> Result<Self, String> {
        let n = labels.len();
        if size.height == 0 || size.width == 0 {
            return Err(format!("images of {size} have no pixels"));
        }
        if ![1, 3].contains(&size.channels) {
            return Err(format!("expected images of 1 or 3 channels, found {}", size.channels));
        }
        if n == 0 {
            return Err("there are no images".into());
        }
        if u32::try_from(n).is_err() {
            return Err(format!("{n} images are more than the {} that can be numbered", u32::MAX));
        }
        if size.checked_count().and_then(|count| count.checked_mul(n)) != Some(pixels.len()) {
            return Err(format!("{n} images of {size} are not {} numbers", pixels.len()));
        }
        Ok(Self { pixels, size, labels })
    }

    /// The number of images.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there are no images, as after `truncate(0)`.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// The size of every image.
    pub fn size(&self) -> Size {
        self.size
    }

    /// The numbers of image `i`, row by row, and in a row pixel by pixel.
    ///
    /// # Panics
    ///
    /// If there is no image `i`.
    pub fn image(&self, i: usize) -> &[u8] {
        let count = self.size.count();
        &self.pixels[i * count..][..count]
    }

    /// Whether every pixel is 0 or 255.
    pub fn are_black_and_white(&self) -> bool {
        self.pixels.iter().all(|&pixel| pixel == 0 || pixel == 255)
    }

    /// The mean image, from 0 to 1, of pixels as they are learned from.
    pub fn mean(&self, pixels: Pixels) -> Vec<f64> {
        let value = |u: u8| match pixels {
            Pixels::Threshold => f64::from(u8::from(u >= 128)),
            Pixels::Grey | Pixels::Dynamic => f64::from(u) / 255.0,
        };
        let mut sums = vec![0.0; self.size.count()];
        for image in self.pixels.chunks_exact(sums.len()) {
            sums.iter_mut().zip(image).for_each(|(sum, &u)| *sum += value(u));
        }
        sums.iter().map(|sum| sum / self.len() as f64).collect()
    }

    /// The label of image `i`: for MNIST the digit, 0 to 9.
    ///
    /// # Panics
    ///
    /// If there is no image `i`.
    pub fn label(&self, i: usize) -> u32 {
        self.labels[i]
    }

    /// The labels of all images, in order.
    pub fn labels(&self) -> &[u32] {
        &self.labels
    }

    /// The pixels of all images, their size, and their labels.
    pub(crate) fn into_parts(self) -> (Vec<u8>, Size, Vec<u32>) {
        (self.pixels, self.size, self.labels)
    }

    /// Keeps the first `n` images and frees the memory of the others; does nothing if there are no more than `n`.
    pub fn truncate(&mut self, n: usize) {
        let n = n.min(self.len());
        self.pixels.truncate(n * self.size.count());
        self.pixels.shrink_to_fit();
        self.labels.truncate(n);
        self.labels.shrink_to_fit();
    }

    /// Puts other images after these.
    ///
    /// # Errors
    ///
    /// If they have another size, or all are more than a `u32` counts, on one line; these are then as they were.
    pub fn append(&mut self, others: Images) -> Result<(), String> {
        if others.size != self.size {
            return Err(format!("expected images of {}, as those before have, found {}", self.size, others.size));
        }
        if u32::try_from(self.len() + others.len()).is_err() {
            return Err(format!("{} images and {} more are too many to be numbered", self.len(), others.len()));
        }
        self.pixels.extend(others.pixels);
        self.labels.extend(others.labels);
        Ok(())
    }

    /// One epoch of training: every image once, in batches of `size`, in an order that (`seed`, `epoch`) determine.
    ///
    /// # Panics
    ///
    /// If `size` is 0.
    pub fn batches(&self, size: usize, seed: u64, epoch: u64) -> Batches<'_> {
        Batches::shuffled(self, size, seed, epoch)
    }

    /// Every image once, in batches of `size`, in the order of the file: for evaluation.
    ///
    /// # Panics
    ///
    /// If `size` is 0.
    pub fn in_order(&self, size: usize) -> Batches<'_> {
        Batches::in_order(self, size)
    }
}

impl fmt::Debug for Images {
    /// The measures only: nobody wants to read 47 million pixels.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Images({} × {})", self.len(), self.size)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Three images of 1 × 2.
    fn three() -> Images {
        Images::new(vec![10, 11, 20, 21, 30, 31], Size::grey(1, 2), vec![1, 2, 3]).unwrap()
    }

    #[test]
    fn an_image_is_its_own_pixels_and_label() {
        let images = three();
        assert_eq!((images.len(), images.size(), images.size().count()), (3, Size::grey(1, 2), 2));
        assert_eq!((images.image(0), images.label(0)), (&[10, 11][..], 1));
        assert_eq!((images.image(2), images.label(2)), (&[30, 31][..], 3));
    }

    #[test]
    fn lengths_that_do_not_fit_are_refused() {
        let problem = |pixels, size, n| Images::new(vec![0; pixels], size, vec![0; n]).unwrap_err();
        assert_eq!(problem(5, Size::grey(1, 2), 3), "3 images of 1 × 2 are not 5 numbers");
        problem(6, Size::grey(1, 2), 2);
        problem(8, Size::grey(usize::MAX, 2), 2);
        assert_eq!(problem(5, Size { height: 1, width: 2, channels: 3 }, 1), "1 images of 1 × 2 × 3 are not 5 numbers");
        let two = Size { height: 1, width: 1, channels: 2 };
        assert_eq!(problem(2, two, 1), "expected images of 1 or 3 channels, found 2");
    }

    #[test]
    fn images_without_pixels_and_no_images_are_refused() {
        assert_eq!(Images::new(vec![], Size::grey(0, 2), vec![0]).unwrap_err(), "images of 0 × 2 have no pixels");
        assert_eq!(Images::new(vec![], Size::grey(2, 0), vec![0]).unwrap_err(), "images of 2 × 0 have no pixels");
        assert_eq!(Images::new(vec![], Size::grey(1, 2), vec![]).unwrap_err(), "there are no images");
    }

    #[test]
    fn images_are_black_and_white_if_no_pixel_is_grey() {
        let are = |pixels| Images::new(pixels, Size::grey(1, 2), vec![0]).unwrap().are_black_and_white();
        assert_eq!([are(vec![0, 255]), are(vec![254, 0])], [true, false]);
    }

    #[test]
    fn the_mean_is_of_pixels_as_they_are_learned_from() {
        let images = Images::new(vec![255, 100, 0, 0, 51, 200, 255, 127], Size::grey(1, 2), vec![0; 4]).unwrap();
        for pixels in [Pixels::Grey, Pixels::Dynamic] {
            let mean = images.mean(pixels);
            assert!((mean[0] - 561.0 / 1020.0).abs() < 1e-12 && (mean[1] - 427.0 / 1020.0).abs() < 1e-12, "{mean:?}");
        }
        assert_eq!(images.mean(Pixels::Threshold), [0.5, 0.25]);
    }

    #[test]
    fn truncate_keeps_the_first_images() {
        let mut images = three();
        images.truncate(5);
        assert_eq!(images, three());
        images.truncate(2);
        assert_eq!(images, Images::new(vec![10, 11, 20, 21], Size::grey(1, 2), vec![1, 2]).unwrap());
        images.truncate(0);
        assert!(images.is_empty());
        assert_eq!(images.in_order(4).iter().count(), 0);
    }

    #[test]
    fn append_puts_images_of_the_same_size_after_the_others() {
        let mut images = three();
        images.append(Images::new(vec![40, 41], Size::grey(1, 2), vec![4]).unwrap()).unwrap();
        assert_eq!((images.len(), images.image(2), images.image(3)), (4, &[30, 31][..], &[40, 41][..]));
        assert_eq!(images.labels(), [1, 2, 3, 4]);
        let problem = images.append(Images::new(vec![0, 0], Size::grey(2, 1), vec![0]).unwrap()).unwrap_err();
        assert_eq!(problem, "expected images of 1 × 2, as those before have, found 2 × 1");
        assert_eq!(images.len(), 4);
    }

    #[test]
    fn the_checksum_of_a_data_set_is_a_function_of_all_that_is_in_it() {
        let data = |pixel, label, size: Size| {
            let train = Images::new(vec![pixel, 2, 3, 4], size, vec![label]).unwrap();
            Dataset { train: train.clone(), test: train }.sha256()
        };
        let first = data(1, 5, Size::grey(2, 2));
        assert_eq!((data(1, 5, Size::grey(2, 2)), first.len()), (first.clone(), 64));
        let others = [data(0, 5, Size::grey(2, 2)), data(1, 6, Size::grey(2, 2)), data(1, 5, Size::grey(1, 4))];
        assert!(!others.contains(&first));
    }

    #[test]
    fn debug_shows_the_measures_and_no_pixels() {
        assert_eq!(format!("{:?}", three()), "Images(3 × 1 × 2)");
    }
}
