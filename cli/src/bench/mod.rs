//! `roomcast bench`.

mod receiver;

use std::time::{Duration, Instant};

use roomcast::{Cluster, NamespaceHandle, Packet};
use serde_json::json;

use crate::context::{Context, NODE_NAME};
use crate::exit::{Done, Failure};
use receiver::Receiver;

/// So many messages may be on their way while the rate is measured: more would only wait.
const LEAD: u64 = 10_000;

/// Measures how long a message takes from one node to another through the broker, and how many pass in a second.
///
/// Both nodes are of this process and of a cluster of its own, so your nodes see nothing of it. The broker carries the load: half of the
/// time one message after the other, the other half as many as it takes.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// How long to measure.
    #[arg(long, default_value_t = 6.0)]
    seconds: f64,
    /// The size of a packet, in bytes.
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(16..=16 << 20))]
    size: u32,
    /// So many messages a second at the most, instead of as many as pass.
    #[arg(long)]
    rate: Option<u32>,
}

/// What was measured.
#[derive(Debug, Default)]
struct Measured {
    latency: Vec<Duration>,
    sent: u64,
    sending: Duration,
    received: u64,
    receiving: Duration,
}

/// Measures.
///
/// # Errors
/// What connecting or emitting says; usage for a time that is none.
pub(crate) async fn run(context: &Context, args: Args) -> Result<Done, Failure> {
    let half = Duration::try_from_secs_f64(args.seconds / 2.0).ok().filter(|half| !half.is_zero());
    let Some(half) = half else { return Err(Failure::usage("--seconds is a number above 0")) };
    if args.rate == Some(0) {
        return Err(Failure::usage("--rate is a number above 0"));
    }
    let size = args.size as usize; // 16 MiB at the most
    let letters = crate::text::hex(&roomcast::NodeId::random()?.as_bytes()[..4]);
    let name = format!("roomcast-bench-{letters}");
    let one = node(context, &name).await?;
    let two = match node(context, &name).await {
        Ok(two) => two,
        Err(failure) => {
            let _ = one.close().await; // the failure is the other one's
            return Err(failure);
        }
    };
    let measured = context.unless_stopped(measure(context, &one, &two, size, half, args.rate)).await.flatten();
    let closed = [one.close().await, two.close().await];
    let measured = measured?;
    for closed in closed {
        closed?;
    }
    tell(context, size, &measured)
}

async fn node(context: &Context, name: &str) -> Result<Cluster, Failure> {
    let connecting = context.builder().cluster(name).node_name(NODE_NAME).connect(context.backend()?);
    let connected = context.unless_stopped(connecting).await?;
    connected.map_err(|error| Failure::connecting(&error, &context.place()))
}

async fn measure(
    context: &Context,
    one: &Cluster,
    two: &Cluster,
    size: usize,
    half: Duration,
    rate: Option<u32>,
) -> Result<Measured, Failure> {
    let receiver = Receiver::default();
    let from = one.of("/")?;
    let _kept = two.namespace("/", receiver.clone()).await?;
    let mut measured = Measured::default();
    // One message after the other.
    send(&from, size).await?;
    arrived(context, &receiver, 1).await?;
    receiver.forget();
    let began = Instant::now();
    let mut sent = 1;
    while began.elapsed() < half {
        send(&from, size).await?;
        sent += 1;
        arrived(context, &receiver, sent).await?;
    }
    measured.latency = receiver.forget();
    // As many as pass.
    let (before, began) = (sent, Instant::now());
    while began.elapsed() < half {
        if let Some(rate) = rate {
            let due = Duration::from_secs_f64((sent - before) as f64 / f64::from(rate));
            tokio::time::sleep_until((began + due).into()).await;
        }
        send(&from, size).await?;
        sent += 1;
        if sent - receiver.received() > LEAD {
            arrived(context, &receiver, sent - LEAD / 2).await?;
        }
    }
    (measured.sent, measured.sending) = (sent - before, began.elapsed());
    // What does not arrive in time is lost.
    let _ = arrived(context, &receiver, sent).await;
    (measured.received, measured.receiving) = (receiver.received() - before, began.elapsed());
    Ok(measured)
}

async fn send(from: &NamespaceHandle, size: usize) -> Result<(), Failure> {
    Ok(from.emit(Packet::opaque(receiver::stamp(size))).await?)
}

async fn arrived(context: &Context, receiver: &Receiver, count: u64) -> Result<(), Failure> {
    let late =
        |_| Failure::failed("a message from one node of this command to the other did not arrive within the timeout");
    tokio::time::timeout(context.timeout, receiver.reaches(count)).await.map_err(late)
}

fn tell(context: &Context, size: usize, measured: &Measured) -> Result<Done, Failure> {
    let Measured { latency, sent, sending, received, receiving } = measured;
    let mut latency: Vec<_> = latency.iter().map(Duration::as_micros).collect();
    latency.sort();
    let part = |of_1000: usize| latency.get(latency.len() * of_1000 / 1000).or(latency.last()).copied().unwrap_or(0);
    let [half, most, last] = [part(500), part(990), part(1000)];
    let rate = |count: &u64, time: &Duration| (*count as f64 / time.as_secs_f64().max(1e-9)).round() as u64;
    let (out, into, lost) = (rate(sent, sending), rate(received, receiving), sent.saturating_sub(*received));
    context.out.result(
        || {
            format!(
                "packets of {size} bytes, from one node to another, through {}\nlatency   p50 {half} us, p99 {most} us, longest {last} us ({} messages)\n\
                 rate      {out} sent a second, {into} received a second; lost: {lost}",
                context.place(),
                latency.len(),
            )
        },
        || {
            json!({
                "type": "bench", "size": size, "latency_us": { "p50": half, "p99": most, "max": last },
                "sent_per_s": out, "received_per_s": into, "lost": lost,
            })
        },
    )?;
    if lost > 0 {
        Err(Failure::failed(format!("{lost} messages did not arrive within the timeout")))
    } else {
        Ok(Done::Complete)
    }
}
