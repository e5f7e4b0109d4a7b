//! TLS with the servers of one URL.

use std::sync::Arc;

use roomcast_core::Result;
use roomcast_core::backend::tls;
use tokio_postgres::config::SslMode;
use tokio_postgres_rustls::MakeRustlsConnect;

pub(crate) use roomcast_core::backend::tls::{refusal, rustls::ClientConfig};

use crate::url::Ssl;

pub(crate) type Connector = MakeRustlsConnect;

#[derive(Clone, Debug)]
pub(crate) struct Tls {
    config: tls::Tls,
    /// What is tried, one after the other.
    attempts: &'static [SslMode],
}

impl Tls {
    /// # Errors
    /// Those of [`tls::Tls::verifying`].
    pub(crate) fn new(ssl: &Ssl) -> Result<Self> {
        Ok(Self { config: tls::Tls::verifying(&ssl.files, ssl.verification)?, attempts: ssl.attempts })
    }

    pub(crate) fn from_config(config: Arc<ClientConfig>) -> Self {
        Self { config: tls::Tls::from_config(config), attempts: &[SslMode::Require] }
    }

    pub(crate) async fn attempts(&self) -> impl Iterator<Item = (SslMode, Connector)> + use<'_> {
        let connector = MakeRustlsConnect::new((*self.config.config().await).clone());
        self.attempts.iter().map(move |mode| (*mode, connector.clone()))
    }
}
