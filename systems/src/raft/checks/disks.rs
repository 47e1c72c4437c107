//! Committed entries are on the disks of a quorum.

use std::collections::BTreeMap;

use sim::NodeId;
use sim::check::{Invariant, Violation};
use sim::event::On;
use sim::fs;

use super::super::driver::entry_of;
use super::super::events::{Appended, Committed, Compacted, Installed, Members, Wrote};
use super::super::message::Position;
use super::memberships::{Memberships, Voters};

/// The place of an entry on a disk.
struct Place {
    term: u64,
    path: String,
    offset: u64,
    len: u64,
}

/// When a leader commits an entry, the entry is on the disks of a quorum: a crash of all servers would not lose it.
///
/// Bytes that a fault destroyed after they were written count as present. The server finds the damage when it restarts and
/// then takes no part in elections, so every later leader is elected by a quorum of undamaged servers. [`super::DurableVote`]
/// and [`super::Durability`] check that a damaged server takes no part.
#[derive(Default)]
pub struct CommittedOnDisks {
    places: BTreeMap<(NodeId, u64), Place>,
    /// The last entry that each server's snapshot includes.
    snapshots: BTreeMap<NodeId, u64>,
    memberships: Memberships,
}

impl CommittedOnDisks {
    fn is_on_disk(&self, node: NodeId, index: u64, term: u64) -> bool {
        if self.snapshots.get(&node).is_some_and(|snapshot| *snapshot >= index) {
            return true;
        }
        let Some(place) = self.places.get(&(node, index)).filter(|place| place.term == term) else { return false };
        let (path, from, to) = (&place.path, place.offset, place.offset + place.len);
        let durable = fs::durable_bytes(node, path, from, to);
        durable.is_some_and(|bytes| entry_of(&bytes) == Some(Position { term, index }))
            || fs::damaged(node, path, from, to)
    }
}

impl Invariant for CommittedOnDisks {
    const NAME: &'static str = "committed-on-disks";

    fn subscribe(on: &mut On<Self>) {
        on.fold::<Wrote>(|this, moment, event| {
            let Wrote { index, term, path, offset, len } = event.clone();
            this.places.insert((moment.node, index), Place { term, path, offset, len });
        });
        on.fold::<Installed>(|this, moment, event| {
            this.snapshots.insert(moment.node, event.index);
        });
        on.fold::<Compacted>(|this, moment, event| {
            this.snapshots.insert(moment.node, event.index);
        });
        on.fold::<Members>(|this, moment, event| {
            let Members { index, base, incoming, outgoing, learners } = event.clone();
            this.memberships.has(moment.node, index, base, Voters { incoming, outgoing, learners });
        });
        on.fold::<Appended>(|this, moment, event| {
            this.memberships.appended(moment.node, event.index);
        });
        on.event::<Committed>(|this, moment, event| {
            if event.leads == 0 {
                return Ok(());
            }
            // The latest membership in the leader's log decides, committed or not.
            let Some(voters) = this.memberships.in_force(moment.node) else { return Ok(()) };
            if voters.decided(|id| this.is_on_disk(NodeId::new(id as u16), event.index, event.term)) {
                return Ok(());
            }
            Err(Violation::new(format!(
                "commits entry {} of term {}, which is not on the disks of a quorum of {voters:?}",
                event.index, event.term
            )))
        });
    }
}

#[cfg(test)]
mod tests {
    use sim::observe;

    use super::super::testing::{History, at, committed, violations_of};
    use super::*;

    #[test]
    fn committed_entries_must_be_on_disk_or_in_snapshots() {
        let members =
            || observe!(Members { index: 0, base: true, incoming: vec![0, 1, 2], outgoing: vec![], learners: vec![] });
        let wrote = || observe!(Wrote { index: 3, term: 1, path: "log".into(), offset: 0, len: 4 });
        let history = |snapshots: usize| -> History {
            let mut history = vec![at(0, members), at(0, wrote), at(1, wrote)];
            history.extend((0..snapshots).map(|server| at(server, || observe!(Compacted { index: 3, applied: 3 }))));
            history.push(at(0, committed(3, 1)));
            history
        };
        // The events claim a write, but the file does not exist.
        assert_eq!(violations_of::<CommittedOnDisks>(history(1)), ["committed-on-disks"]);
        assert!(violations_of::<CommittedOnDisks>(history(2)).is_empty());
    }
}
