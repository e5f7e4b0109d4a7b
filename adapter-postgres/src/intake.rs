//! What is notified, on its way into the inbox.

use std::sync::Arc;

use roomcast_core::Bytes;
use roomcast_core::backend::Inbox;

use crate::connection::Pulse;
use crate::emitted::Emitted;
use crate::text;

/// Takes what one connection hears. The default takes nothing, for a connection that does not listen.
#[derive(Default)]
pub(crate) struct Intake {
    inbox: Option<Inbox>,
    pulse: Arc<Pulse>,
    emitted: Emitted,
}

impl Intake {
    pub(crate) fn new(inbox: Inbox) -> Self {
        Self { inbox: Some(inbox), ..Self::default() }
    }

    pub(crate) fn pulse(&self) -> Arc<Pulse> {
        Arc::clone(&self.pulse)
    }

    /// Hands over a notification; waits while the inbox is full.
    pub(crate) async fn take(&mut self, channel: &str, text: &str) {
        self.pulse.beat();
        let Some(inbox) = &self.inbox else { return };
        let ours = text::decode(text);
        let emitted = ours.is_none().then(|| self.emitted.take(text));
        for frame in ours.into_iter().chain(emitted.into_iter().flatten()) {
            while inbox.frame(channel, frame.clone()).is_err() {
                self.pulse.pause(true);
                inbox.ready().await;
            }
            self.pulse.pause(false);
        }
    }
}

/// What is none of ours goes on as it is: the core counts it.
pub(crate) fn foreign(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}
