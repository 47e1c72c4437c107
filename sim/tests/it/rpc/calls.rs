//! Calls: what a caller may conclude from an answer and from the lack of one.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use super::counting::{Count, Executed, Request, lan, ms, server, unreliable, with_client};
use sim::fault::{Fault, InFlight};
use sim::net::{LinkConfig, UdpSocket};
use sim::rpc::{self, CallOptions, RpcError, Service};
use sim::{Latency, NodeId, Time, node, simulate, task, time};

#[test]
fn a_plain_call_is_executed_once_and_gets_its_answer() {
    let (answer, executed) = with_client(
        1,
        lan(),
        |server| async move { rpc::call::<Count>(server.port(1), &Request::Plain(7), ms(10)).await },
        |_, _| {},
    );
    assert_eq!((answer, executed), (Ok(7), BTreeMap::from([(7, 1)])));
}

#[test]
fn a_one_way_request_is_executed_and_nobody_is_answered() {
    let (received, executed) = with_client(
        1,
        lan(),
        |server| async move {
            rpc::send::<Count>(server.port(1), &Request::Plain(7)).unwrap();
            time::sleep(ms(100)).await;
        },
        |sim, server| {
            sim.run_for(ms(500));
            assert_eq!((sim.received(server), sim.received(NodeId::new(1))), (1, 0));
        },
    );
    assert_eq!((received, executed), ((), BTreeMap::from([(7, 1)])));
}

#[test]
fn after_a_timeout_the_request_may_have_been_executed_or_not() {
    for (requests_pass, expected) in [(true, BTreeMap::from([(7, 1)])), (false, BTreeMap::new())] {
        let (answer, executed) = with_client(
            1,
            lan(),
            |server| async move { rpc::call::<Count>(server.port(1), &Request::Plain(7), ms(50)).await },
            |sim, server| {
                let client = vec![NodeId::new(1)];
                let (from, to) = if requests_pass { (vec![server], client) } else { (client, vec![server]) };
                let cut = sim.inject(Fault::OneWay { from, to, in_flight: InFlight::Drop });
                sim.run_for(ms(100));
                drop(cut);
            },
        );
        assert_eq!((answer, executed), (Err(RpcError::Timeout), expected));
    }
}

#[test]
fn ten_thousand_lost_calls_leave_nothing_behind() {
    // How long a hundred calls take and how many polls they cost, after `lost` calls that timed out.
    let after = |lost: u64| {
        simulate(1, move |sim| {
            sim.schedule(sim::Policy::Fifo, sim::CpuModel::default());
            sim.network(LinkConfig { latency: Latency::Constant(Time::new(ms(1))), ..LinkConfig::default() });
            let executed = Executed::default();
            let server = server(sim, &executed);
            let nobody = sim.node("nobody", || async {});
            let (go, done): (Rc<Cell<bool>>, Rc<Cell<u64>>) = Default::default();
            let (start, count) = (go.clone(), done.clone());
            sim.node("client", move || {
                let (start, count) = (start.clone(), count.clone());
                async move {
                    for number in 0..lost {
                        let answer = rpc::call::<Count>(nobody.port(1), &Request::Plain(number), ms(5)).await;
                        assert_eq!(answer, Err(RpcError::Timeout));
                    }
                    time::sleep_until(time::now() + Duration::from_secs(100)).await;
                    start.set(true);
                    for number in 0..100 {
                        let answer = rpc::call::<Count>(server.port(1), &Request::Plain(number), ms(5)).await;
                        assert_eq!(answer, Ok(number));
                    }
                    count.set(time::now().as_nanos());
                }
            });
            while !go.get() {
                sim.run_for(ms(1));
            }
            let (polls, tasks, from) = (sim.polls(), sim.live_tasks(), sim.now_ns());
            sim.run_for(Duration::from_secs(10));
            assert!(done.get() > 0);
            (sim.polls() - polls, tasks, (done.get() - from).div_ceil(1_000_000))
        })
        .unwrap()
    };
    let (few, many) = (after(1), after(10_000));
    assert_eq!((few.failures, many.failures), (vec![], vec![]));
    assert_eq!(few.value, many.value);
}

#[test]
fn at_least_once_executes_again_when_replies_are_lost() {
    let lossy = LinkConfig { loss: 0.4, ..lan() };
    let calls = |server: NodeId| async move {
        let options = CallOptions::timeout(Duration::from_secs(5)).retry(ms(10));
        for number in 0..50 {
            assert_eq!(rpc::call::<Count>(server.port(1), &Request::Plain(number), options).await, Ok(number));
        }
    };
    let ((), executed) = with_client(1, lossy, calls, |_, _| {});
    assert_eq!(executed.len(), 50);
    assert!(executed.values().filter(|&&times| times > 1).count() > 10, "{executed:?}");
    // Without loss: once each.
    let ((), executed) = with_client(1, lan(), calls, |_, _| {});
    assert_eq!(executed, (0..50).map(|number| (number, 1)).collect());
}

#[test]
fn a_reply_to_an_earlier_life_of_the_caller_reaches_nobody() {
    let run = simulate(1, |sim| {
        let executed = Executed::default();
        let server = server(sim, &executed);
        let answers: Rc<RefCell<Vec<Result<u64, RpcError>>>> = Rc::default();
        let log = answers.clone();
        let client = sim.node("client", move || {
            let log = log.clone();
            async move {
                time::sleep(ms(1)).await;
                // The slot and its generation are the same in each life.
                let number = u64::from(node::incarnation());
                let request = Request::Slow(number, if number == 1 { 50 } else { 90 });
                let answer = rpc::call::<Count>(server.port(1), &request, ms(200)).await;
                log.borrow_mut().push(answer);
            }
        });
        sim.run_for(ms(20));
        sim.crash(client);
        sim.boot(client);
        let before = sim.received(client);
        sim.run_for(ms(60));
        assert_eq!(sim.received(client), before + 1, "the reply to the first life arrives");
        assert!(answers.borrow().is_empty());
        sim.run_for(ms(500));
        answers.take()
    })
    .unwrap();
    assert_eq!(run.value, [Ok(2)]);
}

#[test]
fn a_request_that_the_server_cannot_decode_is_malformed_and_not_executed() {
    struct Other;
    impl Service for Other {
        type Request = (u8, String);
        type Reply = u64;
    }
    for network in [lan(), LinkConfig { loss: 0.5, ..lan() }] {
        for once in [false, true] {
            let (answers, executed) = with_client(
                1,
                network,
                move |server| async move {
                    let plain = CallOptions::timeout(Duration::from_secs(5)).retry(ms(10));
                    let options = if once { plain.at_most_once() } else { plain };
                    let request = (9, "of another type".to_owned());
                    let mut answers = Vec::new();
                    for _ in 0..10 {
                        answers.push(rpc::call::<Other>(server.port(1), &request, options).await);
                    }
                    // The server goes on.
                    answers.push(rpc::call::<Count>(server.port(1), &Request::Plain(1), options).await);
                    answers
                },
                |_, _| {},
            );
            assert_eq!(answers[..10], vec![Err(RpcError::Malformed); 10], "{once}");
            assert_eq!(answers[10], Ok(1));
            assert_eq!(executed.keys().collect::<Vec<_>>(), [&1]);
        }
    }
}

#[test]
fn a_datagram_that_is_no_request_is_ignored() {
    let (answer, executed) = with_client(
        1,
        lan(),
        |server| async move {
            let socket = UdpSocket::bind(9).unwrap();
            for garbage in [vec![], vec![1, 2, 3], vec![99; 40], vec![0; 4], vec![2; 44]] {
                socket.send_to(garbage, server.port(1));
            }
            rpc::call::<Count>(server.port(1), &Request::Plain(1), ms(100)).await
        },
        |_, _| {},
    );
    assert_eq!((answer, executed), (Ok(1), BTreeMap::from([(1, 1)])));
}

#[test]
fn fifty_concurrent_calls_get_their_own_answers() {
    let network = LinkConfig { loss: 0.0, duplicate: 0.3, ..unreliable() };
    let (in_order, _) = with_client(
        1,
        network,
        |server| async move {
            let order: Rc<RefCell<Vec<u64>>> = Rc::default();
            let calls: Vec<_> = (0..50)
                .map(|number| {
                    let order = order.clone();
                    task::spawn(async move {
                        let answer = rpc::call::<Count>(server.port(1), &Request::Plain(number), ms(500)).await;
                        assert_eq!(answer, Ok(number));
                        order.borrow_mut().push(number);
                    })
                })
                .collect();
            for call in calls {
                call.await.unwrap();
            }
            order.take().is_sorted()
        },
        |_, _| {},
    );
    assert!(!in_order, "the network reorders");
}
