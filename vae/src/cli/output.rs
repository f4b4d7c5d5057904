//! What is said on the terminal. A reader that goes away (`| head`) is no reason to panic, or to stop training.

use std::io::{self, IsTerminal, Write};
use std::path::Path;

use datasets::{Images, Size};
use ndarray::ArrayView2;
use serde_json::Value;
use vae::config::Config;
use vae::distributions::Meaning;
use vae::report::terminal;
use vae::{Error, Result};

/// Writes to standard output.
pub(crate) fn say(text: &str) {
    let mut out = io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.write_all(b"\n")).and_then(|()| out.flush());
}

/// Writes to standard error what went wrong.
pub(crate) fn complain(problem: &str) {
    let _ = writeln!(io::stderr(), "vae: {problem}");
}

/// A result as one line of JSON.
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
    say(&serde_json::to_string(value).expect("plain numbers and names have a JSON form"));
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
    fn thousands_are_grouped_from_the_right() {
        assert_eq!([0, 999, 1000, 60_000, 1_234_567].map(thousands), ["0", "999", "1,000", "60,000", "1,234,567"]);
    }
}
