//! `vae data`

use std::path::Path;

use clap::builder::PossibleValuesParser;
use clap::{Args, Subcommand};
use datasets::cache;
use datasets::catalog::{self, CATALOG, Entry, RemoteFile};
use datasets::download::{self, Failure, Patience, Progress};
use indicatif::DecimalBytes;
use serde_json::json;
use vae::{Error, Result};

use super::folder::unlocked;
use super::output::{complain, progress_bar, say, say_json, thousands};

/// Data sets that can be downloaded: which there are, fetch them, check them
///
/// They are kept in the user's cache folder, or where the environment variable VAE_DATA says; `--data NAME` of the other
/// commands finds them there.
#[derive(Args)]
pub(crate) struct Data {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    List(List),
    Fetch(Fetch),
    Verify(Verify),
}

impl Data {
    pub(crate) fn run(self) -> Result<()> {
        match self.command {
            Command::List(command) => command.run(),
            Command::Fetch(command) => command.run(),
            Command::Verify(command) => command.run(),
        }
    }
}

/// The names of all sets, for arguments; another one is refused with the nearest.
fn names() -> PossibleValuesParser {
    PossibleValuesParser::new(CATALOG.iter().map(|set| set.name))
}

/// The sets called so.
fn sets(names: &[String]) -> impl Iterator<Item = &'static Entry> {
    names.iter().map(|name| catalog::entry(name).expect("clap has checked the names"))
}

/// List the data sets: how large they are, and whether they are there
#[derive(Args)]
struct List {
    /// Print a line of JSON for each
    #[arg(long)]
    json: bool,
}

impl List {
    fn run(self) -> Result<()> {
        if !self.json {
            say(&row(["set", "images", "pixels", "size", "there", "folder"]));
        }
        for set in CATALOG {
            let folder = cache::folder(set)?;
            let [train, test] = set.images;
            let there = set.files.iter().filter(|file| cache::has(&folder, file)).count();
            let present = there == set.files.len();
            if self.json {
                say_json(&json!({
                    "set": set.name, "train": train, "test": test,
                    "height": set.size.height, "width": set.size.width, "channels": set.size.channels,
                    "bytes": set.bytes(), "present": present, "built_in": set.is_built_in(),
                    "folder": folder.display().to_string(),
                }));
                continue;
            }
            let images = format!("{} + {}", thousands(train as usize), thousands(test as usize));
            let state = match there {
                _ if present => "yes".into(),
                _ if set.is_built_in() => "built in".into(),
                0 => "no".into(),
                _ => format!("{there} of {} files", set.files.len()),
            };
            let pixels = set.size.to_string();
            let size = DecimalBytes(set.bytes()).to_string();
            say(&row([set.name, &images, &pixels, &size, &state, &folder.display().to_string()]));
        }
        Ok(())
    }
}

/// A line of the table.
fn row([set, images, pixels, size, there, folder]: [&str; 6]) -> String {
    format!("{set:<15}  {images:<15}  {pixels:<11}  {size:>9}  {there:<12}  {folder}")
}

/// Download data sets; what is there already is left as it is, and what broke off is continued
#[derive(Args)]
struct Fetch {
    /// Which
    #[arg(required = true, value_name = "NAME", value_parser = names())]
    names: Vec<String>,
}

impl Fetch {
    fn run(self) -> Result<()> {
        sets(&self.names).try_for_each(fetch)
    }
}

fn fetch(set: &Entry) -> Result<()> {
    let folder = cache::folder(set)?;
    if set.is_built_in() {
        say(&format!("{}: built into this program, nobody needs to fetch it", set.name));
    }
    for file in set.files {
        let told = "{decimal_bytes}/{decimal_total_bytes}  {decimal_bytes_per_sec}  ";
        let bar = progress_bar(file.bytes, told).with_message(format!("{}: {}", set.name, file.name));
        let mut begun = false;
        let mut show = |progress: Progress| match progress {
            Progress::Waiting => {
                bar.suspend(|| say(&format!("{}: waiting for another process that fetches", set.name)))
            }
            Progress::Retrying { address, problem } => {
                bar.suspend(|| complain(&format!("{address}: {problem}; trying again")));
            }
            Progress::Unlocked { problem } => bar.suspend(|| complain(&unlocked(&folder, problem))),
            Progress::Bytes { done, .. } => {
                bar.set_position(done);
                if !begun {
                    // What is there from before took no time today.
                    bar.reset_eta();
                    begun = true;
                }
            }
        };
        let fetched = download::fetch(file, &set.addresses(file), &folder, &Patience::default(), &mut show);
        bar.finish_and_clear();
        let what = match fetched {
            Ok(true) => "fetched",
            Ok(false) => "already there",
            Err(Failure::Disk(error)) => return Err(error.into()),
            Err(Failure::Network(problems)) => return Err(by_hand(set, file, &folder, &problems)),
        };
        say(&format!("{}: {:<26}  {:>9}  {what}", set.name, file.name, DecimalBytes(file.bytes).to_string()));
    }
    say(&format!("{}: complete in {}, for `--data {}`", set.name, folder.display(), set.name));
    Ok(())
}

/// That `failed` could not be fetched, and how to do without.
fn by_hand(set: &Entry, failed: &RemoteFile, folder: &Path, problems: &[String]) -> Error {
    let missing = set.files.iter().filter(|file| file.name == failed.name || !cache::has(folder, file));
    let addresses: Vec<String> = missing.map(|file| set.addresses(file).join(" or ")).collect();
    let problem = format!(
        "cannot fetch {}: {}. Try again later, or download into this folder by hand: {}",
        failed.name,
        problems.join("; "),
        addresses.join(", "),
    );
    Error::file(folder, problem)
}

/// Check the files of data sets by their SHA-256; the exit code is 1 if one is wrong, or one of a set named is missing
#[derive(Args)]
struct Verify {
    /// Which [default: all that have been fetched, be it in part]
    #[arg(value_name = "NAME", value_parser = names())]
    names: Vec<String>,
    /// Print a line of JSON for each file: set, file, state (good, wrong or missing), problem
    #[arg(long)]
    json: bool,
}

impl Verify {
    fn run(self) -> Result<()> {
        let named = !self.names.is_empty();
        let sets: Vec<&Entry> = if named { sets(&self.names).collect() } else { CATALOG.iter().collect() };
        let mut bad = Vec::new();
        let mut files = 0;
        for set in sets {
            let folder = cache::folder(set)?;
            let is_there = |file: &RemoteFile| folder.join(file.name).exists();
            if !named && !set.files.iter().any(is_there) {
                continue;
            }
            for file in set.files {
                files += 1;
                let (state, problem) = match cache::check(&folder.join(file.name), file) {
                    Ok(()) => ("good", None),
                    Err(_) if !is_there(file) => ("missing", None),
                    Err(error) => ("wrong", Some(error.problem().to_string())),
                };
                if state == "wrong" || state == "missing" && named {
                    bad.push(format!("{}/{}", set.name, file.name));
                }
                if self.json {
                    say_json(&json!({ "set": set.name, "file": file.name, "state": state, "problem": problem }));
                } else {
                    let problem = problem.map_or(String::new(), |problem| format!(": {problem}"));
                    say(&format!("{}: {:<26}  {state}{problem}", set.name, file.name));
                }
            }
        }
        if !bad.is_empty() {
            let problem = format!("wrong or missing: {}; `vae data fetch` fetches them anew", bad.join(", "));
            return Err(Error::file(&cache::root()?, problem));
        }
        if files == 0 && !self.json {
            say(&format!("nothing has been fetched into {}", cache::root()?.display()));
        }
        Ok(())
    }
}
