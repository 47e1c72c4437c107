//! What a server holds: the data, and the answers that make retries harmless.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sim::check::linearizable::models::{KvOp, KvRet};
use sim::codec;
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// A clerk: it has one request outstanding at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Session {
    /// The client's machine.
    pub node: sim::NodeId,
    /// Which incarnation of it.
    pub life: u32,
    /// Which clerk of that incarnation.
    pub clerk: u32,
}

/// A request, as the primary gets it from a client and the backup from the primary.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// Who asks.
    pub session: Session,
    /// The how-manieth request of the session.
    pub seq: u64,
    /// What is asked.
    pub op: KvOp,
}

/// Whether a request was seen before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// Never.
    No,
    /// It is the session's latest, and this was the answer.
    Answered(KvRet),
    /// The session has moved on: nobody waits for the answer, and it must not be executed.
    Stale,
}

/// The replicated state.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Store {
    data: BTreeMap<String, String>,
    /// The latest request of each session, and its answer.
    sessions: BTreeMap<Session, (u64, KvRet)>,
    /// How many operations are in it.
    applied: u64,
    /// A hash of all operations in order: equal exactly if the states are.
    digest: u64,
}

impl Store {
    /// How many operations were applied.
    pub fn applied(&self) -> u64 {
        self.applied
    }

    /// The hash of the operations, in order.
    pub fn digest(&self) -> u64 {
        self.digest
    }

    /// Forgets which requests were answered.
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

    /// What a read would return, without taking part in the order of operations.
    pub fn peek(&self, key: &str) -> KvRet {
        KvRet::Value(self.data.get(key).cloned().unwrap_or_default())
    }

    /// Executes a request that was not seen before.
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
        let session = Session { node: sim::NodeId::new(3), life: 1, clerk: 1 };
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
        let other = Request { session: Session { node: sim::NodeId::new(4), life: 1, clerk: 1 }, ..append(1, "b") };
        ab.apply(&append(1, "a"));
        ab.apply(&other);
        ba.apply(&other);
        ba.apply(&append(1, "a"));
        assert_ne!(ab.digest(), ba.digest());
    }
}
