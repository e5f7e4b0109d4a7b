//! One node: an axum server with socketioxide, and its place in the cluster.

use std::io::{Error, Result};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use roomcast::Cluster;
use socketioxide::SocketIo;
use socketioxide::adapter::Adapter;
use socketioxide::handler::ConnectHandler;
use socketioxide::layer::SocketIoLayer;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::chat::{self, Node};
use crate::demo::Demo;
use crate::relay::backend::Relay;
use crate::{page, peers, state};

/// How long open connections may keep a closing server.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// A node that runs.
pub(crate) struct Server {
    pub(crate) name: String,
    pub(crate) url: String,
    pub(crate) port: u16,
    stop: watch::Sender<bool>,
    running: JoinHandle<Result<()>>,
}

impl Server {
    /// Closes the sockets, then the place in the cluster.
    pub(crate) async fn close(self) -> Result<()> {
        self.stop.send_replace(true);
        self.running.await.map_err(Error::other)?
    }
}

/// Starts a node at an address, port 0 for a free one, alone or joined to others by what the URL names.
/// With a demo, its pages can kill what they see.
pub(crate) async fn start(
    name: &str,
    address: impl Into<SocketAddr>,
    adapter: Option<&str>,
    demo: Option<Demo>,
) -> Result<Server> {
    let address = address.into();
    let listener = TcpListener::bind(address)
        .await
        .map_err(|error| Error::new(error.kind(), format!("cannot listen on {address}: {error}")))?;
    let address = listener.local_addr()?;
    let port = address.port();
    let name = format!("{name}-{port}");
    let url = format!("http://{address}");
    let (stop, stopped) = watch::channel(false);
    let node = |cluster| {
        let (name, board, said) = (name.clone(), Arc::default(), Arc::default());
        Node { name, port, cluster, board, said, demo: demo.clone() }
    };
    let running = match adapter {
        Some(adapter) => {
            let cluster = join_cluster(&name, adapter).await.map_err(Error::other)?;
            let node = node(Some(cluster.clone()));
            let (layer, io) = SocketIo::builder()
                .with_state(node.clone())
                .with_adapter::<roomcast::socketioxide::Adapter<_>>(cluster.clone().into())
                .build_layer();
            io.ns("/", chat::connected.with(chat::admit)).await.map_err(Error::other)?;
            let board = Arc::clone(&node.board);
            let listening = peers::listen(&cluster, io.clone(), board, name.clone(), port).map_err(Error::other)?;
            tokio::spawn(async move {
                let ended = run(listener, layer, io, node, stopped).await;
                drop(listening);
                ended
            })
        }
        None => {
            let node = node(None);
            let (layer, io) = SocketIo::builder().with_state(node.clone()).build_layer();
            io.ns("/", chat::connected.with(chat::admit));
            tokio::spawn(run(listener, layer, io, node, stopped))
        }
    };
    Ok(Server { name, url, port, stop, running })
}

async fn join_cluster(name: &str, url: &str) -> roomcast::Result<Cluster> {
    let builder = Cluster::builder().node_name(name);
    match url.starts_with("relay://") {
        true => builder.connect(Relay::from_url(url)?).await,
        false => builder.connect(roomcast::backend(url)?).await,
    }
}

async fn run<A: Adapter>(
    listener: TcpListener,
    layer: SocketIoLayer<A>,
    io: SocketIo<A>,
    node: Node,
    mut stopped: watch::Receiver<bool>,
) -> Result<()> {
    let app: Router = page::routes().layer(layer);
    let mut stop_serving = stopped.clone();
    let serving =
        axum::serve(listener, app).with_graceful_shutdown(async move { _ = stop_serving.wait_for(|stop| *stop).await });
    let serving = tokio::spawn(serving.into_future());
    tokio::select! {
        () = state::keep_informed(&io, &node) => {}
        _ = stopped.wait_for(|stop| *stop) => {}
    }
    io.close().await;
    let aborted = serving.abort_handle();
    if tokio::time::timeout(LAST_WORDS, serving).await.is_err() {
        aborted.abort();
    }
    match &node.cluster {
        Some(cluster) => cluster.close().await.map_err(Error::other),
        None => Ok(()),
    }
}
