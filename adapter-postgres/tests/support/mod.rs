//! Servers of our own, through the suite's brokers, and nodes without a cluster behind them.
#![allow(
    clippy::unwrap_used,
    dead_code,
    unused_imports,
    reason = "how a test fails; each test file uses its part of it"
)]

use std::future::Future;
use std::time::Duration;

pub(crate) use roomcast_conformance::bare::{Node, channel};
use roomcast_conformance::{Broker, Recipe, recipes};
use roomcast_core::Error;
use roomcast_postgres::Postgres;
use tokio_postgres::{Client, NoTls};

pub(crate) type Tested = Result<(), Box<dyn std::error::Error>>;

/// How long a test waits for what has to come.
const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) async fn postgres() -> Broker {
    Broker::start(&recipes::postgres()).await.unwrap_or_else(|missing| panic!("{missing}"))
}

/// From a program of this machine, for what has to be prepared in its folder.
pub(crate) async fn start_here(recipe: &Recipe) -> Broker {
    Broker::start_here(recipe).await.unwrap_or_else(|missing| panic!("{missing}"))
}

/// The URL of another role or database, with these options: `role:password`, `/database?option=value`.
pub(crate) fn url(broker: &Broker, login: &str, rest: &str) -> String {
    let at = broker.addresses()[0];
    format!("postgres://{login}@{at}{rest}")
}

/// A plain client, as an application has one.
pub(crate) async fn client(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

/// The superuser.
pub(crate) async fn admin(broker: &Broker) -> Client {
    client(&url(broker, "postgres", "/postgres")).await
}

pub(crate) async fn connect(url: &str) -> Node {
    Node::connect(Postgres::from_url(url)).await
}

/// Subscribed to this channel alone.
pub(crate) async fn on(url: &str, name: &str) -> Node {
    Node::on(Postgres::from_url(url), name).await
}

/// A node with little room, or its refusal.
pub(crate) async fn refused(url: &str) -> Result<Node, Error> {
    Node::with(&Postgres::from_url(url)?, 10).await
}

/// The refusal of a connection.
pub(crate) async fn refusal(url: &str) -> Error {
    let error = refused(url).await.err().expect("refused");
    let text = format!("{error} {error:?}");
    assert!(!text.contains("hunter2"), "{text}");
    error
}

pub(crate) async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, what).await.expect("it comes")
}

/// Waits until this query says `t`.
pub(crate) async fn until(client: &Client, query: &str) {
    soon(async {
        while !client.query_one(query, &[]).await.unwrap().get::<_, bool>(0) {
            tokio::task::yield_now().await;
        }
    })
    .await;
}
