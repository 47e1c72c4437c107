//! A replica: applies what is committed, tells those who wait for it, answers queries, and makes snapshots.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use sim::sync::{Notify, oneshot};
use sim::task::{self, JoinHandle};
use sim::time::Instant;
use sim::{always, codec, observe, planted, time};

use super::session::{Limits, Outcome, Request, Sessions, Stamped};
use super::{StateMachine, visible};
use crate::raft::driver::{self, Applies, Apply, Raft, StartError};
use crate::raft::leader::ProposeError;
use crate::raft::{Id, Index, Term, events};

/// The most bytes of a command or a query: what is larger does not get into the log.
const LARGEST: usize = 1 << 20;

/// Nobody waits longer for one entry, or for the log to go on: whoever asked has long asked elsewhere.
const GIVE_UP: Duration = Duration::from_secs(10);

/// How queries are answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reads {
    /// Each is an entry of the log: the slowest way, and the one that needs no further argument.
    Log,
    /// The leader asks a quorum whether it still leads; many queries share a round (thesis, section 6.4).
    Index,
    /// Without asking anybody, while the leader's lease lasts; relies on clocks that run within the declared drift (thesis,
    /// section 6.4.1).
    Lease,
}

/// How to run a replica.
#[derive(Clone, Debug)]
pub struct Options {
    /// How to run its Raft server. Forwarding is off: whoever submits must learn where its command is.
    pub raft: driver::Options,
    /// How queries are answered.
    pub reads: Reads,
    /// When the entries that are kept have more bytes than this, a snapshot takes their place. 0 is never.
    pub snapshot_bytes: usize,
    /// When sessions end.
    pub limits: Limits,
}

/// What is submitted to a replica.
#[derive(Clone, Debug)]
pub enum Submit<S: StateMachine> {
    /// Begin a session: [`Outcome::Opened`] has its number.
    Open,
    /// Execute a command, unless it was executed before.
    Execute {
        /// Of which session.
        session: u64,
        /// Which of the session's commands: they have ascending numbers, and there is one under way at a time.
        number: u64,
        /// The command.
        command: S::Command,
    },
}

/// Why there is no outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SubmitError {
    /// Certainly nothing was done: this server does not lead, or cannot take anything at present.
    #[error("this server does not take it")]
    NotLeader {
        /// Who leads, as far as it knows.
        leader: Option<Id>,
    },
    /// Certainly nothing was done, nor will it be anywhere: it is too large.
    #[error("it has more than {LARGEST} bytes")]
    TooLarge,
    /// It took the entry, and another one came to its place: certainly nothing was done.
    #[error("another leader's entry came to its place")]
    Replaced,
    /// It may be done, or not, or only later.
    #[error("nobody knows whether it was done")]
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
    state: RefCell<Sessions<S>>,
    applied: Cell<Index>,
    /// The entry at which the last snapshot was asked for.
    compacting: Cell<Index>,
    /// Who waits for an entry of that term at that index.
    waiting: RefCell<BTreeMap<Index, (Term, Answer<S>)>>,
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
        options.raft.config.lease_reads = options.reads == Reads::Lease;
        let (raft, applies) = Raft::start(options.raft).await?;
        let replica = Replica(Rc::new(Inner {
            raft,
            reads: options.reads,
            snapshot_bytes: options.snapshot_bytes,
            state: RefCell::new(Sessions::new(initial, options.limits)),
            applied: Cell::new(0),
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

    /// Looks at the state as it is here, however old that may be.
    pub fn peek<R>(&self, f: impl FnOnce(&Sessions<S>) -> R) -> R {
        f(&self.0.state.borrow())
    }

    /// Stops: whoever waits hears that nothing is known. The port and the disk are free.
    pub fn close(&self) {
        if let Some(task) = self.0.applies.borrow_mut().take() {
            task.abort();
        }
        self.0.raft.close();
        self.0.waiting.borrow_mut().clear();
        self.0.progress.notify_waiters();
    }

    /// Puts an entry into the log and waits until it is applied, or will certainly never be; where there is no quorum for long,
    /// it gives up.
    ///
    /// # Errors
    ///
    /// See [`SubmitError`].
    pub async fn submit(&self, submit: Submit<S>) -> Result<Outcome<S>, SubmitError> {
        let request = match submit {
            Submit::Open => Request::Open,
            Submit::Execute { session, number, command } => Request::Execute { session, number, command },
        };
        self.put(request).await
    }

    async fn put(&self, request: Request<S>) -> Result<Outcome<S>, SubmitError> {
        if self.0.raft.stopped().is_some() {
            return Err(SubmitError::NotLeader { leader: None });
        }
        if !self.0.raft.status().1 {
            return Err(SubmitError::NotLeader { leader: self.0.raft.leader() });
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
        // Whoever waited for an entry there waited for one of an earlier term, which is not in this log any more. Another server
        // may still have it, and lead one day.
        if let Some((_, before)) = self.0.waiting.borrow_mut().insert(index, (term, answer)) {
            let _ = before.send(Err(SubmitError::Unknown));
        }
        match time::timeout(GIVE_UP, answered).await {
            Ok(answer) => answer.unwrap_or(Err(SubmitError::Unknown)),
            Err(_) => {
                let waiting = &mut *self.0.waiting.borrow_mut();
                if waiting.get(&index).is_some_and(|(of, _)| *of == term) {
                    waiting.remove(&index);
                }
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
            return match self.put(Request::Query(query)).await? {
                Outcome::Answered(answer) => Ok(answer),
                other => {
                    always!(false, "rsm.queries-are-answered", "{other:?}");
                    Err(SubmitError::Unknown)
                }
            };
        }
        let index = self.0.raft.read_index().await;
        let index = index.map_err(|_| SubmitError::NotLeader { leader: self.0.raft.leader() })?;
        while self.applied() < index && !planted!("rsm.answers-before-it-has-applied") {
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
        while let Some(apply) = applies.recv().await {
            let older = planted!("rsm.snapshot-older-than-it-says").then(|| self.0.state.borrow().clone());
            self.apply(apply);
            while let Ok(apply) = applies.try_recv() {
                self.apply(apply);
            }
            self.0.progress.notify_waiters();
            match older {
                Some(older) => self.compact_if_large(&older),
                None => self.compact_if_large(&self.0.state.borrow()),
            }
        }
    }

    fn apply(&self, apply: Apply) {
        let inner = &*self.0;
        let mut command_of = None;
        let (index, term, outcome) = match apply {
            Apply::Snapshot { index, term, state } => {
                let ignored = inner.applied.get() > 0 && planted!("rsm.installed-state-ignored");
                if !state.is_empty() && !ignored {
                    *inner.state.borrow_mut() = codec::decode(&state).expect("a snapshot is what was encoded");
                }
                self.tell_jumped_over(index);
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
        self.tell(index, term, outcome);
    }

    /// Tells those who wait what an applied entry means for them; one without an outcome is no command.
    fn tell(&self, index: Index, term: Term, outcome: Option<Outcome<S>>) {
        let mut waiting = self.0.waiting.borrow_mut();
        let is_its = |of: Term| of == term || planted!("rsm.replies-by-index");
        if let Some((of, answer)) = waiting.remove(&index) {
            let _ = answer.send(match outcome {
                Some(outcome) if is_its(of) => Ok(outcome),
                _ => Err(SubmitError::Replaced),
            });
        }
        // Terms never fall along a log: behind an entry of this term no older one will ever be committed.
        while let Some(last) = waiting.last_entry().filter(|last| last.get().0 < term && !is_its(last.get().0)) {
            let _ = last.remove().1.send(Err(SubmitError::Replaced));
        }
    }

    /// Tells those whose entries a snapshot jumped over that nobody knows what became of them.
    fn tell_jumped_over(&self, index: Index) {
        let mut waiting = self.0.waiting.borrow_mut();
        let later = waiting.split_off(&(index + 1));
        for (_, answer) in std::mem::replace(&mut *waiting, later).into_values() {
            let _ = answer.send(Err(SubmitError::Unknown));
        }
    }

    fn compact_if_large(&self, state: &Sessions<S>) {
        let inner = &*self.0;
        let (limit, applied) = (inner.snapshot_bytes, inner.applied.get());
        let under_way = inner.compacting.get() > inner.raft.snapshot_index();
        if limit == 0 || under_way || inner.raft.size().0 <= limit || applied <= inner.raft.snapshot_index() {
            return;
        }
        inner.compacting.set(applied);
        let without_replies = planted!("rsm.snapshot-without-replies").then(|| {
            let mut state = state.clone();
            state.forget_replies();
            state
        });
        let state = codec::encode(without_replies.as_ref().unwrap_or(state)).expect("a state is below the limit");
        inner.raft.compact(applied, state.into());
    }
}
