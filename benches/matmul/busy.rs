//! Ours on all threads while another process keeps a core busy, beside ours on one thread at the same time: whoever
//! shares work evenly among threads waits for the one that has no core.

use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use autograd::Buffer;
use autograd::kernels::Write;
use autograd::kernels::gemm::gemm;
use autograd::kernels::parallel::team;
use autograd::{Precision, View, ViewMut};
use benches::{Family, Group, Options, Problem, Runner, geometric_mean, interleave, median};

use crate::contenders::Operands;

/// Measures the large products and prints a table.
pub(crate) fn run(options: &Options) -> Result<(), String> {
    let threads = options.all_threads();
    let other = Other::start()?;
    println!("\nlarge shapes while another process keeps a core busy, ours, GFLOP/s");
    println!(
        "{:>6}{:>6}{:>6}     {:>10}  {:>10}  {:>6}",
        "m",
        "n",
        "k",
        "1 thread",
        format!("{threads} threads"),
        "ratio"
    );
    let mut ratios = Vec::new();
    for problem in options.problems().into_iter().filter(|problem| problem.group == Group::Large) {
        let operands = Operands::new(problem);
        let mut runners = [runner(1, &operands), runner(threads, &operands)];
        let [one, all] = interleave(&mut runners, options.pace()).try_into().expect("two runners");
        let gflops = |seconds: &[f64]| median(seconds.iter().map(|seconds| problem.gflop() / seconds));
        let ratio = median(one.iter().zip(&all).map(|(one, all)| one / all));
        let Problem { m, n, k, layout, .. } = problem;
        println!("{m:6}{n:6}{k:6} {layout:<3} {:10.1}  {:10.1}  {ratio:6.3}", gflops(&one), gflops(&all));
        ratios.push(ratio);
    }
    println!("{:45}{:8.3}", "geometric mean", geometric_mean(ratios));
    drop(other);
    Ok(())
}

/// Our product by a team, which comes together once for a whole turn.
fn runner(threads: usize, operands: &Operands) -> Runner<'_> {
    let (a, b): (View, View) = (operands.a(), operands.b());
    let (m, n) = (a.nrows(), b.ncols());
    let mut c = Buffer::zeros(m * n);
    let run = move |times| {
        let c = &mut c;
        let work = || {
            for _ in 0..times {
                gemm(a, b, Precision::Single, Write::Set, ViewMut::from_shape((m, n), &mut *c).expect("m · n numbers"));
            }
        };
        team(Some(threads), work);
    };
    Runner { name: String::new(), family: Family::Ours, run: Box::new(run), rest: Duration::ZERO }
}

/// Another process that keeps a core busy, for as long as this lives.
struct Other(Child);

impl Other {
    fn start() -> Result<Other, String> {
        let program = std::env::current_exe().map_err(|e| format!("cannot find this program: {e}"))?;
        // It ends when its input does: however this process may end.
        let child = Command::new(program).arg("--spin").stdin(Stdio::piped()).spawn();
        child.map(Other).map_err(|e| format!("cannot start another process: {e}"))
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        // It has nothing to say; if it cannot be waited for, it has ended.
        let _ = self.0.wait();
    }
}

/// What the other process does.
pub(crate) fn spin() {
    std::thread::spawn(|| {
        loop {
            std::hint::spin_loop();
        }
    });
    // An end and an error are both the end.
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
}
