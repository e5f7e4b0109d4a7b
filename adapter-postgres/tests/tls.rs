//! `sslmode`, a private authority and certificates of clients.
#![allow(clippy::unwrap_used, reason = "how a test fails")]

mod support;

use std::sync::Arc;

use roomcast_conformance::Broker;
use roomcast_conformance::bare::{self, prepared_by};
use roomcast_conformance::recipes;
use roomcast_core::ErrorKind;
use roomcast_postgres::{Postgres, rustls};
use support::{Tested, admin, on, refusal, start_here};

/// An authority, and what it signed: for the server by a name that is not 127.0.0.1, then for the right one.
const CERTIFICATES: &str = "exec 2>&1; key='-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes'; \
    openssl req -x509 $key -keyout ca.key -out ca.pem -days 2 -subj /CN=ca && \
    for name in server wrong postgres; do \
      case $name in server) names=IP:127.0.0.1;; *) names=DNS:elsewhere;; esac; echo subjectAltName=$names > names; \
      openssl req -new $key -keyout $name.key -out $name.csr -subj /CN=$name && \
      openssl x509 -req -in $name.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out $name.pem -days 2 -extfile names \
      || exit 1; done; \
    openssl req -x509 $key -keyout other.key -out other.pem -days 2 -subj /CN=other";

struct Server {
    broker: Broker,
    folder: String,
}

impl Server {
    async fn start() -> Self {
        let broker = start_here(&prepared_by(recipes::postgres(), &["sh", "-c", CERTIFICATES])).await;
        let data = admin(&broker).await.query_one("SELECT current_setting('data_directory')", &[]).await.unwrap();
        let folder = data.get::<_, String>(0).trim_end_matches("/data").to_owned();
        Self { broker, folder }
    }

    /// Turns TLS on with this certificate, and lets in whom these rules let in.
    async fn configure(&self, certificate: &str, rules: &[&str]) {
        let admin = admin(&self.broker).await;
        let Self { folder, .. } = self;
        let rules: Vec<_> =
            rules.iter().chain(&["host all postgres 0.0.0.0/0 trust"]).map(|rule| format!("('{rule}')")).collect();
        for statement in [
            format!("COPY (VALUES {}) TO '{folder}/data/pg_hba.conf'", rules.join(", ")),
            format!("ALTER SYSTEM SET ssl_cert_file = '{folder}/{certificate}.pem'"),
            format!("ALTER SYSTEM SET ssl_key_file = '{folder}/{certificate}.key'"),
            format!("ALTER SYSTEM SET ssl_ca_file = '{folder}/ca.pem'"),
            "ALTER SYSTEM SET ssl = on".to_owned(),
        ] {
            admin.batch_execute(&statement).await.unwrap();
        }
        // A new process, so that nothing of before is met.
        self.broker.restart_gently().await.unwrap();
    }

    /// The URL of this role with these options, where a file of ours is `@name`.
    fn url(&self, role: &str, options: &str) -> String {
        support::url(&self.broker, role, &format!("/postgres?{}", options.replace('@', &format!("{}/", self.folder))))
    }

    async fn kind(&self, role: &str, options: &str) -> ErrorKind {
        refusal(&self.url(role, options)).await.kind()
    }

    /// Connects, and tells by the server's word whether both connections are encrypted.
    async fn encrypted(&self, role: &str, options: &str) -> bool {
        let mut node = on(&self.url(role, options), "rc.a").await;
        node.hears_itself("rc.a").await;
        let query = "SELECT bool_and(ssl), bool_or(ssl) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) \
                     WHERE application_name LIKE 'roomcast%'";
        let admin = admin(&self.broker).await;
        let row = admin.query_one(query, &[]).await.unwrap();
        let (all, any): (bool, bool) = (row.get(0), row.get(1));
        assert_eq!(all, any);
        node.backend.close().await.unwrap();
        support::until(&admin, "SELECT count(*) = 0 FROM pg_stat_activity WHERE application_name LIKE 'roomcast%'")
            .await;
        all
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_sslmode_means_what_libpq_means() -> Tested {
    let server = Server::start().await;
    // Without TLS at the server.
    for mode in ["", "sslmode=disable", "sslmode=allow", "sslmode=prefer"] {
        assert!(!server.encrypted("postgres", mode).await, "{mode}");
    }
    for mode in ["require", "verify-ca", "verify-full"] {
        assert_eq!(
            server.kind("postgres", &format!("sslmode={mode}&sslrootcert=@ca.pem")).await,
            ErrorKind::Config,
            "{mode}"
        );
    }
    // With a certificate for another host.
    server.configure("wrong", &[]).await;
    for (mode, sealed) in [
        ("sslmode=disable", false),
        ("sslmode=allow", false),
        ("", true),
        ("sslmode=prefer", true),
        ("sslmode=require", true),
        ("sslmode=require&sslrootcert=@ca.pem", true),
        ("sslmode=verify-ca&sslrootcert=@ca.pem", true),
    ] {
        assert_eq!(server.encrypted("postgres", mode).await, sealed, "{mode}");
    }
    for mode in [
        "sslmode=verify-full&sslrootcert=@ca.pem",
        "sslmode=verify-ca&sslrootcert=@other.pem",
        "sslmode=require&sslrootcert=@other.pem",
        "sslmode=verify-full&sslrootcert=system",
        "sslrootcert=system",
    ] {
        assert_eq!(server.kind("postgres", mode).await, ErrorKind::Config, "{mode}");
    }
    server.configure("server", &[]).await;
    assert!(server.encrypted("postgres", "sslmode=verify-full&sslrootcert=@ca.pem").await);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_and_the_servers_rules_decide_who_comes_in() -> Tested {
    let server = Server::start().await;
    admin(&server.broker)
        .await
        .batch_execute("CREATE ROLE sealed LOGIN; CREATE ROLE plain LOGIN; CREATE ROLE shown LOGIN")
        .await?;
    let rules = [
        "hostssl all sealed 0.0.0.0/0 trust",
        "hostnossl all plain 0.0.0.0/0 trust",
        "hostssl all shown 0.0.0.0/0 trust clientcert=verify-ca",
    ];
    server.configure("server", &rules).await;
    // The second way is taken where the first is refused.
    assert!(server.encrypted("sealed", "sslmode=allow").await);
    assert!(!server.encrypted("plain", "sslmode=prefer").await);
    assert_eq!(server.kind("sealed", "sslmode=disable").await, ErrorKind::Denied);
    assert_eq!(server.kind("plain", "sslmode=require").await, ErrorKind::Denied);

    let trusted = "sslmode=verify-full&sslrootcert=@ca.pem";
    assert_eq!(server.kind("shown", trusted).await, ErrorKind::Denied, "no certificate of ours");
    assert!(server.encrypted("shown", &format!("{trusted}&sslcert=@postgres.pem&sslkey=@postgres.key")).await);
    let strange = server.kind("shown", &format!("{trusted}&sslcert=@other.pem&sslkey=@other.key")).await;
    assert!(matches!(strange, ErrorKind::Config | ErrorKind::Denied), "{strange:?}");

    // As the application has configured it.
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let nobody = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    let postgres = Postgres::from_url(&server.url("sealed", ""))?.tls(Arc::new(nobody));
    let error = bare::refusal(&postgres).await;
    assert_eq!(error.kind(), ErrorKind::Config, "{error:?}");
    Ok(())
}

#[tokio::test]
async fn files_that_are_not_what_they_should_be_are_refused() {
    let host = "postgres://host/postgres?sslmode=verify-ca";
    let refused = async |query: &str| Postgres::from_url(&format!("{host}&{query}")).expect_err(query);
    bare::odd_files_are_refused(["sslrootcert", "sslcert", "sslkey"], refused).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_and_an_authority_that_change_are_taken_up() -> Tested {
    let server = Server::start().await;
    admin(&server.broker).await.batch_execute("CREATE ROLE rotating LOGIN PASSWORD 'one'").await?;
    server.configure("server", &["host all rotating 0.0.0.0/0 scram-sha-256"]).await;
    let ours = tempfile::tempdir()?;
    let (password, trusted) = (ours.path().join("password"), ours.path().join("ca.pem"));
    let authority = |name: &str| std::fs::copy(format!("{}/{name}", server.folder), &trusted);
    std::fs::write(&password, "one\n")?;
    authority("ca.pem")?;
    let options = format!("sslmode=verify-full&sslrootcert={}&password_file={}", trusted.display(), password.display());
    let mut node = on(&server.url("rotating", &options), "rc.a").await;

    let admin = admin(&server.broker).await;
    let cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'rotating'";
    admin.batch_execute(&format!("ALTER ROLE rotating PASSWORD 'two'; {cut}")).await?;
    assert_eq!(node.refused().await.0, ErrorKind::Denied);
    std::fs::write(&password, "two")?;
    node.is_back("rc.a").await;

    authority("other.pem")?;
    admin.batch_execute(cut).await?;
    assert_eq!(node.refused().await.0, ErrorKind::Config);
    authority("ca.pem")?;
    node.is_back("rc.a").await;
    Ok(())
}
