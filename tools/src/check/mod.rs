//! `dst check`: reports errors in scenarios, and warns of settings that can have no effect.
//!
//! The command runs nothing. `sweep` and `replay` reject the same errors; only `check` shows warnings, and errors in the
//! declarations of planted bugs.

mod declared;
mod plan;

use anyhow::Result;
use serde_json::json;
use sim::scenario::{Level, ScenarioError};

use crate::cli::CheckArgs;
use crate::console::Console;
use crate::exit::Exit;
use crate::registry::Registry;
use crate::scenarios::{self, Below};
use crate::text;

/// Checks scenarios.
///
/// # Errors
///
/// If a named scenario or folder does not exist, or the output cannot be written.
pub fn run(args: &CheckArgs, registry: &Registry<'_>, console: &Console) -> Result<Exit> {
    if args.plan {
        return plan::run(&args.scenarios, args.seed.unwrap_or(0), args.json, registry, console);
    }
    let paths = scenarios::find(&args.scenarios, Below::All)?;
    let mut sum = Sum { scenarios: paths.len(), ..Sum::default() };
    // What systems declare is no scenario's, and checked with all of them.
    let declared = if args.scenarios.is_empty() { declared::mistakes(registry) } else { Vec::new() };
    for findings in paths.iter().map(|path| scenarios::examine(path, registry).findings).chain(declared) {
        sum.add(&findings);
        if args.json {
            lines(&findings).iter().try_for_each(|line| console.json(line))?;
        } else if !findings.diagnostics().is_empty() {
            console.print(&format!("{}\n\n", findings.render(true)))?;
        }
    }
    let denied = args.deny_warnings && sum.warnings > 0;
    let exit = if sum.errors > 0 || denied { Exit::BadInput } else { Exit::Held };
    if args.json {
        console.json(&sum.line())?;
    } else {
        console.print(&format!("{}\n", sum.text()))?;
        if denied && sum.errors == 0 {
            console.say("warnings fail the command: --deny-warnings\n");
        }
    }
    Ok(exit)
}

/// The counts over all files.
#[derive(Default)]
struct Sum {
    scenarios: usize,
    errors: usize,
    with_errors: usize,
    warnings: usize,
    with_warnings: usize,
}

impl Sum {
    fn add(&mut self, findings: &ScenarioError) {
        let (errors, warnings) = (findings.count(Level::Error), findings.count(Level::Warning));
        self.errors += errors;
        self.warnings += warnings;
        self.with_errors += usize::from(errors > 0);
        self.with_warnings += usize::from(warnings > 0);
    }

    /// `11 scenarios: 2 errors in 1, 3 warnings in 2`
    fn text(&self) -> String {
        let part =
            |n: usize, one: &str, files: usize| (n > 0).then(|| format!("{} in {files}", text::count(n as u64, one)));
        let parts = [part(self.errors, "error", self.with_errors), part(self.warnings, "warning", self.with_warnings)];
        let parts: Vec<String> = parts.into_iter().flatten().collect();
        let said = if parts.is_empty() { "all right".to_owned() } else { parts.join(", ") };
        format!("{}: {said}", text::count(self.scenarios as u64, "scenario"))
    }

    /// The machine contract: fields are added, never renamed.
    fn line(&self) -> serde_json::Value {
        json!({
            "type": "check",
            "scenarios": self.scenarios,
            "errors": self.errors,
            "with_errors": self.with_errors,
            "warnings": self.warnings,
            "with_warnings": self.with_warnings,
        })
    }
}

/// Each error and warning as a line of JSON. Fields are added, never renamed.
fn lines(findings: &ScenarioError) -> Vec<serde_json::Value> {
    let line = |diagnostic| {
        let place = findings.place(diagnostic);
        json!({
            "type": "diagnostic",
            "scenario": findings.path(),
            "path": place.path,
            "line": place.line,
            "column": place.column,
            "level": match diagnostic.level {
                Level::Error => "error",
                Level::Warning => "warning",
            },
            "title": diagnostic.title,
            "label": diagnostic.label,
            "help": diagnostic.help,
        })
    };
    findings.diagnostics().iter().map(line).collect()
}
