//! A leader and a single follower: fast backup of `nextIndex`, and the target of a leadership transfer.

use std::collections::BTreeMap;

use sim::NodeId;
use sim::check::{Invariant, Violation};
use sim::event::On;

use super::super::events::{Installed, NextIndexDecreased, Restored, TimeoutNowSent, Wrote};

/// Fast backup (the end of section 5.3): a diverged follower refuses at most once for each term of its log. After a conflict
/// with one term, the leader does not probe that term of the follower's log again.
#[derive(Default)]
pub struct FastBackup {
    /// By leader's term and follower: the conflicting term of the last refusal in a row.
    last: BTreeMap<(u64, u64), Option<u64>>,
}

impl Invariant for FastBackup {
    const NAME: &'static str = "fast-backup";

    fn subscribe(on: &mut On<Self>) {
        on.event::<NextIndexDecreased>(|this, _, event| {
            let before = this.last.insert((event.term, event.follower), event.theirs).flatten();
            let (Some(before), Some(theirs)) = (before.filter(|_| event.again), event.theirs) else { return Ok(()) };
            if theirs < before {
                return Ok(());
            }
            Err(Violation::new(format!(
                "probed server {} at entry {}, of its term {theirs}, after a conflict with its term {before}",
                event.follower, event.refused
            )))
        });
    }
}

/// The receiver of `TimeoutNow` has the leader's whole log on its disk (thesis, section 3.10). Otherwise it would depose the
/// leader without being able to win.
#[derive(Default)]
pub struct TransferTargetUpToDate {
    /// The last entry that is on each server's disk.
    durable: BTreeMap<NodeId, u64>,
}

impl Invariant for TransferTargetUpToDate {
    const NAME: &'static str = "transfer-target-up-to-date";

    fn subscribe(on: &mut On<Self>) {
        on.fold::<Wrote>(|this, moment, event| {
            this.durable.insert(moment.node, event.index);
        });
        on.fold::<Installed>(|this, moment, event| {
            let durable = this.durable.entry(moment.node).or_default();
            *durable = event.index.max(*durable);
        });
        on.fold::<Restored>(|this, moment, event| {
            this.durable.insert(moment.node, event.last);
        });
        on.event::<TimeoutNowSent>(|this, _, event| {
            let has = this.durable.get(&NodeId::new(event.to as u16)).copied().unwrap_or(0);
            if has >= event.last {
                return Ok(());
            }
            Err(Violation::new(format!(
                "sent TimeoutNow to server {}, whose log ends at {has}; the leader's log ends at {}",
                event.to, event.last
            )))
        });
    }
}

#[cfg(test)]
mod tests {
    use sim::observe;

    use super::super::testing::{History, at, violations_of};
    use super::*;

    #[test]
    fn no_term_is_probed_twice_in_a_row() {
        let refused = |theirs, again| {
            let (term, follower, refused) = (5, 1, 9);
            at(0, move || observe!(NextIndexDecreased { term, follower, refused, theirs, again }))
        };
        let right = vec![refused(None, true), refused(Some(4), true), refused(Some(2), true), refused(Some(2), false)];
        assert!(violations_of::<FastBackup>(right).is_empty());
        assert_eq!(violations_of::<FastBackup>(vec![refused(Some(4), false), refused(Some(4), true)]), ["fast-backup"]);
    }

    #[test]
    fn only_a_server_with_the_whole_log_receives_timeout_now() {
        let history = |index| -> History {
            vec![
                at(1, move || observe!(Wrote { index, term: 1, path: "log".into(), offset: 0, len: 1 })),
                at(0, || observe!(TimeoutNowSent { to: 1, last: 7 })),
            ]
        };
        assert!(violations_of::<TransferTargetUpToDate>(history(7)).is_empty());
        assert_eq!(violations_of::<TransferTargetUpToDate>(history(6)), ["transfer-target-up-to-date"]);
    }
}
