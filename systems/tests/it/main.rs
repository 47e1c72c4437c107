//! The tests of the systems, in one program: linking is what takes the time.
//!
//! | module | what |
//! |---|---|
//! | [`swept`] | what is shown of every system's scenarios in the same way |
//! | [`counter`], [`transcript`] | a state machine and transcripts for experiments |
//! | [`primary_backup`], [`journal`], [`raft`], [`rsm`], [`kv`], [`shardkv`], [`lock`] | a system each |
//! | [`rsm_leadership`] | watches on leadership |
//! | [`groups`] | several Raft groups in one cluster |
//! | [`storage`] | write-ahead log and snapshot files |
//! | [`metrics`], [`reconfigure`], [`readme`] | what systems and scenarios have in common |

#![allow(clippy::disallowed_methods, reason = "the tests read files of this repository")]

mod counter;
mod groups;
mod journal;
mod kv;
mod lock;
mod metrics;
mod primary_backup;
mod raft;
mod readme;
mod reconfigure;
mod rsm;
mod rsm_leadership;
mod shardkv;
mod storage;
mod swept;
mod transcript;
