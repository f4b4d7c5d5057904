//! What is said on the terminal. A reader that goes away (`| head`) is no reason to panic, or to stop training.

use std::io::{self, IsTerminal, Write};

use datasets::Size;
use ndarray::ArrayView2;
use vae::report::terminal;

/// Writes to standard output.
pub(crate) fn say(text: &str) {
    let mut out = io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.write_all(b"\n")).and_then(|()| out.flush());
}

/// Writes to standard error what went wrong.
pub(crate) fn complain(problem: &str) {
    let _ = writeln!(io::stderr(), "vae: {problem}");
}

/// Writes a value as one line of JSON.
pub(crate) fn say_json(value: &impl serde::Serialize) {
    say(&serde_json::to_string(value).expect("plain numbers and names have a JSON form"));
}

/// Draws images, if this is a terminal.
pub(crate) fn show(images: ArrayView2<f32>, size: Size, columns: usize) {
    if io::stdout().is_terminal() {
        let (_, terminal_width) = console::Term::stdout().size();
        let columns = columns.min(terminal::columns_that_fit(usize::from(terminal_width), size.width));
        say(terminal::draw(images, size, columns).trim_end_matches('\n'));
    }
}

/// `60000` as `60,000`.
pub(crate) fn thousands(n: usize) -> String {
    let digits = n.to_string();
    let groups = digits.as_bytes().rchunks(3).rev().map(|group| String::from_utf8_lossy(group).into_owned());
    groups.collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_grouped_from_the_right() {
        assert_eq!([0, 999, 1000, 60_000, 1_234_567].map(thousands), ["0", "999", "1,000", "60,000", "1,234,567"]);
    }
}
