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
use sim::{always, codec, group, node, observe, planted, select, task, time};

use super::driver::{Applies, Apply, EmptyDisk, Options, Raft, StartError};
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
    /// How far the log has come, without an entry: by a read index, or a lease.
    Read,
    /// How far the log has come, as an entry of the log.
    ReadByLog,
    /// To hand leadership over.
    Transfer(u64),
    /// To change the membership: voters and learners.
    Members(Vec<u64>, Vec<u64>),
    /// How far this server has come, and who the members are as far as it knows.
    Status,
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
    /// Everything up to this index is applied here, and these are the members.
    Status(Index, Vec<u64>),
    /// This server has forgotten what it had promised, and takes no part any more.
    Gone,
}

/// The service.
pub struct LogService;

impl Service for LogService {
    type Request = Request;
    type Reply = Reply;
}

/// The state machine.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct State {
    count: u64,
    hash: u64,
}

/// Who waits for an entry.
struct Waiting {
    term: Term,
    /// What the command is, as a hash; a read has none.
    command: Option<u64>,
    responder: Responder<LogService>,
}

struct Host {
    raft: Raft,
    state: RefCell<State>,
    applied: Cell<Index>,
    /// Who waits for an entry of that term at that index.
    waiting: RefCell<BTreeMap<Index, Waiting>>,
    progress: Notify,
    params: Rc<Params>,
}

/// A server's life.
pub async fn boot(params: Rc<Params>) {
    let nodes = group::home().nodes();
    let voters = nodes[..params.servers].iter().map(|node| Id(node.index() as u64));
    let options = Options {
        id: Id(node::this().index() as u64),
        group: group::home(),
        config: params.config(),
        tick: Duration::from_millis(params.tick_ms),
        dir: "raft".to_owned(),
        segment: params.segment,
        port: PORTS[0],
        empty_disk: if params.marks_disks { marked(node::incarnation()) } else { EmptyDisk::New },
        members: Membership::of(voters),
    };
    let mut server = Server::<LogService>::bind(PORTS[1]).expect("the port is free");
    loop {
        match Raft::start(options.clone()).await {
            Ok((raft, applies)) => serve(raft, applies, &mut server, params.clone()).await,
            Err(StartError::Forgotten { first, last }) => {
                observe!(events::Forgotten { first, last });
                // It must not vote again, nor be counted on: only a new server can take its place.
                loop {
                    server.recv().await.responder.send(&Reply::Gone);
                }
            }
            Err(StartError::Storage(error)) => tracing::warn!(%error, "cannot start"),
        }
        time::sleep(BACK_OFF).await;
    }
}

/// Whoever starts the servers knows which of them have run before.
fn marked(incarnation: u32) -> EmptyDisk {
    if incarnation == 1 { EmptyDisk::Marked } else { EmptyDisk::Lost }
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
    host.progress.notify_waiters();
}

impl Host {
    fn apply(&self, apply: Apply) {
        let (index, term) = match apply {
            Apply::Snapshot { index, state, .. } => {
                *self.state.borrow_mut() = match state.is_empty() || planted!("raft.snapshot-state-ignored") {
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
        self.tell(index);
        self.progress.notify_waiters();
        self.answer_waiting(index, term);
        let every = self.params.snapshot_every;
        if term.is_some() && every > 0 && index.is_multiple_of(every) {
            let state = (self.state.borrow().clone(), vec![7u8; self.params.snapshot_bytes]);
            let index = if planted!("raft.snapshot-index-off-by-one") { index - 1 } else { index };
            self.raft.compact(index, Bytes::from(codec::encode(&state).expect("it is small")));
        }
    }

    /// What the state is, for whoever compares it with others'.
    fn tell(&self, index: Index) {
        let State { count, hash } = *self.state.borrow();
        observe!(events::State { index, count, hash });
    }

    /// Who waited for an entry up to `index` learns what became of it. What a snapshot jumped over nobody knows.
    fn answer_waiting(&self, index: Index, applied: Option<Term>) {
        let mut waiting = self.waiting.borrow_mut();
        while let Some(entry) = waiting.first_entry().filter(|entry| *entry.key() <= index) {
            let (at, Waiting { term, command, responder }) = entry.remove_entry();
            responder.send(&match applied {
                Some(applied) if at == index && applied == term => match command {
                    Some(hash) => {
                        observe!(events::Acked { index, hash });
                        Reply::Appended(index)
                    }
                    None => Reply::Read(index),
                },
                Some(_) if at == index => Reply::Refused(None),
                _ => Reply::Unknown,
            });
        }
    }

    fn answer(self: Rc<Self>, incoming: Incoming<LogService>) {
        let Incoming { request, responder, .. } = incoming;
        match request {
            Request::Append(command) => {
                let hash = events::hash_of(&command);
                self.propose(command, Some(hash), responder);
            }
            Request::ReadByLog => self.propose(Vec::new(), None, responder),
            Request::Status => {
                let members = self.raft.membership().members().map(|id| id.0).collect();
                responder.send(&Reply::Status(self.applied.get(), members));
            }
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

    /// Proposes a command and answers when it is applied. `hash` is none for a read.
    fn propose(&self, command: Vec<u8>, hash: Option<u64>, responder: Responder<LogService>) {
        match self.raft.propose(command.into()) {
            Ok((index, term)) => {
                let now = Waiting { term, command: hash, responder };
                let before = self.waiting.borrow_mut().insert(index, now);
                // The entry that was there is not in this log any more. Another server may still have it, and lead one day.
                if let Some(before) = before {
                    before.responder.send(&Reply::Unknown);
                }
            }
            Err(ProposeError::NotLeader { leader }) => responder.send(&Reply::Refused(leader.map(|id| id.0))),
            Err(ProposeError::Forwarded) => responder.send(&Reply::Unknown),
            Err(ProposeError::Transferring | ProposeError::Full) => responder.send(&Reply::Refused(None)),
        }
    }

    async fn read(self: Rc<Self>, responder: Responder<LogService>) {
        let Ok(index) = self.raft.read_index().await else {
            return responder.send(&Reply::Refused(self.raft.leader().map(|id| id.0)));
        };
        while self.applied.get() < index {
            if self.raft.stopped().is_some() {
                return responder.send(&Reply::Refused(None));
            }
            self.progress.notified().await;
        }
        responder.send(&Reply::Read(self.applied.get()));
    }
}
