//! What clients ask a replica, and how it is run on a node.

use std::marker::PhantomData;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use sim::rpc::{Incoming, Server};
use sim::{observe, select, task, time};

use super::StateMachine;
use super::replica::{Options, Replica, Submit, SubmitError};
use super::session::Outcome;
use crate::raft::driver::{Raft, StartError};
use crate::raft::membership::Target;
use crate::raft::{Id, Index, events};

/// The service of a replicated state machine.
pub struct Service<S>(PhantomData<S>);

impl<S: StateMachine> sim::rpc::Service for Service<S> {
    type Request = Request<S>;
    type Reply = Reply<S>;
}

/// What clients ask.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(bound = "")]
pub enum Request<S: StateMachine> {
    /// For a session.
    Open,
    /// To execute a command, once.
    Execute {
        /// Of which session.
        session: u64,
        /// Which of the session's commands.
        number: u64,
        /// The command.
        command: S::Command,
    },
    /// For an answer.
    Query(S::Query),
    /// To hand leadership over.
    Transfer(u64),
    /// To change the membership.
    Members {
        /// Who shall vote.
        voters: Vec<u64>,
        /// Who shall learn.
        learners: Vec<u64>,
    },
    /// How far this replica has come, and who the members are as far as it knows.
    Status,
}

/// What they are answered.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(bound = "")]
pub enum Reply<S: StateMachine> {
    /// What came of it.
    Done(Outcome<S>),
    /// Certainly nothing was done: ask that server, if one is named.
    Elsewhere(Option<u64>),
    /// Certainly nothing was done, nor will it be anywhere: it is too large.
    TooLarge,
    /// It may be done, or not.
    Unknown,
    /// A transfer or a change of the membership has begun.
    Begun,
    /// How far the replica has come.
    Status {
        /// The last entry that it has applied.
        applied: Index,
        /// The members: voters and learners.
        members: Vec<u64>,
    },
    /// The server has lost what others count on, and takes no part any more.
    Gone,
}

/// How long a server whose disk failed waits before it starts anew.
const BACK_OFF: Duration = Duration::from_millis(50);

/// A server's life: it starts anew from its disk whenever that failed. When it has forgotten what others count on, it must
/// never take part again as the server that it was: from then on it says so to all who ask, and does nothing else.
pub async fn run<S: StateMachine>(options: Options, initial: S, port: u16, started: impl Fn(&Replica<S>)) {
    let mut server = Server::<Service<S>>::bind(port).expect("the port is free");
    loop {
        match Replica::start(options.clone(), initial.clone()).await {
            Ok(replica) => {
                started(&replica);
                serve(&replica, &mut server).await;
                replica.close();
            }
            Err(StartError::Storage(error)) => tracing::warn!(%error, "cannot start"),
            Err(StartError::Forgotten { first, last }) => {
                observe!(group: options.raft.group, events::Forgotten { first, last });
                loop {
                    server.recv().await.responder.send(&Reply::Gone);
                }
            }
        }
        time::sleep(BACK_OFF).await;
    }
}

/// Until the disk fails.
async fn serve<S: StateMachine>(replica: &Replica<S>, server: &mut Server<Service<S>>) {
    loop {
        select! {
            () = replica.raft().failed() => return,
            incoming = server.recv() => {
                task::spawn(answer(replica.clone(), incoming));
            }
        }
    }
}

async fn answer<S: StateMachine>(replica: Replica<S>, incoming: Incoming<Service<S>>) {
    let Incoming { request, responder, .. } = incoming;
    let raft = replica.raft();
    let result = match request {
        Request::Open => replica.submit(Submit::Open).await,
        Request::Execute { session, number, command } => {
            replica.submit(Submit::Execute { session, number, command }).await
        }
        Request::Query(query) => replica.query(query).await.map(Outcome::Answered),
        Request::Transfer(to) => return responder.send(&begun(raft, raft.transfer_leadership(Id(to)))),
        Request::Members { voters, learners } => {
            let ids = |ids: Vec<u64>| ids.into_iter().map(Id).collect();
            let target = Target { voters: ids(voters), learners: ids(learners) };
            return responder.send(&begun(raft, raft.change_membership(&target).is_ok()));
        }
        Request::Status => {
            let members = raft.membership().members().map(|id| id.0).collect();
            return responder.send(&Reply::Status { applied: replica.applied(), members });
        }
    };
    responder.send(&match result {
        Ok(outcome) => Reply::Done(outcome),
        Err(SubmitError::NotLeader { leader }) => Reply::Elsewhere(leader.map(|id| id.0)),
        Err(SubmitError::Replaced) => Reply::Elsewhere(None),
        Err(SubmitError::TooLarge) => Reply::TooLarge,
        Err(SubmitError::Unknown) => Reply::Unknown,
    });
}

fn begun<S: StateMachine>(raft: &Raft, begun: bool) -> Reply<S> {
    if begun { Reply::Begun } else { Reply::Elsewhere(raft.leader().map(|id| id.0)) }
}
