//! Snapshots: logs stay short, snapshots are small, and who was away too long gets one.

use super::lab::{ELECTION, Lab, Step, ensure, ms, notices, servers, shows};

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
fn one_is_away(lab: &Lab) -> Step<Seen> {
    lab.run(async |hand| {
        hand.put("a", "A").await?;
        hand.expect("a", "A").await
    })?;
    only(lab, [0, 1]);
    lab.run(async |hand| {
        for nth in 0..50 {
            hand.put(&nth.to_string(), &nth.to_string()).await?;
        }
        Ok(())
    })?;
    lab.sleep(ELECTION)?;
    lab.run(async |hand| hand.put("b", "B").await)?;
    lab.sleep(ms(200))?;
    let kept_from = [lab.replica(0)?, lab.replica(1)?].map(|replica| replica.raft().snapshot_index());
    let behind = kept_from[0].min(kept_from[1]).saturating_sub(lab.replica(2)?.applied());
    let seen = look(lab, behind);
    // Now the one that was away is needed for everything.
    only(lab, [0, 2]);
    lab.run(async |hand| {
        hand.put("c", "C").await?;
        hand.put("d", "D").await?;
        for (key, value) in [("a", "A"), ("b", "B"), ("1", "1"), ("49", "49")] {
            hand.expect(key, value).await?;
        }
        Ok(())
    })?;
    only(lab, [0, 1]);
    lab.run(async |hand| {
        hand.put("e", "E").await?;
        for (key, value) in [("c", "C"), ("e", "E"), ("1", "1")] {
            hand.expect(key, value).await?;
        }
        Ok(())
    })?;
    Ok(seen)
}

#[test]
fn who_was_away_gets_a_snapshot() {
    for seen in shows(&servers(3).limit(LIMIT), one_is_away) {
        println!("{seen:?}");
        assert!(seen.behind > 0, "nobody needed a snapshot: {seen:?}");
        assert!(seen.log_at_end <= 2 * LIMIT, "{seen:?}");
    }
    for bug in ["rsm.installed-state-ignored", "rsm.snapshot-older-than-it-says"] {
        notices(bug, &servers(3).limit(LIMIT), one_is_away);
    }
}

/// The lab's SnapshotSize.
fn one_key(lab: &Lab) -> Step<Seen> {
    lab.run(async |hand| {
        for _ in 0..200 {
            for value in ["0", "1"] {
                hand.put("x", value).await?;
                hand.expect("x", value).await?;
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
    for seen in shows(&servers(3).limit(LIMIT), one_key) {
        println!("{seen:?}");
        assert!(seen.largest_snapshot <= SNAPSHOT_BYTES, "{seen:?}");
        assert!(seen.largest_log <= 2 * LIMIT, "{seen:?}");
    }
}
