//! How a configured node joins its cluster.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::{Instant, timeout, timeout_at};

use super::cluster::Inner;
use super::{Cluster, ClusterBuilder, WhenUnreachable};
use crate::driver;
use crate::driver::{Bounds, Channels, Core, Traces, now};
use crate::engine::{Engine, Keep, Settings};
use crate::kit::{Backoff, Late, waiting_helps};
use crate::model::{Error, ErrorKind, Node, NodeId, Result, causes};
use crate::seams::inbox;
use crate::seams::inbox::CloseOnDrop;
use crate::seams::{Backend, Channel, Connect, Inbox, Owner, cluster_name};

/// How long a node that can serve without its broker waits for it at the start.
const FIRST_LOOK: Duration = Duration::from_secs(1);

/// Connects within the connect timeout.
pub(super) async fn in_time(builder: &ClusterBuilder, connect: &impl Connect) -> Result<Cluster> {
    let mut failed = None;
    let connected = async {
        let plan = Plan::of(builder, connect)?;
        let (backend, inbox, guard) = plan.reach(builder, connect, &mut failed).await?;
        let (starting, is_ready) = plan.assemble(builder, backend, inbox);
        let cluster = starting.run();
        guard.disarm(); // the cluster closes the inbox from now on
        is_ready.await.map_err(|_| Error::unexpected("the node's reader has ended"))?;
        Ok(cluster)
    };
    let connected = timeout(builder.connect_timeout, connected).await;
    connected.unwrap_or_else(|_| {
        let late = Error::new(ErrorKind::Timeout, "connecting took longer than the connect timeout");
        Err(match failed {
            Some(cause) => late.with_source(cause),
            None => late,
        })
    })
}

/// Connects if the broker is there, and serves local sockets in any case.
pub(super) async fn serve_locally(builder: &ClusterBuilder, connect: impl Connect) -> Result<Cluster> {
    let until = Instant::now() + builder.connect_timeout;
    let plan = Plan::of(builder, &connect)?;
    let (inbox, guard) = plan.inbox();
    inbox.want(&plan.wanted());
    let (late, mut attempted) = Late::begin(connect, inbox.clone(), builder.connect_timeout);
    let looked = timeout(FIRST_LOOK.min(builder.connect_timeout), &mut attempted).await;
    attempted.close(); // what was sent until now counts, and what comes later says `up`
    let looked = looked.map_or_else(|_| attempted.try_recv().ok(), Result::ok);
    let away = match looked {
        Some(Ok(())) => None,
        Some(Err(error)) if waiting_helps(&error) => Some(error.to_string()),
        Some(Err(error)) => return Err(error),
        None => Some("the broker has not replied yet".to_owned()),
    };
    let (starting, is_ready) = plan.assemble(builder, Arc::new(late), inbox);
    guard.disarm(); // the cluster closes the inbox from now on
    let is_there = away.is_none();
    away.into_iter().for_each(|reason| starting.core.begin_away(reason));
    let cluster = starting.run();
    if is_there {
        // The timeout may pass before the others have replied; then they reply later.
        if let Ok(Err(_)) = timeout_at(until, is_ready).await {
            return Err(Error::unexpected("the node's reader has ended"));
        }
    }
    Ok(cluster)
}

/// A node that is still to be made.
struct Plan {
    node: Node,
    channels: Channels,
    settings: Settings,
    inbox: inbox::Bounds,
}

/// A node of which nothing runs yet.
struct Starting {
    core: Arc<Core>,
    close_timeout: Duration,
}

impl Plan {
    fn of(builder: &ClusterBuilder, connect: &impl Connect) -> Result<Self> {
        let name = cluster_name(builder.cluster.as_deref(), connect)?;
        let id = builder.node_id.map_or_else(NodeId::random, Ok)?;
        let node = Node { id, name: builder.node_name.clone() };
        let channels = Channels { cluster: Channel::cluster(&name), inbox: Channel::inbox(&name, node.id), name };
        let defaults = Settings::new(node.clone());
        let settings = Settings {
            max_message: builder.max_message,
            held_bytes: defaults.held_bytes.max(3 * builder.max_message),
            max_answers: defaults.max_answers.max(2 * builder.max_message),
            keep_sent: Keep { bytes: builder.history_bytes, age: builder.history_age },
            ..defaults
        };
        let bytes = settings.held_bytes.max(2 * builder.max_message);
        Ok(Self { node, channels, settings, inbox: inbox::Bounds { messages: 65_536, bytes, control: 8192 } })
    }

    fn wanted(&self) -> [Channel; 2] {
        [self.channels.cluster.clone(), self.channels.inbox.clone()]
    }

    fn inbox(&self) -> (Inbox, CloseOnDrop) {
        let inbox = Inbox::new(
            self.inbox,
            Some(Owner { cluster: self.channels.name.clone(), node: Some(self.node.id), name: self.node.name.clone() }),
        );
        (inbox.clone(), CloseOnDrop::new(inbox))
    }

    /// Connects and subscribes, in as many attempts as `when_unreachable` says. `failed` takes the error of each after which
    /// another one is made.
    async fn reach(
        &self,
        builder: &ClusterBuilder,
        connect: &impl Connect,
        failed: &mut Option<Error>,
    ) -> Result<(Arc<dyn Backend>, Inbox, CloseOnDrop)> {
        let (wanted, mut backoff) = (self.wanted(), Backoff::default());
        loop {
            // A new inbox each time: the old one belongs to a link that is gone.
            let (inbox, guard) = self.inbox();
            let attempt = async {
                let backend = connect.connect(inbox.clone()).await?;
                inbox.want(&wanted);
                backend.subscribe(&wanted).await?;
                Ok(backend)
            };
            match attempt.await {
                Ok(backend) => return Ok((backend, inbox, guard)),
                Err(error) if builder.when_unreachable == WhenUnreachable::Wait && waiting_helps(&error) => {
                    if failed.is_none() {
                        let cause = causes(&error).last().map(ToString::to_string).unwrap_or_default();
                        tracing::warn!(%cause, "cannot connect; retrying: {error}");
                    }
                    *failed = Some(error);
                }
                Err(error) => return Err(error),
            }
            drop(guard);
            backoff.wait().await;
        }
    }

    fn assemble(
        self,
        builder: &ClusterBuilder,
        backend: Arc<dyn Backend>,
        inbox: Inbox,
    ) -> (Starting, oneshot::Receiver<()>) {
        let settings = Settings { ordered: backend.capabilities().ordered, ..self.settings };
        let engine = Engine::new(settings, backend.limits(), now());
        let ClusterBuilder { max_message, queue_bytes: queue, queue_age, max_lag, .. } = *builder;
        let bounds = Bounds { max_message, queue, queue_age, max_lag };
        let (ready, is_ready) = oneshot::channel();
        let traces = Traces::new(builder.trace_propagator.clone(), &self.channels.name, self.node.id);
        let core = Arc::new(Core::new(self.node, self.channels, bounds, 256, traces, backend, inbox, engine, ready));
        (Starting { core, close_timeout: builder.close_timeout }, is_ready)
    }
}

impl Starting {
    fn run(self) -> Cluster {
        let Self { core, close_timeout } = self;
        let tasks = driver::start(&core);
        Cluster(Arc::new(Inner { core, tasks: Mutex::new(tasks), close_timeout, farewell: Default::default() }))
    }
}
