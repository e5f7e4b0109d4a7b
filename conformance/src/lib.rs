//! Roomcast's conformance suite: what every backend has to show on a real broker.

pub mod broker;
pub mod proxy;
