//! The broker, the links and the nodes of the demo, and what is done to them.

use std::collections::VecDeque;
use std::io::{Error, Result};
use std::net::IpAddr;
use std::time::Duration;

use roomcast_conformance::{Broker, Proxy};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{mpsc, watch};

use crate::args::Args;
use crate::board::Entry;
use crate::demo::{Action, Demo, Order, Seat, View};
use crate::relay;
use crate::server::{self, Server};

/// How many orders wait; then their pages do.
const ORDERS: usize = 16;
/// How much of what was done is shown.
const SHOWN: usize = 30;
/// How long the end of a killed node is waited for.
const PATIENCE: Duration = Duration::from_secs(5);

/// Everything that can be broken. Dropped, all of it is gone.
pub(crate) struct Stage {
    broker: Broker,
    places: Vec<Place>,
    host: IpAddr,
    prefix: String,
    demo: Demo,
    view: watch::Sender<View>,
    orders: mpsc::Receiver<Order>,
    done: VecDeque<Entry>,
    broker_runs: bool,
}

/// A node's place: its port and its link, whether it runs or not.
struct Place {
    name: String,
    port: u16,
    link: Proxy,
    frozen: bool,
    runs: Option<Run>,
}

/// A node that runs, on threads of its own: they end with everything that it does, as a process would.
struct Run {
    server: Server,
    threads: Threads,
}

struct Threads(Option<Runtime>);

impl Drop for Threads {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

impl Stage {
    /// Starts the relay and the nodes.
    pub(crate) async fn start(args: &Args) -> Result<Self> {
        let broker = Broker::start_here(&relay::recipe::recipe()).await.map_err(Error::other)?;
        let (orders, receiver) = mpsc::channel(ORDERS);
        let (view, watched) = watch::channel(View { broker: true, nodes: Vec::new(), log: Vec::new() });
        let mut stage = Self {
            broker,
            places: Vec::new(),
            host: args.host,
            prefix: args.name.clone(),
            demo: Demo { orders, view: watched },
            view,
            orders: receiver,
            done: VecDeque::new(),
            broker_runs: true,
        };
        for index in 0..args.nodes {
            let port = if args.port == 0 { 0 } else { args.port + index };
            let link = stage.broker.proxy().await?;
            let run = stage.launch(port, &link).await?;
            let (name, port) = (run.server.name.clone(), run.server.port);
            stage.places.push(Place { name, port, link, frozen: false, runs: Some(run) });
        }
        stage.show();
        Ok(stage)
    }

    /// The nodes that run.
    pub(crate) fn servers(&self) -> impl Iterator<Item = &Server> {
        self.places.iter().filter_map(|place| place.runs.as_ref()).map(|run| &run.server)
    }

    /// Does what pages ask for until it is told to stop.
    pub(crate) async fn run(&mut self, stop: impl Future<Output = Result<()>>) -> Result<()> {
        tokio::pin!(stop);
        loop {
            tokio::select! {
                stopped = &mut stop => return stopped,
                Some((action, reply)) = self.orders.recv() => {
                    let done = self.act(action).await;
                    self.show();
                    // A page whose node was killed does not wait any more.
                    reply.send(done).ok();
                }
            }
        }
    }

    /// Closes the nodes, then the broker.
    pub(crate) async fn close(self) -> Result<()> {
        let closing = self.places.into_iter().map(async |place| {
            let closed = match place.runs {
                Some(run) => run.server.close().await.map(|()| drop(run.threads)),
                None => Ok(()),
            };
            // A node that the page has cut off cannot take its leave.
            if self.broker_runs && !place.frozen { closed } else { Ok(()) }
        });
        futures_util::future::join_all(closing).await.into_iter().collect()
    }

    async fn act(&mut self, action: Action) -> std::result::Result<(), String> {
        match action {
            Action::KillBroker => {
                self.note("kill", "the broker was killed");
                self.broker_runs = false;
                self.broker.kill().await.map_err(text)
            }
            Action::StartBroker => {
                self.note("start", "the broker was started");
                self.broker.start_again().await.map_err(text)?;
                self.broker_runs = true;
                Ok(())
            }
            Action::Freeze { port } => {
                let place = self.place(port)?;
                place.frozen = true;
                place.link.black_hole_all();
                let what = format!("the link of {} was frozen", place.name);
                self.note("kill", what);
                Ok(())
            }
            Action::Thaw { port } => {
                let place = self.place(port)?;
                place.frozen = false;
                place.link.black_hole_no_more();
                place.link.cut();
                let what = format!("the link of {} was mended", place.name);
                self.note("start", what);
                Ok(())
            }
            Action::Kill { port } => self.kill(port).await,
            Action::Start { port } => self.start_again(port).await,
        }
    }

    /// A crash: nothing is said to anybody.
    async fn kill(&mut self, port: u16) -> std::result::Result<(), String> {
        if self.servers().count() == 1 {
            return Err("this is the last server that runs; nobody could start the others again".to_owned());
        }
        let place = self.place(port)?;
        let Some(mut run) = place.runs.take() else { return Err(format!("{} does not run", place.name)) };
        place.link.refuse();
        place.link.cut();
        let what = format!("{} was killed", place.name);
        self.note("kill", what);
        self.show();
        if let Some(runtime) = run.threads.0.take() {
            let ended = tokio::task::spawn_blocking(move || runtime.shutdown_timeout(PATIENCE));
            ended.await.map_err(text)?;
        }
        Ok(())
    }

    async fn start_again(&mut self, port: u16) -> std::result::Result<(), String> {
        if !self.broker_runs {
            return Err("a server cannot join while the broker is away".to_owned());
        }
        let (index, place) = self.places.iter_mut().enumerate().find(|(_, place)| place.port == port).ok_or(UNKNOWN)?;
        if place.runs.is_some() {
            return Err(format!("{} runs", place.name));
        }
        place.frozen = false;
        place.link.black_hole_no_more();
        place.link.accept();
        let what = format!("{} was started", place.name);
        self.note("start", what);
        self.places[index].runs = Some(self.launch(port, &self.places[index].link).await.map_err(text)?);
        Ok(())
    }

    fn place(&mut self, port: u16) -> std::result::Result<&mut Place, String> {
        Ok(self.places.iter_mut().find(|place| place.port == port).ok_or(UNKNOWN)?)
    }

    async fn launch(&self, port: u16, link: &Proxy) -> Result<Run> {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let threads = Threads(Some(runtime));
        let (name, host, demo) = (self.prefix.clone(), self.host, self.demo.clone());
        let url = self.broker.url_through(link);
        let start = async move { server::start(&name, (host, port), Some(&url), Some(demo)).await };
        let started = threads.0.as_ref().map(|runtime| runtime.spawn(start)).ok_or(Error::other("no threads"))?;
        let server = started.await.map_err(Error::other)??;
        Ok(Run { server, threads })
    }

    fn note(&mut self, kind: &'static str, text: impl Into<String>) {
        if self.done.len() == SHOWN {
            self.done.pop_front();
        }
        self.done.push_back(Entry::now(kind, text));
    }

    fn show(&self) {
        let seat = |place: &Place| Seat {
            name: place.name.clone(),
            port: place.port,
            runs: place.runs.is_some(),
            frozen: place.frozen,
        };
        let nodes = self.places.iter().map(seat).collect();
        self.view.send_replace(View { broker: self.broker_runs, nodes, log: self.done.iter().cloned().collect() });
    }
}

const UNKNOWN: &str = "there is no such server";

fn text(cause: impl std::fmt::Display) -> String {
    cause.to_string()
}
