//! A model in a file: weights and configuration.

use std::path::Path;

use autograd::Params;
use datasets::Size;
use serde::{Deserialize, Serialize};

use super::format::{self, FORMAT};
use crate::config::Config;
use crate::error::{Error, Result};
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

/// The header of the file: what determines the weights. No paths, no times, no number of threads.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    format: u32,
    size: Size,
    config: Config,
}

impl Model {
    /// A model for images of this size, with the initial parameters that the configuration's seed determines.
    pub fn new(config: Config, size: Size) -> Model {
        let mut params = Params::new();
        let architecture = config.architecture(size.count());
        let vae = architecture.build(&mut params, &mut Purpose::Init.generator(config.seed, 0));
        Model { config, size, vae, params }
    }

    /// Writes the file, whole or not at all. Equal models are equal bytes.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn save(&self, path: &Path) -> Result<()> {
        let header = Header { format: FORMAT, size: self.size, config: self.config.of_weights() };
        format::write(path, &header, &[("", &self.params)])
    }

    /// Reads a file that [`save`](Model::save) wrote.
    ///
    /// # Errors
    /// If it cannot be read, is no safetensors file or not one of ours, is damaged, or its tensors are not those of the
    /// model that its configuration describes, or hold a number that is not finite.
    pub fn load(path: &Path) -> Result<Model> {
        let file = format::read(path)?;
        let model = Model::parse(path, &file)?;
        format::verify(path, &file)?;
        Ok(model)
    }

    /// The model in such a file, whose path only labels errors; its checksum is not looked at.
    ///
    /// # Errors
    /// As those of [`load`](Model::load).
    pub fn parse(path: &Path, file: &[u8]) -> Result<Model> {
        let (Header { size, config, .. }, tensors) = format::parse(path, file)?;
        let mut model = Model::described(path, config, size, file.len())?;
        format::no_others(path, &tensors, &[""], &model.params)?;
        format::fill(path, &tensors, "", &mut model.params)?;
        Ok(model)
    }

    /// The model that a header describes, with initial parameters. No memory is taken for it before it is known that
    /// a file of so many bytes can hold it.
    pub(super) fn described(path: &Path, config: Config, size: Size, bytes: usize) -> Result<Model> {
        config.check().map_err(|e| Error::file(path, e))?;
        let numbers = size.checked_count().filter(|&numbers| numbers > 0);
        let count = numbers.and_then(|numbers| config.architecture(numbers).count());
        if count.and_then(|count| count.checked_mul(4)).is_none_or(|expected| expected > bytes) {
            let model = config.architecture(numbers.unwrap_or(0));
            return Err(Error::file(path, format!("{bytes} bytes cannot hold a model of {model}")));
        }
        Ok(Model::new(config, size))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;
    use std::fs;

    use safetensors::tensor::TensorView;
    use safetensors::{SafeTensors, serialize};

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
        let short = "not a safetensors file, or one cut short: ";
        assert_eq!(problem(b""), format!("{short}0 bytes with a header of 0"));
        assert_eq!(problem(&[0xff; 64]), format!("{short}64 bytes with a header of 18446744073709551615"));
        assert!(problem(&file[..file.len() - 1]).starts_with("not a safetensors file: "));
        assert_eq!(problem(&serialize(NONE, None).unwrap()), "expected a metadata entry `vae`, found none");
        let mut flipped = file.clone();
        *flipped.last_mut().unwrap() ^= 1;
        assert!(problem(&flipped).starts_with("damaged: its checksum is "));
        let mut not_a_number = model();
        not_a_number.params.view_mut(not_a_number.vae.mean.bias)[[0, 1]] = f32::NAN;
        assert_eq!(problem(&saved(&not_a_number)), "tensor `mean.bias` holds NaN");
    }

    const NONE: [(&str, TensorView<'_>); 0] = [];

    #[test]
    fn a_header_that_does_not_fit_its_tensors_is_refused_before_memory_is_taken() {
        let with = |from: &str, to: &str| {
            let file = saved(&model());
            let (_, metadata) = SafeTensors::read_metadata(&file).unwrap();
            let header = &metadata.metadata().as_ref().unwrap()["vae"];
            let changed = header.replace(from, to);
            assert_ne!(*header, changed);
            let tensors = SafeTensors::deserialize(&file).unwrap().tensors();
            problem(&serialize(tensors, Some(HashMap::from([("vae".to_string(), changed)]))).unwrap())
        };
        assert!(with("latent = 2", "latent = 900000000").contains("bytes cannot hold a model of 6–5–900000000–5–6"));
        assert!(with("height = 2", "height = 0").contains("cannot hold a model"));
        assert!(with("height = 2", "height = 4611686018427387904").contains("cannot hold a model"));
        assert_eq!(with("latent = 2", "latent = 1"), "tensor `mean.weight`: expected F32 [5, 1], found F32 [5, 2]");
        assert_eq!(with("hidden = [5]", "hidden = []"), "tensor `decoder.0.bias` does not belong to this model");
        assert_eq!(
            with("format = 2", "format = 3\nnew = 1"),
            "format 3 is newer than 2, the newest this program reads"
        );
        assert_eq!(with("format = 2", "format = 1"), "format 1 is older than 2, the oldest this program reads");
        assert_eq!(with("latent = 2", "latent = 0"), "--latent: expected at least 1, found 0");
        assert!(with("latent = 2", "latint = 2").contains("the nearest known one is `latent`"));
    }
}
