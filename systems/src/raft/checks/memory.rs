//! The state of each server: votes, terms, indexes and durable entries must survive crashes and never go back.

use std::collections::{BTreeMap, BTreeSet};

use sim::NodeId;
use sim::check::{Invariant, Violation};
use sim::event::{Booted, Crashed, On};
use sim::fs::{self, Loss};

use super::super::events::{
    Acted, Appended, BecameLeader, Committed, Compacted, Forgotten, Installed, Restored, Voted, Wrote,
};

/// A server votes for at most one candidate in a term, across all its incarnations (Figure 2, RequestVote RPC), and restarts
/// with its last vote.
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
        on.event::<Restored>(|this, moment, event| match this.0.get(&(moment.node, event.term)) {
            Some(voted) if event.voted_for != Some(*voted) => Err(Violation::new(format!(
                "restarts in term {} with the vote {:?}, but had voted for {voted}",
                event.term, event.voted_for
            ))),
            _ => Ok(()),
        });
    }
}

/// A server's term never decreases, not even in a crash. Its commit index never decreases within an incarnation.
#[derive(Default)]
pub struct Monotonic {
    /// The highest term that each server has acted in.
    terms: BTreeMap<NodeId, u64>,
    committed: BTreeMap<NodeId, u64>,
}

impl Monotonic {
    fn acts(&mut self, node: NodeId, now: u64, what: &str) -> Result<(), Violation> {
        let term = self.terms.entry(node).or_default();
        if now < *term {
            return Err(Violation::new(format!("{what} in term {now} after it had acted in term {term}")));
        }
        *term = now;
        Ok(())
    }
}

impl Invariant for Monotonic {
    const NAME: &'static str = "monotonic";

    fn subscribe(on: &mut On<Self>) {
        on.fold::<Booted>(|this, moment, _| {
            this.committed.remove(&moment.node);
        });
        on.event::<Acted>(|this, moment, event| this.acts(moment.node, event.term, "acts"));
        on.event::<Voted>(|this, moment, event| this.acts(moment.node, event.term, "votes"));
        on.event::<BecameLeader>(|this, moment, event| this.acts(moment.node, event.term, "leads"));
        on.event::<Restored>(|this, moment, event| {
            this.committed.insert(moment.node, event.snapshot);
            this.acts(moment.node, event.term, "starts")
        });
        on.event::<Committed>(|this, moment, event| {
            let committed = this.committed.entry(moment.node).or_default();
            if event.index < *committed {
                return Err(Violation::new(format!("commit index went back from {committed} to {}", event.index)));
            }
            *committed = event.index;
            Ok(())
        });
        on.fold::<Installed>(|this, moment, event| {
            let committed = this.committed.entry(moment.node).or_default();
            *committed = event.index.max(*committed);
        });
    }
}

/// On each server, last entry of the snapshot <= `lastApplied` <= `commitIndex` <= last entry of the log.
#[derive(Default)]
pub struct Ordering;

impl Invariant for Ordering {
    const NAME: &'static str = "ordering";

    fn subscribe(on: &mut On<Self>) {
        on.event::<Committed>(|_, _, event| {
            let Committed { index, snapshot, applied, last, .. } = *event;
            if snapshot <= applied && applied <= index && index <= last {
                return Ok(());
            }
            let text =
                format!("snapshot {snapshot}, applied {applied}, committed {index}, last {last} are out of order");
            Err(Violation::new(text))
        });
        on.event::<Compacted>(|_, _, event| {
            if event.index <= event.applied {
                return Ok(());
            }
            let Compacted { index, applied } = event;
            Err(Violation::new(format!("compacted the log up to entry {index}, but applied only up to {applied}")))
        });
    }
}

/// A server restarts with every entry that was durable and was not replaced since. A server that reports lost records has a
/// disk that a fault has damaged or wiped.
#[derive(Default)]
pub struct Durability {
    /// Index and term of the last durable entry.
    durable: BTreeMap<NodeId, (u64, u64)>,
    /// Whether the server's disk was ever wiped.
    wiped: BTreeMap<NodeId, bool>,
    /// Servers that have started at least once. Other servers cannot have promised anything.
    started: BTreeSet<NodeId>,
}

impl Invariant for Durability {
    const NAME: &'static str = "durability";

    fn subscribe(on: &mut On<Self>) {
        on.fold::<Crashed>(|this, moment, event| {
            *this.wiped.entry(moment.node).or_default() |= event.wiped;
        });
        on.fold::<Wrote>(|this, moment, event| {
            this.durable.insert(moment.node, (event.index, event.term));
        });
        on.fold::<Appended>(|this, moment, event| {
            // The replacing entry may reach the disk before the server learns of it, and may be of an earlier term, with the
            // rest of the leader's log still to come. Only the entries before it are surely durable.
            if let Some((index, term)) = this.durable.get_mut(&moment.node)
                && event.index <= *index
                && (event.index, event.term) != (*index, *term)
            {
                (*index, *term) = (event.index - 1, event.prev_term);
            }
        });
        on.fold::<Installed>(|this, moment, event| {
            let (index, term) = this.durable.get(&moment.node).copied().unwrap_or_default();
            // Durable entries after the snapshot stay durable if the log keeps them.
            let kept = index > event.index && event.last > event.index;
            let now = if kept { (index.min(event.last), term) } else { (event.index, event.term) };
            this.durable.insert(moment.node, now);
        });
        on.event::<Restored>(|this, moment, event| {
            this.started.insert(moment.node);
            let Some(&(index, term)) = this.durable.get(&moment.node) else { return Ok(()) };
            // A log that replaced durable entries ends in a higher term.
            if (event.last_term, event.last) < (term, index) {
                return Err(Violation::new(format!(
                    "restarts with a log up to entry {} of term {}, but had entry {index} of term {term} on its disk",
                    event.last, event.last_term
                )));
            }
            Ok(())
        });
        on.event::<Forgotten>(|this, moment, event| {
            if !this.started.contains(&moment.node) {
                return Ok(());
            }
            let image = fs::crash_image(moment.node, Loss::Nothing);
            let damaged = |(path, bytes): (&str, &[u8])| fs::damaged(moment.node, path, 0, bytes.len() as u64);
            if image.files().any(damaged) || this.wiped.get(&moment.node).is_some_and(|wiped| *wiped) {
                return Ok(());
            }
            let text = format!(
                "reports records {} to {} of its log as lost, but its disk is undamaged",
                event.first, event.last
            );
            Err(Violation::about("forgotten", text))
        });
    }
}

#[cfg(test)]
mod tests {
    use sim::observe;

    use super::super::testing::{History, appended, at, committed, violations_of};
    use super::*;

    fn voted(term: u64, candidate: u64) -> impl Fn() + Send + 'static {
        move || observe!(Voted { term, candidate })
    }

    fn restored(term: u64, voted_for: Option<u64>, last: u64, last_term: u64) -> impl Fn() + Send + 'static {
        move || observe!(Restored { term, voted_for, snapshot: 0, last, last_term })
    }

    fn wrote(index: u64, term: u64) -> impl Fn() + Send + 'static {
        move || observe!(Wrote { index, term, path: "log".into(), offset: 0, len: 1 })
    }

    #[test]
    fn a_server_votes_once_in_a_term_and_remembers() {
        let twice = |candidate| vec![at(0, voted(2, 1)), at(0, voted(2, candidate)), at(0, voted(3, 9))];
        assert!(violations_of::<DurableVote>(twice(1)).is_empty());
        assert_eq!(violations_of::<DurableVote>(twice(2)), ["durable-vote"]);
        let again = |term, vote| vec![at(0, voted(2, 1)), at(0, restored(term, vote, 0, 0))];
        assert!(
            violations_of::<DurableVote>(again(2, Some(1))).is_empty()
                && violations_of::<DurableVote>(again(3, None)).is_empty()
        );
        assert_eq!(violations_of::<DurableVote>(again(2, None)), ["durable-vote"]);
    }

    #[test]
    fn terms_and_commits_do_not_go_back() {
        let acts = |then| vec![at(0, || observe!(Acted { term: 5 })), at(0, restored(then, None, 0, 0))];
        assert!(violations_of::<Monotonic>(acts(5)).is_empty());
        assert_eq!(violations_of::<Monotonic>(acts(4)), ["monotonic"]);
        let commits = |then| vec![at(0, committed(5, 1)), at(0, committed(then, 1))];
        assert!(violations_of::<Monotonic>(commits(6)).is_empty());
        assert_eq!(violations_of::<Monotonic>(commits(4)), ["monotonic"]);
    }

    #[test]
    fn indexes_are_in_order() {
        let of = |snapshot, applied, index, last| -> History {
            vec![at(0, move || observe!(Committed { index, term: 1, leads: 0, snapshot, applied, last }))]
        };
        assert!(violations_of::<Ordering>(of(1, 2, 2, 3)).is_empty());
        for wrong in [of(3, 2, 2, 3), of(1, 3, 2, 3), of(1, 2, 4, 3)] {
            assert_eq!(violations_of::<Ordering>(wrong), ["ordering"]);
        }
        let compacted = |index| -> History { vec![at(0, move || observe!(Compacted { index, applied: 4 }))] };
        assert!(violations_of::<Ordering>(compacted(4)).is_empty());
        assert_eq!(violations_of::<Ordering>(compacted(5)), ["ordering"]);
    }

    #[test]
    fn durable_entries_survive_a_restart() {
        let again = |last, term| vec![at(0, wrote(7, 2)), at(0, restored(3, None, last, term))];
        assert!(
            violations_of::<Durability>(again(7, 2)).is_empty() && violations_of::<Durability>(again(5, 3)).is_empty()
        );
        assert_eq!(violations_of::<Durability>(again(6, 2)), ["durability"]);
        // A leader of a later term replaces the log part by part, first with entries of an earlier term.
        let replaced = |last, term| {
            let part = appended(6, (1, 1), 9, 0);
            vec![at(0, wrote(7, 2)), at(0, part), at(0, restored(4, None, last, term))]
        };
        assert!(
            violations_of::<Durability>(replaced(6, 1)).is_empty()
                && violations_of::<Durability>(replaced(7, 2)).is_empty()
        );
        assert_eq!(violations_of::<Durability>(replaced(4, 1)), ["durability"]);
        let installed = vec![
            at(0, wrote(7, 2)),
            at(0, || observe!(Installed { index: 9, term: 3, last: 9 })),
            at(0, restored(3, None, 7, 2)),
        ];
        assert_eq!(violations_of::<Durability>(installed), ["durability"]);
    }

    #[test]
    fn lost_records_on_an_undamaged_disk_are_a_violation() {
        let forgot = || at(0, || observe!(Forgotten { first: 1, last: 2 }));
        assert_eq!(
            violations_of::<Durability>(vec![at(0, restored(0, None, 0, 0)), forgot()]),
            ["durability:forgotten"]
        );
        // The server crashed before it marked its disk, so at the restart it takes the empty disk for a lost one.
        assert!(violations_of::<Durability>(vec![forgot()]).is_empty());
    }
}
