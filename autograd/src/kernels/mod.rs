//! The loops in which all the time is spent. They know matrices and threads, and nothing of tapes.

pub mod each;
pub mod gemm;
pub mod ladder;
pub mod math;
pub mod parallel;
pub mod reduce;
pub mod simd;

/// What happens to the numbers that are already there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Write {
    /// They are overwritten, and never read: they may be anything.
    Set,
    /// The result is added to them.
    Add,
}
