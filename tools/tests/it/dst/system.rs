//! A register that a server keeps in memory, and ways to break it.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use sim::check::Linearizable;
use sim::models::{Register, RegisterOp as Op, RegisterRet as Ret};
use sim::{Client, Cluster, DynSystem, Manifest, System, node, planted, rand, rpc, sometimes, time};

/// Forgets everything in a crash.
pub struct Forgetful;

/// The same, without known bugs.
struct Plain;

pub fn all() -> Vec<Box<dyn DynSystem>> {
    vec![Box::new(Forgetful), Box::new(Plain)]
}

#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Params {
    clients: usize,
}

impl rpc::Service for Forgetful {
    type Request = Op;
    type Reply = Ret;
}

sim::event! {
    /// The server has taken a value.
    "forgetful.stored" => struct Stored {
        value: i64,
    }
}

impl System for Forgetful {
    type Params = Params;
    fn describe(m: &mut Manifest<Self>) {
        m.name("forgetful", "A register in memory.");
        describe(m);
        m.planted("forgetful.stale").breaks(["linearizable"]);
        m.planted("forgetful.panics").breaks(["linearizable"]);
        m.planted("forgetful.harmless").breaks(["linearizable"]);
    }
    fn build(&self, params: &Params, cluster: &mut Cluster) {
        cluster.nodes("server", 1).nodes("client", params.clients);
    }
}

impl System for Plain {
    type Params = Params;
    fn describe(m: &mut Manifest<Self>) {
        m.name("plain", "A register in memory, without known bugs.");
        describe(m);
    }
    fn build(&self, params: &Params, cluster: &mut Cluster) {
        assert!(params.clients < 100, "too many clients");
        cluster.nodes("server", 1).nodes("client", params.clients);
    }
}

fn describe<S: System<Params = Params>>(m: &mut Manifest<S>) {
    m.role("server", server).client_role("client").ops::<Op>().event::<Stored>();
    m.workload("mixed", mixed).workload("idle", idle).workload("leaky", leaky).workload("once", once);
    m.check::<Linearizable<Register>>();
}

async fn server(_: Rc<Params>) {
    let mut calls = rpc::Server::<Forgetful>::bind(1).unwrap();
    let register = Cell::new(None);
    loop {
        let call = calls.recv().await;
        let reply = match call.request {
            Op::Write { value } => {
                assert!(!planted!("forgetful.panics"), "a bug");
                sim::observe!(Stored { value });
                register.set(Some(value));
                Ret::Done
            }
            _ if planted!("forgetful.stale") && rand::chance(0.2) => Ret::Value(None),
            _ => Ret::Value(register.get()),
        };
        let _ = planted!("forgetful.harmless");
        sometimes!(register.get().is_some(), "forgetful.has-value");
        sometimes!(register.get() == Some(-1), "forgetful.is-negative");
        call.responder.send(&reply);
    }
}

#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Mix {
    reads: f64,
}

impl Default for Mix {
    fn default() -> Mix {
        Mix { reads: 0.5 }
    }
}

async fn mixed(cx: Client<Params>, mix: Mix) {
    while cx.running() {
        let op = if rand::chance(mix.reads) { Op::Read } else { Op::Write { value: rand::below(100) as i64 } };
        operate(&cx, op).await;
        time::sleep(Duration::from_millis(50)).await;
    }
}

/// Nothing is tested by it.
async fn idle(_: Client<Params>, _: toml::Table) {}

/// What it does depends on more than the seed.
async fn leaky(cx: Client<Params>, _: toml::Table) {
    static RUNS: AtomicU64 = AtomicU64::new(0);
    let value = RUNS.fetch_add(1, Ordering::Relaxed) as i64;
    while cx.running() {
        operate(&cx, Op::Write { value }).await;
        time::sleep(Duration::from_millis(50)).await;
    }
}

/// It panics the first time in a process, and never again.
async fn once(cx: Client<Params>, _: toml::Table) {
    static RUNS: AtomicU64 = AtomicU64::new(0);
    assert!(RUNS.fetch_add(1, Ordering::Relaxed) > 0, "the first time");
    mixed(cx, Mix::default()).await;
}

async fn operate(cx: &Client<Params>, op: Op) {
    let server = node::lookup("server-0").unwrap().port(1);
    let call = cx.invoke(op.clone());
    match rpc::call::<Forgetful>(server, &op, Duration::from_millis(20)).await {
        Ok(ret) => call.ok(ret),
        Err(_) => call.unknown(),
    }
}

/// The same, with mistakes in what it declares: a bug without a line, and a bug that breaks no check.
pub struct Misdeclared;

impl System for Misdeclared {
    type Params = Params;
    fn describe(m: &mut Manifest<Self>) {
        m.name("forgetful", "A register in memory.");
        describe(m);
        m.planted("forgetful.nowhere").breaks(["linearizable"]);
        m.planted("forgetful.stale").breaks(["linearisable"]);
    }
    fn build(&self, params: &Params, cluster: &mut Cluster) {
        cluster.nodes("server", 1).nodes("client", params.clients);
    }
}
