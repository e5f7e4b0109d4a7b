//! What a server says of itself.

use std::collections::HashMap;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{Cmd, Value, from_redis_value_ref};
use roomcast_core::Result;
use roomcast_core::backend::{Advice, BrokerInfo, Description, LimitUnit, ServerLimit, compare_clocks};

use crate::connection::in_time;
use crate::error::error;

/// A smaller output buffer has no room for a burst of messages of 512 KiB.
const SMALL_BUFFER: u64 = 4 << 20;

/// What of the server carries the frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Carrier {
    PubSub,
    Sharded,
    Stream,
}

/// What a server answers to `HELLO`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Hello {
    pub(crate) is_replica: bool,
    pub(crate) broker: Option<BrokerInfo>,
}

impl Hello {
    /// A proxy that says nothing of roles finds the master by itself.
    pub(crate) fn read(said: &Value) -> Self {
        let Value::Map(said) = said else { return Self::default() };
        let text = |value: &Value| from_redis_value_ref::<String>(value).unwrap_or_default();
        let find = |name: &str| said.iter().find_map(|(key, value)| (text(key) == name).then(|| text(value)));
        let is_replica = matches!(find("role").as_deref(), Some("replica" | "slave"));
        let broker = find("server").map(|server| BrokerInfo::new(name(&server), &find("version").unwrap_or_default()));
        Self { is_replica, broker }
    }
}

/// How a product writes its name.
fn name(server: &str) -> &str {
    match server {
        "redis" => "Redis",
        "valkey" => "Valkey",
        "keydb" => "KeyDB",
        "dragonfly" => "Dragonfly",
        other => other,
    }
}

/// Asks a server for what matters to a node. What the login may not ask is not known.
///
/// # Errors
/// Those of the connection.
pub(crate) async fn describe(client: &MultiplexedConnection, carrier: Carrier) -> Result<Description> {
    let mut described = Description::default();
    let clock = async { Ok(answer(client, "TIME").await?.and_then(|said| time(&said))) };
    described.clock = compare_clocks(clock).await?;
    if described.clock.is_none() {
        described.unknown.push("the clock: the server refuses TIME".to_owned());
    }
    match answer(client, "INFO").await?.and_then(|said| from_redis_value_ref::<String>(&said).ok()) {
        Some(info) => read_info(&info, carrier, &mut described),
        None => described.unknown.push("clients and memory: the server refuses INFO".to_owned()),
    }
    if carrier != Carrier::Stream {
        match answer(client, "CONFIG GET client-output-buffer-limit").await?.as_ref().and_then(buffers) {
            Some(buffers) => read_buffers(&buffers, &mut described),
            None => described.unknown.push("output buffers: the server refuses CONFIG GET".to_owned()),
        }
    }
    Ok(described)
}

/// The answer to one command; `None` if the server refuses it.
async fn answer(client: &MultiplexedConnection, command: &str) -> Result<Option<Value>> {
    let mut asked = Cmd::new();
    for word in command.split(' ') {
        asked.arg(word);
    }
    let said = in_time(client.clone().send_packed_command(&asked)).await.map_err(error)?;
    Ok(said.extract_error().ok())
}

/// Seconds and microseconds, as `TIME` answers.
fn time(said: &Value) -> Option<Duration> {
    let (seconds, micros) = from_redis_value_ref::<(u64, u64)>(said).ok()?;
    Duration::from_secs(seconds).checked_add(Duration::from_micros(micros))
}

/// The setting of `client-output-buffer-limit`, as `CONFIG GET` answers: class, hard limit, soft limit, seconds; for each class.
fn buffers(said: &Value) -> Option<String> {
    from_redis_value_ref::<HashMap<String, String>>(said).ok()?.into_values().next()
}

fn read_info(info: &str, carrier: Carrier, described: &mut Description) {
    let said: HashMap<_, _> = info.lines().filter_map(|line| line.trim_end().split_once(':')).collect();
    let number = |name: &str| said.get(name).and_then(|text| text.parse::<u64>().ok());
    described.broker = broker(&said);
    if let (Some(used), Some(most)) = (number("connected_clients"), number("maxclients")) {
        let limit = ServerLimit::new("maxclients", LimitUnit::Count, most);
        described.limits.push(limit.used(used, "raise maxclients: each node needs two connections"));
    }
    let is = |name: &str, value: &str| said.get(name) == Some(&value);
    if carrier == Carrier::Stream {
        described.limits.extend(memory(number("used_memory"), number("maxmemory")));
        let policy = said.get("maxmemory_policy").copied().unwrap_or("noeviction");
        if policy != "noeviction" && number("maxmemory").is_some_and(|most| most > 0) {
            described.advice.push(Advice::new(
                "eviction",
                format!("maxmemory-policy is {policy}: when the memory is full, the server may delete the stream, and what a node has not read is lost"),
                "set maxmemory-policy to noeviction, or give the cluster a server of its own",
            ));
        }
    }
    if carrier == Carrier::PubSub && is("cluster_enabled", "1") {
        described.advice.push(Advice::new(
            "plain_in_cluster",
            "this is a Redis Cluster, and plain pub/sub sends every message to all of its servers, without failover to another",
            "use redis+cluster:// with several of its servers, for all nodes and emitters at once",
        ));
    }
    if is("role", "active-replica") {
        described.advice.push(Advice::new(
            "active_replica",
            "active replicas deliver a message twice: nodes drop the copies, which costs time",
            "nothing, if you need it; a server without active-replica is cheaper",
        ));
    }
    described.advice.extend(described.broker.as_ref().and_then(|broker| sharded(broker, carrier)));
}

/// What it is. Most say `redis_version`, for compatibility, and another one beside it.
fn broker(said: &HashMap<&str, &str>) -> Option<BrokerInfo> {
    let version = |name: &str| said.get(name).copied();
    let redis = version("redis_version");
    if let Some(version) = version("valkey_version") {
        return Some(BrokerInfo::new("Valkey", version));
    }
    if let Some(version) = version("dragonfly_version") {
        return Some(BrokerInfo::new("Dragonfly", version.trim_start_matches("df-")));
    }
    // KeyDB says `redis_version` alone, and something that no other has.
    if said.contains_key("mvcc_depth") || said.contains_key("keydb_version") {
        return Some(BrokerInfo::new("KeyDB", version("keydb_version").or(redis)?));
    }
    Some(BrokerInfo::new("Redis", redis?))
}

/// What a stream needs. A `maxmemory` of 0 is none.
fn memory(used: Option<u64>, most: Option<u64>) -> Option<ServerLimit> {
    let most = most?;
    let limit = ServerLimit::new("maxmemory", LimitUnit::Bytes, Some(most).filter(|most| *most > 0));
    Some(limit.used(used?, "raise maxmemory, or lower the option maxlen: a server that is full takes no messages"))
}

/// What is to be said of sharded pub/sub.
fn sharded(broker: &BrokerInfo, carrier: Carrier) -> Option<Advice> {
    let none = broker.product == "KeyDB" || broker.product == "Redis" && broker.is_before(&[7]);
    match carrier {
        Carrier::PubSub if none => Some(Advice::new(
            "no_sharded_pubsub",
            format!("{broker} has no sharded pub/sub"),
            "nothing, unless you want mode=sharded or a Redis Cluster: these need Redis 7 or Valkey",
        )),
        Carrier::Sharded if broker.product == "Dragonfly" => Some(Advice::new(
            "sharded_pubsub",
            "a Dragonfly of before September 2025 may give messages of sharded pub/sub wrong names (dragonfly#5738): slots that move are noticed late then",
            "use mode=pubsub, for all nodes and emitters at once, or update an older Dragonfly",
        )),
        _ => None,
    }
}

fn read_buffers(set: &str, described: &mut Description) {
    let words: Vec<_> = set.split_whitespace().collect();
    let hard = words.iter().position(|word| *word == "pubsub").and_then(|at| words.get(at + 1)?.parse::<u64>().ok());
    let Some(hard) = hard else { return };
    let most = Some(hard).filter(|hard| *hard > 0);
    described.limits.push(ServerLimit::new("client-output-buffer-limit pubsub", LimitUnit::Bytes, most));
    const MEND: &str = "set client-output-buffer-limit to \"pubsub 33554432 8388608 60\", as the server comes";
    let text = match most {
        None => "a node that does not read may fill the server's memory: its output buffer has no limit".to_owned(),
        Some(hard) if hard < SMALL_BUFFER => {
            format!("a node that is slow for a moment loses its connection: its output buffer holds {hard} bytes")
        }
        Some(_) => return,
    };
    described.advice.push(Advice::new("output_buffer", text, MEND));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Value {
        Value::SimpleString(text.to_owned())
    }

    #[test]
    fn hello_tells_role_and_product() {
        let hello = |rows: &[(&str, &str)]| {
            Hello::read(&Value::Map(rows.iter().map(|(name, value)| (text(name), text(value))).collect()))
        };
        for (said, is_replica, broker) in [
            (&[("server", "redis"), ("version", "7.0.15"), ("role", "master")][..], false, Some("Redis 7.0.15")),
            (&[("server", "valkey"), ("version", "8.1.0"), ("role", "replica")], true, Some("Valkey 8.1.0")),
            (&[("server", "redis"), ("version", "6.2.14"), ("role", "slave")], true, Some("Redis 6.2.14")),
            (&[("server", "keydb"), ("role", "active-replica")], false, Some("KeyDB")),
            (&[("server", "proxy"), ("proto", "3")], false, Some("proxy")),
            (&[("proto", "3")], false, None),
        ] {
            let hello = hello(said);
            let broker = broker.map(str::to_owned);
            assert_eq!(
                (hello.is_replica, hello.broker.map(|broker| broker.to_string())),
                (is_replica, broker),
                "{said:?}"
            );
        }
        assert_eq!(Hello::read(&Value::Nil), Hello::default());
    }

    #[test]
    fn info_tells_the_product() {
        for (info, expected) in [
            ("# Server\r\nredis_version:7.0.15\r\nredis_mode:standalone\r\n", Some("Redis 7.0.15")),
            ("redis_version:7.2.4\r\nserver_name:valkey\r\nvalkey_version:8.1.3\r\n", Some("Valkey 8.1.3")),
            ("redis_version:7.4.0\r\ndragonfly_version:df-v1.34.1\r\n", Some("Dragonfly v1.34.1")),
            ("redis_version:6.3.4\r\n# KeyDB\r\nmvcc_depth:0\r\n", Some("KeyDB 6.3.4")),
            ("nothing of it", None),
        ] {
            let mut described = Description::default();
            read_info(info, Carrier::PubSub, &mut described);
            assert_eq!(described.broker.map(|broker| broker.to_string()).as_deref(), expected, "{info}");
        }
    }

    #[test]
    fn info_gives_advice() {
        use Carrier::{PubSub, Sharded, Stream};
        let full = "redis_version:7.0.15\r\nused_memory:95\r\nmaxmemory:100\r\nmaxmemory_policy:";
        for (info, carrier, causes) in [
            ("redis_version:7.0.15\r\nrole:master\r\ncluster_enabled:0\r\n".to_owned(), PubSub, &[][..]),
            ("redis_version:6.2.14\r\n".to_owned(), PubSub, &["no_sharded_pubsub"]),
            ("redis_version:6.2.14\r\n".to_owned(), Stream, &[]),
            (
                "redis_version:6.3.4\r\nmvcc_depth:0\r\nrole:active-replica\r\n".to_owned(),
                PubSub,
                &["active_replica", "no_sharded_pubsub"],
            ),
            ("redis_version:7.2.4\r\ncluster_enabled:1\r\n".to_owned(), PubSub, &["plain_in_cluster"]),
            ("redis_version:7.2.4\r\ncluster_enabled:1\r\n".to_owned(), Sharded, &[]),
            ("dragonfly_version:df-v1.20.0\r\n".to_owned(), Sharded, &["sharded_pubsub"]),
            (format!("{full}allkeys-lru\r\n"), Stream, &["eviction"]),
            (format!("{full}volatile-lru\r\n"), Stream, &["eviction"]),
            (format!("{full}noeviction\r\n"), Stream, &[]),
            (format!("{full}allkeys-lru\r\n"), PubSub, &[]),
            ("redis_version:7.0.0\r\nmaxmemory:0\r\nmaxmemory_policy:allkeys-lru\r\n".to_owned(), Stream, &[]),
        ] {
            let mut described = Description::default();
            read_info(&info, carrier, &mut described);
            assert_eq!(described.advice.iter().map(|advice| advice.cause).collect::<Vec<_>>(), causes, "{info}");
        }
    }

    #[test]
    fn limits_are_those_that_matter_to_the_carrier() {
        let info = "connected_clients:9\r\nmaxclients:10\r\nused_memory:5\r\nmaxmemory:10\r\n";
        let limits = |carrier| {
            let mut described = Description::default();
            read_info(info, carrier, &mut described);
            let row = |limit: &ServerLimit| (limit.name.clone(), limit.used, limit.most, limit.mend().is_some());
            described.limits.iter().map(row).collect::<Vec<_>>()
        };
        let clients = ("maxclients".to_owned(), Some(9), Some(10), true);
        assert_eq!(limits(Carrier::PubSub), std::slice::from_ref(&clients));
        assert_eq!(limits(Carrier::Stream), [clients, ("maxmemory".to_owned(), Some(5), Some(10), false)]);
    }

    #[test]
    fn an_output_buffer_is_neither_small_nor_without_end() {
        for (set, most, advised) in [
            ("normal 0 0 0 slave 268435456 67108864 60 pubsub 33554432 8388608 60", Some(Some(33_554_432)), false),
            ("normal 0 0 0 slave 0 0 0 pubsub 1048576 0 0", Some(Some(1_048_576)), true),
            ("pubsub 0 0 0", Some(None), true),
            ("normal 0 0 0", None, false),
            ("pubsub", None, false),
        ] {
            let mut described = Description::default();
            read_buffers(set, &mut described);
            assert_eq!(described.limits.first().map(|limit| limit.most), most, "{set}");
            assert_eq!(described.advice.len(), usize::from(advised), "{set}");
        }
    }

    #[test]
    fn time_is_seconds_and_microseconds() {
        let said = |values: &[&str]| time(&Value::Array(values.iter().map(|value| text(value)).collect()));
        assert_eq!(said(&["1764427000", "123456"]), Some(Duration::from_micros(1_764_427_000_123_456)));
        assert_eq!(said(&["18446744073709551615", "18446744073709551615"]), None);
        assert_eq!((said(&["now", "0"]), said(&[])), (None, None));
    }
}
