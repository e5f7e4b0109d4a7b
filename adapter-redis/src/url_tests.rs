use roomcast_core::ErrorKind;
use roomcast_core::backend::HostPort;

use super::*;

fn fine(url: &str) -> Parsed {
    parse(url).expect(url)
}

fn refused(url: &str) -> String {
    let error = parse(url).expect_err(url);
    assert_eq!(error.kind(), ErrorKind::Config, "{url}");
    format!("{error} {error:?}")
}

fn login(url: &str) -> Login {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(fine(url).credentials.login()).expect("fixed")
}

fn host(host: &str, port: u16) -> HostPort {
    HostPort { host: host.to_owned(), port }
}

#[test]
fn a_url_is_taken_apart() {
    let url = "redis://app:s%40fe@cache.local:7000/0?mode=sharded&tag=shop";
    let parsed = fine(url);
    assert_eq!(parsed.hosts, [host("cache.local", 7000)]);
    assert_eq!(login(url), Login::new("app", "s@fe"));
    assert_eq!((parsed.kind, parsed.tls), (Kind::Single, None));
    assert_eq!(parsed.mode, Mode::sharded("shop").expect("a tag"));
}

#[test]
fn what_is_left_out_has_its_default() {
    let parsed = fine("redis://localhost");
    assert_eq!(parsed.hosts, [host("localhost", 6379)]);
    assert_eq!((login("redis://localhost"), parsed.mode), (Login::default(), Mode::PubSub));
    assert_eq!(fine("redis://:pw@[::1]:1/").hosts, [host("::1", 1)]);
    assert_eq!(login("redis://:pw@[::1]").user, None);
    let file = fine("redis://app@host?password_file=/run/secrets/redis").credentials;
    assert!(format!("{file:?}").contains("app") && format!("{file:?}").contains("/run/secrets/redis"), "{file:?}");
    assert!(refused("redis://app:hunter2@host?password_file=/x").contains("not in both"));
}

#[test]
fn a_cluster_and_sentinels_have_several_servers() {
    let cluster = fine("redis+cluster://one:1,two,[::3]:3");
    assert_eq!(cluster.hosts, [host("one", 1), host("two", 6379), host("::3", 3)]);
    assert_eq!(cluster.mode, Mode::sharded(TAG).expect("a tag"));
    assert_eq!((fine("redis://one,two").kind, fine("redis+cluster://one").kind), (Kind::Cluster, Kind::Cluster));
    let sentinel = fine("rediss+sentinel://:pw@one,two:2/main/0?sentinel_password=x&ca=/a%20b.pem");
    assert_eq!(sentinel.hosts, [host("one", 26379), host("two", 2)]);
    assert_eq!(sentinel.service, "main");
    assert_eq!(sentinel.sentinel.password.as_deref(), Some("x"));
    assert_eq!(sentinel.tls.and_then(|files| files.ca), Some("/a b.pem".into()));
}

#[test]
fn what_is_not_understood_is_refused_and_its_secrets_not_repeated() {
    let urls = [
        "redis:/user:hunter2@host",
        "kafka://user:hunter2@host",
        "redis://user:hunter2@host#insecure",
        "redis://user:hunter2@host?moed=sharded",
        "redis://user:hunter2@host?hunter2",
        "redis://user:hunter2@host?protocol=hunter2",
        "redis://user:hunter2/@host",
        "redis://user:1?hunter2=1@host",
        "redis://user:hunter2@host?mode=hunter2",
        "redis://user:hunter2@host?tag=shop",
        "redis://user:hunter2@host?mode=sharded&tag={a}",
        "redis://user:hunter2@host?mode=sharded&tag=",
        "redis://user:hunter2@host?ca=/x",
        "redis://user:hunter2@host?sentinel_password=hunter2",
        "redis://user:hunter2@host/one",
        "redis://user:hunter2@host/-1",
        "redis://user:hunter2@one,two/1",
        "redis://user:hunter2@one,,two",
        "redis://user:hunter2@",
        "redis://user:hunter2@host:port",
        "redis://user:hunter2@host:0",
        "redis://user:hunter2@[::1",
        "redis://hunter2@host",
        "redis://user:%ffhunter2@host",
        "redis+cluster://user:hunter2@one,two/1",
        "redis+cluster://user:hunter2@one,two?mode=pubsub",
        "redis+sentinel://user:hunter2@one,two",
    ];
    for url in urls {
        assert!(!refused(url).contains("hunter2"), "{url}");
    }
}

#[test]
fn an_unknown_option_is_named_with_the_known_ones() {
    let text = refused("redis://host?moed=hunter2");
    assert!(text.contains("moed") && !text.contains("hunter2"), "{text}");
    assert!(OPTIONS.split(", ").all(|option| text.contains(option)), "{text}");
}

#[test]
fn a_database_would_keep_nothing_apart_and_is_refused() {
    for url in ["redis://h/1", "redis://h/9999", "redis+sentinel://h/main/4", "redis://h,i/2", "redis://h/-1"] {
        assert!(refused(url).contains("cluster=NAME"), "{url}");
    }
    fine("redis://h/0");
    fine("redis+cluster://h,i/0");
}

#[test]
fn a_stream_has_a_key_and_a_length() {
    let plain = fine("redis+streams://h");
    assert_eq!((plain.kind, plain.mode), (Kind::Stream, Mode::stream(None, 10_000).expect("fine")));
    let named = fine("rediss+streams://h?stream=shop&maxlen=500");
    assert_eq!((named.mode, named.tls.is_some()), (Mode::stream(Some("shop"), 500).expect("fine"), true));
    for url in [
        "redis+streams://h,i",
        "redis+streams://h?maxlen=0",
        "redis+streams://h?maxlen=many",
        "redis+streams://h?stream={a}",
        "redis+streams://h?mode=pubsub",
        "redis+streams://h?tag=a",
        "redis://h?stream=shop",
        "redis://h?maxlen=500",
    ] {
        refused(url);
    }
}

#[test]
fn valkey_is_redis_by_another_name() {
    let plain = fine("Valkey://:pw@h?mode=sharded");
    assert_eq!((plain.hosts, plain.kind, plain.tls), (vec![host("h", 6379)], Kind::Single, None));
    assert!(fine("valkeys://h").tls.is_some());
}

#[test]
fn debug_hides_passwords() {
    let parsed = fine("redis+sentinel://app:hunter2@one/main?sentinel_password=hunter2");
    let text = format!("{parsed:?}");
    assert!(text.contains("app") && !text.contains("hunter2"), "{text}");
}

#[cfg(not(feature = "tls"))]
#[test]
fn tls_names_the_feature_that_it_needs() {
    let error = crate::Redis::from_url("rediss://host").expect_err("no TLS here");
    assert!(error.kind() == ErrorKind::Config && error.to_string().contains("redis-tls"), "{error}");
}
