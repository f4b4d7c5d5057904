//! The error of every function of [`autograd::kernels::math`], over all 2³² numbers of kind `f32`, against the standard
//! library's `f64` functions: `cargo run --release --example ulp` (some minutes).

use autograd::kernels::{math, parallel, simd};

/// Numbers a task takes at a time.
const CHUNK: u32 = 1 << 16;

/// `|y − exact|` in units in the last place of `exact` as an `f32`; infinite where only one of them is NaN.
fn ulps(y: f32, exact: f64) -> f64 {
    if y.is_nan() || exact.is_nan() {
        return if y.is_nan() && exact.is_nan() { 0.0 } else { f64::INFINITY };
    }
    if f64::from(y) == exact || (y.is_infinite() && y == exact as f32) {
        return 0.0;
    }
    // The exponent field of an f64, brought into the range of an f32: below lie the denormals, all 2⁻¹⁴⁹ apart.
    let exponent = ((exact.to_bits() >> 52) & 0x7ff) as i32 - 1023;
    let ulp = 2f64.powi(exponent.clamp(f32::MIN_EXP - 1, f32::MAX_EXP - 1) - 23);
    // An infinity where the answer is finite counts as 2¹²⁸.
    (f64::from(y).clamp(-2f64.powi(128), 2f64.powi(128)) - exact).abs() / ulp
}

/// One line of the table: the largest error of `f`, which should be `exact`, and where it is.
fn sweep(name: &str, f: impl Fn(f32) -> f32 + Sync, exact: impl Fn(f64) -> f64 + Sync) {
    let larger = |a: (f64, f32), b: (f64, f32)| if b.0 > a.0 { b } else { a };
    let chunks = parallel::map(
        (u32::MAX / CHUNK) as usize + 1,
        || (),
        |(), chunk| {
            let x: Vec<f32> = (0..CHUNK).map(|i| f32::from_bits(chunk as u32 * CHUNK + i)).collect();
            let mut y = vec![0.0; x.len()];
            simd::vectorize(|| y.iter_mut().zip(&x).for_each(|(y, &x)| *y = f(x)));
            let errors = x.iter().zip(y).map(|(&x, y)| (ulps(y, exact(f64::from(x))), x));
            errors.fold((0.0, 0.0), larger)
        },
    );
    let (error, x) = chunks.into_iter().fold((0.0, 0.0), larger);
    println!("{name:<10} {error:8.3} {x:16e}");
}

fn main() {
    parallel::team(None, sweep_all);
}

fn sweep_all() {
    println!("{:<10} {:>8} {:>16}", "", "ulp", "at x");
    sweep("exp", math::exp, f64::exp);
    sweep("exp_m1", math::exp_m1, f64::exp_m1);
    sweep("ln", math::ln, f64::ln);
    sweep("ln_1p", math::ln_1p, f64::ln_1p);
    sweep("tanh", math::tanh, f64::tanh);
    sweep("sigmoid", math::sigmoid, |x| if x < 0.0 { x.exp() / (1.0 + x.exp()) } else { 1.0 / (1.0 + (-x).exp()) });
    sweep("softplus", math::softplus, |x| x.max(0.0) + (-x.abs()).exp().ln_1p());
}
