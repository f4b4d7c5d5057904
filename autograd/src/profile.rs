//! Where the time of a step goes, line by line.

use std::fmt;
use std::time::Instant;

use crate::tape::{Slot, Tape, needs_gradient};
use crate::{Grads, Params, Real, Shape, size};

/// What one line of a tape costs.
#[derive(Clone, Debug)]
pub struct Line {
    /// Which value it computes.
    pub slot: Slot,
    /// The name of the operation, or `input`.
    pub name: String,
    /// What it is computed from.
    pub args: String,
    /// The shape of the value.
    pub shape: Shape,
    /// Seconds in the forward pass, the median of all runs.
    pub forward: f64,
    /// Seconds in the backward pass, the median of all runs.
    pub backward: f64,
    /// Arithmetic operations, both passes.
    pub flops: usize,
    /// Bytes read and written, both passes, if every matrix is touched once.
    pub bytes: usize,
}

/// What each line of a tape costs; it prints as a table.
#[derive(Clone, Debug)]
pub struct Profile {
    /// The lines, in order of the tape.
    pub lines: Vec<Line>,
}

impl<T: Real> Tape<T> {
    /// Plays the tape `runs` times (and once before, to warm up) with the inputs it has, and times every line.
    ///
    /// # Panics
    /// As [`forward`](Tape::forward) and [`backward`](Tape::backward).
    pub fn profile(&mut self, loss: Slot, params: &Params<T>, runs: usize) -> Profile {
        let mut grads = Grads::zeros(params);
        let mut seconds = vec![[vec![], vec![]]; self.nodes.len()];
        for _ in 0..runs + 1 {
            for (i, [forward, _]) in seconds.iter_mut().enumerate() {
                let start = Instant::now();
                self.forward_one(i, params);
                forward.push(start.elapsed().as_secs_f64());
            }
            for i in self.start_backward(loss, T::one()) {
                let start = Instant::now();
                self.backward_one(i, params, &mut grads);
                seconds[i][1].push(start.elapsed().as_secs_f64());
            }
        }
        let lines = seconds.into_iter().enumerate().map(|(i, times)| {
            let [forward, backward] = times.map(|times| median(times.get(1..).unwrap_or_default()));
            let (flops, bytes) = self.cost(i);
            let name = self.nodes[i].op.as_ref().map_or("input".to_string(), |op| op.name());
            let (slot, shape) = (Slot::Node(i), self.nodes[i].shape);
            Line { slot, name, args: self.args_text(i), shape, forward, backward, flops, bytes }
        });
        Profile { lines: lines.collect() }
    }

    /// Arithmetic operations and bytes of one line, both passes.
    fn cost(&self, i: usize) -> (usize, usize) {
        let node = &self.nodes[i];
        let Some(op) = &node.op else { return (0, 0) };
        let shape = |slot| match slot {
            Slot::Node(i) => self.nodes[i].shape,
            Slot::Param(p) => self.layout.shape(p),
        };
        let needed = |slot| needs_gradient(&self.nodes, &self.learned, slot);
        let sizes = |only_needed: bool| -> usize {
            op.args().iter().filter(|&&x| !only_needed || needed(x)).map(|&x| size(shape(x))).sum()
        };
        let (mut flops, mut numbers) = (op.flops(&shape), sizes(false) + size(node.shape));
        if node.needs_gradient {
            flops += op.backward_flops(&shape, &needed);
            numbers += sizes(false) + 2 * size(node.shape) + sizes(true);
        }
        (flops, numbers * size_of::<T>())
    }
}

fn median(times: &[f64]) -> f64 {
    let mut times = times.to_vec();
    times.sort_by(f64::total_cmp);
    times.get(times.len() / 2).copied().unwrap_or(0.0)
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = |of: fn(&Line) -> &str, title: &str| {
            self.lines.iter().map(|l| of(l).chars().count()).chain([title.len()]).max().unwrap_or(0)
        };
        let (names, args) = (width(|l| &l.name, "operation"), width(|l| &l.args, "of"));
        writeln!(
            f,
            "{:<5} {:>11}  {:<names$}  {:<args$}  {:>10}  {:>11}  {:>7}  {:>7}  {:>8}",
            "", "shape", "operation", "of", "forward µs", "backward µs", "MFLOP", "MB", "GFLOP/s"
        )?;
        let mut row = |head: [&str; 4], forward: f64, backward: f64, flops: usize, bytes: usize| {
            let [slot, shape, name, of] = head;
            let rate = if flops == 0 { 0.0 } else { 1e-9 * flops as f64 / (forward + backward) };
            writeln!(
                f,
                "{slot:<5} {shape:>11}  {name:<names$}  {of:<args$}  {:>10.1}  {:>11.1}  {:>7.2}  {:>7.2}  {rate:>8.1}",
                1e6 * forward,
                1e6 * backward,
                1e-6 * flops as f64,
                1e-6 * bytes as f64,
            )
        };
        for l in &self.lines {
            let shape = format!("{}×{}", l.shape[0], l.shape[1]);
            row([&l.slot.to_string(), &shape, &l.name, &l.args], l.forward, l.backward, l.flops, l.bytes)?;
        }
        let sum = |of: fn(&Line) -> f64| self.lines.iter().map(of).sum::<f64>();
        let total = |of: fn(&Line) -> usize| self.lines.iter().map(of).sum::<usize>();
        row(["", "", "total", ""], sum(|l| l.forward), sum(|l| l.backward), total(|l| l.flops), total(|l| l.bytes))
    }
}

#[cfg(test)]
mod tests {
    use crate::{Activation, Params, Recorder};
    use ndarray::Array2;

    #[test]
    fn products_count_what_they_compute_and_the_first_layer_computes_no_dx() {
        let mut params = Params::<f32>::new();
        let [w, v] = ["w", "v"].map(|name| params.add(name, Array2::ones((8, 8))));
        let b = params.add("b", Array2::ones((1, 8)));
        let r = Recorder::new(&params);
        let h = r.input([4, 8]).linear(r.param(w), r.param(b), Activation::Identity);
        let loss = h.matmul(r.param(v)).sum().slot();
        let profile = r.finish().profile(loss, &params, 2);
        let product = 2 * 4 * 8 * 8;
        // y, dw; then the bias and the (here trivial) activation, forward and backward.
        assert_eq!(profile.lines[1].flops, 2 * product + 4 * 4 * 8);
        // c, da and db.
        assert_eq!(profile.lines[2].flops, 3 * product);
        assert!(profile.lines[2].forward > 0.0 && profile.lines[2].backward > 0.0);
        let table = profile.to_string();
        assert!(table.lines().count() == 6 && table.contains("MatMul"), "{table}");
    }
}
