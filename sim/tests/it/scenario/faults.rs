//! Every fault bites: something observable changes while it is in force, and is as before when it is undone.
//!
//! Three nodes beat at each other, spin, and keep two files; each row of the table looks at one thing that they show.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;
use std::time::Duration;

use sim::fault::{Fault, InFlight};
use sim::net::{LinkConfig, LinkPatch, UdpSocket};
use sim::time::{Instant, SystemTime};
use sim::{Latency, NodeId, Offset, Rate, Sim, Size, Time, buggify, codec, fs, node, simulate, task, time};

type Resolved = Fault<Vec<NodeId>>;

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

fn of_ms(n: u64) -> Time {
    Time::new(ms(n))
}

const NAMES: [&str; 3] = ["a", "b", "c"];
const A: u16 = 0;
const B: u16 = 1;
const C: u16 = 2;

fn nodes(ids: &[u16]) -> Vec<NodeId> {
    ids.iter().map(|&id| NodeId::new(id)).collect()
}

/// A beat that arrived.
struct Beat {
    from: u16,
    to: u16,
    number: u64,
    sent: Instant,
    got: Instant,
}

/// What the nodes show: test scaffolding, outside of the world.
#[derive(Default)]
struct Seen {
    beats: Vec<Beat>,
    /// Of each node: what its disk had at the last boot, which life it is in, and its latest wall clock reading.
    found: [Vec<String>; 3],
    lives: [u32; 3],
    wall: [i64; 3],
    /// The longest that ten polls took on node a, and how often its fault point fired.
    spin: Duration,
    fired: u32,
    /// By how much node a's monotonic clock is ahead of node b's.
    ahead: i64,
    monotonic: [u64; 3],
}

async fn run_node(me: u16, seen: Rc<RefCell<Seen>>) {
    {
        let found = fs::read_dir("").await.unwrap();
        let mut seen = seen.borrow_mut();
        seen.lives[usize::from(me)] = node::incarnation();
        seen.found[usize::from(me)] = found;
    }
    fs::File::create("kept").await.unwrap().sync_all().await.unwrap();
    fs::sync_dir("").await.unwrap();
    fs::File::create("unsynced").await.unwrap();
    let socket = Rc::new(UdpSocket::bind(1).unwrap());
    let (ear, heard) = (socket.clone(), seen.clone());
    task::spawn(async move {
        loop {
            let datagram = ear.recv_from().await;
            let (number, sent) = codec::decode::<(u64, Instant)>(&datagram.payload).unwrap();
            let from = datagram.from.node.index() as u16;
            heard.borrow_mut().beats.push(Beat { from, to: me, number, sent, got: time::now() });
        }
    });
    let mut tick = time::interval(ms(10));
    for number in 0u64.. {
        tick.tick().await;
        for peer in (0..3).filter(|&peer| peer != me) {
            socket.send_to(codec::encode(&(number, time::now())).unwrap(), NodeId::new(peer).port(1));
        }
        seen.borrow_mut().wall[usize::from(me)] = SystemTime::now().as_nanos() - time::now().as_nanos() as i64;
        let before = time::now();
        for _ in 0..10 {
            task::yield_now().await;
        }
        let mut shown = seen.borrow_mut();
        shown.monotonic[usize::from(me)] = time::now().as_nanos();
        if me == B {
            shown.ahead = shown.monotonic[0] as i64 - shown.monotonic[1] as i64;
        }
        shown.fired += u32::from(me == A && buggify!("faults.point"));
        drop(shown);
        if me == A {
            let mut seen = seen.borrow_mut();
            seen.spin = seen.spin.max(before.elapsed());
        }
    }
}

struct World<'a> {
    sim: &'a Sim,
    seen: Rc<RefCell<Seen>>,
}

impl World<'_> {
    fn new(sim: &Sim, network: LinkConfig) -> World<'_> {
        sim.network(network);
        let seen = Rc::new(RefCell::new(Seen::default()));
        for (id, name) in NAMES.iter().enumerate() {
            let seen = seen.clone();
            sim.node(name, move || run_node(id as u16, seen.clone()));
        }
        World { sim, seen }
    }

    /// What 300 ms look like, after what was under way has settled.
    fn window<R>(&self, look: impl FnOnce(&Seen) -> R) -> R {
        self.sim.run_for(ms(200));
        {
            let mut seen = self.seen.borrow_mut();
            seen.beats.clear();
            seen.spin = Duration::ZERO;
            seen.fired = 0;
        }
        self.sim.run_for(ms(300));
        look(&self.seen.borrow())
    }
}

// ---- what there is to look at ------------------------------------------------------------------------------------

/// The directions in which nothing is heard: `a>b`.
fn silence(world: &World) -> String {
    world.window(|seen| {
        let heard: BTreeSet<(u16, u16)> = seen.beats.iter().map(|beat| (beat.from, beat.to)).collect();
        let all = (0..3).flat_map(|from| (0..3).map(move |to| (from, to))).filter(|(from, to)| from != to);
        let name = |id: u16| NAMES[usize::from(id)];
        let silent = all.filter(|pair| !heard.contains(pair)).map(|(from, to)| format!("{}>{}", name(from), name(to)));
        silent.collect::<Vec<_>>().join(" ")
    })
}

/// Which life each node is in.
fn lives(world: &World) -> String {
    world.window(|seen| seen.lives.map(|life| life.to_string()).join(" "))
}

/// What node a found on its disk when it booted last.
fn found(world: &World) -> String {
    world.window(|seen| seen.found[0].join(" "))
}

/// The same after a loss of power, which what was not synced may survive.
fn found_after_loss(world: &World) -> String {
    found(world).replace(" unsynced", "")
}

/// Of the beats from a to b, in order of arrival.
fn arrivals(world: &World, judge: impl Fn(&[&Beat]) -> bool, yes: &str, no: &str) -> String {
    world.window(|seen| {
        let beats: Vec<&Beat> = seen.beats.iter().filter(|beat| (beat.from, beat.to) == (A, B)).collect();
        assert!(beats.len() >= 10, "only {} beats from a to b", beats.len());
        if judge(&beats) { yes.to_owned() } else { no.to_owned() }
    })
}

fn copies(world: &World) -> String {
    let twice = |beats: &[&Beat]| beats.iter().map(|beat| beat.number).collect::<BTreeSet<_>>().len() < beats.len();
    arrivals(world, twice, "copies", "none")
}

fn order(world: &World) -> String {
    arrivals(world, |beats| beats.is_sorted_by_key(|beat| beat.number), "in order", "out of order")
}

fn delay(world: &World) -> String {
    let slow = |beats: &[&Beat]| beats.iter().any(|beat| beat.got - beat.sent > ms(30));
    arrivals(world, slow, "above 30 ms", "below 30 ms")
}

/// Wall clock of a minus that of b, in seconds. Their monotonic clocks are one, so this is the offset.
fn skew(world: &World) -> String {
    world.window(|seen| ((seen.wall[0] - seen.wall[1]) as f64 / 1e9).to_string())
}

/// How long ten polls take on a.
fn spin(world: &World) -> String {
    world.window(|seen| if seen.spin >= ms(9) { "slow".to_owned() } else { "fast".to_owned() })
}

/// Whether a's monotonic clock is ahead of b's; they tick 10 ms apart.
fn rate(world: &World) -> String {
    world.window(|seen| match seen.ahead {
        ahead if ahead > 30_000_000 => "ahead".to_owned(),
        ahead if ahead < -30_000_000 => "behind".to_owned(),
        _ => "right".to_owned(),
    })
}

/// Whether a's fault point fired.
fn fired(world: &World) -> String {
    world.window(|seen| if seen.fired > 0 { "fired".to_owned() } else { "silent".to_owned() })
}

// ---- the table ---------------------------------------------------------------------------------------------------

struct Row {
    fault: Resolved,
    network: LinkConfig,
    look: fn(&World) -> String,
    /// Without the fault, with it, and when it is undone.
    expected: [&'static str; 3],
}

fn row(fault: Resolved, look: fn(&World) -> String, expected: [&'static str; 3]) -> Row {
    let latency = Latency::Constant(of_ms(1));
    Row { fault, network: LinkConfig { latency, ..LinkConfig::default() }, look, expected }
}

fn link(set: LinkPatch) -> Resolved {
    Fault::Link { from: nodes(&[A]), to: nodes(&[B]), set }
}

fn table() -> Vec<Row> {
    let (a, b) = (|| nodes(&[A]), || nodes(&[B]));
    let patch = LinkPatch::default();
    let all_of_a = "a>b a>c b>a c>a";
    let drop = InFlight::Drop;
    let mut table = vec![
        row(Fault::Crash(a()), silence, ["", all_of_a, ""]),
        row(Fault::Crash(a()), lives, ["1 1 1", "1 1 1", "2 1 1"]),
        row(Fault::Crash(a()), found_after_loss, ["", "", "kept"]),
        row(Fault::Kill(a()), silence, ["", all_of_a, ""]),
        row(Fault::Kill(a()), lives, ["1 1 1", "1 1 1", "2 1 1"]),
        row(Fault::Kill(a()), found, ["", "", "kept unsynced"]),
        row(Fault::Restart(a()), silence, ["", "", ""]),
        row(Fault::Restart(a()), lives, ["1 1 1", "2 1 1", "2 1 1"]),
        row(Fault::Restart(a()), found_after_loss, ["", "kept", "kept"]),
        row(Fault::Wipe(a()), silence, ["", all_of_a, ""]),
        row(Fault::Wipe(a()), lives, ["1 1 1", "1 1 1", "2 1 1"]),
        row(Fault::Wipe(a()), found, ["", "", ""]),
        row(Fault::Pause(a()), silence, ["", all_of_a, ""]),
        row(Fault::Pause(a()), lives, ["1 1 1", "1 1 1", "1 1 1"]),
        row(Fault::Partition { groups: vec![a(), b()], in_flight: drop }, silence, ["", "a>b b>a", ""]),
        row(Fault::Partition { groups: vec![a(), nodes(&[B, C])], in_flight: drop }, silence, ["", all_of_a, ""]),
        row(Fault::Ring(nodes(&[A, B, C])), silence, ["", "a>b b>c c>a", ""]),
        row(Fault::OneWay { from: a(), to: b(), in_flight: drop }, silence, ["", "a>b", ""]),
        row(Fault::Isolate(a()), silence, ["", all_of_a, ""]),
        row(Fault::Isolate(nodes(&[A, B])), silence, ["", "a>b a>c b>a b>c c>a c>b", ""]),
        row(Fault::Clog { from: a(), to: b() }, silence, ["", "a>b", ""]),
        row(link(LinkPatch { loss: Some(1.0), ..patch }), silence, ["", "a>b", ""]),
        row(link(LinkPatch { corrupt: Some(1.0), ..patch }), silence, ["", "a>b", ""]),
        row(link(LinkPatch { duplicate: Some(0.5), ..patch }), copies, ["none", "copies", "none"]),
        row(link(LinkPatch { reorder: Some(0.5), ..patch }), order, ["in order", "out of order", "in order"]),
        row(
            link(LinkPatch { reorder_by: Some(of_ms(90)), ..patch }),
            delay,
            ["below 30 ms", "above 30 ms", "below 30 ms"],
        ),
        row(
            link(LinkPatch { latency: Some(Latency::Constant(of_ms(50))), ..patch }),
            delay,
            ["below 30 ms", "above 30 ms", "below 30 ms"],
        ),
        row(
            Fault::Clock { nodes: a(), offset: Offset::from_nanos(-5_000_000_000), drift_ppm: 0 },
            skew,
            ["0", "-5", "0"],
        ),
        // A monotonic clock keeps what it has gained.
        row(
            Fault::Clock { nodes: a(), offset: Offset::default(), drift_ppm: 200_000 },
            rate,
            ["right", "ahead", "ahead"],
        ),
        row(
            Fault::Clock { nodes: a(), offset: Offset::default(), drift_ppm: -200_000 },
            rate,
            ["right", "behind", "behind"],
        ),
        row(Fault::Buggify("faults.*".to_owned()), fired, ["silent", "fired", "silent"]),
        row(Fault::Buggify("other.*".to_owned()), fired, ["silent", "silent", "silent"]),
        row(
            link(LinkPatch { bandwidth: Some(Rate::from_bytes_per_second(1_300)), ..patch }),
            delay,
            ["below 30 ms", "above 30 ms", "below 30 ms"],
        ),
        row(link(LinkPatch { queue: Some(Size::from_bytes(1)), ..patch }), silence, ["", "a>b", ""]),
        row(Fault::SlowCpu { nodes: a(), poll: of_ms(1) }, spin, ["fast", "slow", "fast"]),
        // The parameters themselves: `reconfigure_brings_other_parameters_and_takes_them_back` in rules.rs.
        row(Fault::Reconfigure { nodes: a(), with: toml::Table::new() }, lives, ["1 1 1", "2 1 1", "3 1 1"]),
    ];
    for row in &mut table {
        match &row.fault {
            // Overtaking takes a distance longer than that between two beats, and `reorder_by` something reordered.
            Fault::Link { set, .. } if set.reorder.is_some() => row.network.reorder_by = of_ms(60),
            // A queue is one of a link of limited bandwidth.
            Fault::Link { set, .. } if set.queue.is_some() => {
                row.network.bandwidth = Rate::from_bytes_per_second(1_000_000);
            }
            Fault::Link { set, .. } if set.reorder_by.is_some() => {
                row.network = LinkConfig { reorder: 0.5, reorder_by: of_ms(5), ..row.network };
            }
            _ => {}
        }
    }
    table
}

#[test]
fn every_fault_has_its_effect_while_it_is_in_force_and_none_before_and_after() {
    for Row { fault, network, look, expected } in table() {
        let run = simulate(1, |sim| {
            let world = World::new(sim, network);
            let without = look(&world);
            let injected = sim.inject(fault.clone());
            let with = look(&world);
            drop(injected);
            [without, with, look(&world)]
        })
        .unwrap();
        assert_eq!(run.failures, [], "{fault:?}");
        assert_eq!(run.value, expected, "{fault:?}");
    }
}

#[test]
fn the_table_has_every_fault_and_every_property_of_a_link() {
    let covered: BTreeSet<&str> = table().iter().map(|row| row.fault.name()).collect();
    // An action is the system's: `triggers.rs`. Those of disks: `fs/faults.rs`.
    let elsewhere = ["action", "disk", "disk_stall", "disk_full", "bit_rot", "bad_sectors"];
    assert_eq!(&covered | &BTreeSet::from(elsewhere), BTreeSet::from(Fault::<()>::NAMES));
    // One property more does not compile here.
    let LinkPatch { latency: _, loss: _, duplicate: _, reorder: _, reorder_by: _, corrupt: _, bandwidth: _, queue: _ } =
        LinkPatch::default();
    let patched: BTreeSet<String> = table()
        .into_iter()
        .filter_map(|row| match row.fault {
            Fault::Link { set, .. } => Some(toml::Table::try_from(set).unwrap().keys().next().unwrap().clone()),
            _ => None,
        })
        .collect();
    assert_eq!(patched.len(), 8, "{patched:?}");
}

#[test]
fn nothing_is_missing_after_a_pause() {
    simulate(1, |sim| {
        let world = World::new(sim, LinkConfig::default());
        sim.run_for(ms(100));
        let paused = sim.inject(Fault::Pause(nodes(&[A])));
        sim.run_for(ms(500));
        drop(paused);
        sim.run_for(ms(50));
        for (from, to) in [(A, B), (B, A)] {
            let seen = world.seen.borrow();
            let of_pair = seen.beats.iter().filter(|beat| (beat.from, beat.to) == (from, to));
            let numbers: BTreeSet<u64> = of_pair.map(|beat| beat.number).collect();
            assert_eq!(numbers, (0..numbers.len() as u64).collect());
            assert!(numbers.len() >= 64, "{}", numbers.len());
        }
    })
    .unwrap();
}

/// A sender that sends the numbers 0 to 99, a millisecond apart, over a link that takes 30 ms, and what arrives when.
fn hundred_numbers(strike: impl FnOnce(&Sim, NodeId, NodeId) + Send) -> Vec<(u64, u64)> {
    let run = simulate(1, |sim| {
        sim.network(LinkConfig { latency: Latency::Constant(of_ms(30)), ..LinkConfig::default() });
        let got: Rc<RefCell<Vec<(u64, u64)>>> = Rc::default();
        let log = got.clone();
        let receiver = sim.node("receiver", move || {
            let log = log.clone();
            async move {
                let socket = UdpSocket::bind(1).unwrap();
                loop {
                    let datagram = socket.recv_from().await;
                    let number = u64::from(datagram.payload[0]);
                    log.borrow_mut().push((number, time::now().as_nanos() / 1_000_000));
                }
            }
        });
        let sender = sim.node("sender", move || async move {
            let socket = UdpSocket::bind(1).unwrap();
            for number in 0..100u8 {
                socket.send_to(vec![number], receiver.port(1));
                time::sleep_until(Instant::now() + ms(1)).await;
            }
        });
        strike(sim, sender, receiver);
        sim.run_for(ms(1000));
        got.take()
    });
    run.unwrap().value
}

#[test]
fn a_clog_holds_everything_and_lets_it_go_in_one_burst_in_order() {
    let got = hundred_numbers(|sim, sender, receiver| {
        let clog = sim.inject(Fault::Clog { from: vec![sender], to: vec![receiver] });
        sim.run_for(ms(80));
        assert_eq!(sim.received(receiver), 0);
        assert!(sim.effect("net.held") >= 45);
        drop(clog);
    });
    assert_eq!(got.iter().map(|(number, _)| *number).collect::<Vec<_>>(), (0..100).collect::<Vec<_>>());
    let burst = got.iter().filter(|(_, at)| *at == 80).count();
    assert!(burst >= 45, "{burst} at once");
}

#[test]
fn what_is_under_way_when_a_partition_begins_is_dropped_or_delivered_as_it_says() {
    type Cut = fn(NodeId, NodeId, InFlight) -> Resolved;
    let cuts: [Cut; 2] = [
        |from, to, in_flight| Fault::Partition { groups: vec![vec![from], vec![to]], in_flight },
        |from, to, in_flight| Fault::OneWay { from: vec![from], to: vec![to], in_flight },
    ];
    for cut in cuts {
        // Long, and shorter than what is under way is under way.
        for lasts in [100, 5] {
            let got = |in_flight| {
                hundred_numbers(|sim, sender, receiver| {
                    sim.run_for(ms(50));
                    let injected = sim.inject(cut(sender, receiver, in_flight));
                    sim.run_for(ms(lasts));
                    drop(injected);
                })
                .into_iter()
                .map(|(number, _)| number)
                .collect::<Vec<u64>>()
            };
            let (dropped, delivered) = (got(InFlight::Drop), got(InFlight::Deliver));
            // Sent after about 50 - 30 ms was under way at 50 ms; sent from about 50 ms on met the cut.
            let missing = |got: &[u64]| (0..100).filter(|number| !got.contains(number)).collect::<Vec<u64>>();
            let (first, last) = (missing(&dropped)[0], missing(&dropped).len() as u64);
            assert!((18..=21).contains(&first), "{lasts}: first missing is {first}");
            assert!((48..=51).contains(&missing(&delivered)[0]), "{lasts}: {:?}", missing(&delivered));
            let extra = last - missing(&delivered).len() as u64;
            assert!((28..=32).contains(&extra), "{lasts}: {extra} more");
        }
    }
}

#[test]
fn faults_that_overlap_are_undone_one_by_one() {
    simulate(1, |sim| {
        let world = World::new(sim, LinkConfig::default());
        let cut = || Fault::Partition { groups: vec![nodes(&[A]), nodes(&[B])], in_flight: InFlight::Drop };
        let (first, second) = (sim.inject(cut()), sim.inject(Fault::Isolate(nodes(&[A]))));
        drop(first);
        assert_eq!(silence(&world), "a>b a>c b>a c>a");
        let third = sim.inject(cut());
        drop(second);
        assert_eq!(silence(&world), "a>b b>a");
        drop(third);
        assert_eq!(silence(&world), "");

        let clock =
            |ms: i64| Fault::Clock { nodes: nodes(&[A]), offset: Offset::from_nanos(ms * 1_000_000), drift_ppm: 0 };
        let (first, second) = (sim.inject(clock(2_000)), sim.inject(clock(500)));
        assert_eq!(skew(&world), "2.5");
        drop(first);
        assert_eq!(skew(&world), "0.5");
        drop(second);

        let clog = || Fault::Clog { from: nodes(&[A]), to: nodes(&[B]) };
        let (first, second) = (sim.inject(clog()), sim.inject(clog()));
        drop(first);
        assert_eq!(silence(&world), "a>b");
        drop(second);
        assert_eq!(silence(&world), "");
    })
    .unwrap();
}
