//! Where the server is, and who we are to it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use roomcast_core::backend::{Backend, Connect, Credentials, Inbox, Keeper, Login, async_trait};
use roomcast_core::{Error, Result};

use crate::backend::Pair;
use crate::install;
use crate::tls::Tls;
use crate::url::{self, Parsed};

/// A PostgreSQL server, whose `LISTEN` and `NOTIFY` join the nodes.
///
/// # Examples
/// ```no_run
/// # async fn example() -> Result<(), roomcast_core::Error> {
/// use roomcast_core::Cluster;
/// use roomcast_postgres::Postgres;
///
/// let postgres = Postgres::from_url("postgres://app:secret@db.internal:5432/shop")?;
/// postgres.install().await?; // `roomcast_emit` for SQL; optional, and once is enough
/// let cluster = Cluster::builder().node_name("web-1").connect(postgres).await?;
/// # cluster.close().await }
/// ```
#[derive(Clone, Debug)]
pub struct Postgres {
    pub(crate) listen: Place,
    pub(crate) publish: Place,
    /// Of both, instead of the URLs'.
    credentials: Option<Credentials>,
    /// What is published may go through a pooler, which can give each statement to another session.
    pub(crate) pooled: bool,
}

/// One server, or several of which one is used, and how to connect to it.
#[derive(Clone)]
pub(crate) struct Place {
    pub(crate) client: tokio_postgres::Config,
    pub(crate) tls: Tls,
    /// What they do not say is the client's.
    pub(crate) credentials: Credentials,
}

impl Postgres {
    /// The SQL that [`install`](Self::install) runs, for those who keep migrations of their own.
    pub const MIGRATION: &str = install::MIGRATION;

    /// Reads a URL as libpq does: `postgres://user:password@host:port/database?option=value`. Without a user it is `postgres`,
    /// without a database the one named after the user. The crate's documentation lists the options.
    ///
    /// # Errors
    /// `Config`, with the known options where one is unknown; the text repeats nothing of the URL. Files of certificates are
    /// read here.
    pub fn from_url(url: &str) -> Result<Self> {
        let Parsed { client, ssl, credentials, publish_url } = url::parse(url)?;
        let listen = Place::new(client, Tls::new(&ssl)?, credentials);
        let this = Self { publish: listen.clone(), listen, credentials: None, pooled: false };
        match publish_url {
            Some(url) => this.publish_url(&url),
            None => Ok(this),
        }
    }

    /// Another way to the same database for what is published: a pooler such as PgBouncer, in whatever mode. What the first URL
    /// names is then used for `LISTEN` alone, which needs a session of its own, so no pooling by transaction.
    ///
    /// # Errors
    /// As [`from_url`](Self::from_url).
    pub fn publish_url(mut self, url: &str) -> Result<Self> {
        let Parsed { client, ssl, credentials, publish_url } = url::parse(url)?;
        if publish_url.is_some() {
            return Err(Error::config("the URL in publish_url has no publish_url of its own"));
        }
        self.publish = Place::new(client, Tls::new(&ssl)?, self.credentials.clone().unwrap_or(credentials));
        self.pooled = true;
        Ok(self)
    }

    /// TLS as the application has configured it, instead of what the URLs say; the server must speak it.
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn tls(mut self, config: Arc<crate::tls::ClientConfig>) -> Self {
        let tls = Tls::from_config(config);
        self.listen.tls = tls.clone();
        self.publish.tls = tls;
        self
    }

    /// The login comes from here, instead of from the URLs, also from `publish_url`: for passwords and tokens that change. Asked for
    /// with each connection. PostgreSQL ends no session for its login, so [`Login::valid_for`] changes nothing here.
    #[must_use]
    pub fn credentials(mut self, credentials: Credentials) -> Self {
        (self.listen.credentials, self.publish.credentials) = (credentials.clone(), credentials.clone());
        self.credentials = Some(credentials);
        self
    }

    /// Creates or replaces the SQL function `roomcast_emit`, in the schema that the role's `search_path` begins with. It can be
    /// run again, by several nodes at once, and needs no more than the right to create functions there.
    ///
    /// # Errors
    /// `Denied` when the role must not, which a migration by the schema's owner solves; else as connecting.
    ///
    /// # Cancel safety
    /// Safe: it is one transaction.
    pub async fn install(&self) -> Result<()> {
        install::install(&self.listen).await
    }
}

impl Place {
    fn new(mut client: tokio_postgres::Config, tls: Tls, credentials: Credentials) -> Self {
        // The kernel's part in noticing that the other side has gone; our pings are the other.
        client
            .keepalives_idle(Duration::from_secs(2))
            .keepalives_interval(Duration::from_secs(1))
            .keepalives_retries(2);
        client.tcp_user_timeout(Duration::from_secs(4));
        Self { client, tls, credentials }
    }

    /// What the connections are called on the server, where the URL does not say it.
    pub(crate) fn name_connections(&mut self, name: &str) {
        if self.client.get_application_name().is_none() {
            self.client.application_name(name);
        }
    }

    /// The client's settings, with the login for the next connection.
    ///
    /// # Errors
    /// Those of [`Credentials::login`].
    pub(crate) async fn logged_in(&self) -> Result<tokio_postgres::Config> {
        let mut client = self.client.clone();
        let Login { user, password, .. } = self.credentials.login().await?;
        if let Some(user) = user {
            client.user(user);
        }
        if let Some(password) = password {
            client.password(password);
        }
        if client.get_application_name().is_none() {
            client.application_name("roomcast");
        }
        Ok(client)
    }
}

#[async_trait]
impl Connect for Postgres {
    async fn connect(&self, inbox: Inbox) -> Result<Arc<dyn Backend>> {
        Ok(Arc::new(Keeper::<Pair>::connect(self.clone(), inbox).await?))
    }
}

/// Without secrets.
impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { client, tls, credentials } = self;
        f.debug_struct("Place")
            .field("hosts", &client.get_hosts())
            .field("ports", &client.get_ports())
            .field("user", &client.get_user())
            .field("credentials", credentials)
            .field("database", &client.get_dbname())
            .field("tls", tls)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_shown_nowhere() {
        let url = "postgres://u:hunter2@host/db?publish_url=postgres://u:hunter3@pool/db&options=hunter4";
        let text = format!("{:?}", Postgres::from_url(url).expect("valid"));
        assert!(text.contains("pool") && !text.contains("hunter"), "{text}");
        let twice = "postgres://h/db?publish_url=postgres://h/db%3Fpublish_url=postgres://h/db";
        assert!(Postgres::from_url(twice).is_err());
    }
}
