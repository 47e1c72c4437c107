//! Disks: what a server said is still true after a crash, because it was on its disk when it said so.

use std::collections::BTreeMap;

use sim::NodeId;
use sim::check::{Invariant, Violation};
use sim::event::{Booted, On};
use sim::fs::{self, Loss};

use super::super::events::{BecameLeader, Committed, Compacted, Installed, Members, Restored, Voted, Wrote};

/// Each server votes for at most one candidate in a term, in all its lives (Figure 2, RequestVote).
#[derive(Default)]
pub struct DurableVote(BTreeMap<(NodeId, u64), u64>);

impl Invariant for DurableVote {
    const NAME: &'static str = "durable-vote";

    fn subscribe(on: &mut On<Self>) {
        on.event::<Voted>(|this, moment, event| {
            let first = *this.0.entry((moment.node, event.term)).or_insert(event.candidate);
            if first == event.candidate {
                return Ok(());
            }
            Err(Violation::new(format!(
                "voted for {} in term {}, in which it had voted for {first}",
                event.candidate, event.term
            )))
        });
    }
}

/// Terms never go back, not even with a crash, and commit indexes do not within a life. A snapshot stands for no more than
/// what is committed.
#[derive(Default)]
pub struct Monotonic {
    /// The highest term that each server has acted in.
    terms: BTreeMap<NodeId, u64>,
    committed: BTreeMap<NodeId, u64>,
}

impl Invariant for Monotonic {
    const NAME: &'static str = "monotonic";

    fn subscribe(on: &mut On<Self>) {
        on.event::<Booted>(|this, moment, _| {
            this.committed.remove(&moment.node);
            Ok(())
        });
        on.event::<Voted>(|this, moment, event| {
            let term = this.terms.entry(moment.node).or_default();
            if event.term < *term {
                return Err(Violation::new(format!("voted in term {} after it had acted in term {term}", event.term)));
            }
            *term = event.term;
            Ok(())
        });
        on.event::<BecameLeader>(|this, moment, event| {
            let term = this.terms.entry(moment.node).or_default();
            *term = event.term.max(*term);
            Ok(())
        });
        on.event::<Restored>(|this, moment, event| {
            this.committed.insert(moment.node, event.snapshot);
            let term = this.terms.entry(moment.node).or_default();
            if event.term < *term {
                return Err(Violation::new(format!("starts in term {} after it had acted in term {term}", event.term)));
            }
            Ok(())
        });
        on.event::<Committed>(|this, moment, event| {
            let committed = this.committed.entry(moment.node).or_default();
            if event.index < *committed {
                return Err(Violation::new(format!("commits up to {} after {committed}", event.index)));
            }
            *committed = event.index;
            Ok(())
        });
        on.event::<Installed>(|this, moment, event| {
            let committed = this.committed.entry(moment.node).or_default();
            *committed = event.index.max(*committed);
            Ok(())
        });
        on.event::<Compacted>(|this, moment, event| {
            let committed = this.committed.get(&moment.node).copied().unwrap_or(0);
            if event.index > committed {
                return Err(Violation::new(format!(
                    "forgot entries up to {} of which {committed} are committed",
                    event.index
                )));
            }
            Ok(())
        });
    }
}

/// Where an entry is on a disk.
struct Place {
    term: u64,
    path: String,
    offset: u64,
    len: u64,
}

/// What a leader calls committed is on the disks of a quorum at that moment: a loss of power everywhere would not lose it.
#[derive(Default)]
pub struct CommittedOnDisks {
    places: BTreeMap<(NodeId, u64), Place>,
    /// Up to where snapshots stand for entries.
    snapshots: BTreeMap<NodeId, u64>,
    /// The memberships as each server has them in its log: index, incoming and outgoing voters.
    memberships: BTreeMap<NodeId, (u64, Vec<u64>, Vec<u64>)>,
}

impl CommittedOnDisks {
    fn is_on_disk(&self, node: NodeId, index: u64, term: u64) -> bool {
        if self.snapshots.get(&node).is_some_and(|snapshot| *snapshot >= index) {
            return true;
        }
        let Some(place) = self.places.get(&(node, index)).filter(|place| place.term == term) else { return false };
        // The bytes are compared with what is in the cache: they are the same when the entry is durable.
        let range = place.offset as usize..(place.offset + place.len) as usize;
        let of = |loss| {
            fs::crash_image(node, loss).read(&place.path).and_then(|bytes| bytes.get(range.clone())).map(<[u8]>::to_vec)
        };
        let certain = of(Loss::Everything);
        certain.is_some() && certain == of(Loss::Nothing)
    }

    fn quorum(&self, voters: &[u64], index: u64, term: u64) -> bool {
        let on_disk = voters.iter().filter(|&&id| self.is_on_disk(NodeId::new(id as u16), index, term)).count();
        voters.is_empty() || on_disk > voters.len() / 2
    }
}

impl Invariant for CommittedOnDisks {
    const NAME: &'static str = "committed-on-disks";

    fn subscribe(on: &mut On<Self>) {
        on.event::<Wrote>(|this, moment, event| {
            let Wrote { index, term, path, offset, len } = event.clone();
            this.places.insert((moment.node, index), Place { term, path, offset, len });
            Ok(())
        });
        on.event::<Installed>(|this, moment, event| {
            this.snapshots.insert(moment.node, event.index);
            Ok(())
        });
        on.event::<Compacted>(|this, moment, event| {
            this.snapshots.insert(moment.node, event.index);
            Ok(())
        });
        on.event::<Members>(|this, moment, event| {
            let Members { index, incoming, outgoing, .. } = event.clone();
            this.memberships.insert(moment.node, (index, incoming, outgoing));
            Ok(())
        });
        on.event::<Committed>(|this, moment, event| {
            if event.leads == 0 {
                return Ok(());
            }
            let Some((_, incoming, outgoing)) = this.memberships.get(&moment.node) else { return Ok(()) };
            if this.quorum(incoming, event.index, event.term) && this.quorum(outgoing, event.index, event.term) {
                return Ok(());
            }
            Err(Violation::new(format!(
                "calls entry {} of term {} committed, which is not on the disks of a majority of {incoming:?} and {outgoing:?}",
                event.index, event.term
            )))
        });
    }
}
