//! A server's processes: the one that was started, and those that it has started in turn.

use std::path::Path;
use std::process::{Child, Command};
use std::sync::mpsc::{Sender, channel};
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::Duration;
use std::{fs, io, thread};

use super::{command, local};

/// How long killed processes may take to be gone.
const PATIENCE: Duration = Duration::from_secs(10);

/// The process and all its descendants, those of a server of several processes. Only itself where the kernel does not tell.
fn family(process: u32) -> Vec<u32> {
    let mut found = vec![process];
    let mut next = 0;
    while let Some(parent) = found.get(next) {
        let children = |thread: fs::DirEntry| fs::read_to_string(thread.path().join("children")).unwrap_or_default();
        let threads = fs::read_dir(format!("/proc/{parent}/task")).into_iter().flatten().flatten();
        let children: Vec<_> = threads.map(children).collect();
        found.extend(children.iter().flat_map(|line| line.split(' ')).filter_map(|child| child.parse::<u32>().ok()));
        next += 1;
    }
    found
}

/// A command whose process the kernel kills when this one ends, where util-linux is there to ask it for that; and which
/// this user runs.
pub(crate) fn started_by(program: &Path, user: Option<&str>) -> Result<Command, String> {
    static SETPRIV: LazyLock<Option<std::path::PathBuf>> = LazyLock::new(|| local::find("setpriv"));
    let Some(setpriv) = &*SETPRIV else {
        return match user {
            None => Ok(Command::new(program)),
            Some(user) => Err(format!("no setpriv on the PATH, by which {user} could run {}", program.display())),
        };
    };
    let mut command = Command::new(setpriv);
    if let Some(user) = user {
        command.args([&format!("--reuid={user}"), &format!("--regid={user}"), "--clear-groups"]);
    }
    command.args(["--pdeathsig", "KILL", "--"]).arg(program);
    Ok(command)
}

/// Starts a process from a thread that never ends: the kernel's "parent" whose death kills it is a thread, and a test's or a
/// runtime's threads end early.
pub(crate) fn spawn(command: Command) -> io::Result<Child> {
    type Order = (Command, Sender<io::Result<Child>>);
    static SPAWNER: LazyLock<Mutex<Sender<Order>>> = LazyLock::new(|| {
        let (orders, taken) = channel::<Order>();
        thread::spawn(move || {
            for (mut command, answer) in taken {
                // Nobody waits any more if this fails, and the child must not run on alone.
                if let Err(unsent) = answer.send(command.spawn())
                    && let Ok(mut child) = unsent.0
                {
                    let _ = child.kill().and_then(|()| child.wait());
                }
            }
        });
        Mutex::new(orders)
    });
    let (answer, answered) = channel();
    let sent = SPAWNER.lock().unwrap_or_else(PoisonError::into_inner).send((command, answer));
    sent.map_err(io::Error::other)?;
    answered.recv().map_err(io::Error::other)?
}

/// Sends a signal to all of them.
pub(super) fn signal(process: u32, signal: &str) -> Result<(), String> {
    if signal == "STOP" {
        send(&[process], signal)?; // it starts no others meanwhile
    }
    send(&family(process), signal)
}

/// Kills all of them, and returns when they are gone. A server that is started again must not meet the rest of the one
/// before.
pub(super) fn kill(child: &mut Child) -> Result<(), String> {
    let family = match child.try_wait() {
        Ok(None) => {
            send(&[child.id()], "STOP")?;
            let family = family(child.id());
            send(&family, "KILL")?;
            family
        }
        _ => Vec::new(),
    };
    child.wait().map_err(|error| error.to_string())?;
    if command::within(PATIENCE, || !family.iter().any(|process| exists(*process))) {
        return Ok(());
    }
    Err(format!("processes of the server live on {PATIENCE:?} after SIGKILL"))
}

/// The shell's own `kill`, since the standard library sends no signal but SIGKILL.
pub(crate) fn send(processes: &[u32], signal: &str) -> Result<(), String> {
    let (first, others) = processes.split_first().ok_or("no process")?;
    let others: Vec<_> = others.iter().map(u32::to_string).collect();
    // Of the others some may have ended by now.
    let line = format!("kill -{signal} {first} && {{ kill -{signal} {} 2>/dev/null || true; }}", others.join(" "));
    command::run("sh", &["-c", &line], Duration::from_secs(5)).map(drop)
}

/// Whether it runs: nobody may have asked yet how it ended.
fn exists(process: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    // The name in parentheses may hold anything.
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::{exists, family, kill};

    #[test]
    fn a_servers_own_processes_end_with_it() {
        let mut parent = Command::new("sh").args(["-c", "sleep 60 & setsid sleep 60 & wait"]).spawn().expect("a shell");
        while family(parent.id()).len() < 3 {
            assert!(exists(parent.id()));
            std::thread::yield_now();
        }
        let all = family(parent.id());
        kill(&mut parent).expect("killed");
        assert!(!all.iter().any(|process| exists(*process)), "{all:?}");
    }
}
