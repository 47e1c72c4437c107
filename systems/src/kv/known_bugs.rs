//! The known bugs, and the oracles that may report them: those of the store itself, and those of what it stands on.

use sim::Manifest;

use super::Kv;
use crate::rsm;

pub(super) fn declare(m: &mut Manifest<Kv>) {
    m.planted("kv.scan-in-pages", ["linearizable"])
        .planted("kv.swap-in-two-steps", ["linearizable"])
        .planted("kv.unknown-reported-as-failed", ["linearizable"]);
    rsm::declare_known_bugs(m);
}
