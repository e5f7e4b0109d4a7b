//! A broker that does what a test says, and a link to it.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use crate::kit::{Authority, Breaker, Keeper, Link, Renewal};
use crate::model::{BrokerInfo, Description, Error, ErrorKind, Limits, Result};
use crate::probe::{Tap, Tapped, Wants};
use crate::seams::{Backend, Capabilities, Channel, Inbox, Outgoing, PublishError, Reason};

/// A broker that may be absent, and remembers what was asked of it.
#[derive(Clone, Default)]
pub(super) struct Broker(Arc<(Mutex<Seen>, Notify)>);

#[derive(Default)]
pub(super) struct Seen {
    pub(super) absent: bool,
    /// What it says to every attempt to connect.
    pub(super) refuses: Option<ErrorKind>,
    pub(super) attempts: usize,
    pub(super) breakers: Vec<Breaker>,
    pub(super) subscribed: Vec<Channel>,
    /// What it says to every subscription that has this channel, or to all.
    pub(super) refusal: Option<ErrorKind>,
    pub(super) refused: Option<Channel>,
    /// Is wanted in the moment of the next subscription.
    pub(super) meanwhile: Option<(Wants, Channel)>,
    /// Where it does not answer.
    pub(super) frozen: Option<Step>,
    /// Where the backend panics.
    pub(super) panics: Option<Step>,
    /// What is wrong with its role.
    pub(super) role: Option<Role>,
    /// How often it was asked for that.
    pub(super) asked: usize,
    pub(super) published: usize,
    pub(super) left: usize,
    /// The link that is up is going to be ended.
    pub(super) leaving: bool,
    /// When the login of the next link ends.
    pub(super) expires: Option<Instant>,
    /// What comes of the next renewals; then the link takes a minute more.
    pub(super) renewals: VecDeque<Renewed>,
    /// When it was asked for them.
    pub(super) renewed: Vec<Instant>,
}

/// What a link asks of a broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Open,
    Authority,
    Subscribe,
}

/// What a broker makes of a renewal.
#[derive(Clone, Copy, Debug)]
pub(super) enum Renewed {
    Becomes(Renewal),
    Fails(ErrorKind),
    Hangs,
    Panics,
}

#[derive(Clone, Copy)]
pub(super) enum Role {
    Replica,
    Unknown,
}

impl Broker {
    /// Waits for ever where the broker does not answer.
    pub(super) async fn answers(&self, step: Step) {
        if self.see(|seen| seen.frozen == Some(step)) {
            std::future::pending().await
        }
        assert!(self.see(|seen| seen.panics != Some(step)), "the backend panics, as the test wants");
    }

    pub(super) fn see<T>(&self, look: impl FnOnce(&mut Seen) -> T) -> T {
        let seen = look(&mut self.0.0.lock().expect("nobody panics"));
        self.0.1.notify_waiters();
        seen
    }

    pub(super) async fn until(&self, so: impl Fn(&Seen) -> bool) {
        let wait = async {
            loop {
                let changed = self.0.1.notified();
                if so(&self.0.0.lock().expect("nobody panics")) {
                    return;
                }
                changed.await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), wait).await.expect("it comes true");
    }

    /// Waits for as long as it takes.
    pub(super) async fn until_ever(&self, mut so: impl FnMut(&mut Seen) -> bool) {
        loop {
            let changed = self.0.1.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if so(&mut self.0.0.lock().expect("nobody panics")) {
                return;
            }
            changed.await;
        }
    }

    /// Trips the breaker of one of the links that were made.
    pub(super) fn trip(&self, link: usize, reason: &str) {
        self.see(|seen| seen.breakers[link].trip(reason));
    }
}

pub(super) struct Wire<const ORDERED: bool = false>(Broker);

impl<const ORDERED: bool> Link for Wire<ORDERED> {
    type Source = Broker;
    type Handle = Broker;
    const BROKER: &'static str = "nothing";
    const CAPABILITIES: Capabilities = if ORDERED { Capabilities::ORDERED } else { Capabilities::NONE };

    async fn open(broker: &mut Broker, _: &Inbox, breaker: Breaker) -> Result<Self> {
        broker.see(|seen| {
            seen.attempts += 1;
            if seen.absent {
                return Err(Error::unavailable("absent"));
            }
            if let Some(kind) = seen.refuses {
                return Err(Error::new(kind, "no"));
            }
            seen.breakers.push(breaker);
            seen.subscribed.clear();
            Ok(())
        })?;
        broker.answers(Step::Open).await;
        Ok(Self(broker.clone()))
    }

    async fn authority(broker: &Broker) -> Result<Authority> {
        let role = broker.see(|seen| {
            seen.asked += 1;
            seen.role
        });
        broker.answers(Step::Authority).await;
        match role {
            None => Ok(Authority::Here),
            Some(Role::Replica) => Ok(Authority::Elsewhere("a replica".into())),
            Some(Role::Unknown) => Err(Error::new(ErrorKind::Denied, "you must not ask")),
        }
    }

    fn handle(&self) -> Broker {
        self.0.clone()
    }

    fn limits(&self) -> Limits {
        Limits::max_frame(1000 + self.0.see(|seen| seen.breakers.len()))
    }

    fn broker(&self) -> Option<BrokerInfo> {
        Some(BrokerInfo::new("Nothing", &self.0.see(|seen| seen.breakers.len()).to_string()))
    }

    async fn describe(broker: &Broker) -> Result<Description> {
        let unknown = vec![format!("{} published", broker.see(|seen| seen.published))];
        Ok(Description { unknown, ..Description::default() })
    }

    async fn subscribe(broker: &Broker, channels: &[Channel]) -> Result<()> {
        broker.answers(Step::Subscribe).await;
        broker.see(|seen| {
            seen.subscribed.extend(channels.iter().cloned());
            if let Some((wants, channel)) = seen.meanwhile.take() {
                wants.add(&[channel]);
            }
            let refused = seen.refused.as_ref().is_none_or(|channel| channels.contains(channel));
            seen.refusal.filter(|_| refused).map_or(Ok(()), |kind| Err(Error::new(kind, "refused")))
        })
    }

    async fn unsubscribe(_: &Broker, _: &[Channel]) -> Result<()> {
        Ok(())
    }

    async fn publish(broker: &Broker, messages: &[Outgoing]) -> Result<(), PublishError> {
        broker.see(|seen| seen.published += messages.len());
        Ok(())
    }

    async fn leaving(broker: &Broker) -> Reason {
        broker.until_ever(|seen| std::mem::take(&mut seen.leaving)).await;
        "it is going to end".into()
    }

    fn expires(&self) -> Option<Instant> {
        self.0.see(|seen| seen.expires)
    }

    async fn renew(broker: &Broker) -> Result<Renewal> {
        let now = tokio::time::Instant::now().into_std();
        let renewed = broker.see(|seen| {
            seen.renewed.push(now);
            seen.renewals.pop_front()
        });
        match renewed.unwrap_or(Renewed::Becomes(Renewal::Until(Some(now + Duration::from_secs(60))))) {
            Renewed::Becomes(renewal) => Ok(renewal),
            Renewed::Fails(kind) => Err(Error::new(kind, "no")),
            Renewed::Hangs => std::future::pending().await,
            Renewed::Panics => panic!("the backend panics, as the test wants"),
        }
    }

    async fn hold(&mut self, _: &Inbox) -> Reason {
        std::future::pending().await
    }

    async fn quit(self) {
        self.0.see(|seen| seen.left += 1);
    }
}

pub(super) fn channels(names: &[&str]) -> Vec<Channel> {
    names.iter().map(|name| Channel::new(name).expect("valid")).collect()
}

/// Subscribed to one channel.
pub(super) async fn kept() -> (Broker, Tap, Keeper<Wire>) {
    let (broker, tap) = (Broker::default(), Tap::new(10, 1000));
    let keeper = Keeper::connect(broker.clone(), tap.inbox()).await.expect("connected");
    tap.wants().add(&channels(&["rc.a"]));
    keeper.subscribe(&channels(&["rc.a"])).await.expect("subscribed");
    (broker, tap, keeper)
}

pub(super) async fn next(tap: &mut Tap) -> Tapped {
    tokio::time::timeout(Duration::from_secs(60), tap.next()).await.expect("something comes")
}

pub(super) async fn down(tap: &mut Tap) -> String {
    match next(tap).await {
        Tapped::Down(reason) => reason.0,
        other => panic!("{other:?}"),
    }
}

pub(super) async fn up(tap: &mut Tap) -> Limits {
    loop {
        match next(tap).await {
            Tapped::Up(limits) => return limits,
            Tapped::Refused(..) => {}
            other => panic!("{other:?}"),
        }
    }
}
