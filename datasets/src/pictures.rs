//! A folder of pictures, PNG or JPEG.

use crate::open::{Found, Options, Reading};
use crate::source::{MOST_BYTES, most_unfolded, up_to};
use crate::{Error, Images, Result, Size};
use image::imageops::FilterType;
use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageReader, Limits, RgbImage};
use rayon::prelude::*;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Cursor, Seek};
use std::path::{Path, PathBuf};

/// Rows and columns that a picture, and what it is resized to, may have.
const LONGEST_SIDE: usize = 1 << 15;

/// A longer file is not read: 256 MiB.
const LONGEST_FILE: u64 = 1 << 28;

/// Pictures are read in parallel so many at a time.
const AT_A_TIME: usize = 128;

/// So many files that cannot be read are skipped, or one in a hundred if that is more.
const MOST_SKIPPED: usize = 10;

/// Reads all pictures in the folder `dir`.
///
/// Files that end in `.png`, `.jpg` or `.jpeg` are pictures; others are passed over, and so is everything whose name begins
/// with a dot. If there are sub-folders with pictures (in them, or deeper), they are the labels: 0, 1, … in the order of
/// their names; else all labels are 0. Images are in the order of labels and names, and [`split`] by their names relative to
/// `dir`.
///
/// With a size in `options`, pictures are cut to its aspect ratio, around the centre, and resized (Catmull–Rom's cubic, with
/// all pixels counting where pictures become smaller); without one, all must be of one size. Without channels in `options`,
/// images are coloured if any picture is, else grey. The grey of a colour is its luma (Rec. 709: 0.2126 R + 0.7152 G + 0.0722
/// B), what is transparent is seen on white, photographs are turned upright as their EXIF data say, and 16 bits become 8.
///
/// Files that cannot be read are skipped, and returned with their reasons, up to 10, or one in a hundred if that is more.
///
/// # Errors
///
/// If there are fewer than 2 pictures, pictures beside sub-folders of pictures, or too many files that cannot be read; if pictures differ in size and none is given, or the images would take more than 16 GiB.
pub(crate) fn from_folder(dir: &Path, options: &Options) -> Result<Reading> {
    let failed = |problem: String| Error::new(dir, problem);
    check(options).map_err(failed)?;
    let mut files = Files { dir, waiting: list(dir)?, skipped: Vec::new() };

    // The headers first: they tell how much memory the images will take.
    let (mut pictures, mut headers) = (Vec::new(), Vec::new());
    files.read(measure, |picture, header| {
        pictures.push(picture);
        headers.push(header);
    })?;
    let size = common_size(&pictures, &headers, options).map_err(failed)?;
    let count = size.checked_count().and_then(|count| count.checked_mul(pictures.len()));
    let Some(count) = count.filter(|&count| count as u64 <= MOST_BYTES) else {
        return Err(failed(format!("{} images of {size} would take more than 16 GiB", pictures.len())));
    };

    let (mut pixels, mut labels, mut names) = (Vec::new(), Vec::new(), Vec::new());
    pixels.try_reserve_exact(count).map_err(|_| failed(format!("{count} bytes of images do not fit in memory")))?;
    files.waiting = pictures;
    files.read(
        |path| decode(path, size),
        |picture, image| {
            pixels.extend(image);
            labels.push(picture.label);
            names.push(picture.name);
        },
    )?;
    let images = Images::new(pixels, size, labels).map_err(failed)?;
    Ok(Reading { found: Found::Whole(images, names), skipped: files.skipped, notes: Vec::new() })
}

/// Reads a single picture, as [`from_folder`] reads those of a folder.
///
/// # Errors
///
/// If it cannot be read.
pub(crate) fn from_file(path: &Path, options: &Options) -> Result<Reading> {
    let failed = |problem: String| Error::new(path, problem);
    check(options).map_err(failed)?;
    let header = measure(path).map_err(failed)?;
    let size = common_size(&[], &[header], options).map_err(failed)?;
    let images = decode(path, size).and_then(|pixels| Images::new(pixels, size, vec![0])).map_err(failed)?;
    let name = path.file_name().unwrap_or_default().as_encoded_bytes().to_vec();
    Ok(Found::Whole(images, vec![name]).into())
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

/// A file that should be a picture.
#[derive(Clone, Debug, PartialEq)]
struct Picture {
    path: PathBuf,
    /// The path inside the data's folder, its parts joined by `/` on every system: what the split depends on.
    name: Vec<u8>,
    label: u32,
}

/// All pictures of the folder, in order.
fn list(dir: &Path) -> Result<Vec<Picture>> {
    let failed = |problem: String| Error::new(dir, problem);
    let picture = |path: PathBuf, label| Picture { name: name(dir, &path), path, label };
    let (files, folders) = entries(dir, true)?;
    let mut labelled = Vec::new();
    for folder in folders {
        let pictures = below(&folder)?;
        if !pictures.is_empty() {
            labelled.push((folder, pictures));
        }
    }
    match (files.first(), labelled.first()) {
        (Some(file), Some((folder, _))) => Err(failed(format!(
            "expected pictures or sub-folders of pictures, found both: the file {} and the folder {}",
            String::from_utf8_lossy(&name(dir, file)),
            String::from_utf8_lossy(&name(dir, folder)),
        ))),
        (None, None) => Err(failed(
            "expected MNIST's four IDX files, CIFAR-10's or binarised MNIST's files, or PNG or JPEG pictures, found none".into(),
        )),
        (Some(_), None) => Ok(files.into_iter().map(|path| picture(path, 0)).collect()),
        (None, Some(_)) => Ok((0..)
            .zip(labelled)
            .flat_map(|(label, (_, pictures))| pictures.into_iter().map(move |path| picture(path, label)))
            .collect()),
    }
}

/// The pictures in a folder and in all folders below it, by name.
fn below(folder: &Path) -> Result<Vec<PathBuf>> {
    let (mut pictures, mut folders) = entries(folder, false)?;
    while let Some(folder) = folders.pop() {
        let (files, deeper) = entries(&folder, false)?;
        pictures.extend(files);
        folders.extend(deeper);
    }
    pictures.sort();
    Ok(pictures)
}

/// The pictures and the sub-folders in a folder, each by name, without hidden ones.
///
/// A link to a folder is followed only if `follow` says so: nowhere but at the top, so that nobody walks in circles.
fn entries(folder: &Path, follow: bool) -> Result<(Vec<PathBuf>, Vec<PathBuf>)> {
    let failed = |error: std::io::Error| Error::new(folder, format!("cannot list this folder: {error}"));
    let (mut pictures, mut folders) = (Vec::new(), Vec::new());
    for entry in fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        if entry.file_name().as_encoded_bytes().starts_with(b".") {
            continue;
        }
        let path = entry.path();
        if entry.file_type().map_err(failed)?.is_dir() || follow && path.is_dir() {
            folders.push(path);
        } else if is_picture(&path) && !path.is_dir() {
            pictures.push(path);
        }
    }
    pictures.sort();
    folders.sort();
    Ok((pictures, folders))
}

/// Whether a file is called like a picture; what it holds is another question.
pub(crate) fn is_picture(path: &Path) -> bool {
    let extension = path.extension().unwrap_or_default();
    ["png", "jpg", "jpeg"].iter().any(|known| extension.eq_ignore_ascii_case(known))
}

/// The path of a file inside `dir`.
fn name(dir: &Path, path: &Path) -> Vec<u8> {
    let inside = path.strip_prefix(dir).unwrap_or(path);
    inside.iter().map(|part| part.as_encoded_bytes()).collect::<Vec<_>>().join(&b'/')
}

/// The files that are still to be read, and those that could not be.
struct Files<'a> {
    dir: &'a Path,
    waiting: Vec<Picture>,
    skipped: Vec<Error>,
}

impl Files<'_> {
    /// Reads all that are waiting, in parallel, and gives those that can be read to `take`, in order.
    ///
    /// # Errors
    ///
    /// If more cannot be read than are skipped.
    fn read<T: Send>(
        &mut self,
        read: impl Fn(&Path) -> std::result::Result<T, String> + Sync,
        mut take: impl FnMut(Picture, T),
    ) -> Result<()> {
        let total = self.waiting.len() + self.skipped.len();
        let mut waiting = std::mem::take(&mut self.waiting).into_iter();
        while waiting.len() > 0 {
            let pictures: Vec<Picture> = waiting.by_ref().take(AT_A_TIME).collect();
            let read = |picture: &Picture| read(&picture.path);
            // Outside a pool of threads rayon would make one, and panic where no thread can be started.
            let results: Vec<_> = match rayon::current_thread_index() {
                Some(_) => pictures.par_iter().map(read).collect(),
                None => pictures.iter().map(read).collect(),
            };
            for (picture, result) in pictures.into_iter().zip(results) {
                match result {
                    Ok(content) => take(picture, content),
                    Err(problem) => self.skipped.push(Error::new(picture.path, problem)),
                }
            }
            let skipped = self.skipped.len();
            if skipped > MOST_SKIPPED.max(total / 100) || skipped == total {
                let at_least = if waiting.len() > 0 { "at least " } else { "" };
                let first: Vec<_> = self.skipped.iter().take(3).map(|e| self.inside(e)).collect();
                let problem = format!("{at_least}{skipped} of {total} pictures cannot be read: {}", first.join("; "));
                return Err(Error::new(self.dir, problem + if skipped > 3 { "; …" } else { "" }));
            }
        }
        Ok(())
    }

    /// An error about a file inside the folder, without the path of the folder.
    fn inside(&self, error: &Error) -> String {
        format!("{}: {}", String::from_utf8_lossy(&name(self.dir, error.path())), error.problem())
    }
}

/// What a picture's header tells.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Header {
    height: usize,
    width: usize,
    coloured: bool,
}

/// The size that all images will have.
fn common_size(pictures: &[Picture], headers: &[Header], options: &Options) -> std::result::Result<Size, String> {
    let channels = options.channels.unwrap_or(if headers.iter().any(|header| header.coloured) { 3 } else { 1 });
    if let Some((height, width)) = options.image_size {
        return Ok(Size { height, width, channels });
    }
    let size = |header: &Header| Size::grey(header.height, header.width);
    let first = headers.first().expect("an error has been returned if no picture can be read");
    if let Some(i) = headers.iter().position(|header| size(header) != size(first)) {
        let name = |i: usize| String::from_utf8_lossy(&pictures[i].name).into_owned();
        return Err(format!(
            "expected pictures of one size, found {} of {} and {} of {}; --image-size HxW resizes all",
            name(0),
            size(first),
            name(i),
            size(&headers[i]),
        ));
    }
    Ok(Size { channels, ..size(first) })
}

/// Opens a file and says how long it is, if it is one that can be read.
fn open_picture(path: &Path) -> std::result::Result<(File, u64), String> {
    // Of the path and not of the open file: to open a pipe would wait for somebody to write to it.
    let metadata = fs::metadata(path).map_err(|error| format!("cannot open: {error}"))?;
    match metadata.len() {
        _ if !metadata.is_file() => Err("expected a file".into()),
        length if length > LONGEST_FILE => {
            Err(format!("expected a file of at most 256 MiB, found one of {length} bytes"))
        }
        length => Ok((File::open(path).map_err(|error| format!("cannot open: {error}"))?, length)),
    }
}

/// A decoder that has read the header of a file of `length` bytes and found it in bounds.
fn decoder<'a>(source: impl BufRead + Seek + 'a, length: u64) -> std::result::Result<impl ImageDecoder + 'a, String> {
    let mut reader = ImageReader::new(source).with_guessed_format().map_err(|error| format!("cannot read: {error}"))?;
    if reader.format().is_none() {
        return Err("expected a PNG or JPEG picture".into());
    }
    let most = most_unfolded(length);
    let mut limits = Limits::default();
    limits.max_image_width = Some(LONGEST_SIDE as u32);
    limits.max_image_height = Some(LONGEST_SIDE as u32);
    limits.max_alloc = Some(most);
    reader.limits(limits);
    let decoder = reader.into_decoder().map_err(|error| error.to_string())?;
    let (width, height) = decoder.dimensions();
    match decoder.total_bytes() {
        0 => Err(format!("a picture of {height} × {width} has no pixels")),
        promised if promised > most => {
            Err(format!("a picture of {height} × {width} in {length} bytes; so few are taken for damaged"))
        }
        _ => Ok(decoder),
    }
}

/// Reads the header of a picture.
fn measure(path: &Path) -> std::result::Result<Header, String> {
    let (file, length) = open_picture(path)?;
    let mut decoder = decoder(BufReader::new(file), length)?;
    let coloured = decoder.color_type().has_color();
    let (width, height) = decoder.dimensions();
    let (width, height) = match decoder.orientation().map_err(|error| error.to_string())? {
        Orientation::Rotate90 | Orientation::Rotate270 | Orientation::Rotate90FlipH | Orientation::Rotate270FlipH => {
            (height, width)
        }
        _ => (width, height),
    };
    Ok(Header { height: height as usize, width: width as usize, coloured })
}

/// The picture at `path` as an image of `size`, pixels interleaved.
fn decode(path: &Path, size: Size) -> std::result::Result<Vec<u8>, String> {
    let (mut file, length) = open_picture(path)?;
    let bytes = up_to(length as usize, &mut file)?;
    if bytes.starts_with(&[0xff, 0xd8]) && !is_whole_jpeg(&bytes) {
        return Err("the JPEG picture is cut short".into());
    }
    let mut decoder = decoder(Cursor::new(&bytes), length)?;
    let orientation = decoder.orientation().map_err(|error| error.to_string())?;
    let mut picture = DynamicImage::from_decoder(decoder).map_err(|error| error.to_string())?;
    picture.apply_orientation(orientation);
    Ok(fit(picture, size))
}

/// Whether a JPEG goes on to its end: the decoder fills what is missing with grey and says nothing.
fn is_whole_jpeg(bytes: &[u8]) -> bool {
    let mut rest = &bytes[2..];
    loop {
        // Entropy-coded data, or nothing, up to a marker; `ff 00` is a byte of data, `ff d0` to `ff d7` restart the coder.
        let Some(marker) = rest.windows(2).position(|w| w[0] == 0xff && !matches!(w[1], 0 | 0xd0..=0xd7 | 0xff)) else {
            return false;
        };
        if rest[marker + 1] == 0xd9 {
            return true;
        }
        // A segment: its length, which counts itself, in two bytes.
        let Some(&[high, low]) = rest[marker + 2..].first_chunk() else { return false };
        let Some(after) = rest.get(marker + 2 + usize::from(u16::from_be_bytes([high, low])).max(2)..) else {
            return false;
        };
        rest = after;
    }
}

/// A picture cut and resized to `size`, in its colours.
fn fit(picture: DynamicImage, size: Size) -> Vec<u8> {
    let picture = if picture.color().has_alpha() { on_white(picture) } else { picture };
    let picture = match size.channels {
        1 => DynamicImage::ImageLuma8(picture.into_luma8()),
        _ => DynamicImage::ImageRgb8(picture.into_rgb8()),
    };
    let (width, height) = (size.width as u32, size.height as u32);
    if (picture.width(), picture.height()) == (width, height) {
        return picture.into_bytes();
    }
    // Cut first: to resize and cut then would make a long strip longer still.
    let (cut_width, cut_height) = largest_inside(picture.width(), picture.height(), width, height);
    let (x, y) = ((picture.width() - cut_width) / 2, (picture.height() - cut_height) / 2);
    picture.crop_imm(x, y, cut_width, cut_height).resize_exact(width, height, FilterType::CatmullRom).into_bytes()
}

/// The largest sides with the ratio `width : height` inside a picture of `w × h`, at least 1.
fn largest_inside(w: u32, h: u32, width: u32, height: u32) -> (u32, u32) {
    let (w, h, width, height) = (u64::from(w), u64::from(h), u64::from(width), u64::from(height));
    let nearest = |a: u64, b: u64| ((2 * a + b) / (2 * b)).max(1) as u32;
    match w * height > h * width {
        true => (nearest(h * width, height).min(w as u32), h as u32),
        false => (w as u32, nearest(w * height, width).min(h as u32)),
    }
}

/// What is seen of a picture on a white ground.
fn on_white(picture: DynamicImage) -> DynamicImage {
    let picture = picture.into_rgba8();
    let (width, height) = picture.dimensions();
    let over = |colour: u8, alpha: u8| {
        let (colour, alpha) = (u32::from(colour), u32::from(alpha));
        ((colour * alpha + 255 * (255 - alpha) + 127) / 255) as u8
    };
    let pixels =
        picture.pixels().flat_map(|&image::Rgba([r, g, b, a])| [r, g, b].map(|colour| over(colour, a))).collect();
    RgbImage::from_raw(width, height, pixels).expect("three bytes for each pixel").into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::damage::{cuts, flips};
    use image::{GrayImage, ImageFormat, Luma, Rgb, Rgba, RgbaImage};
    use proptest::prelude::*;
    use tempfile::TempDir;

    /// A folder with these files.
    fn folder(files: &[(&str, Vec<u8>)]) -> TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (name, content) in files {
            let path = dir.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        dir
    }

    fn encoded(picture: impl Into<DynamicImage>, format: ImageFormat) -> Vec<u8> {
        let mut file = Cursor::new(Vec::new());
        picture.into().write_to(&mut file, format).unwrap();
        file.into_inner()
    }

    /// A grey PNG of 2 × 3 pixels, all of them `value`.
    fn grey(value: u8) -> Vec<u8> {
        encoded(GrayImage::from_pixel(3, 2, Luma([value])), ImageFormat::Png)
    }

    /// A coloured picture of 20 × 30 pixels.
    fn gradient() -> RgbImage {
        RgbImage::from_fn(30, 20, |x, y| Rgb([8 * x as u8, 12 * y as u8, (x * y / 3) as u8]))
    }

    /// Several files of one kind.
    fn numbered(files: impl IntoIterator<Item = Vec<u8>>) -> Vec<(String, Vec<u8>)> {
        files.into_iter().enumerate().map(|(i, file)| (format!("{i:03}.png"), file)).collect()
    }

    fn borrowed(files: &[(String, Vec<u8>)]) -> Vec<(&str, Vec<u8>)> {
        files.iter().map(|(name, content)| (&name[..], content.clone())).collect()
    }

    fn read(dir: &TempDir) -> Result<Opened> {
        from_folder(dir.path(), &Options::default())
    }

    /// The error without the folder's random name.
    fn problem(dir: &TempDir, options: &Options) -> String {
        from_folder(dir.path(), options).unwrap_err().to_string().replace(&dir.path().display().to_string(), "DIR")
    }

    fn sized(height: usize, width: usize, channels: usize) -> Options {
        Options { image_size: Some((height, width)), channels: Some(channels), ..Options::default() }
    }

    /// All images, and their labels, whichever part they are in.
    fn all(opened: &Opened) -> Vec<(Vec<u8>, u8)> {
        let parts = [&opened.dataset.train, &opened.dataset.test];
        parts.iter().flat_map(|part| (0..part.len()).map(|i| (part.image(i).to_vec(), part.label(i)))).collect()
    }

    /// The pixels of the one picture in `file`.
    fn decoded(file: &[u8], size: Size) -> std::result::Result<Vec<u8>, String> {
        let dir = folder(&[("picture", file.to_vec())]);
        decode(&dir.path().join("picture"), size)
    }

    #[test]
    fn sub_folders_are_labels_in_the_order_of_their_names() {
        let dir = folder(&[
            ("b/1.png", grey(10)),
            ("b/deeper/still/2.PNG", grey(11)),
            ("a/1.jpg", encoded(GrayImage::from_pixel(3, 2, Luma([50])), ImageFormat::Jpeg)),
            ("a/2.jpeg", grey(60)), // What a file holds decides, not its name.
            ("c/1.png", grey(30)),
            ("empty/readme.txt", b"no picture".to_vec()),
            (".hidden/1.png", grey(99)),
            ("c/.1.png", grey(99)),
            ("Thumbs.db", b"no picture".to_vec()),
        ]);
        let opened = read(&dir).unwrap();
        let mut images: Vec<(u8, u8)> = all(&opened).iter().map(|(pixels, label)| (*label, pixels[0])).collect();
        images.sort_unstable();
        assert_eq!(images, [(0, 50), (0, 60), (1, 10), (1, 11), (2, 30)]);
        assert_eq!((opened.dataset.train.size(), &opened.skipped[..]), (Size::grey(2, 3), &[][..]));
    }

    #[test]
    fn images_are_in_the_order_of_their_names_and_keep_their_side_when_others_come() {
        let files = numbered((0..60).map(grey));
        let values = |opened: &Opened| {
            let values = |images: &crate::Images| (0..images.len()).map(|i| images.image(i)[0]).collect::<Vec<_>>();
            (values(&opened.dataset.train), values(&opened.dataset.test))
        };
        let (train, test) = values(&read(&folder(&borrowed(&files))).unwrap());
        assert!(train.is_sorted() && test.is_sorted() && test.len() > 3, "{test:?}");
        let (some_train, some_test) = values(&read(&folder(&borrowed(&files[20..]))).unwrap());
        assert!(train.ends_with(&some_train) && test.ends_with(&some_test));
    }

    #[test]
    fn pictures_beside_sub_folders_of_pictures_are_refused() {
        let dir = folder(&[("cats/1.png", grey(1)), ("stray.png", grey(2))]);
        let expected =
            "expected pictures or sub-folders of pictures, found both: the file stray.png and the folder cats";
        assert_eq!(problem(&dir, &Options::default()), format!("DIR: {expected}"));
    }

    #[test]
    fn a_folder_without_pictures_and_one_with_a_single_picture_are_refused() {
        assert!(
            problem(&folder(&[("a.txt", vec![])]), &Options::default())
                .ends_with("or PNG or JPEG pictures, found none")
        );
        let expected = "DIR: expected at least 2 images, one to train on and one to test on, found 1";
        assert_eq!(problem(&folder(&[("a.png", grey(1))]), &Options::default()), expected);
    }

    #[test]
    fn more_than_256_sub_folders_are_refused() {
        let files: Vec<_> = (0..257).map(|i| (format!("{i}/1.png"), grey(0))).collect();
        read(&folder(&borrowed(&files[..256]))).unwrap();
        assert!(problem(&folder(&borrowed(&files)), &Options::default()).contains("expected at most 256 sub-folders"));
    }

    #[test]
    fn pictures_of_different_sizes_need_a_size_to_be_resized_to() {
        let dir = folder(&[("a.png", grey(1)), ("b.png", grey(2)), ("c.png", encoded(gradient(), ImageFormat::Png))]);
        let expected =
            "expected pictures of one size, found a.png of 2 × 3 and c.png of 20 × 30; --image-size HxW resizes all";
        assert_eq!(problem(&dir, &Options::default()), format!("DIR: {expected}"));
        let opened = from_folder(dir.path(), &sized(4, 6, 1)).unwrap();
        assert_eq!((opened.dataset.train.size(), all(&opened).len()), (Size::grey(4, 6), 3));
        for (height, width) in [(0, 5), (5, 0), (1 << 20, 1)] {
            let expected = format!("expected an image size from 1 × 1 to 32768 × 32768, found {height} × {width}");
            assert_eq!(problem(&dir, &sized(height, width, 1)), format!("DIR: {expected}"));
        }
        assert_eq!(problem(&dir, &sized(4, 4, 2)), "DIR: expected images of 1 or 3 channels, found 2");
    }

    #[test]
    fn images_that_would_fill_the_memory_are_refused_before_it_is_taken() {
        let dir = folder(&borrowed(&numbered((0..6).map(grey))));
        let expected = "DIR: 6 images of 32768 × 32768 × 3 would take more than 16 GiB";
        assert_eq!(problem(&dir, &sized(1 << 15, 1 << 15, 3)), expected);
    }

    #[test]
    fn images_are_grey_if_all_pictures_are_and_coloured_otherwise() {
        let colour = encoded(RgbImage::from_pixel(3, 2, Rgb([10, 20, 30])), ImageFormat::Png);
        let greys = folder(&[("a.png", grey(1)), ("b.png", grey(2))]);
        let mixed = folder(&[("a.png", grey(1)), ("b.png", colour)]);
        assert_eq!(read(&greys).unwrap().dataset.train.size(), Size::grey(2, 3));
        let mut images = all(&read(&mixed).unwrap());
        images.sort();
        assert_eq!((&images[0].0, &images[1].0), (&vec![1; 18], &[10, 20, 30].repeat(6)));
        // 0.2126 · 10 + 0.7152 · 20 + 0.0722 · 30 = 18.6
        let mut images = all(&from_folder(mixed.path(), &Options { channels: Some(1), ..Options::default() }).unwrap());
        images.sort();
        assert_eq!((&images[0].0, &images[1].0), (&vec![1; 6], &vec![19; 6]));
    }

    #[test]
    fn what_is_transparent_is_seen_on_white() {
        let mut picture = RgbaImage::from_pixel(3, 1, Rgba([100, 0, 200, 255]));
        picture.put_pixel(1, 0, Rgba([100, 0, 200, 0]));
        picture.put_pixel(2, 0, Rgba([100, 0, 200, 51])); // a fifth
        let size = Size { height: 1, width: 3, channels: 3 };
        let pixels = decoded(&encoded(picture, ImageFormat::Png), size).unwrap();
        assert_eq!(pixels, [100, 0, 200, 255, 255, 255, 224, 204, 244]);
    }

    #[test]
    fn sixteen_bits_become_eight() {
        let picture = image::ImageBuffer::<Luma<u16>, _>::from_raw(2, 1, vec![0x80ff, 0xffff]).unwrap();
        let pixels = decoded(&encoded(picture, ImageFormat::Png), Size::grey(1, 2)).unwrap();
        assert!(pixels[0].abs_diff(0x80) <= 1 && pixels[1] == 255, "{pixels:?}");
    }

    #[test]
    fn pictures_are_cut_around_the_centre_and_then_resized() {
        // White in the middle third, black left and right of it.
        let wide = GrayImage::from_fn(60, 20, |x, _| Luma([if (20..40).contains(&x) { 255 } else { 0 }]));
        let white = decoded(&encoded(wide.clone(), ImageFormat::Png), Size::grey(10, 10)).unwrap();
        assert_eq!(white, [255; 100]);
        // In its own ratio nothing is cut; in the other one only the white is left.
        let whole = decoded(&encoded(wide.clone(), ImageFormat::Png), Size::grey(10, 30)).unwrap();
        assert_eq!((whole[0], whole[15], whole[29]), (0, 255, 0));
        let high = image::imageops::rotate90(&wide);
        assert_eq!(decoded(&encoded(high, ImageFormat::Png), Size::grey(7, 7)).unwrap(), [255; 49]);
        // Smaller pictures grow.
        assert_eq!(decoded(&grey(77), Size::grey(9, 9)).unwrap(), [77; 81]);
    }

    #[test]
    fn pixels_all_count_when_pictures_become_smaller() {
        let checks = GrayImage::from_fn(64, 64, |x, y| Luma([if (x + y) % 2 == 0 { 255 } else { 0 }]));
        let small = decoded(&encoded(checks, ImageFormat::Png), Size::grey(8, 8)).unwrap();
        assert!(small.iter().all(|&pixel| (120..136).contains(&pixel)), "{small:?}");
    }

    #[test]
    fn the_largest_part_of_a_ratio_is_inside_and_touches_two_sides() {
        for (w, h, width, height, expected) in [
            (60, 20, 10, 10, (20, 20)),
            (20, 60, 10, 10, (20, 20)),
            (60, 20, 30, 10, (60, 20)),
            (10, 10, 3, 1, (10, 3)),
            (1, 32768, 32768, 1, (1, 1)),
            (32768, 1, 1, 32768, (1, 1)),
            (7, 5, 7, 5, (7, 5)),
        ] {
            assert_eq!(largest_inside(w, h, width, height), expected);
        }
    }

    #[test]
    fn photographs_are_turned_upright() {
        // Left black, right white; EXIF orientation 6 says that the camera was turned: black is at the top.
        let picture = GrayImage::from_fn(32, 16, |x, _| Luma([if x < 16 { 0 } else { 255 }]));
        let mut file = encoded(picture, ImageFormat::Jpeg);
        let exif = b"\xff\xe1\x00\x22Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0";
        file.splice(2..2, exif.iter().copied());
        let dir = folder(&[("a.jpg", file.clone()), ("b.jpg", file)]);
        let opened = read(&dir).unwrap();
        assert_eq!(opened.dataset.train.size(), Size::grey(32, 16));
        let image = opened.dataset.train.image(0);
        assert!(image[0] < 5 && image[15] < 5 && image[31 * 16] > 250, "{image:?}");
    }

    #[test]
    fn files_that_cannot_be_read_are_skipped_up_to_ten() {
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
        assert_eq!(opened.skipped[0].problem(), "expected a PNG or JPEG picture");

        (0..10).for_each(|i| files[i].1 = vec![]);
        assert_eq!(read(&folder(&borrowed(&files))).unwrap().skipped.len(), 10);
        files[10].1 = vec![];
        let no = "expected a PNG or JPEG picture";
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
    fn headers_that_promise_too_many_pixels_take_no_memory() {
        // The length and the checksum of IHDR are those of the file that was changed; the checksum is set anew.
        let mut file = grey(0);
        file[16..20].copy_from_slice(&30_000u32.to_be_bytes());
        file[20..24].copy_from_slice(&30_000u32.to_be_bytes());
        let mut crc = flate2::Crc::new();
        crc.update(&file[12..29]);
        file[29..33].copy_from_slice(&crc.sum().to_be_bytes());
        let error = decoded(&file, Size::grey(2, 3)).unwrap_err();
        assert!(error.starts_with("a picture of 30000 × 30000 in "), "{error}");
        file[16..20].copy_from_slice(&40_000u32.to_be_bytes());
        let mut crc = flate2::Crc::new();
        crc.update(&file[12..29]);
        file[29..33].copy_from_slice(&crc.sum().to_be_bytes());
        assert!(decoded(&file, Size::grey(2, 3)).is_err());
    }

    #[test]
    #[cfg(unix)]
    fn links_are_followed_without_going_in_circles() {
        let dir = folder(&[("a/1.png", grey(1)), ("a/2.png", grey(2))]);
        let elsewhere = folder(&[("3.png", grey(3))]);
        std::os::unix::fs::symlink(dir.path(), dir.path().join("a/up")).unwrap();
        std::os::unix::fs::symlink(elsewhere.path(), dir.path().join("b")).unwrap();
        std::os::unix::fs::symlink(elsewhere.path().join("3.png"), dir.path().join("a/3.png")).unwrap();
        std::os::unix::fs::symlink("nowhere.png", dir.path().join("a/4.png")).unwrap();
        let opened = read(&dir).unwrap();
        let mut images: Vec<(u8, u8)> = all(&opened).iter().map(|(pixels, label)| (*label, pixels[0])).collect();
        images.sort_unstable();
        assert_eq!(images, [(0, 1), (0, 2), (0, 3), (1, 3)]);
        assert!(opened.skipped[0].to_string().contains("a/4.png: cannot open: "));
    }

    #[test]
    fn a_cut_is_an_error_or_takes_nothing_from_the_picture() {
        let size = Size { height: 20, width: 30, channels: 3 };
        for format in [ImageFormat::Png, ImageFormat::Jpeg] {
            let file = encoded(gradient(), format);
            let whole = decoded(&file, size).unwrap();
            let mut harmless = 0;
            cuts(&file, |cut| {
                if let Ok(pixels) = decoded(cut, size) {
                    assert_eq!(pixels, whole);
                    harmless += 1;
                }
            });
            // A PNG ends with 12 bytes that say that it ends.
            assert!(harmless <= if format == ImageFormat::Png { 12 } else { 0 }, "{format:?}: {harmless}");
        }
    }

    #[test]
    fn flipped_bits_never_panic_and_never_change_a_png() {
        let size = Size::grey(2, 3);
        for (file, checked) in [(grey(9), true), (encoded(gradient(), ImageFormat::Jpeg), false)] {
            flips(&file, |flipped| {
                let read = || {
                    let header = decoder(Cursor::new(flipped), flipped.len() as u64)?;
                    DynamicImage::from_decoder(header).map_err(|error| error.to_string())
                };
                let _ = is_whole_jpeg(flipped);
                if let Ok(picture) = read()
                    && checked
                {
                    assert_eq!(fit(picture, size), [9; 6]);
                }
            });
        }
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), start in 0usize..200) {
            let size = Size::grey(2, 2);
            for format in [ImageFormat::Png, ImageFormat::Jpeg] {
                let valid = encoded(gradient(), format);
                let _ = decoded(&[&valid[..start], &bytes].concat(), size);
            }
            let _ = decoded(&bytes, size);
        }

        #[test]
        fn a_png_survives_the_round_trip(height in 1usize..6, width in 1usize..6, bytes in prop::collection::vec(any::<u8>(), 75)) {
            let bytes = &bytes[..3 * height * width];
            let picture = RgbImage::from_raw(width as u32, height as u32, bytes.to_vec()).unwrap();
            let size = Size { height, width, channels: 3 };
            prop_assert_eq!(decoded(&encoded(picture, ImageFormat::Png), size), Ok(bytes.to_vec()));
        }
    }
}
