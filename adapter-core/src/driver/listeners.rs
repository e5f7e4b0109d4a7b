//! Who gets the server-side events of a namespace.

use tokio::sync::mpsc::error::TrySendError;

use crate::seams::{ReplyHandle, ServerEvent, ServerEvents};

/// Who gets the server-side events of a namespace: by name any number, and one for all other names.
#[derive(Default)]
pub(super) struct Listeners {
    named: Vec<(String, ServerEvents)>,
    others: Option<ServerEvents>,
}

impl Listeners {
    /// Adds a listener; returns the one whose place it takes.
    pub(super) fn add(&mut self, event: Option<&str>, events: ServerEvents) -> Option<ServerEvents> {
        match event {
            Some(event) => {
                self.named.push((event.to_owned(), events));
                None
            }
            None => self.others.replace(events),
        }
    }

    /// Removes and returns those of whom this is true.
    pub(super) fn remove(&mut self, gone: impl Fn(Option<&str>, &ServerEvents) -> bool) -> Vec<ServerEvents> {
        let named = self.named.extract_if(.., |(event, events)| gone(Some(event), events)).map(|(_, events)| events);
        named.chain(self.others.take_if(|events| gone(None, events))).collect()
    }

    /// Who gets an event of this name.
    pub(super) fn of(&self, event: &str) -> Vec<ServerEvents> {
        let named = self.named.iter().filter(|(name, _)| name == event).map(|(_, events)| events);
        let named: Vec<_> = named.cloned().collect();
        if named.is_empty() { self.others.iter().cloned().collect() } else { named }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.named.is_empty() && self.others.is_none()
    }
}

/// What became of an event.
pub(super) struct HandedOver {
    /// The event, when nobody has taken it.
    pub(super) refused: Option<ServerEvent>,
    /// How many have not taken it since their queues were full.
    pub(super) full: u64,
    /// Who is gone.
    pub(super) closed: Vec<ServerEvents>,
}

/// Gives the event to all of them: each gets its data, and the first that replies has replied.
pub(super) fn hand_over(mut event: ServerEvent, listeners: &[ServerEvents]) -> HandedOver {
    let (mut taken, mut full, mut closed) = (false, 0, Vec::new());
    let share = if listeners.len() > 1 { event.reply.take().map(ReplyHandle::shared) } else { None };
    for events in listeners {
        let last = listeners.len() == 1;
        let reply = if last { event.reply.take() } else { share.as_ref().map(|share| share()) };
        let copy = ServerEvent {
            from: event.from,
            namespace: event.namespace.clone(),
            event: event.event.clone(),
            data: event.data.clone(),
            reply,
            span: event.span.clone(),
        };
        match events.try_send(copy) {
            Ok(()) => taken = true,
            Err(TrySendError::Full(back)) => {
                full += 1;
                event.reply = back.reply.filter(|_| last);
            }
            Err(TrySendError::Closed(back)) => {
                event.reply = back.reply.filter(|_| last);
                closed.push(events.clone());
            }
        }
    }
    HandedOver { refused: (!taken).then_some(event), full, closed }
}
