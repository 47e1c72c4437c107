//! Rules of a scenario: when they fire, whom they hit, what refuses them, and that the heal undoes them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use super::toy::{Toy, notes_of, passed, run, scenario};
use sim::trace::record::{Kind, Record, Recorder};
use sim::{Report, RunOptions, Scenario};

/// What a run did, line by line, and its report.
fn recorded(system: &str, run_table: &str, rules: &str) -> (Vec<Record>, Report) {
    recorded_with(1, system, run_table, rules)
}

fn recorded_with(seed: u64, system: &str, run_table: &str, rules: &str) -> (Vec<Record>, Report) {
    let records: Arc<Mutex<Vec<Record>>> = Arc::default();
    let sink = records.clone();
    let recorder = Some(Recorder::new(Box::new(move |record| sink.lock().unwrap().push(record))));
    let report = run(&scenario(system, run_table, rules), seed, RunOptions { recorder, ..RunOptions::default() });
    let records = std::mem::take(&mut *records.lock().unwrap());
    (records, report)
}

/// When each fault happened, in milliseconds, and what it was.
fn faults(report: &Report) -> Vec<(f64, String)> {
    let parse = |line: &String| {
        let (at, rest) = line.split_once("s ").unwrap();
        ((at.parse::<f64>().unwrap() * 1e9).round() / 1e6, rest.to_owned())
    };
    report.faults.iter().map(parse).collect()
}

fn moments(report: &Report) -> Vec<f64> {
    faults(report).into_iter().map(|(at, _)| at).collect()
}

/// When an event with that text happened.
fn events(records: &[Record], text: &str) -> Vec<f64> {
    let of_text = records.iter().filter(|record| record.kind == Kind::Event && record.text.starts_with(text));
    of_text.map(|record| record.at_ns as f64 / 1e6).collect()
}

#[test]
fn at_strikes_once_at_its_nanosecond() {
    let report = passed("[[fault]]\nat = \"1s\"\ndelay = \"250ms\"\nfor = \"1s\"\ndo = { pause = \"server-1\" }", 1);
    assert_eq!(report.faults, ["1.250000000s fault-1: pause server-1 for 1s"]);
    assert_eq!(report.dose["pause"], 1);
}

#[test]
fn what_died_is_said_by_the_event() {
    let deaths = "[[fault]]\nat = \"500ms\"\ndo = { kill = \"server-1\" }\nfor = \"100ms\"\n\
                  [[fault]]\nat = \"1s\"\ndo = { crash = \"server-1\" }\nfor = \"100ms\"\n\
                  [[fault]]\nat = \"1500ms\"\ndo = { wipe = \"server-1\" }";
    let when = |which: &str| {
        let then = format!("when = {{ event = \"sim.crashed\", where = {{ {which} }} }}");
        let report = passed(
            &format!("{deaths}\nfor = \"100ms\"\n[[fault]]\n{then}\ndo = {{ pause = \"server-2\" }}\nfor = \"1ms\""),
            1,
        );
        let pauses = faults(&report).into_iter().filter(|(_, what)| what.contains("pause"));
        pauses.map(|(at, _)| at).collect::<Vec<_>>()
    };
    assert_eq!(when("killed = true"), [500.0]);
    assert_eq!(when("killed = false, wiped = false"), [1000.0]);
    assert_eq!(when("wiped = true"), [1500.0]);
}

#[test]
fn a_client_that_went_down_works_again_where_the_workload_says_so() {
    let rules = |restart: bool| {
        format!(
            "restart = {restart}\n[[fault]]\nevery = \"1s\"\nfor = \"100ms\"\ndo = {{ crash = \"client-0\" }}\n\
             [[workload]]\nname = \"probe\"\nphase = \"final\"\non = \"client-0\"\n"
        )
    };
    let ops = |restart: bool| {
        let text = format!(
            "[system]\nname = \"toy\"\nclients = 1\n[run]\nmain = \"3s\"\nmax_down = \"all\"\n[[workload]]\nname = \"load\"\n{}",
            rules(restart)
        );
        let report =
            run(&Scenario::parse("toy.toml", &text).unwrap(), 1, RunOptions { freeze: true, ..RunOptions::default() });
        assert_eq!(report.failure, None);
        let frozen = Scenario::parse("frozen.toml", report.frozen.as_deref().unwrap()).unwrap();
        assert_eq!(run(&frozen, 7, RunOptions::default()).world, report.world, "frozen");
        (report.dose["client.lost"], report.dose.get("client.restarted").copied(), report.dose["ops_ok"])
    };
    let ((lost, _, few), (all_lost, restarted, many)) = (ops(false), ops(true));
    assert_eq!((lost, all_lost, restarted), (1, 2, Some(2)));
    assert!(many > 2 * few, "{many} {few}");
}

#[test]
fn every_strikes_again_and_again() {
    let fixed = "[[fault]]\nevery = \"700ms\"\nfor = \"10ms\"\ndo = { pause = \"server-1\" }";
    assert_eq!(moments(&passed(fixed, 1)), [700.0, 1400.0, 2100.0, 2800.0]);
    assert_eq!(moments(&passed(&format!("{fixed}\ntimes = 2"), 1)), [700.0, 1400.0]);

    let drawn = "[[fault]]\nevery = { draw = [\"100ms\", \"300ms\"] }\nfor = { draw = [\"1ms\", \"9ms\"] }\n\
                 do = { pause = \"server-1\" }";
    let report = passed(drawn, 1);
    let at = moments(&report);
    assert!((10..=30).contains(&at.len()), "{at:?}");
    let gaps: Vec<f64> = std::iter::once(at[0]).chain(at.windows(2).map(|pair| pair[1] - pair[0])).collect();
    assert!(gaps.iter().all(|gap| (100.0..=300.0).contains(gap)), "{gaps:?}");
    assert_eq!(gaps.iter().map(|gap| gap.to_bits()).collect::<BTreeSet<_>>().len(), gaps.len(), "drawn each time");
    let lasts: BTreeSet<&str> = report.faults.iter().map(|line| line.rsplit(' ').next().unwrap()).collect();
    assert_eq!(lasts.len(), at.len(), "drawn each time");
    assert_eq!(moments(&passed(drawn, 1)), at);
    assert_ne!(moments(&passed(drawn, 2)), at);
}

#[test]
fn when_counts_the_events_that_match_in_node_and_fields() {
    for (when, text, nth) in [
        ("event = \"toy.beat\"", "toy.beat", 0),
        ("event = \"toy.beat\", nth = 8", "toy.beat", 7),
        ("event = \"toy.beat\", nth = 3, node = \"server-2\"", "toy.beat { server: server-2", 2),
        ("event = \"toy.beat\", where = { round = 9 }", "toy.beat { server: server-0, round: 9 }", 0),
        (
            "event = \"toy.beat\", where = { server = \"server-1\", round = 5 }",
            "toy.beat { server: server-1, round: 5 }",
            0,
        ),
        ("event = \"toy.beat\", node = [\"server-2\", \"server-1\"], where = { round = 4 }", "", 0),
    ] {
        // A pause of a client disturbs no beat.
        let rule = format!("[[fault]]\nwhen = {{ {when} }}\nfor = \"1ms\"\ndo = {{ pause = \"client-1\" }}");
        let (records, report) = recorded("", "", &rule);
        assert_eq!(report.failure, None);
        let expected = if text.is_empty() {
            let fourth = |server| events(&records, &format!("toy.beat {{ server: {server}, round: 4 }}"))[0];
            fourth("server-1").min(fourth("server-2"))
        } else if when.ends_with('9') || when.contains("round = 9") {
            (0..3)
                .map(|i| events(&records, &format!("toy.beat {{ server: server-{i}, round: 9 }}"))[0])
                .fold(f64::MAX, f64::min)
        } else {
            events(&records, text)[nth]
        };
        assert_eq!(moments(&report), [expected], "{when}");
    }
}

#[test]
fn when_with_a_delay_strikes_that_much_later_and_no_more_often_than_times() {
    let rule = "[[fault]]\nwhen = { event = \"toy.beat\", node = \"server-0\", nth = 2 }\ndelay = \"30ms\"\ntimes = 3\n\
                for = \"1ms\"\ndo = { pause = \"client-1\" }";
    let (records, report) = recorded("", "", rule);
    let beats = events(&records, "toy.beat { server: server-0");
    let expected: Vec<f64> = beats[1..4].iter().map(|at| at + 30.0).collect();
    let found = moments(&report);
    assert!(found.len() == 3 && found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6), "{found:?}");
}

#[test]
fn when_an_operation_is_invoked() {
    let rule = "[[fault]]\nwhen = { op = \"put\", node = \"client-1\", nth = 5 }\ntimes = 2\nfor = \"1ms\"\n\
                do = { pause = \"server-0\" }";
    let (records, report) = recorded("", "", rule);
    let puts: Vec<f64> = records
        .iter()
        .filter(|record| record.node.as_deref() == Some("client-1") && record.text.starts_with("invoke Put"))
        .map(|record| record.at_ns as f64 / 1e6)
        .collect();
    assert_eq!(moments(&report), puts[4..6]);
}

#[test]
fn after_follows_the_end_of_another_fault_or_that_it_happened() {
    let rules = "[[fault]]\nname = \"cut\"\nat = \"1s\"\nfor = \"300ms\"\ndo = { isolate = \"server-0\" }\n\
                 [[fault]]\nname = \"then\"\nafter = \"cut\"\ndelay = \"50ms\"\ndo = { restart = \"server-1\" }\n\
                 [[fault]]\nafter = \"then\"\ndo = { restart = \"server-2\" }";
    assert_eq!(moments(&passed(rules, 1)), [1000.0, 1350.0, 1350.0]);
    let often = "[[fault]]\nname = \"cut\"\nevery = \"1s\"\nfor = \"300ms\"\ndo = { isolate = \"server-0\" }\n\
                 [[fault]]\nafter = \"cut\"\ntimes = 5\ndo = { restart = \"server-1\" }";
    let restarts: Vec<f64> =
        faults(&passed(often, 1)).into_iter().filter(|(_, what)| what.contains("restart")).map(|(at, _)| at).collect();
    assert_eq!(restarts, [1300.0, 2300.0]);
}

#[test]
fn one_of_is_drawn_each_time_by_weight() {
    let rule = "[[fault]]\nevery = \"10ms\"\nfor = \"1ms\"\ndo = { one_of = [\n{ weight = 3, pause = \"client-1\" },\n\
                { clog = { from = \"client-1\", to = \"server-0\" } },\n{ weight = 0, isolate = \"server-0\" },\n] }";
    let report = passed(rule, 1);
    let (pauses, clogs) = (report.dose["pause"], report.dose["clog"]);
    assert!(pauses + clogs >= 299 && (200..=250).contains(&pauses), "{pauses} and {clogs}");
    assert_eq!(report.dose.get("isolate"), None);
}

#[test]
fn a_crash_at_an_observation_takes_effect_there() {
    let crash = "[[fault]]\nwhen = { event = \"toy.handling\", where = { value = 7 } }\n\
                 do = { crash = [\"server-0\", \"server-1\", \"server-2\"] }";
    let run_table = "max_down = \"all\"\nschedule = \"fifo\"";
    let (records, report) = recorded("notes = 1\nclients = 1", run_table, crash);
    assert_eq!(report.failure, None);
    let at = records.iter().position(|record| record.text.starts_with("toy.handling { value: 7")).unwrap();
    let server = records[at].node.clone();
    let end = records.iter().position(|record| record.text == "heal").unwrap();
    // Nothing of the rest of the poll: no send, no write, no observation, no task.
    let noise = [Kind::Send, Kind::Disk, Kind::Op, Kind::Log];
    let own = records[at + 1..end].iter().filter(|record| record.node == server && noise.contains(&record.kind));
    let own: Vec<&Record> = own.filter(|record| !record.text.starts_with("crash lost")).collect();
    assert!(own.is_empty(), "{own:?}");
    for kind in ["handled", "spawned", "written"] {
        assert_eq!(events(&records[at..end], &format!("toy.{kind}")).len(), 0, "{kind}");
        assert!(!events(&records[..at], &format!("toy.{kind}")).is_empty(), "{kind} happens at all");
    }
    // Its futures are dropped when the poll returns: a guard for each put.
    let handled = events(&records[..at], "toy.handled").len();
    assert_eq!(notes_of(1).len(), handled + 1);

    // Without the fault that very code has all of these effects.
    let (records, report) = recorded("clients = 1", "schedule = \"fifo\"", "");
    assert_eq!(report.failure, None);
    for kind in ["handled", "spawned", "written"] {
        assert_eq!(events(&records, &format!("toy.{kind} {{ value: 7 ")).len(), 1, "{kind}");
    }
}

#[test]
fn a_crash_at_an_invocation_takes_effect_there() {
    let (records, report) =
        recorded("", "max_down = 1", "[[fault]]\nwhen = { op = \"put\", nth = 9 }\ndo = { crash = \"client-1\" }");
    let crash = records.iter().position(|record| record.kind == Kind::Fault && record.text.starts_with("crash"));
    let after = records[crash.unwrap()..].iter().filter(|record| record.node.as_deref() == Some("client-1"));
    assert!(after.clone().count() >= 1 && after.clone().all(|record| record.kind != Kind::Send), "no request goes out");
    assert_eq!(report.failure, None);
}

#[test]
fn the_budget_refuses_what_takes_too_many_down() {
    let two = "[[fault]]\nat = \"1s\"\nfor = \"1s\"\ndo = { crash = [\"server-0\", \"server-1\"] }";
    let one_by_one = "[[fault]]\nat = \"1s\"\nfor = \"1s\"\ndo = { crash = \"server-0\" }\n\
                      [[fault]]\nat = \"1500ms\"\ndo = { wipe = \"server-1\" }\n\
                      [[fault]]\nat = \"2100ms\"\ndo = { crash = \"server-1\" }";
    let wipe_what_is_down = "[[fault]]\nat = \"1s\"\ndo = { crash = \"server-0\" }\n\
                             [[fault]]\nat = \"1500ms\"\ndo = { wipe = \"server-0\" }";
    for (max_down, rules, happened, refused) in [
        ("\"minority\"", two, 0, 1),
        ("1", two, 0, 1),
        ("2", two, 1, 0),
        ("\"all\"", two, 1, 0),
        ("\"minority\"", one_by_one, 2, 1),
        ("0", one_by_one, 0, 3),
        ("1", wipe_what_is_down, 2, 0),
    ] {
        let report = run(&scenario("", &format!("max_down = {max_down}"), rules), 1, RunOptions::default());
        assert_eq!(report.failure, None);
        let found = report.dose.get("fault.refused").copied().unwrap_or(0);
        assert_eq!((report.faults.len(), found), (happened, refused), "{max_down} {rules}");
    }
}

#[test]
fn what_is_refused_is_tried_again_and_said() {
    let rules = "[[fault]]\nname = \"first\"\nat = \"0s\"\nfor = \"1s\"\ndo = { crash = \"server-0\" }\n\
                 [[fault]]\nname = \"second\"\nwhen = { event = \"toy.beat\", node = \"server-1\" }\ntimes = 2\n\
                 for = \"10ms\"\ndo = { crash = \"server-1\" }\n\
                 [[fault]]\nname = \"third\"\nevery = \"100ms\"\nwhile = \"first\"\ntimes = 1\ndo = { restart = \"client-9*\" }";
    let report = passed(&rules.replace("client-9*", "first"), 1);
    let seconds: Vec<f64> =
        faults(&report).into_iter().filter(|(_, what)| what.contains("second")).map(|(at, _)| at).collect();
    assert!(seconds.len() == 2 && seconds.iter().all(|at| (1_000.0..1_400.0).contains(at)), "{seconds:?}");
    assert!(report.dose["fault.refused"] >= 8, "{:?}", report.dose);
    let [line] = &report.prevented[..] else { panic!("{:?}", report.prevented) };
    assert!(line.starts_with("second happened twice, "), "{line}");
    assert!(line.ends_with("times it did not because 1 of 3 server nodes are down and max_down allows 1"), "{line}");
}

#[test]
fn what_would_destroy_the_last_copy_is_refused() {
    for (holders, fault, happened) in [
        (0, "crash = \"server-0\"", 1),
        (1, "crash = \"server-0\"", 0),
        (1, "restart = \"server-0\"", 0),
        (1, "wipe = [\"server-1\", \"server-0\"]", 0),
        (1, "reconfigure = { nodes = \"server-0\", with = { batch = 2 } }", 0),
        (1, "pause = \"server-0\"", 1),
        (1, "crash = \"server-1\"", 1),
        (2, "crash = \"server-0\"", 1),
        (2, "crash = [\"server-0\", \"server-1\"]", 0),
    ] {
        let rule = format!("[[fault]]\nat = \"1s\"\nfor = \"1s\"\ndo = {{ {fault} }}");
        let scenario = scenario(&format!("holders = {holders}"), "max_down = \"all\"", &rule);
        let report = run(&scenario, 1, RunOptions::default());
        assert_eq!(report.failure, None);
        assert_eq!(report.faults.len(), happened, "{holders} {fault}");
        assert_eq!(report.dose.get("fault.refused").copied().unwrap_or(0), 1 - happened as u64);
    }
}

#[test]
fn targets_name_the_nodes_that_they_should() {
    let whom = |target: &str, seed: u64| {
        let rule = format!("[[fault]]\nat = \"1s\"\nfor = \"10ms\"\ndo = {{ pause = {target} }}");
        let report = run(&scenario("servers = 5", "", &rule), seed, RunOptions::default());
        assert_eq!(report.failure, None);
        let line = report.faults[0].strip_suffix(" for 10ms").unwrap().to_owned();
        line.split_once("pause ").unwrap().1.to_owned()
    };
    let servers = "server-0 server-1 server-2 server-3 server-4";
    for (target, expected) in [
        ("\"server-3\"", "server-3"),
        ("\"server\"", servers),
        ("\"server-*\"", servers),
        ("\"*-1\"", "server-1 client-1"),
        ("\"first\"", "server-0"),
        ("\"all\"", &format!("{servers} client-0 client-1 operator-0")),
        ("\"zone-1\"", "server-1 server-4 client-1"),
        ("[\"client-1\", \"first\", \"client\"]", "client-1 server-0 client-0"),
        ("\"random(9, server)\"", servers),
    ] {
        assert_eq!(whom(target, 1), expected, "{target}");
    }
    for (target, count, choices) in [
        ("\"random(server)\"", 1, 5),
        ("\"random(2, server)\"", 2, 10),
        ("\"minority(server)\"", 2, 10),
        ("\"majority(server)\"", 3, 10),
        ("\"random(all)\"", 1, 8),
    ] {
        let drawn: BTreeSet<String> = (0..80).map(|seed| whom(target, seed)).collect();
        for one in &drawn {
            let nodes: BTreeSet<&str> = one.split(' ').collect();
            assert_eq!(nodes.len(), count, "{target}: {one}");
            assert!(target.contains("all") || nodes.iter().all(|node| node.starts_with("server")), "{one}");
        }
        assert_eq!(drawn.len(), choices, "{target} {drawn:?}");
    }
}

#[test]
fn a_selector_is_asked_when_the_fault_strikes() {
    let report = passed(
        "[[fault]]\nat = \"1s\"\nfor = \"1s\"\ndo = { crash = \"first\" }\n\
         [[fault]]\nat = \"1500ms\"\nfor = \"10ms\"\ndo = { pause = \"first\" }\n\
         [[fault]]\nat = \"2500ms\"\nfor = \"10ms\"\ndo = { pause = \"first\" }",
        1,
    );
    let who: Vec<String> = faults(&report).into_iter().map(|(_, what)| what).collect();
    let [crash, second, third] = &who[..] else { panic!("{who:?}") };
    assert!(crash.contains("crash server-0") && second.contains("pause server-1"), "{who:?}");
    assert!(third.contains("pause server-0"), "{who:?}");
}

#[test]
fn rest_is_every_node_that_no_earlier_group_has() {
    let rule = "[[fault]]\nat = \"1s\"\nfor = \"1s\"\n\
                do = { partition = { groups = [[\"first\", \"client-0\"], [\"server\"], [\"rest\"]] } }";
    let report = passed(rule, 1);
    assert_eq!(
        faults(&report)[0].1,
        "fault-1: partition {server-0 client-0 | server-1 server-2 | client-1 operator-0} for 1s"
    );
}

#[test]
fn a_fault_that_finds_nobody_does_not_happen() {
    let report = passed(
        "[[fault]]\nat = \"1s\"\ndo = { crash = \"server-0\" }\n[[fault]]\nat = \"2s\"\ndo = { crash = \"server-0\" }",
        1,
    );
    assert_eq!((report.dose["crash"], report.dose["fault.missed"]), (1, 1));
}

#[test]
fn buggify_needs_leave_and_planted_bugs_need_to_be_asked_for() {
    let counts = |run_table: &str, planted: &[&str]| -> BTreeMap<&str, Vec<u64>> {
        let scenario = scenario("", run_table, "");
        let planted: Vec<String> = planted.iter().map(|&name| name.to_owned()).collect();
        let dose = |seed| run(&scenario, seed, RunOptions { planted: planted.clone(), ..RunOptions::default() }).dose;
        let doses: Vec<_> = (0..40).map(dose).collect();
        let of = |name: &str| doses.iter().map(|dose| dose.get(name).copied().unwrap_or(0)).collect();
        BTreeMap::from([("buggify", of("buggify.fired")), ("planted", of("planted"))])
    };
    let plain = counts("", &["toy.other"]);
    assert!(plain.values().flatten().all(|count| *count == 0), "{plain:?}");
    let allowed = counts("buggify = true", &["toy.wrong-echo"]);
    // Enabled in a quarter of the runs, and then fired in a quarter of some 90 beats.
    let on = allowed["buggify"].iter().filter(|count| **count > 0).count();
    assert!((4..=18).contains(&on), "{allowed:?}");
    assert!(allowed["buggify"].iter().all(|count| *count == 0 || (8..60).contains(count)), "{allowed:?}");
    assert!(allowed["planted"].iter().all(|count| *count > 0), "{allowed:?}");
}

#[test]
fn the_heal_ends_buggify() {
    let mut enabled = 0;
    for seed in 0..20 {
        // On this network the final workload takes more than a second, some thirty beats.
        let (records, _) = recorded_with(seed, "", "buggify = true", "[network]\nlatency = { constant = \"300ms\" }");
        let heal = records.iter().position(|record| record.kind == Kind::Phase && record.text == "heal").unwrap();
        let fired = |records: &[Record]| records.iter().filter(|of| of.text == "buggify toy.late-beat").count();
        assert_eq!(fired(&records[heal..]), 0, "seed {seed}");
        assert!(events(&records[heal..], "toy.beat").len() > 20, "seed {seed}");
        enabled += u32::from(fired(&records[..heal]) > 8);
    }
    assert!(enabled > 1, "{enabled}");
}

#[test]
fn the_heal_restarts_every_node_and_undoes_every_fault() {
    // The final workload asserts that each server answers, with its own parameters and a right clock.
    let link = "link = { from = \"all\", to = \"all\", set = { loss = 1.0 } }";
    for fault in [
        "crash = \"server\"",
        "kill = \"server\"",
        "wipe = \"server\"",
        "crash_loop = { nodes = \"server\", up = \"30ms\", down = \"3s\" }",
        "ring = \"all\"",
        "halves = \"all\"",
        "bridge = \"all\"",
        "buggify = \"toy.*\"",
        "pause = \"server\"",
        "isolate = \"all\"",
        "partition = { groups = [[\"server\"], [\"rest\"]] }",
        "one_way = { from = \"server\", to = \"client\" }",
        "clog = { from = \"all\", to = \"all\" }",
        link,
        "clock = { nodes = \"server\", offset = \"-1s\" }",
        "clock = { nodes = \"server\", drift_ppm = -200_000 }",
        "slow_cpu = { nodes = \"server\", poll = \"20ms\" }",
        "reconfigure = { nodes = \"server\", with = { batch = 7 } }",
        "disk_stall = \"server\"",
        "disk_full = { nodes = \"server\" }",
        "disk = { nodes = \"server\", set = { sync = { constant = \"1s\" } } }",
        "disk = { nodes = \"server\", set = { iops = 1 } }",
        "disk = { nodes = \"server\", set = { read_error = 1.0, write_error = 1.0, sync_error = 1.0 } }",
    ] {
        let rules = format!("[[fault]]\nat = \"1s\"\ndo = {{ {fault} }}");
        let report = run(&scenario("", "max_down = \"all\"", &rules), 1, RunOptions::default());
        assert_eq!((report.failure, report.faults.len()), (None, 1), "{fault}");
    }
}

#[test]
fn reconfigure_brings_other_parameters_and_takes_them_back() {
    let rule = "[[fault]]\nat = \"1s\"\nfor = \"1s\"\n\
                do = { reconfigure = { nodes = \"server-0\", with = { batch = 7 } } }";
    let (records, report) = recorded("holders = 2", "", rule);
    assert_eq!(report.failure, None);
    let holding = records.iter().filter(|record| record.text.starts_with("toy.holding"));
    let seen: Vec<(&str, &str)> =
        holding.map(|record| (record.node.as_deref().unwrap(), record.text.as_str())).collect();
    assert_eq!(seen[2..], [("server-0", "toy.holding { batch: 7 }"), ("server-0", "toy.holding { batch: 1 }")]);
}

#[test]
fn reconfigures_stack_and_come_off_in_any_order() {
    let rule = "[[fault]]\nat = \"1s\"\nfor = \"1s\"\ndo = { reconfigure = { nodes = \"server-0\", with = { batch = 7 } } }\n\
                [[fault]]\nat = \"1500ms\"\nfor = \"1s\"\ndo = { reconfigure = { nodes = \"server-0\", with = { batch = 8 } } }";
    let (records, report) = recorded("holders = 1", "protect = false", rule);
    assert_eq!(report.failure, None);
    let seen: Vec<&str> =
        records.iter().filter_map(|record| record.text.strip_prefix("toy.holding { batch: ")).collect();
    assert_eq!(seen, ["1 }", "7 }", "8 }", "8 }", "1 }"]);
}

#[test]
fn a_node_is_down_for_as_long_as_a_fault_holds_it_down() {
    let down = "[[fault]]\nat = \"1s\"\nfor = \"1500ms\"\ndo = { crash = \"server-0\" }\n";
    for other in [
        "at = \"500ms\"\nfor = \"1s\"\ndo = { reconfigure = { nodes = \"server-0\", with = { batch = 7 } } }",
        "at = \"1200ms\"\nfor = \"100ms\"\ndo = { wipe = \"server-0\" }",
        "at = \"1200ms\"\nfor = \"2s\"\ndo = { reconfigure = { nodes = \"server-0\", with = { batch = 7 } } }",
    ] {
        let (records, report) = recorded("", "", &format!("{down}[[fault]]\n{other}"));
        assert_eq!((report.failure, report.faults.len()), (None, 2), "{other}");
        let boots = records
            .iter()
            .filter(|record| record.node.as_deref() == Some("server-0") && record.text.starts_with("boot"));
        let while_down: Vec<u64> =
            boots.map(|record| record.at_ns).filter(|at| (1_000_000_000..2_500_000_000).contains(at)).collect();
        assert_eq!(while_down, Vec::<u64>::new(), "{other}");
    }
}

#[test]
fn while_another_fault_is_in_force_may_be_one_that_only_sometimes_is() {
    let rules = "[[fault]]\nname = \"either\"\nevery = \"200ms\"\nfor = \"100ms\"\n\
                 do = { one_of = [{ restart = \"server-0\" }, { isolate = \"server-0\" }] }\n\
                 [[fault]]\nevery = \"50ms\"\nwhile = \"either\"\nfor = \"1ms\"\ndo = { pause = \"client-1\" }";
    let report = passed(rules, 1);
    assert!(report.dose["isolate"] > 0 && report.dose["restart"] > 0 && report.dose["pause"] > 0, "{:?}", report.dose);
}

#[test]
fn the_faults_of_a_rule_are_counted_if_it_has_a_name() {
    let rule =
        |name: &str| format!("[[fault]]\n{name}every = \"500ms\"\nfor = \"1ms\"\ndo = {{ pause = \"client-1\" }}\n");
    let dose = passed(&[rule(""), rule("name = \"fault-tolerance\"\n"), rule("name = \"x\"\n")].concat(), 1).dose;
    let of_rules: Vec<(&str, u64)> = dose
        .iter()
        .filter(|(name, _)| name.starts_with("rule."))
        .map(|(name, count)| (name.as_str(), *count))
        .collect();
    assert_eq!(of_rules, [("rule.fault-tolerance", 5), ("rule.x", 5)]);
}

#[test]
fn arguments_that_an_action_cannot_read_are_an_error_of_the_run_too() {
    let rule = "[[fault]]\nat = \"1s\"\ndo = { action = { name = \"poke\", args = { rond = 1 } } }";
    let scenario = scenario("", "", rule);
    let error = sim::run(&Toy, &scenario, 1, RunOptions::default()).unwrap_err().to_string();
    assert!(error.contains("unknown key `rond`"), "{error}");
}
