//! Variational autoencoders, from the layer to the evidence lower bound.
//!
//! | module            | what it owns                                                                        |
//! |-------------------|-------------------------------------------------------------------------------------|
//! | [`layers`]        | parameters by name, and what they do to a batch                                     |
//! | [`distributions`] | densities, samples and divergences, each with its fused operation and definition    |
//! | [`models`]        | layers and distributions put together                                               |
//! | [`objective`]     | bounds of `log p(x)`, and estimators of their gradients                             |
//! | [`gradient`]      | the gradient of a batch, in parts                                                   |
//! | [`optim`]         | Adam                                                                                |
//! | [`schedule`]      | what changes as training goes on                                                    |
//! | [`noise`]         | randomness as a function of (seed, purpose, step)                                   |
//! | [`train`]         | the loop                                                                            |
//! | [`variance`]      | how much estimates of a gradient scatter                                            |
//! | [`evaluate`]      | the test loss, where its nats go, and `log p(x)`: how probable a model finds images  |
//! | [`protocol`]      | published numbers: what is trained how, and what it should come to                  |
//! | [`generate`]      | samples, reconstructions, interpolations                                            |
//! | [`config`]        | everything that can be set                                                          |
//! | [`checkpoint`]    | a model in a file                                                                   |
//! | [`files`]         | written whole or not at all                                                         |
//!
//! The loop, as anybody can write it:
//!
//! ```
//! use autograd::{Grads, Params, Precision};
//! use vae::{config::Config, noise::{Purpose, fill_normal}, objective::Objective, optim::Adam, train::Step};
//!
//! let mut train = datasets::mnist().train;
//! train.truncate(512);
//!
//! let mut params = Params::new();
//! let architecture = Config { hidden: vec![64], latent: 2, ..Config::default() }.architecture(784);
//! let vae = architecture.build(&mut params, &mut Purpose::Init.generator(1, 0));
//! let mut grads = Grads::zeros(&params);
//! let mut adam = Adam::new(&params, 1e-3);
//! let mut s = Step::record(&vae, &params, 128, &Objective::default(), Precision::Single);
//!
//! let mut losses = vec![];
//! for (step, batch) in train.batches(128, 1, 0).iter().enumerate() {
//!     batch.write_to(datasets::Pixels::Grey, &mut Purpose::Binarize.generator(1, 0), s.tape.input_mut(s.x));
//!     fill_normal(&mut Purpose::Noise.generator(1, step as u64), s.tape.input_mut(s.noise));
//!     s.tape.forward(&params);
//!     s.backward(&params, &mut grads);
//!     adam.step(&mut params, &grads);
//!     losses.push(s.tape.scalar(s.loss));
//! }
//! assert!(losses[3] < losses[0]);
//! ```

pub mod checkpoint;
pub mod config;
pub mod distributions;
mod error;
pub mod evaluate;
pub mod files;
pub mod generate;
pub mod gradient;
pub mod layers;
pub mod models;
pub mod noise;
pub mod objective;
pub mod optim;
mod path_text;
pub mod protocol;
pub mod schedule;
pub mod train;
pub mod variance;

pub use error::{Error, Result};
