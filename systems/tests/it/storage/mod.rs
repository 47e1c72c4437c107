//! What systems keep on disks.

mod snapshot;
mod torture;
mod wal;
