//! Edges of the kernel's contracts that a hostile program can reach.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use sim::fault::Fault;
use sim::net::UdpSocket;
use sim::{rpc, simulate, task, time};

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

struct OnDrop<F: FnMut()>(F);
impl<F: FnMut()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

#[test]
fn what_a_task_gave_up_just_before_its_node_died_is_dropped_as_the_deads() {
    let run = simulate(1, |sim| {
        let born = Rc::new(Cell::new(false));
        let seen = born.clone();
        let victim = sim.node("victim", move || {
            let seen = seen.clone();
            async move {
                let handle = task::spawn(async move {
                    let _guard = OnDrop(move || {
                        let seen = seen.clone();
                        task::spawn(async move { seen.set(true) });
                    });
                    std::future::pending::<()>().await;
                });
                time::sleep(ms(1)).await;
                handle.abort();
                // The rest of this poll never returns to the kernel before the crash: a panic kills the node.
                panic!("dies with an aborted task in the grave");
            }
        });
        sim.run_for(ms(50));
        assert!(!sim.is_up(victim));
        sim.boot(victim);
        sim.run_for(Duration::from_micros(900));
        born.get()
    });
    assert!(!run.unwrap().value, "a task of the dead incarnation ran");
}

#[test]
fn an_aborted_task_does_not_use_up_the_turn_of_the_next() {
    for seed in 0..300 {
        let ran = simulate(seed, |sim| {
            let ran = Rc::new(Cell::new(0));
            let count = ran.clone();
            sim.node("a", move || {
                let count = count.clone();
                async move {
                    let until = time::now() + ms(1);
                    let victim = Rc::new(task::spawn(async move { time::sleep_until(until).await }));
                    for i in 0..4 {
                        let (count, victim) = (count.clone(), victim.clone());
                        task::spawn(async move {
                            time::sleep_until(until).await;
                            if i == 0 {
                                victim.abort();
                            }
                            count.set(count.get() + 1);
                        });
                    }
                    std::future::pending::<()>().await;
                }
            });
            sim.run_for(Duration::from_secs(5));
            ran.get()
        });
        assert_eq!(ran.unwrap().value, 4, "seed {seed}");
    }
}

#[test]
fn a_panic_of_the_program_leaves_no_world_behind_and_says_where() {
    let error = simulate(1, |sim| {
        sim.node("a", || async {
            let _guard = OnDrop(|| {
                let _ = time::now();
            });
            std::future::pending::<()>().await;
        });
        sim.run_for(ms(1));
        panic!("the program's own mistake");
    })
    .map(|run: sim::Simulated<()>| run.value)
    .unwrap_err()
    .to_string();
    assert!(error.contains("the program's own mistake") && error.contains("edges.rs:"), "{error}");
}

#[test]
fn a_timer_at_the_end_of_time_never_fires_and_never_moves_time() {
    let now = simulate(1, |sim| {
        sim.node("a", || async {
            for _ in 0..20 {
                task::spawn(time::sleep(Duration::MAX));
            }
            let _ = time::timeout(ms(1), time::sleep(Duration::MAX)).await;
        });
        sim.run_until_idle();
        sim.now_ns()
    });
    assert!((1_000_000..2_000_000).contains(&now.unwrap().value));
}

#[test]
fn a_mostly_idle_node_is_no_livelock() {
    for policy in [sim::Policy::Fifo, sim::Policy::Random] {
        let run = simulate(1, |sim| {
            sim.schedule(policy, sim::CpuModel::default());
            sim.livelock_after(20_000);
            sim.node("a", || async {
                for _ in 0..4 {
                    task::spawn(async {
                        loop {
                            time::sleep(Duration::from_micros(10)).await;
                        }
                    });
                }
            });
            sim.run_for(Duration::from_secs(1));
        });
        assert_eq!(run.unwrap().failures, []);
    }
}

#[test]
fn always_is_heard_from_the_program_too() {
    let run = simulate(1, |_| sim::always!(1 + 1 == 3, "arithmetic"));
    assert_eq!(run.unwrap().failures[0].signature, "always:arithmetic");
}

#[test]
fn at_most_once_holds_when_the_server_binds_anew_in_the_same_life() {
    struct Count;
    impl rpc::Service for Count {
        type Request = ();
        type Reply = u32;
    }
    let run = simulate(1, |sim| {
        let executed = Rc::new(Cell::new(0));
        let count = executed.clone();
        let server = sim.node("server", move || {
            let count = count.clone();
            async move {
                loop {
                    // A service loop that starts over after each request, and never answers the first.
                    let mut server = rpc::Server::<Count>::bind(1).unwrap();
                    let call = server.recv().await;
                    count.set(count.get() + 1);
                    if count.get() > 1 {
                        call.responder.send(&count.get());
                    }
                }
            }
        });
        sim.node("client", move || async move {
            let options = rpc::CallOptions::timeout(ms(500)).retry(ms(20)).at_most_once();
            assert_eq!(rpc::call::<Count>(server.port(1), &(), options).await, Err(rpc::RpcError::Timeout));
        });
        sim.run_for(Duration::from_secs(1));
        executed.get()
    })
    .unwrap();
    assert_eq!((run.value, run.failures), (1, vec![]));
}

sim::event! {
    /// An event whose text asks the simulator for a name.
    "test.named" => struct Named { who: Who }
}

#[derive(Clone, PartialEq, Eq, Hash, serde::Serialize)]
struct Who(sim::NodeId);

impl std::fmt::Debug for Who {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0.name())
    }
}

#[test]
fn an_events_debug_may_call_the_simulator() {
    let run = |record: bool| {
        simulate(1, move |sim| {
            if record {
                sim.record(sim::trace::record::Recorder::new(Box::new(|_| {})));
            }
            sim.node("a", || async { sim::observe!(Named { who: Who(sim::node::this()) }) });
            sim.run_for(ms(1));
        })
        .unwrap()
    };
    assert_eq!(run(true).failures, []);
    assert_eq!(run(true).digest, run(false).digest);
}

#[test]
fn a_pause_is_harmless_to_a_node_that_crashes_in_it() {
    let notes = simulate(1, |sim| {
        let notes = Rc::new(RefCell::new(Vec::new()));
        let log = notes.clone();
        let node = sim.node("a", move || {
            let log = log.clone();
            async move {
                let _socket = UdpSocket::bind(1).unwrap();
                time::sleep(ms(10)).await;
                log.borrow_mut().push(sim::node::incarnation());
                std::future::pending::<()>().await;
            }
        });
        let pause = sim.inject(Fault::Pause(vec![node]));
        sim.run_for(ms(20));
        sim.crash(node);
        sim.boot(node);
        sim.run_for(ms(20));
        drop(pause);
        sim.run_for(ms(20));
        notes.take()
    });
    assert_eq!(notes.unwrap().value, [2]);
}
