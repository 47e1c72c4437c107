//! The client library: finds the primary, retries, and never sends two requests at a time.

use std::cell::Cell;
use std::time::Duration;

use sim::check::linearizable::models::{KvOp, KvRet};
use sim::rpc::{self, CallOptions};
use sim::{NodeId, node, sometimes, time};

use super::server::{self, Answer, Call};
use super::store::{Request, Session};
use super::view_service::{self, ViewService};
use super::visible;

/// How long a client waits for one answer.
const ATTEMPT: Duration = Duration::from_millis(200);
/// How long it rests before it tries again.
const PAUSE: Duration = Duration::from_millis(30);

sim::node_local! {
    /// Clerks made in this incarnation.
    static CLERKS: Cell<u32> = Cell::new(0);
}

/// A client of the service. It keeps the primary in mind, and asks the view service only when that fails.
pub struct Clerk {
    session: Session,
    seq: u64,
    primary: Option<NodeId>,
}

/// The deadline passed: the request may have been executed, or may still be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeadlinePassed;

impl Default for Clerk {
    fn default() -> Self {
        // A clerk starts to count anew: it must not be taken for an earlier one of the same client.
        let clerk = CLERKS.with(|clerks| clerks.replace(clerks.get() + 1));
        Clerk {
            session: Session { node: node::this(), incarnation: node::incarnation(), clerk },
            seq: 0,
            primary: None,
        }
    }
}

impl Clerk {
    /// Executes an operation at most once. Tries until `deadline`.
    pub async fn execute(&mut self, op: KvOp, deadline: Duration) -> Result<KvRet, DeadlinePassed> {
        self.seq += 1;
        if !matches!(op, KvOp::Get { .. }) {
            visible::begun(&self.session, self.seq);
        }
        let call = Call::Execute(Request { session: self.session, seq: self.seq, op });
        let until = time::now() + deadline;
        let mut attempts = 0;
        while time::now() < until {
            attempts += 1;
            sometimes!(attempts > 3, "pb: a client needs more than three attempts");
            let Some(primary) = self.find_primary().await else {
                time::sleep(PAUSE).await;
                continue;
            };
            match rpc::call::<server::Service>(primary.port(server::PORT), &call, CallOptions::timeout(ATTEMPT)).await {
                Ok(Answer::Done(result)) => return Ok(result),
                _ => {
                    self.primary = None;
                    time::sleep(PAUSE).await;
                }
            }
        }
        Err(DeadlinePassed)
    }

    async fn find_primary(&mut self) -> Option<NodeId> {
        if self.primary.is_none() {
            let service = node::lookup("view-0")?.port(view_service::PORT);
            let view = rpc::call::<ViewService>(service, &view_service::Request::Get, ATTEMPT).await.ok()?.view;
            self.primary = view.primary.map(|primary| primary.node);
        }
        self.primary
    }
}
