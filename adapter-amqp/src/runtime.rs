//! What the client runs on: tokio, with a socket of ours, and with sleeps that end with the connection.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_rs::traits::Reactor;
use async_rs::util::RuntimeParts;
use async_rs::{Runtime, Tokio};
use futures_util::{AsyncRead, AsyncWrite, Stream};
use roomcast_core::backend::{Pulse, Wire};
use tokio::time::timeout;
use tokio_util::compat::Compat;
use tokio_util::io::InspectReader;

use crate::greeting::Ear;

/// The client keeps to itself when it last read, and a thread of it would wait for the end of a dead connection as long as the
/// system does: the pulse of a wire tells the one, and ends the other.
pub(crate) type Socket = Compat<InspectReader<Wire, Ear>>;

/// tokio, for the connection with this pulse.
pub(crate) fn runtime(pulse: Arc<Pulse>) -> Runtime<RuntimeParts<Tokio, Timer>> {
    Runtime::new(RuntimeParts::new(Tokio::current(), Timer(pulse)))
}

/// What of it is not tokio's own.
#[derive(Clone, Debug)]
pub(crate) struct Timer(Arc<Pulse>);

impl Reactor for Timer {
    type TcpStream = Socket;
    type Sleep = Pin<Box<dyn Future<Output = ()> + Send>>;

    /// Ends with the connection: the client's heartbeat would outlive it by half its interval.
    fn sleep(&self, time: Duration) -> Self::Sleep {
        let pulse = Arc::clone(&self.0);
        Box::pin(async move { timeout(time, pulse.is_cut()).await.unwrap_or_default() })
    }

    /// Never called, nor is what follows: the client is given its socket.
    fn interval(&self, _: Duration) -> impl Stream<Item = Instant> + Send + 'static {
        futures_util::stream::empty()
    }

    fn register<H>(&self, _: H) -> io::Result<impl AsyncRead + AsyncWrite + Send + Unpin + 'static> {
        Err::<Socket, _>(io::ErrorKind::Unsupported.into())
    }

    fn tcp_connect_addr(&self, _: SocketAddr) -> impl Future<Output = io::Result<Socket>> + Send + 'static {
        std::future::ready(Err(io::ErrorKind::Unsupported.into()))
    }
}
