//! Read indexes: see [`FreshReads`].

use std::collections::BTreeMap;

use sim::NodeId;
use sim::check::{Invariant, Violation};
use sim::event::On;

use super::super::events::{Committed, ReadIndexReceived, ReadIndexRequested};

/// A read index is at least as high as every commit index known when the read was requested (thesis, section 6.4). With
/// leases this holds as long as clocks drift by at most [`clock_drift`](crate::raft::Config::clock_drift).
#[derive(Default)]
pub struct FreshReads {
    committed: u64,
    /// The highest commit index when each read was requested.
    asked: BTreeMap<(NodeId, u64), u64>,
}

impl Invariant for FreshReads {
    const NAME: &'static str = "fresh-reads";

    fn subscribe(on: &mut On<Self>) {
        on.fold::<Committed>(|this, _, event| {
            this.committed = this.committed.max(event.index);
        });
        on.fold::<ReadIndexRequested>(|this, moment, event| {
            this.asked.insert((moment.node, event.request), this.committed);
        });
        on.event::<ReadIndexReceived>(|this, moment, event| match this.asked.remove(&(moment.node, event.request)) {
            Some(committed) if event.index < committed => Err(Violation::new(format!(
                "reads at index {}, but entry {committed} was committed before the read was requested",
                event.index
            ))),
            _ => Ok(()),
        });
    }
}

#[cfg(test)]
mod tests {
    use sim::observe;

    use super::super::testing::{History, at, committed, violations_of};
    use super::*;

    #[test]
    fn a_read_covers_entries_committed_before_it_and_need_not_cover_more() {
        let history = |index| -> History {
            vec![
                at(0, committed(4, 1)),
                at(1, || observe!(ReadIndexRequested { request: 7 })),
                at(0, committed(6, 1)),
                at(1, move || observe!(ReadIndexReceived { request: 7, index })),
            ]
        };
        assert!(violations_of::<FreshReads>(history(4)).is_empty());
        assert_eq!(violations_of::<FreshReads>(history(3)), ["fresh-reads"]);
    }
}
