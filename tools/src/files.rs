//! Files that are whole or not there: written beside their place and renamed.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use tempfile::NamedTempFile;

use crate::exit::BadInput;

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

    /// Writes it whole, in place of what is there.
    ///
    /// # Errors
    ///
    /// If that is not possible any more.
    pub fn write(&self, text: &str) -> Result<()> {
        let cannot = || format!("cannot write `{}`", self.0.display());
        written(&self.0, text).with_context(cannot)?.persist(&self.0).map(drop).with_context(cannot)
    }

    /// Writes it whole if there is nothing there. Says whether it did.
    ///
    /// # Errors
    ///
    /// If that is not possible any more.
    pub fn write_new(&self, text: &str) -> Result<bool> {
        let cannot = || format!("cannot write `{}`", self.0.display());
        match written(&self.0, text).with_context(cannot)?.persist_noclobber(&self.0) {
            Ok(_) => Ok(true),
            Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
            Err(error) => Err(error).with_context(cannot),
        }
    }
}

/// The folder that a file is in.
fn folder(file: &Path) -> &Path {
    file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn written(file: &Path, text: &str) -> io::Result<NamedTempFile> {
    let mut whole = beside(file)?;
    whole.write_all(text.as_bytes())?;
    whole.as_file().sync_all()?;
    Ok(whole)
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
