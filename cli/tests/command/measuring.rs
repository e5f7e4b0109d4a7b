use roomcast::Packet;

use crate::support::{Running, Server, redis, roomcast};

#[tokio::test]
async fn doctor_finds_nothing_wrong_where_nothing_is() {
    let broker = redis().await;
    let url = broker.url();
    let alone = roomcast("", &["doctor", &url]).await;
    assert!(alone.code == 0 && alone.out.contains("warn  nodes"), "{alone:?}");
    let server = Server::named("web-1", &url).await;
    let ended = roomcast("", &["doctor", &url, "--json"]).await;
    assert_eq!((ended.code, ended.err.as_str()), (0, ""), "{ended:?}");
    let checks = ended.objects();
    let names: Vec<_> = checks.iter().map(|check| check["check"].as_str().unwrap()).collect();
    let known = ["url", "connect", "broker", "clock", "limit", "limit"];
    let works = ["subscribe", "publish", "echo", "large", "order", "join", "version", "nodes"];
    assert_eq!(names, [&known[..], &works].concat());
    assert!(checks.iter().all(|check| check["ok"] == true && check["mend"].is_null()), "{ended:?}");
    assert!(checks.last().unwrap()["text"].as_str().unwrap().contains("web-1"), "{ended:?}");
    server.cluster.close().await.unwrap();
}

#[tokio::test]
async fn bench_measures_and_the_servers_see_nothing_of_it() {
    let broker = redis().await;
    let url = broker.url();
    let server = Server::named("web-1", &url).await;
    let ended = roomcast(&url, &["bench", "--seconds", "1", "--size", "100", "--json"]).await;
    assert_eq!(ended.code, 0, "{ended:?}");
    let [bench] = &ended.objects()[..] else { panic!("{ended:?}") };
    assert_eq!((&bench["lost"], &bench["size"]), (&0.into(), &100.into()));
    assert!(bench["sent_per_s"].as_u64().unwrap() > 0 && bench["latency_us"]["p50"].as_u64().unwrap() > 0);
    assert_eq!((server.cluster.nodes().len(), server.cluster.stats().malformed), (1, 0));
    server.cluster.close().await.unwrap();
}

#[tokio::test]
async fn top_counts_what_passes() {
    let broker = redis().await;
    let url = broker.url();
    let server = Server::named("web-1", &url).await;
    let _socket = server.socket("a", ["lobby"]);
    let mut events = server.cluster.events();
    let mut top = Running::spawn(&url, &["top", "--json", "-n", "/chat", "--interval", "0.2"]);
    let came = crate::support::soon(events.next()).await.unwrap();
    assert!(came.to_string().contains("roomcast-cli"), "{came}");
    loop {
        server.chat.emit(Packet::event("tick", 1).unwrap()).await.unwrap();
        let object = top.object().await;
        let node = &object["nodes"][0];
        assert_eq!((&object["type"], &node["name"]), (&"top".into(), &"web-1".into()));
        if node["sockets"] == 1 && node["packets_per_s"].as_f64().unwrap() > 0.0 {
            break;
        }
    }
    top.interrupt().await;
    assert_eq!(top.ended().await, 0);
    server.cluster.close().await.unwrap();
}
