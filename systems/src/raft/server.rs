//! A server as it is tested alone: a log of commands that clients append to.
//!
//! Its state machine counts and hashes what it applies, so two that have applied the same are equal. Snapshots are padded to
//! a size that the scenario chooses, so that they go in many parts.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use sim::rpc::{Incoming, Responder, Server, Service};
use sim::sync::Notify;
use sim::{always, buggify, event, group, node, observe, planted, select, sometimes, task, time};

use super::driver::{Applies, Apply, EmptyDisk, Options, Raft, StartError};
use super::events;
use super::leader::ProposeError;
use super::membership::{Membership, Target};
use super::system::Params;
use super::waiting::{Decided, Waiting};
use super::{Id, Index, Term};
use crate::storage::StorageError;

event! {
    /// A server acknowledged a client's command as committed. Other systems on Raft do not report it.
    "raft.acked" => pub struct Acked {
        /// The index of the command's entry.
        pub index: u64,
        /// The hash of the command.
        pub hash: u64,
    }
}

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
    /// The last applied entry of this server, and the members as far as it knows.
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

/// A request that waits for an entry.
struct Call {
    /// The hash of the command; a read has none.
    command: Option<u64>,
    responder: Responder<LogService>,
}

struct Host {
    raft: Raft,
    state: RefCell<State>,
    applied: Cell<Index>,
    waiting: RefCell<Waiting<Call>>,
    /// The entry at which the last snapshot was begun.
    compacting: Cell<Index>,
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
        config: params.raft.clone(),
        dir: "raft".to_owned(),
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

/// The starter of the servers knows which of them have run before.
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
        compacting: Cell::new(0),
        progress: Notify::new(),
        params,
    });
    let mut check = time::interval(Duration::from_millis(10));
    while host.raft.stopped().is_none() {
        select! {
            apply = applies.recv() => match apply {
                Some(apply) => {
                    if let Err(error) = host.apply(apply).await {
                        host.raft.fail(error);
                    }
                }
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
    async fn apply(self: &Rc<Self>, apply: Apply) -> Result<(), StorageError> {
        let (index, term) = match apply {
            Apply::Snapshot { index, state, .. } => {
                let loaded = match state.filter(|_| !planted!("raft.snapshot-state-ignored")) {
                    None => State::default(),
                    Some(mut snapshot) => snapshot.get().await?,
                };
                self.state.replace(loaded);
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
        let State { count, hash } = *self.state.borrow();
        observe!(events::State { index, count, hash });
        self.progress.notify_waiters();
        match term {
            Some(term) => self.complete(index, term),
            None => self.skipped(index),
        }
        let every = self.params.snapshot_every;
        let under_way = self.compacting.get() > self.raft.snapshot_index();
        if term.is_some() && every > 0 && index.is_multiple_of(every) && !under_way {
            let last = if planted!("raft.snapshot-index-off-by-one") { index - 1 } else { index };
            self.compacting.set(last);
            let state = self.state.borrow().clone();
            task::spawn(self.clone().make_snapshot(last, state));
        }
        Ok(())
    }

    async fn make_snapshot(self: Rc<Self>, index: Index, state: State) {
        if let Err(error) = self.write_snapshot(index, state).await {
            self.raft.fail(error);
        }
    }

    async fn write_snapshot(&self, index: Index, state: State) -> Result<(), StorageError> {
        let Some(mut new) = self.raft.begin_snapshot(index).await? else { return Ok(()) };
        new.state.put(&state).await?;
        new.state.write(&vec![7; self.params.snapshot_bytes]).await?;
        self.raft.compact(new);
        Ok(())
    }

    /// Answers the requests that an applied entry decides.
    fn complete(&self, index: Index, term: Term) {
        let Decided { applied, overwritten } = self.waiting.borrow_mut().applied(index, term, |of, term| of == term);
        if let Some(Call { command, responder }) = applied {
            responder.send(&match command {
                Some(hash) => {
                    observe!(Acked { index, hash });
                    Reply::Appended(index)
                }
                None => Reply::Read(index),
            });
        }
        sometimes!(!overwritten.is_empty(), "raft: a request's entry is overwritten by another leader's");
        overwritten.into_iter().for_each(|call| call.responder.send(&Reply::Refused(None)));
    }

    /// Answers the requests whose entries a snapshot has skipped over.
    fn skipped(&self, index: Index) {
        let skipped: Vec<_> = self.waiting.borrow_mut().skipped(index).collect();
        skipped.into_iter().for_each(|call| call.responder.send(&Reply::Unknown));
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

    /// Proposes an entry and answers when it is applied. `command` is the hash of its command; a read has none.
    fn propose(&self, bytes: Vec<u8>, command: Option<u64>, responder: Responder<LogService>) {
        if buggify!("raft.needless-refusal") {
            return responder.send(&Reply::Refused(None));
        }
        match self.raft.propose(bytes.into()) {
            Ok((index, term)) => {
                let before = self.waiting.borrow_mut().insert(index, term, Call { command, responder });
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
