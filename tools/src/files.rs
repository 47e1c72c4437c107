//! Files that are whole or not there: written beside their place, then renamed.

use std::io::{self, ErrorKind, Write};
use std::path::Path;

/// What became of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    /// It is there, all of it.
    Whole,
    /// Another one was there before, and still is.
    Taken,
}

/// Writes a file. Nobody ever sees half of it, and one that is there is only replaced with `force`.
///
/// # Errors
///
/// If its folder is not there or cannot be written to.
pub fn write(file: &Path, text: &str, force: bool) -> io::Result<Written> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(".dst-").suffix(".tmp");
    // A temporary file is for its owner's eyes; what it becomes is a file like any other.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let mut whole = builder.tempfile_in(folder(file))?;
    whole.write_all(text.as_bytes())?;
    whole.as_file().sync_all()?;
    let persisted = if force { whole.persist(file) } else { whole.persist_noclobber(file) };
    match persisted {
        Ok(_) => Ok(Written::Whole),
        Err(error) if error.error.kind() == ErrorKind::AlreadyExists => Ok(Written::Taken),
        Err(error) => Err(error.error),
    }
}

/// The folder that a file is in.
pub fn folder(file: &Path) -> &Path {
    file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}
