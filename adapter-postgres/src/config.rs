//! Where the server is, and who we are to it.

use std::fmt;
use std::sync::Arc;

use roomcast_core::backend::{Backend, Connect, Credentials, Inbox, Keeper, Login, async_trait};
use roomcast_core::{Error, Result};

use crate::backend::Pair;
use crate::connection::Connection;
use crate::error::error;
use crate::tls::Tls;
use crate::url;

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
    /// What is published may go through a pooler (`publish_url`), which can give each statement to another session.
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
    pub const MIGRATION: &str = include_str!("../migration.sql");

    /// Reads a URL as libpq does: `postgres://user:password@host:port/database?option=value`. Without a user it is `postgres`,
    /// without a database the one named after the user. The crate's documentation lists the options.
    ///
    /// # Errors
    /// `Config`, with the known options where one is unknown; the text repeats nothing of the URL. Files of certificates are
    /// read here.
    pub fn from_url(url: &str) -> Result<Self> {
        let (listen, publish_url) = url::parse(url)?;
        let Some(publish_url) = publish_url else {
            return Ok(Self { publish: listen.clone(), listen, pooled: false });
        };
        match url::parse(&publish_url)? {
            (publish, None) => Ok(Self { listen, publish, pooled: true }),
            _ => Err(Error::config("the URL in publish_url has no publish_url of its own")),
        }
    }

    /// TLS as the application has configured it, instead of what the URLs say; the server must speak it.
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn tls(mut self, config: Arc<crate::tls::ClientConfig>) -> Self {
        self.listen.tls = Tls::from_config(config);
        self.publish.tls = self.listen.tls.clone();
        self
    }

    /// The login comes from here, instead of from the URLs, also from `publish_url`: for passwords and tokens that change. Asked for
    /// with each connection. PostgreSQL ends no session for its login, so [`Login::valid_for`] changes nothing here.
    #[must_use]
    pub fn credentials(mut self, credentials: Credentials) -> Self {
        (self.listen.credentials, self.publish.credentials) = (credentials.clone(), credentials);
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
        let connection = Connection::open(&self.listen, "roomcast", None).await?;
        connection.session.client.batch_execute(Self::MIGRATION).await.map_err(error)
    }
}

impl Place {
    /// The client's settings, with the login for the next connection and its name, where the URL says none.
    ///
    /// # Errors
    /// Those of [`Credentials::login`].
    pub(crate) async fn logged_in(&self, name: &str) -> Result<tokio_postgres::Config> {
        let mut client = self.client.clone();
        let Login { user, password, .. } = self.credentials.login().await?;
        if let Some(user) = user {
            client.user(user);
        }
        if let Some(password) = password {
            client.password(password);
        }
        if client.get_application_name().is_none() {
            client.application_name(name);
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
