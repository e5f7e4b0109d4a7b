//! The link to the broker, as the backend tells of it.

use std::time::{Duration, Instant};

use super::{Control, Readiness, Settling, Verdict, Waits};
use crate::engine::{Engine, Output};
use crate::model::{Event, Limits, NodeId};

/// For a link that comes back sooner after it came back before, nobody is waited for: it flaps.
const STEADY: Duration = Duration::from_secs(2);
/// Others may have waited for the same broker: a node that finds nobody there waits so long for them, or it would send what it
/// kept to nobody.
const TOGETHER: Duration = Duration::from_secs(1);

impl Engine {
    /// The broker is not there yet: this node joins the cluster when it is, and holds back until then what it sends.
    pub(crate) fn begin_away(&mut self, reason: String) {
        self.joining = true;
        self.link_down(reason);
    }

    /// Whether this node began without its broker and has not joined yet.
    pub(crate) fn is_joining(&self) -> bool {
        self.joining
    }

    /// Whether the backend keeps the order of what one node sends.
    pub(crate) fn set_ordered(&mut self, ordered: bool) {
        self.settings.ordered = ordered;
    }

    /// The broker has answered that it takes nothing now, for this reason. It holds until a publish ends in another way.
    pub(crate) fn broker_takes_nothing(&mut self, reason: String) {
        self.hindrance = Some(reason);
    }

    pub(crate) fn link_down(&mut self, reason: String) {
        self.hindrance = None;
        if std::mem::replace(&mut self.link_up, false) {
            self.outputs.push_back(Output::Link(false));
        }
        if self.echo.link_down() == Verdict::Degraded {
            self.outputs.push_back(Output::Event(Event::Degraded(reason)));
        }
    }

    /// The link is there again; it has recovered once an echo has come back.
    pub(crate) fn link_up(&mut self, limits: Limits, now: Instant) {
        self.refresh(limits);
        let mut asks = false;
        if !std::mem::replace(&mut self.link_up, true) {
            // A link that says again and again that it dropped something must not hold back all that this node sends.
            let flaps = self.up_since.replace(now).is_some_and(|since| now.saturating_duration_since(since) < STEADY);
            asks = !flaps && !self.joining;
            if asks {
                self.settling = Some(Settling::new(self.members.live(), now));
            }
            self.outputs.push_back(Output::Link(true));
        }
        if self.joining {
            return self.greet_anew(now);
        }
        self.ask_anew(now);
        // What was sent meanwhile may be lost on either side: the marks tell, and the echo proves the link.
        if asks {
            self.control(Control::Ask);
        } else {
            self.rhythm.want(now);
        }
        self.control(Control::Probe);
    }

    /// What was awaited before can have reached nobody.
    fn greet_anew(&mut self, now: Instant) {
        self.began = now;
        let waits = Waits { alone: TOGETHER, ..self.settings.waits() };
        self.readiness = Some(Readiness::new(waits, self.settings.max_nodes, now));
        self.control(Control::Hello);
        self.control(Control::Probe);
    }

    /// After an outage nobody waits for this node any more: it was heard, or is gone.
    pub(in crate::engine) fn is_back(&mut self, node: NodeId, now: Instant) {
        if let Some(settling) = &mut self.settling {
            settling.no_longer(node);
            self.settling.take_if(|settling| settling.is_over(now));
        }
    }

    /// Something is arriving, though it is not complete yet.
    pub(crate) fn arriving(&mut self) {
        self.echo.arrived();
    }

    #[cfg(test)]
    pub(crate) fn is_link_up(&self) -> bool {
        self.link_up
    }
}
