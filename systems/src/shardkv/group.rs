//! A replica group's replicated state: the configuration that it has adopted, and the shards that it holds.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use sim::{observe, planted, reachable};

use super::config::Config;
use super::events::{Adopted, ChunkInstalled, Forgot, GaveUp, Installed, ReadServed, Served};
use super::shard::{Chunk, Cursor, Limits, Outcome, SessionId, Shard};
use super::{Gid, ShardId, shard_of, visible};
use crate::kv::store;
use crate::rsm::{At, StateMachine};
use crate::storage::StorageError;
use crate::storage::snapshot::{Snapshot, Writer};

sim::node_local! {
    /// The operations that this server executed or answered, by shard, since they were last reported.
    pub(super) static LOAD: RefCell<BTreeMap<ShardId, u64>> = RefCell::default();
}

/// What a group does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Command {
    /// Opens a session for the shard.
    Open(ShardId),
    /// Executes a client's command, once.
    Execute {
        /// The session, which was opened for the shard of the command's key.
        session: SessionId,
        /// The number of the command in its session.
        number: u64,
        /// The command.
        command: store::Command,
    },
    /// Adopts the next configuration, if everything of the one before has been installed and handed over.
    Adopt(Config),
    /// Adds a part of a shard that another group gives up.
    Install {
        /// The number of the configuration by which it moves.
        config: u64,
        /// The shard.
        shard: ShardId,
        /// Where this part begins.
        from: Cursor,
        /// This part.
        chunk: Chunk,
    },
    /// Deletes a shard that its new owner has installed.
    Forget {
        /// The number of the configuration by which it moved.
        config: u64,
        /// The shard.
        shard: ShardId,
    },
}

/// The reply to a command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reply {
    /// The session is open.
    Opened(SessionId),
    /// The command is executed, now or earlier.
    Executed(store::Reply),
    /// The command is not executed now, but may have been: its session has ended, or a later command of it was executed.
    Ended,
    /// The command is not executed now: the group does not serve the shard.
    NotServed(NotServed),
    /// How far a shard has arrived.
    Progress(Progress),
    /// The configuration of that number is the one that the group has adopted.
    Adopted(u64),
    /// The shard is not here any more.
    Forgotten,
}

/// Why a group does not serve a shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum NotServed {
    /// The group does not own it, by the configuration of that number.
    WrongGroup(u64),
    /// The group owns it, and it has not arrived yet.
    Arriving,
}

/// How far a shard has arrived at its new owner.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Progress {
    /// The new owner has not adopted the configuration yet.
    Behind,
    /// So much of it.
    At(Cursor),
    /// All of it: the old owner may delete it.
    Installed,
}

/// A query to a group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Query {
    /// The value of a key.
    Get(String),
    /// How far the shard has arrived that moves by the configuration of that number.
    Progress(u64, ShardId),
    /// What the group holds.
    Held,
}

/// The answer to a query.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    /// A value; none if the key is not there.
    Value(Option<String>),
    /// The group does not serve the shard of the key.
    NotServed(NotServed),
    /// How far a shard has arrived.
    Progress(Progress),
    /// The configuration, all shards that are held, and whether each of them is served.
    Held(u64, BTreeMap<ShardId, bool>),
}

/// A shard that a group holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Held {
    /// The group owns it, and all of it is here.
    Serving(Shard),
    /// The group owns it by its configuration, and the former owner has sent what comes before the cursor.
    Arriving(Shard, Cursor),
    /// By the group's configuration that other group owns it, and may not have all of it yet.
    Leaving(Shard, Gid),
}

/// The state of a group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    gid: Gid,
    limits: Limits,
    config: Config,
    held: BTreeMap<ShardId, Held>,
}

impl Group {
    /// A group that has adopted no configuration yet.
    pub fn new(gid: Gid, shards: ShardId, limits: Limits) -> Group {
        Group { gid, limits, config: Config::none(shards), held: BTreeMap::new() }
    }

    /// The configuration that it has adopted.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Whether all shards have been installed and handed over that its configuration moves.
    pub fn is_settled(&self) -> bool {
        self.held.values().all(|held| matches!(held, Held::Serving(_)))
    }

    /// The shards that it must hand over by its configuration, and to which groups.
    pub fn leaving(&self) -> Vec<(ShardId, Gid)> {
        let leaving = |(shard, held): (&ShardId, &Held)| match held {
            Held::Leaving(_, to) => Some((*shard, *to)),
            _ => None,
        };
        self.held.iter().filter_map(leaving).collect()
    }

    /// A part of a shard that it must hand over by the configuration of that number.
    pub fn chunk(&self, config: u64, shard: ShardId, from: &Cursor, bytes: usize, now: Duration) -> Option<Chunk> {
        match self.held.get(&shard) {
            Some(Held::Leaving(shard, _)) if config == self.config.number => Some(shard.chunk(from, bytes, now)),
            _ => None,
        }
    }

    /// The bytes of all keys and values that are here, served or not.
    pub fn bytes(&self) -> usize {
        let of = |held: &Held| match held {
            Held::Serving(shard) | Held::Arriving(shard, _) | Held::Leaving(shard, _) => shard.bytes(),
        };
        self.held.values().map(of).sum()
    }

    /// Why the shard is not served; `None` if it is.
    fn not_served(&self, shard: ShardId) -> Option<NotServed> {
        match self.held.get(&shard) {
            Some(Held::Serving(_)) => None,
            Some(Held::Arriving(..)) if planted!("shardkv.served-before-arrival") => None,
            Some(Held::Arriving(..)) => Some(NotServed::Arriving),
            Some(Held::Leaving(..)) if planted!("shardkv.commands-after-giving-up") => None,
            Some(Held::Leaving(..)) | None => Some(NotServed::WrongGroup(self.config.number)),
        }
    }

    /// The shard, if it is served.
    fn serving(&mut self, shard: ShardId) -> Result<&mut Shard, NotServed> {
        match self.not_served(shard) {
            Some(not_served) if !planted!("shardkv.ownership-checked-when-proposed") => Err(not_served),
            _ => match self.held.get_mut(&shard) {
                Some(Held::Serving(shard) | Held::Arriving(shard, _) | Held::Leaving(shard, _)) => Ok(shard),
                None => Err(NotServed::WrongGroup(self.config.number)),
            },
        }
    }

    fn open(&mut self, at: &At, shard: ShardId) -> Reply {
        let id = u64::from(self.gid) << 40 | at.index;
        let limits = self.limits;
        match self.serving(shard) {
            Ok(contents) => {
                contents.end_idle(at, shard, limits);
                contents.open(at.now, id, limits);
                Reply::Opened(id)
            }
            Err(not_served) => Reply::NotServed(not_served),
        }
    }

    fn execute(&mut self, at: &At, session: SessionId, number: u64, command: store::Command) -> Reply {
        let (id, limits, config) = (shard_of(command.key(), self.config.shards()), self.limits, self.config.number);
        let shard = match self.serving(id) {
            Ok(shard) => shard,
            Err(not_served) => {
                reachable!("shardkv: a command is in the log of a group that does not serve its shard any more");
                return Reply::NotServed(not_served);
            }
        };
        shard.end_idle(at, id, limits);
        match shard.execute(at, session, number, command, limits) {
            Outcome::Executed(reply) => {
                observe!(Served { index: at.index, config, shard: id, session, now_ns: nanos(at.now) });
                count(id);
                visible::executed(session, number);
                Reply::Executed(reply)
            }
            Outcome::Repeated(reply) => Reply::Executed(reply),
            Outcome::Expired | Outcome::Superseded => Reply::Ended,
        }
    }

    fn adopt(&mut self, at: &At, next: Config) -> Reply {
        let is_next = next.number == self.config.number + 1
            || next.number > self.config.number && planted!("shardkv.configuration-skipped");
        let is_settled = self.is_settled() || planted!("shardkv.adopted-in-the-middle");
        if !is_next || !is_settled {
            return Reply::Adopted(self.config.number);
        }
        observe!(Adopted { index: at.index, config: next.number });
        for shard in 0..next.shards() {
            let (before, after) = (self.config.owner(shard), next.owner(shard));
            if before == Some(self.gid) && after != before {
                self.give_up(at, shard, after, next.number);
            } else if after == Some(self.gid) && after != before {
                self.expect(at, shard, before, next.number);
            }
        }
        self.config = next;
        Reply::Adopted(self.config.number)
    }

    fn give_up(&mut self, at: &At, shard: ShardId, to: Option<Gid>, config: u64) {
        let (Some(to), Some(Held::Serving(contents))) = (to, self.held.remove(&shard)) else { return };
        observe!(GaveUp { index: at.index, config, shard, to, hash: contents.hash() });
        self.held.insert(shard, Held::Leaving(contents, to));
    }

    fn expect(&mut self, at: &At, shard: ShardId, from: Option<Gid>, config: u64) {
        let empty = Shard::new(self.limits);
        let held = match from {
            Some(_) => Held::Arriving(empty, Cursor::START),
            None => {
                observe!(Installed { index: at.index, config, shard, hash: 0 });
                Held::Serving(empty)
            }
        };
        self.held.insert(shard, held);
    }

    fn install(&mut self, at: &At, config: u64, shard: ShardId, from: &Cursor, chunk: Chunk) -> Reply {
        let is_current = config == self.config.number;
        match self.held.get_mut(&shard) {
            Some(Held::Arriving(contents, next)) if is_current => {
                if next == from {
                    let (keys, sent_ns, now_ns) = (chunk.keys(), nanos(chunk.sent), nanos(at.now));
                    observe!(ChunkInstalled { index: at.index, config, shard, keys, sent_ns, now_ns });
                    let after = chunk.next.clone();
                    contents.install(chunk, at.now);
                    match after {
                        Some(after) => *next = after,
                        None => self.serve(at, config, shard),
                    }
                } else {
                    reachable!("shardkv: a part of a shard arrives twice");
                }
            }
            Some(Held::Serving(contents)) if is_current && planted!("shardkv.late-part-installed") => {
                contents.install(chunk, at.now);
            }
            _ => reachable!("shardkv: a part of a shard arrives that is installed or not expected yet"),
        }
        Reply::Progress(self.progress(config, shard))
    }

    fn serve(&mut self, at: &At, config: u64, shard: ShardId) {
        let Some(Held::Arriving(contents, _)) = self.held.remove(&shard) else { return };
        observe!(Installed { index: at.index, config, shard, hash: contents.hash() });
        self.held.insert(shard, Held::Serving(contents));
    }

    /// Once it says that a shard is installed, it says so for ever, whatever becomes of the shard.
    fn progress(&self, config: u64, shard: ShardId) -> Progress {
        if config > self.config.number {
            return match planted!("shardkv.behind-taken-for-installed") {
                true => Progress::Installed,
                false => Progress::Behind,
            };
        }
        match self.held.get(&shard) {
            Some(Held::Arriving(_, next)) if config == self.config.number => Progress::At(next.clone()),
            _ => Progress::Installed,
        }
    }

    fn forget(&mut self, at: &At, config: u64, shard: ShardId) -> Reply {
        let is_leaving = matches!(self.held.get(&shard), Some(Held::Leaving(..)));
        if is_leaving && config == self.config.number && !planted!("shardkv.never-forgotten") {
            observe!(Forgot { index: at.index, config, shard });
            self.held.remove(&shard);
        }
        Reply::Forgotten
    }
}

fn nanos(time: Duration) -> u64 {
    time.as_nanos() as u64
}

/// An operation on the shard was served here.
fn count(shard: ShardId) {
    LOAD.with(|load| *load.borrow_mut().entry(shard).or_default() += 1);
}

impl StateMachine for Group {
    type Command = Command;
    type Reply = Reply;
    type Query = Query;
    type Answer = Answer;

    fn apply(&mut self, at: &At, command: Command) -> Reply {
        match command {
            Command::Open(shard) => self.open(at, shard),
            Command::Execute { session, number, command } => self.execute(at, session, number, command),
            Command::Adopt(config) => self.adopt(at, config),
            Command::Install { config, shard, from, chunk } => self.install(at, config, shard, &from, chunk),
            Command::Forget { config, shard } => self.forget(at, config, shard),
        }
    }

    fn refuses(&self, command: &Command) -> Option<Reply> {
        let shard = match command {
            Command::Open(shard) => *shard,
            Command::Execute { command, .. } => shard_of(command.key(), self.config.shards()),
            Command::Adopt(_) | Command::Install { .. } | Command::Forget { .. } => return None,
        };
        self.not_served(shard).map(Reply::NotServed)
    }

    fn query(&self, query: &Query) -> Answer {
        match query {
            Query::Get(key) => {
                let shard = shard_of(key, self.config.shards());
                let is_here = self.held.contains_key(&shard);
                if let Some(not_served) = self.not_served(shard)
                    && !(is_here && planted!("shardkv.reads-after-giving-up"))
                {
                    return Answer::NotServed(not_served);
                }
                observe!(ReadServed { config: self.config.number, shard });
                count(shard);
                match self.held.get(&shard) {
                    Some(Held::Serving(shard) | Held::Arriving(shard, _) | Held::Leaving(shard, _)) => {
                        Answer::Value(shard.get(key))
                    }
                    None => Answer::Value(None),
                }
            }
            Query::Progress(config, shard) => Answer::Progress(self.progress(*config, *shard)),
            Query::Held => {
                let is_served = |held: &Held| matches!(held, Held::Serving(_));
                let held = self.held.iter().map(|(shard, held)| (*shard, is_served(held))).collect();
                Answer::Held(self.config.number, held)
            }
        }
    }

    fn digest(&self) -> u64 {
        self.config.number
    }

    async fn save(&self, to: &mut Writer) -> Result<(), StorageError> {
        to.put(&(self.gid, self.limits, &self.config, self.held.len())).await?;
        for (shard, held) in &self.held {
            let (contents, kind) = match held {
                Held::Serving(contents) => (contents, Kind::Serving),
                Held::Arriving(contents, _) if planted!("shardkv.snapshot-without-migration") => {
                    (contents, Kind::Serving)
                }
                Held::Arriving(contents, next) => (contents, Kind::Arriving(next.clone())),
                Held::Leaving(contents, to) => (contents, Kind::Leaving(*to)),
            };
            to.put(&(shard, kind)).await?;
            contents.save(to).await?;
        }
        Ok(())
    }

    async fn load(from: &mut Snapshot) -> Result<Group, StorageError> {
        let (gid, limits, config, count): (Gid, Limits, Config, usize) = from.get().await?;
        let mut held = BTreeMap::new();
        for _ in 0..count {
            let (shard, kind): (ShardId, Kind) = from.get().await?;
            let contents = Shard::load(from).await?;
            held.insert(
                shard,
                match kind {
                    Kind::Serving => Held::Serving(contents),
                    Kind::Arriving(next) => Held::Arriving(contents, next),
                    Kind::Leaving(to) => Held::Leaving(contents, to),
                },
            );
        }
        Ok(Group { gid, limits, config, held })
    }
}

/// A [`Held`] in a snapshot, without the contents.
#[derive(Serialize, Deserialize)]
enum Kind {
    Serving,
    Arriving(Cursor),
    Leaving(Gid),
}
