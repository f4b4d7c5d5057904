//! The default model's training in candle, on the CPU.

#[path = "../../common.rs"]
mod common;

use candle_core::{DType, Device, Result, Tensor};
use candle_nn::{AdamW, Linear, Module, Optimizer, ParamsAdamW, VarBuilder, VarMap, linear};
use common::{HIDDEN, LATENT, LEARNING_RATE, PIXELS, Task};

struct Vae {
    hidden: Linear,
    mean: Linear,
    log_var: Linear,
    expand: Linear,
    pixels: Linear,
}

impl Vae {
    fn new(vars: VarBuilder) -> Result<Vae> {
        Ok(Vae {
            hidden: linear(PIXELS, HIDDEN, vars.pp("hidden"))?,
            mean: linear(HIDDEN, LATENT, vars.pp("mean"))?,
            log_var: linear(HIDDEN, LATENT, vars.pp("log_var"))?,
            expand: linear(LATENT, HIDDEN, vars.pp("expand"))?,
            pixels: linear(HIDDEN, PIXELS, vars.pp("pixels"))?,
        })
    }

    /// −ELBO, summed over the batch.
    fn loss(&self, x: &Tensor) -> Result<Tensor> {
        let h = self.hidden.forward(x)?.relu()?;
        let (mean, log_var) = (self.mean.forward(&h)?, self.log_var.forward(&h)?);
        let noise = mean.randn_like(0.0, 1.0)?;
        let z = (&mean + noise * (&log_var * 0.5)?.exp()?)?;
        let logits = self.pixels.forward(&self.expand.forward(&z)?.relu()?)?;
        // softplus(l) − x·l, where softplus(l) = max(l, 0) + ln(1 + exp(−|l|)).
        let softplus = (logits.relu()? + (logits.abs()?.neg()?.exp()? + 1.0)?.log()?)?;
        let reconstruction = (softplus - x * logits)?;
        let kl = (((mean.sqr()? + log_var.exp()? - log_var)? - 1.0)? * 0.5)?;
        reconstruction.sum_all()? + kl.sum_all()
    }
}

fn main() -> Result<()> {
    let task = Task::from_arguments();
    let device = Device::Cpu;
    let vars = VarMap::new();
    let model = Vae::new(VarBuilder::from_varmap(&vars, DType::F32, &device))?;
    // Adam is AdamW without decay.
    let settings = ParamsAdamW { lr: LEARNING_RATE, weight_decay: 0.0, ..ParamsAdamW::default() };
    let mut adam = AdamW::new(vars.all_vars(), settings)?;
    task.train(|batch, x| {
        let step = || {
            let sum = model.loss(&Tensor::from_vec(x, (batch, PIXELS), &device)?)?;
            adam.backward_step(&(&sum / batch as f64)?)?;
            sum.to_scalar::<f32>()
        };
        step().expect("shapes fit")
    });
    Ok(())
}
