//! A whole training step – batch, noise, forward, backward, Adam – at several batch sizes, with one thread and with
//! all, of the default model and of a deeper one. `cargo bench --bench step`

#![allow(missing_docs, reason = "criterion's macros define functions without any")]

use autograd::kernels::parallel::{team, team_size};
use benches::Training;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use vae::config::Config;

fn step(c: &mut Criterion) {
    let all = team_size(None);
    let models = [("784–400–20", vec![400]), ("784–512–256–128–20", vec![512, 256, 128])];
    for (name, hidden) in models {
        let mut group = c.benchmark_group(format!("step of {name}"));
        for batch in [1, 16, 128, 512] {
            group.throughput(Throughput::Elements(batch as u64));
            for threads in [1, all] {
                let id = BenchmarkId::new(format!("{threads} threads"), format!("batch {batch}"));
                let mut training = Training::new(Config { batch, hidden: hidden.clone(), ..Config::default() });
                group.bench_function(id, |bencher| {
                    team(Some(threads), || bencher.iter(|| training.step()));
                });
            }
        }
        group.finish();
    }
}

criterion_group!(benches, step);
criterion_main!(benches);
