//! `roomcast sockets`.

use roomcast::{Cluster, SocketInfo};
use serde_json::json;

use crate::context::{Context, look_around, name_missing};
use crate::exit::{Done, Failure};
use crate::nodes::Names;
use crate::packet::value_of;
use crate::selection::Selection;
use crate::text::{shown, shown_bytes, table};

/// Lists sockets: their ids, nodes and rooms, and what their servers say of them (data).
///
/// Joins the cluster while it runs: the other nodes see one more node, which has no sockets.
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
    let names = Names::of(cluster);
    let mut found = selection.of_node(cluster, context.timeout)?.fetch_sockets().await?;
    found.items.sort_by(|one, two| (one.node, one.id.as_str()).cmp(&(two.node, two.id.as_str())));
    for socket in &mut found.items {
        socket.rooms.sort();
    }
    let lines = |sockets: &[SocketInfo]| {
        if sockets.is_empty() {
            return vec!["no sockets".to_owned()];
        }
        let row = |SocketInfo { node, id, rooms, data, .. }: &SocketInfo| {
            let rooms: Vec<_> = rooms.iter().map(|room| room.as_str()).collect();
            [shown(id.as_str()), names.label(*node), shown(&rooms.join(", ")), shown_bytes(data)]
        };
        table(["SOCKET", "NODE", "ROOMS", "DATA"], sockets.iter().map(row).collect())
    };
    context.out.rows(&found.items, lines, |SocketInfo { node, id, rooms, data, .. }| {
        let rooms: Vec<_> = rooms.iter().map(|room| room.as_str()).collect();
        let data = if data.is_empty() { serde_json::Value::Null } else { value_of(data) };
        let (name, node) = (names.name(*node), node.to_string());
        json!({ "type": "socket", "socket": id.as_str(), "node": node, "name": name, "rooms": rooms, "data": data })
    })?;
    name_missing(&found.missing);
    Ok(Done::complete(found.is_complete()))
}
