//! One question after the other.

use std::fmt;
use std::panic::resume_unwind;
use std::pin::Pin;

use tokio::sync::{Mutex, oneshot};

use crate::kit::caught;

/// Sends one question after the other on a connection, each when the one before it is answered: for a pooler that cannot take two at a
/// time. If a caller is dropped, its question is still completed before the next one is sent.
///
/// # Examples
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// use roomcast_core::backend::Turns;
///
/// let turns = Turns::default();
/// let (one, two) = tokio::join!(turns.take(async { 1 }), turns.take(async { 2 }));
/// assert_eq!((one, two), (1, 2));
/// # }
/// ```
#[derive(Default)]
pub struct Turns(Mutex<UnderWay>);

/// What was asked last, if it is not answered yet.
type UnderWay = Option<Pin<Box<dyn Future<Output = ()> + Send>>>;

impl Turns {
    /// Asks when it is the question's turn, and waits for the answer. Those that wait for their turns take them in their order.
    ///
    /// # Panics
    /// When the question does. The next ones are asked all the same.
    ///
    /// # Cancel safety
    /// A question that has begun stays under way, and goes on when the next one waits for its turn. One that has not begun is not asked.
    pub async fn take<T: Send + 'static>(&self, question: impl Future<Output = T> + Send + 'static) -> T {
        let mut under_way = self.0.lock().await;
        end(&mut under_way).await;
        let (answer, answered) = oneshot::channel();
        *under_way = Some(Box::pin(async move {
            // A panic is the caller's alone, who may be gone: then nobody waits for this any more.
            let _ = answer.send(caught(question).await);
        }));
        end(&mut under_way).await;
        let answer = answered.await.expect("the question has ended, and sent its answer");
        answer.unwrap_or_else(|panic| resume_unwind(panic))
    }
}

/// Waits until nothing is under way.
async fn end(under_way: &mut UnderWay) {
    if let Some(question) = under_way {
        question.await;
        *under_way = None;
    }
}

impl fmt::Debug for Turns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Turns").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

    use futures_util::FutureExt;
    use tokio::sync::Notify;

    use super::*;

    #[tokio::test]
    async fn the_next_question_waits_for_an_answer_that_nobody_waits_for() {
        let turns = Arc::new(Turns::default());
        let (answer, asked) = (Arc::new(Notify::new()), Arc::new(AtomicUsize::new(0)));
        let question = |n: usize| {
            let (answer, asked) = (Arc::clone(&answer), Arc::clone(&asked));
            async move {
                asked.store(n, Relaxed);
                answer.notified().await;
                n
            }
        };
        assert!(turns.take(question(1)).now_or_never().is_none(), "it is not answered");
        assert!(turns.take(question(2)).now_or_never().is_none());
        assert_eq!(asked.load(Relaxed), 1, "the second was not asked");
        answer.notify_one();
        let third = tokio::spawn({
            let (turns, third) = (Arc::clone(&turns), question(3));
            async move { turns.take(third).await }
        });
        while asked.load(Relaxed) != 3 {
            tokio::task::yield_now().await;
        }
        answer.notify_one();
        assert_eq!(third.await.expect("no panic"), 3);
    }

    #[tokio::test]
    async fn a_question_that_panics_spoils_none_of_the_next() {
        let turns = Arc::new(Turns::default());
        let asked = tokio::spawn({
            let turns = Arc::clone(&turns);
            async move { turns.take(async { panic!("the client has a bug") }).await }
        });
        asked.await.expect_err("the panic is the caller's");
        assert_eq!(turns.take(async { 2 }).await, 2);
        let forsaken = turns.take(async {
            tokio::task::yield_now().await;
            panic!("the client has a bug")
        });
        assert!(forsaken.now_or_never().is_none(), "it is under way");
        assert_eq!(turns.take(async { 3 }).await, 3, "nobody waits for the panic");
    }
}
