//! `dst list`

use tools::Exit;

use super::dst;

#[test]
fn it_lists_systems_scenarios_and_faults() {
    let ended = dst("list tests/scenarios").expect(Exit::Held);
    insta::assert_snapshot!(ended.out);
}

#[test]
fn as_json_it_is_one_object() {
    let ended = dst("list tests/scenarios --json").expect(Exit::Held);
    assert_eq!(ended.json().len(), 1);
    let all = ended.last();
    let system = &all["systems"][0];
    assert_eq!(system["name"], "forgetful");
    assert_eq!(system["roles"][0], "server");
    assert_eq!(system["selectors"].as_array().unwrap().len(), 0);
    assert_eq!(system["checks"][0], "linearizable");
    assert_eq!(system["planted"][0]["name"], "forgetful.stale");
    assert_eq!(system["planted"][0]["breaks"][0], "linearizable");
    let scenario = &all["scenarios"][0];
    assert_eq!(scenario["path"], "tests/scenarios/calm.toml");
    assert_eq!(scenario["system"], "forgetful");
    assert_eq!(scenario["description"], "Nothing goes wrong");
    assert!(all["faults"].as_array().unwrap().iter().any(|fault| fault == "partition"));
}

#[test]
fn a_file_that_is_no_scenario_does_not_hide_the_others() {
    let ended = dst("list tests/scenarios Cargo.toml").expect(Exit::BadInput);
    assert!(ended.out.contains("tests/scenarios/calm.toml"), "{}", ended.out);
    assert!(ended.err.contains("Cargo.toml"), "{}", ended.err);
}
