//! Parameters that a system cannot read, in its table or in a fault that would give them to it, are an error of the scenario,
//! with their place.

use sim::{Scenario, validate};
use systems::kv::Kv;
use systems::primary_backup::PrimaryBackup;

#[test]
fn parameters_that_the_system_cannot_read_are_reported_before_anything_runs() {
    let scenario = |with: &str| {
        let text = format!(
            "[system]\nname = \"primary_backup\"\n[[fault]]\nat = \"1s\"\n\
             do = {{ reconfigure = {{ nodes = \"server-0\", with = {{ {with} }} }} }}\n"
        );
        Scenario::parse("reconfigure.toml", &text).expect("the file is well-formed")
    };
    assert!(validate(&PrimaryBackup, &scenario("servers = 2")).is_ok());
    for bad in ["servers = \"two\"", "srvers = 2"] {
        let error = validate(&PrimaryBackup, &scenario(bad)).expect_err(bad).to_string();
        assert!(error.contains("reconfigure.toml:5:"), "{error}");
    }
}

/// `[system.raft]` of a system that does not use all of it.
#[test]
fn parameters_of_raft_that_a_system_cannot_have_are_reported() {
    let said = |raft: &str| {
        let text = format!("[system]\nname = \"kv\"\n\n[system.raft]\n{raft}\n");
        let scenario = Scenario::parse("raft.toml", &text).expect("the file is well-formed");
        validate(&Kv, &scenario).err().map(|error| error.to_string())
    };
    assert_eq!(said("tick_ms = 10\nlease_reads = true\nforward = false"), None);
    let unknown = said("electon_ticks = 25").expect("there is no such key");
    assert!(unknown.contains("raft.toml:5:1") && unknown.contains("did you mean `election_ticks`?"), "{unknown}");
    let forward = said("forward = true").expect("replicas do not forward");
    assert!(forward.contains("raft.toml:4:") && forward.contains("`forward` is not for replicas"), "{forward}");
}
