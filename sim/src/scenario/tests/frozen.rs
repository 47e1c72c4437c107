use super::{FULL, HEADER, description, nodes, scenario};
use crate::base::{Capacity, Iops, Latency, Offset, Size, Time};
use crate::fault::{Fault, InFlight};
use crate::fs::DiskPatch;
use crate::net::LinkPatch;
use crate::scenario::freeze::FrozenFault;
use crate::scenario::plan::{Action, Exact, Frozen, What};
use crate::scenario::{check, freeze};

fn frozen() -> Frozen {
    Frozen {
        seed: u64::MAX,
        scenario: "scenarios/primary_backup/swarm.toml".to_owned(),
        planted: vec!["pb.stale-read".to_owned()],
        buggify: Vec::new(),
        world: "00ff".to_owned(),
    }
}

/// One of each fault.
fn faults() -> Vec<FrozenFault> {
    let one = || vec!["server-0".to_owned()];
    let two = || vec!["server-1".to_owned(), "client-0".to_owned()];
    let latency =
        Some(Latency::Bimodal { fast: Time::from_nanos(1), slow: Time::from_nanos(1_000_000), slow_chance: 0.1 });
    let all = vec![
        Fault::Crash(one()),
        Fault::Kill(one()),
        Fault::Restart(two()),
        Fault::Wipe(one()),
        Fault::Pause(one()),
        Fault::Partition { groups: vec![one(), two(), Vec::new()], in_flight: InFlight::Deliver },
        Fault::Ring(vec!["server-2".to_owned(), "server-0".to_owned(), "server-1".to_owned()]),
        Fault::OneWay { from: one(), to: two(), in_flight: InFlight::Drop },
        Fault::Isolate(one()),
        Fault::Clog { from: one(), to: two() },
        Fault::Link { from: one(), to: two(), set: LinkPatch { latency, loss: Some(0.1), ..LinkPatch::default() } },
        Fault::Clock { nodes: one(), offset: Offset::from_nanos(-1_500_000), drift_ppm: 0 },
        Fault::Clock { nodes: one(), offset: Offset::default(), drift_ppm: -200 },
        Fault::SlowCpu { nodes: one(), poll: Time::from_nanos(7_000) },
        Fault::Disk {
            nodes: two(),
            set: Box::new(DiskPatch {
                read: latency,
                iops: Some(Iops::per_second(200)),
                capacity: Some(Capacity::UNLIMITED),
                sync_error: Some(0.25),
                lying_sync: Some(true),
                ..DiskPatch::default()
            }),
        },
        Fault::DiskStall(two()),
        Fault::DiskFull { nodes: one(), free: Size::from_bytes(4096) },
        Fault::BitRot { nodes: one(), sectors: 3, files: "wal/*".to_owned() },
        Fault::BadSectors { nodes: one(), sectors: 1, files: "*".to_owned() },
        Fault::Reconfigure { nodes: one(), with: toml::toml! { batch = 8 } },
        Fault::Action { name: "grow".to_owned(), args: toml::toml! { by = 2 }, on: None },
    ];
    let each = all.into_iter().enumerate().map(|(i, fault)| FrozenFault {
        name: format!("{}-{}", fault.name(), i + 1),
        fault,
        exact: Exact { ns: 1_000 + i as u64, poll: 77, observation: i as u32 % 2 },
        lasts: (i % 3 != 0).then(|| Time::from_nanos(123)),
    });
    each.collect()
}

#[test]
fn a_frozen_file_reads_well() {
    let scenario = scenario(FULL);
    let plan = scenario.plan(42).unwrap();
    let file = freeze(&scenario, &plan, &frozen(), &faults());
    insta::assert_snapshot!(file);
}

#[test]
fn a_frozen_file_is_the_same_plan_with_any_seed() {
    for source in [FULL, HEADER] {
        let original = scenario(source);
        for seed in 0..20 {
            let plan = original.plan(seed).unwrap();
            let faults = faults();
            let again = scenario(&freeze(&original, &plan, &frozen(), &faults));
            let replayed = again.plan(seed + 1).unwrap();
            assert_eq!(replayed.description, plan.description);
            assert_eq!(replayed.system, plan.system);
            assert_eq!(replayed.run, plan.run);
            assert_eq!(replayed.network, plan.network);
            assert_eq!(replayed.disk, plan.disk);
            assert_eq!(replayed.workloads, plan.workloads);
            assert_eq!(replayed.expect, plan.expect);
            assert_eq!(replayed.frozen, Some(frozen()));
            assert_eq!(replayed.draws, []);
            assert_eq!(replayed.faults.len(), faults.len());
            for (rule, fault) in replayed.faults.iter().zip(faults) {
                assert_eq!(rule.name.as_ref().unwrap().get_ref(), &fault.name);
                assert_eq!(rule.exact, Some(fault.exact));
                assert_eq!(
                    rule.lasts.map(|lasts| format!("{lasts:?}")),
                    fault.lasts.map(|time| format!("Fixed({time:?})"))
                );
                let named = |targets: &crate::scenario::Targets| targets.0.iter().map(ToString::to_string).collect();
                let Action::Always(What::Fault(read)) = rule.what.get_ref().clone() else { panic!("{rule:?}") };
                assert_eq!(read.map(|targets| -> Vec<String> { named(&targets) }), fault.fault);
            }
            check(&again, &replayed, &description(), &nodes()).unwrap();
            // Freezing what is frozen changes nothing.
            assert_eq!(again.plan(0).unwrap().frozen, Some(frozen()));
        }
    }
}
