//! All mistakes are shown at once, each once, in the order of the file, and nothing that only follows from them.

use super::warnings::System;
use super::{FULL, HEADER};
use crate::scenario::{Draft, ScenarioError, Source, examine};

fn findings(text: &str) -> ScenarioError {
    let source = Source::new("scenarios/test.toml", text);
    examine(&Draft::new(source), Some(&System)).findings
}

fn titles(text: &str) -> Vec<String> {
    let error = findings(text);
    error.diagnostics().iter().map(|diagnostic| diagnostic.title.clone()).collect()
}

const BROKEN: &str = r#"descripton = "x"

[system]
name = "primary_backup"
servers = "three"
clints = 2

[run]
mian = "5s"
quiet = 5
schedule = "fio"

[network]
loss = 2.0
latency = { constant = "1ms", unifrom = ["1ms", "2ms"] }
duplicate = "often"

[[workload]]
nme = "mixed"
phase = "man"

[[workload]]
name = "mixd"
args = { ops = "many", kes = 3 }

[[workload]]
name = "mixed"
args = { ops = "many", kes = 3 }

[[fault]]
name = "a"
att = "5s"
do = { crsh = "primary" }

[[fault]]
name = "b"
at = 5
for = "2 parsecs"
do = { one_of = [{ crash = "primry" }, { wip = "a" }, { one_way = { from = "all", tp = "server" } }, { pause = 1 }] }

[[fault]]
after = "a"
do = { link = { from = "server", to = "sevrer", set = { los = 1, duplicate = "x" } } }

[[fault]]
after = "c"
times = 0
do = { reconfigure = { nodes = "server", with = { servers = "x", sevrers = 1 } } }

[[fault]]
when = { event = "pb.became_primry", nth = 0, where = { view = 1 } }
do = { clog = { from = "server-0", to = "server-17" } }

[expect.run]
crash = -1
pause = "x"
"#;

#[test]
fn everything_is_said_at_once() {
    let error = findings(BROKEN);
    insta::assert_snapshot!(error);
    let places: Vec<usize> = error.diagnostics().iter().map(|it| it.span.as_ref().unwrap().start).collect();
    assert!(places.is_sorted());
}

/// One mistake, one error: nothing follows from it.
#[test]
fn one_mistake_is_one_error() {
    let fault = |lines: &str| format!("{HEADER}[[fault]]\n{lines}\n");
    for (text, title) in [
        (format!("{HEADER}[run]\nmain = 30\n[[fault]]\nat = \"20s\"\ndo = {{ crash = \"server\" }}\n"), "expected a duration such"),
        (format!("{HEADER}[run]\nmian = \"30s\"\n[[fault]]\nat = \"20s\"\ndo = {{ crash = \"server\" }}\n"), "unknown key `mian`"),
        (fault("at = 5\ndo = { crash = \"server\" }"), "expected a duration such"),
        (fault("att = \"5s\"\ndo = { crash = \"server\" }"), "unknown key `att`"),
        (fault("at = \"5s\"\ndp = { crash = \"server\" }"), "unknown key `dp`"),
        (fault("at = \"5s\"\ndo = { one_way = { from = \"all\", tp = \"server\" } }"), "unknown key `tp`"),
        (fault("at = \"5s\"\ndo = { one_way = { from = 1, to = \"server\" } }"), "expected a target"),
        (fault("at = \"5s\"\ndo = { crash = [1] }"), "expected a target"),
        (fault("at = \"5s\"\ndo = { one_of = [{ crsh = \"server\" }] }"), "unknown fault `crsh`"),
        (fault("at = \"5s\"\ndo = { one_of = [{ weight = 0, crash = 5 }] }"), "expected a target"),
        (fault("when = { evnt = \"pb.became_primary\" }\ndo = { crash = \"server\" }"), "unknown key `evnt`"),
        (fault("at = { draw = [1] }\ndo = { crash = \"server\" }"), "`draw` is not a range"),
        (fault("at = \"1s\"\ndo = { crash = { one_of = [] } }"), "`one_of` has nothing to choose from"),
        (
            fault("naem = \"x\"\nat = \"1s\"\ndo = { crash = \"server\" }\n[[fault]]\nafter = \"x\"\ndo = { pause = \"server\" }"),
            "unknown key `naem`",
        ),
        (
            fault("naem = \"x\"\nat = \"1s\"\ndo = { crash = \"server\" }\n[[fault]]\nat = \"1s\"\nwhile = \"x\"\ndo = { pause = \"server\" }"),
            "unknown key `naem`",
        ),
        (
            fault("name = \"x\"\nat = \"1s\"\ndo = 5\n[[fault]]\nafter = \"x\"\ndo = { pause = \"server\" }"),
            "expected a fault",
        ),
        ("[sytem]\nname = \"primary_backup\"\n".to_owned(), "unknown key `sytem`"),
        ("[system]\nname = \"primary_backup\"\nservers = \"three\"\n[[fault]]\nat = \"1s\"\ndo = { crash = \"server-7\" }\n".to_owned(), "expected a whole number"),
        ("[system]\nname = \"primary_backup\"\nservers = { draw = [1] }\n[[fault]]\nat = \"1s\"\ndo = { crash = \"server-7\" }\n".to_owned(), "`draw` is not a range"),
        (format!("{HEADER}[network]\nlatency = {{ unifrom = [\"1ms\", \"2ms\"] }}\n"), "unknown value `unifrom`"),
        (format!("{HEADER}[network]\nlatency = {{ uniform = [\"1ms\", 2] }}\n"), "expected a duration such"),
        (format!("{HEADER}[[workload]]\nnme = \"mixed\"\n"), "unknown key `nme`"),
        (format!("{HEADER}[[workload]]\nname = \"mixed\"\nargs = {{ kys = 1 }}\n"), "unknown key `kys`"),
        (format!("{HEADER}[frozen]\nsed = 1\nworld = \"0\"\n[[fault]]\nname = \"x\"\nexact = {{ ns = 1, poll = 1, observation = 0 }}\ndo = {{ crash = \"server-0\" }}\n"), "unknown key `sed`"),
    ] {
        let titles = titles(&text);
        assert!(titles.len() == 1 && titles[0].starts_with(title), "{titles:#?}\n{text}");
    }
}

/// What one mistake hides is not what stands beside it.
#[test]
fn independent_mistakes_are_all_said() {
    let two = [
        "[[fault]]\nat = 5\nfor = 5\ndo = { crash = \"server\" }\n",
        "[[fault]]\nat = \"1s\"\ndo = { one_of = [{ crsh = \"a\" }, { wip = \"b\" }, { crash = \"server\" }] }\n",
        "[[fault]]\nfor = 5\ndo = { crash = \"server\" }\n",
        "[[fault]]\ntims = 5\ndo = { crash = \"server\" }\n",
        "[[fault]]\nat = \"1s\"\n[[fault]]\ndo = { crash = \"server\" }\n",
        "[[fault]]\nat = \"1s\"\ndo = { link = { from = \"all\", to = \"server\", set = { los = 1, dup = 2 } } }\n",
        "[network]\nloss = \"x\"\nreorder = \"y\"\n",
        "[network]\nloss = 7\n[[workload]]\nname = \"mixd\"\n",
        "[[workload]]\nname = \"mixed\"\nargs = { kys = 1, ops = \"x\" }\n",
        "[[workload]]\nname = \"mixd\"\n[[fault]]\nat = \"1s\"\ndo = { crsh = \"server\" }\n",
        "a = 1\nb = 2\n",
    ];
    for text in two {
        let text = format!("{HEADER}{text}");
        let titles = titles(&text);
        assert_eq!(titles.len(), 2, "{titles:#?}\n{text}");
    }
}

#[test]
fn what_only_some_seeds_draw_is_looked_at_too() {
    let alternatives: Vec<String> = (0..40).map(|i| format!("{{ ops = {i} }}")).collect();
    let text = format!(
        "{HEADER}[[workload]]\nname = \"mixed\"\nargs = {{ one_of = [{}, {{ opps = 1 }}] }}\n",
        alternatives.join(", ")
    );
    assert_eq!(titles(&text), ["unknown key `opps`"]);
}

#[test]
fn nothing_is_wrong_with_what_is_right() {
    let error = findings(&FULL.replace("args = { keys", "args = { mix = 1, keys").replace(", mix = {", ", mx = {"));
    assert!(error.has_errors());
    let text = FULL.replace("net = {", "#").replace(", mix = { one_of = [[1, 2], [3, { draw = [4, 9] }]] }", "");
    assert!(!findings(&text).has_errors(), "{}", findings(&text));
}
