//! Several arrays in a `.npz` archive.

use super::pixels::{Pixels, to_bytes};
use super::{labels, names};
use crate::labels::{Labelled, classes};
use crate::open::{Found, Options, Reading};
use crate::source::{MOST_BYTES, most_unfolded, open};
use crate::{Dataset, Error, Images, Result};
use flate2::bufread::DeflateDecoder;
use rawzip::{CompressionMethod, FileReader, ReaderAt, ZipArchive, ZipArchiveEntryWayfinder, ZipLocator};
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::Path;

/// Reads a `.npz` archive: the images, and what there is of labels, in the arrays that [`names::choose`] chooses. Images whose
/// test set nobody has named have their rows' numbers as names.
///
/// # Errors
///
/// If the file cannot be opened or is no archive, or the choice is none; or if an array of images is damaged, or none. Labels are
/// left out then, with a note.
pub(crate) fn from_npz(path: &Path, options: &Options) -> Result<Reading> {
    let mut file = open(path)?;
    let length = file.seek(SeekFrom::End(0)).map_err(|error| Error::new(path, format!("cannot read: {error}")))?;
    unpack(FileReader::from(file), length, options).map_err(|problem| Error::new(path, problem))
}

/// Reads an archive of `length` bytes.
fn unpack(file: impl ReaderAt, length: u64, options: &Options) -> std::result::Result<Reading, String> {
    let archive = Archive::open(file, length)?;
    let names::Choice { parts, mut notes } = names::choose(&archive.names(), options.key.as_deref())?;
    let (mut arrays, mut labelled) = (Vec::new(), Vec::new());
    for names::Pair { images, labels } in &parts {
        let array = archive.read(images, |source, most| Pixels::read(source, most, options));
        let array = array.map_err(|problem| format!("{images}: {problem}"))?;
        notes.extend(array.note.iter().map(|note| format!("{images}: {note}")));
        let name = labels.clone().unwrap_or_default();
        let labels = labels.as_ref().map(|name| archive.read(name, |s, most| labels::read(s, most, array.images)));
        labelled.push(Labelled { images: array.images, name, labels: labels.transpose() });
        arrays.push(array);
    }
    if let [train, test] = &arrays[..]
        && train.size != test.size
    {
        return Err(format!("training images are {}, but test images are {}", train.size, test.size));
    }
    let sizes: Vec<_> = arrays.iter().map(|array| array.size).collect();
    let (pixels, assumed) = to_bytes(arrays);
    let (labels, left_out) = classes(labelled);
    notes.extend(assumed.into_iter().chain(left_out));
    let images = parts.iter().zip(pixels).zip(sizes).zip(labels).map(|(((names, pixels), size), labels)| {
        Images::new(pixels, size, labels).map_err(|problem| format!("{}: {problem}", names.images))
    });
    let mut images = images.collect::<std::result::Result<Vec<Images>, String>>()?;
    let last = images.pop().expect("one part at least is chosen");
    let found = match images.pop() {
        Some(train) => Found::Parts(Dataset { train, test: last }),
        None => Found::Rows(last),
    };
    Ok(Reading { notes, ..found.into() })
}

/// A `.npz` archive, which is a zip of `.npy` files.
struct Archive<R> {
    zip: ZipArchive<R>,
    /// How long the file is, in bytes.
    length: u64,
    /// In the archive's order.
    arrays: Vec<Member>,
}

/// An array in an archive.
struct Member {
    /// Without the ending `.npy` that NumPy gives it.
    name: String,
    place: ZipArchiveEntryWayfinder,
    method: CompressionMethod,
    encrypted: bool,
}

impl<R: ReaderAt> Archive<R> {
    fn open(file: R, length: u64) -> std::result::Result<Self, String> {
        let failed = |error: rawzip::Error| format!("not an archive that can be read: {error}");
        let mut buffer = vec![0; rawzip::RECOMMENDED_BUFFER_SIZE];
        let zip = ZipLocator::new().locate_in_reader(file, &mut buffer, length).map_err(|(_, error)| failed(error))?;
        let mut arrays = Vec::new();
        let mut found = 0;
        let mut files = zip.entries(&mut buffer);
        while let Some(file) = files.next_entry().map_err(failed)? {
            found += 1;
            let path = String::from_utf8_lossy(file.file_path().as_bytes());
            if let Some(name) = path.strip_suffix(".npy").filter(|path| !is_of_finder(path)) {
                let (method, encrypted) = (file.compression_method(), file.flags().is_encrypted());
                arrays.push(Member { name: name.into(), place: file.wayfinder(), method, encrypted });
            }
        }
        let promised = zip.entries_hint();
        if found != promised {
            return Err(format!("a damaged archive: {promised} files are promised, and {found} are listed"));
        }
        Ok(Archive { zip, length, arrays })
    }

    fn names(&self) -> Vec<String> {
        self.arrays.iter().map(|array| array.name.clone()).collect()
    }

    /// What `parse` makes of the array `name` and of the most bytes that it may have.
    fn read<T>(
        &self,
        name: &str,
        parse: impl FnOnce(&mut dyn Read, u64) -> std::result::Result<T, String>,
    ) -> std::result::Result<T, String> {
        let member = self.arrays.iter().find(|array| array.name == name);
        let member = member.expect("the archive has the array that is asked for");
        let entry = self.zip.get_entry(member.place).map_err(|error| format!("cannot read: {error}"))?;
        // The archive's word for the compressed size may be a lie, but the file is no longer than it is.
        let most = most_unfolded(member.place.compressed_size_hint().min(self.length)).min(MOST_BYTES);
        let packed = BufReader::new(entry.reader());
        match member.method {
            _ if member.encrypted => Err("is encrypted".into()),
            CompressionMethod::STORE => parse(&mut entry.verifying_reader(packed), most),
            CompressionMethod::DEFLATE => parse(&mut entry.verifying_reader(DeflateDecoder::new(packed)), most),
            other => Err(format!("expected an array that is stored or deflated, found method {other}")),
        }
    }
}

/// Whether macOS put this file into an archive, beside one that it was asked to put there.
fn is_of_finder(file: &str) -> bool {
    file.starts_with("__MACOSX/") || file.rsplit('/').next().is_some_and(|name| name.starts_with("._"))
}

#[cfg(test)]
mod tests {
    use super::super::testing::npy;
    use super::*;
    use crate::Size;
    use crate::damage::{cuts, flips};
    use flate2::{Compression, write::DeflateEncoder};
    use proptest::prelude::*;
    use std::io::Write;

    fn zip_of(files: &[(&str, Vec<u8>)]) -> Vec<u8> {
        let mut archive = Vec::new();
        let mut zip = rawzip::ZipArchiveWriter::new(&mut archive);
        for (name, content) in files {
            let file = zip.new_file(name).compression_method(CompressionMethod::DEFLATE);
            let (mut entry, config) = file.start().unwrap();
            let mut writer = config.wrap(DeflateEncoder::new(&mut entry, Compression::default()));
            writer.write_all(content).unwrap();
            let (encoder, descriptor) = writer.finish().unwrap();
            encoder.finish().unwrap();
            entry.finish(descriptor).unwrap();
        }
        zip.finish().unwrap();
        archive
    }

    fn npz(arrays: &[(&str, Vec<u8>)]) -> Vec<u8> {
        let named: Vec<_> = arrays.iter().map(|(name, array)| (format!("{name}.npy"), array.clone())).collect();
        zip_of(&named.iter().map(|(name, array)| (&name[..], array.clone())).collect::<Vec<_>>())
    }

    fn reading(archive: &[u8]) -> std::result::Result<Reading, String> {
        unpack(archive, archive.len() as u64, &Options::default())
    }

    /// The images and the notes of an archive, divided.
    fn data(archive: &[u8]) -> std::result::Result<(Dataset, Vec<String>), String> {
        let Reading { found, notes, .. } = reading(archive)?;
        Ok((found.split()?, notes))
    }

    fn problem(arrays: &[(&str, Vec<u8>)]) -> String {
        reading(&npz(arrays)).unwrap_err()
    }

    /// `n` grey images of 1 × 1, from 100 on.
    fn images(n: u8) -> Vec<u8> {
        npy("|u1", &[n.into(), 1, 1], &(100..100 + n).collect::<Vec<_>>())
    }

    /// `n` labels, from 10 on.
    fn labels_of(n: u8) -> Vec<u8> {
        npy("|u1", &[n.into()], &(10..10 + n).collect::<Vec<_>>())
    }

    #[test]
    fn what_numpy_writes_is_read() {
        let train = Images::new((0..12).collect(), Size::grey(2, 2), vec![5, 0, 255]).unwrap();
        let test = Images::new((100..108).collect(), Size::grey(2, 2), vec![1, 2]).unwrap();
        for name in ["keras.npz", "stored.npz"] {
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(name);
            let Reading { found, notes, .. } = from_npz(&path, &Options::default()).unwrap();
            let data = found.split().unwrap();
            assert!((&data.train, &data.test) == (&train, &test) && notes.is_empty(), "{name}: {notes:?}");
        }
    }

    #[test]
    fn one_array_or_one_part_is_split_by_its_rows_and_two_parts_are_as_they_are() {
        for archive in [
            npz(&[("arr_0", images(20))]),
            npz(&[("images", images(20)), ("labels", labels_of(20))]),
            npz(&[("x_train", images(20)), ("y_train", labels_of(20))]),
        ] {
            assert!(matches!(reading(&archive).unwrap().found, Found::Rows(images) if images.len() == 20));
        }
        let (Dataset { train, test }, notes) = data(&npz(&[("test", images(1)), ("train", images(2))])).unwrap();
        assert_eq!((train.labels(), test.labels(), notes.len()), (&[0, 0][..], &[0][..], 0));
        let all = [("x_train", images(2)), ("y_train", labels_of(2)), ("x_test", images(1)), ("y_test", labels_of(1))];
        let (Dataset { train, test }, notes) = data(&npz(&all)).unwrap();
        assert_eq!((train.labels(), test.labels(), notes.len()), (&[10, 11][..], &[10][..], 0));
    }

    #[test]
    fn labels_that_are_none_are_left_out_with_a_note() {
        let with = |name: &'static str, labels: Vec<u8>| {
            data(&npz(&[("x_train", images(2)), ("x_test", images(1)), (name, labels)])).unwrap()
        };
        let (Dataset { train, .. }, notes) = with("y_train", labels_of(3));
        let expected = "y_train: expected labels of 2 images, found an array of shape [3]; these labels are left out";
        assert_eq!((train.labels(), &notes[1][..]), (&[0, 0][..], expected));
        let (Dataset { train, .. }, notes) = with("y_train", npy("|O", &[2], b"pickled"));
        let expected = "y_train: expected numbers or text, found |O, Python objects; these labels are left out";
        assert_eq!((train.labels(), &notes[1][..]), (&[0, 0][..], expected));
        let (Dataset { train, test }, notes) = with("y_train", labels_of(2));
        assert_eq!((train.labels(), test.labels()), (&[10, 11][..], &[0][..]));
        assert_eq!(notes, ["there are no labels for x_test"]);
    }

    #[test]
    fn what_is_wrong_with_an_array_is_said_with_its_name() {
        let mut arrays = [("x_train", images(2)), ("x_test", npy("|u1", &[1, 1, 2], &[0; 2]))];
        assert_eq!(problem(&arrays), "training images are 1 × 1, but test images are 1 × 2");
        arrays[1].1 = npy("|u1", &[0, 1, 1], &[]);
        assert_eq!(problem(&arrays), "x_test: there are no images");
        arrays[0].1 = b"no array".to_vec();
        assert_eq!(problem(&arrays), "x_train: expected an array in the NumPy format (starting 93 NUMPY)");
    }

    #[test]
    fn training_and_test_images_are_on_one_scale_and_what_was_assumed_is_said() {
        let array = |number: u8| npy("<i2", &[1, 1, 1], &[number, 0]);
        let (Dataset { train, test }, notes) = data(&npz(&[("x_train", array(1)), ("x_test", array(200))])).unwrap();
        assert_eq!((train.image(0), test.image(0)), (&[1][..], &[200][..]));
        assert_eq!(notes, ["no pixel is above 200: 255 is taken for white"]);
        let array = npy("|u1", &[2, 3, 2, 1], &[100; 12]);
        let Reading { notes, .. } = reading(&npz(&[("x_train", array)])).unwrap();
        assert_eq!(notes, ["x_train: shape [2, 3, 2, 1] is taken for [n, h, w, c] and not for [n, c, h, w]"]);
    }

    #[test]
    fn files_that_are_no_arrays_are_passed_over() {
        let files = [("__MACOSX/._x.npy", vec![0]), ("a/._x.npy", vec![0]), ("read.me", vec![0]), ("x.npy", images(2))];
        assert!(matches!(reading(&zip_of(&files)).unwrap().found, Found::Rows(_)));
    }

    #[test]
    fn an_archive_that_unfolds_too_far_is_refused_before_it_does() {
        let bomb = npz(&[("arr_0", npy("|u1", &[1 << 14, 1 << 13], &vec![0; 1 << 27]))]);
        let error = reading(&bomb).unwrap_err();
        assert!(error.contains("arr_0: header promises uint8 of shape [16384, 8192], more than the"), "{error}");
    }

    #[test]
    fn an_archive_that_promises_billions_of_members_takes_no_memory() {
        // The end of a zip64 archive alone, with counts and places that are lies.
        let mut end64 = b"PK\x06\x06".to_vec();
        end64.extend(44u64.to_le_bytes());
        end64.extend([45, 0, 45, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        for lie in [1u64 << 33, 1 << 33, 1 << 40, 1 << 40] {
            end64.extend(lie.to_le_bytes());
        }
        let mut file = end64;
        file.extend(b"PK\x06\x07\0\0\0\0\0\0\0\0\0\0\0\0\x01\0\0\0");
        file.extend(b"PK\x05\x06\0\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\0\0");
        assert!(reading(&file).unwrap_err().starts_with("not an archive that can be read: "));
    }

    #[test]
    fn an_array_that_is_packed_in_another_way_or_encrypted_is_named() {
        let archive = npz(&[("arr_0", images(20))]);
        // The directory's entry: its signature and version, then flags and method.
        let at = archive.windows(4).position(|bytes| bytes == b"PK\x01\x02").unwrap() + 8;
        let mut packed = archive.clone();
        packed[at + 2] = 12;
        let expected = "arr_0: expected an array that is stored or deflated, found method 12 (BZIP2)";
        assert_eq!(reading(&packed).unwrap_err(), expected);
        let mut encrypted = archive;
        encrypted[at] |= 1;
        assert_eq!(reading(&encrypted).unwrap_err(), "arr_0: is encrypted");
    }

    #[test]
    fn an_archive_that_lists_fewer_files_than_it_promises_is_refused() {
        let mut archive = npz(&[("x_train", images(4)), ("x_test", images(4))]);
        let end = archive.len() - 22;
        archive[end + 8] = 3;
        archive[end + 10] = 3;
        let expected = "a damaged archive: 3 files are promised, and 2 are listed";
        assert_eq!(reading(&archive).unwrap_err(), expected);
    }

    #[test]
    fn a_cut_is_an_error_wherever_it_is() {
        let archive = npz(&[("x_train", images(4)), ("x_test", images(4)), ("y_train", labels_of(4))]);
        assert!(reading(&archive).is_ok());
        cuts(&archive, |cut| drop(reading(cut).unwrap_err()));
    }

    #[test]
    fn flipped_bits_in_an_archive_never_change_an_image() {
        // They may change the name of an array, which is then passed over: names have no checksum.
        let archive = npz(&[("x_train", images(4)), ("x_test", images(3))]);
        let is_good = |images: &Images, n: u8| {
            (0..n).map(|i| [100 + i]).eq((0..images.len()).map(|i| *images.image(i).first_chunk().unwrap()))
        };
        flips(&archive, |flipped| match reading(flipped).map(|reading| reading.found) {
            Err(_) => {}
            Ok(Found::Parts(Dataset { train, test })) => assert!(is_good(&train, 4) && is_good(&test, 3)),
            Ok(Found::Rows(images)) => assert!(is_good(&images, 4) || is_good(&images, 3)),
            Ok(Found::Whole(..)) => panic!("the images have no names"),
        });
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = reading(&bytes);
            let _ = reading(&npz(&[("arr_0", bytes)]));
        }
    }
}
