//! Reads: an index that a server reads at covers all that was committed before it was asked (thesis, section 6.4).

use std::collections::BTreeMap;

use sim::NodeId;
use sim::check::{Invariant, Violation};
use sim::event::On;

use super::super::events::{Committed, ReadAsked, ReadReady};

/// See the module. With leases it holds as long as clocks drift no more than is declared.
#[derive(Default)]
pub struct FreshReads {
    committed: u64,
    /// What was committed when a server was asked.
    asked: BTreeMap<(NodeId, u64), u64>,
}

impl Invariant for FreshReads {
    const NAME: &'static str = "fresh-reads";

    fn subscribe(on: &mut On<Self>) {
        on.event::<Committed>(|this, _, event| {
            this.committed = this.committed.max(event.index);
            Ok(())
        });
        on.event::<ReadAsked>(|this, moment, event| {
            this.asked.insert((moment.node, event.request), this.committed);
            Ok(())
        });
        on.event::<ReadReady>(|this, moment, event| match this.asked.remove(&(moment.node, event.request)) {
            Some(committed) if event.index < committed => Err(Violation::new(format!(
                "reads at {}, and was asked when everything up to {committed} was committed",
                event.index
            ))),
            _ => Ok(()),
        });
    }
}

#[cfg(test)]
mod tests {
    use sim::observe;

    use super::super::testing::{History, at, committed, told};
    use super::*;

    #[test]
    fn a_read_sees_what_was_committed_before_it_and_need_not_see_more() {
        let history = |index| -> History {
            vec![
                at(0, committed(4, 1)),
                at(1, || observe!(ReadAsked { request: 7 })),
                at(0, committed(6, 1)),
                at(1, move || observe!(ReadReady { request: 7, index })),
            ]
        };
        assert!(told::<FreshReads>(history(4)).is_empty());
        assert_eq!(told::<FreshReads>(history(3)), ["fresh-reads"]);
    }
}
