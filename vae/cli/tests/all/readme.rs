//! The README shows the sources as they are.

use std::fs;
use std::path::Path;

#[test]
fn every_excerpt_in_the_readme_stands_in_the_file_it_names() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let readme = fs::read_to_string(root.join("README.md")).unwrap();
    let excerpts: Vec<&str> = readme.split("```rust\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    assert!(excerpts.len() >= 2);
    for excerpt in excerpts {
        let (name, code) = excerpt.split_once('\n').unwrap();
        let file = name.strip_prefix("// ").expect("an excerpt begins with the name of its file");
        let source = fs::read_to_string(root.join(file)).unwrap();
        assert!(source.contains(code.trim_end()), "README.md shows something else than {file}");
    }
}

#[test]
fn the_tape_in_the_readme_is_the_tape_of_the_default_model() {
    let readme = include_str!("../../../../README.md");
    let model = vae::checkpoint::Model::new(vae::config::Config::default(), datasets::Size::grey(28, 28));
    let (objective, precision) = (vae::objective::Objective::default(), autograd::Precision::Single);
    let tape = vae::train::Step::record(&model.vae, &model.params, 128, &objective, precision).tape.to_string();
    let lines = |text: &str| -> Vec<String> {
        let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
        text.lines().filter(|line| line.starts_with('%')).map(words).collect()
    };
    assert_eq!(lines(readme), lines(&tape));
}
