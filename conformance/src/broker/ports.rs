//! Ports that stay ours while a broker is down.

use std::fs::{self, File};
use std::net::{Ipv4Addr, TcpListener};
use std::sync::atomic::{AtomicU16, Ordering};

/// Below the ports which systems give to outgoing connections: one of those could take the port of a killed broker.
const FIRST: u16 = 20_000;
const COUNT: u16 = 10_000;

/// A port that no other test process takes while this value lives. The lock ends with the process too.
#[derive(Debug)]
pub(super) struct Port {
    pub(super) number: u16,
    _lock: File,
}

impl Port {
    /// Takes a port that nobody listens on.
    pub(super) fn reserve() -> Result<Self, String> {
        static NEXT: AtomicU16 = AtomicU16::new(0);
        let folder = std::env::temp_dir().join("roomcast-conformance-ports");
        fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        // Processes begin at different places, only so that they seldom try the same ones.
        let begin = (std::process::id().wrapping_mul(97) % u32::from(COUNT)) as u16;
        for _ in 0..COUNT {
            let number = FIRST + (begin + NEXT.fetch_add(1, Ordering::Relaxed) % COUNT) % COUNT;
            let Ok(lock) = File::create(folder.join(number.to_string())) else { continue };
            if lock.try_lock().is_ok() && TcpListener::bind((Ipv4Addr::LOCALHOST, number)).is_ok() {
                return Ok(Self { number, _lock: lock });
            }
        }
        Err(format!("no port from {FIRST} on is free; or {} is not ours to write to", folder.display()))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::Port;

    #[test]
    fn reserved_ports_differ() {
        let ports: Vec<_> = (0..50).map(|_| Port::reserve().expect("a free port")).collect();
        assert_eq!(ports.iter().map(|port| port.number).collect::<HashSet<_>>().len(), 50);
    }
}
