//! Weights from PyTorch and for PyTorch, in the names and layouts of its own VAE example.
//!
//! Its layers are called `fc1` (pixels to hidden), `fc21` (hidden to mean), `fc22` (hidden to log-variance), `fc3` (code to
//! hidden) and `fc4` (hidden to logits); a weight is `[out, in]` there and `[in, out]` here, a bias `[out]` and `[1, out]`.

use std::collections::HashMap;
use std::path::Path;

use autograd::Param;
use datasets::Size;
use safetensors::tensor::{Dtype, TensorView};
use safetensors::{SafeTensors, serialize};

use super::Model;
use super::format;
use crate::config::Config;
use crate::distributions::Family;
use crate::error::{Error, Result};
use crate::files::write_whole;
use crate::models::Vae;

/// The layers there, and the parameters here.
fn layers(vae: &Vae) -> [(&'static str, &crate::layers::Dense); 5] {
    let (encoder, decoder) = (&vae.encoder[0], &vae.decoder[0]);
    [("fc1", encoder), ("fc21", &vae.mean), ("fc22", &vae.log_var), ("fc3", decoder), ("fc4", &vae.logits)]
}

/// Writes the weights as PyTorch's example names them.
///
/// # Errors
/// If the model is not of that example's kind – one hidden layer, Bernoulli pixels – or the file cannot be written.
pub fn export(model: &Model, path: &Path) -> Result<()> {
    let Config { hidden, likelihood, .. } = &model.config;
    if hidden.len() != 1 || likelihood.is_some_and(|family| family != Family::Bernoulli) {
        let (n, family) = (hidden.len(), likelihood.unwrap_or(Family::Bernoulli));
        let problem = format!("has one hidden layer and bernoulli pixels, found {n} and {family}");
        return Err(Error::Usage(format!("--to pytorch: expected a model as PyTorch's example, which {problem}")));
    }
    let mut tensors: Vec<(String, Vec<usize>, Vec<u8>)> = vec![];
    for (name, layer) in layers(&model.vae) {
        // Row after row of the transpose: a weight is `[out, in]`.
        let bytes = |param: Param| model.params.view(param).t().iter().flat_map(|x| x.to_le_bytes()).collect();
        let [inputs, outputs] = model.params.layout.shape(layer.weight);
        tensors.push((format!("{name}.weight"), vec![outputs, inputs], bytes(layer.weight)));
        tensors.push((format!("{name}.bias"), vec![outputs], bytes(layer.bias)));
    }
    let views = tensors.iter().map(|(name, shape, bytes)| {
        (name, TensorView::new(Dtype::F32, shape.clone(), bytes).expect("four bytes for each number"))
    });
    // What PyTorch's own files say of themselves.
    let metadata = HashMap::from([("format".to_string(), "pt".to_string())]);
    let file = serialize(views, Some(metadata)).expect("names and shapes have a JSON form");
    write_whole(path, &file)
}

/// Reads weights that PyTorch's example, or a model like it of other sizes, has saved as safetensors. Images are of this
/// size, or square and grey if it is not said.
///
/// # Errors
/// If the file cannot be read, or a tensor is missing, has a shape that does not fit the others, is not of type F32 or F64,
/// or holds a number that is not finite.
pub fn import(path: &Path, size: Option<Size>) -> Result<Model> {
    parse(path, &format::read(path)?, size)
}

/// The model in such a file, whose path only labels errors.
///
/// # Errors
/// As those of [`import`].
pub fn parse(path: &Path, file: &[u8], size: Option<Size>) -> Result<Model> {
    let wrong = |problem: String| Error::file(path, problem);
    let tensors = format::tensors(path, file)?;
    let [hidden, pixels] = matrix_shape(path, &tensors, "fc1.weight")?;
    let [latent, _] = matrix_shape(path, &tensors, "fc21.weight")?;
    let side = pixels.isqrt();
    let size = match size {
        Some(size) => size,
        None if side * side == pixels => Size::grey(side, side),
        None => return Err(wrong(format!("{pixels} pixels are no square: expected --image-size HxW"))),
    };
    if size.checked_count() != Some(pixels) {
        return Err(wrong(format!("expected a model of images of {size}, found one of {pixels} pixels")));
    }
    let config = Config { hidden: vec![hidden], latent, likelihood: Some(Family::Bernoulli), ..Config::default() };
    let mut model = Model::described(path, config, size, file.len())?;
    let names: Vec<String> = layers(&model.vae)
        .iter()
        .flat_map(|(name, _)| ["weight", "bias"].map(|part| format!("{name}.{part}")))
        .collect();
    if let Some(extra) = tensors.names().into_iter().filter(|&name| !names.iter().any(|n| n == name)).min() {
        return Err(wrong(format!("tensor `{extra}` does not belong to PyTorch's example")));
    }
    for (name, layer) in layers(&model.vae.clone()) {
        let [inputs, outputs] = model.params.layout.shape(layer.weight);
        let parts = [("weight", layer.weight, vec![outputs, inputs]), ("bias", layer.bias, vec![outputs])];
        for (part, param, shape) in parts {
            let numbers = numbers(path, &tensors, &format!("{name}.{part}"), &shape)?;
            let mut to = model.params.view_mut(param).reversed_axes();
            to.iter_mut().zip(numbers).for_each(|(to, number)| *to = number);
        }
    }
    Ok(model)
}

fn matrix_shape(path: &Path, tensors: &SafeTensors, name: &str) -> Result<[usize; 2]> {
    let tensor = tensors.tensor(name).map_err(|_| Error::file(path, format!("tensor `{name}` is missing")))?;
    tensor
        .shape()
        .try_into()
        .map_err(|_| Error::file(path, format!("tensor `{name}`: expected two dimensions, found {:?}", tensor.shape())))
}

/// The numbers of a tensor of this shape, in its order.
fn numbers(path: &Path, tensors: &SafeTensors, name: &str, shape: &[usize]) -> Result<Vec<f32>> {
    let wrong = |problem: String| Error::file(path, format!("tensor `{name}`{problem}"));
    let tensor = tensors.tensor(name).map_err(|_| wrong(" is missing".into()))?;
    if tensor.shape() != shape {
        return Err(wrong(format!(": expected {shape:?}, found {:?}", tensor.shape())));
    }
    let data = tensor.data();
    let numbers: Vec<f32> = match tensor.dtype() {
        Dtype::F32 => data.as_chunks().0.iter().map(|&x| f32::from_le_bytes(x)).collect(),
        Dtype::F64 => data.as_chunks().0.iter().map(|&x| f64::from_le_bytes(x) as f32).collect(),
        other => return Err(wrong(format!(": expected F32 or F64, found {other:?}"))),
    };
    match numbers.iter().find(|x| !x.is_finite()) {
        Some(number) => Err(wrong(format!(" holds {number}"))),
        None => Ok(numbers),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    /// Name, shape and numbers of a tensor.
    type Named = (String, Vec<usize>, Vec<f32>);

    fn model() -> Model {
        Model::new(Config { hidden: vec![5], latent: 2, ..Config::default() }, Size::grey(3, 3))
    }

    fn exported(model: &Model) -> Vec<u8> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("m");
        export(model, &path).unwrap();
        fs::read(&path).unwrap()
    }

    #[test]
    fn what_was_exported_is_imported_to_the_last_bit() {
        let model = model();
        let back = parse(Path::new("x"), &exported(&model), None).unwrap();
        assert_eq!(back.params.flat[..], model.params.flat[..]);
        assert_eq!((back.size, back.config.hidden, back.config.latent), (model.size, vec![5], 2));
    }

    #[test]
    fn a_weight_is_turned_and_a_bias_has_one_dimension() {
        let model = model();
        let file = exported(&model);
        let tensors = SafeTensors::deserialize(&file).unwrap();
        assert_eq!((tensors.len(), tensors.tensor("fc1.bias").unwrap().shape()), (10, &[5][..]));
        let weight = tensors.tensor("fc1.weight").unwrap();
        assert_eq!(weight.shape(), [5, 9]);
        let second = f32::from_le_bytes(*weight.data()[4..].first_chunk().unwrap());
        assert_eq!(second, model.params.view(model.vae.encoder[0].weight)[[1, 0]]);
    }

    #[test]
    fn images_that_are_no_squares_need_their_size_said() {
        let wide = Model::new(Config { hidden: vec![5], latent: 2, ..Config::default() }, Size::grey(2, 3));
        let file = exported(&wide);
        let problem = |size| parse(Path::new("x"), &file, size).unwrap_err().to_string();
        assert_eq!(problem(None), "x: 6 pixels are no square: expected --image-size HxW");
        let expected = "x: expected a model of images of 4 × 4, found one of 6 pixels";
        assert_eq!(problem(Some(Size::grey(4, 4))), expected);
        assert_eq!(parse(Path::new("x"), &file, Some(Size::grey(2, 3))).unwrap().size, wide.size);
    }

    #[test]
    fn what_is_not_as_in_the_example_is_refused_by_the_tensors_name() {
        let changed = |change: &dyn Fn(&mut Vec<Named>)| {
            let file = exported(&model());
            let tensors = SafeTensors::deserialize(&file).unwrap();
            let mut list: Vec<_> = tensors
                .iter()
                .map(|(name, t)| {
                    (name.to_string(), t.shape().to_vec(), numbers(Path::new(""), &tensors, name, t.shape()).unwrap())
                })
                .collect();
            change(&mut list);
            let bytes: Vec<_> = list
                .iter()
                .map(|(name, shape, x)| (name, shape, x.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<u8>>()))
                .collect();
            let views = bytes.iter().map(|(n, shape, b)| (n, TensorView::new(Dtype::F32, shape.to_vec(), b).unwrap()));
            parse(Path::new("x"), &serialize(views, None).unwrap(), None).unwrap_err().to_string()
        };
        fn at<'l>(list: &'l mut [Named], name: &str) -> &'l mut Named {
            list.iter_mut().find(|t| t.0 == name).unwrap()
        }
        let missing = changed(&|list| list.retain(|t| t.0 != "fc21.bias"));
        assert_eq!(missing, "x: tensor `fc21.bias` is missing");
        let extra = changed(&|list| list.push(("conv.weight".into(), vec![1], vec![0.0])));
        assert_eq!(extra, "x: tensor `conv.weight` does not belong to PyTorch's example");
        let infinite = changed(&|list| at(list, "fc3.weight").2[3] = f32::INFINITY);
        assert_eq!(infinite, "x: tensor `fc3.weight` holds inf");
        let turned = changed(&|list| at(list, "fc4.weight").1.reverse());
        assert_eq!(turned, "x: tensor `fc4.weight`: expected [9, 5], found [5, 9]");
        let flat = changed(&|list| at(list, "fc1.weight").1 = vec![45]);
        assert_eq!(flat, "x: tensor `fc1.weight`: expected two dimensions, found [45]");
    }

    #[test]
    fn a_model_of_another_kind_is_not_exported() {
        let deep = Model::new(Config { hidden: vec![5, 4], latent: 2, ..Config::default() }, Size::grey(3, 3));
        let problem = export(&deep, Path::new("x")).unwrap_err().to_string();
        assert!(problem.ends_with("one hidden layer and bernoulli pixels, found 2 and bernoulli"), "{problem}");
    }
}
