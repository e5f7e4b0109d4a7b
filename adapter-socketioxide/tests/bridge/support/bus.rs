//! A cluster that only pretends: its nodes call each other's sockets directly.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use roomcast_core::adapter::{
    Adapter, Address, AttachmentId, LocalDropped, LocalSockets, Scope, ServerEvents, SocketChange, WaitFor,
};
use roomcast_core::backend::async_trait;
use roomcast_core::{
    AckStream, Error, ErrorKind, Gathered, MissingNode, MissingReason, Namespace, Node, NodeId, Packet, Projection,
    Result, Room, SocketInfo,
};

type Sockets = Vec<(NodeId, Arc<dyn LocalSockets>)>;
type Attachment = (AttachmentId, Namespace, Arc<dyn LocalSockets>);

#[derive(Default)]
pub(crate) struct Bus {
    nodes: Mutex<Vec<Arc<FakeNode>>>,
    sent: Mutex<Vec<Address>>,
    silent: Mutex<Vec<NodeId>>,
    down: AtomicBool,
    next: AtomicU64,
}

pub(crate) struct FakeNode {
    me: Node,
    bus: Arc<Bus>,
    attachments: Mutex<Vec<Attachment>>,
}

impl Bus {
    pub(crate) fn new() -> Arc<Self> {
        Arc::default()
    }

    pub(crate) fn node(self: &Arc<Self>) -> Arc<FakeNode> {
        let id = NodeId::random().expect("random");
        let me = Node::new(id, format!("node {}", self.next.fetch_add(1, Ordering::Relaxed)));
        let node = Arc::new(FakeNode { me, bus: Arc::clone(self), attachments: Mutex::default() });
        self.nodes.lock().expect("sound").push(Arc::clone(&node));
        node
    }

    pub(crate) fn kill(&self, node: NodeId) {
        self.nodes.lock().expect("sound").retain(|other| other.me.id != node);
    }

    /// From now on this node is asked but does not answer.
    pub(crate) fn silence(&self, node: NodeId) {
        self.silent.lock().expect("sound").push(node);
    }

    /// What the sockets of all nodes have dropped.
    pub(crate) fn dropped(&self) -> LocalDropped {
        let mut sum = LocalDropped::default();
        for node in self.nodes.lock().expect("sound").iter() {
            node.attachments.lock().expect("sound").iter().for_each(|(_, _, local)| sum += local.dropped());
        }
        sum
    }

    pub(crate) fn take_down(&self) {
        self.down.store(true, Ordering::Relaxed);
    }

    /// Where all operations since the last call went.
    pub(crate) fn sent(&self) -> Vec<Address> {
        std::mem::take(&mut self.sent.lock().expect("sound"))
    }
}

impl FakeNode {
    pub(crate) fn attached(&self) -> usize {
        self.attachments.lock().expect("sound").len()
    }

    fn reach(&self, to: &Address) -> Result<(Sockets, Vec<MissingNode>)> {
        self.bus.sent.lock().expect("sound").push(to.clone());
        if self.bus.down.load(Ordering::Relaxed) {
            return Err(Error::new(ErrorKind::Unavailable, "the broker is away"));
        }
        let (mut found, mut missing) = (Vec::new(), Vec::new());
        for node in self.bus.nodes.lock().expect("sound").iter() {
            if to.target.node.is_some_and(|only| only != node.me.id) {
                continue;
            }
            if self.bus.silent.lock().expect("sound").contains(&node.me.id) {
                missing.push(MissingNode::new(node.me.id, MissingReason::Timeout));
                continue;
            }
            for (id, namespace, local) in node.attachments.lock().expect("sound").iter() {
                if *namespace == to.namespace && to.scope != Scope::Beyond(*id) {
                    found.push((node.me.id, Arc::clone(local)));
                }
            }
        }
        Ok((found, missing))
    }
}

#[async_trait]
impl Adapter for FakeNode {
    fn node(&self) -> Node {
        self.me.clone()
    }

    fn nodes(&self) -> Vec<Node> {
        self.bus.nodes.lock().expect("sound").iter().map(|node| node.me.clone()).collect()
    }

    fn attach(&self, namespace: &Namespace, local: Arc<dyn LocalSockets>) -> Result<AttachmentId> {
        let id = AttachmentId::from_raw(self.bus.next.fetch_add(1, Ordering::Relaxed));
        self.attachments.lock().expect("sound").push((id, namespace.clone(), local));
        Ok(id)
    }

    fn detach(&self, attachment: AttachmentId) {
        self.attachments.lock().expect("sound").retain(|(id, ..)| *id != attachment);
    }

    fn on_server_event(&self, _: &Namespace, _: Option<&str>, _: ServerEvents) -> Result<()> {
        Ok(())
    }

    async fn broadcast(&self, to: Address, packet: Packet, _: Duration) -> Result<()> {
        self.reach(&to)?.0.iter().for_each(|(_, local)| local.broadcast(&to.target, &packet));
        Ok(())
    }

    async fn broadcast_with_ack(&self, to: Address, packet: Packet, timeout: Duration) -> Result<AckStream> {
        let (found, _) = self.reach(&to)?;
        let nodes: Vec<_> = found.iter().map(|(node, _)| *node).collect();
        let (parts, stream) = AckStream::of_nodes(&nodes, timeout * 2);
        for ((_, local), (_, acks)) in found.iter().zip(parts) {
            local.broadcast_with_ack(&to.target, &packet, timeout, acks);
        }
        Ok(stream)
    }

    async fn change(&self, to: Address, change: SocketChange, _: WaitFor) -> Result<Gathered<NodeId>> {
        let (found, missing) = self.reach(&to)?;
        for (_, local) in &found {
            match &change {
                SocketChange::Join(rooms) => local.join(&to.target, rooms),
                SocketChange::Leave(rooms) => local.leave(&to.target, rooms),
                _ => local.disconnect(&to.target),
            }
        }
        Ok(Gathered::new(found.into_iter().map(|(node, _)| node).collect(), missing))
    }

    async fn fetch_sockets(&self, to: Address, ask: Projection, _: Duration) -> Result<Gathered<SocketInfo>> {
        let (found, missing) = self.reach(&to)?;
        let of_node = |(node, local): &(NodeId, Arc<dyn LocalSockets>)| {
            let node = *node;
            local.sockets(&to.target, ask).into_iter().map(move |socket| SocketInfo::new(node, socket))
        };
        Ok(Gathered::new(found.iter().flat_map(of_node).collect(), missing))
    }

    async fn count_sockets(&self, to: Address, _: Duration) -> Result<Gathered<(NodeId, u64)>> {
        let (found, missing) = self.reach(&to)?;
        Ok(Gathered::new(found.iter().map(|(node, local)| (*node, local.count(&to.target))).collect(), missing))
    }

    async fn rooms(&self, to: Address, _: Duration) -> Result<Gathered<Room>> {
        let (found, missing) = self.reach(&to)?;
        Ok(Gathered::new(found.iter().flat_map(|(_, local)| local.rooms(&to.target)).collect(), missing))
    }

    async fn server_side_emit(&self, _: &Namespace, _: &str, _: bytes::Bytes, _: Duration) -> Result<()> {
        Ok(())
    }

    async fn server_side_emit_with_ack(
        &self,
        _: &Namespace,
        _: &str,
        _: bytes::Bytes,
        _: Duration,
    ) -> Result<Gathered<(NodeId, bytes::Bytes)>> {
        Ok(Gathered::new(Vec::new(), Vec::new()))
    }
}
