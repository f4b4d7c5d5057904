//! Models: layers and distributions put together, one file each.

mod vae;

pub use vae::{Architecture, Elbo, Vae};
