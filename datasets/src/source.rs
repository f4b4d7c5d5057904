//! Bytes from outside, plain or gzipped, and how much memory they may ask for.

use crate::{Error, Result};
use flate2::read::MultiGzDecoder;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

/// The most bytes that an array from outside may have: 16 GiB.
///
/// Headers are believed up to here; even so, memory is taken as the data arrives and not on the word of a header.
pub(crate) const MOST_BYTES: u64 = 16 << 30;

/// The most that `size` bytes of compressed data may unfold to: 32 MiB, and 256 times as much as they are.
///
/// Deflate can do a thousand to one, so a file of a few megabytes could fill the memory of any machine. Real images are far
/// below the bound: MNIST unfolds to 5 times its size, and binarised MNIST, digits 0 and 1 written as text, to 36 times.
pub(crate) fn most_unfolded(size: u64) -> u64 {
    size.saturating_mul(256).saturating_add(32 << 20)
}

/// Opens a file for reading.
pub(crate) fn open(path: &Path) -> Result<File> {
    File::open(path).map_err(|error| Error::new(path, format!("cannot open: {error}")))
}

/// What `source` holds, and whether it is gzipped: its first bytes decide, not a name.
pub(crate) fn unfold<'a>(mut source: impl Read + 'a) -> io::Result<(Box<dyn Read + 'a>, bool)> {
    let mut start = Vec::new();
    source.by_ref().take(2).read_to_end(&mut start)?;
    let gzipped = start == [0x1f, 0x8b];
    let whole = io::Cursor::new(start).chain(source);
    if gzipped {
        let decoder = MultiGzDecoder::new(Counting { source: whole, bytes: 0 });
        Ok((Box::new(Bounded { decoder, unfolded: 0 }), true))
    } else {
        Ok((Box::new(BufReader::new(whole)), false))
    }
}

/// The next `limit` bytes, or all that are left if they are fewer.
pub(crate) fn up_to(limit: usize, source: &mut impl Read) -> std::result::Result<Vec<u8>, String> {
    // `limit` may come from an unchecked header, so beyond a modest start the buffer grows only as data arrives.
    let mut bytes = Vec::with_capacity(limit.min(1 << 16));
    source.take(limit as u64).read_to_end(&mut bytes).map_err(|error| format!("cannot read: {error}"))?;
    Ok(bytes)
}

/// A reader that counts.
struct Counting<R> {
    source: R,
    bytes: u64,
}

impl<R: Read> Read for Counting<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.source.read(buffer)?;
        self.bytes += n as u64;
        Ok(n)
    }
}

/// Gzip that unfolds no further than [`most_unfolded`] of what has been read of it.
struct Bounded<R> {
    decoder: MultiGzDecoder<Counting<R>>,
    unfolded: u64,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.decoder.read(buffer)?;
        self.unfolded += n as u64;
        if self.unfolded > most_unfolded(self.decoder.get_ref().bytes) {
            return Err(io::Error::other("it unfolds to more than 256 times its size"));
        }
        Ok(n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encode::gzip;

    #[test]
    fn the_first_bytes_decide_what_is_gzip() {
        for bytes in [&b""[..], b"\x1f", b"plain"] {
            for (file, expected) in [(bytes.to_vec(), false), (gzip(bytes), true)] {
                let (mut reader, gzipped) = unfold(&file[..]).unwrap();
                assert_eq!((up_to(100, &mut reader).unwrap(), gzipped), (bytes.to_vec(), expected));
            }
        }
    }

    #[test]
    fn a_gzip_unfolds_to_32_mib_and_256_times_its_size_and_no_further() {
        // Zeros, 1000 to one.
        let bomb = gzip(&vec![0; 80 << 20]);
        let most = most_unfolded(bomb.len() as u64);
        assert!(most < 80 << 20);
        let mut read = 0;
        let (mut reader, _) = unfold(&bomb[..]).unwrap();
        let mut buffer = vec![0; 1 << 16];
        let error = loop {
            match reader.read(&mut buffer) {
                Ok(n) => read += n as u64,
                Err(error) => break error,
            }
        };
        assert_eq!(error.to_string(), "it unfolds to more than 256 times its size");
        assert!(read > 32 << 20 && read <= most, "{read}");
    }
}
