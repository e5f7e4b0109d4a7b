//! The chat's events. Everything is generic over the adapter: the same code runs with a cluster and without.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;

use roomcast::Cluster;
use serde::{Deserialize, Serialize};
use socketioxide::SocketIo;
use socketioxide::adapter::Adapter;
use socketioxide::extract::{AckSender, SocketRef, State, TryData};
use socketioxide::socket::Sid;
use tokio::sync::Mutex;

use crate::board::Board;
use crate::demo::{self, Demo};
use crate::peers::{self, Who};

const LONGEST_NAME: usize = 32;
const LONGEST_ROOM: usize = 32;
const LONGEST_TEXT: usize = 500;
const MOST_ROOMS: usize = 20;
/// Of how many rooms a node counts the messages; then it begins anew.
const MOST_COUNTED: usize = 500;
const MOST_NUMBERS: u32 = 100_000;

/// This node, as its handlers see it.
#[derive(Clone)]
pub(crate) struct Node {
    pub(crate) name: String,
    pub(crate) port: u16,
    /// `None` with `--adapter none`.
    pub(crate) cluster: Option<Cluster>,
    /// What it knows of all nodes.
    pub(crate) board: Arc<Board>,
    /// How many messages were said on this node, by room. It is held while one is emitted, so that they go in this order.
    pub(crate) said: Arc<Mutex<BTreeMap<String, u64>>>,
    /// `None` where the page can kill nothing.
    pub(crate) demo: Option<Demo>,
}

impl Node {
    /// Tells this run of the node from every other.
    pub(crate) fn id(&self) -> String {
        self.cluster.as_ref().map_or_else(|| self.name.clone(), |cluster| cluster.node().id.to_string())
    }
}

/// Whose socket it is.
#[derive(Clone)]
pub(crate) struct User(pub(crate) String);

/// What every event is answered with.
#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
enum Answer<T> {
    Ok(T),
    Error(String),
}

#[derive(Deserialize)]
pub(crate) struct Named {
    name: String,
}

#[derive(Deserialize)]
struct InRoom {
    room: String,
}

#[derive(Deserialize)]
struct Message {
    room: String,
    text: String,
    /// The sender's clock, in milliseconds since 1970.
    at: Option<f64>,
}

/// One of a row of numbers, by which pages see what is lost, doubled or out of order.
#[derive(Deserialize)]
struct Number {
    room: String,
    /// Tells the rows of a page apart.
    run: u32,
    n: u32,
    of: u32,
    at: f64,
}

/// A message on its way to the pages.
#[derive(Serialize)]
struct Said<'a> {
    /// The sender's socket, by which a page knows its own messages.
    id: Sid,
    room: &'a str,
    text: &'a str,
    name: &'a str,
    node: &'a str,
    port: u16,
    /// The run of that node, of whose messages in this room it is the `seq`th.
    by: &'a str,
    seq: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    at: Option<f64>,
}

/// A number on its way to the pages.
#[derive(Serialize)]
struct Counted<'a> {
    id: Sid,
    run: u32,
    n: u32,
    of: u32,
    at: f64,
    name: &'a str,
    node: &'a str,
}

/// Somebody entered a room or left it.
#[derive(Serialize)]
struct Moved<'a> {
    room: &'a str,
    name: &'a str,
    node: &'a str,
    what: &'static str,
}

/// Gives a browser its name and hears what it says. This is a middleware: it runs before the browser is told that it is
/// connected. socketioxide calls the connect handler after that, so listeners set there could miss the first event.
pub(crate) async fn admit<A: Adapter>(
    socket: SocketRef<A>,
    auth: TryData<Named>,
    node: State<Node>,
) -> Result<(), Infallible> {
    let given = auth.0.map_err(|error| error.to_string()).and_then(|it| checked("a name", &it.name, LONGEST_NAME));
    let id = socket.id.to_string();
    socket.extensions.insert(User(given.unwrap_or_else(|_| format!("guest-{}", &id[..4]))));
    socket.on("name", rename::<A>);
    socket.on("join", join::<A>);
    socket.on("leave", leave::<A>);
    socket.on("message", message::<A>);
    socket.on("number", number::<A>);
    socket.on("who", who::<A>);
    if demo::offered(&socket, &node) {
        socket.on("demo", demo::asked::<A>);
    }
    socket.on_disconnect(disconnect::<A>);
    Ok(())
}

/// A browser has connected.
pub(crate) async fn connected(node: State<Node>) {
    node.board.touch();
}

async fn rename<A: Adapter>(socket: SocketRef<A>, data: TryData<Named>, node: State<Node>, ack: AckSender<A>) {
    let name = read(data).and_then(|it| checked("a name", &it.name, LONGEST_NAME));
    let done = name.map(|name| socket.extensions.insert(User(name)));
    answer(ack, done.map(|_| true));
    node.board.touch();
}

async fn join<A: Adapter>(socket: SocketRef<A>, data: TryData<InRoom>, node: State<Node>, ack: AckSender<A>) {
    match read(data).and_then(|it| room_to_join(&socket, &it.room)) {
        Ok(room) => {
            socket.join(inner(&room));
            answer(ack, Ok(&room));
            moved(&socket, &node, &room, "joined").await;
            node.board.touch();
        }
        Err(reason) => answer::<A, ()>(ack, Err(reason)),
    }
}

async fn leave<A: Adapter>(socket: SocketRef<A>, data: TryData<InRoom>, node: State<Node>, ack: AckSender<A>) {
    match read(data).and_then(|it| own_room(&socket, &it.room)) {
        Ok(room) => {
            socket.leave(inner(&room));
            answer(ack, Ok(&room));
            moved(&socket, &node, &room, "left").await;
            node.board.touch();
        }
        Err(reason) => answer::<A, ()>(ack, Err(reason)),
    }
}

async fn message<A: Adapter>(socket: SocketRef<A>, data: TryData<Message>, node: State<Node>, ack: AckSender<A>) {
    let sent = match read(data) {
        Ok(message) => say(&socket, &node, message).await,
        Err(reason) => Err(reason),
    };
    answer(ack, sent.map(|()| true));
}

async fn say<A: Adapter>(socket: &SocketRef<A>, node: &Node, message: Message) -> Result<(), String> {
    let room = own_room(socket, &message.room)?;
    let text = checked("a message", &message.text, LONGEST_TEXT)?;
    let (name, by, at) = (name_of(socket), node.id(), message.at.filter(|at| at.is_finite()));
    let mut counts = node.said.lock().await;
    if counts.len() >= MOST_COUNTED {
        counts.clear();
    }
    let seq = counts.entry(room.clone()).or_default();
    *seq += 1;
    let (node, port) = (node.name.as_str(), node.port);
    let said = Said { id: socket.id, room: &room, text: &text, name: &name, node, port, by: &by, seq: *seq, at };
    // `within`, unlike `to`, does not leave out the sender.
    socket.within(inner(&room)).emit("message", &said).await.map_err(|error| error.to_string())
}

async fn number<A: Adapter>(socket: SocketRef<A>, data: TryData<Number>, node: State<Node>, ack: AckSender<A>) {
    let sent = match read(data) {
        Ok(number) => count(&socket, &node, number).await,
        Err(reason) => Err(reason),
    };
    answer(ack, sent.map(|()| true));
}

async fn count<A: Adapter>(socket: &SocketRef<A>, node: &Node, number: Number) -> Result<(), String> {
    let room = own_room(socket, &number.room)?;
    let Number { run, n, of, at, .. } = number;
    if n >= of || of > MOST_NUMBERS || !at.is_finite() {
        return Err(format!("numbers go from 0 to {MOST_NUMBERS}, exclusive"));
    }
    let counted = Counted { id: socket.id, run, n, of, at, name: &name_of(socket), node: &node.name };
    socket.within(inner(&room)).emit("number", &counted).await.map_err(|error| error.to_string())
}

async fn who<A: Adapter>(io: SocketIo<A>, node: State<Node>, ack: AckSender<A>) {
    let here = peers::here(&io, &node.name, node.port);
    let all: Result<Who, _> = peers::everywhere(node.cluster.as_ref(), here).await;
    answer(ack, all.map_err(|error| error.to_string()));
}

async fn disconnect<A: Adapter>(socket: SocketRef<A>, node: State<Node>) {
    for room in socket.rooms().iter().filter_map(|room| shown(room)) {
        moved(&socket, &node, &room, "left").await;
    }
    node.board.touch();
}

async fn moved<A: Adapter>(socket: &SocketRef<A>, node: &Node, room: &str, what: &'static str) {
    let notice = Moved { room, name: &name_of(socket), node: &node.name, what };
    logged(socket.within(inner(room)).emit("moved", &notice).await);
}

fn logged(sent: Result<(), socketioxide::BroadcastError>) {
    use socketioxide::{BroadcastError, SocketError};
    let gone = |error: &SocketError| matches!(error, SocketError::Closed);
    match sent {
        Ok(()) => {}
        // Somebody was closing the page just then; the others were served.
        Err(BroadcastError::Socket(errors)) if errors.iter().all(gone) => {}
        // Or this node is being closed.
        Err(BroadcastError::Adapter(error)) if is_closed(&*error.0) => {}
        Err(error) => {
            eprintln!("chat: {error}");
        }
    }
}

fn is_closed(error: &(dyn std::error::Error + Send + 'static)) -> bool {
    let ours = error.downcast_ref::<roomcast::socketioxide::Error>();
    ours.is_some_and(|error| error.kind() == roomcast::ErrorKind::Closed)
}

pub(crate) fn answer<A: Adapter, T: Serialize>(ack: AckSender<A>, result: Result<T, String>) {
    let answer = result.map_or_else(Answer::Error, Answer::Ok);
    // The only thing that can fail is that the browser is gone, and then nobody waits for the answer.
    ack.send(&answer).ok();
}

pub(crate) fn read<T>(data: TryData<T>) -> Result<T, String> {
    data.0.map_err(|error| format!("this event has other fields: {error}"))
}

fn name_of<A: Adapter>(socket: &SocketRef<A>) -> String {
    socket.extensions.get().map_or_else(String::new, |User(name)| name)
}

fn room_to_join<A: Adapter>(socket: &SocketRef<A>, room: &str) -> Result<String, String> {
    if socket.rooms().len() >= MOST_ROOMS {
        return Err(format!("{MOST_ROOMS} rooms are enough"));
    }
    checked("a room", room, LONGEST_ROOM)
}

fn own_room<A: Adapter>(socket: &SocketRef<A>, room: &str) -> Result<String, String> {
    let room = checked("a room", room, LONGEST_ROOM)?;
    if socket.rooms().iter().any(|own| *own == inner(&room)) { Ok(room) } else { Err(format!("you are not in {room}")) }
}

/// A chat room's name as a Socket.IO room: the mark keeps it apart from the private rooms of socket ids.
fn inner(room: &str) -> String {
    format!("#{room}")
}

/// The chat room that a Socket.IO room is, if it is one.
pub(crate) fn shown(room: &str) -> Option<String> {
    room.strip_prefix('#').map(str::to_owned)
}

/// The text without the space around it, if it has 1 to `longest` characters that can be shown.
fn checked(what: &str, text: &str, longest: usize) -> Result<String, String> {
    let text = text.trim();
    match text.chars().count() {
        0 => Err(format!("{what} must not be empty")),
        long if long > longest => Err(format!("{what} has at most {longest} characters, not {long}")),
        _ if text.chars().any(char::is_control) => Err(format!("{what} must not contain control characters")),
        _ => Ok(text.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_trimmed_and_bounded_in_characters() {
        assert_eq!(checked("a name", "  Zoë ", 3).expect("fits"), "Zoë");
        for bad in ["", "   ", "abcd", "a\nb", "\u{7}"] {
            assert!(checked("a name", bad, 3).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn private_rooms_of_sockets_are_not_shown() {
        assert_eq!(shown(&inner("lobby")).as_deref(), Some("lobby"));
        assert_eq!(shown("AAAAAAAAAAAAAAAA"), None);
    }
}
