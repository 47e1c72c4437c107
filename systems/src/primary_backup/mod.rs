//! Primary/backup replication of a key/value store, with a view service.
//!
//! The design is that of the MIT 6.824 labs of 2012–2015, after Alsberg & Day ("A principle for resilient sharing of
//! distributed resources", ICSE 1976) and Bressoud & Schneider's fault-tolerant virtual machines (1996). A *view service*
//! assigns the roles of primary and backup. The primary answers a client once the backup has the operation. If the primary
//! crashes, the backup takes over.
//!
//! # Guarantees
//!
//! - Get, put and append are linearizable, and a retried request takes effect at most once
//!   ([`Linearizable`](sim::check::Linearizable)).
//! - In each view at most one server answers clients ([`OneServerPerView`](checks::OneServerPerView)).
//! - No data is lost as long as the primary or the backup of the last acknowledged view keeps its memory
//!   ([`PrimaryHasState`](checks::PrimaryHasState)). Servers keep their data only in memory. If both crash, the data is lost and
//!   the service stops for good.
//!
//! # Rules
//!
//! | rule | code | check |
//! |---|---|---|
//! | View i+1 follows only after the primary of view i acknowledged view i | [`view`] | [`ViewOrder`](checks::ViewOrder) |
//! | The primary of view i+1 was primary or backup in view i | [`view`] | [`ViewOrder`](checks::ViewOrder) |
//! | A new view is durable before the view service announces it | [`view_service`] | [`ViewOrder`](checks::ViewOrder) |
//! | A backup takes over only after its primary has declared it ready: it has the whole state, with the table of answered requests | [`view`], [`server`] | [`PrimaryHasState`](checks::PrimaryHasState) |
//! | The primary answers an operation, even a read, only after the backup has confirmed it | [`server`] | [`ReplicasAgree`](checks::ReplicasAgree) |
//! | A backup accepts operations only from the primary of its own view | [`server`] | [`ReplicasAgree`](checks::ReplicasAgree) |
//!
//! Views name a server by node and incarnation, so a restarted server, which has lost its memory, does not keep a role.
//!
//! # Differences from the labs
//!
//! In the labs a primary acknowledges a view in one step. Here the primary takes two steps: it acknowledges a view when it
//! enters the view, and declares its backup *ready* when the backup has the state. With a single step, a backup that crashes
//! before it has the state would leave a view that is never acknowledged.
//!
//! In the labs a ping proves that a server is alive when the ping arrives. Here a ping echoes the time stamp of the last
//! answer, so it proves that the server was alive at that time on the view service's clock. A delayed ping therefore proves
//! nothing about the present. The view service replaces a failed backup only while it knows that the primary is alive: a view
//! with a crashed primary is never acknowledged, so no view could follow it.

pub mod checks;
pub mod client;
mod known_bugs;
pub mod server;
pub mod store;
mod system;
pub mod view;
pub mod view_service;
mod visible;
pub mod workload;

pub use system::{Params, PrimaryBackup};
