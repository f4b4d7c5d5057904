//! Reverse-mode differentiation on a tape that is recorded once and replayed for every step.
//!
//! Model code runs once, on symbols, and writes down a list of operations with their shapes; all memory is taken then.
//! A training step is [`Tape::forward`], [`Tape::backward`] and an optimizer's pass over the flat buffers of
//! [`Params`] and [`Grads`]: nothing is allocated. Here is a straight line, fitted:
//!
//! ```
//! use autograd::{Activation, Grads, Params, Recorder};
//! use ndarray::array;
//!
//! let mut params = Params::<f32>::new();
//! let w = params.add("w", array![[0.0]]);
//! let b = params.add("b", array![[0.0]]);
//!
//! let r = Recorder::new(&params);
//! let (x, y) = (r.input([3, 1]), r.input([3, 1]));
//! let error = x.linear(r.param(w), r.param(b), Activation::Identity) - y;
//! let loss = error.square().mean().slot();
//! let (x, y) = (x.slot(), y.slot());
//! let mut tape = r.finish();
//!
//! tape.input_mut(x).assign(&array![[0.0], [1.0], [2.0]]);
//! tape.input_mut(y).assign(&array![[1.0], [3.0], [5.0]]);
//! let mut grads = Grads::zeros(&params);
//! for _ in 0..200 {
//!     tape.forward(&params);
//!     tape.backward(loss, &params, &mut grads);
//!     for (p, g) in params.flat.iter_mut().zip(grads.flat.iter()) {
//!         *p -= 0.2 * g;
//!     }
//! }
//! assert!((params.view(w)[[0, 0]] - 2.0).abs() < 1e-3 && (params.view(b)[[0, 0]] - 1.0).abs() < 1e-3);
//! ```
//!
//! Where to read on: [`Op`] for what an operation is, [`ops`] for those there are, [`Tape`] for how they are played,
//! [`kernels`] for the loops in which the time is spent, and [`check`] for how every gradient is tested.

mod activation;
pub mod check;
pub mod kernels;
mod matrix;
mod op;
pub mod ops;
mod params;
mod precision;
mod profile;
mod real;
mod record;
mod tape;

pub use activation::Activation;
pub use matrix::{Buffer, Shape, View, ViewMut, size};
pub use op::{Op, Sink};
pub use params::{Grads, Layout, Param, Params};
pub use precision::Precision;
pub use profile::{Line, Profile};
pub use real::Real;
pub use record::{Recorder, Var};
pub use tape::{Slot, Tape};
