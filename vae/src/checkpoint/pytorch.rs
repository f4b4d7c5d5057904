//! Weights from PyTorch and for PyTorch, in the names and layouts of its own VAE example.
//!
//! Its layers are called `fc1` (pixels to hidden), `fc21` (hidden to mean), `fc22` (hidden to log-variance), `fc3` (code to
//! hidden) and `fc4` (hidden to logits); a weight is `[out, in]` there and `[in, out]` here, a bias `[out]` and `[1, out]`.
//! The numbers of a coloured image are `[3, height, width]` there and `[height, width, 3]` here.
//!
//! What tensors do not tell stands in the file's one metadata entry, a text in TOML as in `model.safetensors`: the size of the
//! images and all settings. It makes no difference to PyTorch.

use std::collections::BTreeMap;
use std::path::Path;

use autograd::Activation;
use datasets::Size;
use ndarray::{Array2, ArrayView2, Axis};
use safetensors::tensor::{Dtype, TensorView};
use serde::{Deserialize, Serialize};

use super::Model;
use super::format::{self, FORMAT, Tensor};
use crate::config::Config;
use crate::distributions::{Family, Likelihood};
use crate::error::{Error, Result};
use crate::files::write_whole;
use crate::layers::Dense;
use crate::models::Vae;

/// What the metadata entry holds.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Description {
    format: u32,
    /// The logarithm of the variance of [`Family::Gaussian`], which is no layer's.
    #[serde(skip_serializing_if = "Option::is_none")]
    log_var: Option<f32>,
    size: Size,
    config: Config,
}

/// What is said of a file without such an entry, or if it has one, again; where nothing is, the default model's.
#[derive(Clone, Debug, Default)]
pub struct Told {
    /// Height and width of the images; squares if not said.
    pub image_size: Option<(usize, usize)>,
    /// 1 or 3 numbers for a pixel; 1 if not said.
    pub channels: Option<usize>,
    /// The nonlinearity of the hidden layers.
    pub activation: Option<Activation>,
    /// The distribution of the pixels.
    pub likelihood: Option<Family>,
}

/// The layers there, and the parameters here.
fn layers(vae: &Vae) -> [(&'static str, &Dense); 5] {
    let (encoder, decoder) = (&vae.encoder[0], &vae.decoder[0]);
    [("fc1", encoder), ("fc21", &vae.mean), ("fc22", &vae.log_var), ("fc3", decoder), ("fc4", &vae.logits)]
}

/// Whether a family makes do with a number for each pixel, as the example's layers give.
fn has_a_number_for_each_pixel(family: Family) -> bool {
    family.outputs(1) == 1
}

/// What PyTorch's example would compute otherwise than this model, if anything: the file says it, and whoever reads it has to do
/// it.
pub fn difference(config: &Config) -> Option<String> {
    let (activation, family) = (config.activation, config.family());
    let activation = (activation != Activation::Relu).then(|| format!("{activation} where it has relu"));
    let pixels = (family != Family::Bernoulli).then(|| format!("{family} pixels where it has bernoulli ones"));
    let found = [activation, pixels].into_iter().flatten().collect::<Vec<_>>().join(", and ");
    (!found.is_empty()).then(|| format!("unlike PyTorch's example this model has {found}: the file says so"))
}

/// Writes the weights as PyTorch's example names them.
///
/// # Errors
/// If the layers are not those of that example – one hidden layer, an output for each pixel – or the file cannot be written.
pub fn export(model: &Model, path: &Path) -> Result<()> {
    let (hidden, family) = (&model.config.hidden, model.config.family());
    if hidden.len() != 1 || !has_a_number_for_each_pixel(family) {
        let problem =
            format!("has one hidden layer and one output for each pixel, found {} and {family}", hidden.len());
        return Err(Error::Usage(format!("--to pytorch: expected a model as PyTorch's example, which {problem}")));
    }
    let order = colours_first(model.size);
    let tensors = layers(&model.vae).into_iter().flat_map(|(name, layer)| {
        let [weight, bias] = [layer.weight, layer.bias].map(|param| model.params.view(param));
        let [weight, bias] = reorder(name, [weight, bias], &order);
        let (weight, bias) = (weight.reversed_axes().into_dyn(), bias.remove_axis(Axis(0)).into_dyn());
        [(format!("{name}.weight"), Tensor::of(weight)), (format!("{name}.bias"), Tensor::of(bias))]
    });
    let log_var = match model.vae.likelihood {
        Likelihood::Gaussian { log_var } => Some(model.params.view(log_var)[[0, 0]]),
        _ => None,
    };
    let description = Description { format: FORMAT, log_var, size: model.size, config: model.config.of_weights() };
    write_whole(path, &format::file_of(format::to_toml(&description), tensors))
}

/// For each number of an image in PyTorch's order its place in ours, where colours come last.
fn colours_first(size: Size) -> Vec<usize> {
    let pixels = size.height * size.width;
    (0..size.channels).flat_map(|c| (0..pixels).map(move |pixel| pixel * size.channels + c)).collect()
}

/// The weight and the bias of a layer, `[in, out]` and `[1, out]`, with the numbers of images in this order.
fn reorder(name: &str, [weight, bias]: [ArrayView2<f32>; 2], order: &[usize]) -> [Array2<f32>; 2] {
    match name {
        "fc1" => [weight.select(Axis(0), order), bias.to_owned()],
        "fc4" => [weight, bias].map(|x| x.select(Axis(1), order)),
        _ => [weight, bias].map(|x| x.to_owned()),
    }
}

/// Reads weights that PyTorch's example, or a model like it of other sizes, has saved as safetensors, in single, double or half
/// precision or bfloat16. The names of modules around it, as `module.` and `_orig_mod.`, are no matter.
///
/// # Errors
/// If the file cannot be read or is of another format; a tensor is missing, is none of the example's, has a shape that does not
/// fit the others, or holds no such numbers, or one that is not finite; or if what is told is not what the file says.
pub fn import(path: &Path, told: &Told) -> Result<Model> {
    parse(path, &format::read(path)?, told)
}

/// The model in such a file, whose path only labels errors.
///
/// # Errors
/// As those of [`import`].
pub fn parse(path: &Path, file: &[u8], told: &Told) -> Result<Model> {
    let wrong = |problem: String| Error::file(path, problem);
    let mut tensors = Tensors::of(path, file)?;
    let [hidden, pixels] = tensors.matrix_shape("fc1.weight")?;
    let [latent, _] = tensors.matrix_shape("fc21.weight")?;
    let Description { log_var, size, config, .. } = match format::header(path, file)? {
        Some(description) => told.again(path, description)?,
        None => told.instead(path, hidden, latent, pixels)?,
    };
    if size.checked_count() != Some(pixels) {
        return Err(wrong(format!("expected a model of images of {size}, found one of {pixels} pixels")));
    }
    if config.hidden != [hidden] || config.latent != latent {
        let (described, found) = (config.architecture(pixels), format!("{hidden} hidden units and a code of {latent}"));
        return Err(wrong(format!("expected a model of {described}, as its metadata say, found {found}")));
    }
    // Pictures of any size become what the model knows, whenever it learns on.
    let config = Config { image_size: Some((size.height, size.width)), channels: Some(size.channels), ..config };
    config.check().map_err(|e| wrong(e.to_string()))?;
    let family = config.family();
    let variance_is_known = log_var.map(f32::is_finite) == (family == Family::Gaussian).then_some(true);
    if !has_a_number_for_each_pixel(family) || !variance_is_known {
        return Err(wrong(format!("{family} pixels need more than the layers of PyTorch's example")));
    }

    // Read before a model is made, whose memory they are then known to fill.
    let shapes = [("fc1", [pixels, hidden]), ("fc21", [hidden, latent]), ("fc22", [hidden, latent])];
    let shapes = shapes.into_iter().chain([("fc3", [latent, hidden]), ("fc4", [hidden, pixels])]);
    let mut ours = vec![0; pixels];
    colours_first(size).into_iter().enumerate().for_each(|(there, here)| ours[here] = there);
    let mut numbers = vec![];
    for (name, [inputs, outputs]) in shapes {
        let weight = tensors.numbers(&format!("{name}.weight"), &[outputs, inputs])?;
        let bias = tensors.numbers(&format!("{name}.bias"), &[outputs])?;
        let weight = ArrayView2::from_shape((outputs, inputs), &weight).expect("its shape was compared");
        let bias = ArrayView2::from_shape((1, outputs), &bias).expect("its shape was compared");
        numbers.push(reorder(name, [weight.t(), bias], &ours));
    }
    tensors.no_others()?;
    let bytes = 4 * numbers.iter().flatten().map(|x| x.len()).sum::<usize>() + 4 * family.parameters();
    let mut model = Model::described(path, config, size, bytes)?;
    for ((_, layer), [weight, bias]) in layers(&model.vae.clone()).into_iter().zip(numbers) {
        model.params.view_mut(layer.weight).assign(&weight);
        model.params.view_mut(layer.bias).assign(&bias);
    }
    if let (Likelihood::Gaussian { log_var: param }, Some(log_var)) = (model.vae.likelihood, log_var) {
        model.params.view_mut(param).fill(log_var);
    }
    Ok(model)
}

impl Told {
    /// What a file says of itself, if it is also what was told.
    fn again(&self, path: &Path, description: Description) -> Result<Description> {
        let Description { size, config, .. } = &description;
        let family = config.family();
        let differs = |name: &str, told: Option<String>, says: String| match told {
            Some(told) if told != says => {
                Err(Error::Usage(format!("--{name}: expected {says}, as {} says, found {told}", path.display())))
            }
            _ => Ok(()),
        };
        let measures = |(height, width): (usize, usize)| format!("{height}x{width}");
        differs("image-size", self.image_size.map(measures), measures((size.height, size.width)))?;
        differs("channels", self.channels.map(|n| n.to_string()), size.channels.to_string())?;
        differs("activation", self.activation.map(|f| f.to_string()), config.activation.to_string())?;
        differs("likelihood", self.likelihood.map(|family| family.to_string()), family.to_string())?;
        Ok(description)
    }

    /// What a file does not say of itself.
    fn instead(&self, path: &Path, hidden: usize, latent: usize, pixels: usize) -> Result<Description> {
        let channels = self.channels.unwrap_or(1);
        let square = |channels: usize| {
            let side = (pixels / channels.max(1)).isqrt();
            (side.checked_mul(side)?.checked_mul(channels)? == pixels).then_some((side, side))
        };
        let Some((height, width)) = self.image_size.or_else(|| square(channels)) else {
            let coloured = if square(3).is_some() { ", or --channels 3" } else { "" };
            let problem = format!("{pixels} pixels are no square: expected --image-size HxW{coloured}");
            return Err(Error::file(path, problem));
        };
        let family = self.likelihood.unwrap_or(Family::Bernoulli);
        if !has_a_number_for_each_pixel(family) || family.parameters() > 0 {
            let known = Family::ALL.into_iter().filter(|&f| has_a_number_for_each_pixel(f) && f.parameters() == 0);
            let known: Vec<&str> = known.map(Family::name).collect();
            let expected = format!("expected one that needs no more than the file has, {}", known.join(", "));
            return Err(Error::Usage(format!("--likelihood: {expected}; found {family}")));
        }
        let config = Config {
            hidden: vec![hidden],
            latent,
            activation: self.activation.unwrap_or(Activation::Relu),
            likelihood: Some(family),
            ..Config::default()
        };
        Ok(Description { format: FORMAT, log_var: None, size: Size { height, width, channels }, config })
    }
}

/// The tensors of a file that are not read yet: by their names inside the innermost module, with their whole names.
struct Tensors<'f> {
    path: &'f Path,
    unread: BTreeMap<String, (String, TensorView<'f>)>,
}

impl<'f> Tensors<'f> {
    fn of(path: &'f Path, file: &'f [u8]) -> Result<Tensors<'f>> {
        let mut unread: BTreeMap<String, (String, TensorView)> = BTreeMap::new();
        let mut tensors = format::tensors(path, file)?.tensors();
        tensors.sort_by(|a, b| a.0.cmp(&b.0));
        // A counter, as that of the averaged models in `torch.optim.swa_utils`, is no weight.
        tensors.retain(|(_, tensor)| !tensor.shape().is_empty());
        for (name, tensor) in tensors {
            // The layer and the part of it: `fc1.weight` of `_orig_mod.module.fc1.weight`.
            let inner = name.rmatch_indices('.').nth(1).map_or(&name[..], |(dot, _)| &name[dot + 1..]).to_string();
            if let Some((other, _)) = unread.get(&inner) {
                return Err(Error::file(path, format!("expected one model, found the tensors `{other}` and `{name}`")));
            }
            unread.insert(inner, (name, tensor));
        }
        Ok(Tensors { path, unread })
    }

    fn missing(&self, name: &str) -> Error {
        const NAMED: usize = 3;
        let names: Vec<String> = self.unread.values().map(|(name, _)| format!("`{name}`")).collect();
        let found = match names.len() {
            0 => "no other".to_string(),
            n if n <= NAMED => names.join(", "),
            n => format!("{} and {} more", names[..NAMED].join(", "), n - NAMED),
        };
        Error::file(self.path, format!("tensor `{name}` is missing; found {found}"))
    }

    fn matrix_shape(&self, name: &str) -> Result<[usize; 2]> {
        let (name, tensor) = self.unread.get(name).ok_or_else(|| self.missing(name))?;
        let problem = || format!("tensor `{name}`: expected two dimensions, found {:?}", tensor.shape());
        tensor.shape().try_into().map_err(|_| Error::file(self.path, problem()))
    }

    /// The numbers of a tensor of this shape, in its order.
    fn numbers(&mut self, name: &str, shape: &[usize]) -> Result<Vec<f32>> {
        let (name, tensor) = self.unread.remove(name).ok_or_else(|| self.missing(name))?;
        let wrong = |problem: String| Error::file(self.path, format!("tensor `{name}`{problem}"));
        if tensor.shape() != shape {
            return Err(wrong(format!(": expected {shape:?}, found {:?}", tensor.shape())));
        }
        let data = tensor.data();
        let numbers: Vec<f32> = match tensor.dtype() {
            Dtype::F32 => data.as_chunks().0.iter().map(|&x| f32::from_le_bytes(x)).collect(),
            Dtype::F64 => data.as_chunks().0.iter().map(|&x| f64::from_le_bytes(x) as f32).collect(),
            Dtype::F16 => data.as_chunks().0.iter().map(|&x| half(u16::from_le_bytes(x))).collect(),
            Dtype::BF16 => data.as_chunks().0.iter().map(|&[a, b]| f32::from_le_bytes([0, 0, a, b])).collect(),
            other => return Err(wrong(format!(": expected F32, F64, F16 or BF16, found {other:?}"))),
        };
        match numbers.iter().find(|x| !x.is_finite()) {
            Some(number) => Err(wrong(format!(" holds {number}"))),
            None => Ok(numbers),
        }
    }

    fn no_others(&self) -> Result<()> {
        match self.unread.values().map(|(name, _)| name).min() {
            Some(extra) => {
                Err(Error::file(self.path, format!("tensor `{extra}` does not belong to PyTorch's example")))
            }
            None => Ok(()),
        }
    }
}

/// The number that 16 bits are in half precision: a sign, 5 bits of exponent, 10 of mantissa.
fn half(bits: u16) -> f32 {
    // As bits of a single the exponent is 112 less than it says; a product with a power of two is exact, subnormal ones included.
    let magnitude = match bits & 0x7fff {
        0x7c00 => f32::INFINITY,
        0x7c01.. => f32::NAN,
        finite => f32::from_bits(u32::from(finite) << 13) * 2f32.powi(112),
    };
    if bits & 0x8000 == 0 { magnitude } else { -magnitude }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluate::evaluate;
    use datasets::{Images, Pixels};
    use ndarray::ArrayD;
    use safetensors::{SafeTensors, serialize};
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

    fn parsed(file: &[u8], told: Told) -> std::result::Result<Model, String> {
        parse(Path::new("x"), file, &told).map_err(|e| e.to_string())
    }

    /// The tensors of a file, all of single precision.
    fn list(file: &[u8]) -> Vec<Named> {
        let tensors = SafeTensors::deserialize(file).unwrap();
        let numbers = |data: &[u8]| data.as_chunks().0.iter().map(|&x| f32::from_le_bytes(x)).collect();
        tensors.iter().map(|(name, t)| (name.to_string(), t.shape().to_vec(), numbers(t.data()))).collect()
    }

    /// A file of these tensors that says nothing else, each number as these bytes.
    fn written(list: &[Named], dtype: Dtype, bytes: impl Fn(f32) -> Vec<u8>) -> Vec<u8> {
        let all: Vec<_> = list
            .iter()
            .map(|(n, shape, x)| (n, shape, x.iter().flat_map(|&x| bytes(x)).collect::<Vec<u8>>()))
            .collect();
        serialize(all.iter().map(|(n, shape, b)| (n, TensorView::new(dtype, shape.to_vec(), b).unwrap())), None)
            .unwrap()
    }

    fn single(list: &[Named]) -> Vec<u8> {
        written(list, Dtype::F32, |x| x.to_le_bytes().to_vec())
    }

    /// The exported model after a change of its tensors, as a file that says nothing else.
    fn changed(change: impl FnOnce(&mut Vec<Named>)) -> Vec<u8> {
        let mut list = list(&exported(&model()));
        change(&mut list);
        single(&list)
    }

    #[test]
    fn what_was_exported_is_imported_to_the_last_bit_and_has_the_same_loss() {
        for size in [Size::grey(3, 2), Size { height: 3, width: 2, channels: 3 }] {
            let pixels = (0..30 * size.count()).map(|k| (k * 37 % 256) as u8).collect();
            let images = Images::new(pixels, size, vec![0; 30]).unwrap();
            for family in Family::ALL.into_iter().filter(|&family| has_a_number_for_each_pixel(family)) {
                for activation in Activation::ALL {
                    let likelihood = Some(family);
                    let config =
                        Config { hidden: vec![5], latent: 2, activation, likelihood, seed: 7, ..Config::default() };
                    let mut model = Model::new(config, size);
                    for param in model.params.layout.clone().params() {
                        model.params.view_mut(param).iter_mut().zip(1..).for_each(|(x, i)| *x += 0.001 * i as f32);
                    }
                    let file = exported(&model);
                    assert_eq!(exported(&model), file);
                    let back = parsed(&file, Told::default()).unwrap();
                    assert_eq!(
                        (&back.params.flat[..], back.size),
                        (&model.params.flat[..], size),
                        "{family} {activation}"
                    );
                    assert_eq!(evaluate(&back, &images), evaluate(&model, &images), "{family} {activation}");
                }
            }
        }
        let config = Config { hidden: vec![5], latent: 2, binarize: Pixels::Dynamic, ..Config::default() };
        let back = parsed(&exported(&Model::new(config.clone(), Size::grey(3, 3))), Told::default()).unwrap();
        assert_eq!(back.config, Config { image_size: Some((3, 3)), channels: Some(1), ..config });
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
    fn colours_come_first_in_the_file_and_last_here() {
        let config = Config { hidden: vec![1], latent: 1, likelihood: Some(Family::Bernoulli), ..Config::default() };
        let mut model = Model::new(config, Size { height: 1, width: 2, channels: 3 });
        // Red, green and blue of the left pixel, and of the right one.
        let ours = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
        for param in [model.vae.encoder[0].weight, model.vae.logits.weight, model.vae.logits.bias] {
            model.params.view_mut(param).iter_mut().zip(ours).for_each(|(x, number)| *x = number);
        }
        let tensors = list(&exported(&model));
        for name in ["fc1.weight", "fc4.weight", "fc4.bias"] {
            let (_, _, numbers) = tensors.iter().find(|t| t.0 == name).unwrap();
            assert_eq!(numbers, &[1.0, 4.0, 2.0, 5.0, 3.0, 6.0], "{name}");
        }
        let back = parsed(&single(&tensors), Told { image_size: Some((1, 2)), channels: Some(3), ..Told::default() });
        assert_eq!(back.unwrap().params.flat[..], model.params.flat[..]);
    }

    #[test]
    fn what_a_file_does_not_say_is_told_or_as_in_the_default_model() {
        let wide = Model::new(Config { hidden: vec![5], latent: 2, ..Config::default() }, Size::grey(2, 3));
        let file = single(&list(&exported(&wide)));
        let sized = |size| Told { image_size: Some(size), ..Told::default() };
        assert_eq!(parsed(&file, Told::default()).unwrap_err(), "x: 6 pixels are no square: expected --image-size HxW");
        let expected = "x: expected a model of images of 4 × 4, found one of 6 pixels";
        assert_eq!(parsed(&file, sized((4, 4))).unwrap_err(), expected);
        assert_eq!(parsed(&file, sized((2, 3))).unwrap().size, wide.size);
        let (activation, family) = (Activation::Tanh, Family::GaussianFixed { std: 0.5 });
        let told = Told { activation: Some(activation), likelihood: Some(family), ..sized((2, 3)) };
        let config = parsed(&file, told).unwrap().config;
        assert_eq!((config.activation, config.likelihood), (activation, Some(family)));
        let told = |family| Told { likelihood: Some(family), ..sized((2, 3)) };
        for family in [Family::Gaussian, Family::Categorical { levels: 4 }] {
            let problem = parsed(&file, told(family)).unwrap_err();
            assert!(problem.ends_with(&format!("gaussian-fixed, multinomial; found {family}")), "{problem}");
        }
        let coloured = Model::new(wide.config, Size { height: 2, width: 2, channels: 3 });
        let file = single(&list(&exported(&coloured)));
        let problem = "x: 12 pixels are no square: expected --image-size HxW, or --channels 3";
        assert_eq!(parsed(&file, Told::default()).unwrap_err(), problem);
        assert_eq!(parsed(&file, Told { channels: Some(3), ..Told::default() }).unwrap().size, coloured.size);
    }

    #[test]
    fn what_a_file_says_of_itself_may_be_told_and_nothing_else() {
        let file = exported(&model());
        let said = Told {
            image_size: Some((3, 3)),
            channels: Some(1),
            activation: Some(Activation::Relu),
            likelihood: Some(Family::Bernoulli),
        };
        assert!(parsed(&file, said.clone()).is_ok());
        let problem = |told| parsed(&file, told).unwrap_err();
        let size = problem(Told { image_size: Some((9, 1)), ..said.clone() });
        assert_eq!(size, "--image-size: expected 3x3, as x says, found 9x1");
        let channels = problem(Told { channels: Some(3), ..said.clone() });
        assert_eq!(channels, "--channels: expected 1, as x says, found 3");
        let activation = problem(Told { activation: Some(Activation::Tanh), ..said.clone() });
        assert_eq!(activation, "--activation: expected relu, as x says, found tanh");
        let likelihood = problem(Told { likelihood: Some(Family::Multinomial), ..said });
        assert_eq!(likelihood, "--likelihood: expected bernoulli, as x says, found multinomial");
    }

    #[test]
    fn a_description_that_is_not_of_these_tensors_is_refused() {
        let file = |description: Description| {
            let tensors = list(&exported(&model())).into_iter();
            let tensors = tensors.map(|(n, shape, x)| (n, Tensor::of(ArrayD::from_shape_vec(shape, x).unwrap())));
            format::file_of(format::to_toml(&description), tensors)
        };
        let good = || Description { format: FORMAT, log_var: None, size: Size::grey(3, 3), config: model().config };
        let problem = |description| parsed(&file(description), Told::default()).unwrap_err();
        let other = Config { latent: 3, ..model().config };
        let expected = "x: expected a model of 9–5–3–5–9, as its metadata say, found 5 hidden units and a code of 2";
        assert_eq!(problem(Description { config: other, ..good() }), expected);
        let expected = "x: expected a model of images of 9 × 2, found one of 9 pixels";
        assert_eq!(problem(Description { size: Size::grey(9, 2), ..good() }), expected);
        let gaussian = Config { likelihood: Some(Family::Gaussian), ..model().config };
        for log_var in [None, Some(f32::NAN)] {
            let description = Description { config: gaussian.clone(), log_var, ..good() };
            assert_eq!(problem(description), "x: gaussian pixels need more than the layers of PyTorch's example");
        }
        assert!(problem(Description { format: 99, ..good() }).starts_with("x: format 99 is newer"));
    }

    #[test]
    fn the_names_of_modules_around_the_layers_are_no_matter() {
        let expected = model();
        for outer in ["module.", "_orig_mod.", "_orig_mod.module.", "model.", "vae.net."] {
            let file = changed(|list| list.iter_mut().for_each(|t| t.0.insert_str(0, outer)));
            assert_eq!(parsed(&file, Told::default()).unwrap().params.flat[..], expected.params.flat[..], "{outer}");
        }
        let parts = changed(|list| {
            for (name, ..) in list {
                let part = if name.as_str() < "fc3" { "encoder" } else { "decoder" };
                *name = format!("model.{part}.{name}");
            }
        });
        assert_eq!(parsed(&parts, Told::default()).unwrap().params.flat[..], expected.params.flat[..]);
        let averaged = changed(|list| {
            list.iter_mut().for_each(|t| t.0.insert_str(0, "module."));
            list.push(("n_averaged".into(), vec![], vec![3.0]));
        });
        assert_eq!(parsed(&averaged, Told::default()).unwrap().params.flat[..], expected.params.flat[..]);
        let twice = changed(|list| {
            let copy: Vec<Named> =
                list.iter().map(|(n, shape, x)| (format!("ema.{n}"), shape.clone(), x.clone())).collect();
            list.extend(copy);
        });
        let problem = "x: expected one model, found the tensors `ema.fc1.bias` and `fc1.bias`";
        assert_eq!(parsed(&twice, Told::default()).unwrap_err(), problem);
    }

    #[test]
    fn numbers_of_half_and_double_precision_are_read() {
        // Of 8 bits, which all of them hold.
        let coarse = |list: &mut Vec<Named>| {
            list.iter_mut().flat_map(|t| &mut t.2).for_each(|x| *x = f32::from_bits(x.to_bits() & 0xffff_0000));
        };
        let file = changed(coarse);
        let expected = parsed(&file, Told::default()).unwrap();
        let list = list(&file);
        let double = written(&list, Dtype::F64, |x| f64::from(x).to_le_bytes().to_vec());
        let brain = written(&list, Dtype::BF16, |x| x.to_le_bytes()[2..].to_vec());
        for file in [double, brain] {
            assert_eq!(parsed(&file, Told::default()).unwrap().params.flat[..], expected.params.flat[..]);
        }
        let halves = written(&list, Dtype::F16, |_| 0x3555u16.to_le_bytes().to_vec());
        let params = parsed(&halves, Told::default()).unwrap().params;
        assert!(params.iter().all(|(_, x)| x.iter().all(|&x| x == 0.333_251_95)));
        let whole = written(&list, Dtype::I16, |_| vec![0, 0]);
        let problem = "x: tensor `fc1.weight`: expected F32, F64, F16 or BF16, found I16";
        assert_eq!(parsed(&whole, Told::default()).unwrap_err(), problem);
    }

    /// By the definition: `(−1)^s · 2^(e − 15) · (1 + m/1024)`, and `2^−14 · m/1024` where `e` is 0.
    #[test]
    fn every_half_is_the_number_that_its_bits_stand_for() {
        for bits in 0..=u16::MAX {
            let (exponent, mantissa) = (i32::from(bits >> 10 & 31), f64::from(bits & 1023) / 1024.0);
            let magnitude = match exponent {
                0 => 2f64.powi(-14) * mantissa,
                31 if mantissa == 0.0 => f64::INFINITY,
                31 => f64::NAN,
                _ => 2f64.powi(exponent - 15) * (1.0 + mantissa),
            };
            let (expected, found) =
                (magnitude.copysign(if bits >> 15 == 0 { 1.0 } else { -1.0 }), f64::from(half(bits)));
            assert!(expected.to_bits() == found.to_bits() || expected.is_nan() && found.is_nan(), "{bits:#x}: {found}");
        }
    }

    #[test]
    fn what_is_not_as_in_the_example_is_refused_by_the_tensors_name() {
        fn at<'l>(list: &'l mut [Named], name: &str) -> &'l mut Named {
            list.iter_mut().find(|t| t.0 == name).unwrap()
        }
        let problem = |change: fn(&mut Vec<Named>)| parsed(&changed(change), Told::default()).unwrap_err();
        let missing = problem(|list| list.retain(|t| t.0.starts_with("fc1") || t.0 == "fc21.weight"));
        assert_eq!(missing, "x: tensor `fc21.bias` is missing; found no other");
        let missing = problem(|list| list.iter_mut().for_each(|t| t.0 = t.0.replace("fc", "layer.")));
        let found = "found `layer.1.bias`, `layer.1.weight`, `layer.21.bias` and 7 more";
        assert_eq!(missing, format!("x: tensor `fc1.weight` is missing; {found}"));
        let extra = problem(|list| list.push(("conv.weight".into(), vec![1], vec![0.0])));
        assert_eq!(extra, "x: tensor `conv.weight` does not belong to PyTorch's example");
        let infinite = problem(|list| at(list, "fc3.weight").2[3] = f32::INFINITY);
        assert_eq!(infinite, "x: tensor `fc3.weight` holds inf");
        let turned = problem(|list| at(list, "fc4.weight").1.reverse());
        assert_eq!(turned, "x: tensor `fc4.weight`: expected [9, 5], found [5, 9]");
        let flat = problem(|list| at(list, "fc1.weight").1 = vec![45]);
        assert_eq!(flat, "x: tensor `fc1.weight`: expected two dimensions, found [45]");
        let empty = problem(|list| *at(list, "fc1.weight") = ("fc1.weight".into(), vec![0, 1 << 40], vec![]));
        assert_eq!(empty, "x: --hidden: expected at least 1, found 0");
    }

    #[test]
    fn a_model_of_another_kind_is_not_exported_and_what_else_differs_is_said() {
        let refused = |hidden: &[usize], family| {
            let config = Config { hidden: hidden.to_vec(), latent: 2, likelihood: Some(family), ..Config::default() };
            export(&Model::new(config, Size::grey(3, 3)), Path::new("x")).unwrap_err().to_string()
        };
        let problem = refused(&[5, 4], Family::Bernoulli);
        assert!(
            problem.ends_with("one hidden layer and one output for each pixel, found 2 and bernoulli"),
            "{problem}"
        );
        let problem = refused(&[5], Family::Categorical { levels: 4 });
        assert!(problem.ends_with("found 1 and categorical:4"), "{problem}");
        assert_eq!(difference(&Config { likelihood: Some(Family::Bernoulli), ..Config::default() }), None);
        let other = Config { activation: Activation::Tanh, likelihood: Some(Family::Gaussian), ..Config::default() };
        let expected = "unlike PyTorch's example this model has tanh where it has relu, and gaussian pixels where it has \
                        bernoulli ones: the file says so";
        assert_eq!(difference(&other).unwrap(), expected);
    }
}
