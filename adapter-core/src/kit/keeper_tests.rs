use super::*;
use crate::kit::scripted::{Broker, Renewed, Role, Step, Wire, channels, down, kept, next, up};
use crate::probe::{Tap, Tapped};

#[tokio::test]
async fn a_broker_is_known_by_the_latest_link_and_describes_itself_while_that_is_up() {
    let (broker, mut tap, keeper) = kept().await;
    let version = |broker: Option<BrokerInfo>| broker.map(|broker| broker.to_string());
    let described = keeper.describe().await.expect("up");
    assert_eq!(
        (version(described.broker).as_deref(), described.unknown),
        (Some("Nothing 1"), vec!["0 published".into()])
    );
    broker.see(|seen| seen.absent = true);
    broker.trip(0, "broken");
    down(&mut tap).await;
    assert_eq!(keeper.describe().await.expect_err("down").kind(), ErrorKind::Unavailable);
    assert_eq!(version(keeper.broker()).as_deref(), Some("Nothing 1"), "it was that last");
    broker.see(|seen| seen.absent = false);
    up(&mut tap).await;
    assert_eq!(version(keeper.broker()).as_deref(), Some("Nothing 2"));
}

#[tokio::test]
async fn an_absent_broker_is_an_error_at_connecting() {
    let broker = Broker::default();
    broker.see(|seen| seen.absent = true);
    let tap = Tap::new(10, 1000);
    let absent = Keeper::<Wire>::connect(broker, tap.inbox()).await.err().expect("absent");
    assert_eq!(absent.kind(), ErrorKind::Unavailable);
}

#[tokio::test(start_paused = true)]
async fn a_broken_link_is_made_again_for_ever_with_all_that_is_wanted() {
    let (broker, mut tap, keeper) = kept().await;
    broker.see(|seen| seen.absent = true);
    broker.trip(0, "broken");
    assert_eq!(down(&mut tap).await, "broken");
    assert_eq!(keeper.live().err().expect("down").kind(), ErrorKind::Unavailable);
    assert_eq!(keeper.limits(), Limits::max_frame(1001), "the latest there were");
    broker.until(|seen| seen.attempts > 20).await;
    // A channel that is wanted while the others are subscribed to again met no link with its own call.
    let meanwhile = (tap.wants(), channels(&["rc.b"]).remove(0));
    broker.see(|seen| (seen.absent, seen.meanwhile) = (false, Some(meanwhile)));
    assert_eq!(up(&mut tap).await, Limits::max_frame(1002));
    assert_eq!(keeper.limits(), Limits::max_frame(1002));
    assert!(keeper.live().is_ok());
    assert_eq!(broker.see(|seen| seen.subscribed.clone()), channels(&["rc.a", "rc.b"]));
}

#[tokio::test(start_paused = true)]
async fn a_link_without_its_subscriptions_is_not_up() {
    let (broker, mut tap, keeper) = kept().await;
    broker.see(|seen| seen.refusal = Some(ErrorKind::Denied));
    keeper.reset("for a test".into()).await;
    assert_eq!(down(&mut tap).await, "for a test");
    broker.until(|seen| seen.attempts > 3).await;
    assert!(keeper.live().is_err());
    let told = next(&mut tap).await;
    assert!(matches!(&told, Tapped::Refused(ErrorKind::Denied, reason) if reason.0 == "refused"), "{told:?}");
    // The one that is wanted meanwhile counts as well, when calls have the link already.
    let late = channels(&["rc.b"]).remove(0);
    let attempts = broker.see(|seen| {
        (seen.refused, seen.meanwhile) = (Some(late.clone()), Some((tap.wants(), late)));
        seen.attempts
    });
    broker.until(|seen| seen.attempts > attempts + 3).await;
    assert!(keeper.live().is_err());
    broker.see(|seen| seen.refusal = None);
    up(&mut tap).await;
}

#[tokio::test(start_paused = true)]
async fn a_breaker_of_an_old_link_leaves_the_new_one_alone() {
    let (broker, mut tap, _keeper) = kept().await;
    broker.trip(0, "the first");
    assert_eq!(down(&mut tap).await, "the first");
    up(&mut tap).await;
    broker.trip(0, "too late");
    broker.trip(1, "the second");
    assert_eq!(down(&mut tap).await, "the second");
}

#[tokio::test(start_paused = true)]
async fn what_is_denied_keeps_the_link_and_what_is_not_confirmed_does_not() {
    let (broker, mut tap, keeper) = kept().await;
    for kind in [ErrorKind::Denied, ErrorKind::Config, ErrorKind::Unavailable] {
        broker.see(|seen| seen.refusal = Some(kind));
        let refused = keeper.subscribe(&channels(&["rc.b"])).await;
        assert_eq!(refused.expect_err("refused").kind(), kind);
        broker.see(|seen| seen.refusal = None);
        keeper.reset("a fence".into()).await;
        let told = if kind == ErrorKind::Unavailable { "a subscription was not confirmed" } else { "a fence" };
        assert_eq!(down(&mut tap).await, told, "{kind:?}");
        up(&mut tap).await;
    }
}

#[tokio::test(start_paused = true)]
async fn closing_takes_leave_of_a_broker_that_is_there() {
    let (broker, _tap, keeper) = kept().await;
    let (one, two) = tokio::join!(keeper.close(), keeper.close());
    assert!(one.is_ok() && two.is_ok() && keeper.close().await.is_ok());
    assert_eq!(broker.see(|seen| seen.left), 1);
    assert!(keeper.live().is_err());

    let (broker, mut tap, keeper) = kept().await;
    broker.see(|seen| seen.absent = true);
    broker.trip(0, "broken");
    down(&mut tap).await;
    keeper.close().await.expect("closed");
    assert_eq!(broker.see(|seen| seen.left), 0);
}

#[tokio::test(start_paused = true)]
async fn it_ends_with_the_inbox() {
    let (broker, tap, _keeper) = kept().await;
    drop(tap);
    broker.until(|seen| seen.left == 1).await;
}

#[tokio::test]
async fn what_is_too_large_is_refused_and_what_stands_before_it_is_sent() {
    let (broker, _tap, keeper) = kept().await;
    let batch = [7, 1001, 1002, 7].map(|size| Outgoing::new(channels(&["rc.a"]).remove(0), vec![0; size].into()));
    let refused = keeper.publish(&batch).await;
    assert!(matches!(refused, Err(PublishError::Refused { index: 2, kind: ErrorKind::TooLarge })), "{refused:?}");
    let refused = keeper.publish(&batch[2..]).await;
    assert!(matches!(refused, Err(PublishError::Refused { index: 0, kind: ErrorKind::TooLarge })), "{refused:?}");
    assert_eq!(broker.see(|seen| seen.published), 2);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_freezes_while_a_link_is_made_does_not_end_the_attempts() {
    let (broker, mut tap, _keeper) = kept().await;
    for step in [Step::Open, Step::Authority, Step::Subscribe] {
        let (links, attempts) = broker.see(|seen| {
            seen.frozen = Some(step);
            (seen.breakers.len(), seen.attempts)
        });
        broker.trip(links - 1, "broken");
        assert_eq!(down(&mut tap).await, "broken");
        broker.until(|seen| seen.attempts >= attempts + 3).await;
        broker.see(|seen| seen.frozen = None);
        up(&mut tap).await;
    }
    for step in [Step::Open, Step::Authority] {
        broker.see(|seen| seen.frozen = Some(step));
        let tap = Tap::new(10, 1000);
        let late = Keeper::<Wire>::connect(broker.clone(), tap.inbox()).await.err().expect("too late");
        assert_eq!(late.kind(), ErrorKind::Unavailable, "{step:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_is_not_the_authority_is_not_used() {
    let (broker, mut tap, keeper) = kept().await;
    broker.see(|seen| seen.role = Some(Role::Replica));
    assert_eq!(down(&mut tap).await, "a replica");
    let attempts = broker.see(|seen| seen.attempts);
    broker.until(|seen| seen.attempts > attempts + 3).await;
    assert!(keeper.live().is_err());
    let other = Tap::new(10, 1000);
    let refused = Keeper::<Wire>::connect(broker.clone(), other.inbox()).await.err().expect("refused");
    assert_eq!((refused.kind(), refused.to_string()), (ErrorKind::Unavailable, "a replica".into()));
    broker.see(|seen| seen.role = None);
    up(&mut tap).await;
}

#[tokio::test(start_paused = true)]
async fn a_question_for_the_authority_without_an_answer_leaves_the_link_alone() {
    let (broker, mut tap, keeper) = kept().await;
    for (role, frozen) in [(Some(Role::Unknown), None), (None, Some(Step::Authority))] {
        let asked = broker.see(|seen| {
            (seen.role, seen.frozen) = (role, frozen);
            seen.asked
        });
        broker.until(|seen| seen.asked > asked + 3).await;
    }
    broker.see(|seen| seen.frozen = None);
    keeper.reset("a fence".into()).await;
    assert_eq!(down(&mut tap).await, "a fence");
    up(&mut tap).await;
    // At connecting it must be known.
    broker.see(|seen| seen.role = Some(Role::Unknown));
    let refused = Keeper::<Wire>::connect(broker.clone(), tap.inbox()).await.err().expect("refused");
    assert_eq!(refused.kind(), ErrorKind::Denied);
}

/// How many attempts are made in this time.
async fn attempts(broker: &Broker, time: Duration) -> usize {
    let before = broker.see(|seen| seen.attempts);
    sleep(time).await;
    broker.see(|seen| seen.attempts) - before
}

#[tokio::test(start_paused = true)]
async fn refusals_are_repeated_rarely_and_absences_often() {
    const MINUTE: Duration = Duration::from_secs(60);
    let (broker, mut tap, _keeper) = kept().await;
    for kind in [ErrorKind::Denied, ErrorKind::Config] {
        broker.see(|seen| seen.refuses = Some(kind));
        let last = broker.see(|seen| seen.breakers.len()) - 1;
        broker.trip(last, "broken");
        down(&mut tap).await;
        let first = attempts(&broker, MINUTE).await;
        assert!((8..30).contains(&first), "{kind:?} {first}");
        let later = attempts(&broker, MINUTE).await;
        assert!((5..=13).contains(&later), "{kind:?} {later}");
        broker.see(|seen| seen.refuses = None);
        up(&mut tap).await;
    }
    broker.see(|seen| seen.absent = true);
    let last = broker.see(|seen| seen.breakers.len()) - 1;
    broker.trip(last, "broken");
    down(&mut tap).await;
    // As short as ever for half a minute, in which the pauses are 500 ms at most.
    let first = attempts(&broker, MINUTE / 2).await;
    assert!(first >= 58, "{first}");
    sleep(MINUTE * 5).await;
    let later = attempts(&broker, MINUTE).await;
    assert!((12..=26).contains(&later), "{later}");
    // The next outage begins anew.
    broker.see(|seen| seen.absent = false);
    up(&mut tap).await;
    sleep(MINUTE).await;
    broker.see(|seen| seen.absent = true);
    broker.trip(last + 1, "broken");
    down(&mut tap).await;
    let first = attempts(&broker, MINUTE / 2).await;
    assert!(first >= 58, "{first}");
}

#[tokio::test(start_paused = true)]
async fn a_link_that_is_going_to_end_has_its_successor_before() {
    let (broker, mut tap, keeper) = kept().await;
    // There is no other server at first.
    broker.see(|seen| (seen.absent, seen.leaving) = (true, true));
    let attempts = broker.see(|seen| seen.attempts);
    broker.until(|seen| seen.attempts > attempts + 3).await;
    assert!(keeper.live().is_ok(), "the old link carries");
    // Then that refuses this node, and then one of its subscriptions.
    broker.see(|seen| (seen.absent, seen.refuses) = (false, Some(ErrorKind::Denied)));
    let told = next(&mut tap).await;
    assert!(matches!(told, Tapped::Refused(ErrorKind::Denied, _)), "{told:?}");
    broker.see(|seen| (seen.refuses, seen.refusal) = (None, Some(ErrorKind::Config)));
    let told = next(&mut tap).await;
    assert!(matches!(told, Tapped::Refused(ErrorKind::Config, _)), "{told:?}");
    assert!(keeper.live().is_ok(), "the old link carries");
    broker.see(|seen| seen.refusal = None);
    let links = broker.see(|seen| seen.breakers.len());
    broker.see(|seen| seen.absent = true);
    let late = channels(&["rc.late"]).remove(0);
    broker.see(|seen| (seen.absent, seen.meanwhile) = (false, Some((tap.wants(), late.clone()))));
    broker.until(|seen| seen.left == 1).await;
    broker.see(|seen| {
        assert_eq!(seen.breakers.len(), links + 1);
        assert!(seen.subscribed.contains(&late), "what was wanted meanwhile: {:?}", seen.subscribed);
    });
    // Nothing else is told: once it is up, and once the old one is gone.
    for _ in 0..2 {
        assert_eq!(up(&mut tap).await, keeper.limits());
    }
    broker.trip(links, "the successor broke");
    assert_eq!(down(&mut tap).await, "the successor broke");
}

#[tokio::test(start_paused = true)]
async fn a_link_that_breaks_before_it_has_a_successor_is_an_outage() {
    let (broker, mut tap, keeper) = kept().await;
    broker.see(|seen| (seen.absent, seen.leaving) = (true, true));
    broker.until(|seen| seen.attempts > 3).await;
    broker.trip(0, "the server is gone");
    assert_eq!(down(&mut tap).await, "the server is gone");
    assert!(keeper.live().is_err());
    broker.see(|seen| seen.absent = false);
    up(&mut tap).await;
}

#[tokio::test(start_paused = true)]
async fn a_panic_of_the_backend_ends_the_link_and_not_what_keeps_it() {
    let (broker, mut tap, keeper) = kept().await;
    // Asked while the link is up, and while the next one is made.
    broker.see(|seen| seen.panics = Some(Step::Authority));
    assert_eq!(down(&mut tap).await, "the backend has panicked");
    for step in [Step::Authority, Step::Open, Step::Subscribe] {
        let attempts = broker.see(|seen| {
            seen.panics = Some(step);
            seen.attempts
        });
        broker.until(|seen| seen.attempts > attempts + 2).await;
        assert!(keeper.live().is_err());
    }
    broker.see(|seen| {
        (seen.panics, seen.renewals) = (None, [Renewed::Panics].into());
        seen.expires = Some(tokio::time::Instant::now().into_std() + Duration::from_secs(40));
    });
    up(&mut tap).await;
    assert_eq!(down(&mut tap).await, "the backend has panicked");
    up(&mut tap).await;
    keeper.close().await.expect("the task has not failed");
}
