//! What every backend has to show: on one server, by sharded pub/sub on it, and in a Redis Cluster.

use adapter_core::{Connect, Result};
use adapter_redis::Redis;
use conformance::{Subject, recipes};

fn connect(url: &str) -> Result<Box<dyn Connect>> {
    Ok(Box::new(Redis::from_url(url)?))
}

/// What a proxy in front of one server shows, if the node stays behind it.
const BEHIND_A_PROXY: [&str; 10] = [
    "g07_a_link_that_was_cut_receives_again",
    "g07_a_link_that_is_refused_for_a_while_receives_again",
    "g07_a_half_open_link_is_noticed_and_replaced",
    "g07_new_links_that_are_dead_at_once_are_replaced",
    "g07_a_busy_link_is_not_a_dead_one",
    "g13_a_large_message_passes_a_thin_link",
    "g08_what_a_cut_node_sends_arrives_in_full_and_what_it_misses_is_reported",
    "g10_unknown_outcomes_make_no_copies",
    "g10_cuts_in_the_middle_of_a_message_make_no_copies",
    "g02_order_holds_over_a_slow_link",
];

fn main() -> std::process::ExitCode {
    let cluster = Subject::new("redis", connect).variant("cluster").broker(recipes::REDIS_CLUSTER);
    let reason = "a Redis Cluster sends the node on, around the proxy";
    conformance::main([
        Subject::new("redis", connect).broker(recipes::REDIS),
        Subject::new("redis", connect).variant("sharded").broker(recipes::REDIS).url_options("mode=sharded"),
        BEHIND_A_PROXY.into_iter().fold(cluster, |cluster, case| cluster.not(case, reason)),
    ])
}
