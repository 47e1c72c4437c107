//! A service that counts what it executes, and a client to call it. For the tests of calls.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use sim::net::LinkConfig;
use sim::rpc::{Server, Service};
use sim::{Latency, NodeId, Sim, Time, simulate, task, time};

pub fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// A service that counts how often each request is executed, and answers with the request.
pub struct Count;

impl Service for Count {
    type Request = Request;
    type Reply = u64;
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Request {
    Plain(u64),
    /// The answer comes this many milliseconds later.
    Slow(u64, u64),
}

/// How often each number was executed, over all lives of the server: test scaffolding, outside of the world.
pub type Executed = Rc<RefCell<BTreeMap<u64, u32>>>;

pub fn server(sim: &Sim, executed: &Executed) -> NodeId {
    let executed = executed.clone();
    sim.node("server", move || {
        let executed = executed.clone();
        async move {
            let mut server = Server::<Count>::bind(1).unwrap();
            loop {
                let call = server.recv().await;
                let (number, wait) = match call.request {
                    Request::Plain(number) => (number, 0),
                    Request::Slow(number, wait) => (number, wait),
                };
                *executed.borrow_mut().entry(number).or_default() += 1;
                if wait == 0 {
                    call.responder.send(&number);
                } else {
                    task::spawn(async move {
                        time::sleep(ms(wait)).await;
                        call.responder.send(&number);
                    });
                }
            }
        }
    })
}

/// A server and a client that runs `program`; the client's result.
pub fn with_client<R, F>(
    seed: u64,
    network: LinkConfig,
    program: impl Fn(NodeId) -> F + Send + 'static,
    host: impl FnOnce(&Sim, NodeId) + Send,
) -> (R, BTreeMap<u64, u32>)
where
    R: Send + 'static,
    F: Future<Output = R> + 'static,
{
    let run = simulate(seed, move |sim| {
        sim.network(network);
        let executed = Executed::default();
        let server = server(sim, &executed);
        let result: Rc<Cell<Option<R>>> = Rc::default();
        let (program, out) = (Rc::new(program), result.clone());
        sim.node("client", move || {
            let (program, out) = (program.clone(), out.clone());
            async move {
                time::sleep(ms(1)).await;
                out.set(Some(program(server).await));
            }
        });
        host(sim, server);
        sim.run_for(Duration::from_secs(600));
        (result.take().expect("the client finishes"), executed.take())
    })
    .unwrap();
    assert_eq!(run.failures, []);
    run.value
}

pub fn lan() -> LinkConfig {
    LinkConfig::default()
}

/// Loses 10 % and duplicates, reorders and delays much: the classic lab's unreliable network, and worse.
pub fn unreliable() -> LinkConfig {
    LinkConfig {
        latency: Latency::Uniform(Time::new(ms(0)), Time::new(ms(26))),
        loss: 0.1,
        duplicate: 0.3,
        reorder: 0.3,
        reorder_by: Time::new(ms(200)),
        ..LinkConfig::default()
    }
}
