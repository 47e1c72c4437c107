//! A run that is told line by line: an append is executed, its client does not hear of it, and sends it again.
//!
//! Messages take a millisecond, and so does a write. What a change of the protocol does to it shows in the snapshot's diff.

use sim::fault::{Fault, InFlight};
use sim::{simulate, time};

use super::generic::agree;
use super::lab::{Lab, Result, ensure, ms, servers};
use crate::transcript::{self, Transcript};

/// Runs an experiment and tells it.
fn tell(experiment: impl FnOnce(&Lab) -> Result + Send) -> String {
    let transcript = Transcript::default();
    let (recorder, told) = (transcript.recorder(), transcript.clone());
    let run = simulate(1, move |sim| {
        transcript::fixed_1ms(sim);
        sim.record(recorder);
        let lab = Lab::new(sim, servers(3).params, 1);
        *lab.transcript.borrow_mut() = Some(told);
        let result = experiment(&lab);
        lab.say("the end");
        result
    })
    .unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(run.failures, []);
    assert_eq!(run.value, Ok(()), "{}", transcript.text());
    transcript.text()
}

#[test]
fn an_append_is_sent_again_and_executed_once() {
    let text = tell(|lab| {
        let leader = lab.leader()?;
        let job = lab.client(async |handle| {
            handle.append("k", "a;").await?;
            time::sleep(ms(50)).await;
            handle.append("k", "b;").await?;
            handle.expect("k", "a;b;").await
        });
        let executed = || lab.up().iter().map(|(_, replica)| replica.applied()).min();
        let first = executed();
        // The session, and the first append.
        lab.until(ms(1_000), || executed() >= first.map(|first| first + 2))?;
        lab.sleep(ms(20))?;
        lab.say("what the leader says does not reach the client any more");
        let (from, to) = (vec![lab.servers[leader]], vec![job.node()]);
        let unheard = lab.sim.inject(Fault::OneWay { from, to, in_flight: InFlight::Drop });
        let before = executed();
        lab.until(ms(1_000), || executed() > before)?;
        lab.say("the leader crashes");
        lab.crash(leader);
        drop(unheard);
        lab.wait(job)??;
        lab.say("the old leader starts again");
        lab.boot(leader);
        lab.sleep(ms(200))?;
        agree(lab)?;
        ensure(lab.leader()? != leader, || "the same leader".to_owned())
    });
    insta::assert_snapshot!("an_append_is_sent_again_and_executed_once", text);
}
