//! The run folder: which one, what is in it, whose it is, and where its data is.

use std::fs::{self, File, TryLockError};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use clap::Args;
use datasets::catalog::{self, Entry};
use datasets::{Dataset, Images, Opened, Options, Size, cache};
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
        let mut names = entries.filter_map(|entry| Some(entry.ok()?.file_name()));
        match names.any(|name| !BEFORE_A_RUN.iter().any(|known| name == *known)) {
            false => Ok(()),
            true => Err(Error::file(
                &self.0,
                "expected a new or empty folder, found one with files in it (--resume goes on with a run)",
            )),
        }
    }

    /// Takes the folder for this process. Where the file system has no locks, that is said, and the folder is not locked.
    ///
    /// # Errors
    /// If another one has it.
    pub(crate) fn lock(&self) -> Result<Lock> {
        let cannot = |problem: String| Error::file(&self.0, format!("cannot write in this folder: {problem}"));
        let options = File::options().create(true).truncate(false).write(true).open(self.0.join(LOCK));
        let file = options.map_err(|e| cannot(e.to_string()))?;
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => {
                return Err(Error::file(&self.0, "another process is training in this folder"));
            }
            Err(TryLockError::Error(e)) => complain(&unlocked(&self.0, &e.to_string())),
            Ok(()) => {}
        }
        Ok(Lock(file))
    }

    /// A file in the folder.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// The folder's name as a shell takes it.
    pub(crate) fn quoted(&self) -> String {
        let plain = |c: char| c.is_alphanumeric() || "/._-+".contains(c);
        match self.0.to_str().filter(|name| !name.contains(char::is_control)) {
            Some(name) if name.chars().all(plain) => name.into(),
            Some(name) => format!("'{}'", name.replace('\'', r"'\''")),
            None => format!("$'{}'", self.0.as_os_str().as_encoded_bytes().escape_ascii()),
        }
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

    /// The images that the model is tested on in its run.
    fn test_images(&self, model: &Model) -> Result<Images> {
        let of_run = self.file("config.toml");
        let config = if of_run.exists() { Config::read(&of_run)? } else { model.config.clone() };
        let path = config.data.as_deref();
        // The built-in MNIST is as it is, whatever the model knows.
        let options = path.map_or(Options::default(), |_| config.data_options());
        let test = load_data(path, &options)?.test;
        expect_size(model, path, test.size())?;
        Ok(test)
    }

    /// The images to show to a model: the test images of its run, or others.
    pub(crate) fn images(&self, model: &Model, others: &Others) -> Result<Images> {
        let mut paths = others.data.iter().chain(&others.more);
        let Some(first) = paths.next() else { return self.test_images(model) };
        // Pictures become what the model knows; data that cannot be changed must be it already.
        let Size { height, width, channels } = model.size;
        let options = Options { image_size: Some((height, width)), channels: Some(channels), key: others.key.clone() };
        let read = |path: &PathBuf| -> Result<Images> {
            let images = match place(Some(path))? {
                None => built_in(&options)?.test,
                Some(path) => told(datasets::open_undivided(&path, &options)?),
            };
            expect_size(model, Some(path), images.size())?;
            Ok(images)
        };
        let mut images = read(first)?;
        for path in paths {
            images.append(read(path)?).map_err(|problem| Error::file(path, problem))?;
        }
        Ok(images)
    }
}

/// What is said of a folder that cannot be locked, as on some network file systems.
pub(crate) fn unlocked(folder: &Path, problem: &str) -> String {
    let problem = format!("cannot lock this folder ({problem}): nothing keeps another process from writing in it, too");
    Error::file(folder, problem).to_string()
}

/// Images that are not the run's own.
#[derive(Args)]
pub(crate) struct Others {
    /// Other images: a picture, a folder of pictures, or whatever else `vae train` takes. All of them count, and where the data
    /// say which are the test images, these. Pictures are resized to the images of the run, all else must be of their size
    /// [default: the test images of the run]
    #[arg(long, value_name = "PATH")]
    data: Option<PathBuf>,
    /// More of them, so that `--data *.png` takes all
    #[arg(value_name = "PATH", requires = "data")]
    more: Vec<PathBuf>,
    /// The array to read of an archive with several
    #[arg(long, value_name = "NAME", requires = "data")]
    key: Option<String>,
}

/// The data at a path, or of a name in the catalogue, or the built-in MNIST. What cannot be read is named on standard error.
pub(crate) fn load_data(data: Option<&Path>, options: &Options) -> Result<Dataset> {
    match place(data)? {
        None => built_in(options),
        Some(path) => Ok(told(datasets::open(&path, options)?)),
    }
}

/// Where these data lie, if they are not built in.
fn place(data: Option<&Path>) -> Result<Option<PathBuf>> {
    let Some(data) = data else { return Ok(None) };
    match in_catalog(data) {
        None => Ok(Some(data.to_path_buf())),
        Some(set) if set.is_built_in() => Ok(None),
        Some(set) => match cache::find(set.name) {
            Some(path) => Ok(Some(path)),
            None => Err(Error::file(data, format!("not downloaded yet: `vae data fetch {}` does it", set.name))),
        },
    }
}

fn built_in(options: &Options) -> Result<Dataset> {
    let mnist = datasets::mnist();
    let expected = options.expect(mnist.train.size());
    let others = "--data names other images than the built-in MNIST";
    expected.map_err(|problem| Error::Usage(format!("--image-size, --channels: {problem}; {others}")))?;
    options.expect_no_key().map_err(|problem| Error::Usage(format!("--key: {problem}")))?;
    Ok(mnist)
}

/// What was read, after saying what is to be said of it.
fn told<D>(Opened { dataset, skipped, notes }: Opened<D>) -> D {
    notes.iter().for_each(|note| complain(note));
    skipped.iter().take(SHOWN).for_each(|error| complain(&format!("skipped {error}")));
    if let Some(more) = skipped.len().checked_sub(SHOWN).filter(|&more| more > 0) {
        complain(&format!("skipped {more} more pictures that cannot be read"));
    }
    dataset
}

/// Refuses images of these data, of the size found, if the model cannot take them.
pub(crate) fn expect_size(model: &Model, data: Option<&Path>, found: Size) -> Result<()> {
    let expected = model.size;
    if found == expected {
        return Ok(());
    }
    let problem = format!("expected images of {expected}, as the model has, found {found}");
    Err(match data {
        Some(path) => Error::file(path, problem),
        None => Error::Usage(format!("--data: {problem}, the built-in MNIST")),
    })
}

/// The set of the catalogue that `data` names, if it is no path to something.
pub(crate) fn in_catalog(data: &Path) -> Option<&'static Entry> {
    if data.exists() { None } else { catalog::entry(data.to_str()?) }
}
