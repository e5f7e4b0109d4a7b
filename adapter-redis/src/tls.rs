//! TLS: rustls with ring, chosen by name, so that no process-wide provider is needed.

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;

use adapter_core::{Error, Result};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{self, ClientConfig, RootCertStore, crypto};

use crate::error::config;
use crate::stream::Duplex;
use crate::url::TlsFiles;

/// How to speak TLS with every server of this configuration.
#[derive(Clone)]
pub(crate) struct Tls(Arc<ClientConfig>);

impl Tls {
    /// Reads the files that the URL names; the system's roots are trusted if it names no authority.
    ///
    /// # Errors
    /// `Config` when a file cannot be read or is not what it should be, or a key comes without its certificate.
    pub(crate) fn from_files(files: &TlsFiles) -> Result<Self> {
        let roots = roots(files.ca.as_deref())?;
        let provider = Arc::new(crypto::ring::default_provider());
        let unusable = |cause: rustls::Error| config("the TLS configuration cannot be used").with_source(cause);
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(unusable)?
            .with_root_certificates(roots);
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

    /// Shakes hands; the server's certificate must be for this host.
    pub(crate) async fn wrap(&self, host: &str, stream: TcpStream) -> io::Result<Box<dyn Duplex>> {
        let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
        Ok(Box::new(TlsConnector::from(Arc::clone(&self.0)).connect(name, stream).await?))
    }
}

fn roots(ca: Option<&Path>) -> Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    match ca {
        Some(file) => {
            for certificate in certificates("ca", file)? {
                let unusable = |cause| config("a certificate of the file in ca cannot be used").with_source(cause);
                roots.add(certificate).map_err(unusable)?;
            }
        }
        None => {
            let (added, _) = roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            if added == 0 {
                return Err(config("this system has no root certificates: name one by the option ca"));
            }
        }
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

/// Whether the other side's certificate, or ours, was refused: trying again does not help.
pub(crate) fn is_refusal(cause: &io::Error) -> bool {
    let tls = cause.get_ref().and_then(|cause| cause.downcast_ref::<rustls::Error>());
    matches!(tls, Some(rustls::Error::InvalidCertificate(_) | rustls::Error::AlertReceived(_)))
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tls") // the configuration holds a private key
    }
}
