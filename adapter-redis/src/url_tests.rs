use roomcast_core::ErrorKind;

use super::*;

fn fine(url: &str) -> Redis {
    parse(url).expect(url).0
}

/// The files of TLS; none for a plain connection.
fn files(url: &str) -> Option<TlsFiles> {
    parse(url).expect(url).1
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

fn sharded(tag: &str) -> Mode {
    Mode::Sharded { tag: tag.to_owned() }
}

fn streams(key: Option<&str>, maxlen: u32) -> Mode {
    Mode::Streams { key: key.map(str::to_owned), maxlen }
}

/// The servers of a URL that is no cluster's and no sentinels'.
fn single(url: &str) -> String {
    let Topology::Single(server) = fine(url).topology else { panic!("{url}") };
    server.to_string()
}

/// The servers of a cluster.
fn seeds(url: &str) -> Vec<String> {
    let Topology::Cluster { seeds, .. } = fine(url).topology else { panic!("{url}") };
    seeds.iter().map(HostPort::to_string).collect()
}

fn sentinels(url: &str) -> (Vec<String>, String, Login) {
    let Topology::Sentinel(Sentinels { all, service, login }) = fine(url).topology else { panic!("{url}") };
    (all.iter().map(HostPort::to_string).collect(), service, login)
}

#[test]
fn a_url_is_taken_apart() {
    let url = "redis://app:s%40fe@cache.local:7000/0?mode=sharded&tag=shop";
    assert_eq!(single(url), "cache.local:7000");
    assert_eq!((login(url), files(url)), (Login::new("app", "s@fe"), None));
    assert_eq!(fine(url).mode, sharded("shop"));
}

#[test]
fn what_is_left_out_has_its_default() {
    assert_eq!(single("redis://localhost"), "localhost:6379");
    assert_eq!((login("redis://localhost"), fine("redis://localhost").mode), (Login::default(), Mode::PubSub));
    assert_eq!(single("redis://:pw@[::1]:1/"), "[::1]:1");
    assert_eq!(login("redis://:pw@[::1]").user, None);
    let file = fine("redis://app@host?password_file=/run/secrets/redis").credentials;
    assert!(format!("{file:?}").contains("app") && format!("{file:?}").contains("/run/secrets/redis"), "{file:?}");
    assert!(refused("redis://app:hunter2@host?password_file=/x").contains("not in both"));
}

#[test]
fn a_cluster_and_sentinels_have_several_servers() {
    let cluster = "redis+cluster://one:1,two,[::3]:3";
    assert_eq!(seeds(cluster), ["one:1", "two:6379", "[::3]:3"]);
    assert_eq!(
        (fine(cluster).mode, fine("redis+cluster://one?mode=sharded&tag=a").mode),
        (sharded("roomcast"), sharded("a"))
    );
    assert_eq!((seeds("redis://one,two").len(), seeds("redis+cluster://one").len()), (2, 1));
    let url = "rediss+sentinel://:pw@one,two:2/main/0?sentinel_password=x&ca=/a%20b.pem";
    let servers = ["one:26379", "two:2"].map(str::to_owned).to_vec();
    assert_eq!(sentinels(url), (servers, "main".to_owned(), Login::token("x")));
    assert_eq!(files(url).and_then(|files| files.ca), Some("/a b.pem".into()));
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
    assert!(OPTIONS.iter().all(|(option, _)| text.contains(option)), "{text}");
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
    assert_eq!((single("redis+streams://h"), fine("redis+streams://h").mode), ("h:6379".into(), streams(None, 10_000)));
    let url = "rediss+streams://h?stream=shop&maxlen=500";
    assert_eq!((fine(url).mode, files(url).is_some()), (streams(Some("shop"), 500), true));
    let found = "redis+sentinel://h/main?mode=streams&maxlen=5";
    assert_eq!((fine(found).mode, sentinels(found).1), (streams(None, 5), "main".to_owned()));
    assert_eq!(fine("redis://h?mode=streams").mode, fine("redis+streams://h?mode=streams").mode);
    for url in [
        "redis+streams://h,i",
        "redis+streams://h?maxlen=0",
        "redis+streams://h?maxlen=many",
        "redis+streams://h?stream={a}",
        "redis+streams://h?mode=pubsub",
        "redis+cluster://h?mode=streams",
    ] {
        refused(url);
    }
}

#[test]
fn an_option_at_the_wrong_place_is_told_where_it_belongs() {
    for (url, place) in [
        ("redis://h?tag=a", "mode=sharded"),
        ("redis+streams://h?tag=a", "mode=sharded"),
        ("redis://h?stream=shop", "redis+streams://"),
        ("redis+cluster://h?maxlen=500", "redis+streams://"),
        ("redis://h?ca=/x", "rediss://"),
        ("redis://h?cert=/x&key=/y", "rediss://"),
        ("rediss://h?sentinel_user=a", "redis+sentinel://"),
        ("redis+cluster://h?sentinel_password=a", "redis+sentinel://"),
    ] {
        assert!(refused(url).contains(place), "{url}");
    }
}

#[test]
fn valkey_is_redis_by_another_name() {
    let plain = "Valkey://:pw@h?mode=sharded";
    assert_eq!((single(plain), files(plain)), ("h:6379".to_owned(), None));
    assert!(files("valkeys://h").is_some());
}

#[test]
fn debug_hides_passwords() {
    let redis = fine("redis+sentinel://app:hunter2@one/main?sentinel_password=hunter2");
    let text = format!("{redis:?}");
    assert!(text.contains("app") && !text.contains("hunter2"), "{text}");
}

#[cfg(not(feature = "tls"))]
#[test]
fn tls_names_the_feature_that_it_needs() {
    let error = crate::Redis::from_url("rediss://host").expect_err("no TLS here");
    assert!(error.kind() == ErrorKind::Config && error.to_string().contains("redis-tls"), "{error}");
}
