//! The client library: finds the primary, retries, and never sends two requests at a time.

use std::ops::ControlFlow;
use std::time::Duration;

use sim::models::{KvOp, KvRet};
use sim::rpc::{self, CallOptions};
use sim::{NodeId, OpError, node, sometimes, time};

use super::server::{self, Answer, Call};
use super::store::Request;
use super::view_service::{self, ViewService};
use super::visible;
use crate::kit::retry::{Pause, retry};
use crate::kit::session::Requests;

/// How long a client waits for one answer.
const ATTEMPT: Duration = Duration::from_millis(200);
/// How long it rests before it tries again.
const PAUSE: Pause = Pause::Fixed(Duration::from_millis(30));

/// A client of the service. It keeps the primary in mind, and asks the view service only when that fails.
pub struct Clerk {
    requests: Requests,
    primary: Option<NodeId>,
}

impl Default for Clerk {
    fn default() -> Self {
        Clerk { requests: Requests::begin(), primary: None }
    }
}

impl Clerk {
    /// Executes an operation at most once. Tries for so long.
    ///
    /// # Errors
    ///
    /// [`OpError::Unknown`] when the time is up: the request may have been executed, or may still be.
    pub async fn execute(&mut self, op: KvOp, within: Duration) -> Result<KvRet, OpError> {
        let id = self.requests.next_id();
        if !matches!(op, KvOp::Get { .. }) {
            visible::begun(id);
        }
        let call = Call::Execute(Request { id, op });
        let mut attempts = 0;
        let result = retry(time::now() + within, PAUSE, async || {
            attempts += 1;
            sometimes!(attempts > 3, "pb: a client needs more than three attempts");
            match self.attempt(&call).await {
                Some(result) => ControlFlow::Break(result),
                None => ControlFlow::Continue(()),
            }
        });
        result.await.ok_or(OpError::Unknown)
    }

    async fn attempt(&mut self, call: &Call) -> Option<KvRet> {
        let primary = self.find_primary().await?;
        match rpc::call::<server::Service>(primary.port(server::PORT), call, CallOptions::timeout(ATTEMPT)).await {
            Ok(Answer::Done(result)) => Some(result),
            _ => {
                self.primary = None;
                None
            }
        }
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
