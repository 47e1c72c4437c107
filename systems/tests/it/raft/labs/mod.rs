//! The behaviours of the classic Raft lab, each with its limits: times, messages, bytes, sizes of logs.
//!
//! The programs here act from outside: they add servers, give them commands, crash and cut where they please, and judge by
//! what the servers apply. A server applies at each index what every other does, in order and without a gap: that is checked
//! in all of them, at each entry ([`record`]).
//!
//! Every behaviour is shown by two kinds of servers ([`lab::Kind`]): those of Figure 2 and nothing else, and those with
//! everything that the thesis adds to them. Where a limit could be missed by a known bug, the same experiment detects it.
//!
//! | file | what |
//! |---|---|
//! | [`server`], [`record`] | the server that is tested, and what it applied |
//! | [`tester`], [`lab`] | what an experiment can do, inside the world and outside of it |
//! | [`elections`], [`agreement`], [`traffic`], [`persistence`], [`snapshots`], [`churn`] | the lab's experiments |
//! | [`figure_8`], [`power`] | two more, for what those leave to chance |
//! | [`transcripts`] | four short runs, told line by line |

mod agreement;
mod churn;
mod elections;
mod figure_8;
mod lab;
mod persistence;
mod power;
mod record;
mod server;
mod snapshots;
mod tester;
mod traffic;
mod transcripts;
