//! How often a checkpoint is written.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Every so many steps (`20`), epochs (`2e`) or seconds (`30s`).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Every {
    /// After each so many updates of the whole run.
    Steps(u64),
    /// After each so many epochs.
    Epochs(u64),
    /// At the first step when so many seconds have passed since the last one.
    Seconds(u64),
}

impl Default for Every {
    /// 30 seconds: no more than that is lost, and a checkpoint of the default model, some 35 ms, costs little more than a
    /// thousandth of the time. (With one after each epoch of 2 s it would be more than a hundredth.)
    fn default() -> Self {
        Every::Seconds(30)
    }
}

impl Every {
    /// Whether a checkpoint is due after this step.
    pub fn after_step(self, step: u64, since_last: Duration) -> bool {
        match self {
            Every::Steps(n) => step.is_multiple_of(n),
            Every::Epochs(_) => false,
            Every::Seconds(s) => since_last.as_secs() >= s,
        }
    }

    /// Whether a checkpoint is due after this epoch, counted from 1.
    pub fn after_epoch(self, epoch: u64) -> bool {
        matches!(self, Every::Epochs(n) if epoch.is_multiple_of(n))
    }
}

impl fmt::Display for Every {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Every::Steps(n) => write!(f, "{n}"),
            Every::Epochs(n) => write!(f, "{n}e"),
            Every::Seconds(n) => write!(f, "{n}s"),
        }
    }
}

impl FromStr for Every {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (digits, every): (_, fn(u64) -> Every) = match text.as_bytes().last() {
            Some(b'e') => (&text[..text.len() - 1], Every::Epochs),
            Some(b's') => (&text[..text.len() - 1], Every::Seconds),
            _ => (text, Every::Steps),
        };
        match digits.parse() {
            Ok(n) if n > 0 => Ok(every(n)),
            _ => Err(format!("expected steps as 20, epochs as 2e or seconds as 30s, found `{text}`")),
        }
    }
}

impl TryFrom<String> for Every {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Every> for String {
    fn from(every: Every) -> String {
        every.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_epochs_and_seconds_are_read_as_they_are_written() {
        for every in [Every::Steps(20), Every::Epochs(2), Every::Seconds(30), Every::default()] {
            assert_eq!(every.to_string().parse(), Ok(every));
        }
        for wrong in ["", "0", "e", "0s", "-1", "2x", "2.5e", "20 ", "é"] {
            let expected = format!("expected steps as 20, epochs as 2e or seconds as 30s, found `{wrong}`");
            assert_eq!(wrong.parse::<Every>(), Err(expected));
        }
    }

    #[test]
    fn a_checkpoint_is_due_after_so_many_steps_epochs_or_seconds() {
        let (soon, late) = (Duration::from_secs(29), Duration::from_secs(30));
        let after = |every: Every| [every.after_step(40, soon), every.after_step(41, late), every.after_epoch(2)];
        assert_eq!(after(Every::Steps(20)), [true, false, false]);
        assert_eq!(after(Every::Seconds(30)), [false, true, false]);
        assert_eq!(after(Every::Epochs(2)), [false, false, true]);
        assert!(!Every::Epochs(2).after_epoch(3));
    }
}
