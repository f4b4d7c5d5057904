//! What an operation is: three rules side by side, and the [`Sink`] that a gradient flows into.

use std::cell::RefCell;

use crate::kernels::gemm::gemm;
use crate::kernels::reduce::add_column_sums;
use crate::kernels::{Write, each};
use crate::matrix::{Shape, View, ViewMut, size, view_mut};
use crate::params::Grads;
use crate::precision::Precision;
use crate::real::Real;
use crate::tape::{Place, Slot, Values};

/// An operation on `N` matrices: its shape rule, its value, and its derivative.
///
/// Record one with [`Var::apply`](crate::Var::apply). Ours are written exactly as yours are:
///
/// ```
/// use autograd::{Op, Real, Shape, Sink, View, ViewMut, check, kernels::{Write, each}};
///
/// /// `y = x³`, and so `dx = dy · 3x²`.
/// struct Cube;
///
/// impl<T: Real> Op<T, 1> for Cube {
///     fn shape(&self, [x]: [Shape; 1]) -> Result<Shape, String> {
///         Ok(x)
///     }
///     fn forward(&self, [x]: [View<T>; 1], y: ViewMut<T>) {
///         each::map([x], Write::Set, y, |[x]| x * x * x);
///     }
///     fn backward(&self, [x]: [View<T>; 1], _: View<T>, dy: ViewMut<T>, [dx]: [Sink<T>; 1]) {
///         dx.add_map([dy.view(), x], |[dy, x]| dy * T::of(3.0) * x * x);
///     }
/// }
///
/// check::gradients([[3, 4]], |[x]| autograd::Var::apply(Cube, [x]));
/// ```
pub trait Op<T: Real, const N: usize>: Send + Sync + 'static {
    /// The shape of the result.
    ///
    /// # Errors
    /// If the arguments do not fit: a text that names the operation, both shapes, and why. Recording panics with it.
    fn shape(&self, xs: [Shape; N]) -> Result<Shape, String>;

    /// Computes `y` from the arguments. `y` holds the value of an earlier pass and is to be overwritten.
    fn forward(&self, xs: [View<T>; N], y: ViewMut<T>);

    /// Adds to each `dx` the gradient of the loss with respect to that argument, given `dy`, the gradient with respect
    /// to `y`. `dy` is not needed afterwards: it may be changed in place. An operation fills every sink; a sink that
    /// nobody needs ignores its argument.
    fn backward(&self, xs: [View<T>; N], y: View<T>, dy: ViewMut<T>, dxs: [Sink<T>; N]);

    /// What a listing calls it.
    fn name(&self) -> String {
        let full = std::any::type_name::<Self>();
        let innermost = full.rsplit('<').next().unwrap_or(full).trim_end_matches('>');
        innermost.rsplit("::").next().unwrap_or(innermost).to_string()
    }

    /// Arithmetic operations in the forward pass; `exp` and the like count as one.
    fn flops(&self, xs: [Shape; N]) -> usize {
        self.shape(xs).map_or(0, size)
    }

    /// Arithmetic operations in the backward pass, if the marked arguments need their gradient.
    fn backward_flops(&self, xs: [Shape; N], needed: [bool; N]) -> usize {
        self.flops(xs) * needed.iter().filter(|&&n| n).count()
    }
}

/// Where the gradient of one argument accumulates.
///
/// The first addition of a pass *overwrites*, so nothing is ever zeroed beforehand. A sink borrows its gradient only
/// while one addition runs, so one matrix may be both arguments of a product.
pub struct Sink<'a, T: Real = f32> {
    pub(crate) target: Slot,
    pub(crate) needed: bool,
    pub(crate) past: &'a RefCell<Past<'a, T>>,
}

/// All gradients an operation may add to: those of the values before its own, and of the parameters.
pub(crate) struct Past<'a, T: Real> {
    pub(crate) places: &'a [Place],
    pub(crate) dvalues: &'a mut [T],
    pub(crate) grads: &'a mut Grads<T>,
    pub(crate) written: &'a mut [bool],
    pub(crate) written_params: &'a mut [bool],
}

impl<T: Real> Past<'_, T> {
    /// The gradient that is added to next, and whether there is one already.
    fn next(&mut self, target: Slot) -> (ViewMut<'_, T>, Write) {
        let (dx, written) = match target {
            Slot::Node(i) => {
                let Place { shape, .. } = self.places[i];
                (view_mut(&mut self.dvalues[self.places[i].range()], shape), &mut self.written[i])
            }
            Slot::Param(p) => {
                let (range, shape) = (self.grads.layout.range(p), self.grads.layout.shape(p));
                (view_mut(&mut self.grads.flat[range], shape), &mut self.written_params[p.0])
            }
        };
        (dx, if std::mem::replace(written, true) { Write::Add } else { Write::Set })
    }
}

impl<T: Real> Sink<'_, T> {
    /// Whether anybody needs this gradient. An operation asks only to spare itself work before an addition.
    pub fn needed(&self) -> bool {
        self.needed
    }

    /// The way in for everything: `write(dx, Write::Set)` if nothing was added in this pass yet, else
    /// `write(dx, Write::Add)`. After it, every element of `dx` must have its value.
    pub fn accumulate(&self, write: impl FnOnce(ViewMut<T>, Write)) {
        if !self.needed {
            return;
        }
        let past = &mut *self.past.borrow_mut();
        let (dx, how) = past.next(self.target);
        write(dx, how);
    }

    /// `dx += a`
    pub fn add(&self, a: View<T>) {
        self.add_map([a], |[a]| a);
    }

    /// `dx += f(x₁, …)`, element by element.
    pub fn add_map<const M: usize>(&self, xs: [View<T>; M], f: impl Fn([T; M]) -> T + Sync) {
        self.accumulate(|dx, write| each::map(xs, write, dx, f));
    }

    /// `dxᵢⱼ += f([s₁ᵢ, …], [x₁ᵢⱼ, …])`, with numbers that are the same along a row, from columns.
    pub fn add_map_rows<const S: usize, const M: usize>(
        &self,
        columns: [View<T>; S],
        xs: [View<T>; M],
        f: impl Fn([T; S], [T; M]) -> T + Sync,
    ) {
        self.accumulate(|dx, write| each::map_rows(columns, xs, write, dx, f));
    }

    /// `dx += A · B`
    pub fn add_product(&self, a: View<T>, b: View<T>, precision: Precision) {
        self.accumulate(|dx, write| gemm(a, b, precision, write, dx));
    }

    /// `dxⱼ += Σᵢ aᵢⱼ`, for an argument of one row.
    pub fn add_column_sums(&self, a: View<T>) {
        self.accumulate(|dx, write| {
            let dx = each::slice_mut(dx);
            if write == Write::Set {
                dx.fill(T::zero());
            }
            add_column_sums(a, dx);
        });
    }
}

/// An operation on the tape: which one, and on what. It forgets the arity, so that a tape can hold all kinds.
pub(crate) trait Recorded<T: Real>: Send + Sync {
    fn args(&self) -> &[Slot];
    fn name(&self) -> String;
    fn forward(&self, values: &Values<T>, y: ViewMut<T>);
    fn backward(&self, values: &Values<T>, y: View<T>, dy: ViewMut<T>, past: Past<T>, needed: &dyn Fn(Slot) -> bool);
    fn flops(&self, shape: &dyn Fn(Slot) -> Shape) -> usize;
    fn backward_flops(&self, shape: &dyn Fn(Slot) -> Shape, needed: &dyn Fn(Slot) -> bool) -> usize;
}

pub(crate) struct Bound<O, const N: usize> {
    pub(crate) op: O,
    pub(crate) args: [Slot; N],
}

/// The arguments of an operation. It does not know which operation, so it is compiled once.
fn views<'v, T: Real, const N: usize>(values: &'v Values<T>, args: [Slot; N]) -> [View<'v, T>; N] {
    args.map(|x| values.get(x))
}

/// Where the gradients of an operation go.
fn sinks<'a, T: Real, const N: usize>(
    args: [Slot; N],
    needed: &dyn Fn(Slot) -> bool,
    past: &'a RefCell<Past<'a, T>>,
) -> [Sink<'a, T>; N] {
    args.map(|target| Sink { target, needed: needed(target), past })
}

impl<T: Real, O: Op<T, N>, const N: usize> Recorded<T> for Bound<O, N> {
    fn args(&self) -> &[Slot] {
        &self.args
    }

    fn name(&self) -> String {
        self.op.name()
    }

    fn forward(&self, values: &Values<T>, y: ViewMut<T>) {
        self.op.forward(views(values, self.args), y);
    }

    fn backward(&self, values: &Values<T>, y: View<T>, dy: ViewMut<T>, past: Past<T>, needed: &dyn Fn(Slot) -> bool) {
        let past = &RefCell::new(past);
        let sinks = sinks(self.args, needed, past);
        self.op.backward(views(values, self.args), y, dy, sinks);
    }

    fn flops(&self, shape: &dyn Fn(Slot) -> Shape) -> usize {
        self.op.flops(self.args.map(shape))
    }

    fn backward_flops(&self, shape: &dyn Fn(Slot) -> Shape, needed: &dyn Fn(Slot) -> bool) -> usize {
        self.op.backward_flops(self.args.map(shape), self.args.map(needed))
    }
}
