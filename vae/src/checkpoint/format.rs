//! The file that models and checkpoints are written to: named matrices, one metadata entry, and a checksum.
//!
//! It is a safetensors file like any other. Its one metadata entry, `vae`, is a text in TOML, for the format's library
//! writes several entries in random order, and equal models are to be equal bytes. The first line of that text is the
//! CRC-32 of the whole file, computed with eight zeros in its place: it finds every flip of up to 32 neighbouring bits,
//! also in the header.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use autograd::Params;
use ndarray::{CowArray, IxDyn};
use safetensors::tensor::{Dtype, View};
use safetensors::{SafeTensors, serialize};
use serde::{Serialize, de::DeserializeOwned};

use super::foreign;
use crate::config::{LONGEST, one_line};
use crate::error::{Error, Result};
use crate::files::write_whole;

const METADATA: &str = "vae";

/// What the checksum is computed with in its own place.
const NO_CHECKSUM: &str = "00000000";

/// What the checksum stands behind: a comment, for the reader of the TOML.
const CHECKSUM: &str = "# crc32 ";

/// As much of a file is looked at before the rest is read.
const BEGINNING: u64 = 4096;

/// No header of ours is larger: 1 MiB is some 8,000 matrices.
const MOST_HEADER: u64 = 1 << 20;

/// No file is larger that a model of the most parameters makes, with its two moments.
const MOST_BYTES: u64 = 3 * 4 * crate::config::MOST_PARAMETERS as u64 + MOST_HEADER;

/// Writes all matrices of each of these, named with their prefix, and a header; whole or not at all.
///
/// # Errors
/// If the file cannot be written.
pub(super) fn write(path: &Path, header: &impl Serialize, parts: &[(&str, &Params)]) -> Result<()> {
    write_whole(path, &encode(header, parts))
}

fn encode(header: &impl Serialize, parts: &[(&str, &Params)]) -> Vec<u8> {
    let header = format!("{CHECKSUM}{NO_CHECKSUM}\n{}", to_toml(header));
    let matrices = parts.iter().flat_map(|(prefix, params)| params.iter().map(move |m| (prefix, m)));
    let tensors = matrices.map(|(prefix, (name, x))| (format!("{prefix}{name}"), Tensor::of(x.into_dyn())));
    let mut file = file_of(header, tensors);
    let checksum = format!("{:08x}", crc32fast::hash(&file));
    let at = place_of_checksum(&file).expect("it was just written");
    file[at..at + checksum.len()].copy_from_slice(checksum.as_bytes());
    file
}

/// The text of a header.
pub(super) fn to_toml(header: &impl Serialize) -> String {
    toml::to_string(header).expect("a checked configuration has a TOML form")
}

/// Numbers on their way into a file. Their bytes are there for one tensor at a time.
pub(super) struct Tensor<'p>(CowArray<'p, f32, IxDyn>);

impl<'p> Tensor<'p> {
    pub(super) fn of(numbers: impl Into<CowArray<'p, f32, IxDyn>>) -> Tensor<'p> {
        Tensor(numbers.into())
    }
}

impl View for Tensor<'_> {
    fn dtype(&self) -> Dtype {
        Dtype::F32
    }

    fn shape(&self) -> &[usize] {
        self.0.shape()
    }

    /// Row after row.
    fn data(&self) -> Cow<'_, [u8]> {
        let mut bytes = Vec::with_capacity(self.data_len());
        self.0.iter().for_each(|x| bytes.extend_from_slice(&x.to_le_bytes()));
        bytes.into()
    }

    fn data_len(&self) -> usize {
        4 * self.0.len()
    }
}

/// A safetensors file with this text in its metadata entry, and these tensors by name.
pub(super) fn file_of<'p>(header: String, tensors: impl Iterator<Item = (String, Tensor<'p>)>) -> Vec<u8> {
    let metadata = HashMap::from([(METADATA.to_string(), header)]);
    serialize(tensors, Some(metadata)).expect("names and shapes have a JSON form")
}

/// Reads a safetensors file, whoever wrote it, after a look at its length and at what its beginning promises.
///
/// # Errors
/// If it cannot be read, or is longer than any model.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>> {
    let wrong = |problem: String| Error::file(path, problem);
    let mut file = File::open(path).map_err(|e| wrong(format!("cannot read: {e}")))?;
    let metadata = file.metadata().map_err(|e| wrong(format!("cannot read: {e}")))?;
    if metadata.is_dir() {
        return Err(wrong("expected a safetensors file, found a folder".into()));
    }
    let length = metadata.len();
    let mut content = vec![];
    file.by_ref().take(BEGINNING).read_to_end(&mut content).map_err(|e| wrong(format!("cannot read: {e}")))?;
    check_header(path, &content, length)?;
    if length > MOST_BYTES {
        return Err(wrong(format!("expected a file of at most {MOST_BYTES} bytes, found {length}")));
    }
    // No more than it had a moment ago, should it be growing.
    file.take(length.saturating_sub(content.len() as u64))
        .read_to_end(&mut content)
        .map_err(|e| wrong(format!("cannot read: {e}")))?;
    Ok(content)
}

/// Looks at the length of the header, which a file of so many bytes begins with.
fn check_header(path: &Path, beginning: &[u8], length: u64) -> Result<()> {
    let header = beginning.first_chunk().map_or(0, |&bytes| u64::from_le_bytes(bytes));
    if length < 8 || header > MOST_HEADER.min(length - 8) {
        let cut_short = format!(", or one cut short: {length} bytes with a header of {header}");
        return Err(no_safetensors(path, beginning, &cut_short));
    }
    Ok(())
}

/// What is wrong with a file that is of another format: which one, if that is known.
fn no_safetensors(path: &Path, beginning: &[u8], otherwise: &str) -> Error {
    let problem = foreign::describe(path, beginning).map_or(otherwise.into(), |found| format!(" but {found}"));
    Error::file(path, format!("not a safetensors file{problem}"))
}

/// The tensors of a safetensors file.
///
/// # Errors
/// If it is none, or its header is longer than any model's.
pub(crate) fn tensors<'f>(path: &Path, file: &'f [u8]) -> Result<SafeTensors<'f>> {
    // Each byte of it takes some twenty in memory.
    check_header(path, file, file.len() as u64)?;
    SafeTensors::deserialize(file).map_err(|e| no_safetensors(path, file, &format!(": {e}")))
}

/// The tensors and the header of a file that [`write`] wrote.
///
/// # Errors
/// If it is no safetensors file, or has no such header of this format.
pub(super) fn parse<'f, H: DeserializeOwned>(path: &Path, file: &'f [u8]) -> Result<(H, SafeTensors<'f>)> {
    let tensors = tensors(path, file)?;
    let none = || Error::file(path, format!("expected a metadata entry `{METADATA}`, found none"));
    Ok((header(path, file)?.ok_or_else(none)?, tensors))
}

/// The header in a safetensors file, if there is one.
///
/// # Errors
/// If it is of another format.
pub(super) fn header<H: DeserializeOwned>(path: &Path, file: &[u8]) -> Result<Option<H>> {
    let wrong = |problem: String| Error::file(path, problem);
    let (_, metadata) = SafeTensors::read_metadata(file).map_err(|e| wrong(e.to_string()))?;
    let Some(header) = metadata.metadata().as_ref().and_then(|entries| entries.get(METADATA)) else {
        return Ok(None);
    };
    if header.len() as u64 > LONGEST {
        let found = header.len();
        return Err(wrong(format!("metadata entry `{METADATA}`: expected at most {LONGEST} bytes, found {found}")));
    }
    // Its format's version comes first: what else a newer header holds is not known here.
    #[derive(serde::Deserialize)]
    struct Version {
        format: u32,
    }
    let problem = |e| wrong(format!("metadata entry `{METADATA}`: {}", one_line(header, &e)));
    let Version { format } = toml::from_str(header).map_err(problem)?;
    match format {
        FORMAT => Ok(Some(toml::from_str(header).map_err(problem)?)),
        _ if format > FORMAT => {
            Err(wrong(format!("format {format} is newer than {FORMAT}, the newest this program reads")))
        }
        _ => Err(wrong(format!("format {format} is older than {FORMAT}, the oldest this program reads"))),
    }
}

/// The format this program writes and reads.
pub(super) const FORMAT: u32 = 2;

/// Compares the checksum. It is not part of [`parse`], so that a fuzzer's inputs get further than here.
///
/// # Errors
/// If it is missing or another.
pub(super) fn verify(path: &Path, file: &[u8]) -> Result<()> {
    let Some(at) = place_of_checksum(file) else {
        return Err(Error::file(path, "expected a checksum in its header, found none"));
    };
    let (expected, found) = (&file[at..at + NO_CHECKSUM.len()], checksum(file, at));
    if expected != found.as_bytes() {
        let expected = String::from_utf8_lossy(expected);
        return Err(Error::file(path, format!("damaged: its checksum is {found}, and should be {expected}")));
    }
    Ok(())
}

/// Where the digits of the checksum begin.
fn place_of_checksum(file: &[u8]) -> Option<usize> {
    let header = u64::from_le_bytes(*file.first_chunk()?);
    let header = file.get(8..usize::try_from(header).ok()?.checked_add(8)?)?;
    let at = 8 + CHECKSUM.len() + header.windows(CHECKSUM.len()).position(|w| w == CHECKSUM.as_bytes())?;
    (at + NO_CHECKSUM.len() <= file.len()).then_some(at)
}

fn checksum(file: &[u8], at: usize) -> String {
    let mut crc = crc32fast::Hasher::new();
    crc.update(&file[..at]);
    crc.update(NO_CHECKSUM.as_bytes());
    crc.update(&file[at + NO_CHECKSUM.len()..]);
    format!("{:08x}", crc.finalize())
}

/// Fills every matrix with the tensor of its name, with this prefix.
///
/// # Errors
/// If one is missing, has another shape, or holds a number that is not finite.
pub(super) fn fill(path: &Path, tensors: &SafeTensors, prefix: &str, params: &mut Params) -> Result<()> {
    let wrong = |problem: String| Error::file(path, problem);
    for param in params.layout.clone().params() {
        let name = format!("{prefix}{}", params.layout.name(param));
        let tensor = tensors.tensor(&name).map_err(|_| wrong(format!("tensor `{name}` is missing")))?;
        let shape = params.layout.shape(param);
        if tensor.dtype() != Dtype::F32 || tensor.shape() != shape {
            let found = format!("{:?} {:?}", tensor.dtype(), tensor.shape());
            return Err(wrong(format!("tensor `{name}`: expected F32 {shape:?}, found {found}")));
        }
        let numbers = tensor.data().as_chunks::<4>().0.iter().map(|&bytes| f32::from_le_bytes(bytes));
        for (to, number) in params.view_mut(param).iter_mut().zip(numbers) {
            if !number.is_finite() {
                return Err(wrong(format!("tensor `{name}` holds {number}")));
            }
            *to = number;
        }
    }
    Ok(())
}

/// Refuses a file with a tensor that is none of these parts'.
///
/// # Errors
/// The first that does not belong.
pub(super) fn no_others(path: &Path, tensors: &SafeTensors, prefixes: &[&str], params: &Params) -> Result<()> {
    let ours = |name: &str| {
        let known = |rest| params.iter().any(|(name, _)| name == rest);
        prefixes.iter().any(|prefix| name.strip_prefix(prefix).is_some_and(known))
    };
    match tensors.names().into_iter().filter(|name| !ours(name)).min() {
        Some(extra) => Err(Error::file(path, format!("tensor `{extra}` does not belong to this model"))),
        None => Ok(()),
    }
}
