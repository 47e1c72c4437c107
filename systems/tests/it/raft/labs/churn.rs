//! Long runs of crashes and partitions at random. What was committed stays.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use sim::net::LinkConfig;
use sim::{Latency, Time, rand, time};

use super::lab::{Lab, LabConfig, assert_detects, assert_holds, servers};
use super::tester::{ELECTION, Result, Servers, ensure, ms};

const ROUNDS: u64 = 1_000;

/// Replication takes about as long as a leader lives, so that most leaders crash in the middle of it. In the lab it takes
/// no time, and crashes are as fast as they are here.
fn slow() -> LabConfig {
    let latency = Latency::Uniform(Time::new(ms(1)), Time::new(ms(10)));
    LabConfig { network: LinkConfig { latency, ..LinkConfig::default() }, ..servers(5) }
}

/// A leader lives for up to 13 ms longer; one in ten, for up to half a second.
fn pause(lab: &Lab) -> Duration {
    match lab.below(10) {
        0 => ms(lab.below(500)),
        _ => Duration::from_micros(lab.below(13_000)),
    }
}

/// The lab's Figure8. How many leaders crashed.
fn leaders_crash(lab: &Lab) -> Result<u64> {
    lab.agree(1)?;
    let mut crashed = 0;
    for _ in 0..ROUNDS {
        let (_, leader) = lab.start_everywhere()?;
        lab.sleep(pause(lab));
        if let Some(leader) = leader {
            lab.crash(leader);
            crashed += 1;
        }
        if lab.servers.running().len() < 3 {
            lab.revive(lab.any());
        }
    }
    (0..5).for_each(|server| lab.revive(server));
    lab.agree(5)?;
    Ok(crashed)
}

#[test]
fn figure_8_leaders_that_crash() {
    let crashed = assert_holds(&slow(), leaders_crash);
    println!("{crashed:?} leaders crashed");
    assert!(crashed.iter().all(|&crashed| crashed >= 50), "{crashed:?} leaders crashed");
    assert_detects("raft.late-append-truncates", &slow(), leaders_crash);
}

/// The lab's Figure8Unreliable. Under such delays an election takes seconds, with pre-votes above all. How often a leader was cut off.
fn leaders_are_cut_off(lab: &Lab) -> Result<u64> {
    lab.unreliable();
    lab.agree(1)?;
    let mut cut = 0;
    for round in 0..ROUNDS {
        if round == 200 {
            lab.reorder_for_long();
        }
        let (_, leader) = lab.start_everywhere()?;
        lab.sleep(pause(lab));
        if let Some(leader) = leader.filter(|_| lab.below(2) == 0) {
            lab.cut(leader);
            cut += 1;
        }
        if lab.servers.connected().len() < 3 {
            lab.join(lab.any());
        }
    }
    (0..5).for_each(|server| lab.join(server));
    lab.agree(5)?;
    let held_back = lab.sim.effect("net.reordered");
    ensure(held_back > 0, || "no message was held back".to_owned())?;
    Ok(cut)
}

#[test]
fn figure_8_over_an_unreliable_network() {
    let cut = assert_holds(&servers(5), leaders_are_cut_off);
    println!("{cut:?} leaders were cut off");
    assert!(cut.iter().all(|&cut| cut >= 5), "{cut:?} leaders were cut off");
    assert_detects("raft.vote-ignores-last-term", &servers(5), leaders_are_cut_off);
}

/// Gives commands to everybody and looks whether they are committed. Those that were.
async fn client(servers: Rc<Servers>, number: u64, done: Rc<Cell<bool>>) -> Vec<Vec<u8>> {
    let mut seen = Vec::new();
    while !done.get() {
        let command = servers.fresh();
        let took = servers.clone().start_everywhere(command.clone()).await;
        let Some(&(_, index)) = took.last() else {
            time::sleep(ms(79 + number * 17)).await;
            continue;
        };
        for patience in [10, 20, 50, 100, 200] {
            let applied = servers.record.borrow().at(index).cloned();
            if let Some(applied) = applied {
                if applied.as_ref() == Some(&command) {
                    seen.push(command);
                }
                break;
            }
            time::sleep(rand::duration(ms(patience), ms(patience + 1))).await;
        }
    }
    seen
}

/// The lab's ReliableChurn and UnreliableChurn. How many commands clients saw committed.
fn churn(lab: &Lab) -> Result<usize> {
    let done = Rc::new(Cell::new(false));
    let begin = |number: u64| {
        let done = done.clone();
        lab.begin(async move |servers: Rc<Servers>| client(servers, number, done).await)
    };
    let clients: Vec<_> = (0..3).map(begin).collect();
    for _ in 0..20 {
        if lab.below(10) < 2 {
            lab.cut(lab.any());
        }
        if lab.below(10) < 5 {
            lab.revive(lab.any());
        }
        if lab.below(10) < 2 {
            let server = lab.any();
            if lab.servers.up.borrow()[server] {
                lab.crash(server);
            }
        }
        // Slow enough that some get on, fast enough that they do not settle.
        lab.sleep(ELECTION * 7 / 10);
    }
    lab.sleep(ELECTION);
    lab.reliable();
    (0..5).for_each(|server| lab.revive(server));
    done.set(true);
    let mut seen = Vec::new();
    for client in clients {
        seen.extend(lab.end(client)?);
    }
    lab.sleep(ELECTION);
    let last = lab.agree(5)?;
    for index in 1..=last {
        lab.wait(index, 5, None)?;
    }
    let record = lab.servers.record.borrow();
    let lost = seen.iter().filter(|command| !record.has(command)).count();
    ensure(lost == 0, || format!("{lost} commands that were seen committed are not in the log"))?;
    Ok(seen.len())
}

fn unreliable_churn(lab: &Lab) -> Result<usize> {
    lab.unreliable();
    churn(lab)
}

fn shows_churn(experiment: fn(&Lab) -> Result<usize>) {
    let seen = assert_holds(&servers(5), experiment);
    println!("{seen:?} commands were committed");
    assert!(seen.iter().all(|&seen| seen >= 20), "{seen:?} commands were committed");
}

#[test]
fn churn_over_a_good_network() {
    shows_churn(churn);
    assert_detects("raft.vote-ignores-last-index", &servers(5), churn);
}

#[test]
fn churn_over_an_unreliable_network() {
    shows_churn(unreliable_churn);
    for bug in ["raft.acks-unmatched-entries", "raft.match-index-from-next-index"] {
        assert_detects(bug, &servers(5), unreliable_churn);
    }
}
