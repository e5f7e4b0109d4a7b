//! The next login of a link, before the one that it has ends.

use std::time::{Duration, Instant};

use tokio::time::{Instant as Clock, sleep, timeout};

use crate::kit::backoff::random;
use crate::kit::outage::Outage;
use crate::kit::{Backoff, Link};
use crate::model::{Error, Result};
use crate::seams::{Inbox, Reason};

/// A login is renewed when this part of its time has passed, and up to a tenth more at random: a quarter of an hour is left of an
/// hour for what fails and is tried again.
const PART: f64 = 0.7;
const SPREAD: f64 = 0.1;
/// The shortest time between two renewals, whatever the logins say.
const LEAST: Duration = Duration::from_millis(100);
/// Pauses between attempts that fail are at most this part of the time that is left, and at most that long.
const LATER: u32 = 20;
const PATIENT: Duration = Duration::from_secs(60);
/// How long one may take.
const LIMIT: Duration = Duration::from_secs(10);

/// What became of a login that was to be [renewed](Link::renew).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Renewal {
    /// The link has the next login, which [ends](crate::backend::Login::expires) then.
    Until(Option<Instant>),
    /// A link keeps the login that it was made with: only the next link has another one.
    BySuccessor,
}

/// Renews the login of a link each time that it is due. Returns when that takes a successor, and the link can have one.
pub(super) async fn renewals<L: Link>(handle: &L::Handle, mut expires: Option<Instant>, inbox: &Inbox) -> Reason {
    while let Some(end) = expires {
        sleep(due(end)).await;
        match renewed::<L>(handle, end, inbox).await {
            Renewal::Until(end) => expires = end,
            Renewal::BySuccessor if !L::CAPABILITIES.ordered && left(end) > Duration::ZERO => {
                return "its login is going to end".into();
            }
            Renewal::BySuccessor => break,
        }
    }
    std::future::pending().await
}

/// When the next renewal is due, from now.
fn due(end: Instant) -> Duration {
    left(end).mul_f64(PART + SPREAD * random()).max(LEAST)
}

fn left(end: Instant) -> Duration {
    Clock::from_std(end).saturating_duration_since(Clock::now())
}

/// Tries until it has succeeded: in no hurry while much time is left.
async fn renewed<L: Link>(handle: &L::Handle, end: Instant, inbox: &Inbox) -> Renewal {
    let (mut backoff, mut outage) = (Backoff::default(), Outage::new());
    loop {
        match once::<L>(handle).await {
            Ok(renewal) => return renewal,
            Err(error) => outage.tell(&error, &format!("the login to {} is not renewed yet", L::BROKER), inbox),
        }
        backoff.wait_at_most(outage.longest().max((left(end) / LATER).min(PATIENT))).await;
    }
}

async fn once<L: Link>(handle: &L::Handle) -> Result<Renewal> {
    let late = |_| Error::unavailable(format!("{} did not take the next login in {} s", L::BROKER, LIMIT.as_secs()));
    match timeout(LIMIT, L::renew(handle)).await.map_err(late)?? {
        Renewal::Until(Some(end)) if left(end) == Duration::ZERO => {
            Err(Error::unavailable("the next login has ended already"))
        }
        renewal => Ok(renewal),
    }
}

#[cfg(test)]
mod tests {
    use std::ops::Range;

    use super::*;
    use crate::kit::Keeper;
    use crate::kit::scripted::{Broker, Renewed, Wire, down, next, up};
    use crate::model::ErrorKind;
    use crate::probe::{Tap, Tapped};
    use crate::seams::Backend;

    const MINUTE: Duration = Duration::from_secs(60);

    fn now() -> Instant {
        Clock::now().into_std()
    }

    /// Connected with a login of a minute, of which renewals become this.
    async fn of_a_minute<const ORDERED: bool>(renewals: &[Renewed]) -> (Broker, Tap, Keeper<Wire<ORDERED>>) {
        let (broker, tap) = (Broker::default(), Tap::new(10, 1000));
        broker.see(|seen| {
            seen.expires = now().checked_add(MINUTE);
            seen.renewals = renewals.iter().copied().collect();
        });
        let keeper = Keeper::connect(broker.clone(), tap.inbox()).await.expect("connected");
        (broker, tap, keeper)
    }

    /// How many renewals there are in this time.
    async fn within(broker: &Broker, time: Duration) -> usize {
        let before = broker.see(|seen| seen.renewed.len());
        sleep(time).await;
        broker.see(|seen| seen.renewed.len()) - before
    }

    async fn nothing_was_told(tap: &mut Tap, keeper: &dyn Backend) {
        keeper.reset("a fence".into()).await;
        assert_eq!(down(tap).await, "a fence");
    }

    #[tokio::test(start_paused = true)]
    async fn a_login_is_renewed_before_it_ends_again_and_again() {
        let (broker, mut tap, keeper) = of_a_minute::<true>(&[]).await;
        let began = now();
        let several = within(&broker, MINUTE * 10).await;
        assert!((12..=14).contains(&several), "{several}");
        let mut times = broker.see(|seen| seen.renewed.clone());
        times.insert(0, began);
        const PART: Range<u64> = 41..49;
        assert!(times.windows(2).all(|pair| PART.contains(&(pair[1] - pair[0]).as_secs())), "{times:?}");
        assert_eq!(broker.see(|seen| seen.attempts), 1);
        nothing_was_told(&mut tap, &keeper).await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_login_without_an_end_is_never_renewed() {
        let endless = Renewed::Becomes(Renewal::Until(None));
        let (broker, mut tap, keeper) = of_a_minute::<true>(&[endless]).await;
        assert_eq!(within(&broker, MINUTE * 100).await, 1);
        nothing_was_told(&mut tap, &keeper).await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_renewal_that_fails_is_told_once_and_tried_again() {
        let (refused, away) = (Renewed::Fails(ErrorKind::Denied), Renewed::Fails(ErrorKind::Unavailable));
        let all = [away, refused, refused, Renewed::Hangs];
        let (broker, mut tap, keeper) = of_a_minute::<true>(&all).await;
        let told = next(&mut tap).await;
        assert!(matches!(&told, Tapped::Refused(ErrorKind::Denied, _)), "{told:?}");
        broker.until(|seen| seen.renewed.len() == all.len() + 2).await;
        nothing_was_told(&mut tap, &keeper).await;
    }

    /// All nodes ask the same provider of tokens.
    #[tokio::test(start_paused = true)]
    async fn a_renewal_that_fails_is_in_no_hurry_while_much_time_is_left() {
        let (broker, mut tap) = (Broker::default(), Tap::new(10, 1000));
        broker.see(|seen| {
            seen.expires = now().checked_add(MINUTE * 60 * 12);
            seen.renewals = [Renewed::Fails(ErrorKind::Unavailable); 1000].into();
        });
        let keeper = Keeper::<Wire<true>>::connect(broker.clone(), tap.inbox()).await.expect("connected");
        while within(&broker, MINUTE).await == 0 {} // until the first is due
        let attempts = within(&broker, MINUTE * 60).await;
        assert!((50..200).contains(&attempts), "{attempts}");
        nothing_was_told(&mut tap, &keeper).await;
    }

    /// An application that says the same again.
    #[tokio::test(start_paused = true)]
    async fn a_login_that_has_ended_makes_no_storm() {
        let old = [Renewed::Becomes(Renewal::Until(Some(now() + MINUTE))); 1000];
        let (broker, mut tap, keeper) = of_a_minute::<true>(&old).await;
        let before = within(&broker, MINUTE).await;
        assert!((2..12).contains(&before), "{before}");
        let after = within(&broker, MINUTE * 2).await;
        assert!((20..400).contains(&after), "{after}");
        nothing_was_told(&mut tap, &keeper).await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_link_that_keeps_its_login_has_its_successor_before() {
        let (broker, mut tap, keeper) = of_a_minute::<false>(&[Renewed::Becomes(Renewal::BySuccessor)]).await;
        broker.until(|seen| seen.left == 1).await;
        assert_eq!(broker.see(|seen| (seen.attempts, seen.renewed.len())), (2, 1));
        // The successor is up, and the old one is gone.
        for _ in 0..2 {
            up(&mut tap).await;
        }
        nothing_was_told(&mut tap, &keeper).await;
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_keeps_its_login_and_the_order_carries_until_its_end() {
        let (broker, mut tap, keeper) = of_a_minute::<true>(&[Renewed::Becomes(Renewal::BySuccessor)]).await;
        assert_eq!(within(&broker, MINUTE * 2).await, 1);
        assert_eq!(broker.see(|seen| seen.attempts), 1);
        nothing_was_told(&mut tap, &keeper).await;
    }
}
