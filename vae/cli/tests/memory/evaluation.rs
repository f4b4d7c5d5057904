//! An evaluation takes about the memory that the images have as bytes: their floats, four times that, are never there at once.

use datasets::{Images, Size};
use vae::checkpoint::Model;
use vae::config::Config;
use vae::distributions::Family;
use vae::evaluate::decomposition::nats_per_number;
use vae::evaluate::importance::log_likelihood;
use vae::{evaluate::evaluate, generate};

use crate::counting::{alone, most_extra_bytes};

#[test]
fn images_become_floats_a_few_at_a_time() {
    let _alone = alone();
    let size = Size { height: 32, width: 32, channels: 3 };
    let pixels: Vec<u8> = (0..8000 * size.count()).map(|i| (i % 251) as u8).collect();
    let bytes = pixels.len();
    let images = Images::new(pixels, size, vec![0; 8000]).unwrap();
    let likelihood = Some(Family::Bernoulli);
    let model = Model::new(Config { hidden: vec![4], latent: 2, likelihood, ..Config::default() }, size);
    let works: [(&str, &dyn Fn()); 4] = [
        ("the loss", &|| drop(evaluate(&model, &images))),
        ("posteriors", &|| drop(generate::posteriors_of(&model, &images))),
        ("nats", &|| drop(nats_per_number(&model, &images))),
        ("log p(x)", &|| drop(log_likelihood(&model, &images, 1, || ()))),
    ];
    for (name, work) in works {
        let taken = most_extra_bytes(work);
        assert!(taken < 2 * bytes, "{name}: {taken} bytes for {bytes} bytes of images");
    }
}
