//! `vae export`, `vae import`

use std::path::PathBuf;

use autograd::Activation;
use clap::{Args, ValueEnum};
use vae::Result;
use vae::checkpoint::pytorch::{self, Told};
use vae::checkpoint::{Checkpoint, Progress};
use vae::distributions::Family;
use vae::optim::Adam;

use super::folder::RunFolder;
use super::output::{complain, say};
use super::train::{CHECKPOINT, activations, height_and_width, one_or_three};

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
            Reader::Pytorch => {
                pytorch::export(&model, &self.file)?;
                pytorch::difference(&model.config).iter().for_each(|note| complain(note));
            }
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
    /// The file to read: fc1, fc21, fc22, fc3 and fc4, each with weight and bias. One that `vae export` has written says the rest
    /// of itself
    #[arg(value_name = "FILE.safetensors")]
    file: PathBuf,
    /// Height and width of the images, if the file does not say them [default: squares]
    #[arg(long, value_name = "HxW", value_parser = height_and_width)]
    image_size: Option<(usize, usize)>,
    /// Grey (1) or coloured (3, in PyTorch's order) images, if the file does not say it [default: 1]
    #[arg(long, value_name = "1|3", value_parser = one_or_three())]
    channels: Option<usize>,
    /// Nonlinearity of the hidden layers, if the file does not say it [default: relu]
    #[arg(long, value_name = "NAME", value_parser = activations())]
    activation: Option<Activation>,
    /// The distribution of the pixels, if the file does not say it: bernoulli, continuous-bernoulli, gaussian-fixed:0.1 (where
    /// the loss was half the squared error, gaussian-fixed:1) or multinomial [default: bernoulli]
    #[arg(long, value_name = "NAME[:X]")]
    likelihood: Option<Family>,
    /// The run folder, new or empty
    #[arg(long, value_name = "RUN")]
    out: PathBuf,
}

impl Import {
    pub(crate) fn run(self) -> Result<()> {
        let Import { image_size, channels, activation, likelihood, .. } = self;
        let model = pytorch::import(&self.file, &Told { image_size, channels, activation, likelihood })?;
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
        let (size, config) = (model.size, &model.config);
        let (architecture, family) = (config.architecture(size.count()), config.family());
        say(&format!("model   {architecture}, {}, of images of {size}, {family} pixels", config.activation));
        say(&format!("wrote {}", folder.0.display()));
        Ok(())
    }
}
