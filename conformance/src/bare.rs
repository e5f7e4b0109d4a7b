//! For a backend's own tests: a node as its backend sees it, and certificates. What does not come is a panic.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use roomcast_core::backend::{Backend, Channel, Connect, Limits, Outgoing, PublishError};
use roomcast_core::probe::{Tap, Tapped};
use roomcast_core::{Error, ErrorKind, Event, Result};
use tokio::time::MissedTickBehavior;

use crate::broker::{Recipe, certificates};
use crate::proxy::Proxy;

/// How long anything may take that has to come. A broker that starts on a busy machine takes its time.
const PATIENCE: Duration = Duration::from_secs(60);

/// A backend without a cluster behind it, and what it hands over.
pub struct Node {
    /// What comes in.
    pub tap: Tap,
    /// What goes out.
    pub backend: Arc<dyn Backend>,
}

impl Node {
    /// Connected; so many messages may wait.
    ///
    /// # Errors
    /// The backend's.
    pub async fn with(to: &dyn Connect, messages: usize) -> Result<Self> {
        let tap = Tap::new(messages, 256 << 20);
        let backend = to.connect(tap.inbox()).await?;
        Ok(Self { tap, backend })
    }

    /// Connected, with room for all that a test sends.
    pub async fn connect(to: Result<impl Connect>) -> Self {
        let (to, mut connected) = (to.expect("a configuration"), None);
        // A machine may stand still for a moment: then it is tried again.
        eventually("it connects", async || match Self::with(&to, 100_000).await {
            Err(error) if error.kind() == ErrorKind::Unavailable => false,
            made => connected.replace(made.expect("connected")).is_none(),
        })
        .await;
        connected.expect("connected")
    }

    /// The same, and subscribed to this channel alone.
    pub async fn on(to: Result<impl Connect>, name: &str) -> Self {
        let node = Self::connect(to).await;
        node.subscribe(name).await;
        node
    }

    /// Subscribes to one channel more.
    pub async fn subscribe(&self, name: &str) {
        self.subscribe_all(&[channel(name)]).await;
    }

    /// Subscribes to channels.
    pub async fn subscribe_all(&self, channels: &[Channel]) {
        self.tap.wants().add(channels);
        self.backend.subscribe(channels).await.expect("subscribed");
    }

    /// Publishes one message.
    ///
    /// # Errors
    /// The backend's.
    pub async fn publish(&self, name: &str, payload: impl Into<Bytes>) -> Result<(), PublishError> {
        self.backend.publish(&[Outgoing::new(channel(name), payload.into())]).await
    }

    /// The next frame; nothing else may come first.
    pub async fn frame(&mut self) -> Bytes {
        self.message().await.1
    }

    /// The same, with the channel that it came on.
    pub async fn message(&mut self) -> (Channel, Bytes) {
        match self.next().await {
            Tapped::Frame(channel, payload) => (channel, payload),
            other => panic!("{other:?} instead of a frame"),
        }
    }

    /// Takes what comes, up to this frame.
    pub async fn until(&mut self, marker: &str) {
        while !matches!(self.next().await, Tapped::Frame(_, payload) if payload == marker) {}
    }

    /// Publishes to itself, and sees it arrive; what was on its way before may come first.
    pub async fn hears_itself(&mut self, name: &str) {
        self.publish(name, "marker").await.expect("published");
        self.until("marker").await;
    }

    /// Publishes until the other hears it, where nobody says when there is a way: what else comes there is skipped.
    pub async fn reaches(&self, other: &mut Self, name: &str) {
        const AGAIN: Duration = Duration::from_millis(20);
        eventually("one is heard by the other", async || {
            let sent = self.publish(name, "knock").await.is_ok();
            sent && tokio::time::timeout(AGAIN, other.until("knock")).await.is_ok()
        })
        .await;
        self.publish(name, "knocked").await.expect("published");
        other.until("knocked").await;
    }

    /// Waits for `down`; until the fault is mended, nothing can be published. Answers the reason.
    pub async fn is_down(&mut self, name: &str) -> String {
        let (reason, noticed) = self.down().await;
        println!("noticed after {noticed:?}: {reason}");
        match self.publish(name, "lost").await {
            Err(PublishError::Unknown(error)) => assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}"),
            other => panic!("{other:?} instead of an unknown outcome"),
        }
        reason
    }

    /// Waits for `up`; then what is published comes, and nothing before it: what was refused is never sent later.
    pub async fn is_back(&mut self, name: &str) {
        let (_, restored) = self.up().await;
        println!("up after {restored:?}");
        self.publish(name, "after").await.expect("published");
        assert_eq!(self.frame().await, "after");
    }

    /// The link breaks, and is mended by the node itself. Answers the reason.
    pub async fn comes_back(&mut self, name: &str) -> String {
        let (reason, noticed) = self.down().await;
        println!("noticed after {noticed:?}: {reason}");
        self.is_back(name).await;
        reason
    }

    /// Waits for `down`; answers the reason, and after how long.
    pub async fn down(&mut self) -> (String, Duration) {
        let began = Instant::now();
        loop {
            if let Tapped::Down(reason) = self.next().await {
                return (reason.to_string(), began.elapsed());
            }
        }
    }

    /// Waits until the broker refuses this node; answers the kind and the reason.
    pub async fn refused(&mut self) -> (ErrorKind, String) {
        loop {
            if let Tapped::Refused(kind, reason) = self.next().await {
                return (kind, reason.to_string());
            }
        }
    }

    /// Waits for `up`; answers the limits, and after how long.
    pub async fn up(&mut self) -> (Limits, Duration) {
        let began = Instant::now();
        loop {
            if let Tapped::Up(limits) = self.next().await {
                return (limits, began.elapsed());
            }
        }
    }

    /// Every size up to the limit passes, and no more: of a batch, those before one that is too large are sent, and none after.
    pub async fn keeps_its_limit(&mut self, name: &str) {
        let most = self.backend.limits().max_frame;
        let frame = |size: usize| Outgoing::new(channel(name), vec![7; size].into());
        let sizes = [0, 1, most - 1, most];
        self.backend.publish(&sizes.map(frame)).await.expect("published");
        let refused = self.backend.publish(&[1, 2, most + 1, 3].map(frame)).await;
        assert!(matches!(refused, Err(PublishError::Refused { index: 2, kind: ErrorKind::TooLarge })), "{refused:?}");
        self.backend.publish(&[frame(4)]).await.expect("published");
        for size in sizes.into_iter().chain([1, 2, 4]) {
            assert_eq!(self.frame().await.len(), size);
        }
    }

    /// Lasts for longer than a link may be silent: until this node, which is behind this proxy, has given up two such links.
    /// The first says how long that is, the second that it has passed for nodes that look at other moments, too.
    pub async fn outlasts_silence(&mut self, proxy: &Proxy) {
        for _ in 0..2 {
            proxy.black_hole();
            self.down().await;
            self.up().await;
        }
    }

    /// Whatever is next.
    pub async fn next(&mut self) -> Tapped {
        tokio::time::timeout(PATIENCE, self.tap.next()).await.expect("something comes")
    }
}

/// Why a connection is refused.
pub async fn refusal(to: &dyn Connect) -> Error {
    Node::with(to, 10).await.err().expect("refused")
}

/// Files that are not what a URL says: whatever it says, with its names for authority, certificate and key, is an error of
/// configuration.
pub async fn odd_files_are_refused([ca, cert, key]: [&str; 3], refused: impl AsyncFn(&str) -> Error) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    certificates(folder.path());
    let file = |name: &str| folder.path().join(name).display().to_string();
    let (root, ours, secret, no) = (file("ca.pem"), file("client.pem"), file("client.key"), "/no/such/file");
    for query in [
        format!("{ca}={no}"),
        format!("{ca}={secret}"),
        format!("{ca}={root}&{cert}={ours}"),
        format!("{ca}={root}&{key}={secret}"),
        format!("{ca}={root}&{cert}={ours}&{key}={ours}"),
        format!("{ca}={root}&{cert}={no}&{key}={secret}"),
        format!("{ca}={root}&{cert}={ours}&{key}={}", file("server.key")),
    ] {
        let error = refused(&query).await;
        assert_eq!(error.kind(), ErrorKind::Config, "{query}: {error:?}");
    }
}

/// Waits until something is so. What another process knows, or only counts, can but be looked at, again and again.
pub async fn eventually(what: &str, mut so: impl AsyncFnMut() -> bool) {
    let mut look = tokio::time::interval(Duration::from_millis(5));
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let wait = async {
        while !so().await {
            look.tick().await;
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.unwrap_or_else(|_| panic!("it never came true that {what}"));
}

/// An outage that lasts until so many connections more were tried through this proxy: for what a node does after it has
/// failed again and again, however long that takes it.
pub async fn tries(proxy: &Proxy, more: u64) {
    let enough = proxy.counts().accepted + more;
    eventually("it tries to connect again", async || proxy.counts().accepted >= enough).await;
}

/// Whether the node says no more than that its own heartbeats are late, as they are on a busy machine.
pub fn is_late(event: &Event) -> bool {
    matches!(event, Event::Degraded(reason) if reason.ends_with("this node's own heartbeats do not come back"))
}

/// A channel of this name.
pub fn channel(name: &str) -> Channel {
    Channel::new(name).expect("valid")
}

/// The same broker, with these arguments more for a program of this machine.
pub fn with_arguments(recipe: Recipe, more: &[&str]) -> Recipe {
    recipe.with_program(|program| program.args(more.iter().map(|word| (*word).to_owned())))
}

/// The same broker, with one more command that prepares its folder on this machine.
pub fn prepared_by(recipe: Recipe, command: &[&str]) -> Recipe {
    recipe.with_program(|program| program.prepare(command.iter().map(|word| (*word).to_owned())))
}

/// A certificate authority in this folder (`ca.pem`), and what it signed for this machine: `server.pem`, `client.pem` and
/// their keys (`.key`).
pub fn certificates(folder: &Path) {
    let made = Command::new("sh").args(["-c", certificates::SCRIPT]).current_dir(folder).output().expect("a shell");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
}
