//! The one reader of a node: takes what the backend delivers, in order, and lets time pass.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::core::{Core, now};
use super::perform::Performer;
use super::supervisor::Part;
use crate::engine::{Incoming, Output};
use crate::seams::inbox::{Arrival, LinkChange};

/// For this long frames are carried out before the control lane and the time are looked at again, and other tasks get their
/// turn.
const TURN: Duration = Duration::from_micros(500);
/// So many frames of a message are taken while the engine is held.
const AT_ONCE: usize = 32;

/// The one reader of a node. What it is busy with is its own, so that it goes on behind what it failed at.
pub(super) struct Reader {
    core: Arc<Core>,
    waiting: VecDeque<Arrival>,
    message: Option<Incoming>,
    outputs: VecDeque<Output>,
    performer: Performer,
    turn_ends: Instant,
}

impl Reader {
    pub(super) fn new(core: Arc<Core>) -> Self {
        let (waiting, outputs) = (VecDeque::new(), VecDeque::new());
        Self { core, waiting, message: None, outputs, performer: Performer::default(), turn_ends: now() }
    }
}

impl Part for Reader {
    const NAME: &'static str = "the reader";

    async fn run(&mut self) {
        let wake = tokio::time::sleep_until(self.core.engine().next_timeout().into());
        tokio::pin!(wake);
        loop {
            self.read().await;
            let next = self.core.engine().next_timeout().into();
            if wake.deadline() != next {
                wake.as_mut().reset(next);
            }
            tokio::select! {
                biased;
                () = self.core.inbox.arrived() => {}
                () = self.core.sooner.notified() => {}
                () = &mut wake => {}
            }
        }
    }
}

impl Reader {
    /// Carries out all that is there.
    async fn read(&mut self) {
        self.turn_ends = now() + TURN;
        self.urgent();
        loop {
            while let Some(output) = self.outputs.pop_front() {
                self.carry_out(output);
                self.rest().await;
            }
            if self.receive() {
                self.rest().await;
                continue;
            }
            if self.waiting.is_empty() {
                self.urgent();
            }
            match self.waiting.pop_front() {
                Some(arrival) if self.is_behind(&arrival) => self.skip(),
                Some(Arrival { channel, payload, at, replayed }) => {
                    let inbox = channel == self.core.channels.inbox;
                    self.message = Some(Incoming::new(inbox, payload, at).replayed(replayed));
                }
                None if self.outputs.is_empty() => return,
                None => {}
            }
        }
    }

    /// Takes the next frames of the message at hand; returns whether there is one.
    fn receive(&mut self) -> bool {
        let Some(message) = &mut self.message else { return false };
        let mut engine = self.core.engine();
        engine.receive(message, AT_ONCE, now());
        engine.take_outputs(&mut self.outputs);
        drop(engine);
        if message.is_done() {
            self.message = None;
        }
        true
    }

    /// Whether a message has waited here for too long. The end of the turn is at most one turn away from now, so the clock is not read.
    fn is_behind(&self, next: &Arrival) -> bool {
        self.turn_ends.saturating_duration_since(next.at) > self.core.bounds.max_lag && next.may_be_skipped()
    }

    /// Drops all messages that wait here. The next one of each sender, or its next mark, shows how many they were.
    fn skip(&mut self) {
        self.core.engine().was_too_slow(now());
        self.waiting.retain(|arrival| !arrival.may_be_skipped());
        self.waiting.append(&mut self.core.inbox.skip());
    }

    /// However much there is: heartbeats go out, deadlines end, and others get their turn.
    async fn rest(&mut self) {
        if now() >= self.turn_ends {
            self.urgent();
            tokio::task::yield_now().await;
            self.turn_ends = now() + TURN;
        }
    }

    /// What does not wait for the messages: the link, signs of life, and the time. Takes the messages that have arrived if
    /// there are no others.
    fn urgent(&mut self) {
        let core = &self.core;
        let mut taken = core.inbox.take(self.waiting.is_empty());
        self.waiting.append(&mut taken.messages);
        // Foreign code: before the engine is held. A backend that was not there before tells now.
        let is_up = taken.link.iter().any(|change| matches!(change, LinkChange::Up(_)));
        let ordered = is_up.then(|| core.backend.capabilities().ordered);
        let mut engine = core.engine();
        ordered.into_iter().for_each(|ordered| engine.set_ordered(ordered));
        for change in taken.link {
            match change {
                LinkChange::Down(reason) => engine.link_down(reason.to_string()),
                LinkChange::Dropped(reason) => {
                    engine.was_too_slow(now());
                    engine.link_down(reason.to_string());
                }
                LinkChange::Refused(kind, reason) => engine.link_refused(kind, reason.to_string()),
                LinkChange::Up(limits) => engine.link_up(limits, now()),
            }
        }
        for arrival in taken.control {
            let inbox = arrival.channel == core.channels.inbox;
            engine.hear(inbox, arrival.payload, arrival.at);
        }
        if core.inbox.was_alive() {
            engine.arriving();
        }
        let now = now();
        if engine.next_timeout() <= now {
            engine.handle_timeout(now);
        }
        let work = engine.has_work();
        let mut news = VecDeque::new();
        engine.take_outputs(&mut news);
        let released = engine.take_released();
        drop(engine);
        drop(released);
        if core.closed.load(std::sync::atomic::Ordering::Relaxed) {
            core.sent.notify_waiters(); // `close` looks at who has confirmed
        }
        core.log_losses(now);
        core.publish_metrics(now);
        if work {
            core.work.notify_one();
        }
        if news.is_empty() {
            return;
        }
        // Answers that came before a question's end count: they go first. Operations keep waiting for their turn.
        let (answers, operations) = std::mem::take(&mut self.outputs)
            .into_iter()
            .partition::<VecDeque<_>, _>(|output| !matches!(output, Output::Perform { .. }));
        self.outputs = operations;
        for output in answers.into_iter().chain(news) {
            match output {
                Output::Perform { .. } => self.outputs.push_back(output),
                other => self.carry_out(other),
            }
        }
    }

    fn carry_out(&mut self, output: Output) {
        match output {
            Output::Perform { reply, whole } => self.core.perform(&mut self.performer, reply, whole.into_frame()),
            other => self.core.carry_out(other),
        }
    }
}
