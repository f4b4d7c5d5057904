//! Which products are measured.

use std::fmt;

use serde::{Deserialize, Serialize};

/// How the operands lie in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Layout {
    /// Both by rows: the forward pass.
    Plain,
    /// `A` by columns: the gradient of the weights, `xᵀ · dy`.
    At,
    /// `B` by columns: the gradient of the input, `dy · wᵀ`.
    Bt,
}

impl fmt::Display for Layout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Layout::Plain => "",
            Layout::At => "Aᵀ",
            Layout::Bt => "Bᵀ",
        })
    }
}

/// What a product is there for; each group has a table and a mean of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Group {
    /// The five large products of a training step of the default model.
    Large,
    /// Its products with the latent code, and those of a batch of one image.
    Small,
    /// Square matrices, as they are usually compared; the lower rungs of the ladder are there too.
    Square,
}

impl fmt::Display for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Group::Large => "large",
            Group::Small => "small",
            Group::Square => "square",
        })
    }
}

/// `C = A · B`, with `m` rows, `n` columns, and sums of `k` terms.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// Rows of `A` and of `C`.
    pub m: usize,
    /// Columns of `B` and of `C`.
    pub n: usize,
    /// Columns of `A`, rows of `B`.
    pub k: usize,
    /// How `A` and `B` lie in memory; `C` lies by rows.
    pub layout: Layout,
    /// Where it is listed.
    pub group: Group,
}

impl Problem {
    /// All that are measured, group by group.
    pub fn all() -> Vec<Problem> {
        use Layout::{At, Bt, Plain};
        let large = [
            (128, 400, 784, Plain),
            (128, 784, 400, Plain),
            (784, 400, 128, At),
            (400, 784, 128, At),
            (128, 784, 400, Bt),
        ];
        let small = [
            (128, 40, 400, Plain),
            (128, 20, 400, Plain),
            (128, 400, 20, Plain),
            (400, 20, 128, At),
            (1, 400, 784, Plain),
            (1, 784, 400, Plain),
        ];
        let squares = [64, 128, 256, 512, 1024, 2048].map(|n| (n, n, n, Plain));
        let of = |group| move |(m, n, k, layout)| Problem { m, n, k, layout, group };
        let groups = large.into_iter().map(of(Group::Large)).chain(small.into_iter().map(of(Group::Small)));
        groups.chain(squares.into_iter().map(of(Group::Square))).collect()
    }

    /// The one that the ladder is drawn for: three matrices of 1 MB each, too large for most second-level caches.
    pub fn of_ladder() -> Problem {
        Problem { m: 512, n: 512, k: 512, layout: Layout::Plain, group: Group::Square }
    }

    /// Operations, in billions: a multiplication and an addition for each term.
    pub fn gflop(&self) -> f64 {
        2e-9 * self.m as f64 * self.n as f64 * self.k as f64
    }

    /// Whether the lower rungs of the ladder are measured: on larger matrices they would take minutes.
    pub fn has_rungs(&self) -> bool {
        self.group == Group::Square && self.m <= 512
    }
}

impl fmt::Display for Problem {
    /// The name a filter is matched with, such as `large/784x400x128-at`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Problem { m, n, k, layout, group } = self;
        let layout = match layout {
            Layout::Plain => "",
            Layout::At => "-at",
            Layout::Bt => "-bt",
        };
        write!(f, "{group}/{m}x{n}x{k}{layout}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_problem_has_a_name_of_its_own_and_the_ladder_is_one_of_them() {
        let mut names: Vec<String> = Problem::all().iter().map(Problem::to_string).collect();
        assert!(names.contains(&"large/784x400x128-at".to_owned()));
        assert!(Problem::all().contains(&Problem::of_ladder()) && Problem::of_ladder().has_rungs());
        names.sort();
        names.dedup();
        assert_eq!(names.len(), Problem::all().len());
    }
}
