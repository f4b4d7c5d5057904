//! What the numbers of a row come from: as long as it is the same, they would come out the same again.

use std::fs;
use std::path::PathBuf;

use datasets::{Dataset, Images};
use serde::{Deserialize, Serialize};
use vae::checkpoint::Model;
use vae::config::Config;
use vae::evaluate::evaluate;
use vae::evaluate::importance::log_likelihood;
use vae::files::read_text;
use vae::train::Trainer;
use vae::{Error, Result};

use super::super::folder::RunFolder;
use super::OUTCOME;

/// A file in the folder of a row, from before its training.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Origin {
    /// The settings that determine the weights.
    settings: Config,
    /// The SHA-256 of the data.
    data: String,
    /// The version of the program, and a checksum of what it makes of the first updates.
    program: String,
}

/// The name of that file.
const FILE: &str = "origin.json";

/// No such file is longer, in bytes.
const LONGEST: u64 = 1 << 16;

/// Updates that a program is known by.
const UPDATES: usize = 3;

/// Samples of an image that it is known by.
const SAMPLES: usize = 10;

impl Origin {
    /// Of a run with these settings on these data, by this program.
    ///
    /// # Errors
    /// If training diverges in the first updates.
    pub(super) fn new(config: &Config, data: &Dataset) -> Result<Origin> {
        let program = format!("{} ({:08x})", env!("CARGO_PKG_VERSION"), fingerprint(config, data)?);
        Ok(Origin { settings: config.of_weights(), data: data.sha256(), program })
    }

    /// Why the run in a folder is not of this origin, if there is one, and it is not.
    ///
    /// # Errors
    /// If its file is no such file.
    pub(super) fn difference(&self, run: &RunFolder) -> Result<Option<String>> {
        let path = run.file(FILE);
        if !run.file("config.toml").exists() {
            return Ok(None);
        }
        if !path.exists() {
            // A run that somebody has begun goes on; but nobody knows what finished numbers come from.
            return Ok(run.file(OUTCOME).exists().then(|| "nothing tells what it was made from".into()));
        }
        let text = read_text(&path, LONGEST)?;
        let before: Origin =
            serde_json::from_str(&text).map_err(|e| Error::file(&path, format!("not the origin of a run: {e}")))?;
        Ok(self.change_since(&before))
    }

    /// The first thing that is another than it was.
    fn change_since(&self, before: &Origin) -> Option<String> {
        if let Some((name, [was, is])) = before.settings.difference(&self.settings) {
            return Some(format!("{name} was {was} and is {is}"));
        }
        let [was, is] = [before, self].map(|origin| origin.settings.epochs);
        if is < was {
            // With more, the run goes on.
            return Some(format!("it had {was} epochs"));
        }
        if before.data != self.data {
            return Some("the data have changed".into());
        }
        let [was, is] = [before, self].map(|origin| &origin.program);
        (was != is).then(|| format!("it was made by program {was}, this is {is}"))
    }

    /// Notes it in the folder of a run, which is made if it is not there.
    ///
    /// # Errors
    /// If it cannot be written.
    pub(super) fn write(&self, run: &RunFolder) -> Result<()> {
        fs::create_dir_all(&run.0).map_err(|e| Error::file(&run.0, format!("cannot make this folder: {e}")))?;
        run.write(FILE, serde_json::to_string(self).expect("checked settings have a JSON form").as_bytes())
    }
}

/// Moves a run out of the way, to the first free name with a number: where it is then.
///
/// # Errors
/// If another process has it, or it cannot be moved.
pub(super) fn set_aside(run: &RunFolder) -> Result<RunFolder> {
    let _lock = run.lock()?;
    // No row has a point in its name.
    let numbered = |n: u32| run.0.with_extension(n.to_string());
    let free: PathBuf = (1..).map(numbered).find(|path| !path.exists()).expect("some number is free");
    fs::rename(&run.0, &free).map_err(|e| Error::file(&run.0, format!("cannot rename to {}: {e}", free.display())))?;
    Ok(RunFolder(free))
}

/// A checksum of what this program makes of a run's first updates, and of what it then says of an image: it changes with the
/// program where, and only where, that changes numbers.
fn fingerprint(config: &Config, data: &Dataset) -> Result<u32> {
    let mut trainer = Trainer::new(Model::new(config.clone(), data.train.size()), &data.train);
    for _ in 0..UPDATES {
        trainer.step()?;
    }
    let model = &trainer.model;
    let image = Images::new(data.test.image(0).to_vec(), data.test.size(), vec![0]).expect("an image of the same size");
    let found = [evaluate(model, &image).losses.loss, log_likelihood(model, &image, SAMPLES, || {}).negative_log_p];
    let mut checksum = crc32fast::Hasher::new();
    // As what is computed in single precision: the last bits of doubles are those of the system's own logarithms.
    let found = found.map(|x| x as f32);
    model.params.flat.iter().chain(&found).for_each(|x| checksum.update(&x.to_le_bytes()));
    Ok(checksum.finalize())
}
