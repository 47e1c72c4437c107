//! Parameters in tables of their own, such as `[system.raft]`.

use super::warnings::findings;
use super::{HEADER, scenario};

#[test]
fn they_are_drawn_by_their_whole_path() {
    let text =
        format!("{HEADER}\n[system.raft]\nelection_ticks = {{ draw = [10, 1_000] }}\npre_vote = {{ chance = 0.5 }}\n");
    assert!(findings(&text).diagnostics().is_empty(), "{}", findings(&text));
    let scenario = scenario(&text);
    let of = |seed| scenario.plan(seed).unwrap();
    let paths: Vec<String> = of(1).draws.into_iter().map(|(path, _)| path).collect();
    assert_eq!(paths, ["system.raft.election_ticks", "system.raft.pre_vote"]);
    let ticks = |seed| of(seed).system_params()["raft"]["election_ticks"].as_integer().unwrap();
    assert!((0..10).all(|seed| (10..=1_000).contains(&ticks(seed))) && ticks(1) != ticks(2));
}

#[test]
fn a_mistake_in_one_has_its_caret() {
    let texts = [
        format!("{HEADER}\n[system.raft]\npre_vote = true\nelecton_ticks = 20\n"),
        format!("{HEADER}raft = {{ election_ticks = {{ draw = [3, 5] }}, prevote = true }}\n"),
        format!("{HEADER}\n[system.raft]\npre_vote = 1\nelection_ticks = \"10ms\"\n"),
        format!("{HEADER}\n[system.raft]\nservers = {{ one_of = [1, 2] }}\n"),
        format!("{HEADER}raft = true\n"),
        format!(
            "{HEADER}[[fault]]\nat = \"1s\"\n\
             do = {{ reconfigure = {{ nodes = \"server\", with = {{ raft = {{ pre_vot = true }} }} }} }}\n"
        ),
    ];
    let said: Vec<String> = texts.iter().map(|text| findings(text).to_string()).collect();
    insta::assert_snapshot!(said.join("\n\n----\n\n"));
}
