//! The service that a replica offers to clients and operators, and how a node runs it.

use std::marker::PhantomData;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use sim::rpc::{Incoming, Server};
use sim::{buggify, observe, select, task, time};

use super::StateMachine;
use super::replica::{Options, Replica, SubmitError};
use super::session::{self, Outcome};
use crate::raft::driver::{Raft, StartError};
use crate::raft::membership::Target;
use crate::raft::{Id, Index, events};

/// The service of a replicated state machine.
pub struct Service<S>(PhantomData<S>);

impl<S: StateMachine> sim::rpc::Service for Service<S> {
    type Request = Request<S>;
    type Reply = Reply<S>;
}

/// A request to a server.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(bound = "")]
pub enum Request<S: StateMachine> {
    /// Of a client.
    Client(session::Request<S>),
    /// Of an operator.
    Admin(Admin),
}

/// A request of an operator.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Admin {
    /// Transfer leadership to this server.
    Transfer(u64),
    /// Change the membership.
    Members {
        /// The voters.
        voters: Vec<u64>,
        /// The learners.
        learners: Vec<u64>,
    },
    /// Report the last applied entry and the members.
    Status,
}

/// The reply to a request.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(bound = "")]
pub enum Reply<S: StateMachine> {
    /// The outcome.
    Done(Outcome<S>),
    /// The request is not executed: this server is not the leader. Names the leader, if it is known.
    Elsewhere(Option<u64>),
    /// The request is not executed, and no server would take it: it is too large.
    TooLarge,
    /// The outcome is unknown.
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
    /// The server has lost what others count on, and does not take part any more.
    Gone,
}

/// How long a server waits after its disk failed before it starts anew.
const BACK_OFF: Duration = Duration::from_millis(50);

/// Runs a server: it starts anew from its disk whenever that failed, and `started` is given each replica. A server whose disk has
/// lost what others count on must never take part again; it answers every request with [`Reply::Gone`].
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
        Request::Client(session::Request::Query(query)) => replica.query(query).await.map(Outcome::Answered),
        Request::Client(request) => replica.submit(request).await,
        Request::Admin(Admin::Transfer(to)) => {
            return responder.send(&begun(raft, raft.transfer_leadership(Id(to))));
        }
        Request::Admin(Admin::Members { voters, learners }) => {
            let ids = |ids: Vec<u64>| ids.into_iter().map(Id).collect();
            let target = Target { voters: ids(voters), learners: ids(learners) };
            return responder.send(&begun(raft, raft.change_membership(&target).is_ok()));
        }
        Request::Admin(Admin::Status) => {
            let members = raft.membership().members().map(|id| id.0).collect();
            return responder.send(&Reply::Status { applied: replica.applied(), members });
        }
    };
    // As if the reply were lost.
    if buggify!("rsm.reply-dropped") {
        return;
    }
    responder.send(&match result {
        Ok(outcome) => Reply::Done(outcome),
        Err(SubmitError::NotLeader { leader }) => Reply::Elsewhere(leader.map(|id| id.0)),
        Err(SubmitError::Overwritten) => Reply::Elsewhere(None),
        Err(SubmitError::TooLarge) => Reply::TooLarge,
        Err(SubmitError::Unknown) => Reply::Unknown,
    });
}

fn begun<S: StateMachine>(raft: &Raft, begun: bool) -> Reply<S> {
    if begun { Reply::Begun } else { Reply::Elsewhere(raft.leader().map(|id| id.0)) }
}
