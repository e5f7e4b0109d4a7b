//! Several servers, of which any will do.

use std::collections::VecDeque;
use std::time::Duration;

use crate::kit::stagger::{STAGGER, staggered};
use crate::model::{Error, Result};

/// Servers that are tried in turn, for backends whose URL names several. The nodes of a cluster begin with different ones, and
/// the one that was tried last is the last to be tried again.
///
/// # Examples
/// ```
/// # use roomcast_core::Error;
/// # struct Wire;
/// # async fn connect(server: &str) -> Result<Wire, Error> { let _ = server; Ok(Wire) }
/// # async fn example() -> Result<(), Error> {
/// use roomcast_core::backend::{Ring, in_turn};
///
/// let mut servers = Ring::new(["one", "two", "three"]);
/// let first = in_turn(servers.round(), |server| connect(server)).await?;
/// // When that has broken, with another server:
/// let second = in_turn(servers.round(), |server| connect(server)).await?;
/// # drop((first, second));
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct Ring<S>(VecDeque<S>);

impl<S: Clone> Ring<S> {
    /// A ring of these servers, which begins at a random one; at the first if the system has no random numbers.
    pub fn new(servers: impl IntoIterator<Item = S>) -> Self {
        let mut ring = VecDeque::from_iter(servers);
        let begin = getrandom::u32().unwrap_or_default() as usize % ring.len().max(1);
        ring.rotate_left(begin);
        Self(ring)
    }

    /// Each server once. A server that was taken moves to the end of the next round.
    pub fn round(&mut self) -> impl Iterator<Item = S> {
        (0..self.0.len()).map_while(|_| {
            self.0.rotate_left(1);
            self.0.back().cloned()
        })
    }

    /// Adds one to the end.
    pub fn push(&mut self, server: S) {
        self.0.push_back(server);
    }

    /// All of them, in the order of the next round.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &S> {
        self.0.iter()
    }
}

/// Asks servers one after the other, until one replies. The next server is asked once the one before has failed, or after 250 ms
/// while the one before is still being asked: so an unreachable server does not cost a whole timeout. The first reply drops the
/// other attempts.
///
/// # Errors
/// If no server replies, the [most telling](Error::most_telling) of their errors; `Config` if there is no server.
pub async fn in_turn<S, T, F>(servers: impl IntoIterator<Item = S>, ask: impl FnMut(S) -> F) -> Result<T>
where
    F: Future<Output = Result<T>>,
{
    let mut failed = None;
    let failures = |error| {
        failed = Some(Error::most_telling(failed.take(), error));
        None
    };
    let found = staggered(servers, ask, failures).await;
    found.ok_or_else(|| failed.unwrap_or_else(|| Error::config("no server is named")))
}

/// How long [`in_turn`] or [`search`](crate::backend::search) may take with so many servers, of which each may take this long, with those
/// that it names: for [`Link::timeout`](crate::backend::Link::timeout).
pub fn in_turn_limit(servers: usize, each: Duration) -> Duration {
    each.saturating_add(STAGGER.saturating_mul(u32::try_from(servers).unwrap_or(u32::MAX)))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::model::ErrorKind;

    #[test]
    fn rounds_go_on_where_the_last_one_ended() {
        let mut ring = Ring::new(0..3);
        let first: Vec<_> = ring.round().collect();
        assert_eq!(HashSet::from_iter(&first), HashSet::from([&0, &1, &2]));
        assert_eq!(ring.round().take(2).collect::<Vec<_>>(), first[..2]);
        ring.push(3);
        let next = [first[2], first[0], first[1], 3];
        assert!(ring.iter().eq(&next));
        assert!(ring.round().eq(next));
        assert_eq!(Ring::<u8>::new([]).round().next(), None);
    }

    #[test]
    fn nodes_begin_with_different_servers() {
        let begin: HashSet<_> = (0..200).filter_map(|_| Ring::new(0..3).round().next()).collect();
        assert_eq!(begin.len(), 3);
    }

    #[tokio::test]
    async fn the_first_answer_is_taken_and_of_refusals_the_most_telling() {
        let kinds = [Err(ErrorKind::Denied), Err(ErrorKind::Unavailable), Ok(7), Ok(8), Err(ErrorKind::Config)];
        let ask = |index: usize| std::future::ready(kinds[index].map_err(|kind| Error::new(kind, "no")));
        assert_eq!(in_turn(0..5, ask).await.expect("one answers"), 7);
        assert_eq!(in_turn(0..2, ask).await.expect_err("none does").kind(), ErrorKind::Denied);
        assert_eq!(in_turn(0..0, ask).await.expect_err("there is none").kind(), ErrorKind::Config);
    }

    #[tokio::test(start_paused = true)]
    async fn servers_that_never_answer_take_no_longer_than_the_limit() {
        let each = Duration::from_secs(2);
        let ask = |_| async move {
            tokio::time::sleep(each).await;
            Err::<(), _>(Error::unavailable("silent"))
        };
        let limit = in_turn_limit(40, each);
        assert!(limit < each * 7);
        let ended = tokio::time::timeout(limit, in_turn(0..40, ask)).await.expect("within the limit");
        assert_eq!(ended.expect_err("none answers").kind(), ErrorKind::Unavailable);
    }
}
