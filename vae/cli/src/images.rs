//! `vae sample`, `vae reconstruct`, `vae interpolate`

use std::ops::Range;
use std::path::{Path, PathBuf};

use clap::Args;
use datasets::Images;
use ndarray::{Array2, ArrayView2, Axis, concatenate, s};
use report::picture::Picture;
use vae::checkpoint::Model;
use vae::files::write_whole;
use vae::generate;
use vae::{Error, Result};

use super::folder::{Others, RunFolder};
use super::output::{say, show};

/// Screen pixels per image pixel, where there is room.
pub(crate) const ENLARGE: usize = 3;

/// Pairs side by side in a picture of reconstructions, if they are few.
const PAIRS: usize = 10;

/// Images side by side on the way from one to another, at most.
const WALK: usize = 32;

/// Images drawn in a terminal, at most.
const SHOWN: usize = 64;

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
        let codes = generate::prior(&model, self.n, self.temperature, self.seed);
        let columns = (self.n as f64).sqrt().ceil() as usize;
        let out = self.out.unwrap_or_else(|| self.run.join(format!("sample-seed{}.png", self.seed)));
        let shown = generate::decode(&model, codes.slice(s![..self.n.min(SHOWN), ..]));
        finish(&model, shown.view(), columns, &sheet(&model, codes.view(), columns, ENLARGE), &out)
    }
}

/// Put images through the model, from the mean of q(z|x): originals above, reconstructions below
#[derive(Args)]
pub(crate) struct Reconstruct {
    /// The run folder
    run: PathBuf,
    #[command(flatten)]
    others: Others,
    /// How many of the first images
    #[arg(short, default_value_t = 20, value_parser = count())]
    n: usize,
    /// The picture [default: reconstructions.png in the run folder]
    #[arg(long, value_name = "FILE.png")]
    out: Option<PathBuf>,
}

impl Reconstruct {
    pub(crate) fn run(self) -> Result<()> {
        let folder = RunFolder(self.run.clone());
        let model = folder.model()?;
        let images = folder.images(&model, &self.others)?;
        let out = self.out.unwrap_or_else(|| self.run.join("reconstructions.png"));
        let originals = generate::first_images(&model, &images, self.n.min(PAIRS));
        let shown = stack(&[originals.view(), generate::reconstruct(&model, originals.view()).view()]);
        finish(&model, shown.view(), originals.nrows(), &pairs(&model, &images, self.n), &out)
    }
}

/// Walk from one image to another along a straight line between their codes
#[derive(Args)]
#[command(allow_negative_numbers = true)]
pub(crate) struct Interpolate {
    /// The run folder
    run: PathBuf,
    #[command(flatten)]
    others: Others,
    /// Index of the image to start from
    #[arg(long, value_name = "I", default_value_t = 0)]
    from: usize,
    /// Index of the image to end at [default: 1, or the only one]
    #[arg(long, value_name = "J")]
    to: Option<usize>,
    /// Images on the way, ends included
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u16).range(2..=1000))]
    steps: u16,
    /// The picture: original, walk, original [default: interpolation-<I>-<J>.png in the run folder]
    #[arg(long, value_name = "FILE.png")]
    out: Option<PathBuf>,
}

impl Interpolate {
    pub(crate) fn run(self) -> Result<()> {
        let folder = RunFolder(self.run.clone());
        let model = folder.model()?;
        let images = folder.images(&model, &self.others)?;
        let to = self.to.unwrap_or(1.min(images.len() - 1));
        for (name, index) in [("from", self.from), ("to", to)] {
            if index >= images.len() {
                let n = images.len();
                return Err(Error::Usage(format!("--{name}: expected an index below {n}, found {index}")));
            }
        }
        let image = |i: usize| generate::batches(&model, &images, i + 1, 1).last().expect("there is an image i");
        let [from, end] = [self.from, to].map(image);
        let codes = generate::line(&model, stack(&[from.view(), end.view()]).view(), usize::from(self.steps));
        let tiles = codes.nrows() + 2;
        let tile = |i: usize| match i {
            0 => from.clone(),
            _ if i > codes.nrows() => end.clone(),
            _ => generate::decode(&model, codes.slice(s![i - 1..i, ..])),
        };
        let row = |tiles: Range<usize>| {
            let images: Vec<Array2<f32>> = tiles.map(tile).collect();
            stack(&images.iter().map(|image| image.view()).collect::<Vec<_>>())
        };
        let columns = tiles.min(WALK);
        let rows = (0..tiles).step_by(columns).map(|first| row(first..tiles.min(first + columns)));
        let picture = Picture::grid(model.size, [tiles.div_ceil(columns), columns], ENLARGE, rows);
        let out = self.out.unwrap_or_else(|| self.run.join(format!("interpolation-{}-{to}.png", self.from)));
        finish(&model, row(0..tiles.min(SHOWN)).view(), columns, &picture, &out)
    }
}

/// How many images a picture may show.
fn count() -> impl clap::builder::TypedValueParser<Value = usize> {
    use clap::builder::TypedValueParser;
    clap::value_parser!(u16).range(1..=10_000).map(usize::from)
}

/// The images of codes in rows of so many.
pub(crate) fn sheet(model: &Model, codes: ArrayView2<f32>, columns: usize, enlarge: usize) -> Picture {
    let rows = codes.axis_chunks_iter(Axis(0), columns).map(|codes| generate::decode(model, codes));
    Picture::grid(model.size, [codes.nrows().div_ceil(columns), columns], enlarge, rows)
}

/// The first `n` images in one row, their reconstructions in the row below, and so on.
pub(crate) fn pairs(model: &Model, images: &Images, n: usize) -> Picture {
    let n = n.min(images.len());
    // Of many about a square.
    let columns = n.min(PAIRS.max((2.0 * n as f64).sqrt().ceil() as usize));
    let rows = generate::batches(model, images, n, columns).flat_map(|originals| {
        let reconstructions = generate::reconstruct(model, originals.view());
        [originals, reconstructions]
    });
    Picture::grid(model.size, [2 * n.div_ceil(columns), columns], ENLARGE, rows)
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
