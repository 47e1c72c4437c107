//! A shard: its keys and values, the sessions of the clients that wrote to it, and how both are sent to another group.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use sim::{observe, planted, reachable};
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use super::ShardId;
use super::events::SessionEnded;
use crate::kit::session::{Latest, Seen};
use crate::kv::store::{self, Store};
use crate::rsm::{At, StateMachine};
use crate::storage::StorageError;
use crate::storage::snapshot::{Snapshot, Writer};

/// The name of a session of one shard, unique over all groups: the group that opened it, and the entry of its log.
pub type SessionId = u64;

/// How much a shard may hold. All replicas of all groups must be given the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Of keys and values.
    pub store: store::Limits,
    /// A session ends when no command of it came for so long, in the log's time of the groups that own the shard.
    pub idle: Duration,
    /// When a shard has more sessions than this, the one that was used least recently ends.
    pub sessions: usize,
}

/// What came of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is executed, now for the first time.
    Executed(store::Reply),
    /// It was executed before, and this was the reply.
    Repeated(store::Reply),
    /// There is no such session, or no longer. It is not executed now, but may have been.
    Expired,
    /// A later command of the session was executed. It is not executed now, but may have been.
    Superseded,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Session {
    /// When a command of it came last, in the log's time of the group.
    used: Duration,
    latest: Option<Latest<store::Reply>>,
}

/// A shard.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shard {
    store: Store,
    sessions: BTreeMap<SessionId, Session>,
    /// The sessions by their last use.
    by_use: BTreeSet<(Duration, SessionId)>,
}

/// How far the contents of a shard have been sent: sessions come first, then keys, each in ascending order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Cursor {
    /// After that session; `None` is the beginning.
    Session(Option<SessionId>),
    /// After that key; `None` is before the first key.
    Key(Option<String>),
}

impl Cursor {
    /// Where nothing has been sent.
    pub const START: Cursor = Cursor::Session(None);
}

/// A session on its way: its name, for how long it has not been used, and its latest command.
type MovedSession = (SessionId, Duration, Option<Latest<store::Reply>>);

/// A part of a shard's contents.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chunk {
    sessions: Vec<MovedSession>,
    pairs: Vec<(String, String)>,
    /// The log's time at the sender.
    pub sent: Duration,
    /// Where the next one begins; `None` if this is the last.
    pub next: Option<Cursor>,
}

impl Chunk {
    /// How many keys are in it.
    pub fn keys(&self) -> u64 {
        self.pairs.len() as u64
    }
}

/// How many sessions are one value of a snapshot.
const BATCH: usize = 16;

/// What a session takes in a chunk, about.
const SESSION_BYTES: usize = 32;

impl Shard {
    /// An empty one.
    pub fn new(limits: Limits) -> Shard {
        Shard { store: Store::new(limits.store), sessions: BTreeMap::new(), by_use: BTreeSet::new() }
    }

    /// The bytes of keys and values, as [`store::Limits::total`] counts them.
    pub fn bytes(&self) -> usize {
        self.store.bytes()
    }

    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<String> {
        match self.store.query(&store::Query::Get(key.to_owned())) {
            store::Answer::Value(value) => value,
            store::Answer::Pairs(_) => None,
        }
    }

    /// Opens a session. If there are too many then, the one that was used least recently ends.
    pub fn open(&mut self, now: Duration, id: SessionId, limits: Limits) {
        self.sessions.insert(id, Session { used: now, latest: None });
        self.by_use.insert((now, id));
        if self.sessions.len() > limits.sessions.max(1)
            && let Some((_, oldest)) = self.by_use.pop_first()
        {
            reachable!("shardkv: of too many sessions the least recently used one ends");
            self.sessions.remove(&oldest);
        }
    }

    /// Executes a command of a session, unless it was executed before.
    pub fn execute(&mut self, at: &At, id: SessionId, number: u64, command: store::Command, limits: Limits) -> Outcome {
        if !self.sessions.contains_key(&id) && planted!("shardkv.ended-session-comes-back") {
            self.open(at.now, id, limits);
        }
        let Some(session) = self.sessions.get_mut(&id) else {
            reachable!("shardkv: a command of an ended session is refused");
            return Outcome::Expired;
        };
        self.by_use.remove(&(session.used, id));
        self.by_use.insert((at.now, id));
        session.used = at.now;
        match Latest::seen(session.latest.as_ref(), number).copied() {
            Seen::Answered(reply) => {
                reachable!("shardkv: a repeated command gets its first reply");
                return Outcome::Repeated(reply);
            }
            Seen::Stale => return Outcome::Superseded,
            Seen::New => {}
        }
        let reply = self.store.apply(at, command);
        session.latest = Some(Latest::new(number, reply));
        Outcome::Executed(reply)
    }

    /// Ends the sessions of which no command came for too long. `shard` is the number of this shard.
    pub fn end_idle(&mut self, at: &At, shard: ShardId, limits: Limits) {
        while let Some(&(used, id)) = self.by_use.first()
            && at.now.saturating_sub(used) > limits.idle
        {
            let (idle_ns, now_ns) = (limits.idle.as_nanos() as u64, at.now.as_nanos() as u64);
            observe!(SessionEnded { index: at.index, shard, session: id, idle_ns, now_ns });
            self.by_use.pop_first();
            self.sessions.remove(&id);
        }
    }

    /// A hash of keys, values and sessions, the same at each owner: without the times of sessions, which each group counts anew.
    pub fn hash(&self) -> u64 {
        let of = |(id, session): (&SessionId, &Session)| match &session.latest {
            Some(latest) => xxh3_64_with_seed(format!("{latest:?}").as_bytes(), *id),
            None => xxh3_64(&id.to_le_bytes()),
        };
        self.sessions.iter().map(of).fold(self.store.digest(), |all, one| all ^ one)
    }

    /// The contents from `from` on, as many as fit into so many bytes, and at least one session or key if there are any.
    pub fn chunk(&self, from: &Cursor, bytes: usize, now: Duration) -> Chunk {
        let (mut chunk, mut left) = (Chunk { sent: now, ..Chunk::default() }, bytes);
        let after_key = match from {
            Cursor::Session(after) => {
                let first = after.map_or(0, |after| after + 1);
                for (id, session) in self.sessions.range(first..) {
                    if !chunk.sessions.is_empty() && left < SESSION_BYTES {
                        chunk.next = chunk.sessions.last().map(|(id, _, _)| Cursor::Session(Some(*id)));
                        return chunk;
                    }
                    left = left.saturating_sub(SESSION_BYTES);
                    let latest = session.latest.clone().filter(|_| !planted!("shardkv.sessions-not-moved"));
                    chunk.sessions.push((*id, now.saturating_sub(session.used), latest));
                }
                None
            }
            Cursor::Key(after) => after.as_deref(),
        };
        for (key, value) in self.store.pairs_after(after_key) {
            let size = store::PAIR + key.len() + value.len();
            let is_first = chunk.pairs.is_empty() && chunk.sessions.is_empty();
            if !is_first && left < size {
                let last = chunk.pairs.last().map(|(key, _)| key.clone());
                chunk.next = Some(Cursor::Key(last.or_else(|| after_key.map(str::to_owned))));
                return chunk;
            }
            left = left.saturating_sub(size);
            chunk.pairs.push((key.to_owned(), value.to_owned()));
        }
        chunk
    }

    /// Adds what another group sent.
    pub fn install(&mut self, chunk: Chunk, now: Duration) {
        for (id, idle, latest) in chunk.sessions {
            // Its time cannot go back beyond the beginning of this log: the session may end late, and never early.
            let used = now.saturating_sub(idle);
            self.by_use.insert((used, id));
            self.sessions.insert(id, Session { used, latest });
        }
        for (key, value) in chunk.pairs {
            // The limits are the same everywhere, so what fitted there fits here.
            let _ = self.store.set(key, value, store::Reply::Done);
        }
    }

    /// Writes it into a snapshot: the store piece by piece, the sessions in batches.
    pub async fn save(&self, to: &mut Writer) -> Result<(), StorageError> {
        self.store.save(to).await?;
        let mut all = self.sessions.iter();
        loop {
            let batch: Vec<_> = all.by_ref().take(BATCH).collect();
            to.put(&batch).await?;
            if batch.is_empty() {
                return Ok(());
            }
        }
    }

    /// Reads what [`Shard::save`] wrote.
    pub async fn load(from: &mut Snapshot) -> Result<Shard, StorageError> {
        let store = Store::load(from).await?;
        let mut sessions = BTreeMap::new();
        loop {
            let batch: Vec<(SessionId, Session)> = from.get().await?;
            if batch.is_empty() {
                break;
            }
            sessions.extend(batch);
        }
        let by_use = sessions.iter().map(|(id, session)| (session.used, *id)).collect();
        Ok(Shard { store, sessions, by_use })
    }
}
