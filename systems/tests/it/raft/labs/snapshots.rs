//! Snapshots: logs stay short, and whoever needs what is gone gets a snapshot.

use systems::raft::Index;

use super::lab::{Lab, LabConfig, assert_detects, assert_holds, servers};
use super::server::SNAPSHOT_EVERY;
use super::tester::{Result, ensure};

/// No log has as many bytes.
const LOG_BYTES: usize = 2_000;

fn three() -> LabConfig {
    LabConfig { snapshots: true, ..servers(3) }
}

/// What happens to a server while the others go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Absence {
    None,
    Cut,
    Crash,
}

/// What was seen.
#[derive(Debug)]
struct Seen {
    /// The most bytes that a log had.
    log_bytes: usize,
    /// The last entry.
    last: Index,
    /// The most that a server was behind all the logs of the others when it came back.
    behind: u64,
}

/// The lab's SnapshotBasic and SnapshotInstall.
fn thirty_rounds(lab: &Lab, absence: Absence, is_unreliable: bool) -> Result<Seen> {
    if is_unreliable {
        lab.unreliable();
    }
    let mut seen = Seen { log_bytes: 0, last: 0, behind: 0 };
    lab.agree(3)?;
    let mut leader = lab.leader()?;
    for round in 0..30 {
        let next = (leader + 1) % 3;
        // Now and then it is the leader itself that goes away.
        let (victim, sender) = if round % 3 == 1 { (leader, next) } else { (next, leader) };
        let left_at = lab.servers.record.borrow().of(victim).len() as Index;
        match absence {
            Absence::None => {}
            Absence::Cut => lab.cut(victim),
            Absence::Crash => lab.crash(victim),
        }
        if absence != Absence::None {
            lab.agree(2)?;
        }
        // About as many as a snapshot is made after. A sender that does not lead takes none of them.
        for _ in 0..SNAPSHOT_EVERY / 2 + lab.below(SNAPSHOT_EVERY) {
            let command = lab.servers.fresh();
            lab.start(sender, command)?;
        }
        // Without absence all are to have everything, so that no snapshot has to be sent.
        seen.last = lab.agree(if absence == Absence::None { 3 } else { 2 })?;
        let mut snapshots = Vec::new();
        for server in lab.servers.running() {
            let status = lab.status(server)?;
            seen.log_bytes = seen.log_bytes.max(status.log_bytes);
            snapshots.extend((server != victim).then_some(status.snapshot));
        }
        ensure(seen.log_bytes < LOG_BYTES, || format!("a log has {} bytes", seen.log_bytes))?;
        let shortest = snapshots.into_iter().min().unwrap_or(0);
        if absence != Absence::None {
            seen.behind = seen.behind.max(shortest.saturating_sub(left_at));
            lab.revive(victim);
            lab.agree(3)?;
            leader = lab.leader()?;
        }
    }
    Ok(seen)
}

fn shows_thirty_rounds(absence: Absence, is_unreliable: bool) {
    for seen in assert_holds(&three(), |lab| thirty_rounds(lab, absence, is_unreliable)) {
        println!("{seen:?}");
        // All of them together are twice the limit and more: 20 bytes of a command, 24 of an entry.
        assert!(seen.last * 44 > 2 * LOG_BYTES as u64, "{seen:?}");
        if absence != Absence::None {
            assert!(seen.behind > 0, "nobody needed a snapshot: {seen:?}");
        }
    }
    assert_detects("raft.snapshot-forgets-term", &three(), |lab| thirty_rounds(lab, absence, is_unreliable));
}

#[test]
fn logs_stay_short() {
    shows_thirty_rounds(Absence::None, false);
}

#[test]
fn a_server_that_was_cut_off_gets_a_snapshot() {
    shows_thirty_rounds(Absence::Cut, false);
}

#[test]
fn a_server_that_was_cut_off_gets_a_snapshot_over_an_unreliable_network() {
    shows_thirty_rounds(Absence::Cut, true);
}

#[test]
fn a_server_that_crashed_gets_a_snapshot() {
    shows_thirty_rounds(Absence::Crash, false);
}

#[test]
fn a_server_that_crashed_gets_a_snapshot_over_an_unreliable_network() {
    shows_thirty_rounds(Absence::Crash, true);
}

fn crash_all(lab: &Lab) {
    (0..3).for_each(|server| lab.crash(server));
    (0..3).for_each(|server| lab.boot(server));
}

/// The lab's SnapshotAllCrash.
fn all_crash(lab: &Lab) -> Result {
    lab.agree(3)?;
    for _ in 0..5 {
        for _ in 0..SNAPSHOT_EVERY / 2 + lab.below(SNAPSHOT_EVERY) {
            lab.agree(3)?;
        }
        let before = lab.agree(3)?;
        crash_all(lab);
        let after = lab.agree(3)?;
        ensure(after > before, || format!("entry {after} after entry {before}"))?;
    }
    Ok(())
}

#[test]
fn all_servers_restart_with_snapshots() {
    assert_holds(&three(), all_crash);
    assert_detects("raft.snapshot-forgets-term", &three(), all_crash);
}

/// The lab's SnapshotInit: a restart with nothing behind the snapshot, one entry, and another restart; some times over, so that
/// there are snapshots that end in different terms.
fn one_entry_between_restarts(lab: &Lab) -> Result {
    const TIMES: u64 = 4;
    lab.agree(3)?;
    for _ in 0..TIMES {
        for _ in 0..SNAPSHOT_EVERY + 1 {
            lab.agree(3)?;
        }
        crash_all(lab);
        lab.agree(3)?;
        crash_all(lab);
        lab.agree(3)?;
    }
    lab.expect_commands(1 + TIMES * (SNAPSHOT_EVERY + 3))
}

#[test]
fn a_snapshot_survives_two_restarts_with_one_entry_between_them() {
    assert_holds(&three(), one_entry_between_restarts);
    assert_detects("raft.snapshot-forgets-term", &three(), one_entry_between_restarts);
}
