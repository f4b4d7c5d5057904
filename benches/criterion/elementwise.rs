//! Elementary functions, ours beside the standard library's, on as many numbers as the first-level cache holds.
//! `cargo bench --bench elementwise`

#![allow(missing_docs, reason = "criterion's macros define functions without any")]

use std::hint::black_box;

use autograd::kernels::each::map;
use autograd::kernels::{Write, math};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use ndarray::Array2;

/// Numbers in a vector: two of them take 32 KB.
const LEN: usize = 4096;

fn elementwise(c: &mut Criterion) {
    // Names, ours, libm's, and the interval that the arguments are taken from.
    compare(c, "exp", math::exp, f32::exp, [-10.0, 10.0]);
    compare(c, "ln", math::ln, f32::ln, [1e-3, 10.0]);
    compare(c, "ln_1p", math::ln_1p, f32::ln_1p, [-0.9, 10.0]);
    compare(c, "tanh", math::tanh, f32::tanh, [-5.0, 5.0]);
    compare(c, "sigmoid", math::sigmoid, |x| 1.0 / (1.0 + (-x).exp()), [-10.0, 10.0]);
    compare(c, "softplus", math::softplus, |x| x.max(0.0) + (-x.abs()).exp().ln_1p(), [-10.0, 10.0]);
}

/// A group of two: `y = f(x)` for every number of a vector.
fn compare(
    c: &mut Criterion,
    name: &str,
    ours: impl Fn(f32) -> f32 + Sync,
    libm: impl Fn(f32) -> f32,
    [low, high]: [f32; 2],
) {
    let x = Array2::from_shape_fn((1, LEN), |(_, i)| low + (high - low) * (i as f32 + 0.5) / LEN as f32);
    let mut y = Array2::zeros((1, LEN));
    let mut group = c.benchmark_group(name);
    group.throughput(Throughput::Elements(LEN as u64));
    group.bench_function(BenchmarkId::from_parameter("ours"), |bencher| {
        bencher.iter(|| {
            map(
                [black_box(x.view())],
                Write::Set,
                y.view_mut(),
                #[inline(always)]
                |[x]| ours(x),
            );
            black_box(&mut y);
        });
    });
    group.bench_function(BenchmarkId::from_parameter("libm"), |bencher| {
        bencher.iter(|| {
            black_box(x.view()).iter().zip(&mut y).for_each(|(&x, y)| *y = libm(x));
            black_box(&mut y);
        });
    });
    group.finish();
}

criterion_group!(benches, elementwise);
criterion_main!(benches);
