//! Sockets: the mailboxes of a node, and its reply port.

use std::any::Any;
use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use super::REPLY_PORT;
use crate::base::{Addr, NodeId, codec};
use crate::kernel::{self, State};

/// A datagram as it was received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Datagram {
    /// The sender's address.
    pub from: Addr,
    /// Its bytes, checksum verified.
    pub payload: Vec<u8>,
}

/// A socket could not be bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BindError {
    /// Another socket of the node has the port.
    #[error("port {0} is in use on this node")]
    InUse(u16),
    /// Port 0 receives the replies to calls.
    #[error("port 0 is reserved")]
    Reserved,
}

/// A bound port that sends and receives datagrams. It belongs to the incarnation that bound it: code that keeps it over a crash,
/// or hands it to another node, panics when it uses it.
#[derive(Debug)]
pub struct UdpSocket {
    local: Addr,
    incarnation: u32,
}

impl UdpSocket {
    /// Binds `port` on the calling node. It is free again when the socket is dropped or the node crashes.
    pub fn bind(port: u16) -> Result<UdpSocket, BindError> {
        if port == REPLY_PORT {
            return Err(BindError::Reserved);
        }
        kernel::with(|state| {
            let here = state.here();
            let incarnation = state.current.incarnation;
            if state.current.alive {
                state.node(here).sockets.bind(port)?;
            }
            Ok(UdpSocket { local: here.port(port), incarnation })
        })
    }

    /// The address that it receives at.
    pub fn local_addr(&self) -> Addr {
        self.local
    }

    /// Sends a datagram. Nothing says whether it will arrive.
    ///
    /// # Panics
    /// If it is larger than [`codec::LIMIT`] or `to` is not a node of the cluster.
    pub fn send_to(&self, payload: impl Into<Vec<u8>>, to: Addr) {
        let payload = payload.into();
        assert!(payload.len() as u64 <= codec::LIMIT, "a datagram of {} bytes is over the limit", payload.len());
        kernel::with_running(|state| {
            self.check(state);
            state.send(self.local.port, to, payload);
        });
    }

    /// The next datagram, in order of arrival. For one task at a time: of several that wait, only the last to ask is
    /// woken. Cancel-safe: a datagram is taken only when it is returned.
    pub fn recv_from(&self) -> impl Future<Output = Datagram> + '_ {
        Receive { socket: self }
    }

    /// The next datagram if one is waiting.
    pub fn try_recv_from(&self) -> Option<Datagram> {
        kernel::with(|state| {
            self.check(state);
            state.node(self.local.node).sockets.mailbox(self.local.port)?.queue.pop_front()
        })
    }

    /// Panics if the running code is not of the incarnation that has the port.
    #[track_caller]
    #[inline]
    fn check(&self, state: &State) {
        let current = state.current;
        if (current.node, current.incarnation) != (self.local.node, self.incarnation) && current.alive {
            foreign(state, self);
        }
    }
}

#[cold]
#[track_caller]
fn foreign(state: &State, socket: &UdpSocket) -> ! {
    let name = &state.nodes[socket.local.node.index()].name;
    let UdpSocket { local, incarnation } = socket;
    panic!(
        "sim: the socket of port {} belongs to incarnation {incarnation} of {name}, and is used by another: what a process \
         had is gone when it crashes, and no other node has it; bind the port again",
        local.port
    );
}

impl Drop for UdpSocket {
    fn drop(&mut self) {
        let (local, incarnation) = (self.local, self.incarnation);
        kernel::with_running(|state| {
            let node = state.node(local.node);
            if node.up && node.incarnation == incarnation {
                let waker = node.sockets.unbind(local.port);
                state.discard(waker);
            }
        });
    }
}

struct Receive<'a> {
    socket: &'a UdpSocket,
}

impl Future for Receive<'_> {
    type Output = Datagram;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Datagram> {
        let local = self.socket.local;
        kernel::with(|state| {
            if !state.current.alive {
                return Poll::Pending;
            }
            self.socket.check(state);
            let Some(mailbox) = state.node(local.node).sockets.mailbox(local.port) else { return Poll::Pending };
            match mailbox.queue.pop_front() {
                Some(datagram) => Poll::Ready(datagram),
                None => {
                    if !mailbox.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
                        let old = mailbox.waker.replace(cx.waker().clone());
                        state.discard(old);
                    }
                    Poll::Pending
                }
            }
        })
    }
}

struct Mailbox {
    port: u16,
    queue: VecDeque<Datagram>,
    waker: Option<Waker>,
}

/// What receives at the reply port of a node in place of a mailbox, such as a table of open calls.
pub(crate) trait Port: Any {
    /// A datagram has arrived. Returns what waits for it.
    fn receive(&mut self, payload: Vec<u8>) -> Option<Waker>;

    /// The node has crashed: returns all that waits, in order.
    fn close(&mut self) -> Vec<Waker>;
}

/// The sockets of one incarnation.
#[derive(Default)]
pub(crate) struct Sockets {
    bound: Vec<Mailbox>,
    /// What has the reply port: nothing until something is asked.
    replies: Option<Box<dyn Port>>,
    /// Datagrams received in this run: the node's share of the load.
    pub received: u64,
}

impl Sockets {
    fn bind(&mut self, port: u16) -> Result<(), BindError> {
        if self.mailbox(port).is_some() {
            return Err(BindError::InUse(port));
        }
        self.bound.push(Mailbox { port, queue: VecDeque::new(), waker: None });
        Ok(())
    }

    /// What has the reply port. One kind of it for the whole run.
    #[inline]
    pub fn replies<P: Port + Default>(&mut self) -> &mut P {
        let port = self.replies.get_or_insert_with(|| Box::new(P::default()));
        (port.as_mut() as &mut dyn Any).downcast_mut().expect("one kind of port receives replies")
    }

    fn unbind(&mut self, port: u16) -> Option<Waker> {
        let at = self.bound.iter().position(|mailbox| mailbox.port == port)?;
        self.bound.remove(at).waker
    }

    /// A node has a handful of ports: a scan beats a map.
    #[inline]
    fn mailbox(&mut self, port: u16) -> Option<&mut Mailbox> {
        self.bound.iter_mut().find(|mailbox| mailbox.port == port)
    }

    /// Puts a message into the mailbox of its port. `Err` if no socket is bound to the port.
    #[inline]
    pub fn receive(&mut self, from: Addr, port: u16, payload: Vec<u8>) -> Result<Option<Waker>, ()> {
        self.received += 1;
        if port == REPLY_PORT {
            return Ok(self.replies.as_mut().and_then(|port| port.receive(payload)));
        }
        let mailbox = self.mailbox(port).ok_or(())?;
        mailbox.queue.push_back(Datagram { from, payload });
        Ok(mailbox.waker.take())
    }
}

impl State {
    /// Closes everything: what was waiting is lost.
    pub(crate) fn close_sockets(&mut self, node: NodeId) {
        let sockets = &mut self.node(node).sockets;
        let mut wakers: Vec<Waker> = sockets.bound.drain(..).filter_map(|mailbox| mailbox.waker).collect();
        wakers.extend(sockets.replies.iter_mut().flat_map(|port| port.close()));
        for waker in wakers {
            self.discard(Some(waker));
        }
    }
}
