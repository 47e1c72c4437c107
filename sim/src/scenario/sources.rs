//! The texts of a scenario: its file, and the profiles that it includes.
//!
//! All of them make one long text, one after another, the scenario first: a place in it, a byte of that text, says which
//! file it is in too. So every span in the merged tree, and every diagnostic, is good for all files alike. The text itself
//! is never put together.

use std::borrow::Cow;
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::error::{Diagnostic, suggest};
use super::include;

/// The folders in which profiles are looked for: one beside the scenario, one in each folder above it.
pub const PROFILES: &str = "profiles";

/// One file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// What errors call it.
    pub path: String,
    /// All of it.
    pub text: String,
}

/// The files of one scenario: first itself, then the profiles in the order in which it includes them. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Sources(Arc<[Source]>);

impl Sources {
    /// These files, of which the first is the scenario.
    pub fn new(list: Vec<Source>) -> Sources {
        Sources(list.into())
    }

    /// A scenario that includes nothing.
    pub fn one(path: &str, text: &str) -> Sources {
        Sources::new(vec![Source { path: path.to_owned(), text: text.to_owned() }])
    }

    /// Reads a scenario file and its profiles from disk, and says which of them could not be read.
    pub(super) fn read(path: &Path) -> (Sources, Vec<Diagnostic>) {
        let name = path.display().to_string();
        let scenario = match fs::read_to_string(path) {
            Ok(text) => Source { path: name, text },
            Err(error) => {
                let problem = Diagnostic::error(format!("cannot read the scenario: {error}"))
                    .help("give the path of a scenario file; `cargo dst list` shows all there are");
                return (Sources::one(&name, ""), vec![problem]);
            }
        };
        let mut problems = Vec::new();
        if let Some(profile) = path.file_stem().filter(|_| is_profile(path)) {
            let problem = Diagnostic::error("this is a profile, not a scenario")
                .help(format!("include it in a scenario: include = [{:?}]", profile.to_string_lossy()));
            return (Sources::new(vec![scenario]), vec![problem]);
        }
        let mut profiles: Vec<Source> = Vec::new();
        for (name, span) in include::names(&scenario.text).unwrap_or_default() {
            match profile(path, &name) {
                Some(path) => match fs::read_to_string(&path) {
                    Ok(text) => profiles.push(Source { path: path.display().to_string(), text }),
                    Err(error) => problems.push(
                        Diagnostic::error(format!("cannot read the profile `{}`: {error}", path.display())).at(span),
                    ),
                },
                None => problems.push(missing(path, &name).at(span)),
            }
        }
        (Sources::new([vec![scenario], profiles].concat()), problems)
    }

    /// The files, the scenario first.
    pub fn list(&self) -> &[Source] {
        &self.0
    }

    /// The scenario itself.
    pub fn scenario(&self) -> &Source {
        &self.0[0]
    }

    /// Where a file begins in the text that all of them make.
    pub(super) fn start(&self, index: usize) -> usize {
        // One byte in between, so that the end of a file is not the beginning of the next.
        self.0[..index].iter().map(|source| source.text.len() + 1).sum()
    }

    /// Which file a place is in, and where in that file.
    pub fn locate(&self, span: &Range<usize>) -> (&Source, Range<usize>) {
        let index = self.index(span.start);
        let start = self.start(index);
        (&self.0[index], span.start - start..span.end.saturating_sub(start))
    }

    /// The number of the file that a place is in.
    pub(super) fn index(&self, at: usize) -> usize {
        (0..self.0.len()).rev().find(|&index| self.start(index) <= at).unwrap_or(0)
    }

    /// The name of the profile that a place is in; none if it is in the scenario itself.
    pub(super) fn profile_at(&self, at: usize) -> Option<Cow<'_, str>> {
        let index = self.index(at);
        (index > 0).then(|| stem(&self.0[index]))
    }

    /// The profile of that name.
    pub(super) fn profile(&self, name: &str) -> Option<usize> {
        (1..self.0.len()).find(|&index| stem(&self.0[index]) == name)
    }
}

/// Whether a file is in a folder of profiles.
pub fn is_profile(path: &Path) -> bool {
    path.parent().and_then(Path::file_name).is_some_and(|folder| folder == PROFILES)
}

fn stem(source: &Source) -> Cow<'_, str> {
    Path::new(&source.path).file_stem().unwrap_or_default().to_string_lossy()
}

/// The folders of profiles for a scenario, the nearest first.
fn folders(scenario: &Path) -> impl Iterator<Item = PathBuf> {
    scenario.ancestors().skip(1).map(|folder| folder.join(PROFILES))
}

fn profile(scenario: &Path, name: &str) -> Option<PathBuf> {
    folders(scenario).map(|folder| folder.join(format!("{name}.toml"))).find(|path| path.is_file())
}

fn missing(scenario: &Path, name: &str) -> Diagnostic {
    let files = folders(scenario).filter_map(|folder| fs::read_dir(folder).ok()).flatten().flatten();
    let paths = files.map(|file| file.path()).filter(|path| path.extension().is_some_and(|end| end == "toml"));
    let known: Vec<String> = paths.filter_map(|path| Some(path.file_stem()?.to_string_lossy().into_owned())).collect();
    let looked: Vec<String> = folders(scenario).map(|folder| format!("`{}`", folder.display())).collect();
    Diagnostic::error(format!("there is no profile `{name}`"))
        .label(format!("no {name}.toml in {}", looked.join(", ")))
        .help(suggest(name, "profiles", known.iter().map(String::as_str)))
}
