//! The network: datagrams that carry real bytes over directed links, each with its own latency and faults.
//!
//! A datagram arrives once, late, twice or not at all, and datagrams arrive in any order. A checksum detects altered datagrams,
//! and the receiver drops them. Sends never block and never fail. A sender that needs to know whether a message arrived uses
//! [`crate::rpc`].
//!
//! A crash closes the node's sockets, and loses the datagrams in their mailboxes and on loopback. Datagrams in flight to other
//! nodes still arrive. Datagrams in flight *to* the node reach the port of a later incarnation if it is bound by then, as with
//! UDP.
//!
//! Loopback does not use a link, so no network fault affects it.

mod link;
mod socket;

use std::task::Waker;

pub(crate) use link::Link;
pub use link::{LinkConfig, LinkPatch};
pub use socket::{BindError, Datagram, UdpSocket};
pub(crate) use socket::{Port, Sockets};

use crate::base::seed::{Draw, Purpose, Seed};
use crate::base::slab::{Id, Slab};
use crate::base::{Addr, NodeId};
use crate::kernel::State;
use crate::trace::digest::{Tag, hash_bytes};
use crate::trace::record::Kind;

/// Latency of a datagram from a node to itself.
const LOOPBACK_NS: u64 = 10_000;

/// The port on which replies to this node's calls arrive; never bound by a socket.
pub(crate) const REPLY_PORT: u16 = 0;

/// A message under way.
pub(crate) type MessageId = Id<Message>;

pub(crate) struct Message {
    from: Addr,
    to: Addr,
    payload: Vec<u8>,
    /// Of the payload as it was sent.
    checksum: u64,
    /// Whether a bit was flipped under way: only then there is something for the receiver to find.
    is_altered: bool,
    /// The sender's incarnation: loopback does not outlive it.
    incarnation: u32,
    /// [`Link::severed`] when it was sent.
    severed: u32,
}

/// All links, and all messages under way.
#[derive(Default)]
pub(crate) struct Net {
    config: LinkConfig,
    /// `links[from][to]`.
    links: Vec<Vec<Link>>,
    messages: Slab<Message>,
}

impl Net {
    pub fn add_node(&mut self, seed: Seed, names: &[String]) {
        let new = names.len() - 1;
        let key = |from: usize, to: usize| seed.key(Purpose::Link, &format!("{}->{}", names[from], names[to]));
        for (from, row) in self.links.iter_mut().enumerate() {
            row.push(Link::new(key(from, new), self.config));
        }
        self.links.push((0..=new).map(|to| Link::new(key(new, to), self.config)).collect());
    }

    /// Sets what every link is like when no fault is in force.
    pub fn configure(&mut self, config: LinkConfig) {
        self.config = config;
        self.links.iter_mut().flatten().for_each(|link| link.set_base(config));
    }

    pub fn link(&mut self, from: NodeId, to: NodeId) -> &mut Link {
        &mut self.links[from.index()][to.index()]
    }
}

/// Why a datagram did not arrive.
#[derive(Clone, Copy, Debug)]
enum Loss {
    Partition,
    Random,
    QueueFull,
    Checksum,
    NodeDown,
    NotBound,
    OldIncarnation,
}

impl Loss {
    fn why(self) -> &'static str {
        match self {
            Loss::Partition => "partitioned",
            Loss::Random => "lost",
            Loss::QueueFull => "queue full",
            Loss::Checksum => "corrupted",
            Loss::NodeDown => "node down",
            Loss::NotBound => "port not bound",
            Loss::OldIncarnation => "from an earlier incarnation",
        }
    }
}

impl State {
    /// Sends a datagram from the running node. On a crashed node it has no effect.
    pub(crate) fn send(&mut self, from_port: u16, to: Addr, mut payload: Vec<u8>) {
        let here = self.here();
        if !self.current.alive {
            return;
        }
        assert!(to.node.index() < self.nodes.len(), "sim: sent to {to}, which is no node of the cluster");
        let from = Addr { node: here, port: from_port };
        let incarnation = self.current.incarnation;
        let checksum = hash_bytes(&payload);
        let route = u64::from(here.0) << 32 | u64::from(to.node.0) << 16 | u64::from(to.port);
        self.digest.event(Tag::Send, route, checksum, self.now);
        self.record(here, Kind::Send, |state| describe(state, "->", to, &payload));
        if to.node == here {
            let id = self.net.messages.insert(Message {
                from,
                to,
                payload,
                checksum,
                is_altered: false,
                incarnation,
                severed: 0,
            });
            self.push_delivery(self.now + LOOPBACK_NS, Draw(0), id);
            return;
        }
        let now = self.now;
        let link = self.net.link(here, to.node);
        let fate = link.next_fate();
        let severed = link.severed;
        if link.cut > 0 {
            return self.lose(here, to, Loss::Partition);
        }
        let Some((on_wire, waited)) = link.enqueue(now, payload.len()) else {
            return self.lose(here, to, Loss::QueueFull);
        };
        self.effects.queued += u64::from(waited > 0);
        if fate.lost {
            return self.lose(here, to, Loss::Random);
        }
        if fate.reordered {
            self.effects.reordered += 1;
        }
        if let Some(latency) = fate.duplicate {
            self.effects.duplicated += 1;
            let copy = payload.clone();
            let message = Message { from, to, payload: copy, checksum, is_altered: false, incarnation, severed };
            let id = self.net.messages.insert(message);
            self.push_delivery(now.saturating_add(on_wire).saturating_add(latency), fate.order.again(), id);
        }
        let flip = fate.corrupt.filter(|_| !payload.is_empty());
        if let Some(draw) = flip {
            let bit = draw.below(payload.len() as u64 * 8);
            payload[(bit / 8) as usize] ^= 1 << (bit % 8);
        }
        let is_altered = flip.is_some();
        let id = self.net.messages.insert(Message { from, to, payload, checksum, is_altered, incarnation, severed });
        self.push_delivery(now.saturating_add(on_wire).saturating_add(fate.latency), fate.order, id);
    }

    /// A message has arrived: delivers it to the bound socket, or records the reason for its loss.
    pub(crate) fn deliver(&mut self, id: MessageId) -> Option<Waker> {
        let (from, to, incarnation, severed) = {
            let message = self.net.messages.get(id)?;
            (message.from, message.to, message.incarnation, message.severed)
        };
        if from.node != to.node {
            let link = self.net.link(from.node, to.node);
            if link.severed != severed {
                self.net.messages.remove(id);
                self.lose(from.node, to, Loss::Partition);
                return None;
            }
            if link.clogged > 0 {
                link.held.push(id);
                self.effects.held += 1;
                return None;
            }
        }
        let message = self.net.messages.remove(id)?;
        let node = &mut self.nodes[to.node.index()];
        if !node.up {
            self.lose(from.node, to, Loss::NodeDown);
            return None;
        }
        if from.node == to.node && node.incarnation != incarnation {
            self.lose(from.node, to, Loss::OldIncarnation);
            return None;
        }
        if message.is_altered && hash_bytes(&message.payload) != message.checksum {
            self.lose(from.node, to, Loss::Checksum);
            return None;
        }
        let route = u64::from(from.node.0) << 32 | u64::from(to.node.0) << 16 | u64::from(to.port);
        self.digest.event(Tag::Deliver, route, message.checksum, self.now);
        self.record(to.node, Kind::Recv, |state| describe(state, "<-", from, &message.payload));
        let node = &mut self.nodes[to.node.index()];
        match node.sockets.receive(from, to.port, message.payload) {
            Ok(waker) => waker.and_then(|waker| self.wake_waker(waker)),
            Err(()) => {
                self.lose(from.node, to, Loss::NotBound);
                None
            }
        }
    }

    /// Lets go what a clog has held: it arrives now, in one burst, in the order in which it came.
    pub(crate) fn release_held(&mut self, from: NodeId, to: NodeId) {
        for id in std::mem::take(&mut self.net.link(from, to).held) {
            self.push_delivery(self.now, Draw(0), id);
        }
    }

    fn lose(&mut self, from: NodeId, to: Addr, loss: Loss) {
        let effects = &mut self.effects;
        let counter = match loss {
            Loss::Partition => &mut effects.partitioned,
            Loss::Random => &mut effects.lost,
            Loss::QueueFull => &mut effects.overflowed,
            Loss::Checksum => &mut effects.corrupted,
            Loss::NodeDown => &mut effects.node_down,
            Loss::NotBound => &mut effects.not_bound,
            Loss::OldIncarnation => &mut effects.old_incarnation,
        };
        *counter += 1;
        let route = u64::from(from.0) << 32 | u64::from(to.node.0) << 16 | u64::from(to.port);
        self.digest.event(Tag::Drop, route, loss as u64, self.now);
        self.record(from, Kind::Drop, |state| format!("-> {}:{} {}", state.name_of(to.node), to.port, loss.why()));
    }
}

fn describe(state: &State, arrow: &str, peer: Addr, payload: &[u8]) -> String {
    format!("{arrow} {}:{} {} bytes", state.name_of(peer.node), peer.port, payload.len())
}
