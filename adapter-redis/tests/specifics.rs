//! What is Redis' own: faults of the server and of the link, refusals, limits, and what is left behind.

mod support;

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use roomcast_conformance::bare::nothing_is_lost_while_full;
use roomcast_core::backend::{Connect, Outgoing, PublishError};
use roomcast_core::probe::{Tap, Tapped};
use roomcast_core::{Bytes, Cluster, ErrorKind, Event, Hub, MissingReason, WhenUnreachable};
use roomcast_redis::{Credentials, Login, Mode, Redis};
use support::{ALL, Node, Tested, ask, channel, eventually, on, pair, port, redis, refusal, talk, told, tries, with};

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_server_is_told_and_its_successor_is_used() -> Tested {
    let server = redis().await;
    let proxy = server.proxy().await?;
    let (mut one, mut two) = (on(&server.url_through(&proxy)).await, on(&server.url()).await);
    one.subscribe("rc.shop.n.1").await;
    talk(&mut one, &mut two).await;

    server.kill().await?;
    one.is_down(ALL).await;
    two.is_down(ALL).await;
    let own = [channel("rc.shop.n.1")];
    assert_eq!(one.backend.subscribe(&own).await.expect_err("down").kind(), ErrorKind::Unavailable);
    tries(&proxy, 12).await; // the pauses between them reach their longest

    server.start_again().await?;
    one.up().await;
    two.up().await;
    talk(&mut one, &mut two).await;
    two.publish("rc.shop.n.1", "to one alone").await?;
    assert_eq!(one.message().await, (channel("rc.shop.n.1"), "to one alone".into()));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_the_operator_kills_come_back() -> Tested {
    let server = redis().await;
    let mut node = on(&server.url()).await;
    for kind in ["pubsub", "normal"] {
        assert_ne!(ask(&server, &format!("CLIENT KILL TYPE {kind}")).await, "0");
        node.comes_back(ALL).await;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_half_open_link_is_found_and_replaced() -> Tested {
    let server = redis().await;
    let proxy = server.proxy().await?;
    let (mut one, mut two) = (on(&server.url_through(&proxy)).await, on(&server.url()).await);
    talk(&mut one, &mut two).await;
    server.pause().await?;
    one.is_down(ALL).await;
    two.is_down(ALL).await;
    tries(&proxy, 4).await; // with two connections each, one has run into its timeout
    server.resume().await?;
    one.up().await;
    two.up().await;
    talk(&mut one, &mut two).await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reset_rebuilds_at_once() -> Tested {
    let server = redis().await;
    let mut node = on(&server.url()).await;
    node.backend.reset("the echo is overdue".into()).await;
    assert_eq!(node.comes_back(ALL).await, "the echo is overdue");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_at_connecting_have_their_kind() -> Tested {
    let server = redis().await;
    ask(&server, "CONFIG SET requirepass right").await;
    let at = server.addresses()[0];
    for login in ["", ":wrong-secret@", "nobody:wrong-secret@"] {
        let error = refusal(&format!("redis://{login}{at}")).await;
        assert_eq!(error.kind(), ErrorKind::Denied, "{login} {error:?}");
        assert!(!format!("{error} {error:?}").contains("wrong-secret"));
    }
    on(&format!("redis://:right@{at}")).await;
    server.kill().await?;
    assert_eq!(refusal(&server.url()).await.kind(), ErrorKind::Unavailable);
    assert_eq!(refusal("redis://no-such-host.invalid").await.kind(), ErrorKind::Unavailable);
    #[cfg(not(feature = "tls"))]
    assert_eq!(Redis::from_url("rediss://host").expect_err("no TLS").kind(), ErrorKind::Config);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_that_changes_is_taken_up() -> Tested {
    let server = redis().await;
    let file = tempfile::NamedTempFile::new()?;
    let at = server.addresses()[0];
    let change = async |old: &str, new: &str| {
        ask(&server, &format!("{old}CONFIG SET requirepass {new}")).await;
        ask(&server, &format!("-a {new} --no-auth-warning CLIENT KILL TYPE pubsub")).await;
    };
    ask(&server, "CONFIG SET requirepass one").await;
    std::fs::write(file.path(), "one\n")?;
    let mut from_file = on(&format!("redis://{at}?password_file={}", file.path().display())).await;
    let token = Arc::new(Mutex::new("one".to_owned()));
    let asked = Arc::clone(&token);
    let credentials = Credentials::from_fn(move || {
        let token = asked.lock().expect("not poisoned").clone();
        async move { Ok(Login::token(token)) }
    });
    let mut from_code = Node::on(Ok(Redis::from_url(&format!("redis://{at}"))?.credentials(credentials)), ALL).await;
    for (old, new) in [("one", "two"), ("two", "three")] {
        change(&format!("-a {old} --no-auth-warning "), new).await;
        for node in [&mut from_file, &mut from_code] {
            let (kind, reason) = node.refused().await;
            assert!(kind == ErrorKind::Denied && !reason.contains(old), "{kind:?} {reason}");
        }
        std::fs::write(file.path(), new)?;
        *token.lock().expect("not poisoned") = new.to_owned();
        for node in [&mut from_file, &mut from_code] {
            node.up().await;
        }
        talk(&mut from_file, &mut from_code).await;
    }
    Ok(())
}

/// A login of a short time. The server ends the connections of the one before it, as services of the cloud do: by then nothing is
/// left of them.
#[tokio::test(flavor = "multi_thread")]
async fn a_login_that_ends_is_renewed_on_the_connections_that_are_there() -> Tested {
    let server = redis().await;
    let at = server.addresses()[0];
    for scheme in ["redis", "redis+streams"] {
        for user in ["one", "two", "three"] {
            ask(&server, &format!("ACL SETUSER {user} on >right allchannels allkeys +@all")).await;
        }
        let next = Arc::new(Mutex::new(("one", "right")));
        let asked = Arc::clone(&next);
        let credentials = Credentials::from_fn(move || {
            let (user, password) = *asked.lock().expect("not poisoned");
            async move { Ok(Login::new(user, password).valid_for(Duration::from_secs(1))) }
        });
        let mut node = Node::on(Ok(Redis::from_url(&format!("{scheme}://{at}"))?.credentials(credentials)), ALL).await;
        let connections = async |user: &str| {
            let list = ask(&server, "CLIENT LIST").await;
            list.lines().filter(|line| line.contains(&format!(" user={user} "))).count()
        };
        assert_eq!(connections("one").await, 2);
        for (user, before) in [("two", "one"), ("three", "two")] {
            // A refusal is told, and costs nothing else.
            *next.lock().expect("not poisoned") = (user, "wrong");
            assert_eq!(node.refused().await.0, ErrorKind::Denied);
            *next.lock().expect("not poisoned") = (user, "right");
            eventually("both connections have the next login", async || {
                node.publish(ALL, "meanwhile").await.expect("published");
                assert_eq!(node.frame().await, "meanwhile");
                connections(user).await == 2
            })
            .await;
            assert_eq!(ask(&server, &format!("ACL DELUSER {before}")).await, "1");
            node.publish(ALL, "after").await?;
            assert_eq!(node.frame().await, "after");
        }
        node.backend.close().await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_access_rules_refuse_is_denied() -> Tested {
    let server = redis().await;
    ask(&server, "ACL SETUSER app on >pw resetchannels &rc.shop.* +@all").await;
    let mut node = on(&format!("redis://app:pw@{}", server.addresses()[0])).await;
    let other = channel("rc.other.all");
    let denied = node.backend.subscribe(std::slice::from_ref(&other)).await.expect_err("denied");
    assert_eq!(denied.kind(), ErrorKind::Denied);
    let batch = [message("before"), Outgoing::new(other, "denied".into()), message("after")];
    let refused = node.backend.publish(&batch).await;
    assert!(matches!(refused, Err(PublishError::Refused { index: 1, kind: ErrorKind::Denied })), "{refused:?}");
    assert_eq!(node.frame().await, "before");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rights_that_the_documentation_names_are_enough() -> Tested {
    let server = redis().await;
    let rights = "+publish +subscribe +unsubscribe +ping +hello +client +quit";
    ask(&server, &format!("ACL SETUSER plain on >pw resetchannels &rc.* -@all {rights}")).await;
    let rights = "+spublish +ssubscribe +sunsubscribe +ping +hello +client +quit";
    ask(&server, &format!("ACL SETUSER sharded on >pw resetchannels &{{shop}}rc.* -@all {rights}")).await;
    for (user, options) in [("plain", ""), ("sharded", "?mode=sharded&tag=shop")] {
        let (mut one, mut two) = pair(&format!("redis://{user}:pw@{}{options}", server.addresses()[0])).await;
        talk(&mut one, &mut two).await;
        one.backend.unsubscribe(&[channel(ALL)]).await?;
        one.backend.close().await?;
    }
    Ok(())
}

#[test]
fn secrets_are_not_shown() -> Tested {
    let client = redis_client("redis://app:hunter2@host/")?;
    let all = [
        Redis::from_url("redis://app:hunter2@host")?,
        Redis::from_url("redis+cluster://app:hunter2@host")?,
        Redis::from_url("redis+sentinel://app:hunter2@host/main?sentinel_password=hunter2")?,
        Redis::from_client(&client)?,
    ];
    for redis in all {
        let text = format!("{redis:?}");
        assert!(text.contains("app") && text.contains("host") && !text.contains("hunter2"), "{text}");
    }
    Ok(())
}

fn redis_client(url: &str) -> Result<roomcast_redis::redis::Client, roomcast_redis::redis::RedisError> {
    roomcast_redis::redis::Client::open(url)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_existing_client_is_taken_over() -> Tested {
    let server = redis().await;
    ask(&server, "CONFIG SET requirepass right").await;
    let redis = Redis::from_client(&redis_client(&format!("redis://:right@127.0.0.1:{}/0", port(&server)))?)?;
    let (mut one, mut two) = (Node::on(Ok(redis.clone()), ALL).await, Node::on(Ok(redis), ALL).await);
    talk(&mut one, &mut two).await;
    let numbered = Redis::from_client(&redis_client("redis://127.0.0.1/2")?);
    assert_eq!(numbered.expect_err("pub/sub would ignore it").kind(), ErrorKind::Config);
    let unix = Redis::from_client(&redis_client("redis+unix:///tmp/x")?);
    assert_eq!(unix.expect_err("no socket").kind(), ErrorKind::Config);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_up_to_the_limit_pass_and_larger_ones_are_refused() -> Tested {
    // The smallest limits that an operator can set.
    let limits = ["--proto-max-bulk-len", "1mb", "--client-query-buffer-limit", "1mb"];
    let server = with(&limits).await;
    let mut node = on(&server.url()).await;
    let most = node.backend.limits().max_frame;
    let sizes = [0, 1, 4095, 4096, 65_535, 65_536, most - 1, most];
    node.backend.publish(&sizes.map(|size| message(vec![b'\r'; size]))).await?;
    for size in sizes {
        assert_eq!(node.frame().await, vec![b'\r'; size]);
    }
    node.keeps_its_limit(ALL).await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_channels_survive_a_restart() -> Tested {
    let server = redis().await;
    let channels: Vec<_> = (0..10_000).map(|number| channel(&format!("rc.shop.n.{number}"))).collect();
    let mut node = Node::connect(Redis::from_url(&server.url())).await;
    let start = Instant::now();
    node.subscribe_all(&channels).await;
    told("10,000 channels subscribed to", start);
    server.kill().await?;
    node.down().await;
    server.start_again().await?;
    node.up().await;
    let known = ask(&server, "INFO stats").await;
    assert!(known.contains("pubsub_channels:10000"), "{known}");
    for at in [0, 499, 500, 9999] {
        node.publish(channels[at].as_str(), "x").await?;
        assert_eq!(node.message().await.0, channels[at]);
    }
    node.tap.wants().remove(&channels[1..]);
    node.backend.unsubscribe(&channels[1..]).await?;
    assert_eq!(ask(&server, "PUBSUB CHANNELS rc.shop.n.*").await, "rc.shop.n.0");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_inbox_pauses_the_socket_and_loses_nothing() -> Tested {
    const COUNT: u32 = 20_000;
    let server = redis().await;
    let redis = Redis::from_url(&server.url())?;
    let mut slow = Node::with(&redis, 100).await?;
    slow.subscribe(ALL).await;
    let fast = Node::connect(Ok(redis)).await;
    let batch: Vec<_> = (0..COUNT).map(|n| message(n.to_be_bytes().repeat(50))).collect();
    for part in batch.chunks(500) {
        fast.backend.publish(part).await?; // 4 MB: more than the inbox, less than the server holds
    }
    // Nothing is read for longer than a silent link lives.
    let proxy = server.proxy().await?;
    Node::connect(Redis::from_url(&server.url_through(&proxy))).await.outlasts_silence(&proxy).await;
    for n in 0..COUNT {
        assert_eq!(slow.frame().await[..4], n.to_be_bytes());
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_lost_because_the_inbox_is_full_is_told() -> Tested {
    let server = with(&["--client-output-buffer-limit", "pubsub 1mb 1mb 1"]).await;
    let redis = Redis::from_url(&server.url())?;
    let mut slow = Node::with(&redis, 10).await?;
    slow.subscribe(ALL).await;
    let fast = Node::connect(Ok(redis)).await;
    for n in 0..300u32 {
        fast.publish(ALL, n.to_be_bytes().repeat(16 << 10)).await?;
    }
    let mut frames = 0;
    let lost = Instant::now();
    while let Tapped::Frame(..) = slow.next().await {
        frames += 1;
    }
    assert!(frames < 300, "something was lost");
    told(&format!("{frames} of 300 came, then it was told"), lost);
    while !matches!(slow.next().await, Tapped::Up(_)) {}
    fast.publish(ALL, "fence").await?;
    assert_eq!(slow.frame().await, "fence");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_left_on_the_server() -> Tested {
    let server = redis().await;
    let channels = async || {
        let (plain, sharded) = (ask(&server, "PUBSUB CHANNELS").await, ask(&server, "PUBSUB SHARDCHANNELS").await);
        plain.lines().count() + sharded.lines().count()
    };
    // One of them is redis-cli itself.
    let clients = async || ask(&server, "CLIENT LIST").await.lines().count() - 1;
    for mode in [Mode::PubSub, Mode::sharded("shop")?] {
        let node = Node::on(Redis::from_url(&server.url())?.mode(mode), ALL).await;
        assert_eq!((clients().await, channels().await), (2, 1));
        let list = ask(&server, "CLIENT LIST").await;
        // Redis 7.2 knows names of libraries.
        let named = list.lines().filter(|client| client.contains("lib-name=roomcast")).count();
        assert_eq!(named, if list.contains("lib-name") { 2 } else { 0 });
        node.backend.close().await?;
        // At once: the server has confirmed it.
        assert_eq!((clients().await, channels().await), (0, 0));
        node.backend.close().await?;
        assert!(matches!(node.publish(ALL, "late").await, Err(PublishError::Unknown(_))));
    }
    // A node that is dropped without a word, and one whose connecting is given up before the server's answer.
    drop(on(&server.url()).await);
    let proxy = server.proxy().await?;
    proxy.drop_replies();
    let (redis, tap) = (Redis::from_url(&server.url_through(&proxy))?, Tap::new(1, 1));
    tokio::select! {
        _ = redis.connect(tap.inbox()) => panic!("connected without an answer"),
        () = eventually("it is known to the server", async || proxy.counts().to_broker > 0) => {}
    }
    drop(tap);
    eventually("no connection is left", async || clients().await == 0).await;
    assert_eq!(channels().await, 0);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn sharded_pubsub_works_on_one_server_and_is_apart_from_plain() -> Tested {
    let server = redis().await;
    let (mut one, mut two) = pair(&format!("{}?mode=sharded&tag=shop", server.url())).await;
    let mut plain = on(&server.url()).await;
    talk(&mut one, &mut two).await;
    assert_eq!(ask(&server, "PUBSUB SHARDCHANNELS").await, "{shop}rc.shop.all");
    one.backend.unsubscribe(&[channel(ALL)]).await?;
    one.backend.subscribe(&[channel(ALL)]).await?;
    talk(&mut one, &mut two).await;
    server.kill().await?;
    for node in [&mut one, &mut two, &mut plain] {
        node.down().await;
    }
    server.start_again().await?;
    plain.is_back(ALL).await;
    one.up().await;
    two.up().await;
    talk(&mut one, &mut two).await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_sharded_pubsub_is_refused_at_connecting() -> Tested {
    let server = with(&["--rename-command", "SUNSUBSCRIBE", "gone"]).await;
    let error = refusal(&format!("{}?mode=sharded&tag=shop", server.url())).await;
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.to_string().contains("Redis 7"), "{error}");
    Ok(())
}

fn message(payload: impl Into<Bytes>) -> Outgoing {
    Outgoing::new(channel(ALL), payload.into())
}

#[tokio::test(flavor = "multi_thread")]
async fn g06_a_node_that_starts_before_its_server_serves_its_sockets_and_joins_when_it_comes() -> Tested {
    let server = redis().await;
    let url = server.url();
    server.kill().await?; // what is left of it is the port
    let refused = Cluster::connect(Redis::from_url(&url)?).await.expect_err("by default");
    assert_eq!(refused.kind(), ErrorKind::Unavailable);

    let mut early = Vec::new();
    for name in ["one", "two"] {
        let builder = Cluster::builder().node_name(name).when_unreachable(WhenUnreachable::ServeLocally);
        let cluster = builder.connect(Redis::from_url(&url)?).await?;
        let (events, hub) = (cluster.events(), Hub::new());
        let chat = cluster.namespace("/chat", hub.clone()).await?;
        let mut socket = hub.connect()?;
        chat.emit(name).await?;
        assert_eq!(socket.next().await.expect("connected").packet.data, name, "before the server is there");
        assert_eq!(chat.count_sockets().await?.missing[0].reason, MissingReason::Unreachable);
        early.push((cluster, events, socket, chat));
    }

    server.start_again().await?;
    for (other, (cluster, events, socket, _chat)) in ["two", "one"].into_iter().zip(&mut early) {
        assert!(matches!(events.next().await, Some(Event::Degraded(_))));
        while events.next().await != Some(Event::Recovered) {}
        assert_eq!(socket.next().await.expect("connected").packet.data, other, "what has waited");
        assert_eq!((cluster.nodes().len(), cluster.stats().lost), (2, 0));
    }
    let late = Cluster::connect(Redis::from_url(&url)?).await?;
    let counted = late.of("/chat")?.count_sockets().await?;
    assert_eq!((counted.total(), counted.missing.len()), (2, 0));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_serves_without_its_server_says_when_the_server_refuses_it() -> Tested {
    let server = redis().await;
    let wrong = server.url().replace("redis://", "redis://nobody:secret@");
    let connect = async || {
        let builder = Cluster::builder().when_unreachable(WhenUnreachable::ServeLocally);
        builder.connect(Redis::from_url(&wrong).expect("valid")).await
    };
    assert_eq!(connect().await.expect_err("known at once").kind(), ErrorKind::Denied);
    server.kill().await?;
    let node = connect().await?;
    let mut events = node.events();
    assert!(matches!(events.next().await, Some(Event::Degraded(_))));
    server.start_again().await?;
    assert!(matches!(events.next().await, Some(Event::Refused { kind: ErrorKind::Denied, .. })));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_carry_the_name_of_their_node() -> Tested {
    let server = redis().await;
    let builder = Cluster::builder().node_name("web 1");
    let cluster = builder.connect(Redis::from_url(&server.url())?).await?;
    eventually("its two connections", async || {
        ask(&server, "CLIENT LIST").await.matches("name=roomcast-web-1 ").count() == 2
    })
    .await;
    cluster.close().await?;
    Ok(())
}

/// A stream needs memory: nothing is taken until there is some again, and the link holds, which no new one could mend.
#[tokio::test(flavor = "multi_thread")]
async fn a_stream_on_a_full_server_takes_nothing_until_there_is_memory_again() -> Tested {
    let server = redis().await;
    let proxy = server.proxy().await?;
    let mut node = on(&server.url_through(&proxy).replacen("redis://", "redis+streams://", 1)).await;
    talk_to_itself(&mut node).await;
    let connections = proxy.counts().accepted;
    ask(&server, "CONFIG SET maxmemory 1").await;
    for _ in 0..3 {
        let refused = node.publish(ALL, "refused").await;
        assert!(matches!(refused, Err(PublishError::NotNow(_))), "{refused:?}");
    }
    ask(&server, "CONFIG SET maxmemory 0").await;
    talk_to_itself(&mut node).await;
    assert_eq!(proxy.counts().accepted, connections, "and nothing was connected again");
    Ok(())
}

async fn talk_to_itself(node: &mut Node) {
    node.publish(ALL, "here").await.expect("it has memory");
    assert_eq!(node.message().await, (channel(ALL), "here".into()));
}

/// What is emitted meanwhile waits, also what is under way, and nothing is given up.
#[tokio::test(flavor = "multi_thread")]
async fn g08_what_is_emitted_while_a_server_of_streams_is_full_arrives_afterwards() -> Tested {
    let server = redis().await;
    let proxy = server.proxy().await?;
    let url = server.url_through(&proxy).replacen("redis://", "redis+streams://", 1);
    let set = async |memory: &str| drop(ask(&server, &format!("CONFIG SET maxmemory {memory}")).await);
    let (fill, relieve) = (async || set("1").await, async || set("0").await);
    nothing_is_lost_while_full(&proxy, || Redis::from_url(&url), fill, relieve, "maxmemory").await?;
    Ok(())
}

/// The smallest that an operator can set: for what is in a message, and for what a client has sent and the server has not worked on yet.
#[tokio::test(flavor = "multi_thread")]
async fn g13_the_smallest_limits_of_a_server_are_no_limit_for_a_node() -> Tested {
    let limits = ["--proto-max-bulk-len", "1mb", "--client-query-buffer-limit", "1mb"];
    let server = with(&limits).await;
    for scheme in ["redis://", "redis+streams://"] {
        let mut node = on(&server.url().replacen("redis://", scheme, 1)).await;
        node.keeps_its_limit(ALL).await;
        let most = node.backend.limits().max_frame;
        let batch = vec![Outgoing::new(channel(ALL), vec![7; most].into()); 20];
        let (one, other) = tokio::join!(node.backend.publish(&batch), node.backend.publish(&batch));
        one?;
        other?;
        for _ in 0..2 * batch.len() {
            assert_eq!(node.frame().await.len(), most);
        }
    }
    Ok(())
}
