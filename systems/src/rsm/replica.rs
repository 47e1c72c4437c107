//! A replica: applies committed entries, completes the requests that wait for them, answers queries, and makes snapshots.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use sim::sync::{Notify, oneshot};
use sim::task::{self, JoinHandle};
use sim::time::Instant;
use sim::{NodeId, always, buggify, codec, group, node, observe, planted, reachable, sometimes, time};

use super::session::{Limits, Outcome, Request, Sessions, Stamped};
use super::{Leadership, StateMachine, visible};
use crate::raft::driver::{self, Applies, Apply, Raft, StartError};
use crate::raft::leader::ProposeError;
use crate::raft::membership::Membership;
use crate::raft::waiting::{Decided, Waiting};
use crate::raft::{Config, Id, Index, Term, events};
use crate::storage::StorageError;
use crate::storage::snapshot::Snapshot;

/// The most bytes of an entry.
const LARGEST: usize = 1 << 20;

/// The longest that a request waits for its entry, or a query for the log. By then the client has asked another server.
const GIVE_UP: Duration = Duration::from_secs(10);

/// How queries are answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reads {
    /// Each is an entry of the log: the slowest way, and the one that needs no further argument.
    Log,
    /// The leader asks a quorum whether it still leads; many queries share a round (thesis, section 6.4).
    Index,
    /// Without a message, while the leader's lease lasts; relies on clocks that run within the declared drift (thesis,
    /// section 6.4.1).
    Lease,
}

/// Reads `[system.raft]` of a system whose servers are replicas. For `#[serde(deserialize_with = "rsm::raft_config")]`.
///
/// # Errors
///
/// As the configuration's own, and with `forward = true`: see [`Options::raft`].
pub fn raft_config<'de, D: Deserializer<'de>>(from: D) -> Result<Config, D::Error> {
    let config = Config::deserialize(from)?;
    match config.forward {
        true => Err(D::Error::custom("`forward` is not for replicas: a client must learn where its command is")),
        false => Ok(config),
    }
}

/// How to run a replica.
#[derive(Clone, Debug)]
pub struct Options {
    /// How to run its Raft server. Forwarding is off: a submitter must learn the index of its entry.
    pub raft: driver::Options,
    /// How queries are answered.
    pub reads: Reads,
    /// A snapshot takes the place of the log's entries when they have more bytes than this, and more than the last snapshot times the
    /// expansion factor. 0 is never.
    pub snapshot_bytes: usize,
    /// The expansion factor in hundredths (thesis, section 5.1.3). With 100 snapshots at most double what is written, and with 25 the log
    /// is at most a quarter of the state, while each byte may be written five times.
    pub expansion_percent: usize,
    /// When sessions end.
    pub limits: Limits,
}

/// The bytes of entries above which a snapshot takes their place, where a system does not say.
const SNAPSHOT_BYTES: usize = 4_000;

impl Options {
    /// The replica of this node in its home group, of which the first `voters` nodes vote at the beginning. The replicas listen to
    /// each other at `port`, and keep their files in `dir`. The node's number is the replica's id.
    pub fn of_home_group(dir: &str, port: u16, config: Config, voters: usize) -> Options {
        let id = |node: NodeId| Id(node.index() as u64);
        let group = group::home();
        let raft = driver::Options {
            id: id(node::this()),
            group,
            config,
            dir: dir.to_owned(),
            port,
            empty_disk: driver::EmptyDisk::New,
            members: Membership::of(group.nodes().into_iter().take(voters).map(id)),
        };
        let (reads, limits) = (Reads::Index, Limits::default());
        Options { raft, reads, snapshot_bytes: SNAPSHOT_BYTES, expansion_percent: 100, limits }
    }
}

/// Why there is no outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SubmitError {
    /// This server does not lead, or takes no requests at present. The request is not executed.
    #[error("not the leader")]
    NotLeader {
        /// The leader, as far as the server knows.
        leader: Option<Id>,
    },
    /// The request is not executed, and no server would take it.
    #[error("the request is larger than {LARGEST} bytes")]
    TooLarge,
    /// The log had an entry for the request, and another leader's entry took its place. The request is not executed.
    #[error("entry overwritten by another leader")]
    Overwritten,
    /// The request may have been executed, or may be later, or never.
    #[error("outcome unknown")]
    Unknown,
}

type Answer<S> = oneshot::Sender<Result<Outcome<S>, SubmitError>>;

/// A running replica. Clones are the same.
pub struct Replica<S: StateMachine>(Rc<Inner<S>>);

impl<S: StateMachine> Clone for Replica<S> {
    fn clone(&self) -> Self {
        Replica(self.0.clone())
    }
}

struct Inner<S: StateMachine> {
    raft: Raft,
    reads: Reads,
    snapshot_bytes: usize,
    expansion_percent: usize,
    /// The state before the first entry.
    initial: S,
    limits: Limits,
    state: RefCell<Sessions<S>>,
    /// The last entry applied, and its term.
    applied: Cell<Index>,
    applied_term: Cell<Term>,
    /// A snapshot is being read, and `state` is not yet what it says.
    loading: Cell<bool>,
    /// The entry at which the last snapshot was begun.
    compacting: Cell<Index>,
    waiting: RefCell<Waiting<Answer<S>>>,
    progress: Notify,
    applies: RefCell<Option<JoinHandle<()>>>,
    /// A term, a moment of its own clock while it led in that term, and the log's time at that moment.
    clock: Cell<(Term, Instant, u64)>,
}

impl<S: StateMachine> Replica<S> {
    /// Starts from what is on the disk. `initial` is the state before the first command, the same at all replicas.
    ///
    /// # Errors
    ///
    /// As [`Raft::start`].
    pub async fn start(mut options: Options, initial: S) -> Result<Self, StartError> {
        options.raft.config.forward = false;
        options.raft.config.lease_reads |= options.reads == Reads::Lease;
        let (raft, applies) = Raft::start(options.raft).await?;
        let replica = Replica(Rc::new(Inner {
            raft,
            reads: options.reads,
            snapshot_bytes: options.snapshot_bytes,
            expansion_percent: options.expansion_percent,
            state: RefCell::new(Sessions::new(initial.clone(), options.limits)),
            initial,
            limits: options.limits,
            applied: Cell::new(0),
            applied_term: Cell::new(0),
            loading: Cell::new(false),
            compacting: Cell::new(0),
            waiting: RefCell::default(),
            progress: Notify::new(),
            applies: RefCell::default(),
            clock: Cell::new((0, time::now(), 0)),
        }));
        let task = task::spawn(replica.clone().apply_all(applies));
        *replica.0.applies.borrow_mut() = Some(task);
        Ok(replica)
    }

    /// Its Raft server.
    pub fn raft(&self) -> &Raft {
        &self.0.raft
    }

    /// The last entry that it has applied.
    pub fn applied(&self) -> Index {
        self.0.applied.get()
    }

    /// Watches whether this replica leads.
    pub fn leadership(&self) -> Leadership<S> {
        Leadership::new(self.clone())
    }

    /// Waits until an entry of `term` is applied.
    pub(super) async fn has_applied_term(self, term: Term) {
        while self.0.applied_term.get() < term {
            self.0.progress.notified().await;
        }
    }

    /// Looks at the state of this replica, which may be old. While a snapshot is being loaded it is the initial one.
    pub fn peek<R>(&self, f: impl FnOnce(&Sessions<S>) -> R) -> R {
        f(&self.0.state.borrow())
    }

    /// Stops the replica. The outcome of requests that wait is unknown. The port and the disk are free.
    pub fn close(&self) {
        if let Some(task) = self.0.applies.borrow_mut().take() {
            task.abort();
        }
        self.0.raft.close();
        self.0.waiting.borrow_mut().clear();
        self.0.progress.notify_waiters();
    }

    /// Puts a request into the log as an entry, and waits until the entry is applied or certain never to be. Gives up after ten
    /// seconds without a quorum.
    ///
    /// A query is then answered in its place in the log, whatever [`Reads`] says.
    ///
    /// # Errors
    ///
    /// See [`SubmitError`].
    pub async fn submit(&self, request: Request<S>) -> Result<Outcome<S>, SubmitError> {
        if self.0.raft.stopped().is_some() {
            return Err(SubmitError::NotLeader { leader: None });
        }
        if !self.0.raft.status().1 {
            return Err(SubmitError::NotLeader { leader: self.0.raft.leader() });
        }
        if buggify!("rsm.needless-refusal") {
            return Err(SubmitError::NotLeader { leader: None });
        }
        if let Request::Command(command) = &request
            && let Some(reply) = self.peek(|state| state.state().refuses(command))
        {
            return Ok(Outcome::Executed(reply));
        }
        let speculated = self.speculate(&request);
        let entry = Stamped { at: self.log_time(), request };
        let bytes = codec::encode(&entry).ok().filter(|bytes| bytes.len() <= LARGEST).ok_or(SubmitError::TooLarge)?;
        let (index, term) = self.0.raft.propose(bytes.into()).map_err(|error| match error {
            ProposeError::NotLeader { leader } => SubmitError::NotLeader { leader },
            ProposeError::Transferring | ProposeError::Full => SubmitError::NotLeader { leader: None },
            ProposeError::Forwarded => SubmitError::Unknown,
        })?;
        if let Some(outcome) = speculated {
            return Ok(outcome);
        }
        let (answer, answered) = oneshot::channel();
        if let Some(before) = self.0.waiting.borrow_mut().insert(index, term, answer) {
            let _ = before.send(Err(SubmitError::Unknown));
        }
        match time::timeout(GIVE_UP, answered).await {
            Ok(answer) => answer.unwrap_or(Err(SubmitError::Unknown)),
            Err(_) => {
                self.0.waiting.borrow_mut().remove(index, term);
                Err(SubmitError::Unknown)
            }
        }
    }

    /// What time it is in the log, as far as a leader can tell: where it stood here when it was first asked for something in its
    /// term, and as much more as its own clock has gone on since.
    fn log_time(&self) -> u64 {
        let inner = &*self.0;
        let (term, now, applied) = (inner.raft.status().0, time::now(), inner.state.borrow().now().as_nanos() as u64);
        let (of, since, at) = inner.clock.get();
        let counted = at + now.duration_since(since).as_nanos() as u64;
        if of == term && counted >= applied {
            return counted;
        }
        inner.clock.set((term, now, applied));
        applied
    }

    /// What will come of a request if nothing comes between: known bugs answer with that.
    fn speculate(&self, request: &Request<S>) -> Option<Outcome<S>> {
        let leads = self.0.raft.status().1;
        if !leads || !planted!("rsm.reply-before-commit") {
            return None;
        }
        let entry = Stamped { at: 0, request: request.clone() };
        let mut state = self.0.state.borrow().clone();
        // Session ids are known only when the log has the entry.
        (!matches!(request, Request::Open)).then(|| state.apply(self.applied() + 1, entry, &[]))
    }

    /// Answers a query by a state that has all that was executed before the call.
    ///
    /// # Errors
    ///
    /// Nothing was answered; a query does nothing, so it can be asked again, here or elsewhere.
    pub async fn query(&self, query: S::Query) -> Result<S::Answer, SubmitError> {
        if planted!("rsm.any-replica-answers") || self.0.raft.status().1 && planted!("rsm.leader-answers-unasked") {
            return Ok(self.0.state.borrow().state().query(&query));
        }
        if self.0.reads == Reads::Log {
            return match self.submit(Request::Query(query)).await? {
                Outcome::Answered(answer) => Ok(answer),
                other => {
                    always!(false, "rsm.queries-are-answered", "{other:?}");
                    Err(SubmitError::Unknown)
                }
            };
        }
        let index = self.0.raft.read_index().await;
        let index = index.map_err(|_| SubmitError::NotLeader { leader: self.0.raft.leader() })?;
        sometimes!(self.applied() < index, "rsm: a query waits until its read index is applied");
        let behind = || self.0.loading.get() || self.applied() < index;
        while behind() && !planted!("rsm.answers-before-it-has-applied") {
            if self.0.raft.stopped().is_some() {
                return Err(SubmitError::NotLeader { leader: None });
            }
            if time::timeout(GIVE_UP, self.0.progress.notified()).await.is_err() {
                return Err(SubmitError::Unknown);
            }
        }
        Ok(self.0.state.borrow().state().query(&query))
    }

    async fn apply_all(self, mut applies: Applies) {
        if let Err(error) = self.apply_until_it_fails(&mut applies).await {
            self.0.raft.fail(error);
        }
    }

    async fn apply_until_it_fails(&self, applies: &mut Applies) -> Result<(), StorageError> {
        while let Some(apply) = applies.recv().await {
            let older = planted!("rsm.snapshot-older-than-it-says").then(|| self.0.state.borrow().clone());
            self.apply(apply).await?;
            while let Ok(apply) = applies.try_recv() {
                self.apply(apply).await?;
            }
            self.0.progress.notify_waiters();
            if self.is_snapshot_due() {
                self.make_snapshot(older).await?;
            }
        }
        Ok(())
    }

    async fn apply(&self, apply: Apply) -> Result<(), StorageError> {
        let inner = &*self.0;
        let mut command_of = None;
        let (index, term, outcome) = match apply {
            Apply::Snapshot { index, term, state } => {
                let ignored = inner.applied.get() > 0 && planted!("rsm.installed-state-ignored");
                if let Some(mut snapshot) = state.filter(|_| !ignored) {
                    self.load(&mut snapshot).await?;
                }
                for answer in inner.waiting.borrow_mut().skipped(index) {
                    reachable!("rsm: an installed snapshot skips the entry of a waiting request");
                    let _ = answer.send(Err(SubmitError::Unknown));
                }
                (index, term, None)
            }
            Apply::Command { index, term, command } => {
                let entry: Stamped<S> = codec::decode(&command).expect("an entry is what was encoded");
                let of = entry.command_of();
                let outcome = inner.state.borrow_mut().apply(index, entry, &command);
                command_of = of.filter(|_| matches!(outcome, Outcome::Executed(_)));
                (index, term, Some(outcome))
            }
            Apply::Nothing { index, term } => {
                if planted!("rsm.new-leader-forgets-replies") {
                    inner.state.borrow_mut().forget_replies();
                }
                (index, term, None)
            }
        };
        let before = inner.applied.replace(index);
        always!(index > before || index == 0, "rsm.applied-in-order", "{index} after {before}");
        let (count, hash) = inner.state.borrow().digest();
        observe!(group: inner.raft.group(), events::State { index, count, hash });
        visible::executed(inner.raft.group(), index, command_of);
        inner.applied_term.set(term);
        self.complete(index, term, outcome);
        Ok(())
    }

    /// Replaces the state by that of a snapshot. There is never room for both.
    async fn load(&self, snapshot: &mut Snapshot) -> Result<(), StorageError> {
        let inner = &*self.0;
        inner.loading.set(true);
        inner.state.replace(Sessions::new(inner.initial.clone(), inner.limits));
        let loaded = Sessions::load(snapshot).await?;
        inner.state.replace(loaded);
        inner.loading.set(false);
        Ok(())
    }

    /// Completes the requests that an applied entry decides. An entry without a request has no outcome.
    fn complete(&self, index: Index, term: Term, outcome: Option<Outcome<S>>) {
        let is_same = |of, term| of == term || planted!("rsm.replies-by-index");
        let Decided { applied, overwritten } = self.0.waiting.borrow_mut().applied(index, term, is_same);
        sometimes!(
            !overwritten.is_empty() || applied.is_some() && outcome.is_none(),
            "rsm: a request's entry is overwritten by another leader's"
        );
        if let Some(answer) = applied {
            let _ = answer.send(outcome.ok_or(SubmitError::Overwritten));
        }
        for answer in overwritten {
            let _ = answer.send(Err(SubmitError::Overwritten));
        }
    }

    fn is_snapshot_due(&self) -> bool {
        let inner = &*self.0;
        let (log, snapshot) = inner.raft.size();
        let under_way = inner.compacting.get() > inner.raft.snapshot_index();
        let due = inner.snapshot_bytes.max(snapshot * inner.expansion_percent / 100);
        inner.snapshot_bytes > 0
            && !under_way
            && inner.applied.get() > inner.raft.snapshot_index()
            && (log > due || log > due / 4 && buggify!("rsm.early-snapshot"))
    }

    /// Writes the state into a snapshot. Nothing is applied meanwhile; queries see the state.
    #[allow(clippy::await_holding_refcell_ref, reason = "only the caller changes the state, and it waits")]
    async fn make_snapshot(&self, older: Option<Sessions<S>>) -> Result<(), StorageError> {
        let inner = &*self.0;
        let Some(mut new) = inner.raft.begin_snapshot(inner.applied.get()).await? else { return Ok(()) };
        inner.compacting.set(inner.applied.get());
        let without_replies = planted!("rsm.snapshot-without-replies").then(|| {
            let mut state = inner.state.borrow().clone();
            state.forget_replies();
            state
        });
        match older.or(without_replies) {
            Some(wrong) => wrong.save(&mut new.state).await?,
            None => inner.state.borrow().save(&mut new.state).await?,
        }
        inner.raft.compact(new);
        Ok(())
    }
}
