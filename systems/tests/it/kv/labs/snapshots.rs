//! Snapshots: logs stay short, snapshots are small, and who was away too long gets one.

use super::lab::{ELECTION, Lab, Result, assert_detects, assert_holds, ensure, ms, servers};

/// Logs are cut when they have more bytes than this.
const LIMIT: usize = 1_000;
/// The lab's limit of a snapshot after 800 operations on one key.
const SNAPSHOT_BYTES: usize = 500;

/// What was seen.
#[derive(Debug)]
struct Seen {
    /// The most bytes of a log at the end, and at any time; and those of the largest snapshot.
    log_at_end: usize,
    largest_log: usize,
    largest_snapshot: usize,
    /// How many entries the server that was away was behind all that the others kept.
    behind: u64,
}

fn look(lab: &Lab, behind: u64) -> Seen {
    let log_at_end = lab.sizes().into_iter().map(|(log, _)| log).max().unwrap_or(0);
    let (largest_log, largest_snapshot) = lab.largest();
    Seen { log_at_end, largest_log, largest_snapshot, behind }
}

/// Only these servers reach each other.
fn only(lab: &Lab, servers: [usize; 2]) {
    let (some, others) = (0..lab.servers.len()).partition::<Vec<_>, _>(|at| servers.contains(at));
    let nodes = |of: Vec<usize>| of.into_iter().map(|at| lab.servers[at]).collect();
    lab.partition(vec![nodes(some), nodes(others)]);
}

/// The lab's SnapshotRPC.
fn one_is_away(lab: &Lab) -> Result<Seen> {
    lab.run(async |handle| {
        handle.put("a", "A").await?;
        handle.expect("a", "A").await
    })?;
    only(lab, [0, 1]);
    lab.run(async |handle| {
        for nth in 0..50 {
            handle.put(&nth.to_string(), &nth.to_string()).await?;
        }
        Ok(())
    })?;
    lab.sleep(ELECTION)?;
    lab.run(async |handle| handle.put("b", "B").await)?;
    lab.sleep(ms(200))?;
    let kept_from = [lab.replica(0)?, lab.replica(1)?].map(|replica| replica.raft().snapshot_index());
    let behind = kept_from[0].min(kept_from[1]).saturating_sub(lab.replica(2)?.applied());
    let seen = look(lab, behind);
    // Now the one that was away is needed for everything.
    only(lab, [0, 2]);
    lab.run(async |handle| {
        handle.put("c", "C").await?;
        handle.put("d", "D").await?;
        for (key, value) in [("a", "A"), ("b", "B"), ("1", "1"), ("49", "49")] {
            handle.expect(key, value).await?;
        }
        Ok(())
    })?;
    only(lab, [0, 1]);
    lab.run(async |handle| {
        handle.put("e", "E").await?;
        for (key, value) in [("c", "C"), ("e", "E"), ("1", "1")] {
            handle.expect(key, value).await?;
        }
        Ok(())
    })?;
    Ok(seen)
}

#[test]
fn who_was_away_gets_a_snapshot() {
    for seen in assert_holds(&servers(3).limit(LIMIT), one_is_away) {
        println!("{seen:?}");
        assert!(seen.behind > 0, "nobody needed a snapshot: {seen:?}");
        assert!(seen.log_at_end <= 2 * LIMIT, "{seen:?}");
    }
    for bug in ["rsm.installed-state-ignored", "rsm.snapshot-older-than-it-says"] {
        assert_detects(bug, &servers(3).limit(LIMIT), one_is_away);
    }
}

/// The lab's SnapshotSize.
fn one_key(lab: &Lab) -> Result<Seen> {
    lab.run(async |handle| {
        for _ in 0..200 {
            for value in ["0", "1"] {
                handle.put("x", value).await?;
                handle.expect("x", value).await?;
            }
        }
        Ok(())
    })?;
    lab.sleep(ms(200))?;
    ensure(lab.sizes().iter().all(|(_, snapshot)| *snapshot > 0), || "a server has no snapshot".to_owned())?;
    Ok(look(lab, 0))
}

#[test]
fn a_snapshot_of_one_key_is_small() {
    for seen in assert_holds(&servers(3).limit(LIMIT), one_key) {
        println!("{seen:?}");
        assert!(seen.largest_snapshot <= SNAPSHOT_BYTES, "{seen:?}");
        assert!(seen.largest_log <= 2 * LIMIT, "{seen:?}");
    }
}
