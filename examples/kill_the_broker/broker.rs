//! What is killed.

use std::net::ToSocketAddrs;
use std::time::Duration;

use roomcast::{Cluster, ClusterBuilder, Error, ErrorKind, Result};
use roomcast_conformance::broker::{Broker, recipes};
use roomcast_conformance::{Proxy, Recipe};

use crate::relay;
use crate::relay::backend::Relay;

/// A broker that is struck now and then.
pub(crate) enum Victim {
    /// One of our own: killed, and started again.
    Broker(Box<Broker>),
    /// Somebody else's: all links to it are cut.
    Links(String, Proxy),
}

impl Victim {
    /// Starts the broker of this name, or connects to the one of this URL. Without either it starts a Redis, or the relay where no
    /// Redis is installed.
    pub(crate) async fn start(adapter: Option<&str>) -> Result<Self> {
        let Some(adapter) = adapter else {
            return match Broker::start(&recipes::redis()).await {
                Ok(broker) => Ok(Self::Broker(Box::new(broker))),
                Err(missing) => {
                    println!("{missing}: over the relay of this program instead\n");
                    Self::start_broker(&relay::recipe::recipe()).await
                }
            };
        };
        let recipe = match adapter {
            "redis" => recipes::redis(),
            "relay" => relay::recipe::recipe(),
            "nats" => recipes::nats(),
            "amqp" | "rabbitmq" => recipes::rabbitmq(),
            "postgres" | "postgresql" => recipes::postgres(),
            url if url.contains("://") => return Self::behind_a_proxy(url).await,
            other => return Err(Error::new(ErrorKind::Config, format!("there is no adapter {other:?}"))),
        };
        Self::start_broker(&recipe).await
    }

    async fn start_broker(recipe: &Recipe) -> Result<Self> {
        Ok(Self::Broker(Box::new(Broker::start(recipe).await.map_err(failed)?)))
    }

    async fn behind_a_proxy(url: &str) -> Result<Self> {
        let bad = || Error::new(ErrorKind::Config, "a URL with one server: redis://host:port");
        let (scheme, rest) = url.split_once("://").ok_or_else(bad)?;
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        let (user, host) = authority.rsplit_once('@').map_or(("", authority), |(user, host)| (user, host));
        let port = match scheme {
            "nats" => 4222,
            "amqp" => 5672,
            "postgres" | "postgresql" => 5432,
            _ => 6379,
        };
        let host = if host.rsplit_once(':').is_some() { host.to_owned() } else { format!("{host}:{port}") };
        let address = host.to_socket_addrs().map_err(failed)?.next().ok_or_else(bad)?;
        let proxy = Proxy::to(address).await.map_err(failed)?;
        let place = proxy.addresses().first().ok_or_else(bad)?;
        let user = if user.is_empty() { String::new() } else { format!("{user}@") };
        Ok(Self::Links(format!("{scheme}://{user}{place}{path}"), proxy))
    }

    /// For people: what it is, and what is done to it.
    pub(crate) fn name(&self) -> String {
        let every = "every 5 s";
        match self {
            Self::Broker(broker) => format!("{} {}, killed {every}", broker.name(), broker.version()),
            Self::Links(..) => format!("your broker, to which all links are cut {every}"),
        }
    }

    pub(crate) async fn connect(&self, builder: ClusterBuilder) -> Result<Cluster> {
        match self {
            Self::Broker(broker) if broker.url().starts_with("relay://") => {
                builder.connect(Relay::from_url(&broker.url())?).await
            }
            Self::Broker(broker) => builder.connect(roomcast::backend(&broker.url())?).await,
            Self::Links(url, _) => builder.connect(roomcast::backend(url)?).await,
        }
    }

    /// Kills it, and starts it again after a while.
    pub(crate) async fn strike(&mut self, away: Duration) -> Result<()> {
        match self {
            Self::Broker(broker) => {
                broker.kill().await.map_err(failed)?;
                tokio::time::sleep(away).await;
                broker.start_again().await.map_err(failed)
            }
            Self::Links(_, proxy) => {
                proxy.refuse();
                proxy.cut();
                tokio::time::sleep(away).await;
                proxy.accept();
                Ok(())
            }
        }
    }
}

fn failed(cause: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::Unavailable, cause.to_string())
}
