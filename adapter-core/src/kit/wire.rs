//! The bytes under a connection: a stream that tells whether any arrive, and that can be paused and cut at any time.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use crate::kit::Breaker;
use crate::kit::tls::Tls;

/// Tells whether a connection is alive, and can pause and end it: for backends whose client takes a stream. The backend gives the client
/// a [`Wire`]. Most clients do not tell when they last read, and never stop reading.
///
/// A backend whose client takes no stream keeps a pulse by hand: it [counts](Self::arrived) what the client hands over, and says
/// that it is [paused](Self::pause) while it does not take the next message from the client. Nothing can be cut then.
#[derive(Debug, Default)]
pub struct Pulse {
    bytes: AtomicU64,
    sending: AtomicUsize,
    paused: AtomicBool,
    cut: Breaker,
    /// Who waits for bytes, and for room to write.
    waiting: Mutex<[Option<Waker>; 2]>,
}

const READ: usize = 0;
const WRITE: usize = 1;

impl Pulse {
    /// How many bytes have arrived. Two readings that differ show that some have arrived between them.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// So many bytes have arrived. A [`Wire`] counts by itself.
    pub fn arrived(&self, bytes: usize) {
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// So many bytes are being sent until the value is dropped. On a thin link the reply to a ping waits behind them, and
    /// [`Silence`](crate::kit::Silence) allows for that.
    pub fn sends(self: &Arc<Self>, bytes: usize) -> Sending {
        self.sending.fetch_add(bytes, Ordering::Relaxed);
        Sending { pulse: Arc::clone(self), bytes }
    }

    /// How many bytes are being sent, as far as this was told.
    pub(crate) fn sending(&self) -> usize {
        self.sending.load(Ordering::Relaxed)
    }

    /// Whether reading is paused on this side.
    pub fn is_paused(&self) -> bool {
        self.paused.load(Ordering::Acquire)
    }

    /// Stops reading: the bytes wait in the socket, then at the sender.
    pub fn pause(&self) {
        self.paused.store(true, Ordering::Release);
    }

    /// Reads again.
    pub fn resume(&self) {
        self.paused.store(false, Ordering::Release);
        self.wake();
    }

    /// Ends the connection: the client's next step on it fails.
    pub fn cut(&self) {
        self.cut.trip("cut");
        self.wake();
    }

    /// Waits until it was cut.
    ///
    /// # Cancel safety
    /// Safe.
    pub async fn is_cut(&self) {
        self.cut.tripped().await;
    }

    fn wake(&self) {
        let waiting = std::mem::take(&mut *self.waiting.lock().unwrap_or_else(PoisonError::into_inner));
        waiting.into_iter().flatten().for_each(Waker::wake);
    }

    /// Remembers whom to wake when something is said; fails if the connection was cut.
    fn check(&self, side: usize, cx: &Context<'_>) -> io::Result<()> {
        // Nothing is called while this is locked.
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if !waiting[side].as_ref().is_some_and(|known| known.will_wake(cx.waker())) {
            waiting[side] = Some(cx.waker().clone());
        }
        drop(waiting);
        if self.cut.is_tripped() { Err(io::ErrorKind::ConnectionAborted.into()) } else { Ok(()) }
    }
}

/// Bytes that are being sent, until it is dropped: of [`Pulse::sends`].
#[derive(Debug)]
#[must_use = "it counts until it is dropped"]
pub struct Sending {
    pulse: Arc<Pulse>,
    bytes: usize,
}

impl Drop for Sending {
    fn drop(&mut self) {
        self.pulse.sending.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// A stream with its [`Pulse`].
pub struct Wire {
    stream: Box<dyn Duplex>,
    pulse: Arc<Pulse>,
}

impl Wire {
    /// A wire over plain TCP, or over TLS with this host.
    ///
    /// # Errors
    /// Those of [`Tls::connect`].
    ///
    /// # Cancel safety
    /// If the future is dropped, the connection is closed.
    pub async fn over(stream: TcpStream, tls: Option<&Tls>, host: &str, pulse: Arc<Pulse>) -> io::Result<Self> {
        let stream: Box<dyn Duplex> = match tls {
            Some(tls) => Box::new(tls.connect(host, stream).await?),
            None => Box::new(stream),
        };
        Ok(Self { stream, pulse })
    }
}

impl AsyncRead for Wire {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.pulse.check(READ, cx)?;
        if self.pulse.is_paused() {
            return Poll::Pending; // resuming wakes it
        }
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buffer);
        self.pulse.arrived(buffer.filled().len() - before);
        read
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.pulse.check(WRITE, cx)?;
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.pulse.check(WRITE, cx)?;
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.pulse.check(WRITE, cx)?;
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

impl fmt::Debug for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wire").field("pulse", &self.pulse).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    /// A wire, its pulse, and the other end.
    async fn wire() -> (Wire, Arc<Pulse>, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let at = listener.local_addr().expect("bound");
        let (ours, theirs) = tokio::join!(TcpStream::connect(at), listener.accept());
        let pulse = Arc::new(Pulse::default());
        let wire = Wire::over(ours.expect("connected"), None, "localhost", Arc::clone(&pulse)).await.expect("no TLS");
        (wire, pulse, theirs.expect("accepted").0)
    }

    #[tokio::test]
    async fn what_arrives_is_counted_and_waits_while_it_is_paused() {
        let (mut wire, pulse, mut other) = wire().await;
        let mut bytes = [0; 3];
        other.write_all(b"one").await.expect("open");
        wire.read_exact(&mut bytes).await.expect("open");
        assert_eq!((&bytes, pulse.bytes()), (b"one", 3));
        pulse.pause();
        other.write_all(b"two").await.expect("open");
        let reading = tokio::spawn(async move {
            wire.read_exact(&mut bytes).await.expect("open");
            (wire, bytes)
        });
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        assert!(pulse.is_paused() && !reading.is_finished() && pulse.bytes() == 3);
        pulse.resume();
        let (mut wire, bytes) = reading.await.expect("no panic");
        assert_eq!((&bytes, pulse.bytes()), (b"two", 6));
        wire.write_all(b"three").await.expect("open");
        let mut bytes = [0; 5];
        other.read_exact(&mut bytes).await.expect("open");
        assert_eq!(&bytes, b"three");
    }

    #[tokio::test]
    async fn whoever_waits_on_a_connection_that_is_cut_fails() {
        let (mut wire, pulse, _other) = wire().await;
        let reading = tokio::spawn(async move { (wire.read_u8().await, wire.write_u8(1).await) });
        let waits = Arc::clone(&pulse);
        let waiting = tokio::spawn(async move { waits.is_cut().await });
        tokio::task::yield_now().await;
        pulse.cut();
        let (read, written) = reading.await.expect("no panic");
        let kinds = [read.expect_err("cut").kind(), written.expect_err("cut").kind()];
        assert_eq!(kinds, [io::ErrorKind::ConnectionAborted; 2]);
        waiting.await.expect("no panic");
    }
}
