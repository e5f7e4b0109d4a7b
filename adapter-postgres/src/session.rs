//! What is asked on one connection.

use std::sync::Arc;

use roomcast_core::backend::{InPlace, Pulse, Turns};
use tokio_postgres::{Client, Error, SimpleQueryMessage};

/// Asks on one connection: side by side by default, or in [turns](Self::turns).
///
/// In turns behind a pooler. A pooler by transaction gives its connection to the server to another client once a question is answered.
/// PgBouncer 1.18 does so even while the client is in the middle of its next message, which it sends on as it comes. What
/// the other client asks is then taken for the rest of that message, and both sessions are out of step.
#[derive(Clone)]
pub(crate) struct Session {
    pub(crate) client: Arc<Client>,
    /// What reads and writes the socket.
    pub(crate) driver: InPlace,
    pub(crate) pulse: Arc<Pulse>,
    /// Set, the next question is asked when the one before it is answered, also when nobody waits for that answer any more.
    pub(crate) turns: Option<Arc<Turns>>,
}

impl Session {
    /// Asks something that needs no parameters.
    ///
    /// # Cancel safety
    /// In turns, a question that has begun stays under way, and those behind it wait for its answer.
    pub(crate) async fn ask(&self, question: &'static str) -> Result<Vec<SimpleQueryMessage>, Error> {
        let client = Arc::clone(&self.client);
        self.in_turn(question.len(), async move { client.simple_query(question).await }).await
    }

    /// Asks something of so many bytes when it is the question's turn. The question holds nothing of this session but its client and its
    /// driver, for the session may hold the question.
    ///
    /// # Cancel safety
    /// As with [`ask`](Self::ask).
    pub(crate) async fn in_turn<T: Send + 'static>(
        &self,
        bytes: usize,
        question: impl Future<Output = Result<T, Error>> + Send + 'static,
    ) -> Result<T, Error> {
        let sending = self.pulse.sends(bytes);
        let question = async move {
            let _sending = sending;
            question.await
        };
        let answer = match &self.turns {
            Some(turns) => turns.take(question).await,
            None => question.await,
        };
        // A refusal is a sign of life as well. If the connection has ended, its driver tells that.
        self.pulse.arrived(1);
        answer
    }
}
