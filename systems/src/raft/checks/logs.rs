//! Leader Append-Only, Log Matching and State Machine Safety (Figure 3).

use std::collections::BTreeMap;

use sim::NodeId;
use sim::check::{Invariant, Violation};
use sim::event::{Booted, On};

use super::super::events::{Appended, Applied, Installed, Restored};

/// Leader Append-Only: a leader never overwrites or deletes entries in its log (section 5.3).
#[derive(Default)]
pub struct LeaderAppendOnly(BTreeMap<NodeId, (u64, u64)>);

impl Invariant for LeaderAppendOnly {
    const NAME: &'static str = "leader-append-only";

    fn subscribe(on: &mut On<Self>) {
        on.fold::<Booted>(|this, moment, _| {
            this.0.remove(&moment.node);
        });
        on.event::<Appended>(|this, moment, event| {
            let before = this.0.insert(moment.node, (event.leads, event.index));
            match before {
                Some((leads, last)) if event.leads > 0 && leads == event.leads && event.index <= last => {
                    let text = format!("leads term {leads} but replaced entry {} of its log up to {last}", event.index);
                    Err(Violation::new(text))
                }
                _ => Ok(()),
            }
        });
    }
}

/// Log Matching: two logs with an entry of the same index and term agree up to that entry (section 5.3). It suffices, by
/// induction, that entries of the same index and term have the same content and follow an entry of the same term.
#[derive(Default)]
pub struct LogMatching(BTreeMap<(u64, u64), (u64, u64)>);

impl Invariant for LogMatching {
    const NAME: &'static str = "log-matching";

    fn subscribe(on: &mut On<Self>) {
        on.event::<Appended>(|this, _, event| {
            let Appended { index, term, prev_term, hash, .. } = *event;
            let first = *this.0.entry((index, term)).or_insert((prev_term, hash));
            if first.0 != prev_term {
                let text = format!(
                    "entry {index} of term {term} follows one of term {prev_term}, and one of {} elsewhere",
                    first.0
                );
                return Err(Violation::new(text));
            }
            if first.1 != hash {
                return Err(Violation::new(format!("entry {index} of term {term} has another content elsewhere")));
            }
            Ok(())
        });
    }
}

/// State Machine Safety: no two servers apply different entries at the same index (section 5.4.3). In each incarnation a
/// server applies every entry once, in order (`order`), and never installs a snapshot older than its state (`back`).
#[derive(Default)]
pub struct StateMachineSafety {
    entries: BTreeMap<u64, (u64, u64)>,
    applied: BTreeMap<NodeId, u64>,
}

impl Invariant for StateMachineSafety {
    const NAME: &'static str = "state-machine-safety";

    fn subscribe(on: &mut On<Self>) {
        on.fold::<Restored>(|this, moment, event| {
            this.applied.insert(moment.node, event.snapshot);
        });
        on.event::<Installed>(|this, moment, event| {
            let applied = this.applied.entry(moment.node).or_default();
            if event.index <= *applied {
                let text = format!("went back to a snapshot up to {} when it had applied {applied}", event.index);
                return Err(Violation::about("back", text));
            }
            *applied = event.index;
            Ok(())
        });
        on.event::<Applied>(|this, moment, event| {
            let Applied { index, term, hash } = *event;
            let applied = this.applied.entry(moment.node).or_default();
            if index != *applied + 1 {
                let text = format!("applied entry {index} after entry {applied}");
                return Err(Violation::about("order", text));
            }
            *applied = index;
            let first = *this.entries.entry(index).or_insert((term, hash));
            if first == (term, hash) {
                return Ok(());
            }
            Err(Violation::new(format!(
                "applied an entry of term {term} at index {index}, where another server applied one of term {}",
                first.0
            )))
        });
    }
}

#[cfg(test)]
mod tests {
    use sim::observe;

    use super::super::testing::{History, appended, at, violations_of};
    use super::*;

    #[test]
    fn a_leader_only_appends() {
        let history = |leads| vec![at(0, appended(5, (1, 2), 1, 2)), at(0, appended(5, (1, 2), 1, leads))];
        assert_eq!(violations_of::<LeaderAppendOnly>(history(2)), ["leader-append-only"]);
        // A follower may replace entries.
        assert!(violations_of::<LeaderAppendOnly>(history(0)).is_empty());
    }

    #[test]
    fn equal_entries_have_equal_contents_and_predecessors() {
        let history = |prev, hash| vec![at(0, appended(5, (1, 2), 9, 2)), at(1, appended(5, (prev, 2), hash, 0))];
        assert!(violations_of::<LogMatching>(history(1, 9)).is_empty());
        assert_eq!(violations_of::<LogMatching>(history(2, 9)), ["log-matching"]);
        assert_eq!(violations_of::<LogMatching>(history(1, 8)), ["log-matching"]);
    }

    #[test]
    fn all_servers_apply_the_same_entries_in_order() {
        let applied = |index, hash| move || observe!(Applied { index, term: 1, hash });
        let history =
            |index, hash| -> History { vec![at(0, applied(1, 9)), at(0, applied(2, 9)), at(1, applied(index, hash))] };
        assert!(violations_of::<StateMachineSafety>(history(1, 9)).is_empty());
        assert_eq!(violations_of::<StateMachineSafety>(history(1, 8)), ["state-machine-safety"]);
        assert_eq!(violations_of::<StateMachineSafety>(history(2, 9)), ["state-machine-safety:order"]);
        let back = vec![at(0, applied(1, 9)), at(0, || observe!(Installed { index: 1, term: 1, last: 1 }))];
        assert_eq!(violations_of::<StateMachineSafety>(back), ["state-machine-safety:back"]);
    }
}
