//! Where a case plays.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use roomcast_core::backend::Connect;
use roomcast_core::probe::Tap;
use roomcast_core::{Cluster, ClusterBuilder, Emitter, WhenUnreachable};

use crate::broker::Broker;
use crate::failure::{Failure, Verdict};
use crate::journal::{Journal, Watchers};
use crate::link::Link;
use crate::node::{Node, PATIENCE, connected, eventually};
use crate::proxy::Proxy;
use crate::stage::home;
use crate::subject::Subject;

/// Where a case plays: a fresh cluster name on the subject's broker.
pub(crate) struct Scene {
    pub(crate) subject: Subject,
    /// Nobody else's.
    pub(crate) cluster: String,
    /// What a case's random choices follow from; printed when it fails.
    pub(crate) seed: u64,
    pub(crate) url: String,
    broker: Option<Arc<Broker>>,
    measured: Mutex<BTreeMap<&'static str, u64>>,
    journal: Arc<Journal>,
    watchers: Watchers,
}

impl Scene {
    pub(crate) fn new(subject: Subject, seed: u64, broker: Option<Arc<Broker>>) -> Self {
        let cluster = format!("c{seed:016x}");
        let url = broker.as_ref().map_or_else(|| format!("memory://{cluster}"), |broker| broker.url());
        let url = subject.with_options(url);
        let (measured, journal, watchers) = (Mutex::default(), Arc::new(Journal::new()), Watchers::default());
        Self { subject, cluster, seed, url, broker, measured, journal, watchers }
    }

    /// The broker, in a case that breaks it.
    pub(crate) fn broker(&self) -> Verdict<&Broker> {
        self.broker.as_deref().ok_or_else(|| Failure::unsuited("the subject has no broker"))
    }

    /// The same scene on a broker that is told to keep little.
    pub(crate) fn keeping_little(&self) -> Verdict<Self> {
        let query = self.subject.keeps_little.clone();
        let query = query.ok_or_else(|| Failure::unsuited("the subject does not say how its broker keeps little"))?;
        Ok(Self::new(self.subject.clone().url_options(query), self.seed, self.broker.clone()))
    }

    /// How to connect at this address of the broker.
    pub(crate) fn connector(&self) -> Verdict<Box<dyn Connect>> {
        Ok((self.subject.connect)(&self.url)?)
    }

    pub(crate) fn url_through(&self, proxy: &Proxy) -> Verdict<String> {
        Ok(self.subject.with_options(self.broker()?.url_through(proxy)))
    }

    /// How to connect through this.
    pub(crate) fn connector_through(&self, proxy: &Proxy) -> Verdict<Box<dyn Connect>> {
        Ok((self.subject.connect)(&self.url_through(proxy)?)?)
    }

    /// Something between one node and the broker.
    pub(crate) async fn proxy(&self) -> Verdict<Proxy> {
        Ok(self.broker()?.proxy().await?.told_to(Arc::clone(&self.journal)))
    }

    /// A machine may stand still for a moment: connecting is tried again.
    pub(crate) fn builder(&self) -> ClusterBuilder {
        let builder = Cluster::builder().cluster(self.cluster.as_str());
        builder.when_unreachable(WhenUnreachable::Wait).connect_timeout(PATIENCE)
    }

    pub(crate) async fn node(&self) -> Verdict<Node> {
        Ok(self.watched(Node::connect(self.builder(), self.connector()?).await?))
    }

    pub(crate) async fn node_through(&self, proxy: &Proxy) -> Verdict<Node> {
        Ok(self.watched(Node::connect(self.builder(), self.connector_through(proxy)?).await?))
    }

    /// What this node sees is told if the case fails.
    pub(crate) fn watched(&self, node: Node) -> Node {
        let name = node.cluster.node().to_string();
        self.journal.note(format_args!("{name} is connected"));
        self.watchers.watch(home().handle(), name, node.cluster.events(), Arc::clone(&self.journal));
        node
    }

    /// What nodes saw, and which faults there were.
    pub(crate) fn journal(&self) -> Arc<Journal> {
        Arc::clone(&self.journal)
    }

    /// Nodes that know each other.
    pub(crate) async fn nodes<const N: usize>(&self) -> Verdict<[Node; N]> {
        self.nodes_with(|builder| builder).await
    }

    /// The same, configured alike.
    pub(crate) async fn nodes_with<const N: usize>(
        &self,
        tune: impl Fn(ClusterBuilder) -> ClusterBuilder,
    ) -> Verdict<[Node; N]> {
        let mut nodes = Vec::with_capacity(N);
        for _ in 0..N {
            nodes.push(self.watched(Node::connect(tune(self.builder()), self.connector()?).await?));
        }
        acquainted(&nodes).await?;
        nodes.try_into().map_err(|_| Failure::new("as many as asked for"))
    }

    pub(crate) async fn emitter(&self) -> Verdict<Emitter> {
        let (cluster, url) = (self.cluster.as_str(), &self.url);
        let connect = || async { Emitter::builder().cluster(cluster).connect((self.subject.connect)(url)?).await };
        connected("an emitter", connect).await
    }

    /// A connection without a node.
    pub(crate) async fn link(&self) -> Verdict<Link> {
        self.link_with(Tap::new(65_536, 256 << 20)).await
    }

    /// With an inbox that is soon full, say.
    pub(crate) async fn link_with(&self, tap: Tap) -> Verdict<Link> {
        self.link_by(&self.connector()?, tap).await
    }

    pub(crate) async fn link_through(&self, proxy: &Proxy) -> Verdict<Link> {
        self.link_by(&self.connector_through(proxy)?, Tap::new(65_536, 256 << 20)).await
    }

    async fn link_by(&self, connector: &impl Connect, tap: Tap) -> Verdict<Link> {
        let spreads_late = self.subject.spreads_late.is_some();
        Link::connect(connector, tap.in_cluster(&self.cluster)?, spreads_late).await
    }

    /// Puts a number into the report.
    pub(crate) fn measure(&self, what: &'static str, value: u64) {
        self.measured.lock().unwrap_or_else(PoisonError::into_inner).insert(what, value);
    }

    pub(crate) fn measure_time(&self, what: &'static str, time: Duration) {
        self.measure(what, u64::try_from(time.as_millis()).unwrap_or(u64::MAX));
    }

    pub(crate) fn measured(&self) -> BTreeMap<String, u64> {
        let measured = self.measured.lock().unwrap_or_else(PoisonError::into_inner);
        measured.iter().map(|(what, value)| ((*what).to_owned(), *value)).collect()
    }
}

/// Waits until all of them know all of them.
pub(crate) async fn acquainted(nodes: &[Node]) -> Verdict {
    for node in nodes {
        eventually("the nodes know each other", || node.cluster.nodes().len() == nodes.len()).await?;
    }
    Ok(())
}
