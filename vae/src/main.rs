//! The program `vae`: arguments in, library calls, files out.

mod cli;

fn main() -> std::process::ExitCode {
    cli::main()
}
