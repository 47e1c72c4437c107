//! When a record is durable, which is all that there is to consistency with one node: when the journal is about to acknowledge
//! it.

use sim::metric::{Keyed, OnEach};

use super::events::{Acked, Asked};

/// Each journal, of which there is one, has the record on its disk.
pub(super) type OnDisk = OnEach<Asked, Acked>;

impl Keyed for Asked {
    fn key(&self) -> u64 {
        self.record
    }
}

impl Keyed for Acked {
    fn key(&self) -> u64 {
        self.record
    }
}
