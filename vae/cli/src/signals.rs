//! Being told to stop.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use signal_hook::consts::TERM_SIGNALS;
use signal_hook::flag;
use vae::{Error, Result};

/// Which signal, if any, has asked the program to stop.
pub(crate) struct Stop(Arc<AtomicUsize>);

/// The terminal is closed, or the connection to it lost. Systems without that signal never send its number.
const SIGHUP: i32 = 1;

impl Stop {
    /// From now on the first Ctrl-C, SIGTERM, SIGQUIT or SIGHUP is only noted, and a second one of the first three ends the
    /// program at once. A signal that whoever started the program has it ignore stays ignored.
    pub(crate) fn listen() -> Result<Stop> {
        let (signal, asked_before) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        let ignored = ignored();
        let note = |number| flag::register_usize(number, signal.clone(), number as usize);
        for number in TERM_SIGNALS.iter().copied().chain(cfg!(unix).then_some(SIGHUP)) {
            if ignored & 1 << (number - 1) != 0 {
                continue;
            }
            // In this order, for the first signal runs through all three. SIGHUP comes twice, from the shell and from the
            // system, and is no sign of impatience.
            let noted = match number {
                SIGHUP => note(number),
                _ => flag::register_conditional_shutdown(number, 128 + number, asked_before.clone())
                    .and_then(|_| flag::register(number, asked_before.clone()))
                    .and_then(|_| note(number)),
            };
            noted.map_err(|e| Error::Usage(format!("cannot listen to signal {number}: {e}")))?;
        }
        Ok(Stop(signal))
    }

    /// The number of the signal.
    pub(crate) fn asked(&self) -> Option<u8> {
        u8::try_from(self.0.load(Ordering::SeqCst)).ok().filter(|&signal| signal != 0)
    }
}

/// The signals that this process ignores, number `n` as bit `n − 1`: `nohup` sees to SIGHUP, and a shell to Ctrl-C for what
/// a script starts in the background. Only Linux tells without `unsafe` code; elsewhere SIGHUP is taken for one of them, so
/// that `nohup` is respected, and a terminal that is closed ends a run without a last checkpoint.
fn ignored() -> u128 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u128::from_str_radix(mask.trim(), 16).ok()).unwrap_or(1 << (SIGHUP - 1))
}
