//! The data sets that can be downloaded: what each holds, where its files are, and what they must be.
//!
//! The checksums are the public ones of the TensorFlow datasets project. A set for which none is published has no place
//! here. To add a set, add an entry to [`CATALOG`].

use crate::Size;

/// A data set that can be downloaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// What it is called on the command line, and the folder it is kept in.
    pub name: &'static str,
    /// How many images there are to train on, validation images included, and how many to test on.
    pub images: [u32; 2],
    /// The measures of an image.
    pub size: Size,
    /// The addresses of the folder that holds the files, each ending in `/`: the first, then its mirrors.
    pub mirrors: &'static [&'static str],
    /// All its files. They are kept as they are served: gzipped, or in an archive.
    pub files: &'static [RemoteFile],
}

/// A file to download, and how to know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RemoteFile {
    /// Its name, at its addresses as on the disk.
    pub name: &'static str,
    /// Its size.
    pub bytes: u64,
    /// Its SHA-256 in lower-case hexadecimal digits.
    pub sha256: &'static str,
}

/// Every data set that can be downloaded.
pub const CATALOG: &[Entry] = &[
    Entry {
        name: "mnist",
        images: [60_000, 10_000],
        size: Size::grey(28, 28),
        mirrors: &["https://storage.googleapis.com/cvdf-datasets/mnist/"],
        files: &[
            RemoteFile {
                name: "train-images-idx3-ubyte.gz",
                bytes: 9_912_422,
                sha256: "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
            },
            RemoteFile {
                name: "train-labels-idx1-ubyte.gz",
                bytes: 28_881,
                sha256: "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
            },
            RemoteFile {
                name: "t10k-images-idx3-ubyte.gz",
                bytes: 1_648_877,
                sha256: "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
            },
            RemoteFile {
                name: "t10k-labels-idx1-ubyte.gz",
                bytes: 4_542,
                sha256: "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
            },
        ],
    },
    Entry {
        name: "fashion-mnist",
        images: [60_000, 10_000],
        size: Size::grey(28, 28),
        mirrors: &[
            "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
            "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
        ],
        files: &[
            RemoteFile {
                name: "train-images-idx3-ubyte.gz",
                bytes: 26_421_880,
                sha256: "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
            },
            RemoteFile {
                name: "train-labels-idx1-ubyte.gz",
                bytes: 29_515,
                sha256: "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
            },
            RemoteFile {
                name: "t10k-images-idx3-ubyte.gz",
                bytes: 4_422_102,
                sha256: "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
            },
            RemoteFile {
                name: "t10k-labels-idx1-ubyte.gz",
                bytes: 5_148,
                sha256: "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
            },
        ],
    },
    Entry {
        name: "kmnist",
        images: [60_000, 10_000],
        size: Size::grey(28, 28),
        mirrors: &["http://codh.rois.ac.jp/kmnist/dataset/kmnist/"],
        files: &[
            RemoteFile {
                name: "train-images-idx3-ubyte.gz",
                bytes: 18_165_135,
                sha256: "51467d22d8cc72929e2a028a0428f2086b092bb31cfb79c69cc0a90ce135fde4",
            },
            RemoteFile {
                name: "train-labels-idx1-ubyte.gz",
                bytes: 29_497,
                sha256: "e38f9ebcd0f3ebcdec7fc8eabdcdaef93bb0df8ea12bee65224341c8183d8e17",
            },
            RemoteFile {
                name: "t10k-images-idx3-ubyte.gz",
                bytes: 3_041_136,
                sha256: "edd7a857845ad6bb1d0ba43fe7e794d164fe2dce499a1694695a792adfac43c5",
            },
            RemoteFile {
                name: "t10k-labels-idx1-ubyte.gz",
                bytes: 5_120,
                sha256: "20bb9a0ef54c7db3efc55a92eef5582c109615df22683c380526788f98e42a1c",
            },
        ],
    },
    Entry {
        name: "cifar10",
        images: [50_000, 10_000],
        size: Size { height: 32, width: 32, channels: 3 },
        mirrors: &["https://www.cs.toronto.edu/~kriz/"],
        files: &[RemoteFile {
            name: "cifar-10-binary.tar.gz",
            bytes: 170_052_171,
            sha256: "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
        }],
    },
    // Larochelle's: each pixel drawn black or white once and for all, the "static" MNIST of the papers.
    Entry {
        name: "binarized-mnist",
        images: [60_000, 10_000],
        size: Size::grey(28, 28),
        mirrors: &["http://www.cs.toronto.edu/~larocheh/public/datasets/binarized_mnist/"],
        files: &[
            RemoteFile {
                name: "binarized_mnist_train.amat",
                bytes: 78_400_000,
                sha256: "ad693b29f94c14277b095f5238ddefbbdaaae0939789dd2f4f0205278cee3e4d",
            },
            RemoteFile {
                name: "binarized_mnist_valid.amat",
                bytes: 15_680_000,
                sha256: "1de3d397c40fe8eeb33dafd4099a1f665ec01e96d9be234aaeeac8a34930e2e2",
            },
            RemoteFile {
                name: "binarized_mnist_test.amat",
                bytes: 15_680_000,
                sha256: "e6687bfea3f820c174f33b7865140b2a2dd2930ef786f35d45795fc193b5ab2c",
            },
        ],
    },
];

/// The set of this name.
pub fn entry(name: &str) -> Option<&'static Entry> {
    CATALOG.iter().find(|entry| entry.name == name)
}

impl Entry {
    /// Where `file`, one of this set, is to be had, in the order in which to try.
    pub fn addresses(&self, file: &RemoteFile) -> Vec<String> {
        self.mirrors.iter().map(|mirror| format!("{mirror}{}", file.name)).collect()
    }

    /// The size of all its files together.
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }

    /// Whether it is compiled into this crate ([`crate::mnist`]), so that it is there without a download.
    pub fn is_built_in(&self) -> bool {
        self.name == "mnist"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_set_has_a_name_of_its_own_and_files_that_can_be_fetched_and_checked() {
        for (i, set) in CATALOG.iter().enumerate() {
            assert!(CATALOG[..i].iter().all(|other| other.name != set.name), "{} is there twice", set.name);
            assert!(!set.mirrors.is_empty() && !set.files.is_empty(), "{}", set.name);
            assert!(set.mirrors.iter().all(|mirror| mirror.starts_with("http") && mirror.ends_with('/')));
            for (j, file) in set.files.iter().enumerate() {
                assert!(set.files[..j].iter().all(|other| other.name != file.name && other.sha256 != file.sha256));
                let digit = |c| matches!(c, '0'..='9' | 'a'..='f');
                assert!(file.sha256.len() == 64 && file.sha256.chars().all(digit), "{}", file.name);
                assert!(file.bytes > 0 && !file.name.contains('/') && !file.name.starts_with('.'), "{}", file.name);
            }
        }
    }

    #[test]
    fn a_file_is_sought_at_every_mirror_in_order() {
        let set = entry("fashion-mnist").unwrap();
        let addresses = set.addresses(&set.files[3]);
        assert_eq!(addresses.len(), 2);
        assert_eq!(
            addresses[0],
            "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/t10k-labels-idx1-ubyte.gz"
        );
        assert!(entry("fashion").is_none());
    }
}
