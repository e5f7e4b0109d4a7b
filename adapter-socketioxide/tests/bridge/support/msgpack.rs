//! A namespace with one socket that speaks msgpack: socketioxide's own test sockets speak only the common parser.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::{Fuse, Iter, iter};
use roomcast_socketioxide::{Adapter, State};
use socketioxide::{AckError, SocketError};
use socketioxide_core::adapter::{BroadcastIter, CoreAdapter, CoreLocalAdapter, RemoteSocketData, SocketEmitter};
use socketioxide_core::packet::{Packet, PacketData};
use socketioxide_core::parser::Parse;
use socketioxide_core::{Sid, Str, Uid, Value};
use socketioxide_parser_msgpack::MsgPackParser;
use tokio::sync::mpsc;

pub(crate) struct Msgpack {
    pub(crate) id: Sid,
    pub(crate) adapter: Arc<Adapter<OneSocket>>,
    received: mpsc::UnboundedReceiver<Value>,
}

/// What the bridge sees of it.
pub(crate) struct OneSocket {
    id: Sid,
    path: Str,
    server: Uid,
    answer: Value,
    received: mpsc::UnboundedSender<Value>,
}

impl Msgpack {
    /// `answer` is what the socket answers to everything.
    pub(crate) fn new(state: &State, answer: impl serde::Serialize) -> Self {
        let (sender, received) = mpsc::unbounded_channel();
        let id = Sid::new();
        let answer = MsgPackParser.encode_value(&answer, None).expect("encodes");
        let socket = OneSocket { id, path: "/".into(), server: Uid::new(), answer, received: sender };
        let adapter = Arc::new(Adapter::new(state, CoreLocalAdapter::new(socket)));
        let _attached = Arc::clone(&adapter).init(|| ());
        Self { id, adapter, received }
    }

    /// The next so many events that the socket gets, as JSON; every frame is read as the client would.
    pub(crate) async fn received(&mut self, count: usize) -> Vec<serde_json::Value> {
        let json = |data: &Bytes| rmp_serde::from_slice(data).expect("msgpack without binary data");
        self.events(count).await.iter().map(json).collect()
    }

    /// The same as msgpack.
    pub(crate) async fn events(&mut self, count: usize) -> Vec<Bytes> {
        let mut events = Vec::new();
        while events.len() < count {
            let frame = tokio::time::timeout(Duration::from_secs(5), self.received.recv()).await;
            let Some(Value::Bytes(frame)) = frame.expect("a frame in time") else { panic!("a text frame") };
            let frame = MsgPackParser.decode_bin(&Default::default(), &Default::default(), frame);
            events.push(data(frame.expect("a frame").inner));
        }
        events
    }
}

fn data(packet: PacketData) -> Bytes {
    match packet {
        PacketData::Event(Value::Bytes(data), _) => data,
        other => panic!("no event: {other:?}"),
    }
}

impl SocketEmitter for OneSocket {
    type AckError = AckError;
    type AckStream = Fuse<Iter<std::vec::IntoIter<(Sid, Result<Value, AckError>)>>>;

    fn get_all_sids(&self, filter: impl Fn(&Sid) -> bool) -> Vec<Sid> {
        Some(self.id).filter(filter).into_iter().collect()
    }

    fn get_remote_sockets(&self, sids: BroadcastIter<'_>) -> Vec<RemoteSocketData> {
        let here = |id| RemoteSocketData { id, server_id: self.server, ns: self.path.clone() };
        sids.filter(|id| *id == self.id).map(here).collect()
    }

    fn send_many(&self, sids: BroadcastIter<'_>, data: Value) -> Result<(), Vec<SocketError>> {
        sids.filter(|id| *id == self.id).for_each(|_| self.received.send(data.clone()).expect("a test reads"));
        Ok(())
    }

    fn send_many_volatile(&self, sids: BroadcastIter<'_>, data: Value) {
        self.send_many(sids, data).expect("sent");
    }

    fn send_many_with_ack(&self, sids: BroadcastIter<'_>, _: Packet, _: Option<Duration>) -> (Self::AckStream, u32) {
        let asked: Vec<_> = sids.filter(|id| *id == self.id).map(|id| (id, Ok(self.answer.clone()))).collect();
        let count = u32::try_from(asked.len()).expect("one");
        (iter(asked).fuse(), count)
    }

    fn disconnect_many(&self, _: Vec<Sid>) -> Result<(), Vec<SocketError>> {
        Ok(())
    }

    fn path(&self) -> &Str {
        &self.path
    }

    fn parser(&self) -> impl Parse {
        MsgPackParser
    }

    fn server_id(&self) -> Uid {
        self.server
    }

    fn ack_timeout(&self) -> Duration {
        Duration::from_secs(5)
    }
}
