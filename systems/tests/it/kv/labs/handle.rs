//! A client's handle: each of its operations, written down with what came of it.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use sim::check::linearizable::{Model, Operation, Outcome};
use sim::models::{self, StoreOp, StoreRet};
use sim::{OpError, time};
use systems::kv::client::Clerk;

use super::lab::Result;
use crate::transcript::Transcript;

/// How long a client tries.
const PATIENCE: Duration = Duration::from_secs(60);

/// What all clients did.
pub type History = Rc<RefCell<Vec<Operation<StoreOp, StoreRet>>>>;

pub struct ClientHandle {
    clerk: Clerk,
    process: u32,
    history: History,
    transcript: Option<Transcript>,
}

impl ClientHandle {
    pub fn new(clerk: Clerk, process: u32, history: History, transcript: Option<Transcript>) -> ClientHandle {
        ClientHandle { clerk, process, history, transcript }
    }

    fn say(&self, what: &str) {
        if let Some(transcript) = &self.transcript {
            transcript.note(time::now().as_nanos(), &format!("client {}: {what}", self.process));
        }
    }

    /// Performs an operation, however it ends.
    pub async fn attempt(&mut self, op: StoreOp, within: Duration) -> Result<StoreRet, OpError> {
        let call = models::Store::describe(&op, None);
        self.say(&call);
        let invoked = time::now().as_nanos();
        let entry = Operation { process: self.process, op: op.clone(), invoked, outcome: Outcome::Unknown };
        let at = self.history.borrow().len();
        self.history.borrow_mut().push(entry);
        let done = self.clerk.perform(op, false, within).await;
        self.say(&match &done {
            Ok(StoreRet::Value(value)) => format!("{call} has returned {value:?}"),
            Ok(_) => format!("{call} is done"),
            other => format!("{call} has ended {other:?}"),
        });
        let at_ns = time::now().as_nanos();
        self.history.borrow_mut()[at].outcome = match &done {
            Ok(ret) => Outcome::Ok { at: at_ns, ret: ret.clone() },
            Err(OpError::Failed) => Outcome::Failed { at: at_ns },
            Err(OpError::Unknown) => Outcome::Unknown,
        };
        done
    }

    /// Performs an operation, which must succeed.
    async fn perform(&mut self, op: StoreOp) -> Result<StoreRet> {
        match self.attempt(op.clone(), PATIENCE).await {
            Ok(ret) => Ok(ret),
            other => Err(format!("client {}: {op:?} has ended {other:?}", self.process)),
        }
    }

    pub async fn put(&mut self, key: &str, value: &str) -> Result {
        self.perform(StoreOp::Put { key: key.to_owned(), value: value.to_owned() }).await.map(drop)
    }

    pub async fn append(&mut self, key: &str, value: &str) -> Result {
        self.perform(StoreOp::Append { key: key.to_owned(), value: value.to_owned() }).await.map(drop)
    }

    /// The value; nothing if the key is not there.
    pub async fn get(&mut self, key: &str) -> Result<String> {
        match self.perform(StoreOp::Get { key: key.to_owned() }).await? {
            StoreRet::Value(value) => Ok(value.unwrap_or_default()),
            other => Err(format!("a get returned {other:?}")),
        }
    }

    /// Whether it had the expected value, and has the new one.
    pub async fn swap(&mut self, key: &str, expected: Option<&str>, new: &str) -> Result<bool> {
        let (key, expected, new) = (key.to_owned(), expected.map(str::to_owned), new.to_owned());
        match self.perform(StoreOp::Cas { key, expected, new }).await? {
            StoreRet::Swapped(swapped) => Ok(swapped),
            other => Err(format!("a compare-and-swap returned {other:?}")),
        }
    }

    /// Whether the key was there.
    pub async fn delete(&mut self, key: &str) -> Result<bool> {
        match self.perform(StoreOp::Delete { key: key.to_owned() }).await? {
            StoreRet::Deleted(was_there) => Ok(was_there),
            other => Err(format!("a delete returned {other:?}")),
        }
    }

    /// The key must have that value.
    pub async fn expect(&mut self, key: &str, value: &str) -> Result {
        let found = self.get(key).await?;
        if found == value { Ok(()) } else { Err(format!("{key} is {found:?}, and not {value:?}")) }
    }
}
