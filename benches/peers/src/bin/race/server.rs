//! The server's side: carries out what it is ordered to.

use std::time::{Duration, Instant};

use futures_util::{StreamExt, stream};
use peers::Failed;
use peers::adapters::{QUESTION, Use};
use peers::server::Server;
use socketioxide::SocketIo;
use socketioxide::adapter::Adapter;
use socketioxide::layer::SocketIoLayer;
use tokio::io::{AsyncBufReadExt, BufReader};

use super::machine;

/// Emits that are in flight at a time.
const IN_FLIGHT: usize = 64;
const PADDING: &str = "................................................................";

/// Serves, and obeys.
pub(crate) struct Obey;

impl Use for Obey {
    type Output = ();

    async fn with<A: Adapter>(self, layer: SocketIoLayer<A>, io: SocketIo<A>) -> Result<(), Failed> {
        let server = Server::start(layer).await?;
        println!("{}", server.address);
        let mut orders = BufReader::new(tokio::io::stdin()).lines();
        while let Some(order) = orders.next_line().await? {
            let words: Vec<_> = order.split(' ').collect();
            let answer = match words[..] {
                ["emit", count] => {
                    let all = stream::iter(0..count.parse::<u64>()?);
                    all.for_each_concurrent(IN_FLIGHT, |_| emit(&io)).await;
                    Vec::new()
                }
                ["rate", rate, seconds] => vec![at_rate(&io, rate.parse()?, seconds.parse()?).await],
                ["fetch", count] => times(count.parse()?, async || fetch(&io).await).await?,
                ["acks", count] => times(count.parse()?, async || acks(&io).await).await?,
                _ => return Err(format!("{order:?} is no order").into()),
            };
            println!("{}", answer.iter().map(u64::to_string).collect::<Vec<_>>().join(" "));
        }
        Ok(())
    }
}

async fn emit<A: Adapter>(io: &SocketIo<A>) {
    if let Err(error) = io.emit("e", &(machine::now(), PADDING)).await {
        eprintln!("emit: {error}");
    }
}

/// Emits so many in a second, and returns how many it were.
async fn at_rate<A: Adapter>(io: &SocketIo<A>, rate: u64, seconds: u64) -> u64 {
    let (began, mut pace, mut sent) = (Instant::now(), tokio::time::interval(Duration::from_millis(1)), 0);
    while sent < rate * seconds {
        pace.tick().await;
        let due = (began.elapsed().as_secs_f64() * rate as f64) as u64;
        while sent < due.min(rate * seconds) {
            emit(io).await;
            sent += 1;
        }
    }
    sent
}

async fn fetch<A: Adapter>(io: &SocketIo<A>) -> Result<u64, Failed> {
    let crowd = io.of("/rooms").ok_or("the namespace is there")?;
    Ok(crowd.fetch_sockets().await.map_err(|error| error.to_string())?.len() as u64)
}

async fn acks<A: Adapter>(io: &SocketIo<A>) -> Result<u64, Failed> {
    let asked = io.of("/rooms").ok_or("the namespace is there")?.to("asked").timeout(QUESTION);
    let acks = asked.emit_with_ack::<_, serde_json::Value>("q", PADDING).await.map_err(|error| error.to_string())?;
    Ok(acks.filter(|(_, ack)| std::future::ready(ack.is_ok())).count().await as u64)
}

/// The median time of so many calls in microseconds, and the smallest answer.
async fn times(count: usize, call: impl AsyncFn() -> Result<u64, Failed>) -> Result<Vec<u64>, Failed> {
    let (mut times, mut smallest) = (Vec::new(), u64::MAX);
    for _ in 0..count {
        let began = machine::now();
        smallest = smallest.min(call().await?);
        times.push((machine::now() - began) / 1_000);
    }
    times.sort_unstable();
    Ok(vec![times[times.len() / 2], smallest])
}
