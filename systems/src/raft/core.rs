//! A server as a pure state machine: messages, ticks and proposals in, messages and entries out. No clock, no disk, no
//! network: whoever drives it has those (section 5; Figure 2).
//!
//! Everything that happens is put in by a method and shows in the next [`Output`]. What an answer promises must be on the
//! disk before the answer leaves: such messages are held here until the driver says that it wrote what was to be written
//! ([`Core::wrote`]). The leader's own appends go out at once, beside its own write (thesis, section 10.2.1).

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use sim::planted;

use super::config::Config;
use super::leader::Leader;
use super::log::Log;
use super::membership::Membership;
use super::message::{Body, Entry, HardState, Id, Index, Message, Payload, Position, SnapshotMeta, Term};
use super::snapshot::Receiving;

/// What part a server plays in its term.
#[derive(Clone, Debug)]
pub enum Role {
    /// It follows whoever leads.
    Follower,
    /// It asks who would vote for it.
    PreCandidate(BTreeMap<Id, bool>),
    /// It stands for election.
    Candidate(BTreeMap<Id, bool>),
    /// It leads.
    Leader(Box<Leader>),
}

/// What was on a server's disk when it started.
#[derive(Clone, Debug, Default)]
pub struct Restored {
    /// Term and vote.
    pub hard_state: HardState,
    /// The snapshot, or who the members are if there is none yet.
    pub snapshot: SnapshotMeta,
    /// The log behind it.
    pub entries: Vec<Entry>,
}

/// What is to be written, all of it in one go, in the order of the numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Persist {
    /// To be given to [`Core::wrote`] when it is durable.
    pub number: u64,
    /// Term and vote, if they changed.
    pub hard_state: Option<HardState>,
    /// Entries. They replace all that was written from the first one's index on.
    pub entries: Vec<Entry>,
}

/// A read may be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadReady {
    /// The number that it was asked with.
    pub request: u64,
    /// When everything up to here is applied. `None`: the server does not know whether it leads; ask again.
    pub index: Option<Index>,
}

/// A part of a snapshot that the driver is to read from its disk and give to [`Core::send_chunk`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChunkWanted {
    /// Who needs it.
    pub to: Id,
    /// Which snapshot.
    pub last: Position,
    /// From which byte on.
    pub offset: u64,
}

/// A part of a snapshot that has come, to be written to the disk; then [`Core::stored_chunk`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreChunk {
    /// Which snapshot.
    pub meta: SnapshotMeta,
    /// Where it begins.
    pub offset: u64,
    /// The part.
    pub data: Bytes,
    /// Whether the snapshot is whole with it: then it is to be made durable, and to become the state.
    pub done: bool,
}

/// What is to be done.
#[derive(Clone, Debug, Default)]
pub struct Output {
    /// To be written.
    pub persist: Option<Persist>,
    /// To be sent, at once.
    pub messages: Vec<Message>,
    /// To be applied, in order.
    pub committed: Vec<Entry>,
    /// Reads that were asked for.
    pub reads: Vec<ReadReady>,
    /// Parts of snapshots to be sent.
    pub wanted: Vec<ChunkWanted>,
    /// Parts of snapshots to be stored.
    pub store: Vec<StoreChunk>,
}

impl Output {
    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.persist.is_none()
            && self.messages.is_empty()
            && self.committed.is_empty()
            && self.reads.is_empty()
            && self.wanted.is_empty()
            && self.store.is_empty()
    }
}

/// Uniform draws below a number.
pub type Draws = Box<dyn FnMut(u64) -> u64>;

/// A server.
pub struct Core {
    pub(super) id: Id,
    pub(super) config: Config,
    pub(super) draws: Draws,

    // Figure 2: persistent state. The log is persistent, too.
    pub(super) term: Term,
    pub(super) voted_for: Option<Id>,
    pub(super) log: Log,

    pub(super) role: Role,
    /// Who leads in this term, as far as the server knows.
    pub(super) leader: Option<Id>,
    /// Ticks so far.
    pub(super) now: u64,
    /// When it last heard from a leader, gave its vote or started an election.
    pub(super) heard: u64,
    /// How long after that it stands for election: drawn anew each time.
    pub(super) patience: u64,
    /// When it last heard from a leader, or started: until an election timeout later it votes for nobody else.
    pub(super) bound_since: u64,
    pub(super) receiving: Option<Receiving>,

    saved: HardState,
    /// The write that was handed out last, the one that is durable, and where the log ended with each that is not.
    issued: u64,
    written: u64,
    writes: VecDeque<(u64, Position)>,
    /// Messages that are true only when a write is durable.
    held: VecDeque<(u64, Message)>,
    pub(super) output: Output,
}

impl Core {
    /// A server that starts with what was on its disk. `draws` decides how patient it is.
    pub fn new(id: Id, config: Config, restored: Restored, draws: Draws) -> Core {
        let HardState { term, voted_for } = restored.hard_state;
        let mut core = Core {
            id,
            draws,
            term,
            voted_for,
            log: Log::restore(restored.snapshot, restored.entries),
            role: Role::Follower,
            leader: None,
            now: 0,
            heard: 0,
            patience: 0,
            bound_since: 0,
            receiving: None,
            saved: restored.hard_state,
            issued: 0,
            written: 0,
            writes: VecDeque::new(),
            held: VecDeque::new(),
            output: Output::default(),
            config,
        };
        core.wait_anew();
        core
    }

    /// Its id.
    pub fn id(&self) -> Id {
        self.id
    }

    /// `currentTerm`.
    pub fn term(&self) -> Term {
        self.term
    }

    /// `votedFor`.
    pub fn voted_for(&self) -> Option<Id> {
        self.voted_for
    }

    /// Its log.
    pub fn log(&self) -> &Log {
        &self.log
    }

    /// Its role.
    pub fn role(&self) -> &Role {
        &self.role
    }

    /// Whether it leads, as far as it knows.
    pub fn is_leader(&self) -> bool {
        matches!(self.role, Role::Leader(_))
    }

    /// Ticks so far.
    pub fn now(&self) -> u64 {
        self.now
    }

    /// See [`Config::election_ticks`].
    pub fn election_ticks(&self) -> u64 {
        self.config.election_ticks
    }

    /// Who leads in its term, as far as it knows.
    pub fn leader(&self) -> Option<Id> {
        self.leader
    }

    /// Who the members are: the latest membership in its log.
    pub fn membership(&self) -> &Membership {
        self.log.membership()
    }

    /// A tick has passed.
    pub fn tick(&mut self) {
        self.now += 1;
        if self.is_leader() {
            self.tick_leader();
        } else if self.now - self.heard >= self.patience {
            self.stand_for_election();
        }
    }

    /// A message has come.
    pub fn step(&mut self, message: Message) {
        let Message { from, term, body, .. } = message;
        match body {
            // Neither is about the sender's present term.
            Body::PreVote { last } => return self.on_pre_vote(from, term, last),
            Body::PreVoteReply { granted: true } if term > self.term => {
                return self.on_pre_vote_reply(from, term, true);
            }
            // One who hears from a leader does not even take notice of a higher term (thesis, section 4.2.3).
            Body::RequestVote { transfer: false, .. } if term > self.term && self.is_bound() => return,
            _ => {}
        }
        // Figure 2, Rules for Servers: a higher term makes everybody a follower, also that of an answer.
        let is_answer = matches!(
            body,
            Body::AppendReply { .. } | Body::SnapshotReply { .. } | Body::VoteReply { .. } | Body::PreVoteReply { .. }
        );
        if term > self.term && is_answer && planted!("raft.terms-of-answers-ignored") {
            return;
        }
        if term > self.term {
            self.follow(term);
        }
        match body {
            Body::RequestVote { last, .. } => self.on_request_vote(from, term, last),
            Body::Append { prev, entries, commit, round } => self.on_append(from, term, prev, entries, commit, round),
            Body::Snapshot { meta, offset, data, done, round } => {
                self.on_snapshot(from, term, StoreChunk { meta, offset, data, done }, round);
            }
            Body::VoteReply { granted } if planted!("raft.stale-vote-counts") => self.on_vote_reply(from, granted),
            // The rest is of the past if it is of an earlier term.
            _ if term < self.term => {}
            Body::VoteReply { granted } => self.on_vote_reply(from, granted),
            Body::PreVoteReply { granted } => self.on_pre_vote_reply(from, term, granted),
            Body::AppendReply { result, round } => self.on_append_reply(from, result, round),
            Body::SnapshotReply { last, received, round } => self.on_snapshot_reply(from, last, received, round),
            Body::TimeoutNow => self.on_timeout_now(from),
            Body::ReadIndex { request } => self.on_read_index(from, request),
            Body::ReadIndexReply { request, index } => self.output.reads.push(ReadReady { request, index }),
            Body::Propose { command } => {
                // Whoever passed it on will see by itself whether it is committed.
                let _ = self.propose(command);
            }
            Body::PreVote { .. } => {}
        }
    }

    /// Becomes a follower in `term`, of nobody known yet.
    pub(super) fn follow(&mut self, term: Term) {
        debug_assert!(term >= self.term, "terms never go back");
        if term > self.term {
            self.term = term;
            self.voted_for = None;
        }
        if planted!("raft.vote-forgotten-on-step-down") {
            self.voted_for = None;
        }
        self.leader = None;
        if let Role::Leader(leader) = std::mem::replace(&mut self.role, Role::Follower) {
            self.resign(*leader);
        }
    }

    /// Heard from who leads in this term.
    pub(super) fn follow_leader(&mut self, from: Id) {
        if !matches!(self.role, Role::Follower) {
            self.follow(self.term);
        }
        self.leader = Some(from);
        self.bound_since = self.now;
        self.wait_anew();
    }

    /// Starts waiting anew, for as long as is drawn: between one election timeout and two (section 5.2).
    pub(super) fn wait_anew(&mut self) {
        self.heard = self.now;
        let election = self.config.election_ticks;
        self.patience = election + (self.draws)(election);
    }

    /// Appends an entry of its own term, as a leader.
    pub(super) fn append(&mut self, payload: Payload) -> Index {
        let index = self.log.last().index + 1;
        self.log.push(Entry { term: self.term, index, payload });
        index
    }

    // ---- what leaves ------------------------------------------------------------------------------------------

    /// Sends at once: only what is true whatever is on the disk.
    pub(super) fn send(&mut self, to: Id, body: Body) {
        self.send_in(self.term, to, body);
    }

    pub(super) fn send_in(&mut self, term: Term, to: Id, body: Body) {
        self.output.messages.push(Message { from: self.id, to, term, body });
    }

    /// Sends when all that the server knows by now is on its disk.
    pub(super) fn send_when_written(&mut self, to: Id, body: Body) {
        let message = Message { from: self.id, to, term: self.term, body };
        let number = if self.is_unsaved() { self.issued + 1 } else { self.issued };
        self.held.push_back((number, message));
    }

    fn hard_state(&self) -> HardState {
        HardState { term: self.term, voted_for: self.voted_for }
    }

    fn is_unsaved(&self) -> bool {
        self.saved != self.hard_state() || self.log.has_unwritten()
    }

    /// What is to be done by now. What it says is to be written must be written in that order, and all of it.
    pub fn output(&mut self) -> Output {
        self.before_output();
        if self.is_unsaved() {
            self.issued += 1;
            let mut hard_state = Some(self.hard_state()).filter(|state| *state != self.saved);
            if planted!("raft.vote-not-persisted") {
                hard_state = hard_state.map(|state| HardState { voted_for: None, ..state });
            }
            if planted!("raft.term-not-persisted") {
                hard_state = hard_state.filter(|state| state.voted_for.is_some());
            }
            self.saved = self.hard_state();
            let entries = self.log.take_unwritten();
            self.writes.push_back((self.issued, self.log.last()));
            self.output.persist = Some(Persist { number: self.issued, hard_state, entries });
        }
        self.release();
        self.output.committed = self.log.take_committed(usize::MAX);
        std::mem::take(&mut self.output)
    }

    /// Everything up to that write is durable.
    pub fn wrote(&mut self, number: u64) {
        self.written = self.written.max(number);
        while let Some((_, position)) = self.writes.pop_front_if(|(of, _)| *of <= number) {
            self.log.wrote(position);
        }
        self.release();
        self.commit_if_possible();
    }

    /// Lets go of the messages that have become true. One to itself is heard at once.
    fn release(&mut self) {
        while let Some((_, message)) = self.held.pop_front_if(|(number, _)| *number <= self.written) {
            if message.to == self.id {
                self.step(message);
            } else {
                self.output.messages.push(message);
            }
        }
    }
}
