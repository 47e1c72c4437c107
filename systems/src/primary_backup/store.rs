//! A server's replicated state: the data, and the table of answered requests that filters out duplicates.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sim::codec;
use sim::models::{KvOp, KvRet};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::kit::session::{Replies, RequestId, Seen};

/// A request, from a client to the primary or from the primary to the backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// The name of the request: a request that is sent again has the same.
    pub id: RequestId,
    /// The operation.
    pub op: KvOp,
}

/// The replicated state.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Store {
    data: BTreeMap<String, String>,
    /// The latest request of each session, and its answer.
    replies: Replies<KvRet>,
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
        self.replies.clear();
    }

    /// Whether the request was executed before.
    pub fn seen(&self, request: &Request) -> Seen<&KvRet> {
        self.replies.seen(request.id)
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
        self.replies.insert(request.id, answer.clone());
        self.applied += 1;
        self.digest = xxh3_64_with_seed(&codec::encode(request).expect("requests are small"), self.digest);
        answer
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kit::session::Session;

    fn append(node: u16, number: u64, value: &str) -> Request {
        let session = Session { node: sim::NodeId::new(node), incarnation: 1, nth: 1 };
        Request { id: RequestId { session, number }, op: KvOp::Append { key: "k".into(), value: value.into() } }
    }

    #[test]
    fn a_request_that_was_applied_is_answered_with_the_first_reply() {
        let mut store = Store::default();
        store.apply(&append(3, 1, "a"));
        assert_eq!(store.seen(&append(3, 1, "a")), Seen::Answered(&KvRet::Done));
        store.apply(&append(3, 2, "b"));
        assert_eq!(store.seen(&append(3, 1, "a")), Seen::Stale);
        assert_eq!(store.peek("k"), KvRet::Value("ab".into()));
        store.forget_sessions();
        assert_eq!(store.seen(&append(3, 1, "a")), Seen::New);
    }

    #[test]
    fn the_digest_tells_orders_apart() {
        let (mut ab, mut ba) = (Store::default(), Store::default());
        ab.apply(&append(3, 1, "a"));
        ab.apply(&append(4, 1, "b"));
        ba.apply(&append(4, 1, "b"));
        ba.apply(&append(3, 1, "a"));
        assert_ne!(ab.digest(), ba.digest());
    }
}
