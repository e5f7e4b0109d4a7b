//! The nodes: each an axum server with socketioxide and a cluster node of its own.

use std::error::Error;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use roomcast::{Cluster, NamespaceHandle, ServerEvent};
use serde::Deserialize;
use serde_json::{Value, json};
use socketioxide::adapter::Adapter;
use socketioxide::extract::{SocketRef, State, TryData};
use socketioxide::{ParserConfig, SocketIo};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::ops;

/// More than any test sends at once: a full buffer would lose packets, which is not what these tests are about.
const SOCKET_BUFFER: usize = 20_000;

/// Which parser a node speaks.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Parser {
    Common,
    Msgpack,
}

impl Parser {
    /// The parser of a node; with `mixed`, that of every second one is another.
    pub(crate) fn of_node(choice: &str, index: usize) -> Result<Self, String> {
        match choice {
            "common" => Ok(Self::Common),
            "msgpack" => Ok(Self::Msgpack),
            "mixed" if index.is_multiple_of(2) => Ok(Self::Common),
            "mixed" => Ok(Self::Msgpack),
            _ => Err(format!("there is no parser {choice:?}")),
        }
    }
}

/// What the handlers of one node know.
#[derive(Clone)]
pub(crate) struct Node {
    pub(crate) cluster: Cluster,
    pub(crate) nodes: Arc<Nodes>,
}

/// All nodes of this process.
#[derive(Default)]
pub(crate) struct Nodes(Mutex<Vec<Running>>);

struct Running {
    name: String,
    url: String,
    stop: Option<oneshot::Sender<()>>,
    ended: Option<JoinHandle<()>>,
}

impl Nodes {
    pub(crate) async fn start(self: &Arc<Self>, adapter: &str, parser: Parser) -> Result<(), Box<dyn Error>> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let url = format!("http://{}", listener.local_addr()?);
        let name = format!("node {}", self.list().len() + 1);
        let cluster = Cluster::builder().node_name(&name).connect(roomcast::backend(adapter)?).await?;
        let (layer, io) = SocketIo::builder()
            .with_parser_of(parser)
            .max_buffer_size(SOCKET_BUFFER)
            .with_state(Node { cluster: cluster.clone(), nodes: Arc::clone(self) })
            .with_adapter::<roomcast::socketioxide::Adapter<_>>(cluster.clone().into())
            .build_layer();
        io.ns("/", connect).await?;
        io.ns("/other", connect).await?;
        io.dyn_ns("/dynamic/{id}", connect)?;
        let servers = pass_on_server_events(&cluster, io.clone())?;
        let (stop, stopped) = oneshot::channel();
        let app = Router::new().layer(layer);
        let ended = tokio::spawn(async move {
            let serving = tokio::spawn(axum::serve(listener, app).into_future());
            stopped.await.ok();
            io.close().await;
            serving.abort();
            drop(servers);
            if let Err(error) = cluster.close().await {
                eprintln!("close: {error}");
            }
        });
        self.list().push(Running { name, url, stop: Some(stop), ended: Some(ended) });
        Ok(())
    }

    /// Where they listen, in their order, and what they are called.
    pub(crate) fn describe(&self) -> Value {
        let list = self.list();
        let urls: Vec<_> = list.iter().map(|node| node.url.as_str()).collect();
        let nodes: Vec<_> = list.iter().map(|node| node.name.as_str()).collect();
        json!({ "urls": urls, "nodes": nodes })
    }

    /// Closes one of them; to close it again does nothing.
    pub(crate) async fn close(&self, index: usize) {
        let (stop, ended) = match self.list().get_mut(index) {
            Some(node) => (node.stop.take(), node.ended.take()),
            None => return,
        };
        drop(stop);
        if let Some(ended) = ended {
            ended.await.ok();
        }
    }

    pub(crate) async fn close_all(&self) {
        let count = self.list().len();
        futures_util::future::join_all((0..count).map(|index| self.close(index))).await;
    }

    fn list(&self) -> std::sync::MutexGuard<'_, Vec<Running>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

trait WithParserOf {
    fn with_parser_of(self, parser: Parser) -> Self;
}

impl WithParserOf for socketioxide::SocketIoBuilder {
    fn with_parser_of(self, parser: Parser) -> Self {
        match parser {
            Parser::Common => self.with_parser(ParserConfig::common()),
            Parser::Msgpack => self.with_parser(ParserConfig::msgpack()),
        }
    }
}

#[derive(Default, Deserialize)]
struct Auth {
    #[serde(default)]
    rooms: Vec<String>,
}

/// Joins the rooms that the client wants, then tells it that it can begin.
async fn connect<A: Adapter>(socket: SocketRef<A>, auth: TryData<Auth>, node: State<Node>) {
    socket.join(auth.0.unwrap_or_default().rooms);
    socket.on("do", ops::run::<A>);
    socket.on("binary", ops::emit_binary::<A>);
    socket.emit("ready", &node.cluster.node().name).ok();
}

/// Shows each event from another server to the sockets here, and answers it with this node's name; `unanswered` is
/// left without an answer. Ends with the handle.
fn pass_on_server_events<A: Adapter>(cluster: &Cluster, io: SocketIo<A>) -> roomcast::Result<NamespaceHandle> {
    let servers = cluster.of("/")?;
    let name = cluster.node().name;
    servers.on_server_event(move |event: ServerEvent| {
        let (io, name) = (io.clone(), name.clone());
        async move {
            let shown = json!({ "event": event.event, "data": String::from_utf8_lossy(&event.data) });
            if let Some(here) = io.of("/") {
                here.local().emit("server event", &shown).await.ok();
            }
            if let Some(reply) = event.reply.filter(|_| event.event != "unanswered") {
                reply.send(name);
            }
        }
    })?;
    Ok(servers)
}
