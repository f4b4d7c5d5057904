//! What each fused operation gains over its definition, forward and backward, at the sizes of a training step: batch 128,
//! one thread. A fusion that gains nothing has no place in the library. `cargo bench --bench fusion`

#![allow(missing_docs, reason = "criterion's macros define functions without any")]

use autograd::kernels::parallel::alone;
use autograd::{Activation, Grads, Params, Recorder, Shape, Var};
use criterion::{Criterion, criterion_group, criterion_main};
use ndarray::Array2;
use vae::distributions::{Bernoulli, Distribution, Gaussian, KlTo, Reparameterized, StandardNormal};

/// Times both passes of `f` on arguments of these shapes.
fn passes<const N: usize>(
    c: &mut Criterion,
    name: &str,
    shapes: [Shape; N],
    f: impl for<'r> Fn([Var<'r>; N]) -> Var<'r>,
) {
    let mut params = Params::<f32>::new();
    let args = shapes.map(|shape| {
        let values = Array2::from_shape_fn(shape, |(i, j)| ((i * 31 + j * 17) % 23) as f32 / 23.0 - 0.4);
        params.add(format!("argument {}", params.layout.count()), values)
    });
    let recorder = Recorder::new(&params);
    let loss = f(args.map(|arg| recorder.param(arg))).sum().slot();
    let (mut tape, mut grads) = (recorder.finish(), Grads::zeros(&params));
    let mut play = || {
        tape.forward(&params);
        tape.backward(loss, &params, &mut grads);
    };
    c.bench_function(name, |bencher| alone(|| bencher.iter(&mut play)));
}

fn fusion(c: &mut Criterion) {
    let layer = [[128, 20], [20, 400], [1, 400]];
    passes(c, "layer of 20 and 400, relu/fused", layer, |[x, w, b]| x.linear(w, b, Activation::Relu));
    passes(c, "layer of 20 and 400, relu/defined", layer, |[x, w, b]| (x.matmul(w) + b).relu());

    let pixels = [[128, 784]; 2];
    passes(c, "Bernoulli log-likelihood/fused", pixels, |[logits, x]| Bernoulli { logits }.log_prob(x));
    passes(c, "Bernoulli log-likelihood/defined", pixels, |[logits, x]| (x * logits - logits.softplus()).row_sum());

    let latent = [[128, 20]; 3];
    passes(c, "sample/fused", latent, |[mean, log_var, noise]| Gaussian { mean, log_var }.sample(noise));
    passes(c, "sample/defined", latent, |[mean, log_var, noise]| mean + (log_var * 0.5).exp() * noise);

    let code = [[128, 20]; 2];
    passes(c, "KL/fused", code, |[mean, log_var]| Gaussian { mean, log_var }.kl_to(StandardNormal));
    passes(c, "KL/defined", code, |[mean, log_var]| (mean.square() + log_var.exp() - log_var - 1.0).row_sum() * 0.5);
}

criterion_group!(benches, fusion);
criterion_main!(benches);
