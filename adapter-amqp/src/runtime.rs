//! What the client runs on: tokio, with a socket of ours, and with sleeps that end with the connection.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use adapter_core::backend::Pulse;
use async_rs::Tokio;
use async_rs::traits::{Executor, Reactor, RuntimeKit};
use async_rs::util::Task;
use futures_util::Stream;
use futures_util::io::{AsyncRead, AsyncWrite};

use crate::wire::Wire;

/// tokio, for one connection.
#[derive(Clone, Debug)]
pub(crate) struct Kit {
    tokio: Tokio,
    pulse: Arc<Pulse>,
}

impl Kit {
    pub(crate) fn new(pulse: Arc<Pulse>) -> Self {
        Self { tokio: Tokio::current(), pulse }
    }
}

impl RuntimeKit for Kit {}

impl Executor for Kit {
    type Task<T: Send + 'static> = <Tokio as Executor>::Task<T>;

    fn block_on<T, F: Future<Output = T>>(&self, future: F) -> T {
        self.tokio.block_on(future)
    }

    fn spawn<T: Send + 'static, F: Future<Output = T> + Send + 'static>(&self, future: F) -> Task<Self::Task<T>> {
        self.tokio.spawn(future)
    }

    fn spawn_blocking<T: Send + 'static, F: FnOnce() -> T + Send + 'static>(&self, work: F) -> Task<Self::Task<T>> {
        self.tokio.spawn_blocking(work)
    }
}

impl Reactor for Kit {
    type TcpStream = Wire;
    type Sleep = Pin<Box<dyn Future<Output = ()> + Send>>;

    /// Never called: the socket is made before the client has a say.
    fn register<H>(&self, _: H) -> io::Result<impl AsyncRead + AsyncWrite + Send + Unpin + 'static> {
        Err::<Wire, _>(io::ErrorKind::Unsupported.into())
    }

    /// Ends with the connection: the client's heartbeat would outlive it by half its interval.
    fn sleep(&self, time: Duration) -> Self::Sleep {
        let pulse = Arc::clone(&self.pulse);
        Box::pin(async move {
            tokio::select! {
                () = tokio::time::sleep(time) => {}
                () = pulse.is_cut() => {}
            }
        })
    }

    fn interval(&self, time: Duration) -> impl Stream<Item = Instant> + Send + 'static {
        self.tokio.interval(time)
    }

    /// As with [`Self::register`].
    fn tcp_connect_addr(&self, _: SocketAddr) -> impl Future<Output = io::Result<Wire>> + Send + 'static {
        std::future::ready(Err(io::ErrorKind::Unsupported.into()))
    }
}
