//! What the benchmarks share, and what of them can be tested: a training step that can be repeated, and all about the
//! comparison of matrix products but the products themselves, which are in `benches/matmul`.

mod chart;
mod options;
mod outcome;
mod problem;
mod rounds;
mod statistics;
mod table;
mod training;

pub use chart::ladder_svg;
pub use options::Options;
pub use outcome::{Family, Outcome, Ratio, Speed};
pub use problem::{Group, Layout, Problem};
pub use rounds::{Pace, Runner, interleave};
pub use statistics::{geometric_mean, median};
pub use table::Tables;
pub use training::Training;
