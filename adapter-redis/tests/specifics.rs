//! What is Redis' own: faults of the server and of the link, refusals, limits, and what is left behind.

mod support;

use std::slice::from_ref;
use std::time::{Duration, Instant};

use adapter_core::probe::{Tap, Tapped};
use adapter_core::{Connect, Error, ErrorKind, PublishError};
use adapter_redis::{Mode, Redis};
use support::{Peer, Server, channel, eventually, free_port, message, talk, told};

type Test = Result<(), Box<dyn std::error::Error>>;

async fn refusal(redis: &Redis) -> Error {
    match Peer::try_new(redis, &[channel("rc.a.all")], Tap::new(100, 1 << 20)).await {
        Ok(_) => panic!("connected"),
        Err(error) => error,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_server_is_told_and_its_successor_is_used() -> Test {
    let mut server = Server::start().await;
    let all = channel("rc.shop.all");
    let own = channel("rc.shop.n.1");
    let mut one = Peer::new(&server.backend(), &[all.clone(), own.clone()]).await;
    let mut two = Peer::new(&server.backend(), from_ref(&all)).await;
    talk(&mut one, &mut two, &all).await;

    let killed = Instant::now();
    server.kill().await;
    one.down().await;
    two.down().await;
    told("kill -9 noticed", killed);
    let outcome = one.backend.publish(&[message(&all, "lost")]).await;
    assert!(matches!(outcome, Err(PublishError::Unknown(error)) if error.kind() == ErrorKind::Unavailable));
    assert_eq!(one.backend.subscribe(from_ref(&own)).await.expect_err("down").kind(), ErrorKind::Unavailable);
    tokio::time::sleep(Duration::from_secs(3)).await; // the pauses between tries reach their longest

    server.start_again().await;
    let back = Instant::now();
    one.up().await;
    two.up().await;
    told("up after a restart", back);
    talk(&mut one, &mut two, &all).await;
    two.backend.publish(&[message(&own, "to one alone")]).await?;
    assert_eq!(one.frame().await, (own, "to one alone".into()));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_the_operator_kills_come_back() -> Test {
    let server = Server::start().await;
    let all = channel("rc.shop.all");
    let mut one = Peer::new(&server.backend(), from_ref(&all)).await;
    let mut two = Peer::new(&server.backend(), from_ref(&all)).await;
    for kind in ["pubsub", "normal"] {
        let killed = Instant::now();
        assert_ne!(server.ask(&format!("CLIENT KILL TYPE {kind}")), "0");
        one.down().await;
        one.up().await;
        two.down().await;
        two.up().await;
        told(&format!("up after CLIENT KILL TYPE {kind}"), killed);
        talk(&mut one, &mut two, &all).await;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_half_open_link_is_found_in_three_seconds() -> Test {
    let server = Server::start().await;
    let all = channel("rc.shop.all");
    let mut one = Peer::new(&server.backend(), from_ref(&all)).await;
    let mut two = Peer::new(&server.backend(), from_ref(&all)).await;
    talk(&mut one, &mut two, &all).await;
    let stopped = Instant::now();
    server.signal("-STOP");
    let reason = one.down().await;
    told(&format!("half-open noticed ({reason})"), stopped);
    two.down().await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    server.signal("-CONT");
    let back = Instant::now();
    one.up().await;
    two.up().await;
    told("up after it was half-open", back);
    talk(&mut one, &mut two, &all).await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reset_rebuilds_at_once() -> Test {
    let server = Server::start().await;
    let all = channel("rc.shop.all");
    let mut one = Peer::new(&server.backend(), from_ref(&all)).await;
    let mut two = Peer::new(&server.backend(), from_ref(&all)).await;
    let asked = Instant::now();
    one.backend.reset("the echo is overdue".into()).await;
    assert_eq!(one.down().await, "the echo is overdue");
    one.up().await;
    told("up after a reset", asked);
    talk(&mut one, &mut two, &all).await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_at_connecting_have_their_kind() -> Test {
    let server = Server::with(&["--requirepass", "right"]).await;
    let at = format!("127.0.0.1:{}", server.port);
    for login in ["", ":wrong-secret@", "nobody:wrong-secret@"] {
        let error = refusal(&Redis::from_url(&format!("redis://{login}{at}"))?).await;
        assert_eq!(error.kind(), ErrorKind::Denied, "{login} {error:?}");
        assert!(!format!("{error} {error:?}").contains("wrong-secret"));
    }
    let right = Redis::from_url(&format!("redis://:right@{at}"))?;
    Peer::new(&right, &[channel("rc.a.all")]).await;
    assert_eq!(refusal(&Redis::from_url(&format!("redis://:right@{at}/9999"))?).await.kind(), ErrorKind::Config);
    let nobody = Redis::from_url(&format!("redis://127.0.0.1:{}", free_port()))?;
    assert_eq!(refusal(&nobody).await.kind(), ErrorKind::Unavailable);
    let nowhere = Redis::from_url("redis://no-such-host.invalid")?;
    assert_eq!(refusal(&nowhere).await.kind(), ErrorKind::Unavailable);
    #[cfg(not(feature = "tls"))]
    assert_eq!(Redis::from_url("rediss://host").expect_err("no TLS").kind(), ErrorKind::Config);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_access_rules_refuse_is_denied() -> Test {
    let server = Server::start().await;
    server.ask("ACL SETUSER app on >pw resetchannels &rc.shop.* +@all");
    let redis = Redis::from_url(&format!("redis://app:pw@127.0.0.1:{}", server.port))?;
    let (own, other) = (channel("rc.shop.all"), channel("rc.other.all"));
    let mut peer = Peer::new(&redis, from_ref(&own)).await;
    assert_eq!(peer.backend.subscribe(from_ref(&other)).await.expect_err("denied").kind(), ErrorKind::Denied);
    let batch = [message(&own, "before"), message(&other, "denied"), message(&own, "after")];
    let refused = peer.backend.publish(&batch).await;
    assert!(matches!(refused, Err(PublishError::Refused { index: 1, kind: ErrorKind::Denied })), "{refused:?}");
    assert_eq!(peer.frame().await.1, "before");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rights_that_the_documentation_names_are_enough() -> Test {
    let server = Server::start().await;
    let rights = "+publish +subscribe +unsubscribe +ping +hello +client +quit";
    server.ask(&format!("ACL SETUSER plain on >pw resetchannels &rc.* -@all {rights}"));
    let rights = "+spublish +ssubscribe +sunsubscribe +ping +hello +client +quit";
    server.ask(&format!("ACL SETUSER sharded on >pw resetchannels &{{shop}}rc.* -@all {rights}"));
    let all = channel("rc.shop.all");
    for (user, options) in [("plain", ""), ("sharded", "?mode=sharded&tag=shop")] {
        let redis = Redis::from_url(&format!("redis://{user}:pw@127.0.0.1:{}{options}", server.port))?;
        let (mut one, mut two) = (Peer::new(&redis, from_ref(&all)).await, Peer::new(&redis, from_ref(&all)).await);
        talk(&mut one, &mut two, &all).await;
        one.backend.unsubscribe(from_ref(&all)).await?;
        one.backend.close().await?;
    }
    Ok(())
}

#[test]
fn secrets_are_not_shown() -> Test {
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

fn redis_client(url: &str) -> Result<adapter_redis::redis::Client, adapter_redis::redis::RedisError> {
    adapter_redis::redis::Client::open(url)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_existing_client_is_taken_over() -> Test {
    let server = Server::with(&["--requirepass", "right"]).await;
    let redis = Redis::from_client(&redis_client(&format!("redis://:right@127.0.0.1:{}/2", server.port))?)?;
    let all = channel("rc.shop.all");
    let (mut one, mut two) = (Peer::new(&redis, from_ref(&all)).await, Peer::new(&redis, from_ref(&all)).await);
    talk(&mut one, &mut two, &all).await;
    let unix = Redis::from_client(&redis_client("redis+unix:///tmp/x")?);
    assert_eq!(unix.expect_err("no socket").kind(), ErrorKind::Config);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_up_to_the_limit_pass_and_larger_ones_are_refused() -> Test {
    // The smallest limits that an operator can set.
    let limits = ["--proto-max-bulk-len", "1mb", "--client-query-buffer-limit", "1mb"];
    let server = Server::with(&limits).await;
    let all = channel("rc.shop.all");
    let mut peer = Peer::new(&server.backend(), from_ref(&all)).await;
    let most = peer.backend.limits().max_frame;
    let sizes = [0, 1, 4095, 4096, 65_535, 65_536, most - 1, most];
    let batch: Vec<_> = sizes.iter().map(|size| message(&all, vec![b'\r'; *size])).collect();
    peer.backend.publish(&batch).await?;
    for size in sizes {
        assert_eq!(peer.frame().await.1, vec![b'\r'; size]);
    }
    let batch = [message(&all, "before"), message(&all, vec![0; most + 1]), message(&all, "after")];
    let refused = peer.backend.publish(&batch).await;
    assert!(matches!(refused, Err(PublishError::Refused { index: 1, kind: ErrorKind::TooLarge })), "{refused:?}");
    peer.backend.publish(&[message(&all, "fence")]).await?;
    assert_eq!(peer.frame().await.1, "before");
    assert_eq!(peer.frame().await.1, "fence");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_channels_survive_a_restart() -> Test {
    let mut server = Server::start().await;
    let channels: Vec<_> = (0..10_000).map(|number| channel(&format!("rc.shop.n.{number}"))).collect();
    let start = Instant::now();
    let mut peer = Peer::new(&server.backend(), &channels).await;
    told("10,000 channels subscribed to", start);
    server.kill().await;
    peer.down().await;
    server.start_again().await;
    let back = Instant::now();
    peer.up().await;
    told("10,000 channels subscribed to again", back);
    assert_eq!(server.ask("PUBSUB CHANNELS rc.shop.n.*").lines().count(), channels.len());
    for at in [0, 499, 500, 9999] {
        peer.backend.publish(&[message(&channels[at], "x")]).await?;
        assert_eq!(peer.frame().await.0, channels[at]);
    }
    peer.tap.wants().remove(&channels[1..]);
    peer.backend.unsubscribe(&channels[1..]).await?;
    assert_eq!(server.ask("PUBSUB CHANNELS rc.shop.n.*"), "rc.shop.n.0");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_inbox_pauses_the_socket_and_loses_nothing() -> Test {
    const COUNT: u32 = 20_000;
    let server = Server::start().await;
    let all = channel("rc.shop.all");
    let mut slow = Peer::try_new(&server.backend(), from_ref(&all), Tap::new(100, 1 << 20)).await?;
    let fast = Peer::new(&server.backend(), &[]).await;
    let batch: Vec<_> = (0..COUNT).map(|n| message(&all, n.to_be_bytes().repeat(50))).collect();
    for part in batch.chunks(500) {
        fast.backend.publish(part).await?; // 4 MB: more than the inbox, less than the server holds
    }
    tokio::time::sleep(Duration::from_secs(4)).await; // longer than a silent link lives
    for n in 0..COUNT {
        assert_eq!(slow.frame().await.1[..4], n.to_be_bytes());
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_lost_because_the_inbox_is_full_is_told() -> Test {
    let server = Server::with(&["--client-output-buffer-limit", "pubsub 1mb 1mb 1"]).await;
    let all = channel("rc.shop.all");
    let mut slow = Peer::try_new(&server.backend(), from_ref(&all), Tap::new(100, 1 << 20)).await?;
    let fast = Peer::new(&server.backend(), &[]).await;
    for n in 0..300u32 {
        let payload = n.to_be_bytes().repeat(16 << 10);
        fast.backend.publish(&[message(&all, payload)]).await?;
    }
    let mut frames = 0;
    let lost = Instant::now();
    while let Tapped::Frame(..) = slow.next().await {
        frames += 1;
    }
    assert!(frames < 300, "something was lost");
    told(&format!("{frames} of 300 came, then it was told"), lost);
    while !matches!(slow.next().await, Tapped::Up(_)) {}
    fast.backend.publish(&[message(&all, "fence")]).await?;
    assert_eq!(slow.frame().await.1, "fence");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_left_on_the_server() -> Test {
    let server = Server::start().await;
    let clients = || server.ask("CLIENT LIST").lines().filter(|line| line.contains("lib-name=roomcast")).count();
    let channels =
        || server.ask("PUBSUB CHANNELS").lines().count() + server.ask("PUBSUB SHARDCHANNELS").lines().count();
    for mode in [Mode::PubSub, Mode::sharded("shop")?] {
        let peer = Peer::new(&server.backend().mode(mode)?, &[channel("rc.shop.all")]).await;
        assert_eq!((clients(), channels()), (if lib_names(&server) { 2 } else { 0 }, 1));
        peer.backend.close().await?;
        // At once: the server has confirmed it.
        assert_eq!((clients(), channels()), (0, 0));
        assert_eq!(normal_clients(&server), 1, "redis-cli itself");
        peer.backend.close().await?;
        let late = peer.backend.publish(&[message(&channel("rc.shop.all"), "late")]).await;
        assert!(matches!(late, Err(PublishError::Unknown(_))));
    }
    // A node that is dropped without a word, and one whose connecting was given up.
    drop(Peer::new(&server.backend(), &[channel("rc.shop.all")]).await);
    let tap = Tap::new(1, 1);
    let redis = server.backend();
    let _ = tokio::time::timeout(Duration::from_micros(300), redis.connect(tap.inbox())).await;
    drop(tap);
    eventually("no connection is left", || normal_clients(&server) == 1).await;
    assert_eq!(channels(), 0);
    Ok(())
}

fn normal_clients(server: &Server) -> usize {
    server.ask("CLIENT LIST").lines().count()
}

/// Redis 7.2 knows names of libraries.
fn lib_names(server: &Server) -> bool {
    server.ask("CLIENT LIST").contains("lib-name")
}

#[tokio::test(flavor = "multi_thread")]
async fn sharded_pubsub_works_on_one_server_and_is_apart_from_plain() -> Test {
    let mut server = Server::start().await;
    let sharded = server.backend().mode(Mode::sharded("shop")?)?;
    let all = channel("rc.shop.all");
    let (mut one, mut two) = (Peer::new(&sharded, from_ref(&all)).await, Peer::new(&sharded, from_ref(&all)).await);
    let mut plain = Peer::new(&server.backend(), from_ref(&all)).await;
    talk(&mut one, &mut two, &all).await;
    assert_eq!(server.ask("PUBSUB SHARDCHANNELS"), "{shop}rc.shop.all");
    one.backend.unsubscribe(from_ref(&all)).await?;
    one.backend.subscribe(from_ref(&all)).await?;
    talk(&mut one, &mut two, &all).await;
    server.kill().await;
    for peer in [&mut one, &mut two, &mut plain] {
        peer.down().await;
    }
    server.start_again().await;
    for peer in [&mut one, &mut two, &mut plain] {
        peer.up().await;
    }
    talk(&mut one, &mut two, &all).await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_sharded_pubsub_is_refused_at_connecting() -> Test {
    let server = Server::with(&["--rename-command", "SUNSUBSCRIBE", "gone"]).await;
    let error = refusal(&server.backend().mode(Mode::sharded("shop")?)?).await;
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.to_string().contains("Redis 7"), "{error}");
    Ok(())
}
