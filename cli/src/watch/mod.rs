//! `roomcast watch`.

mod line;
mod observer;

use std::time::Duration;

use roomcast::{Cluster, Event, Namespace};
use serde_json::json;

use crate::context::Context;
use crate::exit::{Done, Failure};
use crate::nodes::Names;
use crate::out::complain;
use crate::text::now_ms;
use observer::{Filter, Sighted, Watcher};

/// How often is looked whether frames came that cannot be read: nothing tells of them.
const LOOK: Duration = Duration::from_secs(1);

/// Shows what passes, as it passes, and the events of the cluster.
///
/// That is: broadcasts, joins, leaves, disconnects and server events of all nodes and emitters; nodes that come and go, and lost messages.
///
/// Joins the cluster while it runs: the other nodes see one more node, which has no sockets: its reply to every request is empty.
/// One thing is different for applications: a server that sends a server event and waits for the replies of all servers finds this node in
/// `missing`, with the reason NoHandler. Requests that change nothing are not shown.
///
/// An output that is too slow loses packets here, not in the cluster, and says how many.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Only this namespace; may be given again.
    #[arg(short, long = "namespace", value_name = "NAMESPACE")]
    namespaces: Vec<String>,
    /// Only what is meant for this room by name; may be given again. What is for everyone is not shown then.
    #[arg(short, long = "room", value_name = "ROOM")]
    rooms: Vec<String>,
    /// Only events and server events of this name; may be given again.
    #[arg(short, long = "event", value_name = "EVENT")]
    events: Vec<String>,
    /// Leaves out the events of the cluster: nodes that come and go, lost messages, the link to the broker.
    #[arg(long)]
    packets_only: bool,
    /// Ends after so many packets.
    #[arg(short, long, value_name = "PACKETS")]
    count: Option<u64>,
}

/// Watches until a signal, or until enough was seen.
///
/// # Errors
/// What connecting says; usage for bad names.
pub(crate) async fn run(context: &Context, args: Args) -> Result<Done, Failure> {
    let namespaces = args.namespaces.iter().map(|name| Namespace::try_from(name.as_str()));
    let filter = Filter { namespaces: namespaces.collect::<Result<_, _>>()?, rooms: args.rooms.clone() };
    let watched = context.as_node(async |cluster| watch(context, cluster, filter, &args).await).await;
    match watched {
        Err(failure) if failure.is_interruption() => Ok(Done::Complete),
        other => other,
    }
}

async fn watch(context: &Context, cluster: &Cluster, filter: Filter, args: &Args) -> Result<Done, Failure> {
    let mut events = cluster.events();
    let (watcher, mut sighted) = Watcher::new(filter);
    cluster.observe(watcher)?;
    let mut names = Names::of(cluster);
    let others = cluster.nodes().len() - 1;
    let name = context.cluster_name(&*context.backend()?);
    let name = crate::text::shown(&name);
    complain(&format!("watching the cluster {name} at {}; other nodes: {others}", context.place()));
    let (mut left, mut unread) = (args.count.unwrap_or(u64::MAX), 0);
    let mut look = tokio::time::interval(LOOK);
    while left > 0 {
        tokio::select! {
            Some(sighting) = sighted.next() => {
                let missed = sighted.missed();
                if missed > 0 {
                    let text = || format!("{missed} packets were not shown: this output was too slow");
                    context.out.result(text, || json!({ "type": "missed", "count": missed }))?;
                }
                if sighting.is_of(&args.events) {
                    left -= 1;
                    context.out.result(|| sighting.text(&names), || sighting.json(&names))?;
                }
            }
            Some(event) = events.next() => {
                if let Event::NodeUp(node) = &event {
                    names.learn(node.clone());
                }
                if !args.packets_only {
                    let at = now_ms();
                    context.out.result(|| line::event_text(at, &event), || line::event_json(at, &event))?;
                }
            }
            _ = look.tick() => {
                let now = cluster.stats().too_new;
                if now > unread && unread == 0 {
                    complain(Failure::version(now).text());
                }
                unread = now;
            }
        }
    }
    Ok(Done::Complete)
}

impl Sighted {
    /// Whether it has one of these names, if there are any.
    fn is_of(&self, events: &[String]) -> bool {
        events.is_empty() || self.event().is_some_and(|event| events.iter().any(|wanted| wanted == event))
    }
}
