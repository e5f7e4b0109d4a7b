//! Redis Cluster and Sentinel: whichever server is the right one now is found.

mod support;

use std::time::Instant;

use adapter_core::ErrorKind;
use adapter_core::probe::Tap;
use adapter_redis::Redis;
use support::{Peer, Server, agree, channel, cli, cluster, cluster_server, eventually, message, talk, told};

type Test = Result<(), Box<dyn std::error::Error>>;

fn url(servers: &[Server]) -> String {
    let all: Vec<_> = servers.iter().map(|server| format!("127.0.0.1:{}", server.port)).collect();
    format!("redis+cluster://{}", all.join(","))
}

/// Which of the servers carries the channel.
fn owner(servers: &[Server]) -> usize {
    servers.iter().position(|server| !server.ask("PUBSUB SHARDCHANNELS").is_empty()).expect("one of them")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slot_that_moves_under_load_is_followed() -> Test {
    let servers = cluster().await;
    let all = channel("rc.shop.all");
    let redis = Redis::from_url(&url(&servers))?;
    let mut one = Peer::new(&redis, &[all.clone()]).await;
    // One that knows a single server, and is sent on by it.
    let mut two = Peer::new(&Redis::from_url(&url(&servers[..1]))?, &[all.clone()]).await;
    talk(&mut one, &mut two, &all).await;

    let publisher = Peer::new(&redis, &[]).await;
    let load = {
        let all = all.clone();
        tokio::spawn(async move {
            loop {
                let _ = publisher.backend.publish(&[message(&all, "load")]).await;
                tokio::time::sleep(std::time::Duration::from_millis(1)).await;
            }
        })
    };
    let from = owner(&servers);
    let to = (from + 1) % servers.len();
    let slot = servers[0].ask("CLUSTER KEYSLOT {roomcast}x");
    let id = servers[to].ask("CLUSTER MYID");
    let moved = Instant::now();
    for server in [to, from, (from + 2) % servers.len()] {
        assert_eq!(servers[server].ask(&format!("CLUSTER SETSLOT {slot} NODE {id}")), "OK");
    }
    for up in <[_; 2]>::from(tokio::join!(one.settled_under_load(), two.settled_under_load())) {
        println!("a moved slot followed: {} ms", (up - moved).as_millis());
    }
    load.abort();
    let _ = load.await;
    assert_eq!(owner(&servers), to);
    one.drain().await;
    two.drain().await;
    talk(&mut one, &mut two, &all).await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_takes_over_is_followed() -> Test {
    let mut servers = cluster().await;
    let all = channel("rc.shop.all");
    let redis = Redis::from_url(&url(&servers))?;
    let mut one = Peer::new(&redis, &[all.clone()]).await;
    let mut two = Peer::new(&redis, &[all.clone()]).await;
    let owner = owner(&servers);
    let master = servers[owner].ask("CLUSTER MYID");
    let replica = cluster_server().await;
    let join = format!("127.0.0.1:{} 127.0.0.1:{}", replica.port, servers[owner].port);
    let made = cli(replica.port, &format!("--cluster add-node {join} --cluster-slave --cluster-master-id {master}"));
    assert!(made.contains("New node added correctly"), "{made}");
    eventually("the replica follows", || replica.ask("INFO replication").contains("master_link_status:up")).await;
    let killed = Instant::now();
    servers[owner].kill().await;
    one.down().await;
    two.down().await;
    eventually("the replica has taken over", || replica.ask("ROLE").starts_with("master")).await;
    told("the cluster's own failover", killed);
    let promoted = Instant::now();
    let (_, up) = tokio::join!(one.settled(), two.settled());
    println!("up after the failover: {} ms", up.saturating_duration_since(promoted).as_millis());
    talk(&mut one, &mut two, &all).await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_whose_servers_restart_is_found_again() -> Test {
    let mut servers = cluster().await;
    let all = channel("rc.shop.all");
    let redis = Redis::from_url(&url(&servers).replace("redis+cluster", "redis"))?;
    let mut one = Peer::new(&redis, &[all.clone()]).await;
    let mut two = Peer::new(&redis, &[all.clone()]).await;
    for server in &mut servers {
        server.kill().await;
    }
    one.down().await;
    two.down().await;
    for server in &mut servers {
        server.start_again().await;
    }
    agree(&servers).await;
    let back = Instant::now();
    let (_, up) = tokio::join!(one.settled(), two.settled());
    println!("up after the whole cluster restarted: {} ms", up.saturating_duration_since(back).as_millis());
    talk(&mut one, &mut two, &all).await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_of_the_wrong_kind_are_refused() -> Test {
    async fn refusal(url: &str) -> Result<String, adapter_core::Error> {
        let redis = Redis::from_url(url)?;
        let error = Peer::try_new(&redis, &[], Tap::new(1, 1)).await.err().expect("refused");
        assert_eq!(error.kind(), ErrorKind::Config, "{error:?}");
        Ok(error.to_string())
    }
    let (one, two) = (Server::start().await, Server::start().await);
    let lone = refusal(&format!("redis://127.0.0.1:{},127.0.0.1:{}", one.port, two.port)).await?;
    assert!(lone.contains("no Redis Cluster"), "{lone}");
    let servers = cluster().await;
    let mut told = 0;
    for server in &servers {
        // The owner of the slot serves it, the others send away.
        let redis = Redis::from_url(&format!("{}?mode=sharded", server.url()))?;
        told += usize::from(Peer::try_new(&redis, &[], Tap::new(1, 1)).await.is_err());
    }
    assert_eq!(told, 2);
    let sentinel = Server::sentinel(one.port).await;
    assert!(refusal(&format!("redis+sentinel://127.0.0.1:{}/other", sentinel.port)).await?.contains("service"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_master_that_the_sentinels_replace_is_followed() -> Test {
    let mut master = Server::start().await;
    let replica = Server::with(&["--replicaof", "127.0.0.1", &master.port.to_string()]).await;
    eventually("the replica follows", || replica.ask("INFO replication").contains("master_link_status:up")).await;
    let sentinel = Server::sentinel(master.port).await;
    eventually("the sentinel knows the replica", || !sentinel.ask("SENTINEL REPLICAS main").is_empty()).await;
    let redis = Redis::from_url(&format!("redis+sentinel://127.0.0.1:1,127.0.0.1:{}/main", sentinel.port))?;
    let all = channel("rc.shop.all");
    let mut one = Peer::new(&redis, &[all.clone()]).await;
    let mut two = Peer::new(&redis, &[all.clone()]).await;
    talk(&mut one, &mut two, &all).await;
    master.kill().await;
    one.down().await;
    two.down().await;
    let port = replica.port.to_string();
    eventually("the sentinel names the replica", || {
        sentinel.ask("SENTINEL GET-MASTER-ADDR-BY-NAME main").ends_with(&port)
            && replica.ask("ROLE").starts_with("master")
    })
    .await;
    let promoted = Instant::now();
    let (_, up) = tokio::join!(one.settled(), two.settled());
    println!("up after the sentinel's failover: {} ms", up.saturating_duration_since(promoted).as_millis());
    talk(&mut one, &mut two, &all).await;
    Ok(())
}
