//! The known bugs, the oracles that may report them, and the scenarios that find them.

use sim::Manifest;

use super::ShardKv;

pub(super) fn declare(m: &mut Manifest<ShardKv>) {
    let _ = m;
}
