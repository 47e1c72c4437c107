//! What a full disk refuses, and what it does not; and what a sync that fails leaves of what came after it.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use sim::fault::Fault;
use sim::fs::{self, DiskConfig, DiskPatch, File};
use sim::{Latency, NodeId, Sim, Size, Time, simulate, task, time};

const NODE: NodeId = NodeId::new(0);

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// Runs a node whose syncs take 10 ms, and the host beside it. Returns what the node did.
fn run<T: Send + 'static>(seed: u64, main: impl AsyncFn() -> T + Copy + Send + 'static, host: fn(&Sim)) -> T {
    let run = simulate(seed, move |sim| {
        sim.disks(DiskConfig { sync: Latency::Constant(Time::new(ms(10))), ..DiskConfig::default() });
        let found = Rc::new(RefCell::new(None));
        let log = found.clone();
        sim.node("a", move || {
            let log = log.clone();
            async move {
                let value = main().await;
                *log.borrow_mut() = Some(value);
            }
        });
        host(sim);
        sim.run_for(ms(1_000));
        found.take()
    });
    let run = run.unwrap();
    assert_eq!(run.failures, []);
    run.value.expect("it ends")
}

#[test]
fn a_full_disk_refuses_what_takes_another_sector_and_nothing_else() {
    let main = async || {
        let old = File::create("old").await.unwrap();
        old.write_all_at(&[1; 2048], 0).await.unwrap();
        let file = File::create("f").await.unwrap();
        file.write_all_at(&[1; 700], 0).await.unwrap();
        file.sync_all().await.unwrap();
        fs::sync_dir("").await.unwrap();
        time::sleep(ms(100)).await;
        let full = |error: std::io::Error| assert_eq!(error.raw_os_error(), Some(libc::ENOSPC));
        // It is full now.
        assert_eq!(file.write_at(&[2; 700], 0).await.unwrap(), 700, "over what is there");
        file.append(&[2; 24]).await.unwrap();
        assert_eq!(file.write_at(&[2; 1000], 724).await.unwrap(), 300, "as far as the sector goes");
        full(file.append(&[2]).await.unwrap_err());
        full(file.set_len(1025).await.unwrap_err());
        let new = File::create("new").await.unwrap();
        full(new.append(&[3]).await.unwrap_err());
        fs::rename("new", "other").await.unwrap();
        fs::create_dir("d").await.unwrap();
        file.sync_all().await.unwrap();
        // A removal gives space back when it is durable and nobody has the file open.
        fs::remove_file("old").await.unwrap();
        full(new.append(&[3]).await.unwrap_err());
        fs::sync_dir("").await.unwrap();
        full(new.append(&[3]).await.unwrap_err());
        drop(old);
        assert_eq!(new.write_at(&[3; 4096], 0).await.unwrap(), 2048);
        // So does a cut.
        file.set_len(100).await.unwrap();
        full(new.append(&[3]).await.unwrap_err());
        file.sync_all().await.unwrap();
        new.append(&[3]).await.unwrap();
    };
    run(1, main, |sim| {
        sim.run_for(ms(50));
        std::mem::forget(sim.inject(Fault::DiskFull { nodes: vec![NODE], free: Size::default() }));
    });
}

#[test]
fn what_is_written_while_a_sync_fails_is_made_durable_by_the_next() {
    let main = async || {
        let file = fs::OpenOptions::new().read(true).write(true).create(true).open("f").await.unwrap();
        file.write_all_at(&[1; 100], 0).await.unwrap();
        file.sync_all().await.unwrap();
        time::sleep(ms(100)).await;
        file.append(&[2; 100]).await.unwrap();
        let syncing = task::spawn({
            let file = file.clone();
            async move { file.sync_all().await.is_err() }
        });
        time::sleep(ms(5)).await;
        file.write_all_at(&[3; 10], 150).await.unwrap();
        assert!(syncing.await.unwrap());
        let mut found = [0; 10];
        file.read_exact_at(&mut found, 150).await.unwrap();
        assert_eq!(found, [3; 10]);
        // The next sync covers it, and succeeds.
        time::sleep(ms(100)).await;
        file.sync_all().await.unwrap();
        fs::sync_dir("").await.unwrap();
    };
    for seed in 0..100 {
        run(seed, main, |sim| {
            sim.run_for(ms(50));
            let set = Box::new(DiskPatch { sync_error: Some(1.0), ..DiskPatch::default() });
            let fails = sim.inject(Fault::Disk { nodes: vec![NODE], set });
            sim.run_for(ms(100));
            drop(fails);
            sim.run_for(ms(200));
            assert_eq!(sim.effect("disk.sync_errors"), 1);
            sim.crash(NODE);
            assert_eq!(fs::durable_bytes(NODE, "f", 150, 160), Some(vec![3; 10]));
        });
    }
}
