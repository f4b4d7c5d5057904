//! Labelled images of one size, in memory.

use crate::Batches;
use std::fmt;

/// `n` grey images of `height × width` pixels and their `n` labels.
///
/// A pixel is one byte, 0 to 255; images follow one another, each row by row. In MNIST 0 is the paper and 255 the ink.
#[derive(Clone, PartialEq, Eq)]
pub struct Images {
    pixels: Vec<u8>,
    height: usize,
    width: usize,
    labels: Vec<u8>,
}

/// Images to learn from, and images of the same size kept apart to judge what was learnt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dataset {
    /// The images to learn from.
    pub train: Images,
    /// The images to evaluate on.
    pub test: Images,
}

impl Images {
    /// Images from their `pixels`, `[n, height, width]` in row-major order, and `n` `labels`.
    ///
    /// # Errors
    ///
    /// What is wrong, on one line: no pixels in an image, no images, more images than a `u32` counts, or lengths that
    /// do not fit together.
    pub fn new(pixels: Vec<u8>, height: usize, width: usize, labels: Vec<u8>) -> Result<Self, String> {
        let n = labels.len();
        if height == 0 || width == 0 {
            return Err(format!("images of {height} × {width} have no pixels"));
        }
        if n == 0 {
            return Err("there are no images".into());
        }
        if u32::try_from(n).is_err() {
            return Err(format!("{n} images are more than the {} that can be numbered", u32::MAX));
        }
        if height.checked_mul(width).and_then(|size| size.checked_mul(n)) != Some(pixels.len()) {
            return Err(format!("{n} images of {height} × {width} are not {} pixels", pixels.len()));
        }
        Ok(Self { pixels, height, width, labels })
    }

    /// The number of images.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there are no images, as after `truncate(0)`.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// Rows of pixels in an image.
    pub fn height(&self) -> usize {
        self.height
    }

    /// Columns of pixels in an image.
    pub fn width(&self) -> usize {
        self.width
    }

    /// `height × width`: 784 for MNIST.
    pub fn pixels_per_image(&self) -> usize {
        self.height * self.width
    }

    /// The pixels of image `i`, row by row.
    ///
    /// # Panics
    ///
    /// If there is no image `i`.
    pub fn image(&self, i: usize) -> &[u8] {
        let size = self.pixels_per_image();
        &self.pixels[i * size..][..size]
    }

    /// The label of image `i`: for MNIST the digit, 0 to 9.
    ///
    /// # Panics
    ///
    /// If there is no image `i`.
    pub fn label(&self, i: usize) -> u8 {
        self.labels[i]
    }

    /// The labels of all images, in order.
    pub fn labels(&self) -> &[u8] {
        &self.labels
    }

    /// Keeps the first `n` images and frees the memory of the others; does nothing if there are no more than `n`.
    pub fn truncate(&mut self, n: usize) {
        let n = n.min(self.len());
        self.pixels.truncate(n * self.pixels_per_image());
        self.pixels.shrink_to_fit();
        self.labels.truncate(n);
        self.labels.shrink_to_fit();
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
        write!(f, "Images({} × {} × {})", self.len(), self.height, self.width)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Three images of 1 × 2.
    fn three() -> Images {
        Images::new(vec![10, 11, 20, 21, 30, 31], 1, 2, vec![1, 2, 3]).unwrap()
    }

    #[test]
    fn an_image_is_its_own_pixels_and_label() {
        let images = three();
        assert_eq!((images.len(), images.height(), images.width(), images.pixels_per_image()), (3, 1, 2, 2));
        assert_eq!((images.image(0), images.label(0)), (&[10, 11][..], 1));
        assert_eq!((images.image(2), images.label(2)), (&[30, 31][..], 3));
    }

    #[test]
    fn lengths_that_do_not_fit_are_refused() {
        assert_eq!(Images::new(vec![0; 5], 1, 2, vec![0; 3]).unwrap_err(), "3 images of 1 × 2 are not 5 pixels");
        Images::new(vec![0; 6], 1, 2, vec![0; 2]).unwrap_err();
        Images::new(vec![0; 8], usize::MAX, 2, vec![0; 2]).unwrap_err();
    }

    #[test]
    fn images_without_pixels_and_no_images_are_refused() {
        assert_eq!(Images::new(vec![], 0, 2, vec![0]).unwrap_err(), "images of 0 × 2 have no pixels");
        assert_eq!(Images::new(vec![], 2, 0, vec![0]).unwrap_err(), "images of 2 × 0 have no pixels");
        assert_eq!(Images::new(vec![], 1, 2, vec![]).unwrap_err(), "there are no images");
    }

    #[test]
    fn truncate_keeps_the_first_images() {
        let mut images = three();
        images.truncate(5);
        assert_eq!(images, three());
        images.truncate(2);
        assert_eq!(images, Images::new(vec![10, 11, 20, 21], 1, 2, vec![1, 2]).unwrap());
        images.truncate(0);
        assert!(images.is_empty());
        assert_eq!(images.in_order(4).iter().count(), 0);
    }

    #[test]
    fn debug_shows_the_measures_and_no_pixels() {
        assert_eq!(format!("{:?}", three()), "Images(3 × 1 × 2)");
    }
}
