//! A verifier that does not look at the host's name, and perhaps at nothing else.

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{DigitallySignedStruct, Error, RootCertStore, SignatureScheme};

use super::rustls;

/// Takes the certificate of whatever host.
#[derive(Debug)]
pub(super) struct Unnamed {
    /// The authorities of which one has to have signed it; `None` takes every certificate.
    pub(super) roots: Option<RootCertStore>,
    pub(super) algorithms: WebPkiSupportedAlgorithms,
}

impl ServerCertVerifier for Unnamed {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if let Some(roots) = &self.roots {
            let certificate = ParsedCertificate::try_from(certificate)?;
            let algorithms = self.algorithms.all;
            verify_server_cert_signed_by_trust_anchor(&certificate, roots, intermediates, now, algorithms)?;
        }
        Ok(ServerCertVerified::assertion())
    }

    // The server has the certificate's key, in any case.
    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rustls::pki_types::pem::PemObject;
    use rustls::{CertificateError, crypto};

    use super::*;

    // Of two authorities, and of the host "right", which the first has signed; from November 2026 to November 2126.
    const AUTHORITY: &str = "-----BEGIN CERTIFICATE-----
MIIBcTCCARegAwIBAgIUOx7oVr2qrSjbDVf3ZL8GKgKGed4wCgYIKoZIzj0EAwIw
DTELMAkGA1UEAwwCY2EwIBcNMjYxMTI5MTkxNDA0WhgPMjEyNjExMDUxOTE0MDRa
MA0xCzAJBgNVBAMMAmNhMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAELDXT7UnE
z6CYs+jzPDqdStilUTyhUKBIjlFpthmhE0t76MQSjymnOVtGC0oj1jjandIHRdo2
7uWwdiQXk/A/GKNTMFEwHQYDVR0OBBYEFDAf4IomnKAlN9LfHGatM5MXoiAnMB8G
A1UdIwQYMBaAFDAf4IomnKAlN9LfHGatM5MXoiAnMA8GA1UdEwEB/wQFMAMBAf8w
CgYIKoZIzj0EAwIDSAAwRQIhAMVJ6HoVmy6lb1yE52AH7tsgdIS/aERcp9DVsApL
ViW1AiB0li+L30h9b9zfHxVeuW29eTJMfBFshj+KhB/Q2jI6ZA==
-----END CERTIFICATE-----";
    const OTHER: &str = "-----BEGIN CERTIFICATE-----
MIIBdzCCAR2gAwIBAgIUGVeXdSijHFlqj65mF/ZV1KQ5a6QwCgYIKoZIzj0EAwIw
EDEOMAwGA1UEAwwFb3RoZXIwIBcNMjYxMTI5MTkxNDA0WhgPMjEyNjExMDUxOTE0
MDRaMBAxDjAMBgNVBAMMBW90aGVyMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE
N0ojtTgwpmfPel2ExlCBaaTjtGfFK6abSgFow+j6+mv0qYHLcdrZW6j11tnE2szx
MMgI+BRK63vNy3WE3b7CM6NTMFEwHQYDVR0OBBYEFIOesfi7dhC+8qgLvEw0k+l/
kZM6MB8GA1UdIwQYMBaAFIOesfi7dhC+8qgLvEw0k+l/kZM6MA8GA1UdEwEB/wQF
MAMBAf8wCgYIKoZIzj0EAwIDSAAwRQIgIlP4q3+WcR6w1wSnnRBp5y7rZcKucpNK
2BaLqc76gjsCIQDJxxrq2kYowR42yMsCtzueOcFQuXTxk3TcIcc7KdRVvQ==
-----END CERTIFICATE-----";
    const SERVER: &str = "-----BEGIN CERTIFICATE-----
MIIBcDCCARegAwIBAgIUaQHHVlOPrn0hLdB0AAvuGULjYYQwCgYIKoZIzj0EAwIw
DTELMAkGA1UEAwwCY2EwIBcNMjYxMTI5MTkxNDA1WhgPMjEyNjExMDUxOTE0MDVa
MAwxCjAIBgNVBAMMAXMwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAAQSGJxJctiF
mjTRt29VTlv9a+HGOdWmVe0dz4sPGRMn1tOpz4a3gcTklAstq2GYxaBx/TuoRQLJ
o4BBu5+5jRXao1QwUjAQBgNVHREECTAHggVyaWdodDAdBgNVHQ4EFgQUDu5eECXY
Qn4741yG4ZCaeVH5bFcwHwYDVR0jBBgwFoAUMB/giiacoCU30t8cZq0zkxeiICcw
CgYIKoZIzj0EAwIDRwAwRAIgYcgV7sENZv+qBQmsiqTBoynCa/LBLNr3z5LjcbM5
DEUCIHORWPejt6AYGwfyDua1a7ACxSjjRN+sj1efU5iay07M
-----END CERTIFICATE-----";

    fn certificate(pem: &str) -> CertificateDer<'static> {
        CertificateDer::from_pem_slice(pem.as_bytes()).expect("a certificate")
    }

    fn verify(roots: &[&str], server: &str, year: u64) -> Result<ServerCertVerified, Error> {
        let mut trusted = RootCertStore::empty();
        let (added, _) = trusted.add_parsable_certificates(roots.iter().copied().map(certificate));
        assert_eq!(added, roots.len());
        let algorithms = crypto::ring::default_provider().signature_verification_algorithms;
        let unnamed = Unnamed { roots: (added > 0).then_some(trusted), algorithms };
        let host = ServerName::try_from("wrong").expect("a name");
        let now = UnixTime::since_unix_epoch(Duration::from_secs((year - 1970) * 31_556_952));
        unnamed.verify_server_cert(&certificate(server), &[], &host, &[], now)
    }

    #[test]
    fn an_authority_that_is_trusted_vouches_for_whatever_host() {
        verify(&[AUTHORITY], SERVER, 2050).expect("it has signed it");
        verify(&[OTHER, AUTHORITY], SERVER, 2050).expect("one of them has signed it");
        let refused = |roots, year| match verify(roots, SERVER, year).expect_err("not verified") {
            Error::InvalidCertificate(why) => why,
            other => panic!("{other}"),
        };
        assert_eq!(refused(&[OTHER], 2050), CertificateError::UnknownIssuer);
        assert!(matches!(refused(&[AUTHORITY], 2127), CertificateError::ExpiredContext { .. }));
        assert!(matches!(refused(&[AUTHORITY], 2026), CertificateError::NotValidYetContext { .. }));
    }

    #[test]
    fn without_authorities_everything_is_taken() {
        for (server, year) in [(SERVER, 2050), (OTHER, 2127)] {
            verify(&[], server, year).expect("nothing is looked at");
        }
    }
}
