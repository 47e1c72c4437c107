//! What the leader of a group does besides answering clients: it adopts configurations, hands over the shards that its group
//! gives up, and reports the group's load.
//!
//! Nothing here decides anything: each step is a command, which is judged where it is applied. So a leader may stop anywhere, two may
//! act at once, and a step may be repeated.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use sim::task::{self, JoinHandle};
use sim::{buggify, planted, rand, time};

use super::controller::{self, Controller};
use super::group::{self, Answer, Group, LOAD, Progress, Query, Reply};
use super::load::Report;
use super::shard::Cursor;
use super::system::Params;
use super::{Gid, ShardId, server};
use crate::rsm::{self, Outcome, Replica, Request};

/// How long one step may take before it is begun again.
const STEP: Duration = Duration::from_secs(2);

/// Adopts configurations and hands shards over, whenever this replica leads.
pub(super) async fn move_shards(params: Rc<Params>, replica: Replica<Group>) {
    let mut leadership = replica.leadership();
    while let Ok(term) = leadership.gained().await {
        leadership.hold(term, follow(&params, &replica)).await;
    }
}

/// Reports the load, whenever this replica leads. What it applies as a follower is counted by the leader, so the report of one that is
/// not the leader any more must not be sent.
pub(super) async fn report_load(params: Rc<Params>, gid: Gid, replica: Replica<Group>) {
    let mut leadership = replica.leadership();
    while let Ok(term) = leadership.gained().await {
        leadership.hold(term, report(&params, gid, &replica)).await;
    }
}

/// Tasks that end with their owner.
struct Tasks(Vec<JoinHandle<()>>);

impl Drop for Tasks {
    fn drop(&mut self) {
        self.0.iter().for_each(JoinHandle::abort);
    }
}

/// Adopts one configuration after another, and hands over what each takes away.
async fn follow(params: &Rc<Params>, replica: &Replica<Group>) {
    let mut controller = server::controller_client(params);
    loop {
        let leaving = replica.peek(|state| state.state().leaving());
        if leaving.is_empty() {
            if !adopt_next(&mut controller, replica).await {
                time::sleep(params.poll()).await;
            }
        } else {
            hand_over_all(params, replica, leaving).await;
            if !replica.peek(|state| state.state().leaving()).is_empty() {
                time::sleep(params.poll()).await;
            }
        }
    }
}

/// Proposes the next configuration, if there is one. Whether the group has adopted it.
async fn adopt_next(controller: &mut rsm::Client<Controller>, replica: &Replica<Group>) -> bool {
    let (number, is_settled) = replica.peek(|state| (state.state().config().number, state.state().is_settled()));
    if !is_settled && !planted!("shardkv.adopted-in-the-middle") {
        return false;
    }
    let query = match planted!("shardkv.configuration-skipped") {
        true => controller::Query::Latest,
        false => controller::Query::Numbered(number + 1),
    };
    match controller.query(query, time::now() + STEP).await {
        Ok(controller::Answer::Config(Some(config))) if config.number > number => {
            submit(replica, group::Command::Adopt(config)).await;
            replica.peek(|state| state.state().config().number) > number
        }
        _ => false,
    }
}

async fn submit(replica: &Replica<Group>, command: group::Command) -> Option<Reply> {
    match replica.submit(Request::Command(command)).await {
        Ok(Outcome::Executed(reply)) => Some(reply),
        _ => None,
    }
}

/// How many shards are handed over to one group at once.
const LANES: usize = 4;

/// Hands all these shards over: to several groups at once, and to each group a few shards at once.
async fn hand_over_all(params: &Rc<Params>, replica: &Replica<Group>, leaving: Vec<(ShardId, Gid)>) {
    let config = replica.peek(|state| state.state().config().number);
    let mut lanes: BTreeMap<(Gid, usize), Vec<ShardId>> = BTreeMap::new();
    for (nth, (shard, to)) in leaving.into_iter().enumerate() {
        lanes.entry((to, nth % LANES)).or_default().push(shard);
    }
    let mut tasks = Tasks(Vec::new());
    for ((to, _), shards) in lanes {
        let (params, replica) = (params.clone(), replica.clone());
        tasks.0.push(task::spawn(async move {
            for shard in shards {
                hand_over(&params, &replica, config, shard, to).await;
            }
        }));
    }
    for task in &mut tasks.0 {
        let _ = task.await;
    }
}

/// Sends a shard to its new owner until that has all of it, and then deletes it here. Begins where the new owner is, which may have
/// parts of it from an earlier leader.
async fn hand_over(params: &Params, replica: &Replica<Group>, config: u64, shard: ShardId, to: Gid) {
    let Some(mut client) = server::group_client(params, to) else { return };
    let mut progress = None;
    loop {
        let from = match progress {
            Some(Progress::Installed) => break,
            Some(Progress::At(from)) => from,
            Some(Progress::Behind) | None => {
                if progress.is_some() {
                    time::sleep(params.poll()).await;
                }
                progress = arrived(&mut client, config, shard).await;
                continue;
            }
        };
        if planted!("shardkv.deleted-before-acknowledgement") {
            break;
        }
        progress = send(params, replica, &mut client, config, shard, from).await;
    }
    submit(replica, group::Command::Forget { config, shard }).await;
}

/// Sends the part that begins there. How far the new owner is then; none if it does not say.
async fn send(
    params: &Params,
    replica: &Replica<Group>,
    client: &mut rsm::Client<Group>,
    config: u64,
    shard: ShardId,
    from: Cursor,
) -> Option<Progress> {
    let bytes = if buggify!("shardkv.small-chunks") { 1 } else { params.chunk_bytes };
    let chunk = replica.peek(|state| state.state().chunk(config, shard, &from, bytes, state.now()))?;
    let install = group::Command::Install { config, shard, from, chunk };
    let result = client.command(install, time::now() + STEP).await;
    if params.chunk_pause_ms > 0 {
        time::sleep(Duration::from_millis(params.chunk_pause_ms)).await;
    }
    match result {
        Ok(Reply::Progress(progress)) => Some(progress),
        _ => None,
    }
}

/// How far the shard has arrived, by the state that its new owner has applied.
async fn arrived(client: &mut rsm::Client<Group>, config: u64, shard: ShardId) -> Option<Progress> {
    match client.query(Query::Progress(config, shard), time::now() + STEP).await {
        Ok(Answer::Progress(progress)) => Some(progress),
        _ => None,
    }
}

/// Reports to the controller, again and again, how many operations this server has served on each shard. A report whose outcome is
/// unknown is not repeated: its operations may have been counted.
async fn report(params: &Params, gid: Gid, replica: &Replica<Group>) {
    let mut controller = server::controller_client(params);
    LOAD.with(|load| load.borrow_mut().clear());
    let mut since = time::now();
    loop {
        let pause = Duration::from_millis(params.report_ms);
        // Leaders that were elected together do not report together for ever.
        time::sleep(pause + rand::duration(Duration::ZERO, pause / 10)).await;
        let ops = LOAD.with(|load| std::mem::take(&mut *load.borrow_mut()));
        let millis = (time::now().duration_since(since).as_millis() as u64).max(1);
        since = time::now();
        let config = replica.peek(|state| state.state().is_settled().then(|| state.state().config().number));
        let report = Report { gid, config, millis, ops };
        let result = controller.execute(controller::Command::Report(report.clone()), time::now() + pause).await;
        if result.is_err() && planted!("shardkv.load-counted-twice") {
            LOAD.with(|load| *load.borrow_mut() = report.ops);
        }
    }
}
