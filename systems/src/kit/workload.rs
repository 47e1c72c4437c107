//! The arguments of workloads, and their pace.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use sim::{Client, node, rand, time};

/// How fast a client works, and for how long. Arguments of a workload have it as three of their keys: see [`args!`](crate::args).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// The least and the most time between operations, in milliseconds.
    pub think_ms: (u64, u64),
    /// After this many milliseconds an operation is given up.
    pub deadline_ms: u64,
    /// After this many operations a client is done; 0 is never.
    pub ops: u64,
}

impl Pace {
    /// How long an operation may take.
    pub fn deadline(&self) -> Duration {
        Duration::from_millis(self.deadline_ms)
    }

    /// Performs one operation after another, each with its number (from 1 in a client's first life), with a pause for thought
    /// after each: until there were
    /// enough, or the workload's phase is over.
    pub async fn run<P>(&self, cx: &Client<P>, mut operation: impl AsyncFnMut(u64)) {
        // A client that was restarted numbers on where no life before it can have been: values are unique by their numbers.
        // They stay below 2^32, above which some workloads put the number of the client.
        let before = u64::from(node::incarnation() - 1) << 20;
        let mut number = 0;
        while cx.running() && (self.ops == 0 || number < self.ops) {
            number += 1;
            operation(before + number).await;
            time::sleep(Duration::from_millis(rand::between(self.think_ms.0, self.think_ms.1))).await;
        }
    }
}

/// Arguments of a workload that has none.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoArgs {}

/// Declares the arguments of a workload, each with its default. `paced` adds those of [`Pace`], and a method that gives it.
///
/// ```
/// systems::args! {
///     /// Arguments of `mixed`.
///     pub struct Mixed {
///         /// How many keys there are.
///         keys: u64 = 3,
///     } paced { think_ms: (5, 100), deadline_ms: 4_000 }
/// }
///
/// let args = Mixed { ops: 50, ..Mixed::default() };
/// assert_eq!((args.keys, args.pace().ops, args.pace().think_ms), (3, 50, (5, 100)));
/// ```
#[macro_export]
macro_rules! args {
    (
        $(#[$meta:meta])*
        pub struct $name:ident { $($(#[$doc:meta])* $field:ident : $type:ty = $default:expr),* $(,)? }
        paced { think_ms: $think:expr, deadline_ms: $deadline:expr }
    ) => {
        $crate::args! {
            $(#[$meta])*
            pub struct $name {
                $($(#[$doc])* $field: $type = $default,)*
                /// The least and the most time between operations, in milliseconds.
                think_ms: (u64, u64) = $think,
                /// After this many milliseconds an operation is given up.
                deadline_ms: u64 = $deadline,
                /// After this many operations a client is done; 0 is never.
                ops: u64 = 0,
            }
        }

        impl $name {
            /// How fast a client works, and for how long.
            pub fn pace(&self) -> $crate::kit::workload::Pace {
                let $name { think_ms, deadline_ms, ops, .. } = *self;
                $crate::kit::workload::Pace { think_ms, deadline_ms, ops }
            }
        }
    };
    (
        $(#[$meta:meta])*
        pub struct $name:ident { $($(#[$doc:meta])* $field:ident : $type:ty = $default:expr),* $(,)? }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Debug, ::serde::Serialize, ::serde::Deserialize)]
        #[serde(default, deny_unknown_fields)]
        pub struct $name { $($(#[$doc])* pub $field: $type),* }

        impl ::core::default::Default for $name {
            fn default() -> Self {
                $name { $($field: $default),* }
            }
        }
    };
}
