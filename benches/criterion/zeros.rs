//! What zeros cost: the two products of a first layer, with images and with numbers that are all others than zero.
//! `cargo bench --bench zeros`

#![allow(missing_docs, reason = "criterion's macros define functions without any")]

use autograd::kernels::Write;
use autograd::kernels::gemm::gemm;
use autograd::kernels::parallel::{team, team_size};
use autograd::{Precision, View};
use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use datasets::{Pixels, generator, mnist};
use ndarray::Array2;

/// Images of a batch, and units of the layer.
const BATCH: usize = 128;
const UNITS: usize = 400;

fn zeros(c: &mut Criterion) {
    let train = mnist().train;
    let mut images = Array2::<f32>::zeros((BATCH, 784));
    let batches = train.batches(BATCH, 1, 0);
    let batch = batches.iter().next().expect("a batch");
    batch.write_to(Pixels::Grey, &mut generator(1, "zeros", 0), images.view_mut());
    let dense = images.mapv(|x| x + 0.5);
    let number = |(i, j)| ((i * 31 + j * 17) % 101) as f32 / 101.0 - 0.5;
    let (w, ds) = (Array2::from_shape_fn((784, UNITS), number), Array2::from_shape_fn((BATCH, UNITS), number));
    for threads in [1, team_size(None)] {
        let mut group = c.benchmark_group(format!("first layer, {threads} threads"));
        for (name, x) in [("images", &images), ("dense", &dense)] {
            let mut time = |what, a: View<f32>, b: View<f32>| {
                let mut result = Array2::zeros((a.nrows(), UNITS));
                group.bench_function(BenchmarkId::new(what, name), |bencher| {
                    team(Some(threads), || {
                        bencher.iter(|| gemm(a, b, Precision::Single, Write::Set, result.view_mut()));
                    });
                });
            };
            time("x · W", x.view(), w.view());
            time("xᵀ · dS", x.t(), ds.view());
        }
        group.finish();
    }
}

criterion_group!(benches, zeros);
criterion_main!(benches);
