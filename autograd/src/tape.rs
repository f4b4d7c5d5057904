//! Playing: the recorded operations and all the memory they need.

use std::fmt;
use std::sync::Arc;

use crate::kernels::Write;
use crate::matrix::{Buffer, Shape, View, ViewMut, size, view, view_mut};
use crate::op::{Past, Recorded};
use crate::params::{Grads, Layout, Param, Params};
use crate::real::Real;

/// Where a [`Var`](crate::Var)'s number will be; outlives the recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slot {
    /// The `i`-th line of the tape.
    Node(usize),
    /// A parameter.
    Param(Param),
}

impl fmt::Display for Slot {
    /// `%3` for the third value of the tape, `p3` for the third parameter.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Slot::Node(i) => write!(f, "%{i}"),
            Slot::Param(Param(i)) => write!(f, "p{i}"),
        }
    }
}

/// One line of a tape: an input, or an operation on what stands above it.
pub(crate) struct Node<T: Real> {
    pub(crate) op: Option<Box<dyn Recorded<T>>>,
    pub(crate) shape: Shape,
    pub(crate) needs_gradient: bool,
}

/// Where the value of a node lies; its gradient lies at the same place in the other buffer.
#[derive(Clone, Copy)]
pub(crate) struct Place {
    pub(crate) start: usize,
    pub(crate) shape: Shape,
}

/// What an operation may read: the values before its own, and the parameters.
pub(crate) struct Values<'a, T: Real> {
    past: &'a [T],
    places: &'a [Place],
    params: &'a Params<T>,
}

impl<T: Real> Values<'_, T> {
    pub(crate) fn get(&self, slot: Slot) -> View<'_, T> {
        match slot {
            Slot::Node(i) => view(&self.past[self.places[i].range()], self.places[i].shape),
            Slot::Param(p) => self.params.view(p),
        }
    }
}

/// A recorded computation. Playing it allocates nothing.
///
/// It prints as a listing, one line a value:
/// ```text
/// %0    128×784  input
/// %1    128×400  Linear relu  %0 p0 p1
/// ```
pub struct Tape<T: Real = f32> {
    pub(crate) nodes: Vec<Node<T>>,
    pub(crate) layout: Arc<Layout>,
    places: Vec<Place>,
    values: Buffer<T>,
    /// `∂loss/∂values`; taken at the first backward pass, so that a tape for evaluation is half as large.
    dvalues: Buffer<T>,
    /// Whether a gradient arrived in this pass, per node and per parameter.
    written: Vec<bool>,
    written_params: Vec<bool>,
    /// Of each parameter, whether its gradient is wanted.
    pub(crate) learned: Vec<bool>,
}

impl<T: Real> Tape<T> {
    pub(crate) fn new(
        nodes: Vec<Node<T>>,
        places: Vec<Place>,
        len: usize,
        layout: Arc<Layout>,
        learned: Vec<bool>,
    ) -> Self {
        Tape {
            written: vec![false; nodes.len()],
            written_params: vec![false; layout.params().count()],
            values: Buffer::zeros(len),
            dvalues: Buffer::zeros(0),
            nodes,
            places,
            layout,
            learned,
        }
    }

    /// The matrix of an input, to be filled before [`forward`](Tape::forward).
    ///
    /// # Panics
    /// If the slot is not an input.
    #[track_caller]
    pub fn input_mut(&mut self, slot: Slot) -> ViewMut<'_, T> {
        match slot {
            Slot::Node(i) if self.nodes[i].op.is_none() => {
                view_mut(&mut self.values[self.places[i].range()], self.places[i].shape)
            }
            _ => panic!("{slot} is not an input"),
        }
    }

    /// The value of any line of the tape, after [`forward`](Tape::forward).
    ///
    /// # Panics
    /// If the slot is a parameter: its value is in the [`Params`].
    #[track_caller]
    pub fn value(&self, slot: Slot) -> View<'_, T> {
        match slot {
            Slot::Node(i) => view(&self.values[self.places[i].range()], self.places[i].shape),
            Slot::Param(_) => panic!("{slot} is a parameter: its value is in the Params"),
        }
    }

    /// The value of a slot of shape `[1, 1]`, such as a loss.
    ///
    /// # Panics
    /// If it has another shape.
    #[track_caller]
    pub fn scalar(&self, slot: Slot) -> T {
        let value = self.value(slot);
        assert_eq!(value.dim(), (1, 1), "{slot} is not a scalar");
        value[[0, 0]]
    }

    /// Computes every value from the inputs and the parameters.
    ///
    /// # Panics
    /// If the tape was recorded for parameters of another layout.
    #[track_caller]
    pub fn forward(&mut self, params: &Params<T>) {
        self.assert_layout(&params.layout);
        for i in 0..self.nodes.len() {
            self.forward_one(i, params);
        }
    }

    /// Writes a value into an input of its shape, that the backward pass is to see: what the forward pass found out too
    /// late for its own.
    ///
    /// # Panics
    /// If `into` is no input, its shape is another, or it comes after the value.
    #[track_caller]
    pub fn feed(&mut self, value: Slot, into: Slot) {
        let (Slot::Node(from), Slot::Node(to)) = (value, into) else { panic!("{value} into {into}: not two values") };
        assert!(self.nodes[to].op.is_none(), "{into} is not an input");
        assert!(self.nodes[from].shape == self.nodes[to].shape && to < from, "{value} does not fit into {into}");
        let (past, present) = self.values.split_at_mut(self.places[from].start);
        past[self.places[to].range()].copy_from_slice(&present[..size(self.places[from].shape)]);
    }

    /// Computes `∂loss/∂params` from the values of the last [`forward`](Tape::forward). Every number of `grads` is
    /// overwritten; a parameter that the loss does not reach gets 0.
    ///
    /// # Panics
    /// If the loss is not a scalar computed on this tape, or a layout differs.
    #[track_caller]
    pub fn backward(&mut self, loss: Slot, params: &Params<T>, grads: &mut Grads<T>) {
        self.backward_of(loss, T::one(), Write::Set, params, grads);
    }

    /// As [`backward`](Tape::backward), of a loss that is a part of another: `dloss` is the whole one's derivative with
    /// respect to it. With [`Write::Add`] the result is added to what `grads` holds.
    ///
    /// # Panics
    /// As those of [`backward`](Tape::backward).
    #[track_caller]
    pub fn backward_of(&mut self, loss: Slot, dloss: T, write: Write, params: &Params<T>, grads: &mut Grads<T>) {
        self.assert_layout(&params.layout);
        self.assert_layout(&grads.layout);
        let lines = self.start_backward(loss, dloss);
        self.written_params.fill(write == Write::Add);
        for i in lines {
            self.backward_one(i, params, grads);
        }
        for (param, &written) in self.layout.params().zip(&self.written_params) {
            if !written {
                grads.flat[self.layout.range(param)].fill(T::zero());
            }
        }
    }

    /// Sets the derivative with respect to the loss, and returns the lines to go through, last first.
    #[track_caller]
    pub(crate) fn start_backward(&mut self, loss: Slot, dloss: T) -> impl Iterator<Item = usize> + use<T> {
        let Slot::Node(loss) = loss else { panic!("{loss} is a parameter, not a loss computed on this tape") };
        assert_eq!(self.nodes[loss].shape, [1, 1], "%{loss} is not a scalar");
        if self.dvalues.is_empty() {
            self.dvalues = Buffer::zeros(self.values.len());
        }
        self.written.fill(false);
        self.written_params.fill(false);
        self.dvalues[self.places[loss].start] = dloss;
        self.written[loss] = true;
        (0..=loss).rev()
    }

    pub(crate) fn forward_one(&mut self, i: usize, params: &Params<T>) {
        let Some(op) = &self.nodes[i].op else { return };
        // Arguments precede results: what is read lies before the cut, what is written behind it.
        let (past, present) = self.values.split_at_mut(self.places[i].start);
        let y = view_mut(&mut present[..size(self.places[i].shape)], self.places[i].shape);
        op.forward(&Values { past, places: &self.places, params }, y);
    }

    pub(crate) fn backward_one(&mut self, i: usize, params: &Params<T>, grads: &mut Grads<T>) {
        let Node { op: Some(op), needs_gradient: true, shape } = &self.nodes[i] else { return };
        if !self.written[i] {
            return; // The loss does not depend on it.
        }
        let values = Values { past: &self.values, places: &self.places, params };
        let (dvalues, present) = self.dvalues.split_at_mut(self.places[i].start);
        let dy = view_mut(&mut present[..size(*shape)], *shape);
        let (written, written_params) = (&mut self.written[..], &mut self.written_params[..]);
        let past = Past { places: &self.places, dvalues, grads, written, written_params };
        op.backward(&values, values.get(Slot::Node(i)), dy, past, &|x| needs_gradient(&self.nodes, &self.learned, x));
    }

    /// The first thing that is NaN or infinite: a parameter, an input, the value of an operation, or – going through
    /// the backward pass again – the gradient that an operation computed. `None` if all is finite.
    ///
    /// Call it where a loss or gradient was found not to be finite, with the inputs and parameters as they were, and `dloss` as
    /// [`backward_of`](Tape::backward_of) was given it.
    pub fn first_non_finite(
        &mut self,
        loss: Slot,
        dloss: T,
        params: &Params<T>,
        grads: &mut Grads<T>,
    ) -> Option<String> {
        let bad = |x: View<T>| x.iter().any(|x| !x.is_finite());
        if let Some(p) = self.layout.params().find(|&p| bad(params.view(p))) {
            return Some(format!("parameter {} `{}`", Slot::Param(p), self.layout.name(p)));
        }
        if let Some(i) = (0..self.nodes.len()).find(|&i| bad(self.value(Slot::Node(i)))) {
            return Some(format!("the value of {}", self.line(i)));
        }
        for i in self.start_backward(loss, dloss) {
            self.backward_one(i, params, grads);
            let Some(op) = &self.nodes[i].op else { continue };
            let bad_gradient = op.args().iter().any(|&x| match x {
                Slot::Node(j) => {
                    self.written[j] && bad(view(&self.dvalues[self.places[j].range()], self.places[j].shape))
                }
                Slot::Param(p) => self.written_params[p.0] && bad(grads.view(p)),
            });
            if bad_gradient {
                return Some(format!("the gradient computed by {}", self.line(i)));
            }
        }
        None
    }

    /// One line of the listing: `%2 Linear relu 128×400 (%0 p0 p1)`.
    fn line(&self, i: usize) -> String {
        let [rows, columns] = self.nodes[i].shape;
        match &self.nodes[i].op {
            None => format!("%{i} input {rows}×{columns}"),
            Some(op) => format!("%{i} {} {rows}×{columns} ({})", op.name(), self.args_text(i)),
        }
    }

    pub(crate) fn args_text(&self, i: usize) -> String {
        let args = self.nodes[i].op.iter().flat_map(|op| op.args());
        args.map(Slot::to_string).collect::<Vec<_>>().join(" ")
    }

    /// The parameters, one line each: `p0      784×400   hidden.weight`.
    pub fn parameters(&self) -> String {
        let line = |p| {
            let [rows, columns] = self.layout.shape(p);
            format!("{:<5} {rows:>5}×{columns:<5} {}\n", Slot::Param(p).to_string(), self.layout.name(p))
        };
        self.layout.params().map(line).collect()
    }

    #[track_caller]
    fn assert_layout(&self, layout: &Arc<Layout>) {
        // Comparing pointers first keeps the usual case free.
        let same = Arc::ptr_eq(layout, &self.layout) || *layout == self.layout;
        assert!(same, "this tape was recorded for other parameters");
    }
}

pub(crate) fn needs_gradient<T: Real>(nodes: &[Node<T>], learned: &[bool], slot: Slot) -> bool {
    match slot {
        Slot::Node(i) => nodes[i].needs_gradient,
        Slot::Param(Param(i)) => learned[i],
    }
}

impl<T: Real> fmt::Display for Tape<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, node) in self.nodes.iter().enumerate() {
            let name = node.op.as_ref().map_or("input".to_string(), |op| op.name());
            let [rows, columns] = node.shape;
            let line = format!("%{i:<4} {rows:>5}×{columns:<5} {name:<18} {}", self.args_text(i));
            writeln!(f, "{}", line.trim_end())?;
        }
        f.write_str(&self.parameters())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Activation, Recorder};
    use ndarray::{Array2, array};

    fn one_param(value: Array2<f64>) -> (Params<f64>, Param) {
        let mut params = Params::new();
        let w = params.add("w", value);
        (params, w)
    }

    #[test]
    fn one_matrix_may_be_both_arguments() {
        let (params, w) = one_param(array![[1.0, 2.0], [3.0, 4.0]]);
        let r = Recorder::new(&params);
        let loss = r.param(w).matmul(r.param(w)).sum().slot();
        let mut tape = r.finish();
        let mut grads = Grads::zeros(&params);
        tape.forward(&params);
        tape.backward(loss, &params, &mut grads);
        // d/dW Σ(W·W) = 1·Wᵀ + Wᵀ·1
        assert_eq!(grads.view(w), array![[7.0, 11.0], [9.0, 13.0]]);
    }

    #[test]
    fn two_losses_on_one_tape_have_each_its_own_gradient() {
        let (params, w) = one_param(array![[2.0, 5.0]]);
        let r = Recorder::new(&params);
        let (first, second) = (r.param(w).square().sum(), (r.param(w) * 3.0).sum());
        let (first, second) = (first.slot(), second.slot());
        let mut tape = r.finish();
        let mut grads = Grads::zeros(&params);
        tape.forward(&params);
        for _ in 0..2 {
            tape.backward(second, &params, &mut grads);
            assert_eq!(grads.view(w), array![[3.0, 3.0]]);
            tape.backward(first, &params, &mut grads);
            assert_eq!(grads.view(w), array![[4.0, 10.0]]);
        }
    }

    #[test]
    fn a_value_that_is_fed_back_is_seen_by_the_backward_pass() {
        let (params, w) = one_param(array![[2.0, 5.0]]);
        let r = Recorder::new(&params);
        let weight = r.input([1, 1]);
        let x = r.param(w).weight_gradient(weight);
        let (total, loss) = (x.row_sum().slot(), x.sum().slot());
        let weight = weight.slot();
        let (mut tape, mut grads) = (r.finish(), Grads::zeros(&params));
        tape.forward(&params);
        tape.feed(total, weight);
        tape.backward(loss, &params, &mut grads);
        assert_eq!(grads.view(w), array![[7.0, 7.0]]);
    }

    #[test]
    fn parts_of_a_loss_add_up() {
        let (params, w) = one_param(array![[2.0, 5.0]]);
        let r = Recorder::new(&params);
        let (first, second) = (r.param(w).square().sum(), (r.param(w) * 3.0).sum());
        let whole = (first * 0.25 + second * 4.0).slot();
        let parts = [(first.slot(), 0.25, Write::Set), (second.slot(), 4.0, Write::Add)];
        let mut tape = r.finish();
        let [mut grads, mut sum] = [(); 2].map(|()| Grads::zeros(&params));
        tape.forward(&params);
        tape.backward(whole, &params, &mut grads);
        sum.flat.fill(f64::NAN);
        parts.into_iter().for_each(|(loss, dloss, write)| tape.backward_of(loss, dloss, write, &params, &mut sum));
        assert_eq!(grads.view(w), sum.view(w));
    }

    #[test]
    fn a_parameter_the_loss_does_not_reach_gets_zero() {
        let mut params = Params::<f64>::new();
        let (used, unused) = (params.add("used", array![[1.0]]), params.add("unused", array![[1.0]]));
        let r = Recorder::new(&params);
        let _dead_end = r.param(unused).exp();
        let loss = r.param(used).sum().slot();
        let mut tape = r.finish();
        let mut grads = Grads::zeros(&params);
        grads.flat.fill(f64::NAN);
        tape.forward(&params);
        tape.backward(loss, &params, &mut grads);
        assert_eq!((grads.view(used)[[0, 0]], grads.view(unused)[[0, 0]]), (1.0, 0.0));
    }

    #[test]
    fn a_parameter_that_is_not_learned_gets_zero_and_the_others_what_they_get_otherwise() {
        let mut params = Params::<f64>::new();
        let w = params.add("w", array![[2.0, -1.0], [0.5, 3.0]]);
        let z = params.add("z", array![[1.0, 4.0]]);
        let gradients = |r: Recorder<f64>| {
            let loss = r.param(z).matmul(r.param(w)).square().sum().slot();
            let (mut tape, mut grads) = (r.finish(), Grads::zeros(&params));
            grads.flat.fill(f64::NAN);
            tape.forward(&params);
            tape.backward(loss, &params, &mut grads);
            [w, z].map(|p| grads.view(p).to_owned())
        };
        let [_, all] = gradients(Recorder::new(&params));
        assert_eq!(gradients(Recorder::new(&params).learning_only(&[z])), [Array2::zeros((2, 2)), all]);
    }

    #[test]
    fn replaying_with_new_inputs_equals_recording_anew() {
        let (params, w) = one_param(array![[0.5, -1.0], [2.0, 0.25]]);
        let play = |tape: &mut Tape<f64>, x: Slot, loss: Slot, input: &Array2<f64>| {
            let mut grads = Grads::zeros(&params);
            tape.input_mut(x).assign(input);
            tape.forward(&params);
            tape.backward(loss, &params, &mut grads);
            (tape.scalar(loss), grads.view(w).to_owned())
        };
        let record = || {
            let r = Recorder::new(&params);
            let x = r.input([3, 2]);
            let loss = x.matmul(r.param(w)).tanh().square().mean();
            let (x, loss) = (x.slot(), loss.slot());
            (r.finish(), x, loss)
        };
        let (mut replayed, x, loss) = record();
        for k in 0..3 {
            let input = Array2::from_shape_fn((3, 2), |(i, j)| (i + 2 * j + k) as f64 * 0.1);
            let (mut fresh, ..) = record();
            assert_eq!(play(&mut replayed, x, loss, &input), play(&mut fresh, x, loss, &input));
        }
    }

    #[test]
    fn the_listing_shows_every_line_and_every_parameter() {
        let mut params = Params::<f32>::new();
        let (w, b) = (params.add("w", Array2::zeros((784, 400))), params.add("b", Array2::zeros((1, 400))));
        let r = Recorder::new(&params);
        let x = r.input([128, 784]);
        x.linear(r.param(w), r.param(b), Activation::Relu).sum();
        let expected = "\
%0      128×784   input
%1      128×400   Linear relu        %0 p0 p1
%2        1×1     Sum                %1
p0      784×400   w
p1        1×400   b
";
        assert_eq!(r.finish().to_string(), expected);
    }

    #[test]
    fn the_first_non_finite_thing_is_named() {
        let (mut params, w) = one_param(array![[0.0, 1.0]]);
        let r = Recorder::new(&params);
        let x = r.input([1, 2]);
        let loss = (r.param(w).sqrt() * x).sum().slot();
        let x = x.slot();
        let mut tape = r.finish();
        let mut grads = Grads::zeros(&params);
        let mut blame = |tape: &mut Tape<f64>, params: &Params<f64>| {
            tape.forward(params);
            tape.first_non_finite(loss, 1.0, params, &mut grads)
        };
        tape.input_mut(x).fill(1.0);
        // √0 is finite, its slope is not.
        assert_eq!(blame(&mut tape, &params).unwrap(), "the gradient computed by %1 Sqrt 1×2 (p0)");
        params.view_mut(w)[[0, 0]] = -1.0;
        assert_eq!(blame(&mut tape, &params).unwrap(), "the value of %1 Sqrt 1×2 (p0)");
        tape.input_mut(x)[[0, 1]] = f64::INFINITY;
        assert_eq!(blame(&mut tape, &params).unwrap(), "the value of %0 input 1×2");
        params.view_mut(w)[[0, 0]] = f64::NAN;
        assert_eq!(blame(&mut tape, &params).unwrap(), "parameter p0 `w`");
    }

    #[test]
    #[should_panic(expected = "recorded for other parameters")]
    fn parameters_of_another_model_are_refused() {
        let (params, w) = one_param(array![[1.0]]);
        let r = Recorder::new(&params);
        r.param(w).exp();
        r.finish().forward(&Params::new());
    }
}
