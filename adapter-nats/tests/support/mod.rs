//! Servers of our own, on free ports in temporary folders, and nodes without a cluster behind them.
// `unwrap` and `expect` are how a test fails.
#![allow(clippy::unwrap_used)]

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use adapter_core::probe::{Tap, Tapped};
use adapter_core::{Backend, Bytes, Channel, Connect, Outgoing, PublishError};
use adapter_nats::Nats;

/// A NATS server; killed when dropped.
pub(crate) struct Server {
    child: Child,
    pub(crate) port: u16,
    folder: PathBuf,
    arguments: Vec<String>,
}

impl Server {
    /// Starts one with this configuration file, and waits until it takes connections.
    pub(crate) fn start(configuration: &str) -> Self {
        Self::start_on(free_port(), configuration, &[])
    }

    pub(crate) fn start_on(port: u16, configuration: &str, arguments: &[String]) -> Self {
        let folder = std::env::temp_dir().join(format!("roomcast-nats-{}-{port}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let arguments = arguments.to_vec();
        let child = launch(&folder, port, configuration, &arguments);
        let server = Self { child, port, folder, arguments };
        server.wait();
        server
    }

    /// Three servers of one cluster.
    pub(crate) fn cluster() -> [Self; 3] {
        let routes = [free_port(), free_port(), free_port()];
        let all = routes.map(|port| format!("nats://127.0.0.1:{port}")).join(",");
        routes.map(|route| {
            let cluster = format!("nats://127.0.0.1:{route}");
            let words = ["--cluster_name", "test", "--cluster", &cluster, "--routes", &all];
            Self::start_on(free_port(), "", &words.map(str::to_owned))
        })
    }

    pub(crate) fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// kill -9.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Starts it again on its port.
    pub(crate) fn again(&mut self, configuration: &str) {
        self.child = launch(&self.folder, self.port, configuration, &self.arguments);
        self.wait();
    }

    /// SIGSTOP, SIGCONT, SIGHUP.
    pub(crate) fn signal(&self, signal: &str) {
        let done = Command::new("kill").args([format!("-{signal}"), self.child.id().to_string()]).status().unwrap();
        assert!(done.success());
    }

    pub(crate) fn configure(&self, configuration: &str) {
        std::fs::write(self.folder.join("nats.conf"), configuration).unwrap();
    }

    fn wait(&self) {
        let until = Instant::now() + Duration::from_secs(10);
        while std::net::TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            assert!(Instant::now() < until, "the server does not start");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn launch(folder: &Path, port: u16, configuration: &str, arguments: &[String]) -> Child {
    let file = folder.join("nats.conf");
    std::fs::write(&file, configuration).unwrap();
    Command::new("nats-server")
        .args(["-a", "127.0.0.1", "-p", &port.to_string(), "-c"])
        .arg(&file)
        .args(arguments)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("nats-server is on the PATH")
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A certificate authority in this folder (`ca.pem`), and what it signed: `server.pem`, `client.pem` and their keys.
pub(crate) fn certificates(folder: &Path) {
    let openssl = |words: &str| {
        let words = words.split(' ').map(|word| word.replace('~', " "));
        let done = Command::new("openssl").current_dir(folder).args(words).stderr(Stdio::null()).status().unwrap();
        assert!(done.success());
    };
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
    openssl(&format!("req -x509 {key} -keyout ca.key -out ca.pem -days 2 -subj /CN=ca"));
    std::fs::write(folder.join("names"), "subjectAltName=IP:127.0.0.1,DNS:localhost\n").unwrap();
    for name in ["server", "client"] {
        openssl(&format!("req -new {key} -keyout {name}.key -out {name}.csr -subj /CN={name}"));
        openssl(&format!(
            "x509 -req -in {name}.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out {name}.pem -days 2 -extfile names"
        ));
    }
}

/// A backend, and what it hands over.
pub(crate) struct Node {
    pub(crate) tap: Tap,
    pub(crate) backend: Arc<dyn Backend>,
}

impl Node {
    pub(crate) async fn connect(url: &str) -> Self {
        Self::with(&Nats::from_url(url).unwrap(), 100_000).await
    }

    pub(crate) async fn with(nats: &Nats, messages: usize) -> Self {
        let tap = Tap::new(messages, 256 << 20);
        let backend = nats.connect(tap.inbox()).await.unwrap();
        Self { tap, backend }
    }

    /// Subscribed to this channel alone.
    pub(crate) async fn on(url: &str, name: &str) -> Self {
        let node = Self::connect(url).await;
        node.subscribe(name).await;
        node
    }

    pub(crate) async fn subscribe(&self, name: &str) {
        let channels = [channel(name)];
        self.tap.want(&channels);
        self.backend.subscribe(&channels).await.unwrap();
    }

    pub(crate) async fn publish(&self, name: &str, payload: impl Into<Bytes>) -> Result<(), PublishError> {
        self.backend.publish(&[Outgoing::new(channel(name), payload.into())]).await
    }

    /// The next frame; nothing else may come first.
    pub(crate) async fn frame(&mut self) -> Bytes {
        match self.next().await {
            Tapped::Frame(_, payload) => payload,
            other => panic!("{other:?} instead of a frame"),
        }
    }

    /// Waits for `down`; answers after how long.
    pub(crate) async fn down(&mut self) -> Duration {
        let began = Instant::now();
        while !matches!(self.next().await, Tapped::Down(_)) {}
        began.elapsed()
    }

    /// Waits for `up`; answers after how long, and the largest frame.
    pub(crate) async fn up(&mut self) -> (Duration, usize) {
        let began = Instant::now();
        loop {
            if let Tapped::Up(limits) = self.next().await {
                return (began.elapsed(), limits.max_frame);
            }
        }
    }

    pub(crate) async fn next(&mut self) -> Tapped {
        tokio::time::timeout(Duration::from_secs(15), self.tap.next()).await.expect("something comes")
    }
}

pub(crate) fn channel(name: &str) -> Channel {
    Channel::new(name).unwrap()
}
