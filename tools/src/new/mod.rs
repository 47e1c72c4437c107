//! `dst new`: files to start from.

mod scenario;
mod system;

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use sim::scenario::suggest;

use crate::cli::{NewArgs, NewScenarioArgs, NewSystemArgs, NewWhat};
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
        NewWhat::System(args) => system(args, console),
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

fn system(args: &NewSystemArgs, console: &Console) -> Result<Exit> {
    let NewSystemArgs { name, source, folder } = args;
    if !system::is_name(name) {
        let help =
            "give lower-case letters, digits and `_`, such as my_lock: it names a crate, a system and its scenarios";
        return Err(BadInput::error(format!("{name:?} cannot be the name of a system"), help));
    }
    let source = source.clone().unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join(".."));
    let source = source.canonicalize().ok().filter(|source| source.join("sim/Cargo.toml").is_file());
    let Some(source) = source.as_deref().and_then(Path::to_str) else {
        let help = "name the folder that has the crates `sim` and `tools`: --source DIR";
        return Err(BadInput::error("the source of the harness is not where this program was built", help));
    };
    let place = folder.clone().unwrap_or_else(|| name.into());
    let shown = place.display().to_string();
    let cannot = || format!("cannot write `{shown}`");
    if place.exists() {
        return Err(BadInput::error(
            format!("`{shown}` is there already"),
            "choose another name, or a folder with --into",
        ));
    }
    fs::create_dir_all(files::folder(&place)).with_context(cannot)?;
    // All of it, or nothing.
    let new = tempfile::Builder::new().prefix(".dst-").tempdir_in(files::folder(&place)).with_context(cannot)?;
    let crate_folder = new.path().join("crate");
    for (file, text) in system::files(name, source) {
        let file = crate_folder.join(file);
        fs::create_dir_all(files::folder(&file)).and_then(|()| fs::write(&file, text)).with_context(cannot)?;
    }
    fs::rename(&crate_folder, &place).with_context(cannot)?;
    let folder = text::quoted(&shown);
    console.print(&format!(
        "wrote {folder}\n\n\
         it is complete, and has a known bug to be found:\n  \
         cd {folder}\n  \
         cargo dst sweep --seeds 200\n  \
         cargo dst sweep --seeds 20 --planted {name}.token-in-memory\n\n\
         then edit src/main.rs\n"
    ))?;
    Ok(Exit::Held)
}
