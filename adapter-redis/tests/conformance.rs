//! What every backend has to show: on one server, by sharded pub/sub and by a stream on it, and in a Redis Cluster.

use adapter_core::Result;
use adapter_core::backend::Connect;
use adapter_redis::Redis;
use conformance::{Subject, recipes};

fn connect(url: &str) -> Result<Box<dyn Connect>> {
    Ok(Box::new(Redis::from_url(url)?))
}

fn by_a_stream(url: &str) -> Result<Box<dyn Connect>> {
    connect(&url.replacen("redis://", "redis+streams://", 1))
}

fn main() -> std::process::ExitCode {
    conformance::main([
        Subject::new("redis", connect).broker(recipes::REDIS),
        Subject::new("redis", connect).variant("sharded").broker(recipes::REDIS).url_options("mode=sharded"),
        Subject::new("redis", by_a_stream).variant("streams").broker(recipes::REDIS).keeps_little("maxlen=1000"),
        Subject::new("redis", connect).variant("cluster").broker(recipes::REDIS_CLUSTER),
    ])
}
