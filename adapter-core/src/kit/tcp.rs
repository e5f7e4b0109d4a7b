//! A connection by TCP.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;

use crate::kit::stagger::staggered;

/// Connects to a host, without Nagle's delay, for backends whose client takes a stream. An address of the host that leads nowhere
/// costs the next one 250 ms.
///
/// # Errors
/// What the last address said; `TimedOut`, `NotFound` for a name without an address.
///
/// # Cancel safety
/// Dropped, what was opened is closed.
pub async fn tcp(host: &str, port: u16, limit: Duration) -> io::Result<TcpStream> {
    first(lookup_host((host, port)).await?.collect(), limit).await
}

async fn first(addresses: Vec<SocketAddr>, limit: Duration) -> io::Result<TcpStream> {
    let mut failed = io::ErrorKind::NotFound.into();
    let connected = staggered(addresses, TcpStream::connect, |cause| {
        failed = cause;
        None
    });
    let stream = timeout(limit, connected).await.map_err(|_| io::ErrorKind::TimedOut)?.ok_or(failed)?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpSocket;

    use super::*;

    fn listener(backlog: u32) -> tokio::net::TcpListener {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.bind("127.0.0.1:0".parse().expect("valid")).expect("bound");
        socket.listen(backlog).expect("listens")
    }

    #[tokio::test]
    async fn an_address_that_leads_nowhere_does_not_cost_the_next_one() {
        let (full, good) = (listener(1), listener(16));
        let (nowhere, good) = (full.local_addr().expect("bound"), good.local_addr().expect("bound"));
        // Nobody accepts: once its queue is full, the system answers no more.
        let mut queued = Vec::new();
        while let Ok(stream) = timeout(Duration::from_millis(300), TcpStream::connect(nowhere)).await {
            queued.push(stream.expect("queued"));
        }
        let found = first(vec![nowhere, nowhere, good], Duration::from_secs(5)).await.expect("the third");
        assert_eq!(found.peer_addr().expect("connected"), good);
        let late = first(vec![nowhere], Duration::from_millis(100)).await.expect_err("nobody answers");
        assert_eq!(late.kind(), io::ErrorKind::TimedOut);
        assert_eq!(first(vec![], Duration::from_secs(1)).await.expect_err("nobody").kind(), io::ErrorKind::NotFound);
    }
}
