//! A server's process, as the one that has started it sees it: it takes a command a line, and answers each with a line.

use std::net::SocketAddr;
use std::process::Stdio;

use peers::Failed;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

/// The argument by which this program is a server.
pub(crate) const SERVER: &str = "--server";

/// A server's process. Dropping it kills it.
pub(crate) struct Process {
    child: Child,
    orders: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
    /// Where it serves.
    pub(crate) address: SocketAddr,
}

impl Process {
    pub(crate) async fn start(contestant: &str, url: &str, prefix: &str) -> Result<Self, Failed> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args([SERVER, contestant, url, prefix]).stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn()?;
        let orders = child.stdin.take().ok_or("a server takes orders")?;
        let mut answers = BufReader::new(child.stdout.take().ok_or("a server answers")?).lines();
        let address = answers.next_line().await?.ok_or_else(|| format!("{contestant} did not start"))?.parse()?;
        Ok(Self { child, orders, answers, address })
    }

    /// Gives an order, and returns what it answers when it is carried out: numbers.
    pub(crate) async fn order(&mut self, order: &str) -> Result<Vec<u64>, Failed> {
        self.orders.write_all(format!("{order}\n").as_bytes()).await?;
        let answer = self.answers.next_line().await?.ok_or_else(|| format!("the server ended at {order:?}"))?;
        Ok(answer.split_whitespace().map(str::parse).collect::<Result<_, _>>()?)
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id().unwrap_or_default()
    }
}
