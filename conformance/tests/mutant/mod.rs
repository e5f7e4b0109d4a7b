//! The embedded backend with something wrong with it.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::Duration;

use roomcast_core::backend::{
    Backend, Capabilities, Channel, Connect, Inbox, Limits, Outgoing, PublishError, async_trait,
};
use roomcast_core::probe::{Tap, Tapped, Wants};
use roomcast_core::{Bytes, Error, ErrorKind, Memory, Result};

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    None,
    DropsEverySeventh,
    DropsOneOfManyThatAreReceived,
    SendsTwice,
    SwapsWhatItClaimsToOrder,
    LeaksIntoOtherChannels,
    MixesUpperAndLowerCase,
    ConfirmsTooEarly,
    SubscribesToTheFirstAlone,
    SaysOkWhileDropping,
    SaysOkBeforeItHasSent,
    CorruptsAByte,
    LosesEmptyPayloads,
    EndsAtALineBreak,
    HidesOwnFrames,
    HangsOnClose,
    HangsAfterClose,
    TakesMoreThanItsLimit,
    RefusesTheWrongOne,
    SendsWhatFollowsARefusal,
    GoesDeafSilently,
    DropsSilentlyWhenFull,
    NeverUnsubscribes,
    FailsWhereNobodyReads,
    LeavesATask,
    PromisesTooSmallAFrame,
}

const MAX_FRAME: usize = 100_000;

/// A broker in this process, reached in a way that has a fault.
pub(crate) struct Mutant {
    url: String,
    fault: Fault,
}

impl Mutant {
    pub(crate) fn new(url: &str, fault: Fault) -> Self {
        Self { url: url.to_owned(), fault }
    }

    fn memory(&self) -> Memory {
        static NAMED: LazyLock<Mutex<HashMap<String, Memory>>> = LazyLock::new(Mutex::default);
        let mut named = NAMED.lock().unwrap_or_else(PoisonError::into_inner);
        let limits = Limits::max_frame(MAX_FRAME + usize::from(self.fault == Fault::TakesMoreThanItsLimit) * MAX_FRAME);
        named.entry(self.url.clone()).or_insert_with(|| Memory::with_limits(limits)).clone()
    }
}

/// Long enough for a test that did not wait to be first.
const LATE: Duration = Duration::from_millis(5);
/// What somebody has subscribed to, in all clusters of this process.
static READ: LazyLock<Mutex<HashSet<Channel>>> = LazyLock::new(Mutex::default);

struct Link {
    fault: Fault,
    inner: Arc<dyn Backend>,
    wants: Wants,
    publishes: AtomicUsize,
    closed: Arc<AtomicBool>,
    own: Own,
}

/// What this link has published.
type Own = Arc<Mutex<Vec<Bytes>>>;

#[async_trait]
impl Connect for Mutant {
    async fn connect(&self, inbox: Inbox) -> Result<Arc<dyn Backend>> {
        let tap = Tap::new(65_536, 512 << 20);
        let inner = self.memory().connect(tap.inbox()).await?;
        let (wants, own) = (tap.wants(), Own::default());
        let hand_over = hand_over(self.fault, tap, inbox.clone(), Arc::clone(&own));
        let fault = self.fault;
        tokio::spawn(async move {
            tokio::select! {
                () = hand_over => {}
                () = inbox.closed() => {}
            }
            if fault == Fault::LeavesATask {
                std::future::pending::<()>().await;
            }
        });
        let (publishes, closed) = (AtomicUsize::new(0), Arc::default());
        Ok(Arc::new(Link { fault, inner, wants, publishes, closed, own }))
    }
}

/// Hands over what the healthy link receives.
async fn hand_over(fault: Fault, mut tap: Tap, inbox: Inbox, own: Own) {
    let mut count = 0;
    loop {
        let (channel, payload) = match tap.next().await {
            Tapped::Frame(channel, payload) => (channel, payload),
            Tapped::Down(reason) => {
                inbox.down(reason);
                continue;
            }
            Tapped::Up(limits) => {
                inbox.up(limits);
                continue;
            }
            Tapped::Refused(..) => continue,
        };
        count += 1;
        match fault {
            Fault::DropsOneOfManyThatAreReceived if count % 23 == 0 => continue,
            Fault::GoesDeafSilently if count > 300 => continue,
            Fault::HidesOwnFrames if is_own(&own, &payload) => continue,
            Fault::DropsSilentlyWhenFull => {
                let _ = inbox.frame(channel.as_str(), payload); // the fault
                tokio::task::yield_now().await;
                continue;
            }
            _ => {}
        }
        let leaks = fault == Fault::LeaksIntoOtherChannels;
        let channels = if leaks { inbox.channels() } else { vec![channel] };
        for channel in channels {
            while inbox.frame(channel.as_str(), payload.clone()).is_err() {
                inbox.ready().await;
            }
        }
    }
}

fn is_own(own: &Own, payload: &Bytes) -> bool {
    let own = own.lock().unwrap_or_else(PoisonError::into_inner);
    own.iter().any(|own| own.as_ptr() == payload.as_ptr())
}

impl Link {
    fn renamed(&self, channels: &[Channel]) -> Vec<Channel> {
        channels.iter().map(|channel| self.rename(channel)).collect()
    }

    fn rename(&self, channel: &Channel) -> Channel {
        if self.fault == Fault::MixesUpperAndLowerCase {
            return Channel::new(&channel.as_str().to_lowercase()).expect("as well formed as before");
        }
        channel.clone()
    }

    async fn hang_after_close(&self) {
        if self.fault == Fault::HangsAfterClose && self.closed.load(Ordering::Relaxed) {
            std::future::pending::<()>().await;
        }
    }

    /// The frames as this link would send them.
    fn spoiled(&self, frames: &[Outgoing]) -> Vec<Outgoing> {
        let first = self.publishes.fetch_add(frames.len(), Ordering::Relaxed);
        let mut spoiled = Vec::new();
        for (at, frame) in frames.iter().enumerate() {
            let (channel, mut payload) = (self.rename(&frame.channel), frame.payload.clone());
            match self.fault {
                Fault::DropsEverySeventh if (first + at) % 7 == 6 => continue,
                Fault::SendsTwice => spoiled.push(Outgoing::new(channel.clone(), payload.clone())),
                Fault::LosesEmptyPayloads if payload.is_empty() => continue,
                Fault::EndsAtALineBreak => {
                    let end = payload.windows(2).position(|pair| pair == b"\r\n");
                    payload.truncate(end.unwrap_or(payload.len()));
                }
                Fault::CorruptsAByte if payload.len() > 1_000 => {
                    let mut bytes = payload.to_vec();
                    bytes[payload.len() - 7] ^= 4;
                    payload = bytes.into();
                }
                _ => {}
            }
            spoiled.push(Outgoing::new(channel, payload));
        }
        if self.fault == Fault::SwapsWhatItClaimsToOrder && spoiled.len() > 1 {
            spoiled.swap(0, 1);
        }
        spoiled
    }
}

#[async_trait]
impl Backend for Link {
    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    fn limits(&self) -> Limits {
        let mut limits = Limits::max_frame(MAX_FRAME);
        if self.fault == Fault::PromisesTooSmallAFrame {
            limits.max_frame = 100;
        }
        limits
    }

    async fn subscribe(&self, channels: &[Channel]) -> Result<()> {
        self.hang_after_close().await;
        READ.lock().unwrap_or_else(PoisonError::into_inner).extend(channels.iter().cloned());
        let mut channels = self.renamed(channels);
        self.wants.add(&channels);
        match self.fault {
            Fault::ConfirmsTooEarly => {
                let inner = Arc::clone(&self.inner);
                tokio::spawn(async move {
                    tokio::time::sleep(LATE).await; // the fault
                    inner.subscribe(&channels).await
                });
                Ok(())
            }
            Fault::SubscribesToTheFirstAlone => {
                channels.truncate(1);
                self.inner.subscribe(&channels).await
            }
            _ => self.inner.subscribe(&channels).await,
        }
    }

    async fn unsubscribe(&self, channels: &[Channel]) -> Result<()> {
        self.hang_after_close().await;
        if self.fault == Fault::NeverUnsubscribes {
            return Ok(());
        }
        self.inner.unsubscribe(&self.renamed(channels)).await
    }

    async fn publish(&self, frames: &[Outgoing]) -> Result<(), PublishError> {
        self.hang_after_close().await;
        let spoiled = self.spoiled(frames);
        self.own
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .extend(spoiled.iter().map(|frame| frame.payload.clone()));
        match self.fault {
            Fault::SaysOkWhileDropping if self.publishes.load(Ordering::Relaxed).is_multiple_of(3) => return Ok(()),
            Fault::SaysOkBeforeItHasSent => {
                let (inner, closed) = (Arc::clone(&self.inner), Arc::clone(&self.closed));
                tokio::spawn(async move {
                    tokio::time::sleep(LATE).await; // the fault
                    if !closed.load(Ordering::Relaxed) {
                        let _ = inner.publish(&spoiled).await; // the fault
                    }
                });
                return Ok(());
            }
            Fault::FailsWhereNobodyReads => {
                let read = READ.lock().unwrap_or_else(PoisonError::into_inner);
                if frames.iter().any(|frame| !read.contains(&frame.channel)) {
                    let error = Error::new(ErrorKind::Unavailable, "nobody reads this channel");
                    return Err(PublishError::Unknown(error));
                }
            }
            _ => {}
        }
        match (self.inner.publish(&spoiled).await, self.fault) {
            (Err(PublishError::Refused { index, kind }), Fault::RefusesTheWrongOne) => {
                Err(PublishError::Refused { index: index + 1, kind })
            }
            (Err(PublishError::Refused { index, kind }), Fault::SendsWhatFollowsARefusal) => {
                let _ = self.inner.publish(&spoiled[index + 1..]).await; // the fault
                Err(PublishError::Refused { index, kind })
            }
            (result, _) => result,
        }
    }

    async fn close(&self) -> Result<()> {
        self.closed.store(true, Ordering::Relaxed);
        if self.fault == Fault::HangsOnClose {
            std::future::pending::<()>().await;
        }
        self.inner.close().await
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.closed.store(true, Ordering::Relaxed);
    }
}
