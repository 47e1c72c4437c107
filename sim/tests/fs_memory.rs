//! What is not synced takes memory once, however often it is written. Alone in its process, whose memory is measured.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use sim::fs::{self, File};
use sim::simulate;

const SECTOR: u64 = 512;
const WRITES: u64 = 100_000;

fn resident() -> u64 {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
    pages.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4096
}

#[test]
fn overwriting_and_renaming_without_a_sync_needs_no_more_memory() {
    let run = simulate(1, |sim| {
        let done = Rc::new(Cell::new(0));
        let count = done.clone();
        sim.node("a", move || {
            let count = count.clone();
            async move {
                let file = File::create("f").await.unwrap();
                file.write_all_at(&[1; 64 * SECTOR as usize], 0).await.unwrap();
                file.sync_all().await.unwrap();
                for i in 0..WRITES {
                    file.write_at(&i.to_le_bytes(), i * 8 % (64 * SECTOR)).await.unwrap();
                    if i % 10 == 0 {
                        fs::write("new", &[2; 100]).await.unwrap();
                        fs::rename("new", "name").await.unwrap();
                        // Names that come and go.
                        let other = format!("other-{i}");
                        fs::write(&other, &[3; 100]).await.unwrap();
                        fs::remove_file(&other).await.unwrap();
                    }
                    count.set(i + 1);
                }
            }
        });
        sim.livelock_after(u32::MAX);
        let mut before = None;
        while done.get() < WRITES {
            sim.run_for(Duration::from_millis(10));
            if done.get() >= WRITES / 10 {
                before.get_or_insert_with(resident);
            }
        }
        resident().saturating_sub(before.unwrap())
    });
    let run = run.unwrap();
    assert_eq!(run.failures, []);
    assert!(run.value < 4 << 20, "{} bytes more", run.value);
}
