//! The errors of a real file system, by the operating system's numbers.

use std::io;

pub(super) fn not_found() -> io::Error {
    io::Error::from_raw_os_error(libc::ENOENT)
}

pub(super) fn is_a_directory() -> io::Error {
    io::Error::from_raw_os_error(libc::EISDIR)
}

pub(super) fn not_a_directory() -> io::Error {
    io::Error::from_raw_os_error(libc::ENOTDIR)
}

pub(super) fn already_exists() -> io::Error {
    io::Error::from_raw_os_error(libc::EEXIST)
}

/// A handle that was not opened for that (EBADF).
pub(super) fn bad_handle() -> io::Error {
    io::Error::from_raw_os_error(libc::EBADF)
}

pub(super) fn invalid() -> io::Error {
    io::Error::from_raw_os_error(libc::EINVAL)
}

/// The device failed (EIO).
pub(super) fn io() -> io::Error {
    io::Error::from_raw_os_error(libc::EIO)
}
