//! A namespace of sockets that read when the test says so, with buffers of a known size. They speak msgpack.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::{Fuse, Iter, iter};
use roomcast_socketioxide::{Adapter, State};
use socketioxide::{AckError, SocketError};
use socketioxide_core::adapter::{
    BroadcastFlags, BroadcastIter, BroadcastOptions, CoreAdapter, CoreLocalAdapter, RemoteSocketData, SocketEmitter,
};
use socketioxide_core::packet::{Packet, PacketData};
use socketioxide_core::parser::Parse;
use socketioxide_core::{Sid, Str, Uid, Value};
use socketioxide_parser_msgpack::MsgPackParser;

pub(crate) struct Crowd {
    pub(crate) ids: Vec<Sid>,
    pub(crate) adapter: Arc<Adapter<Sockets>>,
    shared: Arc<Mutex<Shared>>,
}

/// What the bridge sees of them.
pub(crate) struct Sockets {
    path: Str,
    server: Uid,
    shared: Arc<Mutex<Shared>>,
}

struct Shared {
    panics: bool,
    buffers: BTreeMap<Sid, VecDeque<Value>>,
    room: usize,
    /// Connections that are gone though the socket is still here, as during a disconnect handler.
    closed: BTreeSet<Sid>,
    passes: usize,
    encoders: usize,
}

impl Crowd {
    /// So many sockets, each with room for so many packets.
    pub(crate) fn new(state: &State, sockets: usize, room: usize) -> Self {
        let ids: Vec<_> = (0..sockets).map(|_| Sid::new()).collect();
        let buffers = ids.iter().map(|id| (*id, VecDeque::new())).collect();
        let shared = Shared { panics: false, buffers, room, closed: BTreeSet::new(), passes: 0, encoders: 0 };
        let shared = Arc::new(Mutex::new(shared));
        let sockets = Sockets { path: "/".into(), server: Uid::new(), shared: Arc::clone(&shared) };
        let adapter = Arc::new(Adapter::new(state, CoreLocalAdapter::new(sockets)));
        let _attached = Arc::clone(&adapter).init(|| ());
        Self { ids, adapter, shared }
    }

    fn shared(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().expect("sound")
    }

    /// Emits to every socket of every node, as an application does.
    pub(crate) async fn emit(&self, event: &str, data: &impl serde::Serialize) {
        let mut options = BroadcastOptions::default();
        options.add_flag(BroadcastFlags::Broadcast);
        let packet = Packet::event("/", MsgPackParser.encode_value(data, Some(event)).expect("encodes"));
        self.adapter.broadcast(packet, options).await.expect("sent");
    }

    /// Takes what is in a socket's buffer, as JSON: the events, and `"disconnect"`.
    pub(crate) fn read(&self, socket: Sid) -> Vec<serde_json::Value> {
        let values = std::mem::take(self.shared().buffers.get_mut(&socket).expect("here"));
        values.into_iter().map(json).collect()
    }

    /// Reads until so many packets have come.
    pub(crate) async fn read_until(&self, socket: Sid, count: usize) -> Vec<serde_json::Value> {
        let mut packets = Vec::new();
        super::eventually("the packets", async || {
            packets.append(&mut self.read(socket));
            packets.len() >= count
        })
        .await;
        packets
    }

    /// The connection of a socket goes; the socket stays, as upstream's does until its disconnect handler has ended.
    pub(crate) fn cut(&self, socket: Sid) {
        self.shared().closed.insert(socket);
    }

    /// The next send panics.
    pub(crate) fn panic_once(&self) {
        self.shared().panics = true;
    }

    /// How often the bridge went through sockets to send, and how often it had something encoded, since the last call.
    pub(crate) fn work(&self) -> (usize, usize) {
        let mut shared = self.shared();
        (std::mem::take(&mut shared.passes), std::mem::take(&mut shared.encoders))
    }
}

fn json(value: Value) -> serde_json::Value {
    let Value::Bytes(frame) = value else { panic!("a text frame") };
    match MsgPackParser.decode_bin(&Default::default(), &Default::default(), frame).expect("a frame").inner {
        PacketData::Event(Value::Bytes(data), _) => rmp_serde::from_slice(&data).expect("msgpack"),
        other => panic!("no event: {other:?}"),
    }
}

impl Shared {
    fn push(&mut self, socket: Sid, value: Value) -> Result<(), SocketError> {
        let (room, closed) = (self.room, self.closed.contains(&socket));
        let Some(buffer) = self.buffers.get_mut(&socket) else { return Ok(()) };
        match () {
            () if closed => Err(SocketError::Closed),
            () if buffer.len() >= room => Err(SocketError::InternalChannelFull),
            () => {
                buffer.push_back(value);
                Ok(())
            }
        }
    }
}

impl SocketEmitter for Sockets {
    type AckError = AckError;
    type AckStream = Fuse<Iter<std::vec::IntoIter<(Sid, Result<Value, AckError>)>>>;

    fn get_all_sids(&self, filter: impl Fn(&Sid) -> bool) -> Vec<Sid> {
        self.shared.lock().expect("sound").buffers.keys().copied().filter(filter).collect()
    }

    fn get_remote_sockets(&self, sids: BroadcastIter<'_>) -> Vec<RemoteSocketData> {
        let shared = self.shared.lock().expect("sound");
        let here = |id| RemoteSocketData { id, server_id: self.server, ns: self.path.clone() };
        sids.filter(|id| shared.buffers.contains_key(id)).map(here).collect()
    }

    fn send_many(&self, sids: BroadcastIter<'_>, data: Value) -> Result<(), Vec<SocketError>> {
        let mut shared = self.shared.lock().expect("sound");
        if std::mem::take(&mut shared.panics) {
            drop(shared);
            panic!("as the test has asked");
        }
        shared.passes += 1;
        let errors: Vec<_> = sids.filter_map(|id| shared.push(id, data.clone()).err()).collect();
        if errors.is_empty() { Ok(()) } else { Err(errors) }
    }

    fn send_many_volatile(&self, sids: BroadcastIter<'_>, data: Value) {
        let _ = self.send_many(sids, data);
    }

    /// Each of them answers "yes" at once, if it has room for the question.
    fn send_many_with_ack(
        &self,
        sids: BroadcastIter<'_>,
        packet: Packet,
        _: Option<Duration>,
    ) -> (Self::AckStream, u32) {
        let mut shared = self.shared.lock().expect("sound");
        let mut ask = |id| {
            let asked = shared.push(id, MsgPackParser.encode(packet.clone())).map_err(AckError::Socket);
            (id, asked.map(|()| MsgPackParser.encode_value(&"yes", None).expect("encodes")))
        };
        let asked: Vec<_> = sids.map(&mut ask).collect();
        let count = u32::try_from(asked.len()).expect("few");
        (iter(asked).fuse(), count)
    }

    /// As upstream: one whose buffer is full stays connected.
    fn disconnect_many(&self, sids: Vec<Sid>) -> Result<(), Vec<SocketError>> {
        let mut shared = self.shared.lock().expect("sound");
        let mut errors = Vec::new();
        for socket in sids {
            if shared.closed.contains(&socket) || shared.buffers.get(&socket).is_some_and(|b| b.len() < shared.room) {
                shared.closed.insert(socket);
            } else if shared.buffers.contains_key(&socket) {
                errors.push(SocketError::InternalChannelFull);
            }
        }
        if errors.is_empty() { Ok(()) } else { Err(errors) }
    }

    fn path(&self) -> &Str {
        &self.path
    }

    fn parser(&self) -> impl Parse {
        self.shared.lock().expect("sound").encoders += 1;
        MsgPackParser
    }

    fn server_id(&self) -> Uid {
        self.server
    }

    fn ack_timeout(&self) -> Duration {
        Duration::from_secs(5)
    }
}
