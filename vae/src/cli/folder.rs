//! The run folder: which one, what is in it, whose it is, and where its data is.

use std::fs::{self, File, TryLockError};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use datasets::catalog::{self, Entry};
use datasets::{Dataset, Opened, Options, Size, cache};
use vae::checkpoint::Model;
use vae::config::Config;
use vae::files::write_whole;
use vae::{Error, Result};

use super::output::complain;

/// A folder with what a training run leaves.
pub(crate) struct RunFolder(pub(crate) PathBuf);

/// Held by the one process that writes to a run folder. The operating system lets go of it when the process ends, however
/// it ends.
pub(crate) struct Lock(#[expect(dead_code, reason = "held, not read")] File);

/// What the lock is taken on. It stays: to remove it would be to lock something else than the next process.
const LOCK: &str = ".lock";

/// So many of the pictures that cannot be read are named.
const SHOWN: usize = 5;

/// Where a run begins: what a kill may leave before there is a run.
const BEFORE_A_RUN: [&str; 4] = [LOCK, ".config.toml.part", "origin.json", ".origin.json.part"];

impl RunFolder {
    /// Makes a new one: `out` if given, which must not exist or be empty, else `runs/vae-1`, or the next that is free.
    pub(crate) fn create(out: Option<&Path>) -> Result<(RunFolder, Lock)> {
        let failed = |path: &Path, e: std::io::Error| Error::file(path, format!("cannot make this folder: {e}"));
        if let Some(out) = out {
            fs::create_dir_all(out).map_err(|e| failed(out, e))?;
            let folder = RunFolder(out.into());
            // Before the lock, which would leave a file in a folder that is none of ours, and after it, for the process
            // that had it may have begun a run.
            folder.expect_empty()?;
            let lock = folder.lock()?;
            folder.expect_empty()?;
            return Ok((folder, lock));
        }
        let runs = Path::new("runs");
        fs::create_dir_all(runs).map_err(|e| failed(runs, e))?;
        for n in 1.. {
            let folder = runs.join(format!("vae-{n}"));
            match fs::create_dir(&folder) {
                Ok(()) => {
                    let folder = RunFolder(folder);
                    let lock = folder.lock()?;
                    return Ok((folder, lock));
                }
                Err(e) if e.kind() == ErrorKind::AlreadyExists => {}
                Err(e) => return Err(failed(&folder, e)),
            }
        }
        unreachable!("some number is free")
    }

    fn expect_empty(&self) -> Result<()> {
        let entries =
            fs::read_dir(&self.0).map_err(|e| Error::file(&self.0, format!("cannot read this folder: {e}")))?;
        let mut names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        match names.any(|name| !BEFORE_A_RUN.contains(&name.as_str())) {
            false => Ok(()),
            true => Err(Error::file(
                &self.0,
                "expected a new or empty folder, found one with files in it (--resume goes on with a run)",
            )),
        }
    }

    /// Takes the folder for this process.
    ///
    /// # Errors
    /// If another one has it.
    pub(crate) fn lock(&self) -> Result<Lock> {
        let cannot = |problem: String| Error::file(&self.0, format!("cannot write in this folder: {problem}"));
        let options = File::options().create(true).truncate(false).write(true).open(self.0.join(LOCK));
        let file = options.map_err(|e| cannot(e.to_string()))?;
        match file.try_lock() {
            Ok(()) => Ok(Lock(file)),
            Err(TryLockError::WouldBlock) => Err(Error::file(&self.0, "another process is training in this folder")),
            Err(TryLockError::Error(e)) => Err(cannot(e.to_string())),
        }
    }

    /// A file in the folder.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// The folder's name as a shell takes it.
    pub(crate) fn quoted(&self) -> String {
        let name = self.0.display().to_string();
        let plain = |c: char| c.is_alphanumeric() || "/._-+".contains(c);
        if name.chars().all(plain) { name } else { format!("'{}'", name.replace('\'', r"'\''")) }
    }

    /// Writes a file of the run, whole or not at all.
    pub(crate) fn write(&self, name: &str, content: &[u8]) -> Result<()> {
        write_whole(&self.file(name), content)
    }

    /// The settings of the run.
    pub(crate) fn config(&self) -> Result<Config> {
        let path = self.file("config.toml");
        if !path.exists() {
            return Err(Error::file(&self.0, "expected a run folder, found no config.toml in it"));
        }
        Config::read(&path)
    }

    /// The trained model.
    pub(crate) fn model(&self) -> Result<Model> {
        let path = self.file("model.safetensors");
        if !path.exists() {
            return Err(Error::file(&self.0, "expected a run folder, found no model.safetensors in it"));
        }
        Model::load(&path)
    }

    /// The data the model was trained on, or other data of the same size.
    pub(crate) fn data(&self, model: &Model, other: Option<&Path>) -> Result<Dataset> {
        let of_run = self.file("config.toml");
        let (path, options) = match other {
            // Pictures become what the model knows; data that cannot be changed must be it already.
            Some(path) => {
                let Size { height, width, channels } = model.size;
                let options =
                    Options { image_size: Some((height, width)), channels: Some(channels), ..Options::default() };
                (Some(path.to_path_buf()), options)
            }
            None if of_run.exists() => {
                let config = Config::read(&of_run)?;
                (config.data.clone(), config.data_options())
            }
            None => (None, Options::default()),
        };
        let data = load_data(path.as_deref(), &options)?;
        let (expected, found) = (model.size, data.test.size());
        if expected != found {
            return Err(Error::file(
                &path.unwrap_or(of_run),
                format!("expected images of {expected} pixels, as the model has, found {found}"),
            ));
        }
        Ok(data)
    }
}

/// The data at a path, or of a name in the catalogue, or the built-in MNIST. Pictures that cannot be read are named on
/// standard error.
pub(crate) fn load_data(data: Option<&Path>, options: &Options) -> Result<Dataset> {
    let built_in = || {
        let mnist = datasets::mnist();
        options
            .expect(mnist.train.size())
            .map_err(|problem| Error::Usage(format!("--image-size, --channels: {problem}")))?;
        Ok(mnist)
    };
    let Some(data) = data else { return built_in() };
    let path = match in_catalog(data) {
        None => data.to_path_buf(),
        Some(set) if set.is_built_in() => return built_in(),
        Some(set) => cache::find(set.name)
            .ok_or_else(|| Error::file(data, format!("not downloaded yet: `vae data fetch {}` does it", set.name)))?,
    };
    let Opened { dataset, skipped, notes } = datasets::open(&path, options)?;
    notes.iter().for_each(|note| complain(note));
    skipped.iter().take(SHOWN).for_each(|error| complain(&format!("skipped {error}")));
    if let Some(more) = skipped.len().checked_sub(SHOWN).filter(|&more| more > 0) {
        complain(&format!("skipped {more} more pictures that cannot be read"));
    }
    Ok(dataset)
}

/// The set of the catalogue that `data` names, if it is no path to something.
pub(crate) fn in_catalog(data: &Path) -> Option<&'static Entry> {
    if data.exists() { None } else { catalog::entry(data.to_str()?) }
}
