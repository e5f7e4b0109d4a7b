//! Messages of 200 bytes from one node to two others, against the plain client on the same server; and what the size of
//! a broker message does to a large one. `RATE_URL=redis://127.0.0.1:6379 cargo bench -p adapter-redis`

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use adapter_core::{Cluster, Connect, Hub, Memory};
use adapter_redis::{Redis, redis};

type Result<T, E = Box<dyn std::error::Error>> = std::result::Result<T, E>;

const COUNT: usize = 200_000;
const SIZE: usize = 200;

#[tokio::main]
async fn main() -> Result<()> {
    let url = std::env::var("RATE_URL").unwrap_or_else(|_| "redis://127.0.0.1:6379".to_owned());
    for _ in 0..3 {
        let plain = plain(&url, SIZE, COUNT, 64).await?;
        let large = self::plain(&url, SIZE, COUNT, 1000).await?;
        let ours = self::ours(|| Ok(Redis::from_url(&url)?)).await?;
        let memory = self::ours(|| Ok(Memory::named("rate"))).await?;
        println!(
            "plain client: {plain:.0}/s by 64, {large:.0}/s by 1000; roomcast: {ours:.0}/s, {:.2} and {:.2} times; \
             by the memory backend, which is what the core can do here: {memory:.0}/s",
            ours / plain,
            ours / large
        );
    }
    for size in [16, 64, 256, 512, 1024, 4096, 16_384] {
        let count = (256 << 10) / size; // 256 MiB in all
        let rate = plain(&url, size << 10, count, (1024 / size).max(1)).await?;
        println!("in pieces of {size} KiB: {:.0} MiB/s", rate * size as f64 / 1024.0);
    }
    Ok(())
}

/// The plain client: so many messages in one pipeline, two subscribers.
async fn plain(url: &str, size: usize, count: usize, batch: usize) -> Result<f64> {
    let client = redis::Client::open(format!("{url}/?protocol=resp3"))?;
    let mut seen = Vec::new();
    let mut subscribers = Vec::new();
    let config = redis::AsyncConnectionConfig::new().set_response_timeout(Some(Duration::from_secs(60)));
    for _ in 0..2 {
        let counter = Arc::new(AtomicUsize::new(0));
        seen.push(Arc::clone(&counter));
        let config = config.clone().set_push_sender(move |push: redis::PushInfo| {
            if push.kind == redis::PushKind::Message {
                counter.fetch_add(1, Ordering::Relaxed);
            }
            Ok::<_, ()>(())
        });
        let mut subscriber = client.get_multiplexed_async_connection_with_config(&config).await?;
        subscriber.subscribe("rate").await?;
        subscribers.push(subscriber);
    }
    let mut publisher = client.get_multiplexed_async_connection_with_config(&config).await?;
    let payload = vec![b'x'; size];
    let start = Instant::now();
    let mut sent = 0;
    while sent < count {
        let batch = batch.min(count - sent);
        let mut pipeline = redis::pipe();
        for _ in 0..batch {
            pipeline.cmd("PUBLISH").arg("rate").arg(&payload[..]).ignore();
        }
        pipeline.exec_async(&mut publisher).await?;
        sent += batch;
    }
    while seen.iter().any(|seen| seen.load(Ordering::Relaxed) < count) {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    Ok(count as f64 / start.elapsed().as_secs_f64())
}

/// A node that emits, and two nodes with a socket each.
async fn ours<C: Connect>(backend: impl Fn() -> Result<C>) -> Result<f64> {
    let connect = || async { Ok::<_, Box<dyn std::error::Error>>(Cluster::connect(backend()?).await?) };
    let sender = connect().await?;
    let namespace = sender.namespace("/", Hub::new()).await?;
    let mut receivers = Vec::new();
    let mut nodes = Vec::new();
    for _ in 0..2 {
        let node = connect().await?;
        let hub = Hub::builder().queue(COUNT + 1).build();
        let handle = node.namespace("/", hub.clone()).await?;
        let mut socket = hub.connect()?;
        receivers.push(tokio::spawn(async move {
            for _ in 0..COUNT {
                socket.next().await;
            }
        }));
        nodes.push((node, handle));
    }
    let packet = vec![b'x'; SIZE];
    let start = Instant::now();
    for _ in 0..COUNT {
        namespace.emit(packet.clone()).await?;
    }
    for receiver in receivers {
        receiver.await?;
    }
    let rate = COUNT as f64 / start.elapsed().as_secs_f64();
    for (node, _) in nodes {
        node.close().await?;
    }
    sender.close().await?;
    Ok(rate)
}
