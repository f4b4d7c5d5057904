//! The two charts of a run: its learning curves, and where the encoder puts the test set.

mod axes;
mod curves;
mod latent;
mod look;

pub use curves::{Curve, curves_svg};
pub use latent::latent_png;
