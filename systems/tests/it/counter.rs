//! The least state machine: a number that commands add to.

use serde::{Deserialize, Serialize};
use systems::rsm::{At, StateMachine};

/// Counts, and remembers what it counted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counter {
    /// The sum of the commands.
    pub sum: u64,
    /// How many there were.
    pub commands: u64,
}

impl StateMachine for Counter {
    type Command = u64;
    type Reply = u64;
    type Query = ();
    type Answer = u64;

    fn apply(&mut self, _: &At, by: u64) -> u64 {
        self.commands += 1;
        self.sum += by;
        self.sum
    }

    fn query(&self, (): &()) -> u64 {
        self.sum
    }
}
