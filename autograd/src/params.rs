//! Parameters and their gradients: one flat buffer each, with the same layout.
//!
//! An optimizer is then one pass over flat slices, and a checkpoint is one write.

use std::ops::Range;
use std::sync::Arc;

use ndarray::Array2;

use crate::kernels::{Write, each};
use crate::matrix::{ALIGNMENT, Buffer, Shape, View, ViewMut, size, view, view_mut};
use crate::real::Real;

/// The name of one matrix in a [`Params`]. It is small plain data, so a model that holds some of them is too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Param(pub(crate) usize);

/// Where each parameter lies in the flat buffer. Between matrices there may be padding, which stays zero.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Layout {
    entries: Vec<Entry>,
    len: usize,
}

#[derive(Clone, Debug, PartialEq)]
struct Entry {
    name: String,
    shape: Shape,
    start: usize,
}

impl Layout {
    /// Where the numbers of `param` are in the flat buffer.
    pub fn range(&self, param: Param) -> Range<usize> {
        let Entry { shape, start, .. } = &self.entries[param.0];
        *start..start + size(*shape)
    }

    /// The shape of `param`.
    pub fn shape(&self, param: Param) -> Shape {
        self.entries[param.0].shape
    }

    /// The name `param` was added under.
    pub fn name(&self, param: Param) -> &str {
        &self.entries[param.0].name
    }

    /// Every parameter, in the order in which they were added.
    pub fn params(&self) -> impl Iterator<Item = Param> + use<> {
        (0..self.entries.len()).map(Param)
    }

    /// How many numbers are learned (padding not counted).
    pub fn count(&self) -> usize {
        self.entries.iter().map(|e| size(e.shape)).sum()
    }
}

/// All parameters of a model, end to end.
#[derive(Clone, Debug)]
pub struct Params<T: Real = f32> {
    /// The numbers. What lies between two matrices is padding.
    pub flat: Buffer<T>,
    /// Which of the numbers are which parameter.
    pub layout: Arc<Layout>,
}

impl<T: Real> Params<T> {
    /// No parameters yet.
    pub fn new() -> Self {
        Params { flat: Buffer::zeros(0), layout: Arc::default() }
    }

    /// Appends a matrix.
    ///
    /// # Panics
    /// If a parameter of this name exists, or the matrix is empty.
    #[track_caller]
    pub fn add(&mut self, name: impl Into<String>, value: Array2<T>) -> Param {
        let (name, shape) = (name.into(), value.dim().into());
        assert!(self.layout.entries.iter().all(|e| e.name != name), "there is a parameter `{name}` already");
        assert!(size(shape) > 0, "parameter `{name}` is empty: {shape:?}");

        let layout = Arc::make_mut(&mut self.layout);
        let param = Param(layout.entries.len());
        layout.entries.push(Entry { name, shape, start: layout.len });
        layout.len += size(shape).next_multiple_of(ALIGNMENT);

        let mut longer = Buffer::zeros(self.layout.len);
        longer[..self.flat.len()].copy_from_slice(&self.flat);
        self.flat = longer;
        self.view_mut(param).assign(&value);
        param
    }

    /// The matrix `param`.
    pub fn view(&self, param: Param) -> View<'_, T> {
        view(&self.flat[self.layout.range(param)], self.layout.shape(param))
    }

    /// The matrix `param`, to write.
    pub fn view_mut(&mut self, param: Param) -> ViewMut<'_, T> {
        view_mut(&mut self.flat[self.layout.range(param)], self.layout.shape(param))
    }

    /// Names and matrices, in the order in which they were added.
    pub fn iter(&self) -> impl Iterator<Item = (&str, View<'_, T>)> {
        self.layout.params().map(|p| (self.layout.name(p), self.view(p)))
    }

    /// The same parameters as another kind of number, so that the same model runs in `f32` and in `f64`.
    pub fn cast<U: Real>(&self) -> Params<U> {
        let mut flat = Buffer::zeros(self.flat.len());
        for (u, t) in flat.iter_mut().zip(self.flat.iter()) {
            *u = U::of(t.as_f64());
        }
        Params { flat, layout: self.layout.clone() }
    }
}

impl<T: Real> Default for Params<T> {
    fn default() -> Self {
        Params::new()
    }
}

/// `∂loss/∂params`, in the layout of the [`Params`].
#[derive(Clone, Debug)]
pub struct Grads<T: Real = f32> {
    /// The numbers, as in [`Params::flat`].
    pub flat: Buffer<T>,
    /// Which of the numbers are which parameter's.
    pub layout: Arc<Layout>,
}

impl<T: Real> Grads<T> {
    /// Zero for every parameter.
    pub fn zeros(params: &Params<T>) -> Self {
        Grads { flat: Buffer::zeros(params.flat.len()), layout: params.layout.clone() }
    }

    /// Adds another gradient of the same parameters.
    ///
    /// # Panics
    /// If it is one of others.
    pub fn add(&mut self, other: &Self) {
        assert!(self.layout == other.layout, "gradients of other parameters");
        let column = |n| [n, 1];
        let other = view(&other.flat, column(other.flat.len()));
        each::map([other], Write::Add, view_mut(&mut self.flat, column(other.len())), |[g]| g);
    }

    /// The gradient of one parameter.
    pub fn view(&self, param: Param) -> View<'_, T> {
        view(&self.flat[self.layout.range(param)], self.layout.shape(param))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn gradients_add_up() {
        let mut params = Params::<f64>::new();
        let p = params.add("p", array![[1.0, 2.0, 3.0]]);
        let [mut one, mut two] = [(); 2].map(|()| Grads::zeros(&params));
        one.flat[..3].copy_from_slice(&[1.0, 2.0, 3.0]);
        two.flat[..3].copy_from_slice(&[10.0, 0.0, -3.0]);
        one.add(&two);
        assert_eq!(one.view(p), array![[11.0, 2.0, 0.0]]);
    }

    #[test]
    fn parameters_keep_their_values_as_more_are_added_and_start_on_boundaries() {
        let mut params = Params::<f64>::new();
        let a = params.add("a", array![[1.0, 2.0, 3.0]]);
        let b = params.add("b", array![[4.0], [5.0]]);
        assert_eq!(params.view(a), array![[1.0, 2.0, 3.0]]);
        assert_eq!(params.view(b), array![[4.0], [5.0]]);
        assert_eq!(params.layout.range(b).start % ALIGNMENT, 0);
        assert_eq!(params.layout.count(), 5);
        assert_eq!(params.cast::<f32>().view(b), array![[4.0f32], [5.0]]);
    }

    #[test]
    #[should_panic(expected = "there is a parameter `a` already")]
    fn a_name_is_given_once() {
        let mut params = Params::<f32>::new();
        params.add("a", array![[1.0]]);
        params.add("a", array![[1.0]]);
    }
}
