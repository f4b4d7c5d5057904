//! CIFAR-10 in its binary format: records of a label and three planes of 32 × 32 bytes, all red, all green, all blue.
//!
//! Source: Krizhevsky 2009, *Learning multiple layers of features from tiny images*; the format is described on the data
//! set's page, "Binary version".

use crate::source::{open, unfold, up_to};
use crate::{Dataset, Error, Images, Result, Size};
use std::io::{self, BufReader, Read};
use std::path::Path;
use tar::Archive;

const SIZE: Size = Size { height: 32, width: 32, channels: 3 };
const PLANE: usize = 32 * 32;
const RECORD: usize = 1 + 3 * PLANE;

/// The archive as it is published, the folder in it, and the files in that: five to train on and one to test on.
const ARCHIVE: &str = "cifar-10-binary.tar.gz";
const FOLDER: &str = "cifar-10-batches-bin";
const FILES: [&str; 6] = [
    "data_batch_1.bin",
    "data_batch_2.bin",
    "data_batch_3.bin",
    "data_batch_4.bin",
    "data_batch_5.bin",
    "test_batch.bin",
];

/// Pixels, `[n, 32, 32, 3]`, and `n` labels.
#[derive(Debug, Default, PartialEq)]
struct Batch {
    pixels: Vec<u8>,
    labels: Vec<u32>,
}

/// Whether CIFAR-10 is in the folder `dir`, in one of the forms that [`from_folder`] reads.
pub(crate) fn is_here(dir: &Path) -> bool {
    [FILES[0], FILES[5], FOLDER, ARCHIVE].iter().any(|name| dir.join(name).exists())
}

/// Reads the six files from the folder `dir` or its sub-folder `cifar-10-batches-bin`, or else `cifar-10-binary.tar.gz`.
///
/// # Errors
///
/// If a file is missing, cannot be opened, or does not hold what it should; see [`records`] and [`join`].
pub(crate) fn from_folder(dir: &Path) -> Result<Dataset> {
    let folder = dir.join(FOLDER);
    let unpacked = |dir: &Path| FILES.iter().any(|name| dir.join(name).exists());
    let Some(folder) = [dir, &folder].into_iter().find(|dir| unpacked(dir)) else {
        return from_archive(&dir.join(ARCHIVE));
    };
    let mut batches: [Option<Batch>; 6] = Default::default();
    for (name, batch) in FILES.iter().zip(&mut batches) {
        let path = folder.join(name);
        *batch = Some(records(BufReader::new(open(&path)?)).map_err(|problem| Error::new(path, problem))?);
    }
    join(batches).map_err(|problem| Error::new(folder, problem))
}

/// Reads the six files out of the archive at `path`, without unpacking it.
///
/// # Errors
///
/// As [`from_folder`], and if the archive is damaged.
pub(crate) fn from_archive(path: &Path) -> Result<Dataset> {
    unpack(open(path)?).map_err(|problem| Error::new(path, problem))
}

fn unpack(archive: impl Read) -> std::result::Result<Dataset, String> {
    let damaged = |error: io::Error| format!("cannot read: {error}");
    let (mut source, _) = unfold(archive).map_err(damaged)?;
    let mut batches: [Option<Batch>; 6] = Default::default();
    let mut archive = Archive::new(&mut source);
    // Raw: a name may be kept in an entry of its own, which the library would read whole, however long it is.
    for entry in archive.entries().map_err(damaged)?.raw(true) {
        let mut entry = entry.map_err(damaged)?;
        let name = entry.path_bytes().into_owned();
        let name = name.rsplit(|&byte| byte == b'/').next().unwrap_or(&name);
        let Some(i) = FILES.iter().position(|file| file.as_bytes() == name) else { continue };
        if batches[i].is_some() {
            return Err(format!("holds {} twice", FILES[i]));
        }
        let promised = entry.size();
        let batch = records(BufReader::new(&mut entry)).map_err(|problem| format!("{}: {problem}", FILES[i]))?;
        if (batch.labels.len() * RECORD) as u64 != promised {
            return Err(format!("{}: cut short", FILES[i]));
        }
        batches[i] = Some(batch);
    }
    // To the end, where the checksum is.
    io::copy(&mut source, &mut io::sink()).map_err(damaged)?;
    join(batches)
}

/// The images of one file, pixels interleaved: what the file has in planes, this crate has pixel by pixel.
fn records(mut source: impl Read) -> std::result::Result<Batch, String> {
    let mut batch = Batch::default();
    loop {
        let record = up_to(RECORD, &mut source)?;
        let n = batch.labels.len();
        match record[..] {
            [] if n == 0 => return Err("there are no images".into()),
            [] => return Ok(batch),
            [label, ref planes @ ..] if planes.len() == 3 * PLANE => {
                if label > 9 {
                    return Err(format!("expected labels from 0 to 9, found {label} in record {}", n + 1));
                }
                batch.labels.push(label.into());
                batch.pixels.extend((0..PLANE).flat_map(|i| [planes[i], planes[PLANE + i], planes[2 * PLANE + i]]));
            }
            _ => return Err(format!("expected records of {RECORD} bytes, found one of {} at the end", record.len())),
        }
    }
}

/// The data set that the batches, in the order of [`FILES`], make up.
///
/// # Errors
///
/// If one is missing, or they differ in length: the originals hold 10 000 images each, so one that lacks some was cut.
fn join(batches: [Option<Batch>; 6]) -> std::result::Result<Dataset, String> {
    let missing = |name| format!("holds no {name}");
    let batches = FILES.iter().zip(batches).map(|(name, batch)| batch.ok_or_else(|| missing(name)));
    let mut batches = batches.collect::<std::result::Result<Vec<Batch>, String>>()?;
    let expected = batches[0].labels.len();
    if let Some((name, batch)) = FILES.iter().zip(&batches).find(|(_, batch)| batch.labels.len() != expected) {
        return Err(format!("{name} holds {} images, but {} holds {expected}", batch.labels.len(), FILES[0]));
    }
    let images = |batch: Batch| Images::new(batch.pixels, SIZE, batch.labels);
    let test = images(batches.pop().expect("there are six"))?;
    let train = batches.into_iter().reduce(|mut train, batch| {
        train.pixels.extend(batch.pixels);
        train.labels.extend(batch.labels);
        train
    });
    Ok(Dataset { train: images(train.expect("there are five"))?, test })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::damage::{cuts, flips};
    use crate::encode::gzip;
    use proptest::prelude::*;
    use std::fs;

    /// A file of `n` records; the pixel at `i` of record `r` is `(r, i, 255 - i)`, each modulo 256, and its label `r`.
    fn file(n: usize) -> Vec<u8> {
        let record = |r: usize| {
            let planes: [fn(usize, usize) -> u8; 3] = [|r, _| r as u8, |_, i| i as u8, |_, i| 255 - i as u8];
            [r as u8].into_iter().chain(planes.into_iter().flat_map(move |plane| (0..PLANE).map(move |i| plane(r, i))))
        };
        (0..n).flat_map(record).collect()
    }

    /// An archive of these files, in this order, not gzipped.
    fn archive(files: &[(&str, Vec<u8>)]) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        for (name, content) in files {
            let mut header = tar::Header::new_ustar();
            header.set_size(content.len() as u64);
            builder.append_data(&mut header, format!("{FOLDER}/{name}"), &content[..]).unwrap();
        }
        builder.into_inner().unwrap()
    }

    /// All six files with one record each, the test's first, and one that is not asked for.
    fn complete() -> Vec<(&'static str, Vec<u8>)> {
        let mut files = vec![("readme.html", b"<html>".to_vec())];
        files.extend(FILES.iter().rev().map(|name| (*name, file(1))));
        files
    }

    #[test]
    fn planes_become_pixels() {
        let batch = records(&file(2)[..]).unwrap();
        assert_eq!(batch.labels, [0, 1]);
        assert_eq!(batch.pixels[..6], [0, 0, 255, 0, 1, 254]);
        assert_eq!(batch.pixels[SIZE.count()..][..6], [1, 0, 255, 1, 1, 254]);
    }

    #[test]
    fn a_folder_its_sub_folder_and_the_archive_hold_the_same() {
        let dir = tempfile::tempdir().unwrap();
        assert!(!is_here(dir.path()));
        let expected = unpack(&archive(&complete())[..]).unwrap();
        assert_eq!((expected.train.len(), expected.test.len(), expected.test.size()), (5, 1, SIZE));
        fs::write(dir.path().join(ARCHIVE), gzip(&archive(&complete()))).unwrap();
        assert!(is_here(dir.path()));
        assert_eq!(from_folder(dir.path()).unwrap(), expected);
        fs::remove_file(dir.path().join(ARCHIVE)).unwrap();
        let folder = dir.path().join(FOLDER);
        fs::create_dir(&folder).unwrap();
        complete().into_iter().for_each(|(name, content)| fs::write(folder.join(name), content).unwrap());
        assert_eq!(from_folder(dir.path()).unwrap(), expected);
        assert_eq!(from_folder(&folder).unwrap(), expected);
        fs::remove_file(folder.join(FILES[2])).unwrap();
        assert!(from_folder(&folder).unwrap_err().to_string().contains("data_batch_3.bin: cannot open: "));
    }

    #[test]
    fn what_is_wrong_with_a_file_is_said() {
        assert_eq!(records(&[][..]).unwrap_err(), "there are no images");
        let cut = records(&file(2)[..3100]).unwrap_err();
        assert_eq!(cut, "expected records of 3073 bytes, found one of 27 at the end");
        let mut odd = file(2);
        odd[RECORD] = 10;
        assert_eq!(records(&odd[..]).unwrap_err(), "expected labels from 0 to 9, found 10 in record 2");
        let problem = |files: &[(&str, Vec<u8>)]| unpack(&archive(files)[..]).unwrap_err();
        assert_eq!(problem(&complete()[..6]), "holds no data_batch_1.bin");
        assert_eq!(problem(&[complete(), complete()].concat()), "holds test_batch.bin twice");
        let mut files = complete();
        files[1].1 = file(2);
        assert_eq!(problem(&files), "test_batch.bin holds 2 images, but data_batch_1.bin holds 1");
        files[1].1 = odd[..100].to_vec();
        assert_eq!(problem(&files), "test_batch.bin: expected records of 3073 bytes, found one of 100 at the end");
    }

    #[test]
    fn a_cut_is_an_error_wherever_it_is() {
        // In a file a cut between two records cannot be seen, but then it is shorter than the others.
        let whole = file(2);
        cuts(&whole, |cut| assert_eq!(records(cut).is_ok(), cut.len() == RECORD));
        let whole = gzip(&archive(&complete()));
        assert!(unpack(&whole[..]).is_ok());
        cuts(&whole, |cut| drop(unpack(cut).unwrap_err()));
    }

    #[test]
    fn flipped_bits_in_the_archive_are_an_error_or_leave_the_images_as_they_are() {
        let whole = gzip(&archive(&complete()));
        let expected = unpack(&whole[..]);
        flips(&whole, |flipped| assert!(unpack(flipped).is_err() || unpack(flipped) == expected));
    }

    #[test]
    fn an_archive_that_unfolds_without_end_is_refused() {
        // A name of a gigabyte, in an entry of its own: such names are not read.
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::GNULongName);
        header.set_size(1 << 30);
        header.set_cksum();
        let bomb = [gzip(header.as_bytes()), gzip(&vec![b'a'; 1 << 26]).repeat(16)].concat();
        let error = unpack(&bomb[..]).unwrap_err();
        assert!(error.contains("unfolds to more than 256 times its size"), "{error}");
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..2000), at in 0usize..1024) {
            let _ = records(&bytes[..]);
            let _ = unpack(&bytes[..]);
            let mut damaged = archive(&complete());
            let n = bytes.len().min(damaged.len() - at);
            damaged[at..][..n].copy_from_slice(&bytes[..n]);
            let _ = unpack(&damaged[..]);
        }
    }
}
