//! Profiles: who has the last word, what stays as it was, and what is said about mistakes in several files.

use std::collections::BTreeMap;
use std::fs;

use super::{HEADER, description, nodes};
use crate::base::{Latency, Time};
use crate::scenario::{Draft, Plan, Scenario, Source, check, examine};

fn source(path: &str, text: &str) -> Source {
    Source { path: path.to_owned(), text: text.to_owned() }
}

/// A scenario with the least that it must say, and profiles by name.
fn sources(scenario: &str, profiles: &[(&str, &str)]) -> Vec<Source> {
    let names: Vec<&str> = profiles.iter().map(|(name, _)| *name).collect();
    let text = format!("include = {names:?}\n{scenario}");
    let profiles = profiles.iter().map(|(name, text)| source(&format!("scenarios/profiles/{name}.toml"), text));
    std::iter::once(source("scenarios/test.toml", &text)).chain(profiles).collect()
}

fn scenario(text: &str, profiles: &[(&str, &str)]) -> Scenario {
    Scenario::from_sources(sources(text, profiles)).unwrap_or_else(|error| panic!("{error}"))
}

fn plan(text: &str, profiles: &[(&str, &str)]) -> Plan {
    scenario(text, profiles).plan(1).unwrap()
}

fn fault(name: &str, at: &str) -> String {
    format!("[[fault]]\nname = \"{name}\"\nat = \"{at}\"\ndo = {{ crash = \"server\" }}\n")
}

fn faults(plan: &Plan) -> Vec<String> {
    let line = |rule: &crate::scenario::plan::FaultRule| {
        let at = rule.at.as_ref().map_or_else(String::new, |at| at.get_ref().to_string());
        format!("{} {at}", rule.name.as_ref().unwrap().get_ref())
    };
    plan.faults.iter().map(line).collect()
}

#[test]
fn the_scenario_has_the_last_word_and_a_later_profile_a_later_one() {
    let plan = plan(
        &format!("{HEADER}servers = 5\n[network]\nloss = 0.5\n[expect.run]\ncrash = 3\n"),
        &[
            (
                "a",
                "[network]\nloss = 0.1\nduplicate = 0.1\nreorder = 0.1\n[run]\nmain = \"7s\"\n[system]\nservers = 1\n",
            ),
            (
                "b",
                "[network]\nduplicate = 0.2\n[system]\nclients = 9\n[expect.run]\ncrash = 1\npause = 1\n[expect.sweep]\ncrash = 9\n",
            ),
        ],
    );
    let network = plan.network.get_ref();
    assert_eq!((network.loss, network.duplicate, network.reorder), (0.5, 0.2, 0.1));
    assert_eq!(plan.run.main, Time::from_nanos(7_000_000_000));
    assert_eq!(plan.system_params().to_string().replace('\n', " "), "clients = 9 servers = 5 ");
    let expect = |table: &BTreeMap<String, u64>| format!("{table:?}");
    assert_eq!(expect(&plan.expect.run), r#"{"crash": 3, "pause": 1}"#);
    assert_eq!(expect(&plan.expect.sweep), r#"{"crash": 9}"#);
}

#[test]
fn a_value_is_replaced_as_a_whole() {
    let bimodal = "latency = { bimodal = { fast = \"1ms\", slow = \"2ms\", slow_chance = 0.5 } }";
    let own = format!("{HEADER}mix = {{ a = 1 }}\n[network]\nlatency = {{ constant = \"3ms\" }}\n");
    let profile = format!("[system]\nmix = {{ b = 2 }}\n[network]\n{bimodal}\n");
    let plan = plan(&own, &[("a", &profile)]);
    assert_eq!(plan.network.get_ref().latency, Latency::Constant(Time::from_nanos(3_000_000)));
    assert_eq!(plan.system_params()["mix"].to_string(), "{ a = 1 }");
}

#[test]
fn a_table_that_is_drawn_is_a_value() {
    let own = format!("{HEADER}[network]\nloss = 0.25\n");
    let plan = plan(&own, &[("a", "network = { one_of = [{ duplicate = 0.5 }] }\n")]);
    assert_eq!((plan.network.get_ref().loss, plan.network.get_ref().duplicate), (0.25, 0.0));
}

#[test]
fn faults_are_added_up_and_one_of_the_same_name_is_replaced() {
    let a = fault("x", "1s") + &fault("y", "1s");
    let b = fault("y", "2s") + &fault("z", "2s");
    let own = format!("{HEADER}{}{}", fault("z", "3s"), "[[fault]]\nat = \"4s\"\ndo = { pause = \"server\" }\n");
    assert_eq!(faults(&plan(&own, &[("a", &a), ("b", &b)])), ["z 3s", "fault-2 4s", "x 1s", "y 2s"]);
    // A whole replacement, also by nothing.
    let off = format!("{HEADER}{}", fault("x", "3s").replace("at =", "enabled = false\nat ="));
    assert_eq!(faults(&plan(&off, &[("a", &a)])), ["y 1s"]);
}

#[test]
fn an_include_changes_no_other_draw() {
    let own = format!(
        "{HEADER}x = {{ draw = [1, 1000] }}\n\
         [[workload]]\nname = \"mixed\"\nargs = {{ keys = {{ draw = [1, 1000] }} }}\n\
         [[fault]]\nat = {{ draw = [\"1s\", \"9s\"] }}\ndo = {{ crash = \"server\" }}\n"
    );
    let profile = "[[workload]]\nname = \"fill\"\nargs = { keys = { draw = [1, 1000] } }\n\
                   [[fault]]\nname = \"p\"\nat = { draw = [\"1s\", \"9s\"] }\ndo = { crash = \"server\" }\n";
    let draws = |scenario: &Scenario, seed| -> BTreeMap<String, String> {
        scenario.plan(seed).unwrap().draws.into_iter().collect()
    };
    let alone = scenario(&own, &[]);
    let with = scenario(&own, &[("a", profile)]);
    let more = scenario(
        &format!("{own}[[workload]]\nname = \"mixed\"\n"),
        &[("b", "[[workload]]\nname = \"fill\"\n"), ("a", profile)],
    );
    for seed in 0..20 {
        let (alone, with, more) = (draws(&alone, seed), draws(&with, seed), draws(&more, seed));
        assert_eq!(alone.len(), 3);
        assert_eq!(with.len(), 5);
        for (path, value) in &alone {
            assert_eq!(with[path], *value, "{path}");
        }
        assert_eq!(with, more);
        assert_ne!(with["workload[a.1].args.keys"], with["workload[1].args.keys"]);
    }
}

#[test]
fn the_sources_alone_are_the_scenario() {
    let original = scenario(&format!("{HEADER}{}", fault("x", "1s")), &[("a", &fault("y", "2s"))]);
    let text = toml::to_string(&BTreeMap::from([("files", original.sources())])).unwrap();
    let mut read: BTreeMap<String, Vec<Source>> = toml::from_str(&text).unwrap();
    let again = Scenario::from_sources(read.remove("files").unwrap()).unwrap();
    assert_eq!(again.sources(), original.sources());
    assert_eq!(faults(&again.plan(0).unwrap()), faults(&original.plan(0).unwrap()));
    assert_eq!((again.path(), again.system()), ("scenarios/test.toml", "primary_backup"));
}

#[test]
fn mistakes_are_shown_in_the_file_that_they_are_in() {
    let said = |text: &str, profiles: &[(&str, &str)]| match Scenario::from_sources(sources(text, profiles)) {
        Err(error) => error.to_string(),
        Ok(scenario) => {
            let error = check(&scenario, &scenario.plan(0).unwrap(), &description(), &nodes()).unwrap_err();
            error.to_string()
        }
    };
    let both = said(
        &format!("{HEADER}[run]\nmian = \"1s\"\n[[fault]]\nafter = \"y\"\ndo = {{ crash = \"primry\" }}\n"),
        &[
            ("first", "# Bäd\n[network]\nloss = 2\nlos = 1\n"),
            (
                "second",
                "description = \"x\"\ninclude = [\"a\"]\n[system]\nname = \"kv\"\n[[fault]]\nat = \"1s\"\ndo = { crsh = \"a\" }\n",
            ),
        ],
    );
    let names = said(HEADER, &[("first", &fault("x", "1s").replace("server", "sever"))]);
    let syntax = said(HEADER, &[("first", "[network\nloss = 1\n"), ("second", "x = = 1\n")]);
    let twice = said(HEADER, &[("first", &(fault("x", "1s") + &fault("x", "2s")))]);
    let clash = said(&format!("{HEADER}[network]\nloss = 0.1\n"), &[("first", "network = 5\n")]);
    insta::assert_snapshot!([both, names, syntax, twice, clash].join("\n\n----\n\n"));
}

#[test]
fn an_include_that_is_none_is_an_error() {
    let said = |line: &str| Scenario::parse("x.toml", &format!("{line}\n{HEADER}")).unwrap_err().to_string();
    let lines = [
        "include = \"wan\"",
        "include = [\"wan\", 5]",
        "include = [\"../wan\", \"wan.toml\", \"\"]",
        "include = [\"wan\", \"wan\"]",
        "include = { one_of = [[\"wan\"], [\"lan\"]] }",
        "include = [\"wan\"]",
    ];
    insta::assert_snapshot!(lines.map(said).join("\n\n----\n\n"));
}

#[test]
fn a_frozen_file_includes_nothing() {
    let frozen = "[frozen]\nseed = 1\nscenario = \"x\"\nworld = \"00\"\n";
    let error = Scenario::from_sources(sources(&format!("{HEADER}{frozen}"), &[("a", "")])).unwrap_err();
    assert!(error.to_string().contains("a frozen file includes nothing"), "{error}");
}

#[test]
fn profiles_are_found_in_the_nearest_folder() {
    let root = tempfile::tempdir().unwrap();
    let at = |path: &str| root.path().join(path);
    fs::create_dir_all(at("top/kv/profiles")).unwrap();
    fs::create_dir_all(at("top/profiles")).unwrap();
    fs::write(at("top/kv/profiles/near.toml"), "[network]\nloss = 0.25\n").unwrap();
    fs::write(at("top/profiles/near.toml"), "[network]\nloss = 0.5\n").unwrap();
    fs::write(at("top/profiles/far.toml"), "[network]\nduplicate = 0.5\n").unwrap();
    let write = |include: &str| {
        fs::write(at("top/kv/x.toml"), format!("{include}\n{HEADER}")).unwrap();
        Scenario::load(&at("top/kv/x.toml"))
    };
    let scenario = write("include = [\"near\", \"far\"]").unwrap();
    let network = *scenario.plan(0).unwrap().network.get_ref();
    assert_eq!((network.loss, network.duplicate), (0.25, 0.5));
    let names: Vec<&str> = scenario.sources().iter().map(|source| source.path.rsplit('/').next().unwrap()).collect();
    assert_eq!(names, ["x.toml", "near.toml", "far.toml"]);

    let shown = |error: String| error.replace(&root.path().display().to_string(), "ROOT");
    let missing = shown(write("include = [\"nearr\", \"far\"]\nfoo = 1").unwrap_err().to_string());
    // The folders above the temporary one are nobody's business here.
    assert!(missing.contains("there is no profile `nearr`") && missing.contains("did you mean `near`?"), "{missing}");
    assert!(missing.contains("unknown key `foo`"), "{missing}");
    assert_eq!(missing.matches("error:").count(), 2, "{missing}");
    let profile = Scenario::load(&at("top/profiles/far.toml")).unwrap_err().to_string();
    assert!(profile.contains("this is a profile, not a scenario"), "{profile}");
    assert!(profile.contains("include = [\"far\"]"), "{profile}");
}

#[test]
fn a_missing_profile_makes_nothing_else_wrong() {
    let text = format!("include = [\"a\"]\n{HEADER}[[fault]]\nafter = \"from-a\"\ndo = {{ crash = \"server\" }}\n");
    let findings = examine(&Draft::new(vec![source("x.toml", &text)]), None).findings;
    assert_eq!(findings.diagnostics().len(), 1, "{findings}");
    assert!(findings.has_errors());
}
