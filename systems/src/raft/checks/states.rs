//! Replicated states and acknowledged commands.

use std::collections::BTreeMap;

use sim::check::{Invariant, Violation};
use sim::event::On;

use super::super::events::{Applied, State};
use super::super::server::Acked;

/// State machines at the same index have executed the same commands, also those restored from a snapshot.
#[derive(Default)]
pub struct SameState(BTreeMap<u64, (u64, u64)>);

impl Invariant for SameState {
    const NAME: &'static str = "same-state";

    fn subscribe(on: &mut On<Self>) {
        on.event::<State>(|this, _, event| {
            let State { index, count, hash } = *event;
            let first = *this.0.entry(index).or_insert((count, hash));
            if first == (count, hash) {
                return Ok(());
            }
            Err(Violation::new(format!(
                "the state after entry {index} has {count} commands and hash {hash:x}; elsewhere it has {} and {:x}",
                first.0, first.1
            )))
        });
    }
}

/// An acknowledged command is the command applied at its index.
#[derive(Default)]
pub struct AckedIsApplied(BTreeMap<u64, u64>);

impl Invariant for AckedIsApplied {
    const NAME: &'static str = "acked-is-applied";

    fn subscribe(on: &mut On<Self>) {
        on.fold::<Applied>(|this, _, event| {
            this.0.entry(event.index).or_insert(event.hash);
        });
        on.event::<Acked>(|this, _, event| match this.0.get(&event.index) {
            Some(hash) if *hash == event.hash => Ok(()),
            Some(_) => {
                Err(Violation::new(format!("acknowledged another command than the one applied at {}", event.index)))
            }
            None => Err(Violation::new(format!("acknowledged a command at {}, where none is applied", event.index))),
        });
    }
}

#[cfg(test)]
mod tests {
    use sim::observe;

    use super::super::testing::{History, at, violations_of};
    use super::*;

    #[test]
    fn the_same_index_is_the_same_state() {
        let state = |count| move || observe!(State { index: 3, count, hash: 9 });
        let history = |count| -> History { vec![at(0, state(2)), at(1, state(count))] };
        assert!(violations_of::<SameState>(history(2)).is_empty());
        assert_eq!(violations_of::<SameState>(history(3)), ["same-state"]);
    }

    #[test]
    fn an_acknowledged_command_is_the_one_applied() {
        let history = |index, hash| -> History {
            vec![
                at(0, || observe!(Applied { index: 3, term: 1, hash: 9 })),
                at(0, move || observe!(Acked { index, hash })),
            ]
        };
        assert!(violations_of::<AckedIsApplied>(history(3, 9)).is_empty());
        assert_eq!(violations_of::<AckedIsApplied>(history(3, 8)), ["acked-is-applied"]);
        assert_eq!(violations_of::<AckedIsApplied>(history(4, 9)), ["acked-is-applied"]);
    }
}
