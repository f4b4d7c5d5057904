//! A model in a file: weights and configuration, as safetensors.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use autograd::Params;
use datasets::Size;
use safetensors::tensor::{Dtype, TensorView};
use safetensors::{SafeTensors, serialize};
use serde::{Deserialize, Serialize};

use crate::config::{Config, one_line};
use crate::error::{Error, Result};
use crate::files::write_whole;
use crate::models::Vae;
use crate::noise::Purpose;

/// A model with its numbers, and all that is needed to use it.
#[derive(Clone, Debug)]
pub struct Model {
    /// What it was trained with.
    pub config: Config,
    /// The measures of an image.
    pub size: Size,
    /// The layers.
    pub vae: Vae,
    /// Their numbers.
    pub params: Params,
}

/// The one metadata entry of the file, so that equal models are equal bytes: safetensors writes several in random
/// order. It holds what determines the weights; no paths, no times, no number of threads.
const METADATA: &str = "vae";

/// What that entry holds, as TOML.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    format: u32,
    size: Size,
    config: Config,
}

/// The format this program writes, and the newest it reads.
const FORMAT: u32 = 1;

impl Model {
    /// A model for images of this size, with the initial parameters that the configuration's seed determines.
    pub fn new(config: Config, size: Size) -> Model {
        let mut params = Params::new();
        let architecture = config.architecture(size.count());
        let vae = architecture.build(&mut params, &mut Purpose::Init.generator(config.seed, 0));
        Model { config, size, vae, params }
    }

    /// Writes the file, whole or not at all.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn save(&self, path: &Path) -> Result<()> {
        let header = Header { format: FORMAT, size: self.size, config: self.config.of_weights() };
        let header = toml::to_string(&header).expect("a checked configuration has a TOML form");
        let bytes: Vec<(&str, Vec<u8>, Vec<usize>)> = self
            .params
            .iter()
            .map(|(name, x)| (name, x.iter().flat_map(|x| x.to_le_bytes()).collect(), x.shape().to_vec()))
            .collect();
        let tensors = bytes.iter().map(|(name, bytes, shape)| {
            let view = TensorView::new(Dtype::F32, shape.clone(), bytes).expect("four bytes for each number");
            (*name, view)
        });
        let metadata = HashMap::from([(METADATA.to_string(), header)]);
        let file = serialize(tensors, Some(metadata)).map_err(|e| Error::file(path, e))?;
        write_whole(path, &file)
    }

    /// Reads a file that [`save`](Model::save) wrote.
    ///
    /// # Errors
    /// If it cannot be read, is no safetensors file or not one of ours, or its tensors are not those of the model that
    /// its configuration describes, or hold a number that is not finite.
    pub fn load(path: &Path) -> Result<Model> {
        let wrong = |problem: String| Error::file(path, problem);
        let file = fs::read(path).map_err(|e| wrong(format!("cannot read: {e}")))?;
        let tensors = SafeTensors::deserialize(&file).map_err(|e| wrong(format!("not a safetensors file: {e}")))?;
        let (_, metadata) = SafeTensors::read_metadata(&file).map_err(|e| wrong(e.to_string()))?;
        let header = metadata.metadata().as_ref().and_then(|entries| entries.get(METADATA));
        let header = header.ok_or_else(|| wrong(format!("expected a metadata entry `{METADATA}`, found none")))?;
        let Header { format, size, config } = toml::from_str(header)
            .map_err(|e| wrong(format!("metadata entry `{METADATA}`: {}", one_line(header, &e))))?;
        if format > FORMAT {
            return Err(wrong(format!("format {format} is newer than {FORMAT}, the newest this program reads")));
        }

        // Before any memory is taken on the word of the header: does the file hold as many numbers as it describes?
        config.check().map_err(|e| wrong(e.to_string()))?;
        let pixels = size.checked_count().filter(|&pixels| pixels > 0);
        let count = pixels.and_then(|pixels| config.architecture(pixels).count());
        let expected = count.and_then(|count| count.checked_mul(4)).filter(|&bytes| bytes <= file.len());
        if expected.is_none() {
            let model = config.architecture(pixels.unwrap_or(0));
            return Err(wrong(format!("{} bytes cannot hold a model of {model}", file.len())));
        }

        let mut model = Model::new(config, size);
        let names: Vec<String> = model.params.iter().map(|(name, _)| name.to_string()).collect();
        if let Some(extra) = tensors.names().into_iter().filter(|&name| !names.iter().any(|n| n == name)).min() {
            return Err(wrong(format!("tensor `{extra}` does not belong to this model")));
        }
        for (param, name) in model.params.layout.clone().params().zip(&names) {
            let tensor = tensors.tensor(name).map_err(|_| wrong(format!("tensor `{name}` is missing")))?;
            let shape = model.params.layout.shape(param);
            if tensor.dtype() != Dtype::F32 || tensor.shape() != shape {
                let found = format!("{:?} {:?}", tensor.dtype(), tensor.shape());
                return Err(wrong(format!("tensor `{name}`: expected F32 {shape:?}, found {found}")));
            }
            let numbers = tensor.data().as_chunks::<4>().0.iter().map(|&bytes| f32::from_le_bytes(bytes));
            for (to, number) in model.params.view_mut(param).iter_mut().zip(numbers) {
                if !number.is_finite() {
                    return Err(wrong(format!("tensor `{name}` holds {number}")));
                }
                *to = number;
            }
        }
        Ok(model)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model() -> Model {
        Model::new(Config { hidden: vec![5], latent: 2, threads: Some(7), ..Config::default() }, Size::grey(2, 3))
    }

    /// The problem, without the path, that loading these bytes has.
    fn problem(bytes: &[u8]) -> String {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("m");
        fs::write(&path, bytes).unwrap();
        let error = Model::load(&path).unwrap_err().to_string();
        assert!(!error.contains('\n'), "{error}");
        error.strip_prefix(&format!("{}: ", path.display())).expect("the file is named").to_string()
    }

    fn saved(model: &Model) -> Vec<u8> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("m");
        model.save(&path).unwrap();
        fs::read(&path).unwrap()
    }

    #[test]
    fn a_model_is_read_as_it_was_written_and_equal_models_are_equal_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("m");
        let model = model();
        model.save(&path).unwrap();
        let loaded = Model::load(&path).unwrap();
        assert_eq!(loaded.params.flat[..], model.params.flat[..]);
        assert_eq!(loaded.config, model.config.of_weights());
        assert_eq!(loaded.size, model.size);
        let elsewhere = Config { threads: Some(1), data: Some("x".into()), ..model.config.clone() };
        assert_eq!(saved(&Model { config: elsewhere, ..model.clone() }), saved(&loaded));
    }

    #[test]
    fn a_damaged_or_foreign_file_is_refused_with_its_reason() {
        let file = saved(&model());
        assert!(problem(b"").starts_with("not a safetensors file: "));
        assert!(problem(&file[..file.len() - 1]).starts_with("not a safetensors file: "));
        assert!(problem(&[0xff; 64]).starts_with("not a safetensors file: "));
        assert_eq!(problem(&serialize(NONE, None).unwrap()), "expected a metadata entry `vae`, found none");
        let mut not_a_number = file.clone();
        let end = not_a_number.len();
        not_a_number[end - 4..].copy_from_slice(&f32::NAN.to_le_bytes());
        assert!(problem(&not_a_number).ends_with("holds NaN"));
    }

    const NONE: [(&str, TensorView<'_>); 0] = [];

    #[test]
    fn a_header_that_does_not_fit_its_tensors_is_refused_before_memory_is_taken() {
        let with = |from: &str, to: &str| {
            let file = saved(&model());
            let (n, metadata) = SafeTensors::read_metadata(&file).unwrap();
            let header = metadata.metadata().as_ref().unwrap()[METADATA].replace(from, to);
            assert_ne!(header, metadata.metadata().as_ref().unwrap()[METADATA]);
            let tensors = SafeTensors::deserialize(&file).unwrap().tensors();
            assert!(n < file.len());
            problem(&serialize(tensors, Some(HashMap::from([(METADATA.to_string(), header)]))).unwrap())
        };
        assert!(with("latent = 2", "latent = 900000000").contains("bytes cannot hold a model of 6–5–900000000–5–6"));
        assert!(with("height = 2", "height = 0").contains("cannot hold a model"));
        assert_eq!(with("latent = 2", "latent = 1"), "tensor `mean.weight`: expected F32 [5, 1], found F32 [5, 2]");
        assert_eq!(with("hidden = [5]", "hidden = []"), "tensor `decoder.0.bias` does not belong to this model");
        assert_eq!(with("format = 1", "format = 2"), "format 2 is newer than 1, the newest this program reads");
        assert_eq!(with("latent = 2", "latent = 0"), "--latent: expected at least 1, found 0");
        assert!(with("latent = 2", "latint = 2").starts_with("metadata entry `vae`: line "));
    }
}
