//! A broker that does not tell the truth.

use std::sync::Arc;

use roomcast_conformance::Broker;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// Stands before a broker, and changes what that says.
pub(crate) struct Liar {
    broker: String,
    liar: String,
    _relays: JoinSet<()>,
}

impl Liar {
    /// Everything that the broker sends goes through this. What is cut by the network in the middle is not changed.
    pub(crate) async fn before(broker: &Broker, lie: impl Fn(&mut Vec<u8>) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (at, liar, lie) = (broker.addresses()[0], listener.local_addr().unwrap(), Arc::new(lie));
        let mut relays = JoinSet::new();
        relays.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect(at).await.unwrap();
                let lie = Arc::clone(&lie);
                connections.spawn(async move { relay(client, server, &*lie).await });
            }
        });
        Self { broker: at.to_string(), liar: liar.to_string(), _relays: relays }
    }

    /// The broker's URL, through the liar.
    pub(crate) fn url(&self, url: &str) -> String {
        assert!(url.contains(&self.broker), "{url}");
        url.replace(&self.broker, &self.liar)
    }
}

async fn relay(client: TcpStream, server: TcpStream, lie: &(impl Fn(&mut Vec<u8>) + Sync)) {
    let ((mut from_client, mut to_client), (mut from_server, mut to_server)) =
        (client.into_split(), server.into_split());
    let answers = async {
        let mut bytes = vec![0; 1 << 16];
        while let Ok(read @ 1..) = from_server.read(&mut bytes).await {
            let mut said = bytes[..read].to_vec();
            lie(&mut said);
            if to_client.write_all(&said).await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        () = answers => {}
        _ = tokio::io::copy(&mut from_client, &mut to_server) => {}
    }
}

/// Replaces a text wherever it is.
pub(crate) fn replace(said: &mut Vec<u8>, from: &str, to: &str) {
    let mut at = 0;
    while let Some(found) = said[at..].windows(from.len()).position(|part| part == from.as_bytes()) {
        said.splice(at + found..at + found + from.len(), to.bytes());
        at += found + to.len();
    }
}

/// Puts the time of a broker five minutes ahead: ten digits of seconds behind the first text and before the second.
pub(crate) fn ahead(said: &mut [u8], before: &str, behind: &str) {
    const DIGITS: usize = 10;
    let (start, length) = (before.len(), before.len() + DIGITS + behind.len());
    for at in 0..(said.len() + 1).saturating_sub(length) {
        let part = &said[at..at + length];
        let digits = &part[start..start + DIGITS];
        if !part.starts_with(before.as_bytes()) || !part.ends_with(behind.as_bytes()) || !digits.is_ascii() {
            continue;
        }
        if let Ok(seconds) = String::from_utf8_lossy(digits).parse::<u64>() {
            said[at + start..at + start + DIGITS].copy_from_slice((seconds + 300).to_string().as_bytes());
        }
    }
}
