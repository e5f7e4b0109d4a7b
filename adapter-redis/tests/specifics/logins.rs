//! Who may log in, with what, and what a login may do.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::message;
use crate::support::{ALL, Node, Tested, ask, channel, eventually, on, pair, redis, refusal, talk};
use roomcast_core::ErrorKind;
use roomcast_core::backend::{Outgoing, PublishError};
use roomcast_redis::{Credentials, Login, Redis};

#[tokio::test(flavor = "multi_thread")]
async fn refusals_at_connecting_have_their_kind() -> Tested {
    let server = redis().await;
    ask(&server, "CONFIG SET requirepass right").await;
    let at = server.addresses()[0];
    for login in ["", ":wrong-secret@", "nobody:wrong-secret@"] {
        let error = refusal(&format!("redis://{login}{at}")).await;
        assert_eq!(error.kind(), ErrorKind::Denied, "{login} {error:?}");
        assert!(!format!("{error} {error:?}").contains("wrong-secret"));
    }
    on(&format!("redis://:right@{at}")).await;
    server.kill().await?;
    assert_eq!(refusal(&server.url()).await.kind(), ErrorKind::Unavailable);
    assert_eq!(refusal("redis://no-such-host.invalid").await.kind(), ErrorKind::Unavailable);
    #[cfg(not(feature = "tls"))]
    assert_eq!(Redis::from_url("rediss://host").expect_err("no TLS").kind(), ErrorKind::Config);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_that_changes_is_taken_up() -> Tested {
    let server = redis().await;
    let file = tempfile::NamedTempFile::new()?;
    let at = server.addresses()[0];
    let change = async |old: &str, new: &str| {
        ask(&server, &format!("{old}CONFIG SET requirepass {new}")).await;
        ask(&server, &format!("-a {new} --no-auth-warning CLIENT KILL TYPE pubsub")).await;
    };
    ask(&server, "CONFIG SET requirepass one").await;
    std::fs::write(file.path(), "one\n")?;
    let mut from_file = on(&format!("redis://{at}?password_file={}", file.path().display())).await;
    let token = Arc::new(Mutex::new("one".to_owned()));
    let asked = Arc::clone(&token);
    let credentials = Credentials::from_fn(move || {
        let token = asked.lock().expect("not poisoned").clone();
        async move { Ok(Login::token(token)) }
    });
    let mut from_code = Node::on(Ok(Redis::from_url(&format!("redis://{at}"))?.credentials(credentials)), ALL).await;
    for (old, new) in [("one", "two"), ("two", "three")] {
        change(&format!("-a {old} --no-auth-warning "), new).await;
        for node in [&mut from_file, &mut from_code] {
            let (kind, reason) = node.refused().await;
            assert!(kind == ErrorKind::Denied && !reason.contains(old), "{kind:?} {reason}");
        }
        std::fs::write(file.path(), new)?;
        *token.lock().expect("not poisoned") = new.to_owned();
        for node in [&mut from_file, &mut from_code] {
            node.up().await;
        }
        talk(&mut from_file, &mut from_code).await;
    }
    Ok(())
}

/// A login of a short time. The server ends the connections of the one before it, as services of the cloud do: by then nothing is
/// left of them.
#[tokio::test(flavor = "multi_thread")]
async fn a_login_that_ends_is_renewed_on_the_connections_that_are_there() -> Tested {
    let server = redis().await;
    let at = server.addresses()[0];
    for scheme in ["redis", "redis+streams"] {
        for user in ["one", "two", "three"] {
            ask(&server, &format!("ACL SETUSER {user} on >right allchannels allkeys +@all")).await;
        }
        let next = Arc::new(Mutex::new(("one", "right")));
        let asked = Arc::clone(&next);
        let credentials = Credentials::from_fn(move || {
            let (user, password) = *asked.lock().expect("not poisoned");
            async move { Ok(Login::new(user, password).valid_for(Duration::from_secs(1))) }
        });
        let mut node = Node::on(Ok(Redis::from_url(&format!("{scheme}://{at}"))?.credentials(credentials)), ALL).await;
        let connections = async |user: &str| {
            let list = ask(&server, "CLIENT LIST").await;
            list.lines().filter(|line| line.contains(&format!(" user={user} "))).count()
        };
        assert_eq!(connections("one").await, 2);
        for (user, before) in [("two", "one"), ("three", "two")] {
            // A refusal is told, and costs nothing else.
            *next.lock().expect("not poisoned") = (user, "wrong");
            assert_eq!(node.refused().await.0, ErrorKind::Denied);
            *next.lock().expect("not poisoned") = (user, "right");
            eventually("both connections have the next login", async || {
                node.publish(ALL, "meanwhile").await.expect("published");
                assert_eq!(node.frame().await, "meanwhile");
                connections(user).await == 2
            })
            .await;
            assert_eq!(ask(&server, &format!("ACL DELUSER {before}")).await, "1");
            node.publish(ALL, "after").await?;
            assert_eq!(node.frame().await, "after");
        }
        node.backend.close().await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_access_rules_refuse_is_denied() -> Tested {
    let server = redis().await;
    ask(&server, "ACL SETUSER app on >pw resetchannels &rc.shop.* +@all").await;
    let mut node = on(&format!("redis://app:pw@{}", server.addresses()[0])).await;
    let other = channel("rc.other.all");
    let denied = node.backend.subscribe(std::slice::from_ref(&other)).await.expect_err("denied");
    assert_eq!(denied.kind(), ErrorKind::Denied);
    let batch = [message("before"), Outgoing::new(other, "denied".into()), message("after")];
    let refused = node.backend.publish(&batch).await;
    assert!(matches!(refused, Err(PublishError::Refused { index: 1, kind: ErrorKind::Denied })), "{refused:?}");
    assert_eq!(node.frame().await, "before");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rights_that_the_documentation_names_are_enough() -> Tested {
    let server = redis().await;
    let rights = "+publish +subscribe +unsubscribe +ping +hello +client +quit";
    ask(&server, &format!("ACL SETUSER plain on >pw resetchannels &rc.* -@all {rights}")).await;
    let rights = "+spublish +ssubscribe +sunsubscribe +ping +hello +client +quit";
    ask(&server, &format!("ACL SETUSER sharded on >pw resetchannels &{{shop}}rc.* -@all {rights}")).await;
    for (user, options) in [("plain", ""), ("sharded", "?mode=sharded&tag=shop")] {
        let (mut one, mut two) = pair(&format!("redis://{user}:pw@{}{options}", server.addresses()[0])).await;
        talk(&mut one, &mut two).await;
        one.backend.unsubscribe(&[channel(ALL)]).await?;
        one.backend.close().await?;
    }
    Ok(())
}

#[test]
fn secrets_are_not_shown() -> Tested {
    let all = [
        Redis::from_url("redis://app:hunter2@host")?,
        Redis::from_url("redis+cluster://app:hunter2@host")?,
        Redis::from_url("redis+sentinel://app:hunter2@host/main?sentinel_password=hunter2")?,
    ];
    for redis in all {
        let text = format!("{redis:?}");
        assert!(text.contains("app") && text.contains("host") && !text.contains("hunter2"), "{text}");
    }
    Ok(())
}
