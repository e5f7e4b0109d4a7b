//! A TCP proxy between one node and its broker, which breaks the link in every way a case asks for.

mod faults;
mod link;
#[cfg(test)]
mod tests;

use std::fmt::Display;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use self::faults::{Faults, Meter, Ways};
use crate::journal::Journal;

/// A proxy in front of a broker's server, or of each of its servers. Dropping it cuts all its connections.
///
/// # Contract
/// A fault holds from the moment its method returns, but for bytes which the proxy is writing just then. Bytes that wait in
/// the proxy because of a delay are lost with a cut or a black hole, as they would be in a network.
///
/// # Examples
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> std::io::Result<()> {
/// use roomcast_conformance::proxy::Proxy;
///
/// # let broker = tokio::net::TcpListener::bind("127.0.0.1:0").await?.local_addr()?;
/// let proxy = Proxy::to(broker).await?;
/// let link = tokio::net::TcpStream::connect(proxy.address()).await?;
/// proxy.black_hole(); // the link stays open and is dead
/// proxy.cut(); // now it is reset, and the next one works
/// # drop(link); Ok(()) }
/// ```
#[derive(Debug)]
pub struct Proxy {
    /// At least one.
    addresses: Vec<SocketAddr>,
    // The only strong one: its end is the sign for every task of this proxy to cut and to end.
    faults: Arc<watch::Sender<Faults>>,
    meter: Arc<Meter>,
    /// Who is told of each fault.
    journal: Option<Arc<Journal>>,
}

/// What went through a [`Proxy`] since it began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counts {
    /// Bytes handed to the broker.
    pub to_broker: u64,
    /// Bytes handed to the client. What was dropped does not count.
    pub to_client: u64,
    /// Connections accepted, those refused at once among them.
    pub accepted: u64,
    /// Connections that are open now, black-holed ones among them.
    pub open: u64,
}

impl Proxy {
    /// Listens on a free port of 127.0.0.1 for connections to this address.
    ///
    /// # Errors
    /// When no port can be had.
    pub async fn to(upstream: SocketAddr) -> std::io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let proxy = Self::new(vec![listener.local_addr()?]);
        proxy.carry(listener, upstream);
        Ok(proxy)
    }

    /// Listens for connections to each of these servers, on the server's own port at an address of 127.0.0.0/8 that no other
    /// proxy of this process has: for servers that send a client on to each other by the port alone, as those of
    /// [`redis_cluster`](crate::recipes::redis_cluster) do. What is broken and counted is that of all of them together.
    ///
    /// # Errors
    /// When there are no servers, or one of the ports cannot be had, or the address: Linux has all, others those that were set up.
    pub async fn to_each(servers: &[SocketAddr]) -> std::io::Result<Self> {
        static NEXT: AtomicU16 = AtomicU16::new(1);
        if servers.is_empty() {
            return Err(std::io::ErrorKind::InvalidInput.into());
        }
        let [high, low] = NEXT.fetch_add(1, Ordering::Relaxed).to_be_bytes();
        let host = Ipv4Addr::new(127, 1, high, low);
        let proxy = Self::new(servers.iter().map(|server| (host, server.port()).into()).collect());
        for (address, server) in proxy.addresses.iter().zip(servers) {
            proxy.carry(TcpListener::bind(address).await?, *server);
        }
        Ok(proxy)
    }

    fn new(addresses: Vec<SocketAddr>) -> Self {
        Self { addresses, faults: Arc::default(), meter: Arc::default(), journal: None }
    }

    /// Has every fault written down.
    pub(crate) fn told_to(mut self, journal: Arc<Journal>) -> Self {
        self.journal = Some(journal);
        self
    }

    fn fault(&self, what: impl Display, change: impl FnOnce(&mut Faults)) {
        if let Some(journal) = &self.journal {
            journal.note(format_args!("proxy {}: {what}", self.address()));
        }
        self.faults.send_modify(change);
    }

    /// Serves a listener with a task that ends by itself when `faults` is dropped with the proxy, and owns those of all links.
    fn carry(&self, listener: TcpListener, upstream: SocketAddr) {
        let (faults, all) = (self.faults.subscribe(), Arc::downgrade(&self.faults));
        tokio::spawn(accept(listener, Ways { upstream, faults, all, meter: Arc::clone(&self.meter) }));
    }

    /// Where to connect instead of to the broker, or to the first of its servers.
    pub fn address(&self) -> SocketAddr {
        self.addresses[0]
    }

    /// Where to connect instead of to each of the servers that it stands before.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Resets every connection, on both sides. New ones are accepted.
    pub fn cut(&self) {
        self.fault("cut", |faults| faults.cut += 1);
    }

    /// From now on a new connection is reset at once, until [`accept`](Self::accept). Those that exist live on.
    pub fn refuse(&self) {
        self.fault("refuse", |faults| faults.refuse = true);
    }

    /// Ends [`refuse`](Self::refuse).
    pub fn accept(&self) {
        self.fault("accept", |faults| faults.refuse = false);
    }

    /// Every connection stays open, and no byte moves on it any more, for good: half-open links. New ones work.
    pub fn black_hole(&self) {
        self.fault("black hole", |faults| faults.hole += 1);
    }

    /// [`black_hole`](Self::black_hole), and from now on the same for every new connection: it is accepted, and dead for good.
    pub fn black_hole_all(&self) {
        self.fault("black hole, also for new links", |faults| {
            faults.hole_all = true;
            faults.hole += 1;
        });
    }

    /// Ends [`black_hole_all`](Self::black_hole_all): new connections work, those that exist stay dead.
    pub fn black_hole_no_more(&self) {
        self.fault("no black hole for new links", |faults| faults.hole_all = false);
    }

    /// Every byte comes so much later, in each direction; zero ends it.
    pub fn delay(&self, by: Duration) {
        self.fault(format_args!("delay by {by:?}"), |faults| faults.delay = by);
    }

    /// At most so many bytes a second pass on each connection, in each direction; `None` ends it. Zero counts as one.
    pub fn throttle(&self, bytes_per_second: Option<u64>) {
        self.fault(format_args!("bytes a second: {bytes_per_second:?}"), |faults| faults.throttle = bytes_per_second);
    }

    /// After exactly so many more bytes to the clients, over all connections, everything is cut, once.
    pub fn drop_after(&self, bytes: u64) {
        self.fault(format_args!("cut after {bytes} more bytes"), |_| self.meter.allow(bytes));
        if bytes == 0 {
            self.cut();
        }
    }

    /// What the broker sends to the client vanishes, so that nobody knows whether a publish was done, until
    /// [`pass_replies`](Self::pass_replies).
    pub fn drop_replies(&self) {
        self.fault("drop replies", |faults| faults.drop_replies = true);
    }

    /// Ends [`drop_replies`](Self::drop_replies).
    pub fn pass_replies(&self) {
        self.fault("pass replies", |faults| faults.drop_replies = false);
    }

    /// What the client sends to the broker vanishes, while it hears everything, until [`pass_requests`](Self::pass_requests).
    pub fn drop_requests(&self) {
        self.fault("drop requests", |faults| faults.drop_requests = true);
    }

    /// Ends [`drop_requests`](Self::drop_requests).
    pub fn pass_requests(&self) {
        self.fault("pass requests", |faults| faults.drop_requests = false);
    }

    /// From now on every new connection carries so many bytes to the client, and is dead behind them, for good: a server that
    /// freezes in the middle of what it says first. `None` ends it; what is frozen stays so.
    pub fn freeze_after(&self, bytes: Option<u64>) {
        self.fault(format_args!("new links freeze after {bytes:?} bytes"), |faults| faults.freeze_after = bytes);
    }

    /// What went through so far.
    pub fn counts(&self) -> Counts {
        self.meter.counts()
    }
}

async fn accept(listener: TcpListener, mut ways: Ways) {
    let mut links = JoinSet::new();
    loop {
        let client = tokio::select! {
            accepted = listener.accept() => accepted.map(|(client, _)| client),
            Some(_) = links.join_next() => continue,
            changed = ways.faults.changed() => if changed.is_err() { break } else { continue },
        };
        // An error is one connection that was gone before it was accepted.
        let Ok(client) = client else { continue };
        ways.meter.accepted.fetch_add(1, Ordering::Relaxed);
        let birth = *ways.faults.borrow();
        if birth.refuse {
            reset(client);
        } else {
            links.spawn(link::serve(client, birth, ways.clone()));
        }
    }
    drop(listener);
    while links.join_next().await.is_some() {}
}

/// Ends a connection with RST instead of FIN.
fn reset(stream: TcpStream) {
    // It fails when the other side has reset the connection already.
    let _ = stream.set_zero_linger();
}
