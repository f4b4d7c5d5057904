//! The product of two matrices.

use crate::kernels::{Write, gemm::gemm};
use crate::{Op, Precision, Real, Shape, Sink, Var, View, ViewMut};

/// `C = A · B`, and so `dA = dC · Bᵀ` and `dB = Aᵀ · dC`: three products of one precision.
pub struct MatMul(pub Precision);

impl<T: Real> Op<T, 2> for MatMul {
    fn shape(&self, [a, b]: [Shape; 2]) -> Result<Shape, String> {
        if a[1] == b[0] { Ok([a[0], b[1]]) } else { Err(format!("matmul: {a:?} · {b:?}, but {} ≠ {}", a[1], b[0])) }
    }

    fn forward(&self, [a, b]: [View<T>; 2], c: ViewMut<T>) {
        gemm(a, b, self.0, Write::Set, c);
    }

    fn backward(&self, [a, b]: [View<T>; 2], _: View<T>, dc: ViewMut<T>, [da, db]: [Sink<T>; 2]) {
        da.add_product(dc.view(), b.t(), self.0);
        db.add_product(a.t(), dc.view(), self.0);
    }

    fn name(&self) -> String {
        match self.0 {
            Precision::Single => "MatMul".to_string(),
            precision => format!("MatMul {precision}"),
        }
    }

    fn flops(&self, [a, b]: [Shape; 2]) -> usize {
        2 * a[0] * a[1] * b[1]
    }
}

impl<'r, T: Real> Var<'r, T> {
    /// `self · b`, of shapes `[m, k]` and `[k, n]`.
    #[track_caller]
    pub fn matmul(self, b: Var<'r, T>) -> Var<'r, T> {
        Var::apply(MatMul(self.recorder().precision()), [self, b])
    }
}

#[cfg(test)]
mod tests {
    use crate::check::gradients;

    #[test]
    fn gradient() {
        gradients([[3, 4], [4, 2]], |[a, b]| a.matmul(b));
        gradients([[1, 5], [5, 1]], |[a, b]| a.matmul(b));
        gradients([[3, 3]], |[a]| a.matmul(a));
    }
}
