//! Which sockets an operation means, as a client describes it.

use std::time::Duration;

use serde::Deserialize;
use socketioxide::SocketIo;
use socketioxide::adapter::Adapter;
use socketioxide::extract::SocketRef;
use socketioxide::operators::BroadcastOperators;

/// Who emits, to whom.
#[derive(Deserialize)]
#[serde(default)]
pub(crate) struct Target {
    /// `io` or `socket`.
    by: String,
    /// The namespace, for `io`.
    ns: Option<String>,
    to: Option<Vec<String>>,
    within: Option<Vec<String>>,
    except: Option<Vec<String>>,
    local: bool,
    volatile: bool,
    /// Milliseconds.
    timeout: Option<u64>,
}

impl Default for Target {
    fn default() -> Self {
        let (ns, to, within, except, timeout) = (None, None, None, None, None);
        Self { by: "io".to_owned(), ns, to, within, except, local: false, volatile: false, timeout }
    }
}

impl Target {
    pub(crate) fn namespace<'a, A: Adapter>(&'a self, socket: &'a SocketRef<A>) -> &'a str {
        self.ns.as_deref().unwrap_or(socket.ns())
    }

    /// The first room of `to`, for what takes only one.
    pub(crate) fn room(&self) -> Option<&str> {
        self.to.as_ref()?.first().map(String::as_str)
    }

    pub(crate) fn operators<A: Adapter>(
        &self,
        io: &SocketIo<A>,
        socket: &SocketRef<A>,
    ) -> Result<BroadcastOperators<A>, String> {
        let mut operators = match self.by.as_str() {
            "io" => io.of(self.namespace(socket)).ok_or("this namespace is not here")?,
            "socket" if self.within.is_some() => socket.within(Vec::<String>::new()),
            "socket" if self.local => socket.local(),
            "socket" => socket.broadcast(),
            other => return Err(format!("nobody is called {other:?}")),
        };
        if let Some(rooms) = &self.to {
            operators = operators.to(rooms.clone());
        }
        if let Some(rooms) = &self.within {
            operators = operators.within(rooms.clone());
        }
        if let Some(rooms) = &self.except {
            operators = operators.except(rooms.clone());
        }
        if self.local {
            operators = operators.local();
        }
        if self.volatile {
            operators = operators.volatile();
        }
        if let Some(timeout) = self.timeout {
            operators = operators.timeout(Duration::from_millis(timeout));
        }
        Ok(operators)
    }
}
