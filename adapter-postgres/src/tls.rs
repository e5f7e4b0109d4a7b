//! `sslmode` as libpq means it.

use std::fmt;
use std::sync::Arc;

use roomcast_core::backend::tls::{self, builder, rustls};
use roomcast_core::{Error, Result};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, DigitallySignedStruct, SignatureScheme};
use tokio_postgres::config::SslMode;
use tokio_postgres_rustls::MakeRustlsConnect;

pub(crate) use roomcast_core::backend::tls::refusal;
pub(crate) use rustls::ClientConfig;

use crate::url::{Mode, Ssl};

pub(crate) type Connector = MakeRustlsConnect;

/// How to speak TLS with the servers of one URL.
#[derive(Clone)]
pub(crate) struct Tls {
    files: tls::Tls,
    /// What is tried, one after the other.
    modes: &'static [SslMode],
}

impl Tls {
    /// # Errors
    /// `Config` when a file cannot be read or is not what it should be, or a key comes without its certificate.
    pub(crate) fn new(ssl: &Ssl) -> Result<Self> {
        let mode = match ssl.mode {
            None if ssl.is_system() => Mode::VerifyFull,
            Some(weak) if ssl.is_system() && weak != Mode::VerifyFull => {
                return Err(Error::config(
                    "sslrootcert=system needs sslmode=verify-full, which is the default with it",
                ));
            }
            mode => mode.unwrap_or(Mode::Prefer),
        };
        let modes: &[_] = match mode {
            Mode::Disable => &[SslMode::Disable],
            Mode::Allow => &[SslMode::Disable, SslMode::Require],
            Mode::Prefer => &[SslMode::Prefer, SslMode::Disable],
            _ => &[SslMode::Require],
        };
        let ssl = ssl.clone();
        let read = move || {
            let builder = builder()?;
            let verifier = verifier(mode, &ssl, builder.crypto_provider())?;
            ssl.files.client_auth(builder.dangerous().with_custom_certificate_verifier(verifier))
        };
        Ok(Self { files: tls::Tls::read_by(read)?, modes })
    }

    pub(crate) fn from_config(config: Arc<ClientConfig>) -> Self {
        Self { files: tls::Tls::from_config(config), modes: &[SslMode::Require] }
    }

    pub(crate) async fn attempts(&self) -> impl Iterator<Item = (SslMode, Connector)> + use<'_> {
        let connector = MakeRustlsConnect::new((*self.files.config().await).clone());
        self.modes.iter().map(move |mode| (*mode, connector.clone()))
    }
}

impl Ssl {
    /// `sslrootcert=system`: the authorities that this machine trusts.
    fn is_system(&self) -> bool {
        self.files.ca.as_ref().is_some_and(|file| file.as_os_str() == "system")
    }
}

#[derive(Debug)]
struct Verifier {
    asked: Asked,
    algorithms: WebPkiSupportedAlgorithms,
}

/// What is asked of the server's certificate.
#[derive(Debug)]
enum Asked {
    /// Nothing: only against listeners.
    Nothing,
    /// An authority that we trust; for whatever host.
    Authority(Arc<WebPkiServerVerifier>),
    /// And the host's name.
    Full(Arc<WebPkiServerVerifier>),
}

fn verifier(mode: Mode, ssl: &Ssl, provider: &Arc<CryptoProvider>) -> Result<Arc<Verifier>> {
    // As with libpq, `require` verifies the authority when one is named.
    let verifies = match mode {
        Mode::VerifyCa | Mode::VerifyFull => true,
        Mode::Require => ssl.files.ca.is_some(),
        _ => false,
    };
    let asked = if verifies {
        let mut trusted = ssl.files.clone();
        trusted.ca.take_if(|_| ssl.is_system());
        let roots = Arc::new(trusted.roots()?);
        let webpki = WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(provider)).build();
        let unusable = |cause| Error::config("the certificates of sslrootcert cannot be used").with_source(cause);
        let webpki = webpki.map_err(unusable)?;
        if mode == Mode::VerifyFull { Asked::Full(webpki) } else { Asked::Authority(webpki) }
    } else {
        Asked::Nothing
    };
    Ok(Arc::new(Verifier { asked, algorithms: provider.signature_verification_algorithms }))
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
        match &self.asked {
            Asked::Nothing => Ok(ServerCertVerified::assertion()),
            Asked::Full(webpki) => verify(webpki),
            // The name is looked at last, so all else was found good.
            Asked::Authority(webpki) => match verify(webpki) {
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
        verify_tls12_signature(message, cert, dss, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.modes).finish() // the configuration holds a private key
    }
}

#[cfg(test)]
mod tests {
    use roomcast_core::ErrorKind;

    use crate::Postgres;

    #[test]
    fn the_systems_authorities_vouch_for_names_alone() {
        let weak = ["disable", "allow", "prefer", "require", "verify-ca"];
        for mode in weak {
            let url = format!("postgres://host?sslrootcert=system&sslmode={mode}");
            assert_eq!(Postgres::from_url(&url).expect_err(mode).kind(), ErrorKind::Config);
        }
    }
}
