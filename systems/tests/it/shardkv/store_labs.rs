//! The behaviours of the classic lab "sharded key/value service", by their names there: data and sessions follow the shards.

use std::collections::BTreeMap;
use std::time::Duration;

use sim::fault::{Fault, InFlight};
use sim::net::LinkConfig;
use sim::{Job, rand, time};
use systems::kv::store;
use systems::rsm::Patience;
use systems::shardkv::client::Clerk;
use systems::shardkv::controller::{Change, Query};
use systems::shardkv::group::{Command, NotServed, Reply};
use systems::shardkv::{Gid, Params, server, shard_of};

use super::lab::*;

const KEYS: usize = 10;

/// A log that is cut short after so many bytes.
fn with_snapshots(groups: Gid, snapshot_bytes: usize) -> Params {
    Params { snapshot_bytes, ..params(groups) }
}

/// How many of these keys are answered within two seconds.
fn answered(lab: &Lab, keys: usize) -> usize {
    let jobs: Vec<Job<Option<String>>> =
        (0..keys).map(|i| lab.client(async move |clerk| get(clerk, &key(i)).await)).collect();
    lab.sim.run_for(ms(2_000));
    jobs.iter().filter(|job| job.peek(|value| *value == Some(String::new())) == Some(false)).count()
}

/// How many of these keys belong to the group by the latest configuration.
fn owned(lab: &Lab, keys: usize, gid: Gid) -> Option<usize> {
    let latest = lab.latest()?;
    Some((0..keys).filter(|i| latest.owner(shard_of(&key(*i), lab.params.shards)) == Some(gid)).count())
}

#[test]
fn static_shards() {
    assert_holds(LinkConfig::default(), &params(2), &Some((true, vec![])), |lab| {
        lab.join(&[2])?;
        lab.settle()?;
        lab.put_all(KEYS)?;
        lab.crash_group(1);
        let served = answered(lab, KEYS) == owned(lab, KEYS, 2)?;
        lab.boot_group(1);
        Some((served, lab.wrong(KEYS)?))
    });
}

/// A client that asks a group for shards that it does not own, with all that it needs to write there.
fn rejection(lab: &mut Lab) -> Option<bool> {
    lab.join(&[2])?;
    lab.settle()?;
    let latest = lab.latest()?;
    let job = lab.start(async move |params| {
        let mut right = true;
        for shard in 0..params.shards {
            for gid in [1, 2] {
                let mut group = server::group_client(&params, gid).expect("it was started");
                let opened = group.command(Command::Open(shard), time::now() + PATIENCE).await;
                let refused = matches!(opened, Ok(Reply::NotServed(NotServed::WrongGroup(2))));
                right &= refused != (latest.owner(shard) == Some(gid));
            }
        }
        right
    });
    lab.wait(job, PATIENCE)
}

#[test]
fn servers_reject_shards_that_they_do_not_own() {
    assert_holds(LinkConfig::default(), &params(2), &Some(true), rejection);
}

#[test]
fn join_leave() {
    for network in [LinkConfig::default(), unreliable()] {
        assert_holds(network, &params(2), &Some((vec![], vec![])), |lab| {
            lab.put_all(KEYS)?;
            lab.join(&[2])?;
            let joined = lab.wrong(KEYS)?;
            lab.leave(&[1])?;
            lab.settle()?;
            lab.crash_group(1);
            Some((joined, lab.wrong(KEYS)?))
        });
    }
}

#[test]
fn snapshots_and_restarts_of_all_groups() {
    assert_holds(LinkConfig::default(), &with_snapshots(3, 1_000), &Some((vec![], true)), |lab| {
        lab.put_all(30)?;
        lab.join(&[2, 3])?;
        lab.put_all(30)?;
        lab.leave(&[1])?;
        lab.put_all(30)?;
        lab.join(&[1])?;
        lab.settle()?;
        // The course allows a log of eight times the limit; ours is the limit, or the size of a snapshot, and one more entry.
        let sizes = lab.replicas.borrow().values().map(|replica| replica.raft().size()).collect::<Vec<_>>();
        let small = sizes.iter().all(|(log, snapshot)| *log <= 8 * 1_000.max(*snapshot));
        for gid in 1..=3 {
            lab.crash_group(gid);
        }
        for gid in 1..=3 {
            lab.boot_group(gid);
        }
        Some((lab.wrong(30)?, small))
    });
}

#[test]
fn a_server_that_missed_changes_adopts_them_one_by_one() {
    assert_holds(LinkConfig::default(), &with_snapshots(3, 1_000), &Some((vec![], vec![], vec![])), |lab| {
        lab.put_all(KEYS)?;
        lab.join(&[2])?;
        lab.settle()?;
        let away = [1, 2, 3].map(|gid| lab.group(gid)[0]);
        away.iter().for_each(|node| lab.sim.crash(*node));
        lab.join(&[3])?;
        lab.leave(&[1])?;
        lab.leave(&[2])?;
        lab.join(&[1])?;
        let without = lab.wrong(KEYS)?;
        away.iter().for_each(|node| lab.sim.boot(*node));
        // Now others are away, and those that missed it all are needed.
        [1, 2, 3].map(|gid| lab.group(gid)[1]).iter().for_each(|node| lab.sim.crash(*node));
        let with = lab.wrong(KEYS)?;
        lab.put_all(KEYS)?;
        lab.leave(&[3])?;
        Some((without, with, lab.wrong(KEYS)?))
    });
}

/// Appends to each key in turn until it is told to stop. How often it appended to each.
async fn append_all(clerk: &mut Clerk, client: usize, keys: usize, until: time::Instant) -> Option<Vec<usize>> {
    let mut appended = vec![0; keys];
    while time::now() < until {
        for (i, count) in appended.iter_mut().enumerate() {
            append(clerk, &key(i), &format!("{client}.{count};")).await?;
            *count += 1;
        }
        time::sleep(ms(10)).await;
    }
    Some(appended)
}

/// Whether a value has each append of each client once, and each client's in their order.
fn in_order(value: &str, appended: &BTreeMap<usize, usize>) -> bool {
    let mut next: BTreeMap<usize, usize> = BTreeMap::new();
    for part in value.split_terminator(';') {
        let Some((client, number)) = part.split_once('.') else { return false };
        let (Ok(client), Ok(number)) = (client.parse(), number.parse::<usize>()) else { return false };
        if *next.entry(client).or_default() != number {
            return false;
        }
        *next.entry(client).or_default() += 1;
    }
    appended.iter().all(|(client, count)| next.get(client).copied().unwrap_or(0) == *count)
}

/// Clients append while `changes` goes on. Whether all appends are there, once and in order.
fn appends_during(lab: &mut Lab, seconds: u64, mut changes: impl FnMut(&Lab) -> Option<()>) -> Option<bool> {
    const CLIENTS: usize = 3;
    let until = Duration::from_nanos(lab.sim.now_ns()) + Duration::from_secs(seconds);
    let jobs: Vec<_> = (0..CLIENTS)
        .map(|client| {
            lab.client(async move |clerk| {
                let left = until.saturating_sub(Duration::from_nanos(time::now().as_nanos()));
                append_all(clerk, client, KEYS, time::now() + left).await
            })
        })
        .collect();
    while Duration::from_nanos(lab.sim.now_ns()) < until {
        changes(lab)?;
    }
    let mut appended: Vec<BTreeMap<usize, usize>> = vec![BTreeMap::new(); KEYS];
    for (client, job) in jobs.into_iter().enumerate() {
        for (i, count) in lab.wait(job, PATIENCE)??.into_iter().enumerate() {
            appended[i].insert(client, count);
        }
    }
    let values = lab.client(async |clerk| {
        let mut values = Vec::new();
        for i in 0..KEYS {
            values.push(get(clerk, &key(i)).await?);
        }
        Some(values)
    });
    let values = lab.wait(values, PATIENCE)??;
    Some(values.iter().zip(&appended).all(|(value, appended)| in_order(value, appended)))
}

/// One change after another, each with a pause.
fn comings_and_goings(lab: &Lab, pause: u64) -> Option<()> {
    for change in [joining(&[2]), joining(&[3]), leaving(&[1]), leaving(&[2]), joining(&[1]), leaving(&[3])] {
        lab.change(change)?;
        lab.sim.run_for(ms(pause));
    }
    Some(())
}

#[test]
fn appends_during_changes_and_restarts_of_all_groups() {
    for (network, bytes) in [(LinkConfig::default(), 100), (LinkConfig::default(), 0), (unreliable(), 100)] {
        assert_holds(network, &with_snapshots(3, bytes), &Some(true), |lab| {
            appends_during(lab, 6, |lab| {
                comings_and_goings(lab, 300)?;
                (1..=3).for_each(|gid| lab.crash_group(gid));
                lab.sim.run_for(ms(100));
                (1..=3).for_each(|gid| lab.boot_group(gid));
                Some(())
            })
        });
    }
}

#[test]
fn an_append_that_was_executed_before_a_move_is_not_executed_after_it() {
    let experiment = |lab: &mut Lab| {
        let jitter = LinkConfig { loss: 0.2, ..LinkConfig::default() };
        lab.sim.network(jitter);
        appends_during(lab, 5, |lab| comings_and_goings(lab, 50))
    };
    assert_holds(LinkConfig::default(), &params(3), &Some(true), experiment);
    for bug in ["shardkv.new-session-elsewhere", "shardkv.sessions-not-moved"] {
        assert_detects(bug, LinkConfig::default(), &params(3), &Some(true), experiment);
    }
}

#[test]
fn challenge_1_what_is_handed_over_is_deleted() {
    const VALUE: usize = 1_000;
    /// Bytes of live state and log entries of all servers.
    fn stored(lab: &mut Lab) -> Option<usize> {
        const N: usize = 30;
        let put_all = |lab: &Lab| {
            let script = async |clerk: &mut Clerk| {
                for i in 0..N {
                    put(clerk, &key(i), &"v".repeat(VALUE)).await?;
                }
                Some(())
            };
            lab.wait(lab.client(script), PATIENCE)?
        };
        put_all(lab)?;
        lab.join(&[2])?;
        lab.join(&[3])?;
        lab.settle()?;
        for _ in 0..2 {
            lab.leave(&[1])?;
            lab.settle()?;
            lab.leave(&[3])?;
            lab.settle()?;
            lab.join(&[1, 3])?;
            lab.settle()?;
            lab.leave(&[2])?;
            lab.settle()?;
            lab.join(&[2])?;
            lab.settle()?;
        }
        lab.sim.run_for(ms(1_000));
        let replicas = lab.replicas.borrow();
        let sizes = replicas.values().map(|replica| {
            let (log, _) = replica.raft().size();
            log + replica.peek(|state| state.state().bytes())
        });
        Some(sizes.sum())
    }
    // Three replicas of thirty keys, of which three may be there twice, and 6000 bytes for each replica: the course's limit.
    let limit = 3 * ((30 - 3) * VALUE + 2 * 3 * VALUE + 6_000);
    for seed in SEEDS {
        // As the course's limit of one byte: a snapshot after each entry.
        let params = Params { expansion_percent: 0, ..with_snapshots(3, 1) };
        let run = run(seed, None, LinkConfig::default(), &params, stored);
        assert_eq!(run.failures, []);
        let stored = run.value.expect("all moves end");
        assert!(stored <= limit, "{stored} bytes, and the limit is {limit}");
        println!("seed {seed}: {stored} of {limit} bytes");
    }
}

#[test]
fn challenge_2_shards_that_do_not_move_are_served() {
    // The first group is down when it leaves: what the second owns already goes on.
    assert_holds(unreliable(), &with_snapshots(2, 100), &Some((true, vec![])), |lab| {
        lab.join(&[2])?;
        lab.settle()?;
        lab.put_all(KEYS)?;
        let before = owned(lab, KEYS, 2)?;
        lab.crash_group(1);
        lab.leave(&[1])?;
        lab.sim.run_for(ms(1_000));
        let served = answered(lab, KEYS) >= before * 9 / 10 && owned(lab, KEYS, 2)? == KEYS;
        lab.boot_group(1);
        Some((served, lab.wrong(KEYS)?))
    });
}

#[test]
fn challenge_2_shards_are_served_as_soon_as_they_arrive() {
    // The first group is down and the third one leaves: what the second gets of the third is served.
    assert_holds(LinkConfig::default(), &with_snapshots(3, 100), &Some(true), |lab| {
        lab.join(&[2, 3])?;
        lab.settle()?;
        lab.put_all(30)?;
        let (first, all) = (owned(lab, 30, 1)?, 30);
        lab.crash_group(1);
        lab.leave(&[3])?;
        lab.sim.run_for(ms(1_500));
        // Some of the third group's shards were assigned to the first, which is down and cannot take them.
        let to_first = owned(lab, 30, 1)? - first;
        Some(answered(lab, 30) == all - first - to_first)
    });
}

#[test]
fn many_groups_join_and_leave() {
    let many = Params { shards: 12, ..params(8) };
    for network in [LinkConfig::default(), unreliable()] {
        assert_holds(network, &many, &Some((vec![], vec![])), |lab| {
            lab.put_all(24)?;
            lab.join(&[2, 3, 4, 5, 6, 7, 8])?;
            let joined = lab.wrong(24)?;
            lab.leave(&[1, 2, 3])?;
            lab.leave(&[4, 5, 6])?;
            lab.leave(&[7])?;
            lab.settle()?;
            (1..8).for_each(|gid| lab.crash_group(gid));
            Some((joined, lab.wrong(24)?))
        });
    }
}

#[test]
fn progress_during_joins_and_leaves() {
    // Gets of shards that stay with the first group, in four seconds of changes.
    for seed in SEEDS {
        let run = run(seed, None, LinkConfig::default(), &params(3), |lab| {
            lab.put_all(KEYS)?;
            let reader = lab.client(async |clerk| {
                let (mut gets, until) = (0, time::now() + Duration::from_secs(4));
                while time::now() < until {
                    get(clerk, &key(0)).await?;
                    gets += 1;
                    time::sleep(ms(10)).await;
                }
                Some(gets)
            });
            let shard = shard_of(&key(0), 10);
            for _ in 0..4 {
                lab.join(&[2])?;
                // It may have moved with its group's share.
                if lab.owner(&key(0))? != 1 {
                    lab.change(Change::Move(shard, 1))?;
                }
                lab.sim.run_for(ms(300));
                lab.leave(&[2])?;
                lab.sim.run_for(ms(300));
            }
            lab.wait(reader, PATIENCE)?
        });
        assert_eq!(run.failures, []);
        let gets = run.value.expect("they end");
        assert!(gets >= 100, "{gets} gets in four seconds");
    }
}

#[test]
fn a_join_waits_for_a_group_that_is_down() {
    // The third group joins while the first is down: shards of the first arrive soon after it is back.
    assert_holds(LinkConfig::default(), &params(3), &Some((vec![], true)), |lab| {
        lab.join(&[2])?;
        lab.settle()?;
        lab.put_all(KEYS)?;
        lab.crash_group(1);
        lab.join(&[3])?;
        lab.sim.run_for(ms(1_000));
        lab.boot_group(1);
        lab.sim.run_for(ms(2_000));
        let done = lab.client(async |clerk| {
            let mut wrong = Vec::new();
            for i in 0..KEYS {
                if get(clerk, &key(i)).await? != i.to_string() {
                    wrong.push(i);
                }
            }
            Some(wrong)
        });
        let wrong = lab.wait(done, ms(500))??;
        Some((wrong, lab.settle().is_some()))
    });
}

#[test]
fn an_operator_that_is_cut_off_leaves_nothing_half_done() {
    // Five operators one after another hear no answer: each change is made or not, and the next one finds it so.
    assert_holds(LinkConfig::default(), &params(3), &Some((true, vec![])), |lab| {
        lab.put_all(KEYS)?;
        for round in 0..5 {
            let change = if round % 2 == 0 { joining(&[2, 3]) } else { leaving(&[2, 3]) };
            let job = lab.start(async move |params| configure(&params, change).await);
            let cut = lab.sim.inject(Fault::OneWay {
                from: lab.controller.clone(),
                to: vec![job.node()],
                in_flight: InFlight::Drop,
            });
            lab.sim.run_for(ms(500));
            lab.sim.crash(job.node());
            drop(cut);
            // The next one, which nothing disturbs.
            lab.settle()?;
        }
        let latest = lab.latest()?;
        let history: Option<Vec<_>> = (1..=latest.number).map(|number| lab.config(Query::Numbered(number))).collect();
        let in_order = history?.iter().zip(1..).all(|(config, number)| config.number == number);
        Some((in_order, lab.wrong(KEYS)?))
    });
}

#[test]
fn operators_that_act_at_once_lose_no_update() {
    // Each decides by what it read, and its change is made only if that is still the latest.
    let experiment = |lab: &mut Lab| {
        let jobs: Vec<_> = (0..4_u16)
            .map(|i| {
                lab.start(async move |params| {
                    for _ in 0..5 {
                        loop {
                            let latest = ask(&params, Query::Latest).await?;
                            let change = Change::Weigh(1, latest.groups[&1] + 1);
                            let command =
                                systems::shardkv::controller::Command::Change { change, after: Some(latest.number) };
                            let mut client = server::controller_client(&params);
                            match client.execute(command, time::now() + PATIENCE).await.ok()? {
                                systems::shardkv::controller::Reply::Configured(_) => break,
                                _ => time::sleep(ms(rand::below(20) + u64::from(i))).await,
                            }
                        }
                    }
                    Some(())
                })
            })
            .collect();
        for job in jobs {
            lab.wait(job, PATIENCE)??;
        }
        Some(lab.latest()?.groups[&1])
    };
    assert_holds(LinkConfig::default(), &params(1), &Some(21), experiment);
    assert_holds(unreliable(), &params(1), &Some(21), experiment);
    assert_detects("shardkv.lost-update", LinkConfig::default(), &params(1), &Some(21), experiment);
}

#[test]
fn a_client_whose_session_has_ended_hears_that_the_outcome_is_unknown() {
    let short = Params { session_idle_ms: 100, client_session_ms: 60_000, ..params(1) };
    assert_holds(LinkConfig::default(), &short, &Some((true, "1".to_owned())), |lab| {
        let job = lab.client(async |clerk| {
            append(clerk, "a", "1").await?;
            time::sleep(ms(300)).await;
            // Another client's command makes the log's time advance.
            Some(append(clerk, "a", "2").await.is_none())
        });
        lab.sim.run_for(ms(200));
        let other = lab.client(async |clerk| put(clerk, "b", "1").await);
        lab.wait(other, PATIENCE)??;
        let unknown = lab.wait(job, PATIENCE)??;
        let value = lab.client(async |clerk| get(clerk, "a").await);
        Some((unknown, lab.wait(value, PATIENCE)??))
    });
}

#[test]
fn sessions_move_with_their_shard_and_a_repeated_command_is_answered_there() {
    // The same command of the same session, sent to the old owner and then to the new one.
    assert_holds(LinkConfig::default(), &params(2), &Some((true, "x".to_owned())), |lab| {
        lab.settle()?;
        let first = lab.start(async |params| {
            let mut group = server::group_client(&params, 1).expect("it was started");
            let shard = shard_of("a", params.shards);
            let deadline = time::now() + PATIENCE;
            let Ok(Reply::Opened(session)) = group.command(Command::Open(shard), deadline).await else { return None };
            let command = store::Command::Append("a".to_owned(), "x".to_owned());
            let execute = Command::Execute { session, number: 1, command };
            match group.command(execute.clone(), deadline).await {
                Ok(Reply::Executed(store::Reply::Done)) => Some(execute),
                _ => None,
            }
        });
        let execute = lab.wait(first, PATIENCE)??;
        lab.change(Change::Join(BTreeMap::from([(2, 1)])))?;
        lab.leave(&[1])?;
        lab.settle()?;
        let again = lab.start(async move |params| {
            let mut group = server::group_client(&params, 2).expect("it was started");
            group.command(execute, time::now() + Patience::default().session).await
        });
        let again = lab.wait(again, PATIENCE)?;
        let value = lab.client(async |clerk| get(clerk, "a").await);
        Some((again == Ok(Reply::Executed(store::Reply::Done)), lab.wait(value, PATIENCE)??))
    });
}
