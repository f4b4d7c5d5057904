//! Where the nats go, in pictures.

use std::fs;
use std::path::Path;

use datasets::Images;
use report::plots::{Bar, bars_png, bars_svg, heat_png};
use vae::checkpoint::Model;
use vae::evaluate::Evaluation;
use vae::evaluate::decomposition::nats_per_number;
use vae::files::write_whole;
use vae::{Error, Result};

use super::super::output::{complain, say};

/// Makes the folder, if it is not there.
pub(super) fn make_folder(out: &Path) -> Result<()> {
    fs::create_dir_all(out).map_err(|e| Error::file(out, format!("cannot make this folder: {e}")))
}

/// Draws what there is to draw, and says what was written unless it is to be quiet.
pub(super) fn draw(out: &Path, model: &Model, images: &Images, evaluation: &Evaluation, quiet: bool) -> Result<()> {
    let write = |name: &str, content: &[u8]| {
        let path = out.join(name);
        write_whole(&path, content)?;
        if !quiet {
            say(&format!("wrote {}", path.display()));
        }
        Ok(())
    };
    let bars = bars(evaluation);
    let (title, label) = ("KL of each latent dimension", "nats per example");
    write("kl.svg", bars_svg(title, label, &bars).as_bytes())?;
    write("kl.png", &bars_png(title, label, &bars))?;
    match nats_per_number(model, images) {
        Some(nats) => {
            // What a pixel costs is what its colours cost.
            let channels = model.size.channels;
            let pixels: Vec<f64> = nats.as_slice().expect("one row").chunks(channels).map(|c| c.iter().sum()).collect();
            let title = format!("Reconstruction: {:.2} nats per image, in nats per pixel", nats.sum());
            write("nats.png", &heat_png(&title, &pixels, model.size.width))
        }
        None => {
            complain("no nats.png: under this likelihood the pixels of an image are not independent");
            Ok(())
        }
    }
}

/// A bar for each dimension, largest first, strong if it is active.
fn bars(evaluation: &Evaluation) -> Vec<Bar> {
    let dimensions = evaluation.kl_per_dimension.iter().zip(&evaluation.active).enumerate();
    let bar = |(i, (&height, &strong))| Bar { name: format!("z{}", i + 1), height, strong };
    let mut bars: Vec<Bar> = dimensions.map(bar).collect();
    bars.sort_by(|a, b| b.height.total_cmp(&a.height));
    bars
}
