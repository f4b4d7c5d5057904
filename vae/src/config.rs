//! Everything that can be set about a run.

use std::path::{Path, PathBuf};

use autograd::{Activation, Precision};
use datasets::{Images, Pixels};
use serde::{Deserialize, Serialize};

use crate::checkpoint::Every;
use crate::distributions::{Family, Meaning};
use crate::error::{Error, Result};
use crate::files::read_text;
use crate::models::Architecture;
use crate::objective::{Estimator, Objective};
use crate::schedule::{Schedule, Warmup};

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
    /// How the learning rate changes.
    #[serde(with = "by_name")]
    pub schedule: Schedule,
    /// Adam's `(β₁, β₂)`.
    pub adam_betas: (f64, f64),
    /// Adam's `ε`.
    pub adam_eps: f64,
    /// The largest norm of a gradient; longer ones are shortened to it. Any if not set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clip: Option<f64>,
    /// What bound training follows, by which estimate of its gradient.
    #[serde(with = "by_name")]
    pub objective: Estimator,
    /// Samples of `q(z | x)` for each image in a training step.
    pub k: usize,
    /// What the KL divergence is multiplied by in the training objective.
    pub beta: f64,
    /// How the KL divergence comes to that weight; it has it from the start if not set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kl_warmup: Option<Warmup>,
    /// What the KL of a latent dimension may be without costing more, in nats.
    pub free_bits: f64,
    /// Decoupled weight decay.
    pub weight_decay: f64,
    /// What the operands of matrix products are rounded to in training.
    #[serde(with = "by_name")]
    pub precision: Precision,
    /// Grey levels, or black and white.
    #[serde(with = "by_name")]
    pub binarize: Pixels,
    /// The distribution of the pixels, `p(x | z)`; that of the data's kind if not set ([`Config::settle`]).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub likelihood: Option<Family>,
    /// Whether the decoder's output starts at the mean image; if not set, where pixels are black and white and the
    /// likelihood is Bernoulli ([`Config::settle`]).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub init_bias: Option<bool>,
    /// What all randomness is derived from.
    pub seed: u64,
    /// How many of the training images are used; all if not set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
    /// A folder or file with data, as [`datasets::open()`] reads them, or the name of a set in the catalogue; the built-in MNIST
    /// if not set. In TOML, a path that is no UTF-8 is a URI: `file:///data/caf%E9`.
    #[serde(with = "crate::path_text", skip_serializing_if = "Option::is_none")]
    pub data: Option<PathBuf>,
    /// Height and width that pictures are resized to, and that the rows of a matrix have; as the data are if not set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image_size: Option<(usize, usize)>,
    /// 1 if pictures are to be grey, 3 if coloured; as the data are if not set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channels: Option<usize>,
    /// The array of a .npz, or the set of IDX files, that is read where there are several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Threads; one per core if not set. It changes the time and nothing else.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub threads: Option<usize>,
    /// How often a checkpoint is written; every 30 seconds if not set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub checkpoint_every: Option<Every>,
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
            schedule: Schedule::Constant,
            adam_betas: (0.9, 0.999),
            adam_eps: 1e-8,
            clip: None,
            objective: Estimator::Elbo,
            k: 1,
            beta: 1.0,
            kl_warmup: None,
            free_bits: 0.0,
            weight_decay: 0.0,
            precision: Precision::Single,
            binarize: Pixels::Grey,
            likelihood: None,
            init_bias: None,
            seed: 1,
            limit: None,
            data: None,
            image_size: None,
            channels: None,
            key: None,
            threads: None,
            checkpoint_every: None,
        }
    }
}

/// No configuration is longer, in bytes: each may take some eighty in memory.
pub(crate) const LONGEST: u64 = 1 << 16;

/// More parameters than this take more than 4 GiB with their gradients and moments.
pub(crate) const MOST_PARAMETERS: usize = 1 << 28;

/// A tape with more numbers in its largest matrix takes some 4 GiB.
const MOST_OUTPUTS: usize = 1 << 28;

/// TOML holds no larger integer.
const MOST: u64 = i64::MAX as u64;

/// More hidden layers than this are a mistake.
const MOST_LAYERS: usize = 100;

impl Config {
    /// Reads a TOML file; what it does not set keeps its default.
    ///
    /// # Errors
    /// If the file cannot be read, is not TOML, sets something that does not exist, or to a value out of its range.
    pub fn read(path: &Path) -> Result<Config> {
        let text = read_text(path, LONGEST)?;
        let config = Config::parse(&text).map_err(|problem| Error::file(path, problem))?;
        config.check().map_err(|e| Error::file(path, e))?;
        Ok(config)
    }

    /// The settings in a text in TOML, not yet checked.
    ///
    /// # Errors
    /// What is wrong with it, and in which line.
    pub fn parse(text: &str) -> std::result::Result<Config, String> {
        toml::from_str(text).map_err(|e| one_line(text, &e))
    }

    /// The settings as TOML.
    pub fn to_toml(&self) -> String {
        toml::to_string(self).expect("every value of a checked configuration has a TOML form")
    }

    /// The settings that determine the weights: without where the data lies, and without what only changes the time.
    pub fn of_weights(&self) -> Config {
        Config { data: None, threads: None, checkpoint_every: None, ..self.clone() }
    }

    /// These settings, but the architecture of those, and the size of their images.
    pub fn with_architecture(&self, of: &Config) -> Config {
        let Config { hidden, latent, activation, likelihood, image_size, channels, .. } = of.clone();
        Config { hidden, latent, activation, likelihood, image_size, channels, ..self.clone() }
    }

    /// What training follows.
    pub fn objective(&self) -> Objective {
        let Config { objective: estimator, k, beta, kl_warmup, free_bits, .. } = *self;
        Objective { estimator, k, weighted: beta != 1.0 || kl_warmup.is_some(), free_bits }
    }

    /// The first setting, in alphabetical order, that makes a run with the other one another run: its name and both
    /// values. How many epochs there are to be does not count, for a run may be made longer, unless the learning rate depends
    /// on it from the start.
    pub fn difference(&self, other: &Config) -> Option<(String, [String; 2])> {
        let table = |config: &Config| {
            let epochs = if config.schedule == Schedule::Constant { 0 } else { config.epochs };
            let config = Config { epochs, ..config.of_weights() };
            config.to_toml().parse::<toml::Table>().expect("what was just written")
        };
        let (ours, theirs) = (table(self), table(other));
        let name = ours.keys().chain(theirs.keys()).filter(|&name| ours.get(name) != theirs.get(name)).min()?;
        let value = |table: &toml::Table| table.get(name).map_or("not set".to_string(), toml::Value::to_string);
        Some((name.clone(), [value(&ours), value(&theirs)]))
    }

    /// What is wished of the data.
    pub fn data_options(&self) -> datasets::Options {
        datasets::Options { image_size: self.image_size, channels: self.channels, key: self.key.clone() }
    }

    /// The model for images of so many pixels.
    pub fn architecture(&self, pixels: usize) -> Architecture {
        let Config { ref hidden, latent, activation, .. } = *self;
        Architecture { pixels, hidden: hidden.clone(), latent, activation, family: self.family() }
    }

    /// The distribution of the pixels; Bernoulli, where nothing was set or settled.
    pub fn family(&self) -> Family {
        self.likelihood.unwrap_or(Family::Bernoulli)
    }

    /// Whether a model sees nothing but black and white in these images: there is nothing else, or it is made so.
    pub fn sees_black_and_white(&self, images: &Images) -> bool {
        self.binarize != Pixels::Grey || images.are_black_and_white()
    }

    /// What `−log p(x | z)` is of these images.
    ///
    /// # Errors
    /// If it is nothing: why.
    pub fn meaning(&self, images: &Images) -> std::result::Result<Meaning, &'static str> {
        self.family().meaning(self.sees_black_and_white(images))
    }

    /// Settles what depends on the images and was left open: levels of colours are Gaussian, all else is Bernoulli, and if it is
    /// black and white, the decoder's output starts at the mean.
    ///
    /// # Errors
    /// If the likelihood says nothing of black and white, and there is nothing else.
    pub fn settle(&mut self, images: &Images) -> Result<()> {
        let black_and_white = self.sees_black_and_white(images);
        let coloured = images.size().channels > 1 && !black_and_white;
        let family = *self.likelihood.get_or_insert(if coloured { Family::Gaussian } else { Family::Bernoulli });
        self.meaning(images).map_err(|why| {
            let found = match self.binarize {
                Pixels::Grey => "images that are all black and white".to_string(),
                binarize => format!("--binarize {binarize}"),
            };
            Error::Usage(format!("--likelihood {}: expected grey levels, found {found}: {why}", family.name()))
        })?;
        self.init_bias.get_or_insert(family == Family::Bernoulli && black_and_white);
        Ok(())
    }

    /// Checks every setting by itself.
    ///
    /// # Errors
    /// The first that is out of its range, by the name of its argument.
    pub fn check(&self) -> Result<()> {
        let from = |least: u64, name: &str, value: u64| match value {
            _ if value < least => Err(Error::Usage(format!("--{name}: expected at least {least}, found {value}"))),
            _ if value > MOST => Err(Error::Usage(format!("--{name}: expected at most {MOST}, found {value}"))),
            _ => Ok(()),
        };
        let at_least_one = |name: &str, value: usize| from(1, name, value as u64);
        from(1, "epochs", self.epochs)?;
        from(0, "seed", self.seed)?;
        at_least_one("batch", self.batch)?;
        at_least_one("latent", self.latent)?;
        at_least_one("k", self.k)?;
        if self.hidden.len() > MOST_LAYERS {
            let found = self.hidden.len();
            return Err(Error::Usage(format!("--hidden: expected at most {MOST_LAYERS} layers, found {found}")));
        }
        self.hidden.iter().try_for_each(|&units| at_least_one("hidden", units))?;
        self.limit.map_or(Ok(()), |n| at_least_one("limit", n))?;
        self.threads.map_or(Ok(()), |n| at_least_one("threads", n))?;
        let sides = self.image_size.map_or([1, 1], |(height, width)| [height, width]);
        sides.iter().try_for_each(|&side| at_least_one("image-size", side))?;
        if let Some(channels) = self.channels.filter(|channels| ![1, 3].contains(channels)) {
            return Err(Error::Usage(format!("--channels: expected 1 or 3, found {channels}")));
        }
        let number = |name: &str, value: f64, range: &str, good: bool| match good && value.is_finite() {
            true => Ok(()),
            false => Err(Error::Usage(format!("--{name}: expected {range}, found {value}"))),
        };
        number("lr", self.lr, "a positive number", self.lr > 0.0)?;
        number("beta", self.beta, "a number of at least 0", self.beta >= 0.0)?;
        number("free-bits", self.free_bits, "a number of at least 0", self.free_bits >= 0.0)?;
        number("clip", self.clip.unwrap_or(1.0), "a positive number", self.clip.is_none_or(|most| most > 0.0))?;
        number("adam-eps", self.adam_eps, "a positive number", self.adam_eps > 0.0)?;
        for beta in [self.adam_betas.0, self.adam_betas.1] {
            number("adam-betas", beta, "numbers from 0 to less than 1", (0.0..1.0).contains(&beta))?;
        }
        if self.free_bits > 0.0 && self.objective != Estimator::Elbo {
            let found = format!("expected --objective elbo, found {}", self.objective);
            return Err(Error::Usage(format!("--free-bits: {found}, which has no KL of each dimension")));
        }
        if let (Some(true), Some(family)) =
            (self.init_bias, self.likelihood.filter(|family| !family.is_logit_of_mean()))
        {
            let expected = "expected a likelihood whose outputs are the logits of means";
            return Err(Error::Usage(format!("--init-bias: {expected}, found {}", family.name())));
        }
        number("weight-decay", self.weight_decay, "a number of at least 0", self.weight_decay >= 0.0)?;
        if let Some(n) = self.threads.filter(|&n| n > 1024) {
            return Err(Error::Usage(format!("--threads: expected at most 1024, found {n}")));
        }
        Ok(())
    }

    /// Checks that a model for these images and a training step fit in memory.
    ///
    /// # Errors
    /// If they do not.
    pub fn check_size(&self, images: &Images) -> Result<()> {
        let architecture = self.architecture(images.size().count());
        let outputs = architecture.family.outputs(architecture.pixels);
        let numbers = self.batch.min(images.len()).checked_mul(self.k).and_then(|rows| rows.checked_mul(outputs));
        if numbers.is_none_or(|numbers| numbers > MOST_OUTPUTS) {
            let of = format!("{outputs} outputs for each of {} images and {} samples", self.batch, self.k);
            return Err(Error::Usage(format!("--batch, --k: expected at most {MOST_OUTPUTS} outputs, found {of}")));
        }
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
    let message = error.message();
    let message = nearest_known(message).unwrap_or_else(|| message.replace('\n', ", "));
    format!("{place}{message}")
}

/// The message of serde about an unknown field, with the known one that is spelled most like it instead of all.
fn nearest_known(message: &str) -> Option<String> {
    let mut names = message.strip_prefix("unknown field ")?.split('`').skip(1).step_by(2);
    // As much of it as may be a mistyped one: comparing takes a hundred bytes for each letter.
    let unknown: String = names.next()?.chars().take(100).collect();
    let nearest = names.min_by_key(|known| strsim::damerau_levenshtein(known, &unknown))?;
    Some(format!("unknown setting `{unknown}`; the nearest known one is `{nearest}`"))
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
    use datasets::Size;
    use std::fs;

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
            image_size: Some((48, 64)),
            channels: Some(3),
            key: Some("letters".into()),
            threads: Some(2),
            checkpoint_every: Some(Every::Epochs(2)),
            likelihood: Some(Family::Bernoulli),
            init_bias: Some(true),
            schedule: Schedule::Burda,
            adam_betas: (0.5, 0.9),
            clip: Some(1.0),
            objective: Estimator::Dreg,
            k: 7,
            kl_warmup: Some(Warmup::Cyclical { epochs: 4 }),
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
        let layers = format!("hidden = [{}]", "1,".repeat(101));
        assert_eq!(message(&layers), "--hidden: expected at most 100 layers, found 101");
        assert_eq!(message("lr = 0.0"), "--lr: expected a positive number, found 0");
        assert_eq!(message("lr = nan"), "--lr: expected a positive number, found NaN");
        assert_eq!(message("beta = -1.0"), "--beta: expected a number of at least 0, found -1");
        assert_eq!(message("weight_decay = inf"), "--weight-decay: expected a number of at least 0, found inf");
        assert_eq!(message("image_size = [0, 5]"), "--image-size: expected at least 1, found 0");
        assert_eq!(message("channels = 2"), "--channels: expected 1 or 3, found 2");
        assert!(Config::default().check().is_ok());
        assert_eq!(message("k = 0"), "--k: expected at least 1, found 0");
        assert_eq!(message("clip = 0.0"), "--clip: expected a positive number, found 0");
        assert_eq!(message("adam_eps = 0.0"), "--adam-eps: expected a positive number, found 0");
        assert_eq!(message("adam_betas = [0.9, 1.0]"), "--adam-betas: expected numbers from 0 to less than 1, found 1");
        assert_eq!(
            message("free_bits = 0.5\nobjective = 'iwae'"),
            "--free-bits: expected --objective elbo, found iwae, which has no KL of each dimension"
        );
        assert_eq!(
            message("init_bias = true\nlikelihood = 'categorical'"),
            "--init-bias: expected a likelihood whose outputs are the logits of means, found categorical"
        );
        let images = Images::new(vec![0; 20 * 784], datasets::Size::grey(28, 28), vec![0; 20]).unwrap();
        let size = |config: Config| config.check_size(&images).unwrap_err().to_string();
        let huge = Config { hidden: vec![1 << 40, 1 << 40], ..Config::default() };
        assert!(size(huge).contains("at most 268435456 parameters"));
        let found = size(Config { k: 1_000_000, ..Config::default() });
        assert!(
            found.starts_with("--batch, --k: expected at most 268435456 outputs, found 784 outputs for each"),
            "{found}"
        );
    }

    #[test]
    fn a_likelihood_of_grey_levels_is_refused_wherever_there_are_none() {
        let images = |size: Size, pixels: [u8; 2]| {
            let numbers = pixels.iter().copied().cycle().take(4 * size.count()).collect();
            Images::new(numbers, size, vec![0; 4]).unwrap()
        };
        let settled = |family: Option<Family>, binarize: Pixels, images: &Images| {
            let mut config = Config { likelihood: family, binarize, ..Config::default() };
            config.settle(images).map(|()| (config.family(), config.init_bias)).map_err(|e| e.to_string())
        };
        for size in [Size::grey(2, 2), Size { channels: 3, ..Size::grey(2, 2) }] {
            let [grey, binary] = [[0, 7], [0, 255]].map(|pixels| images(size, pixels));
            for family in Family::ALL {
                assert!(settled(Some(family), Pixels::Grey, &grey).is_ok(), "{family}");
                let refused = [
                    settled(Some(family), Pixels::Threshold, &grey),
                    settled(Some(family), Pixels::Dynamic, &grey),
                    settled(Some(family), Pixels::Grey, &binary),
                ];
                let expected = family.meaning(true).is_err();
                assert!(refused.iter().all(|refused| refused.is_err() == expected), "{family}: {refused:?}");
            }
            assert_eq!(
                settled(Some(Family::Gaussian), Pixels::Dynamic, &grey).unwrap_err(),
                "--likelihood gaussian: expected grey levels, found --binarize dynamic: its density has no bound"
            );
            assert_eq!(
                settled(Some(Family::Multinomial), Pixels::Grey, &binary).unwrap_err(),
                "--likelihood multinomial: expected grey levels, found images that are all black and white: \
                 all counts are 0 or 255"
            );
            assert_eq!(settled(None, Pixels::Grey, &binary), Ok((Family::Bernoulli, Some(true))));
            assert_eq!(settled(None, Pixels::Dynamic, &grey), Ok((Family::Bernoulli, Some(true))));
        }
        assert_eq!(
            settled(None, Pixels::Grey, &images(Size::grey(2, 2), [0, 7])),
            Ok((Family::Bernoulli, Some(false)))
        );
        let coloured = images(Size { channels: 3, ..Size::grey(2, 2) }, [0, 7]);
        assert_eq!(settled(None, Pixels::Grey, &coloured), Ok((Family::Gaussian, Some(false))));
    }

    #[test]
    fn runs_differ_by_what_determines_their_weights_except_for_their_length() {
        let config = Config::default();
        let longer = Config { epochs: 99, threads: Some(3), data: Some("x".into()), ..Config::default() };
        assert_eq!(config.difference(&longer), None);
        let cosine = |epochs| Config { epochs, schedule: Schedule::Cosine, ..Config::default() };
        assert_eq!(cosine(5).difference(&cosine(6)), Some(("epochs".into(), ["5".into(), "6".into()])));
        let other = Config { latent: 3, hidden: vec![5], ..Config::default() };
        assert_eq!(config.difference(&other), Some(("hidden".into(), ["[400]".into(), "[5]".into()])));
        let limited = Config { limit: Some(5), ..Config::default() };
        assert_eq!(config.difference(&limited), Some(("limit".into(), ["not set".into(), "5".into()])));
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
        assert_eq!(unknown, "line 2: unknown setting `latnt`; the nearest known one is `latent`");
        assert!(problem("wieght_decay = 1").ends_with("`wieght_decay`; the nearest known one is `weight_decay`"));
        assert_eq!(problem("latent = 0"), "--latent: expected at least 1, found 0");
        let every = "expected steps as 20, epochs as 2e or seconds as 30s, found `often`";
        assert_eq!(problem("checkpoint_every = 'often'"), format!("line 1: {every}"));
        assert!(problem("epochs = ").starts_with("line 1: "));
        let expected = "line 2: expected one of identity, relu, tanh, sigmoid, softplus, found `swish`";
        assert_eq!(problem("epochs = 3\nactivation = 'swish'"), expected);
        assert_eq!(problem("precision = 'half'"), "line 1: expected one of single, bf16, found `half`");
        assert!(!problem("a\n\n=\u{7}").contains('\n'));
    }
}
