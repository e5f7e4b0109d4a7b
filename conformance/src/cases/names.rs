//! Names that a broker might read as something else.

use futures_util::{StreamExt, TryStreamExt, stream};
use roomcast_core::{Hub, Room};

use crate::failure::Verdict;
use crate::node::{Node, fence, next, until};
use crate::scene::Scene;

cases! {"names":
    Nothing g15_clusters_on_one_broker_do_not_see_each_other,
    Nothing g15_rooms_of_any_name_never_collide,
    Nothing g15_namespaces_of_any_name_never_collide,
    Nothing g15_an_empty_or_too_long_name_is_refused_where_it_is_used,
}

/// Names that patterns, escapes, trees and the case of letters could mix up.
fn odd_names() -> Vec<String> {
    let odd = [
        "a", "A", "a.b", "a..b", ".", "*", "a.*", "#", "a.#", ">", "a.>", " ", "  ", "a b", "ü", "u\u{308}", "\u{0}",
        "\r\n", "'", "\"", "\\", "$SYS", "{a}", "[a]", "?", "a/b", "/", "%2F", "-", "_", "😀",
    ];
    let long = ["x".repeat(1024), "x".repeat(1023), format!("{}y", "x".repeat(1023)), "ü".repeat(512)];
    odd.into_iter().map(str::to_owned).chain(long).collect()
}

async fn g15_clusters_on_one_broker_do_not_see_each_other(scene: &Scene) -> Verdict {
    // Behind a prefix of this run's own, since the broker may be shared with other runs.
    let base = &scene.cluster;
    let odd = odd_names().into_iter().filter(|name| name.len() < 900).map(|name| format!("{base}{name}"));
    let long = ["x".repeat(900), "x".repeat(901)].map(|tail| format!("{base}{tail}"));
    let names: Vec<_> = odd.chain([base.clone(), format!(".{base}"), format!("{base}.a.")]).chain(long).collect();
    let connect = |name: &String| {
        let (builder, connector) = (scene.builder().cluster(name.as_str()), scene.connector());
        async move { Node::connect(builder, connector?).await }
    };
    // A few at a time: what many do to a broker that connect at once is not what this is about.
    let nodes: Vec<_> = stream::iter(names.iter().map(connect)).buffered(4).try_collect().await?;
    let mut sockets: Vec<_> = nodes.iter().map(|node| node.socket(["room"])).collect::<Verdict<_>>()?;
    for (node, name) in nodes.iter().zip(&names) {
        check_eq!(node.cluster.nodes().len(), 1, "nodes in {name:?}");
        node.chat.to("room").emit(name.clone()).await?;
    }
    for node in &nodes {
        node.cluster.flush(crate::node::PATIENCE).await?;
    }
    for ((node, name), socket) in nodes.iter().zip(&names).zip(&mut sockets) {
        node.chat.emit("end").await?;
        check_eq!(until("end", socket).await?, [name.as_str()]);
        check_eq!(node.cluster.stats().received, 0, "frames of others in {name:?}");
    }
    Ok(())
}

async fn g15_rooms_of_any_name_never_collide(scene: &Scene) -> Verdict {
    let nodes = scene.nodes::<2>().await?;
    let names = odd_names();
    let mut sockets = Vec::new();
    for name in &names {
        let socket = nodes[1].hub.connect()?;
        socket.join(name.as_str())?;
        sockets.push(socket);
    }
    for name in &names {
        nodes[0].chat.to(name.as_str()).emit(name.clone()).await?;
    }
    let got = fence(&nodes[0], &mut sockets).await?;
    for (name, got) in names.iter().zip(got) {
        check_eq!(got, [name.as_str()]);
    }
    let mut rooms = nodes[0].chat.rooms().await?.items;
    let mut want = names.iter().map(|name| Room::new(name.as_str())).collect::<Result<Vec<_>, _>>()?;
    rooms.sort();
    want.sort();
    check_eq!(rooms, want);
    Ok(())
}

async fn g15_namespaces_of_any_name_never_collide(scene: &Scene) -> Verdict {
    let nodes = scene.nodes::<2>().await?;
    let mut sockets = Vec::new();
    // With the slash before it, a name has 1,024 bytes at the most.
    let long = format!("/{}y", "x".repeat(1022));
    for name in odd_names().into_iter().filter(|name| name.len() < 1024).chain([long]) {
        let hub = Hub::new();
        let handle = nodes[1].cluster.namespace(name.as_str(), hub.clone()).await?;
        sockets.push((hub.connect()?, handle, name));
    }
    for (_, _, name) in &sockets {
        nodes[0].cluster.of(name.as_str())?.emit(name.clone()).await?;
    }
    for (socket, _, name) in &mut sockets {
        nodes[0].cluster.of(name.as_str())?.emit("\u{1}end").await?;
        check_eq!(until("\u{1}end", socket).await?, [name.as_str()]);
    }
    Ok(())
}

async fn g15_an_empty_or_too_long_name_is_refused_where_it_is_used(scene: &Scene) -> Verdict {
    use roomcast_core::ErrorKind::Config;
    let node = scene.node().await?;
    let mut here = node.socket([])?;
    for bad in [String::new(), "x".repeat(1025)] {
        let bad = bad.as_str();
        let kinds = [
            node.chat.to(bad).emit("x").await.err(),
            node.chat.except(["fine", bad]).fetch_sockets().await.err(),
            node.chat.join_sockets(bad).await.err(),
            node.cluster.of(bad).err(),
            node.chat.server_side_emit(bad, "").await.err(),
            scene.builder().cluster(bad).connect(scene.connector()?).await.err(),
        ];
        check_eq!(kinds.map(|error| error.map(|error| error.kind())), [Some(Config); 6], "for {} bytes", bad.len());
    }
    node.chat.emit("end").await?;
    check_eq!(next(&mut here).await?, "end");
    Ok(())
}
