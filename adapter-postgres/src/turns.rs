//! One question after the other on a connection.

use std::panic::{AssertUnwindSafe, resume_unwind};
use std::pin::Pin;
use std::sync::Arc;

use futures_util::FutureExt;
use tokio::sync::{Mutex, oneshot};
use tokio_postgres::{Client, SimpleQueryMessage};

/// What is asked on one connection: side by side by default, or [in turn](Self::one_by_one).
///
/// In turn behind a pooler. A pooler by transaction gives its connection to the server to another client once a question is answered.
/// PgBouncer 1.18 does so even while the client is in the middle of its next message, which it sends on as it comes. What
/// the other client asks is then taken for the rest of that message, and both sessions are out of step.
#[derive(Clone, Default)]
pub(crate) struct Turns(Option<Arc<Mutex<UnderWay>>>);

/// What was asked last, if it is not answered yet.
type UnderWay = Option<Pin<Box<dyn Future<Output = ()> + Send>>>;

impl Turns {
    /// The next question is asked when the one before it is answered, also when nobody waits for that answer any more.
    pub(crate) fn one_by_one() -> Self {
        Self(Some(Arc::default()))
    }

    /// Whether it is so.
    pub(crate) fn are_taken(&self) -> bool {
        self.0.is_some()
    }

    /// Asks something that needs no parameters.
    ///
    /// # Cancel safety
    /// As with [`take`](Self::take).
    pub(crate) async fn ask(
        &self,
        client: &Arc<Client>,
        question: &'static str,
    ) -> Result<Vec<SimpleQueryMessage>, tokio_postgres::Error> {
        let client = Arc::clone(client);
        self.take(async move { client.simple_query(question).await }).await
    }

    /// Asks when it is the question's turn, and waits for the answer.
    ///
    /// # Cancel safety
    /// A question that has begun stays under way, and those behind it wait for its answer.
    pub(crate) async fn take<T: Send + 'static>(&self, question: impl Future<Output = T> + Send + 'static) -> T {
        let Some(turns) = &self.0 else { return question.await };
        let mut under_way = turns.lock().await;
        if let Some(forsaken) = &mut *under_way {
            forsaken.await;
            *under_way = None;
        }
        let (answer, mut answered) = oneshot::channel();
        let asked = under_way.insert(Box::pin(async move {
            // A panic is that of the caller alone, who does not wait any more, perhaps.
            let _ = answer.send(AssertUnwindSafe(question).catch_unwind().await);
        }));
        asked.await;
        *under_way = None;
        let answer = answered.try_recv().expect("the question has ended, and we hold the receiver");
        answer.unwrap_or_else(|panic| resume_unwind(panic))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

    use tokio::sync::Notify;

    use super::*;

    #[tokio::test]
    async fn the_next_question_waits_for_an_answer_that_nobody_waits_for() {
        let (turns, answer, asked) = (Turns::one_by_one(), Arc::new(Notify::new()), Arc::new(AtomicUsize::new(0)));
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
            let (turns, third) = (turns.clone(), question(3));
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
        let turns = Turns::one_by_one();
        let asked = tokio::spawn({
            let turns = turns.clone();
            async move { turns.take(async { panic!("the client has a bug") }).await }
        });
        asked.await.expect_err("the panic is the caller's");
        assert_eq!(turns.take(async { 2 }).await, 2);
    }
}
