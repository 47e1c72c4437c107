//! A server's replicated state: the data, and the table of answered requests that filters out duplicates.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sim::check::linearizable::models::{KvOp, KvRet};
use sim::codec;
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// The session of one clerk. A session has at most one outstanding request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Session {
    /// The client's node.
    pub node: sim::NodeId,
    /// The incarnation of the node.
    pub incarnation: u32,
    /// The number of the clerk within the incarnation, from 0.
    pub clerk: u32,
}

/// A request, from a client to the primary or from the primary to the backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// The client's session.
    pub session: Session,
    /// The number of the request within its session, from 1.
    pub seq: u64,
    /// The operation.
    pub op: KvOp,
}

/// Whether a request was seen before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// The request is new.
    No,
    /// The request is the latest of its session, and this was the answer.
    Answered(KvRet),
    /// The session has sent a later request. The client no longer waits, and the request must not be executed.
    Stale,
}

/// The replicated state.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Store {
    data: BTreeMap<String, String>,
    /// The latest request of each session, and its answer.
    sessions: BTreeMap<Session, (u64, KvRet)>,
    /// The number of applied operations.
    applied: u64,
    /// A hash of all operations in order. Equal states have equal digests, and vice versa.
    digest: u64,
}

impl Store {
    /// The number of applied operations.
    pub fn applied(&self) -> u64 {
        self.applied
    }

    /// The hash of the operations, in order.
    pub fn digest(&self) -> u64 {
        self.digest
    }

    /// Clears the table of answered requests.
    pub fn forget_sessions(&mut self) {
        self.sessions.clear();
    }

    /// Whether the request was executed before.
    pub fn seen(&self, request: &Request) -> Seen {
        match self.sessions.get(&request.session) {
            Some((seq, answer)) if *seq == request.seq => Seen::Answered(answer.clone()),
            Some((seq, _)) if *seq > request.seq => Seen::Stale,
            _ => Seen::No,
        }
    }

    /// The value of a key, read outside the order of operations.
    pub fn peek(&self, key: &str) -> KvRet {
        KvRet::Value(self.data.get(key).cloned().unwrap_or_default())
    }

    /// Executes a new request.
    pub fn apply(&mut self, request: &Request) -> KvRet {
        let answer = match &request.op {
            KvOp::Get { key } => self.peek(key),
            KvOp::Put { key, value } => {
                self.data.insert(key.clone(), value.clone());
                KvRet::Done
            }
            KvOp::Append { key, value } => {
                self.data.entry(key.clone()).or_default().push_str(value);
                KvRet::Done
            }
        };
        self.sessions.insert(request.session, (request.seq, answer.clone()));
        self.applied += 1;
        self.digest = xxh3_64_with_seed(&codec::encode(request).expect("requests are small"), self.digest);
        answer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn append(seq: u64, value: &str) -> Request {
        let session = Session { node: sim::NodeId::new(3), incarnation: 1, clerk: 1 };
        Request { session, seq, op: KvOp::Append { key: "k".into(), value: value.into() } }
    }

    #[test]
    fn a_request_is_seen_once_applied_and_stale_once_the_session_moved_on() {
        let mut store = Store::default();
        assert_eq!(store.seen(&append(1, "a")), Seen::No);
        store.apply(&append(1, "a"));
        assert_eq!(store.seen(&append(1, "a")), Seen::Answered(KvRet::Done));
        store.apply(&append(2, "b"));
        assert_eq!(store.seen(&append(1, "a")), Seen::Stale);
        assert_eq!(store.peek("k"), KvRet::Value("ab".into()));
    }

    #[test]
    fn the_digest_tells_orders_apart() {
        let (mut ab, mut ba) = (Store::default(), Store::default());
        let other =
            Request { session: Session { node: sim::NodeId::new(4), incarnation: 1, clerk: 1 }, ..append(1, "b") };
        ab.apply(&append(1, "a"));
        ab.apply(&other);
        ba.apply(&other);
        ba.apply(&append(1, "a"));
        assert_ne!(ab.digest(), ba.digest());
    }
}
