//! The charts of a run: its learning curves, where the encoder puts the test set, and where the nats go.

mod axes;
mod bars;
mod curves;
mod heat;
mod latent;
mod look;

pub use bars::{Bar, bars_png, bars_svg};
pub use curves::{Curve, curves_svg};
pub use heat::heat_png;
pub use latent::latent_png;
