//! A server as it is tested alone: a log of commands that clients append to.
//!
//! Its state machine counts and hashes what it applies, so two that have applied the same are equal. Snapshots are padded to
//! a size that the scenario chooses, so that they go in many parts.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use sim::rpc::{Incoming, Responder, Server, Service};
use sim::sync::Notify;
use sim::{NodeId, always, codec, node, observe, select, task, time};

use super::driver::{Applies, Apply, Options, Raft, StartError};
use super::events;
use super::leader::ProposeError;
use super::membership::{Membership, Target};
use super::system::Params;
use super::{Id, Index, Term};

/// Where servers listen to each other, and to clients.
pub const PORTS: [u16; 2] = [1, 2];

/// How long a server whose disk failed waits before it starts anew.
const BACK_OFF: Duration = Duration::from_millis(50);

/// What a server is asked by clients and operators.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Request {
    /// To append a command.
    Append(Vec<u8>),
    /// How far the log has come.
    Read,
    /// To hand leadership over.
    Transfer(u64),
    /// To change the membership: voters and learners.
    Members(Vec<u64>, Vec<u64>),
}

/// What it answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reply {
    /// The command is committed, and applied here, at this index.
    Appended(Index),
    /// Everything up to this index is applied here.
    Read(Index),
    /// It will be done.
    Accepted,
    /// It certainly is not done: ask that server, if one is named.
    Refused(Option<u64>),
    /// It may be done, or not.
    Unknown,
}

/// The service.
pub struct LogService;

impl Service for LogService {
    type Request = Request;
    type Reply = Reply;
}

/// The server's id is its node's.
pub fn address(id: Id) -> sim::Addr {
    NodeId::new(id.0 as u16).port(PORTS[0])
}

/// The state machine.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct State {
    count: u64,
    hash: u64,
}

struct Host {
    raft: Raft,
    state: RefCell<State>,
    applied: Cell<Index>,
    /// Who waits for an entry of that term at that index.
    waiting: RefCell<BTreeMap<Index, (Term, Responder<LogService>)>>,
    progress: Notify,
    params: Rc<Params>,
}

/// A server's life.
pub async fn boot(params: Rc<Params>) {
    let voters = (0..params.servers as u64).map(Id);
    let options = Options {
        id: Id(node::this().index() as u64),
        config: params.config(),
        tick: Duration::from_millis(params.tick_ms),
        dir: "raft".to_owned(),
        port: PORTS[0],
        members: Membership::of(voters),
        address,
    };
    let mut server = Server::<LogService>::bind(PORTS[1]).expect("the port is free");
    loop {
        match Raft::start(options.clone()).await {
            Ok((raft, applies)) => serve(raft, applies, &mut server, params.clone()).await,
            Err(StartError::Forgotten { first, last }) => {
                observe!(events::Forgotten { first, last });
                // It must not vote again, nor be counted on: only a new server can take its place.
                return std::future::pending().await;
            }
            Err(StartError::Storage(error)) => tracing::warn!(%error, "cannot start"),
        }
        time::sleep(BACK_OFF).await;
    }
}

/// Until the disk fails.
async fn serve(raft: Raft, mut applies: Applies, server: &mut Server<LogService>, params: Rc<Params>) {
    let host = Rc::new(Host {
        raft,
        state: RefCell::default(),
        applied: Cell::new(0),
        waiting: RefCell::default(),
        progress: Notify::new(),
        params,
    });
    let mut check = time::interval(Duration::from_millis(10));
    while host.raft.stopped().is_none() {
        select! {
            apply = applies.recv() => match apply {
                Some(apply) => host.apply(apply),
                None => break,
            },
            incoming = server.recv() => host.clone().answer(incoming),
            _ = check.tick() => {}
        }
    }
    host.raft.close();
}

impl Host {
    fn apply(&self, apply: Apply) {
        let (index, term) = match apply {
            Apply::Snapshot { index, state } => {
                *self.state.borrow_mut() = match state.is_empty() {
                    true => State::default(),
                    false => codec::decode::<(State, Vec<u8>)>(&state).expect("its own snapshot").0,
                };
                (index, None)
            }
            Apply::Command { index, term, command } => {
                let mut state = self.state.borrow_mut();
                state.count += 1;
                state.hash = xxhash_rust::xxh3::xxh3_64_with_seed(&command, state.hash);
                (index, Some(term))
            }
            Apply::Nothing { index, term } => (index, Some(term)),
        };
        always!(
            index > self.applied.get() || index == 0,
            "raft.applied-in-order",
            "{index} after {}",
            self.applied.get()
        );
        self.applied.set(index);
        self.progress.notify_waiters();
        self.answer_waiting(index, term);
        let every = self.params.snapshot_every;
        if term.is_some() && every > 0 && index.is_multiple_of(every) {
            let state = (self.state.borrow().clone(), vec![7u8; self.params.snapshot_bytes]);
            self.raft.compact(index, Bytes::from(codec::encode(&state).expect("it is small")));
        }
    }

    /// Who waited for an entry up to `index` learns what became of it. What a snapshot jumped over nobody knows.
    fn answer_waiting(&self, index: Index, applied: Option<Term>) {
        let mut waiting = self.waiting.borrow_mut();
        while let Some(entry) = waiting.first_entry().filter(|entry| *entry.key() <= index) {
            let (at, (term, responder)) = entry.remove_entry();
            responder.send(&match applied {
                Some(applied) if at == index && applied == term => Reply::Appended(index),
                Some(_) if at == index => Reply::Refused(None),
                _ => Reply::Unknown,
            });
        }
    }

    fn answer(self: Rc<Self>, incoming: Incoming<LogService>) {
        let Incoming { request, responder, .. } = incoming;
        match request {
            Request::Append(command) => match self.raft.propose(command.into()) {
                Ok((index, term)) => {
                    let before = self.waiting.borrow_mut().insert(index, (term, responder));
                    // The entry that was there has been replaced by this one.
                    if let Some((_, responder)) = before {
                        responder.send(&Reply::Refused(None));
                    }
                }
                Err(ProposeError::NotLeader { leader }) => responder.send(&Reply::Refused(leader.map(|id| id.0))),
                Err(ProposeError::Forwarded) => responder.send(&Reply::Unknown),
                Err(ProposeError::Transferring | ProposeError::Full) => responder.send(&Reply::Refused(None)),
            },
            Request::Read => {
                task::spawn(self.read(responder));
            }
            Request::Transfer(to) => {
                let taken = self.raft.transfer_leadership(Id(to));
                responder.send(&if taken {
                    Reply::Accepted
                } else {
                    Reply::Refused(self.raft.leader().map(|id| id.0))
                });
            }
            Request::Members(voters, learners) => {
                let ids = |ids: Vec<u64>| ids.into_iter().map(Id).collect();
                let result = self.raft.change_membership(&Target { voters: ids(voters), learners: ids(learners) });
                responder.send(&match result {
                    Ok(_) => Reply::Accepted,
                    Err(_) => Reply::Refused(self.raft.leader().map(|id| id.0)),
                });
            }
        }
    }

    async fn read(self: Rc<Self>, responder: Responder<LogService>) {
        let Ok(index) = self.raft.read_index().await else {
            return responder.send(&Reply::Refused(self.raft.leader().map(|id| id.0)));
        };
        while self.applied.get() < index {
            let progress = self.progress.notified();
            if self.applied.get() < index {
                progress.await;
            }
        }
        responder.send(&Reply::Read(self.applied.get()));
    }
}
