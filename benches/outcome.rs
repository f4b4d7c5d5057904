//! What was found out about one product on a number of threads.

use serde::{Deserialize, Serialize};

use crate::problem::Problem;
use crate::statistics::median;

/// Where a program belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Family {
    /// Nothing but multiply–adds in registers, on one thread: what the CPU can do.
    Peak,
    /// A lower rung of the ladder.
    Rung,
    /// Our product: the two upper rungs.
    Ours,
    /// Another library in Rust.
    Rust,
    /// A library that is found at run time.
    Blas,
}

/// What one program reached.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Speed {
    /// Its name.
    pub name: String,
    /// Where it belongs.
    pub family: Family,
    /// Billions of operations per second: the median over the rounds.
    pub gflops: f64,
}

/// Our speed as a multiple of that of the fastest peer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ratio {
    /// The peer with the best median.
    pub peer: String,
    /// The median of the ratios of each round.
    pub value: f64,
}

/// A line of a table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// The product.
    pub problem: Problem,
    /// On how many threads.
    pub threads: usize,
    /// The instruction set that ours used.
    pub simd: String,
    /// GFLOP/s of multiply–adds in registers: measured on one thread in the same rounds, times the threads.
    pub peak: f64,
    /// Everyone but the peak, in the order of the columns.
    pub speeds: Vec<Speed>,
    /// Ours beside the best peer, if there is one.
    pub ratio: Option<Ratio>,
}

impl Outcome {
    /// Sums up the rounds. `measured` has a name, a family, and billions of operations per second by round.
    pub fn new(problem: Problem, threads: usize, simd: String, measured: Vec<(String, Family, Vec<f64>)>) -> Outcome {
        let of = |wanted| measured.iter().find(|(_, family, _)| *family == wanted).map(|(.., rounds)| rounds);
        let peak = of(Family::Peak).map_or(f64::NAN, |rounds| median(rounds.iter().copied())) * threads as f64;
        let peers = measured.iter().filter(|(_, family, _)| matches!(family, Family::Rust | Family::Blas));
        let best = peers.max_by(|a, b| median(a.2.iter().copied()).total_cmp(&median(b.2.iter().copied())));
        let ratio = best.zip(of(Family::Ours)).map(|((peer, _, theirs), ours)| Ratio {
            peer: peer.clone(),
            value: median(ours.iter().zip(theirs).map(|(ours, theirs)| ours / theirs)),
        });
        let speeds = measured.into_iter().filter(|(_, family, _)| *family != Family::Peak);
        let speeds = speeds.map(|(name, family, rounds)| Speed { name, family, gflops: median(rounds) }).collect();
        Outcome { problem, threads, simd, peak, speeds, ratio }
    }

    /// Our speed as a share of the peak.
    pub fn share(&self) -> f64 {
        let ours = self.speeds.iter().find(|speed| speed.family == Family::Ours);
        ours.map_or(f64::NAN, |speed| speed.gflops / self.peak)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Ours at 90, then 45 of a peak of 100, beside two peers.
    pub(crate) fn example(threads: usize) -> Outcome {
        let measured = vec![
            ("peak".into(), Family::Peak, vec![100.0, 100.0]),
            ("naive".into(), Family::Rung, vec![1.0, 1.0]),
            ("ours".into(), Family::Ours, vec![90.0, 45.0]),
            ("slow & sure".into(), Family::Rust, vec![20.0, 20.0]),
            ("fast".into(), Family::Blas, vec![100.0, 50.0]),
        ];
        Outcome::new(Problem::of_ladder(), threads, "avx2".into(), measured)
    }

    #[test]
    fn ours_is_compared_round_by_round_with_the_best_peer_and_with_the_peak_of_all_threads() {
        let outcome = example(2);
        let ratio = outcome.ratio.clone().unwrap();
        assert_eq!(ratio.peer, "fast");
        assert!((ratio.value - 0.9).abs() < 1e-12);
        assert_eq!(outcome.peak, 200.0);
        assert!((outcome.share() - 67.5 / 200.0).abs() < 1e-12);
    }

    #[test]
    fn an_outcome_survives_a_line_of_json() {
        let line = serde_json::to_string(&example(1)).unwrap();
        assert!(!line.contains('\n'));
        assert_eq!(serde_json::from_str::<Outcome>(&line).unwrap(), example(1));
    }
}
