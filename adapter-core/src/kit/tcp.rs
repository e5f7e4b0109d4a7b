//! A connection by TCP.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;

/// Connects to a host, without Nagle's delay, for backends whose client takes a stream. Each of the host's addresses gets an
/// equal part of the time: the first may lead nowhere.
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
    let each = limit / u32::try_from(addresses.len().max(1)).unwrap_or(u32::MAX);
    let mut failed = io::ErrorKind::NotFound.into();
    for address in addresses {
        match timeout(each, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                stream.set_nodelay(true)?;
                return Ok(stream);
            }
            Ok(Err(cause)) => failed = cause,
            Err(_) => failed = io::ErrorKind::TimedOut.into(),
        }
    }
    Err(failed)
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
        // As those who call it have it: no more than the limit in all.
        let limit = Duration::from_secs(2);
        let found = timeout(limit, first(vec![nowhere, good], limit)).await.expect("in time").expect("the second");
        assert_eq!(found.peer_addr().expect("connected"), good);
        let late = first(vec![nowhere], Duration::from_millis(100)).await.expect_err("nobody answers");
        assert_eq!(late.kind(), io::ErrorKind::TimedOut);
        assert_eq!(first(vec![], Duration::from_secs(1)).await.expect_err("nobody").kind(), io::ErrorKind::NotFound);
    }
}
