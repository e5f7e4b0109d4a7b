//! Servers of our own, on free ports in temporary folders, and nodes without a cluster behind them.
// `unwrap` and `expect` are how a test fails.
#![allow(clippy::unwrap_used)]

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use adapter_nats::Nats;
pub(crate) use conformance::bare::{Node, certificates, channel};

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

pub(crate) async fn connect(url: &str) -> Node {
    Node::connect(Nats::from_url(url)).await
}

/// Subscribed to this channel alone.
pub(crate) async fn on(url: &str, name: &str) -> Node {
    let node = connect(url).await;
    node.subscribe(name).await;
    node
}
