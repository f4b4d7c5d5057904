//! Which images an array of some shape holds, and where in them each of its elements belongs.

use crate::{Options, Size};

/// The images that an array holds.
#[derive(Debug, PartialEq)]
pub(super) struct Layout {
    /// How many.
    pub(super) images: usize,
    /// The size of each.
    pub(super) size: Size,
    /// The dimensions of the array with the distance that a step along each is in the images; the one that varies fastest in
    /// the file comes first.
    axes: Vec<(usize, usize)>,
    /// What was assumed where the shape may mean several things.
    pub(super) note: Option<String>,
}

impl Layout {
    /// The images in an array of `shape`.
    ///
    /// That is `[n, h, w]`, `[n, h, w, c]` or `[n, c, h, w]` with 1 or 3 channels, or `[n, d]`. If a shape of four dimensions
    /// may be read both ways, the size and the channels in `options` decide, if they fit but one; else the channels are the
    /// last. Rows of `d` numbers are images of the size in `options`, if it says one (`h · w · c = d`, pixels interleaved), else
    /// square ones, else of 1 × `d`. An array with the very shape of one image of that size is that image.
    ///
    /// # Errors
    ///
    /// If the shape is another one, or the images have no pixels.
    pub(super) fn new(shape: &[usize], fortran_order: bool, options: &Options) -> Result<Layout, String> {
        let (images, size, order, note) = read(shape, options)?;
        let count = size.checked_count().and_then(|count| Some((count, count.checked_mul(images)?)));
        let Some((count, _)) = count else {
            return Err(format!("an array of shape {shape:?} has more elements than can be counted"));
        };
        if count == 0 {
            return Err(format!("images of {size} have no pixels"));
        }
        let Size { width, channels, .. } = size;
        let strides = match order {
            Order::Last => [count, width * channels, channels, 1],
            Order::First => [count, 1, width * channels, channels],
            Order::Rows => [count, 1, 0, 0],
            Order::One => [width * channels, channels, 1, 0],
        };
        let mut axes: Vec<_> = shape.iter().copied().zip(strides).collect();
        if !fortran_order {
            axes.reverse();
        }
        Ok(Layout { images, size, axes, note })
    }

    /// The number of elements.
    pub(super) fn count(&self) -> usize {
        self.images * self.size.count()
    }

    /// Where the elements of the array belong in the images, in the order of the file.
    pub(super) fn places(&self) -> Places {
        Places { axes: self.axes.iter().map(|&(size, stride)| Axis { size, stride, index: 0 }).collect(), place: 0 }
    }

    /// Whether the elements are in the file in the order that they have in the images.
    pub(super) fn is_in_order(&self) -> bool {
        let mut steps = 1;
        self.axes.iter().all(|&(size, stride)| {
            let fits = size == 1 || stride == steps;
            steps *= size;
            fits
        })
    }
}

/// What the dimensions after the first are.
#[derive(Clone, Copy)]
enum Order {
    /// Height, width and perhaps channels.
    Last,
    /// Channels, height, width.
    First,
    /// All numbers of an image.
    Rows,
    /// The first is none of images, for there is one alone: height, width and perhaps channels.
    One,
}

/// How many images an array of `shape` holds, of what size, in which order, and what was assumed of that.
fn read(shape: &[usize], options: &Options) -> Result<(usize, Size, Order, Option<String>), String> {
    let fits = |size: &Size| options.expect(*size).is_ok();
    match *shape {
        [height, width, ref channels @ ..] if channels.len() < 2 && options.image_size == Some((height, width)) => {
            let size = Size { height, width, channels: channels.first().copied().unwrap_or(1) };
            if matches!(size.channels, 1 | 3) && fits(&size) {
                return Ok((1, size, Order::One, None));
            }
        }
        _ => {}
    }
    match *shape {
        [n, height, width] => Ok((n, Size::grey(height, width), Order::Last, None)),
        [n, a, b, c] => {
            let last = Size { height: a, width: b, channels: c };
            let first = Size { height: b, width: c, channels: a };
            let is_size = |size: &Size| matches!(size.channels, 1 | 3);
            match (is_size(&last), is_size(&first)) {
                (true, false) => Ok((n, last, Order::Last, None)),
                (false, true) => Ok((n, first, Order::First, None)),
                // The bytes are the same.
                (true, true) if last == first => Ok((n, last, Order::Last, None)),
                (true, true) if fits(&first) && !fits(&last) => Ok((n, first, Order::First, None)),
                (true, true) if fits(&last) && !fits(&first) => Ok((n, last, Order::Last, None)),
                (true, true) => {
                    let note = format!("shape {shape:?} is taken for [n, h, w, c] and not for [n, c, h, w]");
                    Ok((n, last, Order::Last, Some(note)))
                }
                (false, false) => Err(odd(shape)),
            }
        }
        [n, row] => {
            let (size, note) = of_row(row, options)?;
            Ok((n, size, Order::Rows, note))
        }
        _ => Err(odd(shape)),
    }
}

/// That images are in arrays of another shape than this one.
fn odd(shape: &[usize]) -> String {
    format!(
        "expected shape [n, h, w], [n, h, w, c] or [n, c, h, w] with c 1 or 3, or [n, d], found {shape:?} \
         (numpy.moveaxis turns an array, a[..., :3] leaves channels out)"
    )
}

/// The size of the images that rows of so many numbers are, and what was assumed of it.
fn of_row(row: usize, options: &Options) -> Result<(Size, Option<String>), String> {
    let sized = |channels| options.image_size.map(|(height, width)| Size { height, width, channels });
    let fits = |size: &Size| size.checked_count() == Some(row);
    let coloured = options.channels == Some(3) || options.channels.is_none() && sized(3).is_some_and(|s| fits(&s));
    let channels = options.channels.unwrap_or(if coloured { 3 } else { 1 });
    let pixels = row / channels.max(1);
    let side = pixels.isqrt();
    let is_square = side * side == pixels;
    let (height, width) = if is_square { (side, side) } else { (1, pixels) };
    let size = sized(channels).unwrap_or(Size { height, width, channels });
    if !fits(&size) {
        return Err(format!("rows of {row} numbers are not images of {size}"));
    }
    let assumed = options.image_size.is_none() && !is_square;
    let note = format!("rows of {row} numbers are taken for images of {size}; --image-size HxW says otherwise");
    Ok((size, assumed.then_some(note)))
}

/// Goes through the places of an array's elements in the order of the file.
pub(super) struct Places {
    axes: Vec<Axis>,
    place: usize,
}

struct Axis {
    size: usize,
    stride: usize,
    index: usize,
}

impl Places {
    /// The place of the next element. There are as many as the array has elements; then they come again.
    pub(super) fn next(&mut self) -> usize {
        let place = self.place;
        for axis in &mut self.axes {
            axis.index += 1;
            self.place += axis.stride;
            if axis.index < axis.size {
                break;
            }
            self.place -= axis.size * axis.stride;
            axis.index = 0;
        }
        place
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sized(size: Option<(usize, usize)>, channels: Option<usize>) -> Options {
        Options { image_size: size, channels, ..Options::default() }
    }

    fn size(shape: &[usize], options: &Options) -> Result<(usize, String), String> {
        Layout::new(shape, false, options).map(|layout| (layout.images, layout.size.to_string()))
    }

    #[test]
    fn shapes_of_two_three_and_four_dimensions_are_images() {
        let (any, coloured) = (Options::default(), sized(None, Some(3)));
        assert_eq!(size(&[5, 2, 3], &any), Ok((5, "2 × 3".into())));
        assert_eq!(size(&[5, 2, 3, 1], &any), Ok((5, "2 × 3".into())));
        assert_eq!(size(&[5, 2, 4, 3], &any), Ok((5, "2 × 4 × 3".into())));
        assert_eq!(size(&[5, 1, 2, 4], &any), Ok((5, "2 × 4".into())));
        assert_eq!(size(&[5, 3, 32, 32], &any), Ok((5, "32 × 32 × 3".into())));
        assert_eq!(size(&[5, 784], &any), Ok((5, "28 × 28".into())));
        assert_eq!(size(&[5, 10], &any), Ok((5, "1 × 10".into())));
        assert_eq!(size(&[5, 10], &sized(Some((5, 2)), None)), Ok((5, "5 × 2".into())));
        assert_eq!(size(&[5, 12], &coloured), Ok((5, "2 × 2 × 3".into())));
        assert_eq!(size(&[5, 12], &sized(Some((1, 4)), None)), Ok((5, "1 × 4 × 3".into())));
    }

    #[test]
    fn other_shapes_are_refused() {
        let any = Options::default();
        let problem = |shape: &[usize]| size(shape, &any).unwrap_err();
        for shape in [&[5, 32, 32, 4][..], &[32, 32, 2, 5], &[5], &[], &[1, 2, 3, 4, 5]] {
            assert!(problem(shape).starts_with("expected shape [n, h, w], [n, h, w, c] or [n, c, h, w] with c 1 or 3"));
            assert!(problem(shape).contains(&format!("found {shape:?} (numpy.moveaxis turns")), "{shape:?}");
        }
        assert_eq!(
            size(&[5, 10], &sized(Some((3, 3)), None)).unwrap_err(),
            "rows of 10 numbers are not images of 3 × 3"
        );
        assert_eq!(
            size(&[5, 10], &sized(None, Some(3))).unwrap_err(),
            "rows of 10 numbers are not images of 1 × 3 × 3"
        );
        // However many there are of images of nothing.
        assert_eq!(problem(&[usize::MAX, 0, 3]), "images of 0 × 3 have no pixels");
        assert_eq!(problem(&[usize::MAX, 0]), "images of 0 × 0 have no pixels");
        assert!(problem(&[1 << 40, 1 << 40, 3]).contains("more elements than can be counted"));
        assert!(problem(&[0, usize::MAX, 3]).contains("more elements than can be counted"));
    }

    #[test]
    fn a_shape_that_may_be_read_both_ways_has_its_channels_last_unless_the_wished_size_says_otherwise() {
        let layout = |shape: &[usize], options: Options| Layout::new(shape, false, &options).unwrap();
        let Layout { size, note, .. } = layout(&[5, 3, 8, 1], Options::default());
        assert_eq!(size, Size::grey(3, 8));
        assert_eq!(note.unwrap(), "shape [5, 3, 8, 1] is taken for [n, h, w, c] and not for [n, c, h, w]");
        for options in [sized(Some((8, 1)), None), sized(None, Some(3))] {
            let Layout { size, note, .. } = layout(&[5, 3, 8, 1], options);
            assert_eq!((size, note), (Size { height: 8, width: 1, channels: 3 }, None));
        }
        let Layout { size, note, .. } = layout(&[5, 1, 1, 1], Options::default());
        assert_eq!((size, note), (Size::grey(1, 1), None));
        let Layout { size, note, .. } = layout(&[5, 3, 8, 1], sized(Some((3, 8)), None));
        assert_eq!((size, note), (Size::grey(3, 8), None));
    }

    #[test]
    fn an_array_of_the_wished_shape_is_one_image() {
        let one = |shape: &[usize], size, channels| {
            let layout = Layout::new(shape, false, &sized(Some(size), channels)).unwrap();
            (layout.images, layout.size.to_string())
        };
        assert_eq!(one(&[28, 20], (28, 20), Some(1)), (1, "28 × 20".into()));
        assert_eq!(one(&[28, 20, 3], (28, 20), Some(3)), (1, "28 × 20 × 3".into()));
        assert_eq!(one(&[28, 20, 1], (28, 20), None), (1, "28 × 20".into()));
        assert_eq!(one(&[28, 28, 20], (28, 20), None), (28, "28 × 20".into()));
    }

    #[test]
    fn rows_that_are_no_squares_are_said_to_be_lines() {
        let note = |row, options: Options| Layout::new(&[5, row], false, &options).unwrap().note;
        let expected = "rows of 10 numbers are taken for images of 1 × 10; --image-size HxW says otherwise";
        assert_eq!(note(10, Options::default()).unwrap(), expected);
        assert_eq!((note(9, Options::default()), note(10, sized(Some((2, 5)), None))), (None, None));
    }

    proptest! {
        #[test]
        fn every_element_has_the_place_that_its_index_gives(n in 1usize..4, h in 1usize..5, w in 1usize..5, c in prop::sample::select(vec![1usize, 3]), first: bool, fortran: bool) {
            prop_assume!(![1, 3].contains(&h) && ![1, 3].contains(&w));
            let shape = if first { [n, c, h, w] } else { [n, h, w, c] };
            let layout = Layout::new(&shape, fortran, &Options::default()).unwrap();
            prop_assert_eq!((layout.images, layout.size), (n, Size { height: h, width: w, channels: c }));
            let mut places = layout.places();
            let mut seen = Vec::new();
            for i in 0..n * h * w * c {
                // The index of the `i`th element of the file.
                let (mut rest, mut index) = (i, [0; 4]);
                let dimensions: Vec<usize> = if fortran { (0..4).collect() } else { (0..4).rev().collect() };
                for d in dimensions {
                    index[d] = rest % shape[d];
                    rest /= shape[d];
                }
                let [i, a, b, d] = index;
                let (y, x, channel) = if first { (b, d, a) } else { (a, b, d) };
                let place = places.next();
                prop_assert_eq!(place, ((i * h + y) * w + x) * c + channel);
                seen.push(place);
            }
            prop_assert_eq!(seen.is_sorted(), layout.is_in_order());
            prop_assert_eq!(places.next(), 0);
        }
    }
}
