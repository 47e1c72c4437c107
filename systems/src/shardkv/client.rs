//! The client library: finds the group of a key, has one session for each shard, and tries again until the deadline.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::rc::Rc;
use std::time::Duration;

use sim::models::{StoreOp, StoreRet};
use sim::time::Instant;
use sim::{OpError, always, buggify, planted, sometimes, time};

use super::config::Config;
use super::controller::{self, Controller};
use super::group::{self, Answer, Group, NotServed, Query, Reply};
use super::shard::SessionId;
use super::system::Params;
use super::{Gid, ShardId, server, shard_of, visible};
use crate::kit::retry::{Pause, retry};
use crate::kv::store;
use crate::rsm;

/// A client of the sharded store. One operation at a time.
pub struct Clerk {
    params: Rc<Params>,
    controller: rsm::Client<Controller>,
    /// The latest configuration that it knows.
    config: Config,
    groups: BTreeMap<Gid, rsm::Client<Group>>,
    sessions: BTreeMap<ShardId, Session>,
}

/// A session of one shard.
struct Session {
    id: SessionId,
    /// The number of the last command.
    number: u64,
    used: Instant,
}

/// How long a client pauses before it asks again for a shard that nobody serves.
const PAUSE: Pause = Pause::UpTo(Duration::from_millis(20));

/// How often a client tries one group before it asks the controller again.
const ATTEMPTS: u32 = 2;

impl Clerk {
    /// A client that knows no configuration yet.
    pub fn new(params: Rc<Params>) -> Clerk {
        let controller = server::controller_client(&params);
        let config = Config::none(params.shards);
        Clerk { params, controller, config, groups: BTreeMap::new(), sessions: BTreeMap::new() }
    }

    /// Performs an operation. A read `anywhere` is asked of any server of the group.
    ///
    /// # Errors
    ///
    /// [`OpError::Failed`] if it certainly had no effect and never will: the store refused it, it only reads, it is a scan (there are
    /// no operations on several keys), or its session could not be opened. [`OpError::Unknown`] if it may have an effect.
    pub async fn perform(&mut self, op: StoreOp, anywhere: bool, within: Duration) -> Result<StoreRet, OpError> {
        let deadline = time::now() + within;
        match (&op, store::Command::of(&op)) {
            (StoreOp::Get { key }, _) => self.get(key, anywhere, deadline).await.map(StoreRet::Value),
            (_, Some(command)) => self.execute(command, deadline).await,
            (_, None) => Err(OpError::Failed),
        }
    }

    async fn get(&mut self, key: &str, anywhere: bool, deadline: Instant) -> Result<Option<String>, OpError> {
        let shard = shard_of(key, self.params.shards);
        let anywhere = anywhere || buggify!("shardkv.query-anywhere");
        let query = Query::Get(key.to_owned());
        let found = retry(deadline, PAUSE, async || {
            let until = self.until(deadline);
            let Some(group) = self.owner(shard, deadline).await else { return ControlFlow::Continue(()) };
            let answer = match anywhere {
                true => group.query_anywhere(query.clone(), until).await,
                false => group.query(query.clone(), until).await,
            };
            match answer {
                Ok(Answer::Value(value)) => return ControlFlow::Break(value),
                Ok(Answer::NotServed(not_served)) => self.not_served(not_served),
                Ok(other) => always!(false, "shardkv.answer-fits", "{other:?} is no value"),
                Err(_) => self.look_again(),
            }
            ControlFlow::Continue(())
        });
        found.await.ok_or(OpError::Failed)
    }

    async fn execute(&mut self, command: store::Command, deadline: Instant) -> Result<StoreRet, OpError> {
        let shard = shard_of(command.key(), self.params.shards);
        let Some((session, number)) = self.next_number(shard, deadline).await else { return Err(OpError::Failed) };
        visible::begun(session, number);
        let mut request = group::Command::Execute { session, number, command: command.clone() };
        // From now on some duplicate of a message may have it executed, whatever the servers answer to another one.
        let result = retry(deadline, PAUSE, async || {
            let until = self.until(deadline);
            let Some(group) = self.owner(shard, deadline).await else { return ControlFlow::Continue(()) };
            match group.command(request.clone(), until).await {
                Ok(Reply::Executed(reply)) => return ControlFlow::Break(Some(reply)),
                Ok(Reply::Ended) => return ControlFlow::Break(None),
                Ok(Reply::NotServed(not_served)) => {
                    self.not_served(not_served);
                    if planted!("shardkv.new-session-elsewhere") {
                        self.sessions.remove(&shard);
                        let next = self.next_number(shard, deadline).await;
                        if let (Some(next), group::Command::Execute { session, number, .. }) = (next, &mut request) {
                            (*session, *number) = next;
                        }
                    }
                }
                Ok(other) => always!(false, "shardkv.reply-fits", "{other:?} is no reply to a command"),
                Err(_) => self.look_again(),
            }
            ControlFlow::Continue(())
        });
        let reply = result.await.flatten();
        sometimes!(reply.is_none(), "shardkv: the outcome of a command is unknown");
        let Some(reply) = reply else {
            self.sessions.remove(&shard);
            return Err(OpError::Unknown);
        };
        if let Some(session) = self.sessions.get_mut(&shard) {
            session.used = time::now();
        }
        let fits = command.is_answered_by(reply);
        always!(fits, "shardkv.reply-fits", "{reply:?} is no reply to it");
        if fits { reply.result() } else { Err(OpError::Unknown) }
    }

    /// The session of the shard, which is opened if there is none, and the number of its next command. None after the deadline.
    async fn next_number(&mut self, shard: ShardId, deadline: Instant) -> Option<(SessionId, u64)> {
        let leave = Duration::from_millis(self.params.client_session_ms);
        let is_old = self.sessions.get(&shard).is_some_and(|session| time::now() > session.used + leave);
        if is_old || buggify!("shardkv.needless-session") {
            self.sessions.remove(&shard);
        }
        if !self.sessions.contains_key(&shard) {
            let id = self.open(shard, deadline).await?;
            self.sessions.insert(shard, Session { id, number: 0, used: time::now() });
        }
        let session = self.sessions.get_mut(&shard)?;
        session.number += 1;
        Some((session.id, session.number))
    }

    async fn open(&mut self, shard: ShardId, deadline: Instant) -> Option<SessionId> {
        let opened = retry(deadline, PAUSE, async || {
            let until = self.until(deadline);
            let Some(group) = self.owner(shard, deadline).await else { return ControlFlow::Continue(()) };
            match group.command(group::Command::Open(shard), until).await {
                Ok(Reply::Opened(id)) => return ControlFlow::Break(id),
                Ok(Reply::NotServed(not_served)) => self.not_served(not_served),
                Ok(other) => always!(false, "shardkv.reply-fits", "{other:?} is no session"),
                Err(_) => self.look_again(),
            }
            ControlFlow::Continue(())
        });
        opened.await
    }

    /// The group that owns the shard, as far as this client knows. Asks the controller if it knows no owner.
    async fn owner(&mut self, shard: ShardId, deadline: Instant) -> Option<&mut rsm::Client<Group>> {
        if self.config.owner(shard).is_none() {
            let until = self.until(deadline);
            if let Ok(controller::Answer::Config(Some(config))) =
                self.controller.query(controller::Query::Latest, until).await
            {
                self.config = config;
            }
        }
        let gid = self.config.owner(shard)?;
        if !self.groups.contains_key(&gid) {
            self.groups.insert(gid, server::group_client(&self.params, gid)?);
        }
        self.groups.get_mut(&gid)
    }

    /// The group does not serve the shard. If the configuration may be old, the next attempt asks for the latest.
    fn not_served(&mut self, why: NotServed) {
        match why {
            NotServed::WrongGroup(_) => self.look_again(),
            NotServed::Arriving => {}
        }
    }

    /// The configuration may be old.
    fn look_again(&mut self) {
        self.config = Config::none(self.params.shards);
    }

    /// How long one group is tried.
    fn until(&self, deadline: Instant) -> Instant {
        deadline.min(time::now() + ATTEMPTS * Duration::from_millis(self.params.attempt_ms))
    }
}
