//! Brokers as values: started, killed, paused, asked for their version, and removed when dropped, wherever they run.

pub(crate) mod certificates;
mod choice;
mod command;
mod container;
mod external;
mod filling;
mod fleet;
mod launch;
mod leftovers;
mod local;
mod missing;
mod pair;
mod pg;
mod ports;
mod probe;
pub(crate) mod processes;
mod recipe;
pub mod recipes;
mod resp;
mod server;
mod slots;
mod url;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

pub use self::choice::{Provider, required};
pub use self::filling::Filling;
use self::fleet::Fleet;
pub use self::launch::Launch;
pub use self::missing::MissingBroker;
use self::probe::Target;
pub use self::recipe::Recipe;
pub(crate) use self::recipe::Text;
use self::recipe::{Probe, Second};
use self::url::Url;
use crate::failure::{Failure, Verdict};
use crate::journal::Journal;
use crate::proxy::Proxy;

/// A running broker, of one server or several. Dropping it removes it: its processes or containers, and its folder.
///
/// Local servers end with the test process, even when that is killed; containers of a killed one are removed by the next
/// process that starts a container.
///
/// # Contract
/// A broker belongs to no runtime and can be shared by several. A broker in a `static` is never dropped, and its containers
/// stay until the next run.
///
/// # Examples
/// ```no_run
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), roomcast_conformance::broker::MissingBroker> {
/// use roomcast_conformance::broker::{Broker, recipes};
///
/// let broker = Broker::start(&recipes::redis()).await?;
/// println!("{} {} at {}", broker.name(), broker.version(), broker.url());
/// broker.kill().await?;
/// broker.start_again().await?; // on the same port
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct Broker {
    recipe: Recipe,
    url: Url,
    addresses: Vec<SocketAddr>,
    version: String,
    from: Origin,
    /// Who is told of each fault.
    journal: Mutex<Option<Arc<Journal>>>,
    /// It has been configured otherwise.
    changed: AtomicBool,
}

#[derive(Debug)]
enum Origin {
    Us(Fleet),
    Outside,
}

impl Broker {
    /// Starts a broker, or connects to the one that the environment names, and waits until it is ready.
    ///
    /// The environment decides where it runs: `CONFORMANCE_<SETTING>` is `local`, `container` or a URL. Without it, a container
    /// if a Docker engine answers and has the image or can pull it, else local binaries.
    ///
    /// # Errors
    /// What is missing and why, with the end of the server's log when it did not become ready.
    pub async fn start(recipe: &Recipe) -> Result<Self, MissingBroker> {
        match choice::choose(recipe).await? {
            choice::Choice::Start(place) => Self::start_at(recipe, place).await,
            choice::Choice::Connect(url) => {
                let (addresses, version) = external::connect(recipe, &url).await?;
                Ok(Self {
                    recipe: recipe.clone(),
                    url,
                    addresses,
                    version,
                    from: Origin::Outside,
                    journal: Mutex::default(),
                    changed: AtomicBool::default(),
                })
            }
        }
    }

    /// Starts a broker from a program of this machine, whatever the environment says: for tests that prepare its folder.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub async fn start_here(recipe: &Recipe) -> Result<Self, MissingBroker> {
        let place = choice::here(recipe).await?;
        Self::start_at(recipe, place).await
    }

    async fn start_at(recipe: &Recipe, place: choice::Place) -> Result<Self, MissingBroker> {
        let (fleet, addresses) = Fleet::start(recipe, place).await?;
        let url = fleet.url(recipe);
        let version = fleet.ready(recipe).await?;
        let (journal, changed) = (Mutex::default(), AtomicBool::default());
        Ok(Self { recipe: recipe.clone(), url, addresses, version, from: Origin::Us(fleet), journal, changed })
    }

    /// The recipe's name, for reports.
    pub fn name(&self) -> &str {
        &self.recipe.name
    }

    /// What a backend connects to: `redis://127.0.0.1:20123`, a cluster's servers separated by commas.
    pub fn url(&self) -> String {
        self.url.text()
    }

    /// The same broker, seen through its [`proxy`](Self::proxy).
    pub fn url_through(&self, proxy: &Proxy) -> String {
        let fronts: Vec<_> = proxy.addresses().iter().copied().take(self.addresses.len()).collect();
        self.url.at(&fronts)
    }

    /// The same broker, by one of its servers alone.
    pub fn url_at(&self, address: SocketAddr) -> String {
        self.url.at(&[address])
    }

    /// The same with these addresses in the place of its servers', for one that others stand beside or in front of.
    pub fn url_at_all(&self, addresses: &[SocketAddr]) -> String {
        self.url.at(addresses)
    }

    /// Something between one node and this broker: in front of all servers of a Redis Cluster, which send the node from one to
    /// another, else of the first, where the node stays; there in front of both its ports if clients use both.
    ///
    /// # Errors
    /// When no port or address can be had for it.
    pub async fn proxy(&self) -> std::io::Result<Proxy> {
        match &self.from {
            Origin::Us(fleet) if self.recipe.second == Second::Clients => Proxy::to_each(&fleet.doors()).await,
            _ if self.recipe.probe == Probe::RedisCluster => Proxy::to_each(&self.addresses).await,
            _ => Proxy::to(self.addresses[0]).await,
        }
    }

    /// Where each server listens.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Where the broker runs.
    pub fn provider(&self) -> Provider {
        match &self.from {
            Origin::Us(fleet) => fleet.provider(),
            Origin::Outside => Provider::External,
        }
    }

    /// What the running server said its version is: `7.0.15`. `unknown` where it cannot be asked (an external one by TLS).
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Whether it can be killed, restarted and paused.
    ///
    /// # Errors
    /// Why not: it was not started here.
    pub fn can(&self) -> Result<(), MissingBroker> {
        self.ours("faults").map(drop)
    }

    /// Whether something can stand between a node and it.
    ///
    /// # Errors
    /// Why not: it is an external one by TLS, whose certificate is for its own address, or a Redis Cluster, whose servers send
    /// each client to their own.
    pub(crate) fn can_be_proxied(&self) -> Result<(), MissingBroker> {
        let no = |why| Err(MissingBroker::new("a proxy", why));
        match self.from {
            Origin::Us(_) => Ok(()),
            Origin::Outside if !self.recipe.is_plain(&self.url) => no("the broker is an external one by TLS"),
            Origin::Outside if self.recipe.probe == Probe::RedisCluster => no("the broker is an external cluster"),
            Origin::Outside => Ok(()),
        }
    }

    /// Has every later start take only smaller messages. No other case can use the broker afterwards.
    pub(crate) async fn take_less(&self) -> Verdict {
        let fleet = self.fleet("take less")?;
        self.changed.store(true, Ordering::Relaxed); // also if it fails half-way
        if fleet.take_less(&self.recipe).await? {
            return Ok(());
        }
        self.changed.store(false, Ordering::Relaxed);
        let reason = self.recipe.takes_all.as_deref();
        Err(Failure::unsuited(reason.unwrap_or("the recipe does not say how its broker takes less")))
    }

    /// Makes a broker fit for another case, whatever was done to it: its servers run and are ready.
    ///
    /// # Errors
    /// When they are not, or it is not configured as it was.
    pub(crate) async fn restore(&self) -> Result<(), MissingBroker> {
        if self.changed.load(Ordering::Relaxed) {
            return Err(MissingBroker::new(&*self.recipe.name, "it has been configured otherwise"));
        }
        let _ = self.resume().await; // what does not run has nothing to go on with
        self.start_again().await
    }

    /// Kills all its servers with SIGKILL, and returns when they are gone.
    ///
    /// # Errors
    /// As [`can`](Self::can), or what failed. So with all the faults below.
    pub async fn kill(&self) -> Result<(), MissingBroker> {
        self.fleet("kill")?.each(|server| server.kill()).await
    }

    /// Kills one of its servers with SIGKILL.
    ///
    /// # Errors
    /// As with [`kill`](Self::kill), and when there is no such server.
    pub async fn kill_one(&self, index: usize) -> Result<(), MissingBroker> {
        self.fleet("kill")?.one(index, |server| server.kill()).await
    }

    /// Starts the servers that do not run, on their ports, and returns when the whole broker is ready.
    ///
    /// # Errors
    /// As with [`kill`](Self::kill), with the end of the log of a server that does not become ready.
    pub async fn start_again(&self) -> Result<(), MissingBroker> {
        let fleet = self.fleet("start again")?;
        fleet.each(|server| server.start()).await?;
        fleet.ready(&self.recipe).await.map(drop)
    }

    /// Ends all its servers with SIGTERM and starts them again, one after the other as an operator would.
    ///
    /// # Errors
    /// As with [`start_again`](Self::start_again).
    pub async fn restart_gently(&self) -> Result<(), MissingBroker> {
        let fleet = self.fleet("restart")?;
        for index in 0..self.addresses.len() {
            fleet.one(index, |server| server.stop().and_then(|()| server.start())).await?;
            fleet.ready(&self.recipe).await?;
        }
        Ok(())
    }

    /// Has its operator end all links of clients, if the recipe [says how](Recipe::ends_links); returns whether it does.
    pub(crate) async fn end_links(&self) -> Result<bool, MissingBroker> {
        let (fleet, command) = (self.fleet("end the links of clients")?, &self.recipe.ends_links);
        if !command.is_empty() {
            fleet.operate(self.addresses.len(), command).await?;
        }
        Ok(!command.is_empty())
    }

    /// Gets ready to be [filled](Self::fill), with a restart if that takes one. No other case can use the broker afterwards.
    pub(crate) async fn prepare_to_fill(&self) -> Verdict {
        let prepare = &self.filling()?.prepare;
        if prepare.is_empty() {
            return Ok(());
        }
        self.changed.store(true, Ordering::Relaxed);
        let said = self.fleet("prepare to fill")?.operate(self.addresses.len(), prepare).await?;
        if said.is_empty() { Ok(self.restart_gently().await?) } else { Err(Failure::unsuited(said)) }
    }

    /// Makes it so full that it refuses what is published. Returns the word by which nodes name that.
    pub(crate) async fn fill(&self) -> Verdict<&str> {
        let filling = self.filling()?;
        self.changed.store(true, Ordering::Relaxed);
        self.fleet("fill")?.operate(self.addresses.len(), &filling.fill).await?;
        Ok(&filling.says)
    }

    /// Makes room in it again.
    pub(crate) async fn relieve(&self) -> Verdict {
        self.fleet("make room")?.operate(self.addresses.len(), &self.filling()?.relieve).await?;
        Ok(())
    }

    fn filling(&self) -> Verdict<&Filling> {
        self.recipe.filling.as_ref().map_err(|reason| Failure::unsuited(reason.clone()))
    }

    /// Stops all its servers in their tracks (SIGSTOP): connections stay open, nothing answers.
    ///
    /// # Errors
    /// As with [`kill`](Self::kill).
    pub async fn pause(&self) -> Result<(), MissingBroker> {
        self.fleet("pause")?.each(|server| server.pause()).await
    }

    /// Lets paused servers go on.
    ///
    /// # Errors
    /// As with [`kill`](Self::kill).
    pub async fn resume(&self) -> Result<(), MissingBroker> {
        self.fleet("resume")?.each(|server| server.resume()).await
    }

    /// Runs a program of the operator's where one of the servers runs, and gives what it prints: `rabbitmqctl`, say. On this
    /// machine that is the one beside the server, else the one on the PATH; either way in the server's environment.
    ///
    /// # Errors
    /// As with [`kill_one`](Self::kill_one); or what the program complains of.
    pub async fn run(&self, index: usize, command: &[&str]) -> Result<String, MissingBroker> {
        self.fleet("run a program")?.run(index, command).await
    }

    /// The end of the log of each server, for a report of a failure. Empty for an external broker. Blocks.
    pub(crate) fn log_tail(&self) -> String {
        match &self.from {
            Origin::Us(fleet) => fleet.log_tail(),
            Origin::Outside => String::new(),
        }
    }

    /// Which slot of a Redis Cluster a channel is in.
    ///
    /// # Errors
    /// When it is no Redis Cluster, or does not answer.
    pub async fn slot_of(&self, channel: &str) -> Result<u16, MissingBroker> {
        slots::of(self.first(), channel).await.map_err(|why| MissingBroker::new("slot", why))
    }

    /// Which master of a Redis Cluster has this slot now, as an index into [`addresses`](Self::addresses).
    ///
    /// # Errors
    /// When it is no Redis Cluster, or does not answer.
    pub async fn slot_owner(&self, slot: u16) -> Result<usize, MissingBroker> {
        slots::owner(&self.targets(), slot).await.map_err(|why| MissingBroker::new("slot", why))
    }

    /// Moves a slot of a Redis Cluster from one master to another while it runs, as resharding does it.
    ///
    /// The slot has to be empty: pub/sub leaves no keys.
    ///
    /// # Errors
    /// As [`can`](Self::can); when it is no Redis Cluster, or `from` does not own the slot.
    pub async fn migrate_slot(&self, slot: u16, from: usize, to: usize) -> Result<(), MissingBroker> {
        self.fleet("migrate a slot")?;
        slots::migrate(&self.targets(), slot, from, to).await.map_err(|why| MissingBroker::new("slot", why))
    }

    /// Has every fault written down from now on.
    pub(crate) fn told_to(&self, journal: Arc<Journal>) {
        *self.journal.lock().unwrap_or_else(PoisonError::into_inner) = Some(journal);
    }

    fn fleet(&self, what: &'static str) -> Result<&Fleet, MissingBroker> {
        if let Some(journal) = &*self.journal.lock().unwrap_or_else(PoisonError::into_inner) {
            journal.note(format_args!("broker: {what}"));
        }
        self.ours(what)
    }

    fn ours(&self, what: &'static str) -> Result<&Fleet, MissingBroker> {
        match &self.from {
            Origin::Us(fleet) => Ok(fleet),
            Origin::Outside => {
                Err(MissingBroker::new(what, "the broker is an external one, which is not ours to disturb"))
            }
        }
    }

    fn first(&self) -> Target<'_> {
        Target { address: self.addresses[0], url: Some(&self.url) }
    }

    fn targets(&self) -> Vec<Target<'_>> {
        self.addresses.iter().map(|&address| Target { address, url: Some(&self.url) }).collect()
    }
}
