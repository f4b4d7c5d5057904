//! Files that are damaged, or made to do harm: refused in one line, without a panic and without taking memory on their word.

use std::fs;
use std::io::Write;
use std::path::Path;

use datasets::{Size, idx};
use proptest::prelude::*;
use rand::RngExt;
use tempfile::tempdir;
use vae::Result;
use vae::checkpoint::pytorch::{self, Told};
use vae::checkpoint::{Checkpoint, Model, Progress};
use vae::config::Config;
use vae::optim::Adam;

use crate::common::{fails, succeeds, write_data};
use crate::counting::{alone, most_extra_bytes};

/// What a small file may take, whatever it promises.
const MOST_MEMORY: usize = 64 << 20;

fn assert_takes_little_memory(work: impl FnOnce()) {
    let taken = most_extra_bytes(work);
    assert!(taken <= MOST_MEMORY, "{taken} bytes");
}

/// The file cut after each byte, and 10,000 times with one to three random bits flipped.
fn damaged(file: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    let mut chance = datasets::generator(1, "damage", 0);
    let cut = (0..file.len()).map(|end| file[..end].to_vec());
    let flipped = (0..10_000).map(move |n| {
        let mut file = file.to_vec();
        for _ in 0..1 + n % 3 {
            let (byte, bit) = (chance.random_range(0..file.len()), chance.random_range(0..8));
            file[byte] ^= 1 << bit;
        }
        file
    });
    cut.chain(flipped)
}

/// A kind of file with tensors: how a file of it is read from memory, without a look at its checksum, and from the disk.
struct Kind {
    name: &'static str,
    file: Vec<u8>,
    parse: fn(&[u8]) -> Result<()>,
    load: fn(&Path) -> Result<()>,
}

/// Small files of every kind, as the program writes them.
fn kinds() -> [Kind; 3] {
    let folder = tempdir().unwrap();
    let path = folder.path().join("file");
    let written = |result: Result<()>| {
        result.unwrap();
        fs::read(&path).unwrap()
    };
    let model = Model::new(Config { hidden: vec![2], latent: 1, ..Config::default() }, Size::grey(2, 2));
    let adam = Adam::new(&model.params, 1e-3);
    fn anywhere() -> &'static Path {
        Path::new("x")
    }
    [
        Kind {
            name: "checkpoint",
            file: written(Checkpoint::save(&path, &model, &adam, &Progress::default(), Some("abc"))),
            parse: |file| Checkpoint::parse(anywhere(), file).map(drop),
            load: |path| Checkpoint::load(path).map(drop),
        },
        Kind {
            name: "model",
            file: written(model.save(&path)),
            parse: |file| Model::parse(anywhere(), file).map(drop),
            load: |path| Model::load(path).map(drop),
        },
        Kind {
            name: "pytorch",
            file: written(pytorch::export(&model, &path)),
            parse: |file| pytorch::parse(anywhere(), file, &Told::default()).map(drop),
            load: |path| pytorch::import(path, &Told::default()).map(drop),
        },
    ]
}

/// Two images of 2 × 3.
fn idx_file() -> Vec<u8> {
    [&[0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 2, 0, 0, 0, 3][..], &[0, 17, 255, 3, 128, 9, 1, 2, 200, 4, 5, 6]].concat()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut gzip = flate2::write::GzEncoder::new(vec![], flate2::Compression::default());
    gzip.write_all(bytes).unwrap();
    gzip.finish().unwrap()
}

/// What the fuzz targets start from: target, name and content.
fn seeds() -> Vec<(&'static str, &'static str, Vec<u8>)> {
    let scalar = [0, 0, 0x0E, 0, 0x40, 0x04, 0, 0, 0, 0, 0, 0];
    let every_setting = "hidden = [500, 300]\nactivation = 'tanh'\nlr = 3e-4\nbeta = 4\nweight_decay = 0.01\n\
         precision = 'bf16'\nbinarize = 'dynamic'\nlikelihood = 'bernoulli'\nlimit = 2000\ndata = 'some where'\nthreads = 2\n\
         checkpoint_every = '2e'\n";
    let mut seeds = vec![
        ("idx", "images", idx_file()),
        ("idx", "images.gz", gzip(&idx_file())),
        ("idx", "number", scalar.to_vec()),
        ("config", "defaults.toml", Config::default().to_toml().into()),
        ("config", "settings.toml", every_setting.into()),
    ];
    seeds.extend(kinds().map(|kind| ("checkpoint", kind.name, kind.file)));
    seeds
}

#[test]
fn damaged_weights_take_little_memory_and_are_refused_unless_they_have_no_checksum() {
    let _alone = alone();
    let folder = tempdir().unwrap();
    let path = folder.path().join("file");
    for Kind { name, file, parse, load } in kinds() {
        load_bytes(&path, &file, load).unwrap();
        let mut accepted = 0;
        assert_takes_little_memory(|| {
            for (n, damaged) in damaged(&file).enumerate() {
                accepted += u32::from(parse(&damaged).is_ok());
                // Some of them, for a disk is slow. Flips that undo each other are no damage.
                if n % 10 == 0 && damaged != file {
                    let refused = load_bytes(&path, &damaged, load).is_err();
                    assert!(refused || name == "pytorch", "{name}: damage was not found");
                }
            }
        });
        // Damaged numbers go unnoticed by the parsers, so these were put to a test of their own.
        assert!(accepted > 100, "{name}: only {accepted} damaged files got past the parser");
    }
}

fn load_bytes(path: &Path, bytes: &[u8], load: fn(&Path) -> Result<()>) -> Result<()> {
    // Some file systems flush a file that is overwritten, at milliseconds each, but not a new one.
    let _ = fs::remove_file(path);
    fs::write(path, bytes).unwrap();
    load(path)
}

#[test]
fn damaged_idx_takes_little_memory_and_in_gzip_never_changes_a_pixel() {
    let _alone = alone();
    let (plain, gzipped) = (idx_file(), gzip(&idx_file()));
    let parse = |bytes: &[u8]| idx::parse(Path::new("x"), bytes);
    let good = parse(&plain).unwrap();
    assert_takes_little_memory(|| damaged(&plain).for_each(|file| drop(parse(&file))));
    assert_takes_little_memory(|| {
        // A gzip's checksum does not cover its date and the name of the system.
        for file in damaged(&gzipped) {
            assert!(parse(&file).is_ok_and(|idx| idx == good) || parse(&file).is_err());
        }
    });
}

#[test]
fn a_safetensors_header_is_not_taken_at_its_word() {
    let _alone = alone();
    let folder = tempdir().unwrap();
    let path = folder.path().join("file");
    for Kind { name, parse, load, .. } in kinds() {
        for (what, file) in hostile_headers() {
            assert_takes_little_memory(|| {
                let problems = [parse(&file), load_bytes(&path, &file, load)].map(|result| match result {
                    Ok(()) => panic!("{name}: {what} was accepted"),
                    Err(error) => error.to_string(),
                });
                for problem in problems {
                    assert!(!problem.contains('\n') && problem.len() < 1000, "{name}: {what}: {problem}");
                }
            });
        }
    }
}

/// Files that promise what they do not hold, or hold it in a way that is hard to read.
fn hostile_headers() -> Vec<(&'static str, Vec<u8>)> {
    let with_length = |length: u64, rest: &str| [&length.to_le_bytes(), rest.as_bytes()].concat();
    let with_header = |header: String| with_length(header.len() as u64, &header);
    let tensor = |shape: &str, offsets: &str| {
        with_header(format!(r#"{{"fc1.weight":{{"dtype":"F32","shape":{shape},"data_offsets":{offsets}}}}}"#))
    };
    let many = |n: usize, entry: fn(usize) -> String| (0..n).map(entry).collect::<Vec<_>>().join(",");
    let tensors = many(100_000, |n| format!(r#""{n}":{{"dtype":"F32","shape":[0],"data_offsets":[0,0]}}"#));
    let entries = many(100_000, |n| format!(r#""{n}":"""#));
    let nested = |toml: String| {
        let toml = serde_json::to_string(&format!("format = 2\n{toml}")).unwrap();
        with_header(format!(r#"{{"__metadata__":{{"vae":{toml}}}}}"#))
    };
    vec![
        ("nothing", vec![]),
        ("7 bytes", vec![0; 7]),
        ("8 bytes", vec![0; 8]),
        ("a header of terabytes", with_length(5 << 40, "{}")),
        ("a header of 2⁶⁴ − 1 bytes", with_length(u64::MAX, "{}")),
        ("a header that ends in mid-air", with_length(3, "{}")),
        ("a tensor of terabytes", tensor("[1099511627776]", "[0,4398046511104]")),
        ("a tensor of more than can be counted", tensor("[4294967296,4294967296,4]", "[0,0]")),
        ("a tensor of nothing by very much", tensor("[0,18446744073709551615]", "[0,0]")),
        ("very much by nothing", tensor("[18446744073709551615,0]", "[0,0]")),
        ("a tensor that ends before it begins", tensor("[1]", "[8,4]")),
        ("100,000 tensors", with_header(format!("{{{tensors}}}"))),
        ("100,000 entries", with_header(format!(r#"{{"__metadata__":{{{entries}}}}}"#))),
        ("deep lists", with_header("[".repeat(100_000))),
        ("deep tables", with_header(r#"{"a":"#.repeat(100_000))),
        ("deep lists where a shape is expected", tensor(&"[".repeat(100_000), "[0,0]")),
        ("a long list in its TOML", nested(format!("config.hidden = [{}]", "1,".repeat(400_000)))),
        ("deep lists in its TOML", nested(format!("config = {}", "[".repeat(100_000)))),
        ("a deep table in its TOML", nested(format!("{}a = 1", "a.".repeat(100_000)))),
    ]
}

#[test]
fn a_configuration_is_refused_without_panic_however_deep_or_long_it_is() {
    let _alone = alone();
    let folder = tempdir().unwrap();
    let path = folder.path().join("config.toml");
    const DEEP: usize = 100_000;
    let tables: String = (1..700).map(|n| format!("[{}]\n", vec!["a"; n].join("."))).collect();
    let hostile = [
        ("lists", format!("hidden = {}", "[".repeat(DEEP))),
        ("closed lists", format!("hidden = {}{}", "[".repeat(DEEP), "]".repeat(DEEP))),
        ("tables", format!("hidden = {}", "{a=".repeat(DEEP))),
        ("closed tables", format!("hidden = {}1{}", "{a=".repeat(DEEP), "}".repeat(DEEP))),
        ("a key", format!("{}a = 1", "a.".repeat(DEEP))),
        ("a key of a known one", format!("hidden{} = 1", ".a".repeat(DEEP))),
        ("the name of a table", format!("[{}a]", "a.".repeat(DEEP))),
        ("the name of a list of tables", format!("[[{}a]]", "a.".repeat(DEEP))),
        ("brackets", "[".repeat(DEEP)),
        ("tables in tables", tables),
        ("a list", format!("hidden = [{}]", "1,".repeat(30_000))),
        ("unknown settings", (0..DEEP).map(|n| format!("a{n}=1\n")).collect()),
        ("the name of an unknown setting", format!("{} = 1", "a".repeat(1_000_000))),
        ("the value of a setting", format!("activation = '{}'", "a".repeat(1_000_000))),
        ("a number", format!("lr = {}", "1".repeat(1_000_000))),
        ("a text without an end", format!("data = '''{}", "\n".repeat(1_000_000))),
        ("an unknown setting of several lines", r#""a\nb\u001b" = 1"#.to_string()),
    ];
    for (what, text) in hostile {
        // As it is, for its depth, and as much of it as is not too long, for its memory.
        assert!(Config::parse(&text).is_err() || what == "a list", "{what}");
        fs::write(&path, &text[..text.len().min(1 << 16)]).unwrap();
        assert_takes_little_memory(|| {
            let problem = Config::read(&path).expect_err(what).to_string();
            assert!(!problem.contains(char::is_control) && problem.len() < 1000, "{what}: {problem}");
        });
    }
}

/// Mostly what TOML consists of, so that some of it is.
fn toml_like() -> impl Strategy<Value = String> {
    let word = prop::sample::select(vec![
        "hidden",
        "lr",
        "data",
        "activation",
        "checkpoint_every",
        "likelihood",
        "seed",
        "epochs",
        "=",
        "=",
        "=",
        "\n",
        "\n",
        "[",
        "]",
        "{",
        "}",
        ".",
        ",",
        "\"",
        "'",
        "'''",
        "\\",
        "#",
        " ",
        "-",
        "0",
        "7",
        "1e9",
        "9223372036854775807",
        "nan",
        "inf",
        "'relu'",
        "'2e'",
        "'€'",
        "é",
        "\u{0}",
        "\r",
        "1979-05-27",
    ]);
    prop_oneof![any::<String>(), prop::collection::vec(word, 0..40).prop_map(|words| words.concat())]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]
    #[test]
    fn any_text_is_a_configuration_or_a_problem_of_one_line(text in toml_like()) {
        let _alone = alone();
        match Config::parse(&text) {
            Err(problem) => prop_assert!(!problem.contains('\n'), "{problem}"),
            Ok(config) if config.check().is_ok() => prop_assert_eq!(Config::parse(&config.to_toml()), Ok(config)),
            Ok(_) => {}
        }
    }
}

#[test]
fn a_run_whose_metrics_are_damaged_is_refused_with_their_line() {
    let _alone = alone();
    let folder = tempdir().unwrap();
    write_data(&folder.path().join("data"), [8, 4], [2, 2]);
    let small = ["train", "--data", "data", "--hidden", "2", "--latent", "1", "--out", "run", "--epochs", "1"];
    succeeds(folder.path(), &small);
    let path = folder.path().join("run/metrics.jsonl");
    let good = fs::read_to_string(&path).unwrap();
    let hostile = [
        String::new(),
        "\n".repeat(1000),
        "\0".repeat(1000),
        good[..good.len() / 2].to_string(),
        good.repeat(2).replace('\n', " "),
        good.replacen("\"epoch\":1", "\"epoch\":1,\"epoch\":1", 1),
        good.replacen("\"epoch\":1", "\"epoch\":18446744073709551616", 1),
        good.replacen("\"epoch\":1", "\"epoch\":2", 1),
        good.replacen("\"seconds\":", "\"seconds\":1e999,\"s\":", 1),
        good.replacen("\"epoch\":1", &format!("\"epoch\":{}", "[".repeat(100_000)), 1),
        format!("{}{good}", "{\"train\":".repeat(100_000)),
        format!("\"{}\n{good}", "é".repeat(100_000)),
    ];
    for metrics in hostile {
        fs::write(&path, &metrics).unwrap();
        let problem = fails(1, folder.path(), &["train", "--resume", "run", "--epochs", "2"]);
        assert!(problem.contains("metrics.jsonl: ") && problem.len() < 1000, "{problem}");
    }
    fs::write(&path, [0xff, 0xfe, b'\n']).unwrap();
    fails(1, folder.path(), &["train", "--resume", "run", "--epochs", "2"]);
}

/// `WRITE_SEEDS=1 cargo test --test memory` writes them anew, for another format say.
#[test]
fn what_the_fuzz_targets_start_from_is_good() {
    let _alone = alone();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/seeds");
    let kinds = kinds();
    for (target, name, content) in seeds() {
        let path = folder.join(target).join(name);
        if std::env::var_os("WRITE_SEEDS").is_some() {
            fs::write(&path, content).unwrap();
        }
        match kinds.iter().find(|kind| kind.name == name) {
            Some(kind) => (kind.load)(&path).unwrap(),
            None if target == "idx" => drop(idx::read(&path).unwrap()),
            None => drop(Config::read(&path).unwrap()),
        }
    }
}
