use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use tokio::sync::{Notify, mpsc, oneshot};

use super::*;

/// A task that doubles what it is given.
fn doubling() -> (InPlace, JoinHandle<()>, mpsc::UnboundedSender<u64>, mpsc::UnboundedReceiver<u64>) {
    let (work, mut queue) = mpsc::unbounded_channel::<u64>();
    let (done, results) = mpsc::unbounded_channel();
    let (task, handle) = InPlace::spawn(async move {
        while let Some(number) = queue.recv().await {
            let _ = done.send(number * 2);
        }
    });
    (task, handle, work, results)
}

#[tokio::test]
async fn work_is_done_before_run_returns() {
    let (task, handle, work, mut results) = doubling();
    for number in 0..1000 {
        tokio::task::yield_now().await; // the budget of the caller's task is what the work is done on
        task.run(|| work.send(number)).expect("it lives");
        assert_eq!(results.try_recv(), Ok(number * 2));
    }
    drop(work);
    handle.await.expect("it ended well");
}

#[tokio::test]
async fn work_that_is_queued_without_run_wakes_the_task() {
    let (_task, _handle, work, mut results) = doubling();
    work.send(3).expect("it lives");
    assert_eq!(results.recv().await, Some(6));
}

#[tokio::test]
async fn a_task_that_ends_in_place_ends_its_handle() {
    let (end, ended) = oneshot::channel();
    let (task, handle) = InPlace::spawn(async move { ended.await.expect("it is sent") });
    tokio::task::yield_now().await;
    task.run(|| end.send(())).expect("it lives");
    handle.await.expect("it ended well");
    task.run(|| {}); // nothing is left to run
}

#[tokio::test]
async fn a_panic_in_place_ends_the_task() {
    let (end, ended) = oneshot::channel::<()>();
    let (task, handle) = InPlace::spawn(async move {
        let _ = ended.await;
        panic!("this task panics");
    });
    tokio::task::yield_now().await;
    let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| task.run(|| end.send(()))));
    assert!(caught.is_err());
    handle.await.expect("nothing is left of it");
}

#[tokio::test]
async fn an_aborted_task_is_dropped() {
    let (alive, dropped) = oneshot::channel::<()>();
    let (task, handle) = InPlace::spawn(async move {
        let _alive = alive;
        std::future::pending().await
    });
    handle.abort();
    assert!(handle.await.expect_err("it was aborted").is_cancelled());
    assert!(dropped.await.is_err());
    assert_eq!(task.run(|| 7), 7);
}

/// Run by nobody else, the task would sleep for ever if one wake of the many got lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_wake_gets_lost_between_threads() {
    const EACH: usize = 20_000;
    let (count, work) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
    let (seen, all) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
    let (task, handle) = InPlace::spawn({
        let (count, work, seen, all) = (count.clone(), work.clone(), seen.clone(), all.clone());
        async move {
            loop {
                work.notified().await;
                seen.store(count.load(Ordering::Acquire), Ordering::Release);
                all.notify_one();
            }
        }
    });
    let threads: Vec<_> = (0..3)
        .map(|thread| {
            let (task, count, work) = (task.clone(), count.clone(), work.clone());
            std::thread::spawn(move || {
                for _ in 0..EACH {
                    count.fetch_add(1, Ordering::AcqRel);
                    if thread == 0 { work.notify_one() } else { task.run(|| work.notify_one()) }
                }
            })
        })
        .collect();
    let everything = async {
        while seen.load(Ordering::Acquire) < 3 * EACH {
            all.notified().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), everything).await.expect("no wake is lost");
    for thread in threads {
        thread.join().expect("it ran");
    }
    handle.abort();
}

/// Timers of the task belong to the runtime that spawned it, also when a thread without a runtime polls it.
#[test]
fn a_task_runs_in_place_outside_of_a_runtime() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    let (begin, begun) = oneshot::channel();
    let (task, handle) = runtime.block_on(async {
        let spawned = InPlace::spawn(async move {
            begun.await.expect("it is sent");
            tokio::time::sleep(Duration::from_millis(1)).await;
        });
        tokio::task::yield_now().await;
        spawned
    });
    task.run(|| begin.send(())).expect("it lives");
    runtime.block_on(handle).expect("it ended well");
}
