//! Files of credentials whose JWT expires.
#![allow(clippy::unwrap_used, reason = "how a test fails")]

mod support;

use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use futures_util::FutureExt;
use nkeys::KeyPair;
use roomcast_conformance::bare::is_late;
use roomcast_core::{Cluster, ErrorKind, Event, Events, Hub, NamespaceHandle, Socket};
use roomcast_nats::Nats;
use serde_json::{Value, json};
use support::Server;
use tokio::time::{MissedTickBehavior, interval, timeout};

type Tested = Result<(), Box<dyn std::error::Error>>;

const PATIENCE: Duration = Duration::from_secs(60);
const HOUR: u64 = 3600;

/// The operator's key signs the account's JWT, and the account's key that of its user.
struct Keys {
    operator: KeyPair,
    account: KeyPair,
    user: KeyPair,
}

impl Keys {
    fn new() -> Self {
        Self { operator: KeyPair::new_operator(), account: KeyPair::new_account(), user: KeyPair::new_user() }
    }

    /// A server that trusts this operator.
    async fn server(&self) -> Server {
        let limits = json!({ "subs": -1, "conn": -1, "leaf": -1, "imports": -1, "exports": -1, "data": -1, "payload": -1,
            "wildcards": true });
        let operator = jwt(&self.operator, &self.operator, None, json!({ "type": "operator", "version": 2 }));
        let account =
            jwt(&self.operator, &self.account, None, json!({ "limits": limits, "type": "account", "version": 2 }));
        let id = self.account.public_key();
        Server::start(&format!("operator: {operator}\nresolver: MEMORY\nresolver_preload: {{ {id}: {account} }}")).await
    }

    /// Writes a file of credentials for our user, which expire then.
    fn write(&self, file: &Path, end: u64) {
        let rights =
            json!({ "pub": {}, "sub": {}, "subs": -1, "data": -1, "payload": -1, "type": "user", "version": 2 });
        let (jwt, seed) = (jwt(&self.account, &self.user, Some(end), rights), self.user.seed().unwrap());
        let text = format!(
            "-----BEGIN NATS USER JWT-----\n{jwt}\n------END NATS USER JWT------\n\n\
             -----BEGIN USER NKEY SEED-----\n{seed}\n------END USER NKEY SEED------\n"
        );
        // In one step, as tools that renew secrets do it.
        std::fs::write(file.with_extension("next"), text).unwrap();
        std::fs::rename(file.with_extension("next"), file).unwrap();
    }
}

fn jwt(issuer: &KeyPair, subject: &KeyPair, end: Option<u64>, rights: Value) -> String {
    let mut claims = json!({ "iat": now(), "iss": issuer.public_key(), "name": "roomcast", "sub": subject.public_key(),
        "nats": rights });
    if let Some(end) = end {
        claims["exp"] = end.into();
    }
    let part = |value: Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!("{}.{}", part(json!({ "typ": "JWT", "alg": "ed25519-nkey" })), part(claims));
    let signature = BASE64_URL_SAFE_NO_PAD.encode(issuer.sign(signed.as_bytes()).unwrap());
    format!("{signed}.{signature}")
}

/// Seconds since 1970.
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

struct Node {
    cluster: Cluster,
    chat: NamespaceHandle,
    socket: Socket,
    events: Events,
}

impl Node {
    async fn connect(url: &str, creds: &Path) -> Self {
        let nats = Nats::from_url(&format!("{url}?creds={}", creds.display())).unwrap();
        let cluster = Cluster::connect(nats).await.unwrap();
        let hub = Hub::builder().queue(100_000).build();
        let chat = cluster.namespace("/", hub.clone()).await.unwrap();
        Self { chat, socket: hub.connect().unwrap(), events: cluster.events(), cluster }
    }

    async fn next(&mut self) -> String {
        let delivery = timeout(PATIENCE, self.socket.next()).await.expect("it arrives").expect("connected");
        String::from_utf8(delivery.packet.data.to_vec()).unwrap()
    }

    async fn event(&mut self) -> Event {
        timeout(PATIENCE, self.events.next()).await.expect("it is told").expect("connected")
    }
}

/// As long as the first JWT is valid and beyond, both nodes emit; none of it is lost, and nobody is told of anything.
#[tokio::test(flavor = "multi_thread")]
async fn g09_a_jwt_that_expires_is_replaced_by_the_next_one_in_the_file_without_an_outage() -> Tested {
    let keys = Keys::new();
    let server = keys.server().await;
    let file = server.folder().join("web.creds");
    let end = now() + 8;
    keys.write(&file, end);
    let (mut one, mut two) = (Node::connect(&server.url(), &file).await, Node::connect(&server.url(), &file).await);
    while one.cluster.nodes().len() < 2 {
        one.event().await;
    }
    while two.cluster.nodes().len() < 2 {
        two.event().await;
    }
    while let Some(Some(_)) = one.events.next().now_or_never() {}
    while let Some(Some(_)) = two.events.next().now_or_never() {}
    keys.write(&file, now() + HOUR);
    let mut again = interval(Duration::from_millis(5));
    again.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut sent = Vec::new();
    while now() < end + 3 {
        again.tick().await;
        for node in [&one, &two] {
            node.chat.emit(format!("{} {}", node.cluster.node().id, sent.len())).await?;
        }
        sent.push(sent.len().to_string());
    }
    println!("{} packets of each node", sent.len());
    let ids = [one.cluster.node().id, two.cluster.node().id].map(|id| id.to_string());
    for node in [&mut one, &mut two] {
        let (mut got, all) = ([Vec::new(), Vec::new()], 2 * sent.len());
        for _ in 0..all {
            let text = node.next().await;
            let (from, number) = text.split_once(' ').unwrap();
            got[usize::from(from == ids[1])].push(number.to_owned());
        }
        assert!(got.iter().all(|got| *got == sent), "each once, in order");
        while let Some(told) = node.events.next().now_or_never().flatten() {
            assert!(is_late(&told) || told == Event::Recovered, "{told}");
        }
        assert_eq!(node.cluster.stats().lost, 0);
    }
    for mut node in [one, two] {
        node.cluster.close().await?;
        assert!(node.socket.next().now_or_never().flatten().is_none(), "and nothing twice");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn g08_an_expired_jwt_is_an_outage_that_is_named_until_the_file_is_renewed() -> Tested {
    let keys = Keys::new();
    let server = keys.server().await;
    let (old, good) = (server.folder().join("old.creds"), server.folder().join("good.creds"));
    keys.write(&good, now() + HOUR);
    let mut there = Node::connect(&server.url(), &good).await;
    let proxy = server.proxy().await?;
    keys.write(&old, now() + 4);
    let mut here = Node::connect(&server.url_through(&proxy), &old).await;
    while here.cluster.nodes().len() < 2 {
        here.event().await;
    }
    let connections = proxy.counts().accepted;
    let reason = loop {
        match here.event().await {
            event if is_late(&event) => {}
            Event::Degraded(reason) => break reason,
            _ => {}
        }
    };
    assert!(reason.to_lowercase().contains("expired"), "{reason}");
    assert!(proxy.counts().accepted <= connections + 1, "no connection is made with the same JWT before");
    let refused = loop {
        if let Event::Refused { kind, reason, .. } = here.event().await {
            break (kind, reason);
        }
    };
    assert_eq!(refused.0, ErrorKind::Denied);
    assert!(refused.1.contains("renew the JWT in the file of option creds"), "{}", refused.1);
    here.chat.emit("kept").await?;
    keys.write(&old, now() + HOUR);
    while here.event().await != Event::Recovered {}
    assert_eq!(there.next().await, "kept");
    Ok(())
}
