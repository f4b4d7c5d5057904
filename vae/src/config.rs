//! Everything that can be set about a run.

use std::fs;
use std::path::{Path, PathBuf};

use autograd::{Activation, Precision};
use datasets::Pixels;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::models::Architecture;

/// The settings of a run; the defaults are the model of PyTorch's own VAE example. Written as TOML.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Passes over the training images.
    pub epochs: u64,
    /// Images per update.
    pub batch: usize,
    /// Units of the encoder's hidden layers, first to last.
    pub hidden: Vec<usize>,
    /// Dimensions of the latent code.
    pub latent: usize,
    /// The nonlinearity of the hidden layers.
    #[serde(with = "by_name")]
    pub activation: Activation,
    /// Adam's learning rate.
    pub lr: f64,
    /// What the KL divergence is multiplied by in the training objective.
    pub beta: f64,
    /// Decoupled weight decay.
    pub weight_decay: f64,
    /// What the operands of matrix products are rounded to in training.
    #[serde(with = "by_name")]
    pub precision: Precision,
    /// Grey levels, or black and white.
    #[serde(with = "by_name")]
    pub binarize: Pixels,
    /// What all randomness is derived from.
    pub seed: u64,
    /// How many of the training images are used; all if not set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
    /// A folder with the four IDX files; the built-in MNIST if not set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<PathBuf>,
    /// Threads; one per core if not set. It changes the time and nothing else.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub threads: Option<usize>,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            epochs: 10,
            batch: 128,
            hidden: vec![400],
            latent: 20,
            activation: Activation::Relu,
            lr: 1e-3,
            beta: 1.0,
            weight_decay: 0.0,
            precision: Precision::Single,
            binarize: Pixels::Grey,
            seed: 1,
            limit: None,
            data: None,
            threads: None,
        }
    }
}

/// More parameters than this take more than 4 GiB with their gradients and moments.
const MOST_PARAMETERS: usize = 1 << 28;

impl Config {
    /// Reads a TOML file; what it does not set keeps its default.
    ///
    /// # Errors
    /// If the file cannot be read, is not TOML, or sets something that does not exist.
    pub fn read(path: &Path) -> Result<Config> {
        let text = fs::read_to_string(path).map_err(|e| Error::file(path, format!("cannot read: {e}")))?;
        toml::from_str(&text).map_err(|e| Error::file(path, one_line(&text, &e)))
    }

    /// The settings as TOML.
    pub fn to_toml(&self) -> String {
        toml::to_string(self).expect("every value of a checked configuration has a TOML form")
    }

    /// The settings that determine the weights: without where the data lies, and without the number of threads.
    pub fn of_weights(&self) -> Config {
        Config { data: None, threads: None, ..self.clone() }
    }

    /// The model for images of so many pixels.
    pub fn architecture(&self, pixels: usize) -> Architecture {
        let Config { ref hidden, latent, activation, .. } = *self;
        Architecture { pixels, hidden: hidden.clone(), latent, activation }
    }

    /// Checks every setting by itself.
    ///
    /// # Errors
    /// The first that is out of its range, by the name of its argument.
    pub fn check(&self) -> Result<()> {
        let at_least_one = |name: &str, value: usize| match value {
            0 => Err(Error::Usage(format!("--{name}: expected at least 1, found 0"))),
            _ => Ok(()),
        };
        at_least_one("epochs", usize::try_from(self.epochs).unwrap_or(usize::MAX))?;
        at_least_one("batch", self.batch)?;
        at_least_one("latent", self.latent)?;
        self.hidden.iter().try_for_each(|&units| at_least_one("hidden", units))?;
        self.limit.map_or(Ok(()), |n| at_least_one("limit", n))?;
        self.threads.map_or(Ok(()), |n| at_least_one("threads", n))?;
        let number = |name: &str, value: f64, range: &str, good: bool| match good && value.is_finite() {
            true => Ok(()),
            false => Err(Error::Usage(format!("--{name}: expected {range}, found {value}"))),
        };
        number("lr", self.lr, "a positive number", self.lr > 0.0)?;
        number("beta", self.beta, "a number of at least 0", self.beta >= 0.0)?;
        number("weight-decay", self.weight_decay, "a number of at least 0", self.weight_decay >= 0.0)?;
        if i64::try_from(self.seed).is_err() {
            return Err(Error::Usage(format!("--seed: expected at most {}, found {}", i64::MAX, self.seed)));
        }
        if let Some(n) = self.threads.filter(|&n| n > 1024) {
            return Err(Error::Usage(format!("--threads: expected at most 1024, found {n}")));
        }
        Ok(())
    }

    /// Checks that a model for images of so many pixels fits in memory.
    ///
    /// # Errors
    /// If it does not.
    pub fn check_size(&self, pixels: usize) -> Result<()> {
        let architecture = self.architecture(pixels);
        match architecture.count() {
            Some(count) if count <= MOST_PARAMETERS => Ok(()),
            _ => Err(Error::Usage(format!(
                "--hidden, --latent: expected a model of at most {MOST_PARAMETERS} parameters, found {architecture}"
            ))),
        }
    }
}

/// The message of a TOML error with the number of its line, without the excerpt.
pub(crate) fn one_line(text: &str, error: &toml::de::Error) -> String {
    let line = error.span().map(|span| 1 + text[..span.start.min(text.len())].matches('\n').count());
    let place = line.map_or(String::new(), |line| format!("line {line}: "));
    format!("{place}{}", error.message().replace('\n', ", "))
}

/// Stores a value as the name it is displayed as.
mod by_name {
    use std::fmt::Display;
    use std::str::FromStr;

    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(value: &impl Display, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(value)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>, V: FromStr<Err = String>>(d: D) -> Result<V, D::Error> {
        String::deserialize(d)?.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_read_as_they_were_written() {
        let config = Config {
            hidden: vec![500, 300],
            lr: 3e-4,
            binarize: Pixels::Dynamic,
            activation: Activation::Tanh,
            precision: Precision::Bf16,
            limit: Some(2000),
            data: Some("some where".into()),
            threads: Some(2),
            seed: i64::MAX as u64,
            ..Config::default()
        };
        assert_eq!(toml::from_str::<Config>(&config.to_toml()).unwrap(), config);
        assert_eq!(toml::from_str::<Config>("").unwrap(), Config::default());
    }

    #[test]
    fn a_setting_out_of_range_is_refused_by_the_name_of_its_argument() {
        let message = |toml: &str| toml::from_str::<Config>(toml).unwrap().check().unwrap_err().to_string();
        assert_eq!(message("latent = 0"), "--latent: expected at least 1, found 0");
        assert_eq!(message("batch = 0"), "--batch: expected at least 1, found 0");
        assert_eq!(message("hidden = [400, 0]"), "--hidden: expected at least 1, found 0");
        assert_eq!(message("lr = 0.0"), "--lr: expected a positive number, found 0");
        assert_eq!(message("lr = nan"), "--lr: expected a positive number, found NaN");
        assert_eq!(message("beta = -1.0"), "--beta: expected a number of at least 0, found -1");
        assert_eq!(message("weight_decay = inf"), "--weight-decay: expected a number of at least 0, found inf");
        assert!(Config::default().check().is_ok());
        let huge = Config { hidden: vec![1 << 40, 1 << 40], ..Config::default() };
        assert!(huge.check_size(784).unwrap_err().to_string().contains("at most 268435456 parameters"));
    }

    #[test]
    fn a_mistake_in_a_file_is_one_line_with_the_file_and_its_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("c.toml");
        let problem = |text: &str| {
            fs::write(&path, text).unwrap();
            let error = Config::read(&path).unwrap_err().to_string();
            error.strip_prefix(&format!("{}: ", path.display())).unwrap().to_string()
        };
        let unknown = problem("epochs = 3\nlatnt = 5");
        assert!(unknown.starts_with("line 2: unknown field `latnt`, expected one of"), "{unknown}");
        assert!(problem("epochs = ").starts_with("line 1: "));
        let expected = "line 2: expected one of identity, relu, tanh, sigmoid, softplus, found `swish`";
        assert_eq!(problem("epochs = 3\nactivation = 'swish'"), expected);
        assert_eq!(problem("precision = 'half'"), "line 1: expected one of single, bf16, found `half`");
        assert!(!problem("a\n\n=\u{7}").contains('\n'));
    }
}
