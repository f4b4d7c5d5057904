//! `vae train`

mod metrics;
mod pictures;
mod session;

use std::cell::OnceCell;
use std::path::PathBuf;

use autograd::{Activation, Precision};
use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{ArgAction, Args};
use datasets::{Dataset, Pixels};
use vae::checkpoint::{Checkpoint, Every, Model};
use vae::config::Config;
use vae::distributions::Family;
use vae::objective::Estimator;
use vae::schedule::{Schedule, Warmup};
use vae::train::Trainer;
use vae::{Error, Result};

use self::metrics::History;
pub(crate) use self::metrics::training_seconds;
pub(crate) use self::session::CHECKPOINT;
use self::session::Session;
use super::folder::{RunFolder, expect_size, in_catalog, load_data};
use super::output::say;
use super::signals::Stop;

/// Train a model and leave a run folder
///
/// The folder holds config.toml, metrics.jsonl, model.safetensors, samples.png, reconstructions.png and curves.svg,
/// and with two latent dimensions manifold.png and latent.png. They are written after every epoch, each whole or not
/// at all. From its last checkpoint, checkpoint.safetensors, a run goes on as if it had never been interrupted;
/// Ctrl-C, SIGTERM and SIGHUP write one first.
#[derive(Args, Default)]
#[command(allow_negative_numbers = true)]
pub(crate) struct Train {
    /// Images of your own: a folder of pictures (PNG, JPEG, WebP, BMP, GIF), whose sub-folders are the labels, or the split
    /// if they are called train and test (or val); an array in a file .npy or .npz; or a folder with the files of MNIST
    /// and its relatives (IDX), CIFAR-10 (binary) or binarised MNIST (.amat). Or the name of a set that `vae data fetch`
    /// has downloaded [default: built-in MNIST]
    #[arg(long, value_name = "PATH|NAME")]
    data: Option<PathBuf>,
    /// Resize pictures to this height and width; for a matrix in a .npy, the size of the images that are its rows
    /// [default: as the data are]
    #[arg(long, value_name = "HxW", value_parser = height_and_width)]
    image_size: Option<(usize, usize)>,
    /// Turn pictures into grey (1) or coloured (3) images [default: as the data are]
    #[arg(long, value_name = "1|3", value_parser = one_or_three())]
    channels: Option<usize>,
    /// Where a .npz holds several arrays, or a folder several sets (EMNIST's letters, digits, …), the one to train on
    /// [default: by their names]
    #[arg(long, value_name = "NAME")]
    key: Option<String>,
    /// Passes over the training images [default: 10]
    #[arg(long, value_name = "N")]
    epochs: Option<u64>,
    /// Images per update [default: 128]
    #[arg(long, value_name = "N")]
    batch: Option<usize>,
    /// Units of the encoder's hidden layers, as 500,300; the decoder mirrors them [default: 400]
    #[arg(long, value_name = "N,…", value_delimiter = ',', action = ArgAction::Set, num_args = 1)]
    hidden: Option<Vec<usize>>,
    /// Dimensions of the latent code; 2 gives two more pictures [default: 20]
    #[arg(long, value_name = "N")]
    latent: Option<usize>,
    /// Adam's learning rate [default: 0.001]
    #[arg(long, value_name = "X")]
    lr: Option<f64>,
    /// What becomes of the learning rate: it stays (constant), falls to 0 as half a cosine (cosine), or in eight stages to a
    /// tenth, of which each is three times as long as the one before (burda) [default: constant]
    #[arg(long, value_name = "NAME", value_parser = named::<Schedule>(["constant", "cosine", "burda"]))]
    schedule: Option<Schedule>,
    /// How slowly Adam's two moments forget [default: 0.9,0.999]
    #[arg(long, value_name = "X,X", value_parser = two_numbers)]
    adam_betas: Option<(f64, f64)>,
    /// What Adam adds to the root of the second moment [default: 1e-8]
    #[arg(long, value_name = "X")]
    adam_eps: Option<f64>,
    /// Shorten gradients whose norm is larger [default: none is]
    #[arg(long, value_name = "NORM")]
    clip: Option<f64>,
    /// What training follows. The evidence lower bound (elbo), or by the score function instead of through samples
    /// (reinforce). The bound of importance-weighted autoencoders, with --k samples (iwae), or doubly reparameterized, with
    /// less noise (dreg). Sticking the landing: iwae without the score function, unbiased with one sample (stl) [default: elbo]
    #[arg(long, value_name = "NAME", value_parser = named::<Estimator>(["elbo", "iwae", "dreg", "stl", "reinforce"]))]
    objective: Option<Estimator>,
    /// Samples of q(z|x) for each image in a step [default: 1]
    #[arg(long, value_name = "K")]
    k: Option<usize>,
    /// What the KL divergence is multiplied by in the training objective; what is reported is −ELBO, for any β
    /// [default: 1]
    #[arg(long, value_name = "X")]
    beta: Option<f64>,
    /// Let β rise from 0 over so many epochs (10), or in the first half of each of cycles of so many (cyclical:10)
    /// [default: β is constant]
    #[arg(long, value_name = "[cyclical:]EPOCHS")]
    kl_warmup: Option<Warmup>,
    /// What the KL of a latent dimension, averaged over a batch, may be without costing more [default: 0]
    #[arg(long, value_name = "NATS")]
    free_bits: Option<f64>,
    /// Nonlinearity of the hidden layers [default: relu]
    #[arg(long, value_name = "NAME", value_parser = activations())]
    activation: Option<Activation>,
    /// Decoupled weight decay, as in AdamW [default: 0]
    #[arg(long, value_name = "X")]
    weight_decay: Option<f64>,
    /// What the operands of matrix products are rounded to in training: nothing (single), or bfloat16, with sums, weights
    /// and updates in single precision (bf16); evaluation and images are always in single precision [default: single]
    #[arg(long, value_name = "NAME", value_parser = named::<Precision>(["single", "bf16"]))]
    precision: Option<Precision>,
    /// What becomes of grey pixels: they stay (none), each is drawn black or white anew whenever its image is seen
    /// (dynamic), or those from 128 up are white (threshold) [default: none]
    #[arg(long, value_name = "NAME", value_parser = named::<Pixels>(["none", "dynamic", "threshold"]))]
    binarize: Option<Pixels>,
    /// The distribution of the pixels, p(x|z). Of black and white ones: bernoulli. Of grey levels and colours, a density:
    /// continuous-bernoulli; or noise of one learned variance (gaussian), of a given one (gaussian-fixed, or
    /// gaussian-fixed:0.2 for another standard deviation than 0.1), or of each pixel's own (gaussian-pixel). The probability
    /// of 8-bit levels: discretized-logistic; categorical (256 levels, or categorical:16 for so many); multinomial, where
    /// levels are counts. Only bernoulli, discretized-logistic and categorical say something of pixels that are all black or white
    /// [default: gaussian for colours, bernoulli for grey levels and for black and white]
    #[arg(long, value_name = "NAME[:X]")]
    likelihood: Option<Family>,
    /// Start at the mean image, by the biases of the decoder's output [default: true for black and white pixels, false for
    /// others]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true", require_equals = true)]
    init_bias: Option<bool>,
    /// What all randomness is derived from: the same seed gives the same weights, byte for byte [default: 1]
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Threads, at most one per core; they change the time and nothing else [default: one per core]
    #[arg(long, value_name = "N")]
    pub(super) threads: Option<usize>,
    /// Use only the first N training images [default: all]
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// How often a checkpoint is written: after so many steps (20), epochs (2e) or seconds (30s) [default: 30s]
    #[arg(long, value_name = "N|Ne|Ns")]
    checkpoint_every: Option<Every>,
    /// Go on with the run in this folder, from its last checkpoint. All settings are the run's; only --epochs, --threads,
    /// --checkpoint-every, and --data for where the same data lies now, may be others
    #[arg(long, value_name = "RUN", conflicts_with_all = ["config", "out"])]
    resume: Option<PathBuf>,
    /// Settings from a TOML file, as config.toml of another run; arguments override them
    #[arg(long, value_name = "FILE.toml")]
    config: Option<PathBuf>,
    /// The run folder, new or empty [default: runs/vae-1, or the next that is free]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Print each epoch as a line of JSON, as in metrics.jsonl
    #[arg(long)]
    json: bool,
}

/// A parser of names that knows which there are.
fn named<V: std::str::FromStr<Err = String> + Clone + Send + Sync + 'static>(
    names: impl IntoIterator<Item = &'static str>,
) -> impl TypedValueParser<Value = V> {
    PossibleValuesParser::new(names).try_map(|name| name.parse::<V>())
}

/// A parser of the nonlinearities that hidden layers may have.
pub(crate) fn activations() -> impl TypedValueParser<Value = Activation> {
    named(["relu", "tanh", "softplus", "sigmoid"])
}

/// A parser of how many numbers a pixel may have.
pub(crate) fn one_or_three() -> impl TypedValueParser<Value = usize> {
    PossibleValuesParser::new(["1", "3"]).map(|n| if n == "3" { 3 } else { 1 })
}

/// The two numbers of a pair like `0.9,0.999`.
fn two_numbers(pair: &str) -> std::result::Result<(f64, f64), String> {
    let numbers = pair.split_once(',').and_then(|(one, two)| Some((one.parse().ok()?, two.parse().ok()?)));
    numbers.ok_or_else(|| "expected two numbers, as 0.9,0.999".into())
}

/// The two numbers of a size like `48x64`.
pub(crate) fn height_and_width(size: &str) -> std::result::Result<(usize, usize), String> {
    let numbers = size.split_once('x').and_then(|(height, width)| Some((height.parse().ok()?, width.parse().ok()?)));
    numbers.ok_or_else(|| "expected height and width in pixels, as 48x64".into())
}

impl Train {
    /// Those that the arguments override.
    pub(super) fn settings(&self) -> Result<Config> {
        match (&self.resume, &self.config) {
            (Some(run), _) => RunFolder(run.clone()).config(),
            (None, Some(path)) => Config::read(path),
            (None, None) => Ok(Config::default()),
        }
    }

    pub(crate) fn run(self, settings: Config) -> Result<()> {
        match &self.resume {
            Some(run) => self.resume(RunFolder(run.clone()), settings),
            None => self.start(settings),
        }
    }

    /// Trains a run with these settings, none of which is left open, in this folder to its end: begins it, or goes on with it.
    ///
    /// # Errors
    /// As those of a run; or if the run in the folder is another one.
    pub(crate) fn to_the_end(folder: &RunFolder, config: Config, json: bool) -> Result<()> {
        let out = Some(folder.0.clone());
        if !folder.file("config.toml").exists() {
            return Train { out, json, ..Train::default() }.start(config);
        }
        let of_run = folder.config()?;
        let asked = Config { epochs: of_run.epochs, ..config.clone() };
        if let Some((name, [run, asked])) = of_run.difference(&asked) {
            let problem = format!("expected a run with {name} = {asked}, found {run}: another --out makes a new one");
            return Err(Error::file(&folder.0, problem));
        }
        let (epochs, threads, data) = (Some(config.epochs), config.threads, config.data);
        Train { resume: out, epochs, threads, data, json, ..Train::default() }
            .resume(RunFolder(folder.0.clone()), of_run)
    }

    /// A new run.
    fn start(&self, config: Config) -> Result<()> {
        let mut config = self.override_settings(config)?;
        let data = load(&mut config)?;
        let (folder, _lock) = RunFolder::create(self.out.as_deref())?;
        // Once there is a config.toml there is a run, which ends in good order.
        let stop = Stop::listen()?;
        folder.write("config.toml", config.to_toml().as_bytes())?;
        self.train(stop, &folder, &data, config, None)
    }

    /// A run that was interrupted, or that is to be longer.
    fn resume(&self, folder: RunFolder, of_run: Config) -> Result<()> {
        let _lock = folder.lock()?;
        let mut config = self.override_settings(of_run.clone())?;
        let path = folder.file(CHECKPOINT);
        let checkpoint = if path.exists() { Some(Checkpoint::load(&path)?) } else { None };
        // Weights from elsewhere, which have learned from nothing here, only fix the architecture.
        let imported = checkpoint.as_ref().is_some_and(|checkpoint| checkpoint.data.is_none());
        let difference = |one: &Config, other: &Config| match imported {
            true => one.difference(&one.with_architecture(other)),
            false => one.difference(other),
        };
        if let Some((name, [run, found])) = difference(&of_run, &config) {
            let (name, run_folder) = (name.replace('_', "-"), folder.0.display());
            return Err(Error::Usage(format!("--{name}: expected {run}, as {run_folder} has, found {found}")));
        }
        if let Some(Checkpoint { model, progress, .. }) = &checkpoint {
            let wrong = |problem| Err(Error::file(&path, problem));
            if let Some((name, [here, there])) = difference(&model.config, &config) {
                return wrong(format!("is of another run than config.toml: {name} is {here} here, and {there} there"));
            }
            let done = progress.epoch;
            if done > 0 && config.epochs == done && of_run.epochs == done {
                if !self.json {
                    let folder = folder.0.display();
                    let longer = if config.schedule == Schedule::Constant { " (--epochs makes it longer)" } else { "" };
                    say(&format!("{folder} is finished: {done} of {done} epochs{longer}"));
                }
                return Ok(());
            }
            if config.epochs <= done {
                let problem = format!("expected more than {done}, which are trained already, found {}", config.epochs);
                return Err(Error::Usage(format!("--epochs: {problem}")));
            }
        }
        let data = load(&mut config)?;
        if let Some(Checkpoint { model, .. }) = &checkpoint {
            expect_size(model, config.data.as_deref(), data.train.size())?;
        }
        let checksum = data.sha256();
        let of_checkpoint = checkpoint.as_ref().and_then(|c| c.data.as_ref());
        if let Some(expected) = of_checkpoint.filter(|expected| **expected != checksum) {
            let (train, test) = (data.train.len(), data.test.len());
            let found = format!("found {checksum} ({train} and {test} images of {})", data.train.size());
            return Err(Error::file(&path, format!("is of other data: expected SHA-256 {expected}, {found}")));
        }
        let stop = Stop::listen()?;
        if config != of_run {
            folder.write("config.toml", config.to_toml().as_bytes())?;
        }
        self.train(stop, &folder, &data, config, checkpoint)
    }

    fn train(
        &self,
        stop: Stop,
        folder: &RunFolder,
        data: &Dataset,
        config: Config,
        checkpoint: Option<Checkpoint>,
    ) -> Result<()> {
        let trainer = match checkpoint {
            Some(mut checkpoint) => {
                checkpoint.model.config = config;
                Trainer::resume(checkpoint, &data.train)
            }
            None => Trainer::new(Model::new(config, data.train.size()), &data.train),
        };
        let history = History::read(folder, trainer.progress().epoch)?;
        Session { folder, data, trainer, history, json: self.json, stop, checksum: OnceCell::new() }.run()
    }

    /// The settings, overridden by the arguments, and checked.
    fn override_settings(&self, mut config: Config) -> Result<Config> {
        fn set<V: Clone>(setting: &mut V, argument: &Option<V>) {
            if let Some(value) = argument {
                setting.clone_from(value);
            }
        }
        set(&mut config.epochs, &self.epochs);
        set(&mut config.batch, &self.batch);
        set(&mut config.hidden, &self.hidden);
        set(&mut config.latent, &self.latent);
        set(&mut config.lr, &self.lr);
        set(&mut config.schedule, &self.schedule);
        set(&mut config.adam_betas, &self.adam_betas);
        set(&mut config.adam_eps, &self.adam_eps);
        set(&mut config.objective, &self.objective);
        set(&mut config.k, &self.k);
        set(&mut config.beta, &self.beta);
        set(&mut config.free_bits, &self.free_bits);
        set(&mut config.activation, &self.activation);
        set(&mut config.weight_decay, &self.weight_decay);
        set(&mut config.precision, &self.precision);
        set(&mut config.binarize, &self.binarize);
        set(&mut config.seed, &self.seed);
        config.likelihood = self.likelihood.or(config.likelihood);
        config.clip = self.clip.or(config.clip);
        config.kl_warmup = self.kl_warmup.or(config.kl_warmup);
        config.init_bias = self.init_bias.or(config.init_bias);
        config.threads = self.threads.or(config.threads);
        config.checkpoint_every = self.checkpoint_every.or(config.checkpoint_every);
        config.limit = self.limit.or(config.limit);
        config.data = self.data.clone().or(config.data);
        config.image_size = self.image_size.or(config.image_size);
        config.channels = self.channels.or(config.channels);
        config.key = self.key.clone().or(config.key);
        if let Some(data) = config.data.as_mut().filter(|data| in_catalog(data).is_none()) {
            // The run is to find its data from any folder.
            *data = data.canonicalize().map_err(|e| Error::file(data, format!("cannot open: {e}")))?;
        }
        config.check()?;
        Ok(config)
    }
}

/// The data that a run learns from; what the settings leave to it is settled.
pub(crate) fn load(config: &mut Config) -> Result<Dataset> {
    let mut data = load_data(config.data.as_deref(), &config.data_options())?;
    if let Some(limit) = config.limit {
        data.train.truncate(limit);
    }
    config.settle(&data.train)?;
    config.check()?;
    config.check_size(&data.train)?;
    Ok(data)
}
