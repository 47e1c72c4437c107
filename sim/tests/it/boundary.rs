//! What code under test asks the machine for instead of the simulator.

use std::fs::{self, File};
use std::io::Read;
use std::process::{Command, Output};
use std::sync::mpsc;
use std::time::{Duration, Instant, SystemTime};

use sim::simulation::Simulated;
use sim::{simulate, time};

/// Lets a node do this once.
fn on_a_node(seed: u64, code: fn()) -> Simulated<()> {
    simulate(seed, |sim| {
        sim.node("server-1", move || async move {
            time::sleep(Duration::from_millis(1)).await;
            code();
        });
        sim.run_for(Duration::from_secs(1));
    })
    .unwrap()
}

/// Lets a node do this once, and returns its one failure.
#[track_caller]
fn refused(call: &str, instead: &str, code: fn()) {
    let run = on_a_node(1, code);
    let failure = run.failures.first().expect("the call is refused");
    let text = &failure.explanation;
    assert_eq!(failure.signature, format!("boundary:{call}:sim/tests/it/boundary.rs"), "{text}");
    assert!(text.starts_with("server-1, in the task spawned at sim/tests/it/boundary.rs:"), "{text}");
    assert!(text.contains(" at sim/tests/it/boundary.rs:") && text.contains(instead), "{text}");
    assert_eq!(failure.at_ns / 1_000_000, 1, "{text}");
    assert_eq!(on_a_node(1, code).failures, run.failures);
}

/// The value that a node computes.
fn value(seed: u64, code: fn() -> String) -> String {
    let run = simulate(seed, |sim| {
        let (sender, value) = mpsc::channel();
        sim.node("server-1", move || {
            let sender = sender.clone();
            async move { sender.send(code()).unwrap() }
        });
        sim.run_for(Duration::from_secs(1));
        value.try_recv().unwrap()
    })
    .unwrap();
    assert_eq!(run.failures, []);
    run.value
}

#[test]
fn files_are_refused() {
    refused("open", "(\"/etc/hostname\")", || drop(File::open("/etc/hostname")));
    refused("open", "use `sim::fs`", || drop(fs::write("/tmp/never-written-by-a-run", b"x")));
    refused("statx", "use `sim::fs`", || drop(fs::metadata("/etc/hostname")));
    refused("opendir", "use `sim::fs`", || drop(fs::read_dir("/etc")));
    refused("mkdir", "use `sim::fs`", || drop(fs::create_dir("/tmp/never-made-by-a-run")));
    refused("unlink", "use `sim::fs`", || drop(fs::remove_file("/tmp/never-there")));
    refused("rename", "use `sim::fs`", || drop(fs::rename("/tmp/never-there", "/tmp/never-here")));
    refused("readlink", "use `sim::fs`", || drop(fs::read_link("/proc/self/exe")));
    refused("getcwd", "use `sim::fs`", || drop(std::env::current_dir()));
    refused("read", "use `sim::fs`", || drop(std::io::stdin().read(&mut [0])));
    assert!(!fs::exists("/tmp/never-written-by-a-run").unwrap() && !fs::exists("/tmp/never-made-by-a-run").unwrap());
}

#[test]
fn sockets_are_refused() {
    refused("socket", "use `sim::net`", || drop(std::net::UdpSocket::bind("127.0.0.1:0")));
    refused("socket", "use `sim::net`", || drop(std::net::TcpStream::connect("127.0.0.1:9")));
    refused("socketpair", "use `sim::net`", || drop(std::os::unix::net::UnixStream::pair()));
    refused("pipe2", "use `sim::net`", || drop(std::io::pipe()));
    refused("getaddrinfo", "use `sim::net`", || drop(std::net::ToSocketAddrs::to_socket_addrs("example.invalid:1")));
}

#[test]
fn threads_and_processes_are_refused() {
    refused("pthread_create", "use `sim::task::spawn`", || drop(std::thread::Builder::new().spawn(|| ())));
    // Here the refusal is the first failure, and std's panic the second.
    refused("pthread_create", "use `sim::task::spawn`", || drop(std::thread::spawn(|| ())));
    let (call, instead) = ("posix_spawnp", "add a node");
    refused(call, instead, || drop(Command::new("true").stdin(std::process::Stdio::null()).status()));
}

#[test]
fn to_block_in_real_time_is_refused() {
    let began = Instant::now();
    refused("clock_nanosleep", "use `sim::time::sleep`", || std::thread::sleep(Duration::from_secs(3600)));
    refused("futex", "use `sim::time::sleep`", || std::thread::park_timeout(Duration::from_secs(3600)));
    assert!(began.elapsed() < Duration::from_secs(3000));
    // The virtual clock stands still, so that std waits again.
    let (output, text) = alone("waits_for_a_message_in_real_time");
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("fatal[process:boundary:futex:sim/tests/it/boundary.rs] server-1"), "{text}");
}

#[test]
#[ignore = "ends its process"]
fn waits_for_a_message_in_real_time() {
    on_a_node(1, || {
        let (_sender, receiver) = mpsc::channel::<()>();
        let _ = receiver.recv_timeout(Duration::from_secs(3600));
    });
}

#[test]
fn randomness_comes_from_the_seed() {
    let ways: [fn() -> String; 3] = [
        || {
            let mut bytes = [0; 16];
            File::open("/dev/urandom").unwrap().read_exact(&mut bytes).unwrap();
            format!("{bytes:x?}")
        },
        || format!("{:x?}", by_number(16)),
        || format!("{:x?}", by_number(3)),
    ];
    for way in ways {
        assert_eq!(value(1, way), value(1, way));
        assert_ne!(value(1, way), value(2, way));
        assert!(value(1, way).len() > 6);
    }
    // Not for ever: outside of a run they are the machine's.
    assert_ne!(by_number(16), by_number(16));
}

/// As `rand` 0.8 does.
#[allow(unsafe_code)]
fn by_number(length: usize) -> Vec<u8> {
    let mut bytes = vec![0_u8; length];
    // SAFETY: there is room for so many bytes.
    let found = unsafe { libc::syscall(libc::SYS_getrandom, bytes.as_mut_ptr(), bytes.len(), 0) };
    assert_eq!(found, length as i64);
    bytes
}

#[test]
fn who_and_where_a_process_is_does_not_depend_on_the_machine() {
    assert_eq!(value(1, || std::process::id().to_string()), "1");
    assert_ne!(std::process::id(), 1);
    let parallelism = || std::thread::available_parallelism().unwrap().to_string();
    assert_eq!(value(1, parallelism), value(2, parallelism));
}

#[test]
fn all_wall_clocks_show_virtual_time() {
    let seconds = || {
        let std = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
        format!("{std} {}", c_time())
    };
    let shown = value(1, seconds);
    let (one, other) = shown.split_once(' ').unwrap();
    assert_eq!(one, other);
}

#[allow(unsafe_code)]
fn c_time() -> i64 {
    // SAFETY: the answer is only returned.
    unsafe { libc::time(std::ptr::null_mut()) }
}

#[test]
fn what_prints_passes() {
    let text = value(1, || {
        println!("a run may print");
        std::backtrace::Backtrace::force_capture().to_string()
    });
    assert!(text.contains("boundary.rs"), "{text}");
}

#[test]
fn the_host_program_may_read_a_file() {
    let run = simulate(1, |_| fs::read("/proc/self/stat").unwrap().len()).unwrap();
    assert!(run.failures.is_empty() && run.value > 0);
}

/// Runs a test of this file in a process of its own, which may end in any way.
fn alone(test: &str) -> (Output, String) {
    let program = std::env::current_exe().unwrap();
    let output = Command::new(program)
        .args(["--exact", &format!("boundary::{test}"), "--ignored", "--nocapture", "--test-threads=1"])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    (output, text)
}

#[test]
fn an_exit_does_not_pass_for_success() {
    let (output, text) = alone("exits");
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("fatal[process:exit-0] server-1, in the task spawned at"), "{text}");
    assert!(text.contains("called exit(0) at sim/tests/it/boundary.rs:"), "{text}");
}

#[test]
#[ignore = "ends its process"]
fn exits() {
    on_a_node(1, || std::process::exit(0));
}

#[test]
fn an_abort_names_its_caller() {
    let (output, text) = alone("aborts");
    assert!(!output.status.success());
    assert!(text.contains("fatal[process:abort] server-1"), "{text}");
}

#[test]
#[ignore = "ends its process"]
fn aborts() {
    on_a_node(1, || std::process::abort());
}

#[test]
fn a_clock_of_cpu_time_names_its_caller() {
    let (output, text) = alone("reads_cpu_time");
    assert!(!output.status.success());
    assert!(text.contains("fatal[process:boundary:clock_gettime:sim/tests/it/boundary.rs] server-1"), "{text}");
    assert!(text.contains("use `sim::time::Instant::now`"), "{text}");
}

#[test]
#[ignore = "ends its process"]
#[allow(unsafe_code)]
fn reads_cpu_time() {
    on_a_node(1, || {
        let mut into = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: there is room for the answer.
        unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &raw mut into) };
    });
}

#[test]
fn a_hang_names_its_place() {
    for test in ["loops_for_ever", "waits_for_a_lock_that_another_task_holds"] {
        let (output, text) = alone(test);
        assert_eq!(output.status.code(), Some(1), "{text}");
        assert!(
            text.contains("fatal[process:hang] server-1, in the task spawned at sim/tests/it/boundary.rs:"),
            "{text}"
        );
        assert!(text.contains("it is at sim/tests/it/boundary.rs:"), "{text}");
    }
}

/// Asks the hanging run where it is, some time later.
fn ask_later() {
    sim::boundary::name_hangs_on(libc::SIGUSR2).unwrap();
    std::thread::spawn(|| {
        std::thread::sleep(Duration::from_millis(200));
        let _ = Command::new("kill").args(["-USR2", &std::process::id().to_string()]).status();
    });
}

#[test]
#[ignore = "ends its process"]
fn loops_for_ever() {
    ask_later();
    on_a_node(1, || {
        let mut count = 0_u64;
        loop {
            count = std::hint::black_box(count.wrapping_add(1));
        }
    });
}

#[test]
#[ignore = "ends its process"]
fn waits_for_a_lock_that_another_task_holds() {
    ask_later();
    on_a_node(1, || {
        let lock = std::sync::Mutex::new(());
        let _held = lock.lock();
        drop(lock.lock());
    });
}
