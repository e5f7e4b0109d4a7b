//! The stream of a connection, as the client takes it.
//!
//! The client keeps to itself when it last read, and a thread of it would wait for the end of a dead connection as long as the
//! system does: the pulse of the stream tells the one, and ends the other.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::io::{AsyncRead, AsyncWrite};
use tokio::io::ReadBuf;

use crate::greeting::Greeting;

/// A [`Wire`](roomcast_core::backend::Wire) with the traits of `futures`.
pub(crate) struct Wire {
    pub(crate) stream: roomcast_core::backend::Wire,
    pub(crate) greeting: Greeting,
}

impl AsyncRead for Wire {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut buffer = ReadBuf::new(bytes);
        let read = tokio::io::AsyncRead::poll_read(Pin::new(&mut self.stream), cx, &mut buffer);
        self.greeting.hear(buffer.filled());
        read.map_ok(|()| buffer.filled().len())
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        tokio::io::AsyncWrite::poll_write(Pin::new(&mut self.stream), cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        tokio::io::AsyncWrite::poll_flush(Pin::new(&mut self.stream), cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        tokio::io::AsyncWrite::poll_shutdown(Pin::new(&mut self.stream), cx)
    }
}
