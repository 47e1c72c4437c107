//! The answering side.

use std::cell::RefCell;
use std::marker::PhantomData;
use std::rc::Rc;

use super::Service;
use super::once::{self, Admission, Table};
use super::wire::{self, CallId, Frame};
use crate::base::{Addr, codec};
use crate::kernel;
use crate::net::{BindError, REPLY_PORT, UdpSocket};
use crate::node;

/// Receives the requests of a service at a port.
pub struct Server<S: Service> {
    socket: UdpSocket,
    table: Rc<RefCell<Table>>,
    service: PhantomData<S>,
}

/// A request to answer.
pub struct Incoming<S: Service> {
    /// The caller. Replies go through the responder; this is for the protocol.
    pub from: Addr,
    /// What it asks.
    pub request: S::Request,
    /// How to answer it.
    pub responder: Responder<S>,
}

/// Answers one request. Dropping it answers nothing: the caller times out, or tries again.
pub struct Responder<S: Service> {
    from: Addr,
    port: u16,
    call: Option<CallId>,
    once: Option<(u32, u64, Rc<RefCell<Table>>)>,
    service: PhantomData<S>,
}

impl<S: Service> Server<S> {
    /// Binds the service to `port` of the calling node. The table of at-most-once requests belongs to port and
    /// incarnation, so a second bind in the same incarnation does not execute a request again.
    pub fn bind(port: u16) -> Result<Self, BindError> {
        let socket = UdpSocket::bind(port)?;
        Ok(Server { socket, table: once::table_of(port), service: PhantomData })
    }

    /// The next request to execute. Repeated at-most-once requests are answered on the way. Cancel-safe.
    pub async fn recv(&mut self) -> Incoming<S> {
        loop {
            let datagram = self.socket.recv_from().await;
            let from = datagram.from;
            let Some((frame, body)) = wire::split(&datagram.payload) else { continue };
            let (call, once) = match frame {
                Frame::OneWay => (None, None),
                Frame::Request { call } => (Some(call), None),
                Frame::Once { call, seq, acked, client, server } => {
                    if server != node::incarnation() {
                        self.answer(from, Frame::Restarted { call }, &[]);
                        continue;
                    }
                    let admission = self.table.borrow_mut().admit(from.node, client, seq, acked);
                    match admission {
                        Admission::New => (Some(call), Some((client, seq, self.table.clone()))),
                        Admission::Replay(reply) => {
                            self.answer(from, Frame::Reply { call }, &reply);
                            continue;
                        }
                        Admission::Ignore => continue,
                    }
                }
                Frame::Bind { call } => {
                    self.answer(from, Frame::Bound { call, server: node::incarnation() }, &[]);
                    continue;
                }
                Frame::Reply { .. } | Frame::Bound { .. } | Frame::Malformed { .. } | Frame::Restarted { .. } => {
                    continue;
                }
            };
            match codec::decode::<S::Request>(body) {
                Ok(request) => {
                    let port = self.socket.local_addr().port;
                    let responder = Responder { from, port, call, once, service: PhantomData };
                    return Incoming { from, request, responder };
                }
                Err(error) => {
                    tracing::warn!(%from, %error, "malformed request");
                    if let Some((client, seq, table)) = once {
                        table.borrow_mut().refused(from.node, client, seq);
                    }
                    if let Some(call) = call {
                        self.answer(from, Frame::Malformed { call }, &[]);
                    }
                }
            }
        }
    }

    fn answer(&self, to: Addr, frame: Frame, body: &[u8]) {
        reply(self.socket.local_addr().port, to, wire::frame(frame, body));
    }
}

impl<S: Service> Responder<S> {
    /// Sends the reply.
    ///
    /// # Panics
    /// If it is larger than [`codec::LIMIT`] when encoded.
    pub fn send(self, answer: &S::Reply) {
        let Some(call) = self.call else { return };
        let frame = Frame::Reply { call };
        if let Some((client, seq, table)) = self.once {
            let body = codec::encode(answer).expect("a reply within the codec's limit");
            table.borrow_mut().executed(self.from.node, client, seq, &body);
            reply(self.port, self.from, wire::frame(frame, &body));
        } else {
            reply(self.port, self.from, wire::encode(frame, answer).expect("a reply within the codec's limit"));
        }
    }
}

fn reply(port: u16, to: Addr, bytes: Vec<u8>) {
    kernel::with_running(|state| state.send(port, Addr { node: to.node, port: REPLY_PORT }, bytes));
}
