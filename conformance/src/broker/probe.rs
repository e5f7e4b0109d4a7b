//! Asking a server, in its own protocol, whether it is ready and of which version.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::recipe::Probe;
use super::url::Url;
use super::{pg, resp};

/// How long a server that accepts may take to answer.
const ANSWER: Duration = Duration::from_secs(2);

/// Whom to ask, and with which credentials.
#[derive(Clone, Copy, Debug)]
pub(super) struct Target<'a> {
    pub(super) address: SocketAddr,
    pub(super) url: Option<&'a Url>,
}

/// The version of a server that is ready, as one of so many; else why it is not.
pub(super) async fn ask(target: &Target<'_>, probe: &Probe, servers: usize) -> Result<String, String> {
    let asked = async {
        match probe {
            Probe::Accepts => accepts(target).await,
            Probe::Redis => redis(target).await,
            Probe::RedisCluster => {
                cluster(target, servers).await?;
                redis(target).await
            }
            Probe::Nats => nats(target, servers).await,
            Probe::Postgres => pg::ask(target).await,
            Probe::Answer { ask, before_version, .. } => answer(target, ask, before_version).await,
            Probe::Ask { ask, .. } => ask.ask(target.address).await,
        }
    };
    timeout(ANSWER, asked).await.unwrap_or_else(|_| Err(format!("no answer within {ANSWER:?}")))
}

/// Of a server that is not asked no version is known.
pub(super) async fn accepts(target: &Target<'_>) -> Result<String, String> {
    TcpStream::connect(target.address).await.map(|_| "unknown".to_owned()).map_err(|error| error.to_string())
}

async fn redis(target: &Target<'_>) -> Result<String, String> {
    let info = resp::call(target, &["INFO", "server"]).await?;
    // Valkey calls itself a Redis 7.2 too, for clients.
    let valkey = field(&info, "valkey_version").map(|version| format!("valkey {version}"));
    let redis = || field(&info, "redis_version").map(str::to_owned);
    valkey.or_else(redis).ok_or_else(|| "INFO names no version".to_owned())
}

async fn cluster(target: &Target<'_>, servers: usize) -> Result<(), String> {
    let info = resp::call(target, &["CLUSTER", "INFO"]).await?;
    let nodes = servers.to_string();
    // An external cluster may have servers that its URL does not name.
    let known = field(&info, "cluster_known_nodes").and_then(|known| known.parse::<usize>().ok()).unwrap_or(0);
    let served = field(&info, "cluster_state") == Some("ok") && field(&info, "cluster_slots_ok") == Some("16384");
    if served && known >= servers { Ok(()) } else { Err(format!("not all slots are served by {nodes} servers")) }
}

/// The value of a line `name:value`.
fn field<'a>(info: &'a str, name: &str) -> Option<&'a str> {
    info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
}

async fn nats(target: &Target<'_>, servers: usize) -> Result<String, String> {
    let stream = TcpStream::connect(target.address).await.map_err(|error| error.to_string())?;
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).await.map_err(|error| error.to_string())?;
    let info = line.strip_prefix("INFO ").ok_or("the first line is not INFO")?;
    let info: serde_json::Value = serde_json::from_str(info).map_err(|error| error.to_string())?;
    // A server of a cluster names to its clients the servers to which it has routes, and itself.
    let known = info["connect_urls"].as_array().map_or(1, Vec::len);
    if known < servers {
        return Err(format!("it knows {known} of {servers} servers"));
    }
    info["version"].as_str().map(str::to_owned).ok_or_else(|| "INFO names no version".to_owned())
}

async fn answer(target: &Target<'_>, ask: &[u8], before_version: &str) -> Result<String, String> {
    let mut stream = TcpStream::connect(target.address).await.map_err(|error| error.to_string())?;
    stream.write_all(ask).await.map_err(|error| error.to_string())?;
    let mut answer = Vec::new();
    while stream.read_buf(&mut answer).await.map_err(|error| error.to_string())? > 0 {
        let text = String::from_utf8_lossy(&answer);
        if let Some((_, version)) = text.split_once(before_version) {
            let digits = version.trim_start_matches(|char: char| !char.is_ascii_digit());
            return Ok(digits.chars().take_while(|char| char.is_ascii_digit() || *char == '.').collect());
        }
    }
    Err(format!("it closed before it said {before_version:?}"))
}
