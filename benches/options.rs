//! The arguments of `cargo bench --bench matmul --`.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use autograd::kernels::parallel;
use clap::Parser;

use crate::problem::Problem;
use crate::rounds::Pace;

/// Measures our product of matrices, the rungs that lead up to it, and other libraries, in turns.
///
/// A table for each group of shapes, on one thread and on all: GFLOP/s of each, ours as a share of the peak – of what
/// multiply–adds in registers reach in the same rounds – and as a multiple of the fastest other library. Medians; each
/// table ends with geometric means. Everyone's result is compared with ours before anything is measured.
#[derive(Clone, Debug, Parser)]
#[command(name = "cargo bench --bench matmul --", max_term_width = 100)]
pub struct Options {
    /// Only shapes with this in their name: `large`, `small`, `square`, `784x400`, `at`
    pub filter: Option<String>,
    /// A quick impression: fewer and shorter rounds
    #[arg(long)]
    pub quick: bool,
    /// Measure on one thread and on N, instead of one and all cores
    #[arg(long, value_name = "N")]
    pub threads: Option<NonZeroUsize>,
    /// A line of JSON for each shape instead of tables
    #[arg(long)]
    pub json: bool,
    /// Measure the ladder at 512 × 512 × 512 only, and draw it as a bar chart; a path from the root of the workspace
    #[arg(long, value_name = "FILE.svg", conflicts_with_all = ["filter", "json"])]
    pub ladder: Option<PathBuf>,
    /// While another process keeps a core busy: ours on all threads beside ours on one
    #[arg(long, conflicts_with_all = ["ladder", "json"])]
    pub busy: bool,
    /// Said by cargo.
    #[arg(long, hide = true)]
    bench: bool,
    /// Measure on `threads` only, and print JSON: what the other processes are started with.
    #[arg(long, hide = true)]
    pub worker: bool,
    /// Keep a core busy until the standard input ends.
    #[arg(long, hide = true, exclusive = true)]
    pub spin: bool,
}

impl Options {
    /// The products that are asked for.
    pub fn problems(&self) -> Vec<Problem> {
        if self.ladder.is_some() {
            return vec![Problem::of_ladder()];
        }
        let wanted = |problem: &Problem| self.filter.as_ref().is_none_or(|part| problem.to_string().contains(part));
        Problem::all().into_iter().filter(wanted).collect()
    }

    /// How long is measured.
    pub fn pace(&self) -> Pace {
        if self.quick { Pace::QUICK } else { Pace::CAREFUL }
    }

    /// What "all threads" are.
    pub fn all_threads(&self) -> usize {
        self.threads.map_or_else(|| parallel::team_size(None), usize::from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(arguments: &str) -> Result<Options, clap::Error> {
        Options::try_parse_from(["matmul"].into_iter().chain(arguments.split_whitespace()))
    }

    #[test]
    fn what_cargo_says_is_understood_and_what_nobody_says_is_refused_with_exit_code_2() {
        let options = parse("--bench --quick large").unwrap();
        assert!(options.quick && options.problems().len() == 5);
        for wrong in ["--fast", "--threads 0", "--threads two", "--ladder", "--ladder a.svg --json", "large small"] {
            assert_eq!(parse(wrong).unwrap_err().exit_code(), 2, "{wrong}");
        }
    }

    #[test]
    fn a_filter_chooses_by_name_and_the_ladder_is_one_product() {
        assert_eq!(parse("").unwrap().problems(), Problem::all());
        assert_eq!(parse("784x400").unwrap().problems().len(), 4);
        assert!(parse("no such").is_err() && parse("nothing").unwrap().problems().is_empty());
        assert_eq!(parse("--ladder a.svg").unwrap().problems(), [Problem::of_ladder()]);
    }
}
