//! The Raft server as a pure state machine (section 5, Figure 2): messages, ticks and proposals go in; messages, writes and
//! committed entries come out. The driver owns the clock, the network and the disk.
//!
//! The driver reports each input through a method and takes the results from the next [`Output`]. A reply must not leave
//! before the state that it promises is on disk. The core holds such replies back until the driver reports the write as
//! durable ([`Core::wrote`]). The leader sends new entries in parallel with its own disk write (thesis, section 10.2.1).

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use sim::{buggify, planted, reachable};

use super::config::Config;
use super::leader::Leader;
use super::log::Log;
use super::membership::Membership;
use super::message::{Body, Entry, HardState, Id, Index, Message, Payload, Position, SnapshotMeta, Term};
use super::snapshot::Receiving;

/// The role of a server in its current term (Figure 4, with the pre-candidate of the thesis, section 9.6).
#[derive(Clone, Debug)]
pub enum Role {
    /// Answers requests of candidates and leaders.
    Follower,
    /// Collects pre-votes: the replies so far, by voter.
    PreCandidate(BTreeMap<Id, bool>),
    /// Collects votes: the replies so far, by voter.
    Candidate(BTreeMap<Id, bool>),
    /// Replicates its log to the other members.
    Leader(Box<Leader>),
}

/// The state that a server finds on its disk when it starts.
#[derive(Clone, Debug, Default)]
pub struct Restored {
    /// Term and vote.
    pub hard_state: HardState,
    /// The snapshot. Without a snapshot, its membership is the initial membership of the cluster.
    pub snapshot: SnapshotMeta,
    /// The log entries after the snapshot.
    pub entries: Vec<Entry>,
}

/// One write to the disk. The driver performs writes in the order of their numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Persist {
    /// The number that the driver passes to [`Core::wrote`] once the write is durable.
    pub number: u64,
    /// Term and vote, if either changed.
    pub hard_state: Option<HardState>,
    /// New entries. They replace every entry on disk from the first new entry's index on.
    pub entries: Vec<Entry>,
}

/// The result of a read-index request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadReady {
    /// The number that the caller gave to [`Core::read`].
    pub request: u64,
    /// The read may be answered once this index is applied. `None`: no leader confirmed the read; ask again.
    pub index: Option<Index>,
}

/// A request to the driver: read this part of a snapshot and pass it to [`Core::send_chunk`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChunkWanted {
    /// The receiver.
    pub to: Id,
    /// The last entry that the snapshot includes.
    pub last: Position,
    /// The first byte of the part.
    pub offset: u64,
}

/// A received part of a snapshot. The driver stores it, then calls [`Core::stored_chunk`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreChunk {
    /// The snapshot's metadata.
    pub meta: SnapshotMeta,
    /// The first byte of the part.
    pub offset: u64,
    /// The bytes of the part.
    pub data: Bytes,
    /// True for the last part. The driver then makes the snapshot durable and calls [`Core::installed`].
    pub done: bool,
}

/// The work that the core hands to the driver.
#[derive(Clone, Debug, Default)]
pub struct Output {
    /// The write to perform.
    pub persist: Option<Persist>,
    /// Messages to send now.
    pub messages: Vec<Message>,
    /// Committed entries to apply, in order.
    pub committed: Vec<Entry>,
    /// Results of read-index requests.
    pub reads: Vec<ReadReady>,
    /// Parts of snapshots to read and send.
    pub wanted: Vec<ChunkWanted>,
    /// Parts of snapshots to store.
    pub store: Vec<StoreChunk>,
}

impl Output {
    /// Whether the driver has nothing to do.
    pub fn is_empty(&self) -> bool {
        self.persist.is_none()
            && self.messages.is_empty()
            && self.committed.is_empty()
            && self.reads.is_empty()
            && self.wanted.is_empty()
            && self.store.is_empty()
    }
}

/// A source of uniform random numbers below its argument.
pub type Draws = Box<dyn FnMut(u64) -> u64>;

/// A Raft server without clock, network and disk.
pub struct Core {
    pub(super) id: Id,
    pub(super) config: Config,
    pub(super) draws: Draws,

    // Figure 2, persistent state on all servers.
    /// `currentTerm`. It never decreases.
    pub(super) term: Term,
    /// `votedFor` in `term`.
    pub(super) voted_for: Option<Id>,
    pub(super) log: Log,

    pub(super) role: Role,
    /// The leader of `term`, if known.
    pub(super) leader: Option<Id>,
    /// The number of ticks since the start.
    pub(super) now: u64,
    /// The tick of the last reset of the election timer: a message from the leader, a granted vote, or an own election.
    /// `timer_reset_at <= now`. A leader counts its check-quorum interval from here.
    pub(super) timer_reset_at: u64,
    /// The randomised election timeout, in ticks: `election_ticks <= election_timeout < 2 * election_ticks`.
    pub(super) election_timeout: u64,
    /// The tick of the last message from a leader, or 0. `leader_heard_at <= now`. See [`Core::in_leader_lease`].
    pub(super) leader_heard_at: u64,
    pub(super) receiving: Option<Receiving>,

    /// The term and vote in the writes handed out so far.
    persisted_state: HardState,
    /// The number of the last write handed out.
    last_write: u64,
    /// The number of the last durable write. `synced_write <= last_write`.
    synced_write: u64,
    /// The writes between the two, each with the last log position that it covers.
    writes: VecDeque<(u64, Position)>,
    /// Messages that must wait until the write with this number is durable.
    after_sync: VecDeque<(u64, Message)>,
    pub(super) output: Output,
}

impl Core {
    /// Creates a follower from the state on its disk. `draws` randomises the election timeout.
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
            timer_reset_at: 0,
            election_timeout: 0,
            leader_heard_at: 0,
            receiving: None,
            persisted_state: restored.hard_state,
            last_write: 0,
            synced_write: 0,
            writes: VecDeque::new(),
            after_sync: VecDeque::new(),
            output: Output::default(),
            config,
        };
        core.reset_election_timer();
        core
    }

    /// The server's id.
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

    /// The server's log.
    pub fn log(&self) -> &Log {
        &self.log
    }

    /// The server's role.
    pub fn role(&self) -> &Role {
        &self.role
    }

    /// Whether the server takes itself for the leader of its term.
    pub fn is_leader(&self) -> bool {
        matches!(self.role, Role::Leader(_))
    }

    /// The number of ticks since the start.
    pub fn now(&self) -> u64 {
        self.now
    }

    /// See [`Config::election_ticks`].
    pub fn election_ticks(&self) -> u64 {
        self.config.election_ticks
    }

    /// The leader of the server's term, if known.
    pub fn leader(&self) -> Option<Id> {
        self.leader
    }

    /// The membership in force: the latest in the server's log, committed or not.
    pub fn membership(&self) -> &Membership {
        self.log.membership()
    }

    /// Advances the clock by one tick.
    pub fn tick(&mut self) {
        self.now += 1;
        if self.is_leader() {
            self.tick_heartbeat();
        } else if self.now - self.timer_reset_at >= self.election_timeout {
            self.on_election_timeout();
        }
    }

    /// Handles a message.
    pub fn step(&mut self, message: Message) {
        let Message { from, term, body, .. } = message;
        match body {
            // A pre-vote and its granting name a term that the sender has not entered.
            Body::PreVote { last } => return self.on_pre_vote(from, term, last),
            Body::PreVoteReply { granted: true } if term > self.term => {
                return self.on_pre_vote_reply(from, term, true);
            }
            // Within the leader lease, the server ignores the request and its higher term (thesis, section 4.2.3).
            Body::RequestVote { transfer: false, .. } if term > self.term && self.in_leader_lease() => {
                reachable!("raft: a vote request is ignored within the leader lease");
                return;
            }
            _ => {}
        }
        // Figure 2, Rules for Servers: a higher term in a request or a reply turns any server into a follower.
        let is_answer = matches!(
            body,
            Body::AppendEntriesReply { .. }
                | Body::InstallSnapshotReply { .. }
                | Body::RequestVoteReply { .. }
                | Body::PreVoteReply { .. }
        );
        if term > self.term && is_answer && planted!("raft.reply-terms-ignored") {
            return;
        }
        if term > self.term {
            self.become_follower(term);
        }
        match body {
            Body::RequestVote { last, .. } => self.on_request_vote(from, term, last),
            Body::AppendEntries { prev, entries, commit, round } => {
                self.on_append_entries(from, term, prev, entries, commit, round)
            }
            Body::InstallSnapshot { meta, offset, data, done, round } => {
                self.on_install_snapshot(from, term, StoreChunk { meta, offset, data, done }, round);
            }
            Body::RequestVoteReply { granted } if planted!("raft.stale-vote-counts") => {
                self.on_request_vote_reply(from, granted)
            }
            // Every other message of an earlier term is stale.
            _ if term < self.term => {}
            Body::RequestVoteReply { granted } => self.on_request_vote_reply(from, granted),
            Body::PreVoteReply { granted } => self.on_pre_vote_reply(from, term, granted),
            Body::AppendEntriesReply { result, round } => self.on_append_entries_reply(from, result, round),
            Body::InstallSnapshotReply { last, received, round } => {
                self.on_install_snapshot_reply(from, last, received, round)
            }
            Body::TimeoutNow => self.on_timeout_now(from),
            Body::ReadIndex { request } => self.on_read_index(from, request),
            Body::ReadIndexReply { request, index } => self.output.reads.push(ReadReady { request, index }),
            Body::Propose { command } => {
                // The forwarding server finds out from its own log whether the command is committed.
                let _ = self.propose(command);
            }
            Body::PreVote { .. } => {}
        }
    }

    /// Becomes a follower in `term`, with no known leader.
    pub(super) fn become_follower(&mut self, term: Term) {
        debug_assert!(term >= self.term, "the term never decreases");
        if term > self.term {
            self.term = term;
            self.voted_for = None;
        }
        if planted!("raft.vote-forgotten-on-step-down") {
            self.voted_for = None;
        }
        self.leader = None;
        if let Role::Leader(leader) = std::mem::replace(&mut self.role, Role::Follower) {
            self.step_down(*leader);
        }
    }

    /// Accepts `from` as the leader of the current term and resets the election timer.
    pub(super) fn accept_leader(&mut self, from: Id) {
        if !matches!(self.role, Role::Follower) {
            reachable!("raft: a candidate recognises another leader of its term");
            self.become_follower(self.term);
        }
        self.leader = Some(from);
        self.leader_heard_at = self.now;
        self.reset_election_timer();
    }

    /// Resets the election timer and draws a new election timeout (section 5.2).
    pub(super) fn reset_election_timer(&mut self) {
        self.timer_reset_at = self.now;
        let election = self.config.election_ticks;
        self.election_timeout = election + (self.draws)(election);
        // Each bound of the election timeout is a value like any other.
        if buggify!("raft.shortest-election-timeout") {
            self.election_timeout = election;
        }
        if buggify!("raft.longest-election-timeout") {
            self.election_timeout = 2 * election - 1;
        }
        debug_assert!((election..2 * election).contains(&self.election_timeout));
    }

    /// Appends an entry of the current term to the leader's log.
    pub(super) fn append(&mut self, payload: Payload) -> Index {
        let index = self.log.last().index + 1;
        self.log.push(Entry { term: self.term, index, payload });
        index
    }

    // ---- output -----------------------------------------------------------------------------------------------

    /// Sends a message now. Its content must not depend on a write that is not durable yet.
    pub(super) fn send(&mut self, to: Id, body: Body) {
        self.send_in(self.term, to, body);
    }

    pub(super) fn send_in(&mut self, term: Term, to: Id, body: Body) {
        self.output.messages.push(Message { from: self.id, to, term, body });
    }

    /// Sends a message once the current term, vote and log are durable.
    pub(super) fn send_after_sync(&mut self, to: Id, body: Body) {
        let message = Message { from: self.id, to, term: self.term, body };
        let number = if self.is_unsaved() { self.last_write + 1 } else { self.last_write };
        self.after_sync.push_back((number, message));
    }

    fn hard_state(&self) -> HardState {
        HardState { term: self.term, voted_for: self.voted_for }
    }

    fn is_unsaved(&self) -> bool {
        self.persisted_state != self.hard_state() || self.log.has_unwritten()
    }

    /// Takes the pending work. The driver must perform every write, in order.
    pub fn output(&mut self) -> Output {
        self.before_output();
        if self.is_unsaved() {
            self.last_write += 1;
            let mut hard_state = Some(self.hard_state()).filter(|state| *state != self.persisted_state);
            if planted!("raft.vote-not-persisted") {
                hard_state = hard_state.map(|state| HardState { voted_for: None, ..state });
            }
            if planted!("raft.term-not-persisted") {
                hard_state = hard_state.filter(|state| state.voted_for.is_some());
            }
            self.persisted_state = self.hard_state();
            let entries = self.log.take_unwritten();
            self.writes.push_back((self.last_write, self.log.last()));
            self.output.persist = Some(Persist { number: self.last_write, hard_state, entries });
        }
        self.release();
        self.output.committed = self.log.take_committed(usize::MAX);
        std::mem::take(&mut self.output)
    }

    /// Reports that all writes up to `number` are durable.
    pub fn wrote(&mut self, number: u64) {
        self.synced_write = self.synced_write.max(number);
        while let Some((_, position)) = self.writes.pop_front_if(|(of, _)| *of <= number) {
            self.log.wrote(position);
        }
        self.release();
        self.advance_commit_index();
    }

    /// Sends the messages whose write is durable. A message to the server itself is handled directly.
    fn release(&mut self) {
        while let Some((_, message)) = self.after_sync.pop_front_if(|(number, _)| *number <= self.synced_write) {
            if message.to == self.id {
                self.step(message);
            } else {
                self.output.messages.push(message);
            }
        }
    }
}
