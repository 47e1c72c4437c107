//! Paths: `/`-separated names below the root of a disk.

use std::io;

use super::error;

/// What Linux allows.
const LONGEST_PATH: usize = 4095;
const LONGEST_NAME: usize = 255;

/// The names on the way, without empty ones and dots.
pub(super) fn parts(path: &str) -> io::Result<impl Iterator<Item = &str>> {
    if path.len() > LONGEST_PATH {
        return Err(error::name_too_long());
    }
    let parts = path.split('/').filter(|part| !part.is_empty() && *part != ".");
    // `..` is not supported: a disk has no links, so no path needs it.
    let bytes = path.as_bytes();
    if bytes.contains(&0) || bytes.windows(2).any(|two| two == b"..") && parts.clone().any(|part| part == "..") {
        return Err(error::invalid());
    }
    Ok(parts)
}

/// Whether it can only be the path of a directory.
pub(super) fn names_dir(path: &str) -> bool {
    path.ends_with('/')
}

pub(super) fn check_name(name: &str) -> io::Result<()> {
    if name.len() > LONGEST_NAME { Err(error::name_too_long()) } else { Ok(()) }
}

/// The path as an image spells it.
pub(super) fn normal(path: &str) -> String {
    path.split('/').filter(|part| !part.is_empty() && *part != ".").collect::<Vec<_>>().join("/")
}

/// What is above the last name of a path.
pub(super) fn parent(path: &str) -> Option<&str> {
    let path = path.trim_end_matches('/');
    if path.is_empty() { None } else { Some(path.rfind('/').map_or("", |at| &path[..at])) }
}
