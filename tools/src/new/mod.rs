//! `dst new`: files to start from.

mod scenario;

use std::fs;

use anyhow::{Context, Result};
use sim::scenario::suggest;

use crate::cli::{NewArgs, NewScenarioArgs, NewWhat};
use crate::console::Console;
use crate::exit::{BadInput, Exit};
use crate::files::{self, Written};
use crate::registry::Registry;
use crate::scenarios;
use crate::text;

/// Writes what was asked for.
///
/// # Errors
///
/// If it cannot be made, is there already, or cannot be written.
pub fn run(args: &NewArgs, registry: &Registry<'_>, console: &Console) -> Result<Exit> {
    match &args.what {
        NewWhat::Scenario(args) => scenario(args, registry, console),
    }
}

fn scenario(args: &NewScenarioArgs, registry: &Registry<'_>, console: &Console) -> Result<Exit> {
    let Some(entry) = registry.get(&args.system) else {
        let help = suggest(&args.system, "systems", registry.names());
        return Err(BadInput::error(format!("unknown system `{}`", args.system), help));
    };
    let name = args.name.strip_suffix(".toml").unwrap_or(&args.name);
    let is_plain = |c: char| c.is_alphanumeric() || "-_.+".contains(c);
    if name.is_empty() || name.starts_with(['.', '-']) || !name.chars().all(is_plain) {
        let help = "give letters, digits, `-` and `_`, such as slow-leader: it becomes scenarios/SYSTEM/NAME.toml";
        return Err(BadInput::error(format!("{:?} is not a plain name of a file", args.name), help));
    }
    let file = scenarios::of(&entry.description.name, name);
    let path = file.display().to_string();
    let text = scenario::text(entry, name)?;
    let cannot = || format!("cannot write `{path}`");
    fs::create_dir_all(files::folder(&file)).with_context(cannot)?;
    if files::write(&file, &text, false).with_context(cannot)? == Written::Taken {
        return Err(BadInput::error(format!("`{path}` is there already"), "choose another name"));
    }
    let path = text::quoted(&path);
    console.print(&format!(
        "wrote {path}\n\n\
         edit it, then:\n  \
         cargo dst check {path}\n  \
         cargo dst replay {path} 1\n  \
         cargo dst sweep {path} --seeds 100\n"
    ))?;
    Ok(Exit::Held)
}
