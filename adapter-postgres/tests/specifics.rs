//! What is particular to PostgreSQL and its client.
#![allow(clippy::unwrap_used, reason = "how a test fails")]

mod support;

use std::time::Duration;

use roomcast_core::backend::{Outgoing, PublishError, Reason};
use roomcast_core::{Cluster, ErrorKind, Hub};
use roomcast_postgres::Postgres;
use support::{Node, Tested, admin, channel, client, connect, on, postgres, refusal, refused, soon, until, url};

/// Ends one of the node's connections from the server's side.
async fn terminate(admin: &tokio_postgres::Client, which: &str) {
    let query = format!(
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name LIKE 'roomcast%' AND {which}"
    );
    assert_eq!(admin.query_one(&query, &[]).await.unwrap().get::<_, i64>(0), 1, "{which}");
}

#[tokio::test(flavor = "multi_thread")]
async fn either_connection_is_made_again_when_the_server_ends_it() -> Tested {
    let broker = postgres().await;
    let admin = admin(&broker).await;
    let mut node = on(&broker.url(), "rc.a").await;
    for _ in 0..3 {
        // What they said last tells them apart.
        for which in ["query LIKE '%pg_notif%'", "query NOT LIKE '%pg_notif%'"] {
            node.hears_itself("rc.a").await;
            until(
                &admin,
                &format!(
                    "SELECT count(*) = 1 FROM pg_stat_activity WHERE application_name LIKE 'roomcast%' AND {which}"
                ),
            )
            .await;
            terminate(&admin, which).await;
            node.comes_back("rc.a").await;
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reset_makes_new_connections() -> Tested {
    let broker = postgres().await;
    let mut node = on(&broker.url(), "rc.a").await;
    node.backend.reset(Reason::from("for a test")).await;
    node.comes_back("rc.a").await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listener_that_is_slow_holds_nobody_up_and_loses_nothing() -> Tested {
    const FRAMES: usize = 4_000;
    let broker = postgres().await;
    let mut slow = Node::with(&Postgres::from_url(&broker.url())?, 10).await?;
    slow.subscribe("rc.a").await;
    let mut quick = on(&broker.url(), "rc.a").await;
    let proxy = broker.proxy().await?;
    let mut silent = connect(&broker.url_through(&proxy)).await;
    let frame = |n: usize| [n.to_string().as_bytes(), &[b' '; 6000]].concat();
    for batch in 0..FRAMES / 100 {
        let frames = (0..100).map(|n| Outgoing::new(channel("rc.a"), frame(batch * 100 + n).into()));
        soon(quick.backend.publish(&frames.collect::<Vec<_>>())).await?;
    }
    for n in 0..FRAMES {
        assert_eq!(quick.frame().await, frame(n));
    }
    // For longer than a silent server is given: the pings know that it is we who do not read.
    quick.subscribe("rc.b").await;
    let meanwhile = async {
        loop {
            quick.publish("rc.b", "meanwhile").await.unwrap();
            assert_eq!(quick.frame().await, "meanwhile");
        }
    };
    tokio::select! {
        () = silent.outlasts_silence(&proxy) => {}
        () = meanwhile => {}
    }
    for n in 0..FRAMES {
        assert_eq!(slow.frame().await, frame(n));
    }
    slow.hears_itself("rc.a").await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_size_and_every_byte_arrives_and_one_byte_more_is_refused() -> Tested {
    let broker = postgres().await;
    let mut node = on(&broker.url(), "rc.a").await;
    let most = node.backend.limits().max_frame;
    assert_eq!(most, 6_940);
    for size in (0..300).chain(most - 40..=most) {
        let frames = [vec![0; size], vec![0xff; size], (0..size).map(|n| (n * 31 + n / 256) as u8).collect::<Vec<_>>()];
        let outgoing: Vec<_> =
            frames.iter().map(|frame| Outgoing::new(channel("rc.a"), frame.clone().into())).collect();
        node.backend.publish(&outgoing).await?;
        for frame in frames {
            assert_eq!(node.frame().await, frame, "{size} bytes");
        }
    }
    node.keeps_its_limit("rc.a").await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn equal_frames_of_one_batch_all_arrive_in_their_places() -> Tested {
    const FRAMES: usize = 20_000;
    let broker = postgres().await;
    let mut node = on(&broker.url(), "rc.a").await;
    let frame = |n: usize| if n % 10 == 9 { n.to_string() } else { "same".to_owned() };
    let frames: Vec<_> = (0..FRAMES).map(|n| Outgoing::new(channel("rc.a"), frame(n).into())).collect();
    node.backend.publish(&frames).await?;
    for n in 0..FRAMES {
        assert_eq!(node.frame().await, frame(n), "in place {n}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn names_are_neither_folded_nor_cut() -> Tested {
    let broker = postgres().await;
    let long = "x".repeat(62);
    let names = ["a", "A", "select", "1.2-3_4", &format!("{long}a"), &format!("{long}b"), &format!("{long}B")];
    let publisher = connect(&broker.url()).await;
    let mut nodes = Vec::new();
    for name in names {
        let node = on(&broker.url(), name).await;
        // The inbox takes whatever comes.
        node.tap.wants().add(&names.map(channel));
        nodes.push(node);
    }
    for end in ["one", "two"] {
        for name in names {
            publisher.publish(name, format!("{name} {end}")).await?;
        }
    }
    for (node, name) in nodes.iter_mut().zip(names) {
        assert_eq!(node.frame().await, format!("{name} one"));
        assert_eq!(node.frame().await, format!("{name} two"));
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_strangers_notification_is_one_counted_drop() -> Tested {
    let broker = postgres().await;
    let cluster = Cluster::builder().cluster("c").connect(Postgres::from_url(&broker.url())?).await?;
    let hub = Hub::new();
    let chat = cluster.namespace("/", hub.clone()).await?;
    let stranger = admin(&broker).await;
    // An id, a head and a packet that are not ours; parts of nothing, and that do not go on; a text that looks like a frame.
    let begun = "Pid\n0\n2\nYQ==";
    let texts = ["hello", "", "ü", "RC", "Fabc", begun, begun, "Eid\n{}\n[]", "Pid\n7\n9\nYQ==", "Pid\n0\n1\nYQ=="];
    for text in texts {
        stranger.execute("SELECT pg_notify('rc.c.all', $1)", &[&text]).await?;
        stranger.execute("SELECT pg_notify('another application', $1)", &[&text]).await?;
    }
    let mut socket = hub.connect()?;
    let fence = Postgres::from_url(&broker.url())?;
    let emitter = roomcast_core::Emitter::builder().cluster("c").connect(fence).await?;
    emitter.of("/")?.emit("fence").await?;
    assert_eq!(soon(socket.next()).await.expect("a packet").packet.data, "fence");
    assert_eq!(cluster.stats().malformed, texts.len() as u64);
    assert_eq!(chat.within("nowhere").count_sockets().await?.total(), 0);
    cluster.close().await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_have_their_kinds_and_say_what_to_do() -> Tested {
    let broker = postgres().await;
    let admin = admin(&broker).await;
    let script = "CREATE ROLE app LOGIN PASSWORD 'hunter2'; CREATE ROLE closed LOGIN; CREATE DATABASE shut;
         REVOKE CONNECT ON DATABASE shut FROM PUBLIC; REVOKE EXECUTE ON FUNCTION pg_notify(text, text) FROM PUBLIC;
         GRANT EXECUTE ON FUNCTION pg_notify(text, text) TO app";
    for statement in script.split(';') {
        admin.batch_execute(statement).await?;
    }
    // From now on `app` needs its password, and `nobody` may not connect at all.
    let file: String = admin.query_one("SELECT current_setting('hba_file')", &[]).await?.get(0);
    let rules =
        ["host all nobody 0.0.0.0/0 reject", "host all app 0.0.0.0/0 scram-sha-256", "host all all 0.0.0.0/0 trust"];
    let rules = rules.map(|rule| format!("('{rule}')")).join(", ");
    admin.batch_execute(&format!("COPY (VALUES {rules}) TO '{file}'")).await?;
    admin.execute("SELECT pg_reload_conf()", &[]).await?;
    soon(async { while refused(&url(&broker, "app", "/postgres")).await.is_ok() {} }).await;

    connect(&url(&broker, "app:hunter2", "/postgres")).await;
    let kind = |login: &'static str, rest: &'static str| {
        let url = url(&broker, login, rest);
        async move { refusal(&url).await.kind() }
    };
    assert_eq!(kind("app:hunter23", "/postgres").await, ErrorKind::Denied, "a wrong password");
    assert_eq!(kind("app", "/postgres").await, ErrorKind::Denied, "no password");
    assert_eq!(kind("nobody", "/postgres").await, ErrorKind::Denied, "not permitted");
    assert_eq!(kind("app:hunter2", "/shut").await, ErrorKind::Denied, "no CONNECT");
    let error = refusal(&url(&broker, "app:hunter2", "/missing")).await;
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.to_string().contains("create it"), "{error}");

    let closed = connect(&url(&broker, "closed", "/postgres")).await;
    let refused = closed.publish("rc.a", "x").await;
    assert!(matches!(refused, Err(PublishError::Refused { index: 0, kind: ErrorKind::Denied })), "{refused:?}");
    let error = Postgres::from_url(&url(&broker, "closed", "/postgres"))?.install().await.expect_err("no CREATE");
    assert_eq!(error.kind(), ErrorKind::Denied, "{error:?}");

    broker.kill().await?;
    assert_eq!(refusal(&broker.url()).await.kind(), ErrorKind::Unavailable);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_of_time_for_applications_are_none_for_nodes() -> Tested {
    let broker = postgres().await;
    let admin = admin(&broker).await;
    for limit in ["statement_timeout", "lock_timeout", "idle_session_timeout", "idle_in_transaction_session_timeout"] {
        admin.batch_execute(&format!("ALTER ROLE postgres SET {limit} = '300ms'")).await?;
    }
    let mut node = on(&broker.url(), "rc.a").await;
    let mut hears = async |text: &str| {
        node.publish("rc.a", text.to_owned()).await.unwrap();
        assert_eq!(node.frame().await, text);
    };
    hears("before").await;
    // Longer than a session of the role may be idle.
    let patient = client(&url(&broker, "postgres", "/postgres?options=-c%20statement_timeout%3D0")).await;
    patient.query_one("SELECT pg_sleep(0.7)", &[]).await?;
    hears("after").await; // on the same connections
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listener_that_is_frozen_is_let_go() -> Tested {
    let broker = postgres().await;
    let admin = admin(&broker).await;
    // The setting that is ours by default, shorter.
    let url = format!("{}/postgres?options=-c%20tcp_user_timeout%3D2000", broker.url());
    let frozen = Node::with(&Postgres::from_url(&url)?, 10).await?;
    frozen.subscribe("rc.a").await;
    let listeners = "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'roomcast%'";
    // It never reads; what its kernel takes is full at some time.
    let fill = "SELECT count(pg_notify('rc.a', n || repeat('x', 7000))) FROM generate_series(1, 5000) AS n";
    let until = tokio::time::Instant::now() + Duration::from_secs(60);
    while admin.query_one(listeners, &[]).await?.get::<_, i64>(0) > 1 {
        assert!(tokio::time::Instant::now() < until, "its connection stays");
        admin.batch_execute(fill).await?;
    }
    drop(frozen);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn closing_leaves_nothing_on_the_server_whatever_it_does() -> Tested {
    let broker = postgres().await;
    let admin = client(&url(&broker, "postgres", "/postgres")).await;
    let node = on(&broker.url(), "rc.a").await;
    node.backend.close().await?;
    assert!(matches!(node.publish("rc.a", "late").await, Err(PublishError::Unknown(_))));
    until(&admin, "SELECT count(*) = 0 FROM pg_stat_activity WHERE application_name LIKE 'roomcast%'").await;
    let orphan = on(&broker.url(), "rc.a").await;
    broker.kill().await?;
    soon(orphan.backend.close()).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_carry_the_name_of_their_node() -> Tested {
    let broker = postgres().await;
    let admin = admin(&broker).await;
    let cluster = Cluster::builder().node_name("web 1").connect(Postgres::from_url(&broker.url())?).await?;
    until(&admin, "SELECT count(*) = 2 FROM pg_stat_activity WHERE application_name = 'roomcast-web-1'").await;
    cluster.close().await?;
    Ok(())
}

/// Stands before the server's own function, and answers as that does when the state says so: a queue can be filled since release 17
/// alone, and a disk not everywhere.
const FULL: &str = "
CREATE SCHEMA full_server;
CREATE TABLE full_server.state (code text);
CREATE FUNCTION full_server.pg_notify(channel text, payload text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE state text := (SELECT code FROM full_server.state);
BEGIN
    IF state IS NOT NULL THEN RAISE 'full' USING ERRCODE = state; END IF;
    PERFORM pg_catalog.pg_notify(channel, payload);
END $$;";

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_full_keeps_its_links() -> Tested {
    let server = postgres().await;
    let admin = admin(&server).await;
    admin.batch_execute(FULL).await?;
    let mut node =
        on(&format!("{}/postgres?options=-csearch_path%3Dfull_server%2Cpg_catalog", server.url()), "rc.a").await;
    for (code, word) in [("54000", "a listener does not read"), ("53100", "disk is full")] {
        admin.execute("INSERT INTO full_server.state VALUES ($1)", &[&code]).await?;
        let refused = node.publish("rc.a", "lost").await.expect_err("it is full");
        assert!(matches!(&refused, PublishError::NotNow(error) if error.to_string().contains(word)), "{refused:?}");
        admin.execute("DELETE FROM full_server.state", &[]).await?;
        node.publish("rc.a", code).await?;
        assert_eq!(node.frame().await, code, "what comes next, on the same link");
    }
    Ok(())
}
