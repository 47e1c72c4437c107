//! The core of Raft, alone: elections, replication, memberships, snapshots and reads under random schedules.

mod cluster;

use self::cluster::{Cluster, Rng};
use bytes::Bytes;
use systems::raft::membership::Target;
use systems::raft::{Config, Id};

#[test]
fn a_leader_is_elected_and_stays() {
    let mut cluster = Cluster::new(3, Config::default(), 1);
    assert!(cluster.until(100, |cluster| cluster.leader().is_some()));
    let leader = cluster.leader().unwrap();
    let term = cluster.core(leader).term();
    (0..500).for_each(|_| cluster.step());
    assert_eq!((cluster.leader(), cluster.core(leader).term()), (Some(leader), term));
}

#[test]
fn what_is_proposed_is_committed_everywhere_once_and_in_order() {
    let mut cluster = Cluster::new(5, Config::default(), 2);
    assert!(cluster.agree(b"a", 100) && cluster.agree(b"b", 100));
    for server in cluster.servers.values() {
        let commands: Vec<&[u8]> = server.applied.iter().map(|(_, bytes)| &bytes[..]).collect();
        assert_eq!(commands, [b"a", b"b"]);
    }
}

/// Everything at once: loss, reordering, duplicates, crashes with unfinished writes, partitions, snapshots, membership
/// changes, transfers and reads; then all is healed and must agree.
fn chaos(seed: u64) -> Cluster {
    let mut rng = Rng::new(seed ^ 0xC0FFEE);
    let n = 3 + rng.below(3);
    let config = Config {
        pre_vote: rng.chance(70),
        check_quorum: rng.chance(80),
        noop: rng.chance(80),
        lease_reads: rng.chance(30),
        forward: rng.chance(50),
        max_append_bytes: [1, 100, 10_000][rng.below(3) as usize],
        max_inflight: 1 + rng.below(8) as usize,
        snapshot_chunk: [16, 64, 1000][rng.below(3) as usize],
        ..Config::default()
    };
    let mut cluster = Cluster::new(n, config, seed);
    cluster.lost = rng.below(15);
    cluster.duplicated = rng.below(15);
    cluster.delivered = 30 + rng.below(71);
    cluster.written = 10 + rng.below(91);
    cluster.compact_every = [5, 20, u64::MAX][rng.below(3) as usize];
    let ids: Vec<Id> = cluster.servers.keys().copied().collect();
    let mut next = 0u64;
    let mut asked: Vec<(Id, u64, u64)> = Vec::new();
    for _ in 0..400 {
        let id = ids[rng.below(n) as usize];
        let up = cluster.servers[&id].core.is_some();
        match rng.below(40) {
            0 if up => cluster.crash(id),
            0 | 1 if !up => cluster.boot(id),
            2 => cluster.partition(&[id]),
            3 => cluster.partition(&[id, ids[rng.below(n) as usize]]),
            4..=6 => cluster.cut.clear(),
            7 if up => {
                let voters = ids.iter().copied().filter(|_| rng.chance(70)).collect();
                let learners = ids.iter().copied().filter(|_| rng.chance(30)).collect();
                let _ = cluster.core(id).change_membership(&Target { voters, learners });
            }
            8 if up => {
                cluster.core(id).transfer_leadership(ids[rng.below(n) as usize]);
            }
            9..=12 if up => {
                next += 1;
                let committed = cluster.committed.keys().last().copied().unwrap_or(0);
                asked.push((id, next, committed));
                cluster.core(id).read(next);
            }
            13..=30 if up => {
                next += 1;
                let _ = cluster.core(id).propose(Bytes::from(next.to_le_bytes().to_vec()));
            }
            _ => {}
        }
        cluster.take(id);
        cluster.step();
    }
    for (id, request, committed) in asked {
        if let Some(Some(index)) = cluster.servers[&id].reads.get(&request) {
            // Nobody's clock drifts here, so leases hold, too.
            assert!(*index >= committed, "read {request} at {index} does not see {committed}");
        }
    }
    cluster.heal();
    cluster
}

#[test]
fn whatever_happens_servers_agree_and_go_on_when_all_is_healed() {
    let seeds = std::env::var("RAFT_SEEDS").ok().and_then(|n| n.parse().ok()).unwrap_or(200);
    let first = std::env::var("RAFT_FIRST").ok().and_then(|n| n.parse().ok()).unwrap_or(0);
    for seed in first..first + seeds {
        let mut cluster = std::panic::catch_unwind(|| chaos(seed)).unwrap_or_else(|_| panic!("seed {seed}"));
        if !goes_on(&mut cluster) {
            for (id, server) in &cluster.servers {
                let core = server.core.as_ref().unwrap();
                println!(
                    "{id:?} t{} {:?} last {:?} durable {} committed {} members {:?}",
                    core.term(),
                    core.role(),
                    core.log().last(),
                    core.log().durable(),
                    core.log().commit_index(),
                    core.membership()
                );
            }
            panic!("seed {seed}: no progress after the heal");
        }
    }
}

/// Whether new commands are committed, and applied by all members.
fn goes_on(cluster: &mut Cluster) -> bool {
    let committed = cluster.committed.len();
    cluster.until(2_000, |cluster| {
        let Some(leader) = cluster.leader() else { return false };
        // Without an entry of its own term a leader that commits none at its start does not commit what it found.
        let stuck = !cluster.config.noop && cluster.rng.chance(3);
        if cluster.committed.len() < committed + 5 || stuck {
            let _ = cluster.core(leader).propose(Bytes::from_static(b"after"));
            cluster.take(leader);
            return false;
        }
        let last = cluster.core(leader).log().last().index;
        let members: Vec<Id> = cluster.core(leader).membership().members().collect();
        members.iter().all(|&id| cluster.core(id).log().last_applied() == last)
    })
}
