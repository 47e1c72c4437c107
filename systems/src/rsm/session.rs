//! Client sessions: a command that is sent twice is executed once.
//!
//! Sessions are part of the replicated state and of its snapshots. They expire by the log's time (see the [module](super)), so
//! all replicas end a session at the same entry.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use sim::{planted, reachable, time};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::{At, StateMachine};
use crate::kit::session::{Latest, Seen};
use crate::raft::Index;
use crate::storage::StorageError;
use crate::storage::snapshot::{Snapshot, Writer};

/// When sessions expire. All replicas must be given the same limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// A session expires when the log has had no command of it for this long, in the log's time.
    pub idle: Duration,
    /// When there are more sessions than this, the least recently used one expires.
    pub sessions: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { idle: Duration::from_secs(60), sessions: 10_000 }
    }
}

/// An entry of the log, as replicas encode it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Stamped<S: StateMachine> {
    /// The log's time when the leader proposed it, in nanoseconds.
    pub at: u64,
    #[serde(bound = "")]
    pub request: Request<S>,
}

impl<S: StateMachine> Stamped<S> {
    /// The session and the number of its command, if it has one.
    pub fn command_of(&self) -> Option<(u64, u64)> {
        match self.request {
            Request::Execute { session, number, .. } => Some((session, number)),
            Request::Open | Request::Query(_) | Request::Command(_) => None,
        }
    }
}

/// A request of a client: clients send it to a server, and servers put it into the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(bound = "")]
pub enum Request<S: StateMachine> {
    /// Open a session: [`Outcome::Opened`] has its number.
    Open,
    /// Execute a command, unless it was executed before.
    Execute {
        /// The session's number.
        session: u64,
        /// The command's number. The commands of a session have ascending numbers, and one is under way at a time.
        number: u64,
        /// The command.
        command: S::Command,
    },
    /// Answer a query.
    Query(S::Query),
    /// Execute a command that belongs to no session, as often as it comes: the state machine itself knows a repeated command.
    Command(S::Command),
}

/// The outcome of a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(bound = "")]
pub enum Outcome<S: StateMachine> {
    /// The session with this number is open.
    Opened(u64),
    /// The command was executed, now or earlier.
    Executed(S::Reply),
    /// The query was answered.
    Answered(S::Answer),
    /// The session does not exist, or has expired. The command is not executed now; it may have been executed earlier.
    Expired,
    /// A later command of the session was executed. This one will not be executed; it may have been executed earlier.
    Superseded,
}

/// A state machine whose commands belong to sessions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sessions<S: StateMachine> {
    state: S,
    head: Head,
    sessions: BTreeMap<u64, Session<S>>,
    /// The sessions by their last use: (time, session).
    by_use: BTreeSet<(u64, u64)>,
}

/// What a snapshot begins with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Head {
    limits: Limits,
    /// The log's time, in nanoseconds.
    now: u64,
    /// The number of commands executed.
    executed: u64,
    /// A hash of all entries and their outcomes.
    history_hash: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(bound = "")]
struct Session<S: StateMachine> {
    used: u64,
    /// The last command executed, and its reply. A client has one command under way at a time.
    last: Option<Latest<S::Reply>>,
}

/// How many sessions are one value of a snapshot.
const BATCH: usize = 64;

impl<S: StateMachine> Sessions<S> {
    /// A state without sessions, at the beginning of the log's time.
    pub fn new(state: S, limits: Limits) -> Self {
        let head = Head { limits, now: 0, executed: 0, history_hash: 0 };
        Sessions { state, head, sessions: BTreeMap::new(), by_use: BTreeSet::new() }
    }

    /// Writes sessions and state into a snapshot: the head, the sessions in batches (the last is empty), the state.
    pub(super) async fn save(&self, to: &mut Writer) -> Result<(), StorageError> {
        to.put(&self.head).await?;
        let mut all = self.sessions.iter();
        loop {
            let batch: Vec<_> = all.by_ref().take(BATCH).collect();
            to.put(&batch).await?;
            if batch.is_empty() {
                return self.state.save(to).await;
            }
        }
    }

    /// Reads what [`Sessions::save`] wrote.
    pub(super) async fn load(from: &mut Snapshot) -> Result<Self, StorageError> {
        let head = from.get().await?;
        let mut sessions = BTreeMap::new();
        loop {
            let batch: Vec<(u64, Session<S>)> = from.get().await?;
            if batch.is_empty() {
                break;
            }
            sessions.extend(batch);
        }
        let by_use = sessions.iter().map(|(id, session)| (session.used, *id)).collect();
        let state = S::load(from).await?;
        Ok(Sessions { state, head, sessions, by_use })
    }

    /// The state.
    pub fn state(&self) -> &S {
        &self.state
    }

    /// How many sessions there are.
    pub fn len(&self) -> usize {
        self.sessions.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.sessions.is_empty()
    }

    /// The log's time as of the last entry that was applied: see the [module](super).
    pub fn now(&self) -> Duration {
        Duration::from_nanos(self.head.now)
    }

    /// The number of commands executed, and a hash that differs if the history or the state does.
    pub(super) fn digest(&self) -> (u64, u64) {
        (self.head.executed, self.head.history_hash ^ self.state.digest())
    }

    /// Forgets what was replied, as a leader with a table of its own would.
    pub(super) fn forget_replies(&mut self) {
        self.sessions.values_mut().for_each(|session| session.last = None);
    }

    /// Does what the entry at `index` says, which is `encoded` in the log.
    pub(super) fn apply(&mut self, index: Index, Stamped { at, request }: Stamped<S>, encoded: &[u8]) -> Outcome<S> {
        self.head.now =
            self.head.now.max(if planted!("rsm.sessions-end-by-local-clock") { time::now().as_nanos() } else { at });
        self.end_idle();
        let at = At { index, now: Duration::from_nanos(self.head.now) };
        let outcome = self.apply_request(&at, request);
        let kind = match &outcome {
            Outcome::Opened(_) => 1,
            Outcome::Executed(_) => 2,
            Outcome::Answered(_) => 3,
            Outcome::Expired => 4,
            Outcome::Superseded => 5,
        };
        self.head.history_hash = xxh3_64_with_seed(encoded, self.head.history_hash.wrapping_add(kind));
        outcome
    }

    fn apply_request(&mut self, at: &At, request: Request<S>) -> Outcome<S> {
        match request {
            Request::Open => {
                let id = if planted!("rsm.session-ids-reused") { self.sessions.len() as u64 } else { at.index };
                self.begin(id);
                if self.sessions.len() > self.head.limits.sessions.max(1) {
                    reachable!("rsm: the least recently used session expires");
                    self.end_oldest();
                }
                Outcome::Opened(id)
            }
            Request::Execute { session, number, command } => self.execute(at, session, number, command),
            Request::Query(query) => Outcome::Answered(self.state.query(&query)),
            Request::Command(command) => {
                self.head.executed += 1;
                Outcome::Executed(self.state.apply(at, command))
            }
        }
    }

    fn execute(&mut self, at: &At, id: u64, number: u64, command: S::Command) -> Outcome<S> {
        if !self.sessions.contains_key(&id) && planted!("rsm.ended-session-comes-back") {
            self.begin(id);
        }
        let Some(session) = self.sessions.get_mut(&id) else {
            reachable!("rsm: a command of an expired session is refused");
            return Outcome::Expired;
        };
        self.by_use.remove(&(session.used, id));
        self.by_use.insert((self.head.now, id));
        session.used = self.head.now;
        match Latest::seen(session.last.as_ref(), number) {
            Seen::Answered(_) if planted!("rsm.replies-anew") => {
                Outcome::Executed(self.state.clone().apply(at, command))
            }
            Seen::Answered(reply) if !planted!("rsm.executes-again") => {
                reachable!("rsm: a duplicate command gets its stored reply");
                Outcome::Executed(reply.clone())
            }
            Seen::Stale if !planted!("rsm.late-command-executed") => {
                reachable!("rsm: a command arrives after a later command of its session");
                Outcome::Superseded
            }
            _ => {
                let reply = self.state.apply(at, command);
                session.last = Some(Latest::new(number, reply.clone()));
                self.head.executed += 1;
                Outcome::Executed(reply)
            }
        }
    }

    fn begin(&mut self, id: u64) {
        self.sessions.insert(id, Session { used: self.head.now, last: None });
        self.by_use.insert((self.head.now, id));
    }

    fn end_idle(&mut self) {
        let idle = self.head.limits.idle.as_nanos() as u64;
        while self.by_use.first().is_some_and(|(used, _)| used.saturating_add(idle) < self.head.now) {
            reachable!("rsm: an idle session expires");
            self.end_oldest();
        }
    }

    fn end_oldest(&mut self) {
        if let Some((_, id)) = self.by_use.pop_first() {
            self.sessions.remove(&id);
        }
    }
}

#[cfg(test)]
mod tests {
    use sim::codec;

    use super::*;
    use crate::storage::snapshot::Snapshots;

    /// Counts; a command adds, its reply is the sum.
    #[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
    struct Counter(u64);

    impl StateMachine for Counter {
        type Command = u64;
        type Reply = u64;
        type Query = ();
        type Answer = u64;

        fn apply(&mut self, _: &At, by: u64) -> u64 {
            self.0 += by;
            self.0
        }

        fn query(&self, (): &()) -> u64 {
            self.0
        }
    }

    fn counter(sessions: usize) -> Sessions<Counter> {
        Sessions::new(Counter(0), Limits { idle: Duration::from_nanos(100), sessions })
    }

    fn apply(state: &mut Sessions<Counter>, index: Index, at: u64, request: Request<Counter>) -> Outcome<Counter> {
        let entry = Stamped { at, request };
        let encoded = codec::encode(&entry).unwrap();
        state.apply(index, entry, &encoded)
    }

    fn execute(state: &mut Sessions<Counter>, at: u64, session: u64, number: u64) -> Outcome<Counter> {
        apply(state, 99, at, Request::Execute { session, number, command: 1 })
    }

    fn open(state: &mut Sessions<Counter>, at: u64, index: Index) {
        assert_eq!(apply(state, index, at, Request::Open), Outcome::Opened(index));
    }

    #[test]
    fn a_command_is_told_its_index_and_a_time_that_never_goes_back() {
        /// Remembers where its commands were.
        #[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
        struct Places(Vec<(Index, Duration)>);

        impl StateMachine for Places {
            type Command = ();
            type Reply = ();
            type Query = ();
            type Answer = ();

            fn apply(&mut self, at: &At, (): ()) {
                self.0.push((at.index, at.now));
            }

            fn query(&self, (): &()) {}
        }

        let mut state = Sessions::new(Places::default(), Limits::default());
        let requests = [Request::Open, Request::Query(()), Request::Open].into_iter();
        let commands = (1..=3).map(|number| Request::Execute { session: 1, number, command: () });
        for ((request, index), at) in requests.chain(commands).zip(1..).zip([7, 8, 20, 15, 30, 29]) {
            state.apply(index, Stamped { at, request }, &[]);
        }
        let ns = Duration::from_nanos;
        assert_eq!(state.state().0, [(4, ns(20)), (5, ns(30)), (6, ns(30))]);
        assert_eq!(state.now(), ns(30));
    }

    #[test]
    fn a_command_that_comes_again_gets_the_reply_of_the_first_time() {
        let mut state = counter(9);
        open(&mut state, 0, 1);
        assert_eq!(execute(&mut state, 1, 1, 1), Outcome::Executed(1));
        assert_eq!(execute(&mut state, 2, 1, 1), Outcome::Executed(1));
        assert_eq!(execute(&mut state, 3, 1, 2), Outcome::Executed(2));
        assert_eq!(execute(&mut state, 4, 1, 1), Outcome::Superseded);
        assert_eq!(apply(&mut state, 9, 0, Request::Query(())), Outcome::Answered(2));
    }

    /// What `state` is after it went through a snapshot.
    fn saved_and_loaded(state: Sessions<Counter>) -> Sessions<Counter> {
        let run = sim::simulate(1, |sim| {
            let (tell, mut told) = sim::sync::mpsc::unbounded_channel();
            sim.node("server-0", move || {
                let (state, tell) = (state.clone(), tell.clone());
                async move {
                    let snapshots = Snapshots::open("snapshots").await.unwrap();
                    let mut writer = snapshots.create(1).await.unwrap();
                    state.save(&mut writer).await.unwrap();
                    writer.commit().await.unwrap();
                    let mut snapshot = snapshots.latest().await.unwrap().0.expect("it is there");
                    let _ = tell.send(Sessions::load(&mut snapshot).await.unwrap());
                }
            });
            sim.run_for(Duration::from_secs(1));
            told.try_recv().expect("it comes to its end")
        });
        run.expect("the world runs").value
    }

    #[test]
    fn a_snapshot_has_the_sessions_and_their_replies() {
        let mut state = counter(9 * BATCH);
        for index in 1..=2 * BATCH as u64 + 1 {
            open(&mut state, 0, index);
        }
        execute(&mut state, 1, 1, 1);
        let mut restored = saved_and_loaded(state.clone());
        assert_eq!(restored, state);
        assert_eq!(execute(&mut restored, 2, 1, 1), Outcome::Executed(1));
        assert_eq!(restored.digest(), {
            execute(&mut state, 2, 1, 1);
            state.digest()
        });
    }

    #[test]
    fn an_idle_session_ends_by_the_clock_of_the_log() {
        let mut state = counter(9);
        open(&mut state, 1_000, 1);
        // A leader whose clock is behind does not make time go back.
        assert_eq!(execute(&mut state, 5, 1, 1), Outcome::Executed(1));
        assert_eq!(execute(&mut state, 1_100, 1, 2), Outcome::Executed(2));
        assert_eq!(execute(&mut state, 1_201, 1, 3), Outcome::Expired);
        assert_eq!(state.state().0, 2);
        assert!(state.is_empty());
    }

    #[test]
    fn a_replica_with_another_history_has_another_digest() {
        let (mut state, mut other) = (counter(9), counter(9));
        for state in [&mut state, &mut other] {
            open(state, 0, 1);
            execute(state, 1, 1, 1);
        }
        assert_eq!(state.digest(), other.digest());
        assert_eq!(execute(&mut state, 2, 1, 2), execute(&mut other, 2, 1, 2));
        assert_eq!(state.digest(), other.digest());
        // Only one of the two has forgotten the session.
        other.sessions.clear();
        assert_ne!(execute(&mut state, 3, 1, 2), execute(&mut other, 3, 1, 2));
        assert_eq!(state.state(), other.state());
        assert_ne!(state.digest(), other.digest());
    }

    #[test]
    fn of_too_many_sessions_the_one_that_was_used_least_recently_ends() {
        let mut state = counter(2);
        open(&mut state, 1, 1);
        open(&mut state, 2, 2);
        execute(&mut state, 3, 1, 1);
        open(&mut state, 4, 3);
        assert_eq!(state.len(), 2);
        assert_eq!(execute(&mut state, 5, 2, 1), Outcome::Expired);
        assert_eq!(execute(&mut state, 5, 1, 1), Outcome::Executed(1));
    }
}
