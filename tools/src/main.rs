//! The `dst` binary.
fn main() {}
