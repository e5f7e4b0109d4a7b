//! Attempts that begin one after the other, and do not wait for each other's end.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use tokio::time::sleep;

/// How long an attempt is waited for before the next one begins beside it.
pub(super) const STAGGER: Duration = Duration::from_millis(250);

/// The first attempt that succeeds; the others are dropped then. Each begins when one before it has failed, or [`STAGGER`] after
/// the last one began: one that leads nowhere does not cost the others its time-out. `None` once all have failed, each of which is
/// told to `failed`, which may name a place to be tried next.
pub(super) async fn staggered<S, T, E, F: Future<Output = Result<T, E>>>(
    places: impl IntoIterator<Item = S>,
    mut attempt: impl FnMut(S) -> F,
    mut failed: impl FnMut(E) -> Option<S>,
) -> Option<T> {
    let mut places = places.into_iter().fuse();
    let (mut begun, mut named) = (Vec::new(), None);
    loop {
        let next = named.take().or_else(|| places.next()).map(|place| begun.push(Box::pin(attempt(place))));
        if begun.is_empty() {
            return None;
        }
        tokio::select! {
            biased;
            ended = first(&mut begun) => match ended {
                Ok(found) => return Some(found),
                Err(error) => named = failed(error),
            },
            () = sleep(STAGGER), if next.is_some() => {}
        }
    }
}

/// The first of them that ends, which is taken out.
async fn first<F: Future>(begun: &mut Vec<Pin<Box<F>>>) -> F::Output {
    poll_fn(|cx| {
        for index in 0..begun.len() {
            if let Poll::Ready(ended) = begun[index].as_mut().poll(cx) {
                drop(begun.remove(index));
                return Poll::Ready(ended);
            }
        }
        Poll::Pending
    })
    .await
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use tokio::time::Instant;

    use super::*;

    /// Attempts that take so many milliseconds and then succeed or fail; when each began, what came of it, and after how long.
    async fn tried(attempts: &[(u64, bool)]) -> (Vec<u128>, Option<usize>, u128) {
        let (start, begun) = (Instant::now(), RefCell::new(Vec::new()));
        let attempt = |index: usize| {
            let ((time, succeeds), begun) = (attempts[index], &begun);
            async move {
                begun.borrow_mut().push(start.elapsed().as_millis());
                sleep(Duration::from_millis(time)).await;
                if succeeds { Ok(index) } else { Err(()) }
            }
        };
        let mut failures = 0;
        let failed = |()| {
            failures += 1;
            None
        };
        let found = staggered(0..attempts.len(), attempt, failed).await;
        assert!(found.is_some() || failures == attempts.len());
        (begun.into_inner(), found, start.elapsed().as_millis())
    }

    #[tokio::test(start_paused = true)]
    async fn attempts_that_lead_nowhere_cost_the_others_a_quarter_of_a_second_each() {
        let nowhere = (2_000, false);
        let (begun, found, took) = tried(&[nowhere, nowhere, nowhere, (10, true), (0, true)]).await;
        assert_eq!((begun.len(), found), (4, Some(3)));
        assert!(begun.iter().zip([0, 250, 500, 750]).all(|(at, due)| at.abs_diff(due) <= 5), "{begun:?}");
        assert!(took.abs_diff(760) <= 5, "{took}");
        let (begun, found, took) = tried(&[nowhere; 8]).await;
        assert_eq!((begun.len(), found), (8, None));
        assert!(took.abs_diff(2_000 + 7 * 250) <= 10, "{took}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_begins_the_next_at_once_and_one_that_is_slow_may_still_win() {
        let (begun, found, took) = tried(&[(0, false), (0, false), (400, true), (2_000, true)]).await;
        assert_eq!((begun.len(), found), (4, Some(2)));
        assert!(took.abs_diff(400) <= 5, "{took}");
        assert_eq!(tried(&[]).await, (vec![], None, 0));
    }
}
