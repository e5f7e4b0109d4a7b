//! What the broker delivers: messages, and word of those that it dropped.

use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use lapin::message::Delivery;
use lapin::options::BasicAckOptions;
use lapin::{Consumer, Event};
use roomcast_core::backend::Inbox;
use tokio::time::{Instant, sleep, sleep_until};

use crate::connection::{Events, next};
use crate::session::Session;

/// How long the acknowledgement of a message may wait for others.
const LINGER: Duration = Duration::from_millis(50);

/// How long the connection gets to say why a consumer has ended.
const CAUSE: Duration = Duration::from_millis(50);

/// How long the node gets, after messages were dropped, before it is told that it receives everything again.
const RELIEF: Duration = Duration::from_millis(100);

/// What the broker delivers on one session.
pub(crate) struct Intake {
    deliveries: Consumer,
    losses: Consumer,
    events: [Events; 2],
    /// So many messages are acknowledged together.
    batch: u16,
}

impl Intake {
    pub(crate) fn new([deliveries, losses]: [Consumer; 2], events: [Events; 2], prefetch: u16) -> Self {
        Self { deliveries, losses, events, batch: prefetch.div_ceil(4) }
    }

    /// Hands over what arrives until the session is of no use any more; returns why.
    pub(crate) async fn run(&mut self, session: &Session, inbox: &Inbox) -> String {
        let Self { deliveries, losses, events: [publisher, consumer], batch } = self;
        tokio::select! {
            why = receive(deliveries, *batch, inbox) => why,
            why = tell_losses(losses, session, inbox) => why,
            why = session.follow_publisher(publisher, inbox) => why,
            why = follow_consumer(consumer) => why,
            why = session.silence(inbox) => why,
            why = session.ended() => why,
        }
    }
}

/// Hands messages over. While the inbox is full none is acknowledged, so the broker sends no more than the prefetch.
async fn receive(deliveries: &mut Consumer, batch: u16, inbox: &Inbox) -> String {
    let mut handed: Option<Delivery> = None;
    let (mut waiting, mut due) = (0, Instant::now());
    loop {
        let next = tokio::select! {
            biased;
            next = deliveries.next() => next,
            () = sleep_until(due), if waiting > 0 => {
                acknowledge(&mut handed, &mut waiting).await;
                continue;
            }
        };
        let mut delivery = match next {
            Some(Ok(delivery)) => delivery,
            Some(Err(cause)) => return format!("the consumer was ended: {cause}"),
            None => return cancelled("the consumer: its queue was deleted").await,
        };
        let payload = Bytes::from(std::mem::take(&mut delivery.data));
        while inbox.frame(delivery.routing_key.as_str(), payload.clone()).is_err() {
            inbox.ready().await;
        }
        if waiting == 0 {
            due = Instant::now() + LINGER;
        }
        waiting += 1;
        handed = Some(delivery);
        if waiting >= batch {
            acknowledge(&mut handed, &mut waiting).await;
        }
    }
}

/// Acknowledges everything up to this message.
async fn acknowledge(handed: &mut Option<Delivery>, waiting: &mut u16) {
    *waiting = 0;
    if let Some(delivery) = handed.take() {
        // It fails when the channel has ended, which the consumer's end says as well.
        let _ = delivery.acker.ack(BasicAckOptions { multiple: true }).await;
    }
}

/// Tells of messages that the broker dropped because this node was too slow. Of many it keeps one, and sends the next one
/// when that is acknowledged.
async fn tell_losses(losses: &mut Consumer, session: &Session, inbox: &Inbox) -> String {
    while let Some(Ok(lost)) = losses.next().await {
        inbox.dropped("this node did not take its messages in time, and the broker dropped some");
        sleep(RELIEF).await;
        let _ = lost.acker.ack(BasicAckOptions::default()).await; // as with messages
        session.tell_up(inbox);
    }
    cancelled("the consumer of losses").await
}

/// A consumer has ended. So it does, too, when its connection is closed, and then the connection says why in a moment.
async fn cancelled(what: &str) -> String {
    sleep(CAUSE).await;
    format!("the broker cancelled {what}")
}

async fn follow_consumer(events: &mut Events) -> String {
    loop {
        if let Event::Error(cause) = next(events).await {
            return format!("the connection that receives: {cause}");
        }
    }
}
