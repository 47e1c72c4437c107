//! Client sessions: what makes a request that is sent twice be executed once.
//!
//! A client has one request under way at a time and numbers its requests. A server keeps the latest request of each session with
//! its reply ([`Replies`]), and so tells a request that is new from one that is sent again, and from one that was overtaken on the
//! way (Liskov and Cowling, "Viewstamped Replication Revisited", section 4: the client table). The table is part of a server's
//! state: where that is replicated, transferred or recovered, the table is too.
//!
//! Here sessions begin without asking a server: [`Session::begin`] takes a name that no other client has. Such sessions never end,
//! which suits systems whose runs are short and whose clients are few. [`crate::rsm`] opens sessions through its log and ends them
//! by the log's time (Ongaro's thesis, section 6.3), so it has a table of its own around the same [`Latest`].

use std::cell::Cell;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sim::{NodeId, node};

sim::node_local! {
    /// Sessions begun in this incarnation.
    static BEGUN: Cell<u32> = Cell::new(0);
}

/// The name of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Session {
    /// The client's node.
    pub node: NodeId,
    /// The incarnation of the node, from 1.
    pub incarnation: u32,
    /// The number of the session within the incarnation, from 0.
    pub nth: u32,
}

impl Session {
    /// A new session of the client whose code is running: no other has its name, those of earlier incarnations included.
    pub fn begin() -> Session {
        let nth = BEGUN.with(|begun| begun.replace(begun.get() + 1));
        Session { node: node::this(), incarnation: node::incarnation(), nth }
    }
}

/// The name of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RequestId {
    /// Whose it is.
    pub session: Session,
    /// Its number in the session, from 1.
    pub number: u64,
}

/// A client's end of a session: it gives its requests their names.
#[derive(Debug)]
pub struct Requests {
    last: RequestId,
}

impl Requests {
    /// Those of a new session: see [`Session::begin`].
    pub fn begin() -> Requests {
        Requests { last: RequestId { session: Session::begin(), number: 0 } }
    }

    /// The name of the next request. The one before must have ended, since its reply is forgotten when the next arrives.
    pub fn next_id(&mut self) -> RequestId {
        self.last.number += 1;
        self.last
    }
}

/// What a server knows of a request that arrives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen<R> {
    /// It is new: later than all of its session.
    New,
    /// It is the latest of its session, and this was the reply.
    Answered(R),
    /// The session has moved on: nobody waits for a reply, and the request must not be executed.
    Stale,
}

impl<R: Copy> Seen<&R> {
    /// The same with the reply itself.
    pub fn copied(self) -> Seen<R> {
        match self {
            Seen::New => Seen::New,
            Seen::Answered(reply) => Seen::Answered(*reply),
            Seen::Stale => Seen::Stale,
        }
    }
}

/// The latest request of a session that was executed: its number, and the reply.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Latest<R>(u64, R);

impl<R> Latest<R> {
    /// The request of that number was executed, with that reply.
    pub fn new(number: u64, reply: R) -> Latest<R> {
        Latest(number, reply)
    }

    /// What is known of the request of that number in a session whose latest is `latest`, if it has one.
    pub fn seen(latest: Option<&Latest<R>>, number: u64) -> Seen<&R> {
        match latest {
            Some(Latest(last, reply)) if *last == number => Seen::Answered(reply),
            Some(Latest(last, _)) if *last > number => Seen::Stale,
            _ => Seen::New,
        }
    }
}

/// A server's end of all sessions: the latest request of each, and its reply.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replies<R>(BTreeMap<Session, Latest<R>>);

impl<R> Default for Replies<R> {
    fn default() -> Self {
        Replies(BTreeMap::new())
    }
}

impl<R> Replies<R> {
    /// What is known of a request.
    pub fn seen(&self, id: RequestId) -> Seen<&R> {
        Latest::seen(self.0.get(&id.session), id.number)
    }

    /// The request was executed, with that reply.
    pub fn insert(&mut self, id: RequestId, reply: R) {
        self.0.insert(id.session, Latest::new(id.number, reply));
    }

    /// Forgets all sessions.
    pub fn clear(&mut self) {
        self.0.clear();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn id(node: u16, number: u64) -> RequestId {
        RequestId { session: Session { node: NodeId::new(node), incarnation: 1, nth: 0 }, number }
    }

    #[test]
    fn a_request_is_new_until_it_was_executed_and_stale_once_the_session_moved_on() {
        let mut replies = Replies::default();
        assert_eq!(replies.seen(id(1, 1)), Seen::New);
        replies.insert(id(1, 1), "first");
        assert_eq!(replies.seen(id(1, 1)), Seen::Answered(&"first"));
        assert_eq!(replies.seen(id(1, 2)), Seen::New);
        replies.insert(id(1, 2), "second");
        assert_eq!(replies.seen(id(1, 1)), Seen::Stale);
        assert_eq!(replies.seen(id(1, 2)), Seen::Answered(&"second"));
    }

    #[test]
    fn sessions_have_nothing_to_do_with_each_other() {
        let mut replies = Replies::default();
        replies.insert(id(1, 5), ());
        assert_eq!(replies.seen(id(2, 5)), Seen::New);
        replies.clear();
        assert_eq!(replies.seen(id(1, 5)), Seen::New);
    }

    #[test]
    fn no_two_sessions_have_one_name() {
        let begin_two = || async { [Session::begin(), Session::begin()] };
        let run = sim::simulate(1, |sim| {
            let second = Duration::from_secs(1);
            let there = sim.wait(sim.client("client-0", begin_two()), second)?;
            let other = sim.wait(sim.client("client-1", begin_two()), second)?;
            let begun = std::rc::Rc::new(std::cell::RefCell::new(Vec::new()));
            let out = begun.clone();
            let again = sim.node("client-2", move || {
                let out = out.clone();
                async move { out.borrow_mut().push(Session::begin()) }
            });
            sim.run_for(second);
            sim.crash(again);
            sim.boot(again);
            sim.run_for(second);
            let mut all: Vec<Session> = [there, other].concat();
            all.extend(begun.borrow().iter());
            Ok::<_, sim::WaitError>(all)
        });
        let mut all = run.unwrap().value.unwrap();
        assert_eq!(all.len(), 6);
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 6, "{all:?}");
    }

    #[test]
    fn requests_of_a_session_are_numbered_from_one() {
        let numbers = async {
            let mut requests = Requests::begin();
            [requests.next_id().number, requests.next_id().number]
        };
        let run = sim::simulate(1, |sim| sim.wait(sim.client("client", numbers), Duration::from_secs(1)));
        assert_eq!(run.unwrap().value, Ok([1, 2]));
    }
}
