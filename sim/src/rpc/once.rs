//! At-most-once: the client's sessions and the server's table of replies.
//!
//! The client numbers its requests to a server and tells, with each, below which number it waits for nothing any more.
//! The server keeps a reply until then, answers a repeated request from the table, and ignores one that is below: it was
//! given up. So the table holds no more than what clients are waiting for.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use super::calls::Call;
use super::client::{CallOptions, RpcError, bind, exchange};
use super::wire::{self, Frame};
use crate::base::{Addr, NodeId};
use crate::node;
use crate::time::Instant;

/// What a client knows of one server.
#[derive(Default)]
struct Session {
    /// The incarnation that it is bound to; 0 before the first answer.
    server: u32,
    next: u64,
    outstanding: BTreeSet<u64>,
}

crate::node_local! {
    static SESSIONS: RefCell<BTreeMap<Addr, Session>> = RefCell::new(BTreeMap::new());
}

/// A number that is outstanding until this is dropped.
struct Ticket {
    to: Addr,
    seq: u64,
    acked: u64,
}

impl Ticket {
    fn take(to: Addr) -> Ticket {
        SESSIONS.with(|sessions| {
            let mut sessions = sessions.borrow_mut();
            let session = sessions.entry(to).or_default();
            session.next += 1;
            let seq = session.next;
            session.outstanding.insert(seq);
            let acked = session.outstanding.first().map_or(seq, |&first| first) - 1;
            Ticket { to, seq, acked }
        })
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        SESSIONS.with(|sessions| {
            if let Some(session) = sessions.borrow_mut().get_mut(&self.to) {
                session.outstanding.remove(&self.seq);
            }
        });
    }
}

fn bound_to(to: Addr) -> u32 {
    SESSIONS.with(|sessions| sessions.borrow().get(&to).map_or(0, |session| session.server))
}

fn set_bound(to: Addr, server: u32) {
    SESSIONS.with(|sessions| sessions.borrow_mut().entry(to).or_default().server = server);
}

/// Makes the call and returns the reply frame.
pub(super) async fn call(
    to: Addr,
    request: Vec<u8>,
    options: CallOptions,
    deadline: Instant,
) -> Result<Vec<u8>, RpcError> {
    if bound_to(to) == 0 {
        let server = bind(to, options.retry, deadline).await?;
        set_bound(to, server);
    }
    let server = bound_to(to);
    let ticket = Ticket::take(to);
    let open = Call::open();
    let frame =
        Frame::Once { call: open.id, seq: ticket.seq, acked: ticket.acked, client: node::incarnation(), server };
    let reply = exchange(&open, to, wire::frame(frame, &request), options.retry, deadline).await?;
    if matches!(wire::split(&reply), Some((Frame::Restarted { .. }, _))) {
        // The next call binds to the new incarnation.
        set_bound(to, 0);
    }
    Ok(reply)
}

/// What a server remembers of one client.
#[derive(Default)]
struct Window {
    client: u32,
    acked: u64,
    /// Replies by number; `None` while the request is being executed.
    replies: BTreeMap<u64, Option<Vec<u8>>>,
}

/// What to do with a request.
pub(super) enum Admission {
    /// Execute it.
    New,
    /// Answer it with this.
    Replay(Vec<u8>),
    /// Nothing: it is being executed, or was given up.
    Ignore,
}

/// The server's table.
#[derive(Default)]
pub(super) struct Table(BTreeMap<NodeId, Window>);

crate::node_local! {
    static TABLES: RefCell<BTreeMap<u16, Rc<RefCell<Table>>>> = RefCell::new(BTreeMap::new());
}

/// The table of the service at a port of the running node.
pub(super) fn table_of(port: u16) -> Rc<RefCell<Table>> {
    TABLES.with(|tables| tables.borrow_mut().entry(port).or_default().clone())
}

impl Table {
    pub fn admit(&mut self, from: NodeId, client: u32, seq: u64, acked: u64) -> Admission {
        let window = self.0.entry(from).or_default();
        if client < window.client {
            return Admission::Ignore;
        }
        if client > window.client {
            *window = Window { client, ..Window::default() };
        }
        if acked > window.acked {
            window.acked = acked;
            window.replies = window.replies.split_off(&(acked + 1));
        }
        if seq <= window.acked {
            return Admission::Ignore;
        }
        match window.replies.get(&seq) {
            Some(Some(reply)) => Admission::Replay(reply.clone()),
            Some(None) => Admission::Ignore,
            None => {
                window.replies.insert(seq, None);
                Admission::New
            }
        }
    }

    pub fn executed(&mut self, from: NodeId, client: u32, seq: u64, reply: &[u8]) {
        if let Some(window) = self.0.get_mut(&from)
            && window.client == client
            && let Some(slot) = window.replies.get_mut(&seq)
        {
            *slot = Some(reply.to_vec());
        }
    }

    /// It will not be executed, and its repetitions are to be told so.
    pub fn refused(&mut self, from: NodeId, client: u32, seq: u64) {
        if let Some(window) = self.0.get_mut(&from)
            && window.client == client
        {
            window.replies.remove(&seq);
        }
    }

    #[cfg(test)]
    fn kept(&self) -> usize {
        self.0.values().map(|window| window.replies.len()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLIENT: NodeId = NodeId(0);

    #[test]
    fn a_request_is_admitted_once_and_then_answered_from_the_table() {
        let mut table = Table::default();
        assert!(matches!(table.admit(CLIENT, 1, 1, 0), Admission::New));
        assert!(matches!(table.admit(CLIENT, 1, 1, 0), Admission::Ignore), "while it is executed");
        table.executed(CLIENT, 1, 1, b"one");
        assert!(matches!(table.admit(CLIENT, 1, 1, 0), Admission::Replay(reply) if reply == b"one"));
    }

    #[test]
    fn an_acknowledgement_frees_the_reply_and_bars_the_request_for_good() {
        let mut table = Table::default();
        for seq in 1..=3 {
            table.admit(CLIENT, 1, seq, 0);
            table.executed(CLIENT, 1, seq, b"x");
        }
        assert_eq!(table.kept(), 3);
        assert!(matches!(table.admit(CLIENT, 1, 4, 2), Admission::New));
        assert_eq!(table.kept(), 2);
        assert!(matches!(table.admit(CLIENT, 1, 2, 0), Admission::Ignore));
    }

    #[test]
    fn acknowledgements_that_arrive_out_of_order_free_nothing_that_is_awaited() {
        let mut table = Table::default();
        table.admit(CLIENT, 1, 5, 4);
        table.executed(CLIENT, 1, 5, b"five");
        table.admit(CLIENT, 1, 3, 1);
        assert!(matches!(table.admit(CLIENT, 1, 5, 2), Admission::Replay(_)));
    }

    #[test]
    fn a_restarted_client_starts_anew_and_its_former_self_is_ignored() {
        let mut table = Table::default();
        table.admit(CLIENT, 1, 1, 0);
        table.executed(CLIENT, 1, 1, b"old");
        assert!(matches!(table.admit(CLIENT, 2, 1, 0), Admission::New));
        assert!(matches!(table.admit(CLIENT, 1, 1, 0), Admission::Ignore));
    }
}
