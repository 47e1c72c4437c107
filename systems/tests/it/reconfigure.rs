//! A fault that would give a system parameters which it cannot read is an error of the scenario, with its place.

use sim::{Scenario, validate};
use systems::primary_backup::PrimaryBackup;

#[test]
fn parameters_that_the_system_cannot_read_are_reported_before_anything_runs() {
    let scenario = |with: &str| {
        let text = format!(
            "[system]\nname = \"primary_backup\"\n[[workload]]\nname = \"mixed\"\n[[fault]]\nat = \"1s\"\n\
             do = {{ reconfigure = {{ nodes = \"server-0\", with = {{ {with} }} }} }}\n"
        );
        Scenario::parse("reconfigure.toml", &text).expect("the file is well-formed")
    };
    assert!(validate(&PrimaryBackup, &scenario("servers = 2")).is_ok());
    for bad in ["servers = \"two\"", "srvers = 2"] {
        let error = validate(&PrimaryBackup, &scenario(bad)).expect_err(bad).to_string();
        assert!(error.contains("reconfigure.toml:7:"), "{error}");
    }
}
