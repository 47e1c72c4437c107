//! Four short runs, told line by line. What a change of the protocol does to them shows in the diff of the snapshots.
//!
//! Messages take a millisecond, and so does a write.

use std::rc::Rc;

use sim::{simulate, task};

use super::figure_8::{Then, figure_8};
use super::lab::{Kind, Lab, LabConfig, servers};
use super::server::SNAPSHOT_EVERY;
use super::tester::{Result, Servers, ensure, ms};
use crate::transcript::{self, Transcript};

/// Runs an experiment and tells it.
fn tell(kind: Kind, config: LabConfig, experiment: impl FnOnce(&Lab) -> Result + Send) -> String {
    let transcript = Transcript::default();
    let (recorder, told) = (transcript.recorder(), transcript.clone());
    let run = simulate(1, move |sim| {
        transcript::fixed_1ms(sim);
        sim.record(recorder);
        let lab = Lab::new(sim, kind, &config, 1);
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
fn an_election() {
    let text = tell(Kind::Thesis, servers(3), |lab| {
        let first = lab.leader()?;
        lab.say("a command");
        lab.agree(3)?;
        lab.say("the leader is cut off");
        lab.cut(first);
        let second = lab.leader()?;
        ensure(first != second, || "the same leader".to_owned())?;
        lab.say("a command");
        lab.agree(2)?;
        lab.say("the old leader is back");
        lab.join(first);
        lab.agree(3).map(drop)
    });
    insta::assert_snapshot!("an_election", text);
}

#[test]
fn an_old_entry_on_a_majority_is_overwritten() {
    let text = tell(Kind::Paper, servers(5), |lab| figure_8(lab, Then::Crashes));
    insta::assert_snapshot!("an_old_entry_on_a_majority_is_overwritten", text);
}

#[test]
fn a_snapshot_for_one_that_was_away() {
    let text = tell(Kind::Paper, LabConfig { snapshots: true, ..servers(3) }, |lab| {
        let leader = lab.leader()?;
        let away = (leader + 1) % 3;
        lab.say("one server is cut off, and misses so many commands that a snapshot takes their place");
        lab.cut(away);
        let all = async move |servers: Rc<Servers>| {
            let begin = |_| {
                let servers = servers.clone();
                task::spawn(async move { servers.start(leader, servers.fresh()).await })
            };
            for job in (0..=SNAPSHOT_EVERY).map(begin).collect::<Vec<_>>() {
                job.await.ok().flatten().ok_or("a command is not taken")?;
            }
            Ok::<(), String>(())
        };
        lab.end(lab.begin(all))??;
        lab.sleep(ms(100));
        ensure(lab.status(leader)?.snapshot == SNAPSHOT_EVERY, || "the leader has no snapshot".to_owned())?;
        lab.say("it is back");
        lab.join(away);
        lab.agree(3)?;
        lab.say("it crashes, and starts with the snapshot");
        lab.crash_and_boot(away);
        lab.agree(3).map(drop)
    });
    insta::assert_snapshot!("a_snapshot_for_one_that_was_away", text);
}

#[test]
fn a_change_of_membership() {
    let text = tell(Kind::Thesis, LabConfig { voters: 3, ..servers(5) }, |lab| {
        let leader = lab.leader()?;
        lab.agree(3)?;
        lab.say("3 and 4 are to learn");
        lab.change_members(leader, &[0, 1, 2], &[3, 4])?;
        lab.sleep(ms(500));
        lab.say(&format!("3 and 4 are to vote, and of the others only {leader}"));
        lab.change_members(leader, &[leader as u64, 3, 4], &[])?;
        lab.sleep(ms(500));
        lab.say("a command is agreed on without the two that have left");
        [0, 1, 2].iter().filter(|&&server| server != leader).for_each(|&server| lab.crash(server));
        lab.agree(3).map(drop)
    });
    insta::assert_snapshot!("a_change_of_membership", text);
}
