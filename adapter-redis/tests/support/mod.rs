//! A Redis server of our own for each test, and a node's inbox to look into. To be replaced by the crate `conformance`.

#![allow(dead_code, unused_imports, reason = "each test file uses its part of it")]

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use adapter_core::probe::{Tap, Tapped};
use adapter_core::{Backend, Bytes, Channel, Connect, Outgoing, Result};
use adapter_redis::Redis;
pub(crate) use conformance::bare::channel;
use tokio::process::Child;

/// A running server; killed and removed when dropped.
pub(crate) struct Server {
    pub(crate) port: u16,
    folder: PathBuf,
    arguments: Vec<String>,
    cli: Vec<String>,
    child: Option<Child>,
}

impl Server {
    pub(crate) async fn start() -> Self {
        Self::with(&[]).await
    }

    /// With these arguments of redis-server.
    pub(crate) async fn with(arguments: &[&str]) -> Self {
        let mut server = Self::new();
        let port = server.port.to_string();
        let usual = ["--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--port", &port];
        server.arguments = usual.iter().chain(arguments).map(|&argument| argument.to_owned()).collect();
        server.start_again().await;
        server
    }

    /// That speaks TLS alone, trusts the authority of [`Certificates`], and wants a certificate of its clients.
    pub(crate) async fn tls(certificates: &Certificates) -> Self {
        let mut server = Self::new();
        let (ca, cert, key) =
            (certificates.file("ca.pem"), certificates.file("server.pem"), certificates.file("server.key"));
        let port = server.port.to_string();
        let usual = ["--bind", "127.0.0.1", "--save", "", "--port", "0", "--tls-port", &port];
        let files = ["--tls-ca-cert-file", &ca, "--tls-cert-file", &cert, "--tls-key-file", &key];
        server.arguments = usual.iter().chain(&files).map(|&argument| argument.to_owned()).collect();
        server.cli = ["--tls", "--cacert", &ca, "--cert", &cert, "--key", &key].map(str::to_owned).to_vec();
        server.start_again().await;
        server
    }

    /// A sentinel that watches this master as the service "main".
    pub(crate) async fn sentinel(master: u16) -> Self {
        let mut server = Self::new();
        let settings = format!(
            "port {}\nbind 127.0.0.1\nsentinel monitor main 127.0.0.1 {master} 1\n\
             sentinel down-after-milliseconds main 1000\nsentinel failover-timeout main 3000\n",
            server.port
        );
        std::fs::write(server.folder.join("sentinel.conf"), settings).expect("a temporary folder");
        server.arguments = vec!["sentinel.conf".to_owned(), "--sentinel".to_owned()];
        server.start_again().await;
        server
    }

    fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("adapter-redis-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a temporary folder");
        Self { port: free_port(), folder, arguments: Vec::new(), cli: Vec::new(), child: None }
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    pub(crate) fn backend(&self) -> Redis {
        Redis::from_url(&self.url()).expect("valid")
    }

    /// kill -9.
    pub(crate) async fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().await.expect("it was running");
        }
    }

    /// On the same port; returns when it answers.
    pub(crate) async fn start_again(&mut self) {
        let mut command = tokio::process::Command::new("redis-server");
        command.args(&self.arguments).current_dir(&self.folder).stdout(Stdio::null()).kill_on_drop(true);
        self.child = Some(command.spawn().expect("redis-server is installed"));
        eventually("the server answers", || {
            std::net::TcpStream::connect(("127.0.0.1", self.port)).is_ok() && !self.ask("PING").is_empty()
        })
        .await;
    }

    /// SIGSTOP, SIGCONT.
    pub(crate) fn signal(&self, name: &str) {
        let pid = self.child.as_ref().and_then(Child::id).expect("it runs").to_string();
        assert!(Command::new("kill").args([name, &pid]).status().expect("kill").success());
    }

    /// What redis-cli prints for a command.
    pub(crate) fn ask(&self, command: &str) -> String {
        let options: Vec<_> = self.cli.iter().map(String::as_str).collect();
        cli_with(self.port, &options, command)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // The child is killed by its own drop.
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

pub(crate) fn cli(port: u16, command: &str) -> String {
    cli_with(port, &[], command)
}

fn cli_with(port: u16, options: &[&str], command: &str) -> String {
    let port = port.to_string();
    let out = Command::new("redis-cli").args(["-p", &port]).args(options).args(command.split(' ')).output();
    String::from_utf8_lossy(&out.expect("redis-cli is installed").stdout).trim().to_owned()
}

/// An authority, a server's and a client's certificate, made by openssl; removed when dropped.
pub(crate) struct Certificates(PathBuf);

impl Certificates {
    pub(crate) fn new() -> Self {
        let folder = {
            static NUMBER: AtomicU32 = AtomicU32::new(0);
            let number = NUMBER.fetch_add(1, Ordering::Relaxed);
            std::env::temp_dir().join(format!("adapter-redis-{}-tls-{number}", std::process::id()))
        };
        std::fs::create_dir_all(&folder).expect("a temporary folder");
        let new = Self(folder);
        conformance::bare::certificates(&new.0);
        new
    }

    pub(crate) fn file(&self, name: &str) -> String {
        self.0.join(name).to_str().expect("UTF-8").to_owned()
    }
}

impl Drop for Certificates {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

pub(crate) fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("bound").port()
}

/// Waits until it is so, at most 20 s.
pub(crate) async fn eventually(what: &str, mut is: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is() {
        assert!(start.elapsed() < Duration::from_secs(20), "never: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// A Redis Cluster of three masters.
pub(crate) async fn cluster() -> Vec<Server> {
    let mut servers = Vec::new();
    for _ in 0..3 {
        servers.push(cluster_server().await);
    }
    let addresses: Vec<_> = servers.iter().map(|server| format!("127.0.0.1:{}", server.port)).collect();
    let made = cli(servers[0].port, &format!("--cluster create {} --cluster-yes", addresses.join(" ")));
    assert!(made.contains("All 16384 slots covered"), "{made}");
    agree(&servers).await;
    servers
}

/// One more server, in no cluster yet.
pub(crate) async fn cluster_server() -> Server {
    let port = free_port().to_string();
    Server::with(&["--cluster-enabled", "yes", "--cluster-node-timeout", "2000", "--cluster-port", &port]).await
}

pub(crate) async fn agree(servers: &[Server]) {
    eventually("the servers agree", || servers.iter().all(|one| one.ask("CLUSTER INFO").contains("cluster_state:ok")))
        .await;
}

/// Sends on one, awaits on both, in both directions.
pub(crate) async fn talk(one: &mut Peer, two: &mut Peer, on: &Channel) {
    one.backend.publish(&[message(on, "to two")]).await.expect("published");
    assert_eq!(two.frame().await.1, "to two");
    assert_eq!(one.frame().await.1, "to two");
    two.backend.publish(&[message(on, "to one")]).await.expect("published");
    assert_eq!(one.frame().await.1, "to one");
    assert_eq!(two.frame().await.1, "to one");
}

/// For the record.
pub(crate) fn told(what: &str, since: Instant) {
    println!("{what}: {} ms", since.elapsed().as_millis());
}

/// A node as its backend sees it.
pub(crate) struct Peer {
    pub(crate) backend: Arc<dyn Backend>,
    pub(crate) tap: Tap,
}

impl Peer {
    /// Connected, with these channels subscribed to.
    pub(crate) async fn new(redis: &Redis, channels: &[Channel]) -> Self {
        Self::try_new(redis, channels, Tap::new(100_000, 64 << 20)).await.expect("connected")
    }

    pub(crate) async fn try_new(redis: &Redis, channels: &[Channel], tap: Tap) -> Result<Self> {
        let backend = redis.connect(tap.inbox()).await?;
        tap.wants().add(channels);
        backend.subscribe(channels).await?;
        Ok(Self { backend, tap })
    }

    /// Skips what is said of broken links and late messages until the link is up for good: a second passes quietly.
    pub(crate) async fn settled(&mut self) -> Instant {
        let mut up = None;
        loop {
            match tokio::time::timeout(Duration::from_secs(if up.is_some() { 1 } else { 20 }), self.tap.next()).await {
                Ok(Tapped::Up(_)) => up = Some(Instant::now()),
                Ok(Tapped::Down(_)) => up = None,
                Ok(Tapped::Frame(..)) => {}
                Err(_) => return up.expect("up in 20 s"),
            }
        }
    }

    /// The same while messages keep coming: up, and then a hundred of them.
    pub(crate) async fn settled_under_load(&mut self) -> Instant {
        let mut up = None;
        let mut frames = 0;
        while up.is_none() || frames < 100 {
            match self.next().await {
                Tapped::Up(_) => (up, frames) = (Some(Instant::now()), 0),
                Tapped::Down(_) => up = None,
                Tapped::Frame(..) => frames += 1,
            }
        }
        up.expect("the loop's end")
    }

    /// Takes what is there, until nothing comes for a while.
    pub(crate) async fn drain(&mut self) {
        while tokio::time::timeout(Duration::from_millis(200), self.tap.next()).await.is_ok() {}
    }

    /// The next message; link changes before it are not expected.
    pub(crate) async fn frame(&mut self) -> (Channel, Bytes) {
        match self.next().await {
            Tapped::Frame(channel, payload) => (channel, payload),
            other => panic!("a message was expected, not {other:?}"),
        }
    }

    pub(crate) async fn down(&mut self) -> String {
        match self.next().await {
            Tapped::Down(reason) => reason.to_string(),
            other => panic!("the link was expected to break, not {other:?}"),
        }
    }

    pub(crate) async fn up(&mut self) {
        match self.next().await {
            Tapped::Up(_) => {}
            other => panic!("the link was expected to be up again, not {other:?}"),
        }
    }

    pub(crate) async fn next(&mut self) -> Tapped {
        tokio::time::timeout(Duration::from_secs(20), self.tap.next()).await.expect("something in 20 s")
    }
}

pub(crate) fn message(channel: &Channel, payload: impl Into<Bytes>) -> Outgoing {
    Outgoing::new(channel.clone(), payload.into())
}
