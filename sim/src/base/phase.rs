//! The parts of a run.

use serde::{Deserialize, Serialize};

/// The phases that workloads run in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Before any fault.
    Setup,
    /// While faults happen, and on into the quiet phase until there is progress.
    #[default]
    Main,
    /// After everything is healed.
    Final,
}
