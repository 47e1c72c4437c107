//! Requests and replies over datagrams.
//!
//! A service is a pair of types. [`call`] sends a request and awaits the reply; [`Server`] receives requests and sends replies.
//! [`CallOptions`] chooses the semantics of a call:
//!
//! | semantics | sent | executed |
//! |---|---|---|
//! | one-way ([`send`]) | once | at most once, unless the network duplicates it |
//! | plain (the default) | once | the same; after a timeout the outcome is unknown |
//! | at-least-once ([`CallOptions::retry`]) | until answered | once or more |
//! | at-most-once ([`CallOptions::at_most_once`]) | until answered | at most once, also across retries, duplicates and restarts of the server |
//!
//! At-most-once follows the classic design (Birrell & Nelson 1984, §3.4; "Implementing Remote Procedure Calls"): the
//! server keeps each client's replies until the client acknowledges them, and a client binds to one incarnation of the
//! server, so that a server which lost its table in a crash refuses the retry instead of executing it again.
//!
//! Replies go straight into the caller's slot of a call table that belongs to the incarnation: a reply to a call that
//! has timed out, or to an earlier incarnation, finds no slot and is dropped. A lost call leaves nothing behind.

mod calls;
mod client;
mod once;
mod server;
mod wire;

pub use client::{CallOptions, RpcError, call, send};
pub use server::{Incoming, Responder, Server};

use serde::Serialize;
use serde::de::DeserializeOwned;

/// The two message types of a service.
pub trait Service: 'static {
    /// What clients send: usually an enum of all operations.
    type Request: Serialize + DeserializeOwned;
    /// What the server answers.
    type Reply: Serialize + DeserializeOwned;
}
