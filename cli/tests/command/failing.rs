use std::time::Duration;

use roomcast_conformance::bare::Node;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;

use crate::support::{SECRET, redis, roomcast, with_users};

#[tokio::test]
async fn a_mistake_is_one_clear_line_and_exit_code_2() {
    for (url, arguments, said) in [
        ("", &["nodes"][..], "ROOMCAST_URL"),
        ("kafka://u:hunter2@h", &["nodes"], "kafka"),
        ("redis://u:hun/hunter2@h", &["nodes"], "%2F"),
        ("redis://u:hunter2@h?no=1", &["nodes"], "option no"),
        ("memory://x", &["watch"], "one process only"),
        ("redis://h", &["emit", "news", "text"], "not JSON"),
        ("redis://h", &["disconnect"], "--everyone"),
        ("redis://h", &["disconnect", "--everyone", "-r", "a"], "--everyone"),
        ("redis://h", &["nodes", "--timeout", "0"], "--timeout"),
        ("redis://h", &["top"], "terminal"),
        ("redis://h", &["bench", "--rate", "0"], "--rate"),
        ("redis://h", &["watch", "-n", ""], "namespace"),
    ] {
        let ended = roomcast(url, arguments).await;
        assert_eq!((ended.code, ended.out.as_str()), (2, ""), "{arguments:?}: {ended:?}");
        assert!(ended.complaint().contains(said), "{arguments:?}: {ended:?}");
    }
}

#[tokio::test]
async fn a_url_in_the_wrong_place_is_not_repeated() {
    let url = format!("redis://app:{SECRET}@cache.internal/0");
    for arguments in [&[&*url][..], &["nodes", &url], &["doctor", &url, &url], &[&format!("--ulr={url}"), "nodes"]] {
        let ended = roomcast("", arguments).await; // which looks for the secret
        assert_eq!(ended.code, 2, "{ended:?}");
    }
    let help = roomcast(&url, &["--help"]).await;
    assert!(help.code == 0 && help.out.contains("Exit codes"), "{help:?}");
    assert!(!help.out.contains("cache.internal"));
}

#[tokio::test]
async fn a_broker_that_is_not_there_is_exit_code_3() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let url = format!("redis://app:{SECRET}@127.0.0.1:{port}/0?mode=pubsub");
    for arguments in [&["nodes"][..], &["emit", "a"], &["watch"], &["bench"], &["top", "--json"]] {
        let ended = roomcast(&url, arguments).await;
        assert_eq!(ended.code, 3, "{arguments:?}: {ended:?}");
        assert!(ended.complaint().contains(&format!("running at redis://127.0.0.1:{port},")), "{ended:?}");
    }
    let ended = roomcast("", &["doctor", &url]).await;
    assert!(ended.code == 3 && ended.out.contains("FAIL  connect"), "{ended:?}");
}

/// A server that speaks first, as NATS does, and closes what it does not understand.
#[tokio::test]
async fn a_foreign_broker_is_exit_code_3() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let foreign = tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream
                .write_all(b"INFO {\"server_id\":\"x\",\"version\":\"2\"}\r\n-ERR 'Unknown Protocol Operation'\r\n")
                .await;
        }
    });
    let schemes = [("redis", true), ("amqp", cfg!(feature = "amqp-tls")), ("postgres", cfg!(feature = "postgres-tls"))];
    for (scheme, _) in schemes.into_iter().filter(|(_, is_on)| *is_on) {
        let ended = roomcast(&format!("{scheme}://app:{SECRET}@127.0.0.1:{port}"), &["nodes"]).await;
        assert_eq!(ended.code, 3, "{scheme}: {ended:?}");
        assert!(ended.complaint().contains(&format!("{scheme}://127.0.0.1:{port}")), "{ended:?}");
    }
    foreign.abort();
}

#[tokio::test]
async fn a_refusal_is_exit_code_5_and_doctor_says_what_to_grant() {
    let broker = with_users().await;
    let login = |login: &str| broker.url().replace("://", &format!("://{login}@"));
    let ended = roomcast(&login(&format!("app:not-{SECRET}")), &["nodes"]).await;
    assert!(ended.code == 5 && ended.complaint().contains("user and password"), "{ended:?}");

    let ended = roomcast("", &["doctor", &login(&format!("app:{SECRET}"))]).await;
    assert_eq!(ended.code, 0, "{ended:?}");
    assert!(ended.out.lines().all(|line| !line.starts_with("FAIL")), "{ended:?}");

    let ended = roomcast("", &["doctor", &login(&format!("reader:{SECRET}")), "--json"]).await;
    assert_eq!(ended.code, 5, "{ended:?}");
    let checks = ended.objects();
    let failed: Vec<_> = checks.iter().filter(|check| check["ok"] == false).collect();
    assert!(failed.len() == 1 && failed[0]["check"] == "publish", "{ended:?}");
    assert!(failed[0]["mend"].as_str().unwrap().contains("+publish"), "{ended:?}");
}

#[tokio::test]
async fn a_cluster_of_a_newer_protocol_is_exit_code_6() {
    let broker = redis().await;
    let url = broker.url();
    let node = Node::with(&roomcast::backend(&url).unwrap(), 10).await.unwrap();
    // The head of a run of version 9 that nothing older can read: control, one frame.
    let head = |counter: u8| {
        let (magic, sender) = ([0x52, 0x43, 9, 9, 2, 0, 1, 0], [7; 16]);
        let counter = [counter, 0, 0, 0, 0, 0, 0, 0];
        [&magic[..], &sender, &counter, &[1, 0, 0, 0, 0]].concat()
    };
    let newer = tokio::spawn(async move {
        let mut beat = tokio::time::interval(Duration::from_millis(100));
        for counter in (1..=250).cycle() {
            beat.tick().await;
            node.publish("rc.roomcast.all", head(counter)).await.unwrap();
        }
    });
    for arguments in [&["nodes"][..], &["sockets"], &["disconnect", "--everyone"]] {
        let ended = roomcast(&url, arguments).await;
        assert_eq!(ended.code, 6, "{ended:?}");
        assert!(ended.complaint().contains("newer protocol"), "{ended:?}");
    }
    let ended = roomcast("", &["doctor", &url]).await;
    assert!(ended.code == 6 && ended.out.contains("FAIL  version"), "{ended:?}");
    newer.abort();
}
