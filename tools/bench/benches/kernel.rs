//! The same work on our kernel and on plain madsim, in one run, so that the ratios hold whatever the machine.
//!
//! Everything is on in ours: default CPU model, wake jitter, digest, checksums, real bytes. Each iteration is a whole run:
//! thread, world, work, teardown. `cargo bench -p bench --bench kernel`.

use std::hint::black_box;
use std::net::SocketAddr;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use serde::{Deserialize, Serialize};

const NODES: u16 = 5;
const HEARTBEAT: Duration = Duration::from_millis(10);
const LENGTH: Duration = Duration::from_secs(10);

#[derive(Serialize, Deserialize)]
struct Ping(u64);

mod ours {
    use super::{Duration, HEARTBEAT, LENGTH, NODES, Ping};
    use sim::net::UdpSocket;
    use sim::{NodeId, rpc, simulate, task, time};

    struct Echo;
    impl rpc::Service for Echo {
        type Request = Ping;
        type Reply = Ping;
    }

    pub fn heartbeats() -> u64 {
        let run = simulate(1, |sim| {
            let nodes: Vec<NodeId> = (0..NODES)
                .map(|me| {
                    sim.node(&format!("node-{me}"), move || async move {
                        let socket = std::rc::Rc::new(UdpSocket::bind(1).unwrap());
                        let sender = socket.clone();
                        task::spawn(async move {
                            let mut tick = time::interval(HEARTBEAT);
                            loop {
                                tick.tick().await;
                                for peer in (0..NODES).filter(|&peer| peer != me) {
                                    sender.send_to([7u8; 64], NodeId::new(peer).port(1));
                                }
                            }
                        });
                        loop {
                            std::hint::black_box(socket.recv_from().await);
                        }
                    })
                })
                .collect();
            sim.run_for(LENGTH);
            nodes.into_iter().map(|node| sim.received(node)).sum()
        });
        run.unwrap().value
    }

    pub fn ping_pong(calls: u64) -> u64 {
        let run = simulate(1, |sim| {
            let server = sim.node("server", || async {
                let mut server = rpc::Server::<Echo>::bind(1).unwrap();
                loop {
                    let call = server.recv().await;
                    call.responder.send(&call.request);
                }
            });
            sim.node("client", move || async move {
                for i in 0..calls {
                    rpc::call::<Echo>(server.port(1), &Ping(i), Duration::from_secs(1)).await.unwrap();
                }
            });
            sim.run_until_idle();
            sim.received(server)
        });
        run.unwrap().value
    }

    pub fn sleepers() -> u64 {
        let run = simulate(1, |sim| {
            sim.node("node", || async {
                for i in 0..100u64 {
                    task::spawn(async move {
                        loop {
                            time::sleep(Duration::from_micros(1_000 + i)).await;
                        }
                    });
                }
            });
            sim.run_for(LENGTH);
            sim.polls()
        });
        run.unwrap().value
    }

    pub fn kill_restart() -> u64 {
        let run = simulate(1, |sim| {
            let node = sim.node("node", || async {
                for i in 0..20u64 {
                    task::spawn(async move {
                        loop {
                            time::sleep(Duration::from_millis(10 + i)).await;
                        }
                    });
                }
                std::future::pending::<()>().await;
            });
            for _ in 0..100 {
                sim.run_for(Duration::from_secs(1));
                sim.crash(node);
                sim.boot(node);
            }
            sim.polls()
        });
        run.unwrap().value
    }

    pub fn create_run_drop() {
        let run = simulate(1, |sim| {
            for me in 0..NODES {
                sim.node(&format!("node-{me}"), || async { time::sleep(Duration::from_secs(1)).await });
            }
            sim.run_until_idle();
        });
        run.unwrap();
    }
}

mod theirs {
    use super::{Duration, HEARTBEAT, LENGTH, NODES, Ping, SocketAddr};
    use madsim::net::{Endpoint, UdpSocket, rpc};
    use madsim::runtime::{Handle, Runtime};
    use madsim::time;

    impl rpc::Request for Ping {
        type Response = Ping;
        const ID: u64 = 1;
    }

    fn address(node: u16) -> SocketAddr {
        format!("10.0.1.{}:1", node + 1).parse().unwrap()
    }

    fn on_a_thread<R: Send>(seed: u64, work: impl FnOnce(Runtime) -> R + Send) -> R {
        std::thread::scope(|scope| {
            scope.spawn(|| work(Runtime::with_seed_and_config(seed, madsim::Config::default()))).join().unwrap()
        })
    }

    pub fn heartbeats() -> u64 {
        on_a_thread(1, |runtime| {
            let received = std::sync::Arc::new(std::sync::atomic::AtomicU64::new(0));
            for me in 0..NODES {
                let node = runtime.create_node().ip(address(me).ip()).build();
                let received = received.clone();
                node.spawn(async move {
                    let socket = std::sync::Arc::new(UdpSocket::bind(address(me)).await.unwrap());
                    let sender = socket.clone();
                    madsim::task::spawn(async move {
                        let mut tick = time::interval(HEARTBEAT);
                        loop {
                            tick.tick().await;
                            for peer in (0..NODES).filter(|&peer| peer != me) {
                                sender.send_to(address(peer), &[7; 64]).await.unwrap();
                            }
                        }
                    });
                    let mut buffer = [0; 64];
                    loop {
                        socket.recv_from(&mut buffer).await.unwrap();
                        received.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                    }
                });
            }
            runtime.block_on(async { time::sleep(LENGTH).await });
            received.load(std::sync::atomic::Ordering::Relaxed)
        })
    }

    pub fn ping_pong(calls: u64) -> u64 {
        on_a_thread(1, |runtime| {
            let server = runtime.create_node().ip(address(0).ip()).build();
            let client = runtime.create_node().ip(address(1).ip()).build();
            server.spawn(async move {
                let endpoint = std::sync::Arc::new(Endpoint::bind(address(0)).await.unwrap());
                endpoint.add_rpc_handler(|ping: Ping| async move { ping });
                std::future::pending::<()>().await;
            });
            let done = client.spawn(async move {
                let endpoint = Endpoint::bind(address(1)).await.unwrap();
                time::sleep(Duration::from_millis(1)).await;
                for i in 0..calls {
                    endpoint.call_timeout(address(0), Ping(i), Duration::from_secs(1)).await.unwrap();
                }
                calls
            });
            runtime.block_on(done).unwrap()
        })
    }

    pub fn sleepers() {
        on_a_thread(1, |runtime| {
            let node = runtime.create_node().build();
            for i in 0..100 {
                node.spawn(async move {
                    loop {
                        time::sleep(Duration::from_micros(1_000 + i)).await;
                    }
                });
            }
            runtime.block_on(async { time::sleep(LENGTH).await });
        });
    }

    pub fn kill_restart() {
        on_a_thread(1, |runtime| {
            let node = runtime
                .create_node()
                .init(|| async {
                    for i in 0..20 {
                        madsim::task::spawn(async move {
                            loop {
                                time::sleep(Duration::from_millis(10 + i)).await;
                            }
                        });
                    }
                    std::future::pending::<()>().await;
                })
                .build();
            runtime.block_on(async move {
                for _ in 0..100 {
                    time::sleep(Duration::from_secs(1)).await;
                    Handle::current().kill(node.id());
                    Handle::current().restart(node.id());
                }
            });
        });
    }

    pub fn create_run_drop() {
        on_a_thread(1, |runtime| {
            for _ in 0..NODES {
                runtime.create_node().build().spawn(async { time::sleep(Duration::from_secs(1)).await });
            }
            runtime.block_on(async { time::sleep(Duration::from_secs(2)).await });
        });
    }
}

fn kernel(c: &mut Criterion) {
    const CALLS: u64 = 20_000;

    let mut group = c.benchmark_group("heartbeats");
    group.throughput(Throughput::Elements(ours::heartbeats()));
    group.bench_function("sim", |b| b.iter(|| black_box(ours::heartbeats())));
    group.throughput(Throughput::Elements(theirs::heartbeats()));
    group.bench_function("madsim", |b| b.iter(|| black_box(theirs::heartbeats())));
    group.finish();

    let mut group = c.benchmark_group("rpc");
    group.throughput(Throughput::Elements(CALLS));
    group.bench_function("sim", |b| b.iter(|| black_box(ours::ping_pong(CALLS))));
    group.bench_function("madsim", |b| b.iter(|| black_box(theirs::ping_pong(CALLS))));
    group.finish();

    let mut group = c.benchmark_group("sleepers");
    group.bench_function("sim", |b| b.iter(|| black_box(ours::sleepers())));
    group.bench_function("madsim", |b| b.iter(theirs::sleepers));
    group.finish();

    let mut group = c.benchmark_group("kill_restart");
    group.bench_function("sim", |b| b.iter(|| black_box(ours::kill_restart())));
    group.bench_function("madsim", |b| b.iter(theirs::kill_restart));
    group.finish();

    let mut group = c.benchmark_group("create_run_drop");
    group.bench_function("sim", |b| b.iter(ours::create_run_drop));
    group.bench_function("madsim", |b| b.iter(theirs::create_run_drop));
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(10).measurement_time(Duration::from_secs(5));
    targets = kernel
}
criterion_main!(benches);
