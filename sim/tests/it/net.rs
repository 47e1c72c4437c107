//! Datagrams: what arrives, when, and what never does.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use sim::fault::{Fault, InFlight};
use sim::net::{BindError, LinkConfig, LinkPatch, UdpSocket};
use sim::time::Instant;
use sim::{CpuModel, Latency, NodeId, Policy, Sim, Time, codec, simulate, time};

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

fn of_ms(n: u64) -> Time {
    Time::new(ms(n))
}

/// Runs `program` on a node of its own and expects no failure.
fn on_a_node<F: Future<Output = ()> + 'static>(program: impl Fn() -> F + Send + 'static) {
    let run = simulate(1, |sim| {
        sim.node("a", program);
        sim.run_for(Duration::from_secs(10));
    });
    assert_eq!(run.unwrap().failures, []);
}

/// A datagram as it was received: number and latency in nanoseconds, in order of arrival.
type Arrivals = Vec<(u64, u64)>;

/// Sends `count` numbered datagrams from each of three nodes to each other, a millisecond apart, and returns what
/// arrived on each link. With each number the first node sends `chatter` more to a port of the second that is not bound.
/// `strike` acts on the network before.
fn traffic(
    network: LinkConfig,
    count: u64,
    chatter: u64,
    strike: impl FnOnce(&Sim) + Send,
) -> BTreeMap<(u16, u16), Arrivals> {
    let run = simulate(7, |sim| {
        sim.schedule(Policy::Fifo, CpuModel::default());
        sim.network(network);
        let seen: Rc<RefCell<BTreeMap<(u16, u16), Arrivals>>> = Rc::default();
        for me in 0..3u16 {
            let seen = seen.clone();
            sim.node(&format!("n{me}"), move || {
                let seen = seen.clone();
                async move {
                    let socket = Rc::new(UdpSocket::bind(1).unwrap());
                    let ear = socket.clone();
                    sim::task::spawn(async move {
                        loop {
                            let got = ear.recv_from().await;
                            let (number, sent, padding) =
                                codec::decode::<(u64, Instant, Vec<u8>)>(&got.payload).unwrap();
                            assert_eq!(padding, vec![number as u8; 50], "altered");
                            let latency = sent.elapsed().as_nanos() as u64;
                            let link = (got.from.node.index() as u16, me);
                            seen.borrow_mut().entry(link).or_default().push((number, latency));
                        }
                    });
                    time::sleep(ms(1)).await;
                    for number in 0..count {
                        for peer in (0..3).filter(|&peer| peer != me) {
                            let payload = (number, time::now(), vec![number as u8; 50]);
                            socket.send_to(codec::encode(&payload).unwrap(), NodeId::new(peer).port(1));
                        }
                        for _ in 0..if me == 0 { chatter } else { 0 } {
                            socket.send_to(vec![1], NodeId::new(1).port(9));
                        }
                        time::sleep(ms(1)).await;
                    }
                }
            });
        }
        strike(sim);
        sim.run_for(ms(count + 5_000));
        for (effect, expected) in [("net.lost", network.loss), ("net.corrupted", network.corrupt)] {
            let share = sim.effect(effect) as f64 / (6 * count) as f64;
            // A fault on one link of six may add a little.
            assert!((share - expected).abs() < 0.05, "{effect}: {share} instead of {expected}");
        }
        seen.take()
    })
    .unwrap();
    assert_eq!(run.failures, []);
    run.value
}

fn latencies(network: LinkConfig) -> Vec<u64> {
    let mut all: Vec<u64> =
        traffic(network, 1_000, 0, |_| {}).into_values().flatten().map(|(_, latency)| latency).collect();
    all.sort_unstable();
    all
}

#[test]
fn datagrams_carry_their_bytes_and_their_sender() {
    let run = simulate(1, |sim| {
        let server = sim.node("server", || async {
            let socket = UdpSocket::bind(80).unwrap();
            assert_eq!(socket.local_addr(), sim::node::this().port(80));
            loop {
                let mut got = socket.recv_from().await;
                got.payload.reverse();
                socket.send_to(got.payload, got.from);
            }
        });
        let done = Rc::new(Cell::new(0));
        let count = done.clone();
        sim.node("client", move || {
            let count = count.clone();
            async move {
                time::sleep(ms(1)).await;
                let socket = UdpSocket::bind(9).unwrap();
                for size in [0usize, 1, 2, 255, 256, 70_000] {
                    let sent: Vec<u8> = (0..size).map(|i| (i * 7) as u8).collect();
                    socket.send_to(sent.as_slice(), server.port(80));
                    let got = socket.recv_from().await;
                    assert_eq!(got.from, server.port(80));
                    assert!(got.payload.iter().rev().eq(&sent));
                    count.set(count.get() + 1);
                }
            }
        });
        sim.run_for(ms(100));
        done.get()
    })
    .unwrap();
    assert_eq!((run.value, run.failures), (6, vec![]));
}

#[test]
fn the_latency_on_the_wire_has_the_distribution_that_was_asked_for() {
    let with = |latency| latencies(LinkConfig { latency, ..LinkConfig::default() });
    let constant = with(Latency::Constant(of_ms(3)));
    assert!(constant.len() == 6_000 && constant.iter().all(|&ns| ns == 3_000_000));
    let uniform = with(Latency::Uniform(of_ms(1), of_ms(3)));
    assert!(uniform[0] >= 1_000_000 && uniform[5_999] <= 3_000_000);
    assert!((1_940_000..2_060_000).contains(&uniform[3_000]), "{}", uniform[3_000]);
    let log_normal = with(Latency::LogNormal { median: of_ms(1), p99: of_ms(10) });
    assert!((940_000..1_060_000).contains(&log_normal[3_000]), "{}", log_normal[3_000]);
    assert!((8_000_000..12_500_000).contains(&log_normal[5_940]), "{}", log_normal[5_940]);
}

#[test]
fn loss_duplication_reordering_and_corruption_happen_as_often_as_asked_and_not_otherwise() {
    let base = LinkConfig { latency: Latency::Constant(of_ms(1)), ..LinkConfig::default() };
    let look = |network| {
        let links = traffic(network, 1_000, 0, |_| {});
        let share = |of: &dyn Fn(&Arrivals) -> usize| links.values().map(of).sum::<usize>() as f64 / 6_000.0;
        let arrived = share(&|got| (0..1_000).filter(|number| got.iter().any(|(found, _)| found == number)).count());
        let copies = share(&|got| got.len()) - arrived;
        let overtaken = share(&|got| got.windows(2).filter(|pair| pair[1].0 < pair[0].0).count());
        (arrived, copies, overtaken)
    };
    let close = |(a, b, c): (f64, f64, f64), (x, y, z): (f64, f64, f64)| {
        [a - x, b - y, c - z].iter().all(|difference| difference.abs() < 0.03)
    };
    assert_eq!(look(base), (1.0, 0.0, 0.0));
    let loss = look(LinkConfig { loss: 0.2, ..base });
    assert!(close(loss, (0.8, 0.0, 0.0)), "{loss:?}");
    let corrupt = look(LinkConfig { corrupt: 0.3, ..base });
    assert!(close(corrupt, (0.7, 0.0, 0.0)), "{corrupt:?}");
    let duplicate = look(LinkConfig { duplicate: 0.4, ..base });
    assert!(close(duplicate, (1.0, 0.4, 0.0)), "{duplicate:?}");
    let (arrived, copies, overtaken) = look(LinkConfig { reorder: 0.2, ..base });
    assert!((arrived, copies) == (1.0, 0.0) && overtaken > 0.1, "{overtaken}");
}

#[test]
fn what_happens_on_one_link_leaves_the_latencies_of_the_others_as_they_were() {
    let network = LinkConfig { duplicate: 0.1, reorder: 0.1, ..LinkConfig::default() };
    let plain = traffic(network, 300, 0, |_| {});
    let others = [(0, 2), (1, 0), (1, 2), (2, 0), (2, 1)];
    let set = LinkPatch { loss: Some(0.5), latency: Some(Latency::Constant(of_ms(20))), ..LinkPatch::default() };
    let one = || vec![NodeId::new(0)];
    let two = || vec![NodeId::new(1)];
    let faults: [(&str, Fault<Vec<NodeId>>); 3] = [
        ("link", Fault::Link { from: one(), to: two(), set }),
        ("one_way", Fault::OneWay { from: one(), to: two(), in_flight: InFlight::Drop }),
        ("clog", Fault::Clog { from: one(), to: two() }),
    ];
    for (name, fault) in faults {
        let struck = traffic(network, 300, 0, |sim| {
            let injected = sim.inject(fault);
            sim.run_for(ms(100));
            drop(injected);
        });
        assert_ne!(plain.get(&(0, 1)), struck.get(&(0, 1)), "{name}");
        for link in others {
            assert_eq!(plain[&link], struck[&link], "{name} {link:?}");
        }
    }
    let busy = traffic(network, 300, 3, |_| {});
    assert_ne!(plain[&(0, 1)], busy[&(0, 1)]);
    for link in others {
        assert_eq!(plain[&link], busy[&link], "{link:?}");
    }
}

#[test]
fn a_port_is_bound_once_and_free_again_when_the_socket_is_dropped() {
    on_a_node(|| async {
        assert_eq!(UdpSocket::bind(0).unwrap_err(), BindError::Reserved);
        let first = UdpSocket::bind(7).unwrap();
        assert_eq!(UdpSocket::bind(7).unwrap_err(), BindError::InUse(7));
        assert!(UdpSocket::bind(8).is_ok(), "other ports are free");
        first.send_to(vec![1], first.local_addr());
        time::sleep(ms(1)).await;
        drop(first);
        let second = UdpSocket::bind(7).unwrap();
        assert_eq!(second.try_recv_from(), None, "the mailbox went with its socket");
        second.send_to(vec![2], second.local_addr());
        assert_eq!(second.recv_from().await.payload, [2]);
    });
}

#[test]
fn try_recv_takes_what_is_there_in_order_and_does_not_wait() {
    on_a_node(|| async {
        let socket = UdpSocket::bind(7).unwrap();
        assert_eq!(socket.try_recv_from(), None);
        for i in 0..3 {
            socket.send_to(vec![i], socket.local_addr());
        }
        assert_eq!(socket.try_recv_from(), None, "not before it has arrived");
        time::sleep(ms(1)).await;
        for i in 0..3 {
            assert_eq!(socket.try_recv_from().unwrap().payload, [i]);
        }
        assert_eq!(socket.try_recv_from(), None);
    });
}

#[test]
fn a_receive_that_is_given_up_loses_nothing() {
    on_a_node(|| async {
        let socket = UdpSocket::bind(7).unwrap();
        for i in 0..20u8 {
            socket.send_to(vec![i], socket.local_addr());
            // Loopback takes 10 µs: given up before, at and after the arrival.
            let patience = Duration::from_nanos(9_000 + u64::from(i) * 100);
            let got = match time::timeout(patience, socket.recv_from()).await {
                Ok(got) => got,
                Err(_) => socket.recv_from().await,
            };
            assert_eq!(got.payload, [i]);
        }
    });
}

/// In which life each number was received.
type Received = Rc<RefCell<Vec<(u32, u8)>>>;

/// A receiver that notes what it got in each life, and a sender that sends a number every millisecond.
fn stream(sim: &Sim) -> (NodeId, Received) {
    sim.network(LinkConfig { latency: Latency::Constant(of_ms(5)), ..LinkConfig::default() });
    let got = Received::default();
    let log = got.clone();
    let receiver = sim.node("receiver", move || {
        let log = log.clone();
        async move {
            let socket = UdpSocket::bind(1).unwrap();
            // Reads late, so that the mailbox fills.
            time::sleep(ms(20)).await;
            loop {
                let number = socket.recv_from().await.payload[0];
                log.borrow_mut().push((sim::node::incarnation(), number));
            }
        }
    });
    sim.node("sender", move || async move {
        let socket = UdpSocket::bind(1).unwrap();
        for number in 0..100 {
            socket.send_to(vec![number], receiver.port(1));
            time::sleep_until(Instant::now() + ms(1)).await;
        }
    });
    (receiver, got)
}

#[test]
fn a_crash_loses_the_mailbox_but_not_what_is_under_way() {
    let (got, down) = simulate(1, |sim| {
        let (receiver, got) = stream(sim);
        sim.run_for(ms(15));
        sim.crash(receiver);
        sim.boot(receiver);
        sim.run_for(ms(1_000));
        (got.take(), sim.effect("net.node_down"))
    })
    .unwrap()
    .value;
    assert!(got.iter().all(|(life, _)| *life == 2), "the first life read nothing");
    // What had arrived by 15 ms was sent in the first 10; what was sent after that arrives in the second life.
    let first = got[0].1;
    assert!((9..=11).contains(&first), "{first}");
    assert_eq!(got.iter().map(|(_, number)| *number).collect::<Vec<_>>(), (first..100).collect::<Vec<_>>());
    assert_eq!(down, 0);
}

#[test]
fn what_arrives_at_a_node_that_is_down_or_a_port_that_is_not_bound_is_dropped_and_counted() {
    simulate(1, |sim| {
        let (receiver, got) = stream(sim);
        sim.run_for(ms(40));
        let before = got.borrow().len();
        sim.crash(receiver);
        sim.run_for(ms(30));
        assert_eq!(got.borrow().len(), before);
        let down = sim.effect("net.node_down");
        assert!((29..=31).contains(&down), "{down}");
        sim.boot(receiver);
        sim.run_for(ms(1_000));
        assert_eq!(sim.effect("net.node_down"), down);
        assert_eq!(sim.effect("net.not_bound"), 0);
        assert_eq!(got.borrow().len() as u64, 100 - down);

        sim.node("stray", move || async move {
            UdpSocket::bind(9).unwrap().send_to(vec![1], receiver.port(77));
        });
        sim.run_for(ms(100));
        assert_eq!(sim.effect("net.not_bound"), 1);
    })
    .unwrap();
}

#[test]
fn no_fault_of_the_network_reaches_loopback() {
    let worst = LinkConfig { loss: 1.0, corrupt: 1.0, latency: Latency::Constant(of_ms(500)), ..LinkConfig::default() };
    let run = simulate(1, |sim| {
        sim.network(worst);
        let count = Rc::new(Cell::new(0u32));
        let received = count.clone();
        let node = sim.node("a", move || {
            let received = received.clone();
            async move {
                let socket = UdpSocket::bind(1).unwrap();
                loop {
                    socket.send_to(vec![1], socket.local_addr());
                    socket.recv_from().await;
                    received.set(received.get() + 1);
                    time::sleep(ms(1)).await;
                }
            }
        });
        sim.node("b", || async {});
        let all = || vec![node, NodeId::new(1)];
        let _faults = [
            sim.inject(Fault::Isolate(all())),
            sim.inject(Fault::Clog { from: all(), to: all() }),
            sim.inject(Fault::OneWay { from: all(), to: all(), in_flight: InFlight::Drop }),
        ];
        sim.run_for(ms(100));
        count.get()
    });
    assert!(run.unwrap().value > 90);
}

#[test]
fn a_socket_that_is_kept_over_a_crash_is_nobodys() {
    type Use = fn(&UdpSocket);
    let uses: [(&str, Use); 3] = [
        ("receive", |socket| drop(poll_once(socket.recv_from()))),
        ("try", |socket| drop(socket.try_recv_from())),
        ("send", |socket| socket.send_to(b"x".as_slice(), socket.local_addr())),
    ];
    for (name, uses) in uses {
        let run = simulate(1, |sim| {
            let kept: Rc<RefCell<Option<UdpSocket>>> = Rc::default();
            let node = sim.node("a", move || {
                let kept = kept.clone();
                async move {
                    // The new life has a port of the same number, and a datagram in it.
                    let own = UdpSocket::bind(5).unwrap();
                    own.send_to(b"mine".as_slice(), own.local_addr());
                    time::sleep(ms(100)).await;
                    if let Some(old) = &*kept.borrow() {
                        uses(old);
                    }
                    *kept.borrow_mut() = Some(own);
                    std::future::pending::<()>().await;
                }
            });
            sim.run_for(ms(500));
            sim.crash(node);
            sim.boot(node);
            sim.run_for(ms(500));
        });
        let failures = run.unwrap().failures;
        assert_eq!(failures.len(), 1, "{name}: {failures:?}");
        let text = &failures[0].explanation;
        assert!(text.contains("the socket of port 5 belongs to incarnation 1 of a"), "{name}: {text}");
    }
}

/// Polls a future once.
fn poll_once<F: Future>(future: F) -> std::task::Poll<F::Output> {
    let mut future = std::pin::pin!(future);
    future.as_mut().poll(&mut std::task::Context::from_waker(std::task::Waker::noop()))
}
