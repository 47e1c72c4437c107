//! A server. The view makes it primary, backup or idle.
//!
//! The primary executes one operation at a time, under a lock: forward to the backup, wait for the confirmation, apply,
//! answer. A transfer of the whole state to a new backup takes the same lock, so no operation overtakes the transfer.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use sim::models::{KvOp, KvRet};
use sim::rpc::{CallOptions, Responder};
use sim::sync::{Mutex, Notify};
use sim::{always, node, observe, planted, rpc, select, sometimes, task, time};

use super::Params;
use super::checks::{Applied, BecamePrimary, Completed, Synced};
use super::store::{Request, Store};
use super::view::{PING, Server as ServerId, View};
use super::view_service::{self, Stamp, ViewService};
use super::visible;
use crate::kit::session::Seen;

/// The port of the servers.
pub const PORT: u16 = 1;

/// The timeout of one attempt to reach the backup. After each attempt the primary checks the view again.
const ATTEMPT: Duration = Duration::from_millis(100);
/// The interval of retransmissions within an attempt.
const RETRY: Duration = Duration::from_millis(30);

/// A request to a server.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Call {
    /// A client's request.
    Execute(Request),
    /// The primary's next operation, for the backup.
    Forward {
        /// The primary's view.
        view: u64,
        /// The index of the operation in the order of all operations, from 1.
        index: u64,
        /// The operation.
        request: Request,
    },
    /// The primary's whole state, for a new backup.
    Transfer {
        /// The primary's view.
        view: u64,
        /// The state.
        store: Store,
    },
}

/// The answer of a server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    /// The result of a client's request.
    Done(KvRet),
    /// This server is not the primary.
    NotPrimary,
    /// The backup has the operation or the state.
    Accepted,
    /// The receiver is not the backup of the sender's view.
    Refused,
}

/// The servers as an RPC service.
pub struct Service;

impl rpc::Service for Service {
    type Request = Call;
    type Reply = Answer;
}

struct Server {
    me: ServerId,
    view: Cell<View>,
    store: RefCell<Store>,
    /// Whether `store` has the service's state: true for the first primary, and after a transfer.
    initialised: Cell<bool>,
    /// On a backup: the last view in which the server received the state.
    synced: Cell<u64>,
    /// On a primary: the last view whose backup has received the state.
    transferred: Cell<u64>,
    /// Serialises operations and state transfers.
    op_lock: Mutex<()>,
    /// Triggers a ping before the next interval, because there may be a newer view.
    ping_now: Notify,
}

/// The boot function of a server's node.
pub async fn boot(_: Rc<Params>) {
    let server = Rc::new(Server {
        me: ServerId { node: node::this(), incarnation: node::incarnation() },
        view: Cell::default(),
        store: RefCell::default(),
        initialised: Cell::new(false),
        synced: Cell::new(0),
        transferred: Cell::new(0),
        op_lock: Mutex::new(()),
        ping_now: Notify::new(),
    });
    task::spawn(server.clone().send_pings());
    let mut calls = rpc::Server::<Service>::bind(PORT).expect("nobody else binds the port");
    loop {
        let call = calls.recv().await;
        match call.request {
            Call::Execute(request) => {
                task::spawn(server.clone().execute(request, call.responder));
            }
            Call::Forward { view, index, request } => {
                call.responder.send(&server.accept_forward(view, index, &request));
            }
            Call::Transfer { view, store } => call.responder.send(&server.accept_transfer(view, store)),
        }
    }
}

impl Server {
    // ---- views ------------------------------------------------------------------------------------------------

    async fn send_pings(self: Rc<Self>) {
        let service = node::lookup("view-0").expect("there is a view service").port(view_service::PORT);
        let mut tick = time::interval(PING);
        tick.set_missed_tick_behavior(time::MissedTickBehavior::Delay);
        let mut echo: Option<Stamp> = None;
        loop {
            select! {
                _ = tick.tick() => {}
                () = self.ping_now.notified() => {}
            }
            let ping = view_service::Request::Ping {
                server: self.me,
                number: self.view.get().number,
                ready: self.backup_is_ready(),
                echo,
            };
            if let Ok(reply) = rpc::call::<ViewService>(service, &ping, CallOptions::timeout(PING).retry(RETRY)).await {
                echo = Some(reply.stamp);
                self.adopt(reply.view);
            }
        }
    }

    /// Whether the present view has a backup with the state.
    fn backup_is_ready(&self) -> bool {
        let view = self.view.get();
        view.backup.is_some() && (self.transferred.get() == view.number || planted!("pb.ready-before-transfer"))
    }

    fn adopt(self: &Rc<Self>, view: View) {
        if view.number <= self.view.get().number {
            return;
        }
        let was_primary = self.view.get().is_primary(self.me);
        self.view.set(view);
        sometimes!(was_primary && !view.is_primary(self.me), "pb: a primary learns that it was deposed");
        if view.is_primary(self.me) {
            // The primary of view 1 starts with an empty state; every later primary was a backup with the state.
            self.initialised.set(self.initialised.get() || view.number == 1);
            if !was_primary {
                observe!(BecamePrimary { view: view.number, initialised: self.initialised.get() });
            }
            if view.backup.is_some() {
                task::spawn(self.clone().transfer(view));
            }
        }
    }

    /// Transfers the state to the view's backup, and blocks operations meanwhile.
    async fn transfer(self: Rc<Self>, view: View) {
        let op_lock = match planted!("pb.transfer-beside-operations") {
            true => None,
            false => Some(self.op_lock.lock().await),
        };
        while self.view.get() == view && self.transferred.get() < view.number {
            self.send_state(view).await;
        }
        drop(op_lock);
    }

    /// Makes one attempt to send the whole state to the view's backup.
    async fn send_state(&self, view: View) {
        let Some(backup) = view.backup else { return };
        let mut store = self.store.borrow().clone();
        if planted!("pb.transfer-without-sessions") {
            store.forget_sessions();
        }
        if self.ask(backup, &Call::Transfer { view: view.number, store }).await == Some(Answer::Accepted) {
            self.transferred.set(self.transferred.get().max(view.number));
            // The next ping declares the backup ready.
            self.ping_now.notify_one();
        } else {
            time::sleep(RETRY).await;
        }
    }

    async fn ask(&self, backup: ServerId, call: &Call) -> Option<Answer> {
        let options = CallOptions::timeout(ATTEMPT).retry(RETRY);
        rpc::call::<Service>(backup.node.port(PORT), call, options).await.ok()
    }

    // ---- as primary -------------------------------------------------------------------------------------------

    async fn execute(self: Rc<Self>, request: Request, responder: Responder<Service>) {
        if let KvOp::Get { key } = &request.op
            && planted!("pb.stale-read")
            && self.view.get().is_primary(self.me)
        {
            return responder.send(&Answer::Done(self.store.borrow().peek(key)));
        }
        let op_lock = match planted!("pb.operations-side-by-side") {
            true => None,
            false => Some(self.op_lock.lock().await),
        };
        let answer = self.run(&request).await;
        drop(op_lock);
        if let Some(answer) = answer {
            responder.send(&answer);
        }
    }

    /// Executes a request once the backup has confirmed it. `None` for an outdated request of a session that has moved on.
    async fn run(&self, request: &Request) -> Option<Answer> {
        loop {
            let view = self.view.get();
            let serves = view.is_primary(self.me) || view.is_backup(self.me) && planted!("pb.backup-serves");
            if !serves || !self.initialised.get() {
                return Some(Answer::NotPrimary);
            }
            match self.store.borrow().seen(request) {
                Seen::New => {}
                Seen::Answered(answer) => {
                    sometimes!(true, "pb: a retry is answered from the table");
                    return Some(Answer::Done(answer.clone()));
                }
                Seen::Stale => return None,
            }
            let confirmed = match view.backup.filter(|_| view.is_primary(self.me)) {
                None => true,
                Some(_) if self.transferred.get() < view.number => {
                    if !planted!("pb.transfer-beside-operations") {
                        // The view began while this operation held the lock, and the transfer waits for the lock.
                        self.send_state(view).await;
                        continue;
                    }
                    true
                }
                Some(backup) => self.forward(view, backup, request).await,
            };
            if confirmed {
                let answer = self.apply(view.number, request, true);
                observe!(Completed { view: view.number });
                return Some(Answer::Done(answer));
            }
            sometimes!(true, "pb: a primary cannot reach its backup");
            self.ping_now.notify_one();
            time::sleep(RETRY).await;
        }
    }

    async fn forward(&self, view: View, backup: ServerId, request: &Request) -> bool {
        let index = self.store.borrow().applied() + 1;
        let call = Call::Forward { view: view.number, index, request: request.clone() };
        if planted!("pb.no-backup-ack") {
            let _ = rpc::send::<Service>(backup.node.port(PORT), &call);
            return true;
        }
        self.ask(backup, &call).await == Some(Answer::Accepted)
    }

    fn apply(&self, view: u64, request: &Request, confirmed: bool) -> KvRet {
        let mut store = self.store.borrow_mut();
        let answer = store.apply(request);
        observe!(Applied { view, index: store.applied(), digest: store.digest(), confirmed });
        visible::applied(store.applied(), request.id);
        answer
    }

    // ---- as backup --------------------------------------------------------------------------------------------

    /// Whether this server is the backup of `view`. A newer view than the server's own triggers a ping.
    fn is_backup_in(&self, view: u64) -> bool {
        if view > self.view.get().number {
            self.ping_now.notify_one();
        }
        self.view.get().number == view && self.view.get().is_backup(self.me)
    }

    fn accept_forward(&self, view: u64, index: u64, request: &Request) -> Answer {
        if !self.is_backup_in(view) || self.synced.get() != view {
            sometimes!(view < self.view.get().number, "pb: a deposed primary is refused");
            return Answer::Refused;
        }
        let applied = self.store.borrow().applied();
        if index > applied {
            always!(index == applied + 1, "pb.backup-misses-nothing", "operation {index} came after {applied}");
            self.apply(view, request, false);
        }
        Answer::Accepted
    }

    fn accept_transfer(&self, view: u64, store: Store) -> Answer {
        if !self.is_backup_in(view) {
            return Answer::Refused;
        }
        // A duplicate of the state must not overwrite operations forwarded since.
        if self.synced.get() != view {
            *self.store.borrow_mut() = store;
            self.synced.set(view);
            self.initialised.set(true);
            observe!(Synced { view });
            visible::received(self.store.borrow().applied());
        }
        Answer::Accepted
    }
}
