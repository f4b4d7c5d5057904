//! The operations there are: one idea a file, each with its rules, its method on [`Var`](crate::Var) and its tests
//! side by side. None is special: [`Var::apply`](crate::Var::apply) records yours the same way.

mod arithmetic;
mod columns;
mod elementwise;
mod linear;
mod matmul;
mod reduce;
mod rows;

pub use arithmetic::{Add, Div, Function2, Mul, Sub, Zip};
pub use columns::{Columns, Join};
pub use elementwise::*;
pub use linear::Linear;
pub use matmul::MatMul;
pub use reduce::{ColumnSum, Function3, LogSumExp, RowSum, RowSumOf, RowSumOf3, Softmax, Sum};
pub use rows::{RepeatRows, Reshape, StopGradient, WeightGradient};
