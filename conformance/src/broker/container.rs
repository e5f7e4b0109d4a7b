//! A server in a container, by the plain `docker` command.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::sync::{LazyLock, Mutex, Once, PoisonError};
use std::time::Duration;

use super::server::{Places, Server};
use super::{Launch, command};

/// Marks our containers; its value is the host and the process that own one.
const LABEL: &str = "roomcast.conformance";
const LIMIT: Duration = Duration::from_secs(120);
/// Where a server in a container keeps what is its own.
pub(super) const FOLDER: &str = "/tmp";
/// How long an engine may take to say that it is there.
const ANSWER: Duration = Duration::from_secs(30);
const PULL: Duration = Duration::from_secs(300);

/// A server in a container. A killed one is started again with its files and its port, so it is removed by us alone.
#[derive(Debug)]
pub(super) struct Container {
    id: String,
}

/// How a container is reached.
#[derive(Clone, Copy, Debug)]
pub(super) enum Network<'a> {
    /// These ports are published on 127.0.0.1, under the same numbers.
    Published(&'a [u16]),
    /// It shares the network of another container, so that servers meet and are reached under the same addresses.
    Of(&'a Container),
}

impl Container {
    /// Creates a container, which does not run yet. Without a launch it does nothing once it runs.
    pub(super) fn create(
        image: &str,
        name: &str,
        network: Network<'_>,
        launch: Option<(&Launch, &Places)>,
    ) -> Result<Self, String> {
        static SWEPT: Once = Once::new();
        SWEPT.call_once(sweep);
        let mut arguments: Vec<String> = vec!["create".into(), "--label".into(), format!("{LABEL}={}", owner())];
        arguments.extend(["--name".into(), format!("roomcast-conformance-{name}")]);
        match network {
            Network::Published(ports) => {
                arguments.extend(ports.iter().map(|port| format!("--publish=127.0.0.1:{port}:{port}")));
            }
            Network::Of(other) => arguments.push(format!("--network=container:{}", other.id)),
        }
        if let Some((launch, places)) = launch {
            arguments
                .extend(launch.environment.iter().map(|(key, value)| format!("--env={key}={}", places.fill(value))));
        }
        match launch {
            Some((launch, places)) => {
                arguments.push(image.to_owned());
                arguments.extend(places.fill_all(&launch.arguments));
            }
            None => arguments.extend(["--entrypoint=sleep".to_owned(), image.to_owned(), "infinity".to_owned()]),
        }
        Ok(Self { id: docker(&arguments)? })
    }

    fn docker(&self, arguments: &[&str]) -> Result<String, String> {
        let mut arguments = arguments.to_vec();
        arguments.push(&self.id);
        docker(&arguments)
    }

    fn state(&self, field: &str) -> bool {
        let format = format!("--format={{{{.State.{field}}}}}");
        self.docker(&["inspect", &format]).is_ok_and(|state| state == "true")
    }

    fn end(&self, arguments: &[&str]) -> Result<(), String> {
        if !self.running() {
            return Ok(());
        }
        // A paused one takes no signal.
        if self.state("Paused") {
            self.resume()?;
        }
        self.docker(arguments)?;
        self.docker(&["wait"]).map(drop)
    }
}

impl Server for Container {
    fn start(&self) -> Result<(), String> {
        self.docker(&["start"]).map(drop)
    }

    fn kill(&self) -> Result<(), String> {
        self.end(&["kill"])
    }

    fn stop(&self) -> Result<(), String> {
        self.end(&["stop", "--time=60"]) // after that it is a kill
    }

    fn pause(&self) -> Result<(), String> {
        self.docker(&["pause"]).map(drop)
    }

    fn resume(&self) -> Result<(), String> {
        self.docker(&["unpause"]).map(drop)
    }

    fn run(&self, command: &[String]) -> Result<String, String> {
        let mut arguments = vec!["exec".to_owned(), self.id.clone()];
        arguments.extend_from_slice(command);
        docker(&arguments)
    }

    fn folder(&self) -> String {
        FOLDER.to_owned()
    }

    fn running(&self) -> bool {
        self.state("Running")
    }

    fn log_tail(&self) -> String {
        // Servers log to either stream; the command gives back one.
        let both = format!("docker logs --tail=30 {} 2>&1", self.id);
        command::run("sh", &["-c", &both], LIMIT).unwrap_or_else(|error| format!("no log: {error}"))
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        // Nobody is left to hear of an error; the next process tries again.
        let _ = self.docker(&["rm", "--force", "--volumes"]);
    }
}

/// Whether an engine answers and has the image, or could pull it. Once for each image and process.
pub(super) fn available(image: &str) -> Result<(), String> {
    static KNOWN: LazyLock<Mutex<HashMap<String, Result<(), String>>>> = LazyLock::new(Mutex::default);
    // Held meanwhile: two pulls of one image at the same time are slower than one.
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    known.entry(image.to_owned()).or_insert_with(|| look_for(image)).clone()
}

fn look_for(image: &str) -> Result<(), String> {
    command::run("docker", &["info", "--format={{.ServerVersion}}"], ANSWER)
        .map_err(|error| format!("no Docker engine ({})", error.lines().next_back().unwrap_or_default()))?;
    if docker(&["image", "inspect", "--format={{.Id}}", image]).is_ok() {
        return Ok(());
    }
    let pulled = command::run("docker", &["pull", "--quiet", image], PULL);
    pulled.map(drop).map_err(|error| format!("no image {image} ({error})"))
}

fn docker<S: AsRef<std::ffi::OsStr>>(arguments: &[S]) -> Result<String, String> {
    command::run("docker", arguments, LIMIT)
}

/// The host, for an engine may serve several, and this process.
fn owner() -> String {
    format!("{}/{}", host(), std::process::id())
}

fn host() -> String {
    let name = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    name.trim().to_owned()
}

/// Removes the containers of this host's processes that are gone. What fails is for the next process.
fn sweep() {
    let format = format!("--format={{{{.ID}}}} {{{{.Label \"{LABEL}\"}}}}");
    let listed =
        docker(&["ps", "--all", "--no-trunc", &format!("--filter=label={LABEL}"), &format]).unwrap_or_default();
    for line in listed.lines() {
        let Some((id, owner)) = line.split_once(' ') else { continue };
        let Some((of, process)) = owner.rsplit_once('/') else { continue };
        if of == host() && !exists(process) {
            let _ = docker(&["rm", "--force", "--volumes", id]);
        }
    }
}

fn exists(process: &str) -> bool {
    if Path::new("/proc/self").exists() {
        return Path::new("/proc").join(process).exists();
    }
    command::run("sh", &["-c", "kill -0 \"$0\"", process], ANSWER).is_ok()
}
