//! The broker.

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::tcp::OwnedWriteHalf;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use super::wire::{FULL, HELLO, Message, PUBLISH, SUBSCRIBE, SYNC, UNSUBSCRIBE};

/// The largest payload, in bytes.
const LIMIT: u32 = 100_000;
/// Another one.
const LIMIT_FILE: &str = "limit";
/// As long as it is there, nothing is taken.
const FULL_FILE: &str = "full";

type Subscribers = Arc<Mutex<HashMap<String, HashMap<u64, mpsc::UnboundedSender<Bytes>>>>>;

/// What became of the broker, if the arguments ask for one: `serve <port>`.
pub(crate) fn asked_for() -> Option<ExitCode> {
    let mut arguments = std::env::args().skip(1);
    let serves = arguments.next().as_deref() == Some("serve");
    serves.then(|| run(arguments.next().and_then(|port| port.parse().ok())))
}

/// Listens on this port until it is killed.
fn run(port: Option<u16>) -> ExitCode {
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else {
        return ExitCode::FAILURE;
    };
    let served = runtime.block_on(async {
        // What an operator has set.
        let limit = std::fs::read_to_string(LIMIT_FILE).ok().and_then(|limit| limit.trim().parse().ok());
        let limit = limit.unwrap_or(LIMIT);
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port.unwrap_or_default())).await?;
        let subscribers = Subscribers::default();
        for id in 0.. {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            tokio::spawn(serve(stream, id, limit, Arc::clone(&subscribers)));
        }
        std::io::Result::Ok(())
    });
    if served.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

async fn serve(stream: TcpStream, id: u64, limit: u32, subscribers: Subscribers) {
    let (reader, mut writer) = stream.into_split();
    let mut reader = BufReader::with_capacity(64 << 10, reader);
    match reader.read_u8().await {
        Ok(HELLO) => {}
        Ok(_) => return info(writer).await,
        Err(_) => return,
    }
    if writer.write_u32(limit).await.is_err() {
        return;
    }
    let (sender, receiver) = mpsc::unbounded_channel();
    let writing = tokio::spawn(write(writer, receiver));
    let mut refused = false;
    while let Ok(mut message) = Message::read(&mut reader).await {
        if message.payload.len() > limit as usize {
            break; // as NATS does
        }
        if message.kind == PUBLISH && std::fs::exists(FULL_FILE).unwrap_or_default() {
            refused = true;
            continue;
        }
        if message.kind == SYNC && std::mem::take(&mut refused) {
            message.kind = FULL;
        }
        take(message, id, &sender, &subscribers);
    }
    lock(&subscribers).values_mut().for_each(|of| drop(of.remove(&id)));
    writing.abort();
}

fn take(message: Message, id: u64, own: &mpsc::UnboundedSender<Bytes>, subscribers: &Subscribers) {
    let mut bytes = BytesMut::new();
    message.encode(&mut bytes);
    let bytes = bytes.freeze();
    let mut subscribers = lock(subscribers);
    match message.kind {
        // A connection that has just ended gets nothing more.
        PUBLISH => {
            let of = subscribers.get(&message.channel).into_iter().flatten();
            of.for_each(|(_, connection)| drop(connection.send(bytes.clone())));
        }
        SUBSCRIBE => drop(subscribers.entry(message.channel).or_default().insert(id, own.clone())),
        UNSUBSCRIBE => drop(subscribers.get_mut(&message.channel).and_then(|of| of.remove(&id))),
        SYNC | FULL => drop(own.send(bytes)),
        _ => {}
    }
}

fn lock(
    subscribers: &Subscribers,
) -> std::sync::MutexGuard<'_, HashMap<String, HashMap<u64, mpsc::UnboundedSender<Bytes>>>> {
    subscribers.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn write(mut writer: OwnedWriteHalf, mut messages: mpsc::UnboundedReceiver<Bytes>) {
    while let Some(first) = messages.recv().await {
        let mut bytes = BytesMut::from(&first[..]);
        while let Ok(more) = messages.try_recv() {
            bytes.extend_from_slice(&more);
        }
        if writer.write_all(&bytes).await.is_err() {
            return;
        }
    }
}

/// What the suite asks to see that a broker is ready: `INFO server`, as Redis answers it.
async fn info(mut writer: OwnedWriteHalf) {
    const TEXT: &str = "redis_version:1.0.0\r\n";
    // Who asks does not need to be told that it failed.
    drop(writer.write_all(format!("${}\r\n{TEXT}\r\n", TEXT.len()).as_bytes()).await);
}
