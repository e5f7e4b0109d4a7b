//! From a URL to a backend.

use std::borrow::Cow;
use std::sync::Arc;

use crate::{Cluster, ClusterName, Error, ErrorKind, Result};
use roomcast_core::backend::{Backend, Connect, Inbox, async_trait, percent_decoded};

/// Connects a node with the defaults of [`ClusterBuilder`](crate::ClusterBuilder). The URL's scheme picks the backend, its
/// option `cluster` names the cluster.
///
/// For a node name or other bounds: `Cluster::builder().node_name("web-1").connect(roomcast::backend(url)?)`.
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

/// The backend that a URL means: `memory://name`, `redis://host` (or `valkey://host`, `redis+streams://host`), `nats://host` (or `tls://host`),
/// `amqp://host/vhost`, `postgres://host/database` (or `postgresql://`). Each backend's documentation lists its options.
///
/// With every scheme, the option `cluster` names the cluster: `redis://host?cluster=shop`. Nodes and emitters meet if broker and
/// name are the same. A name that is given to [`ClusterBuilder::cluster`](crate::ClusterBuilder::cluster) or
/// [`EmitterBuilder::cluster`](crate::EmitterBuilder::cluster) counts more; without any it is `roomcast`.
///
/// # Errors
/// `Config` for an empty URL, a scheme that no backend has, one whose cargo feature is off (the text names the feature), or a
/// URL that the backend does not understand.
///
/// # Examples
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> roomcast::Result<()> {
/// let url = "memory://docs?cluster=shop"; // the same for the servers and for the emitter
/// let cluster = roomcast::Cluster::builder().node_name("web-1").connect(roomcast::backend(url)?).await?;
/// let emitter = roomcast::Emitter::connect(roomcast::backend(url)?).await?;
/// emitter.of("/chat")?.to("lobby").emit(roomcast::Packet::event("news", "we open at nine")?).await?;
/// # cluster.close().await }
/// ```
pub fn backend(url: &str) -> Result<Box<dyn Connect>> {
    if url.trim().is_empty() {
        return Err(config("the backend's URL is empty; is the variable set that it comes from?".to_owned()));
    }
    let (url, cluster) = without_cluster(url)?;
    let Some((scheme, rest)) = url.split_once("://") else {
        return Err(config(format!("a backend's URL begins with its scheme: {}", known())));
    };
    let is_it = |known: &&str| known.eq_ignore_ascii_case(scheme);
    let Some(row) = SCHEMES.iter().find(|row| row.schemes.iter().any(is_it)) else {
        // The scheme is repeated, never the rest: there may be a password in it.
        return Err(config(format!("no backend has the scheme {scheme:?}; there are {}", known())));
    };
    let open = row.open.ok_or_else(|| off(scheme, row.feature))?;
    let backend = open(&url, rest)?;
    Ok(match cluster {
        Some(cluster) => Box::new(Named { cluster, backend }),
        None => backend,
    })
}

/// A backend whose URL names the cluster.
struct Named {
    cluster: ClusterName,
    backend: Box<dyn Connect>,
}

#[async_trait]
impl Connect for Named {
    async fn connect(&self, inbox: Inbox) -> Result<Arc<dyn Backend>> {
        self.backend.connect(inbox).await
    }

    fn cluster(&self) -> Option<&str> {
        Some(self.cluster.as_str())
    }
}

/// Takes the option `cluster` out of a URL, which is about the cluster and not about the broker.
fn without_cluster(url: &str) -> Result<(Cow<'_, str>, Option<ClusterName>)> {
    let Some((place, query)) = url.split_once('?') else { return Ok((url.into(), None)) };
    let mut name = None;
    let mut others = Vec::new();
    for option in query.split('&') {
        match option.strip_prefix("cluster=") {
            // With these it is a part of a password that is not percent-encoded, which the backend knows how to say.
            Some(value) if !value.contains(['@', '#']) => {
                let value = ClusterName::new(percent_decoded(value)?)?;
                if name.replace(value).is_some() {
                    return Err(config("a URL names the cluster once".to_owned()));
                }
            }
            _ => others.push(option),
        }
    }
    let rest = others.join("&");
    let url = if rest.is_empty() { place.to_owned() } else { format!("{place}?{rest}") };
    Ok((url.into(), name))
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
    Row {
        schemes: &["redis", "redis+cluster", "redis+sentinel", "redis+streams", "valkey"],
        feature: "redis",
        open: REDIS,
    },
    Row {
        schemes: &["rediss", "rediss+cluster", "rediss+sentinel", "rediss+streams", "valkeys"],
        feature: "redis-tls",
        open: REDIS_TLS,
    },
    Row { schemes: &["nats", "tls"], feature: "nats", open: NATS },
    Row { schemes: &["amqp"], feature: "amqp", open: AMQP },
    Row { schemes: &["amqps"], feature: "amqp-tls", open: AMQP_TLS },
    Row { schemes: &["postgres", "postgresql"], feature: "postgres", open: POSTGRES },
];

#[cfg(feature = "memory")]
const MEMORY: Option<Open> = Some(|_, name| {
    if name.contains(['/', '?', '#']) {
        return Err(config("a memory:// URL is a name, and at most the option cluster".to_owned()));
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
    fn an_empty_url_is_called_empty() {
        for url in ["", " ", "\n"] {
            assert!(refusal(url).contains("empty"), "{url:?}");
        }
    }

    #[cfg(feature = "memory")]
    #[test]
    fn a_url_may_name_the_cluster() {
        let cluster = |url| backend(url).expect(url).cluster().map(str::to_owned);
        assert_eq!(cluster("memory://a?cluster=shop"), Some("shop".to_owned()));
        assert_eq!(cluster("MEMORY://a?cluster=my%20shop%26co"), Some("my shop&co".to_owned()));
        assert_eq!((cluster("memory://a"), cluster("memory://a?")), (None, None));
        let long = format!("memory://a?cluster={}", "x".repeat(1025));
        for url in ["memory://a?cluster=", "memory://a?cluster=b&cluster=c", "memory://a?cluster", &long] {
            refusal(url);
        }
    }

    #[test]
    fn the_cluster_is_kept_from_the_backend_and_nothing_else_is() {
        for (url, rest) in [
            ("redis://h?cluster=a", "redis://h"),
            ("redis://h/0?mode=sharded&cluster=a&tag=b", "redis://h/0?mode=sharded&tag=b"),
            ("redis://h?cluster=a&tag=b", "redis://h?tag=b"),
        ] {
            let (without, name) = without_cluster(url).expect(url);
            assert_eq!((&*without, name.as_ref().map(ClusterName::as_str)), (rest, Some("a")));
        }
        for url in ["redis://h?clusters=a", "redis://:x?cluster=y@h", "redis://h?cluster=y#z", "redis://cluster=a@h"] {
            assert_eq!(without_cluster(url).expect(url), (url.into(), None));
        }
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
