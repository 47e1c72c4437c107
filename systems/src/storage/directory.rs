//! Directories whose names are durable.

use sim::fs;

use super::StorageError;
use super::error::Context;

/// What a file is called while it is being made. Whoever finds such a name at the start may remove the file: nobody ever
/// relied on it.
pub(super) const DRAFT: &str = ".tmp";

/// Creates a directory, and makes its name durable and the names of those above it. Also if it is there already: it may be
/// there only in the memory of a machine whose process died before the names were synced.
pub(super) async fn create(dir: &str) -> Result<(), StorageError> {
    fs::create_dir_all(dir).await.context("create", dir)?;
    let mut above = dir.trim_matches('/');
    while !above.is_empty() {
        above = above.rsplit_once('/').map_or("", |(above, _)| above);
        sync(above).await?;
    }
    Ok(())
}

/// Makes the names in a directory durable.
pub(super) async fn sync(dir: &str) -> Result<(), StorageError> {
    fs::sync_dir(dir).await.context("sync the directory", dir)
}

/// The names in a directory; drafts of a process that died are removed.
pub(super) async fn tidy(dir: &str) -> Result<Vec<String>, StorageError> {
    let mut names = fs::read_dir(dir).await.context("list", dir)?;
    for name in names.extract_if(.., |name| name.ends_with(DRAFT)) {
        remove(&join(dir, &name)).await?;
    }
    Ok(names)
}

/// Removes a file.
pub(super) async fn remove(path: &str) -> Result<(), StorageError> {
    fs::remove_file(path).await.context("remove", path)
}

/// The path of a name in a directory.
pub(super) fn join(dir: &str, name: &str) -> String {
    if dir.is_empty() { name.to_owned() } else { format!("{dir}/{name}") }
}
