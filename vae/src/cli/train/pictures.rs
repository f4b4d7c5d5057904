//! What a run leaves of its model: the file, and the pictures.

use datasets::Dataset;
use ndarray::{ArrayView2, s};
use vae::Result;
use vae::checkpoint::Model;
use vae::generate;
use vae::report::picture::Picture;
use vae::report::plots::latent_png;

use super::metrics::History;
use crate::cli::folder::RunFolder;
use crate::cli::images::{pairs, sheet};

/// The model as it is now, and what it looks like.
pub(super) fn write(folder: &RunFolder, model: &Model, data: &Dataset, history: &History) -> Result<()> {
    model.save(&folder.file("model.safetensors"))?;
    folder.write("curves.svg", history.curves().as_bytes())?;

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
