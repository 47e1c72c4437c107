//! Each command is executed once, however often it is sent.

use sim::{rand, time};

use super::lab::{Lab, Result, assert_detects, assert_holds, ensure, ms, servers};

/// The lab's UnreliableOneKey: the appends of all clients, each once and in its client's order.
fn one_key(lab: &Lab) -> Result<u64> {
    const CLIENTS: usize = 5;
    const APPENDS: usize = 10;
    lab.run(async |handle| handle.put("k", "").await)?;
    let begin = |me: usize| {
        lab.client(async move |handle| {
            for nth in 0..APPENDS {
                handle.append("k", &format!("x {me} {nth} y")).await?;
            }
            Ok::<_, String>(())
        })
    };
    let clients: Vec<_> = (0..CLIENTS).map(begin).collect();
    for client in clients {
        lab.wait(client)??;
    }
    let value = lab.run(async |handle| handle.get("k").await)?;
    for me in 0..CLIENTS {
        let mut last = None;
        for nth in 0..APPENDS {
            let wanted = format!("x {me} {nth} y");
            let places: Vec<_> = value.match_indices(&wanted).map(|(at, _)| at).collect();
            ensure(places.len() == 1, || format!("{wanted:?} is there {} times: {value}", places.len()))?;
            ensure(Some(places[0]) > last, || format!("{wanted:?} is before the one before it: {value}"))?;
            last = Some(places[0]);
        }
    }
    ensure(value.len() == CLIENTS * APPENDS * "x 0 0 y".len(), || format!("something else is there: {value}"))?;
    Ok(lab.sim.effect("net.lost"))
}

#[test]
fn appends_to_one_key_are_executed_once_each_and_in_order() {
    let config = servers(3).unreliable();
    let lost = assert_holds(&config, one_key);
    println!("{lost:?} messages were lost");
    assert!(lost.iter().all(|&lost| lost > 30), "{lost:?} messages were lost");
    for bug in ["rsm.executes-again", "rsm.client-counts-attempts"] {
        assert_detects(bug, &config, one_key);
    }
}

/// The newer lab's versioned puts: clients count by compare-and-swap. How often one swapped, and how often one did not.
fn count_by_swaps(lab: &Lab) -> Result<(u64, u64)> {
    let begin = |_| {
        lab.client(async |handle| {
            let (mut swapped, mut not) = (0, 0);
            let mut seen: Option<String> = None;
            for _ in 0..20 {
                let next = seen.as_deref().map_or(0, |seen| seen.parse::<u64>().unwrap_or(0)) + 1;
                if handle.swap("n", seen.as_deref(), &next.to_string()).await? {
                    swapped += 1;
                    seen = Some(next.to_string());
                } else {
                    not += 1;
                    seen = Some(handle.get("n").await?);
                }
                time::sleep(rand::duration(ms(0), ms(20))).await;
            }
            Ok::<_, String>((swapped, not))
        })
    };
    let clients: Vec<_> = (0..5).map(begin).collect();
    let (mut swapped, mut not) = (0, 0);
    for client in clients {
        let (of_swapped, of_not) = lab.wait(client)??;
        (swapped, not) = (swapped + of_swapped, not + of_not);
    }
    let count = lab.run(async |handle| handle.get("n").await)?;
    ensure(count == swapped.to_string(), || format!("{swapped} swapped, and the count is {count}"))?;
    Ok((swapped, not))
}

#[test]
fn as_many_swaps_succeed_as_the_value_says() {
    for config in [servers(3), servers(3).unreliable()] {
        for (swapped, not) in assert_holds(&config, count_by_swaps) {
            println!("{swapped} swapped, {not} did not");
            assert!(swapped >= 10 && not >= 10, "{swapped} swapped, {not} did not");
        }
    }
    assert_detects("rsm.replies-anew", &servers(3).unreliable(), count_by_swaps);
    assert_detects("kv.swap-in-two-steps", &servers(3), count_by_swaps);
}
