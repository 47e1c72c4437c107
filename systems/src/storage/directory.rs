//! Directories whose names are durable.

use sim::fs::{self, File};
use sim::planted;

use super::StorageError;
use super::error::Context;

/// What a file is called while it is being made. A file with such a name may be removed at the start: it was never
/// relied on.
pub(super) const DRAFT: &str = ".tmp";

/// Creates a directory, and makes its name durable and the names of those above it. Also if it is there already: it may be
/// there only in the memory of a machine whose process crashed before the names were synced.
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

/// The names in a directory; drafts of a process that crashed are removed.
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

/// Gives the draft `file` the name `path`, durably, in place of the file that had it: syncs the bytes, renames, syncs the
/// directory. A crash leaves the old file or the new one, whole.
///
/// ```
/// # use systems::storage;
/// use sim::fs::File;
///
/// async fn save(bytes: &[u8]) -> Result<(), Box<dyn std::error::Error>> {
///     let file = File::create("settings.tmp").await?;
///     file.write_all_at(bytes, 0).await?;
///     Ok(storage::replace(&file, "settings.tmp", "settings").await?)
/// }
/// ```
///
/// # Errors
///
/// Those of the file system. Then a crash may leave the old file or the new one, and so may no crash.
pub async fn replace(file: &File, draft: &str, path: &str) -> Result<(), StorageError> {
    file.sync_all().await.context("sync", draft)?;
    fs::rename(draft, path).await.context("rename", draft)?;
    if planted!("snapshot.no-dir-sync") {
        return Ok(());
    }
    sync(path.rsplit_once('/').map_or("", |(dir, _)| dir)).await
}

/// The path of a name in a directory.
pub(super) fn join(dir: &str, name: &str) -> String {
    if dir.is_empty() { name.to_owned() } else { format!("{dir}/{name}") }
}
