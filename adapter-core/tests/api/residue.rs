use std::time::Duration;

use roomcast_core::{Cluster, Hub, Memory};
use tokio::task::yield_now;

use crate::support::{Node, eventually};

/// What the promise names, so many times.
struct Amounts {
    joins: usize,
    requests: usize,
    nodes: usize,
}

/// Rooms nobody has been in before, questions, and nodes that come, leave and die; then a while in which nothing happens.
async fn live(nodes: &[Node; 2], memory: &Memory, amounts: Amounts) {
    let socket = nodes[0].socket([]);
    for n in 0..amounts.joins {
        let room = format!("room {n}");
        socket.join([room.as_str()]).unwrap();
        socket.leave([room.as_str()]).unwrap();
    }
    for n in 0..amounts.requests {
        let there = nodes[1].chat.to([format!("room {n}").as_str()]).count_sockets().await.unwrap();
        assert!(there.is_complete());
    }
    for n in 0..amounts.nodes {
        let cluster = Cluster::connect(memory.clone()).await.unwrap();
        let chat = cluster.namespace("/chat", Hub::new()).await.unwrap();
        chat.emit("hello").await.unwrap();
        if n % 2 == 0 {
            cluster.close().await.unwrap();
        }
        drop((chat, cluster));
        eventually(|| nodes.iter().all(|node| node.cluster.nodes().len() == 2)).await;
    }
    drop(socket);
    tokio::time::advance(Duration::from_secs(70)).await; // for so long nodes that are gone are remembered
    eventually(|| nodes.iter().all(|node| node.cluster.health() < Duration::from_secs(1))).await;
}

#[test]
fn g12_rooms_questions_and_nodes_leave_no_memory_behind() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    let memory = Memory::new();
    let nodes = runtime.block_on(async {
        let nodes = [Node::on(&memory).await, Node::on(&memory).await];
        eventually(|| nodes[0].cluster.nodes().len() == 2).await;
        nodes
    });
    // Tables grow once, to what they hold at a time: the nodes that are remembered.
    runtime.block_on(live(&nodes, &memory, Amounts { joins: 1_000, requests: 1_000, nodes: 200 }));
    let spent = allocation_counter::measure(|| {
        runtime.block_on(live(&nodes, &memory, Amounts { joins: 1_000_000, requests: 100_000, nodes: 1_000 }));
    });
    // A table may have doubled all the same. Two bytes for each question, or 200 for each node, would be more.
    assert!(spent.bytes_current < 200 << 10, "{} bytes are left", spent.bytes_current);
}

/// Namespaces that come and go, as those with a name for each user or document do.
async fn name_spaces(cluster: &Cluster, round: usize) {
    for n in 0..20_000 {
        let jobs = cluster.of(format!("/{round}/{n}")).unwrap();
        jobs.on_server_event(|_| std::future::ready(())).unwrap();
        drop(jobs);
        let chat = cluster.namespace(format!("/{round}/{n}"), Hub::new()).await.unwrap();
        drop(chat);
        yield_now().await; // what runs handlers ends
    }
}

#[test]
fn g12_namespaces_that_came_and_went_leave_no_memory_behind() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    let cluster = runtime.block_on(Cluster::connect(Memory::new())).unwrap();
    runtime.block_on(name_spaces(&cluster, 0));
    let spent = allocation_counter::measure(|| runtime.block_on(name_spaces(&cluster, 1)));
    assert!(spent.bytes_current < 20_000, "{} bytes are left of 20,000 namespaces", spent.bytes_current);
}

#[test]
fn g12_handlers_of_events_leave_no_memory_behind_although_nobody_detaches() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    let cluster = runtime.block_on(Cluster::connect(Memory::new())).unwrap();
    let listen = |round| {
        let cluster = &cluster;
        async move {
            for n in 0..20_000 {
                let jobs = cluster.of(format!("/{round}/{n}")).unwrap();
                jobs.on_server_event(|_| std::future::ready(())).unwrap();
                drop(jobs);
                yield_now().await;
            }
        }
    };
    runtime.block_on(listen(0));
    let spent = allocation_counter::measure(|| runtime.block_on(listen(1)));
    assert!(spent.bytes_current < 20_000, "{} bytes are left of 20,000 handlers", spent.bytes_current);
}
