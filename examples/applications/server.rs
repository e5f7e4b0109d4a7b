//! What the messenger, the to-do list and the whiteboard share: their command line, and how a server begins and ends.
//! `docs/operating.md` says why it stops in this order.

use std::collections::BTreeMap;
use std::error::Error;
use std::time::Duration;

use axum::Router;
use roomcast::Cluster;
use roomcast::socketioxide::SocketIo;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

#[path = "stop.rs"]
mod stop;

/// How long requests that are open may keep a server that stops.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// The command line: `--port 3001 --adapter redis://127.0.0.1`.
pub(crate) struct Options(BTreeMap<String, String>);

impl Options {
    /// Reads the command line: `--port`, `--adapter`, and those that the application has beside them.
    pub(crate) fn read(own: &[&str]) -> Result<Self, String> {
        let mut given = BTreeMap::new();
        let mut words = std::env::args().skip(1);
        while let Some(flag) = words.next() {
            if !["--port", "--adapter"].iter().chain(own).any(|known| *known == flag) {
                let own: String = own.iter().map(|flag| format!(" {flag} VALUE")).collect();
                return Err(format!("there is no option {flag:?}; the options are --port PORT --adapter URL{own}"));
            }
            let value = words.next().ok_or(format!("{flag} needs a value"))?;
            given.insert(flag, value);
        }
        Ok(Self(given))
    }

    pub(crate) fn get(&self, flag: &str) -> Result<&str, String> {
        self.0.get(flag).map(String::as_str).ok_or(format!("{flag} is missing"))
    }

    /// The port of `--port`, 3000 without it, and 0 for a free one; on this machine alone.
    pub(crate) async fn listen(&self) -> std::io::Result<TcpListener> {
        TcpListener::bind(format!("127.0.0.1:{}", self.get("--port").unwrap_or("3000"))).await
    }

    /// Joins the servers of the same application over the broker of `--adapter`, Redis on this machine without it.
    pub(crate) async fn join(&self, application: &str) -> roomcast::Result<Cluster> {
        let broker = roomcast::backend(self.get("--adapter").unwrap_or("redis://127.0.0.1"))?;
        Cluster::builder().cluster(application).connect(broker).await // applications of other names may use the same broker
    }
}

/// Serves until the process is told to stop, then stops so that the other servers miss nothing.
pub(crate) async fn run(
    listener: TcpListener,
    app: Router,
    io: SocketIo,
    cluster: Cluster,
) -> Result<(), Box<dyn Error>> {
    println!("listening on http://{}", listener.local_addr()?);
    let (stop, stopped) = oneshot::channel::<()>();
    let serving = axum::serve(listener, app).with_graceful_shutdown(async { _ = stopped.await });
    let serving = tokio::spawn(serving.into_future());
    stop::asked().await?;
    drop(stop); // no new clients
    io.close().await; // runs the disconnect handlers
    tokio::time::timeout(LAST_WORDS, serving).await.ok();
    Ok(cluster.close().await?) // the other servers have got what was emitted, and know that this one has left
}
