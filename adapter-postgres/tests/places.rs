//! Other places than one primary: a hot standby, several hosts, a pooler.
#![allow(clippy::unwrap_used, reason = "how a test fails")]

mod support;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use roomcast_conformance::Broker;
use roomcast_conformance::bare::{channel, prepared_by};
use roomcast_conformance::broker::{Launch, recipes};
use roomcast_core::ErrorKind;
use roomcast_core::backend::Outgoing;
use support::{Tested, connect, on, postgres, refusal, start_here, url};

#[tokio::test(flavor = "multi_thread")]
async fn a_hot_standby_is_refused_until_it_is_promoted() -> Tested {
    let primary = start_here(&recipes::postgres()).await;
    let from = primary.url();
    let copy = ["pg_basebackup", "-d", &from, "-U", "postgres", "-D", "{folder}/data", "-R", "-c", "fast"];
    let unprepared = recipes::postgres().named("standby").with_program(Launch::unprepared);
    let standby = start_here(&prepared_by(unprepared, &copy)).await;
    let error = refusal(&standby.url()).await;
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.to_string().contains("hot standby") && error.to_string().contains("primary"), "{error}");
    let only = format!("{}/postgres?target_session_attrs=read-write", standby.url());
    assert_eq!(refusal(&only).await.kind(), ErrorKind::Unavailable);
    let publish = format!("{}/postgres?publish_url={}/postgres", primary.url(), standby.url());
    assert!(refusal(&publish).await.to_string().contains("hot standby"));

    // With both named, the one that can is found; when it dies and the other is promoted, that one.
    let (one, two) = (standby.addresses()[0], primary.addresses()[0]);
    let mut node = on(&format!("postgres://{one},{two}/postgres"), "rc.a").await;
    node.hears_itself("rc.a").await;
    primary.kill().await?;
    node.is_down("rc.a").await;
    support::admin(&standby).await.execute("SELECT pg_promote()", &[]).await?;
    node.is_back("rc.a").await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn either_connection_is_given_up_when_it_is_half_open() -> Tested {
    let broker = postgres().await;
    let proxy = broker.proxy().await?;
    let (direct, through) = (format!("{}/postgres", broker.url()), format!("postgres://{}/postgres", proxy.address()));
    for (listen, publish) in [(&through, &direct), (&direct, &through)] {
        // No core above that would notice by itself.
        let mut node = on(&format!("{listen}?publish_url={publish}"), "rc.a").await;
        proxy.black_hole();
        // As the core has it: what is published is given up after two seconds, which says nothing of the server's life.
        let backend = Arc::clone(&node.backend);
        let publishing = async {
            loop {
                let beat = [Outgoing::new(channel("rc.b"), "beat".into())];
                let _ = tokio::time::timeout(Duration::from_secs(2), backend.publish(&beat)).await;
            }
        };
        tokio::select! {
            _ = node.comes_back("rc.a") => {}
            () = publishing => {}
        }
        node.backend.close().await?;
    }
    Ok(())
}

/// Each transaction, or each session, on whatever connection to the server is free.
const PGBOUNCER: &str = "
[databases]
postgres = host=127.0.0.1 port=PORT
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = trust
auth_file = users
pool_mode = MODE
default_pool_size = SIZE
";

/// PgBouncer before this server, in this mode, with so many connections to it.
async fn pooler(server: &Broker, mode: &str, connections: usize) -> Broker {
    let settings = PGBOUNCER.replace("PORT", &server.addresses()[0].port().to_string()).replace("MODE", mode);
    let program = Launch::new("pgbouncer")
        .file("ini", settings.replace("SIZE", &connections.to_string()))
        .file("users", "\"postgres\" \"\"")
        .args(["{folder}/ini"])
        .user("postgres")
        .stop("INT");
    start_here(&recipes::postgres().named("pgbouncer").program(program)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pooler_by_transaction_is_told_from_the_server() -> Tested {
    let server = start_here(&recipes::postgres()).await;
    for (mode, expected) in [(None, None), (Some("session"), None), (Some("transaction"), Some("transaction_pooler"))] {
        let pooler = match mode {
            Some(mode) => Some(pooler(&server, mode, 3).await),
            None => None,
        };
        let node = connect(&url(pooler.as_ref().unwrap_or(&server), "postgres", "/postgres")).await;
        let described = node.backend.describe().await?;
        let seen = described.advice.iter().map(|advice| advice.cause).find(|cause| cause.contains("pooler"));
        assert_eq!(seen, expected, "{mode:?}: {described:?}");
        assert!(described.broker.is_some_and(|broker| broker.product == "PostgreSQL") && described.unknown.is_empty());
        node.backend.close().await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_published_may_go_through_a_pooler() -> Tested {
    let server = start_here(&recipes::postgres()).await;
    let pooler = pooler(&server, "transaction", 3).await;
    let through = url(&pooler, "postgres", "/postgres");
    let with = format!("{}/postgres?publish_url={}", server.url(), through);
    let mut node = on(&with, "rc.a").await;
    let others: Vec<_> = [connect(&with).await, connect(&with).await].into_iter().collect();
    for n in 0..300 {
        node.publish("rc.a", n.to_string()).await?;
        assert_eq!(node.frame().await, n.to_string());
        others[n % 2].publish("rc.b", "unheard").await?;
    }
    // The pooler is half of the link.
    pooler.kill().await?;
    node.is_down("rc.a").await;
    pooler.start_again().await?;
    node.is_back("rc.a").await;
    Ok(())
}

/// The pooler has one connection to the server. It must not give it to another client while one is in the middle of a message.
#[tokio::test(flavor = "multi_thread")]
async fn a_slow_publisher_does_not_spoil_the_poolers_connections() -> Tested {
    const LARGE: usize = 150;
    let server = start_here(&recipes::postgres()).await;
    let pooler = pooler(&server, "transaction", 1).await;
    let proxy = pooler.proxy().await?;
    let with = |at: SocketAddr| format!("{}/postgres?publish_url=postgres://postgres@{at}/postgres", server.url());
    let mut node = on(&with(pooler.addresses()[0]), "rc.b").await;
    let mut slow = on(&with(proxy.address()), "rc.a").await;
    let frame = |n: usize| Outgoing::new(channel("rc.a"), vec![n as u8; 6_000].into());
    let large: Vec<_> = (0..LARGE).map(frame).collect();
    // A second for all of it: half of it is on its way when what was asked before is answered.
    proxy.throttle(Some(1 << 20));
    for _ in 0..3 {
        let small = [Outgoing::new(channel("rc.a"), "small".into())];
        let (before, half_way) = tokio::join!(slow.backend.publish(&small), slow.backend.publish(&large));
        before?;
        half_way?;
        node.publish("rc.b", "another's").await?;
        assert_eq!(node.frame().await, "another's");
        assert_eq!(slow.frame().await, "small");
        for n in 0..LARGE {
            assert_eq!(slow.frame().await, frame(n).payload);
        }
    }
    Ok(())
}
