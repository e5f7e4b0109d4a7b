//! What is particular to NATS and its client.
#![allow(clippy::unwrap_used, reason = "how a test fails")]

mod support;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use roomcast_conformance::bare::{self, eventually, tries, with_arguments};
use roomcast_conformance::{Broker, recipes};
use roomcast_core::ErrorKind;
use roomcast_core::backend::{Outgoing, PublishError, Reason};
use roomcast_core::probe::Tapped;
use roomcast_nats::{Credentials, Login, Nats};
use support::{Node, Server, certificates, channel, connect, nats, on};

type Tested = Result<(), Box<dyn std::error::Error>>;

/// The kind of the refusal.
async fn refusal(url: &str) -> ErrorKind {
    bare::refusal(&Nats::from_url(url).unwrap()).await.kind()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_published_after_subscribing_is_received() -> Tested {
    let server = nats().await;
    let mut receiver = connect(&server.url()).await;
    let sender = connect(&server.url()).await;
    for round in 0..300 {
        let name = format!("rc.round.{round}");
        receiver.subscribe(&name).await;
        sender.publish(&name, name.clone()).await?;
        assert_eq!(receiver.frame().await, name);
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_curious_subscriber_to_everything_holds_nothing_up() -> Tested {
    let server = nats().await;
    let curious = roomcast_nats::async_nats::connect(server.url()).await?;
    let _everything = curious.subscribe(">").await?;
    curious.flush().await?;
    let mut node = on(&server.url(), "rc.a").await;
    node.publish("rc.a", "1").await?;
    assert_eq!(node.frame().await, "1");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn after_kill_and_restart_it_receives_again() -> Tested {
    let server = nats().await;
    let proxy = server.proxy().await?;
    let mut node = on(&server.url_through(&proxy), "rc.a").await;
    for _ in 0..3 {
        server.kill().await?;
        node.is_down("rc.a").await;
        tries(&proxy, 6).await; // the pauses between them reach their longest
        server.start_again().await?;
        node.is_back("rc.a").await;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_stands_still_is_noticed() -> Tested {
    let server = nats().await;
    let proxy = server.proxy().await?;
    let mut node = on(&server.url_through(&proxy), "rc.a").await;
    server.pause().await?;
    node.is_down("rc.a").await;
    tries(&proxy, 2).await; // the one before the last has run into its timeout
    server.resume().await?;
    node.up().await;
    // What the stopped server had in its buffers may come now, by design: "any may have been sent".
    node.hears_itself("rc.a").await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reset_makes_a_new_connection() -> Tested {
    let server = nats().await;
    let mut node = on(&server.url(), "rc.a").await;
    node.backend.reset(Reason::from("for a test")).await;
    assert_eq!(node.comes_back("rc.a").await, "for a test");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_that_changes_is_taken_up() -> Tested {
    let allow = |password: &str| format!("authorization {{ user: web, password: {password} }}");
    let server = Server::start(&allow("one")).await;
    let file = server.folder().join("password");
    std::fs::write(&file, "one\n")?;
    let at = server.addresses()[0];
    let mut node = on(&format!("nats://web@{at}?password_file={}", file.display()), "rc.a").await;
    server.reload(&allow("two")).await;
    assert_eq!(node.refused().await.0, ErrorKind::Denied);
    std::fs::write(&file, "two")?;
    node.is_back("rc.a").await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_changes_is_taken_up() -> Tested {
    let allow = |token: &str| format!("authorization {{ token: {token} }}");
    let server = Server::start(&allow("one")).await;
    let now = Arc::new(Mutex::new("one"));
    let asked = Arc::clone(&now);
    let credentials = Credentials::from_fn(move || {
        let token = (*asked.lock().unwrap()).to_owned();
        async move { Ok(Login::token(token)) }
    });
    let url = format!("nats://{}", server.addresses()[0]);
    let mut node = Node::on(Ok(Nats::from_url(&url)?.credentials(credentials)), "rc.a").await;
    *now.lock().unwrap() = "two";
    server.reload(&allow("two")).await;
    node.comes_back("rc.a").await;
    Ok(())
}

/// A login of a short time, and the server ends the connections of the one before it: by then there are others.
#[tokio::test(flavor = "multi_thread")]
async fn before_a_login_ends_there_is_a_connection_with_the_next() -> Tested {
    let allow = |users: &str| format!("authorization {{ users: [ {users} ] }}");
    let (one, two) = ("{ user: one, password: right }", "{ user: two, password: right }");
    let server = Server::start(&allow(&format!("{one}, {two}"))).await;
    let at = server.addresses()[0];
    let next = Arc::new(Mutex::new("one"));
    let asked = Arc::clone(&next);
    let credentials = Credentials::from_fn(move || {
        let user = *asked.lock().unwrap();
        async move { Ok(Login::new(user, "right").valid_for(Duration::from_secs(1))) }
    });
    let mut node = Node::on(Ok(Nats::from_url(&format!("nats://{at}"))?.credentials(credentials)), "rc.a").await;
    let other = connect(&format!("nats://two:right@{at}")).await;
    *next.lock().unwrap() = "two";
    let mut ups = 0;
    let mut hears = async |text: String| {
        other.publish("rc.a", text.clone()).await.unwrap();
        loop {
            match node.next().await {
                Tapped::Frame(_, payload) if payload == text => return ups,
                Tapped::Frame(..) => {} // on both connections
                Tapped::Up(_) => ups += 1,
                other => panic!("{other:?}"),
            }
        }
    };
    let mut numbers = 0..;
    eventually("the next one is there, and the one before is gone", async || {
        hears(format!("{:?}", numbers.next())).await >= 2
    })
    .await;
    server.reload(&allow(two)).await;
    for n in 0..10 {
        hears(format!("after {n}")).await;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_limits_are_those_of_the_current_server() -> Tested {
    let server = Server::start("max_payload: 4096").await;
    let mut node = on(&server.url(), "rc.a").await;
    assert_eq!(node.backend.limits().max_frame, 4096);
    server.again("max_payload: 2048").await;
    assert_eq!(node.up().await.0.max_frame, 2048);
    assert_eq!(node.backend.limits().max_frame, 2048);
    node.keeps_its_limit("rc.a").await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn large_messages_that_wait_are_bounded_in_bytes_and_their_loss_is_told() -> Tested {
    const SIZE: usize = 512 << 10;
    let server = nats().await;
    // The inbox takes one, and two more wait.
    let mut slow = Node::with(&Nats::from_url(&format!("{}?max_bytes=1100000", server.url()))?, 1).await?;
    slow.subscribe("rc.a").await;
    let sender = connect(&server.url()).await;
    for n in 0..40 {
        sender.publish("rc.a", vec![n; SIZE]).await?;
    }
    let (mut taken, mut downs) = (Vec::new(), 0);
    loop {
        match slow.next().await {
            Tapped::Frame(_, payload) => taken.push(payload[0]),
            Tapped::Down(_) => downs += 1,
            Tapped::Up(_) | Tapped::Refused(..) => break,
        }
    }
    assert!(downs > 0 && taken.len() < 40 && taken.is_sorted(), "{downs} times told, {taken:?} of 40 taken");
    // Nothing is left behind, and the connection is the same one. What still waits comes before the marker.
    sender.publish("rc.a", "marker").await?;
    slow.until("marker").await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn logins_are_checked() -> Tested {
    let password = Server::start("authorization { user: shop, password: \"p@ss w:rd\" }").await;
    let at = password.addresses()[0];
    connect(&format!("nats://shop:p%40ss%20w%3Ard@{at}")).await;
    assert_eq!(refusal(&format!("nats://shop:secret@{at}")).await, ErrorKind::Denied);
    assert_eq!(refusal(&format!("nats://{at}")).await, ErrorKind::Denied);

    let token = Server::start("authorization { token: t0ken }").await;
    connect(&format!("nats://t0ken@{}", token.addresses()[0])).await;
    assert_eq!(refusal(&format!("nats://other@{}", token.addresses()[0])).await, ErrorKind::Denied);

    // The example keys of the NATS documentation.
    let nkey =
        Server::start("authorization { users: [{ nkey: UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4 }] }")
            .await;
    let seed = nkey.folder().join("seed");
    std::fs::write(&seed, "SUACSSL3UAHUDXKFSNVUZRF5UHPMWZ6BFDTJ7M6USDXIEDNPPQYYYCU3VY\n")?;
    let url = nkey.url();
    connect(&format!("{url}?nkey={}", seed.display())).await;
    assert_eq!(refusal(&url).await, ErrorKind::Denied);
    assert_eq!(refusal(&format!("{url}?nkey=/nowhere")).await, ErrorKind::Config);
    assert_eq!(refusal(&format!("{url}?creds={}", seed.display())).await, ErrorKind::Config);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_with_an_authority_and_a_certificate_of_our_own() -> Tested {
    let server = Server::start("").await;
    certificates(server.folder());
    let at = server.folder().display().to_string();
    let plain = format!("tls {{ cert_file: {at}/server.pem, key_file: {at}/server.key }}");
    server.again(&plain).await;
    let url = format!("tls://{}", server.addresses()[0]);
    let with_ca = format!("{url}?ca={at}/ca.pem");
    let mut node = on(&with_ca, "rc.a").await;
    node.hears_itself("rc.a").await;
    assert_eq!(refusal(&url).await, ErrorKind::Config, "an authority that nobody knows");
    // Some are refused as they stand, some when they are read.
    let refused = async |query: &str| match Nats::from_url(&format!("{url}?{query}")) {
        Ok(nats) => bare::refusal(&nats).await,
        Err(error) => error,
    };
    bare::odd_files_are_refused(["ca", "cert", "key"], refused).await;

    server.again(&plain.replace('}', &format!(", ca_file: {at}/ca.pem, verify: true }}"))).await;
    assert_eq!(refusal(&with_ca).await, ErrorKind::Denied, "the server asks for a certificate");
    let with_certificate = format!("{with_ca}&cert={at}/client.pem&key={at}/client.key");
    let mut node = on(&with_certificate, "rc.a").await;
    server.pause().await?;
    node.backend.reset(Reason::from("for a test")).await;
    node.down().await;
    server.resume().await?;
    node.up().await;
    node.hears_itself("rc.a").await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_absent_server_is_an_error_at_once() -> Tested {
    let server = nats().await;
    server.kill().await?;
    assert_eq!(refusal(&server.url()).await, ErrorKind::Unavailable);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_server_does_not_permit_is_denied() -> Tested {
    let rules = |subscribe: &str| {
        format!(
            "authorization {{ users: [{{ user: a, password: b, permissions: {{
                publish: [\"rc.sync.>\", \"rc.yes\"], subscribe: [\"rc.sync.>\", {subscribe}] }} }}] }}"
        )
    };
    let server = Server::start(&rules("\"rc.yes\"")).await;
    let mut node = on(&format!("nats://a:b@{}", server.addresses()[0]), "rc.yes").await;
    // A refusal may come after the confirmation, on its own path inside the client; then it is known.
    eventually("the subscription is refused", async || {
        let no = node.backend.subscribe(&[channel("rc.no")]).await;
        no.is_err_and(|error| error.kind() == ErrorKind::Denied)
    })
    .await;

    let frames = ["rc.yes", "rc.no", "rc.yes"].map(|name| Outgoing::new(channel(name), name.into()));
    eventually("the refusal is known", async || node.backend.publish(&frames[1..2]).await.is_err()).await;
    let refused = node.backend.publish(&frames).await;
    assert!(matches!(refused, Err(PublishError::Refused { index: 1, kind: ErrorKind::Denied })), "{refused:?}");
    node.publish("rc.yes", "marker").await?;
    assert_eq!((node.frame().await, node.frame().await), ("rc.yes".into(), "marker".into()));

    // Taken away while it runs: the link is down until it is permitted again.
    server.reload(&rules("\"rc.other\"")).await;
    node.down().await;
    server.reload(&rules("\"rc.yes\"")).await;
    node.is_back("rc.yes").await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_other_servers_of_a_cluster_take_over() -> Tested {
    let servers = Broker::start(&recipes::nats_cluster()).await?;
    let [first, second, _] = servers.addresses() else { panic!("three servers") };
    // Each node knows one server by its URL, and the others from that one.
    let mut one = on(&servers.url_at(*first), "rc.a").await;
    let two = on(&servers.url_at(*second), "rc.b").await;
    // Interest travels between servers: the first message that arrives says that it has.
    two.reaches(&mut one, "rc.a").await;
    servers.kill_one(0).await?;
    one.down().await;
    let (_, restored) = one.up().await;
    println!("cluster: up on another server after {restored:?}");
    two.reaches(&mut one, "rc.a").await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_announces_its_shutdown_is_left_without_an_outage() -> Tested {
    let servers = Broker::start_here(&with_arguments(recipes::nats_cluster(), &["--pid", "{folder}/pid"])).await?;
    let [first, second, _] = servers.addresses() else { panic!("three servers") };
    let mut one = on(&servers.url_at(*first), "rc.a").await;
    let two = on(&servers.url_at(*second), "rc.b").await;
    two.reaches(&mut one, "rc.a").await;
    let publish = async {
        for n in 0.. {
            two.publish("rc.a", format!("{n}")).await.unwrap();
        }
    };
    let listen = async {
        let (mut seen, mut ups, mut moved, mut newest) = (BTreeSet::<u32>::new(), 0, None, 0);
        servers.run(0, &["nats-server", "--signal", "ldm=pid"]).await.unwrap();
        // For a while after it has moved, of which the server is gone for the last part.
        while moved.is_none_or(|at| newest < at + 2_000) {
            match one.next().await {
                Tapped::Frame(_, payload) => {
                    newest = std::str::from_utf8(&payload).unwrap().parse().unwrap();
                    seen.insert(newest);
                }
                // It has gone over, and then it has left: the server may go, too.
                Tapped::Up(_) => {
                    ups += 1;
                    if ups == 2 {
                        moved = Some(newest);
                        servers.kill_one(0).await.unwrap();
                    }
                }
                other => panic!("{other:?}"),
            }
        }
        seen
    };
    let seen = tokio::select! {
        seen = listen => seen,
        () = publish => unreachable!("it goes on"),
    };
    let newest = seen.last().copied().unwrap();
    let missed = (0..newest).filter(|n| !seen.contains(n)).count();
    println!("{newest} published, {missed} not received meanwhile");
    assert_eq!(missed, 0);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn closing_ends_the_connection_whatever_the_server_does() -> Tested {
    let server = nats().await;
    let watcher = roomcast_nats::async_nats::connect(server.url()).await?;
    let node = on(&server.url(), "rc.a").await;
    let began = Instant::now();
    node.backend.close().await?;
    println!("close: {:?}", began.elapsed());
    assert!(matches!(node.publish("rc.a", "late").await, Err(PublishError::Unknown(_))));
    // Nobody is subscribed any more.
    watcher.request("rc.a", "anybody?".into()).await.expect_err("no responder");

    let orphan = on(&server.url(), "rc.a").await;
    server.kill().await?;
    orphan.backend.close().await?;
    Ok(())
}
