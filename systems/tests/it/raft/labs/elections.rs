//! Who leads: one server, a new one when it is gone, and nobody without a quorum.

use super::lab::{Lab, assert_detects, assert_holds, servers};
use super::tester::{ELECTION, Result, ensure, ms};

/// The lab's InitialElection.
fn first_election(lab: &Lab) -> Result {
    lab.leader()?;
    // Those that follow have learned of the election by then.
    lab.sleep(ms(50));
    let term = lab.term()?;
    ensure(term >= 1, || format!("a leader in term {term}"))?;
    lab.sleep(2 * ELECTION);
    let later = lab.term()?;
    ensure(term == later, || format!("term {term} became {later} though nothing failed"))?;
    lab.leader().map(drop)
}

#[test]
fn one_leader_is_elected_and_stays() {
    assert_holds(&servers(3), first_election);
}

/// The lab's ReElection.
fn elections_after_failures(lab: &Lab) -> Result {
    let first = lab.leader()?;
    lab.cut(first);
    let second = lab.leader()?;
    let term = lab.term()?;
    lab.join(first);
    let still = lab.leader()?;
    // The lab only wants a leader. That it is the same one shows that the old leader did not disturb.
    ensure((still, lab.term()?) == (second, term), || {
        format!("server {second} led in term {term}; {still} did when the old leader was back")
    })?;
    lab.cut(second);
    lab.cut((second + 1) % 3);
    lab.sleep(2 * ELECTION);
    lab.no_leader()?;
    lab.join((second + 1) % 3);
    lab.leader()?;
    lab.join(second);
    lab.leader().map(drop)
}

#[test]
fn a_new_leader_is_elected_and_none_without_a_quorum() {
    assert_holds(&servers(3), elections_after_failures);
    assert_detects("raft.stale-leader-accepted", &servers(3), elections_after_failures);
}

/// The lab's ManyElections.
fn ten_elections(lab: &Lab) -> Result {
    lab.leader()?;
    for _ in 0..10 {
        let away = [lab.any(), lab.any(), lab.any()];
        away.iter().for_each(|&server| lab.cut(server));
        // The leader is among the other four, or they elect one.
        lab.leader()?;
        away.iter().for_each(|&server| lab.join(server));
    }
    lab.leader().map(drop)
}

#[test]
fn any_four_of_seven_have_a_leader() {
    assert_holds(&servers(7), ten_elections);
}
