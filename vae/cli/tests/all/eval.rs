//! What `vae eval` tells of a run.

use std::fs;
use std::path::Path;
use std::process::Output;
use std::sync::OnceLock;

use serde_json::Value;
use tempfile::TempDir;
use vae::checkpoint::Model;

use crate::common::{fails, folder, json_lines, keys, names, succeeds, text, vae};

/// A folder with `data`, and with `run`, a small model trained on it; and what an evaluation with everything says.
fn shared() -> &'static (TempDir, Value) {
    static SHARED: OnceLock<(TempDir, Value)> = OnceLock::new();
    SHARED.get_or_init(|| {
        let folder = folder();
        let settings = ["--epochs", "2", "--hidden", "8", "--latent", "2", "--batch", "4", "--binarize", "threshold"];
        succeeds(folder.path(), &[&["train", "--data", "data", "--out", "run"], &settings[..]].concat());
        let report = everything(folder.path(), "1");
        (folder, report)
    })
}

fn everything(folder: &Path, threads: &str) -> Value {
    let options = ["--ais-steps", "20", "--ais-chains", "8", "--ais-images", "9", "--gap-images", "18"];
    let arguments =
        [&["eval", "run", "--json", "--importance-samples", "60", "--threads", threads], &options[..]].concat();
    json_lines(&succeeds(folder, &arguments)).remove(0)
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is no number"))
}

#[test]
fn the_parts_of_every_sum_add_up_and_every_bound_is_on_its_side() {
    let (_, report) = shared();
    let of = |key: &str| number(&report[key]);
    assert!((of("mutual_information") + of("marginal_kl") - of("kl")).abs() < 1e-9);
    assert!(of("mutual_information") <= 20f64.ln());

    let ais = &report["ais"];
    let expected = ["acceptance", "chains", "images", "negative_log_p", "negative_log_p_se", "simulated", "steps"];
    assert_eq!(keys(ais), expected);
    assert_eq!([&ais["steps"], &ais["chains"], &ais["images"]], [20, 8, 9]);
    let simulated = |key: &str| number(&ais["simulated"][key]);
    assert!((simulated("at_most") - simulated("at_least") - simulated("gap")).abs() < 1e-9);
    assert!(simulated("gap") > -3.0 * simulated("gap_se"));

    let gap = |key: &str| number(&report["gap"][key]);
    assert_eq!(report["gap"]["images"], 18);
    assert!((gap("encoder") - gap("amortization") - gap("fitted")).abs() < 1e-9);
    assert!((gap("fitted") - gap("approximation") - gap("negative_log_p")).abs() < 1e-9);
    assert!(gap("amortization") > -0.05 && gap("approximation") > -0.05);
}

/// A run like the shared one, with other numbers in its model.
fn changed(name: &str, change: impl FnOnce(&mut Model)) {
    let folder = shared().0.path();
    fs::create_dir(folder.join(name)).unwrap();
    fs::copy(folder.join("run/config.toml"), folder.join(name).join("config.toml")).unwrap();
    let mut model = Model::load(&folder.join("run/model.safetensors")).unwrap();
    change(&mut model);
    model.save(&folder.join(name).join("model.safetensors")).unwrap();
}

#[test]
fn a_loss_that_is_not_finite_is_no_result() {
    changed("infinite", |model| model.params.view_mut(model.vae.logits.weight).fill(f32::MAX));
    for arguments in [&["eval", "infinite"][..], &["eval", "infinite", "--json"]] {
        let problem = fails(1, shared().0.path(), arguments);
        assert_eq!(problem, "vae: infinite: expected finite numbers, found `loss` infinite or not a number\n");
    }
}

/// Near the origin, where all codes are, this decoder's outputs are finite; elsewhere, where chains begin, they are not.
#[test]
fn an_estimate_that_cannot_be_had_is_left_out_and_named_and_the_others_are_shown() {
    changed("narrow", |model| {
        let (mean, log_var, hidden) = (model.vae.mean.clone(), model.vae.log_var.clone(), model.vae.decoder[0].clone());
        [mean.weight, mean.bias, log_var.weight].into_iter().for_each(|p| model.params.view_mut(p).fill(0.0));
        model.params.view_mut(log_var.bias).fill(-80.0);
        let mut weight = model.params.view_mut(hidden.weight);
        weight.columns_mut().into_iter().enumerate().for_each(|(i, mut w)| w.fill([3e38, -3e38][i % 2]));
        model.params.view_mut(model.vae.logits.weight).fill(1.0);
    });
    let eval = |more: &[&str]| {
        let options = ["eval", "narrow", "--importance-samples", "2", "--ais-steps", "2", "--ais-chains", "1"];
        let Output { status, stdout, stderr } = vae(shared().0.path(), &[&options, more].concat()).output().unwrap();
        let expected =
            "vae: narrow: expected finite numbers, found `ais.negative_log_p` infinite or not a number; left out\n";
        assert_eq!((status.code(), text(&stderr).as_str()), (Some(1), expected));
        text(&stdout)
    };
    let report = json_lines(&eval(&["--json"])).remove(0);
    assert!(number(&report["loss"]).is_finite() && number(&report["negative_log_p"]).is_finite());
    assert!(report.get("ais").is_none() && !report.to_string().contains("null"), "{report}");
    let table = eval(&[]);
    assert!(table.contains("by importance sampling") && !table.contains("annealed"), "{table}");
    assert!(!table.split_whitespace().any(|word| ["NaN", "inf", "-inf"].contains(&word)), "{table}");
}

/// Bits are those of a probability: of a density's levels, and of no cross-entropy.
#[test]
fn bits_are_shown_where_they_mean_something_and_of_what_is_said() {
    let (folder, report) = shared();
    let folder = folder.path();
    let bits = |report: &Value, more: f64| {
        let per_number = number(&report["negative_log_p"]) / 30.0 / std::f64::consts::LN_2 + more;
        assert!((number(&report["bits_per_dimension"]) - per_number).abs() < 1e-9, "{report}");
    };
    assert_eq!(report["meaning"], "probability");
    bits(report, 0.0);
    for (likelihood, meaning, of) in [
        ("bernoulli", "cross-entropy", None),
        ("gaussian", "density", Some("about, for its 8-bit level: log₂ 255 more than those of its density")),
        ("discretized-logistic", "probability", Some("for its 8-bit level")),
        ("categorical:16", "probability", Some("for one of 16 levels")),
    ] {
        let settings = ["--epochs", "1", "--hidden", "8", "--latent", "2", "--likelihood", likelihood];
        let out = likelihood.replace(':', "-");
        succeeds(folder, &[&["train", "--data", "data", "--out", &out], &settings[..]].concat());
        let report = json_lines(&succeeds(folder, &["eval", &out, "--json", "--importance-samples", "3"])).remove(0);
        assert_eq!(report["meaning"], meaning, "{likelihood}");
        let table = succeeds(folder, &["eval", &out, "--importance-samples", "3"]);
        match of {
            None => assert!(report.get("bits_per_dimension").is_none() && !table.contains("bits"), "{table}"),
            Some(of) => {
                bits(&report, if meaning == "density" { 255f64.log2() } else { 0.0 });
                assert!(table.contains(&format!(" bits per number of an image, {of}\n")), "{table}");
            }
        }
    }
}

#[test]
fn what_it_says_does_not_depend_on_the_threads() {
    let (folder, report) = shared();
    assert_eq!(everything(folder.path(), "3"), *report);
}

#[test]
fn the_tables_say_which_side_of_the_truth_a_bound_is_on() {
    let (folder, report) = shared();
    // More images than there are: all of them.
    let options = ["--ais-steps", "3", "--ais-images", "1000", "--gap-images", "1000", "--importance-samples", "7"];
    let table = succeeds(folder.path(), &[&["eval", "run"], &options[..]].concat());
    for words in [
        "20 test images, nats per example",
        &format!("mutual information {:>6.2}", number(&report["mutual_information"])),
        "at most ln 20 = 3.00",
        "marginal KL",
        "by importance sampling, nats per image: −log p(x) is at most",
        "by annealed importance sampling, 3 steps, 16 chains an image, nats per image: −log p(x)",
        "the first 20 test images  at most",
        "20 from the model         at most",
        "at least",
        "amortization gap",
        "approximation gap, at least",
    ] {
        assert!(table.contains(words), "{words}: {table}");
    }
}

#[test]
fn pictures_are_drawn_where_it_says_of_a_likelihood_that_has_pixels() {
    let (folder, _) = shared();
    let folder = folder.path();
    assert!(succeeds(folder, &["eval", "run", "--out", "a/b"]).starts_with("wrote a/b/kl.svg\n"));
    assert_eq!(names(&folder.join("a/b")), ["kl.png", "kl.svg", "nats.png"]);
    for name in ["kl.png", "nats.png"] {
        let bytes = fs::read(folder.join("a/b").join(name)).unwrap();
        assert!(png::Decoder::new(&mut std::io::Cursor::new(bytes)).read_info().is_ok(), "{name}");
    }
    let svg = fs::read_to_string(folder.join("a/b/kl.svg")).unwrap();
    assert!(svg.contains("KL of each latent dimension") && svg.contains("z2"));
    assert_eq!(json_lines(&succeeds(folder, &["eval", "run", "--out", "a/b", "--json"])).len(), 1);

    let counts = ["--likelihood", "multinomial", "--epochs", "1", "--latent", "2", "--hidden", "8"];
    succeeds(folder, &[&["train", "--data", "data", "--out", "counts"], &counts[..]].concat());
    let output = vae(folder, &["eval", "counts", "--out", "c"]).output().unwrap();
    assert!(output.status.success() && text(&output.stderr).contains("no nats.png"));
    assert_eq!(names(&folder.join("c")), ["kl.png", "kl.svg"]);
}

#[test]
fn what_cannot_be_is_refused_before_anything_is_computed() {
    let (folder, _) = shared();
    for (arguments, culprit) in [
        (["--ais-steps", "0"], "--ais-steps"),
        (["--ais-chains", "4"], "--ais-steps"),
        (["--ais-images", "4"], "--ais-steps"),
        (["--gap-images", "0"], "--gap-images"),
    ] {
        assert!(fails(2, folder.path(), &[&["eval", "run"], &arguments[..]].concat()).contains(culprit));
    }
    let problem = fails(1, folder.path(), &["eval", "run", "--out", "run/config.toml"]);
    assert!(problem.contains("run/config.toml: cannot make this folder"), "{problem}");
}
