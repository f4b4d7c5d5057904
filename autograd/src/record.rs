//! Recording: model code runs once on symbols, and writes down what it would do.

use std::cell::RefCell;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use crate::matrix::{ALIGNMENT, Shape, size};
use crate::op::{Bound, Op};
use crate::params::{Layout, Param, Params};
use crate::precision::Precision;
use crate::real::Real;
use crate::tape::{Node, Place, Slot, Tape, needs_gradient};

/// Writes operations down. Shapes are checked here, before any number exists.
///
/// ```
/// use autograd::{Params, Recorder, Grads};
/// use ndarray::array;
///
/// let mut params = Params::<f32>::new();
/// let w = params.add("w", array![[3.0]]);
///
/// let r = Recorder::new(&params);
/// let x = r.input([1, 1]);
/// let y = x * r.param(w);         // nothing is computed yet
/// let (x, y) = (x.slot(), y.slot());
/// let mut tape = r.finish();      // now all memory there is
///
/// tape.input_mut(x).fill(2.0);
/// tape.forward(&params);
/// assert_eq!(tape.scalar(y), 6.0);
///
/// let mut grads = Grads::zeros(&params);
/// tape.backward(y, &params, &mut grads);
/// assert_eq!(grads.view(w)[[0, 0]], 2.0);
/// ```
pub struct Recorder<T: Real = f32> {
    nodes: RefCell<Vec<Node<T>>>,
    layout: Arc<Layout>,
    precision: Precision,
    /// Of each parameter, whether its gradient is wanted.
    learned: Vec<bool>,
}

/// A matrix that will exist when the tape is played. It borrows the recorder, so it cannot outlive the recording:
/// what does is its [`slot`](Var::slot).
pub struct Var<'r, T: Real = f32> {
    recorder: &'r Recorder<T>,
    slot: Slot,
}

impl<T: Real> Clone for Var<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<T: Real> Copy for Var<'_, T> {}

impl<T: Real> fmt::Debug for Var<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [rows, columns] = self.shape();
        write!(f, "{} {rows}×{columns}", self.slot)
    }
}

impl<T: Real> Recorder<T> {
    /// A recording that may use these parameters: their shapes, not their numbers.
    pub fn new(params: &Params<T>) -> Self {
        let (layout, learned) = (params.layout.clone(), vec![true; params.layout.params().count()]);
        Recorder { nodes: RefCell::default(), layout, precision: Precision::Single, learned }
    }

    /// The same, in which all parameters but these are constants: the backward pass computes nothing for them, and leaves
    /// 0. It is to be set before anything is recorded.
    ///
    /// So the gradient with respect to what is no weight at all, such as a latent code, costs no more than it has to.
    pub fn learning_only(self, params: &[Param]) -> Self {
        let learned = self.layout.params().map(|p| params.contains(&p)).collect();
        Recorder { learned, ..self }
    }

    /// The same, whose products will have this precision, forward and backward: [`linear`](Var::linear) and
    /// [`matmul`](Var::matmul) read it when they are recorded. It is to be set before anything is.
    ///
    /// ```
    /// use autograd::{Activation, Params, Precision, Recorder};
    /// use ndarray::Array2;
    ///
    /// let mut params = Params::<f32>::new();
    /// let (w, b) = (params.add("w", Array2::zeros((784, 400))), params.add("b", Array2::zeros((1, 400))));
    /// let r = Recorder::new(&params).with_precision(Precision::Bf16);
    /// r.input([128, 784]).linear(r.param(w), r.param(b), Activation::Relu);
    /// assert!(r.finish().to_string().contains("Linear relu bf16"));
    /// ```
    pub fn with_precision(self, precision: Precision) -> Self {
        Recorder { precision, ..self }
    }

    /// The precision of the products that are recorded here; an operation of your own that contains one asks for it.
    pub fn precision(&self) -> Precision {
        self.precision
    }

    /// A matrix to be filled before the tape is played: data, noise, whatever changes from step to step.
    ///
    /// # Panics
    /// If it is empty.
    #[track_caller]
    pub fn input(&self, shape: Shape) -> Var<'_, T> {
        self.push(None, shape)
    }

    /// A parameter.
    pub fn param(&self, param: Param) -> Var<'_, T> {
        Var { recorder: self, slot: Slot::Param(param) }
    }

    /// Ends the recording and takes all the memory that playing it needs.
    pub fn finish(self) -> Tape<T> {
        let nodes = self.nodes.into_inner();
        let mut next = 0;
        let places: Vec<Place> = nodes
            .iter()
            .map(|node| {
                let start = next;
                next += size(node.shape).next_multiple_of(ALIGNMENT);
                Place { start, shape: node.shape }
            })
            .collect();
        Tape::new(nodes, places, next, self.layout, self.learned)
    }

    fn shape(&self, slot: Slot) -> Shape {
        match slot {
            Slot::Node(i) => self.nodes.borrow()[i].shape,
            Slot::Param(p) => self.layout.shape(p),
        }
    }

    #[track_caller]
    fn push(&self, op: Option<Box<dyn crate::op::Recorded<T>>>, shape: Shape) -> Var<'_, T> {
        assert!(size(shape) > 0, "an empty matrix: {shape:?}");
        let mut nodes = self.nodes.borrow_mut();
        let needs_gradient =
            op.as_ref().is_some_and(|op| op.args().iter().any(|&x| needs_gradient(&nodes, &self.learned, x)));
        nodes.push(Node { op, shape, needs_gradient });
        Var { recorder: self, slot: Slot::Node(nodes.len() - 1) }
    }
}

impl<'r, T: Real> Var<'r, T> {
    /// Records an operation: any type that implements [`Op`], in this crate or in yours.
    ///
    /// # Panics
    /// If the shapes do not fit, with the operation's own explanation; or if the arguments come from two recorders.
    #[track_caller]
    pub fn apply<const N: usize>(op: impl Op<T, N>, args: [Var<'r, T>; N]) -> Var<'r, T> {
        let recorder = args[0].recorder;
        assert!(args.iter().all(|x| std::ptr::eq(x.recorder, recorder)), "arguments of two different recorders");
        match op.shape(args.map(|x| x.shape())) {
            Ok(shape) => recorder.push(Some(Box::new(Bound { op, args: args.map(|x| x.slot) })), shape),
            Err(why) => panic!("{why}"),
        }
    }

    /// Where its number will be once the tape is played.
    pub fn slot(self) -> Slot {
        self.slot
    }

    /// `[rows, columns]`
    pub fn shape(self) -> Shape {
        self.recorder.shape(self.slot)
    }

    /// Where it is being recorded; a layer asks for its parameters there.
    pub fn recorder(self) -> &'r Recorder<T> {
        self.recorder
    }
}

impl Place {
    pub(crate) fn range(&self) -> Range<usize> {
        self.start..self.start + size(self.shape)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[should_panic(expected = "matmul: [3, 4] · [5, 2], but 4 ≠ 5")]
    fn shapes_that_do_not_fit_are_refused_at_recording() {
        let r = Recorder::<f32>::new(&Params::new());
        r.input([3, 4]).matmul(r.input([5, 2]));
    }

    #[test]
    #[should_panic(expected = "an empty matrix: [3, 0]")]
    fn an_empty_matrix_is_refused() {
        Recorder::<f32>::new(&Params::new()).input([3, 0]);
    }

    #[test]
    #[should_panic(expected = "two different recorders")]
    fn two_recordings_do_not_mix() {
        let (a, b) = (Recorder::<f32>::new(&Params::new()), Recorder::<f32>::new(&Params::new()));
        let _ = a.input([1, 1]) + b.input([1, 1]);
    }
}
