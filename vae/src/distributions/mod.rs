//! Distributions whose parameters are on the tape.
//!
//! A distribution is a struct of [`Var`]s, one row per example, and every answer is one number per row, in nats. So an
//! ELBO, a β-VAE or a bound with many samples is arithmetic on columns. Each file has a distribution, its fused
//! operations, their definitions, and the tests that the two agree.

mod bernoulli;
mod categorical;
mod continuous_bernoulli;
mod discretized_logistic;
mod gaussian;
mod gaussian_fixed;
mod gaussian_per_pixel;
mod gaussian_pixels;
mod likelihood;
mod multinomial;
mod standard_normal;
#[cfg(test)]
mod testing;

pub use bernoulli::{Bernoulli, BernoulliLogProb};
pub use categorical::{Categorical, CategoricalLogProb};
pub use continuous_bernoulli::{ContinuousBernoulli, ContinuousBernoulliLogProb};
pub use discretized_logistic::{DiscretizedLogistic, DiscretizedLogisticLogProb};
pub use gaussian::{Gaussian, GaussianLogProb, KlToStandardNormal, Sample};
pub use gaussian_fixed::GaussianFixed;
pub use gaussian_per_pixel::{GaussianPerPixel, GaussianPerPixelLogProb};
pub use gaussian_pixels::{GaussianPixels, SquaredErrorOfLogit};
pub use likelihood::{Family, Likelihood, Meaning, Observation};
pub use multinomial::{Multinomial, MultinomialLogProb};
pub use standard_normal::StandardNormal;

use autograd::{Real, Var};

/// A distribution over rows.
pub trait Distribution<'r, T: Real> {
    /// `log p(x)` for each row of `x`: a column `[batch, 1]`, in nats.
    fn log_prob(&self, x: Var<'r, T>) -> Var<'r, T>;
}

/// A distribution whose samples are a differentiable function of its parameters and of noise that does not depend on
/// them: the reparameterization trick (Kingma and Welling 2014, section 2.4).
pub trait Reparameterized<'r, T: Real>: Distribution<'r, T> {
    /// One sample per row. `noise` has the shape of the sample; its entries are independent standard normal.
    fn sample(&self, noise: Var<'r, T>) -> Var<'r, T>;
}

/// A distribution whose divergence from a `P` has a closed form. Where there is none,
/// `q.log_prob(z) - p.log_prob(z)` at a sample `z` of `q` reads the same.
pub trait KlTo<'r, T: Real, P>: Distribution<'r, T> {
    /// `KL(self ‖ p)` for each row: a column `[batch, 1]`, in nats.
    fn kl_to(&self, p: P) -> Var<'r, T>;
}

/// `ln 2π`
const LN_2PI: f64 = 1.837_877_066_409_345_5;
