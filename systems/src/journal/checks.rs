//! The invariants: what was acknowledged is on the disk, and what is on the disk is read back.
//!
//! Both are judged from outside. What a record is, the client that sent it says; whether it is on the disk, the simulator
//! does, by what would survive a loss of power at that very moment; and what a fault has destroyed, the simulator does too.

use std::collections::{BTreeMap, BTreeSet};

use sim::NodeId;
use sim::check::{Invariant, Violation};
use sim::event::{Crashed, Moment, On};
use sim::node;
use sim::system::Protect;

use super::events::{Acked, Answered, Asked, Audited, Contents, Listed, LostRecords, Reading, Recovered, Recovering};
use super::ledger::{Ledger, Place};

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
                Err(Violation::about(
                    "kept",
                    format!("{when}: the acknowledged record {index} is not on the disk any more{place}"),
                ))
            }
        }
    }
}

impl Invariant for Durable {
    const NAME: &'static str = "durable";

    fn subscribe(on: &mut On<Self>) {
        on.fold::<Asked>(|this, _, event| {
            this.asked.insert(event.record);
        });
        on.event::<Acked>(|this, moment, event| {
            this.journal = Some(moment.node);
            let Acked { index, record, .. } = *event;
            if !this.asked.contains(&record) {
                return Err(Violation::about("invented", format!("acknowledged record {index}, which nobody sent")));
            }
            if this.ledger.get(index).is_some_and(|kept| kept.record != record) {
                return Err(Violation::about(
                    "number",
                    format!("acknowledged another record under the number {index} than before"),
                ));
            }
            this.ledger.keep(index, record, Place::of(event));
            if this.ledger.is_gone(moment.node, index) {
                return Err(Violation::about(
                    "acked",
                    format!("acknowledged record {index}, which a crash may still lose"),
                ));
            }
            Ok(())
        });
        on.event::<Answered>(|this, _, event| match this.ledger.get(event.index) {
            Some(kept) if kept.record == event.record => Ok(()),
            _ => Err(Violation::about(
                "answered",
                format!("was told that its record is number {}, which it is not", event.index),
            )),
        });
        on.event::<Crashed>(|this, moment, event| {
            if this.journal != Some(moment.node) {
                return Ok(());
            }
            if event.wiped {
                this.ledger.wiped();
            }
            this.inspect("after the crash")
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
    journal: Option<NodeId>,
    /// What was known when each client's present read began.
    reading: BTreeMap<NodeId, u64>,
}

impl ReadBack {
    fn look(&mut self, moment: &Moment) {
        self.journal = Some(moment.node);
        self.ledger.inspect(moment.node);
    }

    /// Judges what was given back to somebody who asked when `known` records were known.
    fn judge(&mut self, contents: &Contents, known: u64, who: &str) -> Result<(), Violation> {
        for (index, kept) in self.ledger.iter().filter(|(_, kept)| kept.order <= known) {
            match contents.get(index) {
                Some(record) if record == kept.record => {}
                Some(_) => {
                    return Err(Violation::about(
                        "other",
                        format!("{who} another record under the number {index} than before"),
                    ));
                }
                None if !contents.is_lost(index) => {
                    return Err(Violation::about(
                        "unreported",
                        format!("{who} no record {index}, and does not say that it is lost"),
                    ));
                }
                None if !self.ledger.is_destroyed(index) => {
                    return Err(Violation::about(
                        "undamaged",
                        format!("{who} record {index} as lost, which no fault has destroyed"),
                    ));
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
        on.fold::<Acked>(|this, _, event| {
            this.ledger.keep(event.index, event.record, Place::of(event));
        });
        on.fold::<Recovering>(|this, moment, _| {
            this.look(moment);
        });
        on.fold::<LostRecords>(|this, moment, _| {
            this.look(moment);
        });
        on.fold::<Crashed>(|this, moment, event| {
            if event.wiped && this.journal == Some(moment.node) {
                this.ledger.wiped();
            }
        });
        on.event::<Recovered>(|this, _, event| this.judge(&event.contents, u64::MAX, "the recovery found"));
        on.fold::<Reading>(|this, moment, _| {
            this.reading.insert(moment.node, this.ledger.order());
        });
        on.event::<Listed>(|this, moment, event| {
            let known = this.reading.get(&moment.node).copied().unwrap_or(0);
            this.judge(&event.contents, known, "the read got")
        });
    }
}

/// There is one copy of each record, on the journal's disk.
#[derive(Default)]
pub struct TheOnlyDisk;

impl Protect for TheOnlyDisk {
    fn subscribe(_: &mut On<Self>) {}

    fn memories(&self) -> Vec<Vec<NodeId>> {
        Vec::new()
    }

    fn disks(&self) -> Vec<Vec<NodeId>> {
        vec![node::of_role("journal")]
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::Pin;
    use std::time::Duration;

    use sim::fault::Fault;
    use sim::{Sim, fs, observe, time};

    use super::super::recovery::LOG;
    use super::super::state::{Lost, id_of};
    use super::*;
    use crate::storage::wal::{Location, Marking, Options, Wal};

    const BYTES: &[u8] = b"what is to be kept";

    type Story = fn() -> Pin<Box<dyn Future<Output = ()>>>;

    /// What the invariant says of a story on the journal's node, and of what then happens to it.
    fn told<I: Invariant>(story: Story, then: fn(&Sim, NodeId)) -> Vec<String> {
        let run = sim::simulate(1, move |sim| {
            sim.watch::<I>();
            let journal = sim.node("journal-0", story);
            sim.run_for(Duration::from_secs(1));
            then(sim, journal);
            sim.run_for(Duration::from_secs(1));
        });
        run.expect("the world runs").failures.into_iter().map(|failure| failure.signature).collect()
    }

    fn nothing(_: &Sim, _: NodeId) {}

    /// A sector of the log that cannot be read any more.
    fn bad(sim: &Sim, journal: NodeId) {
        // It cannot be undone.
        drop(sim.inject(Fault::BadSectors { nodes: vec![journal], sectors: 1, files: "log/segment-*".to_owned() }));
    }

    fn bad_mark(sim: &Sim, journal: NodeId) {
        drop(sim.inject(Fault::BadSectors { nodes: vec![journal], sectors: 9, files: "log/mark-*".to_owned() }));
    }

    fn rot(sim: &Sim, journal: NodeId) {
        drop(sim.inject(Fault::BitRot { nodes: vec![journal], sectors: 1, files: "log/segment-*".to_owned() }));
    }

    /// Writes a record into a log, durable or not.
    async fn write(sync: bool) -> Acked {
        observe!(Asked { record: id_of(BYTES) });
        let options = Options { dir: LOG.to_owned(), segment: 4096, max_record: 99, marking: Marking::WithBatch };
        let (wal, _) = Wal::open(options).await.expect("the disk is sound");
        let index = wal.append(BYTES).expect("the log is in order");
        wal.sync(index).await.expect("the disk is sound");
        let Location { path, offset, len } = wal.locate(index).expect("it is durable");
        if !sync {
            let mut bytes = vec![0; (offset + len) as usize];
            fs::File::open(&path).await.expect("it is there").read_exact_at(&mut bytes, 0).await.expect("it is there");
            fs::remove_file(&path).await.expect("it is there");
            fs::sync_dir(LOG).await.expect("the disk is sound");
            let file = fs::File::create(&path).await.expect("there is space");
            file.write_all_at(&bytes, 0).await.expect("there is space");
        }
        Acked { index, record: id_of(BYTES), path, offset, len }
    }

    /// Where nothing is.
    fn acked(record: u64) -> Acked {
        Acked { index: 1, record, path: "log/1".to_owned(), offset: 40, len: BYTES.len() as u64 }
    }

    fn recovered(records: &[(u64, u64)], lost: &[Lost]) -> Recovered {
        let contents = Contents { records: records.to_vec(), lost: lost.to_vec() };
        Recovered { first: 1, last: 1, snapshot: 0, contents }
    }

    const LOST: Lost = Lost { first: 1, last: 1, ambiguous: false };

    #[test]
    fn what_is_durable_may_be_acknowledged() {
        let story: Story = || Box::pin(async { observe!(write(true).await) });
        assert_eq!(told::<Durable>(story, nothing), [""; 0]);
        assert_eq!(told::<Durable>(story, |sim, journal| sim.crash(journal)), [""; 0]);
    }

    #[test]
    fn what_a_crash_may_lose_may_not_be_acknowledged() {
        let story: Story = || Box::pin(async { observe!(write(false).await) });
        assert_eq!(told::<Durable>(story, nothing), ["durable:acked"]);
    }

    #[test]
    fn what_nobody_sent_or_another_has_the_number_of_may_not_be_acknowledged() {
        let invented: Story = || {
            Box::pin(async {
                write(true).await;
                observe!(acked(4711));
            })
        };
        assert_eq!(told::<Durable>(invented, nothing), ["durable:invented"]);
        let twice: Story = || {
            Box::pin(async {
                observe!(write(true).await);
                observe!(Asked { record: 4711 });
                observe!(acked(4711));
            })
        };
        assert_eq!(told::<Durable>(twice, nothing), ["durable:number"]);
    }

    #[test]
    fn a_client_may_be_told_only_what_was_acknowledged() {
        let right: Story = || {
            Box::pin(async {
                observe!(write(true).await);
                observe!(Answered { record: id_of(BYTES), index: 1 });
            })
        };
        assert_eq!(told::<Durable>(right, nothing), [""; 0]);
        let wrong: Story = || {
            Box::pin(async {
                observe!(write(true).await);
                observe!(Answered { record: id_of(BYTES), index: 2 });
            })
        };
        assert_eq!(told::<Durable>(wrong, nothing), ["durable:answered"]);
    }

    #[test]
    fn what_was_acknowledged_stays_unless_a_fault_destroys_it() {
        let removed: Story = || {
            Box::pin(async {
                let acked = write(true).await;
                observe!(acked.clone());
                fs::remove_file(&acked.path).await.expect("it is there");
                fs::sync_dir(LOG).await.expect("the disk is sound");
                observe!(Recovering { attempt: 1 });
            })
        };
        assert_eq!(told::<Durable>(removed, nothing), ["durable:kept"]);
        let written: Story = || {
            Box::pin(async {
                observe!(write(true).await);
                time::sleep(Duration::from_millis(1500)).await;
                observe!(Recovering { attempt: 1 });
            })
        };
        assert_eq!(told::<Durable>(written, bad), [""; 0]);
    }

    #[test]
    fn what_was_acknowledged_is_given_back() {
        let story: Story = || {
            Box::pin(async {
                observe!(write(true).await);
                observe!(Recovering { attempt: 1 });
                observe!(recovered(&[(1, id_of(BYTES))], &[]));
            })
        };
        assert_eq!(told::<ReadBack>(story, nothing), [""; 0]);
        let another: Story = || {
            Box::pin(async {
                observe!(write(true).await);
                observe!(Recovering { attempt: 1 });
                observe!(recovered(&[(1, 4711)], &[]));
            })
        };
        assert_eq!(told::<ReadBack>(another, nothing), ["read-back:other"]);
    }

    #[test]
    fn a_loss_needs_damage_and_a_report() {
        let unreported: Story = || {
            Box::pin(async {
                observe!(write(true).await);
                time::sleep(Duration::from_millis(1500)).await;
                observe!(Recovering { attempt: 1 });
                observe!(recovered(&[], &[]));
            })
        };
        assert_eq!(told::<ReadBack>(unreported, nothing), ["read-back:unreported"]);
        assert_eq!(told::<ReadBack>(unreported, bad), ["read-back:unreported"]);
        let reported: Story = || {
            Box::pin(async {
                observe!(write(true).await);
                time::sleep(Duration::from_millis(1500)).await;
                observe!(Recovering { attempt: 1 });
                observe!(recovered(&[], &[LOST]));
            })
        };
        assert_eq!(told::<ReadBack>(reported, nothing), ["read-back:undamaged"]);
        assert_eq!(told::<ReadBack>(reported, bad), [""; 0]);
        assert_eq!(told::<ReadBack>(reported, bad_mark), ["read-back:undamaged"], "there is no record in a mark");
    }

    #[test]
    fn a_rotten_bit_excuses_no_loss_of_what_shares_its_sector() {
        let both: Story = || {
            Box::pin(async {
                let options =
                    Options { dir: LOG.to_owned(), segment: 4096, max_record: 200, marking: Marking::WithBatch };
                let (wal, _) = Wal::open(options).await.expect("the disk is sound");
                for index in 1..=2 {
                    let bytes = [index as u8; 200];
                    wal.append(&bytes).expect("the log is in order");
                    wal.sync(index).await.expect("the disk is sound");
                    let Location { path, offset, len } = wal.locate(index).expect("it is durable");
                    observe!(Acked { index, record: id_of(&bytes), path, offset, len });
                }
                time::sleep(Duration::from_millis(1500)).await;
                observe!(Recovering { attempt: 1 });
                observe!(recovered(&[], &[Lost { first: 1, last: 2, ambiguous: false }]));
            })
        };
        assert_eq!(told::<ReadBack>(both, rot), ["read-back:undamaged"]);
        assert_eq!(told::<ReadBack>(both, bad), [""; 0]);
    }

    #[test]
    fn a_read_owes_what_was_there_when_it_began() {
        let before: Story = || {
            Box::pin(async {
                observe!(write(true).await);
                observe!(Reading {});
                observe!(Listed { contents: Contents::default() });
            })
        };
        assert_eq!(told::<ReadBack>(before, nothing), ["read-back:unreported"]);
        let after: Story = || {
            Box::pin(async {
                observe!(Reading {});
                observe!(write(true).await);
                observe!(Listed { contents: Contents::default() });
            })
        };
        assert_eq!(told::<ReadBack>(after, nothing), [""; 0]);
    }

    #[test]
    fn what_was_read_once_is_owed_ever_after() {
        let story: Story = || {
            Box::pin(async {
                observe!(Reading {});
                observe!(Listed { contents: Contents { records: vec![(3, 4711)], lost: Vec::new() } });
                observe!(Reading {});
                observe!(Listed { contents: Contents::default() });
            })
        };
        assert_eq!(told::<ReadBack>(story, nothing), ["read-back:unreported"]);
    }
}
