//! TLS: rustls with ring, chosen by name, so that no process-wide provider is needed; `sslmode` as libpq means it.

use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;

use adapter_core::{Error, Result};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{CertificateError, DigitallySignedStruct, RootCertStore, SignatureScheme};
use tokio_postgres::config::SslMode;
use tokio_postgres_rustls::MakeRustlsConnect;

pub(crate) use rustls::ClientConfig;

use crate::error::config;
use crate::url::{Mode, Ssl};

pub(crate) type Connector = MakeRustlsConnect;

/// How to speak TLS with the servers of one URL.
#[derive(Clone)]
pub(crate) struct Tls {
    connector: Connector,
    /// What is tried, one after the other.
    modes: &'static [SslMode],
}

impl Tls {
    /// # Errors
    /// `Config` when a file cannot be read or is not what it should be, or a key comes without its certificate.
    pub(crate) fn new(ssl: &Ssl) -> Result<Self> {
        let mode = ssl.mode.unwrap_or(Mode::Prefer);
        let modes: &[_] = match mode {
            Mode::Disable => &[SslMode::Disable],
            Mode::Allow => &[SslMode::Disable, SslMode::Require],
            Mode::Prefer => &[SslMode::Prefer, SslMode::Disable],
            _ => &[SslMode::Require],
        };
        let provider = Arc::new(ring::default_provider());
        let verifier = verifier(mode, ssl, &provider)?;
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(unusable)?
            .dangerous()
            .with_custom_certificate_verifier(verifier);
        let config = match (&ssl.cert, &ssl.key) {
            (None, None) => builder.with_no_client_auth(),
            (Some(cert), Some(key)) => {
                let key = PrivateKeyDer::from_pem_file(key).map_err(|cause| unreadable("sslkey", key, cause))?;
                builder.with_client_auth_cert(certificates("sslcert", cert)?, key).map_err(unusable)?
            }
            _ => return Err(config("a client certificate needs both options, sslcert and sslkey")),
        };
        Ok(Self { connector: MakeRustlsConnect::new(config), modes })
    }

    pub(crate) fn from_config(config: &ClientConfig) -> Self {
        Self { connector: MakeRustlsConnect::new(config.clone()), modes: &[SslMode::Require] }
    }

    pub(crate) fn attempts(&self) -> impl Iterator<Item = (SslMode, Connector)> {
        self.modes.iter().map(|mode| (*mode, self.connector.clone()))
    }
}

/// What is asked of the server's certificate.
#[derive(Debug)]
enum Verifier {
    /// Nothing: only against listeners.
    Nothing(Arc<CryptoProvider>),
    /// An authority that we trust; for whatever host.
    Authority(Arc<WebPkiServerVerifier>),
    /// And the host's name.
    Full(Arc<WebPkiServerVerifier>),
}

fn verifier(mode: Mode, ssl: &Ssl, provider: &Arc<CryptoProvider>) -> Result<Arc<Verifier>> {
    // As with libpq, `require` verifies the authority when one is named.
    let verifies = match mode {
        Mode::VerifyCa | Mode::VerifyFull => true,
        Mode::Require => ssl.root.is_some(),
        _ => false,
    };
    if !verifies {
        return Ok(Arc::new(Verifier::Nothing(Arc::clone(provider))));
    }
    let roots = Arc::new(roots(ssl.root.as_deref())?);
    let webpki = WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(provider)).build();
    let webpki = webpki.map_err(|cause| config("the certificates of sslrootcert cannot be used").with_source(cause))?;
    Ok(Arc::new(if mode == Mode::VerifyFull { Verifier::Full(webpki) } else { Verifier::Authority(webpki) }))
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let verify = |webpki: &WebPkiServerVerifier| {
            webpki.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
        };
        match self {
            Self::Nothing(_) => Ok(ServerCertVerified::assertion()),
            Self::Full(webpki) => verify(webpki),
            // The name is looked at last, so all else was found good.
            Self::Authority(webpki) => match verify(webpki) {
                Err(rustls::Error::InvalidCertificate(
                    CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
                )) => Ok(ServerCertVerified::assertion()),
                other => other,
            },
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        match self {
            Self::Nothing(provider) => {
                verify_tls12_signature(message, cert, dss, &provider.signature_verification_algorithms)
            }
            Self::Authority(webpki) | Self::Full(webpki) => webpki.verify_tls12_signature(message, cert, dss),
        }
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        match self {
            Self::Nothing(provider) => {
                verify_tls13_signature(message, cert, dss, &provider.signature_verification_algorithms)
            }
            Self::Authority(webpki) | Self::Full(webpki) => webpki.verify_tls13_signature(message, cert, dss),
        }
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        match self {
            Self::Nothing(provider) => provider.signature_verification_algorithms.supported_schemes(),
            Self::Authority(webpki) | Self::Full(webpki) => webpki.supported_verify_schemes(),
        }
    }
}

/// The system's, if none are named or `system` is.
fn roots(file: Option<&Path>) -> Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    match file.filter(|file| *file != Path::new("system")) {
        Some(file) => {
            for certificate in certificates("sslrootcert", file)? {
                roots.add(certificate).map_err(unusable)?;
            }
        }
        None => {
            let (added, _) = roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            if added == 0 {
                return Err(config("this system has no root certificates: name one by the option sslrootcert"));
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

fn unusable(cause: rustls::Error) -> Error {
    config("the TLS configuration cannot be used").with_source(cause)
}

/// Whether the other side's certificate, or ours, was refused: trying again does not help.
pub(crate) fn is_distrust(cause: &(dyn StdError + 'static)) -> bool {
    let mut next = Some(cause);
    while let Some(cause) = next {
        // An io::Error passes over the error within it.
        let within = cause.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        let tls = within.and_then(|within| within.downcast_ref()).or_else(|| cause.downcast_ref());
        if matches!(tls, Some(rustls::Error::InvalidCertificate(_) | rustls::Error::AlertReceived(_))) {
            return true;
        }
        next = cause.source();
    }
    false
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.modes).finish() // the configuration holds a private key
    }
}
