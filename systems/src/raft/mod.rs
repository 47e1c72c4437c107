//! Raft: a replicated log that survives the loss of any minority of its servers.
//!
//! Ongaro and Ousterhout, "In Search of an Understandable Consensus Algorithm (Extended Version)", 2014 ("the paper"; sections
//! and figures without a name are its), and Ongaro, "Consensus: Bridging Theory and Practice", 2014 ("the thesis").
//!
//! # Guarantees
//!
//! - Figure 3: at most one leader in a term; a leader only appends; logs that agree at an entry agree up to it; what is
//!   committed is in the log of every later leader; no two servers apply different commands at one index.
//! - What is committed is on the disks of a quorum, whatever crashes, as long as a majority of the disks is not damaged. A
//!   server whose disk has lost what it had promised says so and takes no part any more; that an empty disk is a lost one,
//!   only whoever starts the server can know ([`driver::EmptyDisk`]).
//! - A read is never older than what was completed before it began: by ReadIndex always, by lease as long as clocks run within
//!   [`Config::clock_drift`].
//!
//! # Read it in this order
//!
//! `message` is the vocabulary; `core` the state machine that takes in messages, ticks and proposals and puts out messages,
//! writes and committed entries, spread over `election`, `follower`, `leader`, `snapshot` and `read`; `log`, `progress`,
//! `quorum` and `membership` are what it is made of. [`driver`] gives it a clock, a network and a disk. The rest makes a system
//! under test of it: `server`, `workload`, `system`, what it says (`events`) and what must hold (`checks`, `ordered`).
//!
//! # Figure 2
//!
//! | rule | where |
//! |---|---|
//! | **State**, persistent: `currentTerm`, `votedFor`, `log[]` | [`core::Core`]: `term`, `voted_for`, `log`; [`message::HardState`] |
//! | volatile: `commitIndex`, `lastApplied` | [`log::Log::commit_index`], [`log::Log::last_applied`] |
//! | on leaders: `nextIndex[]`, `matchIndex[]` | [`progress::Progress`]: `next`, `matched` |
//! | **AppendEntries**, receiver 1: refuse an earlier term | `follower`: `on_append` |
//! | 2: refuse if the log has no entry at `prevLogIndex` with `prevLogTerm` | `on_append`, [`log::Log::contains`] |
//! | 3, 4: delete what conflicts and all behind it; append what is new | [`log::Log::append_from_leader`] |
//! | 5: `commitIndex = min(leaderCommit, index of last new entry)` | `on_append` |
//! | **RequestVote**, receiver 1, 2: the term, one vote in a term, the log at least as up to date | `election`: `on_request_vote`, [`message::Position::is_up_to_date`] |
//! | **Rules**, all: apply what is committed, in order | [`core::Core::output`] |
//! | all: a higher term makes a follower | `core`: `step`, `follow` |
//! | followers: answer candidates and leaders; stand for election after a timeout | `step`, `tick`, `stand_for_election` |
//! | candidates: raise the term, vote for oneself, reset the timer, ask everybody | `election`: `campaign` |
//! | candidates: win by a majority, follow a new leader, or start over | `on_vote_reply`, `follow_leader`, `tick` |
//! | leaders: heartbeats at once and when idle | `leader`: `lead`, `tick_leader`, `heartbeat` |
//! | leaders: append what clients want; answer when it is applied | [`core::Core::propose`]; `server` |
//! | leaders: send from `nextIndex`; on success go on, on refusal go back | `send_append`, `on_append_reply`, [`log::Log::next_index_after`] |
//! | leaders: commit what a majority has, if it is of the own term | `commit_if_possible` |
//!
//! And Figure 13 (InstallSnapshot) is in `snapshot` and [`log::Log::install`].
//!
//! # Where it deviates
//!
//! - Answers wait for the disk in the driver's hands ([`core::Core::wrote`]); the leader's own write goes on beside its messages,
//!   and counts when it is done, as anybody's (thesis, section 10.2.1).
//! - A refused append names the term and the first index of the conflict, so that the leader skips a term at a time (the end of
//!   section 5.3).
//! - Appends follow each other without waiting (`progress`), so an answer says how far the logs agree, and not just that they do.
//! - Memberships change by joint consensus (section 6), one change at a time, and none before the leader has committed an entry
//!   of its own term. Learners, promotion and demotion are part of the same change ([`membership`]).
//! - Snapshots go in parts that the receiver asks for, so what has arrived is not sent again when the leader changes parts or
//!   messages are lost.
//! - By configuration, each can be switched off: pre-vote, check-quorum, leader stickiness, the new leader's empty entry,
//!   forwarding, leases ([`Config`]).
pub mod checks;
pub mod config;
pub mod core;
mod declare;
pub mod driver;
mod election;
pub mod events;
mod follower;
mod known_bugs;
pub mod leader;
pub mod log;
pub mod membership;
pub mod message;
pub mod operator;
pub mod ordered;
pub mod progress;
pub mod quorum;
pub mod read;
pub mod server;
pub mod snapshot;
mod system;
pub mod visible;
pub mod workload;

pub use config::Config;
pub use declare::declare;
pub use message::{Id, Index, Term};
pub use system::{Params, RaftLog};
