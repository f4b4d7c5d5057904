//! The likelihood lab from outside: objectives and schedules, the variance study, and tables that are reproduced.

use std::fs;
use std::path::Path;
use std::process::Output;

use crate::common::{content, fails, folder, json_lines, metrics, names, succeeds, text, vae};

const SMALL: [&str; 10] = ["--data", "data", "--epochs", "2", "--hidden", "8", "--latent", "2", "--batch", "4"];

fn train(folder: &Path, out: &str, arguments: &[&str]) -> String {
    succeeds(folder, &[&["train", "--out", out], &SMALL[..], arguments].concat())
}

#[test]
fn every_objective_trains_and_reports_both_what_it_follows_and_the_elbo() {
    let folder = folder();
    for objective in ["elbo", "iwae", "dreg", "stl", "reinforce"] {
        let printed = train(folder.path(), objective, &["--objective", objective, "--k", "3", "--binarize", "dynamic"]);
        assert!(printed.contains("follow  ") && printed.contains("3 samples of each image"), "{printed}");
        for line in metrics(&folder.path().join(objective)) {
            let of = |key: &str| line["train"][key].as_f64().unwrap();
            assert!((of("reconstruction") + of("kl") - of("loss")).abs() < 1e-9);
            assert!(of("objective").is_finite() && line["test"].get("objective").is_none());
        }
    }
    train(folder.path(), "plain", &[]);
    assert!(metrics(&folder.path().join("plain")).iter().all(|line| line["train"].get("objective").is_none()));
}

#[test]
fn the_output_starts_at_the_mean_image_where_pixels_are_black_and_white() {
    let folder = folder();
    let first_loss = |out: &str, arguments: &[&str]| {
        train(folder.path(), out, &[&["--binarize", "threshold"], arguments].concat());
        metrics(&folder.path().join(out))[0]["train"]["loss"].as_f64().unwrap()
    };
    let [default, on, off] =
        [first_loss("a", &[]), first_loss("b", &["--init-bias"]), first_loss("c", &["--init-bias=false"])];
    assert_eq!(default, on);
    assert!(on < off, "{on} {off}");
    train(folder.path(), "grey", &[]);
    let config = |run: &str| fs::read_to_string(folder.path().join(run).join("config.toml")).unwrap();
    assert!(config("grey").contains("init_bias = false") && config("a").contains("init_bias = true"));
}

#[test]
fn settings_that_cannot_be_are_refused_by_name() {
    let folder = folder();
    let refused = |arguments: &[&str]| {
        let problem = fails(2, folder.path(), &[&["train", "--out", "r"], &SMALL[..], arguments].concat());
        assert!(!folder.path().join("r").exists());
        problem
    };
    assert!(refused(&["--objective", "vimco"]).contains("invalid value 'vimco'"));
    assert!(refused(&["--k", "0"]).contains("--k: expected at least 1, found 0"));
    assert!(refused(&["--k", "4000000000"]).contains("--batch, --k: expected at most 268435456 outputs"));
    assert!(refused(&["--kl-warmup", "never"]).contains("expected a number of epochs from 1"));
    assert!(refused(&["--adam-betas", "0.9"]).contains("expected two numbers, as 0.9,0.999"));
    assert!(refused(&["--adam-betas", "0.9,1.5"]).contains("--adam-betas: expected numbers from 0 to less than 1"));
    assert!(refused(&["--clip", "-1"]).contains("--clip: expected a positive number, found -1"));
    assert!(refused(&["--free-bits", "1", "--objective", "iwae"]).contains("--free-bits: expected --objective elbo"));
    let density = ["--likelihood", "gaussian", "--binarize", "threshold"];
    assert!(refused(&density).contains("--likelihood gaussian: expected grey levels, found --binarize threshold"));
    let bias = ["--init-bias", "--likelihood", "categorical:4"];
    assert!(refused(&bias).contains("--init-bias: expected a likelihood whose outputs are the logits of means"));
}

#[test]
fn a_run_whose_learning_rate_depends_on_its_length_cannot_be_made_longer() {
    let folder = folder();
    train(folder.path(), "run", &["--schedule", "cosine"]);
    let problem = fails(2, folder.path(), &["train", "--resume", "run", "--epochs", "3"]);
    assert!(problem.contains("--epochs: expected 2, as run has, found 3"), "{problem}");
    assert!(!succeeds(folder.path(), &["train", "--resume", "run"]).contains("makes it longer"));
}

#[test]
fn the_variance_study_leaves_its_numbers_and_its_plot_and_is_the_same_for_any_number_of_threads() {
    let folder = folder();
    let settings = "data = 'data'\nhidden = [8]\nlatent = 2\nbatch = 4\nepochs = 1\n";
    fs::write(folder.path().join("c.toml"), settings).unwrap();
    let study = |out: &str, threads: &str| {
        let options = ["--k", "3", "--images", "10", "--draws", "4", "--threads", threads, "--out", out];
        succeeds(folder.path(), &[&["variance", "--config", "c.toml"], &options[..]].concat())
    };
    let table = study("v", "1");
    assert!(table.contains("encoder") && table.contains("reinforce 3"), "{table}");
    assert_eq!(names(&folder.path().join("v")), ["config.toml", "variance.jsonl", "variance.svg"]);
    let lines = json_lines(&fs::read_to_string(folder.path().join("v/variance.jsonl")).unwrap());
    assert_eq!(lines.len(), 2 * 7, "seven estimates, before and after the epoch");
    assert!(lines.iter().all(|line| line["encoder"]["variance"].as_f64().unwrap() > 0.0));
    study("w", "3");
    assert!(content(&folder.path().join("v")) == content(&folder.path().join("w")));
    assert!(fails(1, folder.path(), &["variance", "--out", "v"]).contains("expected a new or empty folder"));
    assert!(fails(2, folder.path(), &["variance", "--draws", "1"]).contains("1 is not in 2..="));
}

const PROTOCOL: &str = "
title = 'Small'
source = 'nobody'
budget = 'quick'
samples = 10

[settings]
data = 'data'
hidden = [8]
latent = 2
batch = 4
epochs = 2

[[row]]
name = 'vae'
title = 'VAE'
paper = 12.5
required = { loss = 1000.0 }
better = { than = 'untrained', by = 0.0 }

[[row]]
name = 'untrained'
title = 'hardly trained'
settings = { lr = 1e-9, init_bias = false }
";

#[test]
fn a_protocol_is_run_once_and_goes_on_where_it_was() {
    let folder = folder();
    fs::write(folder.path().join("small.toml"), PROTOCOL).unwrap();
    let reproduce = |out: &str| succeeds(folder.path(), &["reproduce", "small.toml", "--out", out]);
    let first = reproduce("one");
    assert!(first.contains("VAE: −ELBO ≤ 1000: reached"), "{first}");
    assert!(first.contains("VAE: −log p below that of `hardly trained`: reached"), "{first}");
    let table = |out: &str| fs::read_to_string(folder.path().join(out).join("small/table.md")).unwrap();
    assert!(table("one").contains("| VAE | 12.50 | – | "), "{}", table("one"));
    let before = content(&folder.path().join("one/small/vae"));
    assert!(!reproduce("one").contains("nats per example "), "what is finished is not trained again");
    assert!(content(&folder.path().join("one/small/vae")) == before);

    // A row that was left in the middle – here: trained for one epoch of two – is finished, to the same weights.
    let half = ["train", "--data", "data", "--hidden", "8", "--latent", "2", "--batch", "4", "--epochs", "1"];
    succeeds(folder.path(), &[&half[..], &["--out", "two/small/vae"]].concat());
    reproduce("two");
    let weights = |out: &str| fs::read(folder.path().join(out).join("small/vae/model.safetensors")).unwrap();
    assert!(weights("two") == weights("one"));

    succeeds(folder.path(), &[&half[..], &["--seed", "7", "--out", "three/small/vae"]].concat());
    let problem = fails(1, folder.path(), &["reproduce", "small.toml", "--out", "three"]);
    assert!(problem.contains("expected a run with seed = 1, found 7"), "{problem}");
}

#[test]
fn a_row_is_done_anew_where_its_settings_its_data_or_the_program_have_changed_and_the_earlier_run_is_kept() {
    let folder = folder();
    let path = |name: &str| folder.path().join(name);
    fs::write(path("small.toml"), PROTOCOL).unwrap();
    let reproduce = |more: &[&str]| {
        let output =
            vae(folder.path(), &[&["reproduce", "small.toml", "--rows", "untrained", "--out", "r"], more].concat());
        let Output { status, stderr, .. } = { output }.output().unwrap();
        assert!(status.success(), "{}", text(&stderr));
        text(&stderr)
    };
    let outcome = || fs::read_to_string(path("r/small/untrained/outcome.json")).unwrap();
    assert_eq!(reproduce(&[]), "");
    let mut before = outcome();
    let mut kept = 0;
    let mut is_done_anew = |why: &str, more: &[&str]| {
        kept += 1;
        let said = reproduce(more);
        let expected = format!("vae: r/small/untrained: done anew: {why}");
        assert!(said.starts_with(&expected) && said.lines().count() == 1, "{said}");
        assert!(said.ends_with(&format!("; the earlier run is now r/small/untrained.{kept}\n")), "{said}");
        assert_eq!(fs::read_to_string(path(&format!("r/small/untrained.{kept}/outcome.json"))).unwrap(), before);
        before = outcome();
        assert_eq!(reproduce(more), "", "it is done once");
        assert_eq!(outcome(), before);
    };

    fs::write(path("small.toml"), PROTOCOL.replace("lr = 1e-9", "lr = 1e-8")).unwrap();
    is_done_anew("lr was 0.000000001 and is 0.00000001", &[]);
    is_done_anew("it had 2 epochs", &["--epochs", "1"]);

    let images = path("data/t10k-images-idx3-ubyte");
    let mut changed = fs::read(&images).unwrap();
    *changed.last_mut().unwrap() ^= 1;
    fs::write(&images, changed).unwrap();
    is_done_anew("the data have changed", &["--epochs", "1"]);

    let origin = path("r/small/untrained/origin.json");
    let by_another = fs::read_to_string(&origin).unwrap().replace("\"program\":\"", "\"program\":\"0.");
    fs::write(&origin, by_another).unwrap();
    is_done_anew("it was made by program 0.0.", &["--epochs", "1"]);

    fs::remove_file(&origin).unwrap();
    is_done_anew("nothing tells what it was made from", &["--epochs", "1"]);
}

#[test]
fn what_is_missed_or_has_no_data_is_said() {
    let folder = folder();
    fs::write(folder.path().join("hard.toml"), PROTOCOL.replace("1000.0", "1.0")).unwrap();
    let problem = fails(1, folder.path(), &["reproduce", "hard.toml", "--out", "r"]);
    assert!(problem.contains("1 of what is required was missed"), "{problem}");

    let cache = folder.path().join("no cache");
    let mut command = vae(folder.path(), &["reproduce", "static", "--out", "s"]);
    let output = command.env("VAE_DATA", cache).output().unwrap();
    let printed = text(&output.stdout);
    assert!(output.status.success() && printed.contains("VAE: skipped, no data: `vae data fetch"), "{printed}");

    assert!(fails(2, folder.path(), &["reproduce", "burdda"]).contains("expected one of default, bias"));
    assert!(fails(2, folder.path(), &["reproduce", "default", "--rows", "x"]).contains("there is no row `x`"));
    assert!(succeeds(folder.path(), &["reproduce"]).contains("Burda et al. 2015, table 1"));
    fs::write(folder.path().join("bad.toml"), "title = 3").unwrap();
    assert!(fails(1, folder.path(), &["reproduce", "bad.toml"]).contains("bad.toml: line 1"));
}
