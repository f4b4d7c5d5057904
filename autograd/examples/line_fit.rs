//! A straight line through noisy points: the whole of the tape in one screen.
//!
//! `cargo run --release --example line_fit`

use autograd::{Activation, Grads, Params, Recorder};
use ndarray::{Array2, array};

fn main() {
    // Points on y = 2x + 1, with a little zigzag.
    let xs = Array2::from_shape_fn((20, 1), |(i, _)| i as f32 / 10.0);
    let ys = Array2::from_shape_fn((20, 1), |(i, _)| 2.0 * xs[[i, 0]] + 1.0 + if i % 2 == 0 { 0.05 } else { -0.05 });

    let mut params = Params::new();
    let w = params.add("w", array![[0.0]]);
    let b = params.add("b", array![[0.0]]);

    // Record: nothing is computed here, only written down.
    let r = Recorder::new(&params);
    let (x, y) = (r.input([20, 1]), r.input([20, 1]));
    let predicted = x.linear(r.param(w), r.param(b), Activation::Identity);
    let loss = (predicted - y).square().mean().slot();
    let (x, y) = (x.slot(), y.slot());
    let mut tape = r.finish();
    println!("{tape}");

    // Play: the inputs stay the same here, the parameters change.
    tape.input_mut(x).assign(&xs);
    tape.input_mut(y).assign(&ys);
    let mut grads = Grads::zeros(&params);
    for step in 0..=200 {
        tape.forward(&params);
        tape.backward(loss, &params, &mut grads);
        if step % 50 == 0 {
            let (w, b) = (params.view(w)[[0, 0]], params.view(b)[[0, 0]]);
            println!("step {step:3}   loss {:8.5}   y = {w:.3} x + {b:.3}", tape.scalar(loss));
        }
        for (p, g) in params.flat.iter_mut().zip(grads.flat.iter()) {
            *p -= 0.1 * g;
        }
    }
}
