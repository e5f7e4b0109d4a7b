//! A server of two processes, one in front of the other.

use super::local::Process;
use super::server::Server;

/// A server of two processes, one in front of the other: a pooler and its database. What is done to the server is done to both.
#[derive(Debug)]
pub(super) struct Pair {
    pub(super) front: Process,
    pub(super) behind: Process,
}

impl Server for Pair {
    fn start(&self) -> Result<(), String> {
        self.behind.start().and_then(|()| self.front.start())
    }

    fn kill(&self) -> Result<(), String> {
        self.front.kill().and(self.behind.kill())
    }

    fn stop(&self) -> Result<(), String> {
        self.front.stop().and(self.behind.stop())
    }

    fn pause(&self) -> Result<(), String> {
        self.front.pause().and(self.behind.pause())
    }

    fn resume(&self) -> Result<(), String> {
        self.behind.resume().and(self.front.resume())
    }

    fn run(&self, command: &[String]) -> Result<String, String> {
        self.front.run(command)
    }

    fn folder(&self) -> String {
        self.front.folder()
    }

    fn running(&self) -> bool {
        self.front.running() && self.behind.running()
    }

    fn log_tail(&self) -> String {
        self.front.log_tail() // both write into it
    }
}
