//! What is said on the terminal. A reader that goes away (`| head`) is no reason to panic, or to stop training; what could not
//! be written for another reason (a full disk) is one to fail, at the end.

use std::io::{self, ErrorKind, IsTerminal, Write};
use std::path::Path;
use std::sync::{LazyLock, OnceLock};

use clap::builder::StyledStr;
use console::{Term, measure_text_width};
use datasets::{Images, Size};
use indicatif::{ProgressBar, ProgressStyle};
use ndarray::ArrayView2;
use report::terminal;
use serde_json::Value;
use vae::config::Config;
use vae::distributions::Meaning;
use vae::{Error, Result};

/// Whether standard output is a terminal, or was one that has been closed since. Asked for before anything else.
pub(crate) static TO_A_TERMINAL: LazyLock<bool> = LazyLock::new(|| io::stdout().is_terminal());

/// Why the first piece of output was lost that a reader had waited for.
static LOST: OnceLock<io::Error> = OnceLock::new();

/// Notes whether something was written to standard output.
fn note(written: io::Result<()>) {
    // A terminal that cannot be written to has been closed: a reader that has gone, too.
    if let Err(e) = written
        && e.kind() != ErrorKind::BrokenPipe
        && !*TO_A_TERMINAL
    {
        let _ = LOST.set(e);
    }
}

/// Whether all output was written that somebody was there to read.
///
/// # Errors
/// Why not.
pub(crate) fn all_written() -> Result<()> {
    LOST.get().map_or(Ok(()), |e| Err(Error::file(Path::new("standard output"), format!("cannot write: {e}"))))
}

/// Writes to standard output; lines that are wider than the terminal are broken between words.
pub(crate) fn say(text: &str) {
    print(&fold(text, columns()));
}

/// Writes a styled text to standard output, where styles are to be seen with them.
pub(crate) fn say_styled(text: &StyledStr) {
    let text = if has_colours(&Term::stdout()) { text.ansi().to_string() } else { text.to_string() };
    say(text.trim_end_matches('\n'));
}

/// Writes to standard error what went wrong.
pub(crate) fn complain(problem: &str) {
    let _ = writeln!(io::stderr(), "{}", fold(&format!("vae: {problem}"), width(&Term::stderr())));
}

/// Writes to standard output as it is.
pub(crate) fn print(text: &str) {
    let mut out = io::stdout().lock();
    note(out.write_all(text.as_bytes()).and_then(|()| out.write_all(b"\n")).and_then(|()| out.flush()));
}

/// How many characters fit in a line of standard output.
pub(crate) fn columns() -> usize {
    width(&Term::stdout())
}

/// Any number, where it is no terminal.
fn width(to: &Term) -> usize {
    if to.is_term() { to.size().1.into() } else { usize::MAX }
}

/// Whether it is a terminal that shows colours and is to: not with `TERM=dumb` or `NO_COLOR`.
fn has_colours(to: &Term) -> bool {
    to.features().colors_supported()
}

/// The text with its lines broken between words where they are too wide. A word that alone is too wide, a path say, stays in
/// one piece: so it can be copied.
fn fold(text: &str, columns: usize) -> String {
    let fold_line = |line: &str| {
        let (mut folded, mut at) = (String::new(), 0);
        for word in line.split_inclusive(' ') {
            let wide = measure_text_width(word.trim_end());
            if at > 0 && wide > 0 && at + wide > columns {
                folded.truncate(folded.trim_end().len());
                // Not after an indent alone, which is given up.
                if !folded.is_empty() {
                    folded.push('\n');
                }
                at = 0;
            }
            folded += word;
            at += measure_text_width(word);
        }
        folded
    };
    text.split('\n').map(fold_line).collect::<Vec<_>>().join("\n")
}

/// A result as one line of JSON, to be printed or written.
///
/// # Errors
/// If one of its numbers is not finite: such a number is no result, and JSON has none.
pub(crate) fn result_json(result: &impl serde::Serialize, of: &Path) -> Result<String> {
    match name_of_not_finite(result) {
        Some(name) => Err(Error::file(of, not_finite(&name))),
        None => Ok(serde_json::to_string(result).expect("plain numbers and names have a JSON form")),
    }
}

/// What is wrong with a number of this name.
pub(crate) fn not_finite(name: &str) -> String {
    format!("expected finite numbers, found `{name}` infinite or not a number")
}

/// The name of a number that is not finite: `bounds.50`.
pub(crate) fn name_of_not_finite(result: &impl serde::Serialize) -> Option<String> {
    // Where there is no number for another reason, its key is left out of a result.
    name_of_null(&serde_json::to_value(result).expect("plain numbers and names have a JSON form"))
}

/// Where there is a `null` in a value.
fn name_of_null(value: &Value) -> Option<String> {
    let of = |name: String, value: &Value| match value {
        Value::Null => Some(name),
        _ => name_of_null(value).map(|rest| format!("{name}.{rest}")),
    };
    match value {
        Value::Object(values) => values.iter().find_map(|(name, value)| of(name.clone(), value)),
        Value::Array(values) => values.iter().enumerate().find_map(|(i, value)| of(i.to_string(), value)),
        _ => None,
    }
}

/// Writes a value as one line of JSON.
pub(crate) fn say_json(value: &impl serde::Serialize) {
    print(&serde_json::to_string(value).expect("plain numbers and names have a JSON form"));
}

/// What the loss says of these images: `p(x|z)  bernoulli, a probability`.
pub(crate) fn likelihood(config: &Config, images: &Images) -> String {
    let meaning = match config.meaning(images) {
        Ok(Meaning::Probability) => "a probability".to_string(),
        Ok(Meaning::Density) => "a density, whose loss may be negative".to_string(),
        Ok(Meaning::CrossEntropy) => "of grey levels a cross-entropy and no likelihood of the data;\n        \
                                      --binarize dynamic or --likelihood continuous-bernoulli makes it one"
            .to_string(),
        Err(why) => format!("of black and white pixels: {why}"),
    };
    format!("p(x|z)  {}, {meaning}", config.family())
}

/// Draws images, if this is a terminal with colours.
pub(crate) fn show(images: ArrayView2<f32>, size: Size, columns: usize) {
    let to = Term::stdout();
    if has_colours(&to) {
        print(terminal::draw(images, size, columns, width(&to)).trim_end_matches('\n'));
    }
}

/// A bar on standard error with a message, what else is `told`, and the remaining time, of which a narrow terminal shows less.
/// It is hidden where [`show`] would draw nothing.
pub(crate) fn progress_bar(length: u64, told: &str) -> ProgressBar {
    let to = Term::stderr();
    if !has_colours(&to) {
        return ProgressBar::hidden();
    }
    let columns = width(&to);
    let bar = match columns.saturating_sub(70).min(30) {
        0 => String::new(),
        wide => format!("{{bar:{wide}}} "),
    };
    let told = if columns < 60 { "" } else { told };
    let style = ProgressStyle::with_template(&format!("{{wide_msg}}  {bar}{{percent:>3}}%  {told}{{eta}} left"));
    ProgressBar::new(length).with_style(style.expect("the template is well-formed"))
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
    use serde_json::json;

    #[test]
    fn a_number_that_is_not_finite_is_no_result_and_is_named() {
        let problem = |value: Value| result_json(&value, Path::new("run")).map_err(|e| e.to_string());
        let found = |name| Err(format!("run: expected finite numbers, found `{name}` infinite or not a number"));
        assert_eq!(problem(json!({ "a": 1.5, "b": { "c": [2, "x"] } })), Ok(r#"{"a":1.5,"b":{"c":[2,"x"]}}"#.into()));
        assert_eq!(problem(json!({ "a": f64::NAN })), found("a"));
        assert_eq!(problem(json!({ "a": 1, "b": { "c": [2.0, f64::INFINITY] } })), found("b.c.1"));
        assert_eq!(problem(json!([{ "a": f32::NEG_INFINITY }])), found("0.a"));
    }

    #[test]
    fn lines_are_broken_between_words_and_nowhere_else() {
        let text = "  one two three\n\nfour  five ";
        assert_eq!(fold(text, usize::MAX), text);
        assert_eq!(fold(text, 15), text);
        assert_eq!(fold(text, 14), "  one two\nthree\n\nfour  five ");
        assert_eq!(fold(text, 5), "  one\ntwo\nthree\n\nfour\nfive ");
        assert_eq!(fold("wrote /a/long/path é", 6), "wrote\n/a/long/path\né");
        assert_eq!(fold("    deeply indented", 8), "deeply\nindented");
        assert_eq!(fold("\x1b[1mone\x1b[0m two", 7), "\x1b[1mone\x1b[0m two");
        assert_eq!(fold("日本 日本", 8), "日本\n日本");
    }

    #[test]
    fn thousands_are_grouped_from_the_right() {
        assert_eq!([0, 999, 1000, 60_000, 1_234_567].map(thousands), ["0", "999", "1,000", "60,000", "1,234,567"]);
    }
}
