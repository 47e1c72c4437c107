//! What the labs of MIT's 6.5840 ask of their network (`labrpc/test_test.go`).

use std::time::Duration;

use super::counting::{Count, Request, lan, ms, unreliable, with_client};
use sim::fault::Fault;
use sim::net::LinkPatch;
use sim::rpc::{self, RpcError};
use sim::{NodeId, task, time};

#[test]
fn counts_seventeen_calls_are_seventeen_requests() {
    let (received, executed) = with_client(
        1,
        lan(),
        |server| async move {
            for number in 0..17 {
                assert_eq!(rpc::call::<Count>(server.port(1), &Request::Plain(number), ms(10)).await, Ok(number));
            }
        },
        |sim, server| {
            sim.run_for(Duration::from_secs(1));
            assert_eq!(sim.received(server), 17);
        },
    );
    assert_eq!((received, executed.len()), ((), 17));
}

#[test]
fn unreliable_some_of_three_hundred_calls_fail_and_some_do_not() {
    let (good, executed) = with_client(
        1,
        unreliable(),
        |server| async move {
            let calls: Vec<_> = (0..300)
                .map(|number| {
                    task::spawn(async move {
                        let request = Request::Plain(number);
                        rpc::call::<Count>(server.port(1), &request, ms(1_000)).await.is_ok()
                    })
                })
                .collect();
            let mut good = 0;
            for call in calls {
                good += u32::from(call.await.unwrap());
            }
            good
        },
        |_, _| {},
    );
    // 0.9 squared is 0.81, and duplicates help a little.
    assert!((220..290).contains(&good), "{good} of 300");
    assert!(executed.len() as u32 >= good);
}

#[test]
fn a_crashed_server_is_a_timeout_and_works_at_once_when_it_is_back_with_twenty_calls_stuck() {
    let (took, _) = with_client(
        1,
        lan(),
        |server| async move {
            for number in 0..20 {
                let request = Request::Plain(100 + number);
                task::spawn(
                    async move { rpc::call::<Count>(server.port(1), &request, Duration::from_secs(300)).await },
                );
            }
            let before = time::now();
            let answer = rpc::call::<Count>(server.port(1), &Request::Plain(1), ms(100)).await;
            assert_eq!((answer, before.elapsed() / 1_000_000), (Err(RpcError::Timeout), ms(100) / 1_000_000));
            time::sleep(Duration::from_secs(1)).await;
            let before = time::now();
            assert_eq!(rpc::call::<Count>(server.port(1), &Request::Plain(2), ms(100)).await, Ok(2));
            before.elapsed()
        },
        |sim, server| {
            sim.crash(server);
            sim.run_for(ms(500));
            sim.boot(server);
        },
    );
    assert!(took < ms(2), "{took:?}");
}

#[test]
fn a_call_through_a_cut_fails_and_through_the_healed_network_succeeds() {
    let (answers, _) = with_client(
        1,
        lan(),
        |server| async move {
            let cut = rpc::call::<Count>(server.port(1), &Request::Plain(1), ms(100)).await;
            time::sleep(Duration::from_secs(1)).await;
            (cut, rpc::call::<Count>(server.port(1), &Request::Plain(2), ms(100)).await)
        },
        |sim, server| {
            let set = LinkPatch { loss: Some(1.0), ..LinkPatch::default() };
            let client = vec![NodeId::new(1)];
            let deaf = sim.inject(Fault::Link { from: client, to: vec![server], set });
            sim.run_for(ms(500));
            drop(deaf);
        },
    );
    assert_eq!(answers, (Err(RpcError::Timeout), Ok(2)));
}
