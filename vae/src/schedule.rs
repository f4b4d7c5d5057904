//! What changes as training goes on: the learning rate, and the weight of the KL divergence.

use std::f64::consts::PI;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// What the learning rate is multiplied by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Schedule {
    /// 1 from beginning to end.
    #[default]
    Constant,
    /// Half a period of a cosine, from 1 to 0 (Loshchilov and Hutter 2017).
    Cosine,
    /// Eight stages, `10^(−i/7)` for `3ⁱ` epochs with `i` = 0 … 7 (Burda, Grosse and Salakhutdinov 2015, section 5), which
    /// are 3280 in all. A run of another number of epochs has stages of the same shares.
    Burda,
}

/// Epochs of the original schedule, `Σ 3ⁱ`.
const BURDA_EPOCHS: u64 = 3280;

impl Schedule {
    /// All of them.
    pub const ALL: [Schedule; 3] = [Schedule::Constant, Schedule::Cosine, Schedule::Burda];

    /// The factor of update number `step` (from 0) of so many.
    pub fn factor(self, step: u64, steps: u64) -> f64 {
        match self {
            Schedule::Constant => 1.0,
            Schedule::Cosine => 0.5 * (1.0 + (PI * step as f64 / steps as f64).cos()),
            Schedule::Burda => {
                let epoch = u128::from(step) * u128::from(BURDA_EPOCHS) / u128::from(steps);
                // Stage i ends before epoch 1 + 3 + … + 3ⁱ.
                let stage = (0..7).find(|&i| epoch < (3u128.pow(i + 1) - 1) / 2).unwrap_or(7);
                10f64.powf(-f64::from(stage) / 7.0)
            }
        }
    }
}

/// How the KL divergence comes to its weight β.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Warmup {
    /// In a straight line from 0, over so many epochs (Bowman et al. 2016).
    Linear {
        /// At least 1.
        epochs: u64,
    },
    /// Again and again, in cycles of so many epochs: in a straight line from 0 in the first half, and constant in the other
    /// (Fu et al. 2019).
    Cyclical {
        /// At least 1.
        epochs: u64,
    },
}

impl Warmup {
    /// What β is multiplied by in update number `step` (from 0), with so many steps in an epoch.
    pub fn factor(self, step: u64, steps_per_epoch: u64) -> f64 {
        let of = |epochs: u64| epochs.saturating_mul(steps_per_epoch);
        match self {
            Warmup::Linear { epochs } => (step as f64 / of(epochs) as f64).min(1.0),
            Warmup::Cyclical { epochs } => {
                let cycle = of(epochs);
                ((step % cycle) as f64 / (0.5 * cycle as f64)).min(1.0)
            }
        }
    }
}

impl fmt::Display for Schedule {
    /// `constant`, `cosine` or `burda`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Schedule::Constant => "constant",
            Schedule::Cosine => "cosine",
            Schedule::Burda => "burda",
        })
    }
}

impl FromStr for Schedule {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let named = Schedule::ALL.into_iter().find(|schedule| schedule.to_string() == name);
        named.ok_or_else(|| format!("expected constant, cosine or burda, found `{name}`"))
    }
}

impl fmt::Display for Warmup {
    /// `10`, or `cyclical:10`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Warmup::Linear { epochs } => write!(f, "{epochs}"),
            Warmup::Cyclical { epochs } => write!(f, "cyclical:{epochs}"),
        }
    }
}

impl FromStr for Warmup {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (cyclical, number) = text.strip_prefix("cyclical:").map_or((false, text), |number| (true, number));
        match number.parse() {
            Ok(epochs @ 1..) if cyclical => Ok(Warmup::Cyclical { epochs }),
            Ok(epochs @ 1..) => Ok(Warmup::Linear { epochs }),
            _ => Err(format!("expected a number of epochs from 1, as 10 or cyclical:10, found `{text}`")),
        }
    }
}

impl TryFrom<String> for Warmup {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Warmup> for String {
    fn from(warmup: Warmup) -> String {
        warmup.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn burdas_stages_have_three_to_the_i_epochs_and_the_same_shares_in_shorter_runs() {
        let steps = 3000;
        let stage = |step: u64, total: u64| (-7.0 * Schedule::Burda.factor(step, total).log10()).round() as u64;
        let mut first = 0;
        for i in 0..8 {
            let last = first + 3u64.pow(i as u32) * steps - 1;
            assert_eq!([first, last].map(|step| stage(step, 3280 * steps)), [i, i], "stage {i}");
            assert_eq!([first, last].map(|step| stage(step / 10, 328 * steps)), [i, i], "stage {i}, shortened");
            first = last + 1;
        }
        assert_eq!(first, 3280 * steps);
    }

    #[test]
    fn a_cosine_goes_from_one_through_a_half_to_nearly_zero() {
        let factor = |step| Schedule::Cosine.factor(step, 1000);
        assert_eq!(factor(0), 1.0);
        assert!((factor(500) - 0.5).abs() < 1e-12);
        assert!(factor(999) > 0.0 && factor(999) < 1e-5);
        assert!((1..1000).all(|step| factor(step) < factor(step - 1)));
    }

    #[test]
    fn warming_up_is_linear_once_or_in_the_first_half_of_each_cycle() {
        let linear = |step| Warmup::Linear { epochs: 2 }.factor(step, 10);
        assert_eq!([0, 5, 20, 1000].map(linear), [0.0, 0.25, 1.0, 1.0]);
        let cyclical = |step| Warmup::Cyclical { epochs: 2 }.factor(step, 10);
        assert_eq!([0, 5, 10, 19, 20, 25].map(cyclical), [0.0, 0.5, 1.0, 1.0, 0.0, 0.5]);
    }

    #[test]
    fn what_is_written_is_read_and_what_cannot_be_is_refused() {
        for warmup in [Warmup::Linear { epochs: 3 }, Warmup::Cyclical { epochs: 12 }] {
            assert_eq!(warmup.to_string().parse(), Ok(warmup));
        }
        for bad in ["0", "-1", "cyclical:0", "cyclical", "x", "1.5", ""] {
            assert!(bad.parse::<Warmup>().unwrap_err().ends_with(&format!("found `{bad}`")));
        }
        for schedule in Schedule::ALL {
            assert_eq!(schedule.to_string().parse(), Ok(schedule));
        }
        assert_eq!("step".parse::<Schedule>(), Err("expected constant, cosine or burda, found `step`".into()));
    }
}
