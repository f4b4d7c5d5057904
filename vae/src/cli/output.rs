//! What is said on the terminal. A reader that goes away (`| head`) is no reason to panic, or to stop training.

use std::io::{self, IsTerminal, Write};

use datasets::{Images, Pixels, Size};
use ndarray::ArrayView2;
use vae::config::Config;
use vae::distributions::{Family, Meaning};
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

/// What the loss says of these images: `p(x|z)  bernoulli, a probability`.
pub(crate) fn likelihood(config: &Config, images: &Images) -> String {
    let family = config.likelihood.unwrap_or(Family::Bernoulli);
    let meaning = match family.meaning(config.binarize != Pixels::Grey || images.are_black_and_white()) {
        Ok(Meaning::Probability) => "a probability".to_string(),
        Ok(Meaning::Density) => "a density, whose loss may be negative".to_string(),
        Ok(Meaning::CrossEntropy) => "of grey levels a cross-entropy and no likelihood of the data;\n        \
                                      --binarize dynamic or --likelihood continuous-bernoulli makes it one"
            .to_string(),
        Err(why) => format!("of black and white pixels: {why}"),
    };
    format!("p(x|z)  {family}, {meaning}")
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
