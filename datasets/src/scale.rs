//! What number of a pixel is white, where the data may not say it.
//!
//! Masks are saved as bytes 0 and 1, cameras of 10 and 12 bits save 16: taken for numbers up to 255 or 65,535 they would be all
//! but black. So white is the smallest of [`WHITES`] that no pixel is above, and what is assumed, or too dark to be meant, is
//! said in a line.

use std::fmt::Write;

/// The greatest numbers of 1, 8, 10, 12 and 16 bits. Not of 14: pictures that use a quarter of their range are not so dark.
const WHITES: [u16; 5] = [1, 255, 1023, 4095, u16::MAX];

/// Bytes below this, a sixteenth of 256, show next to nothing.
const DARK: u16 = 16;

/// What is white where no pixel is above `brightest`, and a note unless that is `usual`: what the type of the data says.
///
/// Black alone says nothing of white, so it leaves the `usual`; of that, too, and of all that is dark, there is a note.
pub(crate) fn white(brightest: u16, usual: u16) -> (u16, Option<String>) {
    let white = WHITES.into_iter().find(|&white| brightest <= white).expect("the last is the greatest of all");
    match (brightest, white) {
        (0, _) => (usual, Some("all pixels are black".into())),
        (_, 1) => (white, Some("all pixels are 0 and 1: 1 is taken for white".into())),
        _ => {
            let mut note = String::new();
            if white != usual {
                write!(note, "no pixel is above {brightest}: {white} is taken for white").expect("a string takes all");
            }
            if white == 255 && brightest < DARK {
                let start = if note.is_empty() { "" } else { "; " };
                write!(note, "{start}dark: no pixel is above {brightest} of 255").expect("a string takes all");
            }
            (white, Some(note).filter(|note| !note.is_empty()))
        }
    }
}

/// The byte nearest to `value`, at most `white`, on a scale where white is 255.
pub(crate) fn byte(value: u16, white: u16) -> u8 {
    let (value, white) = (u32::from(value), u32::from(white));
    // The greatest sum is 65,535 · 255 + 32,767, which a `u32` holds.
    ((value * 255 + white / 2) / white) as u8
}

/// Stretches bytes, in whatever number of `parts`, that are only 0 and 1; the note of [`white`].
pub(crate) fn stretch(parts: &mut [&mut [u8]]) -> Option<String> {
    // Not by `max()`: this loop takes many bytes at a time.
    let brightest = parts.iter().map(|part| part.iter().fold(0, |brightest, &pixel| pixel.max(brightest)));
    let brightest = brightest.max().unwrap_or(0);
    let (white, note) = white(brightest.into(), 255);
    if white != 255 {
        parts.iter_mut().flat_map(|part| part.iter_mut()).for_each(|pixel| *pixel = byte((*pixel).into(), white));
    }
    note
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn white_is_the_smallest_depth_that_holds_all_pixels() {
        let of = |brightest| white(brightest, 255).0;
        assert_eq!([1, 2, 255, 256, 1023, 1024, 4095, 4096].map(of), [1, 255, 255, 1023, 1023, 4095, 4095, 65_535]);
        assert_eq!((white(0, 255).0, white(0, 65_535).0), (255, 65_535));
    }

    #[test]
    fn what_is_assumed_or_dark_is_said_and_what_is_usual_is_not() {
        let note = |brightest, usual| white(brightest, usual).1.unwrap_or_default();
        assert_eq!([note(255, 255), note(16, 255), note(65_535, 65_535), note(4096, 65_535)], [""; 4]);
        assert_eq!(note(1, 255), "all pixels are 0 and 1: 1 is taken for white");
        assert_eq!(note(4080, 65_535), "no pixel is above 4080: 4095 is taken for white");
        assert_eq!(note(15, 255), "dark: no pixel is above 15 of 255");
        let both = "no pixel is above 9: 255 is taken for white; dark: no pixel is above 9 of 255";
        assert_eq!(note(9, 65_535), both);
        assert_eq!(note(0, 255), "all pixels are black");
    }

    #[test]
    fn a_number_becomes_the_nearest_byte() {
        assert_eq!([0, 1].map(|value| byte(value, 1)), [0, 255]);
        assert!((0..=255).all(|value| byte(value, 255) == value as u8));
        for white in WHITES {
            for value in (0..=white).step_by(usize::from(white / 1000).max(1)) {
                let exact = (f64::from(value) * 255.0 / f64::from(white)).round();
                assert_eq!(f64::from(byte(value, white)), exact, "{value} of {white}");
            }
        }
    }

    #[test]
    fn bytes_are_stretched_together_if_all_are_0_and_1() {
        let (mut train, mut test) = ([0, 1, 1], [0]);
        assert!(stretch(&mut [&mut train, &mut test]).is_some());
        assert_eq!((train, test), ([0, 255, 255], [0]));
        let (mut train, mut test) = ([0, 1, 1], [20]);
        assert_eq!(stretch(&mut [&mut train, &mut test]), None);
        assert_eq!((train, test), ([0, 1, 1], [20]));
    }
}
