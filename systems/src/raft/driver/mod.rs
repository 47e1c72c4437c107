//! The driver: gives the pure core a clock, a network and a disk.
//!
//! Every answer leaves when what it promises is durable. Writes are made by one task, which takes all that has come up
//! meanwhile with one sync; the leader's appends are under way beside its own write. What is committed comes out of
//! [`Applies`] in order, beginning with the snapshot that was on the disk.
//!
//! A server whose disk fails stops: its handle says so, and its owner starts it anew from the disk.

mod disk;
mod jobs;
mod snapshots;
mod watch;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use bytes::Bytes;
use sim::net::UdpSocket;
use sim::sync::watch::{Receiver, Sender, channel};
use sim::sync::{Notify, mpsc, oneshot};
use sim::task::JoinHandle;
use sim::time::Instant;
use sim::{GroupId, NodeId, always, codec, observe, planted, rand, task, time};

use super::config::Config;
use super::core::{Core, Output};
use super::events;
use super::leader::ProposeError;
use super::membership::{ChangeError, Membership, Target};
use super::message::{Body, Entry, Id, Index, Message, Payload, Position, SnapshotMeta, Term};
use crate::storage::StorageError;
use crate::storage::snapshot::Snapshot;
pub use disk::StartError;
pub(super) use disk::entry_of;
use disk::{Disk, Found};
use jobs::Job;
pub use snapshots::NewSnapshot;
use snapshots::{Kept, Wanted};
use watch::Watch;

/// How to run a server.
#[derive(Clone, Debug)]
pub struct Options {
    /// Which server it is.
    pub id: Id,
    /// The group that it is a member of: its events are about that. Servers are the nodes of the group, and have their numbers for ids.
    pub group: GroupId,
    /// Its parameters.
    pub config: Config,
    /// The directory that it has for itself.
    pub dir: String,
    /// Where it listens.
    pub port: u16,
    /// What it means if its disk is empty.
    pub empty_disk: EmptyDisk,
    /// The members of a new cluster.
    pub members: Membership,
}

/// What it means if a server's disk is empty when it starts. The disk cannot say; the starter of the server knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EmptyDisk {
    /// The server is new.
    #[default]
    New,
    /// The server is new, and writes to its disk before it does anything else. It is not empty again, unless it is lost.
    Marked,
    /// The server has run before, and has lost what it had promised to remember: it cannot start.
    Lost,
}

/// What the state machine is to do next.
#[derive(Debug)]
pub enum Apply {
    /// To become what a snapshot says: the state after the entry at `index`.
    Snapshot {
        /// The last entry in it.
        index: Index,
        /// Its term.
        term: Term,
        /// The state, as it was written to [`NewSnapshot::state`]. `None` is the state before the first entry. If it cannot be
        /// read, the error goes to [`Raft::fail`].
        state: Option<Snapshot>,
    },
    /// To execute a command.
    Command {
        /// Where it is in the log.
        index: Index,
        /// Its term.
        term: Term,
        /// The command.
        command: Bytes,
    },
    /// Nothing, but to know that everything up to `index` is applied: an entry without a command.
    Nothing {
        /// Where it is.
        index: Index,
        /// Its term.
        term: Term,
    },
}

/// What is to be applied, in order.
pub type Applies = mpsc::UnboundedReceiver<Apply>;

/// How much a server has sent and received.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Messages sent.
    pub messages: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// Why a read index could not be had. Ask the present leader again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no leader confirmed the read")]
pub struct NotConfirmed;

/// A running server. Clones are the same server.
#[derive(Clone)]
pub struct Raft(Rc<Server>);

struct Server {
    options: Options,
    state: RefCell<State>,
    jobs: mpsc::UnboundedSender<Job>,
    applies: mpsc::UnboundedSender<Apply>,
    /// The term that it leads. `None` once the server has stopped.
    leads: RefCell<Option<Sender<Option<Term>>>>,
    stops: Notify,
    /// Some follower wants a piece of a snapshot.
    wants: Notify,
}

struct State {
    core: Core,
    watch: Watch,
    /// Gone when the server is closed: another may open it.
    disk: Option<Disk>,
    socket: Option<Rc<UdpSocket>>,
    tasks: Vec<JoinHandle<()>>,
    kept: Kept,
    /// The snapshot that is being received.
    incoming: Option<NewSnapshot>,
    wanted: Wanted,
    reads: BTreeMap<u64, oneshot::Sender<Option<Index>>>,
    next_read: u64,
    traffic: Traffic,
    stopped: Option<StorageError>,
    /// When the core's first tick is due, and how many it has had.
    started: Instant,
    ticks: u64,
    /// The last term that it led, the last that it acted in, and the last commit index: of which it has told.
    led: Term,
    acted: Term,
    committed: Index,
}

impl Raft {
    /// Starts a server with what is on its disk.
    pub async fn start(options: Options) -> Result<(Raft, Applies), StartError> {
        let first = SnapshotMeta { membership: options.members.clone(), ..SnapshotMeta::default() };
        let Found { disk, restored, kept, state } =
            Disk::open(&options.dir, options.config.segment, first, options.empty_disk).await?;
        let core = Core::new(options.id, options.config.clone(), restored, Box::new(rand::below));
        events::restored(options.group, &core);
        for entry in core.log().entries(core.log().snapshot().last.index + 1, usize::MAX) {
            disk.report(options.group, entry.index, entry.term);
        }
        let (applies, applied) = mpsc::unbounded_channel();
        let (jobs, todo) = mpsc::unbounded_channel();
        let socket = Rc::new(UdpSocket::bind(options.port).expect("the port is the server's own"));
        let Position { index, term } = kept.meta.last;
        let _ = applies.send(Apply::Snapshot { index, term, state });
        let state = State {
            core,
            watch: Watch::new(options.group),
            disk: Some(disk),
            socket: Some(socket.clone()),
            tasks: Vec::new(),
            kept,
            incoming: None,
            wanted: Wanted::new(),
            reads: BTreeMap::new(),
            // An answer to a former life's question may still be under way: it must not answer one of this life.
            next_read: if planted!("raft.read-numbers-reused") { 0 } else { rand::below(u64::MAX) },
            traffic: Traffic::default(),
            stopped: None,
            started: time::now(),
            ticks: 0,
            led: 0,
            acted: 0,
            committed: 0,
        };
        let raft = Raft(Rc::new(Server {
            options,
            state: RefCell::new(state),
            jobs,
            applies,
            leads: RefCell::new(Some(channel(None).0)),
            stops: Notify::new(),
            wants: Notify::new(),
        }));
        let tasks = vec![
            task::spawn(raft.clone().ticks()),
            task::spawn(raft.clone().receives(socket)),
            task::spawn(raft.clone().writes(todo)),
            task::spawn(raft.clone().sends_snapshots()),
        ];
        raft.0.state.borrow_mut().tasks = tasks;
        Ok((raft, applied))
    }

    /// Stops the server, and lets go of its port and its disk.
    pub fn close(&self) {
        let (tasks, disk, socket) = {
            let state = &mut *self.0.state.borrow_mut();
            state.stopped.get_or_insert(StorageError::Poisoned);
            state.reads.clear();
            (std::mem::take(&mut state.tasks), state.disk.take(), state.socket.take())
        };
        tasks.iter().for_each(JoinHandle::abort);
        self.0.leads.borrow_mut().take();
        self.0.stops.notify_waiters();
        drop((disk, socket));
    }

    /// Takes a command into the log, if this server leads, and does not wait: it is committed if an entry of that term is
    /// applied at that index.
    pub fn propose(&self, command: Bytes) -> Result<(Index, Term), ProposeError> {
        self.with(|core| {
            let handing_over = core.is_transferring();
            let taken = core.propose(command);
            // With new entries all the time, the next leader would never have them all.
            always!(!(handing_over && taken.is_ok()), "raft.no-proposals-during-transfer");
            taken
        })
    }

    /// Waits for an index that, once it is applied here, shows every write that was completed before the call.
    pub async fn read_index(&self) -> Result<Index, NotConfirmed> {
        let (answer, answered) = oneshot::channel();
        let request = {
            let state = &mut *self.0.state.borrow_mut();
            state.next_read = state.next_read.wrapping_add(1);
            state.reads.insert(state.next_read, answer);
            state.next_read
        };
        observe!(group: self.group(), events::ReadIndexRequested { request });
        self.with(|core| core.read(request));
        // A follower's request or its answer may be lost.
        let election = self.0.options.config.tick() * self.0.options.config.election_ticks as u32;
        let answer = time::timeout(election, answered).await;
        self.0.state.borrow_mut().reads.remove(&request);
        let index = answer.ok().and_then(Result::ok).flatten().ok_or(NotConfirmed)?;
        observe!(group: self.group(), events::ReadIndexReceived { request, index });
        Ok(index)
    }

    /// Changes the membership: see [`Core::change_membership`].
    pub fn change_membership(&self, target: &Target) -> Result<Index, ChangeError> {
        self.with(|core| core.change_membership(target))
    }

    /// Hands leadership over: see [`Core::transfer_leadership`].
    pub fn transfer_leadership(&self, to: Id) -> bool {
        self.with(|core| core.transfer_leadership(to))
    }

    /// The state machine has written its state: the entries up to it are not needed any more. Returns before the snapshot is
    /// durable.
    pub fn compact(&self, snapshot: NewSnapshot) {
        let _ = self.0.jobs.send(Job::Compact(snapshot));
    }

    /// The group that it is a member of.
    pub fn group(&self) -> GroupId {
        self.0.options.group
    }

    /// Its term, and whether it leads as far as it knows.
    pub fn status(&self) -> (Term, bool) {
        let state = self.0.state.borrow();
        (state.core.term(), state.core.is_leader())
    }

    /// The term that it leads, as far as it can know: it first lets all the time pass that its clock says has passed, so that a
    /// server that was paused for two election timeouts or more knows that it no longer leads (with [`Config::check_quorum`]).
    pub fn leads(&self) -> Option<Term> {
        self.with(|core| core.is_leader().then(|| core.term())).filter(|_| self.stopped().is_none())
    }

    /// Watches the term that it leads. Closed when the server stops. See [`crate::rsm::Leadership`].
    pub fn leadership(&self) -> Receiver<Option<Term>> {
        match &*self.0.leads.borrow() {
            Some(leads) => leads.subscribe(),
            None => channel(None).1,
        }
    }

    /// The leader, as far as it knows.
    pub fn leader(&self) -> Option<Id> {
        self.0.state.borrow().core.leader()
    }

    /// The members: the latest membership in its log.
    pub fn membership(&self) -> Membership {
        self.0.state.borrow().core.membership().clone()
    }

    /// The bytes of the entries that are kept, and of the newest snapshot.
    pub fn size(&self) -> (usize, usize) {
        let state = self.0.state.borrow();
        (state.core.log().bytes(), state.kept.len as usize)
    }

    /// The last entry that the newest snapshot stands for.
    pub fn snapshot_index(&self) -> Index {
        self.0.state.borrow().kept.meta.last.index
    }

    /// What it has sent.
    pub fn traffic(&self) -> Traffic {
        self.0.state.borrow().traffic
    }

    /// Why it has stopped, if it has: its disk failed.
    pub fn stopped(&self) -> Option<StorageError> {
        self.0.state.borrow().stopped.clone()
    }

    /// Waits until it has stopped.
    pub async fn failed(&self) {
        while self.stopped().is_none() {
            let stops = self.0.stops.notified();
            if self.stopped().is_none() {
                stops.await;
            }
        }
    }

    /// Lets the core do something, and does what comes of it.
    fn with<R>(&self, f: impl FnOnce(&mut Core) -> R) -> R {
        self.catch_up();
        let result = f(&mut self.0.state.borrow_mut().core);
        self.pump();
        result
    }

    fn step(&self, message: Message) {
        self.catch_up();
        {
            let State { core, watch, .. } = &mut *self.0.state.borrow_mut();
            watch.step(core, message);
        }
        self.pump();
    }

    /// Gives the core the ticks that are due by the clock. A server that was paused must know how late it is before it does
    /// anything else: its lease may be over.
    fn catch_up(&self) {
        let state = &mut *self.0.state.borrow_mut();
        let due = time::now().duration_since(state.started).as_nanos() / self.0.options.config.tick().as_nanos();
        while u128::from(state.ticks) < due && !planted!("raft.missed-ticks-ignored") {
            state.ticks += 1;
            state.watch.tick(&mut state.core);
        }
    }

    /// Does what the core wants done.
    fn pump(&self) {
        loop {
            let (output, reads) = {
                let state = &mut *self.0.state.borrow_mut();
                if state.stopped.is_some() {
                    return;
                }
                let output = state.core.output();
                let reads: Vec<_> = output
                    .reads
                    .iter()
                    .filter_map(|read| Some((state.reads.remove(&read.request)?, read.index)))
                    .collect();
                (output, reads)
            };
            self.report(&output);
            if output.is_empty() {
                return;
            }
            for (answer, index) in reads {
                let _ = answer.send(index);
            }
            self.carry_out(output);
        }
    }

    fn carry_out(&self, output: Output) {
        let server = &*self.0;
        if let Some(persist) = output.persist {
            let _ = server.jobs.send(Job::Write(persist));
        }
        for message in output.messages {
            self.send(message);
        }
        for entry in output.committed {
            let (index, term) = (entry.index, entry.term);
            observe!(group: server.options.group, events::Applied { index, term, hash: events::hash(&entry) });
            if let Payload::Membership(membership) = &entry.payload {
                events::members_applied(server.options.group, index, membership);
            }
            let _ = server.applies.send(match entry.payload {
                Payload::Command(command) => Apply::Command { index, term, command },
                Payload::Noop | Payload::Membership(_) => Apply::Nothing { index, term },
            });
        }
        for chunk in output.store {
            let _ = server.jobs.send(Job::Store(chunk));
        }
        if !output.wanted.is_empty() {
            server.state.borrow_mut().wanted.extend(output.wanted.into_iter().map(|wanted| (wanted.to, wanted)));
            server.wants.notify_one();
        }
    }

    fn send(&self, message: Message) {
        let to = NodeId::new(message.to.0 as u16).port(self.0.options.port);
        let bytes = codec::encode(&message).expect("messages are limited by the configuration");
        let state = &mut *self.0.state.borrow_mut();
        state.traffic.messages += 1;
        state.traffic.bytes += bytes.len() as u64;
        if let Some(socket) = &state.socket {
            socket.send_to(bytes, to);
        }
    }

    async fn ticks(self) {
        let mut ticks = time::interval(self.0.options.config.tick());
        while self.stopped().is_none() {
            ticks.tick().await;
            self.with(|core| {
                if planted!("raft.missed-ticks-ignored") {
                    core.tick();
                }
            });
        }
    }

    async fn receives(self, socket: Rc<UdpSocket>) {
        while self.stopped().is_none() {
            let datagram = socket.recv_from().await;
            // Other datagrams are not from servers.
            if let Ok(message) = codec::decode::<Message>(&datagram.payload) {
                self.step(message);
            }
        }
    }

    /// Reports what others check: see [`events`].
    fn report(&self, output: &Output) {
        let group = self.group();
        let state = &mut *self.0.state.borrow_mut();
        let core = &state.core;
        let term = core.term();
        let leads = if core.is_leader() { term } else { 0 };
        for message in &output.messages {
            // Others count on these. The rest says nothing that must be true after a crash: who would vote, that there is no
            // answer to a read.
            let promise = matches!(
                message.body,
                Body::RequestVote { .. }
                    | Body::RequestVoteReply { .. }
                    | Body::AppendEntries { .. }
                    | Body::AppendEntriesReply { .. }
                    | Body::InstallSnapshot { .. }
                    | Body::InstallSnapshotReply { .. }
            );
            if promise && message.term > state.acted {
                state.acted = message.term;
                observe!(group: group, events::Acted { term: message.term });
            }
            match message.body {
                Body::RequestVoteReply { granted: true } => {
                    observe!(group: group, events::Voted { term: message.term, candidate: message.to.0 });
                }
                Body::RequestVote { .. } => {
                    observe!(group: group, events::Voted { term: message.term, candidate: message.from.0 })
                }
                Body::TimeoutNow => watch::timeout_now_sent(group, core, output, message.to),
                _ => {}
            }
        }
        let now = core.is_leader().then_some(term);
        let watched = self.0.leads.borrow();
        if watched.as_ref().is_some_and(|watched| *watched.borrow() != now) {
            watched.iter().for_each(|watched| watched.send(now));
        }
        drop(watched);
        if leads > 0 && state.led != leads {
            state.led = leads;
            observe!(group: group, events::BecameLeader { term });
        }
        let log = core.log();
        let committed = log.commit_index();
        let entries = output.persist.as_ref().map_or(&[][..], |persist| &persist.entries);
        // What is committed is judged by the memberships up to it, not by those after it.
        let (before, after) = entries.split_at(entries.partition_point(|entry| entry.index <= committed));
        let mut prev_term = None;
        let mut appended = |entries: &[Entry]| {
            for entry in entries {
                let before = prev_term.or_else(|| log.term(entry.index - 1)).unwrap_or(0);
                let (index, term, hash) = (entry.index, entry.term, events::hash(entry));
                observe!(group: group, events::Appended { index, term, prev_term: before, hash, leads });
                prev_term = Some(entry.term);
                if let Payload::Membership(membership) = &entry.payload {
                    events::members(group, index, false, membership);
                }
            }
        };
        appended(before);
        if committed > state.committed {
            state.committed = committed;
            observe!(group: group, events::Committed {
                index: committed,
                term: log.term(committed).unwrap_or(0),
                leads,
                snapshot: log.snapshot().last.index,
                applied: log.last_applied(),
                last: log.last().index,
            });
        }
        appended(after);
    }
}
