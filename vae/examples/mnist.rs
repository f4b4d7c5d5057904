//! A variational autoencoder on MNIST in one screen: the model, the loss, and the loop, with nothing between the reader
//! and the arithmetic.
//!
//! `cargo run --release --example mnist`

use autograd::kernels::parallel::team;
use autograd::{Activation, Grads, Params, Recorder};
use datasets::{Pixels, mnist};
use vae::distributions::{Bernoulli, Distribution, Gaussian, KlTo, Reparameterized, StandardNormal};
use vae::layers::{Dense, Layer};
use vae::noise::{Purpose, fill_normal};
use vae::optim::Adam;

fn main() {
    team(None, train); // on all cores
}

fn train() {
    let (seed, batch) = (1, 128);
    let mut train = mnist().train;
    train.truncate(59_904); // whole batches, so that one tape is enough

    // The layers: names of parameters.
    let mut params = Params::new();
    let mut init = Purpose::Init.generator(seed, 0);
    let mut dense = |name, sizes, f| Dense::new(&mut params, name, sizes, f, &mut init);
    let hidden = dense("hidden", [784, 400], Activation::Relu);
    let mean = dense("mean", [400, 20], Activation::Identity);
    let log_var = dense("log_var", [400, 20], Activation::Identity);
    let expand = dense("expand", [20, 400], Activation::Relu);
    let pixels = dense("pixels", [400, 784], Activation::Identity);

    // The loss: −ELBO(x) = KL(q(z|x) ‖ p(z)) − E_q[log p(x|z)], averaged over the batch.
    let r = Recorder::new(&params);
    let (x, noise) = (r.input([batch, 784]), r.input([batch, 20]));
    let h = hidden.apply(x);
    let q = Gaussian { mean: mean.apply(h), log_var: log_var.apply(h) };
    let p = Bernoulli { logits: pixels.apply(expand.apply(q.sample(noise))) };
    let loss = (q.kl_to(StandardNormal) - p.log_prob(x)).mean().slot();
    let (x, noise) = (x.slot(), noise.slot());
    let mut tape = r.finish();
    println!("{tape}");

    // The loop.
    let mut grads = Grads::zeros(&params);
    let mut adam = Adam::new(&params, 1e-3);
    let mut step = 0;
    for epoch in 0..3 {
        let mut sum = 0.0;
        let batches = train.batches(batch, seed, epoch);
        for images in &batches {
            images.write_to(Pixels::Grey, &mut Purpose::Binarize.generator(seed, step), tape.input_mut(x));
            fill_normal(&mut Purpose::Noise.generator(seed, step), tape.input_mut(noise));
            tape.forward(&params);
            tape.backward(loss, &params, &mut grads);
            adam.step(&mut params, &grads);
            sum += f64::from(tape.scalar(loss));
            step += 1;
        }
        println!("epoch {}   loss {:.2} nats per image", epoch + 1, sum / batches.iter().len() as f64);
    }
}
