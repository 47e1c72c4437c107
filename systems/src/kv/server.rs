//! A server: a replica of the store.

use std::rc::Rc;
use std::time::Duration;

use sim::{GroupId, group};

use super::store::{self, Store};
use super::system::Params;
use crate::rsm::{Limits, Options, Replica, service};

/// Where servers listen to each other.
const RAFT: u16 = 1;
/// Where servers listen to clients.
pub const PORT: u16 = 2;

/// The role of the servers, and their group.
pub const GROUP: &str = "server";

/// The group of the servers.
pub fn group() -> GroupId {
    group::lookup(GROUP).expect("the system has servers")
}

/// Its life. The server's id is its node's.
pub async fn boot(params: Rc<Params>) {
    serve(params, |_| ()).await;
}

/// Like [`boot`], and passes the replica of each start to `started`.
pub async fn serve(params: Rc<Params>, started: impl Fn(&Replica<Store>)) {
    let limits = store::Limits { value: params.max_value, total: params.max_bytes };
    service::run(options(&params), Store::new(limits), PORT, started).await;
}

fn options(params: &Params) -> Options {
    Options {
        reads: params.reads,
        snapshot_bytes: params.snapshot_bytes,
        limits: Limits { idle: Duration::from_millis(params.session_idle_ms), sessions: params.max_sessions },
        ..Options::of_home_group("kv", RAFT, params.raft.clone(), params.servers)
    }
}
