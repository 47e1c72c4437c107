//! The `dst` binary: the tools with all systems of this workspace.

use std::process::ExitCode;

fn main() -> ExitCode {
    tools::main(systems::all())
}
