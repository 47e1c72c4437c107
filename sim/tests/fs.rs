//! Disks: what is read, what survives, and what a crash takes.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use sim::fs::{self, DiskConfig, File, OpenOptions};
use sim::net::Latency;
use sim::node::NodeId;
use sim::scenario::units::Time;
use sim::{Sim, node, simulate, time};

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// Runs `lives[i]` in the i-th life of a node, with a crash (or whatever `between` does) after each.
fn lives(between: fn(&Sim, NodeId), first: impl AsyncFn() + Send + 'static, second: impl AsyncFn() + Send + 'static) {
    let run = simulate(1, |sim| {
        sim.disks(DiskConfig { sync: Latency::Constant(Time::new(ms(10))), ..DiskConfig::default() });
        let done = Rc::new(RefCell::new(Vec::new()));
        let (log, code) = (done.clone(), Rc::new((first, second)));
        let node = sim.node("a", move || {
            let (log, code) = (log.clone(), code.clone());
            async move {
                let life = node::incarnation();
                if life == 1 {
                    (code.0)().await
                } else {
                    (code.1)().await
                }
                log.borrow_mut().push(life);
                std::future::pending().await
            }
        });
        sim.run_for(Duration::from_secs(1));
        between(sim, node);
        sim.boot(node);
        sim.run_for(Duration::from_secs(1));
        done.take()
    })
    .unwrap();
    assert_eq!((run.failures, run.value), (vec![], vec![1, 2]));
}

fn crash(sim: &Sim, node: NodeId) {
    sim.crash(node);
}

async fn write(path: &str, data: &[u8]) -> File {
    let file = File::create(path).await.unwrap();
    file.write_all_at(data, 0).await.unwrap();
    file
}

async fn open(path: &str) -> File {
    OpenOptions::new().read(true).write(true).open(path).await.unwrap()
}

async fn len(file: &File) -> u64 {
    file.metadata().await.unwrap().len()
}

async fn text(path: &str) -> io::Result<String> {
    fs::read(path).await.map(|bytes| String::from_utf8(bytes).unwrap())
}

/// The operating system's number of an error.
fn number<T>(result: io::Result<T>) -> Option<i32> {
    result.err().map(|error| error.raw_os_error().expect("an error of the operating system"))
}

#[test]
fn what_was_written_is_read_synced_or_not() {
    lives(
        crash,
        async || {
            let file = write("f", b"hello world").await;
            assert_eq!(text("f").await.unwrap(), "hello world");
            file.write_at(b"W", 6).await.unwrap();
            assert_eq!(file.append(b"!").await.unwrap(), 11);
            let other = File::open("f").await.unwrap();
            let mut buf = [0; 20];
            assert_eq!(other.read_at(&mut buf, 6).await.unwrap(), 6);
            assert_eq!(&buf[..6], b"World!");
            assert_eq!(other.read_at(&mut buf, 99).await.unwrap(), 0);
            assert_eq!(len(&other).await, 12);
        },
        async || {},
    );
}

#[test]
fn only_what_was_synced_survives_a_crash() {
    lives(
        crash,
        async || {
            let both = write("both", b"durable").await;
            both.sync_all().await.unwrap();
            write("name-only", b"gone").await;
            fs::sync_dir("").await.unwrap();
            both.write_at(b"DURABLE and more", 0).await.unwrap();
            write("bytes-only", b"gone").await.sync_all().await.unwrap();
        },
        async || {
            assert_eq!(text("both").await.unwrap(), "durable");
            assert_eq!(text("name-only").await.unwrap(), "");
            assert_eq!(number(text("bytes-only").await), Some(libc::ENOENT));
            assert_eq!(fs::read_dir("").await.unwrap(), ["both", "name-only"]);
        },
    );
}

#[test]
fn names_that_were_not_synced_are_as_before() {
    lives(
        crash,
        async || {
            for name in ["renamed", "removed", "replaced", "moved-durably"] {
                write(name, name.as_bytes()).await.sync_all().await.unwrap();
            }
            fs::create_dir_all("d/e").await.unwrap();
            for dir in ["", "d"] {
                fs::sync_dir(dir).await.unwrap();
            }
            fs::rename("moved-durably", "d/e/moved").await.unwrap();
            fs::sync_dir("d/e").await.unwrap();
            fs::sync_dir("").await.unwrap();
            fs::rename("renamed", "new-name").await.unwrap();
            fs::remove_file("removed").await.unwrap();
            write("other", b"other").await.sync_all().await.unwrap();
            fs::rename("other", "replaced").await.unwrap();
            fs::create_dir_all("new-dir").await.unwrap();
            assert_eq!(fs::read_dir("").await.unwrap(), ["d", "new-dir", "new-name", "replaced"]);
            assert_eq!(text("replaced").await.unwrap(), "other");
        },
        async || {
            assert_eq!(fs::read_dir("").await.unwrap(), ["d", "removed", "renamed", "replaced"]);
            for name in ["removed", "renamed", "replaced"] {
                assert_eq!(text(name).await.unwrap(), name);
            }
            assert_eq!(text("d/e/moved").await.unwrap(), "moved-durably");
        },
    );
}

#[test]
fn a_crash_during_a_sync_loses_what_the_sync_was_for() {
    // A sync takes 10 ms. The file is synced twice; the crash comes in the middle of the second.
    let run = simulate(1, |sim| {
        sim.disks(DiskConfig { sync: Latency::Constant(Time::new(ms(10))), ..DiskConfig::default() });
        let found = Rc::new(RefCell::new(Vec::new()));
        let log = found.clone();
        let node = sim.node("a", move || {
            let log = log.clone();
            async move {
                if node::incarnation() == 2 {
                    let found = text("f").await.unwrap();
                    return log.borrow_mut().push(found);
                }
                let file = write("f", b"first").await;
                fs::sync_dir("").await.unwrap();
                file.sync_all().await.unwrap();
                file.write_at(b"second", 0).await.unwrap();
                file.sync_all().await.unwrap();
                log.borrow_mut().push("too late".to_owned());
            }
        });
        sim.run_for(ms(25));
        sim.crash(node);
        sim.run_for(ms(100));
        sim.boot(node);
        sim.run_for(ms(100));
        assert!(sim.effect("disk.unsynced_bytes") >= 6);
        found.take()
    })
    .unwrap();
    assert_eq!(run.value, ["first"]);
}

#[test]
fn the_length_is_data_too() {
    lives(
        crash,
        async || {
            for name in ["cut", "cut-durably", "long", "long-durably"] {
                write(name, b"0123456789").await.sync_all().await.unwrap();
            }
            fs::sync_dir("").await.unwrap();
            for (name, len) in [("cut", 3), ("cut-durably", 3), ("long", 12), ("long-durably", 12)] {
                let file = open(name).await;
                file.set_len(len).await.unwrap();
                assert_eq!(self::len(&file).await, len);
                if name.ends_with("durably") {
                    file.sync_all().await.unwrap();
                }
            }
            // Cut and extended again: what was cut off is zeros.
            let file = open("cut-durably").await;
            file.set_len(5).await.unwrap();
            assert_eq!(text("cut-durably").await.unwrap(), "012\0\0");
        },
        async || {
            assert_eq!(text("cut").await.unwrap(), "0123456789");
            assert_eq!(text("cut-durably").await.unwrap(), "012");
            assert_eq!(text("long").await.unwrap(), "0123456789");
            assert_eq!(text("long-durably").await.unwrap(), "0123456789\0\0");
        },
    );
}

#[test]
fn gaps_read_as_zeros_and_writing_nothing_makes_none() {
    lives(
        crash,
        async || {
            let file = write("f", b"abc").await;
            file.write_at(b"", 100).await.unwrap();
            assert_eq!(len(&file).await, 3);
            file.write_at(b"xyz", 6).await.unwrap();
            assert_eq!(text("f").await.unwrap(), "abc\0\0\0xyz");
            file.sync_all().await.unwrap();
            fs::sync_dir("").await.unwrap();
        },
        async || assert_eq!(text("f").await.unwrap(), "abc\0\0\0xyz"),
    );
}

#[test]
fn a_wipe_leaves_an_empty_disk() {
    lives(
        |sim, node| sim.wipe(node),
        async || {
            write("f", b"durable").await.sync_all().await.unwrap();
            fs::sync_dir("").await.unwrap();
        },
        async || {
            assert_eq!(fs::read_dir("").await.unwrap(), [""; 0]);
            assert_eq!(number(text("f").await), Some(libc::ENOENT));
        },
    );
}

#[test]
fn errors_say_what_is_in_the_way() {
    lives(
        crash,
        async || {
            fs::create_dir_all("d/e").await.unwrap();
            write("f", b"file").await;
            for (path, error) in [
                ("d", libc::EISDIR),
                ("/d/./e/", libc::EISDIR),
                ("", libc::EISDIR),
                ("/", libc::EISDIR),
                ("f/x", libc::ENOTDIR),
                ("f/x/y", libc::ENOTDIR),
            ] {
                assert_eq!(number(File::create(path).await), Some(error), "create {path}");
                assert_eq!(number(fs::remove_file(path).await), Some(error), "remove {path}");
            }
            assert_eq!(number(File::open("x").await), Some(libc::ENOENT));
            assert_eq!(number(File::open("x/y").await), Some(libc::ENOENT));
            assert_eq!(number(File::create("x/y").await), Some(libc::ENOENT));
            assert_eq!(number(fs::rename("f", "x/y").await), Some(libc::ENOENT));
            assert_eq!(number(fs::rename("f", "d").await), Some(libc::EISDIR));
            assert_eq!(number(fs::rename("f", "f/x").await), Some(libc::ENOTDIR));
            assert_eq!(number(fs::remove_file("x").await), Some(libc::ENOENT));
            assert_eq!(number(fs::read_dir("x").await), Some(libc::ENOENT));
            assert_eq!(number(fs::read_dir("f").await), Some(libc::ENOTDIR));
            assert_eq!(number(fs::sync_dir("f").await), Some(libc::ENOTDIR));
            assert_eq!(number(fs::create_dir_all("f/g").await), Some(libc::ENOTDIR));
            assert_eq!(text("f").await.unwrap(), "file", "nothing of this changed it");
        },
        async || {},
    );
}

#[test]
fn a_directory_lists_its_own_names_in_order() {
    lives(
        crash,
        async || {
            fs::create_dir_all("d/sub/deep").await.unwrap();
            for name in ["d/c", "d/a", "d/b", "d/sub/x", "top"] {
                write(name, b"").await;
            }
            assert_eq!(fs::read_dir("d").await.unwrap(), ["a", "b", "c", "sub"]);
            assert_eq!(fs::read_dir("").await.unwrap(), ["d", "top"]);
            assert_eq!(fs::read_dir("d/sub/").await.unwrap(), ["deep", "x"]);
        },
        async || {},
    );
}

#[test]
fn disks_of_different_nodes_are_different() {
    let run = simulate(1, |sim| {
        for name in ["a", "b"] {
            sim.node(name, move || async move {
                write("f", name.as_bytes()).await;
                time::sleep(ms(10)).await;
                assert_eq!(text("f").await.unwrap(), name);
            });
        }
        sim.run_for(ms(100));
    });
    assert_eq!(run.unwrap().failures, []);
}
