//! Client sessions: what makes a command that is sent twice be executed once.
//!
//! They are part of the replicated state, and of its snapshots. Time in them is the log's: each entry carries what the leader
//! that took it thought the log's time to be, and the latest such moment is now, at every replica alike. So all replicas end a
//! session at the same entry, and none by a clock of its own. A leader counts on, by its own clock's pace, from where the log's time
//! stood when it was first asked for something in its term: what that clock shows is no matter. Between leaders, and while nobody
//! asks a new one, the log's time stands still, so sessions may end late, and never early.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use sim::{planted, time};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::{At, StateMachine};
use crate::raft::Index;

/// When sessions end. All replicas must be given the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// A session ends when no command of it came to the log for so long.
    pub idle: Duration,
    /// When there are more than so many, the one that was used least recently ends.
    pub sessions: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { idle: Duration::from_secs(60), sessions: 10_000 }
    }
}

/// What an entry of the log says to the state machine.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Stamped<S: StateMachine> {
    /// The log's time when a leader took it, in nanoseconds.
    pub at: u64,
    #[serde(bound = "")]
    pub request: Request<S>,
}

impl<S: StateMachine> Stamped<S> {
    /// Of which session it is a command, and which one.
    pub fn command_of(&self) -> Option<(u64, u64)> {
        match self.request {
            Request::Execute { session, number, .. } => Some((session, number)),
            Request::Open | Request::Query(_) => None,
        }
    }
}

/// What is to be done.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(bound = "")]
pub(super) enum Request<S: StateMachine> {
    /// Begin a session.
    Open,
    /// Execute a command, if that was not done yet.
    Execute { session: u64, number: u64, command: S::Command },
    /// Answer a query in its place in the log.
    Query(S::Query),
}

/// What came of an entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(bound = "")]
pub enum Outcome<S: StateMachine> {
    /// There is a session of that number.
    Opened(u64),
    /// The command was executed, now or before.
    Executed(S::Reply),
    /// The query was answered.
    Answered(S::Answer),
    /// There is no such session (any more): the command was not executed now. Whether it was before nobody knows.
    Expired,
    /// A later command of the session was executed: this one will never be, and whether it was nobody knows any more.
    Superseded,
}

/// A state machine whose commands belong to sessions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(bound = "", from = "Saved<S>")]
pub struct Sessions<S: StateMachine> {
    state: S,
    limits: Limits,
    /// The log's clock, in nanoseconds.
    now: u64,
    sessions: BTreeMap<u64, Session<S>>,
    /// Sessions by when they were last used. Each says that itself, so snapshots do without.
    #[serde(skip_serializing)]
    by_use: BTreeSet<(u64, u64)>,
    /// How many commands were executed.
    executed: u64,
    /// All entries and what came of them, as a hash.
    past: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(bound = "")]
struct Session<S: StateMachine> {
    used: u64,
    /// The last command that was executed, and its reply. A client has one under way at a time.
    last: Option<(u64, S::Reply)>,
}

/// What of it is in snapshots, field by field.
#[derive(Deserialize)]
#[serde(bound = "")]
struct Saved<S: StateMachine> {
    state: S,
    limits: Limits,
    now: u64,
    sessions: BTreeMap<u64, Session<S>>,
    executed: u64,
    past: u64,
}

impl<S: StateMachine> From<Saved<S>> for Sessions<S> {
    fn from(saved: Saved<S>) -> Self {
        let Saved { state, limits, now, sessions, executed, past } = saved;
        let by_use = sessions.iter().map(|(id, session)| (session.used, *id)).collect();
        Sessions { state, limits, now, sessions, by_use, executed, past }
    }
}

impl<S: StateMachine> Sessions<S> {
    /// No sessions yet.
    pub fn new(state: S, limits: Limits) -> Self {
        let (sessions, by_use) = (BTreeMap::new(), BTreeSet::new());
        Sessions { state, limits, now: 0, sessions, by_use, executed: 0, past: 0 }
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
        Duration::from_nanos(self.now)
    }

    /// How many commands were executed, and a hash that differs if the past or the state does.
    pub(super) fn digest(&self) -> (u64, u64) {
        (self.executed, self.past ^ self.state.digest())
    }

    /// Forgets what was replied, as a leader with a table of its own would.
    pub(super) fn forget_replies(&mut self) {
        self.sessions.values_mut().for_each(|session| session.last = None);
    }

    /// Does what the entry at `index` says, which is `encoded` in the log.
    pub(super) fn apply(&mut self, index: Index, Stamped { at, request }: Stamped<S>, encoded: &[u8]) -> Outcome<S> {
        self.now = self.now.max(if planted!("rsm.sessions-end-by-local-clock") { time::now().as_nanos() } else { at });
        self.end_idle();
        let at = At { index, now: Duration::from_nanos(self.now) };
        let outcome = self.apply_request(&at, request);
        let came_of_it = match &outcome {
            Outcome::Opened(_) => 1,
            Outcome::Executed(_) => 2,
            Outcome::Answered(_) => 3,
            Outcome::Expired => 4,
            Outcome::Superseded => 5,
        };
        self.past = xxh3_64_with_seed(encoded, self.past.wrapping_add(came_of_it));
        outcome
    }

    fn apply_request(&mut self, at: &At, request: Request<S>) -> Outcome<S> {
        match request {
            Request::Open => {
                let id = if planted!("rsm.session-ids-reused") { self.sessions.len() as u64 } else { at.index };
                self.begin(id);
                if self.sessions.len() > self.limits.sessions.max(1) {
                    self.end_oldest();
                }
                Outcome::Opened(id)
            }
            Request::Execute { session, number, command } => self.execute(at, session, number, command),
            Request::Query(query) => Outcome::Answered(self.state.query(&query)),
        }
    }

    fn execute(&mut self, at: &At, id: u64, number: u64, command: S::Command) -> Outcome<S> {
        if !self.sessions.contains_key(&id) && planted!("rsm.ended-session-comes-back") {
            self.begin(id);
        }
        let Some(session) = self.sessions.get_mut(&id) else { return Outcome::Expired };
        self.by_use.remove(&(session.used, id));
        self.by_use.insert((self.now, id));
        session.used = self.now;
        match &session.last {
            Some((last, _)) if *last == number && planted!("rsm.replies-anew") => {
                Outcome::Executed(self.state.clone().apply(at, command))
            }
            Some((last, reply)) if *last == number && !planted!("rsm.executes-again") => {
                Outcome::Executed(reply.clone())
            }
            Some((last, _)) if *last > number && !planted!("rsm.late-command-executed") => Outcome::Superseded,
            _ => {
                let reply = self.state.apply(at, command);
                session.last = Some((number, reply.clone()));
                self.executed += 1;
                Outcome::Executed(reply)
            }
        }
    }

    fn begin(&mut self, id: u64) {
        self.sessions.insert(id, Session { used: self.now, last: None });
        self.by_use.insert((self.now, id));
    }

    fn end_idle(&mut self) {
        let idle = self.limits.idle.as_nanos() as u64;
        while self.by_use.first().is_some_and(|(used, _)| used.saturating_add(idle) < self.now) {
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

    #[test]
    fn also_after_a_snapshot() {
        let mut state = counter(9);
        open(&mut state, 0, 1);
        execute(&mut state, 1, 1, 1);
        let bytes = codec::encode(&state).unwrap();
        let mut restored: Sessions<Counter> = codec::decode(&bytes).unwrap();
        assert_eq!(restored, state);
        assert_eq!(execute(&mut restored, 2, 1, 1), Outcome::Executed(1));
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
    fn a_replica_with_another_past_has_another_digest() {
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
