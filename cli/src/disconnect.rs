//! `roomcast disconnect`.

use roomcast::Cluster;
use serde_json::json;

use crate::context::{Context, look_around, name_missing};
use crate::exit::{Done, Failure};
use crate::selection::Selection;

/// Disconnects sockets, on every node. What was emitted to them before is delivered first.
///
/// It returns once every node has done it. Joins the cluster while it runs: the other nodes see one more node, which has no sockets.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    selection: Selection,
    /// Disconnects every socket of the namespace; needed where neither --room nor --except is given.
    #[arg(long)]
    everyone: bool,
}

/// Disconnects.
///
/// # Errors
/// Usage without a selection; what connecting or asking says.
pub(crate) async fn run(context: &Context, args: Args) -> Result<Done, Failure> {
    if args.selection.is_everyone() && !args.everyone {
        return Err(Failure::usage("which sockets? Give --room or --except, or --everyone for all of the namespace"));
    }
    if args.everyone && !args.selection.is_everyone() {
        return Err(Failure::usage(
            "--everyone means all sockets of the namespace: give it without --room and --except",
        ));
    }
    context.as_node(async |cluster| disconnect(context, cluster, &args.selection).await).await
}

async fn disconnect(context: &Context, cluster: &Cluster, selection: &Selection) -> Result<Done, Failure> {
    look_around(cluster).await?;
    let meant = || selection.of_node(cluster, context.timeout);
    let sockets = meant()?.count_sockets().await?.total();
    let done = meant()?.disconnect_sockets().await?;
    let me = cluster.node().id;
    let nodes = done.items.iter().filter(|node| **node != me).count();
    context.out.result(
        || format!("{sockets} sockets were there; {nodes} nodes have disconnected theirs"),
        || json!({ "type": "disconnected", "sockets": sockets, "nodes": nodes, "missing": done.missing }),
    )?;
    name_missing(&done.missing);
    Ok(Done::complete(done.is_complete()))
}
