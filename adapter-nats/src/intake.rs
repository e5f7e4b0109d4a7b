//! What the server delivers: on its way into the inbox, or waiting here while the inbox is full.
//!
//! The client hands each subscription over in a queue that is bounded in messages alone, which may have any size. So that queue
//! is always emptied, and what the inbox does not take waits here, bounded in bytes.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_nats::{Message, Subject};
use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use roomcast_core::backend::{Inbox, InboxFull};

/// What a message counts beside its payload: its place in the queue, and what its allocation has beside its bytes.
const PLACE: usize = 128;

/// Takes what is delivered on one connection. Its subscriptions share one bound.
pub(crate) struct Intake {
    inbox: Inbox,
    most: usize,
    /// What waits now.
    bytes: AtomicUsize,
    dropped: Box<dyn Fn() + Send + Sync>,
}

impl Intake {
    /// At most so many bytes wait while the inbox is full; `dropped` is told of each message that is dropped.
    pub(crate) fn new(inbox: Inbox, most: usize, dropped: impl Fn() + Send + Sync + 'static) -> Self {
        Self { inbox, most, bytes: AtomicUsize::new(0), dropped: Box::new(dropped) }
    }

    /// Hands over what arrives on one channel, in order, until nothing does any more. While the inbox is full this goes on
    /// taking: the messages wait, and when their bound is reached the newest are dropped.
    ///
    /// # Cancel safety
    /// What waits is dropped.
    pub(crate) async fn forward(self: Arc<Self>, mut arriving: impl Stream<Item = Message> + Unpin) {
        let mut queue = Queue { channel: String::new(), waiting: VecDeque::new(), intake: &self };
        loop {
            tokio::select! {
                message = arriving.next() => match message {
                    Some(Message { subject, payload, .. }) => queue.take(subject, payload),
                    None => break,
                },
                () = self.inbox.ready(), if !queue.waiting.is_empty() => queue.hand_over(),
            }
        }
        while !queue.waiting.is_empty() {
            self.inbox.ready().await;
            queue.hand_over();
        }
    }

    /// Whether a message may wait: one may in any case.
    fn reserve(&self, cost: usize) -> bool {
        let fits = |bytes: usize| Some(bytes + cost).filter(|after| bytes == 0 || *after <= self.most);
        self.bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits).is_ok()
    }

    fn release(&self, cost: usize) {
        self.bytes.fetch_sub(cost, Ordering::Relaxed);
    }
}

/// What waits of one channel.
struct Queue<'a> {
    /// The channel, once something waits.
    channel: String,
    /// Copies: what comes is a slice of the client's read buffer, and would keep all of that in memory.
    waiting: VecDeque<Bytes>,
    intake: &'a Intake,
}

impl Queue<'_> {
    fn take(&mut self, subject: Subject, payload: Bytes) {
        let payload = match self.waiting.is_empty() {
            true => match self.intake.inbox.frame(&subject, payload) {
                Ok(()) => return,
                Err(InboxFull(payload)) => payload,
            },
            false => payload,
        };
        if self.intake.reserve(PLACE + payload.len()) {
            if self.channel.is_empty() {
                subject.as_str().clone_into(&mut self.channel);
            }
            self.waiting.push_back(Bytes::copy_from_slice(&payload));
        } else {
            (self.intake.dropped)();
        }
    }

    /// Hands over what the inbox takes.
    fn hand_over(&mut self) {
        while let Some(payload) = self.waiting.pop_front() {
            let cost = PLACE + payload.len();
            if let Err(InboxFull(payload)) = self.intake.inbox.frame(&self.channel, payload) {
                return self.waiting.push_front(payload);
            }
            self.intake.release(cost);
        }
        self.waiting = VecDeque::new(); // whatever it has grown to
    }
}

impl Drop for Queue<'_> {
    fn drop(&mut self) {
        self.intake.release(self.waiting.iter().map(|payload| PLACE + payload.len()).sum());
    }
}

#[cfg(test)]
mod tests {
    use std::task::Poll;
    use std::time::Duration;

    use futures_util::stream;
    use roomcast_core::backend::Channel;
    use roomcast_core::probe::{Tap, Tapped};
    use tokio::sync::mpsc;
    use tokio::time::timeout;

    use super::*;

    /// An inbox that takes so many messages, an intake in front of it that holds so many bytes, and how many it dropped.
    fn intake(messages: usize, most: usize) -> (Tap, Arc<Intake>, Arc<AtomicUsize>) {
        let tap = Tap::new(messages, usize::MAX);
        tap.wants().add(&["rc.a", "rc.b"].map(|name| Channel::new(name).expect("valid")));
        let dropped = Arc::new(AtomicUsize::new(0));
        let told = Arc::clone(&dropped);
        let intake = Intake::new(tap.inbox(), most, move || {
            told.fetch_add(1, Ordering::Relaxed);
        });
        (tap, Arc::new(intake), dropped)
    }

    fn message(subject: &'static str, payload: Vec<u8>) -> Message {
        let (subject, payload) = (Subject::from_static(subject), Bytes::from(payload));
        Message { length: payload.len(), subject, payload, reply: None, headers: None, status: None, description: None }
    }

    /// Waits until so many are counted.
    async fn comes_to(counted: &AtomicUsize, count: usize) {
        let reached = async {
            while counted.load(Ordering::Relaxed) < count {
                tokio::task::yield_now().await;
            }
        };
        let now = || format!("{counted:?}, not {count}");
        timeout(Duration::from_secs(10), reached).await.unwrap_or_else(|_| panic!("{}", now()));
    }

    async fn first_bytes(tap: &mut Tap, count: usize) -> Vec<u8> {
        let mut first = Vec::new();
        while first.len() < count {
            match tap.next().await {
                Tapped::Frame(_, payload) => first.push(payload[0]),
                other => panic!("{other:?}"),
            }
        }
        first
    }

    #[tokio::test]
    async fn large_messages_that_wait_are_bounded_in_bytes_and_keep_their_order() {
        const SIZE: usize = 1 << 20;
        let (mut tap, intake, dropped) = intake(1, 3 * (SIZE + PLACE));
        let messages = (0..10).map(|n| message("rc.a", vec![n; SIZE]));
        let forwarding = tokio::spawn(Arc::clone(&intake).forward(stream::iter(messages)));
        // One is in the inbox, three wait, and all others are gone before anything is taken.
        comes_to(&dropped, 6).await;
        assert_eq!(intake.bytes.load(Ordering::Relaxed), 3 * (SIZE + PLACE));
        assert_eq!(first_bytes(&mut tap, 4).await, [0, 1, 2, 3]);
        forwarding.await.expect("it ends once all is handed over");
        assert_eq!((intake.bytes.load(Ordering::Relaxed), dropped.load(Ordering::Relaxed)), (0, 6));
    }

    #[tokio::test]
    async fn what_arrives_while_others_wait_comes_behind_them() {
        let (mut tap, intake, dropped) = intake(1, 1 << 20);
        let (send, mut arriving) = mpsc::unbounded_channel();
        let arriving = stream::poll_fn(move |cx| arriving.poll_recv(cx));
        let forwarding = tokio::spawn(Arc::clone(&intake).forward(arriving));
        for n in 0..100 {
            send.send(message("rc.a", vec![n])).expect("it listens");
            if n % 7 == 6 {
                assert_eq!(first_bytes(&mut tap, 3).await, [n / 7 * 3, n / 7 * 3 + 1, n / 7 * 3 + 2]);
            }
        }
        drop(send);
        assert_eq!(first_bytes(&mut tap, 58).await, (42..100).collect::<Vec<_>>());
        forwarding.await.expect("it ends");
        assert_eq!(dropped.load(Ordering::Relaxed), 0);
    }

    #[tokio::test]
    async fn the_bound_is_that_of_all_channels_and_given_back_when_one_ends() {
        let (_tap, intake, dropped) = intake(1, 2 * (10 + PLACE));
        // Never at its end, as with a subscription that goes on.
        let subscription = |subject: &'static str, count: usize| {
            let mut left = (0..count).map(move |_| message(subject, vec![0; 10]));
            stream::poll_fn(move |_| left.next().map_or(Poll::Pending, |message| Poll::Ready(Some(message))))
        };
        let first = tokio::spawn(Arc::clone(&intake).forward(subscription("rc.a", 3)));
        comes_to(&intake.bytes, 2 * (10 + PLACE)).await;
        let second = tokio::spawn(Arc::clone(&intake).forward(subscription("rc.b", 1)));
        comes_to(&dropped, 1).await;
        first.abort();
        assert!(first.await.expect_err("aborted").is_cancelled());
        assert_eq!(intake.bytes.load(Ordering::Relaxed), 0);
        second.abort();
    }

    #[tokio::test]
    async fn one_message_waits_however_large_it_is() {
        let (mut tap, intake, dropped) = intake(1, 1);
        let messages = (0..3).map(|n| message("rc.a", vec![n; 100]));
        let forwarding = tokio::spawn(Arc::clone(&intake).forward(stream::iter(messages)));
        comes_to(&dropped, 1).await;
        assert_eq!(first_bytes(&mut tap, 2).await, [0, 1]);
        forwarding.await.expect("it ends");
    }
}
