//! A client without a network, over socketioxide's own test sockets.

use std::time::Duration;

use engineioxide::Packet;
use roomcast_socketioxide::SocketIo;
use socketioxide::socket::Sid;
use tokio::sync::mpsc::{Receiver, Sender};

pub(crate) struct Client {
    pub(crate) id: Sid,
    send: Sender<Packet>,
    receive: Receiver<Packet>,
}

impl Client {
    pub(crate) async fn connect(io: &SocketIo) -> Self {
        Self::connect_to(io, "/").await
    }

    pub(crate) async fn connect_to(io: &SocketIo, namespace: &'static str) -> Self {
        let (send, receive) = io.new_dummy_sock(namespace, ()).await;
        let mut client = Self { id: Sid::ZERO, send, receive };
        let hello = client.next().await;
        let (_, id) = hello.split_once("\"sid\":\"").expect("a connect packet");
        client.id = id[..16].parse().expect("a socket id");
        client
    }

    /// The next packet: text as it is, binary in hexadecimal digits.
    pub(crate) async fn next(&mut self) -> String {
        let packet = tokio::time::timeout(Duration::from_secs(5), self.receive.recv()).await;
        match packet.expect("a packet in time").expect("connected") {
            Packet::Message(text) => text.to_string(),
            Packet::Binary(bytes) => bytes.iter().map(|byte| format!("{byte:02x}")).collect(),
            other => format!("{other:?}"),
        }
    }

    /// The names of the events that come before the fence; anything else as it is.
    pub(crate) async fn until_fence(&mut self) -> Vec<String> {
        let mut names = Vec::new();
        loop {
            let packet = self.next().await;
            let name = packet.strip_prefix("2[\"").and_then(|rest| rest.split('"').next()).unwrap_or(&packet);
            if name == "fence" {
                return names;
            }
            names.push(name.to_owned());
        }
    }

    /// Sends a packet, as its text.
    pub(crate) async fn send(&self, packet: impl Into<String>) {
        self.send.send(Packet::Message(packet.into().into())).await.expect("connected");
    }

    /// Waits for an event that wants an answer, and answers with this JSON array.
    pub(crate) async fn answer(&mut self, json: &str) {
        let packet = self.next().await;
        let id: String = packet[1..].chars().take_while(char::is_ascii_digit).collect();
        assert!(packet.starts_with('2') && !id.is_empty(), "an event with an id: {packet}");
        self.send(format!("3{id}{json}")).await;
    }
}
