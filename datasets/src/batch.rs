//! Some images, and how they become a matrix of floats.

use crate::pixels::bernoulli;
use crate::{Images, Pixels};
use ndarray::ArrayViewMut2;
use num_traits::Float;
use rand::Rng;

/// The images of one training step: where they are, not a copy of them.
#[derive(Clone, Copy, Debug)]
pub struct Batch<'a> {
    images: &'a Images,
    indices: &'a [u32],
}

impl<'a> Batch<'a> {
    pub(crate) fn new(images: &'a Images, indices: &'a [u32]) -> Self {
        Self { images, indices }
    }

    /// The number of images in this batch; at least 1.
    #[expect(clippy::len_without_is_empty, reason = "a batch is never empty")]
    pub fn len(&self) -> usize {
        self.indices.len()
    }

    /// The images' places in their [`Images`], in the order of this batch.
    pub fn indices(&self) -> &'a [u32] {
        self.indices
    }

    /// Some of them.
    ///
    /// # Panics
    /// If there are none, or not so many.
    pub fn part(self, images: std::ops::Range<usize>) -> Self {
        assert!(!images.is_empty(), "a batch is never empty");
        Self { images: self.images, indices: &self.indices[images] }
    }

    /// The images' labels, in the order of this batch.
    pub fn labels(&self) -> impl ExactSizeIterator<Item = u32> + use<'a> {
        let images = self.images;
        self.indices.iter().map(move |&i| images.label(i as usize))
    }

    /// Writes the images to the rows of the matrix `into`, `[batch, numbers in an image]`, without allocating anything.
    ///
    /// Only [`Pixels::Dynamic`] draws from `randomness`.
    ///
    /// # Panics
    ///
    /// If `into` is not `[len, size.count()]`.
    pub fn write_to<T: Float>(&self, pixels: Pixels, randomness: &mut (impl Rng + ?Sized), into: ArrayViewMut2<'_, T>) {
        let black_or_white = |on: bool| if on { T::one() } else { T::zero() };
        match pixels {
            Pixels::Grey => {
                // A division: a product with 1/255 would round twice and miss the float nearest to u/255. A table: four
                // times as fast, 0.1 ms of a training step of 128 images.
                let levels: [T; 256] = std::array::from_fn(|u| float::<T>(u as u8) / float(255));
                self.fill(into, |u| levels[usize::from(u)]);
            }
            Pixels::Dynamic => self.fill(into, |u| black_or_white(bernoulli(u, randomness))),
            Pixels::Threshold => self.fill(into, |u| black_or_white(u >= 128)),
        }
    }

    /// Gathers the images, each pixel `u` as `value(u)`, row after row so that random draws have a fixed order.
    fn fill<T>(&self, mut into: ArrayViewMut2<'_, T>, mut value: impl FnMut(u8) -> T) {
        let expected = (self.len(), self.images.size().count());
        assert_eq!(into.dim(), expected, "the matrix (left) does not have the shape of the batch (right)");
        for (mut row, &i) in into.rows_mut().into_iter().zip(self.indices) {
            let image = self.images.image(i as usize);
            // A slice where there is one: the iterator of a view is three times as slow.
            match row.as_slice_mut() {
                Some(row) => row.iter_mut().zip(image).for_each(|(to, &u)| *to = value(u)),
                None => row.iter_mut().zip(image).for_each(|(to, &u)| *to = value(u)),
            }
        }
    }
}

fn float<T: Float>(u: u8) -> T {
    T::from(u).expect("every float type holds the numbers 0 to 255")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Size, generator};
    use ndarray::{Array2, array};

    /// One image of 1 × 256 that holds every grey level.
    fn ramp() -> Images {
        Images::new((0..=255).collect(), Size::grey(1, 256), vec![7]).unwrap()
    }

    /// The matrix of all of `images`, in order.
    fn matrix<T: Float>(images: &Images, pixels: Pixels, randomness: &mut impl Rng) -> Array2<T> {
        let mut matrix = Array2::from_elem((images.len(), images.size().count()), T::nan());
        let batches = images.in_order(images.len());
        batches.iter().next().unwrap().write_to(pixels, randomness, matrix.view_mut());
        matrix
    }

    #[test]
    fn grey_levels_are_the_nearest_floats_to_u_over_255() {
        let mut randomness = generator(1, "test", 0);
        let single = matrix::<f32>(&ramp(), Pixels::Grey, &mut randomness);
        let double = matrix::<f64>(&ramp(), Pixels::Grey, &mut randomness);
        for u in 0..=255u8 {
            assert_eq!(single[[0, u.into()]], f32::from(u) / 255.0);
            assert_eq!(double[[0, u.into()]], f64::from(u) / 255.0);
        }
        assert_eq!((single[[0, 0]], single[[0, 255]]), (0.0, 1.0));
    }

    #[test]
    fn the_threshold_is_between_127_and_128() {
        let mut randomness = generator(1, "test", 0);
        let single = matrix::<f32>(&ramp(), Pixels::Threshold, &mut randomness);
        let double = matrix::<f64>(&ramp(), Pixels::Threshold, &mut randomness);
        for u in 0..256 {
            assert_eq!(single[[0, u]], if u <= 127 { 0.0 } else { 1.0 });
            assert_eq!(double[[0, u]], if u <= 127 { 0.0 } else { 1.0 });
        }
    }

    #[test]
    fn grey_and_threshold_draw_nothing() {
        let mut randomness = generator(1, "test", 0);
        matrix::<f32>(&ramp(), Pixels::Grey, &mut randomness);
        matrix::<f32>(&ramp(), Pixels::Threshold, &mut randomness);
        assert_eq!(randomness, generator(1, "test", 0));
    }

    #[test]
    fn dynamic_pixels_are_zero_or_one_with_the_mean_of_their_grey_level() {
        let (n, grey) = (20_000, 51);
        let images = Images::new([0, grey, 255].repeat(n), Size::grey(1, 3), vec![0; n]).unwrap();
        let pixels = matrix::<f64>(&images, Pixels::Dynamic, &mut generator(1, "test", 0));
        assert!(pixels.iter().all(|&pixel| pixel == 0.0 || pixel == 1.0));
        assert!(pixels.column(0).iter().all(|&pixel| pixel == 0.0));
        assert!(pixels.column(2).iter().all(|&pixel| pixel == 1.0));
        let sigma = (0.2 * 0.8 / n as f64).sqrt();
        assert!((pixels.column(1).sum() / n as f64 - 0.2).abs() < 5.0 * sigma);
    }

    #[test]
    fn dynamic_pixels_are_drawn_anew_and_alike_in_both_precisions() {
        let (mut one, mut other) = (generator(1, "test", 0), generator(1, "test", 0));
        let first = matrix::<f32>(&ramp(), Pixels::Dynamic, &mut one);
        assert_eq!(first.mapv(f64::from), matrix::<f64>(&ramp(), Pixels::Dynamic, &mut other));
        assert_ne!(first, matrix::<f32>(&ramp(), Pixels::Dynamic, &mut one));
    }

    #[test]
    fn rows_and_labels_follow_the_indices() {
        let images = Images::new(vec![0, 255, 255, 0, 255, 255], Size::grey(1, 2), vec![5, 6, 7]).unwrap();
        let batch = Batch::new(&images, &[2, 0]);
        let mut matrix = Array2::<f32>::zeros((2, 2));
        batch.write_to(Pixels::Grey, &mut generator(1, "test", 0), matrix.view_mut());
        assert_eq!(matrix, array![[1.0, 1.0], [0.0, 1.0]]);
        assert_eq!(batch.labels().collect::<Vec<_>>(), [7, 5]);
    }

    #[test]
    fn a_matrix_in_column_order_gets_the_same_draws() {
        let images = Images::new(vec![128; 60], Size::grey(2, 5), vec![0; 6]).unwrap();
        let rows = matrix::<f32>(&images, Pixels::Dynamic, &mut generator(1, "test", 0));
        let mut columns = Array2::<f32>::zeros((10, 6)).reversed_axes();
        let batches = images.in_order(6);
        let batch = batches.iter().next().unwrap();
        batch.write_to(Pixels::Dynamic, &mut generator(1, "test", 0), columns.view_mut());
        assert_eq!(rows, columns);
    }

    #[test]
    #[should_panic(expected = "left: (1, 255)\n right: (1, 256)")]
    fn a_matrix_of_another_shape_panics_with_both_shapes() {
        let images = ramp();
        let mut matrix = Array2::<f32>::zeros((1, 255));
        Batch::new(&images, &[0]).write_to(Pixels::Grey, &mut generator(1, "test", 0), matrix.view_mut());
    }
}
