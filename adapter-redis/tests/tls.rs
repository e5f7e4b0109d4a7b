//! `rediss://`: a private authority and certificates of clients.

mod support;

use std::sync::Arc;

use roomcast_conformance::bare;
use roomcast_core::ErrorKind;
use roomcast_redis::{Redis, rustls};
use support::{ALL, Broker, Tested, ask, pair, talk};
use tempfile::TempDir;

/// A server that wants a certificate of its clients, and the files of one.
struct Server {
    broker: Broker,
    folder: TempDir,
    at: String,
    ca: String,
    cert: String,
    key: String,
}

impl Server {
    async fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        bare::certificates(folder.path());
        let file = |name: &str| folder.path().join(name).display().to_string();
        let (ca, cert, key) = (file("ca.pem"), file("client.pem"), file("client.key"));
        let (server, secret) = (file("server.pem"), file("server.key"));
        // Beside the port that the suite asks.
        let files = ["--tls-ca-cert-file", &ca, "--tls-cert-file", &server, "--tls-key-file", &secret];
        let broker = support::with(&[&["--tls-port", "{peer}"][..], &files].concat()).await;
        let port = ask(&broker, "CONFIG GET tls-port").await;
        let at = format!("rediss://127.0.0.1:{}", port.lines().last().expect("its value"));
        Self { broker, folder, at, ca, cert, key }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn both_sides_show_certificates_of_a_private_authority() -> Tested {
    let server = Server::start().await;
    let Server { at, ca, cert, key, .. } = &server;
    let (mut one, mut two) = pair(&format!("{at}?ca={ca}&cert={cert}&key={key}")).await;
    talk(&mut one, &mut two).await;
    one.publish(ALL, vec![7; 512 << 10]).await?;
    assert_eq!(two.frame().await.len(), 512 << 10);

    // As the application has configured it.
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    let nobody = Redis::from_url(&format!("{at}?ca={ca}"))?.tls(Arc::new(config));
    let stranger = Redis::from_url(&format!("{at}?ca={cert}"))?;
    let bare_handed = Redis::from_url(&format!("{at}?ca={ca}"))?;
    for (redis, kind) in [(nobody, ErrorKind::Config), (stranger, ErrorKind::Config), (bare_handed, ErrorKind::Denied)]
    {
        let error = bare::refusal(&redis).await;
        assert_eq!(error.kind(), kind, "{error:?}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_that_are_renewed_are_taken_up() -> Tested {
    let server = Server::start().await;
    let Server { broker, folder, at, ca, cert, key } = &server;
    let mut node = support::on(&format!("{at}?ca={ca}&cert={cert}&key={key}")).await;
    broker.kill().await?;
    node.is_down(ALL).await;
    bare::certificates(folder.path()); // of another authority, which knows nothing of the first
    broker.start_again().await?;
    node.is_back(ALL).await;
    Ok(())
}

#[tokio::test]
async fn files_that_are_not_what_they_should_be_are_refused() {
    let refused = async |query: &str| Redis::from_url(&format!("rediss://host?{query}")).expect_err(query);
    bare::odd_files_are_refused(["ca", "cert", "key"], refused).await;
}
