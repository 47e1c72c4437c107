//! The client library: sends one record at a time until it is acknowledged, and never takes a silence for a no.

use std::cell::Cell;
use std::time::Duration;

use sim::rpc::{self, CallOptions};
use sim::{Addr, node, time};

use super::server::{self, Answer, Call, Service};
use super::state::{Lost, Record, Session};

/// How long a client waits for one answer.
const ATTEMPT: Duration = Duration::from_millis(250);
/// How long it rests before it tries again.
const PAUSE: Duration = Duration::from_millis(20);

sim::node_local! {
    /// Clerks made in this incarnation.
    static CLERKS: Cell<u32> = Cell::new(0);
}

/// Why there is no number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotKept {
    /// Each attempt was refused: the record is not in the journal and never will be.
    Refused,
    /// At least one attempt may have succeeded, or may yet.
    Unknown,
}

/// A client of the journal.
pub struct Clerk {
    session: Session,
    number: u64,
}

impl Default for Clerk {
    fn default() -> Self {
        // A clerk starts to count anew: it must not be taken for an earlier one of the same client.
        let clerk = CLERKS.with(|clerks| clerks.replace(clerks.get() + 1));
        Clerk { session: Session { node: node::this(), life: node::incarnation(), clerk }, number: 0 }
    }
}

fn journal() -> Addr {
    node::lookup("journal-0").expect("there is a journal").port(server::PORT)
}

impl Clerk {
    /// The clerk's next record.
    pub fn record(&mut self, body: String) -> Record {
        self.number += 1;
        Record { session: self.session, number: self.number, body }
    }

    /// Appends the clerk's latest record, and returns the number that it has. Tries until `deadline`.
    pub async fn append(&self, record: &Record, deadline: Duration) -> Result<u64, NotKept> {
        let call = Call::Append(record.clone());
        let until = time::now() + deadline;
        let mut outcome = NotKept::Refused;
        while time::now() < until {
            match rpc::call::<Service>(journal(), &call, CallOptions::timeout(ATTEMPT)).await {
                Ok(Answer::Appended(index)) => return Ok(index),
                Ok(Answer::Refused) => {}
                _ => outcome = NotKept::Unknown,
            }
            time::sleep(PAUSE).await;
        }
        Err(outcome)
    }

    /// Everything that is in the journal, and what is lost. Tries until `deadline`.
    pub async fn read(&self, deadline: Duration) -> Option<(Vec<(u64, Record)>, Vec<Lost>)> {
        let until = time::now() + deadline;
        while time::now() < until {
            let answer = rpc::call::<Service>(journal(), &Call::Read, CallOptions::timeout(ATTEMPT)).await;
            if let Ok(Answer::Contents(records, lost)) = answer {
                return Some((records, lost));
            }
            time::sleep(PAUSE).await;
        }
        None
    }
}
