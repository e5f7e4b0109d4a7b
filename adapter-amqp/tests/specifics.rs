//! What is particular to RabbitMQ and its client.
#![allow(clippy::unwrap_used, reason = "how a test fails")]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use roomcast_amqp::{Amqp, Credentials, Login};
use roomcast_conformance::broker::{Broker, recipes};
use roomcast_core::backend::{Outgoing, PublishError, Reason};
use roomcast_core::probe::Tapped;
use roomcast_core::{Cluster, ErrorKind, Hub};
use support::{Node, channel, ctl, eventually, on, own, queues, refusal, shared, token, vhost, with_tokens};

type Tested = Result<(), Box<dyn std::error::Error>>;

#[tokio::test(flavor = "multi_thread")]
async fn after_kill_and_restart_it_receives_again() -> Tested {
    let broker = own().await;
    let mut node = on(&broker.url(), "rc.a").await;
    for _ in 0..2 {
        broker.kill().await?;
        node.is_down("rc.a").await;
        broker.start_again().await?;
        node.is_back("rc.a").await;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_stands_still_is_noticed() -> Tested {
    let broker = own().await;
    let mut node = on(&broker.url(), "rc.a").await;
    broker.pause().await?;
    let reason = node.is_down("rc.a").await;
    assert!(reason.contains("silent"), "{reason}");
    broker.resume().await?;
    node.up().await;
    node.hears_itself("rc.a").await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_the_operator_closes_come_back() -> Tested {
    let (broker, url) = vhost("closed").await;
    let mut node = on(&url, "rc.a").await;
    ctl(broker, &["close_all_connections", "--vhost", "closed", "maintenance"]).await;
    let reason = node.comes_back("rc.a").await;
    assert!(reason.contains("maintenance"), "{reason}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_that_changes_is_taken_up() -> Tested {
    let (broker, _) = vhost("rotated").await;
    let file = tempfile::NamedTempFile::new()?;
    std::fs::write(file.path(), "one\n")?;
    ctl(broker, &["add_user", "rotating", "one"]).await;
    ctl(broker, &["set_permissions", "-p", "rotated", "rotating", ".*", ".*", ".*"]).await;
    let at = broker.addresses()[0];
    let mut node = on(&format!("amqp://rotating@{at}/rotated?password_file={}", file.path().display()), "rc.a").await;
    ctl(broker, &["change_password", "rotating", "two"]).await;
    ctl(broker, &["close_all_connections", "--vhost", "rotated", "rotation"]).await;
    assert_eq!(node.refused().await.0, ErrorKind::Denied);
    std::fs::write(file.path(), "two")?;
    node.is_back("rc.a").await;
    Ok(())
}

/// Tokens of some seconds, which the broker looks at again and again. One that it does not take costs the link.
#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_ends_is_renewed_on_the_connections_that_are_there() -> Tested {
    /// So often renewed, the first one has ended long before, and what the broker remembers of it as well (15 s).
    const RENEWALS: usize = 40;
    let broker = with_tokens().await;
    let (asked, wrong) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
    let credentials = Credentials::from_fn({
        let (asked, wrong) = (Arc::clone(&asked), Arc::clone(&wrong));
        move || {
            asked.fetch_add(1, Ordering::Relaxed);
            let token = token(Duration::from_secs(10));
            let token = if wrong.load(Ordering::Relaxed) { "wrong".to_owned() } else { token };
            async move { Ok(Login::new("app", token).valid_for(Duration::from_secs(1))) }
        }
    });
    let url = format!("amqp://{}", broker.addresses()[0]);
    let mut node = Node::on(Ok(Amqp::from_url(&url)?.credentials(credentials)), "rc.a").await;
    eventually("it is renewed often", async || {
        node.publish("rc.a", "meanwhile").await.unwrap();
        assert_eq!(node.frame().await, "meanwhile");
        asked.load(Ordering::Relaxed) > RENEWALS
    })
    .await;
    wrong.store(true, Ordering::Relaxed);
    let (reason, _) = node.down().await;
    assert!(reason.contains("secret was refused"), "{reason}");
    assert_eq!(node.refused().await.0, ErrorKind::Denied);
    wrong.store(false, Ordering::Relaxed);
    node.is_back("rc.a").await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_that_is_deleted_under_the_consumer_is_made_again() -> Tested {
    let (broker, url) = vhost("deleted").await;
    let mut node = on(&url, "rc.a").await;
    for kind in ["", ".lost"] {
        let names = queues(broker, "deleted", &["name"]).await;
        let name = names.iter().find(|name| name.ends_with(".lost") != kind.is_empty()).unwrap();
        // The command of that name does not touch exclusive queues.
        let delete = format!(
            "{{ok, Q}} = rabbit_amqqueue:lookup(rabbit_misc:r(<<\"deleted\">>, queue, <<\"{name}\">>)), \
             rabbit_amqqueue:delete(Q, false, false, <<\"operator\">>)."
        );
        ctl(broker, &["eval", &delete]).await;
        node.comes_back("rc.a").await;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exchange_that_is_deleted_is_made_again() -> Tested {
    let (broker, url) = vhost("exchange").await;
    let mut node = on(&url, "rc.a").await;
    let delete =
        "rabbit_exchange:delete(rabbit_misc:r(<<\"exchange\">>, exchange, <<\"roomcast\">>), false, <<\"operator\">>).";
    ctl(broker, &["eval", delete]).await;
    assert!(matches!(node.publish("rc.a", "lost").await, Err(PublishError::Unknown(_))));
    node.comes_back("rc.a").await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reset_makes_a_new_session() -> Tested {
    let mut node = on(&vhost("reset").await.1, "rc.a").await;
    node.backend.reset(Reason::from("for a test")).await;
    assert_eq!(node.comes_back("rc.a").await, "for a test");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn under_a_memory_alarm_nothing_is_taken_and_everything_is_delivered_afterwards() -> Tested {
    let broker = own().await;
    let sizes = [0, 1, 100];
    let asked = Arc::new(AtomicUsize::new(0));
    let credentials = Credentials::from_fn({
        let asked = Arc::clone(&asked);
        move || {
            asked.fetch_add(1, Ordering::Relaxed);
            async { Ok(Login::new("guest", "guest").valid_for(Duration::from_secs(1))) }
        }
    });
    let url = format!("amqp://{}", broker.addresses()[0]);
    let mut node = Node::on(Ok(Amqp::from_url(&url)?.credentials(credentials)), "rc.a").await;
    let hub = Hub::builder().queue(1000).build();
    let sender = Cluster::connect(Amqp::from_url(&broker.url())?).await?;
    let receiver = Cluster::connect(Amqp::from_url(&broker.url())?).await?;
    let (here, there) = (sender.namespace("/", Hub::new()).await?, receiver.namespace("/", hub.clone()).await?);
    let mut socket = hub.connect()?;
    eventually("they know each other", async || sender.nodes().len() == 2 && receiver.nodes().len() == 2).await;

    ctl(&broker, &["set_vm_memory_high_watermark", "0.00001"]).await;
    // The broker stops those that publish when they do; the first message may just get through.
    let blocked = async || matches!(node.publish("rc.a", "before").await, Err(PublishError::Unknown(_)));
    eventually("it takes nothing", blocked).await;
    let (reason, _) = node.down().await;
    assert!(reason.contains("memory"), "{reason}");
    let before = Instant::now();
    assert!(matches!(node.publish("rc.a", "before").await, Err(PublishError::Unknown(_))));
    println!("alarm: refused within {:?}", before.elapsed());
    // Receiving goes on, on a connection of its own.
    node.subscribe("rc.b").await;
    let logins = asked.load(Ordering::Relaxed);
    tokio::time::sleep(Duration::from_secs(2)).await; // the alarm lasts longer than the login
    assert_eq!(asked.load(Ordering::Relaxed), logins, "no login waits at a connection that the broker does not read");
    for n in 0..300 {
        here.emit(n.to_string()).await?;
    }
    ctl(&broker, &["set_vm_memory_high_watermark", "0.4"]).await;
    node.up().await;
    eventually("the login is renewed", async || asked.load(Ordering::Relaxed) > logins).await;
    for size in sizes {
        node.publish("rc.b", vec![7; size]).await?;
    }
    for size in sizes {
        loop {
            match node.next().await {
                Tapped::Frame(on, payload) if on == channel("rc.b") => {
                    assert_eq!(payload.len(), size);
                    break;
                }
                _ => {}
            }
        }
    }
    for n in 0..300 {
        let delivery = tokio::time::timeout(std::time::Duration::from_secs(30), socket.next()).await?;
        assert_eq!(delivery.expect("it is connected").packet.data, n.to_string());
    }
    assert_eq!(receiver.stats().lost, 0);
    drop(there);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_slow_is_bounded_on_both_sides_and_told() -> Tested {
    let (broker, url) = vhost("slow").await;
    let slow = Amqp::from_url(&url)?.prefetch(10).backlog_bytes(50 * 512);
    let mut slow = Node::with(&slow, 10).await?;
    slow.subscribe("rc.a").await;
    let sender = on(&url, "rc.b").await;
    let frames: Vec<_> = (0..2000).map(|n| Outgoing::new(channel("rc.a"), format!("{n}").into())).collect();
    for batch in frames.chunks(100) {
        sender.backend.publish(batch).await?;
    }
    // Ready on the broker, and sent to the node but not acknowledged.
    for line in queues(broker, "slow", &["messages_ready", "messages_unacknowledged"]).await {
        let counts: Vec<u32> = line.split_whitespace().map(|count| count.parse().unwrap()).collect();
        assert!(counts[0] <= 50 && counts[1] <= 10, "{counts:?}");
    }
    let (mut taken, mut downs, mut ups, mut last) = (0, 0, 0, -1);
    // Until everything that is left was taken, and it was told that this is all.
    while downs == 0 || ups < downs || last != 1999 {
        match slow.next().await {
            Tapped::Frame(_, payload) => {
                let n = std::str::from_utf8(&payload)?.parse()?;
                assert!(n > last, "{n} after {last}");
                (taken, last) = (taken + 1, n);
            }
            Tapped::Down(_) => downs += 1,
            Tapped::Up(_) => ups += 1,
            Tapped::Refused(..) => {}
        }
    }
    println!("slow: {taken} of 2000 taken, told {downs} times");
    assert!(taken < 200, "{taken}");
    sender.publish("rc.a", "marker").await?;
    slow.until("marker").await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_size_up_to_the_limit_passes_and_no_more() -> Tested {
    on(&vhost("sizes").await.1, "rc.a").await.keeps_its_limit("rc.a").await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_at_connecting_say_what_to_do() -> Tested {
    let broker = shared().await;
    let at = broker.addresses()[0];
    ctl(broker, &["add_user", "shop", "p@ss w:rd"]).await;
    ctl(broker, &["add_vhost", "orders"]).await;
    let url = format!("amqp://shop:p%40ss%20w%3Ard@{at}/orders");

    let wrong = refusal(&format!("amqp://shop:hunter2@{at}/orders")).await;
    assert_eq!(wrong.kind(), ErrorKind::Denied);
    assert!(!format!("{wrong} {wrong:?}").contains("hunter2"));
    let missing = refusal(&format!("amqp://guest:guest@{at}/nowhere")).await;
    assert_eq!(missing.kind(), ErrorKind::Config);
    assert!(missing.to_string().contains("add_vhost"), "{missing}");
    let closed = refusal(&url).await;
    assert_eq!(closed.kind(), ErrorKind::Denied);
    assert!(closed.to_string().contains("set_permissions"), "{closed}");

    // One of the three rights is missing, each in turn.
    for rights in [["^$", ".*", ".*"], [".*", "^roomcast\\.", ".*"], [".*", ".*", "^$"]] {
        ctl(broker, &[&["set_permissions", "-p", "orders", "shop"][..], &rights].concat()).await;
        let denied = refusal(&url).await;
        assert_eq!(denied.kind(), ErrorKind::Denied, "{rights:?} {denied:?}");
        assert!(denied.to_string().contains("\"^roomcast\""), "{denied}");
    }
    // What the text names is enough.
    ctl(broker, &["set_permissions", "-p", "orders", "shop", "^roomcast", "^roomcast", "^roomcast"]).await;
    on(&url, "rc.a").await.hears_itself("rc.a").await;

    let clash = "rabbit_exchange:declare(rabbit_misc:r(<<\"orders\">>, exchange, <<\"roomcast.other\">>), fanout, false, false, false, [], <<\"operator\">>).";
    ctl(broker, &["eval", clash]).await;
    let clash = refusal(&format!("{url}?exchange=roomcast.other")).await;
    assert_eq!(clash.kind(), ErrorKind::Config);
    assert!(clash.to_string().contains("roomcast.other") && clash.to_string().contains("option exchange"), "{clash}");

    assert_eq!(refusal("amqp://no-such-host.invalid").await.kind(), ErrorKind::Unavailable);
    #[cfg(not(feature = "tls"))]
    assert_eq!(Amqp::from_url("amqps://host").unwrap_err().kind(), ErrorKind::Config);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_right_that_is_taken_away_ends_the_link_until_it_is_back() -> Tested {
    let (broker, url) = vhost("rights").await;
    ctl(broker, &["add_user", "clerk", "pw"]).await;
    let all = ["set_permissions", "-p", "rights", "clerk", "^roomcast", "^roomcast", "^roomcast"];
    ctl(broker, &all).await;
    let url = url.replace("://", "://clerk:pw@");
    let mut node = on(&url, "rc.a").await;
    ctl(broker, &["set_permissions", "-p", "rights", "clerk", "^roomcast", "^roomcast\\.", "^roomcast"]).await;
    // The broker remembers for a while what a channel may do; a new one asks again.
    node.backend.reset(Reason::from("for a test")).await;
    node.down().await;
    ctl(broker, &all).await;
    node.up().await;
    node.hears_itself("rc.a").await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn longest_names_work() -> Tested {
    let (_, url) = vhost(&"v".repeat(255)).await;
    let url = format!("{url}?exchange={}", "x".repeat(200));
    let name = "c".repeat(63);
    on(&url, &name).await.hears_itself(&name).await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_ends_leaves_nothing() -> Tested {
    let (broker, url) = vhost("ends").await;
    let at = format!("amqp://guest:guest@{}/ends", broker.addresses()[0]);
    let watcher = lapin::Connection::connect(&at, lapin::ConnectionProperties::default()).await?;
    let channel = watcher.create_channel().await?;
    let tasks = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
    let before = tasks();
    // The client's heartbeat would sleep for half of that.
    let url = format!("{url}?heartbeat=600");
    let closed = on(&url, "rc.a").await;
    let name = queues(broker, "ends", &["name"]).await.into_iter().min().expect("its queue");
    let dropped = on(&url, "rc.a").await;
    assert_eq!(queues(broker, "ends", &["name"]).await.len(), 4);

    let began = Instant::now();
    closed.backend.close().await?;
    println!("close: {:?}", began.elapsed());
    // At once, so not by a command of the operator's: another connection's queue would be "locked".
    let passive = lapin::options::QueueDeclareOptions { passive: true, ..Default::default() };
    let gone = channel.queue_declare(name.into(), passive, Default::default()).await;
    assert!(gone.unwrap_err().to_string().contains("NOT_FOUND"));

    drop(dropped);
    eventually("no task is left", async || tasks() <= before).await;
    let none = async || queues(broker, "ends", &["name"]).await.is_empty();
    eventually("nothing is left of one that was dropped", none).await;
    watcher.close(200, "".into()).await?;
    let connected = async || ctl(broker, &["list_connections", "vhost"]).await.lines().any(|vhost| vhost == "ends");
    eventually("no connection is left", async || !connected().await).await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn closing_ends_whatever_the_broker_does() -> Tested {
    let broker = own().await;
    let (orphan, stuck) = (on(&broker.url(), "rc.a").await, on(&broker.url(), "rc.a").await);
    broker.pause().await?;
    stuck.backend.close().await?;
    assert!(matches!(stuck.publish("rc.a", "late").await, Err(PublishError::Unknown(_))));
    broker.kill().await?;
    orphan.backend.close().await?;
    assert_eq!(refusal(&broker.url()).await.kind(), ErrorKind::Unavailable, "an absent broker is an error at once");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_other_server_of_a_cluster_takes_over() -> Tested {
    let broker = Broker::start(&recipes::rabbitmq_cluster()).await?;
    let [first, second] = broker.addresses() else { panic!("two servers") };
    let there = format!("amqp://{second}");
    let two = on(&there, "rc.b").await;
    // Connected to the first: it is alone in the URL that was tried first.
    let mut one = on(&format!("amqp://{first},{first},{first}"), "rc.a").await;
    two.publish("rc.a", "across").await?;
    assert_eq!(one.frame().await, "across", "what was bound at one is known at the other");

    // Some nodes begin with the first, some with the second; those of the first move.
    let mut nodes = Vec::new();
    for _ in 0..6 {
        nodes.push(on(&broker.url(), "rc.a").await);
    }
    broker.kill_one(0).await?;
    one.down().await;
    for node in &mut nodes {
        // A node that was on the second server hears nothing of it.
        two.reaches(node, "rc.a").await;
        node.hears_itself("rc.a").await;
    }
    println!("cluster: all nodes receive again");
    broker.start_again().await?;
    one.up().await;
    two.publish("rc.a", "back").await?;
    one.until("back").await;
    Ok(())
}
