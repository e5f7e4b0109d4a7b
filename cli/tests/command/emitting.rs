use crate::support::{Server, next, redis, roomcast, soon};

#[tokio::test]
async fn emit_reaches_the_sockets_that_are_meant() {
    let broker = redis().await;
    let url = broker.url();
    let server = Server::named("web-1", &url).await;
    let mut lobby = server.socket("a", ["lobby"]);
    let mut muted = server.socket("b", ["lobby", "muted"]);

    let to_lobby = ["emit", "-n", "/chat", "--room", "lobby", "--except", "muted", "news", r#""we open""#, "[1]"];
    let ended = roomcast(&url, &to_lobby).await;
    assert_eq!((ended.code, ended.err.as_str()), (0, ""));
    assert_eq!(ended.out, "the broker has it, for lobby except muted in /chat\n");
    assert_eq!(next(&mut lobby).await, r#"["news","we open",[1]]"#);

    let ended = roomcast(&url, &["emit", "-n", "chat", "--json", "--text", "just text"]).await;
    let object = &ended.objects()[0];
    assert_eq!((ended.code, &object["type"], &object["to"]), (0, &"sent".into(), &serde_json::Value::Null));
    assert_eq!((next(&mut lobby).await, next(&mut muted).await), ("just text".to_owned(), "just text".to_owned()));
    server.cluster.close().await.unwrap();
}

#[tokio::test]
async fn emit_with_ack_gathers_answers_and_says_who_gave_none() {
    let broker = redis().await;
    let url = broker.url();
    let server = Server::named("web-1", &url).await;
    let (mut polite, silent) = (server.socket("polite", ["all", "nice"]), server.socket("silent", ["all"]));
    let answering = tokio::spawn(async move {
        while let Some(delivery) = polite.next().await {
            delivery.ack.unwrap().send("[42]");
        }
    });
    let ask =
        async |room: &str| roomcast(&url, &["emit", "-n", "/chat", "--room", room, "--ack", "--json", "ready"]).await;

    let all = ask("nice").await;
    assert_eq!(all.code, 0, "{all:?}");
    let [ack, sum] = &all.objects()[..] else { panic!("{all:?}") };
    assert_eq!(
        (&ack["type"], &ack["socket"], &ack["answer"]),
        (&"ack".into(), &"polite".into(), &serde_json::json!([42]))
    );
    assert_eq!((&sum["type"], &sum["asked"], &sum["answered"]), (&"acks".into(), &1.into(), &1.into()));

    drop(silent.handle()); // the socket itself stays
    let args = ["emit", "-n", "/chat", "--room", "all", "--ack", "--timeout", "1", "ready"];
    let some = roomcast(&url, &args).await;
    assert_eq!(some.code, 4, "{some:?}");
    assert!(some.out.contains("1 of 2 sockets answered") && some.out.contains("silent"), "{some:?}");
    server.cluster.close().await.unwrap();
    answering.abort();
}

#[tokio::test]
async fn disconnect_disconnects_those_who_are_meant() {
    let broker = redis().await;
    let url = broker.url();
    let servers = [Server::named("web-1", &url).await, Server::named("web-2", &url).await];
    let mut bad = [servers[0].socket("a", ["bad"]), servers[1].socket("b", ["bad"])];
    let mut good = servers[1].socket("c", ["good"]);

    let ended = roomcast(&url, &["disconnect", "-n", "/chat", "--room", "bad", "--json"]).await;
    let object = &ended.objects()[0];
    assert_eq!((ended.code, &object["sockets"], &object["nodes"]), (0, &2.into(), &2.into()), "{ended:?}");
    for socket in &mut bad {
        assert!(soon(socket.next()).await.is_none(), "disconnected");
    }
    servers[0].chat.to("good").emit("still here").await.unwrap();
    assert_eq!(next(&mut good).await, "still here");

    let ended = roomcast(&url, &["disconnect", "-n", "/chat", "--everyone"]).await;
    assert_eq!((ended.code, ended.out.as_str()), (0, "1 sockets were there; 2 nodes have disconnected theirs\n"));
    assert!(soon(good.next()).await.is_none());
    for server in servers {
        server.cluster.close().await.unwrap();
    }
}
