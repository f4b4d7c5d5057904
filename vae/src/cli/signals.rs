//! Being told to stop.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use signal_hook::consts::TERM_SIGNALS;
use signal_hook::flag;
use vae::{Error, Result};

/// Which signal, if any, has asked the program to stop.
pub(crate) struct Stop(Arc<AtomicUsize>);

impl Stop {
    /// From now on the first Ctrl-C, SIGTERM or SIGQUIT is only noted, and a second one ends the program at once.
    pub(crate) fn listen() -> Result<Stop> {
        let (signal, asked_before) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        for &number in TERM_SIGNALS {
            // In this order, for the first signal runs through all three.
            flag::register_conditional_shutdown(number, 128 + number, asked_before.clone())
                .and_then(|_| flag::register(number, asked_before.clone()))
                .and_then(|_| flag::register_usize(number, signal.clone(), number as usize))
                .map_err(|e| Error::Usage(format!("cannot listen to signal {number}: {e}")))?;
        }
        Ok(Stop(signal))
    }

    /// The number of the signal.
    pub(crate) fn asked(&self) -> Option<u8> {
        u8::try_from(self.0.load(Ordering::SeqCst)).ok().filter(|&signal| signal != 0)
    }
}
