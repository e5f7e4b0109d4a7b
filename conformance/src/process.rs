//! A node's process: as the one that has started it sees it, and how it takes its orders.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Write, stdin};
use std::process::{Child, ChildStdin, Stdio};
use std::thread;
use std::time::Duration;

use tokio::sync::mpsc;

use crate::broker::processes;
use crate::failure::{Failure, Verdict};

/// A node's process. Dropping it kills it; so does the end of this process, even when that is killed.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    orders: Option<ChildStdin>,
    words: mpsc::UnboundedReceiver<String>,
}

impl Process {
    /// Starts this program once more, with these arguments.
    pub(crate) fn start(arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Verdict<Self> {
        let program = std::env::current_exe()?;
        let mut command = processes::started_by(&program, None).map_err(Failure::new)?;
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = processes::spawn(command)?;
        let (sender, words) = mpsc::unbounded_channel();
        if let Some(out) = child.stdout.take() {
            // Ends with the process.
            thread::spawn(move || {
                BufReader::new(out).lines().map_while(Result::ok).try_for_each(|line| sender.send(line))
            });
        }
        Ok(Self { orders: child.stdin.take(), child, words })
    }

    /// Waits until it says this.
    pub(crate) async fn says(&mut self, word: &str, limit: Duration) -> Verdict {
        let said = self.line(word, limit).await?;
        let id = self.child.id();
        if said == word {
            Ok(())
        } else {
            Err(Failure::new(format!("process {id} was to say {word}, and said {said:?}")))
        }
    }

    /// What it says next; for what is to come.
    pub(crate) async fn line(&mut self, what: &str, limit: Duration) -> Verdict<String> {
        let id = self.child.id();
        match tokio::time::timeout(limit, self.words.recv()).await {
            Ok(Some(said)) => Ok(said),
            Ok(None) => Err(Failure::new(format!("process {id} was to say {what}, and has ended"))),
            Err(_) => Err(Failure::new(format!("process {id} did not say {what} within {limit:?}"))),
        }
    }

    pub(crate) fn tell(&mut self, word: &str) -> Verdict {
        let orders = self.orders.as_mut().ok_or_else(|| Failure::new("the process takes no orders"))?;
        Ok(writeln!(orders, "{word}").and_then(|()| orders.flush())?)
    }

    /// SIGSTOP.
    pub(crate) async fn pause(&mut self) -> Verdict {
        self.signal("STOP").await
    }

    /// SIGCONT.
    pub(crate) async fn resume(&mut self) -> Verdict {
        self.signal("CONT").await
    }

    async fn signal(&mut self, signal: &'static str) -> Verdict {
        let id = self.child.id();
        // The number of one that has ended may be another's.
        if !matches!(self.child.try_wait(), Ok(None)) {
            return Err(Failure::new(format!("process {id} has ended by itself")));
        }
        let sent = tokio::task::spawn_blocking(move || processes::send(&[id], signal)).await?;
        sent.map_err(Failure::new)
    }

    /// SIGKILL.
    pub(crate) fn kill(mut self) -> Verdict {
        if !matches!(self.child.try_wait(), Ok(None)) {
            return Err(Failure::new(format!("process {} has ended by itself", self.child.id())));
        }
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Waits for its end, which has been asked for.
    pub(crate) async fn ends(&mut self, limit: Duration) -> Verdict {
        let ended = async { while self.words.recv().await.is_some() {} };
        let late = || Failure::new(format!("process did not end within {limit:?}"));
        tokio::time::timeout(limit, ended).await.map_err(|_| late())?;
        // It has closed its output, which it does at its end.
        let status = self.child.wait()?;
        if status.success() {
            Ok(())
        } else {
            Err(Failure::new(format!("process {} ended: {status}", self.child.id())))
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // One that has ended is no error.
        let _ = self.child.kill().and_then(|()| self.child.wait());
    }
}

/// In the process itself: the lines that it is told. It ends with whoever tells them.
pub(crate) fn orders() -> mpsc::Receiver<String> {
    let (sender, orders) = mpsc::channel(8);
    thread::spawn(move || {
        for line in stdin().lock().lines().map_while(Result::ok) {
            if sender.blocking_send(line).is_err() {
                return;
            }
        }
        // Whoever gives the orders is gone; nobody waits for this node any more.
        std::process::exit(1);
    });
    orders
}
