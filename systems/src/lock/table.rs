//! The replicated state: who holds which lock, until when.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use sim::planted;

use crate::rsm::{At, StateMachine};

/// By how much a clock may run fast or slow, as a fraction. A holder counts on less than the lease by as much.
pub const CLOCK_DRIFT: f64 = 0.05;

/// Identifies a grant: the index of its entry in the log.
pub type Token = u64;

/// What changes the table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Command {
    /// Grant the lock of that name for that long, if it is free.
    Acquire(String, Duration),
    /// Free the lock, if the grant with that token holds it.
    Release(String, Token),
}

/// The reply to a command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reply {
    /// The lock is granted, with this token.
    Granted(Token),
    /// Another grant holds the lock.
    Held,
    /// Whether the grant held the lock until now.
    Released(bool),
}

/// The locks that are held: the token of the grant, and when its lease is over, in the log's time.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Table(BTreeMap<String, (Token, Duration)>);

impl StateMachine for Table {
    type Command = Command;
    type Reply = Reply;
    /// The token of the grant that holds the lock of that name.
    type Query = String;
    type Answer = Option<Token>;

    fn apply(&mut self, at: &At, command: Command) -> Reply {
        self.0.retain(|_, (_, until)| at.now < *until);
        match command {
            Command::Acquire(name, _) if self.0.contains_key(&name) => Reply::Held,
            Command::Acquire(name, lease) => {
                self.0.insert(name, (at.index, at.now + lease));
                Reply::Granted(at.index)
            }
            Command::Release(name, token) => {
                let holds = self.0.get(&name).is_some_and(|(holder, _)| *holder == token);
                if holds || planted!("lock.anyone-releases") {
                    self.0.remove(&name);
                }
                Reply::Released(holds)
            }
        }
    }

    fn query(&self, name: &String) -> Option<Token> {
        self.0.get(name).map(|(token, _)| *token)
    }
}
