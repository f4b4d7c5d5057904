//! `vae export`, `vae import`

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use vae::Result;
use vae::checkpoint::{Checkpoint, Progress, pytorch};
use vae::optim::Adam;

use super::folder::RunFolder;
use super::output::say;
use super::train::CHECKPOINT;

/// Who is to read the weights.
#[derive(Clone, Copy, ValueEnum)]
enum Reader {
    /// The names and layouts of PyTorch's own VAE example: fc1, fc21, fc22, fc3, fc4
    Pytorch,
}

/// Write a run's weights for another program
#[derive(Args)]
pub(crate) struct Export {
    /// The run folder
    run: PathBuf,
    /// Who is to read them
    #[arg(long, value_name = "PROGRAM")]
    to: Reader,
    /// The file to write
    #[arg(value_name = "FILE.safetensors")]
    file: PathBuf,
}

impl Export {
    pub(crate) fn run(self) -> Result<()> {
        let model = RunFolder(self.run).model()?;
        match self.to {
            Reader::Pytorch => pytorch::export(&model, &self.file)?,
        }
        say(&format!("wrote {}", self.file.display()));
        Ok(())
    }
}

/// Make a run folder of weights that PyTorch's VAE example, or a model like it, saved as safetensors
///
/// All commands take the folder, and `vae train --resume` trains on from these weights.
#[derive(Args)]
pub(crate) struct Import {
    /// The file to read: fc1, fc21, fc22, fc3 and fc4, each with weight and bias
    #[arg(value_name = "FILE.safetensors")]
    file: PathBuf,
    /// The run folder, new or empty
    #[arg(long, value_name = "RUN")]
    out: PathBuf,
}

impl Import {
    pub(crate) fn run(self) -> Result<()> {
        let model = pytorch::import(&self.file, None)?;
        let (folder, _lock) = RunFolder::create(Some(&self.out))?;
        // The weights first: a folder with a config.toml and no checkpoint would be a run that starts from random ones.
        Checkpoint::save(
            &folder.file(CHECKPOINT),
            &model,
            &Adam::new(&model.params, model.config.lr),
            &Progress::default(),
            None,
        )?;
        model.save(&folder.file("model.safetensors"))?;
        folder.write("config.toml", model.config.to_toml().as_bytes())?;
        say(&format!("wrote {}", folder.0.display()));
        Ok(())
    }
}
