//! Errors in scenario files: what is wrong, where, and what to do next.
//!
//! A [`ScenarioError`] holds every problem that was found and the files they were found in, and prints them as rustc
//! does: title, `path:line:column`, the excerpt with a caret, and help.

use std::fmt;
use std::ops::Range;

use annotate_snippets::{AnnotationKind, Group, Level as Style, Origin, Renderer, Snippet};
use serde::{Deserialize, Serialize};

use super::source::Source;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Level {
    /// The scenario cannot be run.
    Error,
    /// It can, but probably not as it was meant.
    Warning,
}

/// One problem.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Diagnostic {
    /// How bad it is.
    pub level: Level,
    /// What is wrong, in one line.
    pub title: String,
    /// The bytes that it is about; none if it is about the file as a whole.
    pub span: Option<Range<usize>>,
    /// What stands under the caret: what was expected.
    pub label: String,
    /// What to do next.
    pub help: Option<String>,
}

impl Diagnostic {
    /// An error with only a title so far.
    pub fn error(title: impl Into<String>) -> Diagnostic {
        Diagnostic { level: Level::Error, title: title.into(), span: None, label: String::new(), help: None }
    }

    /// A warning with only a title so far.
    pub fn warning(title: impl Into<String>) -> Diagnostic {
        Diagnostic { level: Level::Warning, ..Diagnostic::error(title) }
    }

    /// Puts the caret under these bytes.
    #[must_use]
    pub fn at(mut self, span: Range<usize>) -> Diagnostic {
        self.span = Some(span);
        self
    }

    /// Writes this next to the caret.
    #[must_use]
    pub fn label(mut self, label: impl Into<String>) -> Diagnostic {
        self.label = label.into();
        self
    }

    /// Says what to do next.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Diagnostic {
        self.help = Some(help.into());
        self
    }
}

/// A place as people and editors count: lines and columns from one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place<'a> {
    /// The file.
    pub path: &'a str,
    /// Its line; none if the diagnostic is about the file as a whole.
    pub line: Option<usize>,
    /// The character in that line.
    pub column: Option<usize>,
}

/// Everything that is wrong with a scenario.
#[derive(Clone, Debug)]
pub struct ScenarioError {
    diagnostics: Vec<Diagnostic>,
    source: Source,
}

impl ScenarioError {
    /// Problems in this file. They are put in the order of the file, each once.
    pub fn new(source: Source, mut diagnostics: Vec<Diagnostic>) -> ScenarioError {
        diagnostics.sort_by_key(|diagnostic| diagnostic.span.as_ref().map_or(0, |span| span.start));
        let mut unique: Vec<Diagnostic> = Vec::with_capacity(diagnostics.len());
        diagnostics.into_iter().for_each(|diagnostic| {
            if !unique.contains(&diagnostic) {
                unique.push(diagnostic);
            }
        });
        ScenarioError { diagnostics: unique, source }
    }

    /// Whether anything is an error, and not only a warning.
    pub fn has_errors(&self) -> bool {
        self.count(Level::Error) > 0
    }

    /// How many problems are so bad.
    pub fn count(&self, level: Level) -> usize {
        self.diagnostics.iter().filter(|diagnostic| diagnostic.level == level).count()
    }

    /// The scenario's file.
    pub fn path(&self) -> &str {
        self.source.path()
    }

    /// Where a problem is.
    pub fn place(&self, diagnostic: &Diagnostic) -> Place<'_> {
        let Some(span) = &diagnostic.span else { return Place { path: self.path(), line: None, column: None } };
        let text = self.source.text();
        let before = &text[..within(text, span).start];
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Place {
            path: self.path(),
            line: Some(before.matches('\n').count() + 1),
            column: Some(before[line_start..].chars().count() + 1),
        }
    }

    /// The problems, in the order of the file.
    pub fn diagnostics(&self) -> &[Diagnostic] {
        &self.diagnostics
    }

    /// All problems as text for a terminal, with or without colour.
    pub fn render(&self, color: bool) -> String {
        let renderer = if color { Renderer::styled() } else { Renderer::plain() };
        let reports: Vec<String> =
            self.diagnostics.iter().map(|diagnostic| renderer.render(&[self.group(diagnostic)])).collect();
        reports.join("\n\n")
    }

    fn group<'a>(&'a self, diagnostic: &'a Diagnostic) -> Group<'a> {
        let level = match diagnostic.level {
            Level::Error => Style::ERROR,
            Level::Warning => Style::WARNING,
        };
        let group = Group::with_title(level.primary_title(diagnostic.title.as_str()));
        let group = match &diagnostic.span {
            Some(span) => {
                let text = self.source.text();
                let mut annotation = AnnotationKind::Primary.span(within(text, span));
                if !diagnostic.label.is_empty() {
                    annotation = annotation.label(diagnostic.label.as_str());
                }
                group.element(Snippet::source(text).path(self.path()).annotation(annotation))
            }
            None => group.element(Origin::path(self.path())),
        };
        match &diagnostic.help {
            Some(help) => group.element(Style::HELP.message(help.as_str())),
            None => group,
        }
    }
}

/// The span, moved to the nearest whole characters of the text.
fn within(text: &str, span: &Range<usize>) -> Range<usize> {
    let start = (0..=span.start.min(text.len())).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0);
    let end = (span.end..text.len()).find(|&at| text.is_char_boundary(at)).unwrap_or(text.len());
    start..end.max(start)
}

impl fmt::Display for ScenarioError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

impl std::error::Error for ScenarioError {}

/// What to say about a name that is none of `known`: the nearest one if it may have been meant, and all there are. If those are
/// too many to read, the nearest few; without a name, all in any case.
pub fn suggest<'a>(name: &str, what: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    /// How many names one reads.
    const MANY: usize = 12;
    /// How many there are of more than that.
    const FEW: usize = 8;
    let mut known: Vec<&str> = known.into_iter().collect();
    if known.is_empty() {
        return format!("there are no {what}");
    }
    // A third of its letters may be wrong: enough for every typo, too few for another word.
    let allowed = (name.chars().count() / 3).max(1);
    let distance = |known: &str| strsim::damerau_levenshtein(name, known);
    let nearest = known.iter().copied().min_by_key(|known| distance(known)).filter(|known| distance(known) <= allowed);
    known.sort_unstable();
    known.dedup();
    let mut more = String::new();
    if known.len() > MANY && !name.is_empty() {
        more = format!(" and {} more", known.len() - FEW);
        known.sort_by_key(|known| distance(known));
        known.truncate(FEW);
    }
    let names = known.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    match nearest {
        Some(nearest) => format!("did you mean `{nearest}`? {what}: {names}{more}"),
        None => format!("{what}: {names}{more}"),
    }
}
