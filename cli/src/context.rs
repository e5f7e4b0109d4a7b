//! What every command has: the URL, and how to join the cluster and to leave it.

use std::pin::pin;
use std::time::Duration;

use roomcast::backend::Connect;
use roomcast::{Cluster, ClusterBuilder, Emitter};

use crate::args::Options;
use crate::exit::{Done, Failure};
use crate::out::{Out, complain};
use crate::place::place;
use crate::stop::Stop;

/// The name of this command's nodes.
pub(crate) const NODE_NAME: &str = "roomcast-cli";
/// For so long a node that sees nobody waits for a sign of life: nodes send one each second.
const LOOK_AROUND: Duration = Duration::from_millis(1500);

/// So long a node that was interrupted while it joined has to arrive: a broker that is there takes a second at the most.
const ARRIVING: Duration = Duration::from_millis(1500);

/// What every command has.
#[derive(Debug)]
pub(crate) struct Context {
    url: Option<String>,
    cluster: Option<String>,
    /// How long connecting may take, and then each request.
    pub(crate) timeout: Duration,
    /// Where results go.
    pub(crate) out: Out,
    /// When to end.
    pub(crate) stop: Stop,
}

impl Context {
    /// From the options of the command line.
    ///
    /// # Errors
    /// Usage, for a timeout that is no time.
    pub(crate) fn new(options: Options) -> Result<Self, Failure> {
        let timeout = Duration::try_from_secs_f64(options.timeout).ok().filter(|timeout| !timeout.is_zero());
        let Some(timeout) = timeout else { return Err(Failure::usage("--timeout is a number of seconds above 0")) };
        let url = options.url.filter(|url| !url.is_empty());
        Ok(Self { url, cluster: options.cluster, timeout, out: Out::new(options.json), stop: Stop::listen() })
    }

    /// The URL of the broker.
    ///
    /// # Errors
    /// Usage, when there is none.
    pub(crate) fn url(&self) -> Result<&str, Failure> {
        let missing = || Failure::usage("which broker? Give --url, or set ROOMCAST_URL, such as redis://127.0.0.1");
        self.url.as_deref().ok_or_else(missing)
    }

    /// Another URL, if one is given.
    pub(crate) fn at(mut self, url: Option<String>) -> Self {
        self.url = url.or(self.url);
        self
    }

    /// The broker, for people: without login, path and options.
    pub(crate) fn place(&self) -> String {
        self.url.as_deref().map_or_else(String::new, place)
    }

    /// The backend of the URL.
    ///
    /// # Errors
    /// Usage, for a URL that no backend understands.
    pub(crate) fn backend(&self) -> Result<Box<dyn Connect>, Failure> {
        Ok(roomcast::backend(self.url()?)?)
    }

    /// The same, unless it is the memory of one process.
    fn shared_backend(&self) -> Result<Box<dyn Connect>, Failure> {
        if is_memory(self.url()?) {
            return Err(Failure::usage(MEMORY));
        }
        self.backend()
    }

    /// The cluster's name.
    pub(crate) fn cluster_name(&self, backend: &dyn Connect) -> String {
        let name = self.cluster.as_deref().or_else(|| backend.cluster());
        name.unwrap_or("roomcast").to_owned()
    }

    /// A node that is configured, but for the backend.
    pub(crate) fn builder(&self) -> ClusterBuilder {
        let builder = Cluster::builder().node_name(NODE_NAME).connect_timeout(self.timeout);
        match &self.cluster {
            Some(name) => builder.cluster(name),
            None => builder,
        }
    }

    /// Emits without being a node.
    ///
    /// # Errors
    /// As [`join`](Self::join).
    pub(crate) async fn emitter(&self) -> Result<Emitter, Failure> {
        let builder = Emitter::builder().timeout(self.timeout);
        let builder = match &self.cluster {
            Some(name) => builder.cluster(name),
            None => builder,
        };
        let backend = self.shared_backend()?;
        let connected = self.unless_stopped(builder.connect(backend)).await?;
        connected.map_err(|error| Failure::connecting(&error, &self.place()))
    }

    /// Joins the cluster of the URL as a node.
    ///
    /// # Errors
    /// What connecting says; usage, for the memory of one process; interrupted.
    pub(crate) async fn join(&self) -> Result<Cluster, Failure> {
        let mut connecting = pin!(self.builder().connect(self.shared_backend()?));
        tokio::select! {
            biased;
            connected = &mut connecting => connected.map_err(|error| Failure::connecting(&error, &self.place())),
            () = self.stop.told() => {
                // The others may have heard of this node already: it arrives, and says goodbye.
                if let Ok(Ok(cluster)) = tokio::time::timeout(ARRIVING, connecting).await {
                    cluster.close().await?;
                }
                Err(Failure::interrupted())
            }
        }
    }

    /// Joins, does the work and leaves with a goodbye, also after a signal.
    ///
    /// # Errors
    /// As [`join`](Self::join); what the work or the goodbye says; that nodes of the cluster speak a protocol that cannot be read.
    pub(crate) async fn as_node(
        &self,
        work: impl AsyncFnOnce(&Cluster) -> Result<Done, Failure>,
    ) -> Result<Done, Failure> {
        let cluster = self.join().await?;
        let done = self.unless_stopped(work(&cluster)).await.flatten();
        let unread = cluster.stats().too_new;
        let left = cluster.close().await;
        let done = done?;
        left?;
        if unread > 0 { Err(Failure::version(unread)) } else { Ok(done) }
    }

    /// Does it, unless a signal comes first.
    ///
    /// # Errors
    /// Interrupted.
    pub(crate) async fn unless_stopped<T>(&self, work: impl Future<Output = T>) -> Result<T, Failure> {
        tokio::select! {
            biased;
            () = self.stop.told() => Err(Failure::interrupted()),
            done = work => Ok(done),
        }
    }
}

/// Waits for the first sign of life of another node if there is none yet.
///
/// # Errors
/// Version, when there are signs of life and all of them are of a protocol that cannot be read.
pub(crate) async fn look_around(cluster: &Cluster) -> Result<(), Failure> {
    let until = tokio::time::Instant::now() + LOOK_AROUND;
    let mut look = tokio::time::interval(Duration::from_millis(20)); // no event tells of what cannot be read
    while cluster.nodes().len() < 2 && tokio::time::Instant::now() < until {
        let unread = cluster.stats().too_new;
        if unread > 0 {
            return Err(Failure::version(unread));
        }
        look.tick().await;
    }
    Ok(())
}

/// What is said of `memory://`.
pub(crate) const MEMORY: &str =
    "memory:// joins nodes of one process only, and this command is a process of its own: it meets no server there";

/// Whether the URL is one of the memory of one process.
pub(crate) fn is_memory(url: &str) -> bool {
    url.split_once("://").is_some_and(|(scheme, _)| scheme.eq_ignore_ascii_case("memory"))
}

/// Names the nodes that did not reply, on the standard error.
pub(crate) fn name_missing(missing: &[roomcast::MissingNode]) {
    missing.iter().for_each(|missing| complain(&format!("missing: {missing}")));
}
