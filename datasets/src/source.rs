//! Bytes from outside, plain or gzipped, and how much memory they may ask for.

use crate::{Error, Result};
use flate2::bufread::GzDecoder;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
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
        let members = Members::new(BufReader::new(Counting { source: whole, bytes: 0 }));
        Ok((Box::new(Bounded { members, unfolded: 0 }), true))
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

/// The members of a gzip one after the other; zeros after the last are padding, as they are to `gzip -d`.
struct Members<R> {
    /// The one that is being read; none after the last.
    member: Option<GzDecoder<R>>,
}

impl<R: BufRead> Members<R> {
    fn new(source: R) -> Members<R> {
        Members { member: Some(GzDecoder::new(source)) }
    }
}

impl<R: BufRead> Read for Members<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while let Some(member) = &mut self.member {
            let n = member.read(buffer)?;
            if n > 0 || buffer.is_empty() {
                return Ok(n);
            }
            let mut rest = self.member.take().expect("there is one").into_inner();
            if rest.fill_buf()?.first() == Some(&0x1f) {
                self.member = Some(GzDecoder::new(rest));
            } else if !skip_zeros(&mut rest)? {
                return Err(io::Error::other("the gzip is followed by something else"));
            }
        }
        Ok(0)
    }
}

/// Reads to the end; whether nothing but zeros came.
fn skip_zeros(source: &mut impl BufRead) -> io::Result<bool> {
    loop {
        let (n, zeros) = match source.fill_buf()? {
            [] => return Ok(true),
            bytes => (bytes.len(), bytes.iter().all(|&byte| byte == 0)),
        };
        if !zeros {
            return Ok(false);
        }
        source.consume(n);
    }
}

/// Gzip that unfolds no further than [`most_unfolded`] of what has been read of it.
struct Bounded<R> {
    members: Members<BufReader<Counting<R>>>,
    unfolded: u64,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.members.read(buffer)?;
        self.unfolded += n as u64;
        let read = self.members.member.as_ref().map(|member| member.get_ref().get_ref().bytes);
        if read.is_some_and(|read| self.unfolded > most_unfolded(read)) {
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
