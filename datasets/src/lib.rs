//! Image data for training: MNIST, compiled in, and data of one's own, in MNIST's and other formats.
//!
//! The path of the data through this crate, one file per step:
//!
//! | file         | step                                                                   |
//! |--------------|------------------------------------------------------------------------|
//! | `source.rs`  | a file, plain or gzipped → bytes, and not more than it may have        |
//! | `idx.rs`     | bytes of an IDX file → a checked array                                 |
//! | `pair.rs`    | an array of images and an array of labels → [`Images`]                 |
//! | `mnist.rs`   | the four MNIST files inside this crate → [`Dataset`]                   |
//! | `idx_sets.rs`| a folder → which sets in IDX files are in it, however they are named   |
//! | `folder.rs`  | such a set (MNIST, Fashion-MNIST, KMNIST, EMNIST, QMNIST) → [`Dataset`]|
//! | `cifar.rs`   | CIFAR-10's binary files, or the archive of them → [`Dataset`]          |
//! | `amat.rs`    | Larochelle's binarised MNIST, lines of digits → [`Dataset`]            |
//! | `npy/`       | arrays as NumPy saves them, one or an archive → [`Dataset`]            |
//! | `pictures/`  | a folder of pictures, or one: which files, decoded, fitted → [`Dataset`] |
//! | `scale.rs`   | pixels of whatever depth → bytes, where white is 255                   |
//! | `labels.rs`  | labels of whatever kind → classes                                      |
//! | `split.rs`   | images without a test set → [`Dataset`], by a hash of their names      |
//! | `open.rs`    | any of these, whichever is there: [`open()`]                           |
//! | `batches.rs` | [`Images`] → one epoch of shuffled batches                             |
//! | `batch.rs`   | a batch → a `[batch, numbers]` matrix of floats                        |
//! | `pixels.rs`  | a byte → a grey level, or a black or white pixel ([`Pixels`])          |
//! | `random.rs`  | seed, purpose and step → a random [`generator`]                        |
//!
//! Other data sets are downloaded: [`catalog`] says which there are, [`cache`] where they are kept, and [`download`]
//! brings them there, through the system's `curl` program (`curl.rs`).
//!
//! # Example
//!
//! ```
//! use datasets::{Pixels, generator, mnist};
//! use ndarray::Array2;
//!
//! let data = mnist();
//! assert_eq!((data.train.len(), data.test.len()), (60_000, 10_000));
//!
//! let (seed, epoch) = (1, 0);
//! let mut noise = generator(seed, "binarise", epoch);
//! let mut matrix = Array2::<f32>::zeros((128, data.train.size().count()));
//! for batch in &data.train.batches(128, seed, epoch) {
//!     // The last batch is smaller: 60 000 = 468 × 128 + 96.
//!     let rows = matrix.slice_mut(ndarray::s![..batch.len(), ..]);
//!     batch.write_to(Pixels::Dynamic, &mut noise, rows);
//!     // … a training step on the matrix …
//! }
//! ```

mod amat;
mod batch;
mod batches;
pub mod cache;
pub mod catalog;
mod cifar;
mod curl;
#[cfg(test)]
mod damage;
pub mod download;
#[cfg(test)]
mod encode;
mod error;
mod flush;
mod folder;
pub mod idx;
mod idx_sets;
mod images;
mod labels;
mod mnist;
mod npy;
mod open;
mod pair;
mod pictures;
mod pixels;
mod random;
mod scale;
mod source;
mod split;

pub use batch::Batch;
pub use batches::{BatchIter, Batches};
pub use error::{Error, Result};
pub use flush::flush_folder;
pub use images::{Dataset, Images, Size};
pub use mnist::mnist;
pub use open::{Opened, Options, open, open_undivided};
pub use pixels::Pixels;
pub use rand::rngs::ChaCha8Rng as Generator;
pub use random::generator;
