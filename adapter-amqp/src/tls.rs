//! TLS: rustls with ring, chosen by name, so that no process-wide provider is needed. The socket is made here, since the
//! client's own TLS brings more than it needs.

use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;

use adapter_core::{Error, ErrorKind, Result};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{self, ClientConfig, RootCertStore, crypto};

use crate::error::config;
use crate::url::TlsFiles;
use crate::wire::Duplex;

/// How to speak TLS with every broker of this configuration.
#[derive(Clone)]
pub(crate) struct Tls(Arc<ClientConfig>);

impl Tls {
    /// Reads the files that the URL names; the system's roots are trusted if it names no authority.
    ///
    /// # Errors
    /// `Config` when a file cannot be read or is not what it should be, or a key comes without its certificate.
    pub(crate) fn from_files(files: &TlsFiles) -> Result<Self> {
        let unusable = |cause: rustls::Error| config("the TLS configuration cannot be used").with_source(cause);
        let builder = ClientConfig::builder_with_provider(Arc::new(crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(unusable)?
            .with_root_certificates(roots(files.ca.as_deref())?);
        let config = match (&files.cert, &files.key) {
            (None, None) => builder.with_no_client_auth(),
            (Some(cert), Some(key)) => {
                let key = PrivateKeyDer::from_pem_file(key).map_err(|cause| unreadable("key", key, cause))?;
                builder.with_client_auth_cert(certificates("cert", cert)?, key).map_err(unusable)?
            }
            _ => return Err(config("a client certificate needs both options, cert and key")),
        };
        Ok(Self(Arc::new(config)))
    }

    pub(crate) fn from_config(config: Arc<ClientConfig>) -> Self {
        Self(config)
    }

    /// Shakes hands; the broker's certificate must be for this host.
    pub(crate) async fn wrap(&self, host: &str, stream: TcpStream) -> io::Result<Box<dyn Duplex>> {
        let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
        Ok(Box::new(TlsConnector::from(Arc::clone(&self.0)).connect(name, stream).await?))
    }
}

fn roots(ca: Option<&Path>) -> Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    let Some(file) = ca else {
        let (added, _) = roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        return match added {
            0 => Err(config("this system has no root certificates: name one by the option ca")),
            _ => Ok(roots),
        };
    };
    for certificate in certificates("ca", file)? {
        let unusable = |cause| config("a certificate of the file in ca cannot be used").with_source(cause);
        roots.add(certificate).map_err(unusable)?;
    }
    Ok(roots)
}

fn certificates(option: &str, file: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let all = CertificateDer::pem_file_iter(file).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let all = all.map_err(|cause| unreadable(option, file, cause))?;
    if all.is_empty() { Err(config(format!("the file in {option} has no certificate"))) } else { Ok(all) }
}

fn unreadable(option: &str, file: &Path, cause: rustls::pki_types::pem::Error) -> Error {
    config(format!("the file in {option} cannot be read as PEM: {}", file.display())).with_source(cause)
}

/// What TLS says under this error, if it does: the broker refuses our certificate, or we refuse its. The broker's word may
/// come after the handshake, in the place of its first answer.
pub(crate) fn is_refusal(cause: &(dyn StdError + 'static)) -> Option<ErrorKind> {
    let mut next = Some(cause);
    while let Some(cause) = next {
        match cause.downcast_ref() {
            Some(rustls::Error::AlertReceived(_)) => return Some(ErrorKind::Denied),
            Some(_) => return Some(ErrorKind::Config),
            None => {}
        }
        // An io::Error passes over the error within it.
        let within = cause.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        next = within.map(|within| within as _).or_else(|| cause.source());
    }
    None
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tls") // the configuration holds a private key
    }
}
