//! Two IDX files, images and their labels, joined into [`Images`].

use crate::idx::{Elements, Idx};
use crate::{Error, Images, Result, Size};
use std::path::PathBuf;

/// Joins `images`, `[n, height, width]` of u8, with `labels`, `[n]` of u8; each comes with the file it was read from.
///
/// The pixels are moved, not copied: MNIST's are 47 MB.
pub(crate) fn join((images_path, images): (PathBuf, Idx), (labels_path, labels): (PathBuf, Idx)) -> Result<Images> {
    let found = describe(&images);
    let (&[n, height, width], Elements::U8(pixels)) = (&images.shape[..], images.elements) else {
        return Err(Error::new(images_path, format!("expected images of u8 in 3 dimensions, found {found}")));
    };
    let found = describe(&labels);
    let (&[_], Elements::U8(labels)) = (&labels.shape[..], labels.elements) else {
        return Err(Error::new(labels_path, format!("expected labels of u8 in 1 dimension, found {found}")));
    };
    if labels.len() != n {
        let problem = format!("{} labels, but {} holds {n} images", labels.len(), images_path.display());
        return Err(Error::new(labels_path, problem));
    }
    let labels = labels.into_iter().map(u32::from).collect();
    Images::new(pixels, Size::grey(height, width), labels).map_err(|problem| Error::new(images_path, problem))
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
