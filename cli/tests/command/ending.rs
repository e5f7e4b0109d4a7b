use roomcast::Packet;

use crate::support::{Running, Server, redis, soon};

#[tokio::test]
async fn a_reader_that_goes_away_ends_it_without_a_word() {
    let broker = redis().await;
    let url = broker.url();
    let server = Server::named("web-1", &url).await;
    let mut watch = Running::start(&url, &["watch", "--json"], "watching").await;
    server.chat.emit(Packet::event("one", 1).unwrap()).await.unwrap();
    assert_eq!(watch.object().await["event"], "one");
    watch.read_no_more();
    server.chat.emit(Packet::event("two", 2).unwrap()).await.unwrap();
    assert_eq!(watch.ended().await, 0);
    soon(async {
        let mut events = server.cluster.events();
        while server.cluster.nodes().len() > 1 {
            events.next().await;
        }
    })
    .await;
    server.cluster.close().await.unwrap();
}

#[tokio::test]
async fn an_interrupted_command_that_was_not_done_says_so_by_its_exit_code() {
    let broker = redis().await;
    let url = broker.url();
    let server = Server::named("web-1", &url).await;
    let mut events = server.cluster.events();
    let _silent = server.socket("a", []);
    let arguments = ["emit", "-n", "/chat", "--ack", "--timeout", "600", "ready", "--cluster", "roomcast"];
    let emit = Running::spawn(&url, &arguments);
    let came = soon(events.next()).await.unwrap();
    assert!(came.to_string().contains("roomcast-cli"), "{came}");
    emit.interrupt().await;
    let gone = soon(events.next()).await.unwrap();
    assert!(gone.to_string().contains("it left"), "{gone}");
    assert_eq!(emit.ended().await, 130);
    server.cluster.close().await.unwrap();
}
