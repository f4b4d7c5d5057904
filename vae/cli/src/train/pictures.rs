//! What a run leaves of its model: the file, and the pictures.

use datasets::Dataset;
use ndarray::{ArrayView2, s};
use report::plots::latent_png;
use vae::Result;
use vae::checkpoint::Model;
use vae::generate;

use super::metrics::History;
use crate::folder::RunFolder;
use crate::images::{ENLARGE, pairs, sheet};

/// The model as it is now, and what it looks like.
pub(super) fn write(folder: &RunFolder, model: &Model, data: &Dataset, history: &History) -> Result<()> {
    model.save(&folder.file("model.safetensors"))?;
    folder.write("curves.svg", history.curves().as_bytes())?;

    let codes = generate::prior(model, 64, 1.0, model.config.seed);
    folder.write("samples.png", &sheet(model, codes.view(), 8, ENLARGE).png())?;
    folder.write("reconstructions.png", &pairs(model, &data.test, 20).png())?;

    if model.config.latent == 2 {
        // Of large images fewer: a screen shows no more.
        let side = (2048 / model.size.height.max(model.size.width)).clamp(8, 20);
        folder.write("manifold.png", &sheet(model, generate::plane(side).view(), side, 2).png())?;
        let [means, _] = generate::posteriors_of(model, &data.test);
        folder.write("latent.png", &latent_png(&points(means.view()), data.test.labels()))?;
    }
    Ok(())
}

fn points(codes: ArrayView2<f32>) -> Vec<(f32, f32)> {
    codes.slice(s![.., ..2]).rows().into_iter().map(|z| (z[0], z[1])).collect()
}
