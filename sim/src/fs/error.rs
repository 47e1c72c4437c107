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

/// There is no space left (ENOSPC).
pub(super) fn no_space() -> io::Error {
    io::Error::from_raw_os_error(libc::ENOSPC)
}

pub(super) fn not_empty() -> io::Error {
    io::Error::from_raw_os_error(libc::ENOTEMPTY)
}

/// The root cannot be renamed or removed (EBUSY).
pub(super) fn busy() -> io::Error {
    io::Error::from_raw_os_error(libc::EBUSY)
}

/// A file longer than files can be (EFBIG).
pub(super) fn too_large() -> io::Error {
    io::Error::from_raw_os_error(libc::EFBIG)
}

pub(super) fn name_too_long() -> io::Error {
    io::Error::from_raw_os_error(libc::ENAMETOOLONG)
}
