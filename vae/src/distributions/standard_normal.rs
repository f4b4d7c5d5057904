//! The prior.

use autograd::{Real, Var};

use super::{Distribution, LN_2PI};

/// `N(0, I)`: independent entries of mean 0 and variance 1.
#[derive(Clone, Copy, Debug)]
pub struct StandardNormal;

impl<'r, T: Real> Distribution<'r, T> for StandardNormal {
    /// `log p(z) = −½ Σⱼ (zⱼ² + ln 2π)`
    fn log_prob(&self, z: Var<'r, T>) -> Var<'r, T> {
        z.square().row_sum() * -0.5 - 0.5 * LN_2PI * z.shape()[1] as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use autograd::check::{gradients, same};

    #[test]
    fn gradient() {
        gradients([[3, 2]], |[z]| StandardNormal.log_prob(z));
    }

    #[test]
    fn the_density_is_the_product_of_normal_densities() {
        same(
            [[3, 2]],
            |[z]| StandardNormal.log_prob(z).exp(),
            |[z]| {
                let p = (z.square() * -0.5).exp() / std::f64::consts::TAU.sqrt();
                p.columns(0..1) * p.columns(1..2)
            },
        );
    }
}
