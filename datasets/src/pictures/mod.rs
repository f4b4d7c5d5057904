//! Pictures in files, alone or in folders.

mod exif;
mod formats;
mod guard;
mod list;
mod raster;
mod read;
#[cfg(test)]
pub(crate) mod testing;
mod walk;

use crate::open::{Found, Options, Reading};
use crate::source::MOST_BYTES;
use crate::{Dataset, Error, Images, Result, Size, scale};
use formats::{Format, Header};
use list::{Listing, Picture, Side};
use read::{LONGEST_SIDE, Reader};
use std::path::Path;

/// Reads all pictures in the folder `dir`.
///
/// Files that end in `.png`, `.jpg` (or `.jpeg`, `.jpe`, `.jfif`), `.webp`, `.bmp` or `.gif` are pictures; of an animation, the
/// first. Other files are passed over and counted in a note; without a word what is hidden, what systems leave beside the data
/// (`Thumbs.db`, `@eaDir` and the like), and folders of this program's runs. Links are followed.
///
/// If there are sub-folders with pictures (in them, or deeper), they are the labels: 0, 1, … in the order of their names; else
/// all labels are 0. Sub-folders `train` (or `training`) and `test` (or `testing`; without one `val`, `valid`, `validation` or
/// `dev`), in any case, are no labels, but what is trained and tested on; their sub-folders are the labels, the same numbers in
/// both. Without them images are split by their names relative to `dir`. They are in the order of labels and names.
///
/// With a size in `options`, pictures are cut to its aspect ratio, around the centre, and resized (Catmull–Rom's cubic, with
/// all pixels counting where pictures become smaller); without one, all must be of one size. Without channels in `options`,
/// images are coloured if any picture is, by its palette or its header, else grey. The grey of a colour is its luma (Rec. 709:
/// 0.2126 R + 0.7152 G + 0.0722 B), what is transparent is seen on white, and photographs are turned upright as their EXIF data
/// say. 16 bits become 8, on a scale that [`scale::white`] chooses for all pictures together, with a note.
///
/// A picture is decoded right or not at all. Files and folders that cannot be read are skipped, and returned with their
/// reasons; of files up to 10, or one in a hundred if that is more.
///
/// # Errors
///
/// If there are no pictures, pictures beside sub-folders of pictures, or too many files that cannot be read; if pictures differ
/// in size and none is given, or the images would take more than 16 GiB.
pub(crate) fn from_folder(dir: &Path, options: &Options) -> Result<Reading> {
    check(options).map_err(|problem| Error::new(dir, problem))?;
    let Listing { pictures, mut skipped, mut notes } = list::list(dir)?;
    let mut reading = from_list(dir, pictures, options)?;
    skipped.append(&mut reading.skipped);
    notes.append(&mut reading.notes);
    Ok(Reading { skipped, notes, ..reading })
}

/// Reads a single picture as [`from_folder`] reads those of a folder.
///
/// # Errors
///
/// If it cannot be read.
pub(crate) fn from_file(path: &Path, options: &Options) -> Result<Reading> {
    check(options).map_err(|problem| Error::new(path, problem))?;
    let name = path.file_name().unwrap_or_default().as_encoded_bytes().to_vec();
    from_list(path, vec![Picture { path: path.into(), name, label: 0, side: Side::Any }], options)
}

/// Whether the name of a file is that of a picture.
pub(crate) fn is_picture(path: &Path) -> bool {
    walk::is_picture(path)
}

fn from_list(dir: &Path, pictures: Vec<Picture>, options: &Options) -> Result<Reading> {
    let failed = |problem: String| Error::new(dir, problem);
    let (mut reader, mut notes) = (Reader::new(dir, pictures.len()), Vec::new());

    // The headers first: they tell how much memory the images will take.
    let mut files = Vec::new();
    let unread = pictures.into_iter().map(|picture| (picture, ())).collect();
    reader.read(unread, |()| 0, |path, ()| read::measure(path), |picture, (), known| files.push((picture, known)))?;
    let size = common_size(&files, options).map_err(failed)?;
    let total = size.checked_count().and_then(|count| count.checked_mul(files.len()));
    let Some(total) = total.filter(|&total| total as u64 <= MOST_BYTES) else {
        let grey = if size.channels == 3 { ", and --channels 1 makes them grey" } else { "" };
        let way_out = format!("--image-size HxW makes them smaller{grey}");
        return Err(failed(format!("{} images of {size} would take more than 16 GiB; {way_out}", files.len())));
    };

    let deep = |(_, header): &(Format, Header)| header.deep;
    let mut white = u16::MAX;
    if files.iter().any(|(_, known)| deep(known)) {
        let (mut brightest, mut read) = (0, Vec::new());
        reader.read(
            files,
            |known| if deep(known) { known.1.bytes() } else { 0 },
            |path, known| if deep(known) { read::brightest(path, known.0) } else { Ok(0) },
            |picture, known, greatest| {
                brightest = brightest.max(greatest);
                read.push((picture, known));
            },
        )?;
        files = read;
        let note;
        (white, note) = scale::white(brightest, white);
        notes.extend(note);
    }

    // Training images in front, test images behind, so that they can be cut apart.
    let mut pixels = Vec::new();
    pixels.try_reserve_exact(total).map_err(|_| {
        failed(format!("{total} bytes of images do not fit in memory; --image-size HxW makes them smaller"))
    })?;
    let (mut labels, mut names, mut tests) = (Vec::new(), Vec::new(), 0);
    reader.read(
        files,
        |(_, header)| header.bytes(),
        |path, (format, header)| Ok(read::decode(path, *format, header, white)?.fit(size)),
        |picture, _, image| {
            pixels.extend(image);
            labels.push(picture.label);
            names.push(picture.name);
            tests += usize::from(picture.side == Side::Test);
        },
    )?;
    notes.extend(scale::stretch(&mut [&mut pixels]));
    let found = match tests {
        0 => Found::Whole(Images::new(pixels, size, labels).map_err(failed)?, names),
        _ => {
            let train = labels.len() - tests;
            let (test_pixels, test_labels) = (pixels.split_off(train * size.count()), labels.split_off(train));
            pixels.shrink_to_fit();
            let images = |pixels, labels| Images::new(pixels, size, labels).map_err(failed);
            Found::Parts(Dataset { train: images(pixels, labels)?, test: images(test_pixels, test_labels)? })
        }
    };
    Ok(Reading { found, skipped: reader.skipped(), notes })
}

/// Checks what no picture can become.
fn check(options: &Options) -> std::result::Result<(), String> {
    let (height, width) = options.image_size.unwrap_or((1, 1));
    if [height, width].iter().any(|side| !(1..=LONGEST_SIDE).contains(side)) {
        let most = format!("{LONGEST_SIDE} × {LONGEST_SIDE}");
        return Err(format!("expected an image size from 1 × 1 to {most}, found {height} × {width}"));
    }
    match options.channels {
        None | Some(1 | 3) => Ok(()),
        Some(channels) => Err(format!("expected images of 1 or 3 channels, found {channels}")),
    }
}

/// The size that all images will have.
fn common_size(files: &[(Picture, (Format, Header))], options: &Options) -> std::result::Result<Size, String> {
    let coloured = files.iter().any(|(_, (_, header))| header.coloured);
    let channels = options.channels.unwrap_or(if coloured { 3 } else { 1 });
    if let Some((height, width)) = options.image_size {
        return Ok(Size { height, width, channels });
    }
    let size = |i: usize| {
        let (height, width) = files[i].1.1.upright();
        Size::grey(height, width)
    };
    if let Some(i) = (1..files.len()).find(|&i| size(i) != size(0)) {
        let name = |i: usize| String::from_utf8_lossy(&files[i].0.name).into_owned();
        return Err(format!(
            "expected pictures of one size, found {} of {} and {} of {}; --image-size HxW resizes all",
            name(0),
            size(0),
            name(i),
            size(i),
        ));
    }
    Ok(Size { channels, ..size(0) })
}

#[cfg(test)]
mod tests {
    use super::testing::{folder, gradient, grey, grey_jpeg, png, png_of};
    use super::*;
    use crate::open::Opened;
    use ::png::{BitDepth, ColorType};
    use tempfile::TempDir;

    /// Several files of one kind.
    fn numbered(files: impl IntoIterator<Item = Vec<u8>>) -> Vec<(String, Vec<u8>)> {
        files.into_iter().enumerate().map(|(i, file)| (format!("{i:03}.png"), file)).collect()
    }

    fn borrowed(files: &[(String, Vec<u8>)]) -> Vec<(&str, Vec<u8>)> {
        files.iter().map(|(name, content)| (&name[..], content.clone())).collect()
    }

    fn with(dir: &TempDir, options: &Options) -> Result<Opened> {
        let Reading { found, skipped, notes } = from_folder(dir.path(), options)?;
        Ok(Opened { dataset: found.split().map_err(|problem| Error::new(dir.path(), problem))?, skipped, notes })
    }

    fn read(dir: &TempDir) -> Result<Opened> {
        with(dir, &Options::default())
    }

    /// The error without the folder's random name.
    fn problem(dir: &TempDir, options: &Options) -> String {
        with(dir, options).unwrap_err().to_string().replace(&dir.path().display().to_string(), "DIR")
    }

    fn sized(height: usize, width: usize, channels: usize) -> Options {
        Options { image_size: Some((height, width)), channels: Some(channels), ..Options::default() }
    }

    /// All images, and their labels, whichever part they are in, sorted.
    fn all(opened: &Opened) -> Vec<(Vec<u8>, u32)> {
        let parts = [&opened.dataset.train, &opened.dataset.test];
        let of = |part: &Images| (0..part.len()).map(|i| (part.image(i).to_vec(), part.label(i))).collect::<Vec<_>>();
        let mut images: Vec<_> = parts.into_iter().flat_map(of).collect();
        images.sort();
        images
    }

    #[test]
    fn what_a_file_holds_decides_and_not_its_name() {
        let dir = folder(&[("a/1.jpg", grey_jpeg(50)), ("a/2.jpeg", grey(60)), ("b/3.PNG", grey_jpeg(70))]);
        let opened = read(&dir).unwrap();
        assert_eq!(all(&opened), [(vec![50; 6], 0), (vec![60; 6], 0), (vec![70; 6], 1)]);
        assert_eq!((opened.dataset.train.size(), &opened.skipped[..]), (Size::grey(2, 3), &[][..]));
    }

    #[test]
    fn images_are_in_the_order_of_their_names_and_keep_their_side_when_others_come() {
        let files = numbered((0..60).map(grey));
        let values = |opened: &Opened| {
            let values = |images: &Images| (0..images.len()).map(|i| images.image(i)[0]).collect::<Vec<_>>();
            (values(&opened.dataset.train), values(&opened.dataset.test))
        };
        let (train, test) = values(&read(&folder(&borrowed(&files))).unwrap());
        assert!(train.is_sorted() && test.is_sorted() && test.len() > 3, "{test:?}");
        let (some_train, some_test) = values(&read(&folder(&borrowed(&files[20..]))).unwrap());
        assert!(train.ends_with(&some_train) && test.ends_with(&some_test));
    }

    #[test]
    fn folders_for_training_and_test_are_the_two_parts() {
        let dir = folder(&[
            ("train/b/1.png", grey(10)),
            ("train/a/2.png", grey(20)),
            ("train/a/3.png", grey(30)),
            ("test/b/4.png", grey(40)),
        ]);
        let opened = read(&dir).unwrap();
        let expected = |values: &[u8], labels: &[u32]| {
            let pixels = values.iter().flat_map(|&value| [value; 6]).collect();
            Images::new(pixels, Size::grey(2, 3), labels.to_vec()).unwrap()
        };
        assert_eq!(opened.dataset.train, expected(&[20, 30, 10], &[0, 0, 1]));
        assert_eq!(opened.dataset.test, expected(&[40], &[1]));
        let dir = folder(&[("train/1.png", grey(10)), ("test/2.png", png(20, 30, &gradient()))]);
        let expected = "expected pictures of one size, found train/1.png of 2 × 3 and test/2.png of 20 × 30";
        assert_eq!(problem(&dir, &Options::default()), format!("DIR: {expected}; --image-size HxW resizes all"));
    }

    #[test]
    fn a_single_picture_is_read_and_cannot_be_split() {
        let dir = folder(&[("a.png", grey(7)), ("b.png", b"none".to_vec())]);
        let one = from_file(&dir.path().join("a.png"), &Options::default()).unwrap();
        let Found::Whole(images, names) = one.found else { panic!("nobody has said what it is for") };
        assert_eq!((images.len(), images.image(0), &names[..]), (1, &[7; 6][..], &[b"a.png".to_vec()][..]));
        let error = from_file(&dir.path().join("b.png"), &Options::default()).unwrap_err();
        assert_eq!(error, Error::new(dir.path().join("b.png"), "expected a PNG, JPEG, WebP, BMP or GIF picture"));
        let expected = "DIR: expected at least 2 images, one to train on and one to test on, found 1";
        assert_eq!(problem(&folder(&[("a.png", grey(1))]), &Options::default()), expected);
    }

    #[test]
    fn pictures_of_different_sizes_need_a_size_to_be_resized_to() {
        let dir = folder(&[("a.png", grey(1)), ("b.png", grey(2)), ("c.png", png(20, 30, &gradient()))]);
        let expected =
            "expected pictures of one size, found a.png of 2 × 3 and c.png of 20 × 30; --image-size HxW resizes all";
        assert_eq!(problem(&dir, &Options::default()), format!("DIR: {expected}"));
        let opened = with(&dir, &sized(4, 6, 1)).unwrap();
        assert_eq!((opened.dataset.train.size(), all(&opened).len()), (Size::grey(4, 6), 3));
        for (height, width) in [(0, 5), (5, 0), (1 << 20, 1)] {
            let expected = format!("expected an image size from 1 × 1 to 32768 × 32768, found {height} × {width}");
            assert_eq!(problem(&dir, &sized(height, width, 1)), format!("DIR: {expected}"));
        }
        assert_eq!(problem(&dir, &sized(4, 4, 2)), "DIR: expected images of 1 or 3 channels, found 2");
    }

    #[test]
    fn images_that_would_fill_the_memory_are_refused_before_it_is_taken() {
        let dir = folder(&borrowed(&numbered((0..20).map(grey))));
        let way_out = "would take more than 16 GiB; --image-size HxW makes them smaller";
        let expected = format!("DIR: 20 images of 32768 × 32768 × 3 {way_out}, and --channels 1 makes them grey");
        assert_eq!(problem(&dir, &sized(1 << 15, 1 << 15, 3)), expected);
        let expected = format!("DIR: 20 images of 32768 × 32768 {way_out}");
        assert_eq!(problem(&dir, &sized(1 << 15, 1 << 15, 1)), expected);
    }

    #[test]
    fn images_are_grey_if_all_pictures_are_and_coloured_otherwise() {
        let colour = png(2, 3, &[10, 20, 30].repeat(6));
        let palette = png_of((2, 3), (ColorType::Indexed, BitDepth::Eight), &[0; 6], &[1, 1, 1, 2, 2, 2]);
        let greys = folder(&[("a.png", grey(1)), ("b.png", grey(2)), ("c.png", palette)]);
        let mixed = folder(&[("a.png", grey(1)), ("b.png", colour)]);
        assert_eq!(read(&greys).unwrap().dataset.train.size(), Size::grey(2, 3));
        let images = all(&read(&mixed).unwrap());
        assert_eq!((&images[0].0, &images[1].0), (&vec![1; 18], &[10, 20, 30].repeat(6)));
        let images = all(&with(&mixed, &Options { channels: Some(1), ..Options::default() }).unwrap());
        assert_eq!((&images[0].0, &images[1].0), (&vec![1; 6], &vec![19; 6]));
    }

    #[test]
    fn what_is_white_is_chosen_for_all_pictures_together_and_said() {
        let deep = |value: u16| {
            png_of((1, 2), (ColorType::Grayscale, BitDepth::Sixteen), &[[0; 2], value.to_be_bytes()].concat(), &[])
        };
        let opened = read(&folder(&[("a.png", deep(4080)), ("b.png", deep(255))])).unwrap();
        assert_eq!(all(&opened), [(vec![0, 16], 0), (vec![0, 254], 0)]);
        assert_eq!(opened.notes, ["no pixel is above 4080: 4095 is taken for white"]);
        let opened = read(&folder(&[("a.png", deep(65_535)), ("b.png", deep(32_896))])).unwrap();
        assert_eq!((all(&opened), &opened.notes[..]), (vec![(vec![0, 128], 0), (vec![0, 255], 0)], &[][..]));
        let opened = read(&folder(&[("a.png", grey(0)), ("b.png", grey(1))])).unwrap();
        assert_eq!(all(&opened), [(vec![0; 6], 0), (vec![255; 6], 0)]);
        assert_eq!(opened.notes, ["all pixels are 0 and 1: 1 is taken for white"]);
    }

    #[test]
    fn files_that_cannot_be_read_are_skipped_up_to_ten() {
        let no = "expected a PNG, JPEG, WebP, BMP or GIF picture";
        let mut files = numbered((0..30).map(grey));
        for (i, content) in [(3, b"no picture".to_vec()), (7, vec![]), (9, grey(0)[..40].to_vec())] {
            files[i].1 = content;
        }
        let dir = folder(&borrowed(&files));
        let opened = read(&dir).unwrap();
        assert_eq!(all(&opened).len(), 27);
        let mut skipped: Vec<String> =
            opened.skipped.iter().map(|e| e.path().file_name().unwrap().display().to_string()).collect();
        skipped.sort();
        assert_eq!(skipped, ["003.png", "007.png", "009.png"]);
        assert_eq!(opened.skipped[0].problem(), no);

        (0..10).for_each(|i| files[i].1 = vec![]);
        assert_eq!(read(&folder(&borrowed(&files))).unwrap().skipped.len(), 10);
        files[10].1 = vec![];
        let expected = format!("DIR: 11 of 30 pictures cannot be read: 000.png: {no}; 001.png: {no}; 002.png: {no}; …");
        assert_eq!(problem(&folder(&borrowed(&files)), &Options::default()), expected);
        assert_eq!(
            problem(&folder(&borrowed(&files[..2])), &Options::default()),
            format!("DIR: 2 of 2 pictures cannot be read: 000.png: {no}; 001.png: {no}")
        );
    }

    #[test]
    fn one_in_a_hundred_is_skipped_of_many() {
        let mut files = numbered((0..1500).map(|_| grey(0)));
        (0..15).for_each(|i| files[100 * i].1 = vec![]);
        assert_eq!(read(&folder(&borrowed(&files))).unwrap().skipped.len(), 15);
    }

    #[test]
    fn other_kinds_are_read_under_their_own_names_only() {
        let mut gif = Vec::new();
        ::gif::Encoder::new(&mut gif, 3, 2, &[8; 3]).unwrap().write_frame(&gif_frame()).unwrap();
        let dir = folder(&[("1.png", grey(7)), ("2.gif", gif.clone()), ("3.jpg", gif)]);
        let opened = read(&dir).unwrap();
        assert_eq!(all(&opened), [(vec![7; 6], 0), (vec![8; 6], 0)]);
        let skipped = Error::new(dir.path().join("3.jpg"), "expected what its name says, found a GIF picture");
        assert_eq!(opened.skipped, [skipped]);
    }

    fn gif_frame() -> ::gif::Frame<'static> {
        ::gif::Frame { width: 3, height: 2, buffer: vec![0; 6].into(), ..::gif::Frame::default() }
    }

    #[test]
    fn photographs_are_turned_upright() {
        // Left black, right white; orientation 6 says that the camera was turned: black is at the top.
        let exif = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0";
        let file = testing::Jpeg {
            height: 16,
            width: 32,
            frame: 0xc0,
            components: &[(1, 1, 1)],
            scans: &[&[0]],
            restart: 0,
            segments: testing::segment(0xe1, exif),
        };
        let file = file.file(|_, _, column| if column < 2 { 0 } else { 255 });
        let opened = read(&folder(&[("a.jpg", file.clone()), ("b.jpg", file)])).unwrap();
        assert_eq!(opened.dataset.train.size(), Size::grey(32, 16));
        assert_eq!(opened.dataset.train.image(0), [[0; 256], [255; 256]].concat());
    }

    /// A grey PNG of 2 × 3 pixels that says that it is of another size.
    fn promising(height: u32, width: u32) -> Vec<u8> {
        let mut file = grey(9);
        file[16..24].copy_from_slice(&[width.to_be_bytes(), height.to_be_bytes()].concat());
        let mut crc = flate2::Crc::new();
        crc.update(&file[12..29]);
        file[29..33].copy_from_slice(&crc.sum().to_be_bytes());
        file
    }

    #[test]
    fn headers_that_promise_too_many_pixels_take_no_memory() {
        let problem = |file| {
            let dir = folder(&[("a.png", file)]);
            from_file(&dir.path().join("a.png"), &sized(2, 3, 1)).unwrap_err().problem().to_string()
        };
        let error = problem(promising(30_000, 30_000));
        assert!(error.starts_with("a picture of 30000 × 30000 in "), "{error}");
        let error = problem(promising(2, 40_000));
        assert_eq!(error, "expected at most 32768 rows and columns, found a picture of 2 × 40000");
        assert_eq!(problem(promising(3000, 3000)), "IDAT or fDAT chunk does not have enough data for image.");
    }

    #[test]
    fn a_blank_page_is_read_however_short_its_file_is() {
        // 600 dots per inch on A4, a bit each: 35 MB of pixels in 4 KB.
        let row = vec![255; 4960 / 8];
        let page = png_of((7016, 4960), (ColorType::Grayscale, BitDepth::One), &row.repeat(7016), &[]);
        let dir = folder(&[("a.png", page.clone()), ("b.png", page)]);
        let opened = with(&dir, &sized(6, 4, 1)).unwrap();
        assert_eq!(all(&opened), vec![(vec![255; 24], 0); 2]);
    }

    #[test]
    #[cfg(unix)]
    fn what_may_not_be_read_is_named_and_passed_over() {
        use std::fs::{Permissions, set_permissions};
        use std::os::unix::fs::PermissionsExt;
        let dir = folder(&[
            ("cats/1.png", grey(1)),
            ("cats/2.png", grey(2)),
            ("cats/3.png", grey(3)),
            ("lost+found/x", vec![]),
        ]);
        let closed = ["lost+found", "cats/3.png"].map(|name| dir.path().join(name));
        closed.iter().for_each(|path| set_permissions(path, Permissions::from_mode(0o000)).unwrap());
        let opened = read(&dir);
        let is_closed = std::fs::read_dir(&closed[0]).is_err();
        closed.iter().for_each(|path| set_permissions(path, Permissions::from_mode(0o700)).unwrap());
        // Nothing is closed to root.
        if is_closed {
            let opened = opened.unwrap();
            assert_eq!(all(&opened).len(), 2);
            assert_eq!(opened.skipped.iter().map(Error::path).collect::<Vec<_>>(), closed);
        }
    }
}
