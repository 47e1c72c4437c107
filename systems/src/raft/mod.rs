//! Raft: a replicated log that survives the loss of any minority of its servers.
//!
//! Ongaro and Ousterhout, "In Search of an Understandable Consensus Algorithm (Extended Version)", 2014 ("the paper"; sections
//! and figures without a name are in the paper), and Ongaro, "Consensus: Bridging Theory and Practice", 2014 ("the thesis").
//!
//! # Guarantees
//!
//! - The five properties of Figure 3: [`ElectionSafety`](checks::ElectionSafety), [`LeaderAppendOnly`](checks::LeaderAppendOnly),
//!   [`LogMatching`](checks::LogMatching), [`LeaderCompleteness`](checks::LeaderCompleteness) and
//!   [`StateMachineSafety`](checks::StateMachineSafety).
//! - Committed entries are on the disks of a quorum ([`CommittedOnDisks`](checks::CommittedOnDisks)), after any crashes, as long
//!   as a majority of the disks is undamaged ([`MajorityOfDisks`](checks::MajorityOfDisks) keeps faults within that limit).
//! - A server never votes twice in a term and never loses durable entries ([`DurableVote`](checks::DurableVote),
//!   [`Durability`](checks::Durability)). A server that finds its disk damaged stops taking part. An empty disk looks the same on
//!   a new server and on a server that lost its disk, so the starter of the server must tell the two apart
//!   ([`driver::EmptyDisk`]).
//! - Reads are linearizable ([`FreshReads`](checks::FreshReads)): with ReadIndex always, with leader leases as long as clocks
//!   drift by at most [`Config::clock_drift`].
//!
//! # Modules
//!
//! [`message`] defines the RPCs, [`core`] the state machine of a server. The `impl Core` blocks are split by topic over
//! `election`, `follower`, [`leader`], [`snapshot`] and [`read`]; they use [`log`], [`progress`], [`quorum`] and [`membership`].
//! [`driver`] adds a clock, a network and a disk. The other modules make a system under test of it: [`server`], [`workload`],
//! the observed [`events`], and the [`checks`] and [`ordered`] that judge them.
//!
//! # From the paper to the code
//!
//! | paper | code |
//! |---|---|
//! | Figure 2, State | [`core::Core`], [`message::HardState`], [`log::Log`], [`progress::Progress`] |
//! | Figure 2, AppendEntries RPC | `follower`; [`log::Log::append_from_leader`] |
//! | Figure 2, RequestVote RPC | `election`; [`message::Position::is_up_to_date`] |
//! | Figure 2, Rules for Servers | all servers: [`core::Core::step`]; candidates: `election`; leaders: [`leader`] |
//! | section 5.2, leader election | `election` |
//! | section 5.3, log replication | [`leader`], `follower`; fast backup: [`log::Log::next_index_after`] |
//! | section 5.4, safety | `election` (5.4.1); `Core::advance_commit_index` in [`leader`] (5.4.2) |
//! | section 6, membership changes | [`membership`], [`quorum::Joint`], [`leader`] |
//! | section 7 and Figure 13, InstallSnapshot RPC | [`snapshot`], [`log::Log::install`] |
//! | section 8, client interaction | [`read`]; duplicates: [`crate::rsm`] |
//! | thesis 3.10, leadership transfer | [`leader`] |
//! | thesis 4.2.1, learners; 4.2.3, disruptive servers | [`membership`]; `Core::in_leader_lease` in `election` |
//! | thesis 6.2, check-quorum; 6.4, ReadIndex and leases | [`leader`]; [`read`] |
//! | thesis 9.6, pre-vote; 10.2.1, writing to the leader's disk in parallel | `election`; [`core::Core::wrote`] |
//!
//! # Differences from the paper
//!
//! - Replies wait in the core until the driver reports the write that they depend on ([`core::Core::wrote`]). The leader's own
//!   write runs in parallel with its messages and counts once it is durable (thesis, section 10.2.1).
//! - A refused append names the term and the first index of the conflict, so the leader skips a whole term at a time (the end
//!   of section 5.3; checked by [`FastBackup`](checks::FastBackup)).
//! - The leader pipelines appends ([`progress`]), so a reply says up to which index the logs agree.
//! - Memberships change by joint consensus (section 6), one change at a time, and only after the leader has committed an entry
//!   of its own term (checked by [`Quorums`](checks::Quorums)). The same change adds, promotes and demotes learners.
//! - The receiver acknowledges each part of a snapshot, so a transfer resumes after lost messages or a change of leader.
//! - [`Config`] can switch off pre-vote, check-quorum, leader stickiness, the new leader's empty entry, forwarding and leases.
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
pub mod waiting;
pub mod workload;

pub use config::Config;
pub use declare::declare;
pub use message::{Id, Index, Term};
pub use system::{Params, RaftLog};
