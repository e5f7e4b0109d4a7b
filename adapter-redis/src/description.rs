//! What a server says of itself.

use std::collections::HashMap;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{RedisError, Value, from_redis_value};
use roomcast_core::Result;
use roomcast_core::backend::{Advice, BrokerInfo, Description, LimitUnit, ServerLimit, compare_clocks};

use crate::config::Mode;
use crate::connection::call;
use crate::error::error;

/// A smaller output buffer has no room for a burst of messages of 512 KiB.
const SMALL_BUFFER: u64 = 4 << 20;

/// What a server answers to `HELLO`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Hello {
    pub(crate) is_replica: bool,
    pub(crate) broker: Option<BrokerInfo>,
}

/// Asks a server for its role and what it is. `HELLO` says the role too, and needs no right of its own, as `ROLE` does.
///
/// # Errors
/// Those of the question; a time-out.
pub(crate) async fn hello(client: &MultiplexedConnection) -> Result<Hello, RedisError> {
    Ok(Hello::read(call(client, &["HELLO", "3"]).await?))
}

impl Hello {
    /// A proxy that says nothing of roles finds the master by itself.
    fn read(said: Value) -> Self {
        let said: HashMap<String, Value> = from_redis_value(said).unwrap_or_default();
        let find = |name: &str| said.get(name).and_then(|value| from_redis_value::<String>(value.clone()).ok());
        let is_replica = matches!(find("role").as_deref(), Some("replica" | "slave"));
        let broker =
            find("server").map(|server| BrokerInfo::new(product(&server), &find("version").unwrap_or_default()));
        Self { is_replica, broker }
    }
}

/// How a product writes its name.
fn product(server: &str) -> &str {
    let known = ["Redis", "Valkey", "KeyDB", "Dragonfly"];
    known.into_iter().find(|name| name.eq_ignore_ascii_case(server)).unwrap_or(server)
}

/// Asks a server for what matters to a node. What the login may not ask is not known.
///
/// # Errors
/// Those of the connection.
pub(crate) async fn describe(client: &MultiplexedConnection, mode: &Mode) -> Result<Description> {
    let mut described = Description::default();
    described.clock = compare_clocks(async { Ok(answer(client, &["TIME"]).await?.and_then(time)) }).await?;
    if described.clock.is_none() {
        described.unknown.push("the clock: the server refuses TIME".to_owned());
    }
    match answer(client, &["INFO"]).await?.and_then(|said| from_redis_value::<String>(said).ok()) {
        Some(info) => read_info(&info, mode, &mut described),
        None => described.unknown.push("clients and memory: the server refuses INFO".to_owned()),
    }
    if !matches!(mode, Mode::Streams { .. }) {
        let said = answer(client, &["CONFIG", "GET", "client-output-buffer-limit"]).await?;
        // One setting and its value.
        match said.and_then(|said| from_redis_value::<HashMap<String, String>>(said).ok()?.into_values().next()) {
            Some(buffers) => read_buffers(&buffers, &mut described),
            None => described.unknown.push("output buffers: the server refuses CONFIG GET".to_owned()),
        }
    }
    Ok(described)
}

/// The answer to one command; `None` if the server refuses it.
async fn answer(client: &MultiplexedConnection, words: &[&str]) -> Result<Option<Value>> {
    match call(client, words).await {
        Ok(said) => Ok(Some(said)),
        Err(cause) if cause.code().is_some() => Ok(None),
        Err(cause) => Err(error(cause)),
    }
}

/// Seconds and microseconds, as `TIME` answers.
pub(crate) fn time(said: Value) -> Option<Duration> {
    let (seconds, micros) = from_redis_value(said).ok()?;
    Duration::from_secs(seconds).checked_add(Duration::from_micros(micros))
}

fn read_info(info: &str, mode: &Mode, described: &mut Description) {
    let said: HashMap<_, _> = info.lines().filter_map(|line| line.trim_end().split_once(':')).collect();
    let number = |name: &str| said.get(name).and_then(|text| text.parse::<u64>().ok());
    described.broker = broker(&said);
    if let (Some(used), Some(most)) = (number("connected_clients"), number("maxclients")) {
        let limit = ServerLimit::new("maxclients", LimitUnit::Count, most);
        described.limits.push(limit.used(used, "raise maxclients: each node needs two connections"));
    }
    let is_streams = matches!(mode, Mode::Streams { .. });
    let memory = number("maxmemory").filter(|most| *most > 0); // 0 is no limit
    if let (true, Some(used), Some(_)) = (is_streams, number("used_memory"), number("maxmemory")) {
        const MEND: &str = "raise maxmemory, or lower the option maxlen: a server that is full takes no messages";
        described.limits.push(ServerLimit::new("maxmemory", LimitUnit::Bytes, memory).used(used, MEND));
    }
    let policy = said.get("maxmemory_policy").copied().unwrap_or("noeviction");
    let may_delete = format!(
        "maxmemory-policy is {policy}: when the memory is full, the server may delete the stream, and what a node has not read is lost"
    );
    let is_dragonfly = described.broker.as_ref().is_some_and(|broker| broker.product == "Dragonfly");
    let advice = [
        (
            is_streams && memory.is_some() && policy != "noeviction",
            "eviction",
            &*may_delete,
            "set maxmemory-policy to noeviction, or give the cluster a server of its own",
        ),
        (
            matches!(mode, Mode::PubSub) && said.get("cluster_enabled") == Some(&"1"),
            "plain_in_cluster",
            "this is a Redis Cluster, and plain pub/sub sends every message to all of its servers, without failover to another",
            "use redis+cluster:// with several of its servers, for all nodes and emitters at once",
        ),
        (
            matches!(mode, Mode::Sharded { .. }) && is_dragonfly,
            "sharded_pubsub",
            "a Dragonfly of before September 2025 may give messages of sharded pub/sub wrong names (dragonfly#5738): slots that move are noticed late then",
            "use mode=pubsub, for all nodes and emitters at once, or update an older Dragonfly",
        ),
    ];
    let given = advice.into_iter().filter(|(is_so, ..)| *is_so);
    described.advice.extend(given.map(|(_, cause, text, mend)| Advice::new(cause, text, mend)));
}

/// What it is. Most say `redis_version`, for compatibility, and something beside it that no other says.
fn broker(said: &HashMap<&str, &str>) -> Option<BrokerInfo> {
    let products = [
        ("valkey_version", "Valkey", "valkey_version"),
        ("dragonfly_version", "Dragonfly", "dragonfly_version"),
        ("mvcc_depth", "KeyDB", "redis_version"),
        ("redis_version", "Redis", "redis_version"),
    ];
    let (_, product, version) = products.into_iter().find(|(own, ..)| said.contains_key(own))?;
    Some(BrokerInfo::new(product, said.get(version)?.trim_start_matches("df-")))
}

/// Reads `client-output-buffer-limit`: class, hard limit, soft limit, seconds; for each class.
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
            Hello::read(Value::Map(rows.iter().map(|(name, value)| (text(name), text(value))).collect()))
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
        assert_eq!(Hello::read(Value::Nil), Hello::default());
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
            read_info(info, &Mode::PubSub, &mut described);
            assert_eq!(described.broker.map(|broker| broker.to_string()).as_deref(), expected, "{info}");
        }
    }

    #[test]
    fn info_gives_advice() {
        let (streams, sharded) = (Mode::Streams { key: None, maxlen: 1 }, Mode::Sharded { tag: "a".into() });
        let (plain, sharded, streams) = (&Mode::PubSub, &sharded, &streams);
        let full = "redis_version:7.0.15\r\nused_memory:95\r\nmaxmemory:100\r\nmaxmemory_policy:";
        for (info, mode, causes) in [
            ("redis_version:7.0.15\r\nrole:master\r\ncluster_enabled:0\r\n".to_owned(), plain, &[][..]),
            ("redis_version:6.2.14\r\n".to_owned(), plain, &[]),
            ("redis_version:7.2.4\r\ncluster_enabled:1\r\n".to_owned(), plain, &["plain_in_cluster"]),
            ("redis_version:7.2.4\r\ncluster_enabled:1\r\n".to_owned(), sharded, &[]),
            ("dragonfly_version:df-v1.20.0\r\n".to_owned(), sharded, &["sharded_pubsub"]),
            (format!("{full}allkeys-lru\r\n"), streams, &["eviction"]),
            (format!("{full}volatile-lru\r\n"), streams, &["eviction"]),
            (format!("{full}noeviction\r\n"), streams, &[]),
            (format!("{full}allkeys-lru\r\n"), plain, &[]),
            ("redis_version:7.0.0\r\nmaxmemory:0\r\nmaxmemory_policy:allkeys-lru\r\n".to_owned(), streams, &[]),
        ] {
            let mut described = Description::default();
            read_info(&info, mode, &mut described);
            assert_eq!(described.advice.iter().map(|advice| advice.cause).collect::<Vec<_>>(), causes, "{info}");
        }
    }

    #[test]
    fn limits_are_those_that_matter_to_the_mode() {
        let info = "connected_clients:9\r\nmaxclients:10\r\nused_memory:5\r\nmaxmemory:10\r\n";
        let limits = |mode| {
            let mut described = Description::default();
            read_info(info, &mode, &mut described);
            let row = |limit: &ServerLimit| (limit.name.clone(), limit.used, limit.most, limit.mend().is_some());
            described.limits.iter().map(row).collect::<Vec<_>>()
        };
        let clients = ("maxclients".to_owned(), Some(9), Some(10), true);
        assert_eq!(limits(Mode::PubSub), std::slice::from_ref(&clients));
        assert_eq!(
            limits(Mode::Streams { key: None, maxlen: 1 }),
            [clients, ("maxmemory".to_owned(), Some(5), Some(10), false)]
        );
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
        let said = |values: &[&str]| time(Value::Array(values.iter().map(|value| text(value)).collect()));
        assert_eq!(said(&["1764427000", "123456"]), Some(Duration::from_micros(1_764_427_000_123_456)));
        assert_eq!(said(&["18446744073709551615", "18446744073709551615"]), None);
        assert_eq!((said(&["now", "0"]), said(&[])), (None, None));
    }
}
