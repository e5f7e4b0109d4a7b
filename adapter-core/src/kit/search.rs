//! The one server among several that is the right one.

use std::collections::HashSet;
use std::hash::Hash;

use crate::kit::stagger::staggered;
use crate::model::{Error, Result};

/// After so many names on one path the servers do not agree.
const HOPS: usize = 5;
const UNDECIDED: &str = "the servers that were asked do not agree which of them is the right one";

/// What a server replies to a [`search`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found<T, S> {
    /// It is the one that is looked for.
    Here(T),
    /// It is not, and names this server instead.
    At(S),
}

/// Why a server is not the one that is looked for.
enum Miss<S> {
    Named(S),
    Failed(Error),
    /// It was asked already.
    Known,
}

/// As [`in_turn`](crate::backend::in_turn), for the one server that is the right one: any server may name another, which is asked next. No server
/// is asked twice, however many name it. After five servers that each named the next one, the search leaves that path.
///
/// # Errors
/// Those of [`in_turn`](crate::backend::in_turn); `Unavailable` if the servers only name each other.
///
/// # Examples
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> roomcast_core::Result<()> {
/// use roomcast_core::backend::{Found, search};
///
/// let ask = async |server: &'static str| Ok(if server == "two" { Found::Here(2) } else { Found::At("two") });
/// assert_eq!(search(["one", "three"], ask).await?, 2);
/// # Ok(()) }
/// ```
pub async fn search<S, T, F>(servers: impl IntoIterator<Item = S>, mut ask: impl FnMut(S) -> F) -> Result<T>
where
    S: Clone + Eq + Hash,
    F: Future<Output = Result<Found<T, S>>>,
{
    let (mut asked, mut failed) = (HashSet::new(), None);
    let attempt = |(server, hops): (S, usize)| {
        let asking = asked.insert(server.clone()).then(|| ask(server));
        async move {
            match asking.ok_or(Miss::Known)?.await {
                Ok(Found::Here(found)) => Ok(found),
                Ok(Found::At(_)) if hops == HOPS => Err(Miss::Failed(Error::unavailable(UNDECIDED))),
                Ok(Found::At(other)) => Err(Miss::Named((other, hops + 1))),
                Err(error) => Err(Miss::Failed(error)),
            }
        }
    };
    let missed = |miss| match miss {
        Miss::Named(other) => Some(other),
        Miss::Failed(error) => {
            failed = Some(Error::most_telling(failed.take(), error));
            None
        }
        Miss::Known => None,
    };
    let found = staggered(servers.into_iter().map(|server| (server, 0)), attempt, missed).await;
    let none = || Error::config("no server is named");
    found.ok_or_else(|| failed.unwrap_or_else(|| if asked.is_empty() { none() } else { Error::unavailable(UNDECIDED) }))
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;
    use crate::model::ErrorKind;

    /// What comes of a search among those servers, each of which replies as `reply` says; and which were asked, in order.
    async fn searched(servers: &[u8], reply: impl Fn(u8) -> Result<Found<u8, u8>>) -> (Result<u8, ErrorKind>, Vec<u8>) {
        let asked = RefCell::new(Vec::new());
        let ask = |server| {
            asked.borrow_mut().push(server);
            std::future::ready(reply(server))
        };
        let found = search(servers.iter().copied(), ask).await.map_err(|error| error.kind());
        (found, asked.into_inner())
    }

    fn refused(kind: ErrorKind) -> Result<Found<u8, u8>> {
        Err(Error::new(kind, "no"))
    }

    #[tokio::test]
    async fn whom_a_server_names_is_asked_next_and_nobody_twice() {
        let to_nine = |server| Ok(if server == 9 { Found::Here(90) } else { Found::At(9) });
        assert_eq!(searched(&[1, 2, 9], to_nine).await, (Ok(90), vec![1, 9]));
        let nine_refuses = |server| if server == 9 { refused(ErrorKind::Denied) } else { Ok(Found::At(9)) };
        assert_eq!(searched(&[1, 2, 9, 3, 3], nine_refuses).await, (Err(ErrorKind::Denied), vec![1, 9, 2, 3]));
        let in_a_ring = |server| Ok(Found::At(server % 3 + 1));
        assert_eq!(searched(&[2], in_a_ring).await, (Err(ErrorKind::Unavailable), vec![2, 3, 1]));
        assert_eq!(searched(&[], in_a_ring).await, (Err(ErrorKind::Config), vec![]));
    }

    #[tokio::test]
    async fn what_leads_nowhere_does_not_end_the_search() {
        let odd_are_lost = |server| match server {
            8 => Ok(Found::Here(8)),
            odd if odd % 2 == 1 => Ok(Found::At(odd + 2)),
            _ => refused(ErrorKind::Config),
        };
        assert_eq!(searched(&[101, 2, 8], odd_are_lost).await, (Ok(8), vec![101, 103, 105, 107, 109, 111, 2, 8]));
        assert_eq!(searched(&[101, 2], odd_are_lost).await.0, Err(ErrorKind::Config), "the most telling");
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_is_silent_is_waited_for_beside_the_next() {
        let ask = async |server| match server {
            1 => std::future::pending().await,
            2 => Ok(Found::At(1)),
            _ => Ok(Found::Here(server)),
        };
        assert_eq!(search([2, 2, 3], ask).await.ok(), Some(3));
    }
}
