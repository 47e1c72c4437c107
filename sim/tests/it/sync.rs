//! What the tasks of a node share: channels, `select!`, node-locals, and a stream of random numbers.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use sim::sync::{Mutex, Notify, RwLock, Semaphore, mpsc, oneshot, watch};
use sim::{node, rand, select, simulate, task, time};

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// Runs `program` on one node under several seeds, to its end and without a failure.
fn on_a_node<F: Future<Output = ()> + 'static>(program: impl Fn() -> F + Send + Clone + 'static) {
    for seed in 0..20 {
        let program = program.clone();
        let run = simulate(seed, move |sim| {
            let done = Rc::new(Cell::new(false));
            let (program, end) = (Rc::new(program), done.clone());
            sim.node("a", move || {
                let (program, end) = (program.clone(), end.clone());
                async move {
                    program().await;
                    end.set(true);
                }
            });
            sim.run_for(Duration::from_secs(10));
            done.get()
        })
        .unwrap();
        assert_eq!((run.failures, run.value), (vec![], true), "seed {seed}");
    }
}

#[test]
fn a_watch_shows_the_latest_value_to_every_receiver() {
    on_a_node(|| async {
        let (send, mut first) = watch::channel(0);
        let seen: Rc<RefCell<Vec<(u32, i32)>>> = Rc::default();
        let watchers: Vec<_> = (0..3)
            .map(|i| {
                let (mut receive, seen) = (send.subscribe(), seen.clone());
                task::spawn(async move {
                    while receive.changed().await.is_ok() {
                        seen.borrow_mut().push((i, *receive.borrow()));
                    }
                })
            })
            .collect();
        time::sleep(ms(1)).await;
        for value in [1, 2] {
            send.send(value);
            time::sleep(ms(1)).await;
        }
        // Two in a row: only the latest is seen.
        send.send(3);
        send.send(4);
        time::sleep(ms(1)).await;
        assert_eq!((*first.borrow(), *send.borrow()), (4, 4));
        first.changed().await.unwrap();
        assert_eq!(*first.borrow_and_update(), 4);
        assert!(time::timeout(ms(1), first.changed()).await.is_err(), "seen already");
        let waiting = task::spawn(async move {
            let found = first.wait_for(|value| *value > 10).await;
            (found, first.wait_for(|value| *value < 0).await)
        });
        time::sleep(ms(1)).await;
        send.send(11);
        time::sleep(ms(1)).await;
        // A value that was sent just before the sender goes is still seen.
        send.send(12);
        drop(send);
        assert_eq!(waiting.await.unwrap(), (Ok(()), Err(watch::Closed)));
        for watcher in watchers {
            watcher.await.unwrap();
        }
        for i in 0..3 {
            let of_one: Vec<i32> = seen.borrow().iter().filter(|(who, _)| *who == i).map(|(_, value)| *value).collect();
            assert_eq!(of_one, [1, 2, 4, 11, 12]);
        }
    });
}

#[test]
fn select_looks_at_its_branches_in_order() {
    on_a_node(|| async {
        for _ in 0..50 {
            let taken = select! {
                () = async {} => 1,
                () = async {} => 2,
            };
            assert_eq!(taken, 1);
        }
        let (send, mut receive) = mpsc::channel::<u32>(1);
        let taken = select! {
            Some(value) = receive.recv() => value,
            () = time::sleep(ms(5)) => 0,
        };
        assert_eq!(taken, 0);
        send.send(7).await.unwrap();
        let taken = select! {
            Some(value) = receive.recv() => value,
            () = time::sleep(Duration::ZERO) => 0,
        };
        assert_eq!(taken, 7, "both are ready: the first wins");
        let dropped = Rc::new(());
        let held = dropped.clone();
        select! {
            () = async move { let _held = held; std::future::pending().await } => {}
            () = time::sleep(ms(1)) => {}
        }
        assert_eq!(Rc::strong_count(&dropped), 1, "the branch that lost is dropped");
        let fallback = select! {
            Some(_) = std::future::ready(None::<u32>) => 1,
            else => 2,
        };
        assert_eq!(fallback, 2);
    });
}

#[test]
fn channels_and_locks_are_tokios() {
    on_a_node(|| async {
        let (send, mut receive) = mpsc::channel(2);
        let sender = task::spawn(async move {
            for i in 0..10 {
                send.send(i).await.unwrap();
            }
        });
        for i in 0..10 {
            assert_eq!(receive.recv().await, Some(i));
        }
        assert_eq!(receive.recv().await, None);
        sender.await.unwrap();

        let (answer, question) = oneshot::channel();
        task::spawn(async move {
            time::sleep(ms(1)).await;
            answer.send(42).unwrap();
        });
        assert_eq!(question.await, Ok(42));
        let (gone, question) = oneshot::channel::<u32>();
        drop(gone);
        assert!(question.await.is_err());

        let bell = Rc::new(Notify::new());
        let waiting = {
            let bell = bell.clone();
            task::spawn(async move { bell.notified().await })
        };
        time::sleep(ms(1)).await;
        assert!(!waiting.is_finished());
        bell.notify_one();
        waiting.await.unwrap();

        let (count, most) = (Rc::new(Mutex::new(0)), Rc::new(Semaphore::new(2)));
        let (shared, inside) = (Rc::new(RwLock::new(0)), Rc::new(Cell::new(0)));
        let tasks: Vec<_> = (0..10)
            .map(|_| {
                let (count, most, shared, inside) = (count.clone(), most.clone(), shared.clone(), inside.clone());
                task::spawn(async move {
                    let _permit = most.acquire().await.unwrap();
                    inside.set(inside.get() + 1);
                    assert!(inside.get() <= 2);
                    let mut held = count.lock().await;
                    let before = *held;
                    time::sleep(ms(1)).await;
                    *held = before + 1;
                    *shared.write().await += 1;
                    inside.set(inside.get() - 1);
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        assert_eq!((*count.lock().await, *shared.read().await), (10, 10));
    });
}

#[test]
fn a_node_local_has_one_value_for_each_life_of_each_node() {
    sim::node_local! {
        static COUNT: Cell<u32> = Cell::new(100);
        static OTHER: Cell<u32> = Cell::new(0);
    }
    let run = simulate(1, |sim| {
        let seen: Rc<RefCell<Vec<(String, u32)>>> = Rc::default();
        let mut nodes = Vec::new();
        for name in ["a", "b"] {
            let log = seen.clone();
            nodes.push(sim.node(name, move || {
                let log = log.clone();
                async move {
                    for _ in 0..3 {
                        COUNT.with(|count| count.set(count.get() + 1));
                        // Seen by the other tasks of the node.
                        task::spawn(async { OTHER.with(|other| other.set(COUNT.with(Cell::get))) }).await.unwrap();
                        time::sleep(ms(10)).await;
                    }
                    log.borrow_mut().push((node::this().name(), OTHER.with(Cell::get)));
                }
            }));
        }
        sim.run_for(ms(25));
        sim.crash(nodes[0]);
        sim.boot(nodes[0]);
        sim.run_for(ms(100));
        seen.take()
    });
    assert_eq!(run.unwrap().value, [("b".to_owned(), 103), ("a".to_owned(), 103)]);
}

#[test]
fn random_numbers_are_the_nodes_own() {
    /// What node `a` draws in a world in which another node draws too, and which it enters first or last.
    fn draws(seed: u64, others: u64, first: bool, restart: bool) -> Vec<u64> {
        let run = simulate(seed, move |sim| {
            let seen: BTreeMap<&str, Rc<RefCell<Vec<u64>>>> =
                BTreeMap::from([("a", Rc::default()), ("b", Rc::default())]);
            for name in if first { ["a", "b"] } else { ["b", "a"] } {
                let log = seen[name].clone();
                let count = if name == "a" { 20 } else { others };
                sim.node(name, move || {
                    let log = log.clone();
                    async move {
                        for _ in 0..count {
                            log.borrow_mut().push(rand::below(1_000_000));
                            time::sleep(ms(1)).await;
                        }
                    }
                });
            }
            if restart {
                sim.run_for(ms(10));
                let a = sim::NodeId::new(if first { 0 } else { 1 });
                sim.crash(a);
                sim.boot(a);
            }
            sim.run_for(ms(1_000));
            seen["a"].take()
        });
        run.unwrap().value
    }
    let alone = draws(1, 0, true, false);
    assert_eq!(alone.len(), 20);
    assert_eq!(alone, draws(1, 50, true, false));
    assert_eq!(alone, draws(1, 50, false, false));
    assert_ne!(alone, draws(2, 0, true, false));
    // A new life goes on in the stream and does not repeat it.
    let restarted = draws(1, 0, true, true);
    assert_eq!(restarted[..20], alone[..]);
    assert!(restarted.len() > 20 && restarted[20..].iter().all(|draw| !alone.contains(draw)));
}

#[test]
fn the_forms_of_randomness_keep_to_their_bounds() {
    on_a_node(|| async {
        let (mut low, mut high, mut heads) = (false, false, 0);
        for _ in 0..1_000 {
            let n = rand::between(3, 5);
            assert!((3..=5).contains(&n));
            (low, high) = (low || n == 3, high || n == 5);
            assert!(rand::duration(ms(1), ms(2)) >= ms(1) && rand::duration(ms(1), ms(2)) <= ms(2));
            heads += u32::from(rand::chance(0.3));
            assert!(!rand::chance(0.0) && rand::chance(1.0));
        }
        assert!(low && high && (230..370).contains(&heads), "{heads}");
        assert_eq!((rand::below(0), rand::below(1), rand::between(7, 7)), (0, 0, 7));
    });
}
