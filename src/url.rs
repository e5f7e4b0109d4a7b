//! From a URL to a backend.

use crate::backend::Connect;
use crate::{Cluster, Error, ErrorKind, Result};

/// Connects a node with the defaults of [`ClusterBuilder`](crate::ClusterBuilder); the URL's scheme picks the backend.
///
/// For another cluster name, a node name or other bounds:
/// `Cluster::builder().node_name("web-1").connect(roomcast::backend(url)?)`.
///
/// # Errors
/// As [`backend`] and [`ClusterBuilder::connect`](crate::ClusterBuilder::connect).
///
/// # Examples
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> roomcast::Result<()> {
/// let cluster = roomcast::connect("memory://docs").await?;
/// assert_eq!(cluster.nodes().len(), 1);
/// # cluster.close().await }
/// ```
pub async fn connect(url: &str) -> Result<Cluster> {
    Cluster::connect(backend(url)?).await
}

/// The backend that a URL means: `memory://name`, `redis://host`, `nats://host` (or `tls://host`),
/// `amqp://host/vhost`, `postgres://host/database` (or `postgresql://`).
///
/// # Errors
/// `Config` for a scheme that nobody knows, one whose cargo feature is off (the text names the feature), or a URL that
/// the backend does not understand.
pub fn backend(url: &str) -> Result<Box<dyn Connect>> {
    let Some((scheme, rest)) = url.split_once("://") else {
        return Err(config(format!("a backend's URL begins with its scheme: {}", known())));
    };
    let Some(row) = SCHEMES.iter().find(|row| row.schemes.contains(&scheme)) else {
        // The scheme is repeated, never the rest: there may be a password in it.
        return Err(config(format!("no backend has the scheme {scheme:?}; there are {}", known())));
    };
    row.open.map_or_else(|| Err(off(scheme, row.feature)), |open| open(url, rest))
}

fn off(scheme: &str, feature: &str) -> Error {
    config(format!("{scheme}:// needs the cargo feature {feature:?}: roomcast = {{ features = [{feature:?}] }}"))
}

/// One backend: its schemes, the cargo feature that brings it, and how to open it when the feature is on.
struct Row {
    schemes: &'static [&'static str],
    feature: &'static str,
    open: Option<Open>,
}

type Open = fn(url: &str, rest: &str) -> Result<Box<dyn Connect>>;

const SCHEMES: &[Row] = &[
    Row { schemes: &["memory"], feature: "memory", open: MEMORY },
    Row { schemes: &["redis", "redis+cluster", "redis+sentinel"], feature: "redis", open: REDIS },
    Row { schemes: &["rediss", "rediss+cluster", "rediss+sentinel"], feature: "redis-tls", open: REDIS_TLS },
    Row { schemes: &["nats", "tls"], feature: "nats", open: NATS },
    Row { schemes: &["amqp"], feature: "amqp", open: AMQP },
    Row { schemes: &["amqps"], feature: "amqp-tls", open: AMQP_TLS },
    Row { schemes: &["postgres", "postgresql"], feature: "postgres", open: POSTGRES },
];

#[cfg(feature = "memory")]
const MEMORY: Option<Open> = Some(|_, name| {
    if name.contains(['/', '?', '#']) {
        return Err(config("a memory:// URL is a name and nothing else".to_owned()));
    }
    Ok(Box::new(crate::Memory::named(name)))
});
#[cfg(not(feature = "memory"))]
const MEMORY: Option<Open> = None;

#[cfg(feature = "redis")]
const REDIS: Option<Open> = Some(|url, _| Ok(Box::new(crate::redis::Redis::from_url(url)?)));
#[cfg(not(feature = "redis"))]
const REDIS: Option<Open> = None;

#[cfg(feature = "redis-tls")]
const REDIS_TLS: Option<Open> = REDIS;
#[cfg(not(feature = "redis-tls"))]
const REDIS_TLS: Option<Open> = None;
#[cfg(feature = "nats")]
const NATS: Option<Open> = Some(|url, _| Ok(Box::new(crate::nats::Nats::from_url(url)?)));
#[cfg(not(feature = "nats"))]
const NATS: Option<Open> = None;

#[cfg(feature = "amqp")]
const AMQP: Option<Open> = Some(|url, _| Ok(Box::new(crate::amqp::Amqp::from_url(url)?)));
#[cfg(not(feature = "amqp"))]
const AMQP: Option<Open> = None;

#[cfg(feature = "amqp-tls")]
const AMQP_TLS: Option<Open> = AMQP;
#[cfg(not(feature = "amqp-tls"))]
const AMQP_TLS: Option<Open> = None;

#[cfg(feature = "postgres")]
const POSTGRES: Option<Open> = Some(|url, _| Ok(Box::new(crate::postgres::Postgres::from_url(url)?)));
#[cfg(not(feature = "postgres"))]
const POSTGRES: Option<Open> = None;

fn known() -> String {
    let all = SCHEMES.iter().flat_map(|row| row.schemes).map(|scheme| format!("{scheme}://"));
    all.collect::<Vec<_>>().join(", ")
}

fn config(text: String) -> Error {
    Error::new(ErrorKind::Config, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(url: &str) -> String {
        let error = backend(url).err().expect("refused");
        assert_eq!(error.kind(), ErrorKind::Config);
        error.to_string()
    }

    #[test]
    fn an_unknown_scheme_is_told_the_known_ones_and_nothing_secret() {
        let text = refusal("kafka://user:secret@host");
        assert!(text.contains("kafka") && text.contains("memory://") && !text.contains("secret"), "{text}");
        assert!(refusal("just words").contains("memory://"));
        assert!(refusal("memory://a?b=c").contains("name"));
    }

    #[test]
    fn a_scheme_is_there_with_its_feature_and_names_it_without() {
        let features = [
            ("memory", cfg!(feature = "memory")),
            ("redis", cfg!(feature = "redis")),
            ("redis-tls", cfg!(feature = "redis-tls")),
            ("nats", cfg!(feature = "nats")),
            ("amqp", cfg!(feature = "amqp")),
            ("amqp-tls", cfg!(feature = "amqp-tls")),
            ("postgres", cfg!(feature = "postgres")),
        ];
        for Row { schemes, feature, open } in SCHEMES {
            let on = features.iter().find(|(name, _)| name == feature).expect("a feature of this crate").1;
            assert_eq!(open.is_some(), on, "{schemes:?}");
            let error = off(schemes[0], feature);
            assert_eq!(error.kind(), ErrorKind::Config);
            assert!(error.to_string().contains(&format!("features = [\"{feature}\"]")), "{error}");
        }
    }
}
