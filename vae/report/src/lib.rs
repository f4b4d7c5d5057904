//! What a run leaves for people to look at: pictures of digits, learning curves and the latent plane.
//!
//! Nothing here touches a file or decides what is shown: every function takes numbers and returns the bytes of a PNG, or
//! the text of an SVG or of a terminal, and the same numbers always give the same bytes. No system font is needed
//! either: an SVG leaves its text to the viewer, and a PNG takes its letters from a font compiled into the program.

pub mod canvas;
pub mod picture;
pub mod plots;
pub mod terminal;
