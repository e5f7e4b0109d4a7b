//! What stands for TLS when the cargo feature `tls` is off: connections without it.

use roomcast_core::backend::Verification;
pub(crate) use roomcast_core::backend::tls::refusal;
use roomcast_core::{Error, Result};
use tokio_postgres::NoTls;
use tokio_postgres::config::SslMode;

use crate::url::Ssl;

pub(crate) type Connector = NoTls;

#[derive(Clone, Debug)]
pub(crate) struct Tls;

impl Tls {
    /// # Errors
    /// `Config` for what promises TLS: it names the feature.
    pub(crate) fn new(ssl: &Ssl) -> Result<Self> {
        let promised = ssl.attempts == [SslMode::Require] || ssl.verification != Verification::Nothing;
        if promised || !ssl.files.is_empty() {
            return Err(Error::config(
                "sslmode and certificates need the cargo feature \"tls\" of roomcast-postgres (\"postgres-tls\" of roomcast)",
            ));
        }
        Ok(Self)
    }

    pub(crate) async fn attempts(&self) -> impl Iterator<Item = (SslMode, Connector)> {
        std::iter::once((SslMode::Disable, NoTls))
    }
}

#[cfg(test)]
mod tests {
    use roomcast_core::ErrorKind;

    use crate::Postgres;

    #[test]
    fn what_promises_tls_names_the_feature_and_what_does_not_goes_without() {
        for promise in
            ["sslmode=require", "sslmode=verify-ca", "sslmode=verify-full", "sslrootcert=/ca", "sslcert=/c&sslkey=/k"]
        {
            let error = Postgres::from_url(&format!("postgres://host?{promise}")).expect_err(promise);
            assert_eq!(error.kind(), ErrorKind::Config);
            assert!(error.to_string().contains("postgres-tls"), "{error}");
        }
        for mode in ["disable", "allow", "prefer"] {
            Postgres::from_url(&format!("postgres://host?sslmode={mode}")).expect(mode);
        }
    }
}
