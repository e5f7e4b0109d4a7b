//! The cluster, as a node of it sees it.

use std::time::Instant;

use futures_util::{StreamExt, stream};
use roomcast::{Cluster, Node};

use super::link::time;
use super::report::Report;
use crate::context::{Context, look_around};
use crate::exit::Failure;
use crate::text::{one_line, shown};

/// So many names of nodes are written out.
const NAMED: usize = 12;

/// Joins, looks who is there, and leaves.
///
/// # Errors
/// When the report cannot be written, or a signal came.
pub(super) async fn check(context: &Context, report: &mut Report) -> Result<(), Failure> {
    let began = Instant::now();
    let cluster = match context.join().await {
        Ok(cluster) => cluster,
        Err(failure) if failure.is_interruption() => return Err(failure),
        Err(failure) => {
            let mend = "the broker was there a moment ago: may this login use the channel of the cluster, rc.NAME.all?";
            return report.bad("join", failure.code(), failure.text(), mend);
        }
    };
    report.good("join", &format!("this node joined the cluster within {}", time(began.elapsed())))?;
    let looked = context.unless_stopped(look(context, report, &cluster)).await.flatten();
    let left = cluster.close().await;
    looked?;
    if let Err(error) = left {
        report.warn("leave", &one_line(&error), "nothing, if it is an exception")?;
    }
    Ok(())
}

async fn look(context: &Context, report: &mut Report, cluster: &Cluster) -> Result<(), Failure> {
    let alone = look_around(cluster).await.is_ok() && cluster.nodes().len() < 2;
    let stats = cluster.stats();
    if stats.too_new > 0 {
        let failure = Failure::version(stats.too_new);
        report.bad("version", failure.code(), failure.text(), "update this command, or the nodes that are behind")?;
    } else if stats.malformed > 0 {
        let text = format!("{} messages were malformed", stats.malformed);
        report.warn("version", &text, "another program publishes on the channels rc.*: take that right from it")?;
    } else {
        report.good("version", "every message could be read")?;
    }
    if alone {
        let mend = "if your servers run: do they use this URL, and the same cluster name?";
        return report.warn("nodes", "no other node is there", mend);
    }
    let me = cluster.node().id;
    let mut nodes: Vec<_> = cluster.nodes().into_iter().filter(|node| node.id != me).collect();
    nodes.sort_by(|one, two| (&one.name, one.id).cmp(&(&two.name, two.id)));
    let asked = nodes.iter().map(|node| replies(context, cluster, node));
    let replies: Vec<_> = stream::iter(asked).buffered(16).collect().await;
    let silent: Vec<_> = replies.into_iter().collect::<Result<Vec<_>, Failure>>()?.into_iter().flatten().collect();
    let mut names: Vec<_> = nodes.iter().take(NAMED).map(label).collect();
    if nodes.len() > NAMED {
        names.push("..".to_owned());
    }
    let text = format!("{} other nodes: {}", nodes.len(), names.join(", "));
    if silent.is_empty() {
        return report.good("nodes", &format!("{text}; all reply"));
    }
    let text = format!("{text}; no reply from: {}", silent.join(", "));
    report.bad("nodes", 4, &text, "look at these servers: are they overloaded, or cut off from the broker?")
}

/// Why a node does not reply, with its name; `None` if it does.
async fn replies(context: &Context, cluster: &Cluster, node: &Node) -> Result<Option<String>, Failure> {
    let counted = cluster.of("/")?.timeout(context.timeout).on_node(node.id).count_sockets().await?;
    Ok(counted.missing.first().map(|missing| format!("{} ({})", label(node), missing.reason)))
}

fn label(node: &Node) -> String {
    if node.name.is_empty() { format!("{}..", &node.id.to_string()[..8]) } else { shown(&node.name) }
}
