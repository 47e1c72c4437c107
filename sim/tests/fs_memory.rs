//! What is not synced takes memory once, however often it is written. Alone in its process, whose memory is measured.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use sim::fs::{self, File};
use sim::simulate;

const SECTOR: u64 = 512;

fn resident() -> u64 {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
    pages.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4096
}

#[test]
fn overwriting_and_renaming_without_a_sync_needs_no_more_memory() {
    let run = simulate(1, |sim| {
        let grown = Rc::new(RefCell::new(None));
        let log = grown.clone();
        sim.node("a", move || {
            let log = log.clone();
            async move {
                let file = File::create("f").await.unwrap();
                file.write_all_at(&[1; 64 * SECTOR as usize], 0).await.unwrap();
                file.sync_all().await.unwrap();
                let mut before = 0;
                for i in 0..100_000u64 {
                    if i == 10_000 {
                        before = resident();
                    }
                    file.write_at(&i.to_le_bytes(), i * 8 % (64 * SECTOR)).await.unwrap();
                    if i % 10 == 0 {
                        fs::write("new", &[2; 100]).await.unwrap();
                        fs::rename("new", "name").await.unwrap();
                        // Names that come and go.
                        let other = format!("other-{i}");
                        fs::write(&other, &[3; 100]).await.unwrap();
                        fs::remove_file(&other).await.unwrap();
                    }
                }
                *log.borrow_mut() = Some(resident().saturating_sub(before));
            }
        });
        sim.livelock_after(u32::MAX);
        sim.run_for(Duration::from_secs(600));
        grown.take()
    });
    let run = run.unwrap();
    assert_eq!(run.failures, []);
    let grown = run.value.expect("it ends");
    assert!(grown < 4 << 20, "{grown} bytes more");
}
