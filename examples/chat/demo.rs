//! What the page can do to the broker, the links and the servers, where all of them are this program's own.

use std::net::IpAddr;

use axum::http::Uri;
use serde::{Deserialize, Serialize};
use socketioxide::adapter::Adapter;
use socketioxide::extract::{AckSender, SocketRef, State, TryData};
use tokio::sync::{mpsc, oneshot, watch};

use crate::board::Entry;
use crate::chat::{self, Node};

/// What a page asks for.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub(crate) enum Action {
    KillBroker,
    StartBroker,
    /// The node's link to the broker stays open, and no byte moves on it.
    Freeze {
        port: u16,
    },
    Thaw {
        port: u16,
    },
    Kill {
        port: u16,
    },
    Start {
        port: u16,
    },
}

/// How everything stands.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct View {
    /// Whether the broker runs.
    pub(crate) broker: bool,
    pub(crate) nodes: Vec<Seat>,
    /// What was done so far, the newest of it.
    pub(crate) log: Vec<Entry>,
}

/// A node that runs, or could.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Seat {
    pub(crate) name: String,
    pub(crate) port: u16,
    pub(crate) runs: bool,
    pub(crate) frozen: bool,
}

pub(crate) type Order = (Action, oneshot::Sender<Result<(), String>>);

/// The nodes' way to what runs them.
#[derive(Clone)]
pub(crate) struct Demo {
    pub(crate) orders: mpsc::Sender<Order>,
    pub(crate) view: watch::Receiver<View>,
}

impl Demo {
    async fn order(&self, action: Action) -> Result<(), String> {
        let gone = || "the demo is closing".to_owned();
        let (done, wait) = oneshot::channel();
        self.orders.send((action, done)).await.map_err(|_| gone())?;
        wait.await.map_err(|_| gone())?
    }
}

/// Whether this socket may break things: where there is a demo, and the page is one of this machine. Any page of the web can connect
/// to a server on the machine that shows it, but a browser says which page it was.
pub(crate) fn offered<A: Adapter>(socket: &SocketRef<A>, node: &Node) -> bool {
    let origin = socket.req_parts().headers.get("origin");
    node.demo.is_some() && origin.is_none_or(|origin| origin.to_str().is_ok_and(is_local))
}

fn is_local(origin: &str) -> bool {
    let Ok(origin) = origin.parse::<Uri>() else { return false };
    let host = origin.host().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

/// Does what a page asks for.
pub(crate) async fn asked<A: Adapter>(data: TryData<Action>, node: State<Node>, ack: AckSender<A>) {
    let done = match (chat::read(data), &node.demo) {
        (Ok(action), Some(demo)) => demo.order(action).await,
        (Err(reason), _) => Err(reason),
        (_, None) => Err("there is nothing to kill here".to_owned()),
    };
    chat::answer(ack, done.map(|()| true));
}

#[cfg(test)]
mod tests {
    use super::is_local;

    #[test]
    fn only_pages_of_this_machine_may_break_things() {
        for local in [
            "http://localhost:3001",
            "http://127.0.0.1:3001",
            "http://127.0.0.1",
            "http://[::1]:3001",
            "http://localhost",
        ] {
            assert!(is_local(local), "{local}");
        }
        for foreign in [
            "https://example.org",
            "http://localhost.example.org:3001",
            "null",
            "http://127.0.0.1.example.org",
            "http://10.0.0.1:3001",
            "http://[::2]",
        ] {
            assert!(!is_local(foreign), "{foreign}");
        }
    }
}
