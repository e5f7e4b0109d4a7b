//! Where a server listens.

use std::fmt;

/// A host and a port, as a backend's URL names a server.
///
/// # Examples
/// ```
/// use roomcast_core::backend::HostPort;
///
/// let server = HostPort::parse("[::1]:7000", 6379).expect("valid");
/// assert_eq!((server.host.as_str(), server.port), ("::1", 7000));
/// assert_eq!(HostPort::parse("cache.local", 6379).expect("valid").to_string(), "cache.local:6379");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HostPort {
    /// A name or an address; one of IPv6 without its brackets.
    pub host: String,
    /// Where it listens there.
    pub port: u16,
}

impl HostPort {
    /// Reads `host`, `host:port`, `[IPv6]` or `[IPv6]:port`. `None` for anything else: no host, a port that is none or 0, a
    /// letter that belongs to another part of a URL, a percent sign but for the zone of an IPv6 address.
    pub fn parse(text: &str, default_port: u16) -> Option<Self> {
        let (host, port) = match text.strip_prefix('[') {
            Some(rest) => rest.split_once(']')?,
            None => text.split_at(text.find(':').unwrap_or(text.len())),
        };
        let port = match port.strip_prefix(':') {
            Some(port) => port.parse().ok().filter(|port| *port != 0)?,
            None if port.is_empty() => default_port,
            None => return None,
        };
        let zone = host.contains(':');
        let odd = |letter| matches!(letter, '@' | '#' | '[' | ']' | ' ') || letter == '%' && !zone;
        (!host.is_empty() && !host.contains(odd)).then(|| Self { host: host.to_owned(), port })
    }
}

/// As [`parse`](HostPort::parse) reads it.
impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port } = self;
        if host.contains(':') { write!(f, "[{host}]:{port}") } else { write!(f, "{host}:{port}") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_is_written_in_full() {
        let table = [
            ("h", "h:5"),
            ("h:1", "h:1"),
            ("a-b.c_d:65535", "a-b.c_d:65535"),
            ("127.0.0.1", "127.0.0.1:5"),
            ("[::1]", "[::1]:5"),
            ("[::1]:1", "[::1]:1"),
            ("[fe80::1%eth0]:1", "[fe80::1%eth0]:1"),
        ];
        for (text, full) in table {
            let server = HostPort::parse(text, 5).expect(text);
            assert_eq!(server.to_string(), full);
            assert_eq!(HostPort::parse(full, 9), Some(server));
        }
    }

    #[test]
    fn anything_else_is_refused() {
        let texts = [
            "", ":1", "h:", "h:0", "h:x", "h:65536", "h:-1", "h:1:2", "::1", "[]", "[]:1", "[::1", "[::1]:", "[::1]:0",
            "[::1]x", "[::1]1", "[[::1]]", "u@h", "h#", "a b", "h%41", "a[b", "a]b",
        ];
        for text in texts {
            assert_eq!(HostPort::parse(text, 5), None, "{text}");
        }
    }
}
