//! Our product of matrices, the ladder that leads up to it, and other libraries, measured in turns.
//!
//! ```sh
//! cargo bench --bench matmul                                # tables: one thread and all, three groups of shapes
//! cargo bench --bench matmul -- --ladder docs/ladder.svg    # the ladder as a table and as a bar chart
//! cargo bench --bench matmul -- --busy                      # while another process keeps a core busy
//! cargo bench --bench matmul --features blas                # with OpenBLAS, BLIS and MKL, those that are found
//! cargo bench --bench matmul -- --help
//! ```
//!
//! `worker.rs` measures, on one number of threads. This program starts it once for one thread and once for all, because
//! most libraries are told how many threads to use once for a process, by the environment. On one thread nobody pays for
//! the readiness to use more.

#[cfg(feature = "blas")]
mod blas;
mod busy;
mod contenders;
mod peak;
mod worker;

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

use autograd::kernels::simd::Isa;
use benches::{Options, Outcome, Tables, ladder_svg};
use clap::Parser;

fn main() -> ExitCode {
    let options = Options::parse();
    if options.spin {
        busy::spin();
        return ExitCode::SUCCESS;
    }
    // Before anything runs that would panic with it: the instruction set may be forced by the environment.
    if let Err(problem) = Isa::choose() {
        eprintln!("error: {problem}");
        return ExitCode::from(2);
    }
    let result = match &options {
        Options { worker: true, .. } => worker::run(&options),
        Options { busy: true, .. } => busy::run(&options),
        _ => supervise(&options),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("error: {problem}");
            ExitCode::FAILURE
        }
    }
}

/// Has everything measured, and shows it.
fn supervise(options: &Options) -> Result<(), String> {
    let mut threads = vec![1, options.all_threads()];
    threads.dedup();
    let (mut tables, mut outcomes) = (Tables::default(), Vec::new());
    for threads in threads {
        measure(options, threads, |line, outcome| {
            if options.json {
                println!("{line}");
            } else {
                print!("{}", tables.add(outcome.clone()));
            }
            outcomes.push(outcome);
        })?;
    }
    print!("{}", tables.finish());
    if let Some(file) = &options.ladder {
        // Cargo runs benchmarks in the folder of their package.
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(file);
        fs::write(&file, ladder_svg(&outcomes)).map_err(|e| format!("{}: {e}", file.display()))?;
    }
    Ok(())
}

/// Runs a worker on so many threads, and passes on each of its lines with what it says.
fn measure(options: &Options, threads: usize, mut each: impl FnMut(&str, Outcome)) -> Result<(), String> {
    let program = std::env::current_exe().map_err(|e| format!("cannot find this program: {e}"))?;
    let mut command = Command::new(program);
    command.args(["--worker", "--threads", &threads.to_string()]);
    command.args(options.quick.then_some("--quick"));
    command.args(options.filter.iter());
    command.args(options.ladder.iter().flat_map(|file| [Path::new("--ladder"), file]));
    for library in ["MATMUL", "OPENBLAS", "BLIS", "MKL", "OMP"] {
        command.env(format!("{library}_NUM_THREADS"), threads.to_string());
    }
    // MKL's threads wait for more work so many milliseconds: as long as OpenBLAS's, not 200.
    command.env("KMP_BLOCKTIME", "20");
    let mut worker = command.stdout(Stdio::piped()).spawn().map_err(|e| format!("cannot start a worker: {e}"))?;
    for line in worker.stdout.take().into_iter().flat_map(|output| BufReader::new(output).lines()) {
        let line = line.map_err(|e| format!("cannot read from the worker: {e}"))?;
        let outcome = serde_json::from_str(&line).map_err(|e| format!("the worker said `{line}`: {e}"))?;
        each(&line, outcome);
    }
    let status = worker.wait().map_err(|e| format!("cannot wait for the worker: {e}"))?;
    if status.success() { Ok(()) } else { Err(format!("the measurement on {threads} threads failed")) }
}
