//! Every fault with every trigger: its effect shows while it is in force, not before, and not after its `for`.
//!
//! Three gauges beat at each other and report what they see of clocks, disks and each other. What is reported is dated by
//! the simulator's own time, so that a wrong clock spoils no measurement.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use sim::check::Invariant;
use sim::event::On;
use sim::fault::{Fault, Nemesis};
use sim::history::Op;
use sim::net::UdpSocket;
use sim::time::SystemTime;
use sim::{
    Client, Cluster, Manifest, Report, RunOptions, Scenario, System, buggify, codec, fs, node, observe, task, time,
};

struct Gauges;

#[derive(Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Params {
    /// Which run of the tests this is.
    run: u64,
    batch: u64,
}

impl Default for Params {
    fn default() -> Self {
        Params { run: 0, batch: 1 }
    }
}

sim::event! {
    "gauge.booted" => struct Booted { run: u64, gauge: u16, life: u32, found: String, batch: u64 }
    "gauge.tick" => struct Tick { run: u64, gauge: u16, monotonic: u64, skew: i64, spin: u64, fired: bool }
    "gauge.heard" => struct Heard { run: u64, from: u16, to: u16, number: u64 }
    "gauge.disk" => struct Disk { run: u64, gauge: u16, what: String }
    "gauge.acted" => struct Acted { run: u64, by: u64 }
}

/// What was reported, and when.
#[derive(Clone, Debug)]
enum Seen {
    Booted(Booted),
    Tick(Tick),
    Heard(Heard),
    Disk(Disk),
    Acted,
}

static SEEN: Mutex<BTreeMap<u64, Vec<(u64, Seen)>>> = Mutex::new(BTreeMap::new());

fn saw(run: u64, at: u64, what: Seen) {
    SEEN.lock().unwrap().entry(run).or_default().push((at, what));
}

#[derive(Default)]
struct Watch;

impl Invariant for Watch {
    const NAME: &'static str = "watch";
    fn subscribe(on: &mut On<Self>) {
        on.fold::<Booted>(|_, moment, event| {
            saw(event.run, moment.at_ns, Seen::Booted(event.clone()));
        });
        on.fold::<Tick>(|_, moment, event| {
            saw(event.run, moment.at_ns, Seen::Tick(event.clone()));
        });
        on.fold::<Heard>(|_, moment, event| {
            saw(event.run, moment.at_ns, Seen::Heard(event.clone()));
        });
        on.fold::<Disk>(|_, moment, event| {
            saw(event.run, moment.at_ns, Seen::Disk(event.clone()));
        });
        on.fold::<Acted>(|_, moment, event| {
            assert_eq!(event.by, 2, "the scenario's arguments");
            saw(event.run, moment.at_ns, Seen::Acted);
        });
    }
}

#[derive(Clone, Debug, PartialEq, Hash, Serialize, Deserialize)]
struct Ask;

impl Op for Ask {
    type Ret = ();
    const KINDS: &'static [&'static str] = &["ask"];
    fn kind(&self) -> &'static str {
        "ask"
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Grow {
    by: u64,
}

impl System for Gauges {
    type Params = Params;
    fn describe(m: &mut Manifest<Self>) {
        m.name("gauges", "They look at everything.").role("gauge", gauge).client_role("client");
        m.event::<Booted>()
            .event::<Tick>()
            .event::<Heard>()
            .event::<Disk>()
            .event::<Acted>()
            .ops::<Ask>()
            .invariant::<Watch>();
        m.workload("asks", async |cx: Client<Params>, _: toml::Table| {
            while cx.running() {
                let call = cx.invoke(Ask);
                time::sleep(Duration::from_millis(50)).await;
                call.ok(());
            }
        });
        m.action("grow", async |cx: Client<Params>, grow: Grow| {
            assert_eq!(node::this().name(), "operator-0");
            observe!(Acted { run: cx.params.run, by: grow.by });
        });
    }
    fn build(&self, _: &Params, cluster: &mut Cluster) {
        cluster.nodes("gauge", 3).nodes("client", 1);
    }
}

async fn gauge(params: Rc<Params>) {
    let (run, me) = (params.run, node::this().index() as u16);
    let mut found = fs::read_dir("").await.unwrap();
    found.retain(|name| name != "used");
    let found = found.join(" ");
    observe!(Booted { run, gauge: me, life: node::incarnation(), found, batch: params.batch });
    fs::File::create("kept").await.unwrap().sync_all().await.unwrap();
    fs::sync_dir("").await.unwrap();
    fs::File::create("unsynced").await.unwrap();
    task::spawn(async move {
        let mut tick = time::interval(Duration::from_millis(10));
        loop {
            tick.tick().await;
            let what = try_disk().await;
            observe!(Disk { run, gauge: me, what });
        }
    });
    let socket = Rc::new(UdpSocket::bind(1).unwrap());
    let ear = socket.clone();
    task::spawn(async move {
        loop {
            let datagram = ear.recv_from().await;
            let number = codec::decode::<u64>(&datagram.payload).unwrap();
            observe!(Heard { run, from: datagram.from.node.index() as u16, to: me, number });
        }
    });
    let mut tick = time::interval(Duration::from_millis(10));
    for number in 1u64.. {
        tick.tick().await;
        let before = time::now();
        for _ in 0..10 {
            task::yield_now().await;
        }
        let spin = before.elapsed().as_nanos() as u64;
        let monotonic = time::now().as_nanos();
        let skew = SystemTime::now().as_nanos() - monotonic as i64 - 1_767_225_600_000_000_000;
        // Events have at most a millisecond: the hundredth is at one second, whatever the kernel's jitter.
        observe!(Tick { run, gauge: me, monotonic, skew: skew / 1_000_000_000, spin, fired: buggify!("gauge.point") });
        for peer in (0..3).filter(|&peer| peer != me) {
            socket.send_to(codec::encode(&number).unwrap(), sim::NodeId::new(peer).port(1));
        }
    }
}

/// Writes a file if it is not as it should be, or for the first time; reads it and syncs it. What became of that.
async fn try_disk() -> String {
    let begun = time::now();
    let should = vec![7; 1024];
    let used = async {
        let file = fs::OpenOptions::new().read(true).write(true).create(true).open("used").await?;
        let mut found = vec![0; should.len()];
        let read = file.read_at(&mut found, 0).await;
        if matches!(read, Ok(1024)) && found == should {
            file.write_all_at(&should[..1], 0).await?;
            file.sync_all().await?;
            // A kilobyte more, for a moment.
            file.write_all_at(&should, 1024).await?;
            file.set_len(1024).await?;
            return Ok(if begun.elapsed() > Duration::from_millis(20) { "slow" } else { "well" });
        }
        file.write_all_at(&should, 0).await?;
        file.sync_all().await?;
        read.map(|n| if n == 0 { "well" } else { "wrong" })
    };
    match used.await {
        Ok(what) => what.to_owned(),
        Err(error) if error.raw_os_error() == Some(libc::ENOSPC) => "ENOSPC".to_owned(),
        Err(error) if error.raw_os_error() == Some(libc::EIO) => "EIO".to_owned(),
        Err(error) => error.to_string(),
    }
}

// ---- what there is to look at ------------------------------------------------------------------------------------

/// What happened from one moment to another.
struct Window<'a>(&'a [(u64, Seen)]);

impl<'a> Window<'a> {
    fn of(all: &'a [(u64, Seen)], from: u64, to: u64) -> Window<'a> {
        let start = all.partition_point(|(at, _)| *at < from);
        let end = all.partition_point(|(at, _)| *at < to);
        Window(&all[start..end])
    }

    fn ticks(&self, gauge: u16) -> Vec<(u64, &Tick)> {
        let tick = |(at, seen): &'a (u64, Seen)| match seen {
            Seen::Tick(tick) if tick.gauge == gauge => Some((*at, tick)),
            _ => None,
        };
        self.0.iter().filter_map(tick).collect()
    }

    /// The numbers of the beats from gauge 0 to gauge 1, in order of arrival.
    fn beats(&self) -> Vec<(u64, u64)> {
        let beat = |(at, seen): &(u64, Seen)| match seen {
            Seen::Heard(heard) if (heard.from, heard.to) == (0, 1) => Some((*at, heard.number)),
            _ => None,
        };
        self.0.iter().filter_map(beat).collect()
    }
}

/// The directions in which nothing is heard.
fn silence(window: &Window) -> String {
    let heard = |(_, seen): &(u64, Seen)| match seen {
        Seen::Heard(heard) => Some((heard.from, heard.to)),
        _ => None,
    };
    let heard: BTreeSet<(u16, u16)> = window.0.iter().filter_map(heard).collect();
    let all = (0..3).flat_map(|from| (0..3).map(move |to| (from, to))).filter(|(from, to)| from != to);
    all.filter(|pair| !heard.contains(pair)).map(|(a, b)| format!("{a}>{b}")).collect::<Vec<_>>().join(" ")
}

/// How many directions are silent, for shapes that are drawn.
fn silent(window: &Window) -> String {
    silence(window).split_whitespace().count().to_string()
}

/// In how many directions nothing was heard for some time.
fn gaps(window: &Window) -> String {
    let mut heard: BTreeMap<(u16, u16), Vec<u64>> = BTreeMap::new();
    for (at, seen) in window.0 {
        if let Seen::Heard(beat) = seen {
            heard.entry((beat.from, beat.to)).or_default().push(*at);
        }
    }
    assert_eq!(heard.len(), 6, "a swizzle is soon over");
    let has_gap = |times: &&Vec<u64>| times.windows(2).any(|pair| pair[1] - pair[0] > 40_000_000);
    heard.values().filter(has_gap).count().to_string()
}

fn copies(window: &Window) -> String {
    let beats = window.beats();
    let numbers: BTreeSet<u64> = beats.iter().map(|(_, number)| *number).collect();
    if numbers.len() < beats.len() { "copies".to_owned() } else { "none".to_owned() }
}

fn order(window: &Window) -> String {
    let in_order = window.beats().is_sorted_by_key(|(_, number)| *number);
    if in_order { "in order".to_owned() } else { "out of order".to_owned() }
}

/// How late beats are: the n-th is sent n times 10 ms after the boot.
fn delay(window: &Window) -> String {
    let late = window.beats().iter().map(|(at, number)| at.saturating_sub((number - 1) * 10_000_000)).max().unwrap();
    if late > 30_000_000 { "late".to_owned() } else { "in time".to_owned() }
}

fn spin(window: &Window) -> String {
    let slow = window.ticks(0).iter().any(|(_, tick)| tick.spin > 9_000_000);
    if slow { "slow".to_owned() } else { "fast".to_owned() }
}

fn skew(window: &Window) -> String {
    let skews: BTreeSet<i64> = window.ticks(0).iter().map(|(_, tick)| tick.skew).collect();
    format!("{skews:?}")
}

/// How much faster than time gauge 0's monotonic clock goes, in percent.
fn rate(window: &Window) -> String {
    let ticks = window.ticks(0);
    let ((from, first), (to, last)) = (ticks[0], ticks[ticks.len() - 1]);
    let (shown, passed) = (last.monotonic - first.monotonic, to - from);
    (((shown * 100 + passed / 2) / passed) as i64 - 100).to_string()
}

fn fired(window: &Window) -> String {
    window.ticks(0).iter().any(|(_, tick)| tick.fired).to_string()
}

/// What was said at boots of gauge 0.
fn boots(window: &Window) -> String {
    let boot = |(_, seen): &(u64, Seen)| match seen {
        Seen::Booted(boot) if boot.gauge == 0 => Some(format!("{}:{}:{}", boot.life, boot.batch, boot.found)),
        _ => None,
    };
    window.0.iter().filter_map(boot).collect::<Vec<_>>().join(", ")
}

/// The same after a loss of power, which what was not synced may survive.
fn boots_after_loss(window: &Window) -> String {
    boots(window).replace(" unsynced", "")
}

/// How many boots there were, of anybody.
fn how_many_boots(window: &Window) -> String {
    window.0.iter().filter(|(_, seen)| matches!(seen, Seen::Booted(_))).count().to_string()
}

/// All that became of the first gauge's disk, and a word for nothing. The others' go well.
fn disk(window: &Window) -> String {
    let of = |gauge: u16| -> BTreeSet<&str> {
        let disk = |(_, seen): &'_ (u64, Seen)| matches!(seen, Seen::Disk(disk) if disk.gauge == gauge);
        window
            .0
            .iter()
            .filter(|seen| disk(seen))
            .map(|(_, seen)| match seen {
                Seen::Disk(disk) => disk.what.as_str(),
                _ => unreachable!("they were chosen"),
            })
            .collect()
    };
    assert_eq!((of(1), of(2)), (BTreeSet::from(["well"]), BTreeSet::from(["well"])));
    of(0).into_iter().collect::<Vec<_>>().join(" ")
}

fn acted(window: &Window) -> String {
    window.0.iter().any(|(_, seen)| matches!(seen, Seen::Acted)).to_string()
}

// ---- the tables --------------------------------------------------------------------------------------------------

/// The keys of the fault's entry that make it come up about a second after the main phase began, and what they need
/// before them.
const TRIGGERS: [(&str, &str, &str); 9] = [
    ("at", "", "at = \"1s\""),
    ("every", "", "every = \"1s\"\ntimes = 1"),
    ("every drawn", "", "every = { draw = [\"900ms\", \"1100ms\"] }\ntimes = 1"),
    ("event of another", "", "when = { event = \"gauge.tick\", node = \"gauge-1\", nth = 101 }"),
    ("own event", "", "when = { event = \"gauge.tick\", node = \"gauge-0\", nth = 101 }"),
    ("event and delay", "", "when = { event = \"gauge.tick\", node = \"gauge-0\", nth = 91 }\ndelay = \"100ms\""),
    ("operation", "", "when = { op = \"ask\", nth = 21 }"),
    ("after", FIRST, "after = \"first\""),
    ("while", FIRST, "every = \"450ms\"\nwhile = \"first\"\ntimes = 1"),
];

const FIRST: &str = "[[fault]]\nname = \"first\"\nat = \"800ms\"\nfor = \"200ms\"\ndo = { slow_cpu = { nodes = \"client\", poll = \"1us\" } }\n";

type Look = fn(&Window) -> String;

/// What it does, what shows it, and what that shows before, while it is in force, and after.
type Row = (&'static str, Look, [&'static str; 3]);

const ALL_OF_0: &str = "0>1 0>2 1>0 2>0";

const FAULTS: [Row; 39] = [
    ("crash = \"gauge-0\"", silence, ["", ALL_OF_0, ""]),
    ("crash = \"gauge-0\"", boots_after_loss, ["", "", "2:1:kept"]),
    ("crash = \"zone-1\"", silence, ["", "0>1 1>0 1>2 2>1", ""]),
    ("kill = \"gauge-0\"", boots, ["", "", "2:1:kept unsynced"]),
    ("restart = \"gauge-0\"", boots_after_loss, ["", "2:1:kept", ""]),
    ("wipe = \"gauge-0\"", boots, ["", "", "2:1:"]),
    ("pause = \"gauge-0\"", silence, ["", ALL_OF_0, ""]),
    ("partition = { groups = [[\"gauge-0\"], [\"rest\"]] }", silence, ["", ALL_OF_0, ""]),
    ("ring = \"gauge\"", silent, ["0", "3", "0"]),
    ("one_way = { from = \"gauge-0\", to = \"gauge-1\" }", silence, ["", "0>1", ""]),
    ("isolate = \"gauge-0\"", silence, ["", ALL_OF_0, ""]),
    ("clog = { from = \"gauge-0\", to = \"gauge\" }", silence, ["", "0>1 0>2", ""]),
    ("clock = { nodes = \"gauge-0\", offset = \"-5s\" }", skew, ["{0}", "{-5}", "{0}"]),
    ("clock = { nodes = \"gauge-0\", drift_ppm = 200_000 }", rate, ["0", "20", "0"]),
    ("clock = { nodes = \"gauge-0\", drift_ppm = -500_000 }", rate, ["0", "-50", "0"]),
    ("slow_cpu = { nodes = \"gauge-0\", poll = \"1ms\" }", spin, ["fast", "slow", "fast"]),
    ("reconfigure = { nodes = \"gauge-0\", with = { batch = 7 } }", boots_after_loss, ["", "2:7:kept", "3:1:kept"]),
    ("action = { name = \"grow\", args = { by = 2 } }", acted, ["false", "true", "false"]),
    ("buggify = \"gauge.*\"", fired, ["false", "true", "false"]),
    ("link = { from = \"gauge-0\", to = \"gauge-1\", set = { loss = 1.0 } }", silence, ["", "0>1", ""]),
    ("link = { from = \"gauge-0\", to = \"gauge-1\", set = { corrupt = 1.0 } }", silence, ["", "0>1", ""]),
    ("link = { from = \"gauge-0\", to = \"gauge-1\", set = { duplicate = 0.5 } }", copies, ["none", "copies", "none"]),
    (
        "link = { from = \"gauge-0\", to = \"gauge-1\", set = { reorder = 0.5, reorder_by = \"60ms\" } }",
        order,
        ["in order", "out of order", "in order"],
    ),
    (
        "link = { from = \"gauge-0\", to = \"gauge-1\", set = { latency = { constant = \"50ms\" } } }",
        delay,
        ["in time", "late", "in time"],
    ),
    (
        "link = { from = \"gauge-0\", to = \"gauge-1\", set = { bandwidth = \"640B/s\" } }",
        delay,
        ["in time", "late", "in time"],
    ),
    (
        "link = { from = \"gauge-0\", to = \"gauge-1\", set = { bandwidth = \"1MB/s\", queue = \"1B\" } }",
        silence,
        ["", "0>1", ""],
    ),
    ("disk = { nodes = \"gauge-0\", set = { sync = { constant = \"30ms\" } } }", disk, ["well", "slow", "well"]),
    ("disk = { nodes = \"gauge-0\", set = { iops = 80 } }", disk, ["well", "slow", "well"]),
    ("disk = { nodes = \"gauge-0\", set = { sync_error = 1.0 } }", disk, ["well", "EIO", "well"]),
    ("disk_stall = \"gauge-0\"", disk, ["well", "", "well"]),
    ("disk_full = { nodes = \"gauge-0\", free = \"512B\" }", disk, ["well", "ENOSPC", "well"]),
    ("bit_rot = { nodes = \"gauge-0\", files = \"u*d\" }", disk, ["well", "well wrong", "well"]),
    ("bad_sectors = { nodes = \"gauge-0\" }", disk, ["well", "EIO well", "well"]),
    ("halves = \"gauge\"", silent, ["0", "4", "0"]),
    ("bridge = \"gauge\"", silent, ["0", "2", "0"]),
    ("crash_loop = { nodes = \"gauge-0\", up = \"20ms\", down = \"40ms\" }", how_many_boots, ["0", "10", "0"]),
    ("rolling_restart = { nodes = \"gauge\", down = \"100ms\", pause = \"50ms\" }", how_many_boots, ["0", "3", "0"]),
    ("swizzle = \"gauge\"", gaps, ["0", "6", "0"]),
    ("pause = \"self\"", silent, ["0", "4", "0"]),
];

/// Milliseconds that the fault lasts.
const LASTS: u64 = 600;

fn run(text: &str) -> (Report, Vec<(u64, Seen)>) {
    static RUNS: AtomicU64 = AtomicU64::new(0);
    let run = RUNS.fetch_add(1, Ordering::Relaxed);
    let source = format!(
        "[system]\nname = \"gauges\"\nrun = {run}\n[run]\nmain = \"3s\"\nmax_down = \"all\"\n\
         [[workload]]\nname = \"asks\"\n{text}"
    );
    let scenario = Scenario::parse("gauges.toml", &source).unwrap_or_else(|error| panic!("{error}"));
    sim::validate(&Gauges, &scenario).unwrap_or_else(|error| panic!("{error}"));
    let report = sim::run(&Gauges, &scenario, run, RunOptions::default()).unwrap();
    assert_eq!(report.failure, None, "{text}");
    (report, SEEN.lock().unwrap().remove(&run).unwrap())
}

/// What is seen in the windows before, during and after a fault that begins then.
fn look(seen: &[(u64, Seen)], at: u64, what: &str, look: Look) -> [String; 3] {
    let ms = |n: u64| n * 1_000_000;
    // What does several things shows as a whole.
    let (from, to) = match what.split(' ').next().unwrap_or_default() {
        "swizzle" => (at - ms(50), at + ms(LASTS + 50)),
        "crash_loop" | "rolling_restart" => (at, at + ms(LASTS) - 1),
        "restart" | "reconfigure" | "action" | "bit_rot" | "bad_sectors" => (at, at + ms(LASTS) - 1),
        _ => (at + ms(100), at + ms(LASTS - 10)),
    };
    // What is left of it is over: released, caught up, booted. Boots show at once.
    let settled =
        if [boots as Look, boots_after_loss].iter().any(|boots| std::ptr::fn_addr_eq(look, *boots)) { 0 } else { 400 };
    let after = at + ms(LASTS + settled);
    [(at - ms(500), at), (from, to), (after, after + ms(500))].map(|(from, to)| look(&Window::of(seen, from, to)))
}

#[test]
fn every_fault_has_its_effect_with_every_trigger_and_none_before_and_after() {
    let calm = run("").1;
    for (what, with, expected) in FAULTS {
        let name = what.split(' ').next().unwrap();
        let without = look(&calm, 1_000_000_000, what, with);
        assert!(without.iter().all(|seen| seen == expected[0]), "without {what}: {without:?}");
        for (kind, first, trigger) in TRIGGERS {
            if what.contains("self") && !trigger.contains("node") {
                continue;
            }
            let lasts = match name {
                "restart" | "action" | "rolling_restart" | "bit_rot" | "bad_sectors" => String::new(),
                _ => format!("for = \"{LASTS}ms\"\n"),
            };
            let (report, seen) =
                run(&format!("{first}[[fault]]\nname = \"it\"\n{trigger}\n{lasts}do = {{ {what} }}\n"));
            let line =
                report.faults.iter().find(|line| line.contains(" it: ")).unwrap_or_else(|| panic!("{what} {kind}"));
            let at = (line.split('s').next().unwrap().parse::<f64>().unwrap() * 1e9) as u64;
            assert_eq!(look(&seen, at, what, with), expected, "{what}, trigger {kind}: {:?}", report.faults);
            // A swizzle's first clog is not its beginning.
            let latest = if name == "swizzle" { 1_400_000_000 } else { 1_110_000_000 };
            assert!((900_000_000..=latest).contains(&at), "{what}, trigger {kind}: at {at}");
        }
    }
}

#[test]
fn the_table_has_every_fault_and_every_nemesis() {
    let covered: BTreeSet<&str> = FAULTS.iter().map(|(what, ..)| what.split(' ').next().unwrap()).collect();
    let all: BTreeSet<&str> = Fault::<()>::NAMES.into_iter().chain(Nemesis::<()>::NAMES).collect();
    assert_eq!(covered, all);
}
