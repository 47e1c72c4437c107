//! The events of the sharded store. Replicas observe what they apply, so each entry of a log is observed once by each replica, and
//! again by one that applies it again after a restart: `index` tells the first time from the others.

use sim::event;

use super::config::{Cause, Config};
use super::shard::SessionId;
use super::{Gid, ShardId};

event! {
    /// The controller made a configuration.
    "shardkv.configured" => pub struct Configured {
        /// The index of its entry in the controller's log; 0 for the first configuration.
        pub index: u64,
        /// Its number.
        pub number: u64,
        /// What it was made for.
        pub cause: Cause,
        /// The groups.
        pub gids: Vec<Gid>,
        /// The weight of each group.
        pub weights: Vec<u32>,
        /// The owner of each shard; 0 if there is none.
        pub owners: Vec<Gid>,
    }

    /// The controller took a report into account.
    "shardkv.load_reported" => pub struct LoadReported {
        /// The index of its entry in the controller's log.
        pub index: u64,
        /// The group that reported.
        pub gid: Gid,
        /// How many operations the group served.
        pub ops: u64,
    }

    /// The controller moves a shard away from a group with too much load.
    "shardkv.load_moved" => pub struct LoadMoved {
        /// The index of its entry in the controller's log.
        pub index: u64,
        /// The shard.
        pub shard: ShardId,
        /// The new owner.
        pub to: Gid,
        /// How many such moves there may be within a minute.
        pub most: u64,
    }

    /// A replica has adopted a configuration.
    "shardkv.adopted" => pub struct Adopted {
        /// The index of the entry.
        pub index: u64,
        /// The number of the configuration.
        pub config: u64,
    }

    /// A replica does not serve a shard any more, which another group owns now. From here on its contents do not change.
    "shardkv.gave_up" => pub struct GaveUp {
        /// The index of the entry.
        pub index: u64,
        /// The number of the configuration by which it moves.
        pub config: u64,
        /// The shard.
        pub shard: ShardId,
        /// The new owner.
        pub to: Gid,
        /// A hash of its contents: keys, values and sessions.
        pub hash: u64,
    }

    /// A replica has received a part of a shard.
    "shardkv.chunk" => pub struct ChunkInstalled {
        /// The index of the entry.
        pub index: u64,
        /// The number of the configuration by which it moves.
        pub config: u64,
        /// The shard.
        pub shard: ShardId,
        /// How many keys are new.
        pub keys: u64,
        /// The log's time at the sender when it was sent, in nanoseconds.
        pub sent_ns: u64,
        /// The log's time of the entry.
        pub now_ns: u64,
    }

    /// A replica serves a shard from now on.
    "shardkv.installed" => pub struct Installed {
        /// The index of the entry.
        pub index: u64,
        /// The number of the configuration by which it came.
        pub config: u64,
        /// The shard.
        pub shard: ShardId,
        /// A hash of its contents, as in `shardkv.gave_up`; 0 for a shard that nobody owned before, which is empty.
        pub hash: u64,
    }

    /// A replica has deleted a shard that it had given up.
    "shardkv.forgot" => pub struct Forgot {
        /// The index of the entry.
        pub index: u64,
        /// The number of the configuration by which it moved.
        pub config: u64,
        /// The shard.
        pub shard: ShardId,
    }

    /// A replica has executed a client's command.
    "shardkv.served" => pub struct Served {
        /// The index of the entry.
        pub index: u64,
        /// The configuration by which the group owns the shard.
        pub config: u64,
        /// The shard.
        pub shard: ShardId,
        /// The session of the command.
        pub session: SessionId,
        /// The log's time of the entry, in nanoseconds.
        pub now_ns: u64,
    }

    /// A replica has ended a session of which no command came for too long.
    "shardkv.session_ended" => pub struct SessionEnded {
        /// The index of the entry.
        pub index: u64,
        /// The shard.
        pub shard: ShardId,
        /// The session.
        pub session: SessionId,
        /// How long no command of it may come, in nanoseconds.
        pub idle_ns: u64,
        /// The log's time of the entry.
        pub now_ns: u64,
    }

    /// A server has answered a client's read.
    "shardkv.read" => pub struct ReadServed {
        /// The configuration by which the group owns the shard.
        pub config: u64,
        /// The shard.
        pub shard: ShardId,
    }

    /// While a shard was on its way, a client's operations on the others took at most twice as long as before, in the 99th percentile.
    "shardkv.unaffected" => pub struct Unaffected {
        /// The 99th percentile before, in nanoseconds.
        pub before_ns: u64,
        /// The 99th percentile during the move.
        pub during_ns: u64,
    }

    /// The load of the busiest group is closer to the mean than it was at the beginning.
    "shardkv.improved" => pub struct Improved {
        /// Busiest by mean at the beginning, in hundredths.
        pub before: u64,
        /// Busiest by mean at the end.
        pub after: u64,
    }

    /// The configuration is the one that it was a while ago.
    "shardkv.rested" => pub struct Rested {
        /// Its number.
        pub config: u64,
    }

    /// What a group holds after everything has come to rest, as one of its servers says.
    "shardkv.settled" => pub struct Settled {
        /// The group.
        pub gid: Gid,
        /// The configuration that it has adopted.
        pub config: u64,
        /// The shards that it holds, served or not.
        pub held: Vec<ShardId>,
    }
}

impl Configured {
    /// Of a configuration that the entry at `index` made.
    pub(super) fn of(index: u64, config: &Config) -> Configured {
        Configured {
            index,
            number: config.number,
            cause: config.cause,
            gids: config.groups.keys().copied().collect(),
            weights: config.groups.values().copied().collect(),
            owners: config.owners.iter().map(|owner| owner.unwrap_or(0)).collect(),
        }
    }
}
