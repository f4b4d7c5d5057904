//! Labels of whatever kind → the numbers of classes; nobody needs them to train, so what is none is left out with a word.

use std::collections::BTreeMap;
use std::fmt;

/// How many of the labels that are numbered a note shows.
const SHOWN: usize = 5;

/// A label as a file holds it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Label {
    /// A whole number.
    Number(i64),
    /// A word that is no whole number.
    Word(String),
}

impl From<String> for Label {
    fn from(word: String) -> Label {
        word.parse().map_or(Label::Word(word), Label::Number)
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Label::Number(number) => write!(f, "{number}"),
            Label::Word(word) => write!(f, "{word}"),
        }
    }
}

/// Some images and what there is of their labels.
pub(crate) struct Labelled {
    /// How many images there are.
    pub(crate) images: usize,
    /// What the labels are called, for a note.
    pub(crate) name: String,
    /// As many labels as images, or why they are none; `Ok(None)` where nobody expects any.
    pub(crate) labels: Result<Option<Vec<Label>>, String>,
}

/// How many numbers there are for each of `images` images in an array of `shape`: 1 in `[n]`, `[n, 1]` or `[1, n]`, `k` in
/// `[n, k]`.
///
/// # Errors
///
/// If the shape is another one, on one line.
pub(crate) fn numbers_each(shape: &[usize], images: usize) -> Result<usize, String> {
    let long: Vec<usize> = shape.iter().copied().filter(|&size| size != 1).collect();
    match long[..] {
        [] if images == 1 => Ok(1),
        [n] if n == images => Ok(1),
        [k] if images == 1 && shape.first() == Some(&1) => Ok(k),
        [n, k] if n == images && k > 0 => Ok(k),
        _ => Err(format!("expected labels of {images} images, found an array of shape {shape:?}")),
    }
}

/// Numbers that come in any order, on their way to be labels.
///
/// One number for each image is its label. Where there are several, an image belongs to the class whose number is the
/// greatest: they are one-hot, or probabilities.
pub(crate) struct Numbers {
    each: usize,
    /// The label of each image; NaN where two numbers of an image are the greatest.
    found: Vec<f64>,
    /// The greatest number of each image, where it has several.
    greatest: Vec<f64>,
    /// A number that is no probability, where there should be.
    odd: Option<f64>,
}

impl Numbers {
    /// For `images` images with `each` numbers.
    pub(crate) fn new(images: usize, each: usize) -> Numbers {
        let several = if each == 1 { 0 } else { images };
        Numbers { each, found: vec![0.0; images], greatest: vec![f64::NEG_INFINITY; several], odd: None }
    }

    /// Takes the number at `place` in an array `[images, each]`, row by row.
    pub(crate) fn put(&mut self, place: usize, number: f64) {
        let (image, class) = (place / self.each, place % self.each);
        let Some(greatest) = self.greatest.get_mut(image) else {
            self.found[image] = number;
            return;
        };
        if !(0.0..=1.0).contains(&number) {
            self.odd = Some(number);
        }
        if number > *greatest {
            *greatest = number;
            self.found[image] = class as f64;
        } else if number == *greatest {
            self.found[image] = f64::NAN;
        }
    }

    /// The labels, if the numbers are such.
    ///
    /// # Errors
    ///
    /// If a label is no whole number, or one of several is not from 0 to 1 or not the only greatest.
    pub(crate) fn finish(self) -> Result<Vec<Label>, String> {
        let Numbers { each, found, odd, .. } = self;
        if let Some(odd) = odd {
            return Err(format!("expected {each} numbers from 0 to 1 for each image, found {odd}"));
        }
        match found.iter().position(|label| label.fract() != 0.0) {
            Some(image) if each > 1 => Err(format!("image {image} belongs to more classes than one, or to none")),
            Some(image) => Err(format!("expected whole numbers, found {} for image {image}", found[image])),
            None => Ok(found.into_iter().map(|label| Label::Number(label as i64)).collect()),
        }
    }
}

/// The classes of all `parts`, and what is to be said of them.
///
/// Whole numbers that a `u32` holds are classes as they are. Otherwise the labels, of all parts together, are numbered from 0
/// in their order. Where a part has none, all its classes are 0.
pub(crate) fn classes(parts: Vec<Labelled>) -> (Vec<Vec<u32>>, Vec<String>) {
    let mut notes = Vec::new();
    let mut kept = |Labelled { images, name, labels }| {
        let fit = |labels: &Vec<Label>| match labels.len() {
            n if n == images => Ok(()),
            n => Err(format!("{n} labels for {images} images")),
        };
        let labels = labels.and_then(|labels| labels.as_ref().map_or(Ok(()), fit).map(|()| labels));
        let labels = labels.unwrap_or_else(|problem: String| {
            notes.push(format!("{name}: {problem}; these labels are left out"));
            None
        });
        (images, labels)
    };
    let parts: Vec<(usize, Option<Vec<Label>>)> = parts.into_iter().map(&mut kept).collect();

    let all = parts.iter().flat_map(|(_, labels)| labels.iter().flatten());
    let as_it_is = |label: &Label| match label {
        Label::Number(number) => u32::try_from(*number).ok(),
        Label::Word(_) => None,
    };
    let mut numbers = BTreeMap::new();
    if !all.clone().all(|label| as_it_is(label).is_some()) {
        numbers.extend(all.map(|label| (label, 0)));
        numbers.values_mut().zip(0..).for_each(|(value, number)| *value = number);
        let names: Vec<String> = numbers.keys().take(SHOWN).map(|label| label.to_string()).collect();
        let more = if numbers.len() > SHOWN { ", …" } else { "" };
        notes.push(format!("labels are numbered from 0 in their order: {}{more}", names.join(", ")));
    }
    let class = |label| numbers.get(label).copied().or_else(|| as_it_is(label)).expect("a label that has a number");
    let classes = parts.iter().map(|(images, labels)| match labels {
        Some(labels) => labels.iter().map(class).collect(),
        None => vec![0; *images],
    });
    (classes.collect(), notes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(numbers: &[i64]) -> Result<Option<Vec<Label>>, String> {
        Ok(Some(numbers.iter().map(|&number| Label::Number(number)).collect()))
    }

    fn words(words: &[&str]) -> Result<Option<Vec<Label>>, String> {
        Ok(Some(words.iter().map(|&word| Label::from(word.to_string())).collect()))
    }

    /// The classes of parts of three images each, called a and b.
    fn classes_of(parts: [Result<Option<Vec<Label>>, String>; 2]) -> (Vec<Vec<u32>>, Vec<String>) {
        let parts = ["a", "b"].into_iter().zip(parts);
        classes(parts.map(|(name, labels)| Labelled { images: 3, name: name.into(), labels }).collect())
    }

    /// The labels of two images with these numbers.
    fn of_two(each: usize, values: &[f64]) -> Result<Vec<Label>, String> {
        let mut numbers = Numbers::new(2, each);
        values.iter().enumerate().for_each(|(place, &value)| numbers.put(place, value));
        numbers.finish()
    }

    #[test]
    fn whole_numbers_are_classes_as_they_are_however_great() {
        let (classes, notes) = classes_of([numbers(&[975, 0, i64::from(u32::MAX)]), Ok(None)]);
        assert_eq!((classes, notes), (vec![vec![975, 0, u32::MAX], vec![0, 0, 0]], vec![]));
    }

    #[test]
    fn words_and_numbers_below_0_are_numbered_in_one_order_for_all_parts() {
        let (classes, notes) = classes_of([words(&["dog", "cat", "dog"]), words(&["emu", "dog", "ant"])]);
        assert_eq!(classes, [[2, 1, 2], [3, 2, 0]]);
        assert_eq!(notes, ["labels are numbered from 0 in their order: ant, cat, dog, emu"]);
        let (classes, notes) = classes_of([numbers(&[1, -1, 1]), Ok(None)]);
        assert_eq!((classes, notes.len()), (vec![vec![1, 0, 1], vec![0, 0, 0]], 1));
        let (_, notes) = classes_of([words(&["a", "b", "c"]), words(&["d", "e", "f"])]);
        assert_eq!(notes, ["labels are numbered from 0 in their order: a, b, c, d, e, …"]);
    }

    #[test]
    fn words_that_are_whole_numbers_are_numbers() {
        assert_eq!(classes_of([words(&["10", "9", "0"]), Ok(None)]).0[0], [10, 9, 0]);
    }

    #[test]
    fn what_are_no_labels_is_left_out_with_a_note() {
        let (classes, notes) = classes_of([numbers(&[1, 2]), Err("odd".into())]);
        assert_eq!(classes, [[0; 3]; 2]);
        assert_eq!(notes, ["a: 2 labels for 3 images; these labels are left out", "b: odd; these labels are left out"]);
    }

    #[test]
    fn a_shape_tells_how_many_numbers_an_image_has() {
        let each = |shape: &[usize], images| numbers_each(shape, images).ok();
        assert_eq!([each(&[5], 5), each(&[5, 1], 5), each(&[1, 5], 5), each(&[5, 1, 1], 5)], [Some(1); 4]);
        assert_eq!([each(&[5, 3], 5), each(&[1, 3], 1)], [Some(3); 2]);
        assert_eq!([each(&[], 1), each(&[1, 1], 1)], [Some(1); 2]);
        assert_eq!([each(&[4], 5), each(&[5, 2, 2], 5), each(&[3, 5], 5), each(&[5, 0], 5), each(&[], 5)], [None; 5]);
    }

    #[test]
    fn of_several_numbers_the_greatest_is_the_class() {
        let labels = |numbers: &[i64]| Ok(numbers.iter().map(|&number| Label::Number(number)).collect());
        assert_eq!(of_two(3, &[0.0, 0.0, 1.0, 1.0, 0.0, 0.0]), labels(&[2, 0]));
        assert_eq!(of_two(3, &[0.1, 0.7, 0.2, 0.1, 0.1, 0.8]), labels(&[1, 2]));
        assert_eq!(of_two(1, &[7.0, -0.0]), labels(&[7, 0]));
        let none = "image 1 belongs to more classes than one, or to none";
        assert_eq!(of_two(3, &[0.0, 1.0, 0.0, 1.0, 0.0, 1.0]).unwrap_err(), none);
        assert_eq!(of_two(2, &[0.0, 1.0, 0.0, 0.0]).unwrap_err(), none);
        let odd = "expected 2 numbers from 0 to 1 for each image, found 3";
        assert_eq!(of_two(2, &[0.0, 3.0, 1.0, 0.0]).unwrap_err(), odd);
        assert_eq!(of_two(1, &[1.0, 0.5]).unwrap_err(), "expected whole numbers, found 0.5 for image 1");
        for odd in [f64::NAN, f64::INFINITY] {
            assert!(of_two(1, &[1.0, odd]).is_err() && of_two(2, &[0.0, 1.0, 0.0, odd]).is_err());
        }
    }
}
