//! `amqps://`: a private authority, and certificates that say who a node is.
#![allow(clippy::unwrap_used, reason = "how a test fails")]

mod support;

use std::path::Path;
use std::sync::Arc;

use roomcast_amqp::{Amqp, rustls};
use roomcast_conformance::bare::{self, certificates, with_arguments};
use roomcast_conformance::broker::{Broker, recipes};
use roomcast_core::ErrorKind;
use roomcast_core::backend::Reason;
use support::{ctl, on, refusal};

type Tested = Result<(), Box<dyn std::error::Error>>;

/// A broker that speaks TLS on this port too, beside the one that the suite asks.
async fn broker(folder: &Path, port: u16) -> Broker {
    let at = folder.display();
    let listeners = format!("[{{\"127.0.0.1\",{port}}}]");
    let options = format!(
        "[{{cacertfile,\"{at}/ca.pem\"}},{{certfile,\"{at}/server.pem\"}},{{keyfile,\"{at}/server.key\"}},\
         {{verify,verify_peer}},{{fail_if_no_peer_cert,false}}]"
    );
    let settings = [
        ["ssl_listeners", &listeners],
        ["ssl_options", &options],
        ["auth_mechanisms", "['PLAIN','EXTERNAL']"],
        ["ssl_cert_login_from", "common_name"],
    ];
    let arguments: Vec<_> = settings.iter().flat_map(|[name, value]| ["-rabbit", name, value]).collect();
    let plugins = [("RABBITMQ_ENABLED_PLUGINS", "rabbitmq_auth_mechanism_ssl")];
    let recipe = with_arguments(recipes::rabbitmq(), &arguments)
        .named("rabbitmq-tls")
        .without_image() // containers have no such folder
        .with_program(|program| program.envs(plugins).unprepared()); // which would leave the plugins out
    support::start(&recipe).await
}

#[tokio::test(flavor = "multi_thread")]
async fn both_sides_show_certificates_of_a_private_authority() -> Tested {
    let folder = tempfile::tempdir()?;
    certificates(folder.path());
    let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let broker = broker(folder.path(), port).await;
    let at = folder.path().display();
    let files = format!("ca={at}/ca.pem&cert={at}/client.pem&key={at}/client.key");

    // Its certificate says who a node is, where its URL names no user.
    let url = format!("amqps://127.0.0.1:{port}?{files}");
    assert_eq!(refusal(&url).await.kind(), ErrorKind::Denied, "the broker knows nobody of that name");
    ctl(&broker, &["add_user", "client", "not needed"]).await;
    ctl(&broker, &["set_permissions", "client", "^roomcast", "^roomcast", "^roomcast"]).await;
    let mut node = on(&url, "rc.a").await;
    node.publish("rc.a", vec![7; node.backend.limits().max_frame]).await?;
    assert_eq!(node.frame().await.len(), node.backend.limits().max_frame);
    node.backend.reset(Reason::from("for a test")).await;
    node.comes_back("rc.a").await;
    let users = ctl(&broker, &["list_connections", "user", "auth_mechanism"]).await;
    assert!(users.lines().any(|line| line == "client\tEXTERNAL"), "{users}");

    // A user and a password go before.
    let named = format!("amqps://guest:guest@127.0.0.1:{port}?{files}");
    on(&named, "rc.a").await.hears_itself("rc.a").await;
    let alone = format!("amqps://guest:guest@127.0.0.1:{port}?ca={at}/ca.pem");
    on(&alone, "rc.a").await.hears_itself("rc.a").await;

    // An authority that nobody knows: that of the URL, or as the application has configured it.
    let stranger = format!("amqps://127.0.0.1:{port}?ca={at}/client.pem");
    assert_eq!(refusal(&stranger).await.kind(), ErrorKind::Config);
    let config = rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    let nobody = Amqp::from_url(&alone)?.tls(Arc::new(config));
    assert_eq!(bare::refusal(&nobody).await.kind(), ErrorKind::Config);
    // No TLS there.
    let plain = format!("amqps://{}?ca={at}/ca.pem", broker.addresses()[0]);
    assert_ne!(refusal(&plain).await.kind(), ErrorKind::Denied);
    Ok(())
}

#[tokio::test]
async fn files_that_are_not_what_they_should_be_are_refused() {
    let refused = async |query: &str| Amqp::from_url(&format!("amqps://host?{query}")).expect_err(query);
    bare::odd_files_are_refused(["ca", "cert", "key"], refused).await;
}
