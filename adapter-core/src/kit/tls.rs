//! TLS for authors of backends: rustls with ring, chosen by name, so that no process-wide provider is needed. With the
//! cargo feature `tls`.

mod unnamed;

use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
pub use tokio_rustls::rustls;

use rustls::client::WantsClientCert;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ConfigBuilder, RootCertStore, WantsVerifier, crypto};
use unnamed::Unnamed;

use crate::kit::{TlsFiles, Verification};
use crate::model::{Error, ErrorKind, Result, causes};

/// How to speak TLS with every server of one configuration. Files are read anew for each connection, so certificates that are
/// renewed on disk need no restart. Debug shows nothing of it: it holds a private key.
#[derive(Clone)]
pub struct Tls(Arc<Source>);

struct Source {
    /// Reads the files again; none if there are none.
    read: Option<Box<Read>>,
    /// What was read last, and could be used.
    last: Mutex<Arc<ClientConfig>>,
    /// Why the files could not be read the last time: told once.
    failed: Mutex<Option<String>>,
}

type Read = dyn Fn() -> Result<ClientConfig> + Send + Sync;

impl Tls {
    /// Trusts the authority of these files, or those of the system if none is named, and presents their certificate. Only the system's
    /// authorities are read just once.
    ///
    /// # Errors
    /// `Config` when a file cannot be read or is not what it should be, or a key comes without its certificate.
    pub fn from_files(files: &TlsFiles) -> Result<Self> {
        Self::verifying(files, Verification::Full)
    }

    /// The same, where less of the server's certificate may be verified: read what [`Verification`] says of it. With
    /// [`Verification::Nothing`] no authority is looked at.
    ///
    /// # Errors
    /// Those of [`from_files`](Self::from_files).
    pub fn verifying(files: &TlsFiles, verification: Verification) -> Result<Self> {
        let owned = files.clone();
        let read = move || {
            let builder = builder()?;
            let algorithms = builder.crypto_provider().signature_verification_algorithms;
            let roots = match verification {
                Verification::Full => return owned.client_auth(builder.with_root_certificates(owned.roots()?)),
                Verification::Authority => Some(owned.roots()?),
                Verification::Nothing => None,
            };
            let verifier = Arc::new(Unnamed { roots, algorithms });
            owned.client_auth(builder.dangerous().with_custom_certificate_verifier(verifier))
        };
        if files.is_empty() { Ok(Self::from_config(Arc::new(read()?))) } else { Self::read_by(read) }
    }

    /// Uses the configuration that `read` returns: it is called now, and again for each connection, and may block. If a later call
    /// fails, as when a file is just being replaced, the last configuration stays in use. Sessions are not resumed across calls.
    ///
    /// # Errors
    /// That of the first call.
    pub fn read_by(read: impl Fn() -> Result<ClientConfig> + Send + Sync + 'static) -> Result<Self> {
        let last = Mutex::new(Arc::new(read()?));
        Ok(Self(Arc::new(Source { read: Some(Box::new(read)), last, failed: Mutex::default() })))
    }

    /// Uses the application's own configuration.
    pub fn from_config(config: Arc<ClientConfig>) -> Self {
        Self(Arc::new(Source { read: None, last: Mutex::new(config), failed: Mutex::default() }))
    }

    /// The configuration for the next connection.
    ///
    /// # Cancel safety
    /// Safe.
    pub async fn config(&self) -> Arc<ClientConfig> {
        let source = Arc::clone(&self.0);
        if source.read.is_none() {
            return source.last();
        }
        let read = tokio::task::spawn_blocking(move || source.read_again()).await;
        read.unwrap_or_else(|_| self.0.last()) // it panicked, or the runtime ends
    }

    /// Makes a TLS session over this stream; the server's certificate must be for this host.
    ///
    /// # Errors
    /// The error of the stream or of TLS: [`refusal`] tells whether trying again can help.
    pub async fn connect<S: AsyncRead + AsyncWrite + Send + Unpin>(
        &self,
        host: &str,
        stream: S,
    ) -> io::Result<impl AsyncRead + AsyncWrite + Send + Unpin + use<S>> {
        let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
        TlsConnector::from(self.config().await).connect(name, stream).await
    }
}

impl Source {
    fn read_again(&self) -> Arc<ClientConfig> {
        match self.read.as_ref().map(|read| read()) {
            Some(Ok(config)) => {
                *self.lock() = Arc::new(config);
                self.failed(None);
            }
            Some(Err(error)) => {
                let cause = causes(&error).last().map(ToString::to_string).unwrap_or_default();
                if self.failed(Some(format!("{error}: {cause}"))) {
                    tracing::warn!(%cause, "the TLS files cannot be read, and those read before stay in use: {error}");
                }
            }
            None => {}
        }
        self.last()
    }

    /// Takes note of why reading failed; returns whether that is news.
    fn failed(&self, why: Option<String>) -> bool {
        let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        let news = why.is_some() && *failed != why;
        *failed = why;
        news
    }

    fn last(&self) -> Arc<ClientConfig> {
        Arc::clone(&self.lock())
    }

    // Guards one value; nothing is called while it is held.
    fn lock(&self) -> MutexGuard<'_, Arc<ClientConfig>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tls")
    }
}

impl TlsFiles {
    /// The authorities of the file, or the system's if none is named.
    ///
    /// # Errors
    /// `Config` when there are none, or the file cannot be read.
    pub fn roots(&self) -> Result<RootCertStore> {
        let [option, ..] = self.names;
        let mut roots = RootCertStore::empty();
        let Some(file) = &self.ca else {
            let (added, _) = roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            return match added {
                0 => {
                    Err(Error::config(format!("this system has no root certificates: name one by the option {option}")))
                }
                _ => Ok(roots),
            };
        };
        for certificate in certificates(option, file)? {
            roots.add(certificate).map_err(|cause| {
                Error::config(format!("a certificate of the file in {option} cannot be used")).with_source(cause)
            })?;
        }
        Ok(roots)
    }

    /// Completes a configuration with the client certificate, if there is one.
    ///
    /// # Errors
    /// `Config` as for [`Tls::from_files`].
    pub fn client_auth(&self, builder: ConfigBuilder<ClientConfig, WantsClientCert>) -> Result<ClientConfig> {
        let [_, cert_option, key_option] = self.names;
        let Some((cert, key)) = self.certificate()? else { return Ok(builder.with_no_client_auth()) };
        let key = PrivateKeyDer::from_pem_file(key).map_err(|cause| unreadable(key_option, key, cause))?;
        builder.with_client_auth_cert(certificates(cert_option, cert)?, key).map_err(unusable)
    }
}

/// The beginning of every configuration: ring, and the versions of TLS that are safe.
///
/// # Errors
/// `Config` when ring lacks what these versions need.
pub fn builder() -> Result<ConfigBuilder<ClientConfig, WantsVerifier>> {
    ClientConfig::builder_with_provider(Arc::new(crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(unusable)
}

/// The kind of TLS error behind this error, if there is one: `Denied` when the server refuses the client certificate or asks for one, `Config`
/// when the server's certificate is refused, or the server does not speak TLS. Trying again does not help. The server may refuse the client
/// certificate after the handshake, in its reply to the first request.
pub fn refusal(cause: &(dyn StdError + 'static)) -> Option<ErrorKind> {
    causes(cause).find_map(|cause| match cause.downcast_ref()? {
        rustls::Error::AlertReceived(_) => Some(ErrorKind::Denied),
        _ => Some(ErrorKind::Config),
    })
}

fn certificates(option: &str, file: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let all = CertificateDer::pem_file_iter(file).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let all = all.map_err(|cause| unreadable(option, file, cause))?;
    if all.is_empty() { Err(Error::config(format!("the file in {option} has no certificate"))) } else { Ok(all) }
}

fn unreadable(option: &str, file: &Path, cause: pem::Error) -> Error {
    Error::config(format!("the file in {option} cannot be read as PEM: {}", file.display())).with_source(cause)
}

fn unusable(cause: rustls::Error) -> Error {
    Error::config("the TLS configuration cannot be used").with_source(cause)
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;

    #[tokio::test]
    async fn what_cannot_be_read_again_is_used_as_it_was() {
        let readable = Mutex::new(VecDeque::from([true, true, false, false, true]));
        let read = move || match readable.lock().expect("nobody panics").pop_front() {
            Some(true) => Ok(builder()?.with_root_certificates(RootCertStore::empty()).with_no_client_auth()),
            _ => Err(Error::config("it is being replaced")),
        };
        let tls = Tls::read_by(read).expect("readable");
        let mut read = Vec::new();
        for _ in 0..4 {
            read.push(tls.config().await);
        }
        let same = |one: usize, two: usize| Arc::ptr_eq(&read[one], &read[two]);
        assert!(
            same(0, 1) && same(1, 2) && !same(2, 3),
            "it is read again for each connection, and kept where that fails"
        );
    }
}
