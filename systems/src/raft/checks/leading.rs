//! How a leader treats single followers: how it finds out where their logs differ, and to whom it hands over.

use std::collections::BTreeMap;

use sim::NodeId;
use sim::check::{Invariant, Violation};
use sim::event::On;

use super::super::events::{BackedUp, Installed, Restored, ToldToStand, Wrote};

/// A follower that differs is brought into line within as many refusals as its log has terms (the end of section 5.3): a
/// leader that was told of a conflict with one term does not ask about that term again.
#[derive(Default)]
pub struct BacksUp {
    /// The term that the last refusal in a row named: of each follower, in the leader's term.
    last: BTreeMap<(u64, u64), Option<u64>>,
}

impl Invariant for BacksUp {
    const NAME: &'static str = "backs-up";

    fn subscribe(on: &mut On<Self>) {
        on.event::<BackedUp>(|this, _, event| {
            let before = this.last.insert((event.term, event.follower), event.theirs).flatten();
            let (Some(before), Some(theirs)) = (before.filter(|_| event.again), event.theirs) else { return Ok(()) };
            if theirs < before {
                return Ok(());
            }
            Err(Violation::new(format!(
                "asked server {} about entry {}, of its term {theirs}, after it was told of a conflict with term {before}",
                event.follower, event.refused
            )))
        });
    }
}

/// Who is told to stand for election at once has the whole log on its disk (thesis, section 3.10): otherwise it takes the
/// leader's term away and cannot win.
#[derive(Default)]
pub struct HandsOver {
    /// The last entry that is on each server's disk.
    durable: BTreeMap<NodeId, u64>,
}

impl Invariant for HandsOver {
    const NAME: &'static str = "hands-over";

    fn subscribe(on: &mut On<Self>) {
        on.event::<Wrote>(|this, moment, event| {
            this.durable.insert(moment.node, event.index);
            Ok(())
        });
        on.event::<Installed>(|this, moment, event| {
            let durable = this.durable.entry(moment.node).or_default();
            *durable = event.index.max(*durable);
            Ok(())
        });
        on.event::<Restored>(|this, moment, event| {
            this.durable.insert(moment.node, event.last);
            Ok(())
        });
        on.event::<ToldToStand>(|this, _, event| {
            let has = this.durable.get(&NodeId::new(event.to as u16)).copied().unwrap_or(0);
            if has >= event.last {
                return Ok(());
            }
            Err(Violation::new(format!(
                "told server {} to stand, whose log ends at {has}; its own ends at {}",
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
    fn no_term_is_asked_about_twice_in_a_row() {
        let refused = |theirs, again| {
            let (term, follower, refused) = (5, 1, 9);
            at(0, move || observe!(BackedUp { term, follower, refused, theirs, again }))
        };
        let right = vec![refused(None, true), refused(Some(4), true), refused(Some(2), true), refused(Some(2), false)];
        assert!(violations_of::<BacksUp>(right).is_empty());
        assert_eq!(violations_of::<BacksUp>(vec![refused(Some(4), false), refused(Some(4), true)]), ["backs-up"]);
    }

    #[test]
    fn only_who_has_the_whole_log_is_told_to_stand() {
        let history = |index| -> History {
            vec![
                at(1, move || observe!(Wrote { index, term: 1, path: "log".into(), offset: 0, len: 1 })),
                at(0, || observe!(ToldToStand { to: 1, last: 7 })),
            ]
        };
        assert!(violations_of::<HandsOver>(history(7)).is_empty());
        assert_eq!(violations_of::<HandsOver>(history(6)), ["hands-over"]);
    }
}
