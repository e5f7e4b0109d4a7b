//! `roomcast nodes`.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use futures_util::{StreamExt, stream};
use roomcast::{Cluster, Node, NodeId, NodeStatus};
use serde_json::{Value, json};

use crate::context::{Context, look_around};
use crate::exit::{Done, Failure};
use crate::text::{shown, table};

/// So many nodes are asked at a time.
const AT_ONCE: usize = 16;

/// Lists the nodes of the cluster, and how long each takes to reply.
///
/// It shows their names and ids, how many sockets they have, and how long ago each was heard: nodes send a sign of life each second, and
/// less often in large clusters.
///
/// Joins the cluster while it runs: the other nodes see one more node, which has no sockets. It is not in the list.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The namespace whose sockets are counted.
    #[arg(short, long, default_value = "/")]
    namespace: String,
}

/// One node, and what it replied.
struct Row {
    node: Node,
    /// How long ago it was heard, before it was asked.
    heard: Duration,
    /// The sockets, and how long it took; or why there is no reply.
    reply: Result<(u64, Duration), String>,
}

/// Lists.
///
/// # Errors
/// What connecting or asking says.
pub(crate) async fn run(context: &Context, args: Args) -> Result<Done, Failure> {
    context.as_node(async |cluster| list(context, cluster, &args.namespace).await).await
}

async fn list(context: &Context, cluster: &Cluster, namespace: &str) -> Result<Done, Failure> {
    look_around(cluster).await?;
    let mut nodes = cluster.status().nodes;
    nodes.sort_by(|one, two| (&one.node.name, one.node.id).cmp(&(&two.node.name, two.node.id)));
    let asked = nodes.into_iter().map(|seen| ask(cluster, namespace, seen, context.timeout));
    let rows: Vec<_> = stream::iter(asked).buffered(AT_ONCE).collect().await;
    let rows = rows.into_iter().collect::<Result<Vec<Row>, Failure>>()?;
    context.out.rows(&rows, lines, object)?;
    Ok(Done::complete(rows.iter().all(|row| row.reply.is_ok())))
}

async fn ask(cluster: &Cluster, namespace: &str, seen: NodeStatus, timeout: Duration) -> Result<Row, Failure> {
    let NodeStatus { node, heard, .. } = seen;
    let began = Instant::now();
    let counted = cluster.of(namespace)?.timeout(timeout).on_node(node.id).count_sockets().await?;
    let took = began.elapsed();
    let missing = counted.missing.first().map(|missing| missing.reason.to_string());
    let reply = missing.map_or_else(|| Ok((counted.total(), took)), Err);
    Ok(Row { node, heard, reply })
}

fn lines(rows: &[Row]) -> Vec<String> {
    if rows.is_empty() {
        return vec!["no node but this command's own".to_owned()];
    }
    let row = |Row { node, heard, reply }: &Row| {
        let (sockets, took) = match reply {
            Ok((sockets, took)) => (sockets.to_string(), format!("{:.1} ms", ms(*took))),
            Err(why) => ("?".to_owned(), why.clone()),
        };
        let heard = format!("{:.1} s ago", heard.as_secs_f64());
        [shown(&node.name), node.id.to_string(), sockets, heard, took]
    };
    table(["NAME", "ID", "SOCKETS", "HEARD", "REPLY"], rows.iter().map(row).collect())
}

fn object(Row { node, heard, reply }: &Row) -> Value {
    let (id, name, heard) = (node.id.to_string(), &node.name, ms(*heard));
    match reply {
        Ok((sockets, took)) => {
            json!({ "type": "node", "node": id, "name": name, "heard_ms": heard, "sockets": sockets, "reply_ms": ms(*took) })
        }
        Err(why) => json!({ "type": "node", "node": id, "name": name, "heard_ms": heard, "error": why }),
    }
}

fn ms(time: Duration) -> f64 {
    // To a hundredth of a millisecond.
    (time.as_secs_f64() * 100_000.0).round() / 100.0
}

/// The names of nodes, for lists of what they have.
#[derive(Debug, Default)]
pub(crate) struct Names(HashMap<NodeId, String>);

impl Names {
    /// Those that are alive.
    pub(crate) fn of(cluster: &Cluster) -> Self {
        let mut names = Self::default();
        cluster.nodes().into_iter().for_each(|node| names.learn(node));
        names
    }

    /// One more.
    pub(crate) fn learn(&mut self, node: Node) {
        const MOST: usize = 10_000; // nodes come and go for as long as a command runs
        if self.0.len() < MOST {
            self.0.insert(node.id, node.name);
        }
    }

    /// The name of a node; empty if it has none, or is no node.
    pub(crate) fn name(&self, node: NodeId) -> &str {
        self.0.get(&node).map_or("", String::as_str)
    }

    /// The name for people, or the beginning of the id where there is none.
    pub(crate) fn label(&self, node: NodeId) -> String {
        match self.name(node) {
            "" => format!("{}..", &node.to_string()[..8]),
            name => shown(name),
        }
    }
}
