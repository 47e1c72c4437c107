//! A lock made of compare-and-swap: nobody holds it while another does.

use sim::time;

use super::handle::ClientHandle;
use super::lab::{Lab, LabConfig, Result, assert_detects, assert_holds, ensure, ms, servers};

const LOCK: &str = "lock";
/// What its holder writes, and finds again.
const WITNESS: &str = "l0";

/// How often one had to try before one held it.
async fn acquire(handle: &mut ClientHandle, me: &str) -> Result<u64> {
    let mut tries = 1;
    while !handle.swap(LOCK, None, me).await? {
        tries += 1;
        time::sleep(ms(20)).await;
    }
    Ok(tries)
}

async fn release(handle: &mut ClientHandle) -> Result {
    ensure(handle.delete(LOCK).await?, || "the lock of its holder is gone".to_owned())
}

async fn holds_it(handle: &mut ClientHandle, me: u64, times: u64) -> Result<u64> {
    let me = format!("client {me}");
    let mut tries = 0;
    for _ in 0..times {
        tries += acquire(handle, &me).await?;
        handle.expect(WITNESS, "").await?;
        handle.put(WITNESS, &me).await?;
        time::sleep(ms(10)).await;
        handle.expect(WITNESS, &me).await?;
        handle.put(WITNESS, "").await?;
        release(handle).await?;
    }
    Ok(tries)
}

/// The newer lab's lock tests. How often the lock was tried, beyond the times that it was held.
fn mutual_exclusion(lab: &Lab, clients: u64) -> Result<u64> {
    const TIMES: u64 = 10;
    let jobs: Vec<_> =
        (0..clients).map(|me| lab.client(async move |handle| holds_it(handle, me, TIMES).await)).collect();
    let mut tries = 0;
    for job in jobs {
        tries += lab.wait(job)??;
    }
    Ok(tries - TIMES * clients)
}

fn shows_mutual_exclusion(config: &LabConfig) {
    let in_vain = assert_holds(config, |lab| mutual_exclusion(lab, 1));
    assert_eq!(in_vain, [0; 3], "one client alone waits for nobody");
    let in_vain = assert_holds(config, |lab| mutual_exclusion(lab, 5));
    println!("{in_vain:?} attempts to get the lock were in vain");
    assert!(in_vain.iter().all(|&in_vain| in_vain > 20), "{in_vain:?}");
}

#[test]
fn one_holds_the_lock_at_a_time() {
    shows_mutual_exclusion(&servers(3));
}

#[test]
fn also_over_an_unreliable_network() {
    shows_mutual_exclusion(&servers(3).unreliable());
    assert_detects("rsm.executes-again", &servers(3).unreliable(), |lab| mutual_exclusion(lab, 5));
}
