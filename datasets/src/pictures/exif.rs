//! Which way up a photograph was taken.

/// The tag Orientation of EXIF data, from their TIFF header on: 1 to 8, and 1, upright, if there is none.
pub(super) fn orientation(exif: &[u8]) -> u8 {
    find(exif).filter(|value| (1..=8).contains(value)).map_or(1, |value| value as u8)
}

fn find(exif: &[u8]) -> Option<u16> {
    let big = match exif.get(..4)? {
        b"MM\0*" => true,
        b"II*\0" => false,
        _ => return None,
    };
    let short = |at: usize| {
        let bytes = exif.get(at..at.checked_add(2)?)?.try_into().ok()?;
        Some(if big { u16::from_be_bytes(bytes) } else { u16::from_le_bytes(bytes) })
    };
    let long = |at: usize| {
        let bytes = exif.get(at..at.checked_add(4)?)?.try_into().ok()?;
        Some(if big { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) })
    };
    // The first directory: the number of its entries, and of each its tag, its type, a count and a value, 12 bytes.
    let directory = usize::try_from(long(4)?).ok()?;
    let entries = (0..usize::from(short(directory)?)).map(|i| directory + 2 + 12 * i);
    let mut found = entries.map_while(|at| Some((at, short(at)?))).filter(|&(_, tag)| tag == 0x0112);
    let (at, _) = found.next()?;
    // A short number, and one of them.
    (short(at + 2)? == 3 && long(at + 4)? == 1).then(|| short(at + 8))?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tag_is_found_in_either_byte_order() {
        let big = b"MM\0*\0\0\0\x08\0\x02\x01\x0f\0\x02\0\0\0\x01\0\0\0\0\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0";
        let little = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x08\0\0\0\0\0\0\0";
        assert_eq!((orientation(big), orientation(little)), (6, 8));
    }

    #[test]
    fn what_says_nothing_or_nonsense_is_upright() {
        let zero = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\0\0\0\0\0\0\0\0";
        let nine = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x09\0\0\0\0\0\0\0";
        let text = b"II*\0\x08\0\0\0\x01\0\x12\x01\x02\0\x01\0\0\0\x06\0\0\0\0\0\0\0";
        let far = b"II*\0\xff\xff\xff\xff\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0";
        for exif in [&zero[..], nine, text, far, b"", b"II*\0", b"Exif\0\0"] {
            assert_eq!(orientation(exif), 1);
        }
        (0..zero.len()).for_each(|end| assert_eq!(orientation(&nine[..end]), 1));
    }
}
