//! What a server says of itself.

use async_nats::ServerInfo;
use roomcast_core::backend::{Advice, BrokerInfo, Description, LimitUnit, ServerLimit};

/// Small packets travel together in messages of up to this many bytes.
pub(crate) const PACKED: usize = 16 << 10;

/// What it is. Other programs that speak the protocol say the version of theirs, and nothing else.
pub(crate) fn broker(info: &ServerInfo) -> Option<BrokerInfo> {
    (!info.version.is_empty()).then(|| BrokerInfo::new("NATS", &info.version))
}

/// All that a server announces. It announces no time.
pub(crate) fn describe(info: &ServerInfo) -> Description {
    let mut described = Description::default();
    described.broker = broker(info);
    described.limits.push(ServerLimit::new("max_payload", LimitUnit::Bytes, info.max_payload as u64));
    if info.max_payload < PACKED {
        described.advice.push(Advice::new(
            "small_payload",
            format!("max_payload is {} bytes: nodes cut what is larger, and pack less together", info.max_payload),
            "raise max_payload, 1 MB as the server comes",
        ));
    }
    if info.lame_duck_mode {
        described.advice.push(Advice::new(
            "lame_duck",
            "this server is in lame duck mode: it is going to end its connections, and takes no new ones",
            "start it again if its cluster has no other server; if there are others, nodes connect to them by themselves",
        ));
    }
    described
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_server_announces_is_read() {
        for (json, said, causes) in [
            (r#"{"version":"2.9.10","max_payload":1048576}"#, Some("NATS 2.9.10"), &[][..]),
            (r#"{"version":"2.12.1","max_payload":1048576,"ldm":true}"#, Some("NATS 2.12.1"), &["lame_duck"]),
            (r#"{"version":"2.9.10","max_payload":4096}"#, Some("NATS 2.9.10"), &["small_payload"]),
            (r#"{"max_payload":16384}"#, None, &[]),
        ] {
            let described = describe(&serde_json::from_str(json).expect("INFO"));
            assert_eq!(described.broker.map(|broker| broker.to_string()).as_deref(), said, "{json}");
            assert_eq!(described.advice.iter().map(|advice| advice.cause).collect::<Vec<_>>(), causes, "{json}");
            assert_eq!((described.limits.len(), described.clock), (1, None), "{json}");
        }
    }
}
