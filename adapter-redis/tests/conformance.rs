//! What every backend has to show: on one server, by sharded pub/sub and by a stream on it, and in a Redis Cluster; on request by TLS.
use roomcast_conformance::{Subject, recipes};
use roomcast_redis::Redis;

fn main() -> std::process::ExitCode {
    let redis = || Subject::new("redis", Redis::from_url);
    let streams = Subject::new("redis", |url| Redis::from_url(&url.replacen("redis://", "redis+streams://", 1)));
    roomcast_conformance::main([
        redis().broker(recipes::redis()),
        redis().variant("sharded").broker(recipes::redis()).url_options("mode=sharded"),
        streams.variant("streams").broker(recipes::redis_streams()).keeps_little("maxlen=1000"),
        redis().topology("cluster").broker(recipes::redis_cluster()),
        redis().variant("tls").broker(recipes::redis_tls()).on_request().only_if(cfg!(feature = "tls")),
    ])
}
