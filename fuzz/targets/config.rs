//! Configurations: what is accepted survives being written and read again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use vae::config::Config;

fuzz_target!(|text: &str| {
    match Config::parse(text) {
        Err(problem) => assert!(!problem.contains('\n'), "{problem}"),
        Ok(config) => match config.check() {
            Err(error) => assert!(!error.to_string().contains('\n'), "{error}"),
            Ok(()) => assert_eq!(Config::parse(&config.to_toml()), Ok(config)),
        },
    }
});
