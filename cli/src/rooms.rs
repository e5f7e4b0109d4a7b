//! `roomcast rooms`.

use std::collections::{BTreeMap, BTreeSet};

use roomcast::{Cluster, NodeId, Projection};
use serde_json::json;

use crate::context::{Context, look_around, name_missing};
use crate::exit::{Done, Failure};
use crate::selection::Selection;
use crate::text::{shown, table};

/// Lists the rooms of sockets, with how many sockets on how many nodes. The private room of each socket is not among them.
///
/// Joins the cluster while it runs: the other nodes see one more node, which has no sockets. It fetches the rooms of each selected
/// socket, which is a lot of data in a large namespace.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    selection: Selection,
}

/// Lists.
///
/// # Errors
/// What connecting or asking says.
pub(crate) async fn run(context: &Context, args: Args) -> Result<Done, Failure> {
    context.as_node(async |cluster| list(context, cluster, &args.selection).await).await
}

async fn list(context: &Context, cluster: &Cluster, selection: &Selection) -> Result<Done, Failure> {
    look_around(cluster).await?;
    let found = selection.of_node(cluster, context.timeout)?.fetch(Projection::Rooms).await?;
    let mut rooms: BTreeMap<&str, (u64, BTreeSet<NodeId>)> = BTreeMap::new();
    for socket in &found.items {
        for room in &socket.rooms {
            let (sockets, nodes) = rooms.entry(room.as_str()).or_default();
            *sockets += 1;
            nodes.insert(socket.node);
        }
    }
    let rows: Vec<_> = rooms.into_iter().map(|(room, (sockets, nodes))| (room, sockets, nodes.len())).collect();
    let lines = |rows: &[(&str, u64, usize)]| {
        if rows.is_empty() {
            return vec!["no rooms".to_owned()];
        }
        let row = |(room, sockets, nodes): &(&str, u64, usize)| [shown(room), sockets.to_string(), nodes.to_string()];
        table(["ROOM", "SOCKETS", "NODES"], rows.iter().map(row).collect())
    };
    let object = |(room, sockets, nodes): &(&str, u64, usize)| json!({ "type": "room", "room": room, "sockets": sockets, "nodes": nodes });
    context.out.rows(&rows, lines, object)?;
    name_missing(&found.missing);
    Ok(Done::complete(found.is_complete()))
}
