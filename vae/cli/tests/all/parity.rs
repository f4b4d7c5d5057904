//! PyTorch ran the same model from the same weights, images and noise; here we must arrive where it did.
//!
//! What it computed lies in `tests/parity`, whose README says what is what.

use std::collections::HashMap;
use std::fs;

use autograd::{Activation, Grads, Layout, Param, Params, Real, Recorder, Slot, Tape, View};
use ndarray::Array2;
use safetensors::{SafeTensors, tensor::Dtype};
use vae::distributions::{Family, Reparameterized};
use vae::models::Architecture;
use vae::noise::Purpose;
use vae::optim::Adam;

const BATCH: usize = 32;
const PIXELS: usize = 784;

/// How far we may be from the tensors whose name begins so: a bound on `‖ours − theirs‖₂ / ‖theirs‖₂`.
type Bounds = [(&'static str, f64)];

// Bounds are at most four times what was measured: the largest error in the group, over the batch in PyTorch's order
// and, since another order of summation rounds otherwise, in reverse. The number of threads changes nothing.
const F64: &Bounds = &[
    ("recon", 1e-14),    // measured 3.2e-15, the worst of 100 steps
    ("kl", 3e-14),       // 9.6e-15, the worst of 100 steps
    ("fwd", 3e-15),      // 7.9e-16
    ("grad", 2e-15),     // 5.8e-16
    ("after1", 2e-16),   // 5.7e-17: no more than lr of each weight is new, the rest is equal
    ("after10", 3e-15),  // 8.1e-16
    ("after100", 1e-14), // 3.0e-15
    ("sum", 1e-13),      // 2.8e-14: up to 313 600 numbers added up, one after another
    ("sumsq", 2e-13),    // 7.1e-14: likewise
    ("every61", 3e-15),  // 9.8e-16
];

// PyTorch's own run in f32 is as far from its run in f64: 1.4e-7 in `recon`, 2.9e-7 in `kl`, 3.1e-7 in `after100`.
const F32: &Bounds = &[
    ("recon", 5e-7),    // measured 1.4e-7, the worst of 100 steps
    ("kl", 8e-7),       // 2.2e-7, the worst of 100 steps
    ("fwd", 7e-7),      // 2.0e-7
    ("grad", 8e-7),     // 2.1e-7
    ("after1", 1.5e-8), // 4.5e-9
    ("after10", 2e-7),  // 6.5e-8
    ("after100", 5e-7), // 1.3e-7
];

#[test]
fn in_f64_losses_gradients_and_weights_are_pytorchs_for_100_steps() {
    follow_for_100_steps::<f64>(&PyTorch::read(&["small_f32", "small_f64_a", "small_f64_b"], F64));
}

#[test]
fn in_f32_losses_gradients_and_weights_are_pytorchs_for_100_steps() {
    follow_for_100_steps::<f32>(&PyTorch::read(&["small_f32"], F32));
}

fn follow_for_100_steps<T: Real>(pytorch: &PyTorch) {
    let mut run = Run::<T>::new(64, 8, pytorch);
    for t in 0..100 {
        run.differentiate(t);
        if t == 0 {
            pytorch.check_all(run.posterior());
            pytorch.check_all(run.gradients());
        }
        run.adam.step(&mut run.params, &run.grads);
        if [1, 10, 100].contains(&(t + 1)) {
            pytorch.check_all(run.weights(&format!("after{}", t + 1)));
        }
    }
}

#[test]
fn at_full_size_losses_gradients_and_the_first_update_are_pytorchs() {
    let pytorch = PyTorch::read(&["full_init", "full_f64_digest"], F64);
    let mut run = Run::<f64>::new(400, 20, &pytorch);
    run.differentiate(0);
    pytorch.check_all(run.posterior());
    pytorch.check_all(digest(run.gradients()));
    run.adam.step(&mut run.params, &run.grads);
    pytorch.check_all(digest(run.weights("after1")));
}

/// Names and numbers, a matrix row after row.
type Tensors = Vec<(String, Vec<f64>)>;

/// What the digest keeps of each tensor.
fn digest(tensors: Tensors) -> Tensors {
    let of_one = |(name, x): (String, Vec<f64>)| {
        [
            (format!("sum.{name}"), vec![x.iter().sum()]),
            (format!("sumsq.{name}"), vec![x.iter().map(|x| x * x).sum()]),
            (format!("every61.{name}"), x.into_iter().step_by(61).collect()),
        ]
    };
    tensors.into_iter().flat_map(of_one).collect()
}

/// What PyTorch started from and what it computed, by name, and how far from it we may be.
struct PyTorch {
    tensors: HashMap<String, Vec<f64>>,
    bounds: &'static Bounds,
}

impl PyTorch {
    /// Reads fixtures. Of tensors with one name the last counts: the runs in f64 start from what is in `small_f32`.
    fn read(files: &[&str], bounds: &'static Bounds) -> PyTorch {
        let mut tensors = HashMap::new();
        for file in files {
            let bytes = fs::read(format!("{}/tests/parity/{file}.safetensors", env!("CARGO_MANIFEST_DIR"))).unwrap();
            for (name, tensor) in SafeTensors::deserialize(&bytes).unwrap().iter() {
                let data = tensor.data();
                let numbers = match tensor.dtype() {
                    Dtype::U8 => data.iter().map(|&x| f64::from(x)).collect(),
                    Dtype::F32 => data.as_chunks().0.iter().map(|&x| f64::from(f32::from_le_bytes(x))).collect(),
                    Dtype::F64 => data.as_chunks().0.iter().map(|&x| f64::from_le_bytes(x)).collect(),
                    other => panic!("`{name}` of {file} is {other:?}"),
                };
                tensors.insert(name.to_string(), numbers);
            }
        }
        PyTorch { tensors, bounds }
    }

    /// The part of a tensor, of this size, that belongs to step `t`. There are ten batches, taken in turn.
    fn at_step(&self, t: usize, name: &str, size: usize) -> &[f64] {
        let steps = self.tensors[name].chunks_exact(size);
        steps.clone().nth(t % steps.len()).unwrap()
    }

    #[track_caller]
    fn check(&self, name: &str, ours: &[f64], theirs: &[f64]) {
        assert_eq!(ours.len(), theirs.len(), "{name}");
        let norm = |x: &mut dyn Iterator<Item = f64>| x.map(|x| x * x).sum::<f64>().sqrt();
        let distance = norm(&mut ours.iter().zip(theirs).map(|(ours, theirs)| ours - theirs));
        let error = distance / norm(&mut theirs.iter().copied());
        let (_, bound) = self.bounds.iter().find(|(group, _)| name.split('.').next() == Some(group)).unwrap();
        assert!(error <= *bound, "{name} is off by {error:.1e} of itself, more than {bound:e}");
    }

    #[track_caller]
    fn check_all(&self, ours: Tensors) {
        for (name, ours) in ours {
            self.check(&name, &ours, &self.tensors[&name]);
        }
    }
}

/// Our model on its way from PyTorch's initial weights.
struct Run<'a, T: Real> {
    pytorch: &'a PyTorch,
    params: Params<T>,
    grads: Grads<T>,
    adam: Adam<T>,
    tape: Tape<T>,
    /// Each with what it is divided by.
    inputs: [(&'static str, Slot, f64); 2],
    losses: [(&'static str, Slot); 2],
    posterior: [(&'static str, Slot); 3],
    total: Slot,
}

impl<'a, T: Real> Run<'a, T> {
    fn new(hidden: usize, latent: usize, pytorch: &'a PyTorch) -> Self {
        let mut params = Params::new();
        let architecture = Architecture {
            pixels: PIXELS,
            hidden: vec![hidden],
            latent,
            activation: Activation::Relu,
            family: Family::Bernoulli,
        };
        let vae = architecture.build(&mut params, &mut Purpose::Init.generator(0, 0));
        let mut params = params.cast::<T>();
        for param in params.layout.clone().params() {
            let theirs = &pytorch.tensors[&format!("init.{}", name_in_pytorch(params.layout.name(param)))];
            let theirs = theirs.iter().copied().map(T::of).collect();
            let [inputs, outputs] = params.layout.shape(param);
            params.view_mut(param).assign(&Array2::from_shape_vec([outputs, inputs], theirs).unwrap().t());
        }

        let r = Recorder::new(&params);
        let (x, noise) = (r.input([BATCH, PIXELS]), r.input([BATCH, latent]));
        let elbo = vae.elbo(x, noise);
        let (q, recon, kl) = (elbo.posterior, elbo.reconstruction.sum(), elbo.kl.sum());
        let z = q.sample(noise);
        Run {
            inputs: [("images.u8", x.slot(), 255.0), ("eps", noise.slot(), 1.0)],
            losses: [("recon", recon.slot()), ("kl", kl.slot())],
            posterior: [("fwd.mu", q.mean.slot()), ("fwd.logvar", q.log_var.slot()), ("fwd.z", z.slot())],
            total: (recon + kl).slot(),
            tape: r.finish(),
            grads: Grads::zeros(&params),
            adam: Adam::new(&params, 1e-3),
            params,
            pytorch,
        }
    }

    /// Step `t` up to the update; its losses are checked.
    fn differentiate(&mut self, t: usize) {
        for (name, slot, unit) in self.inputs {
            let mut input = self.tape.input_mut(slot);
            let theirs = self.pytorch.at_step(t, name, input.len());
            input.iter_mut().zip(theirs).for_each(|(x, &theirs)| *x = T::of(theirs) / T::of(unit));
        }
        self.tape.forward(&self.params);
        self.tape.backward(self.total, &self.params, &mut self.grads);
        for (name, slot) in self.losses {
            self.pytorch.check(name, &[self.tape.scalar(slot).as_f64()], self.pytorch.at_step(t, name, 1));
        }
    }

    fn posterior(&self) -> Tensors {
        self.posterior.map(|(name, slot)| (name.to_string(), numbers(self.tape.value(slot)))).into()
    }

    fn gradients(&self) -> Tensors {
        as_in_pytorch("grad", &self.grads.layout, |p| self.grads.view(p))
    }

    fn weights(&self, group: &str) -> Tensors {
        as_in_pytorch(group, &self.params.layout, |p| self.params.view(p))
    }
}

/// One matrix for each parameter, called and laid out as PyTorch does: there a weight is `[out, in]`, here `[in, out]`.
fn as_in_pytorch<'a, T: Real>(group: &str, layout: &Layout, matrix: impl Fn(Param) -> View<'a, T>) -> Tensors {
    let name = |p| format!("{group}.{}", name_in_pytorch(layout.name(p)));
    layout.params().map(|p| (name(p), numbers(matrix(p).reversed_axes()))).collect()
}

/// `encoder.0.weight` is `fc1.weight` there.
fn name_in_pytorch(ours: &str) -> String {
    let layers = [("encoder.0", "fc1"), ("mean", "fc21"), ("log_var", "fc22"), ("decoder.0", "fc3"), ("logits", "fc4")];
    layers.iter().fold(ours.to_string(), |name, (ours, theirs)| name.replace(ours, theirs))
}

/// Row after row.
fn numbers<T: Real>(matrix: View<T>) -> Vec<f64> {
    matrix.iter().map(|x| x.as_f64()).collect()
}
