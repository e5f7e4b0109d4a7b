//! A Socket.IO server of Node.js as a node: a process that takes orders as lines.
//!
//! A node that is stopped is this process, and not the server's, which has it easier.

use std::collections::HashMap;
use std::path::Path;
use std::process::Stdio;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use async_trait::async_trait;
use peers::adapters::with_user;
use peers::client::Client;
use roomcast::adapter::WaitFor;
use roomcast_conformance::nemesis::{Answered, Join, Listener, Node, NodeResult, Place};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use super::{guest, read};

/// Starts servers with this adapter.
pub(crate) struct JoinScripts(pub(crate) &'static str);

struct ScriptNode {
    id: String,
    nodes: u64,
    orders: tokio::sync::Mutex<ChildStdin>,
    next: AtomicU64,
    waiting: Arc<Mutex<HashMap<u64, oneshot::Sender<Value>>>>,
    _server: Child,
    _tasks: JoinSet<()>,
}

#[async_trait]
impl Join for JoinScripts {
    async fn join(&self, place: &Place, listener: Listener) -> NodeResult<Arc<dyn Node>> {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("js/server.mjs");
        let url = if self.0 == "postgres" { with_user(&place.url) } else { place.url.clone() };
        let mut command = Command::new("node");
        command.arg(script).args([self.0, &url, &place.cluster]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut server = command.kill_on_drop(true).spawn()?;
        let orders = server.stdin.take().ok_or("a server takes orders")?;
        let mut lines = BufReader::new(server.stdout.take().ok_or("a server answers")?).lines();
        let first = tokio::time::timeout(Place::CONNECTING, lines.next_line()).await??;
        let port: u16 = first.ok_or("the server did not start: npm install --prefix benches/peers/js")?.parse()?;
        let waiting = Arc::new(Mutex::new(HashMap::<u64, oneshot::Sender<Value>>::new()));
        let (mut tasks, answers) = (JoinSet::new(), Arc::clone(&waiting));
        tasks.spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                let Ok(answer) = serde_json::from_str::<Value>(&line) else { continue };
                let id = answer["id"].as_u64().unwrap_or_default();
                let asked = answers.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
                drop(asked.map(|asked| asked.send(answer)));
            }
            // The server has ended; so do those who wait for it.
            answers.lock().unwrap_or_else(PoisonError::into_inner).clear();
        });
        let address = ([127, 0, 0, 1], port).into();
        for (namespace, rooms) in [("/all", &[][..]), ("/rooms", &[guest(place.node).as_str()])] {
            tasks.spawn(read(Client::connect(address, namespace, rooms).await?, listener.clone()));
        }
        let (id, nodes, next) = (place.to_string().replace(' ', "-"), place.nodes.into(), AtomicU64::new(0));
        Ok(Arc::new(ScriptNode { id, nodes, orders: orders.into(), next, waiting, _server: server, _tasks: tasks }))
    }
}

impl ScriptNode {
    async fn order(&self, mut order: Value) -> NodeResult<Value> {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        order["id"] = json!(id);
        let mut orders = self.orders.lock().await;
        let answered = {
            let (answer, answered) = oneshot::channel();
            self.waiting.lock().unwrap_or_else(PoisonError::into_inner).insert(id, answer);
            answered
        };
        // It fails when the server has ended, and then all who wait are told.
        orders.write_all(format!("{order}\n").as_bytes()).await?;
        drop(orders);
        let answer = answered.await?;
        if answer["ok"] == json!(true) { Ok(answer["value"].clone()) } else { Err("it was refused".into()) }
    }

    async fn emit(&self, namespace: &str, room: Option<&str>, packet: &[u8]) -> NodeResult {
        let data = std::str::from_utf8(packet)?;
        let order = json!({ "operation": "emit", "namespace": namespace, "room": room, "data": data });
        self.order(order).await.map(drop)
    }

    async fn change(&self, operation: &str, guest_of: u32, room: &str) -> NodeResult {
        let order = json!({ "operation": operation, "namespace": "/rooms", "room": guest(guest_of), "other": room });
        self.order(order).await.map(drop)
    }
}

#[async_trait]
impl Node for ScriptNode {
    fn id(&self) -> String {
        self.id.clone()
    }

    async fn emit(&self, packet: &[u8]) -> NodeResult {
        self.emit("/all", None, packet).await
    }

    async fn emit_to_guests(&self, packet: &[u8]) -> NodeResult {
        self.emit("/rooms", None, packet).await
    }

    async fn emit_to_room(&self, room: &str, packet: &[u8]) -> NodeResult {
        self.emit("/rooms", Some(room), packet).await
    }

    async fn join(&self, guest_of: u32, room: &str, _wait: WaitFor) -> NodeResult {
        self.change("join", guest_of, room).await
    }

    async fn leave(&self, guest_of: u32, room: &str, _wait: WaitFor) -> NodeResult {
        self.change("leave", guest_of, room).await
    }

    async fn ask(&self, _n: u64) -> NodeResult<Answered> {
        let began = Instant::now();
        let answered = self.order(json!({ "operation": "fetch", "namespace": "/all" })).await;
        if answered.is_err() && began.elapsed() >= Place::QUESTION {
            // What came in time is not told.
            return Ok(Answered { answered: 0, missing: self.nodes, late: self.nodes });
        }
        let answered = answered?.as_u64().unwrap_or_default();
        Ok(Answered { answered, missing: self.nodes.saturating_sub(answered), late: 0 })
    }
}
