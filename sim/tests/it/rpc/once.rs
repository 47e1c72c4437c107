//! At-most-once calls: never executed twice, whatever is lost, repeated or restarted.

use std::collections::BTreeMap;
use std::time::Duration;

use super::counting::{Count, Request, lan, ms, unreliable, with_client};
use sim::net::LinkConfig;
use sim::rpc::{self, CallOptions};
use sim::task;

#[test]
fn at_most_once_executes_exactly_once_whatever_the_network_does() {
    for seed in 0..60 {
        let ((), executed) = with_client(
            seed,
            unreliable(),
            |server| async move {
                let options = CallOptions::timeout(Duration::from_secs(30)).retry(ms(40)).at_most_once();
                let caller = |number: u64| async move {
                    for number in (0..10).map(|i| i * 5 + number) {
                        // Some take longer to execute than a retry period.
                        let request = Request::Slow(number, if number % 3 == 0 { 70 } else { 0 });
                        assert_eq!(rpc::call::<Count>(server.port(1), &request, options).await, Ok(number));
                    }
                };
                let callers: Vec<_> = (0..5).map(|number| task::spawn(caller(number))).collect();
                for caller in callers {
                    caller.await.unwrap();
                }
            },
            |_, _| {},
        );
        assert_eq!(executed, (0..50).map(|number| (number, 1)).collect(), "seed {seed}");
    }
}

#[test]
fn at_most_once_never_executes_twice_across_restarts_of_the_server() {
    let mut outcomes: BTreeMap<String, u32> = BTreeMap::new();
    for seed in 0..40 {
        let (answers, executed) = with_client(
            seed,
            LinkConfig { loss: 0.3, duplicate: 0.3, ..lan() },
            |server| async move {
                let options = CallOptions::timeout(ms(300)).retry(ms(5)).at_most_once();
                let mut answers = Vec::new();
                for number in 0..40 {
                    let answer = rpc::call::<Count>(server.port(1), &Request::Slow(number, 3), options).await;
                    assert!(answer == Ok(number) || answer.is_err());
                    answers.push(answer);
                }
                answers
            },
            |sim, server| {
                for gap in [17, 40, 31, 50, 23] {
                    sim.run_for(ms(gap));
                    sim.crash(server);
                    sim.run_for(ms(gap % 7));
                    sim.boot(server);
                }
            },
        );
        assert!(executed.values().all(|&times| times == 1), "seed {seed}: {executed:?}");
        for (number, answer) in answers.into_iter().enumerate() {
            assert!(answer.is_err() || executed.contains_key(&(number as u64)), "answered but not executed");
            *outcomes.entry(answer.map_or_else(|error| format!("{error:?}"), |_| "ok".to_owned())).or_default() += 1;
        }
    }
    // A call that met a restart says so at once instead of timing out.
    assert!(outcomes["ok"] > 1_000 && outcomes["ServerRestarted"] > 50, "{outcomes:?}");
    assert!(outcomes.keys().all(|outcome| ["ok", "ServerRestarted", "Timeout"].contains(&outcome.as_str())));
}
