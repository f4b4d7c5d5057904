//! `vae train`

use std::path::PathBuf;
use std::time::Instant;

use autograd::{Activation, Precision};
use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{ArgAction, Args};
use datasets::{Dataset, Pixels};
use indicatif::{ProgressBar, ProgressStyle};
use ndarray::{ArrayView2, s};
use serde::Serialize;
use vae::checkpoint::Model;
use vae::config::Config;
use vae::evaluate::evaluate;
use vae::generate;
use vae::report::picture::Picture;
use vae::report::plots::{Curve, curves_svg, latent_png};
use vae::train::{Losses, Trainer};
use vae::{Error, Result};

use super::folder::{RunFolder, load_data};
use super::images::{pairs, sheet};
use super::on_threads;
use super::output::{say, say_json, show, thousands};

/// Train a model and leave a run folder
///
/// The folder holds config.toml, metrics.jsonl, model.safetensors, samples.png, reconstructions.png and curves.svg,
/// and with two latent dimensions manifold.png and latent.png. They are written after every epoch, each whole or not
/// at all, so an interrupted run keeps what it had.
#[derive(Args)]
#[command(allow_negative_numbers = true)]
pub(crate) struct Train {
    /// Folder with the four IDX files of MNIST, Fashion-MNIST, KMNIST … (plain or gzipped) [default: built-in MNIST]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
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
    /// What the KL divergence is multiplied by in the training objective; what is reported is −ELBO, for any β
    /// [default: 1]
    #[arg(long, value_name = "X")]
    beta: Option<f64>,
    /// Nonlinearity of the hidden layers [default: relu]
    #[arg(long, value_name = "NAME", value_parser = named::<Activation>(["relu", "tanh", "softplus", "sigmoid"]))]
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
    /// What all randomness is derived from: the same seed gives the same weights, byte for byte [default: 1]
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Threads; they change the time and nothing else [default: one per core]
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
    /// Use only the first N training images [default: all]
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
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

/// A line of metrics.jsonl.
#[derive(Serialize)]
struct Epoch {
    epoch: u64,
    /// Updates made since the start of the run.
    step: u64,
    /// The training loop with its batches and noise, without evaluation and files.
    seconds: f64,
    images_per_second: f64,
    train: Losses,
    test: Losses,
}

impl Train {
    pub(crate) fn run(self) -> Result<()> {
        let config = self.configuration()?;
        config.check()?;
        let mut data = load_data(config.data.as_deref())?;
        if let Some(limit) = config.limit {
            data.train.truncate(limit);
        }
        config.check_size(data.train.size().count())?;
        let folder = RunFolder::create(self.out.as_deref())?;
        folder.write("config.toml", config.to_toml().as_bytes())?;
        on_threads(config.threads, || train(config, &data, &folder, self.json))
    }

    /// The defaults, overridden by the file, overridden by the arguments.
    fn configuration(&self) -> Result<Config> {
        let mut config = match &self.config {
            Some(path) => Config::read(path)?,
            None => Config::default(),
        };
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
        set(&mut config.beta, &self.beta);
        set(&mut config.activation, &self.activation);
        set(&mut config.weight_decay, &self.weight_decay);
        set(&mut config.precision, &self.precision);
        set(&mut config.binarize, &self.binarize);
        set(&mut config.seed, &self.seed);
        config.threads = self.threads.or(config.threads);
        config.limit = self.limit.or(config.limit);
        config.data = self.data.clone().or(config.data);
        if let Some(data) = &mut config.data {
            // The run is to find its data from any folder.
            *data = data.canonicalize().map_err(|e| Error::file(data, format!("cannot open this folder: {e}")))?;
        }
        Ok(config)
    }
}

fn train(config: Config, data: &Dataset, folder: &RunFolder, json: bool) -> Result<()> {
    let epochs = config.epochs;
    let model = Model::new(config, data.train.size());
    if !json {
        say(&introduction(&model, data));
    }
    let bar = progress_bar((data.train.len() as u64).saturating_mul(epochs));
    let mut trainer = Trainer::new(model, &data.train);
    let mut history: Vec<Epoch> = Vec::new();
    for epoch in 1..=epochs {
        let metrics = one_epoch(&mut trainer, data, epoch, &bar).inspect_err(|_| {
            bar.finish_and_clear();
            if let Some(last) = history.last().filter(|_| !json) {
                say(&format!("{} keeps the model of epoch {}", folder.0.display(), last.epoch));
            }
        })?;
        bar.suspend(|| if json { say_json(&metrics) } else { say(&row(&metrics)) });
        history.push(metrics);
        write_files(folder, &trainer.model, data, &history)?;
    }
    bar.finish_and_clear();
    if !json {
        let model = &trainer.model;
        show(generate::sample(model, 10, 1.0, model.config.seed).view(), model.size, 10);
        say(&format!("\nwrote {}", folder.0.display()));
    }
    Ok(())
}

/// Trains for an epoch, and evaluates.
fn one_epoch(trainer: &mut Trainer, data: &Dataset, epoch: u64, bar: &ProgressBar) -> Result<Epoch> {
    let (start, epochs) = (Instant::now(), trainer.model.config.epochs);
    let train = trainer.epoch(|images, so_far| {
        bar.inc(images as u64);
        if !bar.is_hidden() {
            bar.set_message(format!("epoch {epoch}/{epochs}  loss {:.2}", so_far.loss));
        }
    })?;
    let seconds = start.elapsed().as_secs_f64();
    let (step, images_per_second) = (trainer.steps_taken(), data.train.len() as f64 / seconds);
    let test = evaluate(&trainer.model, &data.test).losses;
    if !test.loss.is_finite() {
        // No step follows the last update of an epoch and would notice.
        let what = format!("after its update the test loss is {}", test.loss);
        return Err(Error::Diverged { epoch, step, what });
    }
    Ok(Epoch { epoch, step, seconds, images_per_second, train, test })
}

/// What is trained on what, and the head of the table.
fn introduction(model: &Model, data: &Dataset) -> String {
    let Config { binarize, batch, lr, beta, precision, seed, .. } = model.config;
    let pixels = match binarize {
        Pixels::Grey => {
            "grey levels\n        (of which the Bernoulli loss is a cross-entropy, not a likelihood: see --binarize)"
        }
        Pixels::Dynamic => "binarised anew at each sight",
        Pixels::Threshold => "binarised at 128",
    };
    let objective = if beta == 1.0 { String::new() } else { format!(", objective: reconstruction + {beta} · KL") };
    let products = match precision {
        Precision::Single => String::new(),
        rounded => format!(", products in {rounded}"),
    };
    format!(
        "model   {architecture}, {count} parameters\n\
         data    {train} training and {test} test images of {size}, {pixels}\n\
         Adam    learning rate {lr:?}, batch {batch}{objective}{products}, seed {seed}, {threads}\n\n\
         nats per example           train                            test\n\
         epoch       loss = reconstruction +     KL      loss = reconstruction +     KL   seconds  images/s",
        architecture = model.config.architecture(model.size.count()),
        count = thousands(model.params.layout.count()),
        train = thousands(data.train.len()),
        test = thousands(data.test.len()),
        size = model.size,
        threads = match rayon::current_num_threads() {
            1 => "1 thread".to_string(),
            n => format!("{n} threads"),
        },
    )
}

fn row(e: &Epoch) -> String {
    let losses = |l: &Losses| format!("{:>8.2}   {:>14.2}   {:>6.2}", l.loss, l.reconstruction, l.kl);
    let rate = thousands(e.images_per_second as usize);
    format!("{:>5}   {}  {}   {:>7.2}  {rate:>8}", e.epoch, losses(&e.train), losses(&e.test), e.seconds)
}

/// A bar with rate and remaining time, on standard error; it hides itself where that is no terminal.
fn progress_bar(images: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("{msg}  {bar:30} {percent}%  {per_sec}  {eta} left");
    let style = style.expect("the template is well-formed").with_key(
        "per_sec",
        |state: &indicatif::ProgressState, w: &mut dyn std::fmt::Write| {
            let _ = write!(w, "{} images/s", thousands(state.per_sec() as usize));
        },
    );
    ProgressBar::new(images).with_style(style)
}

/// All that a run leaves, as of now.
fn write_files(folder: &RunFolder, model: &Model, data: &Dataset, history: &[Epoch]) -> Result<()> {
    let lines = history.iter().map(|e| serde_json::to_string(e).expect("plain numbers have a JSON form") + "\n");
    folder.write("metrics.jsonl", lines.collect::<String>().as_bytes())?;
    model.save(&folder.0.join("model.safetensors"))?;
    folder.write("curves.svg", curves(history).as_bytes())?;

    let samples = generate::sample(model, 64, 1.0, model.config.seed);
    folder.write("samples.png", &sheet(model, samples.view(), 8).png())?;
    let originals = generate::first_images(model, &data.test, 20);
    let reconstructions = generate::reconstruct(model, originals.view());
    folder.write("reconstructions.png", &pairs(model, originals.view(), reconstructions.view()).png())?;

    if model.config.latent == 2 {
        let plane = generate::manifold(model, 20);
        folder.write("manifold.png", &Picture::grid(plane.view(), model.size, 20, 2).png())?;
        let images = generate::first_images(model, &data.test, data.test.len());
        let codes = generate::encode(model, images.view());
        folder.write("latent.png", &latent_png(&points(codes.view()), data.test.labels()))?;
    }
    Ok(())
}

fn points(codes: ArrayView2<f32>) -> Vec<(f32, f32)> {
    codes.slice(s![.., ..2]).rows().into_iter().map(|z| (z[0], z[1])).collect()
}

fn curves(history: &[Epoch]) -> String {
    let curve =
        |name, of: fn(&Epoch) -> f64| Curve { name, points: history.iter().map(|e| (e.epoch as f64, of(e))).collect() };
    let panels = [
        ("loss (−ELBO)", vec![curve("train", |e| e.train.loss), curve("test", |e| e.test.loss)]),
        ("reconstruction", vec![curve("train", |e| e.train.reconstruction), curve("test", |e| e.test.reconstruction)]),
        ("KL divergence", vec![curve("train", |e| e.train.kl), curve("test", |e| e.test.kl)]),
    ];
    curves_svg("Learning curves", "epoch", "nats per example", &panels)
}
