//! What clients ask a replica, and how it is run on a node.

use std::marker::PhantomData;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use sim::rpc::{Incoming, Server};
use sim::{select, task, time};

use super::StateMachine;
use super::replica::{Options, Replica, Submit, SubmitError};
use super::session::Outcome;
use crate::raft::driver::StartError;

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
}

/// What they are answered.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(bound = "")]
pub enum Reply<S: StateMachine> {
    /// What came of it.
    Done(Outcome<S>),
    /// Certainly nothing was done: ask that server, if one is named.
    Elsewhere(Option<u64>),
    /// It may be done, or not.
    Unknown,
}

/// How long a server whose disk failed waits before it starts anew.
const BACK_OFF: Duration = Duration::from_millis(50);

/// A server's life: it starts anew from its disk whenever that failed. Ends when the server has forgotten what others count
/// on; then it must never take part again as the server that it was.
pub async fn run<S: StateMachine>(
    options: Options,
    initial: S,
    port: u16,
    started: impl Fn(&Replica<S>),
) -> StartError {
    let mut server = Server::<Service<S>>::bind(port).expect("the port is free");
    loop {
        match Replica::start(options.clone(), initial.clone()).await {
            Ok(replica) => {
                started(&replica);
                serve(&replica, &mut server).await;
                replica.close();
            }
            Err(StartError::Storage(error)) => tracing::warn!(%error, "cannot start"),
            Err(forgotten) => return forgotten,
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
    let result = match request {
        Request::Open => replica.submit(Submit::Open).await,
        Request::Execute { session, number, command } => {
            replica.submit(Submit::Execute { session, number, command }).await
        }
        Request::Query(query) => replica.query(query).await.map(Outcome::Answered),
    };
    responder.send(&match result {
        Ok(outcome) => Reply::Done(outcome),
        Err(SubmitError::NotLeader { leader }) => Reply::Elsewhere(leader.map(|id| id.0)),
        Err(SubmitError::Replaced) => Reply::Elsewhere(None),
        Err(SubmitError::Unknown) => Reply::Unknown,
    });
}
