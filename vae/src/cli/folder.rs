//! The run folder: which one, what is in it, and where its data is.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use datasets::Dataset;
use vae::checkpoint::Model;
use vae::config::Config;
use vae::files::write_whole;
use vae::{Error, Result};

/// A folder with what a training run leaves.
pub(crate) struct RunFolder(pub(crate) PathBuf);

impl RunFolder {
    /// Makes a new one: `out` if given, which must not exist or be empty, else `runs/vae-1`, or the next that is free.
    pub(crate) fn create(out: Option<&Path>) -> Result<RunFolder> {
        let failed = |path: &Path, e: std::io::Error| Error::file(path, format!("cannot make this folder: {e}"));
        if let Some(out) = out {
            fs::create_dir_all(out).map_err(|e| failed(out, e))?;
            let mut content = fs::read_dir(out).map_err(|e| failed(out, e))?;
            return match content.next() {
                None => Ok(RunFolder(out.into())),
                Some(_) => Err(Error::file(out, "expected a new or empty folder, found one with files in it")),
            };
        }
        let runs = Path::new("runs");
        fs::create_dir_all(runs).map_err(|e| failed(runs, e))?;
        for n in 1.. {
            let folder = runs.join(format!("vae-{n}"));
            match fs::create_dir(&folder) {
                Ok(()) => return Ok(RunFolder(folder)),
                Err(e) if e.kind() == ErrorKind::AlreadyExists => {}
                Err(e) => return Err(failed(&folder, e)),
            }
        }
        unreachable!("some number is free")
    }

    /// Writes a file of the run, whole or not at all.
    pub(crate) fn write(&self, name: &str, content: &[u8]) -> Result<()> {
        write_whole(&self.0.join(name), content)
    }

    /// The trained model.
    pub(crate) fn model(&self) -> Result<Model> {
        let path = self.0.join("model.safetensors");
        if !path.exists() {
            return Err(Error::file(&self.0, "expected a run folder, found no model.safetensors in it"));
        }
        Model::load(&path)
    }

    /// The data the model was trained on, or other data of the same size.
    pub(crate) fn data(&self, model: &Model, other: Option<&Path>) -> Result<Dataset> {
        let of_run = self.0.join("config.toml");
        let folder = match other {
            Some(folder) => Some(folder.to_path_buf()),
            None if of_run.exists() => Config::read(&of_run)?.data,
            None => None,
        };
        let data = load_data(folder.as_deref())?;
        let (expected, found) = (model.size, data.test.size());
        if expected != found {
            return Err(Error::file(
                &folder.unwrap_or(of_run),
                format!("expected images of {expected} pixels, as the model has, found {found}"),
            ));
        }
        Ok(data)
    }
}

/// The data set in a folder, or the built-in MNIST.
pub(crate) fn load_data(folder: Option<&Path>) -> Result<Dataset> {
    match folder {
        Some(folder) => Ok(datasets::from_folder(folder)?),
        None => Ok(datasets::mnist()),
    }
}
