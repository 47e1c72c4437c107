//! The gallery of errors: every kind of mistake, and what is said about it.

use super::{HEADER, description, nodes, scenario};
use crate::scenario::{Diagnostic, Scenario, ScenarioError, Source, check};

fn error(source: &str) -> ScenarioError {
    let scenario = match Scenario::parse("scenarios/test.toml", source) {
        Err(error) => return error,
        Ok(scenario) => scenario,
    };
    let plan = match scenario.plan(0) {
        Err(error) => return error,
        Ok(plan) => plan,
    };
    check(&scenario, &plan, &description(), &nodes()).expect_err(source)
}

fn gallery(mistakes: &[(&str, &str)]) -> String {
    let each = mistakes.iter().map(|(what, source)| format!("## {what}\n\n{}\n", error(source)));
    each.collect::<Vec<_>>().join("\n")
}

/// Mistakes in a whole file.
#[test]
fn files() {
    let said = gallery(&[
        ("an empty file", ""),
        ("no system", "description = \"x\"\n"),
        ("no name of a system", "[system]\nservers = 3\n"),
        ("a drawn system", "[system]\nname = { one_of = [\"a\", \"b\"] }\n"),
        ("text that is no TOML", "[system]\nname = primary_backup\n"),
        ("a bracket that is not closed", "[system]\nname = \"x\"\n[[fault]\nat = \"1s\"\n"),
        ("a key twice", "[system]\nname = \"x\"\nname = \"y\"\n"),
        ("CRLF and letters that are more than one byte", "# é\r\n[system]\r\nname = \"é\"\r\nü = \"ö\"\r\n[ruń]\r\n"),
        (
            "a column after CRLF and wide letters",
            "[system]\r\nname = \"x\"\r\nnote = { a = \"日本é\", b = { draw = [1] } }\r\n",
        ),
        ("a value of wide letters", "[system]\nname = \"x\"\n[run]\nmain = \"1s\" # ok\nschedule = \"日本\"\n"),
    ]);
    insta::assert_snapshot!(said);
}

fn with_header(mistakes: &[(&str, &str)]) -> String {
    let whole: Vec<(&str, String)> = mistakes.iter().map(|(what, text)| (*what, format!("{HEADER}{text}\n"))).collect();
    gallery(&whole.iter().map(|(what, text)| (*what, text.as_str())).collect::<Vec<_>>())
}

/// Keys and values of tables.
#[test]
fn tables() {
    let said = with_header(&[
        ("an unknown table", "[netwrok]\nloss = 0.1"),
        ("an unknown key", "[run]\nmian = \"5s\""),
        ("a string for a number", "[network]\nloss = \"none\""),
        ("a negative number", "[run]\ncheck_budget = -1"),
        ("a number for a duration", "[run]\nmain = 5"),
        ("a duration without unit", "[run]\nmain = \"5\""),
        ("a duration with a wrong unit", "[run]\nmain = \"5 parsecs\""),
        ("a main phase of no length", "[run]\nmain = \"0s\""),
        ("a main phase of a lifetime", "[run]\nmain = \"700800h\""),
        ("a budget of nothing", "[run]\ncheck_budget = 0"),
        ("a number beyond TOML", "[run]\ncheck_budget = 9223372036854775808"),
        ("an unknown policy", "[run]\nschedule = \"fio\""),
        ("a fault budget in words", "[run]\nmax_down = \"majority\""),
        ("a fault budget below zero", "[run]\nmax_down = -1"),
        ("a probability above one", "[network]\nloss = 1.5"),
        ("an unknown distribution", "[network]\nlatency = { unifrom = [\"1ms\", \"2ms\"] }"),
        ("a bare latency", "[network]\nlatency = \"5ms\""),
        ("a distribution without numbers", "[network]\nlatency = \"constant\""),
        ("two distributions", "[network]\nlatency = { constant = \"1ms\", uniform = [\"1ms\", \"2ms\"] }"),
        ("one bound", "[network]\nlatency = { uniform = [\"1ms\"] }"),
        ("bounds the wrong way round", "[network]\nlatency = { uniform = [\"2ms\", \"1ms\"] }"),
        ("an unknown key of a distribution", "[disk]\nsync = { exponential = { min = \"1ms\", man = \"2ms\" } }"),
        ("a missing key of a distribution", "[disk]\nsync = { exponential = { min = \"1ms\" } }"),
        (
            "a chance of a distribution",
            "[disk]\nsync = { bimodal = { fast = \"1ms\", slow = \"2ms\", slow_chance = 2 } }",
        ),
        ("an unknown phase", "[[workload]]\nname = \"mixed\"\nphase = \"man\""),
        ("a workload without name", "[[workload]]\nphase = \"main\""),
        ("single brackets", "[workload]\nname = \"mixed\""),
        ("a drawn client", "[[workload]]\nname = \"mixed\"\non = \"random(client)\""),
        ("a negative count", "[expect.run]\ncrash = -1"),
        ("a count in words", "[expect.run]\ncrash = \"many\""),
        ("an unknown bound of a count", "[expect.run]\ncrash = { max = 3 }"),
        ("a negative bound", "[expect.sweep]\ncrash = { most = -3 }"),
        ("bounds of a count the wrong way round", "[expect.run]\ncrash = { least = 3, most = 2 }"),
        ("an entry that is perhaps enabled", "[[workload]]\nname = \"mixed\"\nenabled = \"yes\""),
    ]);
    insta::assert_snapshot!(said);
}

/// Draws.
#[test]
fn draws() {
    let said = with_header(&[
        ("one end", "x = { draw = [1] }"),
        ("no range", "x = { draw = 5 }"),
        ("ends the wrong way round", "x = { draw = [7, 3] }"),
        ("durations the wrong way round", "x = { draw = [\"2s\", \"1s\"] }"),
        ("a number and a duration", "x = { draw = [1, \"2s\"] }"),
        ("no durations", "x = { draw = [\"1s\", \"soon\"] }"),
        ("no choice", "x = { one_of = [] }"),
        ("no list", "x = { one_of = \"lan\" }"),
        ("a chance above one", "x = { chance = 30 }"),
        ("a draw in an alternative that is seldom drawn", "x = { one_of = [1, 2, 3, { draw = [1] }] }"),
        ("an alternative of a wrong kind", "[run]\nschedule = { one_of = [\"random\", \"fifo\", \"fif\"] }"),
        ("an upper end that is too high", "[network]\nloss = { draw = [0.5, 1.5] }"),
        ("several at once", "x = { draw = [1] }\ny = { chance = 2 }"),
    ]);
    insta::assert_snapshot!(said);
}

fn faults(mistakes: &[(&str, &str)]) -> String {
    let whole: Vec<(&str, String)> =
        mistakes.iter().map(|(what, text)| (*what, format!("[[fault]]\n{text}"))).collect();
    with_header(&whole.iter().map(|(what, text)| (*what, text.as_str())).collect::<Vec<_>>())
}

/// Triggers and times.
#[test]
fn triggers() {
    let said = faults(&[
        ("no trigger", "do = { crash = \"primary\" }"),
        ("two triggers", "at = \"1s\"\nevery = \"2s\"\ndo = { crash = \"primary\" }"),
        ("too late", "at = \"9s\"\ndelay = \"1s\"\ndo = { crash = \"primary\" }"),
        ("an interval of zero", "every = \"0s\"\ndo = { crash = \"primary\" }"),
        ("an interval that is too short", "every = \"1ns\"\ndo = { crash = \"primary\" }"),
        ("an interval in months", "every = \"1M\"\ndo = { crash = \"primary\" }"),
        ("an interval in words", "every = \"1sec\"\ndo = { crash = \"primary\" }"),
        (
            "an interval that is too long",
            "every = \"18446744073709551615s 1000000000ns\"\ndo = { crash = \"primary\" }",
        ),
        ("an interval that is a number", "every = 2\ndo = { crash = \"primary\" }"),
        ("an interval by choice", "every = { one_of = [\"1s\", \"2s\"] }\ndo = { crash = \"primary\" }"),
        ("an interval of wrong order", "every = { draw = [\"4s\", \"1s\"] }\ndo = { crash = \"primary\" }"),
        ("a length of wrong order", "every = \"1s\"\nfor = { draw = [\"4s\", \"1s\"] }\ndo = { crash = \"primary\" }"),
        ("no times", "every = \"1s\"\ntimes = 0\ndo = { crash = \"primary\" }"),
        ("times of what happens once", "at = \"1s\"\ntimes = 2\ndo = { crash = \"primary\" }"),
        ("waiting for nothing", "when = { nth = 2 }\ndo = { crash = \"primary\" }"),
        ("waiting for two things", "when = { event = \"a\", op = \"get\" }\ndo = { crash = \"primary\" }"),
        ("a bare event", "when = \"pb.became_primary\"\ndo = { crash = \"primary\" }"),
        ("an unknown key of when", "when = { evnt = \"a\" }\ndo = { crash = \"primary\" }"),
        ("fields of an operation", "when = { op = \"get\", where = { key = 1 } }\ndo = { crash = \"primary\" }"),
        ("counting from zero", "when = { op = \"get\", nth = 0 }\ndo = { crash = \"primary\" }"),
        ("a drawn node to watch", "when = { op = \"get\", node = \"random(client)\" }\ndo = { crash = \"primary\" }"),
        (
            "after an unknown fault",
            "after = \"cot\"\ndo = { crash = \"primary\" }\n[[fault]]\nname = \"cut\"\nat = \"1s\"\ndo = { crash = \"primary\" }",
        ),
        (
            "while a fault that is not there",
            "at = \"1s\"\nwhile = \"cot\"\ndo = { crash = \"primary\" }\n[[fault]]\nname = \"cut\"\nat = \"1s\"\ndo = { crash = \"primary\" }",
        ),
        ("while itself", "name = \"a\"\nat = \"1s\"\nwhile = \"a\"\ndo = { crash = \"primary\" }"),
        (
            "while what does not last",
            "at = \"1s\"\nwhile = \"a\"\ndo = { crash = \"primary\" }\n[[fault]]\nname = \"a\"\nat = \"1s\"\ndo = { restart = \"primary\" }",
        ),
        (
            "each while the other",
            "name = \"a\"\nat = \"1s\"\nwhile = \"b\"\ndo = { pause = \"primary\" }\n[[fault]]\nname = \"b\"\nafter = \"a\"\ndo = { pause = \"primary\" }",
        ),
        ("after itself", "name = \"a\"\nafter = \"a\"\ndo = { crash = \"primary\" }"),
        (
            "a circle",
            "name = \"a\"\nafter = \"b\"\ndo = { crash = \"primary\" }\n[[fault]]\nname = \"b\"\nafter = \"a\"\ndo = { crash = \"primary\" }",
        ),
        (
            "a name twice",
            "name = \"a\"\nat = \"1s\"\ndo = { crash = \"primary\" }\n[[fault]]\nname = \"a\"\nat = \"1s\"\ndo = { crash = \"primary\" }",
        ),
        ("an exact time", "exact = { ns = 1, poll = 2, observation = 0 }\ndo = { crash = \"primary\" }"),
    ]);
    insta::assert_snapshot!(said);
}

/// What a fault does, and to whom.
#[test]
fn actions() {
    let said = faults(&[
        ("no action", "at = \"1s\""),
        ("a bare name", "at = \"1s\"\ndo = \"crash\""),
        ("an empty action", "at = \"1s\"\ndo = {}"),
        ("an unknown fault", "at = \"1s\"\ndo = { crsh = \"primary\" }"),
        ("two faults", "at = \"1s\"\ndo = { crash = \"primary\", pause = \"backup\" }"),
        ("a weight without choice", "at = \"1s\"\ndo = { weight = 2, crash = \"primary\" }"),
        (
            "an unknown fault among several",
            "at = \"1s\"\ndo = { one_of = [{ crash = \"a\" }, { weight = 2, wip = \"b\" }] }",
        ),
        ("only a weight", "at = \"1s\"\ndo = { one_of = [{ weight = 2 }] }"),
        ("no choice", "at = \"1s\"\ndo = { one_of = [] }"),
        ("weights of zero", "at = \"1s\"\ndo = { one_of = [{ weight = 0, crash = \"a\" }] }"),
        ("a weight below zero", "at = \"1s\"\ndo = { one_of = [{ weight = -1, crash = \"a\" }] }"),
        ("an unknown key of a fault", "at = \"1s\"\ndo = { one_way = { from = \"a\", tp = \"b\" } }"),
        ("a missing key of a fault", "at = \"1s\"\ndo = { one_way = { from = \"a\" } }"),
        ("a target for a table", "at = \"1s\"\ndo = { clog = \"a\" }"),
        ("a number for a target", "at = \"1s\"\ndo = { crash = 1 }"),
        ("a number among targets", "at = \"1s\"\ndo = { crash = [\"a\", 1] }"),
        ("no targets", "at = \"1s\"\ndo = { crash = [] }"),
        ("one side", "at = \"1s\"\ndo = { partition = { groups = [[\"a\"]] } }"),
        ("the rest first", "at = \"1s\"\ndo = { partition = { groups = [[\"rest\"], [\"a\"]] } }"),
        ("all as a side", "at = \"1s\"\ndo = { partition = { groups = [[\"a\"], \"all\"] } }"),
        ("the rest of nothing", "at = \"1s\"\ndo = { crash = \"rest\" }"),
        (
            "what becomes of messages",
            "at = \"1s\"\ndo = { partition = { groups = [\"a\", \"b\"], in_flight = \"keep\" } }",
        ),
        ("a link worse than broken", "at = \"1s\"\ndo = { link = { from = \"a\", to = \"b\", set = { loss = 2 } } }"),
        ("an unknown property", "at = \"1s\"\ndo = { link = { from = \"a\", to = \"b\", set = { los = 1 } } }"),
        ("an offset without unit", "at = \"1s\"\ndo = { clock = { nodes = \"a\", offset = \"-5\" } }"),
        ("another system", "at = \"1s\"\ndo = { reconfigure = { nodes = \"a\", with = { name = \"kv\" } } }"),
        ("a target with blanks", "at = \"1s\"\ndo = { crash = \"server-0 server-1\" }"),
        ("an empty target", "at = \"1s\"\ndo = { crash = \"\" }"),
        ("an unknown draw of nodes", "at = \"1s\"\ndo = { crash = \"rand(server)\" }"),
        ("a draw of nothing", "at = \"1s\"\ndo = { crash = \"random\" }"),
        ("a draw without end", "at = \"1s\"\ndo = { crash = \"random(server\" }"),
        ("a draw of no number", "at = \"1s\"\ndo = { crash = \"random(two, server)\" }"),
        ("a draw of too many names", "at = \"1s\"\ndo = { crash = \"minority(server, client)\" }"),
        ("a draw of the rest", "at = \"1s\"\ndo = { crash = \"random(rest)\" }"),
    ]);
    insta::assert_snapshot!(said);
}

/// Disks, and what a fault does to them.
#[test]
fn disks() {
    let mut said = with_header(&[
        ("no operations", "[disk]\niops = 0"),
        ("operations below zero", "[disk]\niops = -5"),
        ("half an operation", "[disk]\niops = 0.5"),
        ("operations in words", "[disk]\niops = \"many\""),
        ("no bandwidth", "[disk]\nbandwidth = \"0B/s\""),
        ("a capacity without unit", "[disk]\ncapacity = 4096"),
        ("no capacity", "[disk]\ncapacity = \"0B\""),
        ("a probability above one", "[disk]\nsync_error = 1.5"),
        ("a probability below zero", "[disk]\nmisdirect = -0.5"),
        ("no probability", "[disk]\nlying_sync = 0.5"),
        ("no unit", "[disk]\natomic = 100"),
        ("no file system", "[disk]\nfailed_sync = \"ext4\""),
        ("a latency the wrong way round", "[disk]\nread = { uniform = [\"2ms\", \"1ms\"] }"),
        ("an unknown key", "[disk]\nfsync = { constant = \"1ms\" }"),
        ("nowhere to put it", "[disk]\nsync = \"1ms\""),
    ]);
    said += "\n";
    said += &faults(&[
        ("nothing changes", "at = \"1s\"\ndo = { disk = { nodes = \"server\", set = {} } }"),
        ("no set", "at = \"1s\"\ndo = { disk = { nodes = \"server\", sync_error = 0.1 } }"),
        ("a probability above one", "at = \"1s\"\ndo = { disk = { nodes = \"server\", set = { read_error = 2 } } }"),
        (
            "a latency the wrong way round",
            "at = \"1s\"\ndo = { disk = { nodes = \"server\", set = { sync = { uniform = [\"2ms\", \"1ms\"] } } } }",
        ),
        ("no operations", "at = \"1s\"\ndo = { disk = { nodes = \"server\", set = { iops = 0 } } }"),
        ("a stall of a table", "at = \"1s\"\ndo = { disk_stall = { nodes = \"server\" } }"),
        ("free without unit", "at = \"1s\"\ndo = { disk_full = { nodes = \"server\", free = 4096 } }"),
        ("free below zero", "at = \"1s\"\ndo = { disk_full = { nodes = \"server\", free = \"-1KiB\" } }"),
        ("rot without nodes", "at = \"1s\"\ndo = { bit_rot = \"server\" }"),
        ("rot of nothing", "at = \"1s\"\ndo = { bit_rot = { nodes = \"server\", sectors = 0 } }"),
        ("rot below zero", "at = \"1s\"\ndo = { bit_rot = { nodes = \"server\", sectors = -1 } }"),
        ("rot of no file", "at = \"1s\"\ndo = { bad_sectors = { nodes = \"server\", files = \"\" } }"),
        (
            "while rot is in force",
            "at = \"1s\"\nwhile = \"a\"\ndo = { crash = \"primary\" }\n[[fault]]\nname = \"a\"\nat = \"1s\"\ndo = { bit_rot = { nodes = \"server\" } }",
        ),
    ]);
    insta::assert_snapshot!(said);
}

/// Names that only the system knows.
#[test]
fn names() {
    let said = with_header(&[
        ("an unknown workload", "[[workload]]\nname = \"mixd\""),
        ("clients that are not there", "[[workload]]\nname = \"mixed\"\non = [\"client-0\", \"client-9\"]"),
        ("a selector for clients", "[[workload]]\nname = \"mixed\"\non = \"primary\""),
        ("an unknown event", "[[fault]]\nwhen = { event = \"pb.became_primry\" }\ndo = { crash = \"server\" }"),
        (
            "an unknown field",
            "[[fault]]\nwhen = { event = \"pb.became_primary\", where = { veiw = 1 } }\ndo = { crash = \"server\" }",
        ),
        ("an unknown operation", "[[fault]]\nwhen = { op = \"delete\" }\ndo = { crash = \"server\" }"),
        (
            "an unknown node to watch",
            "[[fault]]\nwhen = { op = \"get\", node = \"clent\" }\ndo = { crash = \"server\" }",
        ),
        ("a glob that matches nothing", "[[fault]]\nat = \"1s\"\ndo = { crash = \"sever-*\" }"),
        (
            "several at once",
            "[[fault]]\nat = \"1s\"\ndo = { one_of = [{ crash = [\"primry\", \"server-0\"] }, { pause = \"random(2, backups)\" }] }",
        ),
    ]);
    insta::assert_snapshot!(said);
}

#[test]
fn what_the_system_finds_wrong_has_a_caret_too() {
    #[derive(serde::Deserialize, Debug)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code, reason = "read by serde alone")]
    struct Params {
        servers: u64,
        tuning: Option<Tuning>,
    }
    #[derive(serde::Deserialize, Debug)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code, reason = "read by serde alone")]
    struct Tuning {
        batch: u64,
    }
    let said = |lines: &str| {
        let inline = lines.replace('\n', ", ");
        let scenario = scenario(&format!("{HEADER}{lines}\n[[workload]]\nname = \"mixed\"\nargs = {{ {inline} }}\n"));
        let plan = scenario.plan(0).unwrap();
        let system = plan.system_params().try_into::<Params>().unwrap_err();
        let args = plan.workloads[0].args.clone().unwrap().into_inner().try_into::<Params>().unwrap_err();
        let table = &plan.workloads[0];
        format!("{}\n\n{}\n", scenario.system_error(&plan, &system), scenario.workload_error(table, &args))
    };
    let all = ["srvers = 3", "servers = \"three\"", "servers = 3\ntuning = { bach = 1 }", "tuning = { batch = 1 }"];
    let said = all.map(said).join("\n");
    insta::assert_snapshot!(said);
}

#[test]
fn a_file_that_cannot_be_read() {
    let error = Scenario::load(std::path::Path::new("no/such/scenario.toml")).unwrap_err();
    insta::assert_snapshot!(error);
}

#[test]
fn warnings_look_like_warnings() {
    let source = "a = 1\nb = 2\n";
    let problems = vec![Diagnostic::error("second").at(6..7), Diagnostic::warning("first").at(0..1).label("here")];
    let error = ScenarioError::new(Source::new("x.toml", source), problems);
    insta::assert_snapshot!(error);
    assert!(error.render(true).contains("\u{1b}["));
}
