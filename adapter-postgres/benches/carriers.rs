//! What docs/decisions/0002-postgres.md rests on: how frames become text, and how large ones travel.
//! `cargo bench -p roomcast-postgres`; it starts a server of this machine.
#![allow(missing_docs, clippy::unwrap_used, reason = "a bench is no interface, and ends with its first error")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use roomcast_conformance::{Broker, recipes};
use roomcast_core::Bytes;
use roomcast_core::backend::SevenBit;
use tokio::sync::mpsc;
use tokio_postgres::types::Type;
use tokio_postgres::{AsyncMessage, Client, NoTls, connect};

const HEAD: usize = 4;
const NODES: usize = 2;
const BATCH: usize = 1 << 20;

#[tokio::main]
async fn main() {
    println!("frame                      text    encode   decode");
    for size in [250, 6_940] {
        // A header as it is (zeros, small numbers, an id), then letters.
        let frame: Vec<u8> = (0..size)
            .map(|n| match n {
                8..24 => (n * 77) as u8,
                0..60 => {
                    if n % 3 == 0 {
                        n as u8
                    } else {
                        0
                    }
                }
                _ => b'a' + (n % 26) as u8,
            })
            .collect();
        encoding("7 bits", &frame, |frame| encode(7, frame), |text| decode(text).unwrap().len());
        let base64 = |frame: &[u8]| STANDARD_NO_PAD.encode(frame);
        encoding("base64", &frame, base64, |text| STANDARD_NO_PAD.decode(text).unwrap().len());
    }

    let broker = Broker::start_here(&recipes::postgres()).await.unwrap();
    let url = format!("{}/postgres", broker.url().replace("//", "//postgres@"));
    println!("\n{NODES} listeners, PostgreSQL {}", broker.version());
    println!("carrier      size      messages/s   MB/s   client CPU ms/MB   server CPU ms/MB");
    for size in [8 << 10, 64 << 10, 1 << 20] {
        split(&url, size).await;
        table(&url, size).await;
    }
    println!("\nframes of 250 bytes, by the size of a batch");
    for batch in [1, 10, 100, 1_000] {
        small(&url, batch, false).await;
        small(&url, batch, true).await;
    }
}

/// A frame's text as the backend makes it: four characters in front make equal frames of one transaction differ.
fn encode(place: usize, frame: &[u8]) -> String {
    let mut text = format!("F{place:03x}");
    SevenBit::encode(frame, &mut text);
    text
}

fn decode(text: &str) -> Option<Bytes> {
    SevenBit::decode(&text[HEAD..])
}

fn encoding(name: &str, frame: &[u8], encode: impl Fn(&[u8]) -> String, decode: impl Fn(&str) -> usize) {
    let text = encode(frame);
    let time = |work: &dyn Fn()| {
        let rounds = 20_000_000 / frame.len() as u32;
        let began = Instant::now();
        (0..rounds).for_each(|_| work());
        began.elapsed() / rounds
    };
    let (there, back) =
        (time(&|| drop(black_box(encode(black_box(frame))))), time(&|| _ = black_box(decode(black_box(&text)))));
    println!("{:5} bytes, {name:8} {:7}  {there:8.0?} {back:8.0?}", frame.len(), text.len());
}

/// A connection, and what it is notified of.
async fn open(url: &str) -> (Client, mpsc::UnboundedReceiver<String>) {
    let (client, mut connection) = connect(url, NoTls).await.unwrap();
    let (sender, receiver) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Some(Ok(message)) = std::future::poll_fn(|cx| connection.poll_message(cx)).await {
            if let AsyncMessage::Notification(notification) = message {
                let _ = sender.send(notification.payload().to_owned());
            }
        }
    });
    (client, receiver)
}

/// CPU of this process and of the server's, so far.
async fn cpu(client: &Client) -> (Duration, Duration) {
    let of = |pid: &str| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let ticks: u64 =
            stat.rsplit(") ").next().unwrap().split(' ').skip(11).take(2).filter_map(|n| n.parse::<u64>().ok()).sum();
        Duration::from_millis(ticks * 10)
    };
    let rows = client.query("SELECT pid FROM pg_stat_activity", &[]).await.unwrap();
    (of("self"), rows.iter().map(|row| of(&row.get::<_, i32>(0).to_string())).sum())
}

async fn measure(name: &str, url: &str, size: usize, messages: usize, run: impl Future<Output = ()>) {
    let (client, _none) = open(url).await;
    let (before, began) = (cpu(&client).await, Instant::now());
    run.await;
    let (took, after) = (began.elapsed().as_secs_f64(), cpu(&client).await);
    let megabytes = (messages * size) as f64 / 1e6;
    let each = |after: Duration, before: Duration| (after - before).as_secs_f64() * 1e3 / megabytes;
    println!(
        "{name:9} {size:9} {:12.0} {:7.1} {:12.1} {:18.1}",
        messages as f64 / took,
        megabytes / took,
        each(after.0, before.0),
        each(after.1, before.1)
    );
}

const NOTIFY: &str = "SELECT count(pg_notify('rc.bench', p)) FROM unnest($1::text[]) AS _ (p)";

/// Cut by the core: notifications of at most one frame each, a batch at a time.
async fn split(url: &str, size: usize) {
    let (publisher, _none) = open(url).await;
    let mut readers = Vec::new();
    for _ in 0..NODES {
        let (client, receiver) = open(url).await;
        client.batch_execute("LISTEN \"rc.bench\"").await.unwrap();
        readers.push((client, receiver));
    }
    let messages = (64 << 20) / size;
    let message = vec![0xa5_u8; size];
    let capacity = SevenBit::capacity(7_999 - HEAD) - 74; // a part's header
    let parts = size.div_ceil(capacity);
    let work = async {
        let publish = async {
            let mut batch = Vec::new();
            for n in 0..messages {
                for part in message.chunks(capacity) {
                    batch.push(encode(batch.len(), part));
                    if batch.len() * capacity >= BATCH || n + 1 == messages && part.len() < capacity {
                        publisher.query_typed(NOTIFY, &[(&batch, Type::TEXT_ARRAY)]).await.unwrap();
                        batch.clear();
                    }
                }
            }
            if !batch.is_empty() {
                publisher.query_typed(NOTIFY, &[(&batch, Type::TEXT_ARRAY)]).await.unwrap();
            }
        };
        let read = futures_util::future::join_all(readers.iter_mut().map(|(_, receiver)| async move {
            let mut whole = Vec::with_capacity(size);
            for _ in 0..messages * parts {
                whole.extend_from_slice(&decode(&receiver.recv().await.unwrap()).unwrap());
                if whole.len() >= size {
                    whole.clear();
                }
            }
        }));
        tokio::join!(publish, read);
    };
    measure("split", url, size, messages, work).await;
}

/// Through an unlogged table: a row and a notification of its id in one transaction; each node reads the row, the publisher
/// removes those of long ago.
async fn table(url: &str, size: usize) {
    let (publisher, _none) = open(url).await;
    publisher
        .batch_execute(
            "DROP TABLE IF EXISTS bench; CREATE UNLOGGED TABLE bench (id bigserial PRIMARY KEY, body bytea NOT NULL);
                        ALTER TABLE bench ALTER body SET STORAGE EXTERNAL",
        )
        .await
        .unwrap();
    let mut readers = Vec::new();
    for _ in 0..NODES {
        let (client, receiver) = open(url).await;
        client.batch_execute("LISTEN \"rc.bench\"").await.unwrap();
        readers.push((client, receiver));
    }
    let messages = (64 << 20) / size;
    let message = vec![0xa5_u8; size];
    let each = (BATCH / size).max(1);
    let work = async {
        let publish = async {
            const INSERT: &str = "WITH rows AS (INSERT INTO bench (body) SELECT b FROM unnest($1::bytea[]) AS _ (b) RETURNING id) \
                                  SELECT max(id), count(pg_notify('rc.bench', id::text)) FROM rows";
            let insert = publisher.prepare(INSERT).await.unwrap();
            for at in (0..messages).step_by(each) {
                let batch = vec![&message[..]; each.min(messages - at)];
                let row = publisher.query_one(&insert, &[&batch]).await.unwrap();
                // What every node has had time to read; a part of the price.
                publisher.execute("DELETE FROM bench WHERE id < $1", &[&(row.get::<_, i64>(0) - 512)]).await.unwrap();
            }
        };
        let read = futures_util::future::join_all(readers.iter_mut().map(|(client, receiver)| async move {
            let fetch = client.prepare("SELECT body FROM bench WHERE id = ANY($1) ORDER BY id").await.unwrap();
            let mut seen = 0;
            while seen < messages {
                let mut ids = vec![receiver.recv().await.unwrap().parse::<i64>().unwrap()];
                while ids.len() < 64
                    && let Ok(id) = receiver.try_recv()
                {
                    ids.push(id.parse().unwrap());
                }
                seen += ids.len();
                black_box(client.query(&fetch, &[&ids]).await.unwrap());
            }
        }));
        tokio::join!(publish, read);
    };
    measure("table", url, size, messages, work).await;
}

async fn small(url: &str, batch: usize, prepared: bool) {
    let (publisher, _none) = open(url).await;
    let (listener, mut receiver) = open(url).await;
    listener.batch_execute("LISTEN \"rc.bench\"").await.unwrap();
    let statement = publisher.prepare(NOTIFY).await.unwrap();
    let messages = (batch * 4_000).min(200_000);
    let texts: Vec<_> = (0..batch).map(|place| encode(place, &[b'x'; 250])).collect();
    let began = Instant::now();
    let publish = async {
        for _ in 0..messages / batch {
            if prepared {
                publisher.query(&statement, &[&texts]).await.unwrap();
            } else {
                publisher.query_typed(NOTIFY, &[(&texts, Type::TEXT_ARRAY)]).await.unwrap();
            }
        }
    };
    let read = async {
        for _ in 0..messages {
            receiver.recv().await.unwrap();
        }
    };
    tokio::join!(publish, read);
    let kind = if prepared { "prepared" } else { "unnamed" };
    println!("{batch:5} {kind:9} {:9.0} frames/s", messages as f64 / began.elapsed().as_secs_f64());
}
