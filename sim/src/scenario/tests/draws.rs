use std::collections::BTreeMap;

use super::{FULL, HEADER, scenario};
use crate::scenario::plan::{Action, Every};
use crate::scenario::{Plan, Scenario};

fn draws(source: &str, seed: u64) -> BTreeMap<String, String> {
    scenario(source).plan(seed).unwrap().draws.into_iter().collect()
}

fn lines(plan: &Plan) -> String {
    let lines: Vec<String> = plan.draws.iter().map(|(path, value)| format!("{path} = {value}")).collect();
    lines.join("\n")
}

#[test]
fn draws_are_pinned() {
    // A change here is a change of what every seed means.
    let plans: Vec<String> = [1, 42].iter().map(|&seed| lines(&scenario(FULL).plan(seed).unwrap())).collect();
    let plans = plans.join("\n\n");
    insta::assert_snapshot!(plans);
}

#[test]
fn a_draw_depends_on_no_other() {
    let base = format!("{HEADER}a = {{ draw = [1, 1000] }}\nz = {{ draw = [1, 1000] }}\n");
    let fault = |name: &str| {
        format!("[[fault]]\nname = \"{name}\"\nat = {{ draw = [\"1s\", \"5s\"] }}\ndo = {{ crash = \"server\" }}\n")
    };
    let more = base.replace("z =", "m = { one_of = [{ draw = [1, 1000] }, 5] }\nz =");
    for seed in 0..20 {
        let before = draws(&format!("{base}{}{}", fault("x"), fault("y")), seed);
        let after = draws(&format!("{more}{}{}", fault("new"), fault("y")), seed);
        for path in ["system.a", "system.z", "fault[y].at"] {
            assert_eq!(before[path], after[path]);
        }
    }
}

#[test]
fn draws_stay_in_range_and_reach_their_ends() {
    let source = format!(
        "{HEADER}int = {{ draw = [-2, 2] }}\nfloat = {{ draw = [0.25, 0.5] }}\ntime = {{ draw = [\"1ms\", \"2ms\"] }}\n\
         offset = {{ draw = [\"-2ns\", \"+2ns\"] }}\nall = {{ draw = [{}, {}] }}\nyes = {{ chance = 1.0 }}\n\
         no = {{ chance = 0 }}\none = {{ one_of = [\"a\", \"b\"] }}\n",
        i64::MIN,
        i64::MAX
    );
    let scenario = scenario(&source);
    let mut seen: BTreeMap<String, Vec<toml::Value>> = BTreeMap::new();
    for seed in 0..300 {
        for (key, value) in scenario.plan(seed).unwrap().system_params() {
            let values = seen.entry(key).or_default();
            if !values.contains(&value) {
                values.push(value);
            }
        }
    }
    let all = |key: &str| {
        let mut all: Vec<String> = seen[key].iter().map(toml::Value::to_string).collect();
        all.sort();
        all.join(" ")
    };
    assert_eq!(all("int"), "-1 -2 0 1 2");
    assert_eq!(all("offset"), r#""+0ns" "+1ns" "+2ns" "-1ns" "-2ns""#);
    assert_eq!((all("yes"), all("no"), all("one")), ("true".into(), "false".into(), r#""a" "b""#.into()));
    assert!(seen["float"].iter().all(|value| (0.25..0.5).contains(&value.as_float().unwrap())));
    assert!(seen["float"].len() > 200 && seen["time"].len() > 200 && seen["all"].len() > 200);
    for time in &seen["time"] {
        let time = humantime::parse_duration(time.as_str().unwrap()).unwrap().as_micros();
        assert!((1000..=2000).contains(&time), "{time}");
    }
}

#[test]
fn what_a_fault_draws_each_time_is_left_alone() {
    let plan = scenario(FULL).plan(7).unwrap();
    let kill = &plan.faults[0];
    assert!(matches!(kill.every.as_ref().unwrap().get_ref(), Every::Drawn { .. }));
    assert!(matches!(kill.lasts, Some(Every::Drawn { .. })));
    assert!(matches!(kill.what.get_ref(), Action::OneOf(choices) if choices.len() == 3 && choices[0].weight == 3));
    assert!(!plan.draws.iter().any(|(path, _)| path.starts_with("fault[kill]")), "{:?}", plan.draws);
}

#[test]
fn a_draw_deep_in_a_fault_is_made_once_for_the_run() {
    let source = format!(
        "{HEADER}[[fault]]\nevery = \"1s\"\ndo = {{ one_of = [{{ crash = \"a\" }}, {{ weight = {{ draw = [2, 9] }}, \
         pause = {{ one_of = [\"b\", \"c\"] }} }}] }}\n"
    );
    let draws = draws(&source, 3);
    let paths: Vec<&str> = draws.keys().map(String::as_str).collect();
    assert_eq!(paths, ["fault[1].do.one_of[2].pause", "fault[1].do.one_of[2].weight"]);
}

#[test]
fn only_the_chosen_alternative_counts_as_drawn() {
    let source = format!("{HEADER}x = {{ one_of = [{{ draw = [1, 9] }}, {{ draw = [10, 19] }}] }}\n");
    for seed in 0..20 {
        let draws = draws(&source, seed);
        let x: i64 = draws["system.x"].parse().unwrap();
        let inner = format!("system.x.one_of[{}]", if x < 10 { 1 } else { 2 });
        assert_eq!(draws.len(), 2);
        assert_eq!(draws[&inner], draws["system.x"]);
    }
}

#[test]
fn entries_that_are_not_enabled_are_gone_and_the_others_keep_their_names() {
    let source = format!(
        "{HEADER}[[workload]]\nname = \"mixed\"\nenabled = false\n\
         [[fault]]\nat = \"1s\"\nenabled = {{ chance = 0.5 }}\ndo = {{ crash = \"server\" }}\n\
         [[fault]]\nafter = \"fault-1\"\ndo = {{ crash = \"server\" }}\n\
         [[fault]]\nat = \"2s\"\nenabled = true\ndo = {{ crash = \"server\" }}\n"
    );
    let mut seen = std::collections::BTreeSet::new();
    for seed in 0..40 {
        let plan = scenario(&source).plan(seed).unwrap();
        assert!(plan.workloads.is_empty());
        let names: Vec<String> = plan.faults.iter().map(|rule| rule.name.clone().unwrap().into_inner()).collect();
        seen.insert(names.join(" "));
    }
    // The second waits for the first, and is gone with it.
    assert_eq!(seen.into_iter().collect::<Vec<_>>(), ["fault-1 fault-2 fault-3", "fault-3"]);
}

#[test]
fn a_late_fault_may_stay_out_of_a_short_run() {
    let fault = "[[fault]]\nat = { draw = [\"1s\", \"15s\"] }\ndo = { crash = \"server\" }\n";
    assert!(Scenario::parse("x.toml", &format!("{HEADER}{fault}")).is_err());
    let scenario = scenario(&format!("{HEADER}[run]\nmain = {{ draw = [\"10s\", \"20s\"] }}\n{fault}"));
    assert!((0..50).all(|seed| scenario.plan(seed).is_ok()));
}
