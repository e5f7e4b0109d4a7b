//! The backend of docs/writing-a-backend.md, put to the test; and the page, whose code is this: word for word, as `page.rs` sees to.
#![allow(unreachable_pub, reason = "on the page it is a library")]

use std::collections::{BTreeSet, HashMap};
use std::process::ExitCode;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};

use roomcast_conformance::Subject;
use roomcast_core::backend::{
    Backend, Capabilities, Channel, Connect, Inbox, Limits, Outgoing, PublishError, async_trait,
};
use roomcast_core::{Bytes, Error, ErrorKind, Result};
use tokio::sync::broadcast;

/// The "broker": every clone of it hears everything.
#[derive(Clone)]
pub struct Bus(broadcast::Sender<(String, Bytes)>);

#[async_trait]
impl Connect for Bus {
    async fn connect(&self, inbox: Inbox) -> Result<Arc<dyn Backend>> {
        let link = Arc::new(Link { bus: self.0.clone(), wanted: Mutex::default() });
        tokio::spawn(listen(self.0.subscribe(), Arc::clone(&link), inbox));
        Ok(link)
    }
}

async fn listen(mut arriving: broadcast::Receiver<(String, Bytes)>, link: Arc<Link>, inbox: Inbox) {
    loop {
        let message = tokio::select! {
            () = inbox.closed() => return,
            message = arriving.recv() => message,
        };
        match message {
            Ok((channel, _)) if !link.wanted().contains(channel.as_str()) => {} // what a broker does for others
            Ok((channel, payload)) => {
                while inbox.frame(&channel, payload.clone()).is_err() {
                    inbox.ready().await; // returns as well when the cluster is closed
                }
            }
            Err(broadcast::error::RecvError::Lagged(missed)) => {
                inbox.dropped(format!("{missed} messages were missed")); // losing is allowed, silently is not
                inbox.up(LIMITS);
            }
            Err(broadcast::error::RecvError::Closed) => return inbox.down("the bus is gone"),
        }
    }
}

struct Link {
    bus: broadcast::Sender<(String, Bytes)>,
    wanted: Mutex<BTreeSet<Channel>>,
}

impl Link {
    fn wanted(&self) -> MutexGuard<'_, BTreeSet<Channel>> {
        self.wanted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

const LIMITS: Limits = Limits::max_frame(1 << 20); // the core cuts what is larger

#[async_trait]
impl Backend for Link {
    fn capabilities(&self) -> Capabilities {
        Capabilities::default().ordered() // claim only what is true
    }

    fn limits(&self) -> Limits {
        LIMITS
    }

    async fn subscribe(&self, channels: &[Channel]) -> Result<()> {
        self.wanted().extend(channels.iter().cloned()); // with a real broker: and waits for its word
        Ok(())
    }

    async fn unsubscribe(&self, channels: &[Channel]) -> Result<()> {
        self.wanted().retain(|wanted| !channels.contains(wanted));
        Ok(())
    }

    async fn publish(&self, frames: &[Outgoing]) -> Result<(), PublishError> {
        for (index, frame) in frames.iter().enumerate() {
            if frame.payload.len() > LIMITS.max_frame {
                return Err(PublishError::Refused { index, kind: ErrorKind::TooLarge });
            }
            let gone = |_| PublishError::Unknown(Error::new(ErrorKind::Unavailable, "the bus is gone"));
            self.bus.send((frame.channel.to_string(), frame.payload.clone())).map_err(gone)?;
        }
        Ok(())
    }

    async fn close(&self) -> Result<()> {
        Ok(())
    }
}

impl Bus {
    /// The bus of this name.
    pub fn named(name: &str) -> Self {
        static NAMED: LazyLock<Mutex<HashMap<String, Bus>>> = LazyLock::new(Mutex::default);
        let mut named = NAMED.lock().unwrap_or_else(PoisonError::into_inner);
        named.entry(name.to_owned()).or_insert_with(|| Self(broadcast::Sender::new(1 << 16))).clone()
    }
}

fn main() -> ExitCode {
    roomcast_conformance::main([Subject::new("bus", |url| Ok(Bus::named(url)))])
}
