//! What takes memory: with an allocator that counts, so in a process of its own.

mod allocations;
#[path = "../all/common.rs"]
mod common;
mod counting;
mod evaluation;
mod hostile;
