//! What a client can ask a node to do.

use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use roomcast::Packet;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use socketioxide::adapter::Adapter;
use socketioxide::extract::{AckSender, Data, SocketRef, State, TryData};
use socketioxide::socket::{RemoteSocket, Sid};
use socketioxide::{AckError, SocketIo};

use crate::node::Node;
use crate::target::Target;

/// One thing to do.
#[derive(Deserialize)]
pub(crate) struct Op {
    #[serde(rename = "do")]
    what: What,
    /// The sockets it is done to.
    #[serde(default)]
    target: Target,
    /// Do it to this one instead, as the `RemoteSocket` that `fetch_sockets` gives.
    #[serde(default)]
    remote: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
enum What {
    Emit {
        event: String,
        data: Value,
    },
    /// Emits the numbers from 0 on.
    Count {
        event: String,
        upto: u32,
    },
    EmitWithAck {
        event: String,
        data: Value,
    },
    Join {
        rooms: Vec<String>,
    },
    Leave {
        rooms: Vec<String>,
    },
    Disconnect,
    FetchSockets,
    Rooms,
    /// Through the cluster, as for a namespace that is not here.
    ClusterEmit {
        event: String,
        data: Value,
    },
    ServerSideEmit {
        event: String,
        data: String,
    },
    ServerSideEmitWithAck {
        event: String,
        data: String,
    },
    Nodes,
    CloseNode {
        index: usize,
    },
}

/// For what a client gives no timeout for.
const PATIENCE: Duration = Duration::from_secs(10);

type Outcome = Result<Value, String>;

/// Does all of it in order, and answers with the list of what came of each.
pub(crate) async fn run<A: Adapter>(
    io: SocketIo<A>,
    socket: SocketRef<A>,
    TryData(ops): TryData<Vec<Op>>,
    State(node): State<Node>,
    ack: AckSender<A>,
) {
    let answer = match ops {
        Ok(ops) => {
            let mut outcomes = Vec::with_capacity(ops.len());
            for op in ops {
                outcomes.push(one(&io, &socket, &node, op).await.unwrap_or_else(|error| json!({ "error": error })));
            }
            Value::Array(outcomes)
        }
        Err(error) => json!({ "error": error.to_string() }),
    };
    ack.send(&answer).ok();
}

/// Emits two payloads as the client gave them.
pub(crate) async fn emit_binary<A: Adapter>(
    io: SocketIo<A>,
    socket: SocketRef<A>,
    Data((target, first, second)): Data<(Target, Bytes, Bytes)>,
    ack: AckSender<A>,
) {
    let sent = match target.operators(&io, &socket) {
        Ok(operators) => operators.emit("binary", &(first, second)).await.map_err(text),
        Err(error) => Err(error),
    };
    ack.send(&sent.map_or_else(|error| json!({ "error": error }), |()| Value::Null)).ok();
}

async fn one<A: Adapter>(io: &SocketIo<A>, socket: &SocketRef<A>, node: &Node, op: Op) -> Outcome {
    if let Some(id) = &op.remote {
        return remote(io, socket, id, op.what).await;
    }
    let sockets = || op.target.operators(io, socket);
    match op.what {
        What::Emit { event, data } => sockets()?.emit(event, &data).await.map_err(text).map(done),
        What::Count { event, upto } => {
            let sockets = sockets()?;
            for number in 0..upto {
                sockets.clone().emit(&event, &number).await.map_err(text)?;
            }
            Ok(Value::Null)
        }
        What::EmitWithAck { event, data } => {
            let started = Instant::now();
            let acks = sockets()?.emit_with_ack::<_, Value>(event, &data).await.map_err(text)?;
            Ok(gathered(acks, started).await)
        }
        What::Join { rooms } => sockets()?.join(rooms).await.map_err(text).map(done),
        What::Leave { rooms } => sockets()?.leave(rooms).await.map_err(text).map(done),
        What::Disconnect => sockets()?.disconnect().await.map_err(text).map(done),
        What::FetchSockets => {
            let found = sockets()?.fetch_sockets().await.map_err(text)?;
            Ok(found.iter().map(described).collect())
        }
        What::Rooms => sockets()?.rooms().await.map_err(text).map(sorted),
        What::ClusterEmit { event, data } => {
            let namespace = node.cluster.of(op.target.namespace(socket)).map_err(text)?;
            let packet = Packet::event(&event, data).map_err(text)?;
            match op.target.room() {
                Some(room) => namespace.to(room).emit(packet).await.map_err(text).map(done),
                None => namespace.emit(packet).await.map_err(text).map(done),
            }
        }
        What::ServerSideEmit { event, data } => {
            let namespace = node.cluster.of("/").map_err(text)?;
            namespace.server_side_emit(&event, data).await.map_err(text).map(done)
        }
        What::ServerSideEmitWithAck { event, data } => {
            let namespace = node.cluster.of("/").map_err(text)?;
            let answers = namespace.server_side_emit_with_ack(&event, data, PATIENCE).await.map_err(text)?;
            let texts = answers.items.iter().map(|(_, answer)| String::from_utf8_lossy(answer).into_owned());
            Ok(json!({ "answers": sorted(texts), "missing": answers.missing.len() }))
        }
        What::Nodes => Ok(sorted(node.cluster.nodes().into_iter().map(|node| node.name))),
        What::CloseNode { index } => {
            node.nodes.close(index).await;
            Ok(Value::Null)
        }
    }
}

async fn remote<A: Adapter>(io: &SocketIo<A>, socket: &SocketRef<A>, id: &str, what: What) -> Outcome {
    let here = io.of(socket.ns()).ok_or("this namespace is not here")?;
    let all = here.fetch_sockets().await.map_err(text)?;
    let found = all.into_iter().find(|found| found.data().id.as_str() == id);
    let found = found.ok_or("no node has this socket")?;
    match what {
        What::Emit { event, data } => found.emit(event, &data).await.map_err(text).map(done),
        What::EmitWithAck { event, data } => {
            let started = Instant::now();
            let acks = found.emit_with_ack::<_, Value>(event, &data).await.map_err(text)?;
            Ok(gathered(acks, started).await)
        }
        What::Join { rooms } => found.join(rooms).await.map_err(text).map(done),
        What::Leave { rooms } => found.leave(rooms).await.map_err(text).map(done),
        What::Disconnect => found.disconnect().await.map_err(text).map(done),
        What::Rooms => found.rooms().await.map_err(text).map(sorted),
        _ => Err("a remote socket cannot do that".to_owned()),
    }
}

/// Waits for all answers; those that failed are apart, and so is how long it took, in milliseconds.
async fn gathered(answers: impl Stream<Item = (Sid, Result<Value, AckError>)>, started: Instant) -> Value {
    let (mut acks, mut errors) = (Map::new(), Map::new());
    let mut answers = std::pin::pin!(answers);
    while let Some((id, answer)) = answers.next().await {
        match answer {
            Ok(value) => acks.insert(id.to_string(), value),
            Err(error) => errors.insert(id.to_string(), Value::String(error.to_string())),
        };
    }
    json!({ "acks": acks, "errors": errors, "ms": started.elapsed().as_millis() as u64 })
}

fn described<A: Adapter>(socket: &RemoteSocket<A>) -> Value {
    let data = socket.data();
    json!({ "id": data.id, "server": data.server_id, "ns": &*data.ns })
}

fn sorted(names: impl IntoIterator<Item = impl Into<String>>) -> Value {
    let mut names: Vec<String> = names.into_iter().map(Into::into).collect();
    names.sort();
    names.into()
}

fn done((): ()) -> Value {
    Value::Null
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}
