//! The dose: which faults a run really had, and what they really did.

use crate::base::Effects;
use crate::fault::Fault;

/// What the faults of a rule are counted as. One without a name goes by its position in the file, `fault-1`, which is
/// nothing to expect by.
pub(crate) fn counted_as(rule: &str) -> Option<String> {
    let position = |rest: &str| !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_digit());
    (!rule.strip_prefix("fault-").is_some_and(position)).then(|| format!("rule.{rule}"))
}

/// All names that a dose may have, but for those of events.
pub(crate) fn counted(ops: &[String]) -> Vec<String> {
    let mut names: Vec<String> = Fault::<()>::NAMES.iter().chain(Effects::NAMES).map(|&name| name.to_owned()).collect();
    names.extend(["planted", "ops_ok", "ops_failed", "ops_unknown"].map(str::to_owned));
    names.extend(ops.iter().map(|op| format!("op.{op}.ok")));
    names
}
