//! The nemesis for the adapters of others: `nemesis --subject socketioxide-redis --seconds 60`. Those of Node.js need
//! `npm install --prefix benches/peers/js` before.
//!
//! For Roomcast's own, `cargo run -p roomcast-conformance -- nemesis`: load, faults and checks are the same.

mod script;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use peers::Failed;
use peers::adapters::{Kind, QUESTION, Use};
use peers::client::Client;
use peers::server::Server;
use roomcast::adapter::WaitFor;
use roomcast_conformance::broker::recipes;
use roomcast_conformance::nemesis::{Answered, Contestant, Join, Listener, Node, NodeResult, Place};
use script::JoinScripts;
use socketioxide::SocketIo;
use socketioxide::adapter::Adapter;
use socketioxide::layer::SocketIoLayer;
use socketioxide::operators::BroadcastOperators;
use tokio::task::JoinSet;

fn main() -> ExitCode {
    let rust = Kind::PEERS.map(|kind| {
        let recipe = match kind {
            Kind::Sqlx | Kind::TokioPostgres => recipes::postgres(),
            _ => recipes::redis(),
        };
        Contestant::peer(kind.name(), recipe, JoinServers(kind))
    });
    let scripts = [
        ("@socket.io/redis-adapter", recipes::redis(), "redis"),
        ("@socket.io/redis-streams-adapter", recipes::redis(), "redis-streams"),
        ("@socket.io/postgres-adapter", recipes::postgres(), "postgres"),
    ];
    let scripts = scripts.map(|(name, recipe, kind)| Contestant::peer(name, recipe, JoinScripts(kind)));
    roomcast_conformance::nemesis::main(rust.into_iter().chain(scripts))
}

struct JoinServers(Kind);

/// A server with one client that gets what is emitted to all, and one that others let into rooms.
struct ServerNode<A: Adapter> {
    io: SocketIo<A>,
    id: String,
    nodes: u64,
    _server: Server,
    _clients: JoinSet<()>,
}

struct Start<'a> {
    place: &'a Place,
    listener: Listener,
}

#[async_trait]
impl Join for JoinServers {
    async fn join(&self, place: &Place, listener: Listener) -> NodeResult<Arc<dyn Node>> {
        let until = Instant::now() + Place::CONNECTING;
        loop {
            let start = Start { place, listener: listener.clone() };
            // They do not try again by themselves; a supervisor would start the application once more.
            match self.0.serve(&place.url, &place.cluster, start).await {
                Err(error) if Instant::now() > until => return Err(error),
                Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
                Ok(node) => return Ok(node),
            }
        }
    }
}

impl Use for Start<'_> {
    type Output = Arc<dyn Node>;

    async fn with<A: Adapter>(self, layer: SocketIoLayer<A>, io: SocketIo<A>) -> Result<Self::Output, Failed> {
        let Self { place, listener } = self;
        let server = Server::start(layer).await?;
        let mut clients = JoinSet::new();
        for (namespace, rooms) in [("/all", &[][..]), ("/rooms", &[guest(place.node).as_str()])] {
            clients.spawn(read(Client::connect(server.address, namespace, rooms).await?, listener.clone()));
        }
        let (id, nodes) = (place.to_string().replace(' ', "-"), place.nodes.into());
        Ok(Arc::new(ServerNode { io, id, nodes, _server: server, _clients: clients }))
    }
}

impl<A: Adapter> ServerNode<A> {
    fn of(&self, namespace: &str) -> NodeResult<BroadcastOperators<A>> {
        Ok(self.io.of(namespace).ok_or("the namespace is there")?)
    }
}

async fn emit<A: Adapter>(to: BroadcastOperators<A>, packet: &[u8]) -> NodeResult {
    Ok(to.emit("m", std::str::from_utf8(packet)?).await.map_err(|error| error.to_string())?)
}

#[async_trait]
impl<A: Adapter> Node for ServerNode<A> {
    fn id(&self) -> String {
        self.id.clone()
    }

    async fn emit(&self, packet: &[u8]) -> NodeResult {
        emit(self.of("/all")?, packet).await
    }

    async fn emit_to_guests(&self, packet: &[u8]) -> NodeResult {
        emit(self.of("/rooms")?, packet).await
    }

    async fn emit_to_room(&self, room: &str, packet: &[u8]) -> NodeResult {
        emit(self.of("/rooms")?.to(room.to_owned()), packet).await
    }

    async fn join(&self, guest_of: u32, room: &str, _wait: WaitFor) -> NodeResult {
        let guest = self.of("/rooms")?.within(guest(guest_of));
        Ok(guest.join(room.to_owned()).await.map_err(|error| error.to_string())?)
    }

    async fn leave(&self, guest_of: u32, room: &str, _wait: WaitFor) -> NodeResult {
        let guest = self.of("/rooms")?.within(guest(guest_of));
        Ok(guest.leave(room.to_owned()).await.map_err(|error| error.to_string())?)
    }

    async fn ask(&self, _n: u64) -> NodeResult<Answered> {
        let began = Instant::now();
        let sockets = self.of("/all")?.fetch_sockets().await.map_err(|error| error.to_string())?;
        let answered = sockets.len() as u64;
        let missing = self.nodes.saturating_sub(answered);
        Ok(Answered { answered, missing, late: if began.elapsed() >= QUESTION { missing } else { 0 } })
    }
}

/// Tells what a client gets.
async fn read(mut client: Client, listener: Listener) {
    loop {
        match client.next().await {
            Ok(event) => {
                let packet = event.strip_prefix("[\"m\",\"").and_then(|event| event.strip_suffix("\"]"));
                listener.packet(packet.unwrap_or_default().as_bytes());
            }
            Err(error) => {
                eprintln!("a client was disconnected: {error}");
                return;
            }
        }
    }
}

fn guest(node: u32) -> String {
    format!("guest-{node}")
}
