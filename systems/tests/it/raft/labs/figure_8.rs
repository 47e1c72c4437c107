//! The paper's Figure 8, step by step: an entry of an earlier term is not committed by being on a majority.
//!
//! Only servers of the paper's kind can be there: an entry of the leader's own at the beginning of its term, which goes to the
//! others with the old one, leaves no room for it.

use super::lab::{Kind, Lab, run_kind, servers};
use super::tester::{Result, ensure, ms};

/// What the leader does when the old entry is on a majority.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// It crashes: (d) in the figure.
    Crashes,
    /// It commits an entry of its own term, and then crashes: (e).
    CommitsItsOwn,
}

/// The figure's servers S1 to S5 are named by what they do.
pub fn figure_8(lab: &Lab, then: Then) -> Result {
    let applied = |command: &[u8]| lab.servers.record.borrow().has(command);
    lab.agree(5)?;
    let s1 = lab.leader()?;
    let s2 = (s1 + 1) % 5;
    lab.say(&format!("(a) server-{s1} is S1, and its next entry gets to S2, server-{s2}, only"));
    lab.only(&[s1, s2]);
    let (index, old) = lab.start_at(s1)?;
    lab.sleep(ms(50));
    lab.say("(b) S1 crashes; one of the others is S5, and takes an entry that gets to nobody");
    lab.crash(s1);
    let rest: Vec<usize> = (0..5).filter(|server| ![s1, s2].contains(server)).collect();
    lab.only(&rest);
    let s5 = lab.leader()?;
    lab.only(&[]);
    let (other_index, other) = lab.start_at(s5)?;
    ensure(index == other_index, || format!("S1's entry {index} and S5's entry {other_index} are no rivals"))?;
    lab.sleep(ms(50));
    lab.say("(c) S5 crashes; S1 is back, and S3 hears of it: who leads brings S3 the old entry");
    lab.crash(s5);
    lab.boot(s1);
    let (s3, s4) = (rest[usize::from(rest[0] == s5)], rest[2 - usize::from(rest[2] == s5)]);
    lab.only(&[s1, s2, s3]);
    let leader = lab.leader()?;
    lab.sleep(ms(500));
    let bytes = [s1, s2, s3].map(|server| lab.status(server).map(|status| status.log_bytes));
    ensure(bytes.iter().all(|of| *of == bytes[0]), || format!("the logs have {bytes:?} bytes"))?;
    ensure(!applied(&old), || "an entry of an earlier term was committed because it is on a majority".to_owned())?;
    if then == Then::CommitsItsOwn {
        lab.say("(e) it commits an entry of its own term, and the old one with it, and crashes");
        lab.agree(3)?;
        ensure(applied(&old), || "the old entry was not committed with the new one".to_owned())?;
    } else {
        lab.say("(d) it crashes");
    }
    lab.crash(leader);
    lab.say("    S5 is back, with S3 and S4");
    lab.boot(s5);
    lab.only(&[s3, s4, s5]);
    let next = lab.leader()?;
    lab.agree(3)?;
    if then == Then::Crashes {
        ensure(next == s5, || format!("server {next} leads with a shorter log than S5, server {s5}"))?;
        ensure(!applied(&old) && applied(&other), || "S5's entry is not the one that was committed".to_owned())?;
    } else {
        ensure(next == s3, || format!("server {next} leads and S3, server {s3}, has more"))?;
        ensure(applied(&old) && !applied(&other), || "the entry that was committed is gone".to_owned())?;
    }
    lab.say("    all are back");
    (0..5).for_each(|server| lab.revive(server));
    lab.agree(5).map(drop)
}

#[test]
fn an_old_entry_on_a_majority_may_be_overwritten() {
    run_kind(Kind::Paper, None, &servers(5), |lab| figure_8(lab, Then::Crashes)).expect("as in the figure, (d)");
    let noticed =
        run_kind(Kind::Paper, Some("raft.commits-earlier-terms"), &servers(5), |lab| figure_8(lab, Then::Crashes));
    let missed = noticed.expect_err("the old entry is committed too early");
    assert!(missed.contains("because it is on a majority"), "{missed}");
}

#[test]
fn an_old_entry_is_committed_with_one_of_the_leaders_own() {
    run_kind(Kind::Paper, None, &servers(5), |lab| figure_8(lab, Then::CommitsItsOwn)).expect("as in the figure, (e)");
}
