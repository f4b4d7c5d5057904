//! A picture in memory, and what is done to it until it is an image of the size that is wished.

use crate::Size;
use ::resize::{Pixel, Type};
use rgb::{Gray, RGB8};

/// A picture as it was decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Raster {
    pub(super) height: usize,
    pub(super) width: usize,
    /// 1 for grey, 2 for grey and opacity, 3 for red, green and blue, 4 for these and opacity.
    pub(super) channels: usize,
    /// `height × width × channels` numbers, row by row, those of a pixel together.
    pub(super) samples: Vec<u8>,
}

impl Raster {
    /// The picture as somebody sees it who turns it as `orientation` says: the EXIF tag of that name, 1 to 8.
    pub(super) fn upright(self, orientation: u8) -> Raster {
        let (h, w, channels) = (self.height, self.width, self.channels);
        let (height, width) = if orientation >= 5 { (w, h) } else { (h, w) };
        if orientation <= 1 {
            return self;
        }
        let mut samples = Vec::with_capacity(self.samples.len());
        for y in 0..height {
            for x in 0..width {
                let (row, column) = match orientation {
                    2 => (y, w - 1 - x),
                    3 => (h - 1 - y, w - 1 - x),
                    4 => (h - 1 - y, x),
                    5 => (x, y),
                    6 => (h - 1 - x, y),
                    7 => (h - 1 - x, w - 1 - y),
                    _ => (x, w - 1 - y),
                };
                let pixel = (row * w + column) * channels;
                samples.extend_from_slice(&self.samples[pixel..pixel + channels]);
            }
        }
        Raster { height, width, channels, samples }
    }

    /// The picture cut to the aspect ratio of `size`, around the centre, and resized (Catmull–Rom's cubic), in its colours:
    /// the numbers of an image.
    pub(super) fn fit(self, size: Size) -> Vec<u8> {
        let picture = self.on_white().coloured(size.channels);
        if (picture.height, picture.width) == (size.height, size.width) {
            return picture.samples;
        }
        // Cut first: to resize and cut then would make a long strip longer still.
        let (height, width) = largest_inside(picture.height, picture.width, size);
        let picture = picture.cut(height, width);
        picture.resized(size)
    }

    /// What is seen of a picture on a white ground.
    fn on_white(self) -> Raster {
        if !self.channels.is_multiple_of(2) {
            return self;
        }
        let over = |colour: u8, opacity: u8| {
            let (colour, opacity) = (u32::from(colour), u32::from(opacity));
            ((colour * opacity + 255 * (255 - opacity) + 127) / 255) as u8
        };
        let colours = self.channels - 1;
        let pixels = self.samples.chunks_exact(self.channels);
        let samples = pixels.flat_map(|pixel| pixel[..colours].iter().map(|&colour| over(colour, pixel[colours])));
        Raster { channels: colours, samples: samples.collect(), ..self }
    }

    /// An opaque picture in 1 channel or 3. The grey of a colour is its luma (Rec. 709).
    fn coloured(self, channels: usize) -> Raster {
        let samples = match (self.channels, channels) {
            (3, 1) => self.samples.chunks_exact(3).map(|pixel| luma(pixel[0], pixel[1], pixel[2])).collect(),
            (1, 3) => self.samples.iter().flat_map(|&grey| [grey; 3]).collect(),
            _ => self.samples,
        };
        Raster { channels, samples, ..self }
    }

    /// The middle of a picture.
    fn cut(self, height: usize, width: usize) -> Raster {
        let (top, left) = ((self.height - height) / 2, (self.width - width) / 2);
        let rows = self.samples.chunks_exact(self.width * self.channels).skip(top).take(height);
        let samples =
            rows.flat_map(|row| &row[left * self.channels..(left + width) * self.channels]).copied().collect();
        Raster { height, width, samples, ..self }
    }

    /// The numbers of an opaque picture as an image of `size`; where it becomes smaller, all pixels count.
    fn resized(self, Size { height, width, channels }: Size) -> Vec<u8> {
        const POSSIBLE: &str = "both have pixels, and as many as their sides say";
        match channels {
            1 => {
                let from: Vec<Gray<u8>> = self.samples.into_iter().map(Gray::new).collect();
                let mut to = vec![Gray::new(0); height * width];
                let resizer = resize::new(self.width, self.height, width, height, Pixel::Gray8, Type::Catrom);
                resizer.and_then(|mut resizer| resizer.resize(&from, &mut to)).expect(POSSIBLE);
                to.into_iter().map(Gray::value).collect()
            }
            _ => {
                let from: Vec<RGB8> = self.samples.chunks_exact(3).map(|p| RGB8::new(p[0], p[1], p[2])).collect();
                let mut to = vec![RGB8::new(0, 0, 0); height * width];
                let resizer = resize::new(self.width, self.height, width, height, Pixel::RGB8, Type::Catrom);
                resizer.and_then(|mut resizer| resizer.resize(&from, &mut to)).expect(POSSIBLE);
                to.into_iter().flat_map(|pixel| [pixel.r, pixel.g, pixel.b]).collect()
            }
        }
    }
}

/// Rec. 709: 0.2126 R + 0.7152 G + 0.0722 B.
fn luma(r: u8, g: u8, b: u8) -> u8 {
    ((2126 * u32::from(r) + 7152 * u32::from(g) + 722 * u32::from(b) + 5000) / 10_000) as u8
}

/// The largest height and width with the ratio of `size` inside a picture of `h × w`, at least 1.
fn largest_inside(h: usize, w: usize, Size { height, width, .. }: Size) -> (usize, usize) {
    let nearest = |a: usize, b: usize| ((2 * a + b) / (2 * b)).max(1);
    match w * height > h * width {
        true => (h, nearest(h * width, height).min(w)),
        false => (nearest(w * height, width).min(h), w),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raster(height: usize, width: usize, samples: Vec<u8>) -> Raster {
        Raster { height, width, channels: samples.len() / (height * width), samples }
    }

    #[test]
    fn a_picture_is_turned_as_exif_says() {
        // EXIF 2.3, 4.6.4.A: what the first row and the first column of the file show.
        let turned = |orientation| {
            let picture = raster(2, 3, vec![1, 2, 3, 4, 5, 6]).upright(orientation);
            (picture.height, picture.width, picture.samples)
        };
        assert_eq!(turned(1), (2, 3, vec![1, 2, 3, 4, 5, 6])); // top, left
        assert_eq!(turned(2), (2, 3, vec![3, 2, 1, 6, 5, 4])); // top, right
        assert_eq!(turned(3), (2, 3, vec![6, 5, 4, 3, 2, 1])); // bottom, right
        assert_eq!(turned(4), (2, 3, vec![4, 5, 6, 1, 2, 3])); // bottom, left
        assert_eq!(turned(5), (3, 2, vec![1, 4, 2, 5, 3, 6])); // left, top
        assert_eq!(turned(6), (3, 2, vec![4, 1, 5, 2, 6, 3])); // right, top
        assert_eq!(turned(7), (3, 2, vec![6, 3, 5, 2, 4, 1])); // right, bottom
        assert_eq!(turned(8), (3, 2, vec![3, 6, 2, 5, 1, 4])); // left, bottom
    }

    #[test]
    fn what_is_transparent_is_seen_on_white() {
        let pixels = vec![100, 0, 200, 255, 100, 0, 200, 0, 100, 0, 200, 51]; // the last a fifth
        let size = Size { height: 1, width: 3, channels: 3 };
        assert_eq!(raster(1, 3, pixels).fit(size), [100, 0, 200, 255, 255, 255, 224, 204, 244]);
        assert_eq!(raster(1, 2, vec![7, 255, 7, 0]).fit(Size::grey(1, 2)), [7, 255]);
    }

    #[test]
    fn colours_become_grey_by_their_luma_and_greys_stay_as_they_are() {
        // 0.2126 · 10 + 0.7152 · 20 + 0.0722 · 30 = 18.6
        assert_eq!(raster(1, 1, vec![10, 20, 30]).fit(Size::grey(1, 1)), [19]);
        assert!((0..=255).all(|grey| luma(grey, grey, grey) == grey));
        assert_eq!(raster(1, 1, vec![9]).fit(Size { height: 1, width: 1, channels: 3 }), [9; 3]);
    }

    #[test]
    fn pictures_are_cut_around_the_centre_and_then_resized() {
        // White in the middle third, black left and right of it.
        let white = |i: usize| if (20..40).contains(&(i % 60)) { 255 } else { 0 };
        let wide = raster(20, 60, (0..1200).map(white).collect());
        assert_eq!(wide.clone().fit(Size::grey(10, 10)), [255; 100]);
        // In its own ratio nothing is cut; in the other one only the white is left.
        let whole = wide.clone().fit(Size::grey(10, 30));
        assert_eq!((whole[0], whole[15], whole[29]), (0, 255, 0));
        assert_eq!(wide.upright(6).fit(Size::grey(7, 7)), [255; 49]);
        // Smaller pictures grow, and colours stay apart.
        assert_eq!(raster(2, 3, vec![77; 6]).fit(Size::grey(9, 9)), [77; 81]);
        let coloured = raster(2, 3, [10, 20, 30].repeat(6)).fit(Size { height: 9, width: 9, channels: 3 });
        assert_eq!(coloured, [10, 20, 30].repeat(81));
    }

    #[test]
    fn pixels_all_count_when_pictures_become_smaller() {
        let checks = (0..64 * 64).map(|i| if (i / 64 + i) % 2 == 0 { 255 } else { 0 }).collect();
        let small = raster(64, 64, checks).fit(Size::grey(8, 8));
        assert!(small.iter().all(|&pixel| (120..136).contains(&pixel)), "{small:?}");
    }

    #[test]
    fn the_largest_part_of_a_ratio_is_inside_and_touches_two_sides() {
        for (h, w, height, width, expected) in [
            (20, 60, 10, 10, (20, 20)),
            (60, 20, 10, 10, (20, 20)),
            (20, 60, 10, 30, (20, 60)),
            (10, 10, 1, 3, (3, 10)),
            (32768, 1, 1, 32768, (1, 1)),
            (1, 32768, 32768, 1, (1, 1)),
            (5, 7, 5, 7, (5, 7)),
        ] {
            assert_eq!(largest_inside(h, w, Size::grey(height, width)), expected);
        }
    }
}
