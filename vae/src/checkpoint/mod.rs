//! Models and runs in files.
//!
//! | file         | what it owns                                                            |
//! |--------------|-------------------------------------------------------------------------|
//! | `format.rs`  | a safetensors file with one metadata entry and a checksum               |
//! | `foreign.rs` | what a file is that should be one, and how Python makes it one           |
//! | `model.rs`   | a [`Model`]: the weights and the configuration they belong to           |
//! | `run.rs`     | a [`Checkpoint`]: all that a run needs to go on as if never interrupted |
//! | `every.rs`   | how often a checkpoint is written                                       |
//! | `pytorch.rs` | models from PyTorch and for it                                          |

mod every;
mod foreign;
mod format;
mod model;
pub mod pytorch;
mod run;

pub use every::Every;
pub use model::Model;
pub use run::{Checkpoint, Progress};
