//! The behaviours of the classic key/value labs, each with its limits: how fast, how large, and what must never be seen.
//!
//! The programs here act from outside: they start servers and clients, crash and cut where they please. What they look at is
//! what clients see. Whatever the experiment, all that clients did must have been done by one store ([`lab`]), and all servers
//! must come through the same states. Each behaviour is shown with every way to read. Where a limit could be missed by a known
//! bug, the same experiment detects it.
//!
//! | file | what |
//! |---|---|
//! | [`lab`], [`handle`] | what an experiment can do, and what its clients can |
//! | [`generic`], [`rows`] | clients that write and read while more and more goes wrong |
//! | [`speed`] | operations do not wait for heartbeats |
//! | [`partition`] | a minority completes nothing |
//! | [`snapshots`] | sizes of logs and snapshots, and who gets one |
//! | [`once`], [`lock`] | each command is executed once; so compare-and-swap makes a lock |
//! | [`sessions`] | when sessions end, and what comes too late |
//! | [`operators`] | leadership and membership change under load |
//! | [`transcripts`] | a short run, told line by line |

mod generic;
mod handle;
mod lab;
mod lock;
mod once;
mod operators;
mod partition;
mod rows;
mod sessions;
mod snapshots;
mod speed;
mod transcripts;
