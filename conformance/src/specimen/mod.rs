//! A node in a process of its own, which says what it costs that process.
//!
//! Cases run beside each other in one process. Of its threads, its files, its memory and its log nobody could say which case's they
//! are.

mod census;
mod heartbeat;
mod inside;
mod log;

use std::time::Duration;

use adapter_core::Socket;
use adapter_core::backend::Channel;
use futures_util::FutureExt;

pub(crate) use self::census::Census;
pub(crate) use self::inside::asked_for;
use crate::failure::{Failure, Verdict};
use crate::node::Node;
use crate::process::Process;
use crate::proxy::Proxy;
use crate::scene::Scene;

/// The argument by which this program is one.
const SPECIMEN: &str = "--specimen";
/// How long it may take for what it has to say. A process starts slowly on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A node in a process of its own, as the case sees it. Dropping it kills it.
pub(crate) struct Specimen {
    process: Process,
}

impl Specimen {
    /// A node behind this proxy, connected.
    pub(crate) async fn node(scene: &Scene, proxy: &Proxy) -> Verdict<Self> {
        Self::start(scene, proxy, &["node"]).await
    }

    /// A backend without a node behind this proxy, subscribed to this channel. It takes nothing until it has to [`drain`](Self::drain).
    pub(crate) async fn idler(scene: &Scene, proxy: &Proxy, channel: &Channel) -> Verdict<Self> {
        Self::start(scene, proxy, &["idler", channel.as_str()]).await
    }

    async fn start(scene: &Scene, proxy: &Proxy, role: &[&str]) -> Verdict<Self> {
        let (label, url) = (scene.subject.label(), scene.url_through(proxy)?);
        let arguments = [SPECIMEN, &label, &url, &scene.cluster].into_iter().chain(role.iter().copied());
        let mut process = Process::start(arguments)?;
        process.says("ready", PATIENCE).await?;
        Ok(Self { process })
    }

    /// What its process has and has done by now.
    pub(crate) async fn census(&mut self) -> Verdict<Census> {
        self.process.tell("census")?;
        Census::parse(&self.process.line("its census", PATIENCE).await?)
    }

    /// Waits until it has heard this node, and this node has heard it, after this call.
    pub(crate) async fn hears(&mut self, near: &Node, socket: &mut Socket) -> Verdict {
        let mark = format!("{:x}", getrandom::u64().map_err(Failure::new)?);
        let heard = format!("heard {mark}");
        let wait = async {
            let mut again = tokio::time::interval(Duration::from_millis(20));
            loop {
                again.tick().await;
                // What is refused here is tried again.
                drop(near.chat.timeout(Duration::ZERO).emit(format!("knock {mark}")).await);
                while let Some(Some(delivery)) = socket.next().now_or_never() {
                    if delivery.packet.data == heard {
                        return;
                    }
                }
            }
        };
        let deaf = || Failure::new("the node in a process of its own is deaf, or nobody hears it");
        tokio::time::timeout(PATIENCE, wait).await.map_err(|_| deaf())
    }

    /// Has an [`idler`](Self::idler) take everything up to the payload `end`; returns once it has.
    pub(crate) async fn drain(&mut self) -> Verdict {
        self.process.tell("drain")?;
        self.process.says("drained", PATIENCE).await
    }
}
