//! An emit and its deliveries on other nodes are one trace of the application's.

#![expect(clippy::unwrap_used, reason = "tests: an error is a failure")]

mod recorded;

use std::sync::Arc;
use std::time::Duration;

use opentelemetry::trace::{SpanKind, Status};
use roomcast::backend::{Backend, Channel, Connect, Inbox, Limits, async_trait};
use roomcast::opentelemetry::Propagator;
use roomcast::probe::{Tap, Tapped};
use roomcast::{
    Bytes, Cluster, ClusterName, Emitter, Error, ErrorKind, Hub, Memory, NamespaceHandle, NodeId, Result, Socket,
    TraceContext, TracePropagator, WhenUnreachable,
};
use tracing::{Instrument as _, Span, info_span};

use recorded::{Spans, assert_child, recorded, recorded_but_for, text};

const SOON: Duration = Duration::from_secs(10);

/// What a server has of a cluster.
struct Server {
    cluster: Cluster,
    chat: NamespaceHandle,
    socket: Socket,
}

impl Server {
    async fn with(memory: &Memory, propagator: Option<Propagator>) -> Self {
        let builder = Cluster::builder().cluster("shop");
        let builder = propagator.into_iter().fold(builder, roomcast::ClusterBuilder::trace_propagator);
        let cluster = builder.connect(memory.clone()).await.unwrap();
        let hub = Hub::new();
        let chat = cluster.namespace("/chat", hub.clone()).await.unwrap();
        let socket = hub.connect().unwrap();
        socket.join("lobby").unwrap();
        Self { cluster, chat, socket }
    }

    async fn traced(memory: &Memory) -> Self {
        Self::with(memory, Some(Propagator)).await
    }

    async fn untraced(memory: &Memory) -> Self {
        Self::with(memory, None).await
    }

    fn id(&self) -> NodeId {
        self.cluster.node().id
    }

    async fn gets(&mut self, packet: &str) {
        let delivery = tokio::time::timeout(SOON, self.socket.next()).await.unwrap().unwrap();
        assert_eq!(delivery.packet.data, packet.to_owned());
    }
}

#[test]
fn an_emit_and_its_deliveries_on_other_nodes_are_one_trace() {
    let ([a, b, c], spans) = recorded(async {
        let memory = Memory::new();
        let [mut a, mut b, mut c] =
            [Server::traced(&memory).await, Server::traced(&memory).await, Server::traced(&memory).await];
        let elsewhere = Server::traced(&memory).await; // none of its sockets is meant
        elsewhere.socket.leave("lobby").unwrap();
        a.chat.to("lobby").emit("hello").instrument(info_span!("request")).await.unwrap();
        for server in [&mut a, &mut b, &mut c] {
            server.gets("hello").await;
        }
        assert!(elsewhere.chat.fetch_sockets().await.unwrap().is_complete()); // whatever came before it was carried out
        [a.id(), b.id(), c.id()]
    });
    let (request, emit) = (spans.one("request"), spans.one("emit /chat"));
    assert_child(emit, request);
    assert_eq!(emit.span_kind, SpanKind::Producer);
    assert_eq!(emit.status, Status::Unset);
    let fields = [
        ("messaging.system", "roomcast"),
        ("messaging.operation.name", "emit"),
        ("messaging.operation.type", "send"),
        ("messaging.destination.name", "/chat"),
        ("messaging.client.id", &a.to_string()),
        ("messaging.message.body.size", "5"),
        ("roomcast.cluster", "shop"),
    ];
    fields.iter().for_each(|(key, value)| assert_eq!(text(emit, key), *value, "{key}"));

    let deliveries: Vec<_> =
        spans.all("deliver /chat").into_iter().filter(|span| text(span, "roomcast.operation") == "emit").collect();
    assert_eq!(deliveries.len(), 2, "{deliveries:#?}");
    for node in [b, c] {
        let delivery = deliveries.iter().find(|span| text(span, "messaging.client.id") == node.to_string()).unwrap();
        assert_child(delivery, emit);
        assert!(delivery.parent_span_is_remote);
        assert_eq!(delivery.span_kind, SpanKind::Consumer);
        let fields = [
            ("messaging.system", "roomcast"),
            ("messaging.operation.name", "deliver"),
            ("messaging.operation.type", "process"),
            ("messaging.destination.name", "/chat"),
            ("roomcast.cluster", "shop"),
            ("roomcast.sender", &a.to_string()),
        ];
        fields.iter().for_each(|(key, value)| assert_eq!(text(delivery, key), *value, "{key}"));
    }
}

#[test]
fn what_a_handler_of_a_server_event_emits_continues_its_trace() {
    let ([b, c], spans) = recorded(async {
        let memory = Memory::new();
        let (a, b, mut c) =
            (Server::traced(&memory).await, Server::traced(&memory).await, Server::traced(&memory).await);
        let weak = b.chat.downgrade();
        b.chat
            .on("work", move |event| {
                let chat = weak.upgrade().unwrap();
                async move {
                    tokio::task::yield_now().await; // the span is not the thread's for ever
                    chat.to("lobby").emit("done").await?;
                    event.reply.map_or(Ok(()), |reply| reply.send_json(&1))
                }
            })
            .unwrap();
        let asked = a.chat.server_side_emit_with_ack("work", "", SOON).instrument(info_span!("request"));
        assert_eq!(asked.await.unwrap().items.len(), 1);
        c.gets("done").await;
        [b.id(), c.id()]
    });
    let ask = spans.one("server_side_emit /chat");
    assert_child(ask, spans.one("request"));
    let handled: Vec<_> = spans
        .all("deliver /chat")
        .into_iter()
        .filter(|span| text(span, "roomcast.operation") == "server_side_emit")
        .collect();
    let [handled] = handled[..] else { panic!("only one node has a handler: {handled:#?}") };
    assert_child(handled, ask);
    assert_eq!(text(handled, "messaging.client.id"), b.to_string());
    let emit = spans.of(b, "emit /chat");
    assert_child(emit, handled);
    assert_child(spans.of(c, "deliver /chat"), emit);
}

#[test]
fn questions_and_changes_are_part_of_the_trace_until_they_are_answered() {
    let (b, spans) = recorded(async {
        let memory = Memory::new();
        let (a, mut b) = (Server::traced(&memory).await, Server::traced(&memory).await);
        async {
            let lobby = || a.chat.to("lobby").timeout(SOON);
            assert!(lobby().join_sockets("news").await.unwrap().is_complete());
            assert_eq!(lobby().fetch_sockets().await.unwrap().items.len(), 2);
            let mut acks = lobby().except(a.socket.id()).emit_with_ack("well?").await.unwrap();
            let ack = b.socket.next().await.unwrap().ack.unwrap();
            ack.send("yes");
            assert!(acks.next().await.is_some());
        }
        .instrument(info_span!("request"))
        .await;
        b.id()
    });
    for name in ["join_sockets", "fetch_sockets", "emit_with_ack"] {
        let asked = spans.one(&format!("{name} /chat"));
        assert_child(asked, spans.one("request"));
        let delivered =
            spans.all("deliver /chat").into_iter().find(|span| text(span, "roomcast.operation") == name).unwrap();
        assert_child(delivered, asked);
        assert_eq!(text(delivered, "messaging.client.id"), b.to_string());
        assert!(asked.end_time >= delivered.end_time, "{name} ends with its answers");
    }
}

#[test]
fn a_message_in_parts_has_its_trace() {
    let ((), spans) = recorded(async {
        let memory = Memory::with_limits(Limits::max_frame(512));
        let (a, mut b) = (Server::traced(&memory).await, Server::traced(&memory).await);
        let large = "x".repeat(5_000);
        a.chat.to("lobby").emit(large.clone()).await.unwrap();
        b.gets(&large).await;
    });
    assert_child(spans.one("deliver /chat"), spans.one("emit /chat"));
}

#[test]
fn an_emitter_begins_a_trace() {
    let ((), spans) = recorded(async {
        let memory = Memory::new();
        let mut server = Server::traced(&memory).await;
        let builder = Emitter::builder().cluster("shop").trace_propagator(Propagator);
        let emitter = builder.connect(memory).await.unwrap();
        emitter.of("/chat").unwrap().to("lobby").emit("news").instrument(info_span!("job")).await.unwrap();
        server.gets("news").await;
    });
    assert_child(spans.one("emit /chat"), spans.one("job"));
    assert_child(spans.one("deliver /chat"), spans.one("emit /chat"));
}

#[test]
fn a_node_that_has_not_asked_for_traces_delivers_what_has_one() {
    let (b, spans) = recorded(async {
        let memory = Memory::new();
        let (a, mut b, mut c) =
            (Server::traced(&memory).await, Server::untraced(&memory).await, Server::traced(&memory).await);
        a.chat.to("lobby").emit("hello").await.unwrap();
        b.gets("hello").await;
        c.gets("hello").await;
        b.chat.to("lobby").emit("and back").await.unwrap();
        c.gets("and back").await;
        b.id()
    });
    let delivery = spans.one("deliver /chat");
    assert_child(delivery, spans.one("emit /chat"));
    assert!(!format!("{spans:?}").replace(&text(delivery, "messaging.client.id"), "").contains(&b.to_string()));
}

/// A broker's wire, where everything that nodes send to the cluster can be read.
struct Listener(Tap, #[expect(dead_code, reason = "a subscription")] Arc<dyn Backend>);

impl Listener {
    async fn of(memory: &Memory) -> Self {
        let tap = Tap::new(1_000, 1 << 20);
        let backend = memory.connect(tap.inbox()).await.unwrap();
        let channel = Channel::cluster(&ClusterName::new("shop").unwrap());
        tap.wants().add(std::slice::from_ref(&channel));
        backend.subscribe(&[channel]).await.unwrap();
        Self(tap, backend)
    }

    /// The message with these bytes.
    async fn hears(&mut self, part: &[u8]) -> Bytes {
        loop {
            if let Tapped::Frame(_, message) = tokio::time::timeout(SOON, self.0.next()).await.unwrap()
                && has(&message, part)
            {
                return message;
            }
        }
    }
}

fn has(message: &[u8], part: &[u8]) -> bool {
    message.windows(part.len()).any(|window| window == part)
}

fn emitted(traced: bool, but_for: &'static str) -> (Bytes, Spans) {
    recorded_but_for(but_for, async move {
        let memory = Memory::new();
        let server = Server::with(&memory, traced.then_some(Propagator)).await;
        let mut listener = Listener::of(&memory).await;
        server.chat.to("lobby").emit("hello").instrument(info_span!("request")).await.unwrap();
        listener.hears(b"hello").await
    })
}

#[test]
fn nothing_travels_and_nothing_is_recorded_unless_it_is_asked_for() {
    let (plain, spans) = emitted(false, "nothing");
    assert_eq!(spans.names(), ["request"]);
    assert!(!has(&plain, &spans.one("request").span_context.trace_id().to_bytes()));

    let (traced, spans) = emitted(true, "nothing");
    let sent = &spans.one("emit /chat").span_context;
    let context = [&[2, 25][..], &sent.trace_id().to_bytes(), &sent.span_id().to_bytes(), &[1]].concat();
    assert!(has(&traced, &context), "extension 2");
    assert_eq!(traced.len(), plain.len() + 1 + context.len());
}

#[test]
fn without_spans_of_its_own_a_message_has_its_callers() {
    let (message, spans) = emitted(true, "roomcast::trace");
    assert_eq!(spans.names(), ["request"]);
    let request = &spans.one("request").span_context;
    assert!(has(&message, &[&request.trace_id().to_bytes()[..], &request.span_id().to_bytes()].concat()));
}

/// A broker that is never there.
struct Away;

#[async_trait]
impl Connect for Away {
    async fn connect(&self, _: Inbox) -> Result<Arc<dyn Backend>> {
        Err(Error::new(ErrorKind::Unavailable, "away"))
    }
}

#[test]
fn a_call_that_fails_says_so_in_its_span() {
    let ((), spans) = recorded(async {
        let builder = Cluster::builder().when_unreachable(WhenUnreachable::ServeLocally).queue_age(Duration::ZERO);
        let cluster = builder.trace_propagator(Propagator).connect(Away).await.unwrap();
        let chat = cluster.of("/chat").unwrap();
        chat.emit("waits").await.unwrap();
        assert_eq!(chat.emit("too much").await.unwrap_err().kind(), ErrorKind::Unavailable);
    });
    let failed: Vec<_> = spans.all("emit /chat").into_iter().filter(|span| span.status != Status::Unset).collect();
    let [failed] = failed[..] else { panic!("{spans:#?}") };
    assert_eq!(text(failed, "error.type"), "Unavailable");
}

#[derive(Debug)]
struct Panics;

impl TracePropagator for Panics {
    fn context(&self, _: &Span) -> Option<TraceContext> {
        panic!("no context")
    }

    fn set_parent(&self, _: &Span, _: TraceContext) {
        panic!("no parent")
    }
}

#[test]
fn a_propagator_that_panics_costs_no_message() {
    let ((), _) = recorded(async {
        let memory = Memory::new();
        let (a, mut b) = (Server::traced(&memory).await, Server::untraced(&memory).await);
        let broken = Cluster::builder().cluster("shop").trace_propagator(Panics).connect(memory).await.unwrap();
        let hub = Hub::new();
        let chat = broken.namespace("/chat", hub.clone()).await.unwrap();
        let mut socket = hub.connect().unwrap();
        a.chat.emit("in").await.unwrap();
        assert_eq!(tokio::time::timeout(SOON, socket.next()).await.unwrap().unwrap().packet.data, "in");
        b.gets("in").await;
        chat.emit("out").await.unwrap();
        b.gets("out").await;
        assert_eq!(broken.stats().panics, 2);
    });
}

#[test]
fn what_socketioxide_emits_is_traced() {
    use roomcast::socketioxide::Adapter;
    use socketioxide::SocketIo;

    let ([a, b], spans) = recorded(async {
        let memory = Memory::new();
        let builder = || Cluster::builder().trace_propagator(Propagator);
        let cluster = builder().connect(memory.clone()).await.unwrap();
        let (_layer, io) = SocketIo::builder().with_adapter::<Adapter<_>>(cluster.clone().into()).build_layer();
        io.ns("/", async || {}).await.unwrap();
        let other = builder().connect(memory).await.unwrap();
        let hub = Hub::new();
        let _root = other.namespace("/", hub.clone()).await.unwrap();
        let mut socket = hub.connect().unwrap();
        async { io.emit("news", "open").await.unwrap() }.instrument(info_span!("request")).await;
        tokio::time::timeout(SOON, socket.next()).await.unwrap().unwrap();
        [cluster.node().id, other.node().id]
    });
    assert_child(spans.of(a, "emit /"), spans.one("request"));
    assert_child(spans.of(b, "deliver /"), spans.of(a, "emit /"));
}
