//! The scenario that `dst new scenario` writes: it runs as it is, and comments suggest more settings.
//!
//! Comments begin with `# `. TOML lines to uncomment begin with `#` and no space.

use std::fmt::Write;

use anyhow::Result;
use sim::Phase;
use sim::scenario::plan::RunTable;
use sim::system::{Description, EventInfo, Instance, Suggested};
use toml::{Table, Value};

use crate::exit::BadInput;
use crate::registry::Entry;
use crate::text::list;

/// The text of a scenario for a system.
///
/// # Errors
///
/// If the system needs parameters without defaults that are not numbers.
pub fn text(entry: &Entry<'_>, name: &str) -> Result<String> {
    let (instance, needed) = instance(entry)?;
    let description = &entry.description;
    let target = target(instance.as_ref());
    let mut text = format!(
        "# {name}: describe here the faults, and the properties that must hold in spite of them.\n\
         # scenarios/README.md is the reference of the format.\n\
         description = \"A server crashes now and then\"\n\n"
    );
    text += &system(description, instance.as_ref(), &needed);
    let RunTable { main, quiet, .. } = RunTable::default();
    let _ = write!(
        text,
        "# The time with faults, the time for recovery after that, and the number of nodes of one role that may be down\n\
         # at once. A draw may replace any value: {{ draw = [\"5s\", \"20s\"] }}, {{ one_of = [1, 2] }}.\n\
         [run]\n#main = \"{main}\"\n#quiet = \"{quiet}\"\nmax_down = 1\n\n\
         # The properties of every link.\n\
         #[network]\n#latency = {{ uniform = [\"100us\", \"2ms\"] }}\n#loss = 0.01\n\n"
    );
    text += &workloads(description);
    text += &faults(description, instance.as_ref(), &target);
    text += "# The least that must happen in a run, and in a whole sweep: counts of faults, events and operations.\n\
             [expect.run]\nops_ok = 1\n\n[expect.sweep]\ncrash = 1\n";
    Ok(text)
}

/// The system with its defaults, and those parameters that have none.
fn instance(entry: &Entry<'_>) -> Result<(Box<dyn Instance>, Table)> {
    let mut needed = Table::new();
    loop {
        let error = match entry.system.instantiate(needed.clone()) {
            Ok(instance) => return Ok((instance, needed)),
            Err(error) => error,
        };
        let missing = error.message().strip_prefix("missing field `").and_then(|rest| rest.strip_suffix('`'));
        match missing {
            // Most parameters are numbers of nodes.
            Some(key) if !needed.contains_key(key) => needed.insert(key.to_owned(), Value::Integer(3)),
            _ => {
                let name = &entry.description.name;
                let title = format!("`{name}` has no defaults for its parameters: {}", error.message());
                return Err(BadInput::error(title, "copy a scenario of that system, or give its parameters defaults"));
            }
        };
    }
}

fn system(description: &Description, instance: &dyn Instance, needed: &Table) -> String {
    let mut text = format!("# {}\n[system]\nname = {}\n", description.doc, quoted(&description.name));
    let (tables, values): (Vec<_>, Vec<_>) = instance.params().into_iter().partition(|(_, value)| value.is_table());
    for (key, value) in values {
        let comment = if needed.contains_key(&key) { "" } else { "#" };
        let _ = writeln!(text, "{comment}{key} = {value}");
    }
    for (name, table) in tables {
        let _ = write!(text, "\n#[system.{name}]\n");
        for (key, value) in table.as_table().into_iter().flatten() {
            let _ = writeln!(text, "#{key} = {value}");
        }
    }
    text + "\n"
}

fn workloads(description: &Description) -> String {
    let mut text =
        "# The clients' workloads, in the phases \"setup\" (before any fault), \"main\" and \"final\" (after the heal). A phase\n\
         # without a workload runs the one that the system suggests: these.\n"
            .to_owned();
    text += &comment("workloads", &description.workloads);
    text += &comment("operations", &description.ops);
    for Suggested { phase, workload, on } in &description.suggested {
        let _ = writeln!(text, "#[[workload]]\n#name = {}", quoted(workload));
        text += match phase {
            Phase::Setup => "#phase = \"setup\"\n",
            Phase::Main => "",
            Phase::Final => "#phase = \"final\"\n",
        };
        if let Some(on) = on {
            let _ = writeln!(text, "#on = {}", quoted(on));
        }
        text += "\n";
    }
    text
}

fn faults(description: &Description, instance: &dyn Instance, target: &str) -> String {
    let nodes: Vec<String> = instance.nodes().into_iter().map(|node| node.name).collect();
    let mut text =
        "# The faults. A target is a node, a role, a selector (resolved when the fault strikes), or a draw such as\n\
                    # \"random(2, server)\".\n"
            .to_owned();
    text += &comment("nodes", &nodes);
    text += &comment("roles", &description.roles);
    text += &comment("selectors", &description.selectors);
    let _ = write!(
        text,
        "[[fault]]\nname = \"crashes\"\nevery = {{ draw = [\"1s\", \"3s\"] }}\nfor = {{ draw = [\"100ms\", \"1s\"] }}\n\
         do = {{ crash = {} }}\n\n",
        quoted(&format!("random({target})"))
    );
    text += "# More ideas. A fault may strike at an event of the system, and only `while` another fault is active; `self` is the\n\
         # node that reported the event.\n";
    text += &comment("events", &description.events.iter().map(|event| event.name.clone()).collect::<Vec<_>>());
    let trigger = match own_event(&description.events) {
        Some(event) => format!("when = {{ event = {}, nth = 3 }}", quoted(&event.name)),
        None => "at = \"3s\"".to_owned(),
    };
    // The second fault strikes a node that reports an event while the first fault is active.
    let aimed = match own_event(&description.events) {
        Some(event) => format!(
            "#[[fault]]\n#name = \"aimed\"\n#when = {{ event = {} }}\n#while = \"cut\"\n#for = \"200ms\"\n#do = {{ pause = \"self\" }}\n\n",
            quoted(&event.name)
        ),
        None => String::new(),
    };
    let (isolated, all) = (quoted(&format!("random({target})")), quoted("all"));
    let _ = write!(
        text,
        "#[[fault]]\n#name = \"cut\"\n#{trigger}\n#for = \"1s\"\n#do = {{ isolate = {isolated} }}\n\n{aimed}\
         #[[fault]]\n#name = \"bad-links\"\n#enabled = {{ chance = 0.5 }}\n#every = {{ draw = [\"1s\", \"3s\"] }}\n#for = \"1s\"\n\
         #do = {{ link = {{ from = {all}, to = {}, set = {{ loss = {{ draw = [0.1, 0.5] }} }} }} }}\n\n",
        quoted(target)
    );
    text
}

/// An event of the system, not of the simulator.
fn own_event(events: &[EventInfo]) -> Option<&EventInfo> {
    events.iter().find(|event| !event.name.starts_with("sim."))
}

/// The role that faults should hit: the role with the most nodes, except the clients' role.
fn target(instance: &dyn Instance) -> String {
    let clients = instance.client_role();
    let nodes = instance.nodes();
    let count = |role: &String| nodes.iter().filter(|node| node.role == *role).count();
    let mut roles: Vec<&String> =
        nodes.iter().map(|node| &node.role).filter(|role| Some(*role) != clients.as_ref()).collect();
    // Among equals the first one.
    roles.reverse();
    roles.into_iter().max_by_key(|role| count(role)).cloned().unwrap_or_else(|| "all".to_owned())
}

/// A list of names as comment lines.
fn comment(title: &str, names: &[String]) -> String {
    if names.is_empty() {
        return String::new();
    }
    let width = title.len() + 4;
    let lines = list(&format!("{title}:"), width, names.iter().cloned(), ", ");
    lines.lines().map(|line| format!("# {line}\n")).collect()
}

fn quoted(text: &str) -> String {
    Value::String(text.to_owned()).to_string()
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use serde::{Deserialize, Serialize};
    use sim::scenario::{Draft, Source, examine};
    use sim::{Client, Cluster, DynSystem, Manifest, System};

    use super::*;
    use crate::registry::Registry;

    /// A system whose author gives no defaults and no hints.
    struct Bare;

    #[derive(Clone, Serialize, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Params {
        nodes: usize,
        clients: usize,
    }

    impl System for Bare {
        type Params = Params;
        fn describe(m: &mut Manifest<Self>) {
            m.name("bare", "Nothing.").role("node", async |_: Rc<Params>| {}).client_role("client");
            m.workload("load", async |_: Client<Params>, _: toml::Table| {});
        }
        fn build(&self, params: &Params, cluster: &mut Cluster) {
            cluster.nodes("node", params.nodes).nodes("client", params.clients);
        }
    }

    #[test]
    fn parameters_without_defaults_are_given_a_value() {
        let systems: Vec<Box<dyn DynSystem>> = vec![Box::new(Bare)];
        let registry = Registry::new(&systems);
        let text = text(&registry.entries()[0], "x").unwrap();
        assert!(text.contains("\nclients = 3\n") && text.contains("\nnodes = 3\n"), "{text}");
        assert!(text.contains("crash = \"random(node)\""), "{text}");
        let draft = Draft::new(Source::new("x.toml", &text));
        let findings = examine(&draft, Some(&Bare)).findings;
        assert!(findings.diagnostics().is_empty(), "{findings}");
    }
}
