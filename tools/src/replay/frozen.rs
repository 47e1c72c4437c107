//! Frozen runs: written to a file that is whole or not there, and compared when they are replayed.

use std::io::{ErrorKind, Write};
use std::path::Path;

use anyhow::{Context, Result};
use sim::Report;
use sim::scenario::plan::Frozen;

use crate::exit::BadInput;

/// Refuses to replace a file, before anything runs.
pub fn check_free(file: &Path, force: bool) -> Result<()> {
    if file.is_dir() {
        return Err(BadInput::error(format!("`{}` is a folder", file.display()), "name a file in it"));
    }
    if !folder(file).is_dir() {
        let title = format!("there is no folder `{}` to write `{}` to", folder(file).display(), file.display());
        return Err(BadInput::error(title, "create it first"));
    }
    if file.exists() && !force { Err(taken(file)) } else { Ok(()) }
}

/// Writes beside the file and renames: nobody ever sees half of it.
pub fn write(file: &Path, text: &str, force: bool) -> Result<()> {
    let cannot = || format!("cannot write the frozen run to `{}`", file.display());
    let mut builder = tempfile::Builder::new();
    builder.prefix(".frozen-").suffix(".tmp");
    // A temporary file is for its owner's eyes; what it becomes is a file like any other.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let mut whole = builder.tempfile_in(folder(file)).with_context(cannot)?;
    whole.write_all(text.as_bytes()).with_context(cannot)?;
    whole.as_file().sync_all().with_context(cannot)?;
    let persisted = if force { whole.persist(file) } else { whole.persist_noclobber(file) };
    match persisted {
        Err(error) if error.error.kind() == ErrorKind::AlreadyExists => Err(taken(file)),
        done => done.map(drop).with_context(cannot),
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

fn folder(file: &Path) -> &Path {
    file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn taken(file: &Path) -> anyhow::Error {
    BadInput::error(format!("`{}` is there already", file.display()), "choose another name, or replace it with --force")
}
