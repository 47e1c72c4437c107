//! Distributed systems, built to be tested with `sim`.
//!
//! Each system is a folder with the same rooms: `mod.rs` says what it is, which paper it follows and what it guarantees;
//! then come the protocol's files, `client.rs`, `workload.rs`, `checks.rs`, `known_bugs.rs`, and `system.rs`, its [`sim::System`].
//!
//! A known bug of a library is declared by the system that shows it: those of `storage` by [`journal`], those of Raft by [`raft`],
//! those of `rsm` by [`kv`].
//!
//! To write a system of your own on Raft, begin with a copy of [`lock`].
//!
//! | folder | what |
//! |---|---|
//! | [`primary_backup`] | a key/value store on a primary and a backup, with a view service that assigns the roles |
//! | [`journal`] | records on one disk: the system that proves the storage library |
//! | [`kv`] | a key/value store on Raft |
//! | [`shardkv`] | a sharded key/value store: groups that own shards, and a controller that balances them |
//! | [`lock`] | a lock service on Raft, with leases and fencing tokens: the template of a system on [`rsm`] |
//! | [`kit`] | a library for clients: sessions, retries, the pace of workloads |
//! | [`storage`] | a library: a write-ahead log, snapshot files, and a state that is kept in both |
//! | [`raft`] | a replicated log; other systems build on its core and driver |
//! | [`rsm`] | a library: replicated state machines on Raft, with client sessions |

pub mod journal;
pub mod kit;
pub mod kv;
pub mod lock;
pub mod primary_backup;
pub mod raft;
pub mod rsm;
pub mod shardkv;
pub mod storage;

/// All systems, as the tools take them.
pub fn all() -> Vec<Box<dyn sim::DynSystem>> {
    vec![
        Box::new(primary_backup::PrimaryBackup),
        Box::new(journal::Journal),
        Box::new(raft::RaftLog),
        Box::new(kv::Kv),
        Box::new(shardkv::ShardKv),
        Box::new(lock::Lock),
    ]
}
