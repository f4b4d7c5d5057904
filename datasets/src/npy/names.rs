//! Which arrays of an archive are images and which are their labels: by the words in their names, or as somebody wishes.

/// What a word in a name says.
#[derive(Clone, Copy, PartialEq)]
enum Word {
    Part(Part),
    What(What),
}

/// Which images.
#[derive(Clone, Copy, PartialEq)]
enum Part {
    All,
    Train,
    Test,
    Validation,
}

#[derive(Clone, Copy, PartialEq)]
enum What {
    Images,
    Labels,
}

/// The words that people use, in any case; one for the part and one for what it is make a name, in either order. A part
/// alone is one of images. A name with any other word in it is none that we know.
#[rustfmt::skip]
const WORDS: &[(Word, &[&str])] = &[
    (Word::Part(Part::Train), &["train", "training"]),
    (Word::Part(Part::Test), &["test", "testing"]),
    (Word::Part(Part::Validation), &["val", "valid", "validation", "dev"]),
    (Word::What(What::Images), &[
        "x", "image", "images", "img", "imgs", "picture", "pictures", "data", "pixels", "samples", "features", "inputs",
    ]),
    (Word::What(What::Labels), &["y", "label", "labels", "target", "targets", "class", "classes"]),
];

/// What `numpy.savez` calls arrays that nobody has named: images go first.
const UNNAMED: [(&str, What); 2] = [("arr_0", What::Images), ("arr_1", What::Labels)];

/// What the array `name` is, if it has a name that we know. Of a path the last part counts.
fn role(name: &str) -> Option<(Part, What)> {
    let name = name.rsplit('/').next().unwrap_or(name);
    if let Some((_, what)) = UNNAMED.iter().find(|(unnamed, _)| *unnamed == name) {
        return Some((Part::All, *what));
    }
    let (mut part, mut what) = (None, None);
    for word in words(name) {
        let (known, _) = WORDS.iter().find(|(_, words)| words.contains(&&word[..]))?;
        // Two words for one thing must agree, as in `x_train_images`.
        match *known {
            Word::Part(known) => (*part.get_or_insert(known) == known).then_some(())?,
            Word::What(known) => (*what.get_or_insert(known) == known).then_some(())?,
        }
    }
    match (part, what) {
        (None, None) => None,
        (part, what) => Some((part.unwrap_or(Part::All), what.unwrap_or(What::Images))),
    }
}

/// The words of a name in lower case: `xTrain`, `X_train` and `x-train` have the same.
fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut after_lower = false;
    for c in name.chars() {
        if !c.is_alphanumeric() || c.is_uppercase() && after_lower {
            words.push(String::new());
        }
        if c.is_alphanumeric() {
            words.last_mut().expect("there is a first").extend(c.to_lowercase());
        }
        after_lower = c.is_lowercase();
    }
    words.retain(|word| !word.is_empty());
    words
}

/// An array of images and the array of their labels, by their names.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Pair {
    pub(super) images: String,
    pub(super) labels: Option<String>,
}

/// What of an archive is read.
#[derive(Debug, PartialEq)]
pub(super) struct Choice {
    /// The training and the test images; or images of which nobody has said so.
    pub(super) parts: Vec<Pair>,
    /// What is left out that somebody may miss.
    pub(super) notes: Vec<String>,
}

/// Chooses among the arrays called `names`: the one called `key`, if one is wished; else the only one; else, by their names,
/// those of the training and those of the test, or those of one part if there are no others.
///
/// # Errors
///
/// If there is none of that name, or the names say nothing, or too much.
pub(super) fn choose(names: &[String], key: Option<&str>) -> Result<Choice, String> {
    let holds = match names {
        [] => "no arrays".to_string(),
        _ => {
            names.iter().take(10).map(String::as_str).collect::<Vec<_>>().join(", ")
                + if names.len() > 10 { ", …" } else { "" }
        }
    };
    let with = |part: Part, what: What| -> Vec<&String> {
        names.iter().filter(|name| role(name) == Some((part, what))).collect()
    };
    let pair = |images: &String, part: Part| match with(part, What::Labels)[..] {
        [labels] => Pair { images: images.clone(), labels: Some(labels.clone()) },
        _ => Pair { images: images.clone(), labels: None },
    };
    if let Some(key) = key {
        let same = |name: &&String| name.eq_ignore_ascii_case(key);
        let Some(images) = names.iter().find(|name| *name == key).or_else(|| names.iter().find(same)) else {
            return Err(format!("expected an array called {key} (--key), found {holds}"));
        };
        let part = role(images).map_or(Part::All, |(part, _)| part);
        let mut pair = pair(images, part);
        // Somebody may wish to see the labels as images.
        pair.labels = pair.labels.filter(|labels| labels != images);
        return Ok(Choice { parts: vec![pair], notes: Vec::new() });
    }
    if let [name] = names {
        return Ok(Choice { parts: vec![Pair { images: name.clone(), labels: None }], notes: Vec::new() });
    }
    let images = |part: Part| match with(part, What::Images)[..] {
        [] => Ok(None),
        [images] => Ok(Some(pair(images, part))),
        _ => Err(format!("expected one array of images for each part, found {holds}; --key NAME picks one")),
    };
    let train = images(Part::Train)?.map_or_else(|| images(Part::All), |train| Ok(Some(train)))?;
    let (test, validation) = (images(Part::Test)?, images(Part::Validation)?);
    let mut notes = Vec::new();
    match (&train, &test, &validation) {
        (Some(_), Some(_), Some(Pair { images, .. })) => {
            notes.push(format!("{images} is left out: a validation set is neither learned from nor reported on"));
        }
        (Some(_), None, Some(Pair { images, .. })) => notes.push(format!("{images} is taken for the test set")),
        _ => {}
    }
    let parts: Vec<Pair> = match (train, test.or(validation)) {
        (None, None) => {
            let accepted = "x_train and x_test, train_images and test_images, images and labels, or the like";
            return Err(format!(
                "expected arrays called {accepted}, or one alone, found {holds}; --key NAME picks the images"
            ));
        }
        (train, test) => train.into_iter().chain(test).collect(),
    };
    if let [Pair { labels: Some(_), .. }, Pair { images, labels: None }]
    | [Pair { images, labels: None }, Pair { labels: Some(_), .. }] = &parts[..]
    {
        notes.push(format!("there are no labels for {images}"));
    }
    Ok(Choice { parts, notes })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is chosen, images and labels of a part joined by `+`; or the error.
    fn chosen(names: &[&str], key: Option<&str>) -> Result<Vec<String>, String> {
        let names: Vec<String> = names.iter().map(|name| name.to_string()).collect();
        let shown = |Pair { images, labels }: Pair| match labels {
            Some(labels) => format!("{images}+{labels}"),
            None => images,
        };
        choose(&names, key).map(|choice| choice.parts.into_iter().map(shown).collect())
    }

    fn notes(names: &[&str]) -> Vec<String> {
        let names: Vec<String> = names.iter().map(|name| name.to_string()).collect();
        choose(&names, None).unwrap().notes
    }

    #[test]
    fn the_names_that_people_use_are_known() {
        for (names, expected) in [
            (&["x_train", "y_train", "x_test", "y_test"][..], &["x_train+y_train", "x_test+y_test"][..]),
            (&["X_test", "X_train", "y_test", "y_train"], &["X_train+y_train", "X_test+y_test"]),
            (&["trainX", "trainY", "testX", "testY"], &["trainX+trainY", "testX+testY"]),
            (&["train", "test"], &["train", "test"]),
            (
                &["train_images", "test_images", "train_labels", "test_labels"],
                &["train_images+train_labels", "test_images+test_labels"],
            ),
            (&["images-training", "images-testing"], &["images-training", "images-testing"]),
            (&["x_train", "y_train"], &["x_train+y_train"]),
            (&["x_train", "x_val"], &["x_train", "x_val"]),
            (&["x", "y", "x_test", "y_test"], &["x+y", "x_test+y_test"]),
            (&["images", "labels"], &["images+labels"]),
            (&["data", "target"], &["data+target"]),
            (&["X", "y"], &["X+y"]),
            (&["arr_0", "arr_1"], &["arr_0+arr_1"]),
            (&["metadata", "imgs", "latents_classes"], &["imgs"]),
            (&["d/x_train", "d/x_test"], &["d/x_train", "d/x_test"]),
            (&["x_train_images", "y_train_labels"], &["x_train_images+y_train_labels"]),
            (&["anything"], &["anything"]),
            // Two arrays of labels: neither is taken.
            (&["images", "label", "target"], &["images"]),
        ] {
            assert_eq!(chosen(names, None).unwrap(), expected, "{names:?}");
        }
    }

    #[test]
    fn what_becomes_of_a_validation_set_is_said() {
        let med = ["train_images", "val_images", "test_images", "train_labels", "val_labels", "test_labels"];
        assert_eq!(chosen(&med, None).unwrap(), ["train_images+train_labels", "test_images+test_labels"]);
        assert_eq!(notes(&med), ["val_images is left out: a validation set is neither learned from nor reported on"]);
        assert_eq!(notes(&["x_train", "x_val"]), ["x_val is taken for the test set"]);
        assert_eq!(notes(&["x_train", "x_test"]), [""; 0]);
    }

    #[test]
    fn labels_that_one_part_lacks_are_said_to_be_missing() {
        assert_eq!(notes(&["x_train", "y_train", "x_test"]), ["there are no labels for x_test"]);
        assert_eq!(notes(&["x_train", "y_test", "x_test"]), ["there are no labels for x_train"]);
    }

    #[test]
    fn where_names_say_nothing_or_too_much_the_error_says_what_is_there_and_how_to_choose() {
        let accepted = "x_train and x_test, train_images and test_images, images and labels, or the like";
        let expected =
            format!("expected arrays called {accepted}, or one alone, found a, b; --key NAME picks the images");
        assert_eq!(chosen(&["a", "b"], None).unwrap_err(), expected);
        assert!(chosen(&[], None).unwrap_err().contains("found no arrays; "));
        let expected = "expected one array of images for each part, found images, data; --key NAME picks one";
        assert_eq!(chosen(&["images", "data"], None).unwrap_err(), expected);
        let many: Vec<String> = (0..20).map(|n| format!("a{n}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert!(chosen(&many, None).unwrap_err().contains("a8, a9, …; --key"));
    }

    #[test]
    fn a_key_picks_one_array_with_its_labels() {
        let names = ["x_train", "y_train", "x_val", "y_val", "faces", "labels"];
        for (key, expected) in
            [("x_val", "x_val+y_val"), ("X_TRAIN", "x_train+y_train"), ("faces", "faces+labels"), ("labels", "labels")]
        {
            assert_eq!(chosen(&names, Some(key)).unwrap(), [expected]);
        }
        let expected = "expected an array called z (--key), found a, b";
        assert_eq!(chosen(&["a", "b"], Some("z")).unwrap_err(), expected);
    }
}
