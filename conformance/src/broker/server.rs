//! One server of a broker, wherever it runs.

use std::fmt::Debug;

use super::recipe::Text;

/// One server of a broker. Dropping it removes it. All methods may block, and can be called twice.
pub(super) trait Server: Debug + Send + Sync {
    /// Starts it if it does not run. It need not be ready yet.
    fn start(&self) -> Result<(), String>;
    /// SIGKILL; returns when it is gone.
    fn kill(&self) -> Result<(), String>;
    /// SIGTERM; returns when it is gone.
    fn stop(&self) -> Result<(), String>;
    /// SIGSTOP.
    fn pause(&self) -> Result<(), String>;
    /// SIGCONT.
    fn resume(&self) -> Result<(), String>;
    /// Runs a program where the server runs, in its environment, and gives what it prints.
    fn run(&self, command: &[String]) -> Result<String, String>;
    /// Its private folder, where it runs.
    fn folder(&self) -> String;
    /// Whether it has not ended.
    fn running(&self) -> bool;
    /// The last lines that it logged.
    fn log_tail(&self) -> String;
}

/// What stands for the places of a template, for one server.
#[derive(Debug)]
pub(super) struct Places {
    pub(super) index: usize,
    /// Of each server: the port for clients, and that for its fellows.
    pub(super) ports: Vec<(u16, u16)>,
    pub(super) bind: &'static str,
    pub(super) folder: String,
}

impl Places {
    pub(super) fn port(&self) -> u16 {
        self.ports[self.index].0
    }

    /// Fills in a template.
    pub(super) fn fill(&self, template: &str) -> String {
        let (port, peer) = self.ports[self.index];
        let mut text = template
            .replace("{port}", &port.to_string())
            .replace("{peer}", &peer.to_string())
            .replace("{bind}", self.bind)
            .replace("{folder}", &self.folder)
            .replace("{index}", &self.index.to_string());
        for (index, (port, peer)) in self.ports.iter().enumerate() {
            text = text.replace(&format!("{{port{index}}}"), &port.to_string());
            text = text.replace(&format!("{{peer{index}}}"), &peer.to_string());
        }
        text
    }

    pub(super) fn fill_all(&self, templates: &[Text]) -> Vec<String> {
        templates.iter().map(|template| self.fill(template)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::Places;

    #[test]
    fn a_template_names_this_server_and_its_fellows() {
        let places = Places { index: 1, ports: vec![(1, 2), (3, 4)], bind: "0.0.0.0", folder: "/f".to_owned() };
        assert_eq!(places.fill("{bind}:{port}+{peer} {port0} {peer1} {folder}/{index}"), "0.0.0.0:3+4 1 4 /f/1");
    }
}
