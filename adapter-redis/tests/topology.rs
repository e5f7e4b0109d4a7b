//! Redis Cluster, Sentinel and replicas: the server that is the right one now is found, and no other is used.

mod support;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use roomcast_core::{Cluster, ErrorKind, Event};
use roomcast_redis::Redis;
use support::{
    ALL, Broker, Node, Tested, ask, ask_one, cluster, cluster_by_ports, cluster_server, eventually, on, pair, port,
    redis, refusal, sentinel, sentinel_with, settle, talk, told, with,
};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

fn url(servers: &Broker) -> String {
    servers.url().replace("redis://", "redis+cluster://")
}

/// Which of the servers carries the channel.
async fn owner(servers: &Broker) -> Option<usize> {
    for server in 0..servers.addresses().len() {
        if !ask_one(servers, server, "PUBSUB SHARDCHANNELS").await.is_empty() {
            return Some(server);
        }
    }
    None
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slot_that_moves_under_load_is_followed() -> Tested {
    let servers = cluster().await;
    let mut one = on(&url(&servers)).await;
    // One that knows a single server, and is sent on by it.
    let mut two = on(&format!("redis+cluster://{}", servers.addresses()[0])).await;
    talk(&mut one, &mut two).await;

    let publisher = Node::connect(Redis::from_url(&url(&servers))).await;
    let load = tokio::spawn(async move {
        let mut pace = tokio::time::interval(Duration::from_millis(1));
        loop {
            pace.tick().await;
            let _ = publisher.publish(ALL, "load").await;
        }
    });
    let slot = servers.slot_of("{roomcast}x").await?;
    let from = servers.slot_owner(slot).await?;
    let to = (from + 1) % 3;
    assert_eq!(owner(&servers).await, Some(from));
    let moved = Instant::now();
    servers.migrate_slot(slot, from, to).await?;
    one.up().await;
    two.up().await;
    told("a moved slot followed", moved);
    settle(&mut one, &mut two).await;
    load.abort();
    assert_eq!(owner(&servers).await, Some(to));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_that_tell_ports_alone_are_at_the_host_of_the_url() -> Tested {
    let servers = cluster_by_ports().await;
    // Whichever is asked sends on to the owner, or is it.
    for server in servers.addresses() {
        on(&format!("redis+cluster://{server}")).await.hears_itself(ALL).await;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_takes_over_is_followed() -> Tested {
    let servers = cluster().await;
    let (mut one, mut two) = pair(&url(&servers)).await;
    let owner = owner(&servers).await.expect("one of them");
    let master = ask_one(&servers, owner, "CLUSTER MYID").await;
    let replica = cluster_server().await;
    let (new, known) = (replica.addresses()[0].to_string(), servers.addresses()[owner].to_string());
    let join = ["redis-cli", "--cluster", "add-node", &new, &known, "--cluster-slave", "--cluster-master-id", &master];
    let made = replica.run(0, &join).await?;
    assert!(made.contains("New node added correctly"), "{made}");
    follows(&replica).await;
    // One that knows only the replica uses the master.
    let lone = on(&url(&replica)).await;
    assert_eq!(ask(&replica, "PUBSUB SHARDCHANNELS").await, "");
    lone.backend.close().await?;
    let killed = Instant::now();
    servers.kill_one(owner).await?;
    one.down().await;
    two.down().await;
    eventually("the replica has taken over", async || ask(&replica, "ROLE").await.starts_with("master")).await;
    told("the cluster's own failover", killed);
    let promoted = Instant::now();
    settle(&mut one, &mut two).await;
    told("heard after the failover", promoted);
    Ok(())
}

async fn follows(replica: &Broker) {
    let link = async || ask(replica, "INFO replication").await.contains("master_link_status:up");
    eventually("the replica follows", link).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_whose_servers_restart_is_found_again() -> Tested {
    let servers = cluster().await;
    let (mut one, mut two) = pair(&servers.url()).await;
    servers.kill().await?;
    one.down().await;
    two.down().await;
    servers.start_again().await?;
    let back = Instant::now();
    settle(&mut one, &mut two).await;
    told("heard after the whole cluster restarted", back);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_of_the_wrong_kind_are_refused() -> Tested {
    let config = async |url: &str| {
        let error = refusal(url).await;
        assert_eq!(error.kind(), ErrorKind::Config, "{error:?}");
        error.to_string()
    };
    let (one, two) = (redis().await, redis().await);
    let lone = config(&one.url_at_all(&[one.addresses()[0], two.addresses()[0]])).await;
    assert!(lone.contains("not part of a Redis Cluster"), "{lone}");
    let servers = cluster().await;
    let mut told = 0;
    for server in servers.addresses() {
        // The owner of the slot serves it, the others send away.
        let redis = Redis::from_url(&format!("redis://{server}?mode=sharded"))?;
        told += usize::from(Node::with(&redis, 1).await.is_err());
    }
    assert_eq!(told, 2);
    let sentinel = sentinel(&one).await;
    assert!(config(&format!("redis+sentinel://{}/other", sentinel.addresses()[0])).await.contains("service"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_master_that_the_sentinels_replace_is_followed() -> Tested {
    let master = redis().await;
    // A master in a container sees its replica come from the container's network, where no sentinel would reach it.
    let here = ["--replica-announce-ip", "127.0.0.1"];
    let replica = with(&[&["--replicaof", "127.0.0.1", &port(&master).to_string()], &here[..]].concat()).await;
    follows(&replica).await;
    let sentinel = sentinel(&master).await;
    // And has asked it how it is: otherwise it would not be chosen.
    let knows = async || ask(&sentinel, "SENTINEL REPLICAS main").await.contains("master-link-status\nok");
    eventually("the sentinel knows the replica", knows).await;
    let url = format!("redis+sentinel://127.0.0.1:1,{}/main", sentinel.addresses()[0]);
    let (mut one, mut two) = pair(&url).await;
    talk(&mut one, &mut two).await;
    master.kill().await?;
    one.down().await;
    two.down().await;
    let port = port(&replica).to_string();
    eventually("the sentinel names the replica", async || {
        ask(&sentinel, "SENTINEL GET-MASTER-ADDR-BY-NAME main").await.ends_with(&port)
            && ask(&replica, "ROLE").await.starts_with("master")
    })
    .await;
    let promoted = Instant::now();
    settle(&mut one, &mut two).await;
    told("heard after the sentinel's failover", promoted);
    Ok(())
}

/// As when the network between them is cut: the old master lives, and still takes itself for one.
#[tokio::test(flavor = "multi_thread")]
async fn a_master_that_does_not_know_that_it_was_replaced_is_left() -> Tested {
    let (old, new) = (redis().await, redis().await);
    let sentinels = [sentinel(&old).await, sentinel(&old).await, sentinel(&old).await];
    let addresses: Vec<_> = sentinels.iter().map(|sentinel| sentinel.addresses()[0].to_string()).collect();
    let mut node = on(&format!("redis+sentinel://{}/main", addresses.join(","))).await;
    for sentinel in &sentinels[..2] {
        ask(sentinel, "SENTINEL REMOVE main").await;
        ask(sentinel, &format!("SENTINEL MONITOR main 127.0.0.1 {} 1", port(&new))).await;
    }
    // One of the three, on the old master's side, still names that one.
    node.down().await;
    eventually("the node is at the new master", async || {
        ask(&new, "CLIENT LIST").await.matches("name=roomcast-").count() == 2
    })
    .await;
    assert!(ask(&old, "ROLE").await.starts_with("master"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_is_refused_at_connecting() -> Tested {
    let master = redis().await;
    let replica = with(&["--replicaof", "127.0.0.1", &port(&master).to_string()]).await;
    follows(&replica).await;
    // No right is needed to find out.
    ask(&replica, "ACL SETUSER plain on >pw resetchannels &rc.* -@all +publish +subscribe +ping").await;
    let at = replica.addresses()[0];
    for url in [format!("redis://{at}"), format!("redis://{at}?mode=sharded"), format!("redis://plain:pw@{at}")] {
        let error = refusal(&url).await;
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}");
        assert!(error.to_string().contains("replica") && error.to_string().contains("master"), "{error}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_master_that_becomes_a_replica_is_left_until_it_is_the_master_again() -> Tested {
    let (server, other) = (redis().await, redis().await);
    let (mut one, mut two) = pair(&server.url()).await;
    let cluster = Cluster::connect(Redis::from_url(&server.url())?).await?;
    let mut events = cluster.events();
    ask(&server, &format!("REPLICAOF 127.0.0.1 {}", port(&other))).await;
    for node in [&mut one, &mut two] {
        assert!(node.is_down(ALL).await.contains("is a replica"));
    }
    while !matches!(events.next().await.expect("it lives"), Event::Degraded(why) if why.contains("is a replica")) {}
    assert_eq!(refusal(&server.url()).await.kind(), ErrorKind::Unavailable);

    ask(&server, "REPLICAOF NO ONE").await;
    one.up().await;
    two.up().await;
    talk(&mut one, &mut two).await;
    while events.next().await.expect("it lives") != Event::Recovered {}
    cluster.close().await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sentinel_that_cannot_tell_does_not_end_the_search() -> Tested {
    let master = redis().await;
    let (knows, ignorant, locked) = (sentinel(&master).await, sentinel_with("").await, sentinel_with("").await);
    ask(&locked, "ACL SETUSER default on resetpass >secret").await;
    let at = |sentinels: &[&Broker]| {
        let addresses: Vec<_> = sentinels.iter().map(|sentinel| sentinel.addresses()[0].to_string()).collect();
        format!("redis+sentinel://{}/main", addresses.join(","))
    };
    // Each time another one is asked first.
    for _ in 0..30 {
        on(&at(&[&knows, &ignorant, &locked])).await.backend.close().await?;
    }
    assert_eq!(refusal(&at(&[&ignorant])).await.kind(), ErrorKind::Config);
    assert_eq!(refusal(&at(&[&locked])).await.kind(), ErrorKind::Denied);
    knows.kill().await?;
    assert_eq!(refusal(&at(&[&ignorant, &knows])).await.kind(), ErrorKind::Config, "the most telling");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_is_on_the_master_that_the_sentinels_name() -> Tested {
    let master = redis().await;
    let sentinel = sentinel(&master).await;
    let (mut one, mut two) = pair(&format!("redis+sentinel://{}/main?mode=streams", sentinel.addresses()[0])).await;
    talk(&mut one, &mut two).await;
    assert_eq!(ask(&master, "EXISTS rc.roomcast").await, "1");
    Ok(())
}

/// Takes connections and serves each in a task, for as long as the test runs.
async fn listen<F>(serve: impl Fn(TcpStream) -> F + Send + 'static) -> SocketAddr
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let at = listener.local_addr().expect("bound");
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream));
        }
    });
    at
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_that_are_silent_do_not_hold_the_others_up() -> Tested {
    let servers = cluster().await;
    let open = watch::Sender::new(0);
    let silent = async || {
        let open = open.clone();
        listen(move |mut stream| {
            let open = open.clone();
            async move {
                open.send_modify(|open| *open += 1);
                while stream.read(&mut [0; 512]).await.is_ok_and(|read| read > 0) {}
                open.send_modify(|open| *open -= 1);
            }
        })
        .await
    };
    let (one, two) = (silent().await, silent().await);
    // This one serves only while both of the others are being waited for.
    let (server, both) = (servers.addresses()[0], open.clone());
    let third = listen(move |mut stream| {
        let mut both = both.subscribe();
        async move {
            both.wait_for(|open| *open >= 2).await.expect("the sender lives");
            let mut to = TcpStream::connect(server).await.expect("the server lives");
            let _ = copy_bidirectional(&mut stream, &mut to).await;
        }
    })
    .await;
    on(&format!("redis+cluster://{one},{two},{third}")).await.hears_itself(ALL).await;
    Ok(())
}

/// Answers as a server of a cluster whose slots are all elsewhere.
async fn sends_on(mut stream: TcpStream, to: SocketAddr) {
    let (reading, mut writing) = stream.split();
    let mut lines = BufReader::new(reading).lines();
    while let Ok(Some(count)) = lines.next_line().await {
        let count: usize = count.strip_prefix('*').and_then(|count| count.parse().ok()).expect("a command");
        let mut words = Vec::new();
        for _ in 0..count {
            lines.next_line().await.expect("open").expect("a length");
            words.push(lines.next_line().await.expect("open").expect("a word"));
        }
        let answer = match words[0].as_str() {
            "HELLO" => "%1\r\n+proto\r\n:3\r\n".to_owned(),
            "SUNSUBSCRIBE" => format!("-MOVED 1 {to}\r\n"),
            _ => "+OK\r\n".to_owned(),
        };
        writing.write_all(answer.as_bytes()).await.expect("open");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_owner_that_is_silent_is_asked_once_whoever_names_it() -> Tested {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let owner = listen(move |mut stream| {
        count.fetch_add(1, Ordering::Relaxed);
        async move { while stream.read(&mut [0; 512]).await.is_ok_and(|read| read > 0) {} }
    })
    .await;
    let mut seeds = vec![owner.to_string()];
    for _ in 0..3 {
        seeds.push(listen(move |stream| sends_on(stream, owner)).await.to_string());
    }
    let error = refusal(&format!("redis+cluster://{}", seeds.join(","))).await;
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.to_string().contains(&owner.to_string()), "{error}");
    assert_eq!(asked.load(Ordering::Relaxed), 1);
    Ok(())
}
