//! The client library: sends one record at a time until it is acknowledged, and never takes a silence for a no.

use std::ops::ControlFlow;
use std::time::Duration;

use sim::rpc::{self, CallOptions};
use sim::{Addr, OpError, node, time};

use super::server::{self, Answer, Call, Service};
use super::state::{Lost, Record};
use crate::kit::retry::{Pause, retry};
use crate::kit::session::Requests;

/// How long a client waits for one answer.
const ATTEMPT: Duration = Duration::from_millis(250);
/// How long it rests before it tries again.
const PAUSE: Pause = Pause::Fixed(Duration::from_millis(20));

/// A client of the journal.
pub struct Clerk {
    requests: Requests,
}

impl Default for Clerk {
    fn default() -> Self {
        Clerk { requests: Requests::begin() }
    }
}

fn journal() -> Addr {
    node::lookup("journal-0").expect("there is a journal").port(server::PORT)
}

impl Clerk {
    /// The clerk's next record.
    pub fn record(&mut self, body: String) -> Record {
        Record { request: self.requests.next_id(), body }
    }

    /// Appends the clerk's latest record, and returns the number that it has. Tries for so long.
    ///
    /// # Errors
    ///
    /// [`OpError::Failed`] if each attempt was refused: the record is not in the journal and never will be.
    /// [`OpError::Unknown`] if at least one attempt may have succeeded, or may yet.
    pub async fn append(&self, record: &Record, within: Duration) -> Result<u64, OpError> {
        let call = Call::Append(record.clone());
        let mut outcome = OpError::Failed;
        let index = retry(time::now() + within, PAUSE, async || match ask(&call).await {
            Some(Answer::Appended(index)) => ControlFlow::Break(index),
            Some(Answer::Refused) => ControlFlow::Continue(()),
            _ => {
                outcome = OpError::Unknown;
                ControlFlow::Continue(())
            }
        });
        index.await.ok_or(outcome)
    }

    /// Everything that is in the journal, and what is lost. Tries for so long.
    ///
    /// # Errors
    ///
    /// [`OpError::Unknown`] when the time is up.
    pub async fn read(&self, within: Duration) -> Result<(Vec<(u64, Record)>, Vec<Lost>), OpError> {
        let contents = retry(time::now() + within, PAUSE, async || match ask(&Call::Read).await {
            Some(Answer::Contents(records, lost)) => ControlFlow::Break((records, lost)),
            _ => ControlFlow::Continue(()),
        });
        contents.await.ok_or(OpError::Unknown)
    }
}

async fn ask(call: &Call) -> Option<Answer> {
    rpc::call::<Service>(journal(), call, CallOptions::timeout(ATTEMPT)).await.ok()
}
