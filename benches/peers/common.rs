//! What the peers written in Rust share: arguments, MNIST, batches, and the line that is printed after an epoch.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::time::Instant;

use flate2::read::GzDecoder;

pub const PIXELS: usize = 784;
pub const HIDDEN: usize = 400;
pub const LATENT: usize = 20;
pub const LEARNING_RATE: f64 = 1e-3;

/// The arguments, and the training images as bytes.
pub struct Task {
    pixels: Vec<u8>,
    batch: usize,
    epochs: usize,
}

impl Task {
    /// `--data DIR --batch N --epochs N --limit N`: all four, in any order; the last is the number of images.
    pub fn from_arguments() -> Task {
        let arguments: Vec<String> = std::env::args().collect();
        let value = |name: &str| {
            let at = arguments.iter().position(|a| a == name).unwrap_or_else(|| panic!("{name} is missing"));
            &arguments[at + 1]
        };
        let number = |name: &str| value(name).parse::<usize>().unwrap_or_else(|e| panic!("{name}: {e}"));
        let mut pixels = Vec::new();
        let file = File::open(Path::new(value("--data")).join("train-images-idx3-ubyte.gz")).expect("--data: the images");
        GzDecoder::new(file).read_to_end(&mut pixels).expect("a gzipped file");
        pixels.drain(..16); // the header of an IDX file with three dimensions
        pixels.truncate(number("--limit") * PIXELS);
        Task { pixels, batch: number("--batch"), epochs: number("--epochs") }
    }

    /// Calls `step` with every shuffled batch, `[batch, 784]` in [0, 1], for its loss summed over the batch.
    pub fn train(&self, mut step: impl FnMut(usize, Vec<f32>) -> f32) {
        let images = self.pixels.len() / PIXELS;
        let mut random = fastrand::Rng::with_seed(1);
        let mut order: Vec<usize> = (0..images).collect();
        for epoch in 1..=self.epochs {
            let start = Instant::now();
            random.shuffle(&mut order);
            let mut loss = 0.0;
            for batch in order.chunks(self.batch) {
                let x = batch.iter().flat_map(|i| &self.pixels[i * PIXELS..][..PIXELS]);
                loss += f64::from(step(batch.len(), x.map(|&byte| f32::from(byte) / 255.0).collect()));
            }
            let (seconds, loss) = (start.elapsed().as_secs_f64(), loss / images as f64);
            println!(r#"{{"epoch":{epoch},"seconds":{seconds:.6},"train":{{"loss":{loss:.4}}}}}"#);
        }
    }
}
