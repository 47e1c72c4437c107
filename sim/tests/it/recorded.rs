//! Recorded histories with known verdicts: how they are read. Shared by a test and a bench.
//!
//! The folder is named by `DST_HISTORIES`. The verdicts are those of the table in its README, so a file without a row is not
//! checked, and a row without a file fails.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use sim::check::linearizable::{Operation, Outcome};
use sim::models::{KvOp, KvRet, RegisterOp, RegisterRet};

/// A row of the table in the folder's README: `| file | mode | verdict | reference ms |`.
pub struct Row {
    /// The file, relative to the folder.
    pub file: String,
    /// How it is checked.
    pub mode: String,
    /// Whether it is linearizable.
    pub legal: bool,
    /// How long the reference takes, in milliseconds.
    pub reference_ms: f64,
}

/// The folder that `DST_HISTORIES` names.
pub fn folder() -> Option<PathBuf> {
    std::env::var_os("DST_HISTORIES").map(PathBuf::from)
}

/// The rows of the table.
pub fn table(folder: &Path) -> Vec<Row> {
    let row = |line: &str| {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let &[_, file, mode, verdict, reference, _] = cells.as_slice() else { return None };
        let reference_ms = reference.parse().ok()?;
        let legal = match verdict {
            "linearizable" => true,
            "ILLEGAL" => false,
            other => panic!("README.md: {file}: what verdict is {other:?}?"),
        };
        Some(Row { file: file.to_owned(), mode: mode.to_owned(), legal, reference_ms })
    };
    read(&folder.join("README.md")).lines().filter_map(row).collect()
}

/// The history in a file of the `etcd` folder.
pub fn etcd(path: &Path) -> Vec<Operation<RegisterOp, RegisterRet>> {
    pair(read(path).lines().map(parse_etcd_line))
}

/// The history in a file of the `kv` folder.
pub fn kv(path: &Path) -> Vec<Operation<KvOp, KvRet>> {
    pair(read(path).lines().map(parse_kv_line))
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("DST_HISTORIES: {}: {error}", path.display()))
}

/// A line of a log: what happened to the operation which this process has under way.
struct Event<O, R> {
    process: u32,
    what: What<O, R>,
}

enum What<O, R> {
    Invoked(O),
    Ok(R),
    Unknown,
    Failed,
    /// Not about an operation.
    Nothing,
}

/// Operations from events; an event's time is its line number.
fn pair<O, R>(events: impl Iterator<Item = Event<O, R>>) -> Vec<Operation<O, R>> {
    let mut history: Vec<Operation<O, R>> = Vec::new();
    let mut under_way: BTreeMap<u32, usize> = BTreeMap::new();
    for (line, event) in events.enumerate() {
        let at = line as u64;
        let process = event.process;
        let outcome = match event.what {
            What::Nothing => continue,
            What::Invoked(op) => {
                let before = under_way.insert(process, history.len());
                assert!(before.is_none(), "line {}: process {process} is busy", line + 1);
                let outcome = Outcome::Unknown;
                history.push(Operation { process, op, invoked: at, outcome });
                continue;
            }
            What::Ok(ret) => Outcome::Ok { at, ret },
            What::Failed => Outcome::Failed { at },
            What::Unknown => Outcome::Unknown,
        };
        let index = under_way
            .remove(&process)
            .unwrap_or_else(|| panic!("line {}: process {process} invoked nothing", line + 1));
        history[index].outcome = outcome;
    }
    history
}

/// `INFO  jepsen.util - 3<tab>:invoke<tab>:cas<tab>[1 2]`
fn parse_etcd_line(line: &str) -> Event<RegisterOp, RegisterRet> {
    let bad = || -> ! { panic!("not a line of an etcd log: {line:?}") };
    let int = |text: &str| text.parse::<i64>().unwrap_or_else(|_| bad());
    let Some(rest) = line.strip_prefix("INFO  jepsen.util - ") else {
        let (process, what) = (0, What::Nothing);
        return Event { process, what };
    };
    let fields: Vec<&str> = rest.split('\t').collect();
    let &[process, kind, function, value] = fields.as_slice() else { bad() };
    let what = match (kind, function, value) {
        (":invoke", ":read", _) => What::Invoked(RegisterOp::Read),
        (":invoke", ":write", value) => What::Invoked(RegisterOp::Write { value: int(value) }),
        (":invoke", ":cas", pair) => {
            let pair = pair.trim_start_matches('[').trim_end_matches(']');
            let (expected, new) = pair.split_once(' ').unwrap_or_else(|| bad());
            let (expected, new) = (int(expected), int(new));
            What::Invoked(RegisterOp::Cas { expected, new })
        }
        (":ok", ":read", "nil") => What::Ok(RegisterRet::Value(None)),
        (":ok", ":read", value) => What::Ok(RegisterRet::Value(Some(int(value)))),
        (":ok", ":write", _) => What::Ok(RegisterRet::Done),
        (":ok", ":cas", _) => What::Ok(RegisterRet::Swapped(true)),
        (":info", _, ":timed-out") => What::Unknown,
        (":fail", ":read", ":timed-out") => What::Unknown,
        // It was executed, and found another value than the expected one.
        (":fail", ":cas", _) => What::Ok(RegisterRet::Swapped(false)),
        (":fail", _, _) => What::Failed,
        _ => bad(),
    };
    let process = process.parse().unwrap_or_else(|_| bad());
    Event { process, what }
}

/// `{:process 0, :type :ok, :f :get, :key "5", :value "x 0 1 y"}`
fn parse_kv_line(line: &str) -> Event<KvOp, KvRet> {
    let bad = || -> ! { panic!("not a line of a kv log: {line:?}") };
    let inner = line.strip_prefix("{:process ").and_then(|rest| rest.strip_suffix('}'));
    let mut rest = inner.unwrap_or_else(|| bad());
    // Values contain neither commas nor quotes, and there is nothing but them in the last field.
    let mut cut = |separator: &str| {
        let (field, behind) = rest.split_once(separator).unwrap_or_else(|| bad());
        rest = behind;
        field
    };
    let process = cut(", :type ").parse().unwrap_or_else(|_| bad());
    let (kind, function, key) = (cut(", :f "), cut(", :key "), cut(", :value "));
    let unquote = |text: &str| -> String {
        let inner = text.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
        inner.unwrap_or_else(|| bad()).to_string()
    };
    let key = unquote(key);
    let what = match (kind, function) {
        (":invoke", ":get") => What::Invoked(KvOp::Get { key }),
        (":invoke", ":put") => What::Invoked(KvOp::Put { key, value: unquote(rest) }),
        (":invoke", ":append") => What::Invoked(KvOp::Append { key, value: unquote(rest) }),
        (":ok", ":get") => What::Ok(KvRet::Value(unquote(rest))),
        (":ok", ":put" | ":append") => What::Ok(KvRet::Done),
        (":info", _) => What::Unknown,
        _ => bad(),
    };
    Event { process, what }
}
