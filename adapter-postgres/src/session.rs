//! Which session of the server a connection has: a pooler gives its clients sessions of its own making.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use roomcast_core::Result;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_postgres::Client;
use tokio_postgres::tls::{ChannelBinding, TlsConnect, TlsStream};

use crate::connection::row;
use crate::error::error;

/// The process of the server that works for this client now.
///
/// # Errors
/// Those of the question.
pub(crate) async fn works_for(client: &Client) -> Result<Option<i32>> {
    let answer = client.simple_query("SELECT pg_backend_pid()").await.map_err(error)?;
    Ok(row(&answer).and_then(|row| row.get(0)?.parse().ok()))
}

/// The process that the peer named at the login. If the peer is a pooler, another process works for the client. The client reveals the
/// number only in a request to cancel, so it is made to write one.
pub(crate) async fn named_to(client: &Client) -> Option<i32> {
    let mut asked = Ear::default();
    client.cancel_token().cancel_query_raw(&mut asked, Plain).await.ok()?;
    asked.process()
}

/// Listens to a request to end some work, and passes it to nobody.
#[derive(Debug, Default)]
struct Ear {
    written: Vec<u8>,
}

impl Ear {
    /// The last sixteen bytes: the length, a code, the process, and its secret.
    fn process(&self) -> Option<i32> {
        let at = self.written.len().checked_sub(8)?;
        Some(i32::from_be_bytes(self.written[at..at + 4].try_into().ok()?))
    }
}

/// Stands for TLS with a server that is no server.
struct Plain;

impl<'a> TlsConnect<&'a mut Ear> for Plain {
    type Stream = &'a mut Ear;
    type Error = Infallible;
    type Future = Ready<Result<&'a mut Ear, Infallible>>;

    fn connect(self, stream: &'a mut Ear) -> Self::Future {
        ready(Ok(stream))
    }
}

impl TlsStream for &mut Ear {
    fn channel_binding(&self) -> ChannelBinding {
        ChannelBinding::none()
    }
}

impl AsyncRead for Ear {
    /// Yes to the question whether there is TLS.
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        buffer.put_slice(b"S");
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Ear {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.written.extend_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
