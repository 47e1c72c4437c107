//! How long operations take one after another: neither the log nor a read waits for a heartbeat.

use std::time::Duration;

use sim::time;

use super::lab::{Lab, LabConfig, Result, assert_holds, servers};

const MANY: u32 = 1_000;
/// The lab's limit: three in the time of a heartbeat.
const LIMIT: Duration = Duration::from_micros(33_300);

/// The lab's SpeedTest. How long an append took, and a get, on average.
fn one_after_another(lab: &Lab) -> Result<(Duration, Duration)> {
    lab.leader()?;
    lab.run(async |handle| {
        // It gets to know the leader, and has a session.
        handle.put("x", "").await?;
        let began = time::now();
        let mut expected = String::new();
        for nth in 0..MANY {
            let value = format!("x 0 {nth} y");
            handle.append("x", &value).await?;
            expected += &value;
        }
        let appends = began.elapsed();
        handle.expect("x", &expected).await?;
        let began = time::now();
        for _ in 0..MANY / 10 {
            handle.get("x").await?;
        }
        Ok((appends / MANY, began.elapsed() / (MANY / 10)))
    })
}

fn shows_speed(config: &LabConfig) {
    for (append, get) in assert_holds(config, one_after_another) {
        println!("an append takes {append:?}, a get {get:?}");
        // A round trip of a client's and one of a server's, and a write to the disk: so far below the limit that none of the
        // thousand can have waited for a heartbeat more often than now and then.
        assert!(append <= LIMIT / 10, "an append takes {append:?}");
        assert!(get <= LIMIT / 10, "a get takes {get:?}");
    }
}

#[test]
fn appends_do_not_wait_for_heartbeats() {
    shows_speed(&servers(3));
}

#[test]
fn nor_with_snapshots() {
    shows_speed(&servers(3).limit(1_000));
}
