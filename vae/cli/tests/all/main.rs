//! The library and the program from outside, in one binary: each more would be linked for some seconds.

mod arrays;
mod cli;
mod common;
mod data;
mod eval;
mod faults;
mod lab;
mod machine;
mod own_data;
mod parity;
mod pytorch;
mod readme;
mod resume;
mod threads;
mod torture;
mod truth;
