//! The cluster operations over a backend.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

use super::Cluster;
use crate::driver::{Core, Here, LocalAcks, Took, Waiter, check_timeout, deadline};
use crate::engine::Delivery;
use crate::model::{
    Gathered, LocalSocket, Namespace, Node, NodeId, Packet, Projection, Result, Room, SocketChange, SocketInfo, Target,
    check_event_name,
};
use crate::seams::acks::Collector;
use crate::seams::{AckStream, Acks, Adapter, Address, AttachmentId, LocalSockets, Scope, ServerEvents, WaitFor};
use crate::wire::{Answer, Operation};

#[async_trait]
impl Adapter for Cluster {
    fn node(&self) -> Node {
        self.core().node.clone()
    }

    fn nodes(&self) -> Vec<Node> {
        let peers = self.core().engine().peers();
        std::iter::once(self.node()).chain(peers).collect()
    }

    fn attach(&self, namespace: &Namespace, local: Arc<dyn LocalSockets>) -> Result<AttachmentId> {
        self.core().check_open()?;
        self.core().registry.attach(namespace, local)
    }

    fn detach(&self, attachment: AttachmentId) {
        self.core().registry.detach(attachment);
    }

    fn on_server_event(&self, namespace: &Namespace, event: Option<&str>, events: ServerEvents) -> Result<()> {
        event.map_or(Ok(()), check_event_name)?;
        self.core().check_open()?;
        self.core().registry.on_server_event(namespace, event, events);
        Ok(())
    }

    fn forget_server_events_named(&self, namespace: &Namespace, event: &str) {
        self.core().registry.forget_server_events_named(namespace, event);
    }

    fn forget_server_events(&self, namespace: &Namespace, events: &ServerEvents) {
        self.core().registry.forget_server_events(namespace, events);
    }

    fn handler_panicked(&self, namespace: &Namespace, said: &str) {
        self.core().registry.panics().note(&format!("the handler of server events of {namespace}"), said);
    }

    fn check_broadcast(&self, to: &Address, packet: &Packet) -> Result<()> {
        let core = self.core();
        let Address { namespace, target, scope } = to;
        core.registry.here(namespace, *scope).check(packet)?;
        core.check_names(packet.data.len(), target, &[], || {
            let (namespace, target) = (namespace.clone(), target.clone());
            Operation::Broadcast { namespace, target, packet: packet.clone() }
        })
    }

    fn check_change(&self, to: &Address, change: &SocketChange, wait: WaitFor) -> Result<()> {
        if let WaitFor::Applied(timeout) = wait {
            check_timeout(timeout)?;
        }
        let rooms = match change {
            SocketChange::Join(rooms) | SocketChange::Leave(rooms) => &rooms[..],
            SocketChange::Disconnect => &[],
        };
        self.core().check_names(0, &to.target, rooms, || {
            let (namespace, target) = (to.namespace.clone(), to.target.clone());
            Operation::Change { namespace, target, change: change.clone() }
        })
    }

    async fn broadcast(&self, to: Address, packet: Packet, wait: Duration) -> Result<()> {
        let Address { namespace, target, scope } = to;
        self.core().registry.here(&namespace, scope).check(&packet)?;
        let operation = Operation::Broadcast { namespace, target, packet };
        let delivery = if operation.is_volatile() { Delivery::Volatile } else { Delivery::Numbered };
        self.core().send(&operation, scope, delivery, wait).await
    }

    async fn broadcast_with_ack(&self, to: Address, packet: Packet, timeout: Duration) -> Result<AckStream> {
        check_timeout(timeout)?;
        let core = self.core();
        let Address { namespace, target, scope } = to;
        core.registry.here(&namespace, scope).check(&packet)?;
        let until = deadline(timeout);
        let collector = Collector::new(core.node.id);
        let local = Acks::new(LocalAcks { collector: collector.clone(), node: core.node.id });
        let operation = Operation::BroadcastWithAck { namespace, target, packet, timeout };
        let waiter = |asked: &[NodeId]| {
            collector.ask(asked);
            Waiter::Acks(collector.clone())
        };
        let forget = core.ask(&operation, scope, until, Some(local), waiter).await?;
        for missing in forget.iter().flat_map(|forget| &forget.asked.missing) {
            core.measure_missing("emit_with_ack", std::slice::from_ref(missing));
            collector.ask(&[missing.node]);
            collector.end(missing.node, Some(missing.reason));
        }
        Ok(AckStream::new(collector, tokio::time::sleep_until(until.into()), forget))
    }

    async fn change(&self, to: Address, change: SocketChange, wait: WaitFor) -> Result<Gathered<NodeId>> {
        let core = self.core();
        let Address { namespace, target, scope } = to;
        let me = target.concerns(core.node.id).then_some(core.node.id);
        let operation = Operation::Change { namespace, target, change };
        let timeout = match wait {
            WaitFor::Sent(wait) => {
                core.send(&operation, scope, Delivery::Numbered, wait).await?;
                return Ok(Gathered { items: me.into_iter().collect(), missing: Vec::new() });
            }
            WaitFor::Applied(timeout) => timeout,
        };
        let mine = |items: &mut Vec<_>| items.extend(me);
        core.gather(operation, scope, timeout, mine, |items, node, answer| {
            let applied = answer == Answer::Applied;
            items.extend(applied.then_some(node));
            if applied { Took::Item } else { Took::Strange }
        })
        .await
    }

    async fn fetch_sockets(&self, to: Address, ask: Projection, timeout: Duration) -> Result<Gathered<SocketInfo>> {
        let core = self.core();
        let Address { namespace, target, scope } = to;
        let here = here(core, &namespace, &target, scope, |here| here.sockets(&target, ask));
        let operation = Operation::FetchSockets { namespace, target, projection: ask };
        let mine = |items: &mut Vec<_>| items.extend(infos(core.node.id, here.unwrap_or_default()));
        core.gather(operation, scope, timeout, mine, |items, node, answer| {
            let Answer::Sockets(sockets, _) = answer else { return Took::Strange };
            items.extend(infos(node, sockets));
            Took::Item
        })
        .await
    }

    async fn count_sockets(&self, to: Address, timeout: Duration) -> Result<Gathered<(NodeId, u64)>> {
        let core = self.core();
        let Address { namespace, target, scope } = to;
        let here = here(core, &namespace, &target, scope, |here| here.count(&target));
        let operation = Operation::CountSockets { namespace, target };
        let mine = |items: &mut Vec<_>| items.extend(here.map(|count| (core.node.id, count)));
        core.gather(operation, scope, timeout, mine, |items, node, answer| {
            let Answer::Count(count) = answer else { return Took::Strange };
            items.push((node, count));
            Took::Item
        })
        .await
    }

    async fn rooms(&self, to: Address, timeout: Duration) -> Result<Gathered<Room>> {
        let core = self.core();
        let Address { namespace, target, scope } = to;
        let here = here(core, &namespace, &target, scope, |here| here.rooms(&target));
        let operation = Operation::ListRooms { namespace, target };
        let mine = |items: &mut Vec<_>| items.append(&mut here.unwrap_or_default());
        let gathered = core.gather(operation, scope, timeout, mine, |items, _, answer| {
            let Answer::Rooms(mut rooms, _) = answer else { return Took::Strange };
            items.append(&mut rooms);
            Took::Item
        });
        let mut gathered = gathered.await?;
        let mut seen = HashSet::new();
        gathered.items.retain(|room| seen.insert(room.clone()));
        Ok(gathered)
    }

    async fn server_side_emit(&self, namespace: &Namespace, event: &str, data: Bytes, wait: Duration) -> Result<()> {
        check_event_name(event)?;
        let operation = Operation::ServerEvent { namespace: namespace.clone(), event: event.to_owned(), data };
        self.core().send(&operation, Scope::Cluster, Delivery::Numbered, wait).await
    }

    async fn server_side_emit_with_ack(
        &self,
        namespace: &Namespace,
        event: &str,
        data: Bytes,
        timeout: Duration,
    ) -> Result<Gathered<(NodeId, Bytes)>> {
        check_event_name(event)?;
        let operation = Operation::ServerEvent { namespace: namespace.clone(), event: event.to_owned(), data };
        let take = |items: &mut Vec<_>, node, answer| {
            let Answer::Server(data) = answer else { return Took::Strange };
            items.push((node, data));
            Took::Item
        };
        self.core().gather(operation, Scope::Cluster, timeout, |_| {}, take).await
    }
}

/// This node's own part of a question, if it is asked too.
fn here<T>(
    core: &Core,
    namespace: &Namespace,
    target: &Target,
    scope: Scope,
    part: impl FnOnce(&Here<'_>) -> T,
) -> Option<T> {
    target.concerns(core.node.id).then(|| part(&core.registry.here(namespace, scope)))
}

fn infos(node: NodeId, sockets: Vec<LocalSocket>) -> impl Iterator<Item = SocketInfo> {
    sockets.into_iter().map(move |socket| SocketInfo::new(node, socket))
}
