//! `roomcast top`.

mod meter;
mod screen;
mod state;
mod view;

use std::io::IsTerminal;
use std::pin::pin;
use std::time::{Duration, Instant};

use roomcast::{Cluster, Gathered, NodeId, NodeState};

use crate::context::Context;
use crate::exit::{Done, Failure};
use crate::text::{now_ms, shown};
use meter::Meter;
use screen::{Key, Screen};
use state::{Link, Sample, State};

/// Shows nodes, rates, queues, losses and events of the cluster live: q ends it.
///
/// Joins the cluster while it runs, and asks every node for the number of its sockets once an interval: the other nodes see one more node,
/// which has no sockets. One thing is different for applications: a server that sends a server event and waits for the replies of all servers finds
/// this node in `missing`, with the reason NoHandler.
///
/// Rates are those of what passes on the channel of the cluster, from the other nodes and from emitters.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The namespace whose sockets are counted.
    #[arg(short, long, default_value = "/")]
    namespace: String,
    /// How often it looks, in seconds: 0.1 at least.
    #[arg(short, long, default_value_t = 1.0, value_name = "SECONDS")]
    interval: f64,
    /// Ends after so many intervals.
    #[arg(short, long, value_name = "INTERVALS")]
    count: Option<u64>,
}

/// Shows until q or a signal.
///
/// # Errors
/// What connecting says; usage where there is no terminal.
pub(crate) async fn run(context: &Context, args: Args) -> Result<Done, Failure> {
    let interval = Duration::try_from_secs_f64(args.interval).ok().filter(|interval| interval.as_millis() >= 100);
    let Some(interval) = interval else { return Err(Failure::usage("--interval is 0.1 or more seconds")) };
    if !context.out.is_json() && !std::io::stdout().is_terminal() {
        return Err(Failure::usage("top needs a terminal; --json writes an object each interval instead"));
    }
    let shown = context.as_node(async |cluster| show(context, cluster, &args, interval).await).await;
    match shown {
        Err(failure) if failure.is_interruption() => Ok(Done::Complete),
        other => other,
    }
}

async fn show(context: &Context, cluster: &Cluster, args: &Args, interval: Duration) -> Result<Done, Failure> {
    let mut events = cluster.events();
    let meter = Meter::default();
    cluster.observe(meter.clone())?;
    let namespace = cluster.of(&args.namespace)?;
    let title = format!("{} at {}", shown(&context.cluster_name(&*context.backend()?)), context.place());
    let mut state = State::new(title);
    let mut screen = if context.out.is_json() { None } else { Some(Screen::open()?) };
    let (mut left, mut since) = (args.count.unwrap_or(u64::MAX), Instant::now());
    state.sample(sample(cluster, &meter, &mut since));
    while left > 0 {
        let asked = Instant::now();
        let mut asking = pin!(namespace.timeout((interval * 3 / 4).min(context.timeout)).count_sockets());
        let mut tick = pin!(tokio::time::sleep(interval));
        let mut waits = true;
        loop {
            if let Some(screen) = &mut screen {
                screen.draw(&state)?;
            }
            tokio::select! {
                counted = &mut asking, if waits => {
                    waits = false;
                    state.counted(asked.elapsed(), counted.unwrap_or_else(nobody));
                }
                () = &mut tick => break,
                Some(event) = events.next() => state.log(now_ms(), shown(&event.to_string())),
                key = next_key(&mut screen) => if key? == Key::Quit { return Ok(Done::Complete) },
            }
        }
        state.sample(sample(cluster, &meter, &mut since));
        if screen.is_none() {
            context.out.result(String::new, || state.json(now_ms()))?;
        }
        left -= 1;
    }
    Ok(Done::Complete)
}

/// A question that could not be put has no answers; why is among the events.
fn nobody(_: roomcast::Error) -> Gathered<(NodeId, u64)> {
    Gathered::new(Vec::new(), Vec::new())
}

async fn next_key(screen: &mut Option<Screen>) -> Result<Key, Failure> {
    match screen {
        Some(screen) => screen.key().await,
        None => std::future::pending().await,
    }
}

fn sample(cluster: &Cluster, meter: &Meter, since: &mut Instant) -> Sample {
    let now = Instant::now();
    let over = now - std::mem::replace(since, now);
    let status = cluster.status();
    let link = Link {
        down: (status.state != NodeState::Up).then(|| shown(status.last_error.as_deref().unwrap_or("silent"))),
        since: status.state_for,
        round_trip: status.round_trip,
        outages: status.outages,
        broker: status.broker.map(|broker| shown(&broker.to_string())),
    };
    let nodes = status.nodes.into_iter().map(|seen| (seen.node, seen.heard)).collect();
    Sample { over, nodes, link, queue: status.queue, stats: status.stats, passed: meter.take() }
}
