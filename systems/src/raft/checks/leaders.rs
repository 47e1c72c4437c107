//! Election Safety and Leader Completeness, and the selector `leader`.

use std::collections::BTreeMap;

use sim::NodeId;
use sim::check::{Invariant, Violation};
use sim::event::{Crashed, On};
use sim::system::Selector;

use super::super::events::{Appended, BecameLeader, Committed, Installed, Restored};

/// Election Safety: at most one leader can be elected in a given term (section 5.2).
#[derive(Default)]
pub struct ElectionSafety(BTreeMap<u64, NodeId>);

impl Invariant for ElectionSafety {
    const NAME: &'static str = "election-safety";

    fn subscribe(on: &mut On<Self>) {
        on.event::<BecameLeader>(|this, moment, event| {
            let first = *this.0.entry(event.term).or_insert(moment.node);
            if first == moment.node {
                return Ok(());
            }
            Err(Violation::new(format!("leads term {}, in which {} was elected", event.term, first.name())))
        });
    }
}

/// Leader Completeness: the log of every leader has all entries committed in earlier terms (section 5.4).
#[derive(Default)]
pub struct LeaderCompleteness {
    /// By index: the term of each committed entry, and the term in which it was committed.
    committed: BTreeMap<u64, (u64, u64)>,
    /// By server: the terms of the entries in its log, and the last entry that its snapshot includes.
    logs: BTreeMap<NodeId, (BTreeMap<u64, u64>, u64)>,
}

impl Invariant for LeaderCompleteness {
    const NAME: &'static str = "leader-completeness";

    fn subscribe(on: &mut On<Self>) {
        on.fold::<Appended>(|this, moment, event| {
            let log = &mut this.logs.entry(moment.node).or_default().0;
            log.split_off(&event.index);
            log.insert(event.index, event.term);
        });
        on.fold::<Restored>(|this, moment, event| {
            // `Appended` events for the restored entries follow.
            this.logs.insert(moment.node, (BTreeMap::new(), event.snapshot));
        });
        on.fold::<Installed>(|this, moment, event| {
            let (log, snapshot) = this.logs.entry(moment.node).or_default();
            if log.get(&event.index) != Some(&event.term) {
                log.split_off(&event.index);
            }
            *snapshot = event.index.max(*snapshot);
        });
        on.fold::<Committed>(|this, moment, event| {
            let Some((log, _)) = this.logs.get(&moment.node) else { return };
            let from = this.committed.keys().next_back().map_or(1, |last| last + 1);
            if from <= event.index {
                let news = log.range(from..=event.index).map(|(&index, &term)| (index, (term, event.term)));
                this.committed.extend(news.collect::<Vec<_>>());
            }
        });
        on.event::<BecameLeader>(|this, moment, event| {
            let (log, snapshot) = this.logs.entry(moment.node).or_default();
            for (&index, &(term, by)) in this.committed.range(*snapshot + 1..) {
                if by < event.term && log.get(&index) != Some(&term) {
                    return Err(Violation::new(format!(
                        "leads term {} without entry {index}, which was committed in term {by}",
                        event.term
                    )));
                }
            }
            Ok(())
        });
    }
}

/// The selector `leader`: the server elected in the highest term, unless it has crashed since.
#[derive(Default)]
pub struct Leader {
    leader: Option<NodeId>,
    term: u64,
}

impl Selector for Leader {
    const NAME: &'static str = "leader";

    fn subscribe(on: &mut On<Self>) {
        on.fold::<BecameLeader>(|this, moment, event| {
            if event.term > this.term {
                (this.leader, this.term) = (Some(moment.node), event.term);
            }
        });
        on.fold::<Crashed>(|this, moment, _| {
            this.leader.take_if(|leader| *leader == moment.node);
        });
    }

    fn nodes(&self) -> Vec<NodeId> {
        self.leader.into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use sim::observe;

    use super::super::testing::{History, appended, at, committed, violations_of};
    use super::*;

    fn leads(term: u64) -> impl Fn() + Send + 'static {
        move || observe!(BecameLeader { term })
    }

    #[test]
    fn a_term_has_one_leader() {
        assert!(violations_of::<ElectionSafety>(vec![at(0, leads(2)), at(1, leads(3)), at(0, leads(4))]).is_empty());
        assert_eq!(violations_of::<ElectionSafety>(vec![at(0, leads(2)), at(1, leads(2))]), ["election-safety"]);
    }

    #[test]
    fn a_leader_has_all_entries_committed_in_earlier_terms() {
        let history = |entry: u64| -> History {
            vec![
                at(0, appended(1, (0, 1), 7, 1)),
                at(1, appended(1, (0, entry), 7, 0)),
                at(0, committed(1, 1)),
                at(1, leads(2)),
            ]
        };
        assert!(violations_of::<LeaderCompleteness>(history(1)).is_empty());
        assert_eq!(violations_of::<LeaderCompleteness>(history(2)), ["leader-completeness"]);
        let snapshot = vec![
            at(0, appended(1, (0, 1), 7, 1)),
            at(0, committed(1, 1)),
            at(1, || observe!(Installed { index: 1, term: 1, last: 1 })),
            at(1, leads(2)),
        ];
        assert!(violations_of::<LeaderCompleteness>(snapshot).is_empty());
    }
}
