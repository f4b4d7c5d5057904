//! What a file is that should be safetensors and is not, and the line of Python that makes it one.

use std::path::Path;

/// What a file that begins like this is, and how to convert it; `None` if that is not known.
pub(super) fn describe(path: &Path, beginning: &[u8]) -> Option<String> {
    // A safetensors file begins with the length of its header, less than 16 MiB, and with the header: it is one, however damaged.
    let is_one = beginning.get(3..8) == Some(&[0; 5]) && beginning.get(8).is_none_or(|&first| first == b'{');
    let format = if is_one { None } else { by_content(path, beginning) };
    format.or_else(|| by_name(path)).map(|format| format.description(path))
}

/// The formats that people have weights in.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Format {
    PyTorch,
    Pickle,
    Keras,
    Onnx,
    TensorFlow,
    SavedModel,
    NumPyArray,
    NumPyArchive,
    Archive,
    Gzip,
    LfsPointer,
    WebPage,
    Json,
}

fn by_content(path: &Path, beginning: &[u8]) -> Option<Format> {
    let holds = |part: &[u8]| beginning.windows(part.len()).any(|window| window == part);
    // PyTorch's old format is several pickles, of which the first is this number.
    const PYTORCH: &[u8] = b"\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.";
    Some(match beginning {
        [b'P', b'K', 3, 4, ..] if holds(b"data.pkl") => Format::PyTorch,
        [b'P', b'K', 3, 4, ..] if holds(b".npy") => Format::NumPyArchive,
        [b'P', b'K', 3, 4, ..] if holds(b"metadata.json") || holds(b"config.json") || holds(b".weights.h5") => {
            Format::Keras
        }
        [b'P', b'K', 3, 4, ..] => by_name(path).unwrap_or(Format::Archive),
        [0x80, 2..=5, rest @ ..] if rest.starts_with(PYTORCH) => Format::PyTorch,
        [0x80, 2..=5, ..] => Format::Pickle,
        [0x89, b'H', b'D', b'F', b'\r', b'\n', 0x1a, b'\n', ..] => Format::Keras,
        [0x93, b'N', b'U', b'M', b'P', b'Y', ..] => Format::NumPyArray,
        [0x1f, 0x8b, ..] => Format::Gzip,
        // The version of the format, one byte, and another field: of a SavedModel its graph, of ONNX any.
        [8, 1, 0x12, ..] if !holds(b"pytorch") && extension(path) != "onnx" => Format::SavedModel,
        [8, 1..=0x7f, 0x12 | 0x1a | 0x22 | 0x28 | 0x32 | 0x3a | 0x42, ..] => Format::Onnx,
        _ if beginning.starts_with(b"model_checkpoint_path:") => Format::TensorFlow,
        _ if beginning.starts_with(b"version https://git-lfs") => Format::LfsPointer,
        _ => match beginning.trim_ascii_start().first_chunk()? {
            b"<!" | b"<h" | b"<H" | b"<?" => Format::WebPage,
            [b'{' | b'[', ..] => Format::Json,
            _ => return None,
        },
    })
}

fn by_name(path: &Path) -> Option<Format> {
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
    Some(match extension(path).as_str() {
        "pt" | "pth" => Format::PyTorch,
        "pkl" | "pickle" => Format::Pickle,
        "h5" | "hdf5" | "keras" => Format::Keras,
        "onnx" => Format::Onnx,
        "pb" => Format::SavedModel,
        "npy" => Format::NumPyArray,
        "npz" => Format::NumPyArchive,
        "index" => Format::TensorFlow,
        _ if name.contains(".data-0") => Format::TensorFlow,
        _ => return None,
    })
}

fn extension(path: &Path) -> String {
    path.extension().unwrap_or_default().to_string_lossy().to_lowercase()
}

/// What Keras and TensorFlow, which leave names to the layers, have to be asked for. Their matrices are turned, too.
const NAMES: &str = "if its layers are called fc1, fc21, fc22, fc3 and fc4";

impl Format {
    /// What it is called, and what makes safetensors of it.
    fn description(self, path: &Path) -> String {
        let quoted = |path: &Path| format!("{:?}", path.display().to_string());
        let (file, to) = (quoted(path), quoted(&path.with_extension("safetensors")));
        // The files of TensorFlow's checkpoints have a name in common.
        let checkpoint = quoted(&match path.file_name().is_some_and(|name| name == "checkpoint") {
            true => path.with_file_name("NAME"),
            false => path.with_extension(""),
        });
        let (what, python) = match self {
            Format::PyTorch => (
                "PyTorch's own format",
                format!(
                    "import torch, safetensors.torch as s; \
                     s.save_file(torch.load({file}, map_location=\"cpu\"), {to}) converts a state dict"
                ),
            ),
            Format::Pickle => (
                "a pickle",
                format!(
                    "import pickle, safetensors.numpy as s; s.save_file(pickle.load(open({file}, \"rb\")), {to}) \
                     converts a dict of arrays, if you trust whoever made it"
                ),
            ),
            Format::Keras => (
                "HDF5 or Keras's format",
                format!(
                    "import keras, safetensors.numpy as s; m = keras.models.load_model({file}, compile=False); \
                     s.save_file({{f\"{{l.name}}.{{n}}\": w.T.copy() for l in m.layers \
                     for n, w in zip((\"weight\", \"bias\"), l.get_weights())}}, {to}) converts a model {NAMES}"
                ),
            ),
            Format::Onnx => (
                "ONNX",
                format!(
                    "import onnx, safetensors.numpy as s; s.save_file({{t.name: onnx.numpy_helper.to_array(t) \
                     for t in onnx.load({file}).graph.initializer}}, {to}) converts its weights"
                ),
            ),
            Format::TensorFlow => (
                "a checkpoint of TensorFlow",
                format!(
                    "import tensorflow as tf, safetensors.numpy as s; \
                     s.save_file({{n.replace(\"/kernel\", \".weight\").replace(\"/bias\", \".bias\"): \
                     tf.train.load_variable({checkpoint}, n).T.copy() for n, _ in \
                     tf.train.list_variables({checkpoint})}}, {to}) converts it {NAMES}"
                ),
            ),
            Format::SavedModel => (
                "a graph of TensorFlow",
                format!(
                    "import tensorflow as tf, safetensors.numpy as s; \
                     s.save_file({{v.name.split(\":\")[0].replace(\"/kernel\", \".weight\").replace(\"/bias\", \".bias\"): \
                     v.numpy().T.copy() for v in tf.saved_model.load({folder}).variables}}, {to}) converts it {NAMES}",
                    folder = quoted(path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."))),
                ),
            ),
            Format::NumPyArray => (
                "an array of NumPy",
                format!(
                    "import numpy, safetensors.numpy as s; \
                     s.save_file({{\"fc1.weight\": numpy.load({file}), …}}, {to}) puts arrays together"
                ),
            ),
            Format::NumPyArchive => (
                "an archive of NumPy",
                format!(
                    "import numpy, safetensors.numpy as s; s.save_file(dict(numpy.load({file})), {to}) converts it, \
                     if its arrays are called fc1.weight, fc1.bias, …"
                ),
            ),
            Format::Archive => return "a ZIP archive: unpack it first".into(),
            Format::Gzip => return format!("compressed: `gzip -d < {file} > {to}` unpacks it"),
            Format::LfsPointer => return "a pointer of Git LFS: `git lfs pull` fetches the file".into(),
            Format::WebPage => return "a web page: the address it was downloaded from gives no file".into(),
            Format::Json => return "JSON: the weights are in another file".into(),
        };
        format!("{what}; in Python, {python}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn described(name: &str, beginning: &[u8]) -> Option<String> {
        describe(Path::new(name), beginning)
    }

    #[test]
    fn a_file_of_another_format_is_called_what_it_is_whatever_its_name() {
        let zip = |name: &[u8]| [b"PK\x03\x04\x00\x00\x08\x08\x00\x00", name].concat();
        let kinds: [(&str, Vec<u8>); 15] = [
            ("PyTorch's own format; in Python, import torch", zip(b"archive/data.pkl\x80\x02")),
            (
                "PyTorch's own format; in Python, import torch",
                b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.\x80".to_vec(),
            ),
            ("a pickle; in Python, import pickle", b"\x80\x04\x95\x10\x00\x00\x00\x00\x00\x00\x00}".to_vec()),
            ("HDF5 or Keras's format; in Python, import keras", b"\x89HDF\r\n\x1a\n\0\0\0\0".to_vec()),
            ("HDF5 or Keras's format; in Python, import keras", zip(b"metadata.json{")),
            ("ONNX; in Python, import onnx", b"\x08\x08\x12\x07pytorch\x1a\x05".to_vec()),
            ("ONNX; in Python, import onnx", b"\x08\x01\x12\x07pytorch\x1a\x05".to_vec()),
            ("a graph of TensorFlow; in Python, import tensorflow", b"\x08\x01\x12\xd3\xa1\x01".to_vec()),
            ("a checkpoint of TensorFlow; in Python", b"model_checkpoint_path: \"m\"".to_vec()),
            ("an array of NumPy; in Python, import numpy", b"\x93NUMPY\x01\x00\x76\x00".to_vec()),
            ("an archive of NumPy; in Python, import numpy", zip(b"fc1.weight.npy\x93NUMPY")),
            ("a ZIP archive", zip(b"weights.txt")),
            ("compressed: `gzip -d", b"\x1f\x8b\x08\0\0\0\0\0\0\x03".to_vec()),
            ("a pointer of Git LFS", b"version https://git-lfs.github.com/spec/v1".to_vec()),
            ("a web page", b"\n<!DOCTYPE html>".to_vec()),
        ];
        for (expected, beginning) in kinds {
            let found = described("weights", &beginning).unwrap();
            assert!(found.starts_with(expected), "{found}, not {expected}");
        }
    }

    #[test]
    fn a_format_without_a_beginning_of_its_own_is_known_by_its_name() {
        for name in ["variables.data-00000-of-00001", "variables.index"] {
            let found = described(name, &[0; 20]).unwrap();
            assert!(
                found.contains("list_variables(\"variables\")") && found.contains("\"variables.safetensors\""),
                "{found}"
            );
        }
        assert!(described("m.ONNX", b"").unwrap().starts_with("ONNX"));
    }

    #[test]
    fn a_safetensors_file_cut_short_is_called_nothing_else() {
        // Headers of 640 and of 4616 bytes: so begin pickles, and ONNX.
        for length in [640u64, 0x0012_0108, 1 << 20] {
            assert_eq!(described("m.safetensors", &length.to_le_bytes()), None);
        }
        assert_eq!(described("m", b""), None);
        assert_eq!(described("m", &[0xff; 64]), None);
    }
}
