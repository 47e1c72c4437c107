//! What agreement costs: messages and bytes.
//!
//! The lab counts requests. Here servers count what they send, requests and answers: on a good network each request has one
//! answer, so two messages are one of the lab's RPCs.

use super::lab::{Lab, LabConfig, assert_holds, servers};
use super::tester::{ELECTION, Result, ensure, ms};

/// The lab's RPCBytes. Bytes of commands, and bytes sent for them.
fn large_commands(lab: &Lab) -> Result<(u64, u64)> {
    const BYTES: usize = 5_000;
    lab.agree_at_once(3)?;
    let (before, _) = lab.traffic()?;
    let mut sent = 0;
    for nth in 0..10_u8 {
        let command = vec![b'a' + nth; BYTES];
        sent += command.len() as u64;
        let job = lab.begin(async move |servers| servers.one(&command, 3, false).await);
        lab.end(job)??;
    }
    let (after, _) = lab.traffic()?;
    Ok((sent, after - before))
}

#[test]
fn each_command_is_sent_to_each_follower_once() {
    for (sent, bytes) in assert_holds(&servers(3), large_commands) {
        println!("{bytes} bytes for commands of {sent}");
        assert!(bytes >= 2 * sent, "{bytes} bytes are not enough for two followers");
        assert!(bytes <= 3 * sent + 50_000, "{bytes} bytes for commands of {sent}");
    }
}

/// The RPCs that three phases cost.
#[derive(Debug)]
struct Rpcs {
    election: u64,
    twelve_entries: u64,
    idle_second: u64,
}

/// The lab's Count.
fn rpcs(lab: &Lab) -> Result<Rpcs> {
    lab.leader()?;
    let (_, election) = lab.traffic()?;
    for attempt in 0..5 {
        if attempt > 0 {
            lab.sleep(ms(3_000));
        }
        let leader = lab.leader()?;
        let term = lab.term()?;
        let (_, before) = lab.traffic()?;
        let (first, _) = lab.start_at(leader)?;
        let mut given = Vec::new();
        for nth in 1..=11 {
            let (index, command) = lab.start_at(leader)?;
            ensure(index == first + nth, || format!("command {nth} after entry {first} is entry {index}"))?;
            given.push((index, command));
        }
        let mut all = true;
        for (index, command) in given {
            match lab.wait(index, 3, Some(term))? {
                None => all = false,
                Some(applied) => ensure(applied == command, || format!("entry {index} is another command"))?,
            }
        }
        if !all || lab.term()? != term {
            continue;
        }
        let (_, after) = lab.traffic()?;
        lab.sleep(ELECTION);
        let (_, later) = lab.traffic()?;
        let rpcs = |messages: u64| messages.div_ceil(2);
        return Ok(Rpcs {
            election: rpcs(election),
            twelve_entries: rpcs(after - before),
            idle_second: rpcs(later - after),
        });
    }
    Err("the term changed in all five attempts".to_owned())
}

#[test]
fn few_messages_are_sent() {
    for rpcs in assert_holds(&servers(3), rpcs) {
        println!("{rpcs:?}");
        assert!((1..=30).contains(&rpcs.election), "{rpcs:?}");
        assert!((12..=(10 + 1 + 3) * 3).contains(&rpcs.twelve_entries), "{rpcs:?}");
        // Heartbeats are at most ten a second to each follower, twenty together; the lab allows sixty.
        assert!((15..=24).contains(&rpcs.idle_second), "{rpcs:?}");
    }
    // Five times as many heartbeats are above the lab's limit, too.
    for rpcs in assert_holds(&LabConfig { heartbeat_ticks: 1, ..servers(3) }, rpcs) {
        assert!(rpcs.idle_second > 60, "{rpcs:?}");
    }
}
