//! States: servers that have applied as much are the same, and what a client was told is what was applied.

use std::collections::BTreeMap;

use sim::check::{Invariant, Violation};
use sim::event::On;

use super::super::events::{Acked, Applied, State};

/// State machines that have come to the same index have executed the same commands: also those that began with a snapshot.
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
                "the state after entry {index} is one of {count} commands with the hash {hash:x}, and was one of {} with {:x}",
                first.0, first.1
            )))
        });
    }
}

/// A command that a client was told is committed is the one that is applied at its index.
#[derive(Default)]
pub struct AckedIsApplied(BTreeMap<u64, u64>);

impl Invariant for AckedIsApplied {
    const NAME: &'static str = "acked-is-applied";

    fn subscribe(on: &mut On<Self>) {
        on.event::<Applied>(|this, _, event| {
            this.0.entry(event.index).or_insert(event.hash);
            Ok(())
        });
        on.event::<Acked>(|this, _, event| match this.0.get(&event.index) {
            Some(hash) if *hash == event.hash => Ok(()),
            Some(_) => {
                Err(Violation::new(format!("a client was told of another command at {} than is there", event.index)))
            }
            None => Err(Violation::new(format!("a client was told of a command at {}, where nothing is", event.index))),
        });
    }
}

#[cfg(test)]
mod tests {
    use sim::observe;

    use super::super::testing::{History, at, told};
    use super::*;

    #[test]
    fn the_same_index_is_the_same_state() {
        let state = |count| move || observe!(State { index: 3, count, hash: 9 });
        let history = |count| -> History { vec![at(0, state(2)), at(1, state(count))] };
        assert!(told::<SameState>(history(2)).is_empty());
        assert_eq!(told::<SameState>(history(3)), ["same-state"]);
    }

    #[test]
    fn clients_are_told_of_what_is_there() {
        let history = |index, hash| -> History {
            vec![
                at(0, || observe!(Applied { index: 3, term: 1, hash: 9 })),
                at(0, move || observe!(Acked { index, hash })),
            ]
        };
        assert!(told::<AckedIsApplied>(history(3, 9)).is_empty());
        assert_eq!(told::<AckedIsApplied>(history(3, 8)), ["acked-is-applied"]);
        assert_eq!(told::<AckedIsApplied>(history(4, 9)), ["acked-is-applied"]);
    }
}
