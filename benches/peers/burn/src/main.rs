//! The default model's training in burn, on its own CPU backend.

#[path = "../../common.rs"]
mod common;

use burn::module::Module;
use burn::nn::{Linear, LinearConfig};
use burn::optim::{AdamConfig, GradientsParams};
use burn::tensor::activation::{log_sigmoid, relu};
use burn::tensor::{Device, Distribution, Tensor, TensorData};
use common::{HIDDEN, LATENT, LEARNING_RATE, PIXELS, Task};

#[derive(Module, Debug)]
struct Vae {
    hidden: Linear,
    mean: Linear,
    log_var: Linear,
    expand: Linear,
    pixels: Linear,
}

impl Vae {
    fn new(device: &Device) -> Vae {
        let linear = |inputs, outputs| LinearConfig::new(inputs, outputs).init(device);
        Vae {
            hidden: linear(PIXELS, HIDDEN),
            mean: linear(HIDDEN, LATENT),
            log_var: linear(HIDDEN, LATENT),
            expand: linear(LATENT, HIDDEN),
            pixels: linear(HIDDEN, PIXELS),
        }
    }

    /// −ELBO, summed over the batch.
    fn loss(&self, x: Tensor<2>) -> Tensor<1> {
        let h = relu(self.hidden.forward(x.clone()));
        let (mean, log_var) = (self.mean.forward(h.clone()), self.log_var.forward(h));
        let noise = mean.random_like(Distribution::Normal(0.0, 1.0));
        let z = mean.clone() + noise * (log_var.clone() * 0.5).exp();
        let logits = self.pixels.forward(relu(self.expand.forward(z)));
        let reconstruction = (x.neg() + 1.0) * logits.clone() - log_sigmoid(logits);
        let kl = (mean.square() + log_var.clone().exp() - log_var - 1.0) * 0.5;
        reconstruction.sum() + kl.sum()
    }
}

fn main() {
    let task = Task::from_arguments();
    let device = Device::flex().autodiff();
    device.seed(1);
    let mut model = Vae::new(&device);
    let mut adam = AdamConfig::new().with_epsilon(1e-8).init();
    task.train(|batch, x| {
        let sum = model.loss(Tensor::from_data(TensorData::new(x, [batch, PIXELS]), &device));
        let grads = GradientsParams::from_grads((sum.clone() / batch as f32).backward(), &model);
        model = adam.step(LEARNING_RATE, model.clone(), grads);
        sum.into_scalar()
    });
}
