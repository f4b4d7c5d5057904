//! Measures every product on one number of threads, and prints a line of JSON for each.

use std::hint::black_box;
use std::time::Duration;

use autograd::Buffer;
use autograd::kernels::parallel;
use autograd::kernels::simd::Isa;
use benches::{Family, Options, Outcome, Pace, Problem, Runner, interleave};

use crate::contenders::{self, Contender, Operands, difference};
use crate::peak;

/// What results may differ by, as a share of the largest number: the roundings of sums in another order are smaller.
const TOLERANCE: f32 = 1e-5;

/// Measures all that is asked for, by one team of threads, which serves everyone who uses rayon.
pub(crate) fn run(options: &Options) -> Result<(), String> {
    let threads = options.all_threads();
    let work = || {
        match parallel::threads() {
            there if there == threads => {}
            there => return Err(format!("--threads: expected at most {there}, which can be started, found {threads}")),
        }
        for problem in options.problems() {
            let outcome = measure(problem, threads, options.pace())?;
            println!("{}", serde_json::to_string(&outcome).expect("plain data has a JSON form"));
        }
        Ok(())
    };
    parallel::team(Some(threads), work)
}

fn measure(problem: Problem, threads: usize, pace: Pace) -> Result<Outcome, String> {
    let isa = Isa::choose()?;
    let operands = Operands::new(problem);
    let mut all = contenders::ours(&operands, threads);
    all.extend(contenders::rust(&operands, threads));
    #[cfg(feature = "blas")]
    all.extend(crate::blas::contenders(&operands, threads));
    check(problem, &all)?;

    let peak = Box::new(move |times| (0..times).for_each(|_| peak::multiply_adds(isa)));
    let mut runners = vec![Runner { name: "peak".into(), family: Family::Peak, run: peak, rest: Duration::ZERO }];
    runners.extend(all.into_iter().map(|contender| runner(problem, contender)));
    let seconds = interleave(&mut runners, pace);
    let measured = runners.into_iter().zip(seconds).map(|(Runner { name, family, .. }, seconds)| {
        let gflop = if family == Family::Peak { peak::gflop(isa) } else { problem.gflop() };
        (name, family, seconds.into_iter().map(|seconds| gflop / seconds).collect())
    });
    Ok(Outcome::new(problem, threads, isa.to_string(), measured.collect()))
}

/// Nobody is measured who computes something else.
fn check(problem: Problem, all: &[Contender]) -> Result<(), String> {
    let result = |contender: &Contender| {
        let mut c = vec![f32::NAN; problem.m * problem.n];
        (contender.product)(&mut c);
        c
    };
    let ours = all.iter().find(|contender| contender.family == Family::Ours).map(result).unwrap_or_default();
    for contender in all {
        let difference = difference(&ours, &result(contender));
        if difference > TOLERANCE {
            return Err(format!("{problem}: the result of {} differs from ours by {difference:e}", contender.name));
        }
    }
    Ok(())
}

/// The contender with a `C` of its own.
fn runner(problem: Problem, contender: Contender) -> Runner {
    let Contender { name, family, product, rest } = contender;
    let mut c = Buffer::zeros(problem.m * problem.n);
    let run = Box::new(move |times| {
        for _ in 0..times {
            product(&mut c);
            black_box(&mut c);
        }
    });
    Runner { name, family, run, rest }
}
