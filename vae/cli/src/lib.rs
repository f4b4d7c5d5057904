//! The program `vae`: arguments in, library calls, files out.
//!
//! A package of its own, so that it is compiled while the library below it still is.

mod data;
mod eval;
mod exchange;
mod folder;
mod images;
mod output;
mod reproduce;
mod signals;
mod tape;
mod train;
mod variance;

use std::process::ExitCode;
use std::sync::LazyLock;

use autograd::kernels::{parallel, simd::Isa};
use clap::error::ErrorKind;
use clap::{Parser, Subcommand};
use vae::{Error, Result};

/// Trains variational autoencoders on a CPU, and shows what they have learned.
///
/// `vae train` trains on MNIST, which is built in, and leaves a run folder; the other commands take that folder. All
/// losses are in nats per example, and `loss` is always −ELBO = reconstruction + KL.
#[derive(Parser)]
#[command(name = "vae", version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Train(Box<train::Train>),
    Eval(eval::Eval),
    Sample(images::Sample),
    Reconstruct(images::Reconstruct),
    Interpolate(images::Interpolate),
    Reproduce(reproduce::Reproduce),
    Variance(variance::Variance),
    Tape(tape::TapeOf),
    Export(exchange::Export),
    Import(exchange::Import),
    Data(data::Data),
}

/// Runs the program: exit code 0, 2 for arguments that cannot be right, 128 and the signal's number if interrupted, 1
/// for anything else that failed.
pub fn main() -> ExitCode {
    LazyLock::force(&output::TO_A_TERMINAL);
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return usage(&error),
    };
    // Before anything runs that would panic with it: the instruction set may be forced by the environment.
    let result = Isa::choose().map_err(Error::Usage).and_then(|_| cli.command.run());
    end(result)
}

/// Says what went wrong, if anything did.
fn end(result: Result<()>) -> ExitCode {
    match result.and_then(|()| output::all_written()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            output::complain(&error.to_string());
            ExitCode::from(match error {
                Error::Usage(_) => 2,
                Error::Interrupted { signal, .. } => 128 + signal,
                _ => 1,
            })
        }
    }
}

impl Command {
    /// Runs it on as many threads as are asked for.
    fn run(self) -> Result<()> {
        let threads = |threads: Option<u16>| threads.map(usize::from);
        match self {
            Command::Train(command) => {
                let settings = command.settings()?;
                on_threads(command.threads.or(settings.threads), || command.run(settings))
            }
            Command::Eval(command) => on_threads(threads(command.threads), || command.run()),
            Command::Sample(command) => on_threads(None, || command.run()),
            Command::Reconstruct(command) => on_threads(None, || command.run()),
            Command::Interpolate(command) => on_threads(None, || command.run()),
            Command::Reproduce(command) => on_threads(threads(command.threads), || command.run()),
            Command::Variance(command) => {
                let settings = command.settings()?;
                on_threads(threads(command.threads).or(settings.threads), || command.run(settings))
            }
            Command::Tape(command) => on_threads(threads(command.threads), || command.run()),
            Command::Export(command) => on_threads(None, || command.run()),
            Command::Import(command) => on_threads(None, || command.run()),
            // It computes nothing.
            Command::Data(command) => command.run(),
        }
    }
}

/// Runs `work` on a team of so many threads, one per core if not said. Fewer are no failure: the results are the same.
fn on_threads(threads: Option<usize>, work: impl FnOnce() -> Result<()> + Send) -> Result<()> {
    parallel::team(threads, || {
        let (there, size) = (parallel::threads(), parallel::team_size(threads));
        if there < size {
            output::complain(&format!("can start no more threads: working on {there} instead of {size}"));
        }
        work()
    })
}

/// What clap has to say: help as it is, and an error as one line, without the usage that follows it.
fn usage(error: &clap::Error) -> ExitCode {
    use ErrorKind::{DisplayHelp, DisplayHelpOnMissingArgumentOrSubcommand, DisplayVersion};
    if matches!(error.kind(), DisplayHelp | DisplayVersion | DisplayHelpOnMissingArgumentOrSubcommand) {
        if error.use_stderr() {
            let _ = error.print();
            return ExitCode::from(2);
        }
        output::say_styled(&error.render());
        return end(Ok(()));
    }
    let text = error.to_string();
    let problem = text.lines().take_while(|line| !line.starts_with("Usage:") && !line.starts_with("For more"));
    let problem = problem.map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ");
    end(Err(Error::Usage(problem.strip_prefix("error: ").unwrap_or(&problem).into())))
}
