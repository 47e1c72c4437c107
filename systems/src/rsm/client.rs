//! A client: remembers the leader, has a session, and retries until its deadline.

use std::time::Duration;

use sim::time::Instant;
use sim::{Addr, GroupId, planted, rand, rpc, time};

use super::service::{self, Reply, Service};
use super::session::{Outcome, Request};
use super::{StateMachine, visible};

/// How a client waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// How long for one answer.
    pub attempt: Duration,
    /// How long between two attempts, at most.
    pub pause: Duration,
    /// A session that was not used for so long is left for a new one. Shorter than sessions live: see [`super::Limits`].
    pub session: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Patience {
            attempt: Duration::from_millis(500),
            pause: Duration::from_millis(20),
            session: Duration::from_secs(20),
        }
    }
}

/// Why there is no result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClientError {
    /// The request was not executed, and will not be: the deadline passed before it was sent, or it is too large.
    #[error("not executed")]
    NotExecuted,
    /// The request may have been executed, or may be later.
    #[error("outcome unknown")]
    Unknown,
}

/// A client of one cluster. One operation at a time.
pub struct Client<S: StateMachine> {
    group: GroupId,
    /// Where the servers answer clients.
    servers: Vec<Addr>,
    patience: Patience,
    /// The server to ask next: the last that answered, the one that was named as the leader, or any.
    leader: usize,
    session: Option<Session>,
    state: std::marker::PhantomData<S>,
}

struct Session {
    id: u64,
    /// The number of the last command.
    number: u64,
    used: Instant,
}

impl<S: StateMachine> Client<S> {
    /// A client of the replicas of that group, which answer clients at these addresses: see [`GroupId::addrs`].
    pub fn new(group: GroupId, servers: Vec<Addr>, patience: Patience) -> Self {
        let leader = rand::below(servers.len() as u64) as usize;
        Client { group, servers, patience, leader, session: None, state: std::marker::PhantomData }
    }

    /// Has a command executed, once.
    ///
    /// # Errors
    ///
    /// See [`ClientError`].
    pub async fn execute(&mut self, command: S::Command, deadline: Instant) -> Result<S::Reply, ClientError> {
        if self.session.as_ref().is_some_and(|session| time::now() > session.used + self.patience.session) {
            self.session = None;
        }
        if self.session.is_none() {
            self.session = self.open(deadline).await.map(|id| Session { id, number: 0, used: time::now() });
        }
        let Some(session) = &mut self.session else { return Err(ClientError::NotExecuted) };
        session.number += 1;
        visible::begun(self.group, session.id, session.number);
        let request = Request::Execute { session: session.id, number: session.number, command };
        let mut request = service::Request::Client(request);
        // From now on some duplicate of a message may have it executed, whatever the servers answer to another one.
        while time::now() < deadline {
            match self.attempt(self.leader, &request, deadline).await {
                Some(Reply::Done(Outcome::Executed(reply))) => {
                    if let Some(session) = &mut self.session {
                        session.used = time::now();
                    }
                    return Ok(reply);
                }
                Some(Reply::Done(Outcome::Expired | Outcome::Superseded)) => {
                    self.session = None;
                    return Err(ClientError::Unknown);
                }
                Some(Reply::TooLarge) => return Err(ClientError::NotExecuted),
                Some(Reply::Elsewhere(leader)) => self.go(leader),
                Some(_) | None => {
                    self.go(None);
                    if let service::Request::Client(Request::Execute { number, .. }) = &mut request
                        && planted!("rsm.client-counts-attempts")
                    {
                        *number += 1;
                        if let Some(session) = &mut self.session {
                            session.number += 1;
                        }
                    }
                }
            }
            self.pause().await;
        }
        Err(ClientError::Unknown)
    }

    /// Has a query answered, by the leader.
    ///
    /// # Errors
    ///
    /// [`ClientError::NotExecuted`] when the deadline passed.
    pub async fn query(&mut self, query: S::Query, deadline: Instant) -> Result<S::Answer, ClientError> {
        let request = service::Request::Client(Request::Query(query));
        while time::now() < deadline {
            match self.attempt(self.leader, &request, deadline).await {
                Some(Reply::Done(Outcome::Answered(answer))) => return Ok(answer),
                Some(Reply::Elsewhere(leader)) => self.go(leader),
                _ => self.go(None),
            }
            self.pause().await;
        }
        Err(ClientError::NotExecuted)
    }

    /// Has a query answered by any server: the answer is no older than that of the leader. Where queries are entries of the log
    /// ([`super::Reads::Log`]), only the leader answers.
    ///
    /// # Errors
    ///
    /// As [`Client::query`].
    pub async fn query_anywhere(&mut self, query: S::Query, deadline: Instant) -> Result<S::Answer, ClientError> {
        let request = service::Request::Client(Request::Query(query));
        while time::now() < deadline {
            let server = rand::below(self.servers.len() as u64) as usize;
            if let Some(Reply::Done(Outcome::Answered(answer))) = self.attempt(server, &request, deadline).await {
                return Ok(answer);
            }
            self.pause().await;
        }
        Err(ClientError::NotExecuted)
    }

    async fn open(&mut self, deadline: Instant) -> Option<u64> {
        let request = service::Request::Client(Request::Open);
        while time::now() < deadline {
            match self.attempt(self.leader, &request, deadline).await {
                Some(Reply::Done(Outcome::Opened(id))) => return Some(id),
                Some(Reply::Elsewhere(leader)) => self.go(leader),
                _ => self.go(None),
            }
            self.pause().await;
        }
        None
    }

    async fn attempt(&self, server: usize, request: &service::Request<S>, deadline: Instant) -> Option<Reply<S>> {
        let timeout = self.patience.attempt.min(deadline - time::now());
        rpc::call::<Service<S>>(self.servers[server], request, timeout).await.ok()
    }

    /// Goes on to the server that was named, or to any other.
    fn go(&mut self, leader: Option<u64>) {
        let servers = self.servers.len();
        let is_named = |addr: &Addr| Some(addr.node.index() as u64) == leader;
        let named = self.servers.iter().position(is_named).filter(|named| *named != self.leader);
        self.leader = named.unwrap_or_else(|| rand::below(servers as u64) as usize);
    }

    async fn pause(&self) {
        time::sleep(rand::duration(Duration::ZERO, self.patience.pause)).await;
    }
}
