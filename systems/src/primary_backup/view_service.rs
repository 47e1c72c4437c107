//! The view service: one node that receives pings and answers with the present view.

use std::rc::Rc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use sim::{codec, fs, node, observe, planted, rpc, select, time};

use super::Params;
use super::checks::{Acked, Heard, Proposed, Ready, ViewDecided};
use super::view::{Core, PING, Server, View};
use crate::storage;

/// The port of the view service.
pub const PORT: u16 = 1;

/// A time stamp of one incarnation of the view service. Servers echo the latest stamp that they received.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamp {
    incarnation: u32,
    at: Duration,
}

/// A request to the view service.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Request {
    /// A server's sign of life.
    Ping {
        /// The sender.
        server: Server,
        /// The number of the sender's view; 0 after a start. The primary acknowledges a view by sending its number.
        number: u64,
        /// From the primary: whether the backup has the whole state.
        ready: bool,
        /// The stamp of the last reply that the sender received.
        echo: Option<Stamp>,
    },
    /// A client asks for the present view.
    Get,
}

/// The reply to both requests.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Reply {
    /// The present view.
    pub view: View,
    /// Whether the backup of the view has the whole state.
    pub ready: bool,
    /// The stamp to echo in the next ping.
    pub stamp: Stamp,
}

/// The view service as an RPC service.
pub struct ViewService;

impl rpc::Service for ViewService {
    type Request = Request;
    type Reply = Reply;
}

const FILE: &str = "view";
const DRAFT: &str = "view.new";

/// The boot function of the view service's node.
pub async fn boot(_: Rc<Params>) {
    let mut saved = load().await;
    let mut core = Core::new(saved.view, saved.acked, saved.ready, clock());
    let mut server = rpc::Server::<ViewService>::bind(PORT).expect("nobody else binds the port");
    let mut tick = time::interval(PING);
    loop {
        let mut acknowledged = false;
        let call = select! {
            call = server.recv() => {
                if let Request::Ping { server, number, ready, echo } = call.request {
                    let alive = echo.filter(|echo| echo.incarnation == node::incarnation()).map(|echo| echo.at);
                    acknowledged = core.ping(server, number, ready, alive, clock());
                    let alive_ns = alive.map_or(0, |alive| alive.as_nanos() as u64);
                    observe!(Heard { server: server.node, incarnation: server.incarnation, alive_ns });
                }
                Some(call)
            }
            _ = tick.tick() => {
                core.tick(clock());
                None
            }
        };
        let next = Saved { view: core.view(), acked: core.acked(), ready: core.ready() };
        if next != saved {
            save_and_announce(saved, next, acknowledged).await;
            saved = next;
        }
        if let Some(call) = call {
            let stamp = Stamp { incarnation: node::incarnation(), at: clock() };
            call.responder.send(&Reply { view: saved.view, ready: saved.ready, stamp });
        }
    }
}

/// The durable state. It includes the primary's declarations, because a crashed primary cannot repeat them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Saved {
    view: View,
    acked: bool,
    ready: bool,
}

/// Makes a decision durable before it is announced, so that no number is given to two views.
async fn save_and_announce(before: Saved, now: Saved, acknowledged: bool) {
    let is_new = now.view != before.view;
    if is_new {
        observe!(Proposed::new(&now.view));
    }
    save(&now).await;
    if is_new && acknowledged {
        // The same ping acknowledged the previous view and caused the next one.
        observe!(Acked { number: before.view.number });
    }
    if is_new {
        tracing::info!("{}", now.view);
        observe!(ViewDecided::new(&now.view));
    }
    if now.acked && (is_new || !before.acked) {
        observe!(Acked { number: now.view.number });
    }
    if now.ready && (is_new || !before.ready) {
        observe!(Ready { number: now.view.number });
    }
}

fn clock() -> Duration {
    Duration::from_nanos(time::now().as_nanos())
}

/// Loads the decision of the previous incarnation, which may have crashed before the decision was durable or announced. So
/// this incarnation first makes the decision durable and then announces it.
async fn load() -> Saved {
    let Ok(file) = fs::File::open(FILE).await else { return Saved::default() };
    file.sync_all().await.expect("the disk is sound");
    fs::sync_dir("").await.expect("the disk is sound");
    let bytes = fs::read(FILE).await.expect("the disk is sound");
    let saved: Saved = codec::decode(&bytes).expect("the view file is written whole");
    observe!(ViewDecided::new(&saved.view));
    if saved.acked {
        observe!(Acked { number: saved.view.number });
    }
    if saved.ready {
        observe!(Ready { number: saved.view.number });
    }
    saved
}

/// Replaces the view file atomically: writes a draft, syncs it, renames it and syncs the directory.
async fn save(saved: &Saved) {
    let bytes = codec::encode(saved).expect("a view is small");
    let file = fs::File::create(DRAFT).await.expect("the root directory exists");
    file.write_all_at(&bytes, 0).await.expect("the disk is sound");
    if planted!("pb.view-not-durable") {
        fs::rename(DRAFT, FILE).await.expect("the draft exists");
        return;
    }
    storage::replace(&file, DRAFT, FILE).await.expect("the disk is sound");
}
