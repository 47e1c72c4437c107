//! The reference of the format is true: every example in it is accepted, and it names all there is.

use super::{HEADER, scenario};
use crate::fs::DiskConfig;
use crate::net::LinkConfig;
use crate::scenario::plan::{RunTable, What};

const REFERENCE: &str = include_str!("../../../../scenarios/README.md");

fn fences() -> impl Iterator<Item = &'static str> {
    REFERENCE.split("```toml\n").skip(1).map(|rest| rest.split("```").next().unwrap_or_default())
}

/// An example as a whole file.
fn whole(example: &str) -> String {
    if example.contains("[system]") { example.to_owned() } else { format!("{HEADER}{example}") }
}

#[test]
fn every_example_is_a_scenario() {
    let examples: Vec<String> = fences().map(whole).collect();
    assert!(examples.len() > 10, "{}", examples.len());
    for example in examples {
        let scenario = scenario(&example);
        for seed in 0..10 {
            scenario.plan(seed).unwrap();
        }
    }
}

#[test]
fn every_fault_has_an_example() {
    let inline: Vec<&str> = REFERENCE.split('`').filter(|code| code.starts_with("do = {")).collect();
    for name in What::names() {
        assert!(inline.iter().any(|code| code.starts_with(&format!("do = {{ {name} = "))), "no example of {name}");
    }
    for code in inline {
        // What takes time says how long.
        let lasts = if code.contains("swizzle") { "for = \"2s\"\n" } else { "" };
        scenario(&format!("{HEADER}[[fault]]\nat = \"1s\"\n{lasts}{code}\n"));
    }
}

#[test]
fn the_defaults_are_the_real_ones() {
    let example = fences().find(|example| example.starts_with("[run]\nsetup")).expect("an example with all of [run]");
    assert_eq!(scenario(&whole(example)).plan(0).unwrap().run, RunTable::default());
    let example = fences().find(|example| example.starts_with("[network]\nlatency")).expect("all of [network]");
    assert_eq!(*scenario(&whole(example)).plan(0).unwrap().network.get_ref(), LinkConfig::default());
    let example = fences().find(|example| example.starts_with("[disk]\nread")).expect("an example with all of [disk]");
    assert_eq!(scenario(&whole(example)).plan(0).unwrap().disk, DiskConfig::default());
    // All of it: what is left out has its default too.
    let keys = toml::Table::try_from(DiskConfig::default()).unwrap();
    assert!(keys.keys().all(|key| example.contains(&format!("\n{key} = "))), "{keys}");
}
