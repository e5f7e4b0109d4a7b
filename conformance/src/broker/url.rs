//! A broker's URL, taken apart as far as the suite needs it.

use std::fmt;
use std::net::{SocketAddr, ToSocketAddrs};

/// `scheme://user:password@host:port,host:port/rest`. Debug hides the user and the rest.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Url {
    scheme: String,
    user: Option<String>,
    hosts: Vec<String>,
    rest: String,
}

impl Url {
    /// Of servers that ask for no credentials.
    pub(super) fn plain(scheme: &str, addresses: &[SocketAddr]) -> Self {
        let hosts = addresses.iter().map(SocketAddr::to_string).collect();
        Self { scheme: scheme.to_owned(), user: None, hosts, rest: String::new() }
    }

    /// With this query, in which `{host}` is that of the first address.
    pub(super) fn with_query(mut self, query: &str) -> Self {
        self.rest = if query.is_empty() { String::new() } else { format!("?{query}") };
        self
    }

    /// Takes a URL apart; a list of whole URLs counts as one with several hosts, and the credentials of the first.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (scheme, behind) = text.split_once("://")?;
        // From the end of what a list repeats, not of the first host's part.
        let behind = behind.replace(&format!(",{scheme}://"), ",");
        let end = behind.rfind('@').unwrap_or(0);
        let end = behind[end..].find(['/', '?']).map_or(behind.len(), |at| end + at);
        let (authority, rest) = behind.split_at(end);
        let mut user = None;
        let mut hosts = Vec::new();
        for part in authority.split(',') {
            let (credentials, host) = part.rsplit_once('@').map_or((None, part), |(user, host)| (Some(user), host));
            user = user.or(credentials.map(str::to_owned));
            hosts.push(host.to_owned());
        }
        let valid = !scheme.is_empty() && hosts.iter().all(|host| !host.is_empty());
        valid.then(|| Self { scheme: scheme.to_owned(), user, hosts, rest: rest.to_owned() })
    }

    pub(super) fn scheme(&self) -> &str {
        &self.scheme
    }

    /// The URL as it was.
    pub(super) fn text(&self) -> String {
        self.with(&self.hosts.join(","))
    }

    /// The same with other addresses.
    pub(super) fn at(&self, addresses: &[SocketAddr]) -> String {
        self.with(&addresses.iter().map(SocketAddr::to_string).collect::<Vec<_>>().join(","))
    }

    fn with(&self, hosts: &str) -> String {
        let user = self.user.as_ref().map(|user| format!("{user}@")).unwrap_or_default();
        let host = hosts.split(',').next().and_then(|first| first.rsplit_once(':')).map_or("", |(host, _)| host);
        format!("{}://{user}{hosts}{}", self.scheme, self.rest.replace("{host}", host))
    }

    /// The name alone, if it says one.
    pub(super) fn user(&self) -> Option<&str> {
        let user = self.user.as_deref()?;
        Some(user.split_once(':').map_or(user, |(name, _)| name)).filter(|name| !name.is_empty())
    }

    /// What stands between the hosts and the options: a database, say.
    pub(super) fn path(&self) -> Option<&str> {
        let path = self.rest.strip_prefix('/')?.split('?').next()?;
        Some(path).filter(|path| !path.is_empty())
    }

    /// Name, which may be empty, and password.
    pub(super) fn credentials(&self) -> Option<(&str, &str)> {
        self.user.as_deref()?.split_once(':')
    }

    /// Where the hosts are. Blocks while names are looked up.
    pub(super) fn resolve(&self, default_port: u16) -> Result<Vec<SocketAddr>, String> {
        let resolve = |host: &String| {
            let found = if host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok()) {
                host.as_str().to_socket_addrs()
            } else {
                (host.as_str(), default_port).to_socket_addrs()
            };
            let mut found = found.map_err(|error| format!("{host}: {error}"))?;
            found.next().ok_or_else(|| format!("{host} has no address"))
        };
        self.hosts.iter().map(resolve).collect()
    }
}

impl fmt::Debug for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Url").field("scheme", &self.scheme).field("hosts", &self.hosts).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::Url;

    #[test]
    fn a_url_keeps_everything_but_its_hosts() {
        let url = Url::parse("redis://me:se/cret@one:1,two:2/3?mode=sharded").expect("valid");
        assert_eq!(url.credentials(), Some(("me", "se/cret")));
        assert_eq!(url.text(), "redis://me:se/cret@one:1,two:2/3?mode=sharded");
        let proxy = "127.0.0.1:9".parse().expect("an address");
        assert_eq!(url.at(&[proxy]), "redis://me:se/cret@127.0.0.1:9/3?mode=sharded");
        assert!(!format!("{url:?}").contains("cret"));
    }

    #[test]
    fn a_server_is_asked_with_the_login_of_its_url() {
        let parts = |url| Url::parse(url).map(|url| (url.user().map(str::to_owned), url.path().map(str::to_owned)));
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(parts("postgres://app@h/shop?sslmode=disable"), Some((some("app"), some("shop"))));
        assert_eq!(parts("postgres://app:pw@h/"), Some((some("app"), None)));
        assert_eq!(parts("redis://:pw@h"), Some((None, None)));
    }

    #[test]
    fn a_query_follows_the_address() {
        let at = |text: &str| text.parse().expect("an address");
        let url = Url::plain("pg", &[at("127.0.0.1:1")]).with_query("publish_url=pg://{host}:2");
        assert_eq!(url.text(), "pg://127.0.0.1:1?publish_url=pg://127.0.0.1:2");
        assert_eq!(url.at(&[at("127.1.0.7:1")]), "pg://127.1.0.7:1?publish_url=pg://127.1.0.7:2");
        assert_eq!(Url::plain("pg", &[at("127.0.0.1:1")]).with_query("").text(), "pg://127.0.0.1:1");
    }

    #[test]
    fn a_list_of_urls_is_one_with_several_hosts() {
        let url = Url::parse("nats://t@one:1,nats://t@two:2").expect("valid");
        assert_eq!(url.text(), "nats://t@one:1,two:2");
    }

    #[test]
    fn what_is_no_url_is_none() {
        for text in ["", "local", "://host", "redis://", "redis://a,,b"] {
            assert_eq!(Url::parse(text), None, "{text}");
        }
    }
}
