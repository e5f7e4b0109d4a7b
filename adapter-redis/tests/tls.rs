//! `rediss://`: a private authority and certificates of clients.

mod support;

use std::slice::from_ref;
use std::sync::Arc;

use adapter_core::ErrorKind;
use adapter_core::probe::Tap;
use adapter_redis::{Redis, rustls};
use support::{Certificates, Peer, Server, channel, talk};

type Test = Result<(), Box<dyn std::error::Error>>;

#[tokio::test(flavor = "multi_thread")]
async fn both_sides_show_certificates_of_a_private_authority() -> Test {
    let certificates = Certificates::new();
    let server = Server::tls(&certificates).await;
    let all = channel("rc.shop.all");
    let at = format!("rediss://127.0.0.1:{}", server.port);
    let (ca, cert, key) =
        (certificates.file("ca.pem"), certificates.file("client.pem"), certificates.file("client.key"));

    let redis = Redis::from_url(&format!("{at}?ca={ca}&cert={cert}&key={key}"))?;
    let mut one = Peer::new(&redis, from_ref(&all)).await;
    let mut two = Peer::new(&redis, from_ref(&all)).await;
    talk(&mut one, &mut two, &all).await;
    one.backend.publish(&[support::message(&all, vec![7; 512 << 10])]).await?;
    assert_eq!(two.frame().await.1.len(), 512 << 10);

    // As the application has configured it.
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    let nobody = Redis::from_url(&format!("{at}?ca={ca}"))?.tls(Arc::new(config));
    let stranger = Redis::from_url(&format!("{at}?ca={cert}"))?;
    for redis in [nobody, stranger] {
        let error = Peer::try_new(&redis, &[], Tap::new(1, 1)).await.err().expect("no trust");
        assert_eq!(error.kind(), ErrorKind::Config, "{error:?}");
    }
    // The server wants a certificate of ours.
    let error = Peer::try_new(&Redis::from_url(&format!("{at}?ca={ca}"))?, &[], Tap::new(1, 1)).await;
    assert_eq!(error.err().expect("refused").kind(), ErrorKind::Config);
    Ok(())
}

#[test]
fn files_that_are_not_what_they_should_be_are_refused() {
    let certificates = Certificates::new();
    let (ca, cert, key) =
        (certificates.file("ca.pem"), certificates.file("client.pem"), certificates.file("client.key"));
    let no = "/no/such/file";
    for query in [
        format!("ca={no}"),
        format!("ca={key}"),
        format!("ca={ca}&cert={cert}"),
        format!("ca={ca}&key={key}"),
        format!("ca={ca}&cert={cert}&key={cert}"),
        format!("ca={ca}&cert={no}&key={key}"),
        format!("ca={ca}&cert={ca}&key={key}"),
    ] {
        let error = Redis::from_url(&format!("rediss://host?{query}")).expect_err(&query);
        assert_eq!(error.kind(), ErrorKind::Config, "{query}");
    }
}
