//! Frozen runs: written to a file that is whole or not there, and compared when they are replayed.

use std::path::Path;

use anyhow::{Context, Result};
use sim::Report;
use sim::scenario::plan::Frozen;

use crate::exit::BadInput;
use crate::files::{self, Written};

/// Refuses to replace a file, before anything runs.
pub fn check_free(file: &Path, force: bool) -> Result<()> {
    if file.is_dir() {
        return Err(BadInput::error(format!("`{}` is a folder", file.display()), "name a file in it"));
    }
    let folder = files::folder(file);
    if !folder.is_dir() {
        let title = format!("there is no folder `{}` to write `{}` to", folder.display(), file.display());
        return Err(BadInput::error(title, "create it first"));
    }
    if file.exists() && !force { Err(taken(file)) } else { Ok(()) }
}

/// Writes the file, whole or not at all.
pub fn write(file: &Path, text: &str, force: bool) -> Result<()> {
    let cannot = || format!("cannot write the frozen run to `{}`", file.display());
    match files::write(file, text, force).with_context(cannot)? {
        Written::Whole => Ok(()),
        Written::Taken => Err(taken(file)),
    }
}

/// What to say if the replay is not the run that was frozen.
pub fn drift(frozen: &Frozen, report: &Report) -> Option<String> {
    (frozen.world != report.world).then(|| {
        format!(
            "this is not the run that was frozen: its world digest was {}, and is now {}; the system, the simulator or \
             the file has changed since",
            frozen.world, report.world
        )
    })
}

fn taken(file: &Path) -> anyhow::Error {
    BadInput::error(format!("`{}` is there already", file.display()), "choose another name, or replace it with --force")
}
