//! A private messenger on any number of servers: a message reaches every tab of its two users, and everybody sees who is online.
//!
//! ```sh
//! export MESSENGER_KEY="some secret"   # signs the sessions
//! cargo run --example messenger -- --port 3001
//! cargo run --example messenger -- --port 3002   # --adapter URL takes another broker than Redis on this machine
//! ```
//!
//! A client connects with `auth: { name }`, and from then on with `auth: { session }`. It gets `session {name, session}`, `said {from, to, text}`,
//! `online name` and `offline name`, and sends `say {to, text}` and `users`, both with an ack: `{Ok}` or `{Err}`.

mod presence;
#[path = "../applications/server.rs"]
mod server;
mod session;

use axum::Router;
use presence::{Presence, room};
use roomcast::socketioxide::{AckSender, Adapter, SocketRef};
use serde::{Deserialize, Serialize};
use session::Key;
use socketioxide::SocketIo;
use socketioxide::extract::{Data, Extension, State};
use socketioxide::handler::ConnectHandler;

#[derive(Clone)]
struct User(String);

#[derive(Deserialize)]
#[serde(untagged)]
enum Login {
    Again { session: String },
    New { name: String },
}

#[derive(Deserialize)]
struct Message {
    to: String,
    text: String,
}

#[derive(Serialize)]
struct Said<'a> {
    from: &'a str,
    to: &'a str,
    text: &'a str,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let options = server::Options::read(&[])?;
    let key =
        std::env::var("MESSENGER_KEY").map_err(|_| "MESSENGER_KEY is missing: the secret that signs the sessions")?;
    let key = Key::new(&key);
    let listener = options.listen().await?; // before the cluster is joined
    let cluster = options.join("messenger").await?;
    let presence = Presence::new(cluster.clone())?;
    let (layer, io) = SocketIo::builder()
        .with_state(key)
        .with_state(presence.clone())
        .with_adapter::<Adapter<_>>(cluster.clone().into())
        .build_layer();
    io.ns("/", connected.with(admit)).await?;
    tokio::spawn(presence.tell(io.clone()));
    server::run(listener, Router::new().layer(layer), io, cluster).await
}

/// Runs before the client is told that it is connected.
async fn admit(
    socket: SocketRef,
    Data(login): Data<Login>,
    State(key): State<Key>,
    State(presence): State<Presence>,
) -> Result<(), &'static str> {
    let name = match login {
        Login::Again { session } => key.user_of(&session).ok_or("this session is not valid")?,
        Login::New { name } if name.is_empty() || name.len() > 32 => return Err("a name has 1 to 32 bytes"),
        // A real messenger asks for a password here.
        Login::New { name } => match presence.online().await {
            Some(users) if !users.contains(&name) => name,
            Some(_) => return Err("this name is taken"),
            None => return Err("not all servers can be asked now"),
        },
    };
    socket.extensions.insert(User(name));
    socket.on("say", say);
    socket.on("users", users);
    socket.on_disconnect(disconnected);
    Ok(())
}

async fn connected(
    socket: SocketRef,
    Extension(User(name)): Extension<User>,
    State(key): State<Key>,
    State(presence): State<Presence>,
) {
    socket.join(room(&name));
    socket.emit("session", &serde_json::json!({ "name": name, "session": key.session_of(&name) })).ok();
    presence.changed().await;
}

async fn say(socket: SocketRef, Data(message): Data<Message>, Extension(User(from)): Extension<User>, ack: AckSender) {
    let said = Said { from: &from, to: &message.to, text: &message.text };
    let sent = socket.within([room(&message.to), room(&from)]).emit("said", &said).await;
    ack.send(&sent.map_err(|error| error.to_string())).ok();
}

async fn users(State(presence): State<Presence>, ack: AckSender) {
    ack.send(&presence.online().await.ok_or("not all servers can be asked now")).ok();
}

async fn disconnected(State(presence): State<Presence>) {
    presence.changed().await;
}
