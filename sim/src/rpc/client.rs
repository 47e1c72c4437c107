//! The calling side.

use std::time::Duration;

use super::Service;
use super::calls::Call;
use super::once;
use super::wire::{self, CallId, Frame};
use crate::base::Addr;
use crate::base::codec::{self, CodecError};
use crate::kernel;
use crate::net::REPLY_PORT;
use crate::time::{self, Instant};

/// Why a call has no reply.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RpcError {
    /// No reply in time. The request may have been executed, may still be, or may never be.
    #[error("no reply in time; the request may or may not have been executed")]
    Timeout,
    /// At-most-once only: the server restarted since the client bound to it. The request may have been executed
    /// before, and will not be from now on.
    #[error("the server restarted; the request may have been executed before it did")]
    ServerRestarted,
    /// The server could not decode the request: the two sides disagree about the types. It was not executed.
    #[error("the server could not decode the request")]
    Malformed,
    /// The request could not be encoded, or the reply decoded.
    #[error(transparent)]
    Codec(#[from] CodecError),
}

/// How a call is made.
#[derive(Clone, Copy, Debug)]
pub struct CallOptions {
    pub(super) timeout: Duration,
    pub(super) retry: Option<Duration>,
    pub(super) once: bool,
}

impl CallOptions {
    /// Sends once and waits this long.
    pub fn timeout(timeout: Duration) -> CallOptions {
        CallOptions { timeout, retry: None, once: false }
    }

    /// Sends again every `period` until answered or timed out.
    ///
    /// # Panics
    /// If `period` is zero.
    pub fn retry(mut self, period: Duration) -> CallOptions {
        assert!(!period.is_zero(), "a call is retried after some time, not at once");
        self.retry = Some(period);
        self
    }

    /// The server executes it at most once, however often it is sent.
    pub fn at_most_once(mut self) -> CallOptions {
        self.once = true;
        self
    }
}

impl From<Duration> for CallOptions {
    fn from(timeout: Duration) -> Self {
        CallOptions::timeout(timeout)
    }
}

/// Sends a request and awaits the reply. `options` is a timeout, or [`CallOptions`].
pub async fn call<S: Service>(
    to: Addr,
    request: &S::Request,
    options: impl Into<CallOptions>,
) -> Result<S::Reply, RpcError> {
    let options = options.into();
    let deadline = time::now() + options.timeout;
    let reply = if options.once {
        once::call(to, codec::encode(request)?, options, deadline).await?
    } else {
        let open = Call::open();
        let bytes = wire::encode(Frame::Request { call: open.id }, request)?;
        exchange(&open, to, bytes, options.retry, deadline).await?
    };
    match wire::split(&reply) {
        Some((Frame::Reply { .. }, body)) => Ok(codec::decode(body)?),
        Some((Frame::Restarted { .. }, _)) => Err(RpcError::ServerRestarted),
        _ => Err(RpcError::Malformed),
    }
}

/// Sends a request for which there is no reply.
pub fn send<S: Service>(to: Addr, request: &S::Request) -> Result<(), RpcError> {
    let bytes = wire::encode(Frame::OneWay, request)?;
    transmit(to, bytes);
    Ok(())
}

/// Sends `bytes` once or repeatedly until the call is answered.
pub(super) async fn exchange(
    call: &Call,
    to: Addr,
    bytes: Vec<u8>,
    retry: Option<Duration>,
    deadline: Instant,
) -> Result<Vec<u8>, RpcError> {
    let Some(period) = retry else {
        transmit(to, bytes);
        return time::timeout_at(deadline, call.reply()).await.map_err(|_| RpcError::Timeout);
    };
    loop {
        transmit(to, bytes.clone());
        let next = (time::now() + period).min(deadline);
        match time::timeout_at(next, call.reply()).await {
            Ok(reply) => return Ok(reply),
            Err(_) if time::now() >= deadline => return Err(RpcError::Timeout),
            Err(_) => {}
        }
    }
}

pub(super) fn transmit(to: Addr, bytes: Vec<u8>) {
    kernel::with_running(|state| state.send(REPLY_PORT, to, bytes));
}

/// Asks a server which incarnation it is.
pub(super) async fn bind(to: Addr, retry: Option<Duration>, deadline: Instant) -> Result<u32, RpcError> {
    let open = Call::open();
    let id: CallId = open.id;
    let reply = exchange(&open, to, wire::frame(Frame::Bind { call: id }, &[]), retry, deadline).await?;
    match wire::split(&reply) {
        Some((Frame::Bound { server, .. }, _)) => Ok(server),
        _ => Err(RpcError::Malformed),
    }
}
