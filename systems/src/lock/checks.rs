//! What must hold, judged from what clients believe.

use std::collections::BTreeMap;

use sim::check::{Invariant, Violation};
use sim::event::{Crashed, On};
use sim::{NodeId, event};

use super::table::{CLOCK_DRIFT, Token};

event! {
    /// A client counts on a lock.
    "lock.acquired" => pub struct Acquired {
        /// The lock.
        pub name: String,
        /// The fencing token.
        pub token: u64,
        /// For how long at most, by the client's own clock.
        pub left_ns: u64,
    }

    /// A client does not count on a lock any more.
    "lock.released" => pub struct Released {
        /// The lock.
        pub name: String,
        /// The fencing token.
        pub token: u64,
    }
}

/// At most one client counts on a lock, and tokens ascend.
#[derive(Default)]
pub struct MutualExclusion(BTreeMap<String, Grant>);

/// The last grant of a lock: its holder, and the latest moment at which that counts on it.
struct Grant {
    token: Token,
    holder: NodeId,
    until_ns: u64,
}

impl Invariant for MutualExclusion {
    const NAME: &'static str = "mutual-exclusion";

    fn subscribe(on: &mut On<Self>) {
        on.event::<Acquired>(|this, moment, event| {
            // The client's clock may be slow.
            let until_ns = moment.at_ns + (event.left_ns as f64 / (1.0 - CLOCK_DRIFT)) as u64;
            let now = Grant { token: event.token, holder: moment.node, until_ns };
            let Some(before) = this.0.insert(event.name.clone(), now) else { return Ok(()) };
            if before.token >= event.token {
                let text = format!("the token {} of `{}` follows {}", event.token, event.name, before.token);
                return Err(Violation::about("token", text));
            }
            if before.until_ns > moment.at_ns {
                let text = format!("holds `{}`, which {} still counts on", event.name, before.holder.name());
                return Err(Violation::about("holder", text));
            }
            Ok(())
        });
        on.fold::<Released>(|this, _, event| {
            if let Some(grant) = this.0.get_mut(&event.name).filter(|grant| grant.token == event.token) {
                grant.until_ns = 0;
            }
        });
        on.fold::<Crashed>(|this, moment, _| {
            this.0.values_mut().filter(|grant| grant.holder == moment.node).for_each(|grant| grant.until_ns = 0);
        });
    }
}
