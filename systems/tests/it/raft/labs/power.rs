//! Power that is lost between a promise and the write that it needs. A sync takes so long here that a server which answers
//! before it is caught.

use std::collections::BTreeMap;
use std::time::Duration;

use sim::fs::DiskConfig;
use sim::{Latency, Time};
use systems::raft::Term;

use super::lab::{Lab, LabConfig, assert_detects, assert_holds, servers};
use super::tester::{Result, ensure, ms};

fn slow_disks() -> LabConfig {
    let sync = Latency::Uniform(Time::new(ms(10)), Time::new(ms(40)));
    LabConfig { disks: DiskConfig { sync, ..DiskConfig::default() }, snapshots: true, ..servers(3) }
}

/// All servers lose power at once, thirty times, at any moment of what they do for some commands. How many commands were
/// applied.
fn power_fails(lab: &Lab) -> Result<u64> {
    for _ in 0..30 {
        lab.agree(3)?;
        for _ in 0..lab.below(12) {
            lab.start_everywhere()?;
        }
        lab.sleep(Duration::from_micros(lab.below(150_000)));
        (0..3).for_each(|server| lab.crash(server));
        (0..3).for_each(|server| lab.boot(server));
    }
    lab.agree(3)?;
    Ok(lab.servers.record.borrow().different_commands())
}

#[test]
fn what_was_applied_survives_the_loss_of_power() {
    let commands = assert_holds(&slow_disks(), power_fails);
    println!("{commands:?} commands");
    // Twice as many as were waited for: power failed in the middle of the others.
    assert!(commands.iter().all(|&commands| commands > 62), "{commands:?} commands");
    for bug in ["raft.append-before-sync", "raft.leader-counts-unsynced", "raft.log-cut-before-snapshot"] {
        assert_detects(bug, &slow_disks(), power_fails);
    }
}

/// Who led in which term.
#[derive(Default)]
struct Leaders(BTreeMap<Term, usize>);

impl Leaders {
    /// Looks at all servers, cut off or not. Who leads among those that are connected.
    fn look(&mut self, lab: &Lab) -> Result<Option<usize>> {
        let mut leader = None;
        for server in lab.servers.running() {
            if let Some(status) = lab.answer(server)?.filter(|status| status.leads) {
                let first = *self.0.entry(status.term).or_insert(server);
                ensure(first == server, || format!("servers {first} and {server} both led in term {}", status.term))?;
                leader = Some(server).filter(|&server| lab.servers.is_connected(server)).or(leader);
            }
        }
        Ok(leader)
    }

    /// Looks until one of those that are connected leads.
    fn next(&mut self, lab: &Lab) -> Result<usize> {
        let until = lab.now() + ms(5_000);
        while lab.now() < until {
            if let Some(leader) = self.look(lab)? {
                return Ok(leader);
            }
        }
        Err("no leader within five seconds".to_owned())
    }
}

/// One server elects another, and dies at once. When it is back, a third one, which knows nothing of that election, asks it for
/// its vote in the same term.
fn voters_die(lab: &Lab) -> Result<usize> {
    let mut leaders = Leaders::default();
    for _ in 0..8 {
        (0..3).for_each(|server| lab.join(server));
        lab.agree(3)?;
        let old = leaders.next(lab)?;
        lab.cut(old);
        let new = leaders.next(lab)?;
        let voter = 3 - old - new;
        lab.crash(voter);
        lab.cut(new);
        lab.crash_and_boot(old);
        lab.boot(voter);
        lab.only(&[old, voter]);
        leaders.next(lab)?;
        // Whoever was behind has a second election to win.
        for _ in 0..50 {
            leaders.look(lab)?;
        }
    }
    Ok(leaders.0.len())
}

#[test]
fn a_vote_is_not_given_again_after_the_loss_of_power() {
    let terms = assert_holds(&slow_disks(), voters_die);
    println!("{terms:?} terms with leaders");
    assert!(terms.iter().all(|&terms| terms >= 16), "{terms:?} terms with leaders");
    for bug in ["raft.vote-not-persisted", "raft.vote-before-sync"] {
        assert_detects(bug, &slow_disks(), voters_die);
    }
}
