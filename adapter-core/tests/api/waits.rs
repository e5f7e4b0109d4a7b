//! How long emitting waits for a lock while its node is at work: a measurement, of one machine at one time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use futures_util::FutureExt as _;
use roomcast_core::{Cluster, Hub, Memory, NamespaceHandle, Packet, Socket};
use tokio::task::unconstrained;

use crate::support::eventually;

const SOCKETS: usize = 100_000;
/// Frames that are packed into one message.
const PACKED: usize = 700;

/// What one kind of work let emitting wait.
struct Waited {
    emits: usize,
    /// The longest that one call took, and that it was blocked: neither running nor waiting for a processor.
    longest: Duration,
    blocked: Duration,
    /// So many were blocked for longer than the promise. A thread that is put aside while it holds a lock is among the causes.
    late: usize,
}

/// What an emit may wait for a lock.
const PROMISE: Duration = Duration::from_millis(5);

/// Emits on a thread of its own until it is told to stop.
fn emit_beside(namespace: NamespaceHandle) -> impl FnOnce() -> Waited {
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = Arc::clone(&stop);
    let thread = std::thread::spawn(move || {
        let mut waited = Waited { emits: 0, longest: Duration::ZERO, blocked: Duration::ZERO, late: 0 };
        while !stopped.load(Ordering::Relaxed) {
            let (began, ran) = (Instant::now(), scheduled());
            // The part of an emit that takes locks is its first poll.
            let _ = unconstrained(namespace.to("nobody").emit("x")).now_or_never();
            let (took, ran) = (began.elapsed(), scheduled().saturating_sub(ran));
            waited.emits += 1;
            waited.longest = waited.longest.max(took);
            let blocked = took.saturating_sub(ran);
            waited.blocked = waited.blocked.max(blocked);
            waited.late += usize::from(blocked > PROMISE);
            std::thread::sleep(Duration::from_micros(200)); // not a load of its own
        }
        waited
    });
    move || {
        stop.store(true, Ordering::Relaxed);
        thread.join().unwrap()
    }
}

/// For how long this thread has run, or waited for a processor (Linux; elsewhere none).
fn scheduled() -> Duration {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    Duration::from_nanos(stat.split_whitespace().take(2).filter_map(|field| field.parse::<u64>().ok()).sum())
}

/// Two nodes; the sockets are all on the first, in one room. A task takes what they get, and answers.
struct Crowd {
    near: NamespaceHandle,
    far: NamespaceHandle,
    hub: Hub,
    _clusters: [Cluster; 2],
    _reader: tokio::task::JoinHandle<()>,
}

impl Crowd {
    async fn new() -> Self {
        let memory = Memory::new();
        let clusters = [Cluster::connect(memory.clone()).await.unwrap(), Cluster::connect(memory).await.unwrap()];
        eventually(|| clusters.iter().all(|cluster| cluster.nodes().len() == 2)).await;
        let hub = Hub::builder().queue(1 << 20).build();
        let near = clusters[0].namespace("/chat", hub.clone()).await.unwrap();
        let far = clusters[1].of("/chat").unwrap();
        let mut sockets: Vec<Socket> = (0..SOCKETS).map(|_| hub.connect().unwrap()).collect();
        sockets.iter().for_each(|socket| socket.join("room").unwrap());
        let reader = tokio::spawn(async move {
            loop {
                for socket in &mut sockets {
                    while let Some(Some(delivery)) = unconstrained(socket.next()).now_or_never() {
                        delivery.ack.into_iter().for_each(|ack| ack.send(vec![b'a'; 64]));
                    }
                }
                tokio::task::yield_now().await;
            }
        });
        Self { near, far, hub, _clusters: clusters, _reader: reader }
    }

    async fn measure(&self, what: &str, beside: &NamespaceHandle, work: impl Future<Output = ()>) {
        let stop = emit_beside(beside.clone());
        let began = Instant::now();
        work.await;
        let (took, Waited { emits, longest, blocked, late }) = (began.elapsed(), stop());
        println!(
            "{what:<58} took {:>6} ms; {emits:>6} emits beside, longest {:>8.3} ms, blocked {:>8.3} ms, {late} over 5 ms",
            took.as_millis(),
            longest.as_secs_f64() * 1e3,
            blocked.as_secs_f64() * 1e3
        );
    }

    async fn packed(&self) {
        let delivered = self.hub.stats().delivered;
        for _ in 0..PACKED {
            self.far.to("room").emit("small").await.unwrap();
        }
        eventually_taken(|| self.hub.stats().delivered >= delivered + (PACKED * SOCKETS) as u64).await;
    }
}

async fn eventually_taken(so: impl Fn() -> bool) {
    while !so() {
        tokio::time::sleep(Duration::from_millis(50)).await; // to look costs little beside what is measured
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
#[ignore = "a measurement: cargo test --release -p roomcast-core --test api -- --ignored --nocapture waits"]
async fn how_long_emitting_waits_while_its_node_is_at_work() {
    let crowd = Crowd::new().await;
    let Crowd { near, far, .. } = &crowd;
    // The noise of the machine for a time: nothing is waited for.
    crowd.measure("nothing", near, tokio::time::sleep(Duration::from_secs(2))).await;
    crowd.measure("700 packed frames for 100,000 sockets arrive", near, crowd.packed()).await;
    let large = async {
        for _ in 0..20 {
            far.to("nobody").emit(Packet::opaque(vec![0; 16 << 20])).await.unwrap();
            crowd._clusters[1].flush(Duration::from_secs(60)).await.unwrap();
        }
        assert!(far.within("nobody").count_sockets().await.unwrap().is_complete());
    };
    crowd.measure("20 packets of 16 MiB arrive", near, large).await;
    let large = async {
        for _ in 0..20 {
            near.to("nobody").emit(Packet::opaque(vec![0; 16 << 20])).await.unwrap();
            crowd._clusters[0].flush(Duration::from_secs(60)).await.unwrap();
        }
    };
    crowd.measure("20 packets of 16 MiB leave", near, large).await;
    let ask = |from: &NamespaceHandle| from.to("room").timeout(Duration::from_secs(60));
    for (what, beside) in [("answering", near), ("asking", far)] {
        let what = format!("100,000 sockets answer a far node, beside the one {what}");
        let asked = async {
            for _ in 0..3 {
                let acked = ask(far).emit_with_ack("question").await.unwrap().gather().await;
                assert!(acked.missing.is_empty());
            }
        };
        crowd.measure(&what, beside, asked).await;
    }
    for (what, beside) in [("answering", near), ("asking", far)] {
        let what = format!("100,000 sockets are fetched, beside the one {what}");
        let fetched = async {
            for _ in 0..3 {
                assert_eq!(ask(far).fetch_sockets().await.unwrap().items.len(), SOCKETS);
            }
        };
        crowd.measure(&what, beside, fetched).await;
    }
    let called = async {
        for _ in 0..50 {
            near.to("room").emit("small").await.unwrap();
        }
    };
    let elsewhere = crowd._clusters[0].of("/elsewhere").unwrap();
    crowd.measure("this node emits to 100,000, beside another namespace", &elsewhere, called).await;
    let called = async {
        for _ in 0..50 {
            near.to("room").emit("small").await.unwrap();
        }
    };
    crowd.measure("this node emits to 100,000, beside the same namespace", near, called).await;
    let joins = async {
        let packed = crowd.packed();
        let joining = async {
            for _ in 0..100 {
                let socket = crowd.hub.connect().unwrap();
                socket.join("another room").unwrap();
                tokio::time::sleep(Duration::from_millis(10)).await; // the rate of the load
            }
        };
        tokio::join!(packed, joining);
    };
    crowd.measure("700 packed frames arrive while sockets come and go", near, joins).await;
}
