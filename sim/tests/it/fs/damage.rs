//! What checks ask about damage: some bytes, a file, a disk.

use std::time::Duration;

use sim::fault::Fault;
use sim::fs::{self, damaged, damaged_disk, damaged_file};
use sim::{NodeId, Sim, node, simulate};

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

async fn keep(path: &str, len: usize) {
    fs::write(path, vec![7; len]).await.unwrap();
    fs::File::open(path).await.unwrap().sync_all().await.unwrap();
    fs::sync_dir("").await.unwrap();
}

/// The first life keeps two files; the second keeps a shorter one of them again, and the third one as long as it was.
fn keeper(sim: &Sim) -> NodeId {
    let node = sim.node("a", || async {
        match node::incarnation() {
            1 => {
                keep("f", 2048).await;
                keep("g", 2048).await;
            }
            2 => keep("f", 1024).await,
            _ => keep("f", 2048).await,
        }
    });
    sim.run_for(ms(100));
    node
}

fn again(sim: &Sim, node: NodeId) {
    sim.boot(node);
    sim.run_for(ms(100));
}

#[test]
fn a_rotten_sector_is_damage_of_its_file_and_disk() {
    let run = simulate(1, |sim| {
        let node = keeper(sim);
        assert!(!damaged_file(node, "f") && !damaged_disk(node));
        drop(sim.inject(Fault::BitRot { nodes: vec![node], sectors: 1, files: "f".to_owned() }));
        assert!(damaged_file(node, "f") && damaged_disk(node));
        assert!(!damaged_file(node, "g"), "another file is whole");
    });
    assert_eq!(run.unwrap().failures, []);
}

#[test]
fn a_wiped_disk_is_damage_until_its_files_are_as_long_again() {
    let run = simulate(1, |sim| {
        let node = keeper(sim);
        sim.wipe(node);
        assert!(damaged_file(node, "f") && damaged_file(node, "g") && damaged_disk(node));
        assert!(!damaged_file(node, "h"), "there never was such a file");
        again(sim, node);
        assert!(damaged_file(node, "f"), "it was longer");
        assert!(!damaged(node, "f", 0, 1024), "what is there again is not damaged");
        assert!(!damaged_disk(node), "something was made durable since");
        sim.crash(node);
        again(sim, node);
        assert!(!damaged_file(node, "f"));
        assert!(damaged_file(node, "g"));
    });
    assert_eq!(run.unwrap().failures, []);
}
