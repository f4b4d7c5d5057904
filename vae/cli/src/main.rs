//! The program `vae`. All of it is in the library beside this file, which need not wait for the machine code of those below.

fn main() -> std::process::ExitCode {
    cli::main()
}
