//! What survives a crash: the term, the vote and the log.

use super::lab::{Lab, assert_detects, assert_holds, servers};
use super::tester::{ELECTION, Result};

/// The lab's Persist1.
fn restarts_one_after_another(lab: &Lab) -> Result {
    lab.agree(3)?;
    (0..3).for_each(|server| lab.crash(server));
    (0..3).for_each(|server| lab.boot(server));
    lab.agree(3)?;
    let first = lab.leader()?;
    lab.crash_and_boot(first);
    lab.agree(3)?;
    let second = lab.leader()?;
    lab.crash(second);
    let missed = lab.agree(2)?;
    lab.boot(second);
    // The one that is back has caught up before another goes.
    lab.wait(missed, 3, None)?;
    let third = (lab.leader()? + 1) % 3;
    lab.crash(third);
    lab.agree(2)?;
    lab.boot(third);
    lab.agree(3)?;
    lab.expect_commands(6)
}

#[test]
fn servers_that_restart_have_what_was_agreed_on() {
    assert_holds(&servers(3), restarts_one_after_another);
    assert_detects("raft.heartbeat-without-log-check", &servers(3), restarts_one_after_another);
}

/// The lab's Persist2.
fn majorities_that_overlap_in_one(lab: &Lab) -> Result {
    for _ in 0..5 {
        lab.agree(5)?;
        let leader = lab.leader()?;
        let after = |n: usize| (leader + n) % 5;
        lab.cut(after(1));
        lab.cut(after(2));
        lab.agree(3)?;
        [0, 3, 4].iter().for_each(|&n| lab.cut(after(n)));
        [1, 2].iter().for_each(|&n| {
            lab.crash_and_boot(after(n));
            lab.join(after(n));
        });
        lab.sleep(ELECTION);
        lab.crash_and_boot(after(3));
        lab.join(after(3));
        lab.agree(3)?;
        [4, 0].iter().for_each(|&n| lab.join(after(n)));
    }
    lab.agree(5)?;
    lab.expect_commands(16)
}

#[test]
fn a_majority_of_servers_that_restarted_goes_on() {
    assert_holds(&servers(5), majorities_that_overlap_in_one);
    assert_detects("raft.vote-ignores-last-index", &servers(5), majorities_that_overlap_in_one);
}

/// The lab's Persist3: the only server that has the second entry besides the crashed one restarts, too.
fn an_entry_that_the_majority_that_is_up_lacks(lab: &Lab) -> Result {
    lab.agree(3)?;
    let leader = lab.leader()?;
    let after = |n: usize| (leader + n) % 3;
    lab.cut(after(2));
    lab.agree(2)?;
    lab.crash(leader);
    lab.crash(after(1));
    lab.join(after(2));
    lab.boot(leader);
    lab.agree(2)?;
    lab.boot(after(1));
    lab.agree(3)?;
    lab.expect_commands(4)
}

#[test]
fn an_entry_survives_the_crash_of_all_that_have_it() {
    assert_holds(&servers(3), an_entry_that_the_majority_that_is_up_lacks);
    assert_detects("raft.vote-ignores-last-index", &servers(3), an_entry_that_the_majority_that_is_up_lacks);
}
