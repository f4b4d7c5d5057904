//! Published numbers as protocols: what is trained how, measured how, and what it should come to.
//!
//! A protocol is a TOML file in `vae/protocols/`, of the form of [`Protocol`]; one file is one table.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::config::{Config, one_line};
use crate::error::{Error, Result};
use crate::files::read_text;

/// A table to be reproduced.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Protocol {
    /// What it is called on the command line; not in the file, whose name it is.
    #[serde(skip)]
    pub name: String,
    /// What it shows.
    pub title: String,
    /// Where the settings and numbers are from.
    pub source: String,
    /// What it costs.
    pub budget: Budget,
    /// Importance samples of each test image that `−log p` is estimated with.
    pub samples: usize,
    /// What all rows have in common, as in a run's config.toml.
    #[serde(default)]
    settings: toml::Table,
    /// The rows of the table.
    #[serde(rename = "row")]
    pub rows: Vec<Row>,
}

/// What a protocol costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Budget {
    /// Minutes.
    Quick,
    /// Hours and days, as papers take.
    Paper,
}

/// A row of the table: one run.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Row {
    /// The name of its folder.
    pub name: String,
    /// What it is called in the table.
    pub title: String,
    /// What differs from the settings in common.
    #[serde(default)]
    settings: toml::Table,
    /// `−log p` in the paper, nats per image.
    pub paper: Option<f64>,
    /// `−log p` that others found.
    #[serde(default)]
    pub others: Vec<Other>,
    /// What must be reached.
    #[serde(default)]
    pub required: Required,
    /// Another row that it must beat.
    pub better: Option<Better>,
}

/// Somebody else's reproduction.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Other {
    /// Who.
    pub name: String,
    /// `−log p`, nats per image.
    pub value: f64,
}

/// The most that a row may come to, nats per image.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Required {
    /// `−ELBO`
    pub loss: Option<f64>,
    /// `−log p`
    pub negative_log_p: Option<f64>,
}

/// That `−log p` of another row must be higher.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Better {
    /// The name of the other row.
    pub than: String,
    /// By more than so many nats.
    pub by: f64,
}

/// The protocols in the repository.
const BUILT_IN: [(&str, &str); 5] = [
    ("default", include_str!("../protocols/default.toml")),
    ("bias", include_str!("../protocols/bias.toml")),
    ("samples", include_str!("../protocols/samples.toml")),
    ("static", include_str!("../protocols/static.toml")),
    ("burda", include_str!("../protocols/burda.toml")),
];

/// No such file is longer, in bytes.
const LONGEST: u64 = 1 << 16;

impl Protocol {
    /// Those in the repository.
    pub fn built_in() -> Vec<Protocol> {
        let parse = |&(name, text): &(&str, &str)| Protocol::parse(name, text).expect("tested");
        BUILT_IN.iter().map(parse).collect()
    }

    /// The one of this name, or in this file, if the name ends in `.toml`.
    ///
    /// # Errors
    /// If there is none, or the file is no protocol.
    pub fn find(name: &str) -> Result<Protocol> {
        if name.ends_with(".toml") {
            let path = Path::new(name);
            let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or("protocol");
            let text = read_text(path, LONGEST)?;
            return Protocol::parse(stem, &text).map_err(|problem| Error::file(path, problem));
        }
        let all = Protocol::built_in();
        let names: Vec<_> = all.iter().map(|protocol| protocol.name.clone()).collect();
        let found = all.into_iter().find(|protocol| protocol.name == name);
        found.ok_or_else(|| {
            let names = names.join(", ");
            Error::Usage(format!("expected one of {names}, or a file that ends in .toml, found `{name}`"))
        })
    }

    /// The protocol in a text.
    fn parse(name: &str, text: &str) -> std::result::Result<Protocol, String> {
        let protocol: Protocol = toml::from_str(text).map_err(|e| one_line(text, &e))?;
        if protocol.samples == 0 || protocol.rows.is_empty() {
            return Err("expected at least one sample and one row".into());
        }
        for (i, row) in protocol.rows.iter().enumerate() {
            let plain = |c: char| c.is_ascii_alphanumeric() || c == '-';
            if row.name.is_empty() || !row.name.chars().all(plain) {
                return Err(format!("row {}: expected a name of letters, digits and -, found `{}`", i + 1, row.name));
            }
            if protocol.rows[..i].iter().any(|other| other.name == row.name) {
                return Err(format!("row {}: there is one called `{}` already", i + 1, row.name));
            }
            if let Some(better) = row.better.as_ref().filter(|better| protocol.row(&better.than).is_none()) {
                return Err(format!("row `{}`: there is no row `{}` to be better than", row.name, better.than));
            }
            protocol.config(row).map_err(|problem| format!("row `{}`: {problem}", row.name))?;
        }
        Ok(Protocol { name: name.into(), ..protocol })
    }

    fn row(&self, name: &str) -> Option<&Row> {
        self.rows.iter().find(|row| row.name == name)
    }

    /// The settings of a row.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn config(&self, row: &Row) -> std::result::Result<Config, String> {
        let mut settings = self.settings.clone();
        settings.extend(row.settings.clone());
        let config = Config::parse(&settings.to_string())?;
        config.check().map_err(|e| e.to_string())?;
        Ok(config)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::objective::Estimator;
    use crate::schedule::Schedule;
    use autograd::Activation;
    use datasets::Pixels;

    #[test]
    fn those_in_the_repository_are_protocols_and_are_found_by_name() {
        for protocol in Protocol::built_in() {
            assert_eq!(Protocol::find(&protocol.name).unwrap(), protocol);
        }
        let error = Protocol::find("burdda").unwrap_err().to_string();
        assert_eq!(
            error,
            "expected one of default, bias, samples, static, burda, or a file that ends in .toml, found `burdda`"
        );
    }

    #[test]
    fn the_table_of_burda_has_exactly_the_settings_of_the_paper() {
        let burda = Protocol::find("burda").unwrap();
        assert_eq!((burda.samples, burda.budget), (5000, Budget::Paper));
        let rows = burda.rows.iter().map(|row| {
            let config = burda.config(row).unwrap();
            assert_eq!(
                (&config.hidden[..], config.latent, config.batch, config.epochs),
                (&[200, 200][..], 50, 20, 3280)
            );
            assert_eq!(
                (config.activation, config.binarize, config.schedule),
                (Activation::Tanh, Pixels::Dynamic, Schedule::Burda)
            );
            assert_eq!((config.lr, config.adam_betas, config.adam_eps), (1e-3, (0.9, 0.999), 1e-4));
            (config.objective, config.k, row.paper.unwrap())
        });
        use Estimator::{Elbo, Iwae};
        let expected = [(Elbo, 1, 86.76), (Elbo, 5, 86.47), (Elbo, 50, 86.35), (Iwae, 5, 85.54), (Iwae, 50, 84.78)];
        assert_eq!(rows.collect::<Vec<_>>(), expected);
    }

    #[test]
    fn mistakes_are_named_with_their_row() {
        let head = "title = ''\nsource = ''\nbudget = 'quick'\nsamples = 1\n";
        let problem = |rest: &str| Protocol::parse("p", &format!("{head}{rest}")).unwrap_err();
        assert!(problem("row = []").contains("at least one sample and one row"));
        assert!(problem("[[row]]\nname = 'a'\ntitle = ''\ncolour = 1").contains("line 8: unknown setting `colour`"));
        let row = |name: &str, more: &str| format!("[[row]]\nname = '{name}'\ntitle = ''\n{more}\n");
        assert_eq!(
            problem(&row("a", "settings = { latnt = 3 }")),
            "row `a`: line 1: unknown setting `latnt`; the nearest known one is `latent`"
        );
        assert!(problem(&row("a", "settings = { latent = 0 }")).contains("row `a`: --latent: expected at least 1"));
        assert!(problem(&row("../a", "")).contains("row 1: expected a name of letters, digits and -, found `../a`"));
        assert_eq!(problem(&(row("a", "") + &row("a", ""))), "row 2: there is one called `a` already");
        let better = "better = { than = 'b', by = 0.0 }";
        assert_eq!(problem(&row("a", better)), "row `a`: there is no row `b` to be better than");
    }
}
