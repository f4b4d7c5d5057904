//! XOR, which no line can separate: a hidden layer learns it.
//!
//! `cargo run --release --example xor`

use autograd::{Activation, Grads, Params, Recorder};
use ndarray::{Array2, array};

fn main() {
    // Any initial values that differ from unit to unit will do.
    let spread = |rows, columns| Array2::from_shape_fn((rows, columns), |(i, j)| ((i * 5 + j * 3) as f32 * 0.7).sin());
    let mut params = Params::new();
    let [w1, b1] = [params.add("w1", spread(2, 8)), params.add("b1", spread(1, 8))];
    let [w2, b2] = [params.add("w2", spread(8, 1)), params.add("b2", spread(1, 1))];

    let r = Recorder::new(&params);
    let (x, y) = (r.input([4, 2]), r.input([4, 1]));
    let hidden = x.linear(r.param(w1), r.param(b1), Activation::Tanh);
    let output = hidden.linear(r.param(w2), r.param(b2), Activation::Sigmoid);
    let loss = (output - y).square().mean().slot();
    let (x, y, output) = (x.slot(), y.slot(), output.slot());
    let mut tape = r.finish();

    let corners = array![[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]];
    tape.input_mut(x).assign(&corners);
    tape.input_mut(y).assign(&array![[0.0], [1.0], [1.0], [0.0]]);
    let mut grads = Grads::zeros(&params);
    for step in 0..=2000 {
        tape.forward(&params);
        tape.backward(loss, &params, &mut grads);
        if step % 500 == 0 {
            println!("step {step:4}   loss {:.5}", tape.scalar(loss));
        }
        for (p, g) in params.flat.iter_mut().zip(grads.flat.iter()) {
            *p -= 2.0 * g;
        }
    }
    for (corner, output) in corners.rows().into_iter().zip(tape.value(output)) {
        println!("{} xor {} = {output:.3}", corner[0], corner[1]);
    }
}
