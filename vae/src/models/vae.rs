//! The variational autoencoder of Kingma and Welling (2014).

use autograd::{Activation, Params, Real, Var};
use datasets::Generator;

use crate::distributions::{
    Distribution, Family, Gaussian, KlTo, Likelihood, Observation, Reparameterized, StandardNormal,
};
use crate::layers::{Dense, Layer};

/// An encoder from pixels to a Gaussian over latent codes, and a decoder from a code to a distribution over pixels.
///
/// The layers hold names of parameters, not numbers: one model runs on `Params<f32>` and `Params<f64>` alike.
#[derive(Clone, Debug)]
pub struct Vae {
    /// Pixels to features.
    pub encoder: Vec<Dense>,
    /// Features to the posterior's mean.
    pub mean: Dense,
    /// Features to the logarithm of the posterior's variance.
    pub log_var: Dense,
    /// Latent code to features.
    pub decoder: Vec<Dense>,
    /// Features to the numbers that describe the distribution of the pixels: their logits, for most families.
    pub logits: Dense,
    /// Those numbers to the distribution of the pixels.
    pub likelihood: Likelihood,
}

impl Vae {
    /// `q(z | x)`
    pub fn encode<'r, T: Real>(&self, x: Var<'r, T>) -> Gaussian<'r, T> {
        let h = self.encoder.apply(x);
        Gaussian { mean: self.mean.apply(h), log_var: self.log_var.apply(h) }
    }

    /// `p(x | z)`
    pub fn decode<'r, T: Real>(&self, z: Var<'r, T>) -> Observation<'r, T> {
        self.likelihood.of(self.logits.apply(self.decoder.apply(z)))
    }

    /// The two parts of `−ELBO(x) = E_q[−log p(x | z)] + KL(q(z | x) ‖ p(z))`, with one sample `z` for the expectation.
    pub fn elbo<'r, T: Real>(&self, x: Var<'r, T>, noise: Var<'r, T>) -> Elbo<'r, T> {
        let q = self.encode(x);
        let p = self.decode(q.sample(noise));
        Elbo { posterior: q, reconstruction: -p.log_prob(x), kl: q.kl_to(StandardNormal) }
    }
}

impl Vae {
    /// Sets the biases of the decoder's output so that an untrained model shows about this mean image, whose numbers are from 0
    /// to 1: their logits, of which none is beyond 1/1000 (as in the program of Burda et al. 2015).
    ///
    /// # Panics
    /// If the image has another size than the decoder's output.
    pub fn start_at_mean(&self, mean: &[f64], params: &mut Params) {
        let mut bias = params.view_mut(self.logits.bias);
        assert_eq!(bias.len(), mean.len(), "one logit for each number of an image");
        for (bias, mean) in bias.iter_mut().zip(mean) {
            let p = mean.clamp(1e-3, 1.0 - 1e-3);
            *bias = (p / (1.0 - p)).ln() as f32;
        }
    }

    /// How many numbers describe an image.
    pub fn pixels(&self, params: &Params) -> usize {
        params.view(self.encoder.first().unwrap_or(&self.mean).weight).nrows()
    }

    /// How many images fit into one pass that learns nothing: a limit to its memory, which outputs of many numbers would
    /// exhaust.
    pub fn images_per_pass(&self, params: &Params) -> usize {
        const MOST: usize = 500;
        const NUMBERS: usize = 1 << 23;
        (NUMBERS / params.view(self.logits.bias).len()).clamp(1, MOST)
    }
}

/// The two parts of `−ELBO`, each a column `[batch, 1]` in nats per example.
#[derive(Clone, Copy, Debug)]
pub struct Elbo<'r, T: Real = f32> {
    /// `q(z | x)`
    pub posterior: Gaussian<'r, T>,
    /// `−log p(x | z)` at a sample `z` of `q(z | x)`
    pub reconstruction: Var<'r, T>,
    /// `KL(q(z | x) ‖ p(z))`
    pub kl: Var<'r, T>,
}

/// The sizes of a [`Vae`].
#[derive(Clone, Debug, PartialEq)]
pub struct Architecture {
    /// Pixels per image.
    pub pixels: usize,
    /// Units of the encoder's hidden layers, first to last; the decoder has the same, last to first.
    pub hidden: Vec<usize>,
    /// Dimensions of the latent code.
    pub latent: usize,
    /// The nonlinearity of the hidden layers.
    pub activation: Activation,
    /// The distribution of the pixels.
    pub family: Family,
}

impl Architecture {
    /// A model with fresh parameters, which are appended to `params`. They are drawn layer after layer.
    pub fn build(&self, params: &mut Params, randomness: &mut Generator) -> Vae {
        let mut dense = |name: &str, sizes, f| Dense::new(params, name, sizes, f, randomness);
        let stack = |name: &str, sizes: &[usize], dense: &mut dyn FnMut(&str, [usize; 2], Activation) -> Dense| {
            let layer =
                |(i, pair): (usize, &[usize])| dense(&format!("{name}.{i}"), [pair[0], pair[1]], self.activation);
            sizes.windows(2).enumerate().map(layer).collect::<Vec<_>>()
        };
        let up: Vec<usize> = [self.pixels].into_iter().chain(self.hidden.iter().copied()).collect();
        let down: Vec<usize> = [self.latent].into_iter().chain(self.hidden.iter().rev().copied()).collect();
        let (features_up, features_down) = (up[up.len() - 1], down[down.len() - 1]);
        Vae {
            encoder: stack("encoder", &up, &mut dense),
            mean: dense("mean", [features_up, self.latent], Activation::Identity),
            log_var: dense("log_var", [features_up, self.latent], Activation::Identity),
            decoder: stack("decoder", &down, &mut dense),
            logits: dense("logits", [features_down, self.family.outputs(self.pixels)], Activation::Identity),
            likelihood: self.family.build(params),
        }
    }

    /// How many numbers the model learns; `None` if that overflows.
    pub fn count(&self) -> Option<usize> {
        let mut sizes = vec![self.pixels];
        sizes.extend(&self.hidden);
        let dense = |inputs: usize, outputs: usize| inputs.checked_add(1)?.checked_mul(outputs);
        let mut total = dense(*sizes.last()?, self.latent)?.checked_mul(2)?;
        sizes.push(self.latent);
        let down: Vec<usize> =
            [self.family.outputs(self.pixels)].into_iter().chain(sizes[1..].iter().copied()).collect();
        let encoder = sizes[..sizes.len() - 1].windows(2).map(|p| dense(p[0], p[1]));
        let decoder = down.windows(2).map(|p| dense(p[1], p[0]));
        for layer in encoder.chain(decoder) {
            total = total.checked_add(layer?)?;
        }
        total.checked_add(self.family.parameters())
    }
}

impl std::fmt::Display for Architecture {
    /// `784–400–20–400–784`
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let up = [self.pixels].into_iter().chain(self.hidden.iter().copied());
        let down = self.hidden.iter().rev().copied().chain([self.family.outputs(self.pixels)]);
        let sizes: Vec<String> = up.chain([self.latent]).chain(down).map(|n| n.to_string()).collect();
        f.write_str(&sizes.join("–"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use autograd::{Grads, Recorder};
    use datasets::generator;

    fn small(hidden: &[usize], activation: Activation, family: Family) -> (Vae, Params) {
        let mut params = Params::new();
        let architecture = Architecture { pixels: 6, hidden: hidden.to_vec(), latent: 2, activation, family };
        let vae = architecture.build(&mut params, &mut generator(1, "init", 0));
        assert_eq!(architecture.count(), Some(params.layout.count()));
        (vae, params)
    }

    /// Every parameter of a whole loss, moved by ±h in f64, against the gradient on the tape.
    fn check_every_parameter(hidden: &[usize], activation: Activation, family: Family) {
        let (vae, params) = small(hidden, activation, family);
        let mut params = params.cast::<f64>();
        let r = Recorder::new(&params);
        let (x, noise) = (r.input([3, 6]), r.input([3, 2]));
        let elbo = vae.elbo(x, noise);
        let loss = (elbo.reconstruction + elbo.kl).mean().slot();
        let (x, noise) = (x.slot(), noise.slot());
        let mut tape = r.finish();
        for (k, number) in tape.input_mut(x).iter_mut().enumerate() {
            *number = (k * 7 % 11) as f64 / 10.0;
        }
        for (k, number) in tape.input_mut(noise).iter_mut().enumerate() {
            *number = (k * 5 % 7) as f64 / 3.0 - 1.0;
        }
        let mut grads = Grads::zeros(&params);
        tape.forward(&params);
        tape.backward(loss, &params, &mut grads);
        let largest = grads.flat.iter().fold(1.0f64, |m, g| m.max(g.abs()));
        let layout = params.layout.clone();
        for i in layout.params().flat_map(|p| layout.range(p)) {
            let (theta, h) = (params.flat[i], 1e-5);
            let mut loss_at = |theta| {
                params.flat[i] = theta;
                tape.forward(&params);
                tape.scalar(loss)
            };
            let difference = (loss_at(theta + h) - loss_at(theta - h)) / (2.0 * h);
            params.flat[i] = theta;
            assert!((grads.flat[i] - difference).abs() <= 1e-7 * largest, "{i}: {} {difference}", grads.flat[i]);
        }
    }

    #[test]
    fn the_gradient_of_the_whole_loss_is_right_for_every_parameter() {
        for family in Family::ALL.map(Family::small) {
            check_every_parameter(&[5], Activation::Relu, family);
            check_every_parameter(&[5, 4], Activation::Tanh, family);
            check_every_parameter(&[], Activation::Relu, family);
        }
    }
}
