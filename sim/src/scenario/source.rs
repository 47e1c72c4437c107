//! The text of a scenario file, and what errors call it.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use super::error::Diagnostic;

/// One file. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    path: Arc<str>,
    text: Arc<str>,
}

impl Source {
    /// A file of that path and text; neither is looked for on disk.
    pub fn new(path: &str, text: &str) -> Source {
        Source { path: path.into(), text: text.into() }
    }

    /// Reads a scenario file from disk. One that cannot be read is empty, and why comes with it.
    pub(super) fn read(path: &Path) -> (Source, Vec<Diagnostic>) {
        let name = path.display().to_string();
        match fs::read_to_string(path) {
            Ok(text) => (Source::new(&name, &text), Vec::new()),
            Err(error) => {
                let problem = Diagnostic::error(format!("cannot read the scenario: {error}"))
                    .help("give the path of a scenario file; `cargo dst list` shows all there are");
                (Source::new(&name, ""), vec![problem])
            }
        }
    }

    /// What errors call it.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// All of it.
    pub fn text(&self) -> &str {
        &self.text
    }
}
