//! The servers: replicas of the controller, and replicas of the groups that own shards.

use std::rc::Rc;
use std::time::Duration;

use sim::{GroupId, group, node, observe, task, time};

use super::controller::{self, Controller};
use super::events::Configured;
use super::group::Group;
use super::system::Params;
use super::{Gid, transfer};
use crate::rsm::{self, Options, Patience, Replica, service};

/// The role of the controller's servers, and their group.
pub const CONTROLLER: &str = "controller";
/// The role of the servers of all groups that own shards.
pub const SHARD: &str = "shard";

/// Where servers listen to each other.
const RAFT: u16 = 1;
/// Where servers answer clients and other groups.
pub const PORT: u16 = 2;

/// The nodes of the controller.
pub fn controller() -> GroupId {
    group::lookup(CONTROLLER).expect("the system has a controller")
}

/// A client of the controller.
pub fn controller_client(params: &Params) -> rsm::Client<Controller> {
    let group = controller();
    rsm::Client::new(group, group.addrs(PORT), patience(params))
}

/// A client of a group; none if the cluster does not have the group.
pub fn group_client(params: &Params, gid: Gid) -> Option<rsm::Client<Group>> {
    let group = super::nodes_of(gid)?;
    Some(rsm::Client::new(group, group.addrs(PORT), patience(params)))
}

fn patience(params: &Params) -> Patience {
    Patience { attempt: Duration::from_millis(params.attempt_ms), ..Patience::default() }
}

fn options(params: &Params, dir: &str, servers: usize) -> Options {
    Options {
        reads: params.reads,
        snapshot_bytes: params.snapshot_bytes,
        expansion_percent: params.expansion_percent,
        ..Options::of_home_group(dir, RAFT, params.raft.clone(), servers)
    }
}

/// The life of a server of the controller. The leader balances by load.
pub async fn boot_controller(params: Rc<Params>) {
    let initial = Controller::new(params.shards, 1..=params.joined.min(params.groups), params.policy());
    observe!(Configured::of(0, initial.latest()));
    let started = |replica: &Replica<Controller>| {
        task::spawn(balance(replica.clone()));
    };
    service::run(options(&params, "controller", params.servers), initial, PORT, started).await;
}

/// Whenever this replica leads, it looks again and again whether a move by load is worth it.
async fn balance(replica: Replica<Controller>) {
    let mut leadership = replica.leadership();
    while let Ok(term) = leadership.gained().await {
        let work = async {
            loop {
                time::sleep(controller::BALANCE).await;
                // An entry without need would only make the log longer.
                if replica.peek(|state| state.state().is_move_worth(state.now())) {
                    let _ = replica.submit(rsm::Request::Command(controller::Command::Balance)).await;
                }
            }
        };
        leadership.hold::<()>(term, work).await;
    }
}

/// The life of a server of a group. The leader adopts configurations, hands shards over, and reports the group's load.
pub async fn boot_shard(params: Rc<Params>) {
    serve_shards(params, |_| ()).await;
}

/// Like [`boot_shard`], and passes the replica of each start to `started`.
pub async fn serve_shards(params: Rc<Params>, started: impl Fn(&Replica<Group>)) {
    let gid = gid_of(&group::home().name());
    let initial = Group::new(gid, params.shards, params.limits());
    let started = |replica: &Replica<Group>| {
        task::spawn(transfer::move_shards(params.clone(), replica.clone()));
        if params.report_ms > 0 {
            task::spawn(transfer::report_load(params.clone(), gid, replica.clone()));
        }
        started(replica);
    };
    service::run(options(&params, "shard", params.servers), initial, PORT, started).await;
}

/// The number of the group of that name.
fn gid_of(name: &str) -> Gid {
    let number = name.strip_prefix(SHARD).and_then(|rest| rest.strip_prefix('-')).and_then(|rest| rest.parse().ok());
    number.unwrap_or_else(|| panic!("{} is in the group `{name}`, which has no number", node::this().name()))
}
