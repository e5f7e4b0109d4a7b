//! socketioxide's adapter over the cluster.

use std::collections::HashSet;
use std::future::{Ready, ready};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use roomcast_core::adapter::{Address, AttachmentId, LocalSockets, Scope, SocketChange, WaitFor};
use roomcast_core::{ErrorKind, Namespace, Projection, SocketInfo};
use socketioxide::adapter::Emitter;
use socketioxide_core::adapter::errors::{BroadcastError, SocketError};
use socketioxide_core::adapter::{
    BroadcastOptions, CoreAdapter, CoreLocalAdapter, DefinedAdapter, RemoteSocketData, Room, RoomParam, SocketEmitter,
    Spawnable,
};
use socketioxide_core::packet::{Packet, PacketData};

use crate::acks::Acks;
use crate::asked::Asked;
use crate::between::between;
use crate::dialect::Dialect;
use crate::losses::Losses;
use crate::reader::Reader;
use crate::route::{Beyond, Route};
use crate::sockets::Sockets;
use crate::target::{self, Reach};
use crate::{Error, State, value};

/// How long disconnect handlers may keep a namespace that is closed.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// socketioxide's adapter over any Roomcast cluster: one for each namespace of this node.
///
/// A call that is wrong in itself (a packet over `max_message`, a name that the cluster cannot carry, a timeout of zero) is refused
/// before any socket is served. Otherwise local sockets are served whatever the state of the broker. An emit is sent to the rest of the
/// cluster before that, as far as it need not wait; every other operation is sent afterwards.
///
/// Nodes that do not reply are logged, since socketioxide's types cannot name them. What came is returned.
///
/// `Adapter` without a parameter is the adapter of a server, for what this crate has no alias for: socketioxide's traits.
///
/// # Examples
/// An extractor of one's own, here the token of a client's session:
/// ```
/// use std::convert::Infallible;
/// use std::sync::Arc;
///
/// use roomcast_socketioxide::{Adapter, Socket};
/// use socketioxide::handler::{FromMessageParts, Value};
///
/// struct Token(Option<String>);
///
/// impl FromMessageParts<Adapter> for Token {
///     type Error = Infallible;
///     fn from_message_parts(socket: &Arc<Socket>, _: &mut Value, _: &Option<i64>) -> Result<Self, Infallible> {
///         let header = socket.req_parts().headers.get("x-token");
///         Ok(Self(header.and_then(|token| token.to_str().ok()).map(str::to_owned)))
///     }
/// }
/// ```
pub struct Adapter<E = Emitter> {
    state: State,
    sockets: Arc<Sockets<E>>,
    link: OnceLock<Result<Link, ErrorKind>>,
}

/// The place of the local sockets in the cluster.
#[derive(Clone)]
struct Link {
    namespace: Namespace,
    attachment: AttachmentId,
}

impl<E: SocketEmitter> Adapter<E> {
    /// Where options lead. An error is for after the local sockets were served, unless [`Route::checked`] returns it.
    fn route(&self, options: &BroadcastOptions) -> Route {
        let to = |node| {
            let target = target::outgoing(options, node)?;
            Ok(if target.is_nobody() { Beyond::Nothing } else { Beyond::To(self.address(target)?) })
        };
        match Reach::of(options, self.sockets.local.server_id()) {
            Reach::Here => Route { here: true, beyond: Ok(Beyond::Nothing) },
            Reach::Everywhere => Route { here: true, beyond: to(None) },
            Reach::There(_, server) => match self.state.peers.find(server) {
                Some(known) if !self.state.cluster.nodes().iter().any(|node| node.id == known) => {
                    Route { here: false, beyond: Ok(Beyond::Gone) }
                }
                node => Route { here: false, beyond: to(node) },
            },
        }
    }

    fn address(&self, target: roomcast_core::adapter::Target) -> Result<Address, roomcast_core::Error> {
        let link = match self.link.get() {
            Some(Ok(link)) => link.clone(),
            Some(Err(kind)) => {
                return Err(roomcast_core::Error::new(*kind, "the namespace was refused by the cluster"));
            }
            None => {
                return Err(roomcast_core::Error::new(ErrorKind::Closed, "the namespace is not in the cluster yet"));
            }
        };
        Ok(Address::new(link.namespace, target).scope(Scope::Beyond(link.attachment)))
    }

    fn attach(&self) -> Result<Link, roomcast_core::Error> {
        let namespace = Namespace::new(self.sockets.path().as_str())?;
        let attachment = self.state.cluster.attach(&namespace, Arc::clone(&self.sockets) as Arc<dyn LocalSockets>)?;
        Ok(Link { namespace, attachment })
    }

    /// Where a change of sockets leads, and what is changed there. A name that the cluster cannot carry is no error for what
    /// stays here.
    fn route_change(
        &self,
        options: &BroadcastOptions,
        change: impl FnOnce() -> Result<SocketChange, roomcast_core::Error>,
    ) -> Result<(Route, Option<SocketChange>), Error> {
        let mut there = None;
        let route = self.route(options).checked(|address| {
            let change = there.insert(change()?);
            self.state.cluster.check_change(address, change, self.applied())
        })?;
        Ok((route, there))
    }

    fn applied(&self) -> WaitFor {
        WaitFor::Applied(self.state.request_timeout)
    }

    async fn change(&self, route: Route, change: Option<SocketChange>) -> Result<(), Error> {
        let failed = route.failure();
        if let (Beyond::To(address), Some(change)) = (route.beyond.map_err(&failed)?, change) {
            let asked = self.asked(match &change {
                SocketChange::Join(_) => "join",
                SocketChange::Leave(_) => "leave",
                _ => "disconnect",
            });
            let applied = self.state.cluster.change(address, change, self.applied()).await.map_err(&failed)?;
            asked.log(&applied.missing);
        }
        Ok(())
    }

    /// Sockets of one server; `None` when they are another kind of server's, for which socketioxide has no words.
    fn describe(&self, sockets: &[SocketInfo]) -> Option<impl Iterator<Item = RemoteSocketData>> {
        let first = sockets.first()?;
        let server_id = std::str::from_utf8(&first.data).ok()?.parse().ok()?;
        self.state.peers.remember(server_id, first.node);
        let describe = move |socket: &SocketInfo| {
            let id = socket.id.as_str().parse().ok()?;
            Some(RemoteSocketData { id, server_id, ns: self.sockets.path().clone() })
        };
        Some(sockets.iter().filter_map(describe))
    }

    fn checked(&self, route: Route, packet: Option<&roomcast_core::Packet>) -> Result<Route, Error> {
        route.checked(|address| packet.map_or(Ok(()), |packet| self.state.cluster.check_broadcast(address, packet)))
    }

    fn asked(&self, operation: &'static str) -> Asked {
        Asked { operation, namespace: self.sockets.path().clone(), nodes: self.state.cluster.nodes() }
    }
}

impl<E> Adapter<E> {
    /// Leaves the cluster, at once; twice is nothing to do.
    fn detach(&self) {
        if let Some(Ok(link)) = self.link.get() {
            self.state.cluster.detach(link.attachment);
        }
    }
}

impl<E: SocketEmitter> CoreAdapter<E> for Adapter<E> {
    type Error = Error;
    type State = State;
    type AckStream = Acks<E>;
    type InitRes = Attached;

    fn new(state: &State, local: CoreLocalAdapter<E>) -> Self {
        let losses = Arc::new(Losses::new(local.path().clone()));
        let reader = Reader::new(Dialect::of(&local), Arc::clone(&losses), Arc::clone(&state.refused));
        let sockets = Sockets::new(local, Arc::new(reader), losses);
        Self { state: state.clone(), sockets, link: OnceLock::new() }
    }

    /// Attaches and reports success within the call: of several first clients of a dynamic namespace all but one would
    /// else be lost. Success is reported even if the cluster refused, so that clients can connect and are served by what is `local()`;
    /// every other operation then says that the cluster was not reached, and a name that the cluster cannot carry serves nobody.
    fn init(self: Arc<Self>, on_success: impl FnOnce() + Send + 'static) -> Attached {
        let attached = self.attach();
        let _ = self.link.set(attached.clone().map_err(|error| error.kind()));
        if let Err(error) = &attached {
            tracing::error!(namespace = %self.sockets.path(), %error, "the namespace is not part of the cluster");
        }
        on_success();
        Attached(attached.map(drop).map_err(Error::from))
    }

    /// `delete_ns` polls this once, after it has disconnected the sockets: nothing but the first line is for it.
    ///
    /// `io.close()` closes the connections, but calls no disconnect handler, for it has forgotten its namespaces by then. So
    /// the sockets that are still here are disconnected, which calls it, and its end is waited for: what it tells the other
    /// servers is then on its way before the cluster is closed.
    async fn close(&self) -> Result<(), Error> {
        self.detach();
        tokio::task::yield_now().await;
        self.sockets.disconnect_all(target::everyone()).ok(); // an error means that one is gone, as it should be
        self.sockets.emptied(LAST_WORDS).await;
        Ok(())
    }

    async fn server_count(&self) -> Result<u16, Error> {
        Ok(u16::try_from(self.state.cluster.nodes().len()).unwrap_or(u16::MAX))
    }

    async fn broadcast(&self, packet: Packet, options: BroadcastOptions) -> Result<(), BroadcastError> {
        let route = self.route(&options);
        let to_send = matches!(route.beyond, Ok(Beyond::To(_))).then(|| encode(&packet)).flatten();
        let route = self.checked(route, to_send.as_ref())?;
        let failed = route.failure();
        let deliver = || if route.here { self.sockets.deliver(packet, options) } else { Ok(()) };
        let served = match (route.beyond, to_send) {
            // To the others first, as far as that does not wait: with many clients here they would hear it late.
            (Ok(Beyond::To(address)), Some(packet)) => {
                let sending = self.state.cluster.broadcast(address, packet, self.state.emit_timeout);
                let (sent, served) = between(sending, deliver).await;
                sent.map_err(failed)?;
                served
            }
            (beyond, _) => {
                let served = deliver();
                if let Beyond::Gone = beyond.map_err(failed)? {
                    return Err(BroadcastError::Socket(vec![SocketError::Closed]));
                }
                served
            }
        };
        served.map_err(BroadcastError::Socket)
    }

    async fn broadcast_with_ack(
        &self,
        packet: Packet,
        options: BroadcastOptions,
        timeout: Option<Duration>,
    ) -> Result<Acks<E>, Error> {
        let timeout = timeout.unwrap_or_else(|| self.sockets.local.ack_timeout());
        let to_send = encode(&packet);
        let route = self.checked(self.route(&options), to_send.as_ref())?;
        if timeout.is_zero() && !matches!(route.beyond, Ok(Beyond::Nothing)) {
            let text = "a timeout of zero leaves no time for a reply";
            return Err(roomcast_core::Error::new(ErrorKind::Config, text).into());
        }
        let failed = route.failure();
        let only = options.sid.filter(|_| !route.here);
        let ask = || if route.here { self.sockets.ask(packet, options, timeout) } else { Default::default() };
        let (local, remote) = match (route.beyond, to_send) {
            (Ok(Beyond::To(address)), Some(packet)) => {
                let asked = self.asked("emit_with_ack");
                let asking = self.state.cluster.broadcast_with_ack(address, packet, timeout);
                let (answers, local) = between(asking, ask).await;
                (local, Some((answers.map_err(failed)?, asked)))
            }
            (beyond, _) => {
                let local = ask();
                beyond.map_err(failed)?;
                (local, None)
            }
        };
        Ok(Acks::new(local, remote, only, Arc::clone(&self.sockets.reader)))
    }

    async fn add_sockets(&self, options: BroadcastOptions, rooms: impl RoomParam) -> Result<(), Error> {
        let rooms: Vec<Room> = rooms.into_room_iter().collect();
        let (route, change) = self.route_change(&options, || target::rooms(&rooms).map(SocketChange::Join))?;
        if route.here {
            self.sockets.join_rooms(options, rooms);
        }
        self.change(route, change).await
    }

    async fn del_sockets(&self, options: BroadcastOptions, rooms: impl RoomParam) -> Result<(), Error> {
        let rooms: Vec<Room> = rooms.into_room_iter().collect();
        let (route, change) = self.route_change(&options, || target::rooms(&rooms).map(SocketChange::Leave))?;
        if route.here {
            self.sockets.leave_rooms(options, rooms);
        }
        self.change(route, change).await
    }

    async fn disconnect_socket(&self, options: BroadcastOptions) -> Result<(), BroadcastError> {
        let (route, change) = self.route_change(&options, || Ok(SocketChange::Disconnect))?;
        let served = if route.here { self.sockets.disconnect_all(options) } else { Ok(()) };
        self.change(route, change).await?;
        served.map_err(BroadcastError::Socket)
    }

    async fn rooms(&self, options: BroadcastOptions) -> Result<Vec<Room>, Error> {
        let route = self.route(&options);
        let mut rooms = if route.here { self.sockets.rooms_in(options) } else { HashSet::new() };
        if let Beyond::To(address) = route.beyond? {
            let asked = self.asked("rooms");
            let found = self.state.cluster.rooms(address, self.state.request_timeout).await?;
            asked.log(&found.missing);
            rooms.extend(found.items.iter().map(target::name));
        }
        Ok(rooms.into_iter().collect())
    }

    async fn fetch_sockets(&self, options: BroadcastOptions) -> Result<Vec<RemoteSocketData>, Error> {
        let route = self.route(&options);
        let mut sockets = if route.here { self.sockets.fetch(options) } else { Vec::new() };
        if let Beyond::To(address) = route.beyond? {
            let asked = self.asked("fetch_sockets");
            let found = self.state.cluster.fetch_sockets(address, Projection::Data, self.state.request_timeout);
            let found = found.await?;
            asked.log(&found.missing);
            // Those of one node stand beside each other, and name the same server.
            for of_node in found.items.chunk_by(|one, next| (one.node, &one.data) == (next.node, &next.data)) {
                sockets.extend(self.describe(of_node).into_iter().flatten());
            }
        }
        Ok(sockets)
    }

    fn get_local(&self) -> &CoreLocalAdapter<E> {
        &self.sockets.local
    }
}

impl<E: SocketEmitter> DefinedAdapter for Adapter<E> {}

/// `close` is not called when a server is just dropped.
impl<E> Drop for Adapter<E> {
    fn drop(&mut self) {
        self.detach();
    }
}

impl<E> std::fmt::Debug for Adapter<E> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Adapter").field("state", &self.state).finish_non_exhaustive()
    }
}

/// The result of `io.ns(..)`. The namespace is part of the cluster already, unless awaiting this returns an error. It need
/// not be awaited: an error is logged as well.
#[derive(Debug)]
pub struct Attached(Result<(), Error>);

impl IntoFuture for Attached {
    type Output = Result<(), Error>;
    type IntoFuture = Ready<Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        ready(self.0)
    }
}

impl Spawnable for Attached {
    fn spawn(self) {}
}

/// The packet for other nodes. Nothing but events is ever broadcast, so the value is all they need.
fn encode(packet: &Packet) -> Option<roomcast_core::Packet> {
    match &packet.inner {
        PacketData::Event(data, _) | PacketData::BinaryEvent(data, _) => Some(value::packet(data)),
        _ => None,
    }
}
