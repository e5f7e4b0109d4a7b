use roomcast_core::{Hub, Memory, Packet, Room, SlowPolicy, Socket};

use crate::support::{Node, narrow, next, three, three_on, until};

/// Sockets on all nodes: one in each of the sets of rooms.
fn sockets<const N: usize>(nodes: &[Node; 3], rooms: [&str; N]) -> Vec<Socket> {
    nodes.iter().map(|node| node.socket(rooms)).collect()
}

/// Sends a marker to everyone from the node, and returns what each socket got before it.
async fn seen(from: &Node, sockets: &mut [Socket]) -> Vec<Vec<String>> {
    from.chat.emit("marker").await.unwrap();
    let mut all = Vec::new();
    for socket in sockets {
        all.push(until("marker", socket).await);
    }
    all
}

#[tokio::test]
async fn g01_reaches_every_matching_socket_of_every_node_once() {
    let nodes = three().await;
    let mut both = sockets(&nodes, ["a", "b"]);
    let mut muted = sockets(&nodes, ["a", "muted"]);
    let mut out = sockets(&nodes, []);
    for from in &nodes {
        from.chat.to("a").to(["b"]).except("muted").emit("x").await.unwrap();
        assert_eq!(seen(from, &mut both).await, [["x"], ["x"], ["x"]]);
        for none in [&mut muted, &mut out] {
            for socket in none {
                assert_eq!(until("marker", socket).await, [""; 0]);
            }
        }
    }
}

#[tokio::test]
async fn g01_the_private_room_works_from_anywhere() {
    let nodes = three().await;
    let mut there = sockets(&nodes, []);
    let id = there[2].id().clone();
    nodes[0].chat.to(&id).emit("only you").await.unwrap();
    nodes[0].chat.except(&id).emit("all but you").await.unwrap();
    assert_eq!(seen(&nodes[0], &mut there).await, [["all but you"], ["all but you"], ["only you"]]);
}

#[tokio::test]
async fn g01_no_rooms_is_everyone_and_an_empty_list_is_nobody() {
    let nodes = three().await;
    let mut all = sockets(&nodes, ["a"]);
    nodes[1].chat.to(Vec::<Room>::new()).emit("nobody").await.unwrap();
    nodes[1].chat.emit("everyone").await.unwrap();
    assert_eq!(seen(&nodes[1], &mut all).await, [["everyone"], ["everyone"], ["everyone"]]);
}

#[tokio::test]
async fn g01_namespaces_do_not_mix() {
    let nodes = three().await;
    let mut chat = sockets(&nodes, ["a"]);
    nodes[0].cluster.of("/other").unwrap().to("a").emit("other").await.unwrap();
    assert_eq!(seen(&nodes[0], &mut chat).await, [[""; 0]; 3]);
}

#[tokio::test]
async fn local_reaches_this_node_alone() {
    let nodes = three().await;
    let mut all = sockets(&nodes, ["a"]);
    nodes[1].chat.to("a").local().emit("here").await.unwrap();
    assert_eq!(seen(&nodes[1], &mut all).await, [vec![], vec!["here".to_owned()], vec![]]);
}

#[tokio::test]
async fn one_node_can_be_addressed() {
    let nodes = three().await;
    let mut all = sockets(&nodes, ["a"]);
    nodes[0].chat.to("a").on_node(nodes[2].cluster.node().id).emit("there").await.unwrap();
    assert_eq!(seen(&nodes[0], &mut all).await, [vec![], vec![], vec!["there".to_owned()]]);
}

#[tokio::test]
async fn a_volatile_packet_reaches_sockets_that_are_ready() {
    let nodes = three().await;
    let mut all = sockets(&nodes, ["a"]);
    nodes[0].chat.to("a").volatile().emit("perhaps").await.unwrap();
    for socket in &mut all {
        assert_eq!(next(socket).await, "perhaps");
    }
}

#[tokio::test]
async fn g13_every_size_arrives_byte_for_byte_and_in_order() {
    let nodes = three_on(&narrow(512)).await;
    let mut there = nodes[2].socket([]);
    let sizes = [0, 1, 300, 400, 440, 450, 460, 512, 513, 1023, 1024, 5000, 1 << 20];
    for size in sizes {
        let bytes: Vec<u8> = (0..size).map(|i| (i * 7 + size) as u8).collect();
        nodes[0].chat.emit(bytes).await.unwrap();
        nodes[0].chat.timeout(std::time::Duration::from_secs(1)).emit("small").await.unwrap();
    }
    for size in sizes {
        let got = there.next().await.unwrap().packet;
        assert_eq!(got, Packet::opaque((0..size).map(|i| (i * 7 + size) as u8).collect::<Vec<u8>>()));
        assert_eq!(next(&mut there).await, "small");
    }
}

#[tokio::test]
async fn g15_clusters_of_other_names_on_the_same_broker_are_not_seen() {
    let memory = roomcast_core::Memory::new();
    let mut nodes = Vec::new();
    for name in ["a", "A", "a.b", "a..b", "*", "#", ">", " ", "ü"] {
        nodes.push(Node::with(roomcast_core::Cluster::builder().cluster(name), &memory).await);
    }
    let mut sockets: Vec<_> = nodes.iter().map(|node| node.socket(["*", "#", "a.b", " > "])).collect();
    for node in &nodes {
        assert_eq!(node.cluster.nodes().len(), 1);
        node.chat.to("*").emit("mine").await.unwrap();
    }
    for (node, socket) in nodes.iter().zip(&mut sockets) {
        node.chat.to(" > ").emit("end").await.unwrap();
        assert_eq!(until("end", socket).await, ["mine"]);
    }
}

#[tokio::test]
async fn what_local_sockets_drop_is_in_the_stats_also_after_they_are_detached() {
    let memory = Memory::new();
    let node = Node::on(&memory).await;
    let hub = Hub::builder().queue(1).slow(SlowPolicy::DropOldest).build();
    let news = node.cluster.namespace("/news", hub.clone()).await.unwrap();
    let _socket = hub.connect().unwrap();
    for _ in 0..4 {
        news.emit("news").await.unwrap();
    }
    assert_eq!(node.cluster.stats().local_dropped.full, 3);
    drop(news);
    assert_eq!(node.cluster.stats().local_dropped.full, 3);
}
