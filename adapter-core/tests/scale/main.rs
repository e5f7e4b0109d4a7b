//! Large clusters: the real nodes, with reader, writer and engine, over a simulated broker that counts what they send, on the
//! runtime's paused clock. One thread runs them all, so that a seed gives the same run again, and a second costs only the work
//! in it.

mod broker;
mod busy;
mod cases;
mod cluster;
mod limits;
mod local;
mod port;
mod random;
mod report;
mod traffic;

use cases::{growth, life};

#[test]
fn three_nodes() {
    life(3, 1).assert();
}

#[test]
fn thirty_nodes() {
    life(30, 1).assert();
}

#[test]
fn g22_two_hundred_nodes() {
    life(200, 1).assert();
}

#[test]
#[ignore = "takes many minutes unoptimized: cargo test --release -p roomcast-core --test scale -- --ignored"]
fn g22_a_thousand_nodes() {
    life(1000, 1).assert();
}

#[test]
fn g18_who_has_connected_knows_those_that_were_there() {
    growth(60, 5, 1).assert();
}

#[test]
fn a_seed_gives_the_same_run_again() {
    let rows = |seed| life(30, seed).rows;
    let first = rows(7);
    assert_eq!(first, rows(7));
    assert_ne!(first, rows(8), "the comparison sees nothing");
}
