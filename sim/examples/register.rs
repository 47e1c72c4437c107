//! A register that a server keeps in memory, and loses.
use std::{cell::Cell, rc::Rc, time::Duration};

use serde::{Deserialize, Serialize};
use sim::check::Linearizable;
use sim::models::{Register, RegisterOp as Op, RegisterRet as Ret};
use sim::{Client, Cluster, Manifest, RunOptions, Scenario, System, node, rand, rpc, time};

struct Forgetful;
#[derive(Clone, Serialize, Deserialize)]
struct Params {
    clients: usize,
}
impl rpc::Service for Forgetful {
    type Request = Op;
    type Reply = Ret;
}
impl System for Forgetful {
    type Params = Params;
    fn describe(m: &mut Manifest<Self>) {
        m.name("forgetful", "A register in memory.").role("server", server).client_role("client");
        m.ops::<Op>().workload("mixed", client).check::<Linearizable<Register>>();
    }
    fn build(&self, params: &Params, cluster: &mut Cluster) {
        cluster.nodes("server", 1).nodes("client", params.clients);
    }
}

async fn server(_: Rc<Params>) {
    let mut calls = rpc::Server::<Forgetful>::bind(1).unwrap();
    let register = Cell::new(None);
    loop {
        let call = calls.recv().await;
        call.responder.send(&match call.request {
            Op::Write { value } => (register.set(Some(value)), Ret::Done).1,
            _ => Ret::Value(register.get()),
        });
    }
}

async fn client(cx: Client<Params>, _: toml::Table) {
    let server = node::lookup("server-0").unwrap().port(1);
    while cx.running() {
        let op = if rand::chance(0.5) { Op::Read } else { Op::Write { value: rand::below(100) as i64 } };
        let call = cx.invoke(op.clone());
        match rpc::call::<Forgetful>(server, &op, Duration::from_millis(20)).await {
            Ok(ret) => call.ok(ret),
            Err(_) => call.unknown(),
        }
        time::sleep(Duration::from_millis(50)).await;
    }
}

fn main() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/register.toml");
    let scenario = Scenario::load(path.as_ref()).unwrap();
    let report = sim::run(&Forgetful, &scenario, 42, RunOptions::default()).unwrap();
    assert_eq!(report.failure.unwrap().signature, "linearizable");
}
