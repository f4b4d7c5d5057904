//! `vae sample`, `vae reconstruct`, `vae interpolate`

use std::path::{Path, PathBuf};

use clap::Args;
use ndarray::{Array2, ArrayView2, Axis, concatenate, s};
use vae::checkpoint::Model;
use vae::files::write_whole;
use vae::generate;
use vae::report::picture::Picture;
use vae::{Error, Result};

use super::folder::RunFolder;
use super::output::{say, show};

/// Screen pixels per image pixel.
const ENLARGE: usize = 3;

/// Pairs side by side in a picture of reconstructions.
const PAIRS: usize = 10;

/// Draw images from the prior
#[derive(Args)]
#[command(allow_negative_numbers = true)]
pub(crate) struct Sample {
    /// The run folder
    run: PathBuf,
    /// How many
    #[arg(short, default_value_t = 64, value_parser = count())]
    n: usize,
    /// Standard deviation of the latent codes: below 1 more typical, above 1 more varied
    #[arg(long, value_name = "X", default_value_t = 1.0)]
    temperature: f32,
    /// What the codes are derived from: another seed, other images
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// The picture [default: sample-seed<SEED>.png in the run folder]
    #[arg(long, value_name = "FILE.png")]
    out: Option<PathBuf>,
}

impl Sample {
    pub(crate) fn run(self) -> Result<()> {
        if !(self.temperature >= 0.0 && self.temperature.is_finite()) {
            let found = self.temperature;
            return Err(Error::Usage(format!("--temperature: expected a number of at least 0, found {found}")));
        }
        let model = RunFolder(self.run.clone()).model()?;
        let images = generate::sample(&model, self.n, self.temperature, self.seed);
        let columns = (self.n as f64).sqrt().ceil() as usize;
        let out = self.out.unwrap_or_else(|| self.run.join(format!("sample-seed{}.png", self.seed)));
        finish(&model, images.view(), columns, &sheet(&model, images.view(), columns), &out)
    }
}

/// Put test images through the model, from the mean of q(z|x): originals above, reconstructions below
#[derive(Args)]
pub(crate) struct Reconstruct {
    /// The run folder
    run: PathBuf,
    /// How many of the first test images
    #[arg(short, default_value_t = 20, value_parser = count())]
    n: usize,
    /// Other data; pictures are resized to the images of the run, all else must be of their size [default: the data of the run]
    #[arg(long, value_name = "PATH")]
    data: Option<PathBuf>,
    /// The picture [default: reconstructions.png in the run folder]
    #[arg(long, value_name = "FILE.png")]
    out: Option<PathBuf>,
}

impl Reconstruct {
    pub(crate) fn run(self) -> Result<()> {
        let folder = RunFolder(self.run.clone());
        let model = folder.model()?;
        let data = folder.data(&model, self.data.as_deref())?;
        let originals = generate::first_images(&model, &data.test, self.n);
        let reconstructions = generate::reconstruct(&model, originals.view());
        let picture = pairs(&model, originals.view(), reconstructions.view());
        let out = self.out.unwrap_or_else(|| self.run.join("reconstructions.png"));
        let first = s![..originals.nrows().min(PAIRS), ..];
        let shown = stack(&[originals.slice(first), reconstructions.slice(first)]);
        finish(&model, shown.view(), shown.nrows() / 2, &picture, &out)
    }
}

/// Walk from one test image to another along a straight line between their codes
#[derive(Args)]
#[command(allow_negative_numbers = true)]
pub(crate) struct Interpolate {
    /// The run folder
    run: PathBuf,
    /// Index of the test image to start from
    #[arg(long, value_name = "I", default_value_t = 0)]
    from: usize,
    /// Index of the test image to end at [default: 1, or the only one]
    #[arg(long, value_name = "J")]
    to: Option<usize>,
    /// Images on the way, ends included
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u16).range(2..=1000))]
    steps: u16,
    /// Other data; pictures are resized to the images of the run, all else must be of their size [default: the data of the run]
    #[arg(long, value_name = "PATH")]
    data: Option<PathBuf>,
    /// The picture: original, walk, original [default: interpolation-<I>-<J>.png in the run folder]
    #[arg(long, value_name = "FILE.png")]
    out: Option<PathBuf>,
}

impl Interpolate {
    pub(crate) fn run(self) -> Result<()> {
        let folder = RunFolder(self.run.clone());
        let model = folder.model()?;
        let data = folder.data(&model, self.data.as_deref())?;
        let to = self.to.unwrap_or(1.min(data.test.len() - 1));
        for (name, index) in [("from", self.from), ("to", to)] {
            if index >= data.test.len() {
                let n = data.test.len();
                return Err(Error::Usage(format!("--{name}: expected an index below {n}, found {index}")));
            }
        }
        let images = generate::first_images(&model, &data.test, self.from.max(to) + 1);
        let pair = images.select(Axis(0), &[self.from, to]);
        let walk = generate::interpolate(&model, pair.view(), usize::from(self.steps));
        let all = stack(&[pair.slice(s![..1, ..]), walk.view(), pair.slice(s![1.., ..])]);
        let out = self.out.unwrap_or_else(|| self.run.join(format!("interpolation-{}-{}.png", self.from, to)));
        finish(&model, all.view(), all.nrows(), &sheet(&model, all.view(), all.nrows()), &out)
    }
}

/// How many images a picture may show.
fn count() -> impl clap::builder::TypedValueParser<Value = usize> {
    use clap::builder::TypedValueParser;
    clap::value_parser!(u16).range(1..=10_000).map(usize::from)
}

/// Images in rows of so many.
pub(crate) fn sheet(model: &Model, images: ArrayView2<f32>, columns: usize) -> Picture {
    Picture::grid(images, model.size, columns, ENLARGE)
}

/// Originals in one row, their reconstructions in the row below, and so on.
pub(crate) fn pairs(model: &Model, originals: ArrayView2<f32>, reconstructions: ArrayView2<f32>) -> Picture {
    let columns = originals.nrows().min(PAIRS);
    let rows = originals.axis_chunks_iter(Axis(0), columns).zip(reconstructions.axis_chunks_iter(Axis(0), columns));
    let rows: Vec<ArrayView2<f32>> = rows.flat_map(|(above, below)| [above, below]).collect();
    sheet(model, stack(&rows).view(), columns)
}

fn stack(parts: &[ArrayView2<f32>]) -> Array2<f32> {
    concatenate(Axis(0), parts).expect("images of one size")
}

fn finish(model: &Model, shown: ArrayView2<f32>, columns: usize, picture: &Picture, out: &Path) -> Result<()> {
    write_whole(out, &picture.png())?;
    show(shown, model.size, columns);
    say(&format!("wrote {}", out.display()));
    Ok(())
}
