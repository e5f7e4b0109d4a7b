//! The core's own costs, in one process: `cargo bench --bench core`.
//!
//! Figures of one machine at one time: compare runs made together, and quote ratios.

#![expect(clippy::unwrap_used, reason = "a benchmark: an error ends it")]

use std::hint::black_box;
use std::task::{Context, Waker};
use std::time::{Duration, Instant};

use bytes::BytesMut;
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use futures_util::StreamExt;
use roomcast::adapter::{LocalSockets, Target};
use roomcast::probe::{Typical, decode};
use roomcast::{Cluster, Hub, Memory, NamespaceHandle, Packet, Room, Socket};
use tokio::runtime::Runtime;

fn frame(c: &mut Criterion) {
    let typical = Typical::new().unwrap();
    let mut out = BytesMut::new();
    typical.encode(&mut out);
    let message = out.freeze();
    let mut group = c.benchmark_group(format!("frame of {} bytes", message.len()));
    let mut out = BytesMut::with_capacity(1024);
    group.bench_function("encode", |b| {
        b.iter(|| {
            out.clear();
            typical.encode(black_box(&mut out));
        });
    });
    group.bench_function("decode", |b| b.iter(|| decode(black_box(message.clone()))));
    group.finish();
}

/// A hub's sockets, all in one room.
fn crowd(hub: &Hub, count: usize) -> Vec<Socket> {
    let sockets: Vec<_> = (0..count).map(|_| hub.connect().unwrap()).collect();
    sockets.iter().for_each(|socket| socket.join("room").unwrap());
    sockets
}

fn hub(c: &mut Criterion) {
    let target = Target::rooms([Room::new("room").unwrap()]);
    let packet = Packet::opaque(vec![b'x'; 200]);
    let mut group = c.benchmark_group("hub");
    for count in [10_000, 100_000] {
        let hub = Hub::builder().queue(2).slow(roomcast::SlowPolicy::DropOldest).build();
        let _sockets = crowd(&hub, count);
        group.throughput(Throughput::Elements(count as u64));
        let name = format!("fan-out to {count} sockets that do not read");
        group.bench_function(name, |b| b.iter(|| hub.broadcast(black_box(&target), &packet)));
    }
    for count in [1, 10_000, 100_000] {
        let hub = Hub::new();
        let mut sockets = crowd(&hub, count);
        let mut cx = Context::from_waker(Waker::noop());
        let mut take = || sockets.iter_mut().for_each(|socket| while socket.poll_next_unpin(&mut cx).is_ready() {});
        take();
        group.throughput(Throughput::Elements(count as u64));
        group.bench_function(format!("fan-out to {count} sockets that wait"), |b| {
            b.iter_custom(|rounds| {
                let mut spent = Duration::ZERO;
                for _ in 0..rounds {
                    let began = Instant::now();
                    hub.broadcast(black_box(&target), &packet);
                    spent += began.elapsed();
                    take();
                }
                spent
            });
        });
    }
    let hub = Hub::new();
    let _sockets = crowd(&hub, 1_000);
    let elsewhere = Target::rooms([Room::new("a room of another node").unwrap()]);
    group.throughput(Throughput::Elements(1));
    group.bench_function("broadcast to nobody here", |b| b.iter(|| hub.broadcast(black_box(&elsewhere), &packet)));
    group.finish();
}

struct Node {
    cluster: Cluster,
    chat: NamespaceHandle,
    hub: Hub,
}

async fn three() -> Vec<Node> {
    let memory = Memory::new();
    let mut nodes = Vec::new();
    for _ in 0..3 {
        let cluster = Cluster::connect(memory.clone()).await.unwrap();
        let hub = Hub::builder().queue(1 << 20).build();
        let chat = cluster.namespace("/", hub.clone()).await.unwrap();
        nodes.push(Node { cluster, chat, hub });
    }
    nodes
}

/// Emits so many packets on the first node; returns when a socket of each other node has had them all.
async fn broadcast(from: &Node, sockets: &mut [Socket], count: usize) {
    let packet = Packet::opaque(vec![b'x'; 200]);
    let send = async {
        for _ in 0..count {
            from.chat.to("room").emit(packet.clone()).await.unwrap();
        }
    };
    let receive = sockets.iter_mut().map(|socket| async {
        for _ in 0..count {
            socket.next().await.unwrap();
        }
    });
    tokio::join!(send, futures_util::future::join_all(receive));
}

fn cluster(c: &mut Criterion) {
    const COUNT: usize = 10_000;
    let runtime = Runtime::new().unwrap();
    let nodes = runtime.block_on(three());
    let mut sockets: Vec<_> = nodes[1..].iter().map(|node| node.hub.connect().unwrap()).collect();
    sockets.iter().for_each(|socket| socket.join("room").unwrap());
    let mut group = c.benchmark_group("cluster of three in memory");
    group.sample_size(20).throughput(Throughput::Elements(COUNT as u64));
    let (mut cpu, mut packets) = (Duration::ZERO, 0);
    group.bench_function("broadcast, 200 bytes", |b| {
        b.iter_custom(|rounds| {
            let (began, spent) = (Instant::now(), cpu_time());
            for _ in 0..rounds {
                runtime.block_on(broadcast(&nodes[0], &mut sockets, COUNT));
            }
            (cpu, packets) = (cpu + (cpu_time() - spent), packets + rounds as usize * COUNT);
            began.elapsed()
        });
    });
    println!("CPU of all three nodes for each packet: {:.2} us", cpu.as_secs_f64() * 1e6 / packets.max(1) as f64);
    drop(sockets);

    let crowd: Vec<_> = (0..1000).map(|n| nodes[n % 3].hub.connect().unwrap()).collect();
    crowd.iter().for_each(|socket| socket.join(["room", "other"]).unwrap());
    group.throughput(Throughput::Elements(1));
    group.bench_function("fetch_sockets, 1,000 sockets", |b| {
        b.iter_batched(
            || (),
            |()| {
                let found = runtime.block_on(nodes[0].chat.within("room").fetch_sockets()).unwrap();
                assert_eq!((found.items.len(), found.missing.len()), (1000, 0));
                found
            },
            BatchSize::PerIteration,
        );
    });
    group.finish();
    runtime.block_on(async {
        for node in &nodes {
            node.cluster.close().await.unwrap();
        }
    });
}

/// The processor time of this process so far, to the hundredth of a second (Linux; elsewhere none).
fn cpu_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    let ticks = after_name.split_whitespace().skip(11).take(2).filter_map(|field| field.parse::<u64>().ok());
    Duration::from_millis(10 * ticks.sum::<u64>())
}

criterion_group!(benches, frame, hub, cluster);
criterion_main!(benches);
