//! The bytes under a connection: a socket that counts what arrives, and that can be cut at any time.
//!
//! The client gives neither: it keeps to itself when it last read, and a thread of it would wait for the end of a dead
//! connection as long as the system does.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

use futures_util::io::{AsyncRead, AsyncWrite};
use tokio::io::ReadBuf;
use tokio::sync::watch;

/// What a connection runs over: TCP, or TLS over it.
pub(crate) trait Duplex: tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + Unpin {}
impl<T: tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + Unpin> Duplex for T {}

/// Whether a connection is alive, and the means to end it.
pub(crate) struct Pulse {
    bytes: AtomicU64,
    cut: AtomicBool,
    ended: watch::Sender<bool>,
    /// The client's thread, which waits for bytes and for room to write.
    waiting: Mutex<[Option<Waker>; 2]>,
}

impl Pulse {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            bytes: AtomicU64::new(0),
            cut: AtomicBool::new(false),
            ended: watch::Sender::new(false),
            waiting: Mutex::default(),
        })
    }

    /// How many bytes have arrived.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Ends the connection: the client's next step on it fails.
    pub(crate) fn cut(&self) {
        self.cut.store(true, Ordering::Release);
        self.ended.send_replace(true);
        let waiting = std::mem::take(&mut *self.waiting.lock().unwrap_or_else(PoisonError::into_inner));
        waiting.into_iter().flatten().for_each(Waker::wake);
    }

    /// Waits until it was cut.
    pub(crate) async fn is_cut(&self) {
        // It never fails: the sender is ours.
        let _ = self.ended.subscribe().wait_for(|ended| *ended).await;
    }

    /// Fails if it was cut, else remembers whom to wake when it is.
    fn check(&self, side: usize, cx: &Context<'_>) -> io::Result<()> {
        // Nothing is called while this is locked.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)[side] = Some(cx.waker().clone());
        if self.cut.load(Ordering::Acquire) { Err(io::ErrorKind::ConnectionAborted.into()) } else { Ok(()) }
    }
}

impl fmt::Debug for Pulse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pulse").field("bytes", &self.bytes).field("cut", &self.cut).finish_non_exhaustive()
    }
}

/// A stream with its pulse.
pub(crate) struct Wire {
    stream: Box<dyn Duplex>,
    pulse: Arc<Pulse>,
}

impl Wire {
    pub(crate) fn new(stream: Box<dyn Duplex>, pulse: Arc<Pulse>) -> Self {
        Self { stream, pulse }
    }
}

impl AsyncRead for Wire {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &mut [u8]) -> Poll<io::Result<usize>> {
        self.pulse.check(0, cx)?;
        let mut buffer = ReadBuf::new(bytes);
        let read = tokio::io::AsyncRead::poll_read(Pin::new(&mut self.stream), cx, &mut buffer);
        let count = buffer.filled().len();
        self.pulse.bytes.fetch_add(count as u64, Ordering::Relaxed);
        read.map_ok(|()| count)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.pulse.check(1, cx)?;
        tokio::io::AsyncWrite::poll_write(Pin::new(&mut self.stream), cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.pulse.check(1, cx)?;
        tokio::io::AsyncWrite::poll_flush(Pin::new(&mut self.stream), cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.pulse.check(1, cx)?;
        tokio::io::AsyncWrite::poll_shutdown(Pin::new(&mut self.stream), cx)
    }
}
