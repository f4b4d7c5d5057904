//! Weights go to PyTorch and come from there: in the model made of PyTorch's weights, its images have PyTorch's losses.
//!
//! What PyTorch computed lies in `tests/parity`, whose README says what is what.

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::path::Path;

use autograd::{Precision, Slot};
use safetensors::tensor::{Dtype, TensorView};
use safetensors::{SafeTensors, serialize};
use tempfile::tempdir;
use vae::checkpoint::{Checkpoint, Model, Progress};
use vae::objective::Objective;
use vae::optim::Adam;
use vae::train::Step;

use crate::common::{content, fails, json_lines, succeeds, text, vae};

const BATCH: usize = 32;

fn fixture(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/parity").join(name);
    fs::read(path.with_extension("safetensors")).unwrap()
}

/// The tensors of a group as a file of PyTorch's own: `init.fc1.weight` is `fc1.weight` there.
fn as_pytorch_saves(fixture: &[u8], group: &str) -> Vec<u8> {
    let tensors = SafeTensors::deserialize(fixture).unwrap();
    let prefix = format!("{group}.");
    let group: Vec<(String, TensorView)> =
        tensors.iter().filter_map(|(name, t)| Some((name.strip_prefix(&prefix)?.to_string(), t))).collect();
    let metadata = HashMap::from([("format".to_string(), "pt".to_string())]);
    serialize(group, Some(metadata)).unwrap()
}

fn numbers(tensors: &SafeTensors, name: &str) -> Vec<f64> {
    let tensor = tensors.tensor(name).unwrap();
    let data = tensor.data();
    match tensor.dtype() {
        Dtype::U8 => data.iter().map(|&x| f64::from(x)).collect(),
        Dtype::F32 => data.as_chunks().0.iter().map(|&x| f64::from(f32::from_le_bytes(x))).collect(),
        Dtype::F64 => data.as_chunks().0.iter().map(|&x| f64::from_le_bytes(x)).collect(),
        other => panic!("{other:?}"),
    }
}

/// The first batch of a fixture through a model: its sums of reconstruction and KL, and the posterior.
fn forward(model: &Model, fixture: &[u8]) -> [Vec<f64>; 4] {
    let tensors = SafeTensors::deserialize(fixture).unwrap();
    let mut step = Step::record(&model.vae, &model.params, BATCH, &Objective::default(), Precision::Single);
    for (name, slot, unit) in [("images.u8", step.x, 255.0), ("eps", step.noise, 1.0)] {
        let theirs = numbers(&tensors, name);
        step.tape.input_mut(slot).iter_mut().zip(theirs).for_each(|(x, theirs)| *x = (theirs / unit) as f32);
    }
    step.tape.forward(&model.params);
    let ours = |slot: Slot| -> Vec<f64> { step.tape.value(slot).iter().map(|&x| f64::from(x)).collect() };
    let sum = |slot| vec![ours(slot).iter().sum()];
    let [mean, log_var] = step.posterior;
    [sum(step.reconstruction), sum(step.kl), ours(mean), ours(log_var)]
}

#[test]
fn a_model_of_pytorchs_weights_has_pytorchs_losses_and_goes_back_unchanged() {
    for (weights, results) in [("small_f32", "small_f32"), ("full_init", "full_f64_digest")] {
        let (weights, results) = (fixture(weights), fixture(results));
        let folder = tempdir().unwrap();
        let theirs = as_pytorch_saves(&weights, "init");
        fs::write(folder.path().join("theirs.safetensors"), &theirs).unwrap();
        succeeds(folder.path(), &["import", "theirs.safetensors", "--out", "run"]);
        let model = Model::load(&folder.path().join("run/model.safetensors")).unwrap();

        let results = SafeTensors::deserialize(&results).unwrap();
        let names = ["recon", "kl", "fwd.mu", "fwd.logvar"];
        for (name, ours) in names.into_iter().zip(forward(&model, &weights)) {
            let theirs = &numbers(&results, name)[..ours.len()];
            let norm = |x: &mut dyn Iterator<Item = f64>| x.map(|x| x * x).sum::<f64>().sqrt();
            let distance = norm(&mut ours.iter().zip(theirs).map(|(ours, theirs)| ours - theirs));
            let error = distance / norm(&mut theirs.iter().copied());
            // The bounds in single precision of `parity.rs`.
            assert!(error <= 8e-7, "{name} is off by {error:.1e} of itself");
        }

        succeeds(folder.path(), &["export", "run", "--to", "pytorch", "ours.safetensors"]);
        let ours = fs::read(folder.path().join("ours.safetensors")).unwrap();
        let [ours, theirs] = [&ours, &theirs].map(|file| SafeTensors::deserialize(file).unwrap());
        let tensors_of = |file: &SafeTensors| {
            let tensors = file.iter().map(|(name, t)| (name.to_string(), t.shape().to_vec(), t.data().to_vec()));
            tensors.collect::<BTreeSet<_>>()
        };
        assert!(tensors_of(&ours) == tensors_of(&theirs));
    }
}

#[test]
fn an_imported_model_is_a_run_that_can_be_evaluated_shown_and_trained_on() {
    let folder = tempdir().unwrap();
    let theirs = as_pytorch_saves(&fixture("small_f32"), "after100");
    fs::write(folder.path().join("theirs.safetensors"), &theirs).unwrap();
    succeeds(folder.path(), &["import", "theirs.safetensors", "--out", "run"]);
    let loss = |printed: String| json_lines(&printed)[0]["loss"].as_f64().unwrap();
    let before = loss(succeeds(folder.path(), &["eval", "run", "--json"]));
    for command in ["sample", "reconstruct", "tape"] {
        succeeds(folder.path(), &[command, "run"]);
    }
    // From PyTorch's weights, and not from random ones: those begin with 560 nats.
    let arguments = ["train", "--resume", "run", "--epochs", "1", "--limit", "5120", "--seed", "7", "--json"];
    let problem = fails(2, folder.path(), &["train", "--resume", "run", "--latent", "9"]);
    assert_eq!(problem, "vae: --latent: expected 8, as run has, found 9\n");
    let line = json_lines(&succeeds(folder.path(), &arguments)).remove(0);
    let (train, test) = (line["train"]["loss"].as_f64().unwrap(), line["test"]["loss"].as_f64().unwrap());
    assert!(before < 250.0 && train < before && test < train, "{before} {train} {test}");
}

#[test]
fn an_exported_model_comes_back_with_all_that_pytorchs_example_has_not() {
    let folder = crate::common::folder();
    let train = ["train", "--data", "data", "--epochs", "1", "--hidden", "8", "--latent", "2", "--batch", "8"];
    succeeds(folder.path(), &[&train[..], &["--activation", "tanh", "--seed", "7", "--out", "run"]].concat());
    let evaluated = |run: &str| succeeds(folder.path(), &["eval", run, "--data", "data", "--json"]);
    let exported = vae(folder.path(), &["export", "run", "--to", "pytorch", "w.safetensors"]).output().unwrap();
    let note = "vae: unlike PyTorch's example this model has tanh where it has relu: the file says so\n";
    assert_eq!((exported.status.code(), &text(&exported.stderr)[..]), (Some(0), note));
    let said = succeeds(folder.path(), &["import", "w.safetensors", "--out", "back"]);
    assert!(said.starts_with("model   30–8–2–8–30, tanh, of images of 6 × 5, bernoulli pixels\n"), "{said}");
    assert_eq!(evaluated("back"), evaluated("run"));
    let problem = fails(2, folder.path(), &["import", "w.safetensors", "--image-size", "5x6", "--out", "other"]);
    assert_eq!(problem, "vae: --image-size: expected 6x5, as w.safetensors says, found 5x6\n");
    assert!(!folder.path().join("other").exists());
}

#[test]
fn an_imported_model_takes_images_of_its_size_only_and_refuses_others_before_anything_is_changed() {
    let folder = crate::common::folder();
    let theirs = as_pytorch_saves(&fixture("small_f32"), "init");
    fs::write(folder.path().join("theirs.safetensors"), &theirs).unwrap();
    succeeds(folder.path(), &["import", "theirs.safetensors", "--out", "run"]);
    let before = content(&folder.path().join("run"));
    let resume = ["train", "--resume", "run", "--data", "data", "--epochs", "1"];
    let problem = fails(1, folder.path(), &resume);
    assert!(problem.contains("data: expected images of 28 × 28, found 6 × 5"), "{problem}");
    let problem = fails(2, folder.path(), &[&resume[..], &["--image-size", "6x5"]].concat());
    assert_eq!(problem, "vae: --image-size: expected [28, 28], as run has, found [6, 5]\n");
    assert!(content(&folder.path().join("run")) == before);

    // An imported model whose settings do not say what its images are.
    let at = |name: &str| folder.path().join("run").join(name);
    let mut model = Model::load(&at("model.safetensors")).unwrap();
    (model.config.image_size, model.config.channels) = (None, None);
    let adam = Adam::new(&model.params, 1e-3);
    Checkpoint::save(&at("checkpoint.safetensors"), &model, &adam, &Progress::default(), None).unwrap();
    fs::write(at("config.toml"), model.config.to_toml()).unwrap();
    let before = content(&folder.path().join("run"));
    let problem = fails(1, folder.path(), &resume);
    assert!(problem.contains("data: expected images of 28 × 28, as the model has, found 6 × 5"), "{problem}");
    assert!(content(&folder.path().join("run")) == before);
}

#[test]
fn what_is_no_such_model_is_refused_in_one_line_and_leaves_no_folder() {
    let folder = tempdir().unwrap();
    fs::write(folder.path().join("page.safetensors"), "<!DOCTYPE html><html></html>").unwrap();
    let problem = fails(1, folder.path(), &["import", "page.safetensors", "--out", "run"]);
    assert!(problem.starts_with("vae: page.safetensors: not a safetensors file"), "{problem}");
    let parity = fixture("full_f64_digest");
    fs::write(folder.path().join("other.safetensors"), parity).unwrap();
    let problem = fails(1, folder.path(), &["import", "other.safetensors", "--out", "run"]);
    let found = "found the tensors `every61.after1.fc1.bias` and `every61.grad.fc1.bias`";
    assert_eq!(problem, format!("vae: other.safetensors: expected one model, {found}\n"));
    fs::write(folder.path().join("old.pth"), b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.").unwrap();
    let problem = fails(1, folder.path(), &["import", "old.pth", "--out", "run"]);
    let python = "s.save_file(torch.load(\"old.pth\", map_location=\"cpu\"), \"old.safetensors\")";
    assert!(
        problem.starts_with("vae: old.pth: not a safetensors file but PyTorch's own format; in Python, "),
        "{problem}"
    );
    assert!(problem.contains(python), "{problem}");
    let problem = fails(1, folder.path(), &["import", ".", "--out", "run"]);
    assert_eq!(problem, "vae: .: expected a safetensors file, found a folder\n");
    assert!(!folder.path().join("run").exists());
    assert!(fails(2, folder.path(), &["export", "run", "--to", "onnx", "x"]).contains("onnx"));
}
