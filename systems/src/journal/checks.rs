//! The invariants: what was acknowledged is on the disk, and what is on the disk is read back.
//!
//! Both are judged from outside. What a record is, the client that sent it says; whether it is on the disk, the simulator
//! does, by what would survive a loss of power at that very moment; and what a fault has destroyed, the simulator does too.

use std::collections::{BTreeMap, BTreeSet};

use sim::NodeId;
use sim::check::{Invariant, Violation};
use sim::event::{Crashed, Moment, On};

use super::events::{Acked, Answered, Asked, Audited, Contents, Listed, LostRecords, Reading, Recovered, Recovering};
use super::ledger::{Ledger, Place};

fn violation(about: &str, explanation: String) -> Result<(), Violation> {
    Err(Violation { about: about.to_owned(), ..Violation::new(explanation) })
}

/// An acknowledged record would survive a crash: from the moment of the acknowledgement on, and for ever, unless a fault
/// destroys the sectors that it is in.
#[derive(Default)]
pub struct Durable {
    asked: BTreeSet<u64>,
    ledger: Ledger,
    journal: Option<NodeId>,
}

impl Durable {
    fn inspect(&mut self, when: &str) -> Result<(), Violation> {
        let gone = self.journal.and_then(|journal| self.ledger.inspect(journal));
        match gone {
            None => Ok(()),
            Some((index, kept)) => {
                let place = kept
                    .place
                    .map_or_else(String::new, |place| format!(" (it was in {} at {})", place.path, place.offset));
                violation("kept", format!("{when}: the acknowledged record {index} is not on the disk any more{place}"))
            }
        }
    }
}

impl Invariant for Durable {
    const NAME: &'static str = "durable";

    fn subscribe(on: &mut On<Self>) {
        on.event::<Asked>(|this, _, event| {
            this.asked.insert(event.record);
            Ok(())
        });
        on.event::<Acked>(|this, moment, event| {
            this.journal = Some(moment.node);
            let Acked { index, record, .. } = *event;
            if !this.asked.contains(&record) {
                return violation("invented", format!("acknowledged record {index}, which nobody sent"));
            }
            if this.ledger.get(index).is_some_and(|kept| kept.record != record) {
                return violation(
                    "number",
                    format!("acknowledged another record under the number {index} than before"),
                );
            }
            this.ledger.keep(index, record, Place::of(event));
            if this.ledger.is_gone(moment.node, index) {
                return violation("acked", format!("acknowledged record {index}, which a crash may still lose"));
            }
            Ok(())
        });
        on.event::<Answered>(|this, _, event| match this.ledger.get(event.index) {
            Some(kept) if kept.record == event.record => Ok(()),
            _ => violation("answered", format!("was told that its record is number {}, which it is not", event.index)),
        });
        on.event::<Crashed>(|this, moment, _| match this.journal == Some(moment.node) {
            true => this.inspect("after the crash"),
            false => Ok(()),
        });
        on.event::<Recovering>(|this, moment, _| {
            this.journal = Some(moment.node);
            this.inspect("before the recovery")
        });
        on.event::<LostRecords>(|this, _, _| this.inspect("after a loss"));
        on.event::<Audited>(|this, _, _| this.inspect("at the end"));
    }
}

/// Each recovery and each read gives back every record that was acknowledged, or given back, before. Only what a fault
/// has destroyed may be missing, and then the journal says so.
#[derive(Default)]
pub struct ReadBack {
    ledger: Ledger,
    /// What was known when each client's present read began.
    reading: BTreeMap<NodeId, u64>,
}

impl ReadBack {
    fn look(&mut self, moment: &Moment) {
        self.ledger.inspect(moment.node);
    }

    /// Judges what was given back to somebody who asked when `known` records were known.
    fn judge(&mut self, contents: &Contents, known: u64, who: &str) -> Result<(), Violation> {
        for (index, kept) in self.ledger.iter().filter(|(_, kept)| kept.order <= known) {
            match contents.get(index) {
                Some(record) if record == kept.record => {}
                Some(_) => {
                    return violation("other", format!("{who} another record under the number {index} than before"));
                }
                None if !contents.is_lost(index) => {
                    return violation(
                        "unreported",
                        format!("{who} no record {index}, and does not say that it is lost"),
                    );
                }
                None if !self.ledger.is_destroyed(index) => {
                    return violation(
                        "undamaged",
                        format!("{who} record {index} as lost, which no fault has destroyed"),
                    );
                }
                None => {}
            }
        }
        for &(index, record) in &contents.records {
            self.ledger.keep(index, record, None);
        }
        Ok(())
    }
}

impl Invariant for ReadBack {
    const NAME: &'static str = "read-back";

    fn subscribe(on: &mut On<Self>) {
        on.event::<Acked>(|this, _, event| {
            this.ledger.keep(event.index, event.record, Place::of(event));
            Ok(())
        });
        on.event::<Recovering>(|this, moment, _| {
            this.look(moment);
            Ok(())
        });
        on.event::<LostRecords>(|this, moment, _| {
            this.look(moment);
            Ok(())
        });
        on.event::<Recovered>(|this, _, event| this.judge(&event.contents, u64::MAX, "the recovery found"));
        on.event::<Reading>(|this, moment, _| {
            this.reading.insert(moment.node, this.ledger.order());
            Ok(())
        });
        on.event::<Listed>(|this, moment, event| {
            let known = this.reading.get(&moment.node).copied().unwrap_or(0);
            this.judge(&event.contents, known, "the read got")
        });
    }
}
