//! A client: remembers the leader, has a session, and retries until its deadline.

use std::ops::ControlFlow;
use std::time::Duration;

use sim::time::Instant;
use sim::{Addr, GroupId, OpError, buggify, planted, rpc, time};

use super::service::{self, Reply, Service};
use super::session::{Outcome, Request};
use super::{StateMachine, visible};
use crate::kit::retry::{Pause, Route, retry};

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

/// A client of one group of replicas. One operation at a time.
pub struct Client<S: StateMachine> {
    group: GroupId,
    patience: Patience,
    /// Where the servers answer clients, and which of them leads as far as the client knows.
    route: Route,
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
        Client { group, patience, route: Route::from_any(servers), session: None, state: std::marker::PhantomData }
    }

    /// Has a command executed, once.
    ///
    /// # Errors
    ///
    /// [`OpError::Failed`] if it certainly was not executed and never will be: there was no session before the deadline, or the
    /// command is too large. [`OpError::Unknown`] if it may have been executed, or may be later.
    pub async fn execute(&mut self, command: S::Command, deadline: Instant) -> Result<S::Reply, OpError> {
        if self.session.as_ref().is_some_and(|session| time::now() > session.used + self.patience.session) {
            self.session = None;
        }
        if buggify!("rsm.needless-session") {
            self.session = None;
        }
        if self.session.is_none() {
            self.session = self.open(deadline).await.map(|id| Session { id, number: 0, used: time::now() });
        }
        let Some(session) = &mut self.session else { return Err(OpError::Failed) };
        session.number += 1;
        visible::begun(self.group, session.id, session.number);
        let request = Request::Execute { session: session.id, number: session.number, command };
        let mut request = service::Request::Client(request);
        // From now on some duplicate of a message may have it executed, whatever the servers answer to another one.
        let result = retry(deadline, self.pause(), async || {
            match self.attempt(self.route.next(), &request, deadline).await {
                Some(Reply::Done(Outcome::Executed(reply))) => {
                    if let Some(session) = &mut self.session {
                        session.used = time::now();
                    }
                    return ControlFlow::Break(Ok(reply));
                }
                Some(Reply::Done(Outcome::Expired | Outcome::Superseded)) => {
                    self.session = None;
                    return ControlFlow::Break(Err(OpError::Unknown));
                }
                Some(Reply::TooLarge) => return ControlFlow::Break(Err(OpError::Failed)),
                Some(Reply::Elsewhere(leader)) => self.redirect(leader),
                Some(_) | None => {
                    self.route.anywhere();
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
            ControlFlow::Continue(())
        });
        result.await.unwrap_or(Err(OpError::Unknown))
    }

    /// Has a command executed that belongs to no session, at least once. The request may also be executed again later, so the
    /// state machine must know it by itself.
    ///
    /// # Errors
    ///
    /// [`OpError::Failed`] if the command is too large, so it certainly was not executed. [`OpError::Unknown`] when the deadline
    /// has passed.
    pub async fn command(&mut self, command: S::Command, deadline: Instant) -> Result<S::Reply, OpError> {
        let request = service::Request::Client(Request::Command(command));
        let result = retry(deadline, self.pause(), async || {
            match self.attempt(self.route.next(), &request, deadline).await {
                Some(Reply::Done(Outcome::Executed(reply))) => return ControlFlow::Break(Ok(reply)),
                Some(Reply::TooLarge) => return ControlFlow::Break(Err(OpError::Failed)),
                Some(Reply::Elsewhere(leader)) => self.redirect(leader),
                Some(_) | None => self.route.anywhere(),
            }
            ControlFlow::Continue(())
        });
        result.await.unwrap_or(Err(OpError::Unknown))
    }

    /// Has a query answered, by the leader.
    ///
    /// # Errors
    ///
    /// [`OpError::Failed`] when the deadline has passed.
    pub async fn query(&mut self, query: S::Query, deadline: Instant) -> Result<S::Answer, OpError> {
        let request = service::Request::Client(Request::Query(query));
        self.ask_leader(&request, deadline, answer_of).await.ok_or(OpError::Failed)
    }

    /// Has a query answered by any server: the answer is no older than that of the leader. Where queries are entries of the log
    /// ([`super::Reads::Log`]), only the leader answers.
    ///
    /// # Errors
    ///
    /// As [`Client::query`].
    pub async fn query_anywhere(&mut self, query: S::Query, deadline: Instant) -> Result<S::Answer, OpError> {
        let request = service::Request::Client(Request::Query(query));
        let answer =
            retry(deadline, self.pause(), async || match self.attempt(self.route.any(), &request, deadline).await {
                Some(Reply::Done(Outcome::Answered(answer))) => ControlFlow::Break(answer),
                _ => ControlFlow::Continue(()),
            });
        answer.await.ok_or(OpError::Failed)
    }

    async fn open(&mut self, deadline: Instant) -> Option<u64> {
        let id_of = |outcome| match outcome {
            Outcome::Opened(id) => Some(id),
            _ => None,
        };
        self.ask_leader(&service::Request::Client(Request::Open), deadline, id_of).await
    }

    /// Asks the leader until it gives what is expected.
    async fn ask_leader<T>(
        &mut self,
        request: &service::Request<S>,
        deadline: Instant,
        expected: impl Fn(Outcome<S>) -> Option<T>,
    ) -> Option<T> {
        let answer = retry(deadline, self.pause(), async || {
            match self.attempt(self.route.next(), request, deadline).await {
                Some(Reply::Done(outcome)) => match expected(outcome) {
                    Some(answer) => return ControlFlow::Break(answer),
                    None => self.route.anywhere(),
                },
                Some(Reply::Elsewhere(leader)) => self.redirect(leader),
                _ => self.route.anywhere(),
            }
            ControlFlow::Continue(())
        });
        answer.await
    }

    async fn attempt(&self, server: Addr, request: &service::Request<S>, deadline: Instant) -> Option<Reply<S>> {
        let timeout = self.patience.attempt.min(deadline - time::now());
        let is_command = matches!(request, service::Request::Client(Request::Execute { .. } | Request::Command(_)));
        if is_command && buggify!("rsm.request-sent-twice") {
            let _ = rpc::send::<Service<S>>(server, request);
        }
        rpc::call::<Service<S>>(server, request, timeout).await.ok()
    }

    fn redirect(&mut self, leader: Option<u64>) {
        self.route.redirect(leader.filter(|_| !buggify!("rsm.leader-hint-ignored")));
    }

    fn pause(&self) -> Pause {
        let longer = if buggify!("rsm.long-pause") { 10 } else { 1 };
        Pause::UpTo(longer * self.patience.pause)
    }
}

fn answer_of<S: StateMachine>(outcome: Outcome<S>) -> Option<S::Answer> {
    match outcome {
        Outcome::Answered(answer) => Some(answer),
        _ => None,
    }
}
