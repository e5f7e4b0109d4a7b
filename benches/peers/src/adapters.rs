//! The adapters, as an application writes them down.

use std::time::Duration;

use roomcast::socketioxide::Adapter as RoomcastAdapter;
use socketioxide::SocketIo;
use socketioxide::adapter::Adapter;
use socketioxide::extract::{Data, SocketRef};
use socketioxide::layer::SocketIoLayer;
use socketioxide_postgres::drivers::sqlx::sqlx_client::PgPool;
use socketioxide_postgres::{PostgresAdapterConfig, PostgresAdapterCtr, SqlxAdapter, TokioPostgresAdapter};
use socketioxide_redis::drivers::fred::fred_client::prelude::{Builder, Config, ReconnectPolicy};
use socketioxide_redis::drivers::fred::fred_client::types::RespVersion;
use socketioxide_redis::drivers::redis::redis_client;
use socketioxide_redis::{FredAdapter, RedisAdapter, RedisAdapterConfig, RedisAdapterCtr};

use crate::Failed;
use crate::server::BUFFER;

/// An adapter of socketioxide.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Roomcast's bridge, over the broker of the URL.
    Roomcast,
    /// socketioxide-redis over the crate `redis`, its default.
    Redis,
    /// socketioxide-redis over the crate `fred`, which connects again.
    Fred,
    /// socketioxide-postgres over the crate `sqlx`.
    Sqlx,
    /// socketioxide-postgres over the crate `tokio-postgres`.
    TokioPostgres,
}

/// What is done with a server, whatever its adapter.
#[expect(async_fn_in_trait, reason = "used in this crate alone, and awaited in place")]
pub trait Use {
    type Output;

    async fn with<A: Adapter>(self, layer: SocketIoLayer<A>, io: SocketIo<A>) -> Result<Self::Output, Failed>;
}

/// What every server has.
pub const NAMESPACES: [&str; 3] = ["/", "/all", "/rooms"];
/// How long a question to other servers may take.
pub const QUESTION: Duration = Duration::from_secs(5);

/// Builds a server with this adapter, and gives it to the one that uses it. A macro, for `ns` is there for concrete types only.
macro_rules! serve {
    ($adapter:ty, $state:expr, $then:expr) => {{
        let (layer, io) = SocketIo::builder().max_buffer_size(BUFFER).with_adapter::<$adapter>($state).build_layer();
        for namespace in NAMESPACES {
            io.ns(namespace, connected).await.map_err(|error| error.to_string())?;
        }
        $then.with(layer, io).await
    }};
}

impl Kind {
    pub const PEERS: [Self; 4] = [Self::Redis, Self::Fred, Self::Sqlx, Self::TokioPostgres];

    /// For tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Roomcast => "roomcast",
            Self::Redis => "socketioxide-redis",
            Self::Fred => "socketioxide-redis fred",
            Self::Sqlx => "socketioxide-postgres sqlx",
            Self::TokioPostgres => "socketioxide-postgres",
        }
    }

    /// Makes a server with this adapter over a broker; `prefix` keeps clusters apart.
    ///
    /// # Errors
    /// When the broker cannot be reached.
    pub async fn serve<U: Use>(self, url: &str, prefix: &str, then: U) -> Result<U::Output, Failed> {
        let redis = RedisAdapterConfig::new().with_prefix(prefix.to_owned()).with_request_timeout(QUESTION);
        let postgres = PostgresAdapterConfig::new().with_prefix(prefix.to_owned()).with_request_timeout(QUESTION);
        match self {
            Self::Roomcast => {
                let cluster = roomcast::Cluster::builder().cluster(prefix).connect(roomcast::backend(url)?).await?;
                serve!(RoomcastAdapter<_>, cluster.into(), then)
            }
            Self::Redis => {
                let client = redis_client::Client::open(format!("{url}/?protocol=resp3"))?;
                serve!(RedisAdapter<_>, RedisAdapterCtr::new_with_redis_config(&client, redis).await?, then)
            }
            Self::Fred => {
                let mut config = Config::from_url(url)?;
                config.version = RespVersion::RESP3;
                let mut client = Builder::from_config(config);
                // By default it gives up after a few attempts.
                client.set_policy(ReconnectPolicy::new_constant(0, 100));
                let client = client.build_subscriber_client()?;
                // Without it, it hears nothing any more once it has connected again.
                drop(client.manage_subscriptions());
                serve!(FredAdapter<_>, RedisAdapterCtr::new_with_fred_config(client, redis).await?, then)
            }
            Self::Sqlx => {
                let pool = PgPool::connect(&with_user(url)).await?;
                serve!(SqlxAdapter<_>, PostgresAdapterCtr::new_with_sqlx_config(pool, postgres), then)
            }
            Self::TokioPostgres => {
                let (url, tls) = (with_user(url).parse()?, tokio_postgres::NoTls);
                let adapter = PostgresAdapterCtr::new_with_tokio_postgres_config(url, tls, postgres).await?;
                serve!(TokioPostgresAdapter<_>, adapter, then)
            }
        }
    }
}

/// The URL of the suite's PostgreSQL, which lets everybody in, with a name that it knows.
pub fn with_user(url: &str) -> String {
    if url.contains('@') { url.to_owned() } else { url.replacen("://", "://postgres@", 1) }
}

/// What a client says when it connects.
#[derive(serde::Deserialize)]
struct Auth {
    rooms: Vec<String>,
}

/// Lets a client into the rooms that it names.
async fn connected<A: Adapter>(socket: SocketRef<A>, Data(auth): Data<Auth>) {
    socket.join(auth.rooms);
}
