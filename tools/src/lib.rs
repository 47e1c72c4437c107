//! The `dst` command as a library.
