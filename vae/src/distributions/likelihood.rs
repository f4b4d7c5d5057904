//! What a decoder says about images: the families of distributions there are to choose from.

use std::fmt;
use std::str::FromStr;

use autograd::{Grads, Param, Params, Real, Var, View};
use datasets::Generator;
use ndarray::{Array2, Axis};
use serde::{Deserialize, Serialize};

use super::gaussian_pixels::optimal_log_var;
use super::{
    Bernoulli, Categorical, ContinuousBernoulli, DiscretizedLogistic, Distribution, GaussianFixed, GaussianPerPixel,
    GaussianPixels, Multinomial,
};

/// The families by name.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Family {
    /// [`Bernoulli`]: black and white; of grey levels a cross-entropy, and no likelihood.
    Bernoulli,
    /// [`ContinuousBernoulli`]: grey levels, denser towards one end.
    ContinuousBernoulli,
    /// [`GaussianPixels`]: grey levels and colours, with one variance that is learned.
    Gaussian,
    /// [`GaussianFixed`]: grey levels and colours, with one variance that is given.
    GaussianFixed {
        /// The standard deviation, positive.
        std: f64,
    },
    /// [`GaussianPerPixel`]: grey levels and colours, each number with a variance from the decoder.
    GaussianPerPixel,
    /// [`DiscretizedLogistic`]: 8-bit levels, each number with a scale from the decoder.
    DiscretizedLogistic,
    /// [`Categorical`]: levels, each with a probability from the decoder.
    Categorical {
        /// How many, a power of two from 2 to 256.
        levels: usize,
    },
    /// [`Multinomial`]: 8-bit levels as counts, of which the decoder says how they are divided among the numbers.
    Multinomial,
}

/// What `−log p(x | z)` is of the data that a model learns from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Meaning {
    /// A probability: at least 0, and comparable between all families that give one of the same data.
    Probability,
    /// A density, of numbers that have 255 levels in a length of 1: negative where it is above 1. It is comparable between
    /// densities; `ln 255` more per number is about the probability of the 8-bit level.
    Density,
    /// A loss that is no likelihood of the data.
    CrossEntropy,
}

impl Meaning {
    /// The bits of a probability that so many nats are, both per number of an image. A density of 8-bit data is first made the
    /// probability of a level, over which it is taken to be even: a length of 1/255, so `log₂ 255` bits more. `None` where there
    /// is no such probability: of a cross-entropy, and of a density so high that a level would be more than certain.
    pub fn bits(self, nats: f64) -> Option<f64> {
        let bits = nats / std::f64::consts::LN_2;
        let bits = match self {
            Meaning::Probability => bits,
            Meaning::Density => bits + COUNTS.log2(),
            Meaning::CrossEntropy => return None,
        };
        (bits >= 0.0).then_some(bits)
    }
}

/// Counts per unit of `x`, of numbers that are counted: an 8-bit level is as many counts.
const COUNTS: f64 = 255.0;

impl Family {
    /// All of them, with the constants that they have if none is given.
    pub const ALL: [Family; 8] = [
        Family::Bernoulli,
        Family::ContinuousBernoulli,
        Family::Gaussian,
        Family::GaussianFixed { std: 0.1 },
        Family::GaussianPerPixel,
        Family::DiscretizedLogistic,
        Family::Categorical { levels: 256 },
        Family::Multinomial,
    ];

    /// Its name, without its constant.
    pub fn name(self) -> &'static str {
        match self {
            Family::Bernoulli => "bernoulli",
            Family::ContinuousBernoulli => "continuous-bernoulli",
            Family::Gaussian => "gaussian",
            Family::GaussianFixed { .. } => "gaussian-fixed",
            Family::GaussianPerPixel => "gaussian-pixel",
            Family::DiscretizedLogistic => "discretized-logistic",
            Family::Categorical { .. } => "categorical",
            Family::Multinomial => "multinomial",
        }
    }

    /// What it says of pixels that are all black or white, or of grey ones.
    ///
    /// # Errors
    /// If it says nothing of black and white ones: why.
    pub fn meaning(self, black_and_white: bool) -> Result<Meaning, &'static str> {
        match (self, black_and_white) {
            (Family::Bernoulli, false) => Ok(Meaning::CrossEntropy),
            (Family::Multinomial, true) => Err("all counts are 0 or 255"),
            (Family::Bernoulli | Family::DiscretizedLogistic | Family::Categorical { .. } | Family::Multinomial, _) => {
                Ok(Meaning::Probability)
            }
            (_, false) => Ok(Meaning::Density),
            (_, true) => Err("its density has no bound"),
        }
    }

    /// Of what, in a number of an image, its probability is: that of pixels that are all black or white, or of grey ones.
    pub fn outcome(self, black_and_white: bool) -> String {
        match self {
            _ if black_and_white => "black or white".into(),
            Family::Categorical { levels } if levels < 256 => format!("one of {levels} levels"),
            Family::Multinomial => "its 8-bit level, where the sum of all is known".into(),
            _ => "its 8-bit level".into(),
        }
    }

    /// Whether the decoder's output is, for each number, the logit of its mean.
    pub fn is_logit_of_mean(self) -> bool {
        matches!(self, Family::Bernoulli | Family::Gaussian | Family::GaussianFixed { .. })
    }

    /// How many outputs of the decoder describe an image of so many numbers; the largest number there is if that
    /// overflows.
    pub fn outputs(self, numbers: usize) -> usize {
        match self {
            Family::GaussianPerPixel | Family::DiscretizedLogistic => numbers.saturating_mul(2),
            Family::Categorical { levels } => numbers.saturating_mul(levels),
            _ => numbers,
        }
    }

    /// The family's place in a model; what it learns beside the decoder's layers is appended to `params`.
    pub fn build(self, params: &mut Params) -> Likelihood {
        match self {
            Family::Bernoulli => Likelihood::Bernoulli,
            Family::ContinuousBernoulli => Likelihood::ContinuousBernoulli,
            Family::Gaussian => Likelihood::Gaussian { log_var: params.add("pixels.log_var", Array2::zeros((1, 1))) },
            Family::GaussianFixed { std } => Likelihood::GaussianFixed { std },
            Family::GaussianPerPixel => Likelihood::GaussianPerPixel,
            Family::DiscretizedLogistic => Likelihood::DiscretizedLogistic,
            Family::Categorical { levels } => Likelihood::Categorical { levels },
            Family::Multinomial => Likelihood::Multinomial,
        }
    }

    /// With few levels, for tests.
    #[cfg(test)]
    pub(crate) fn small(self) -> Family {
        match self {
            Family::Categorical { .. } => Family::Categorical { levels: 4 },
            other => other,
        }
    }

    /// How many numbers it learns beside the decoder's layers.
    pub fn parameters(self) -> usize {
        match self {
            Family::Gaussian => 1,
            _ => 0,
        }
    }
}

/// A family with its parameters in a model.
#[derive(Clone, Copy, Debug)]
pub enum Likelihood {
    /// Nothing beside the decoder's output.
    Bernoulli,
    /// Nothing beside the decoder's output.
    ContinuousBernoulli,
    /// The logarithm of the variance is a parameter, set to its optimum after each update.
    Gaussian {
        /// `s = ln σ²`, `[1, 1]`
        log_var: Param,
    },
    /// A constant.
    GaussianFixed {
        /// The standard deviation.
        std: f64,
    },
    /// The decoder's output is `[l  s]`.
    GaussianPerPixel,
    /// The decoder's output is `[l  t]`.
    DiscretizedLogistic,
    /// The decoder's output has the logits of each number's levels side by side.
    Categorical {
        /// How many levels there are.
        levels: usize,
    },
    /// Nothing beside the decoder's output.
    Multinomial,
}

impl Likelihood {
    /// `p(x | z)` from the decoder's output `l`, `[batch, outputs]`.
    pub fn of<'r, T: Real>(&self, l: Var<'r, T>) -> Observation<'r, T> {
        let half = l.shape()[1] / 2;
        let halves = || [l.columns(0..half), l.columns(half..2 * half)];
        match *self {
            Likelihood::Bernoulli => Observation::Bernoulli(Bernoulli { logits: l }),
            Likelihood::ContinuousBernoulli => Observation::ContinuousBernoulli(ContinuousBernoulli { logits: l }),
            Likelihood::Gaussian { log_var } => {
                Observation::Gaussian(GaussianPixels { logits: l, log_var: l.recorder().param(log_var) })
            }
            Likelihood::GaussianFixed { std } => Observation::GaussianFixed(GaussianFixed { logits: l, std }),
            Likelihood::GaussianPerPixel => {
                let [logits, log_var] = halves();
                Observation::GaussianPerPixel(GaussianPerPixel { logits, log_var })
            }
            Likelihood::DiscretizedLogistic => {
                let [location, log_scale] = halves();
                Observation::DiscretizedLogistic(DiscretizedLogistic { location, log_scale })
            }
            Likelihood::Categorical { levels } => Observation::Categorical(Categorical { logits: l, levels }),
            Likelihood::Multinomial => Observation::Multinomial(Multinomial { logits: l }),
        }
    }

    /// As [`of`](Likelihood::of), with each of an image's `n` numbers a row by itself: `[batch · n, 1]`, image after image.
    /// `None` if they are not independent given the decoder's output.
    pub fn of_each_number<'r, T: Real>(&self, l: Var<'r, T>, n: usize) -> Option<Observation<'r, T>> {
        let column = |l: Var<'r, T>| l.reshape([l.shape()[0] * n, 1]);
        match *self {
            Likelihood::Multinomial => None,
            Likelihood::GaussianPerPixel | Likelihood::DiscretizedLogistic => {
                Some(self.of(column(l.columns(0..n)).join(column(l.columns(n..2 * n)))))
            }
            Likelihood::Categorical { levels } => Some(self.of(l.reshape([l.shape()[0] * n, levels]))),
            _ => Some(self.of(column(l))),
        }
    }

    /// A draw from `p(x | z)` for each row of the decoder's output `l`: `[batch, numbers]`. Of counts nothing says how many
    /// there are: as many as in `like`, images of this shape.
    ///
    /// # Panics
    /// If `like` has another number of rows.
    pub fn sample(&self, params: &Params, l: View<f32>, like: View<f32>, randomness: &mut Generator) -> Array2<f32> {
        let (left, right) = l.split_at(Axis(1), l.ncols() / 2);
        match *self {
            Likelihood::Bernoulli => Bernoulli::sample(l, randomness),
            Likelihood::ContinuousBernoulli => ContinuousBernoulli::sample(l, randomness),
            Likelihood::Gaussian { log_var } => GaussianPixels::sample(l, params.view(log_var)[[0, 0]], randomness),
            Likelihood::GaussianFixed { std } => GaussianFixed::sample(l, std as f32, randomness),
            Likelihood::GaussianPerPixel => GaussianPerPixel::sample(left, right, randomness),
            Likelihood::DiscretizedLogistic => DiscretizedLogistic::sample(left, right, randomness),
            Likelihood::Categorical { levels } => Categorical::sample(l, levels, randomness),
            Likelihood::Multinomial => {
                let counts = like.sum_axis(Axis(1)).mapv(|sum| (f64::from(sum) * COUNTS).round() as u64);
                let draws = counts.to_vec();
                Multinomial::sample(l, &draws, randomness) / COUNTS as f32
            }
        }
    }

    /// Takes out of a gradient what training does not follow, but sets to its [`optimum`](Likelihood::optimum): it is no part
    /// of the step, and so none of the gradient's norm or noise.
    pub fn keep_what_is_followed(&self, grads: &mut Grads) {
        if let Likelihood::Gaussian { log_var } = *self {
            let range = grads.layout.range(log_var);
            grads.flat[range].fill(0.0);
        }
    }

    /// What training sets after its update number `t` (from 1) instead of following the gradient: a parameter and its
    /// number, from the state before the update, for images of `n` numbers.
    pub fn optimum(&self, n: usize, params: &Params, grads: &Grads, t: u64) -> Option<(Param, f32)> {
        match *self {
            Likelihood::Gaussian { log_var } => Some((log_var, optimal_log_var(log_var, n, params, grads, t))),
            _ => None,
        }
    }
}

/// `p(x | z)`, of whatever family.
#[derive(Clone, Copy, Debug)]
pub enum Observation<'r, T: Real = f32> {
    /// Black and white pixels.
    Bernoulli(Bernoulli<'r, T>),
    /// Grey levels, denser towards one end.
    ContinuousBernoulli(ContinuousBernoulli<'r, T>),
    /// Pixels with noise of one variance.
    Gaussian(GaussianPixels<'r, T>),
    /// Pixels with noise of a given variance.
    GaussianFixed(GaussianFixed<'r, T>),
    /// Pixels with noise of their own variance.
    GaussianPerPixel(GaussianPerPixel<'r, T>),
    /// 8-bit levels with noise of their own scale.
    DiscretizedLogistic(DiscretizedLogistic<'r, T>),
    /// Levels of any probabilities.
    Categorical(Categorical<'r, T>),
    /// Levels as counts.
    Multinomial(Multinomial<'r, T>),
}

impl<'r, T: Real> Observation<'r, T> {
    /// The mean of each number, between 0 and 1: what is shown of it. Of counts, the mean over the largest: nothing says how
    /// many there are, so the picture has the right shades but for one factor.
    pub fn mean(&self) -> Var<'r, T> {
        match self {
            Observation::Bernoulli(p) => p.mean(),
            Observation::ContinuousBernoulli(p) => p.mean(),
            Observation::Gaussian(p) => p.mean(),
            Observation::GaussianFixed(p) => p.mean(),
            Observation::GaussianPerPixel(p) => p.mean(),
            Observation::DiscretizedLogistic(p) => p.mean(),
            Observation::Categorical(p) => p.mean(),
            Observation::Multinomial(p) => p.mean_over_largest(),
        }
    }
}

impl<'r, T: Real> Distribution<'r, T> for Observation<'r, T> {
    fn log_prob(&self, x: Var<'r, T>) -> Var<'r, T> {
        match self {
            Observation::Bernoulli(p) => p.log_prob(x),
            Observation::ContinuousBernoulli(p) => p.log_prob(x),
            Observation::Gaussian(p) => p.log_prob(x),
            Observation::GaussianFixed(p) => p.log_prob(x),
            Observation::GaussianPerPixel(p) => p.log_prob(x),
            Observation::DiscretizedLogistic(p) => p.log_prob(x),
            Observation::Categorical(p) => p.log_prob(x),
            Observation::Multinomial(p) => p.log_prob(x * COUNTS),
        }
    }
}

impl fmt::Display for Family {
    /// The name, and the constant if there is one: `bernoulli`, `gaussian-fixed:0.1`, `categorical:256`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Family::GaussianFixed { std } => f.pad(&format!("{}:{std}", self.name())),
            Family::Categorical { levels } => f.pad(&format!("{}:{levels}", self.name())),
            _ => f.pad(self.name()),
        }
    }
}

impl FromStr for Family {
    type Err = String;

    /// What [`Display`](fmt::Display) writes; or the name alone, for the constant in [`Family::ALL`].
    fn from_str(text: &str) -> Result<Self, String> {
        let (name, constant) = text.split_once(':').map_or((text, None), |(name, constant)| (name, Some(constant)));
        let named = Family::ALL.into_iter().find(|family| family.name() == name);
        let family = named.ok_or_else(|| {
            let names = Family::ALL.map(Family::name);
            format!("expected one of {}, found `{name}`", names.join(", "))
        })?;
        let Some(constant) = constant else { return Ok(family) };
        match family {
            Family::GaussianFixed { .. } => {
                let std = constant.parse().ok().filter(|std: &f64| std.is_finite() && (1e-3..=1e3).contains(std));
                let std =
                    std.ok_or(format!("{name}: expected a standard deviation from 0.001 to 1000, found `{constant}`"));
                Ok(Family::GaussianFixed { std: std? })
            }
            Family::Categorical { .. } => {
                let levels = constant.parse().ok().filter(|n: &usize| n.is_power_of_two() && (2..=256).contains(n));
                let levels = levels.ok_or(format!("{name}: expected a power of two from 2 to 256, found `{constant}`"));
                Ok(Family::Categorical { levels: levels? })
            }
            _ => Err(format!("{name}: expected no constant, found `{constant}`")),
        }
    }
}

impl TryFrom<String> for Family {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        name.parse()
    }
}

impl From<Family> for String {
    fn from(family: Family) -> String {
        family.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::compute;
    use super::*;
    use datasets::generator;

    #[test]
    fn families_are_read_as_they_are_written_and_count_what_they_add() {
        let others = [Family::GaussianFixed { std: 0.25 }, Family::Categorical { levels: 16 }];
        for family in Family::ALL.into_iter().chain(others) {
            assert_eq!(family.to_string().parse(), Ok(family));
            let mut params = Params::new();
            family.build(&mut params);
            assert_eq!(params.layout.count(), family.parameters());
        }
        for family in Family::ALL {
            assert_eq!(family.name().parse(), Ok(family));
        }
    }

    #[test]
    fn what_is_no_family_is_refused_with_its_reason() {
        let problem = |text: &str| text.parse::<Family>().unwrap_err();
        let names = "bernoulli, continuous-bernoulli, gaussian, gaussian-fixed, gaussian-pixel, discretized-logistic, \
                     categorical, multinomial";
        assert_eq!(problem("poisson"), format!("expected one of {names}, found `poisson`"));
        for std in ["0", "-1", "nan", "inf", "1e-9", ""] {
            let expected = "gaussian-fixed: expected a standard deviation from 0.001 to 1000";
            assert_eq!(problem(&format!("gaussian-fixed:{std}")), format!("{expected}, found `{std}`"));
        }
        for levels in ["0", "1", "3", "512", "many"] {
            let expected = "categorical: expected a power of two from 2 to 256";
            assert_eq!(problem(&format!("categorical:{levels}")), format!("{expected}, found `{levels}`"));
        }
        assert_eq!(problem("bernoulli:2"), "bernoulli: expected no constant, found `2`");
    }

    /// Over images drawn from it, `−log p` of a family is least, on the average, for the outputs they were drawn with.
    #[test]
    fn samples_are_likeliest_under_the_outputs_they_were_drawn_with() {
        let (n, numbers) = (4_000, 3);
        for family in Family::ALL.map(Family::small) {
            let mut params = Params::new();
            let likelihood = family.build(&mut params);
            let mut double = params.cast::<f64>();
            if let Likelihood::Gaussian { log_var } = likelihood {
                params.view_mut(log_var).fill(-3.0);
                double.view_mut(log_var).fill(-3.0);
            }
            let outputs = family.outputs(numbers);
            let l = Array2::from_shape_fn((n, outputs), |(_, j)| (j as f32 * 1.3).sin() - 0.5);
            let like = Array2::from_elem((n, numbers), 0.4);
            let x = likelihood.sample(&params, l.view(), like.view(), &mut generator(1, "test", 0));
            assert_eq!(x.dim(), (n, numbers), "{family}");
            let mean_log_prob = |step: f64, j: usize| {
                let mut l = l.mapv(f64::from);
                l.column_mut(j).map_inplace(|l| *l += step);
                let r = autograd::Recorder::new(&double);
                let (l_in, x_in) = (r.input([n, outputs]), r.input([n, numbers]));
                let p = likelihood.of(l_in).log_prob(x_in).mean().slot();
                let (l_in, x_in) = (l_in.slot(), x_in.slot());
                let mut tape = r.finish();
                tape.input_mut(l_in).assign(&l);
                tape.input_mut(x_in).assign(&x.mapv(f64::from));
                tape.forward(&double);
                tape.scalar(p)
            };
            for j in 0..outputs {
                let [below, here, above] = [-1.0, 0.0, 1.0].map(|step| mean_log_prob(step, j));
                assert!(here > below && here > above, "{family}, output {j}: {below} {here} {above}");
            }
        }
    }

    #[test]
    fn what_is_shown_is_between_black_and_white() {
        for family in Family::ALL.map(Family::small).into_iter().filter(|&family| family != Family::Gaussian) {
            let likelihood = family.build(&mut Params::new());
            let l = Array2::from_shape_fn((200, family.outputs(3)), |(i, j)| ((i * 7 + j) as f32 * 1.3).sin() * 9.0);
            let shown = compute([l], |[l]| likelihood.of(l).mean());
            assert_eq!(shown.ncols(), 3);
            assert!(shown.iter().all(|x| (-1e-3..=1.001).contains(x)), "{family}: {shown}");
        }
    }

    #[test]
    fn bits_are_those_of_a_probability_and_never_negative() {
        let nats = 3.0 * std::f64::consts::LN_2;
        assert_eq!([Meaning::Probability, Meaning::CrossEntropy].map(|m| m.bits(nats)), [Some(3.0), None]);
        // A density of 1 everywhere makes each of 255 levels equally probable.
        assert_eq!(Meaning::Density.bits(0.0), Some(255f64.log2()));
        assert!(Meaning::Density.bits(-5.0).is_some_and(|bits| bits > 0.0));
        assert_eq!(Meaning::Density.bits(-6.0), None);
    }

    #[test]
    fn no_density_is_taken_of_black_and_white() {
        for family in Family::ALL {
            assert_ne!(family.meaning(true), Ok(Meaning::Density), "{family}");
            assert!(family.meaning(false).is_ok(), "{family}");
        }
    }
}
