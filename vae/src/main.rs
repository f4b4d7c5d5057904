//! The program `vae`.
fn main() {}
