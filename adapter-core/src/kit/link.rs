//! A link to a broker, as [`Keeper`](crate::backend::Keeper) keeps it.

use std::time::{Duration, Instant};

use tokio::sync::watch;

use crate::kit::Renewal;
use crate::model::{BrokerInfo, Description, Limits, Result};
use crate::seams::{Capabilities, Channel, Inbox, Outgoing, PublishError, Reason};

/// One link to a broker, from connecting to breaking: as many connections as it takes, and what hands over what they hear.
/// [`Keeper`](crate::backend::Keeper) makes one after the other and is the [`Backend`](crate::backend::Backend), for clients that work in tasks of
/// their own.
///
/// # Contract
/// - Every future may be dropped at any await.
/// - Dropped, the link is cut, and calls that are under way on it end.
///
/// # Examples
/// ```
/// # use roomcast_core::backend::{Authority, Breaker, Channel, Inbox, Limits, Outgoing, PublishError, Reason};
/// use std::sync::Arc;
///
/// use roomcast_core::Result;
/// use roomcast_core::backend::async_trait;
/// use roomcast_core::backend::{Backend, Connect, Keeper, Link};
///
/// # #[derive(Clone)]
/// struct Broker; // its address, and who we are to it
/// # #[derive(Clone)]
/// struct Client; // of the broker's client crate
/// struct Wire(Client);
///
/// #[async_trait]
/// impl Connect for Broker {
///     async fn connect(&self, inbox: Inbox) -> Result<Arc<dyn Backend>> {
///         Ok(Arc::new(Keeper::<Wire>::connect(self.clone(), inbox).await?))
///     }
/// }
///
/// impl Link for Wire {
///     type Source = Broker;
///     type Handle = Client;
///     const BROKER: &'static str = "the broker";
///
///     async fn open(broker: &mut Broker, inbox: &Inbox, breaker: Breaker) -> Result<Self> {
///         // connect, and start to hand over what arrives
/// #       let _ = (broker, inbox, breaker);
/// #       Ok(Self(Client))
///     }
///     async fn authority(client: &Client) -> Result<Authority> {
///         // ask the server for its role
/// #       let _ = client;
///         Ok(Authority::Here)
///     }
///     async fn publish(client: &Client, messages: &[Outgoing]) -> Result<(), PublishError> {
///         // send, and wait for the broker's word
/// #       let _ = (client, messages);
/// #       Ok(())
///     }
///     // and the rest
/// #   fn handle(&self) -> Client {
/// #       self.0.clone()
/// #   }
/// #   fn limits(&self) -> Limits {
/// #       Limits::max_frame(1 << 20)
/// #   }
/// #   async fn subscribe(_: &Client, _: &[Channel]) -> Result<()> {
/// #       Ok(())
/// #   }
/// #   async fn unsubscribe(_: &Client, _: &[Channel]) -> Result<()> {
/// #       Ok(())
/// #   }
/// #   async fn hold(&mut self, _: &Inbox) -> Reason {
/// #       std::future::pending().await
/// #   }
/// #   async fn quit(self) {}
/// }
/// ```
pub trait Link: Sized + Send + 'static {
    /// How a link is made: the configuration, and what one attempt tells the next.
    type Source: Send + 'static;
    /// What the backend's calls go over while the link is up.
    type Handle: Clone + Send + Sync + 'static;
    /// The broker's name, for errors and logs.
    const BROKER: &'static str;
    /// What every link promises beyond moving messages; nothing, by default.
    const CAPABILITIES: Capabilities = Capabilities::NONE;

    /// Connects, and hands what is received to the inbox from then on. Nothing is subscribed yet.
    ///
    /// # Errors
    /// `Config`, `Denied` or `Unavailable`.
    fn open(source: &mut Self::Source, inbox: &Inbox, breaker: Breaker) -> impl Future<Output = Result<Self>> + Send;

    /// How long one attempt may take: [opening](Self::open), the question for the [authority](Self::authority) and
    /// [subscribing](Self::subscribe) together; 20 ms more for each channel that is wanted. An attempt that takes longer is dropped, and the next one begins. 10 s by
    /// default, which lets links pass that are slow or have TLS; a link that tries several servers in turn needs more.
    fn timeout(_source: &Self::Source) -> Duration {
        Duration::from_secs(10)
    }

    /// Asks the server whether it is the authority: whether what is published there reaches every node of a correctly configured
    /// cluster. A replica is not. It may accept what is published and deliver it to its own clients alone, so that its nodes
    /// believe in a healthy link and form a cluster of their own.
    ///
    /// [`Keeper`](crate::backend::Keeper) asks before a link counts as connected and every 2 s while it is up.
    /// [`Authority::Elsewhere`] fails the attempt or takes the link down; either way the keeper connects again. An error,
    /// or a question that takes longer than 2 s, fails the attempt too, but says nothing about a link that is up: the pings of
    /// [`hold`](Self::hold) find a server that does not reply.
    ///
    /// A broker whose servers all carry what is published, or refuse it when they cannot, has no such role. Return
    /// `Ok(Authority::Here)` for it, and say in a comment why that is right.
    ///
    /// # Errors
    /// `Denied` or `Unavailable`, when the question failed.
    fn authority(handle: &Self::Handle) -> impl Future<Output = Result<Authority>> + Send;

    /// What calls are made through.
    fn handle(&self) -> Self::Handle;

    /// What this link allows.
    fn limits(&self) -> Limits;

    /// Which broker this link leads to, as it said while the link was made; `None`, the default, when it did not say. Asked once, after
    /// the [authority](Self::authority).
    fn broker(&self) -> Option<BrokerInfo> {
        None
    }

    /// As [`Backend::describe`](crate::backend::Backend::describe), on this link. By default nothing is known. Without a
    /// [`broker`](Description::broker) in it, the keeper adds what [`broker`](Self::broker) returned.
    ///
    /// # Errors
    /// Those of that.
    ///
    /// # Cancel safety
    /// Must be safe.
    fn describe(_handle: &Self::Handle) -> impl Future<Output = Result<Description>> + Send {
        std::future::ready(Ok(Description::default()))
    }

    /// As [`Backend::subscribe`](crate::backend::Backend::subscribe), on this link.
    ///
    /// # Errors
    /// After `Config` and `Denied` the link is kept, after any other it is made again.
    fn subscribe(handle: &Self::Handle, channels: &[Channel]) -> impl Future<Output = Result<()>> + Send;

    /// As [`Backend::unsubscribe`](crate::backend::Backend::unsubscribe).
    ///
    /// # Errors
    /// Those of that.
    fn unsubscribe(handle: &Self::Handle, channels: &[Channel]) -> impl Future<Output = Result<()>> + Send;

    /// As [`Backend::publish`](crate::backend::Backend::publish), for messages within the link's limits; at least one.
    ///
    /// # Errors
    /// Those of that.
    fn publish(handle: &Self::Handle, messages: &[Outgoing]) -> impl Future<Output = Result<(), PublishError>> + Send;

    /// Does what a link needs while it is up (pings, handing over); returns why it is of no use any more. Called once for a link.
    fn hold(&mut self, inbox: &Inbox) -> impl Future<Output = Reason> + Send;

    /// Waits until the server announces that it will end this link: a planned shutdown. The keeper then makes the next
    /// link while this one still works, and switches to it once everything is subscribed there: nothing is missed, and no outage
    /// is reported. It tries until that has succeeded or this link breaks. For a moment both links hand over what they receive; the core
    /// drops the duplicates. The default waits for ever.
    ///
    /// A publisher's messages may overtake each other in that moment, so the keeper does not listen to this where a link claims to
    /// be [ordered](Capabilities::ordered).
    ///
    /// # Cancel safety
    /// Must be safe.
    fn leaving(_handle: &Self::Handle) -> impl Future<Output = Reason> + Send {
        std::future::pending()
    }

    /// When the broker ends this link for its login: [`Login::expires`](crate::backend::Login::expires) of the one that it was made
    /// with. Never, by default.
    fn expires(&self) -> Option<Instant> {
        None
    }

    /// Logs in with the next login on the link as it stands. Called when about three quarters of the time have passed until it
    /// [expires](Self::expires), and again after a pause as long as it fails. By default a link keeps its login; if it is not
    /// [ordered](Capabilities::ordered), a successor is made as for one that is [leaving](Self::leaving), else its end is an outage.
    ///
    /// # Errors
    /// `Config` and `Denied` are told to the application. One that takes 10 s is dropped, and counts as `Unavailable`.
    ///
    /// # Cancel safety
    /// Must be safe.
    fn renew(_handle: &Self::Handle) -> impl Future<Output = Result<Renewal>> + Send {
        std::future::ready(Ok(Renewal::BySuccessor))
    }

    /// Says goodbye to a broker that is reachable: returns once the broker has forgotten this node, or after about a second. A link that has a
    /// successor hands over first what it has received; it is cut off after 5 s.
    fn quit(self) -> impl Future<Output = ()> + Send;
}

/// What [`Link::authority`] returns.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Authority {
    /// What is published at this server reaches all nodes.
    Here,
    /// Another server has to be used. The reason says what this server is and what to do about it. It becomes the text of the
    /// error at connecting, or the reason why a link goes down. It must hold no secrets.
    Elsewhere(Reason),
}

/// Gives a link up that is of no use although its connections live. Clones break the same link.
///
/// [`Link::open`] is given the one that [`Keeper`](crate::backend::Keeper) listens to. A backend may make others
/// ([`default`](Self::default)) for parts that it gives up separately, such as one of several connections that it tries.
#[derive(Clone, Debug, Default)]
pub struct Breaker(watch::Sender<Option<Reason>>);

impl Breaker {
    /// Gives the link up; the keeper then makes a new one. The first reason counts: later calls do nothing.
    pub fn trip(&self, reason: impl Into<Reason>) {
        let reason = reason.into();
        self.0.send_if_modified(|tripped| {
            let first = tripped.is_none();
            tripped.get_or_insert(reason);
            first
        });
    }

    /// Whether the link was given up.
    pub fn is_tripped(&self) -> bool {
        self.0.borrow().is_some()
    }

    /// Waits until the link is given up; returns why.
    ///
    /// # Cancel safety
    /// Safe.
    pub async fn tripped(&self) -> Reason {
        let mut reasons = self.0.subscribe();
        let reason = reasons.wait_for(Option::is_some).await.ok().and_then(|reason| reason.clone());
        reason.expect("`self` holds the sender, and the wait ended with a reason")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_first_reason_counts_for_all_clones() {
        let breaker = Breaker::default();
        let clone = breaker.clone();
        assert!(!clone.is_tripped());
        let (reason, ()) = tokio::join!(clone.tripped(), async {
            breaker.trip("first");
            breaker.trip("second");
        });
        assert_eq!((reason, clone.is_tripped()), ("first".into(), true));
        assert_eq!(breaker.tripped().await, "first".into(), "it stays so");
    }
}
