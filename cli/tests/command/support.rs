//! A Redis, servers of a cluster on it, and the command as a process.

use std::process::{Output, Stdio};
use std::time::Duration;

use roomcast::{Cluster, Hub, NamespaceHandle, Socket};
use roomcast_conformance::bare::with_arguments;
use roomcast_conformance::{Broker, recipes};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStderr, ChildStdout, Command};

/// How long anything may take that has to come. A busy machine takes its time.
const PATIENCE: Duration = Duration::from_secs(60);

/// The password of the users of [`with_users`].
pub(crate) const SECRET: &str = "hunter2";

/// A Redis as it comes.
pub(crate) async fn redis() -> Broker {
    Broker::start(&recipes::redis()).await.unwrap_or_else(|missing| panic!("{missing}"))
}

/// A Redis with two users more: `app`, who may do what a node needs, and `reader`, who may not publish.
pub(crate) async fn with_users() -> Broker {
    let rights = "&rc.* +subscribe +unsubscribe +ping +hello +client +quit";
    let users = format!("--user app on >{SECRET} +publish {rights} --user reader on >{SECRET} {rights}");
    let recipe = with_arguments(recipes::redis(), &users.split(' ').collect::<Vec<_>>());
    Broker::start_here(&recipe).await.unwrap_or_else(|missing| panic!("{missing}"))
}

/// A server with sockets in one namespace.
pub(crate) struct Server {
    pub(crate) cluster: Cluster,
    pub(crate) chat: NamespaceHandle,
    pub(crate) hub: Hub,
}

impl Server {
    pub(crate) async fn named(name: &str, url: &str) -> Self {
        let backend = roomcast::backend(url).expect("a URL");
        let cluster = Cluster::builder().node_name(name).connect(backend).await.expect("connected");
        let hub = Hub::new();
        let chat = cluster.namespace("/chat", hub.clone()).await.expect("attached");
        Self { cluster, chat, hub }
    }

    /// A socket with this id.
    pub(crate) fn socket<const N: usize>(&self, id: &str, rooms: [&str; N]) -> Socket {
        let socket = self.hub.connect_as(id.try_into().expect("valid")).expect("a new id");
        socket.join(rooms).expect("connected");
        socket
    }
}

/// What the socket gets next, as text.
pub(crate) async fn next(socket: &mut Socket) -> String {
    let delivery = soon(socket.next()).await.expect("connected");
    String::from_utf8(delivery.packet.data.to_vec()).expect("text")
}

/// What must come.
pub(crate) async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, what).await.expect("it came")
}

/// How the command ended, and what it wrote.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ended {
    fn of(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).expect("text");
        let ended =
            Self { code: output.status.code().expect("it ended"), out: text(output.stdout), err: text(output.stderr) };
        assert!(!ended.out.contains(SECRET) && !ended.err.contains(SECRET), "a secret: {ended:?}");
        assert!(!ended.err.contains("panicked"), "{ended:?}");
        ended
    }

    /// The objects that were written.
    pub(crate) fn objects(&self) -> Vec<Value> {
        self.out.lines().map(|line| serde_json::from_str(line).expect(line)).collect()
    }

    /// The one line on the standard error.
    pub(crate) fn complaint(&self) -> &str {
        let line = self.err.strip_suffix('\n').unwrap_or_else(|| panic!("{self:?}"));
        assert!(line.starts_with("roomcast: ") && !line.contains('\n'), "{self:?}");
        line
    }
}

fn command(url: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_roomcast"));
    command.args(arguments).env("ROOMCAST_URL", url).stdin(Stdio::null()).kill_on_drop(true);
    command
}

/// Runs the command to its end.
pub(crate) async fn roomcast(url: &str, arguments: &[&str]) -> Ended {
    Ended::of(soon(command(url, arguments).output()).await.expect("it runs"))
}

/// The command while it runs.
pub(crate) struct Running {
    child: Child,
    out: Option<Lines<BufReader<ChildStdout>>>,
    err: Lines<BufReader<ChildStderr>>,
}

impl Running {
    /// Starts it.
    pub(crate) fn spawn(url: &str, arguments: &[&str]) -> Self {
        let mut command = command(url, arguments);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it runs");
        let out = child.stdout.take().map(|out| BufReader::new(out).lines());
        let err = BufReader::new(child.stderr.take().expect("piped")).lines();
        Self { child, out, err }
    }

    /// Starts it, and waits until it says this on the standard error.
    pub(crate) async fn start(url: &str, arguments: &[&str], until: &str) -> Self {
        let mut running = Self::spawn(url, arguments);
        let line = soon(running.err.next_line()).await.expect("text").expect("a line");
        assert!(line.contains(until) && !line.contains(SECRET), "{line}");
        running
    }

    /// The next line that it writes.
    pub(crate) async fn line(&mut self) -> String {
        let out = self.out.as_mut().expect("it is read");
        soon(out.next_line()).await.expect("text").expect("a line")
    }

    /// The same, of JSON.
    pub(crate) async fn object(&mut self) -> Value {
        let line = self.line().await;
        serde_json::from_str(&line).expect(&line)
    }

    /// Nobody reads what it writes any more.
    pub(crate) fn read_no_more(&mut self) {
        self.out = None;
    }

    /// Sends it a signal, as Ctrl-C does.
    pub(crate) async fn interrupt(&self) {
        let id = self.child.id().expect("it runs");
        let sent = Command::new("sh").args(["-c", &format!("kill -INT {id}")]).status().await.expect("sh is there");
        assert!(sent.success());
    }

    /// Waits for its end; the exit code.
    pub(crate) async fn ended(mut self) -> i32 {
        let status = soon(self.child.wait()).await.expect("it ran");
        while let Some(line) = soon(self.err.next_line()).await.expect("text") {
            assert!(!line.contains("panicked"), "{line}");
        }
        status.code().expect("it ended by itself")
    }
}
