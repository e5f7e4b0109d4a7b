//! A server as a process of this machine.

use std::env;
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::leftovers::Folder;
use super::processes::{spawn, started_by};
use super::recipe::Text;
use super::server::{Places, Server};
use super::{Launch, command, processes};

/// How long a server may take to end after the signal for it. Most are gone in a moment; RabbitMQ needs seconds, and more on a
/// busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
/// How much of a log is shown.
const TAIL: u64 = 3000;

/// A server as a process. It ends with this process, also when that is killed.
#[derive(Debug)]
pub(super) struct Process {
    program: PathBuf,
    arguments: Vec<String>,
    environment: Vec<(Text, String)>,
    /// Who runs it, if not we.
    user: Option<Text>,
    stop: Text,
    log: PathBuf,
    // The folder outlives the process, which works in it.
    child: Mutex<Option<Child>>,
    folder: Arc<Folder>,
}

impl Process {
    pub(super) fn new(program: &Path, launch: &Launch, places: &Places, folder: &Arc<Folder>) -> Self {
        let environment = launch.environment.iter().map(|(name, value)| (name.clone(), places.fill(value))).collect();
        Self {
            program: program.to_owned(),
            arguments: places.fill_all(&launch.arguments),
            environment,
            user: launch.user.clone().filter(|_| is_root()),
            stop: launch.stop.clone(),
            log: folder.path().join(format!("server-{}.log", places.index)),
            child: Mutex::new(None),
            folder: Arc::clone(folder),
        }
    }

    /// Writes the files of the folder, and runs the commands that prepare it.
    pub(super) fn prepare(&self, launch: &Launch, places: &Places) -> Result<(), String> {
        for (name, content) in &launch.files {
            let file = self.folder.path().join(&**name);
            fs::write(&file, places.fill(content)).map_err(|error| format!("{}: {error}", file.display()))?;
        }
        if let Some(user) = &self.user {
            let owner = [format!("{user}:"), self.folder.path().display().to_string()];
            command::run("chown", &owner, Duration::from_secs(5))?;
        }
        for line in &launch.prepare {
            let line = places.fill_all(line);
            let Some((program, arguments)) = line.split_first() else { continue };
            let path = find(program).ok_or_else(|| format!("no {program} on the PATH"))?;
            let mut command = started_by(&path, self.user.as_deref())?;
            command.args(arguments).current_dir(self.folder.path()).envs(self.variables());
            command::run_command(&mut command, program, Duration::from_secs(60))?;
        }
        Ok(())
    }

    fn variables(&self) -> impl Iterator<Item = (&str, &str)> {
        self.environment.iter().map(|(name, value)| (&**name, &**value))
    }

    fn child(&self) -> MutexGuard<'_, Option<Child>> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn spawn(&self) -> io::Result<Child> {
        let log = File::options().create(true).append(true).open(&self.log)?;
        let prepared = self.program.file_name().map(|name| self.folder.path().join("bin").join(name));
        let program = prepared.filter(|program| program.is_file());
        let mut command =
            started_by(program.as_ref().unwrap_or(&self.program), self.user.as_deref()).map_err(io::Error::other)?;
        command.args(&self.arguments).envs(self.variables()).current_dir(self.folder.path());
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        spawn(command)
    }

    fn signal(&self, signal: &str) -> Result<(), String> {
        // Asked first: the number of one that has ended may be another's.
        let mut child = self.child();
        let process = child.as_mut().and_then(|child| alive(child).then(|| child.id()));
        processes::signal(process.ok_or("the server does not run")?, signal)
    }
}

impl Server for Process {
    fn start(&self) -> Result<(), String> {
        let mut child = self.child();
        if !child.as_mut().is_some_and(alive) {
            *child = Some(self.spawn().map_err(|error| format!("{}: {error}", self.program.display()))?);
        }
        Ok(())
    }

    fn kill(&self) -> Result<(), String> {
        let Some(mut child) = self.child().take() else { return Ok(()) };
        processes::kill(&mut child)
    }

    fn stop(&self) -> Result<(), String> {
        let Some(mut child) = self.child().take() else { return Ok(()) };
        if alive(&mut child) {
            processes::send(&[child.id()], &self.stop)?;
        }
        if command::within(PATIENCE, || !alive(&mut child)) {
            return Ok(());
        }
        let _ = processes::kill(&mut child);
        Err(format!("the server did not end within {PATIENCE:?} of SIG{}", self.stop))
    }

    fn pause(&self) -> Result<(), String> {
        self.signal("STOP")
    }

    fn resume(&self) -> Result<(), String> {
        self.signal("CONT")
    }

    fn run(&self, command: &[String]) -> Result<String, String> {
        let Some((program, arguments)) = command.split_first() else { return Err("no program is named".to_owned()) };
        // What belongs to the server stands beside it, and is not always on the PATH.
        let beside = self.program.with_file_name(program);
        let path = Some(beside).filter(|path| path.is_file()).or_else(|| find(program));
        let mut command = Command::new(path.ok_or_else(|| format!("no {program} on the PATH"))?);
        command.args(arguments).envs(self.variables()).current_dir(self.folder.path());
        command::run_command(&mut command, program, Duration::from_secs(60))
    }

    fn folder(&self) -> String {
        self.folder.path().display().to_string()
    }

    fn running(&self) -> bool {
        self.child().as_mut().is_some_and(alive)
    }

    fn log_tail(&self) -> String {
        tail(&self.log).unwrap_or_else(|error| format!("no log: {error}"))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Nobody is left to hear of an error.
        let _ = self.kill();
    }
}

fn alive(child: &mut Child) -> bool {
    matches!(child.try_wait(), Ok(None))
}

fn is_root() -> bool {
    command::run("id", &["-u"], Duration::from_secs(5)).is_ok_and(|id| id == "0")
}

/// A program on the PATH, or where system daemons are, which the PATH of users often leaves out.
pub(super) fn find(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let daemons = ["/usr/local/sbin", "/usr/sbin", "/sbin"].map(PathBuf::from);
    // Debian keeps several versions of PostgreSQL beside each other; the newest comes first.
    let mut versions: Vec<_> = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten().collect();
    versions.sort_by_key(|version| version.file_name().to_string_lossy().parse::<u32>().unwrap_or(0));
    let versions = versions.into_iter().rev().map(|version| version.path().join("bin"));
    let folders = env::split_paths(&path).chain(daemons).chain(versions);
    folders.map(|folder| folder.join(program)).find(|path| path.is_file())
}

fn tail(log: &Path) -> io::Result<String> {
    let mut file = File::open(log)?;
    let size = file.metadata()?.len();
    file.seek(SeekFrom::Start(size.saturating_sub(TAIL)))?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
