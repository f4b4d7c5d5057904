//! What a decoder says about images: the families of distributions there are to choose from.

use std::fmt;
use std::str::FromStr;

use autograd::{Grads, Param, Params, Real, Var};
use ndarray::Array2;
use serde::{Deserialize, Serialize};

use super::gaussian_pixels::optimal_log_var;
use super::{Bernoulli, Distribution, GaussianPixels};

/// The families by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Family {
    /// [`Bernoulli`]: black and white; of grey levels a cross-entropy, and no likelihood.
    Bernoulli,
    /// [`GaussianPixels`]: grey levels and colours, with one variance.
    Gaussian,
}

impl Family {
    /// All of them.
    pub const ALL: [Family; 2] = [Family::Bernoulli, Family::Gaussian];

    /// The family's place in a model; what it learns beside the decoder's layers is appended to `params`.
    pub fn build(self, params: &mut Params) -> Likelihood {
        match self {
            Family::Bernoulli => Likelihood::Bernoulli,
            Family::Gaussian => Likelihood::Gaussian { log_var: params.add("pixels.log_var", Array2::zeros((1, 1))) },
        }
    }

    /// How many numbers it learns beside the decoder's layers.
    pub fn parameters(self) -> usize {
        match self {
            Family::Bernoulli => 0,
            Family::Gaussian => 1,
        }
    }
}

/// A family with its parameters in a model.
#[derive(Clone, Copy, Debug)]
pub enum Likelihood {
    /// Nothing beside the decoder's output.
    Bernoulli,
    /// The logarithm of the variance is a parameter, set to its optimum after each update.
    Gaussian {
        /// `s = ln σ²`, `[1, 1]`
        log_var: Param,
    },
}

impl Likelihood {
    /// `p(x | z)` from the decoder's output `l`.
    pub fn of<'r, T: Real>(&self, l: Var<'r, T>) -> Observation<'r, T> {
        match *self {
            Likelihood::Bernoulli => Observation::Bernoulli(Bernoulli { logits: l }),
            Likelihood::Gaussian { log_var } => {
                Observation::Gaussian(GaussianPixels { logits: l, log_var: l.recorder().param(log_var) })
            }
        }
    }

    /// What training sets after its update number `t` (from 1) instead of following the gradient: a parameter and its
    /// number, from the state before the update, for images of `n` numbers.
    pub fn optimum(&self, n: usize, params: &Params, grads: &Grads, t: u64) -> Option<(Param, f32)> {
        match *self {
            Likelihood::Bernoulli => None,
            Likelihood::Gaussian { log_var } => Some((log_var, optimal_log_var(log_var, n, params, grads, t))),
        }
    }
}

/// `p(x | z)`, of whatever family.
#[derive(Clone, Copy, Debug)]
pub enum Observation<'r, T: Real = f32> {
    /// Black and white pixels.
    Bernoulli(Bernoulli<'r, T>),
    /// Pixels with noise.
    Gaussian(GaussianPixels<'r, T>),
}

impl<'r, T: Real> Observation<'r, T> {
    /// The mean of each number, between 0 and 1: what is shown of it.
    pub fn mean(&self) -> Var<'r, T> {
        match self {
            Observation::Bernoulli(p) => p.mean(),
            Observation::Gaussian(p) => p.mean(),
        }
    }
}

impl<'r, T: Real> Distribution<'r, T> for Observation<'r, T> {
    fn log_prob(&self, x: Var<'r, T>) -> Var<'r, T> {
        match self {
            Observation::Bernoulli(p) => p.log_prob(x),
            Observation::Gaussian(p) => p.log_prob(x),
        }
    }
}

impl fmt::Display for Family {
    /// `bernoulli` or `gaussian`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Family::Bernoulli => "bernoulli",
            Family::Gaussian => "gaussian",
        })
    }
}

impl FromStr for Family {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let named = Family::ALL.into_iter().find(|family| family.to_string() == name);
        named.ok_or_else(|| {
            let names: Vec<_> = Family::ALL.iter().map(Family::to_string).collect();
            format!("expected one of {}, found `{name}`", names.join(", "))
        })
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
    use super::*;

    #[test]
    fn families_are_read_as_they_are_written_and_count_what_they_add() {
        for family in Family::ALL {
            assert_eq!(family.to_string().parse(), Ok(family));
            let mut params = Params::new();
            family.build(&mut params);
            assert_eq!(params.layout.count(), family.parameters());
        }
        assert_eq!("poisson".parse::<Family>(), Err("expected one of bernoulli, gaussian, found `poisson`".into()));
    }
}
