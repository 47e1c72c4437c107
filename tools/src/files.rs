//! Atomic file replacement: a file is written beside its place, then renamed.

use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use tempfile::NamedTempFile;

use crate::exit::BadInput;

/// The result of writing a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    /// The whole file was written.
    Whole,
    /// A file of that name exists, and was not replaced.
    Taken,
}

/// Writes a file atomically. An existing file is replaced only with `force`.
///
/// # Errors
///
/// If the folder does not exist or cannot be written to.
pub fn write(file: &Path, text: &str, force: bool) -> io::Result<Written> {
    let mut whole = beside(file)?;
    whole.write_all(text.as_bytes())?;
    whole.as_file().sync_all()?;
    let persisted = if force { whole.persist(file) } else { whole.persist_noclobber(file) };
    match persisted {
        Ok(_) => Ok(Written::Whole),
        Err(error) if error.error.kind() == ErrorKind::AlreadyExists => Ok(Written::Taken),
        Err(error) => Err(error.error),
    }
}

/// Refuses to replace a file, before anything runs.
///
/// # Errors
///
/// If it is there, or its folder is not.
pub fn check_free(file: &Path, force: bool) -> Result<()> {
    if file.is_dir() {
        return Err(BadInput::error(format!("`{}` is a folder", file.display()), "name a file in it"));
    }
    let folder = folder(file);
    if !folder.is_dir() {
        let title = format!("there is no folder `{}` to write `{}` to", folder.display(), file.display());
        return Err(BadInput::error(title, "create it first"));
    }
    if file.exists() && !force { Err(taken(file)) } else { Ok(()) }
}

/// Writes a file that [`check_free`] allowed: `what` it is, for errors.
///
/// # Errors
///
/// If it is there by now, or cannot be written.
pub fn create(file: &Path, text: &str, force: bool, what: &str) -> Result<()> {
    let cannot = || format!("cannot write {what} to `{}`", file.display());
    match write(file, text, force).with_context(cannot)? {
        Written::Whole => Ok(()),
        Written::Taken => Err(taken(file)),
    }
}

fn taken(file: &Path) -> anyhow::Error {
    BadInput::error(format!("`{}` is there already", file.display()), "choose another name, or replace it with --force")
}

/// The folder that a file is in.
pub fn folder(file: &Path) -> &Path {
    file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// A temporary file in the same folder, gone when dropped.
fn beside(file: &Path) -> io::Result<NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(".dst-").suffix(".tmp");
    // A temporary file is for its owner's eyes; what it becomes is a file like any other.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    builder.tempfile_in(folder(file))
}

/// A file that will be written, or replaced, later.
#[derive(Clone, Debug)]
pub struct Place(PathBuf);

impl Place {
    /// Makes sure that the file can be written, before anything runs for hours. Leaves nothing behind.
    ///
    /// # Errors
    ///
    /// If it cannot.
    pub fn check(file: &Path) -> Result<Place> {
        let name = file.display();
        if file.is_dir() {
            return Err(BadInput::error(format!("`{name}` is a folder"), "name a file in it"));
        }
        if file.exists() && !file.is_file() {
            let help = "name a file: it is written beside its place and renamed";
            return Err(BadInput::error(format!("`{name}` is no ordinary file, and would be replaced"), help));
        }
        let folder = folder(file);
        if !folder.is_dir() {
            let title = format!("there is no folder `{}` to write `{name}` to", folder.display());
            return Err(BadInput::error(title, "create it first"));
        }
        match beside(file) {
            Ok(_) => Ok(Place(file.to_owned())),
            Err(error) => Err(BadInput::error(format!("cannot write `{name}`: {error}"), "name another place")),
        }
    }

    /// Writes it whole; what is there already is only replaced with `force`.
    ///
    /// # Errors
    ///
    /// If that is not possible any more.
    pub fn write(&self, text: &str, force: bool) -> Result<Written> {
        write(&self.0, text, force).with_context(|| format!("cannot write `{}`", self.0.display()))
    }
}
