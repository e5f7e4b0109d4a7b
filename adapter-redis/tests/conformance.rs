//! What every backend has to show: on one server, by sharded pub/sub and by a stream on it, and in a Redis Cluster; on request by TLS.

use adapter_redis::Redis;
use roomcast_conformance::{Subject, recipes};

fn main() -> std::process::ExitCode {
    let redis = || Subject::new("redis", Redis::from_url);
    let streams = Subject::new("redis", |url| Redis::from_url(&url.replacen("redis://", "redis+streams://", 1)));
    let mut subjects = vec![
        redis().broker(recipes::redis()),
        redis().variant("sharded").broker(recipes::redis()).url_options("mode=sharded"),
        streams.variant("streams").broker(recipes::redis()).keeps_little("maxlen=1000"),
        redis().variant("cluster").broker(recipes::redis_cluster()),
    ];
    if cfg!(feature = "tls") {
        subjects.push(redis().variant("tls").broker(recipes::redis_tls()).on_request());
    }
    roomcast_conformance::main(subjects)
}
