//! All servers of a broker that was started here.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval, timeout_at};

use super::choice::Place;
use super::container::{self, Container, Network};
use super::leftovers::Folder;
use super::local::Process;
use super::pair::Pair;
use super::ports::Port;
use super::probe::Target;
use super::recipe::{Probe, Second, Setup, Text};
use super::server::{Places, Server};
use super::url::Url;
use super::{Launch, MissingBroker, Provider, Recipe, command, local, probe, slots};

/// How long a broker may take until it is ready. Most are in a moment; RabbitMQ needs seconds, and more on a busy machine.
const READY: Duration = Duration::from_secs(120);
const POLL: Duration = Duration::from_millis(10);

type Servers = Vec<Arc<dyn Server>>;

/// All servers of a broker, and what lasts as long as they do. Fields are dropped from the first to the last.
#[derive(Debug)]
pub(super) struct Fleet {
    servers: Servers,
    // The network of all the containers of a cluster.
    _holder: Option<Container>,
    ports: Vec<(Port, Port)>,
    addresses: Vec<SocketAddr>,
    second: Second,
    provider: Provider,
    name: Text,
}

impl Fleet {
    /// Starts all servers, and makes one broker of them. It need not be ready yet.
    pub(super) async fn start(recipe: &Recipe, place: Place) -> Result<(Self, Vec<SocketAddr>), MissingBroker> {
        let owned = recipe.clone();
        let built = command::blocking(move || Self::build(&owned, &place)).await;
        let fleet = built.map_err(|why| MissingBroker::new(&*recipe.name, why))?;
        match recipe.setup {
            Setup::None => fleet.each(|server| server.start()).await?,
            Setup::InTurn => {
                for index in 0..fleet.servers.len() {
                    fleet.one(index, |server| server.start()).await?;
                    fleet.wait_for_first(&recipe.probe, index + 1).await?;
                }
            }
            Setup::RedisSlots => {
                fleet.each(|server| server.start()).await?;
                fleet.wait(&Probe::Redis).await?;
                let peers: Vec<_> = fleet.ports.iter().map(|(_, peer)| peer.number).collect();
                slots::create(&fleet.targets(), &peers).await.map_err(|why| fleet.missing(why))?;
            }
        }
        let addresses = fleet.addresses.clone();
        Ok((fleet, addresses))
    }

    fn build(recipe: &Recipe, place: &Place) -> Result<Self, String> {
        let reserve = |_| Ok((Port::reserve()?, Port::reserve()?));
        let ports = (0..recipe.servers.max(1)).map(reserve).collect::<Result<Vec<_>, String>>()?;
        let numbers: Vec<_> = ports.iter().map(|(port, peer)| (port.number, peer.number)).collect();
        let addresses = numbers.iter().map(|(port, _)| (Ipv4Addr::LOCALHOST, *port).into()).collect();
        let (servers, holder, provider) = match place {
            Place::Local(program) => (processes(recipe, program, &numbers)?, None, Provider::Local),
            Place::Container(image) => {
                let (servers, holder) = containers(recipe, image, &numbers)?;
                (servers, holder, Provider::Container)
            }
        };
        let (second, name) = (recipe.second, recipe.name.clone());
        Ok(Self { servers, _holder: holder, ports, addresses, second, provider, name })
    }

    /// What clients connect to.
    pub(super) fn url(&self, recipe: &Recipe) -> Url {
        let places = self.places(0, self.servers[0].folder());
        Url::plain(&recipe.scheme, &self.addresses).with_query(&places.fill(&recipe.options))
    }

    /// Where something can stand between a node and the servers to which it connects.
    pub(super) fn doors(&self) -> Vec<SocketAddr> {
        let second = self.peers().filter(|_| self.second == Second::Clients);
        self.addresses.iter().copied().chain(second).collect()
    }

    fn peers(&self) -> impl Iterator<Item = SocketAddr> {
        self.ports.iter().map(|(_, peer)| (Ipv4Addr::LOCALHOST, peer.number).into())
    }

    pub(super) fn provider(&self) -> Provider {
        self.provider
    }

    /// Does something with every server, at the same time.
    pub(super) async fn each(&self, work: fn(&dyn Server) -> Result<(), String>) -> Result<(), MissingBroker> {
        let started: Vec<_> = self.servers.iter().map(|server| tokio::spawn(on(Arc::clone(server), work))).collect();
        let mut result = Ok(());
        for one in started {
            let done = one.await.unwrap_or_else(|error| Err(error.to_string()));
            result = result.and(done);
        }
        result.map_err(|why| self.missing(why))
    }

    /// Does something with one server.
    pub(super) async fn one(
        &self,
        index: usize,
        work: fn(&dyn Server) -> Result<(), String>,
    ) -> Result<(), MissingBroker> {
        let server = self.servers.get(index).ok_or_else(|| self.missing(format!("there is no server {index}")))?;
        on(Arc::clone(server), work).await.map_err(|why| self.missing(why))
    }

    /// Runs a program where one server runs.
    pub(super) async fn run(&self, index: usize, command: &[&str]) -> Result<String, MissingBroker> {
        let server = self.servers.get(index).ok_or_else(|| self.missing(format!("there is no server {index}")))?;
        let (server, command) = (Arc::clone(server), command.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>());
        command::blocking(move || server.run(&command)).await.map_err(|why| self.missing(why))
    }

    /// Runs the operator's command by which each server takes less; returns whether there is one.
    pub(super) async fn take_less(&self, recipe: &Recipe) -> Result<bool, MissingBroker> {
        let launch = if self.provider == Provider::Container { &recipe.container } else { &recipe.local };
        let Some(command) = launch.as_ref().and_then(|launch| launch.takes_less.as_ref()) else { return Ok(false) };
        self.operate(self.servers.len(), command).await?;
        Ok(true)
    }

    /// Runs an operator's command on each of the first so many servers; gives what it prints.
    pub(super) async fn operate(&self, servers: usize, command: &[Text]) -> Result<String, MissingBroker> {
        let mut said = String::new();
        for (index, server) in self.servers.iter().take(servers).enumerate() {
            let command = self.places(index, server.folder()).fill_all(command);
            said += &self.run(index, &command.iter().map(String::as_str).collect::<Vec<_>>()).await?;
        }
        Ok(said)
    }

    /// What stands for the places of a template.
    fn places(&self, index: usize, folder: String) -> Places {
        let ports = self.ports.iter().map(|(port, peer)| (port.number, peer.number)).collect();
        Places { index, ports, bind: "127.0.0.1", folder }
    }

    /// Waits until the whole broker is ready, and gives its version.
    pub(super) async fn ready(&self, recipe: &Recipe) -> Result<String, MissingBroker> {
        self.wait(&recipe.probe).await
    }

    async fn wait(&self, probe: &Probe) -> Result<String, MissingBroker> {
        self.wait_for_first(probe, self.servers.len()).await
    }

    /// Waits until so many of the servers, from the first on, are ready.
    async fn wait_for_first(&self, probe: &Probe, count: usize) -> Result<String, MissingBroker> {
        let deadline = Instant::now() + READY;
        let mut version = String::new();
        for (index, (address, peer)) in self.addresses.iter().copied().zip(self.peers()).enumerate().take(count) {
            let questions: &[_] = match self.second {
                Second::Fellows => &[(address, probe)],
                Second::Questions => &[(address, &Probe::Accepts), (peer, probe)],
                Second::Clients => &[(address, probe), (peer, probe)],
            };
            for &(address, probe) in questions {
                let target = Target { address, url: None };
                version = self.wait_for(index, &target, probe, deadline).await.map_err(|why| {
                    let log = self.servers[index].log_tail();
                    self.missing(format!("server {index} at {address} is not ready: {why}\n{log}"))
                })?;
            }
        }
        Ok(version)
    }

    async fn wait_for(
        &self,
        index: usize,
        target: &Target<'_>,
        probe: &Probe,
        deadline: Instant,
    ) -> Result<String, String> {
        let mut why = String::new();
        // A server that is not ready tells nobody when it is: it is asked again.
        let mut again = interval(POLL);
        again.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            again.tick().await;
            match timeout_at(deadline, probe::ask(target, probe, self.servers.len())).await {
                Ok(Ok(version)) => return Ok(version),
                Ok(Err(error)) => why = error,
                Err(_) => return Err(format!("not within {READY:?} ({why})")),
            }
            let running = on(Arc::clone(&self.servers[index]), |server| {
                if server.running() { Ok(()) } else { Err("it has ended".to_owned()) }
            });
            running.await?;
        }
    }

    pub(super) fn log_tail(&self) -> String {
        self.servers.iter().map(|server| server.log_tail()).collect::<Vec<_>>().join("\n")
    }

    fn targets(&self) -> Vec<Target<'_>> {
        self.addresses.iter().map(|&address| Target { address, url: None }).collect()
    }

    fn missing(&self, why: impl Into<String>) -> MissingBroker {
        MissingBroker::new(&*self.name, why)
    }
}

async fn on(server: Arc<dyn Server>, work: fn(&dyn Server) -> Result<(), String>) -> Result<(), String> {
    command::blocking(move || work(&*server)).await
}

fn processes(recipe: &Recipe, program: &Path, ports: &[(u16, u16)]) -> Result<Servers, String> {
    let launch = launch(recipe.local.as_ref())?;
    let one = |index: usize| {
        let folder = Arc::new(Folder::new(&format!("{}-{}", recipe.name, ports[index].0))?);
        let path = folder.path().display().to_string();
        let places = Places { index, ports: ports.to_vec(), bind: "127.0.0.1", folder: path };
        let process = |program: &Path, launch: &Launch| {
            let process = Process::new(program, launch, &places, &folder);
            process.prepare(launch, &places).map(|()| process)
        };
        let Some(behind) = &launch.behind else { return Ok(Arc::new(process(program, launch)?) as Arc<dyn Server>) };
        let path = local::find(&behind.what).ok_or_else(|| format!("no {} on the PATH", behind.what))?;
        let behind = process(&path, behind)?;
        Ok(Arc::new(Pair { front: process(program, launch)?, behind }) as Arc<dyn Server>)
    };
    (0..ports.len()).map(one).collect()
}

/// Servers of a cluster tell clients and each other their addresses, and those have to be right within their network and
/// outside. So they share one, which publishes all their ports and belongs to a container that is never killed.
fn containers(recipe: &Recipe, image: &str, ports: &[(u16, u16)]) -> Result<(Servers, Option<Container>), String> {
    let launch = launch(recipe.container.as_ref())?;
    let published: Vec<_> = ports.iter().map(|(port, _)| *port).collect();
    let holder = if ports.len() > 1 {
        let name = format!("{}-{}-network", recipe.name, published[0]);
        let holder = Container::create(image, &name, Network::Published(&published), None)?;
        holder.start()?;
        Some(holder)
    } else {
        None
    };
    let one = |index: usize| {
        let network = holder.as_ref().map_or(Network::Published(&published), Network::Of);
        let places = Places { index, ports: ports.to_vec(), bind: "0.0.0.0", folder: container::FOLDER.to_owned() };
        let name = format!("{}-{}", recipe.name, places.port());
        let container = Container::create(image, &name, network, Some((launch, &places)))?;
        Ok(Arc::new(container) as Arc<dyn Server>)
    };
    let servers = (0..ports.len()).map(one).collect::<Result<Vec<_>, String>>()?;
    Ok((servers, holder))
}

// A place is chosen only where the recipe has a launch for it.
fn launch(launch: Option<&Launch>) -> Result<&Launch, String> {
    launch.ok_or_else(|| "the recipe does not say how to start it".to_owned())
}
