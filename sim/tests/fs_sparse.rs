//! A hole takes no memory. Alone in its process, whose memory is measured.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use sim::fs::{File, OpenOptions};
use sim::simulate;

fn resident() -> u64 {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
    pages.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4096
}

#[test]
fn holes_take_no_memory() {
    let run = simulate(1, |sim| {
        let (before, done) = (resident(), Rc::new(Cell::new(false)));
        let end = done.clone();
        let node = sim.node("a", move || {
            let done = end.clone();
            async move {
                let ahead = File::create("ahead").await.unwrap();
                ahead.write_all_at(&[1; 1000], 0).await.unwrap();
                ahead.set_len(1 << 30).await.unwrap();
                ahead.sync_all().await.unwrap();
                let far = OpenOptions::new().read(true).write(true).create(true).open("far").await.unwrap();
                far.write_all_at(b"end", (1 << 30) - 3).await.unwrap();
                far.sync_all().await.unwrap();
                let mut end = [1; 5];
                far.read_exact_at(&mut end, (1 << 30) - 5).await.unwrap();
                assert_eq!(&end, b"\0\0end");
                assert_eq!(far.set_len((1 << 30) + 1).await.unwrap_err().raw_os_error(), Some(libc::EFBIG));
                done.set(true);
            }
        });
        sim.run_for(Duration::from_secs(1));
        assert!(done.get());
        let grown = resident().saturating_sub(before);
        sim.crash(node);
        grown
    });
    let run = run.unwrap();
    assert_eq!(run.failures, []);
    assert!(run.value < 16 << 20, "{} bytes more", run.value);
}
