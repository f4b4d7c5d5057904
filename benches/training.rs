//! A training step of a given model and batch size, ready to be repeated.

use autograd::Grads;
use datasets::{Images, Pixels, Size};
use vae::checkpoint::Model;
use vae::config::Config;
use vae::noise::{Purpose, fill_normal};
use vae::objective::Objective;
use vae::optim::Adam;
use vae::train::Step;

/// A model in training on a fixed set of images.
pub struct Training {
    model: Model,
    step: Step,
    grads: Grads,
    adam: Adam,
    images: Images,
    batch: usize,
    steps: u64,
}

impl Training {
    /// The model of this configuration, on images that are noise: a step takes as long on them as on any others.
    pub fn new(config: Config) -> Training {
        let batch = config.batch;
        let pixels = (0..batch * 784).map(|k| (k * 7919 % 256) as u8).collect();
        let images = Images::new(pixels, Size::grey(28, 28), vec![0; batch]).expect("as many pixels as images");
        let model = Model::new(config, Size::grey(28, 28));
        Training {
            step: Step::record(&model.vae, &model.params, batch, &Objective::default(), model.config.precision),
            grads: Grads::zeros(&model.params),
            adam: Adam::new(&model.params, 1e-3),
            model,
            images,
            batch,
            steps: 0,
        }
    }

    /// Everything that one update takes: batch, noise, both passes, Adam.
    pub fn step(&mut self) {
        let Training { model: Model { params, .. }, step, grads, adam, images, .. } = self;
        let mut randomness = Purpose::Noise.generator(1, self.steps);
        for batch in &images.in_order(self.batch) {
            batch.write_to(Pixels::Grey, &mut randomness, step.tape.input_mut(step.x));
        }
        fill_normal(&mut randomness, step.tape.input_mut(step.noise));
        step.tape.forward(params);
        step.backward(params, grads);
        adam.step(params, grads);
        self.steps += 1;
    }
}
