//! What is agreed on: every command that a leader with a quorum takes, in order, and nothing else.

use std::rc::Rc;

use sim::{task, time};
use systems::raft::Index;

use super::lab::{Kind, Lab, assert_detects, assert_holds, servers};
use super::tester::{ELECTION, Result, Servers, ensure, ms};

/// How many of the entries up to there are commands.
fn commands(lab: &Lab, index: Index) -> u64 {
    lab.servers.record.borrow().commands(index)
}

fn is_applied(lab: &Lab, command: &[u8]) -> bool {
    lab.servers.record.borrow().has(command)
}

/// The lab's BasicAgree.
fn three_commands(lab: &Lab) -> Result {
    for nth in 1..=3 {
        let before = commands(lab, Index::MAX);
        ensure(before == nth - 1, || format!("{before} commands were applied before command {nth} was given"))?;
        let index = lab.agree_at_once(lab.servers.len())?;
        ensure(commands(lab, index) == nth, || format!("command {nth} is entry {index}"))?;
        ensure(lab.kind == Kind::Thesis || index == nth, || format!("command {nth} is entry {index}"))?;
    }
    Ok(())
}

#[test]
fn commands_are_applied_by_all_at_consecutive_indexes() {
    assert_holds(&servers(3), three_commands);
    assert_holds(&servers(5), three_commands);
}

/// The lab's FollowerFailure.
fn without_followers(lab: &Lab) -> Result {
    lab.agree_at_once(3)?;
    let leader = lab.leader()?;
    lab.cut((leader + 1) % 3);
    lab.agree_at_once(2)?;
    lab.sleep(ELECTION);
    let last = lab.agree_at_once(2)?;
    ensure(commands(lab, last) == 3, || "not the third command".to_owned())?;
    ensure(lab.leader()? == leader, || "the leader was replaced".to_owned())?;
    lab.cut((leader + 2) % 3);
    let (index, command) = lab.start_at(leader)?;
    ensure(index == last + 1, || format!("the fourth command is entry {index}"))?;
    lab.sleep(2 * ELECTION);
    ensure(!is_applied(lab, &command), || "one server of three committed a command".to_owned())
}

#[test]
fn two_of_three_agree_and_one_does_not() {
    assert_holds(&servers(3), without_followers);
}

/// The lab's LeaderFailure.
fn without_leaders(lab: &Lab) -> Result {
    lab.agree_at_once(3)?;
    lab.cut(lab.leader()?);
    lab.agree_at_once(2)?;
    lab.sleep(ELECTION);
    lab.agree_at_once(2)?;
    lab.cut(lab.leader()?);
    // Whoever takes it, commits it nowhere.
    let (command, _) = lab.start_everywhere()?;
    lab.sleep(2 * ELECTION);
    ensure(!is_applied(lab, &command), || "one server of three committed a command".to_owned())
}

#[test]
fn a_new_leader_commits_and_the_last_server_does_not() {
    assert_holds(&servers(3), without_leaders);
}

/// The lab's FailAgree.
fn a_follower_comes_back(lab: &Lab) -> Result {
    lab.agree_at_once(3)?;
    let leader = lab.leader()?;
    lab.cut((leader + 1) % 3);
    lab.agree_at_once(2)?;
    lab.agree_at_once(2)?;
    lab.sleep(ELECTION);
    lab.agree_at_once(2)?;
    lab.agree_at_once(2)?;
    lab.join((leader + 1) % 3);
    lab.agree(3)?;
    lab.sleep(ELECTION);
    lab.agree(3)?;
    lab.expect_commands(7)
}

#[test]
fn a_follower_that_was_away_catches_up() {
    assert_holds(&servers(3), a_follower_comes_back);
    for bug in ["raft.vote-ignores-last-index", "raft.heartbeat-without-log-check"] {
        assert_detects(bug, &servers(3), a_follower_comes_back);
    }
}

/// The lab's FailNoAgree.
fn too_many_followers_are_away(lab: &Lab) -> Result {
    let first = lab.agree_at_once(5)?;
    let leader = lab.leader()?;
    let away = [1, 2, 3].map(|n| (leader + n) % 5);
    away.iter().for_each(|&server| lab.cut(server));
    let (index, command) = lab.start_at(leader)?;
    ensure(index == first + 1, || format!("the second command is entry {index}"))?;
    lab.sleep(2 * ELECTION);
    ensure(!is_applied(lab, &command), || "two servers of five committed a command".to_owned())?;
    away.iter().for_each(|&server| lab.join(server));
    // The second command is kept, or lost: both are right.
    let next = lab.leader()?;
    let (index, _) = lab.start_at(next)?;
    lab.agree_at_once(5)?;
    let nth = commands(lab, index);
    ensure((2..=3).contains(&nth), || format!("entry {index} is command {nth}"))
}

#[test]
fn two_of_five_do_not_agree_until_the_others_are_back() {
    assert_holds(&servers(5), too_many_followers_are_away);
    assert_detects("raft.acks-unmatched-entries", &servers(5), too_many_followers_are_away);
}

/// The lab's ConcurrentStarts.
fn five_at_a_time(lab: &Lab) -> Result {
    for attempt in 0..5 {
        if attempt > 0 {
            lab.sleep(ms(3_000));
        }
        let leader = lab.leader()?;
        let given = lab.begin(async move |servers: Rc<Servers>| {
            let (_, term) = servers.start(leader, servers.fresh()).await?;
            let jobs: Vec<_> = (0..5)
                .map(|_| {
                    let (servers, command) = (servers.clone(), servers.fresh());
                    task::spawn(async move { (servers.start(leader, command.clone()).await, command) })
                })
                .collect();
            let mut taken = Vec::new();
            for job in jobs {
                let (started, command) = job.await.ok()?;
                let (index, of) = started?;
                (of == term).then(|| taken.push((index, command)))?;
            }
            Some((term, taken))
        });
        let Some((term, taken)) = lab.end(given)? else { continue };
        // An entry of a later term says nothing: another attempt.
        let mut done = 0;
        for (index, command) in &taken {
            match lab.wait(*index, 3, Some(term))? {
                None => break,
                Some(applied) => ensure(applied == *command, || format!("entry {index} is another command"))?,
            }
            done += 1;
        }
        if done == 5 {
            return Ok(());
        }
    }
    Err("the term changed in all five attempts".to_owned())
}

#[test]
fn commands_that_are_given_at_the_same_time_are_all_committed() {
    assert_holds(&servers(3), five_at_a_time);
    assert_detects("raft.match-index-from-next-index", &servers(3), five_at_a_time);
}

/// The lab's Rejoin.
fn an_old_leader_comes_back(lab: &Lab) -> Result {
    lab.agree(3)?;
    let first = lab.leader()?;
    lab.cut(first);
    let lost = [lab.start_at(first)?, lab.start_at(first)?, lab.start_at(first)?];
    lab.agree(2)?;
    let second = lab.leader()?;
    lab.cut(second);
    lab.join(first);
    lab.agree(2)?;
    lab.join(second);
    lab.agree(3)?;
    for (_, command) in &lost {
        ensure(!is_applied(lab, command), || "a command of the old leader's was committed".to_owned())?;
    }
    lab.expect_commands(4)
}

#[test]
fn what_an_old_leader_took_alone_is_overwritten() {
    assert_holds(&servers(3), an_old_leader_comes_back);
    for bug in ["raft.stale-leader-accepted", "raft.vote-ignores-last-term", "raft.heartbeat-without-log-check"] {
        assert_detects(bug, &servers(3), an_old_leader_comes_back);
    }
}

/// The lab's UnreliableAgree.
fn many_at_a_time_over_an_unreliable_network(lab: &Lab) -> Result {
    const ROUNDS: u64 = 49;
    lab.unreliable();
    let job = lab.begin(async |servers: Rc<Servers>| {
        let mut jobs = Vec::new();
        for _ in 0..ROUNDS {
            for _ in 0..4 {
                let servers = servers.clone();
                jobs.push(task::spawn(async move { servers.agree(1).await }));
            }
            servers.agree(1).await?;
        }
        for job in jobs {
            job.await.map_err(|error| error.to_string())??;
        }
        Ok::<(), String>(())
    });
    lab.end(job)??;
    lab.reliable();
    lab.agree(5)?;
    lab.expect_commands(5 * ROUNDS + 1)?;
    ensure(lab.sim.effect("net.lost") > 0, || "no message was lost".to_owned())
}

#[test]
fn everybody_agrees_over_an_unreliable_network() {
    assert_holds(&servers(5), many_at_a_time_over_an_unreliable_network);
    for bug in ["raft.late-append-truncates", "raft.match-index-from-next-index"] {
        assert_detects(bug, &servers(5), many_at_a_time_over_an_unreliable_network);
    }
}

/// The lab's Backup: twice, a minority with its leader goes on for fifty commands that are lost.
fn long_divergent_logs(lab: &Lab) -> Result<u64> {
    const MANY: u64 = 50;
    lab.agree(5)?;
    let first = lab.leader()?;
    let after = |n: usize| (first + n) % 5;
    [2, 3, 4].iter().for_each(|&n| lab.cut(after(n)));
    for _ in 0..MANY {
        lab.start_at(first)?;
    }
    lab.sleep(ELECTION / 2);
    [0, 1].iter().for_each(|&n| lab.cut(after(n)));
    [2, 3, 4].iter().for_each(|&n| lab.join(after(n)));
    for _ in 0..MANY {
        lab.agree(3)?;
    }
    let second = lab.leader()?;
    let other = if second == after(2) { (second + 1) % 5 } else { after(2) };
    lab.cut(other);
    for _ in 0..MANY {
        lab.start_at(second)?;
    }
    lab.sleep(ELECTION / 2);
    (0..5).for_each(|server| lab.cut(server));
    [first, after(1), other].iter().for_each(|&server| lab.join(server));
    let messages = || [first, after(1), other].iter().map(|&of| Ok(lab.status(of)?.messages)).sum::<Result<u64>>();
    let (began, before) = (lab.now(), messages()?);
    lab.agree(3)?;
    // Ten heartbeats a second to each of four, of whom two answer.
    let heartbeats = (lab.now() - began).as_millis() as u64 * (4 + 2) / 100;
    let sent = (messages()? - before).saturating_sub(heartbeats);
    for _ in 0..MANY {
        lab.agree(3)?;
    }
    (0..5).for_each(|server| lab.join(server));
    lab.agree(5)?;
    lab.expect_commands(2 * MANY + 3)?;
    Ok(sent)
}

#[test]
fn long_divergent_logs_are_repaired_fast() {
    // The lab gives each agreement ten seconds, which is no limit where a round trip takes a millisecond. A leader that goes
    // back one entry at a time sends fifty messages to each of two followers, and gets as many answers; elections are in the
    // number, too.
    let messages = assert_holds(&servers(5), long_divergent_logs);
    println!("{messages:?} messages until the first agreement, besides heartbeats");
    assert!(messages.iter().all(|&messages| messages <= 60), "{messages:?} messages");
    for bug in ["raft.vote-ignores-last-term", "raft.stale-leader-accepted"] {
        assert_detects(bug, &servers(5), long_divergent_logs);
    }
}

/// Time passes on the tester's machine, too: a limit that is never reached would be none.
#[test]
fn an_agreement_without_a_quorum_is_given_up_after_ten_seconds() {
    let given_up = assert_holds(&servers(3), |lab| {
        let leader = lab.leader()?;
        lab.cut((leader + 1) % 3);
        lab.cut((leader + 2) % 3);
        let job = lab.begin(async |servers: Rc<Servers>| {
            let began = time::now();
            (servers.agree(2).await, began.elapsed())
        });
        lab.end(job)
    });
    for (agreed, took) in given_up {
        assert_eq!(agreed.map_err(|error| error.contains("did not agree")), Err(true));
        assert!((10_000..=12_100).contains(&took.as_millis()), "{took:?}");
    }
}
