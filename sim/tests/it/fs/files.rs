//! Files as their node sees them, and what is sure to survive. What else a crash may leave: `crash.rs`.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use sim::fs::{self, DiskConfig, File, OpenOptions};
use sim::{Latency, NodeId, Sim, Time, node, simulate, time};

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
fn what_was_synced_survives_a_crash() {
    lives(
        crash,
        async || {
            let file = write("f", b"durable").await;
            file.sync_all().await.unwrap();
            fs::create_dir_all("d/e").await.unwrap();
            write("moved", b"moved").await.sync_all().await.unwrap();
            write("removed", b"removed").await.sync_all().await.unwrap();
            for dir in ["", "d"] {
                fs::sync_dir(dir).await.unwrap();
            }
            file.write_at(b"DUR", 0).await.unwrap();
            file.append(b" and longer").await.unwrap();
            file.sync_data().await.unwrap();
            fs::rename("moved", "d/e/moved").await.unwrap();
            fs::sync_dir("d/e").await.unwrap();
            fs::remove_file("removed").await.unwrap();
            let cut = write("cut", b"0123456789").await;
            cut.set_len(3).await.unwrap();
            cut.sync_all().await.unwrap();
            fs::sync_dir("").await.unwrap();
        },
        async || {
            assert_eq!(fs::read_dir("").await.unwrap(), ["cut", "d", "f"]);
            assert_eq!(text("f").await.unwrap(), "DURable and longer");
            assert_eq!(text("cut").await.unwrap(), "012");
            // A rename is durable whole, whichever of its directories was synced.
            assert_eq!(text("d/e/moved").await.unwrap(), "moved");
        },
    );
}

#[test]
fn a_file_is_cut_and_extended_with_zeros() {
    lives(
        crash,
        async || {
            write("f", b"0123456789").await;
            let file = open("f").await;
            file.set_len(3).await.unwrap();
            assert_eq!((text("f").await.unwrap().as_str(), len(&file).await), ("012", 3));
            file.set_len(5).await.unwrap();
            assert_eq!((text("f").await.unwrap().as_str(), len(&file).await), ("012\0\0", 5));
        },
        async || {},
    );
}

#[test]
fn a_killed_process_leaves_the_page_cache_as_it_was() {
    lives(
        |sim, node| drop(sim.inject(sim::fault::Fault::Kill(vec![node]))),
        async || {
            write("f", b"not synced").await;
            fs::rename("f", "g").await.unwrap();
        },
        async || {
            assert_eq!(fs::read_dir("").await.unwrap(), ["g"]);
            assert_eq!(text("g").await.unwrap(), "not synced");
        },
    );
}

#[test]
fn a_handle_belongs_to_its_incarnation() {
    thread_local!(static HANDLE: RefCell<Option<File>> = const { RefCell::new(None) });
    lives(
        crash,
        async || {
            let file = write("f", b"x").await;
            file.sync_all().await.unwrap();
            fs::sync_dir("").await.unwrap();
            HANDLE.set(Some(file));
        },
        async || {
            let file = HANDLE.take().unwrap();
            assert_eq!(number(file.write_at(b"y", 0).await), Some(libc::EBADF));
            assert_eq!(number(file.sync_all().await), Some(libc::EBADF));
            assert_eq!(text("f").await.unwrap(), "x");
        },
    );
}

#[test]
fn a_removed_file_lives_as_long_as_its_handles() {
    lives(
        crash,
        async || {
            let file = write("f", b"old").await;
            let reader = File::open("f").await.unwrap();
            fs::remove_file("f").await.unwrap();
            assert_eq!(number(File::open("f").await), Some(libc::ENOENT));
            write("f", b"new").await;
            file.append(b" one").await.unwrap();
            let mut found = [0; 7];
            reader.read_exact_at(&mut found, 0).await.unwrap();
            assert_eq!((&found, text("f").await.unwrap().as_str()), (b"old one", "new"));
        },
        async || {},
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
