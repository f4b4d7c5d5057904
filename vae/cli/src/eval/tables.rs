//! What is known of a run, as tables: all in nats, and of every bound on which side of the truth it lies.

use datasets::Images;
use vae::checkpoint::Model;
use vae::distributions::Meaning;
use vae::evaluate::Evaluation;
use vae::evaluate::annealed::Annealed;
use vae::evaluate::decomposition::Decomposition;
use vae::evaluate::gap::Gap;
use vae::evaluate::importance::Estimate;

use super::super::output::{columns, likelihood, thousands};
use super::Report;

/// All there are.
pub(super) fn all(model: &Model, test: &Images, report: &Report) -> String {
    let mut text = losses(model, test, &report.evaluation, &report.decomposition);
    text += &report.estimate.as_ref().map_or(String::new(), |e| importance(e, &bits_of(model, test, report.meaning)));
    text += &report.ais.as_ref().map_or(String::new(), annealed);
    text + &report.gap.as_ref().map_or(String::new(), gaps)
}

fn losses(model: &Model, test: &Images, e: &Evaluation, parts: &Decomposition) -> String {
    let images = test.len();
    let mut text = format!(
        "{} test images, nats per example\n{}\n\n\
         loss (−ELBO)     {:>8.2}\n\
         reconstruction   {:>8.2}\n\
         KL               {:>8.2}\n  \
           mutual information {:>6.2} ± {:.2} of code and image; at most ln {} = {:.2}\n  \
           marginal KL    {:>10.2}   of all codes together from the prior\n\
         active units     {:>8} of {}\n\n\
         KL of each latent dimension, largest first",
        thousands(images),
        likelihood(&model.config, test),
        e.losses.loss,
        e.losses.reconstruction,
        e.losses.kl,
        parts.mutual_information,
        parts.mutual_information_se,
        thousands(images),
        (images as f64).ln(),
        parts.marginal_kl,
        e.active_units,
        model.config.latent,
    );
    let mut dimensions: Vec<(usize, f64)> = e.kl_per_dimension.iter().copied().enumerate().collect();
    dimensions.sort_by(|a, b| b.1.total_cmp(&a.1));
    let widest = columns().saturating_sub(16).min(40) as f64;
    let largest = dimensions.first().map_or(0.0, |d| d.1).max(f64::MIN_POSITIVE);
    for (d, kl) in dimensions {
        let bar = "█".repeat((widest * kl / largest).round() as usize);
        text += &format!("\n{:>5}   {kl:>6.2}  {bar}", format!("z{}", d + 1));
    }
    text
}

/// What bits per number are bits of.
fn bits_of(model: &Model, test: &Images, meaning: Option<Meaning>) -> String {
    let outcome = model.config.family().outcome(model.config.sees_black_and_white(test));
    match meaning {
        Some(Meaning::Density) => format!("about, for {outcome}: log₂ 255 more than those of its density"),
        _ => format!("for {outcome}"),
    }
}

fn importance(e: &Estimate, bits_of: &str) -> String {
    let mut text = "\n\n\nby importance sampling, nats per image: −log p(x) is at most\nsamples".to_string();
    for (k, bound) in &e.bounds {
        text += &format!("\n{:>7}   {bound:>8.2}", thousands(*k));
    }
    text += &format!(" ± {:.2} (standard error over the images)", e.negative_log_p_se);
    let bits =
        e.bits_per_dimension.map(|bits| format!("\n          {bits:>8.4} bits per number of an image, {bits_of}"));
    text += &bits.unwrap_or_default();
    text + &format!("\n          {:>8.0} equal weights would say as much", e.effective_samples)
}

fn annealed(a: &Annealed) -> String {
    let (s, images) = (&a.simulated, thousands(a.effort.images));
    format!(
        "\n\n\nby annealed importance sampling, {} steps, {} chains an image, nats per image: −log p(x)\n\
         {:<26}at most  {:>8.2} ± {:.2} (standard error over the images)\n\
         {:<26}at most  {:>8.2}\n\
         {:<26}at least {:>8.2}\n\
         {:<26}between  {:>8.2} ± {:.2}\n\
         {:.0} % of the proposals were accepted",
        thousands(a.effort.steps),
        thousands(a.effort.chains),
        format!("the first {images} test images"),
        a.negative_log_p,
        a.negative_log_p_se,
        format!("{images} from the model"),
        s.at_most,
        "",
        s.at_least,
        "",
        s.gap,
        s.gap_se,
        100.0 * a.acceptance,
    )
}

fn gaps(g: &Gap) -> String {
    format!(
        "\n\n\nwhat keeps the ELBO from log p(x), the first {} test images, nats per image\n\
         −ELBO, the encoder's q        {:>8.2}\n  \
           amortization gap            {:>8.2} ± {:.2}\n\
         −ELBO, q fitted to each image {:>8.2}\n  \
           approximation gap, at least {:>8.2} ± {:.2}\n\
         −log p(x), at most            {:>8.2}",
        thousands(g.images),
        g.encoder,
        g.amortization,
        g.amortization_se,
        g.fitted,
        g.approximation,
        g.approximation_se,
        g.negative_log_p,
    )
}
