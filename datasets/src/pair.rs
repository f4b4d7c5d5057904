//! IDX files of images, each perhaps with one of labels, joined into [`Images`].

use crate::idx::{Elements, Idx};
use crate::labels::{Label, Labelled, Numbers, classes, numbers_each};
use crate::{Error, Images, Result, Size, scale};
use std::path::PathBuf;

/// Images, `[n, height, width]` of u8, and `n` labels, where there are any that can be read; each comes with the file it was
/// read from.
pub(crate) struct Pair {
    pub(crate) images: (PathBuf, Idx),
    pub(crate) labels: Option<(PathBuf, Result<Idx>)>,
}

/// Joins parts of one data set, and says what was assumed of the scale of their pixels, and which labels are left out.
///
/// The pixels are moved, not copied: MNIST's are 47 MB.
///
/// # Errors
///
/// If images are of another type or rank, or there are none.
pub(crate) fn join(pairs: Vec<Pair>) -> Result<(Vec<Images>, Vec<String>)> {
    let (mut parts, mut labelled) = (Vec::new(), Vec::new());
    for Pair { images: (path, images), labels } in pairs {
        let found = describe(&images);
        let (&[n, height, width], Elements::U8(pixels)) = (&images.shape[..], images.elements) else {
            return Err(Error::new(path, format!("expected images of u8 in 3 dimensions, found {found}")));
        };
        if n > 0 && height * width == 0 {
            return Err(Error::new(path, format!("images of {} have no pixels", Size::grey(height, width))));
        }
        let file = labels.as_ref().and_then(|(path, _)| path.file_name()).unwrap_or_default();
        let name = file.to_string_lossy().into_owned();
        let labels = labels.map(|(_, idx)| idx.map_err(|error| error.problem().into()).and_then(|idx| read(&idx, n)));
        let labels = labels.transpose();
        labelled.push(Labelled { images: n, name, labels });
        parts.push((path, pixels, Size::grey(height, width)));
    }
    let (labels, mut notes) = classes(labelled);
    notes.extend(scale::stretch(&mut parts.iter_mut().map(|(_, pixels, _)| &mut pixels[..]).collect::<Vec<_>>()));
    let images = parts.into_iter().zip(labels).map(|((path, pixels, size), labels)| {
        Images::new(pixels, size, labels).map_err(|problem| Error::new(path, problem))
    });
    Ok((images.collect::<Result<Vec<Images>>>()?, notes))
}

/// The labels of `images` images; or why they are none.
fn read(idx: &Idx, images: usize) -> std::result::Result<Vec<Label>, String> {
    let mut numbers = Numbers::new(images, numbers_each(&idx.shape, images)?);
    idx.elements.numbers().enumerate().for_each(|(place, number)| numbers.put(place, number));
    numbers.finish()
}

/// The type and rank of an array, as an error tells them.
fn describe(idx: &Idx) -> String {
    let kind = match idx.elements {
        Elements::U8(_) => "u8",
        Elements::I8(_) => "i8",
        Elements::I16(_) => "i16",
        Elements::I32(_) => "i32",
        Elements::F32(_) => "f32",
        Elements::F64(_) => "f64",
    };
    let rank = idx.shape.len();
    format!("{kind} in {rank} dimension{}", if rank == 1 { "" } else { "s" })
}
